//! Every format made and read by this crate alone; the judges are in the other files.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Ca, Use};
use life_envelope::accounting::{Accounting, AttestedStatement, NoLogs, Standing};
use life_envelope::signature::{Signed, content_digest};
use life_envelope::{
    Envelope, Error, Form, OwnKey, Purpose, SharingStatement, SignatureFault, SignedAttributes, SignedData,
    envelope, limits, recipient, signature,
};

fn own(user: &common::User) -> OwnKey {
    OwnKey::from_certificate(&user.certificate).unwrap()
}

#[test]
fn several_recipients_of_both_families_open_an_envelope() {
    let ca = Ca::new();
    let users = [ca.rsa(Use::Encrypt), ca.p256(Use::Encrypt)];
    let keys = users.each_ref().map(|it| it.key.public_key().clone());
    for content in [&b""[..], b"x", &[7; 100_000]] {
        let (sealed, key) = envelope::seal(content, &keys).unwrap();
        let parsed = Envelope::parse(&sealed).unwrap();
        assert_eq!(parsed.recipients().len(), 2);
        assert_eq!(parsed.to_der(), sealed);
        assert_eq!(parsed.open(&key).unwrap(), content);
        for user in &users {
            let info = parsed.find(&[own(user)]).unwrap();
            let again = life_envelope::RecipientInfo::from_der(&info.to_der()).unwrap();
            assert_eq!(&again, info);
            let key = recipient::unwrap(&again, &user.key).unwrap();
            assert_eq!(parsed.open(&key).unwrap(), content);
        }
        let stranger = ca.p256(Use::Encrypt);
        assert!(parsed.find(&[own(&stranger)]).is_none());
        // Implicit rejection: a key that does not fit unwraps to a random one, and only opening fails.
        for info in parsed.recipients() {
            let key = recipient::unwrap(info, &stranger.key).unwrap();
            assert_eq!(parsed.open(&key), Err(Error::DecryptionFailed));
        }
    }
}

#[test]
fn sharing_leaves_the_content_alone_and_is_accounted_for() {
    let ca = Ca::new();
    let (sender, reader, added) = (ca.rsa(Use::Sign), ca.p256(Use::Sign), ca.p256(Use::Sign));
    let context = sender.context(Purpose::Document, &[&sender, &reader]);
    let signed = sender.sign(b"a report", context.clone());
    let (sealed, key) =
        envelope::seal(&signed, &[sender.key.public_key().clone(), reader.key.public_key().clone()]).unwrap();

    let mut shared = Envelope::parse(&sealed).unwrap();
    shared.check_key(&key).unwrap();
    shared.add_recipients(&key, &[added.key.public_key().clone(), reader.key.public_key().clone()]).unwrap();
    let original = content_digest(&signed);
    let statement = SharingStatement::new(
        context.document_id(),
        context.document_version(),
        original,
        vec![added.listed()],
    )
    .unwrap()
    .to_der();
    shared.add_statement(&reader.sign(&statement, reader.context(Purpose::Share, &[&added]))).unwrap();
    let shared = shared.to_der();

    let shared = Envelope::parse(&shared).unwrap();
    assert_eq!(shared.recipients().len(), 3);
    let opened = shared.open(&recipient::unwrap(shared.find(&[own(&added)]).unwrap(), &added.key).unwrap());
    let opened = opened.unwrap();
    let document = SignedData::detect(&opened).unwrap().unwrap();
    let verified = document.verify(Signed::Enclosed).unwrap();
    verified.check(Purpose::Document, Form::Content, sender.uid).unwrap();
    assert_eq!(document.content(), Some(&b"a report"[..]));

    let [statement] = shared.statements() else { panic!("one statement") };
    let statement = SignedData::parse(statement).unwrap();
    let attested = statement.verify(Signed::Enclosed).unwrap();
    attested.check(Purpose::Share, Form::Statement, reader.uid).unwrap();
    let attested = AttestedStatement::new(&attested, statement.content().unwrap()).unwrap();
    let accounting = Accounting::new(verified.context(), &content_digest(&opened), &[attested]);
    let standings: Vec<_> = accounting
        .account(shared.recipients(), &NoLogs)
        .into_iter()
        .map(|it| (it.uid, it.standing))
        .collect();
    assert!(standings.contains(&(Some(added.uid), Standing::SharedBy(reader.uid))));
    assert!(standings.contains(&(Some(sender.uid), Standing::Listed)));
    assert!(!standings.iter().any(|(_, it)| *it == Standing::Unaccounted));
    assert!(accounting.lists(&[added.listed()]));

    // Without the statement the added recipient is found out.
    let accounting = Accounting::new(verified.context(), &content_digest(&opened), &[]);
    assert!(
        accounting
            .account(shared.recipients(), &NoLogs)
            .iter()
            .any(|it| it.standing == Standing::Unaccounted)
    );
    assert!(!accounting.lists(&[added.listed()]));
}

