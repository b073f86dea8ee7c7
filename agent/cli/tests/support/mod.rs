//! Running the program, and an agent that is only a stage set: it answers without any keys, so that what the program
//! does with files can be seen alone.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod agent;
mod documents;
mod others;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub use agent::Agent;
pub use others::{CERTIFICATE, HOSTILE};
use serde_json::Value;

/// Some user.
pub const UID: &str = "123e4567-e89b-42d3-a456-426614174000";

/// The program, in an environment without an agent.
pub fn life() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_life"));
    for name in ["LIFE_AGENT_SOCKET", "LIFE_APP_TOKEN", "LIFE_USER"] {
        command.env_remove(name);
    }
    command.env("XDG_RUNTIME_DIR", "/nonexistent").stdin(Stdio::null());
    command
}

/// Runs the program without an agent.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    life().args(arguments).output().unwrap()
}

/// The exit code, which must be there: the program was not killed.
pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What was printed on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The error object that `--json` prints.
pub fn error(output: &Output) -> Value {
    // Warnings come before it.
    let last = output.stderr.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let line: Value = serde_json::from_slice(last).unwrap_or_else(|_| panic!("{}", stderr(output)));
    line["error"].clone()
}

/// A folder for a test's files.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What is in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
