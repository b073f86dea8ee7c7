//! `life-platform` as processes in a temporary folder.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use super::client::Client;

pub const BINARY: &str = env!("CARGO_BIN_EXE_life-platform");

pub struct Options {
    pub approval: &'static str,
    /// Appended to `platform.toml`.
    pub config: &'static str,
    pub ca_config: &'static str,
    pub start_ca: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { approval: "auto", config: "", ca_config: "", start_ca: true }
    }
}

pub struct Platform {
    pub dir: tempfile::TempDir,
    pub address: SocketAddr,
    pub fingerprint: String,
    serve: Option<Daemon>,
    ca: Option<Daemon>,
}

impl Platform {
    pub fn start() -> Self {
        Self::start_with(&Options::default())
    }

    pub fn start_with(options: &Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("p");
        let listen = ["--listen", "127.0.0.1:0", "--approval", options.approval, "--json"];
        let output = run(&["init", "--dir", root.to_str().unwrap()], &listen);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let fingerprint = printed["ca_fingerprint"].as_str().unwrap().to_owned();
        amend(&root.join("platform.toml"), options.config);
        amend(&root.join("ca/ca.toml"), options.ca_config);
        let mut platform =
            Self { dir, address: SocketAddr::from(([127, 0, 0, 1], 0)), fingerprint, serve: None, ca: None };
        if options.start_ca {
            platform.start_ca();
        }
        platform.start_serve();
        platform
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("p")
    }

    pub fn start_ca(&mut self) {
        let (daemon, line) = Daemon::start(&["ca", "--dir", self.root().to_str().unwrap()]);
        assert!(line.contains("socket"), "{line}");
        self.ca = Some(daemon);
    }

    pub fn stop_ca(&mut self) {
        self.ca = None;
    }

    pub fn start_serve(&mut self) {
        let (daemon, line) = Daemon::start(&["serve", "--dir", self.root().to_str().unwrap()]);
        self.ready(daemon, &line);
    }

    fn ready(&mut self, daemon: Daemon, line: &str) {
        let ready: serde_json::Value = serde_json::from_str(line).unwrap();
        self.address = ready["listening"].as_str().unwrap().parse().unwrap();
        self.serve = Some(daemon);
    }

    /// Starts `serve` with its data on a small memory disk of its own; nothing where the system does not allow that.
    pub fn start_serve_on_small_disk(&mut self, size: &str) -> Option<()> {
        let script = r#"set -e; cp -a "$1/serve/data" "$1/data-copy"
            mount -t tmpfs -o size="$2",mode=700 none "$1/serve/data"
            cp -a "$1/data-copy/." "$1/serve/data/"; exec "$0" serve --dir "$1""#;
        let root = self.root();
        let unshare = ["--mount", "--map-root-user"];
        let allowed =
            Command::new("unshare").args(unshare).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
        if !allowed.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", script, BINARY]).arg(&root).arg(size);
        let (daemon, line) = Daemon::spawn(command);
        self.ready(daemon, &line);
        Some(())
    }

    /// SIGKILL, in the middle of whatever it does.
    pub fn kill_serve(&mut self) {
        self.serve = None;
    }

    pub fn serve(&mut self) -> &mut Daemon {
        self.serve.as_mut().unwrap()
    }

    /// Runs another command of the binary on this platform's folder.
    pub fn command(&self, arguments: &[&str], rest: &[&str]) -> Output {
        let root = self.root();
        let dir = ["--dir", root.to_str().unwrap()];
        run(&[arguments, &dir].concat(), rest)
    }

    pub fn client(&self) -> Client {
        Client::new(self.address, &self.root(), None)
    }

    pub fn server_root_pem(&self) -> PathBuf {
        pem(&self.root().join("public/server-root.der"), &self.dir.path().join("server-root.pem"))
    }
}

/// Says that a test cannot run here, which only counts as passed where `LIFE_ALLOW_SKIP` allows it.
#[track_caller]
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("LIFE_ALLOW_SKIP").is_some(),
        "{why}; set LIFE_ALLOW_SKIP to pass without this test"
    );
    // Past the capturing of tests that pass.
    let _seen = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

pub fn pem(der: &Path, pem: &Path) -> PathBuf {
    let done = Command::new("openssl")
        .args(["x509", "-inform", "der", "-in", der.to_str().unwrap(), "-out", pem.to_str().unwrap()])
        .status();
    assert!(done.unwrap().success());
    pem.to_owned()
}

fn run(first: &[&str], rest: &[&str]) -> Output {
    Command::new(BINARY).args(first).args(rest).output().unwrap()
}

/// Overwrites values and adds tables: `[table]` headers in `more` replace whole tables of the file.
fn amend(path: &Path, more: &str) {
    let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, value) in toml::from_str::<toml::Table>(more).unwrap() {
        match (config.get_mut(&name), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(new)) => known.extend(new),
            (_, value) => drop(config.insert(name, value)),
        }
    }
    std::fs::write(path, toml::to_string(&config).unwrap()).unwrap();
}

pub struct Daemon {
    pub child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    fn start(arguments: &[&str]) -> (Self, String) {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> (Self, String) {
        command.env("LIFE_LOG", "debug").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, sink) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = stderr.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let daemon = Self { child, log, reader: Some(reader) };
        assert!(!line.is_empty(), "did not start: {}", daemon.log.lock().unwrap());
        (daemon, line)
    }

    /// Everything it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// SIGTERM; returns the exit code and all of the log.
    pub fn terminate(&mut self) -> (Option<i32>, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let code = self.child.wait().unwrap().code();
        self.reader.take().unwrap().join().unwrap();
        (code, self.log())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
