//! Receipts: what they prove, what they do not, and that sharing brings its own.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::{self, ParticipantKind, SignatureState, TrustState, recipient::Origin};
use rusqlite::Connection;

fn revoke(platform: &Platform, user: &User) {
    let database = Connection::open(platform.database()).unwrap();
    let uid: life_pki::Uid = user.uid().parse().unwrap();
    let id: Vec<u8> = database
        .query_row("SELECT id FROM credential WHERE uid = ?1", [uid.as_bytes()], |row| row.get(0))
        .unwrap();
    let id = life_pki::account_log::CredentialId::from_slice(&id).unwrap();
    platform.run(&["revoke", user.uid(), &id.to_string()]);
}

async fn receipt(clients: &mut Clients, user: &User, digest: &bytes::Bytes) -> bytes::Bytes {
    let ask = v1::GetReceiptRequest { user: user.name.clone(), signature_digest: digest.clone() };
    clients.crypto.get_receipt(ask).await.unwrap().into_inner().receipt
}

#[tokio::test]
async fn what_a_receipt_covers_outlives_its_signer_and_nothing_else_does() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let doctor = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;

    let sign = v1::SignRequest { user: clinic.name.clone(), content: b"x".to_vec().into(), form: 0 };
    let signed = clients.crypto.sign(sign.clone()).await.unwrap().into_inner();
    let other = clients.crypto.sign(sign).await.unwrap().into_inner();
    let good = receipt(&mut clients, &clinic, &signed.signature_digest).await;
    let foreign = receipt(&mut clients, &clinic, &other.signature_digest).await;
    let mut forged = good.to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let short = v1::GetReceiptRequest { user: clinic.name.clone(), signature_digest: vec![1; 31].into() };
    assert_eq!(clients.crypto.get_receipt(short).await.reason(), "INVALID_ARGUMENT");

    let encrypt = v1::EncryptRequest {
        user: clinic.name.clone(),
        recipients: vec![patient.name.clone()],
        plaintext: b"y".to_vec().into(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(encrypt).await.unwrap().into_inner();
    let trust = |recipients: &[v1::Recipient], user: &User| {
        recipients.iter().find(|it| it.user == user.name).map(v1::Recipient::trust)
    };
    assert_eq!(trust(&sealed.recipients, &patient), Some(TrustState::FirstUse));
    assert_eq!(trust(&sealed.recipients, &clinic), Some(TrustState::Confirmed));
    let original = receipt(&mut clients, &clinic, &sealed.signature_digest).await;
    let share = |envelope: &bytes::Bytes, receipt: &bytes::Bytes| v1::ShareRequest {
        user: patient.name.clone(),
        recipients: vec![doctor.name.clone()],
        envelope: envelope.clone(),
        receipt: receipt.clone(),
        ..Default::default()
    };
    let shared =
        clients.crypto.share(share(&sealed.envelope, &bytes::Bytes::new())).await.unwrap().into_inner();

    tokio::time::sleep(Duration::from_millis(1500)).await;
    revoke(&platform, &clinic);
    for (proof, state) in [
        (bytes::Bytes::new(), SignatureState::SignerTimeUnproven),
        (forged.into(), SignatureState::SignerTimeUnproven),
        (foreign.clone(), SignatureState::SignerTimeUnproven),
        (good, SignatureState::Valid),
    ] {
        let verify = v1::VerifyRequest {
            user: patient.name.clone(),
            signed_data: signed.signed_data.clone(),
            receipt: proof,
            ..Default::default()
        };
        let report = clients.crypto.verify(verify).await.unwrap().into_inner().signature.unwrap();
        assert_eq!((report.state(), report.receipt_time.is_some()), (state, state == SignatureState::Valid));
    }
    // What is opened needs it as well.
    let mut open = v1::DecryptRequest {
        user: patient.name.clone(),
        envelope: sealed.envelope.clone(),
        ..Default::default()
    };
    for proof in [bytes::Bytes::new(), foreign.clone()] {
        open.receipt = proof;
        assert_eq!(clients.crypto.decrypt(open.clone()).await.reason(), "SIGNER_TIME_UNPROVEN");
    }
    open.receipt = original.clone();
    clients.crypto.decrypt(open).await.unwrap();
    // Sharing goes on with the original's receipt, and only with that.
    for proof in [bytes::Bytes::new(), foreign] {
        let refused = clients.crypto.share(share(&sealed.envelope, &proof)).await;
        assert_eq!(refused.reason(), "SIGNER_TIME_UNPROVEN");
    }
    clients.crypto.share(share(&sealed.envelope, &original)).await.unwrap();

    // Who shared is gone too; the statement brought its receipt.
    revoke(&platform, &patient);
    let decrypt = v1::DecryptRequest {
        user: doctor.name.clone(),
        envelope: shared.envelope,
        receipt: original,
        ..Default::default()
    };
    let opened = clients.crypto.decrypt(decrypt).await.unwrap().into_inner();
    let added = opened.recipients.iter().find(|recipient| recipient.user == doctor.name).unwrap();
    assert_eq!((added.origin(), added.shared_by.as_str()), (Origin::Shared, patient.name.as_str()));
}
