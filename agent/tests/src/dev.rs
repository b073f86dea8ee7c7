//! The command line and its development set-up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// 1 MiB.
pub const MIB: usize = 1024 * 1024;

/// A development set-up, ended with the test.
pub struct Dev {
    folder: TempDir,
    /// What `up` reported.
    pub summary: Value,
}

impl Dev {
    /// Starts one with these kinds of users, separated by commas.
    #[must_use]
    pub fn up(users: &str) -> Self {
        let folder = TempDir::with_prefix("life-dev-").unwrap();
        let output = life(["dev", "up", "--detach", "--users", users, "--dir"])
            .arg(folder.path().join("dev"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        Self { folder, summary: serde_json::from_slice(&output.stdout).unwrap() }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    /// A path beside the set-up.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file beside the set-up.
    #[must_use]
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    /// The user id of a kind.
    #[must_use]
    pub fn uid(&self, kind: &str) -> String {
        self.summary["users"][kind]["uid"].as_str().unwrap().to_owned()
    }

    /// A file of a user.
    #[must_use]
    pub fn user_file(&self, kind: &str, name: &str) -> PathBuf {
        self.root().join("users").join(kind).join(name)
    }

    /// A verb, in the environment that `env` describes.
    pub fn life<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = life(arguments);
        command.env("LIFE_AGENT_SOCKET", self.summary["socket"].as_str().unwrap());
        command
    }

    /// A verb that succeeds, with its report.
    pub fn done<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let output = self.life(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A verb that fails, with exit code and reason.
    pub fn refused<S: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> (i32, String) {
        let output = self.life(arguments).arg("--json").output().unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["error"]["reason"].as_str().unwrap().to_owned())
    }

    /// Ends it.
    #[must_use]
    pub fn down(&self) -> Value {
        let output = life(["dev", "down", "--json", "--dir"]).arg(self.root()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The processes that `up` started.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let processes = self.summary["processes"].as_object().unwrap();
        processes.values().map(|pid| pid.as_u64().unwrap() as u32).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended = life(["dev", "down", "--dir"]).arg(self.root()).output();
    }
}

/// The command line, with nothing in its environment that names an agent or a user.
pub fn life<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(crate::binaries::path("life"));
    for name in ["LIFE_AGENT_SOCKET", "LIFE_APP_TOKEN", "LIFE_USER"] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What was printed.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs OpenSSL, which must succeed; gives what it printed.
pub fn openssl<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

/// The permission bits of a file.
#[must_use]
pub fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Bytes that repeat only after a long time.
#[must_use]
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}
