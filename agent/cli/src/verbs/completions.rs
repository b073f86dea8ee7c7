//! `life completions`: what shells complete.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::error::Error;

/// Prints completions for a shell.
///
/// Prints the script as it is, also with --json. For bash, for example: life completions bash > ~/.local/share/bash-completion/completions/life
#[derive(Args, Debug)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "life", &mut script);
    context.output.text(&String::from_utf8_lossy(&script))
}
