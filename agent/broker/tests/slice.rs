//! The thinnest slice through everything: real platform, vault and broker; register, unlock, encrypt, decrypt, sign,
//! verify, stream, share. At the most talkative log level, and then the log is searched for what must not be in it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::{Agent, Platform, User, streams};
use life_proto::v1::{self, ParticipantKind, SignatureState, recipient::Origin};

const DOCUMENT: &str = "6a5b0f5e-52c3-4f38-9f2a-7f0f3c1d2e11";
const CONTENT: &[u8] = b"potassium 4.1 mmol/l, taken fasting on a Tuesday";

#[tokio::test]
async fn from_registration_to_sharing_and_nothing_of_it_in_the_log() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[log]\nlevel = \"trace\"\n");
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let doctor = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;

    // One message.
    let encrypt = v1::EncryptRequest {
        user: clinic.name.clone(),
        recipients: vec![patient.name.clone()],
        plaintext: CONTENT.into(),
        document_id: DOCUMENT.to_owned(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(encrypt).await.unwrap().into_inner();
    assert_eq!((sealed.document_id.as_str(), sealed.recipients.len()), (DOCUMENT, 2));
    let decrypt = |user: &User, envelope: &bytes::Bytes| v1::DecryptRequest {
        user: user.name.clone(),
        envelope: envelope.clone(),
        ..Default::default()
    };
    let opened = clients.crypto.decrypt(decrypt(&patient, &sealed.envelope)).await.unwrap().into_inner();
    let report = opened.signature.unwrap();
    assert_eq!(opened.plaintext, CONTENT);
    assert_eq!((report.state(), report.signer.as_str()), (SignatureState::Valid, clinic.name.as_str()));
    assert_eq!(report.document_id, DOCUMENT);

    // Shared by a recipient with somebody else.
    let share = v1::ShareRequest {
        user: patient.name.clone(),
        recipients: vec![doctor.name.clone()],
        envelope: sealed.envelope,
        ..Default::default()
    };
    let shared = clients.crypto.share(share).await.unwrap().into_inner();
    let opened = clients.crypto.decrypt(decrypt(&doctor, &shared.envelope)).await.unwrap().into_inner();
    let added = opened.recipients.iter().find(|recipient| recipient.user == doctor.name).unwrap();
    assert_eq!((added.origin(), added.shared_by.as_str()), (Origin::Shared, patient.name.as_str()));

    // Signed and verified.
    let sign = v1::SignRequest { user: clinic.name.clone(), content: CONTENT.into(), form: 0 };
    let signed = clients.crypto.sign(sign).await.unwrap().into_inner();
    let verify = v1::VerifyRequest {
        user: patient.name.clone(),
        signed_data: signed.signed_data,
        ..Default::default()
    };
    let verified = clients.crypto.verify(verify).await.unwrap().into_inner();
    assert_eq!(verified.content, CONTENT);
    assert_eq!(verified.signature.unwrap().state(), SignatureState::Valid);

    // A stream, its header shared.
    let long = CONTENT.repeat(60_000);
    let header = v1::EncryptStreamHeader {
        user: clinic.name.clone(),
        recipients: vec![patient.name.clone()],
        ..Default::default()
    };
    let (stream, result) = streams::encrypt(&mut clients, header, &long).await.unwrap();
    assert_eq!(result.plaintext_size, long.len() as u64);
    assert_eq!(result.ciphertext_size, stream.len() as u64);
    let number = |bytes: &[u8]| usize::try_from(u32::from_be_bytes(bytes.try_into().unwrap())).unwrap();
    let (head, rest) = stream.split_at(13 + number(&stream[9..13]) + 40);
    let (body, length) = rest.split_at(rest.len() - 4);
    let trailer = &body[body.len() - number(length)..];
    let share = v1::ShareRequest {
        user: clinic.name.clone(),
        recipients: vec![doctor.name.clone()],
        envelope: head.to_vec().into(),
        trailer: trailer.to_vec().into(),
        ..Default::default()
    };
    let shared = clients.crypto.share(share).await.unwrap().into_inner();
    let stream = [shared.envelope.as_ref(), rest].concat();
    for allow_unverified_sender in [false, true] {
        let header = v1::DecryptStreamHeader {
            user: doctor.name.clone(),
            allow_unverified_sender,
            ..Default::default()
        };
        let (opened, result) = streams::decrypt(&mut clients, header, &stream).await.unwrap();
        assert!(opened == long);
        assert_eq!(result.signature.unwrap().state(), SignatureState::Valid);
    }

    let log = agent.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is talkative");
    let passphrase = String::from_utf8(clinic.passphrase.clone()).unwrap();
    for secret in [clinic.uid(), patient.uid(), doctor.uid(), DOCUMENT, "potassium", &passphrase] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
