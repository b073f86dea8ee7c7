//! Adding working credentials to an account and revoking them, with everything that must be refused on the way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use life_pki::CredentialKind;
use life_pki::account_log::CredentialKeys;
use life_platform::encoding::base64;
use serde_json::{Value, json};
use support::credential::{NewCredential, log_of};
use support::{Agent, Platform, until};

#[tokio::test]
async fn an_added_credential_authenticates_and_has_its_seal() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let pin = NewCredential::new();
    let (addition, body) = pin.begin(&agent).await;
    // Nothing shows before the commit.
    assert_eq!(log_of(&agent).await.len(), 2);
    let committed = pin.commit(&agent, &addition, &body).await.expect(200);
    // Again is the same, whatever was lost on the way.
    assert_eq!(pin.commit(&agent, &addition, &body).await.expect(200).body, committed.body);
    let certificates = committed.json()["certificates"].clone();
    assert_eq!(certificates.as_object().unwrap().len(), 3);

    let client = pin.client(&platform, &certificates);
    let me = client.get("/v1/me").await.expect(200).json();
    assert_eq!(me["uid"], agent.uid().to_string());
    assert_eq!(me["log"][2], body["entry"]);
    let seals = client.get("/v1/me/seals").await.expect(200).json();
    let own =
        seals["seals"].as_array().unwrap().iter().find(|seal| seal["credential_id"] == pin.id.to_string());
    assert_eq!(own.unwrap()["seal"], body["seal"]);
    // The first credential's certificates are still its own, also when its registration is repeated.
    let first = agent.client.get("/v1/me").await.expect(200).json();
    assert_eq!(first["certificates"], agent.certificates);
}

#[tokio::test]
async fn a_revoked_credential_counts_for_nothing_at_once() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let pin = NewCredential::new();
    let client = pin.client(&platform, &pin.add(&agent).await["certificates"]);
    client.get("/v1/me").await.expect(200);
    let anonymous = platform.client();
    let list = anonymous.get("/v1/crl").await.expect(200).body;
    let body = pin.revocation(&agent, pin.id).await;
    let path = format!("/v1/me/credentials/{}/revocation", pin.id);
    agent.client.post(&path, &body).await.expect(204);
    agent.client.post(&path, &body).await.expect(204);
    assert_eq!(log_of(&agent).await.len(), 4);
    client.get("/v1/me").await.refused(401, "CERTIFICATE_REVOKED");
    let seals = agent.client.get("/v1/me/seals").await.expect(200).json();
    assert_eq!(seals["seals"].as_array().unwrap().len(), 1);
    // The CA hears of it, and its list names three certificates more: a serial number of 16 bytes for each.
    until(async || anonymous.get("/v1/crl").await.expect(200).body.len() >= list.len() + 3 * 16).await;
    // The last one stays: nobody could sign the next entry.
    let last = pin.revocation(&agent, agent.draft.credential).await;
    let path = format!("/v1/me/credentials/{}/revocation", agent.draft.credential);
    agent.client.post(&path, &last).await.refused(422, "EVIDENCE_INVALID");
    // The entry says another one than the path.
    let path = format!("/v1/me/credentials/{}/revocation", pin.id);
    agent.client.post(&path, &last).await.refused(422, "EVIDENCE_INVALID");
    agent
        .client
        .post("/v1/me/credentials/nonsense/revocation", &last)
        .await
        .refused(404, "CREDENTIAL_UNKNOWN");
}

