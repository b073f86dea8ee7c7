//! Judged by OpenSSL (3.0.22 or later), both directions, DER and BER.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ca, Files, Use, User, judge};
use life_envelope::signature::Signed;
use life_envelope::{
    Attribute, Envelope, Error, OwnKey, Purpose, Refusal, SignatureFault, SignedData, envelope, recipient,
};

fn openssl(arguments: &[&str]) {
    let output = judge("openssl", "openssl (Debian package openssl, 3.0.22 or later)", arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const OAEP: [&str; 4] = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
const ECDH: [&str; 2] = ["-keyopt", "ecdh_kdf_md:sha256"];
const PSS: [&str; 4] = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"];

fn open(bytes: &[u8], user: &User) -> Result<Vec<u8>, Error> {
    let envelope = Envelope::parse(bytes)?;
    let own = OwnKey::from_certificate(&user.certificate)?;
    let info = envelope.find(&[own]).ok_or(Error::NotARecipient)?;
    envelope.open(&recipient::unwrap(info, &user.key)?)
}

#[test]
fn the_version_is_new_enough() {
    let output = judge("openssl", "openssl", &["version"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let version: Vec<u32> =
        text.split_whitespace().nth(1).unwrap().split('.').filter_map(|part| part.parse().ok()).collect();
    assert!(version.as_slice() >= &[3, 0, 22], "OpenSSL before 3.0.22 writes unverified plaintext: {text}");
}

#[test]
fn openssl_opens_and_verifies_ours() {
    let (ca, files) = (Ca::new(), Files::new());
    let root = files.write_pem("ca.pem", "CERTIFICATE", &ca.certificate);
    let readers = [("rsa", ca.rsa(Use::Encrypt)), ("p256", ca.p256(Use::Encrypt))];
    let keys = readers.each_ref().map(|(_, it)| it.key.public_key().clone());
    for signer in [ca.rsa(Use::Sign), ca.p256(Use::Sign)] {
        for content in [&b""[..], b"a report\n", &[0xa5; 70_000]] {
            let signed = signer.sign(content, signer.context(Purpose::Document, &[&readers[0].1]));
            let (sealed, _) = envelope::seal(&signed, &keys).unwrap();
            let sealed = files.write("sealed", &sealed);
            for (name, reader) in &readers {
                let (certificate, key) = files.write_user(name, reader);
                let opened = files.path("opened");
                let from = ["cms", "-decrypt", "-inform", "DER", "-in", &sealed, "-out", &opened];
                openssl(&[&from[..], &["-recip", &certificate, "-inkey", &key, "-binary"]].concat());
                assert!(files.read("opened") == signed);
                let verified = files.path("verified");
                let from = ["cms", "-verify", "-inform", "DER", "-in", &opened, "-out", &verified];
                openssl(&[&from[..], &["-CAfile", &root, "-binary", "-attime", "1780272000"]].concat());
                assert!(files.read("verified") == content);
            }
            let detached = files.write("detached", &signer.sign_detached(content));
            let content = files.write("content", content);
            let from = ["cms", "-verify", "-inform", "DER", "-in", &detached, "-content", &content];
            let out = files.path("out");
            openssl(
                &[&from[..], &["-CAfile", &root, "-binary", "-out", &out, "-attime", "1780272000"]].concat(),
            );
        }
    }
}

#[test]
fn openssl_opens_after_recipients_were_added() {
    let (ca, files) = (Ca::new(), Files::new());
    let (first, second) = (ca.rsa(Use::Encrypt), ca.p256(Use::Encrypt));
    let (sealed, key) = envelope::seal(b"content", &[first.key.public_key().clone()]).unwrap();
    let mut envelope = Envelope::parse(&sealed).unwrap();
    envelope.add_recipients(&key, &[second.key.public_key().clone()]).unwrap();
    let signer = ca.p256(Use::Sign);
    envelope.add_statement(&signer.sign(b"x", signer.context(Purpose::Share, &[&second]))).unwrap();
    let shared = files.write("shared", &envelope.to_der());
    for (name, user) in [("first", &first), ("second", &second)] {
        let (certificate, key) = files.write_user(name, user);
        let opened = files.path("opened");
        let from = ["cms", "-decrypt", "-inform", "DER", "-in", &shared, "-out", &opened];
        openssl(&[&from[..], &["-recip", &certificate, "-inkey", &key, "-binary"]].concat());
        assert_eq!(files.read("opened"), b"content");
    }
}

/// Lets OpenSSL encrypt; `recipients` are (certificate, its options).
fn encrypt(
    files: &Files,
    cipher: &str,
    content: &[u8],
    recipients: &[(&str, &[&str])],
    more: &[&str],
) -> Vec<u8> {
    let (input, output) = (files.write("plain", content), files.path("made"));
    let mut arguments =
        vec!["cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-in", &input, "-out", &output];
    arguments.extend(more);
    for (certificate, options) in recipients {
        arguments.extend(["-recip", certificate]);
        arguments.extend(*options);
    }
    openssl(&arguments);
    files.read("made")
}

#[test]
fn ours_opens_openssl() {
    let (ca, files) = (Ca::new(), Files::new());
    let (rsa, p256) = (ca.rsa(Use::Encrypt), ca.p256(Use::Encrypt));
    let (rsa_crt, _) = files.write_user("rsa", &rsa);
    let (p256_crt, _) = files.write_user("p256", &p256);
    for content in [&b""[..], b"a report\n", &[0xa5; 200_000]] {
        for more in [&[][..], &["-keyid"], &["-stream"], &["-indef", "-keyid"]] {
            // OpenSSL 3.0 cannot stream an empty content.
            if content.is_empty() && (more.contains(&"-stream") || more.contains(&"-indef")) {
                continue;
            }
            let made = encrypt(&files, "-aes-256-gcm", content, &[(&rsa_crt, &OAEP)], more);
            assert!(open(&made, &rsa).unwrap() == content, "{more:?}");
            let made = encrypt(&files, "-aes-256-gcm", content, &[(&p256_crt, &ECDH)], more);
            assert!(open(&made, &p256).unwrap() == content, "{more:?}");
            let both: [(&str, &[&str]); 2] = [(&rsa_crt, &OAEP), (&p256_crt, &ECDH)];
            let made = encrypt(&files, "-aes-256-gcm", content, &both, more);
            assert!(open(&made, &rsa).unwrap() == content && open(&made, &p256).unwrap() == content);
            // What we write again is DER, and opens still.
            let again = Envelope::parse(&made).unwrap().to_der();
            assert!(open(&again, &rsa).unwrap() == content && open(&again, &p256).unwrap() == content);
            if more.is_empty() {
                assert!(again == made);
            }
        }
    }
}

#[test]
fn openssl_outside_the_suite_is_refused() {
    let (ca, files) = (Ca::new(), Files::new());
    let (rsa, p256) = (ca.rsa(Use::Encrypt), ca.p256(Use::Encrypt));
    let (rsa_crt, _) = files.write_user("rsa", &rsa);
    let (p256_crt, _) = files.write_user("p256", &p256);
    let sha1 = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha1"];
    let sha512 = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha512"];
    let mixed = [OAEP.as_slice(), &["-keyopt", "rsa_mgf1_md:sha1"]].concat();
    let cases: [(&str, &str, &[&str], Refusal); 9] = [
        ("-aes-256-gcm", &rsa_crt, &[], Refusal::Pkcs1v15),
        ("-aes-256-gcm", &rsa_crt, &sha1, Refusal::KeyTransport),
        ("-aes-256-gcm", &rsa_crt, &sha512, Refusal::KeyTransport),
        ("-aes-256-gcm", &rsa_crt, &mixed, Refusal::KeyTransport),
        ("-aes-128-gcm", &rsa_crt, &OAEP, Refusal::ContentAlgorithm),
        ("-aes-256-cbc", &rsa_crt, &OAEP, Refusal::EnvelopedData),
        ("-aes-256-gcm", &p256_crt, &[], Refusal::KeyAgreement),
        (
            "-aes-256-gcm",
            &p256_crt,
            &["-keyopt", "ecdh_kdf_md:sha256", "-aes128-wrap"],
            Refusal::KeyAgreement,
        ),
        (
            "-aes-256-gcm",
            &p256_crt,
            &["-keyopt", "ecdh_cofactor_mode:1", "-keyopt", "ecdh_kdf_md:sha256"],
            Refusal::KeyAgreement,
        ),
    ];
    for (cipher, certificate, options, refusal) in cases {
        let made = encrypt(&files, cipher, b"content", &[(certificate, options)], &[]);
        assert_eq!(open(&made, &rsa), Err(Error::Refused(refusal)), "{cipher} {options:?}");
    }
    let key = ["-secretkey", "00112233445566778899aabbccddeeff", "-secretkeyid", "01"];
    let made = encrypt(&files, "-aes-256-gcm", b"content", &[(&rsa_crt, &OAEP)], &key);
    assert_eq!(open(&made, &rsa), Err(Error::Refused(Refusal::RecipientKind)));
}

/// Lets OpenSSL sign with these users.
fn sign(files: &Files, signers: &[&User], options: &[&str], more: &[&str]) -> Vec<u8> {
    let output = files.path("signed");
    let input = files.path("plain");
    let mut arguments =
        vec!["cms", "-sign", "-binary", "-md", "sha256", "-outform", "DER", "-in", &input, "-out", &output];
    arguments.extend(more);
    let paths: Vec<_> =
        signers.iter().enumerate().map(|(n, user)| files.write_user(&format!("signer{n}"), user)).collect();
    for (certificate, key) in &paths {
        arguments.extend(["-signer", certificate, "-inkey", key]);
        arguments.extend(options);
    }
    openssl(&arguments);
    files.read("signed")
}

#[test]
fn ours_verifies_openssl() {
    let (ca, files) = (Ca::new(), Files::new());
    let signers: [(User, &[&str]); 2] = [(ca.rsa(Use::Sign), &PSS), (ca.p256(Use::Sign), &[])];
    for (signer, options) in &signers {
        for content in [&b""[..], b"a report\n", &[0xa5; 200_000]] {
            files.write("plain", content);
            for more in [&[][..], &["-keyid"], &["-cades"], &["-stream"], &["-indef", "-cades"]] {
                // OpenSSL 3.0 cannot stream an empty content, nor any with PSS.
                let streams = more.contains(&"-stream") || more.contains(&"-indef");
                if streams && (content.is_empty() || !options.is_empty()) {
                    continue;
                }
                let attached = sign(&files, &[signer], options, &[more, &["-nodetach"]].concat());
                let parsed = SignedData::parse(&attached).unwrap();
                assert!(parsed.content() == Some(content));
                assert_eq!(parsed.verify_cryptographically(Signed::Enclosed).unwrap(), signer.certificate);
                // Not one of ours: it lacks the attributes, and inside an envelope it is opaque.
                let missing = if more.contains(&"-cades") {
                    Attribute::AlgorithmProtection
                } else {
                    Attribute::SigningCertificate
                };
                let fault = Error::Signature(SignatureFault::MissingAttribute(missing));
                assert_eq!(parsed.verify(Signed::Enclosed).err(), Some(fault));
                assert!(SignedData::detect(&attached).unwrap().is_none());

                // With -stream OpenSSL always encloses the content.
                if streams {
                    continue;
                }
                let detached = sign(&files, &[signer], options, more);
                let parsed = SignedData::parse(&detached).unwrap();
                let verified = parsed.verify_cryptographically(Signed::Content(content));
                assert!(verified == Ok(&signer.certificate), "{more:?} {}", content.len());
                let fault = parsed.verify_cryptographically(Signed::Content(b"other")).err();
                assert_eq!(fault, Some(Error::Signature(SignatureFault::DigestMismatch)));
            }
        }
    }
}

#[test]
fn openssl_signatures_outside_the_suite_are_refused() {
    let (ca, files) = (Ca::new(), Files::new());
    let (rsa, p256, other) = (ca.rsa(Use::Sign), ca.p256(Use::Sign), ca.p256(Use::Sign));
    files.write("plain", b"content");
    let short = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:20"];
    type Case<'a> = (&'a [&'a User], &'a [&'a str], &'a [&'a str], SignatureFault);
    let cases: [Case<'_>; 5] = [
        (&[&rsa], &[], &[], SignatureFault::Algorithm),
        (&[&rsa], &short, &[], SignatureFault::Algorithm),
        (&[&p256], &[], &["-md", "sha384"], SignatureFault::Algorithm),
        (&[&p256], &[], &["-noattr"], SignatureFault::MissingSignedAttributes),
        (&[&p256, &other], &[], &[], SignatureFault::SignerCount),
    ];
    for (signers, options, more, fault) in cases {
        let made = sign(&files, signers, options, &[&["-nodetach"], more].concat());
        assert_eq!(SignedData::parse(&made).err(), Some(Error::Signature(fault)), "{options:?} {more:?}");
    }
    let made = sign(&files, &[&p256], &[], &["-nodetach", "-nocerts"]);
    let failed = SignedData::parse(&made).unwrap().verify_cryptographically(Signed::Enclosed).err();
    assert_eq!(failed, Some(Error::Signature(SignatureFault::CertificateMissing)));
}
