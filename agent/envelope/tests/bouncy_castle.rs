//! Judged by Bouncy Castle (Debian `libbcpkix-java`), both directions, DER and BER.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Ca, Files, Use, User};
use life_envelope::signature::Signed;
use life_envelope::{Envelope, Form, OwnKey, Purpose, SignedData, envelope, recipient};

const HINT: &str = "install default-jdk-headless and libbcpkix-java (Debian)";

/// Runs all cases in one Java process.
fn judge(files: &Files, cases: &str) -> (bool, String) {
    let jars = ["bcpkix", "bcprov", "bcutil"].map(|name| format!("/usr/share/java/{name}.jar"));
    for jar in &jars {
        assert!(std::path::Path::new(jar).exists(), "{jar} is missing: {HINT}");
    }
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/BouncyCastleJudge.java");
    let mut child = Command::new("java")
        .args(["-XX:TieredStopAtLevel=1", "-cp", &jars.join(":"), source, &files.path("")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run java ({error}): {HINT}"));
    child.stdin.take().unwrap().write_all(cases.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn write_user(files: &Files, name: &str, user: &User) {
    files.write(&format!("{name}.crt"), &user.certificate);
    files.write(&format!("{name}.key"), user.key.to_pkcs8().expose());
}

fn open(bytes: &[u8], user: &User) -> Vec<u8> {
    let envelope = Envelope::parse(bytes).unwrap();
    let own = OwnKey::from_certificate(&user.certificate).unwrap();
    let info = envelope.find(&[own]).unwrap();
    envelope.open(&recipient::unwrap(info, &user.key).unwrap()).unwrap()
}

#[test]
fn both_directions() {
    let (ca, files) = (Ca::new(), Files::new());
    let readers =
        [("rsa", ca.rsa(Use::Encrypt)), ("p256", ca.p256(Use::Encrypt)), ("other", ca.p256(Use::Encrypt))];
    let signers = [("rsasign", ca.rsa(Use::Sign)), ("p256sign", ca.p256(Use::Sign))];
    readers.iter().chain(&signers).for_each(|(name, user)| write_user(&files, name, user));
    let keys = readers.each_ref().map(|(_, it)| it.key.public_key().clone());
    let contents = [Vec::new(), b"a report\n".to_vec(), vec![0xa5; 200_000]];

    let mut cases = String::new();
    for (n, content) in contents.iter().enumerate() {
        files.write(&format!("plain{n}"), content);
        files.write(&format!("sealed{n}"), &envelope::seal(content, &keys).unwrap().0);
        for (name, _) in &readers {
            cases.push_str(&format!("open sealed{n} opened{n}.{name} {name}\n"));
        }
        for encoding in ["der", "ber"] {
            for id in ["id", "name"] {
                cases.push_str(&format!(
                    "seal {encoding} {id} plain{n} made{n}.{encoding}.{id} rsa p256 other\n"
                ));
            }
        }
        for (name, signer) in &signers {
            let context = signer.context(Purpose::Document, &[&readers[0].1]);
            files.write(&format!("attached{n}.{name}"), &signer.sign(content, context.clone()));
            cases.push_str(&format!("verify attached{n}.{name} - {name}\n"));
            files.write(&format!("detached{n}.{name}"), &signer.sign_detached(content));
            cases.push_str(&format!("verify detached{n}.{name} plain{n} {name}\n"));
            files.write(&format!("context.{name}"), &context.to_der());
            for encoding in ["der", "ber"] {
                for form in ["attached", "detached"] {
                    let made = format!("signed{n}.{encoding}.{form}.{name}");
                    cases
                        .push_str(&format!("sign {encoding} {form} plain{n} {made} {name} context.{name}\n"));
                }
            }
        }
    }
    let (succeeded, text) = judge(&files, &cases);
    assert!(succeeded, "{text}");

    for (n, content) in contents.iter().enumerate() {
        for (name, user) in &readers {
            assert!(files.read(&format!("opened{n}.{name}")) == *content);
            for made in ["der.id", "der.name", "ber.id", "ber.name"] {
                assert!(open(&files.read(&format!("made{n}.{made}")), user) == *content, "{n} {made} {name}");
            }
        }
        for (name, signer) in &signers {
            for encoding in ["der", "ber"] {
                check_signed(
                    &files.read(&format!("signed{n}.{encoding}.attached.{name}")),
                    signer,
                    content,
                    true,
                );
                check_signed(
                    &files.read(&format!("signed{n}.{encoding}.detached.{name}")),
                    signer,
                    content,
                    false,
                );
            }
        }
    }
}

/// Bouncy Castle's signatures carry all six attributes, so they are as good as ours.
fn check_signed(bytes: &[u8], signer: &User, content: &[u8], attached: bool) {
    let parsed = SignedData::parse(bytes).unwrap();
    let signed = if attached { Signed::Enclosed } else { Signed::Content(content) };
    let verified = parsed.verify(signed).unwrap();
    verified.check(Purpose::Document, Form::Content, signer.uid).unwrap();
    assert_eq!(parsed.content(), attached.then_some(content));
    assert!(SignedData::detect(bytes).unwrap().is_some());
}

#[test]
fn the_judge_can_fail() {
    let (ca, files) = (Ca::new(), Files::new());
    let signer = ca.p256(Use::Sign);
    write_user(&files, "signer", &signer);
    files.write("signed", &signer.sign_detached(b"content"));
    files.write("other", b"contend");
    let (succeeded, text) = judge(&files, "verify signed other signer\n");
    assert!(!succeeded && text.contains("case failed"), "{text}");
}
