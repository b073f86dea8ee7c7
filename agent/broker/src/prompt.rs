//! Prompts: a pinentry program whose pipes go to the vault. What the person types never passes here.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;

use life_proto::v1::PromptSource;
use tokio::process::{Child, Command};

use crate::error::{Error, Fault, Result};

/// Of the agent's own environment, what a pinentry needs.
const INHERITED: &[&str] =
    &["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "XAUTHORITY", "XDG_RUNTIME_DIR"];

/// A running pinentry; ended when dropped.
pub struct Pinentry {
    _child: Child,
    /// Its standard input and output, for the vault.
    pub pipes: Vec<OwnedFd>,
}

/// Starts the pinentry program where the caller can see it.
///
/// # Errors
/// PROMPT_UNAVAILABLE when none is configured or it does not start; INVALID_ARGUMENT for a display or terminal that
/// is none.
pub fn start(program: Option<&Path>, place: &PromptSource) -> Result<Pinentry> {
    let program = program.ok_or(Fault::PromptUnavailable)?;
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command.envs(INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
    if !place.display.is_empty() {
        check("secret.prompt.display", &place.display)?;
        let wayland = place.display.starts_with("wayland");
        command.env(if wayland { "WAYLAND_DISPLAY" } else { "DISPLAY" }, &place.display);
    }
    if !place.terminal.is_empty() {
        check("secret.prompt.terminal", &place.terminal)?;
        if !place.terminal.starts_with("/dev/") {
            return Err(Error::field("secret.prompt.terminal", "is not a path under /dev"));
        }
        command.arg("--ttyname").arg(&place.terminal).env("GPG_TTY", &place.terminal);
    }
    let unavailable = |error: std::io::Error| {
        tracing::warn!(%error, "pinentry does not start");
        Fault::PromptUnavailable.because("the pinentry program does not start")
    };
    let mut child = command.spawn().map_err(unavailable)?;
    let input = child.stdin.take().ok_or(Fault::PromptUnavailable)?.into_owned_fd().map_err(unavailable)?;
    let output = child.stdout.take().ok_or(Fault::PromptUnavailable)?.into_owned_fd().map_err(unavailable)?;
    Ok(Pinentry { _child: child, pipes: vec![input, output] })
}

fn check(field: &'static str, text: &str) -> Result<()> {
    let good = text.len() <= 108
        && !text.starts_with('-')
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || ":._-/".contains(c));
    if good { Ok(()) } else { Err(Error::field(field, "is not a display or terminal")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_checked_and_a_program_is_needed() {
        let place = |display: &str, terminal: &str| PromptSource {
            display: display.to_owned(),
            terminal: terminal.to_owned(),
        };
        let program = Some(Path::new("/bin/cat"));
        for (display, terminal) in [("--help", ""), (":0;rm", ""), ("", "/etc/passwd"), ("", "/dev/../etc/x")]
        {
            let fault = start(program, &place(display, terminal)).err().unwrap().fault();
            assert_eq!(fault, Fault::InvalidArgument, "{display} {terminal}");
        }
        assert_eq!(start(None, &place("", "")).err().unwrap().fault(), Fault::PromptUnavailable);
        let missing = Some(Path::new("/nonexistent/pinentry"));
        assert_eq!(start(missing, &place("", "")).err().unwrap().fault(), Fault::PromptUnavailable);
        assert_eq!(start(program, &place(":0", "")).unwrap().pipes.len(), 2);
    }
}