#[tokio::test]
async fn evidence_that_does_not_hold_adds_nothing() {
    let platform = Platform::start();
    let (agent, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let pin = NewCredential::new();
    let (addition, good) = pin.begin(&agent).await;
    let changed = |name: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(name).unwrap() = value;
        body
    };
    let log = log_of(&agent).await;
    let entry = |keys: CredentialKeys| json!(base64(pin.entry(&agent.draft, &log[1], keys).to_der()));
    let foreign = NewCredential::new();
    let kind = |kind| CredentialKeys { kind, ..pin.keys() };
    for (name, value) in [
        ("/answer", json!(base64(&[7; 32]))),
        ("/answer", json!("")),
        ("/entry", json!(base64(b"no entry"))),
        // A key that nobody proved, another kind, and an id that is taken.
        (
            "/entry",
            entry(CredentialKeys { encryption: foreign.encryption.public_key().hash(), ..pin.keys() }),
        ),
        ("/entry", entry(kind(CredentialKind::AccessToken))),
        ("/entry", entry(kind(CredentialKind::SoftwareCertificate))),
        ("/entry", entry(CredentialKeys { id: agent.draft.credential, ..pin.keys() })),
        // A seal to somebody else, and no seal.
        ("/seal", json!(base64(&foreign.seal(&agent.draft)))),
        ("/seal", json!(base64(b"no seal"))),
        ("/super_pin/verifier", json!(base64(agent.draft.root.public_key().spki()))),
        ("/super_pin/bundle", json!("")),
        ("/super_pin/bundle", json!(base64(&vec![0; (16 << 10) + 1]))),
    ] {
        let reply = pin.commit(&agent, &addition, &changed(name, value)).await;
        assert_eq!((reply.status.as_u16(), &*reply.reason()), (422, "EVIDENCE_INVALID"), "{name} {reply:?}");
    }
    // An entry that is there already, and is no adding.
    let known = changed("/entry", json!(base64(log[1].to_der())));
    pin.commit(&agent, &addition, &known).await.refused(409, "LOG_CONFLICT");
    let lookup = changed("/super_pin/lookup_id", json!("nonsense"));
    pin.commit(&agent, &addition, &lookup).await.refused(400, "INVALID_ARGUMENT");
    // Somebody else's addition is none.
    other
        .client
        .post(&format!("/v1/me/credentials/{addition}/commit"), &good)
        .await
        .refused(404, "ADDITION_UNKNOWN");
    pin.commit(&agent, "nonsense", &good).await.refused(404, "ADDITION_UNKNOWN");
    assert_eq!(log_of(&agent).await.len(), 2);
    pin.commit(&agent, &addition, &good).await.expect(200);
}

#[tokio::test]
async fn keys_ids_and_places_are_taken_once() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let (one, two) = (NewCredential::new(), NewCredential::new());
    let (first, second) = (one.begin(&agent).await, two.begin(&agent).await);
    one.commit(&agent, &first.0, &first.1).await.expect(200);
    // Both were made for the same place in the log.
    two.commit(&agent, &second.0, &second.1).await.refused(409, "LOG_CONFLICT");
    let log = log_of(&agent).await;
    let mut body = second.1.clone();
    body["entry"] = json!(base64(two.entry(&agent.draft, log.last().unwrap(), two.keys()).to_der()));
    body["super_pin"]["lookup_id"] = json!(one.lookup_id());
    two.commit(&agent, &second.0, &body).await.refused(409, "KEY_IN_USE");
    body["super_pin"]["lookup_id"] = json!(two.lookup_id());
    two.commit(&agent, &second.0, &body).await.expect(200);
    agent.client.post("/v1/me/credentials", &one.keys_body(&agent.draft)).await.refused(409, "KEY_IN_USE");
    let mut keys = NewCredential::new().keys_body(&agent.draft);
    keys["signature_csr"] = keys["authentication_csr"].clone();
    agent.client.post("/v1/me/credentials", &keys).await.refused(422, "EVIDENCE_INVALID");
    for _ in 0..8 {
        let keys = NewCredential::new().keys_body(&agent.draft);
        let reply = agent.client.post("/v1/me/credentials", &keys).await;
        if reply.status == 429 {
            reply.refused(429, "RATE_LIMITED");
            return;
        }
    }
    panic!("additions are not limited");
}

#[tokio::test]
async fn without_the_ca_nothing_is_added_until_it_is_back() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let pin = NewCredential::new();
    let (addition, body) = pin.begin(&agent).await;
    platform.stop_ca();
    pin.commit(&agent, &addition, &body).await.refused(503, "CA_UNAVAILABLE");
    assert_eq!(log_of(&agent).await.len(), 2);
    platform.start_ca();
    pin.commit(&agent, &addition, &body).await.expect(200);
    assert_eq!(log_of(&agent).await.len(), 3);
}
