//! `life man`: the man pages.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use serde::Serialize;

use crate::args::Cli;
use crate::context::Context;
use crate::error::Error;
use crate::output::{Report, Stdout};

/// Writes the man pages into a folder, which is made if it is missing.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"folder\",\"written\"}, the number of pages.")]
pub struct Arguments {
    /// The folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Serialize)]
struct Pages {
    folder: PathBuf,
    written: usize,
}

/// Runs the verb.
pub fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let folder = &arguments.folder;
    let failed = |error| Error::create(folder, error);
    fs::create_dir_all(folder).map_err(failed)?;
    let mut pages = vec![Cli::command()];
    pages[0].build();
    let mut written = 0;
    while let Some(page) = pages.pop() {
        let hidden = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
        pages.extend(page.get_subcommands().filter(hidden).cloned());
        clap_mangen::Man::new(page).generate_to(folder).map_err(failed)?;
        written += 1;
    }
    let written = Pages { folder: folder.clone(), written };
    context.output.done(&written, Stdout::Reports)
}

impl Report for Pages {
    fn text(&self) -> String {
        format!("{} pages written into {}\n", self.written, self.folder.display())
    }
}
