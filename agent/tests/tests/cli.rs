//! The command line against the real platform, agent and vault: `life dev up` and every verb, and OpenSSL on the other
//! side.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::{binaries, process};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

/// A development set-up, ended with the test.
struct Dev {
    folder: TempDir,
    summary: Value,
}

impl Dev {
    fn up(users: &str) -> Self {
        let folder = TempDir::with_prefix("life-dev-").unwrap();
        let output = life(["dev", "up", "--detach", "--users", users, "--dir"])
            .arg(folder.path().join("dev"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        Self { folder, summary: serde_json::from_slice(&output.stdout).unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    /// A path beside the set-up.
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    fn uid(&self, kind: &str) -> String {
        self.summary["users"][kind]["uid"].as_str().unwrap().to_owned()
    }

    fn user_file(&self, kind: &str, name: &str) -> PathBuf {
        self.root().join("users").join(kind).join(name)
    }

    /// A verb, in the environment that `env` describes.
    fn life<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = life(arguments);
        command.env("LIFE_AGENT_SOCKET", self.summary["socket"].as_str().unwrap());
        command
    }

    /// A verb that succeeds, with its report.
    fn done<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Value {
        let output = self.life(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A verb that fails, with exit code and reason.
    fn refused<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> (i32, String) {
        let output = self.life(arguments).arg("--json").output().unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["error"]["reason"].as_str().unwrap().to_owned())
    }

    fn down(&self) -> Value {
        let output = life(["dev", "down", "--json", "--dir"]).arg(self.root()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        let processes = self.summary["processes"].as_object().unwrap();
        processes.values().map(|pid| pid.as_u64().unwrap() as u32).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ended = life(["dev", "down", "--dir"]).arg(self.root()).output();
    }
}

fn life<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binaries::path("life"));
    for name in ["LIFE_AGENT_SOCKET", "LIFE_APP_TOKEN", "LIFE_USER"] {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn openssl<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Bytes that repeat only after a long time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn the_set_up_is_as_promised_and_goes_away() {
    let dev = Dev::up("patient,institution,professional");
    let root = dev.root();
    assert_eq!(mode(&root), 0o700);

    let script = format!(". '{}' && env", root.join("env").display());
    let printed = Command::new("sh").args(["-c", &script]).output().unwrap();
    let environment: BTreeMap<String, String> = text(&printed.stdout)
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.into(), value.into())))
        .collect();
    assert_eq!(environment["LIFE_AGENT_SOCKET"], dev.summary["socket"].as_str().unwrap());
    assert_eq!(environment["LIFE_DEV_PATIENT"], dev.uid("patient"));

    let authorities = fs::read_to_string(root.join("ca.pem")).unwrap();
    assert_eq!(authorities.matches("BEGIN CERTIFICATE").count(), 2);
    for kind in ["patient", "institution", "professional"] {
        assert_eq!(fs::read_to_string(dev.user_file(kind, "uid")).unwrap(), dev.uid(kind));
        let passphrase = dev.user_file(kind, "passphrase");
        assert!(fs::read(&passphrase).unwrap().len() >= 20);
        assert_eq!(mode(&passphrase), 0o600);
        let certificate = dev.user_file(kind, "software-certificate.p12");
        let secret = format!("file:{}", passphrase.display());
        let pem = openssl(["pkcs12", "-in", certificate.to_str().unwrap(), "-passin", &secret, "-nodes"]);
        let pem = text(&pem);
        assert_eq!(pem.matches("BEGIN PRIVATE KEY").count(), 3, "one entry a key slot");
        let key = dev.write("key.pem", pem.as_bytes());
        let key = text(&openssl(["pkey", "-in", key.to_str().unwrap(), "-noout", "-text"]));
        assert!(key.contains("3072 bit"), "{}", &key[..80]);
    }

    let status = dev.done(["status"]);
    let unlocked: Vec<_> = status["identities"].as_array().unwrap().iter().map(|one| &one["uid"]).collect();
    assert_eq!(unlocked.len(), 3);
    assert_eq!(status["platform"]["up"], true);
    let (broker, vault) =
        (status["broker"]["pid"].as_u64().unwrap(), status["vault"]["pid"].as_u64().unwrap());
    assert_eq!(Some(broker), dev.summary["processes"]["agent"].as_u64());

    assert_eq!(dev.down()["ended_processes"], 3);
    for pid in dev.pids().into_iter().chain([vault as u32]) {
        process::eventually("the process ends", Duration::from_secs(5), || !process::is_alive(pid));
    }
    assert_eq!(dev.down()["ended_processes"], 0, "going down again changes nothing");
    assert_eq!(dev.refused(["status"]), (69, "AGENT_UNAVAILABLE".into()));
    assert!(dev.user_file("patient", "uid").exists(), "the files stay");
    let again = life(["dev", "up", "--dir"]).arg(&root).output().unwrap();
    assert_eq!(again.status.code(), Some(73), "a folder in use is not taken");
    assert!(life(["dev", "down", "--remove", "--dir"]).arg(&root).status().unwrap().success());
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
}

#[test]
fn a_set_up_in_the_foreground_ends_with_its_command() {
    let folder = TempDir::with_prefix("life-dev-").unwrap();
    // A path too long for a socket, with characters that a shell minds.
    let root = folder.path().join(format!("it's {}", "x".repeat(100)));
    let log = File::create(folder.path().join("log")).unwrap();
    let mut child = life(["dev", "up", "--users", "patient", "--dir"])
        .arg(&root)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map(process::Process::new)
        .unwrap();
    let mut summary = String::new();
    let out = child.child().stdout.take().unwrap();
    let mut lines = std::io::BufReader::new(out);
    let summary: Value = loop {
        let read = std::io::BufRead::read_line(&mut lines, &mut summary).unwrap();
        assert!(read > 0, "{}", fs::read_to_string(folder.path().join("log")).unwrap());
        if let Ok(summary) = serde_json::from_str(&summary) {
            break summary;
        }
    };
    let socket = summary["socket"].as_str().unwrap();
    assert!(socket.len() <= 107);
    let script = ". \"$0/env\" && \"$1\" status --json";
    let status =
        Command::new("sh").args(["-c", script]).arg(&root).arg(binaries::path("life")).output().unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let vault = status["vault"]["pid"].as_u64().unwrap() as u32;

    child.signal(Signal::INT);
    assert_eq!(child.wait(Duration::from_secs(20)).unwrap().code(), Some(0));
    for pid in summary["processes"].as_object().unwrap().values() {
        assert!(!process::is_alive(pid.as_u64().unwrap() as u32));
    }
    process::eventually("the vault ends", Duration::from_secs(5), || !process::is_alive(vault));
    assert!(!Path::new(socket).parent().unwrap().exists(), "the short folder is gone");
}

#[test]
fn openssl_is_understood_and_understands() {
    let dev = Dev::up("patient,institution");
    let (patient, clinic) = (dev.uid("patient"), dev.uid("institution"));
    let content = noise(100_000);
    let file = dev.write("report.pdf", &content);
    let certificate = dev.path("patient.pem");
    let printed = dev.life(["user", "certificate", &patient, "--as", &clinic]).output().unwrap();
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    fs::write(&certificate, printed.stdout).unwrap();
    let sealed = dev.path("from-openssl.der");
    let names = [&file, &sealed, &certificate].map(|path| path.to_str().unwrap());
    openssl([
        "cms",
        "-encrypt",
        "-binary",
        "-aes-256-gcm",
        "-outform",
        "DER",
        "-in",
        names[0],
        "-out",
        names[1],
        "-recip",
        names[2],
        "-keyopt",
        "rsa_padding_mode:oaep",
        "-keyopt",
        "rsa_oaep_md:sha256",
    ]);
    let opened = dev.life(["decrypt", names[1], "--as", &patient]).output().unwrap();
    assert_eq!(opened.status.code(), Some(0), "{}", text(&opened.stderr));
    assert_eq!(opened.stdout, content);
    assert!(text(&opened.stderr).contains("unsigned"));
    let refused = dev.refused(["decrypt", "--require-signature", names[1], "--as", &patient, "-o", "never"]);
    assert_eq!(refused, (65, "SIGNATURE_MISSING".into()));

    let authorities = dev.root().join("ca.pem");
    for large in [false, true] {
        if large {
            fs::write(&file, noise(17 * MIB)).unwrap();
        }
        dev.done(["sign", "--detached", "--force", names[0], "--as", &clinic]);
        let signature = dev.path("report.pdf.p7s");
        let verified = openssl([
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "DER",
            "-in",
            signature.to_str().unwrap(),
            "-content",
            names[0],
            "-CAfile",
            authorities.to_str().unwrap(),
        ]);
        assert_eq!(verified, fs::read(&file).unwrap());
    }
}

#[test]
fn every_verb_does_its_part() {
    let dev = Dev::up("patient,institution,professional");
    let (patient, clinic, doctor) = (dev.uid("patient"), dev.uid("institution"), dev.uid("professional"));
    let content = noise(3 * MIB);
    let file = dev.write("report.pdf", &content);
    let name = file.to_str().unwrap();
    let sealed = dev.path("report.pdf.life");
    let sealed_name = sealed.to_str().unwrap().to_owned();
    let out = dev.path("out");
    let out_name = out.to_str().unwrap().to_owned();

    for form in ["ENVELOPE", "SEALED_STREAM"] {
        let mut arguments = vec!["encrypt", "--force", "--to", &patient, name, "--as", &clinic];
        if form == "SEALED_STREAM" {
            arguments.push("--stream");
        }
        let report = dev.done(arguments);
        assert_eq!((&report["form"], &report["output"]), (&form.into(), &sealed_name.as_str().into()));
        let report = dev.done(["decrypt", "--force", &sealed_name, "-o", &out_name, "--as", &patient]);
        assert_eq!(fs::read(&out).unwrap(), content);
        assert_eq!(report["signature"]["state"], "VALID");
        assert_eq!(report["signature"]["signer"], format!("users/{clinic}"));
        let to_pipe = dev.life(["decrypt", &sealed_name, "-o", "-", "--as", &patient]).output().unwrap();
        assert_eq!(to_pipe.stdout, content);

        let refused = dev.refused(["decrypt", &sealed_name, "-o", "never", "--as", &doctor]);
        assert_eq!(refused, (77, "NOT_A_RECIPIENT".into()));
        dev.done(["share", "--to", &doctor, &sealed_name, "--as", &patient]);
        let report = dev.done(["decrypt", "--force", &sealed_name, "-o", &out_name, "--as", &doctor]);
        assert_eq!(fs::read(&out).unwrap(), content);
        let added =
            report["recipients"].as_array().unwrap().iter().find(|one| one["origin"] == "SHARED").unwrap();
        assert_eq!(added["shared_by"], format!("users/{patient}"));
    }
    let mut damaged = fs::read(&sealed).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&sealed, &damaged).unwrap();
    fs::remove_file(&out).unwrap();
    let refused = dev.refused(["decrypt", &sealed_name, "-o", &out_name, "--as", &patient]);
    assert_eq!(refused, (65, "DECRYPTION_FAILED".into()));
    fs::write(&sealed, &damaged[..2 * MIB]).unwrap();
    let refused = dev.refused(["decrypt", &sealed_name, "-o", &out_name, "--as", &patient]);
    assert_eq!(refused.0, 65);
    assert!(!out.exists());

    dev.done(["sign", name, "--as", &clinic]);
    let signed = dev.path("report.pdf.p7m");
    let signed = signed.to_str().unwrap();
    let report = dev.done(["verify", signed, "-o", &out_name, "--as", &patient]);
    assert_eq!((&report["signature"]["state"], fs::read(&out).unwrap()), (&"VALID".into(), content.clone()));
    dev.done(["sign", "--detached", name, "--as", &clinic]);
    let detached = dev.path("report.pdf.p7s");
    let detached = detached.to_str().unwrap();
    dev.done(["verify", "--content", name, detached, "--as", &patient]);
    let refused = dev.refused(["verify", detached, "--as", &patient]);
    assert_eq!(refused, (64, "CONTENT_MISSING".into()));
    let refused = dev.refused(["verify", "--content", signed, detached, "--as", &patient]);
    assert_eq!(refused, (65, "SIGNATURE_INVALID".into()));

    messages(&dev, &content, name, &out_name, [&patient, &clinic]);
    directory(&dev, [&clinic, &doctor]);
    locking(&dev, name, [&patient, &clinic]);
}

fn messages(dev: &Dev, content: &[u8], name: &str, out: &str, [patient, clinic]: [&str; 2]) {
    let sent = dev.done(["send", patient, name, "--as", clinic]);
    let id = sent["message_id"].as_str().unwrap();
    let listed = dev.done(["inbox", "list", "--as", patient]);
    let listed = &listed["messages"][0];
    assert_eq!(
        (&listed["message_id"], &listed["depositor"]),
        (&id.into(), &format!("users/{clinic}").into())
    );
    let got = dev.done(["inbox", "get", id, "--force", "-o", out, "--as", patient]);
    assert_eq!(
        (&got["signature"]["state"], &got["signature"]["purpose"]),
        (&"VALID".into(), &"MESSAGE".into())
    );
    assert_eq!(fs::read(out).unwrap(), content);
    let (raw, receipt) = (dev.path("raw.life"), dev.path("receipt"));
    let (raw, receipt) = (raw.to_str().unwrap(), receipt.to_str().unwrap());
    dev.done(["inbox", "get", id, "--raw", "-o", raw, "--receipt", receipt, "--as", patient]);
    let opened = dev.done([
        "decrypt",
        "--force",
        "--purpose",
        "message",
        "--receipt",
        receipt,
        raw,
        "-o",
        out,
        "--as",
        patient,
    ]);
    assert!(opened["signature"]["receipt_time"].is_string());
    let refused = dev.refused(["decrypt", raw, "-o", "never", "--as", patient]);
    assert_eq!(refused, (65, "PURPOSE_MISMATCH".into()));
    dev.done(["inbox", "delete", id, "--as", patient]);
    let refused = dev.refused(["inbox", "get", id, "--as", patient]);
    assert_eq!(refused, (66, "MESSAGE_NOT_FOUND".into()));
}

fn directory(dev: &Dev, [clinic, doctor]: [&str; 2]) {
    let user = dev.done(["user", "lookup", doctor, "--as", clinic]);
    assert_eq!(user["kind"], "HEALTH_CARE_PROFESSIONAL");
    let digits = user["fingerprint"].as_str().unwrap();
    let confirmed = dev.done(["user", "fingerprint", doctor, "--as", clinic, "--confirm", digits]);
    assert_eq!(confirmed["trust"], "CONFIRMED");
    let refused = dev.refused(["user", "fingerprint", doctor, "--as", clinic, "--confirm", "12345 12345"]);
    assert_eq!(refused.0, 65);
    let unknown = "00000000-0000-4000-8000-000000000000";
    let refused = dev.refused(["user", "lookup", unknown, "--as", clinic]);
    assert_eq!(refused, (67, "RECIPIENT_NOT_FOUND".into()));
}

fn locking(dev: &Dev, name: &str, [patient, clinic]: [&str; 2]) {
    assert_eq!(dev.refused(["sign", name, "-o", "never"]), (64, "IDENTITY_AMBIGUOUS".into()));
    assert_eq!(dev.done(["lock", clinic])["locked_count"], 1);
    let refused = dev.refused(["sign", name, "-o", "never", "--as", clinic]);
    assert_eq!(refused, (77, "CREDENTIAL_LOCKED".into()));
    assert_eq!(dev.done(["lock"])["locked_count"], 2);
    assert_eq!(dev.done(["status"])["identities"].as_array().unwrap().len(), 0);

    let certificate = dev.user_file("patient", "software-certificate.p12");
    let passphrase = dev.user_file("patient", "passphrase");
    let certificate = certificate.to_str().unwrap();
    let unlocked = dev.done(["unlock", certificate, "--passphrase-file", passphrase.to_str().unwrap()]);
    assert_eq!(unlocked["uid"], patient);
    let fd = dev
        .life(["unlock", certificate, "--passphrase-fd", "0", "--user", patient])
        .stdin(File::open(&passphrase).unwrap())
        .status()
        .unwrap();
    assert!(fd.success());
    let wrong = dev.write("wrong", b"quite another passphrase");
    let refused = dev.refused(["unlock", certificate, "--passphrase-file", wrong.to_str().unwrap()]);
    assert_eq!(refused, (77, "WRONG_PASSPHRASE".into()));
    let passphrase_name = passphrase.to_str().unwrap();
    let refused =
        dev.refused(["unlock", certificate, "--user", clinic, "--passphrase-file", passphrase_name]);
    assert_eq!(refused, (77, "WRONG_USER".into()));

    let passphrase = fs::read_to_string(passphrase).unwrap();
    let (success, seen) = on_a_terminal(dev, certificate, &passphrase);
    assert!(success && seen.contains("UNLOCKED"), "{seen}");
    assert!(!seen.contains(&passphrase), "the terminal showed the passphrase");
}

/// Unlocks on a terminal of its own (script(1)), typing the passphrase when asked; gives what the terminal showed.
fn on_a_terminal(dev: &Dev, certificate: &str, passphrase: &str) -> (bool, String) {
    let command = format!("'{}' unlock '{certificate}'", binaries::path("life").display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--echo", "never", "--command", &command, "/dev/null"]);
    terminal.env("LIFE_AGENT_SOCKET", dev.summary["socket"].as_str().unwrap());
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("Passphrase of") {
        let mut shown = [0; 1024];
        let read = screen.read(&mut shown).unwrap();
        assert!(read > 0, "{}", text(&seen));
        seen.extend_from_slice(&shown[..read]);
    }
    keyboard.write_all(format!("{passphrase}\n").as_bytes()).unwrap();
    screen.read_to_end(&mut seen).unwrap();
    drop(keyboard);
    (terminal.wait().unwrap().success(), text(&seen))
}
