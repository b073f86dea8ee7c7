//! A platform of the test's own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::binaries;
use crate::process::Process;

/// A running platform: `ca` and `serve` on loopback.
pub struct Platform {
    dir: TempDir,
    serve: Option<Process>,
    ca: Option<Process>,
    log: Option<String>,
    /// `https://127.0.0.1:PORT`.
    pub origin: String,
    /// What a new machine pins.
    pub ca_fingerprint: String,
}

impl Platform {
    /// Initialises and starts a platform with automatic approval.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&["--approval", "auto"])
    }

    /// Initialises and starts a platform; `init` gets the further arguments.
    #[must_use]
    pub fn start_with(init: &[&str]) -> Self {
        Self::start_edited(init, str::to_owned)
    }

    /// As [`Platform::start`], with this level for all logs.
    #[must_use]
    pub fn start_logging(level: &str) -> Self {
        Self::start_as(&["--approval", "auto"], str::to_owned, Some(level.to_owned()))
    }

    /// As [`Platform::start_with`], with `platform.toml` edited before the start.
    #[must_use]
    pub fn start_edited(init: &[&str], edit: impl FnOnce(&str) -> String) -> Self {
        Self::start_as(init, edit, None)
    }

    fn start_as(init: &[&str], edit: impl FnOnce(&str) -> String, log: Option<String>) -> Self {
        let dir = TempDir::with_prefix("life-platform-").unwrap();
        let out = Command::new(binaries::path("life-platform"))
            .args(["init", "--json", "--listen", "127.0.0.1:0", "--dir"])
            .arg(dir.path())
            .args(init)
            .output()
            .unwrap();
        assert!(out.status.success(), "init: {}", String::from_utf8_lossy(&out.stderr));
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let ca_fingerprint = json["ca_fingerprint"].as_str().unwrap().to_owned();
        let config = dir.path().join("platform.toml");
        std::fs::write(&config, edit(&std::fs::read_to_string(&config).unwrap())).unwrap();
        let mut platform = Self { dir, serve: None, ca: None, log, origin: String::new(), ca_fingerprint };
        platform.start_ca();
        platform.start_serve();
        platform
    }

    /// Its folder: everything the operator has.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The database of `serve`.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.dir().join("serve/data/platform.db")
    }

    /// Starts the CA.
    pub fn start_ca(&mut self) {
        self.ca = Some(self.spawn("ca", &[]).0);
    }

    /// Starts the server; a second start listens on the same port.
    pub fn start_serve(&mut self) {
        let listen = self.origin.strip_prefix("https://").unwrap_or("127.0.0.1:0").to_owned();
        let (process, line) = self.spawn("serve", &["--listen", &listen]);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        self.origin = format!("https://{}", ready["listening"].as_str().unwrap());
        self.serve = Some(process);
    }

    /// Ends the server at once (SIGKILL).
    pub fn kill_serve(&mut self) {
        self.serve = None;
    }

    /// Ends the CA at once (SIGKILL).
    pub fn kill_ca(&mut self) {
        self.ca = None;
    }

    /// The server's process id.
    #[must_use]
    pub fn serve_pid(&self) -> u32 {
        self.serve.as_ref().unwrap().pid()
    }

    /// What both have logged so far.
    #[must_use]
    pub fn logs(&self) -> [String; 2] {
        ["serve", "ca"].map(|verb| std::fs::read_to_string(self.dir().join(format!("{verb}.log"))).unwrap())
    }

    /// Runs a subcommand to its end and returns what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let out = Command::new(binaries::path("life-platform"))
            .args(args)
            .arg("--dir")
            .arg(self.dir())
            .output()
            .unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Starts a subcommand and waits for the line that says it is ready.
    fn spawn(&self, verb: &str, args: &[&str]) -> (Process, String) {
        let log = std::fs::File::create(self.dir().join(format!("{verb}.log"))).unwrap();
        let child = Command::new(binaries::path("life-platform"))
            .args([verb, "--dir"])
            .arg(self.dir())
            .args(args)
            .envs(self.log.iter().map(|level| ("LIFE_LOG", level)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Process::new(child);
        let mut line = String::new();
        BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(self.dir().join(format!("{verb}.log"))).unwrap();
        assert!(!line.is_empty(), "{verb} did not start: {}", log());
        (process, line)
    }
}
