//! The command line: options that every verb has, and the verbs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::names::UserName;
use crate::output::{Format, Output};
use crate::verbs::{
    api, cards, completions, decrypt, dev, documents, encrypt, events, inbox, lock, man, register, send,
    share, sign, status, unlock, user, verify,
};

/// Encrypts, decrypts, signs and verifies health care data, through the LIFE agent that holds the keys.
#[derive(Debug, Parser)]
#[command(name = "life", version, after_long_help = AFTER_HELP)]
#[command(subcommand_required = true, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    /// Options of every verb.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every verb.
#[derive(Args, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// On whose behalf: a user id [env: LIFE_USER] [default: the only unlocked user]
    #[arg(long = "as", value_name = "UID", global = true)]
    pub acting_user: Option<UserName>,
    /// Print JSON: one object per line, errors and warnings on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// The agent's socket [env: LIFE_AGENT_SOCKET] [default: $XDG_RUNTIME_DIR/life/agent.sock or
    /// ~/.life/run/agent.sock]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Api(api::Arguments),
    Cards(cards::Arguments),
    Completions(completions::Arguments),
    Decrypt(decrypt::Arguments),
    Dev(dev::Arguments),
    Documents(documents::Arguments),
    Encrypt(encrypt::Arguments),
    Events(events::Arguments),
    Inbox(inbox::Arguments),
    Lock(lock::Arguments),
    Man(man::Arguments),
    Register(register::Arguments),
    Send(send::Arguments),
    Share(share::Arguments),
    Sign(sign::Arguments),
    Status(status::Arguments),
    Unlock(unlock::Arguments),
    User(user::Arguments),
    Verify(verify::Arguments),
}

const AFTER_HELP: &str = "\
Files:
  `-` is standard input or output. An output file appears only when everything in it is complete
  and verified, and never replaces another without --force; a pipe or device is written directly.

Environment:
  LIFE_AGENT_SOCKET  the agent's socket
  LIFE_USER          on whose behalf, as --as
  LIFE_APP_TOKEN     the token that names the calling app

Exit codes (sysexits.h):
  0   done                                    70  a fault of the agent or of this program
  64  the command line is wrong               73  an output cannot be made, or exists already
  65  damaged, forbidden or unverified input  74  reading or writing failed
  66  no such input                           75  try again later
  67  no such user                            77  locked, or not allowed
  69  agent, vault or platform unavailable    78  not configured
                                              130 interrupted, by Ctrl-C, SIGTERM or SIGHUP

Errors as JSON (--json, on standard error):
  {\"error\":{\"reason\",\"message\",\"advice\",\"exit_code\",\"metadata\"}}; reasons are stable.
  Warnings likewise: {\"warning\":{\"reason\",\"message\"}}.

A first look, without a platform of one's own:
  life dev up --dir /tmp/life --detach && . /tmp/life/env && life status";

impl Global {
    /// The printer that the options ask for.
    pub fn output(&self) -> Output {
        Output::new(if self.json { Format::Json } else { Format::Text })
    }
}

/// Reads the command line; help and faults are printed, and end the program.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        let json = std::env::args_os().any(|argument| argument == OsStr::new("--json"));
        let output = Output::new(if json { Format::Json } else { Format::Text });
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let printed = output.text(&ended_line(error.render().to_string()));
                printed.map_or_else(|error| error.exit().into(), |()| ExitCode::SUCCESS)
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let error =
                    Error::Usage(format!("say what to do\n\n{}", error.render()).trim_end().to_owned());
                output.failure(&error);
                error.exit().into()
            }
            _ => {
                let text = error.render().to_string();
                let text = text.split("\n\nFor more information").next().unwrap_or_default();
                let error = Error::Usage(text.trim_start_matches("error: ").trim_end().to_owned());
                output.failure(&error);
                error.exit().into()
            }
        }
    })
}

fn ended_line(mut text: String) -> String {
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_the_options_of_all() {
        fn check(command: &clap::Command) {
            for option in ["acting_user", "json", "socket"] {
                let all = command.get_arguments().filter(|argument| argument.get_id() == option);
                let here: Vec<_> = all.collect();
                let [argument] = here.as_slice() else { panic!("{} {option}", command.get_name()) };
                assert!(argument.is_global_set(), "{} has an {option} of its own", command.get_name());
            }
            command.get_subcommands().filter(|command| command.get_name() != "help").for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }

    #[test]
    fn every_argument_is_explained() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let explained = argument.get_help().is_some_and(|help| !help.to_string().is_empty());
                assert!(explained, "{} {name} is not explained", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
