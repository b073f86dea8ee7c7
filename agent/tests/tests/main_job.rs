//! The main job, through the contract alone: several users, one agent, every call of Crypto, Directory and Messages.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::{Agent, Platform, Reason, User, streams};
use life_proto::v1;
use v1::{ParticipantKind, SignatureForm, SignatureState, Signing, TrustState};

/// A platform, an agent and three unlocked users: an institution, a patient, a professional.
async fn three() -> (Platform, Agent, life_e2e::agent::Clients, [User; 3]) {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let users = [
        User::ready(&mut clients, ParticipantKind::Institution).await,
        User::ready(&mut clients, ParticipantKind::Patient).await,
        User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await,
    ];
    (platform, agent, clients, users)
}

fn encrypt_request(from: &User, to: &[&User], plaintext: &[u8]) -> v1::EncryptRequest {
    v1::EncryptRequest {
        user: from.name.clone(),
        recipients: to.iter().map(|user| user.name.clone()).collect(),
        plaintext: plaintext.to_vec().into(),
        ..Default::default()
    }
}

fn decrypt_request(user: &User, envelope: &[u8]) -> v1::DecryptRequest {
    v1::DecryptRequest { user: user.name.clone(), envelope: envelope.to_vec().into(), ..Default::default() }
}

#[tokio::test]
async fn an_envelope_reaches_its_readers_and_no_one_else() {
    let (_platform, _agent, mut clients, [clinic, patient, doctor]) = three().await;
    let sealed = clients
        .crypto
        .encrypt(encrypt_request(&clinic, &[&patient], b"HbA1c 6.1 %"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(sealed.recipients.len(), 2, "the sender is a recipient too");
    assert_eq!(sealed.signature_digest.len(), 32);

    for reader in [&patient, &clinic] {
        let opened =
            clients.crypto.decrypt(decrypt_request(reader, &sealed.envelope)).await.unwrap().into_inner();
        assert_eq!(&opened.plaintext[..], b"HbA1c 6.1 %");
        let signature = opened.signature.unwrap();
        assert_eq!(signature.state(), SignatureState::Valid, "{}", signature.explanation);
        assert_eq!(signature.signer, clinic.name);
        assert_eq!(signature.document_id, sealed.document_id);
        assert!(opened.recipients.iter().all(|r| r.origin() == v1::recipient::Origin::Signed));
    }
    let refused = clients.crypto.decrypt(decrypt_request(&doctor, &sealed.envelope)).await;
    assert_eq!(refused.reason(), "NOT_A_RECIPIENT");

    // Sharing adds the doctor without touching the content; everybody sees who did it.
    let shared = v1::ShareRequest {
        user: patient.name.clone(),
        recipients: vec![doctor.name.clone()],
        envelope: sealed.envelope.clone(),
        ..Default::default()
    };
    let shared = clients.crypto.share(shared).await.unwrap().into_inner();
    let opened =
        clients.crypto.decrypt(decrypt_request(&doctor, &shared.envelope)).await.unwrap().into_inner();
    assert_eq!(&opened.plaintext[..], b"HbA1c 6.1 %");
    assert_eq!(opened.signature.unwrap().state(), SignatureState::Valid);
    let added = opened.recipients.iter().find(|r| r.user == doctor.name).unwrap();
    assert_eq!(added.origin(), v1::recipient::Origin::Shared);
    assert_eq!(added.shared_by, patient.name);
}

#[tokio::test]
async fn a_stream_of_any_size_opens_and_its_end_is_proven() {
    let (_platform, _agent, mut clients, [clinic, patient, doctor]) = three().await;
    for size in [0, 1, 1_048_520, 1_048_521, 5_000_000] {
        let plaintext: Vec<u8> = (0..size).map(|i: usize| (i % 251) as u8).collect();
        let header = v1::EncryptStreamHeader {
            user: clinic.name.clone(),
            recipients: vec![patient.name.clone()],
            ..Default::default()
        };
        let (sealed, result) = streams::encrypt(&mut clients, header, &plaintext).await.unwrap();
        assert_eq!(result.plaintext_size, size as u64);
        assert_eq!(result.ciphertext_size, sealed.len() as u64);
        for allow_unverified_sender in [false, true] {
            let header = v1::DecryptStreamHeader {
                user: patient.name.clone(),
                allow_unverified_sender,
                ..Default::default()
            };
            let (opened, verdict) = streams::decrypt(&mut clients, header, &sealed).await.unwrap();
            assert!(opened == plaintext, "{size} bytes");
            let signature = verdict.signature.unwrap();
            assert_eq!(signature.state(), SignatureState::Valid, "{}", signature.explanation);
            assert_eq!(signature.signer, clinic.name);
        }
        let header = v1::DecryptStreamHeader { user: doctor.name.clone(), ..Default::default() };
        let (refused, released) = streams::decrypt(&mut clients, header, &sealed).await.unwrap_err();
        assert_eq!(refused.reason(), "NOT_A_RECIPIENT");
        assert!(released.is_empty());
    }
}

#[tokio::test]
async fn a_damaged_stream_is_refused_and_releases_nothing() {
    let (_platform, _agent, mut clients, [clinic, patient, _]) = three().await;
    let plaintext = vec![7; 3_000_000];
    let header = v1::EncryptStreamHeader {
        user: clinic.name.clone(),
        recipients: vec![patient.name.clone()],
        ..Default::default()
    };
    let (sealed, _) = streams::encrypt(&mut clients, header, &plaintext).await.unwrap();
    let mut flipped = sealed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let trailer = u32::from_be_bytes(sealed[sealed.len() - 4..].try_into().unwrap()) as usize;
    let body = &sealed[..sealed.len() - 4 - trailer];
    let stripped = [body, &[0; 4]].concat();
    let emptied = [body, &[0; 16], &[0, 0, 0, 16]].concat();
    let boundary = sealed.len() - 4 - trailer - (3_000_000 - 1_048_520 - 1_048_560 + 16);
    for (what, bytes, reason) in [
        ("flipped bit", &flipped[..], "DECRYPTION_FAILED"),
        ("cut", &sealed[..middle], "STREAM_TRUNCATED"),
        ("cut at a segment's boundary", &sealed[..boundary], "STREAM_TRUNCATED"),
        ("trailer taken away", &stripped[..], "STREAM_TRUNCATED"),
        ("signature taken out of the trailer", &emptied[..], "DECRYPTION_FAILED"),
    ] {
        let header = v1::DecryptStreamHeader { user: patient.name.clone(), ..Default::default() };
        let (status, released) = streams::decrypt(&mut clients, header, bytes).await.unwrap_err();
        assert_eq!(status.reason(), reason, "{what}");
        assert!(released.is_empty(), "{what}: released {} bytes", released.len());
    }
}

#[tokio::test]
async fn unsigned_content_is_refused_unless_accepted() {
    let (_platform, _agent, mut clients, [clinic, patient, _]) = three().await;
    let mut request = encrypt_request(&clinic, &[&patient], b"anonymous");
    request.set_signing(Signing::None);
    let sealed = clients.crypto.encrypt(request).await.unwrap().into_inner();
    assert!(sealed.signature_digest.is_empty());
    let refused = clients.crypto.decrypt(decrypt_request(&patient, &sealed.envelope)).await;
    assert_eq!(refused.reason(), "SIGNATURE_MISSING");
    let mut request = decrypt_request(&patient, &sealed.envelope);
    request.accept_unsigned = true;
    let opened = clients.crypto.decrypt(request).await.unwrap().into_inner();
    assert_eq!(opened.signature.unwrap().state(), SignatureState::None);
}

#[tokio::test]
async fn signatures_verify_attached_detached_and_streamed() {
    let (_platform, _agent, mut clients, [clinic, patient, _]) = three().await;
    let content = b"discharge letter".to_vec();
    for form in [SignatureForm::Attached, SignatureForm::Detached] {
        let request =
            v1::SignRequest { user: clinic.name.clone(), content: content.clone().into(), form: form.into() };
        let signed = clients.crypto.sign(request).await.unwrap().into_inner();
        let mut ask = v1::VerifyRequest {
            user: patient.name.clone(),
            signed_data: signed.signed_data.clone(),
            content: (form == SignatureForm::Detached).then(|| content.clone().into()),
            receipt: Default::default(),
        };
        let verdict = clients.crypto.verify(ask.clone()).await.unwrap().into_inner();
        let signature = verdict.signature.unwrap();
        assert_eq!(signature.state(), SignatureState::Valid, "{form:?}: {}", signature.explanation);
        assert_eq!(signature.signer, clinic.name);
        assert_eq!(signature.signature_digest, signed.signature_digest);
        if form == SignatureForm::Detached {
            ask.content = Some(b"discharge letteR".to_vec().into());
            let verdict = clients.crypto.verify(ask.clone()).await.unwrap().into_inner();
            assert_eq!(verdict.signature.unwrap().state(), SignatureState::Invalid);
            ask.content = None;
            assert_eq!(clients.crypto.verify(ask).await.reason(), "CONTENT_MISSING");
        } else {
            assert_eq!(verdict.content, content);
        }
    }
    let long = vec![3; 20 << 20];
    let signed = streams::sign(&mut clients, &clinic.name, &long).await.unwrap();
    assert_eq!(signed.content_size, 20 << 20);
    let header = v1::VerifyStreamHeader {
        user: patient.name.clone(),
        signed_data: signed.signed_data,
        receipt: Default::default(),
    };
    let good = streams::verify(&mut clients, header.clone(), &long).await.unwrap();
    assert_eq!(good.signature.unwrap().state(), SignatureState::Valid);
    let bad = streams::verify(&mut clients, header, &long[1..]).await.unwrap();
    assert_eq!(bad.signature.unwrap().state(), SignatureState::Invalid);
}

#[tokio::test]
async fn a_message_goes_through_the_inbox_of_its_recipient() {
    let (_platform, _agent, mut clients, [clinic, patient, doctor]) = three().await;
    let header = v1::SendHeader {
        user: clinic.name.clone(),
        recipient: patient.name.clone(),
        message_id: "6a5b0f5e-52c3-4f38-9f2a-7f0f3c1d2e11".into(),
    };
    let plaintext = vec![42; 2_500_000];
    let sent = streams::send(&mut clients, header.clone(), &plaintext).await.unwrap();
    assert_eq!(sent.plaintext_size, 2_500_000);
    let again = streams::send(&mut clients, header, &plaintext).await.unwrap();
    assert_eq!(again.message_id, sent.message_id, "sending again is harmless");

    let list = |user: &User| v1::ListMessagesRequest { user: user.name.clone(), ..Default::default() };
    let inbox = clients.messages.list(list(&patient)).await.unwrap().into_inner().messages;
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].depositor, clinic.name);
    assert!(clients.messages.list(list(&doctor)).await.unwrap().into_inner().messages.is_empty());

    let (opened, verdict) = streams::receive(&mut clients, &patient.name, &sent.message_id).await.unwrap();
    assert!(opened == plaintext);
    let signature = verdict.signature.unwrap();
    assert_eq!(signature.state(), SignatureState::Valid, "{}", signature.explanation);
    assert!(signature.receipt_time.is_some(), "the platform's receipt came with it");
    let foreign = streams::receive(&mut clients, &doctor.name, &sent.message_id).await;
    assert_eq!(foreign.map(|_| ()).reason(), "MESSAGE_NOT_FOUND");

    let delete = v1::DeleteMessageRequest { user: patient.name.clone(), message_id: sent.message_id.clone() };
    clients.messages.delete(delete.clone()).await.unwrap();
    clients.messages.delete(delete).await.unwrap();
    assert!(clients.messages.list(list(&patient)).await.unwrap().into_inner().messages.is_empty());
}

