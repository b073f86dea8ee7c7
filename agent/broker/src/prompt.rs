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

/// The longest text of others in a prompt.
const LONGEST: usize = 200;

/// A text of others as a prompt may show it: without what would break its lines, turn its direction or hide.
pub fn harmless(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().take(LONGEST).map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
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

    #[test]
    fn what_others_say_in_a_prompt_neither_turns_nor_hides() {
        assert_eq!(
            harmless("/opt/\u{202e}nimda\u{2066}\n\u{200b}x"),
            "/opt/\u{fffd}nimda\u{fffd}\u{fffd}\u{fffd}x"
        );
        assert_eq!(harmless("/opt/Praxis Müller/ärzte"), "/opt/Praxis Müller/ärzte");
        assert_eq!(harmless(&"é".repeat(500)).chars().count(), LONGEST);
    }

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
