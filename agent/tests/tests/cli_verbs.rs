//! Every verb of the command line against the real platform, agent and vault.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use life_e2e::binaries;
use life_e2e::dev::{Dev, MIB, noise, text};

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
