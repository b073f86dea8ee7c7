//! The command line against the real platform, agent and vault: `life dev up`, and OpenSSL on the other side.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::dev::{Dev, MIB, life, mode, noise, openssl, text};
use life_e2e::{binaries, process};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

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
    let memory = |field: &str| status["vault_memory"][field].as_u64().unwrap();
    assert!(memory("locked") > memory("arena") && memory("used") > 0);
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
