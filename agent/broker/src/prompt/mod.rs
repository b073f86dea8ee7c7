//! Prompts: a pinentry program whose pipes go to the vault. What the person types never passes here.

mod place;
mod queue;
mod starter;
pub mod text;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::error::{Fault, Result};

pub use place::Place;
pub use queue::{Prompts, Queued};
pub use starter::Starter;

/// Of the agent's own environment, what a pinentry needs.
const INHERITED: &[&str] =
    &["HOME", "LANG", "LC_ALL", "LC_CTYPE", "PATH", "TERM", "XAUTHORITY", "XDG_RUNTIME_DIR"];

/// How long a pinentry may take to leave its display or terminal in order.
const GRACE: Duration = Duration::from_secs(1);

/// A running pinentry; ended when dropped. Its turn is over when it has ended.
pub struct Pinentry {
    running: Option<(Child, Place, Queued)>,
    /// Its standard input and output, for the vault.
    pub pipes: Vec<OwnedFd>,
}

/// Starts the pinentry program where the caller can see it.
///
/// # Errors
/// PROMPT_UNAVAILABLE when none is configured or it does not start; PROMPT_CANCELLED when its user is locked meanwhile.
pub async fn start(
    starter: &Starter,
    program: Option<&Path>,
    place: Place,
    queued: Queued,
) -> Result<Pinentry> {
    let program = program.ok_or(Fault::PromptUnavailable)?;
    let mut command = Command::new(program);
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.envs(INHERITED.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))));
    command.envs(characters(|name| std::env::var(name).ok()));
    command.envs(place.display.iter().map(|(name, value)| (name, value)));
    if let Some(terminal) = &place.terminal {
        command.arg("--ttyname").arg(&terminal.path).env("GPG_TTY", &terminal.path);
    }
    let unavailable = |error: std::io::Error| {
        tracing::warn!(%error, "pinentry does not start");
        Fault::PromptUnavailable.because("the pinentry program does not start")
    };
    let started = async { starter.start(command).await.map_err(unavailable) };
    let mut child = queued.run(started).await?;
    let input = child.stdin.take().ok_or(Fault::PromptUnavailable)?.into_owned_fd().map_err(unavailable)?;
    let output = child.stdout.take().ok_or(Fault::PromptUnavailable)?.into_owned_fd().map_err(unavailable)?;
    Ok(Pinentry { running: Some((child, place, queued)), pipes: vec![input, output] })
}

/// What makes a pinentry read and show UTF-8, as prompts are written: in another locale some fail at the first letter that is
/// not ASCII, which may be one of a path. A service has often none.
fn characters(variable: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, &'static str)> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
    let locale = locale.to_ascii_lowercase();
    if locale.ends_with("utf-8") || locale.ends_with("utf8") {
        return Vec::new();
    }
    vec![("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")]
}

impl Pinentry {
    /// Does what the prompt is for, as [`Queued::run`].
    ///
    /// # Errors
    /// As [`Queued::run`].
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.running {
            Some((_, _, queued)) => queued.run(work).await,
            None => work.await,
        }
    }
}

impl Drop for Pinentry {
    /// Asks it to end, so that it can leave its terminal in order, and kills it when it does not.
    fn drop(&mut self) {
        let Some((mut child, place, queued)) = self.running.take() else { return };
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It is not reaped before the wait below, so the number is still its own.
            let _ = kill_process(pid, Signal::TERM);
        }
        let end = async move {
            if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
            // Only now does the terminal get its settings back, and the next prompt its turn.
            drop((place, queued));
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_utf_8_whatever_the_service_has() {
        let with = |name: &'static str, value: &'static str| {
            characters(move |asked| (asked == name).then(|| value.to_owned()))
        };
        for (name, value) in [("LANG", "de_DE.UTF-8"), ("LC_CTYPE", "C.utf8"), ("LC_ALL", "en_GB.UTF-8")] {
            assert_eq!(with(name, value), [], "{name}={value}");
        }
        for (name, value) in [("LANG", ""), ("LANG", "C"), ("LC_ALL", "POSIX"), ("LC_CTYPE", "de_DE@euro")] {
            assert_eq!(with(name, value), [("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8")], "{name}={value}");
        }
    }

    #[tokio::test]
    async fn a_program_is_needed() {
        let starter = Starter::new().unwrap();
        let prompts = std::sync::Arc::new(Prompts::default());
        let start =
            async |program| start(&starter, program, Place::default(), prompts.queue(None).unwrap()).await;
        assert_eq!(start(None).await.err().unwrap().fault(), Fault::PromptUnavailable);
        let missing = Some(Path::new("/nonexistent/pinentry"));
        assert_eq!(start(missing).await.err().unwrap().fault(), Fault::PromptUnavailable);
        assert_eq!(start(Some(Path::new("/bin/cat"))).await.unwrap().pipes.len(), 2);
    }
}