#[test]
fn attached_and_detached_signatures_of_both_families() {
    let ca = Ca::new();
    for signer in [ca.rsa(Use::Sign), ca.p256(Use::Sign)] {
        let attached = signer.sign(b"content", signer.context(Purpose::Message, &[&signer]));
        let parsed = SignedData::parse(&attached).unwrap();
        let verified = parsed.verify(Signed::Enclosed).unwrap();
        assert_eq!(verified.signing_time(), common::now());
        assert_eq!(verified.signer_certificate(), signer.certificate);
        assert_eq!(verified.signer_key(), signer.key.public_key());
        assert_eq!(verified.signature_digest(), &parsed.signature_digest());
        let fault = |it: SignatureFault| Err(Error::Signature(it));
        let check = |purpose, form, owner| verified.check(purpose, form, owner);
        let (message, content) = (Purpose::Message, Form::Content);
        assert_eq!(check(message, content, signer.uid), Ok(()));
        let failed = check(Purpose::Document, content, signer.uid);
        assert_eq!(failed, fault(SignatureFault::PurposeMismatch));
        let failed = check(message, Form::Manifest, signer.uid);
        assert_eq!(failed, fault(SignatureFault::FormMismatch));
        let other = ca.p256(Use::Sign).uid;
        assert_eq!(check(message, content, other), fault(SignatureFault::SenderMismatch));
        let failed = parsed.verify(Signed::Content(b"content")).err();
        assert_eq!(failed, Some(Error::Signature(SignatureFault::ContentPresent)));

        let detached = signer.sign_detached(b"content");
        let parsed = SignedData::parse(&detached).unwrap();
        assert!(parsed.verify(Signed::Content(b"content")).is_ok());
        assert!(parsed.verify(Signed::Digest(&content_digest(b"content"))).is_ok());
        let failed = parsed.verify(Signed::Content(b"contend")).err();
        assert_eq!(failed, Some(Error::Signature(SignatureFault::DigestMismatch)));
        let failed = parsed.verify(Signed::Enclosed).err();
        assert_eq!(failed, Some(Error::Signature(SignatureFault::ContentMissing)));
    }
}

#[test]
fn the_vault_reads_exactly_what_was_built() {
    let ca = Ca::new();
    let signer = ca.rsa(Use::Sign);
    let attributes = signer.attributes(b"content", signer.context(Purpose::Document, &[&signer]));
    let der = attributes.to_der();
    assert_eq!(SignedAttributes::parse(&der), Ok(attributes.clone()));
    assert_eq!(attributes.certificate_hash(), &content_digest(&signer.certificate));
    for end in 0..der.len() {
        assert!(SignedAttributes::parse(&der[..end]).is_err());
    }
    // A signature under another certificate than the one named is not put together.
    let other = ca.rsa(Use::Sign);
    let value = signer.key.sign(&der).unwrap();
    let failed = signature::assemble(None, &attributes, &value, std::slice::from_ref(&other.certificate));
    assert_eq!(failed, Err(Error::Signature(SignatureFault::CertificateMismatch)));
    // A signature by another key does not verify.
    let value = other.key.sign(&der).unwrap();
    let forged =
        signature::assemble(Some(b"content"), &attributes, &value, std::slice::from_ref(&signer.certificate))
            .unwrap();
    let failed = SignedData::parse(&forged).unwrap().verify(Signed::Enclosed).err();
    assert_eq!(failed, Some(Error::Signature(SignatureFault::Invalid)));
}

#[test]
fn opaque_content_is_not_taken_for_signed() {
    for content in [&b""[..], b"plain text", &[0x30, 0x80], &[0x30; 64]] {
        assert!(SignedData::detect(content).unwrap().is_none());
    }
}

#[test]
fn sizes_are_limited() {
    let ca = Ca::new();
    let user = ca.p256(Use::Encrypt);
    let keys = [user.key.public_key().clone()];
    let largest = vec![1; limits::MAX_CONTENT + 1];
    assert_eq!(envelope::seal(&largest, &keys).err(), Some(Error::TooLarge));
    let (sealed, key) = envelope::seal(&largest[1..], &keys).unwrap();
    assert!(Envelope::parse(&sealed).unwrap().open(&key).unwrap() == largest[1..]);
    assert_eq!(envelope::seal(b"", &[]).err(), Some(Error::NotARecipient));
}
