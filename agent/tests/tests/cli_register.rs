//! The command line's ways into an account, who acts, and the progress bar.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use life_e2e::dev::{Dev, life, text};
use life_e2e::process::Process;
use life_e2e::{Platform, binaries};
use serde_json::Value;
use tempfile::TempDir;

const PASSPHRASE: &[u8] = b"quiet-granite-harbour-7731";

/// An agent that knows no platform, and the command line beside it.
struct Fresh {
    folder: TempDir,
    _agent: Process,
}

impl Fresh {
    fn start() -> Self {
        let folder = TempDir::with_prefix("life-agent-").unwrap();
        fs::write(folder.path().join("agent.toml"), "").unwrap();
        fs::write(folder.path().join("passphrase"), PASSPHRASE).unwrap();
        let mut command = Command::new(binaries::path("life-agentd"));
        command.env("LIFE_CONFIG", folder.path().join("agent.toml"));
        command.env("LIFE_STATE_DIR", folder.path().join("state"));
        command.env("LIFE_AGENT_SOCKET", folder.path().join("run/agent.sock"));
        let log = File::create(folder.path().join("log")).unwrap();
        let agent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let fresh = Self { _agent: Process::new(agent), folder };
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let status = fresh.life(&["status"]).output().unwrap();
            if status.status.success() {
                break;
            }
            let log = fs::read_to_string(fresh.folder.path().join("log")).unwrap();
            assert!(Instant::now() < end, "{} {log}", text(&status.stderr));
            std::thread::sleep(Duration::from_millis(20));
        }
        fresh
    }

    fn life<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = life(arguments);
        command.arg("--json").current_dir(self.folder.path());
        command.env("LIFE_AGENT_SOCKET", self.folder.path().join("run/agent.sock"));
        command
    }

    fn done<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(&self, arguments: &[S]) -> Value {
        let output = self.life(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> (i32, Value) {
        let output = self.life(arguments).output().unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["error"].clone())
    }
}

#[test]
fn a_platform_is_named_with_its_fingerprint_and_waits_for_its_registrar() {
    let platform = Platform::start_with(&["--approval", "registrar"]);
    let agent = Fresh::start();
    let register = |kind: &str, out: &str, fingerprint: &str, more: &[&str]| -> Vec<String> {
        let arguments = ["register", "--kind", kind, "--passphrase-file", "passphrase", "--out", out];
        let platform = ["--platform", &platform.origin, "--ca-fingerprint", fingerprint];
        [&arguments[..], &platform, more].concat().into_iter().map(str::to_owned).collect()
    };
    let refused = |arguments: Vec<String>| agent.refused(&arguments);
    let done = |arguments: Vec<String>| agent.done(&arguments);

    let other = "0".repeat(64);
    let (code, error) = refused(register("patient", "me.p12", &other, &[]));
    assert_eq!((code, &error["reason"]), (65, &"PLATFORM_UNTRUSTED".into()));
    let fingerprint = platform.ca_fingerprint.as_str();
    let patient = done(register("patient", "me.p12", fingerprint, &[]));
    assert_eq!(agent.done(&["status"])["platform"]["origin"], platform.origin.as_str());

    let (code, error) = refused(register("institution", "clinic.p12", fingerprint, &[]));
    assert_eq!((code, &error["reason"]), (75, &"REGISTRATION_PENDING".into()));
    let registration = error["metadata"]["registration"].as_str().unwrap();
    assert!(error["advice"].as_str().unwrap().contains(&format!("--resume {registration}")));
    let resume = ["--resume", registration];
    assert_eq!(refused(register("institution", "clinic.p12", fingerprint, &resume)).0, 75);
    assert!(!agent.folder.path().join("clinic.p12").exists());
    let waiting: Value = serde_json::from_str(&platform.run(&["registrar", "list", "--json"])).unwrap();
    let uid = waiting["uid"].as_str().unwrap();
    platform.run(&["registrar", "approve", uid]);
    let clinic = done(register("institution", "clinic.p12", fingerprint, &resume));
    assert_eq!(clinic["uid"], uid);

    for (user, file) in [(&patient, "me.p12"), (&clinic, "clinic.p12")] {
        let unlocked = agent.done(&["unlock", file, "--passphrase-file", "passphrase"]);
        assert_eq!(unlocked["uid"], user["uid"]);
    }
}

#[test]
fn the_environment_says_who_acts() {
    let dev = Dev::up("patient,institution");
    let (patient, clinic) = (dev.uid("patient"), dev.uid("institution"));
    let file = dev.write("report.pdf", b"%PDF");
    let file = file.to_str().unwrap();
    assert_eq!(dev.refused(["sign", file, "-o", "never"]), (64, "IDENTITY_AMBIGUOUS".into()));
    let signed = dev.path("signed");
    let signed = signed.to_str().unwrap();
    for (option, signer) in [(None, &clinic), (Some(&patient), &patient)] {
        let mut command = dev.life(["sign", "--force", file, "-o", signed]);
        command.env("LIFE_USER", &clinic);
        if let Some(user) = option {
            command.args(["--as", user]);
        }
        assert!(command.status().unwrap().success());
        let verified = dev.done(["verify", signed, "--as", &patient]);
        assert_eq!(
            verified["signature"]["signer"],
            format!("users/{signer}"),
            "--as counts before LIFE_USER"
        );
    }
    let locked = dev.life(["lock", "--json", "--as", &clinic]).env("LIFE_USER", &patient).output().unwrap();
    let locked: Value = serde_json::from_slice(&locked.stdout).unwrap();
    assert_eq!((&locked["user"], &locked["locked_count"]), (&format!("users/{clinic}").into(), &1.into()));
    assert_eq!(dev.done(["status"])["identities"].as_array().unwrap().len(), 1, "--as locks one user");
    let everybody = dev.life(["lock", "--json"]).env("LIFE_USER", &clinic).output().unwrap();
    let everybody: Value = serde_json::from_slice(&everybody.stdout).unwrap();
    assert_eq!((&everybody["user"], &everybody["locked_count"]), (&Value::Null, &1.into()));
}

#[test]
fn long_work_shows_its_progress_on_a_terminal_alone() {
    let dev = Dev::up("patient");
    let patient = dev.uid("patient");
    let (fifo, out) = (dev.path("fifo"), dev.path("out"));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // The input comes slowly, so that the work is long, however fast the machine.
    let feed = format!(
        "(for i in 1 2 3 4 5 6; do head -c 2097152 /dev/zero; sleep 0.3; done) >'{}' & '{}' encrypt --stream --force \
         --to {patient} -o '{}' '{}'; wait",
        fifo.display(),
        binaries::path("life").display(),
        out.display(),
        fifo.display()
    );
    let socket = dev.summary["socket"].as_str().unwrap();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &feed, "/dev/null"]).env("LIFE_AGENT_SOCKET", socket);
    let seen = terminal.env("TERM", "xterm").stdin(Stdio::null()).output().unwrap();
    let seen = text(&seen.stdout);
    assert!(seen.contains("encrypting") && seen.contains("MiB"), "{seen}");
    let mut piped = Command::new("sh");
    let piped = piped.args(["-c", &feed]).env("LIFE_AGENT_SOCKET", socket).output().unwrap();
    assert!(!text(&piped.stderr).contains("encrypting"), "{}", text(&piped.stderr));
    assert!(out.exists());
}
