//! The signed messages of NIST's PKITS: strangers' CMS, which is read or refused, and never does any harm.
//!
//! They are signed with PKCS#1 v1.5, which is outside the suite, and carry no document context: not one of them may
//! pass as signed by our rules.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use life_envelope::signature::{Signed, SignedData};
use life_envelope::{Envelope, fuzz_entry};

/// Prints the signature part of each message in hexadecimal, after its name.
const PROGRAM: &str = "
import cryptography_vectors, email, os
folder = os.path.join(os.path.dirname(cryptography_vectors.__file__), 'x509', 'PKITS_data', 'smime')
for name in sorted(os.listdir(folder)):
    with open(os.path.join(folder, name), 'rb') as file:
        message = email.message_from_binary_file(file)
    for part in message.walk():
        if part.get_content_type() in ('application/pkcs7-signature', 'application/x-pkcs7-signature'):
            print(name, part.get_payload(decode=True).hex())
";

fn messages() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("LIFE_TEST_PYTHON").map_or(root.join(".venv/bin/python"), PathBuf::from);
    let output = Command::new(&python).args(["-c", PROGRAM]).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}; run `make test`", python.display()));
    assert!(output.status.success(), "{} lacks cryptography-vectors; run `make test`", python.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |line: &str| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name.to_owned(), hex::decode(bytes).unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
#[expect(clippy::disallowed_macros, reason = "the counts are what this test is read for")]
fn messages_of_strangers_are_read_or_refused() {
    let messages = messages();
    assert_eq!(messages.len(), 224);
    let (mut read, mut refused) = (0, 0);
    for (name, bytes) in &messages {
        match SignedData::parse(bytes) {
            Ok(signed) => {
                read += 1;
                assert!(signed.verify(Signed::Content(b"")).is_err(), "{name} passes as signed");
            }
            Err(_) => refused += 1,
        }
        assert!(Envelope::parse(bytes).is_err(), "{name} passes as an envelope");
        fuzz_entry::signed_data(bytes);
        fuzz_entry::envelope(bytes);
        for at in (0..bytes.len()).step_by(97) {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << (at % 8);
            fuzz_entry::signed_data(&bent);
            fuzz_entry::signed_data(&bytes[..at]);
        }
    }
    println!("PKITS S/MIME: {read} of {} messages read, {refused} refused, none believed", messages.len());
}