#[tokio::test]
async fn the_directory_pins_and_people_confirm() {
    let (_platform, _agent, mut clients, [clinic, patient, _]) = three().await;
    let ask = v1::LookupUserRequest { name: patient.name.clone(), caller: clinic.name.clone() };
    let first = clients.directory.lookup_user(ask.clone()).await.unwrap().into_inner().user.unwrap();
    assert_eq!(first.trust(), TrustState::FirstUse);
    assert_eq!(first.kind(), ParticipantKind::Patient);
    assert_eq!(first.generation, 1);
    assert_eq!(first.issuers.len(), 2);
    let second = clients.directory.lookup_user(ask).await.unwrap().into_inner().user.unwrap();
    assert_eq!(second.trust(), TrustState::Pinned);

    // The patient reads the same digits from their own account.
    let own = v1::GetFingerprintRequest { name: patient.name.clone(), caller: patient.name.clone() };
    let own = clients.directory.get_fingerprint(own).await.unwrap().into_inner();
    assert_eq!(own.fingerprint, first.fingerprint);
    let mut confirm = v1::ConfirmFingerprintRequest {
        name: patient.name.clone(),
        fingerprint: own.fingerprint.replace(' ', "-"),
        caller: clinic.name.clone(),
    };
    let confirmed = clients.directory.confirm_fingerprint(confirm.clone()).await.unwrap().into_inner();
    assert_eq!(confirmed.trust(), TrustState::Confirmed);
    confirm.fingerprint = "00000 00000 00000 00000 00000 00000".into();
    assert_eq!(clients.directory.confirm_fingerprint(confirm).await.reason(), "FINGERPRINT_MISMATCH");

    let account = clients.accounts.get_user(v1::GetUserRequest { name: patient.name.clone() }).await;
    let account = account.unwrap().into_inner();
    assert_eq!((account.kind(), account.log_length), (ParticipantKind::Patient, 2));
    let list = v1::ListCredentialsRequest { parent: patient.name.clone() };
    let list = clients.accounts.list_credentials(list).await.unwrap().into_inner().credentials;
    assert_eq!(list.len(), 1);
    assert!(list[0].live);
    assert_eq!(list[0].kind(), v1::CredentialKind::SoftwareCertificate);
}
