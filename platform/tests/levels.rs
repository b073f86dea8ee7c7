//! Who must not reach what: every route at every level, and every certificate that must not count.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use axum::body::Body;
use http::Request;
use life_pki::{ParticipantKind, PrivateKey, Timestamp};
use life_platform::authority::keys::CaKey;
use life_platform::authority::mint::Issuing;
use life_platform::http::level::{Level, Proof};
use life_platform::http::routes::ROUTES;
use serde_json::json;
use support::agent::slot_der;
use support::client::{Client, json_request, octets};
use support::{Agent, Draft, Platform};

/// A request that only the gate can find fault with; its body is empty JSON, or octets where those are expected.
fn request(method: &str, path: &str) -> Request<Body> {
    if method == "PUT" && path.starts_with("/v1/inboxes") {
        octets(method, path, "")
    } else {
        json_request(method, path, &json!({}))
    }
}

#[tokio::test]
async fn every_route_at_every_level() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let anonymous = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    draft.begin(&anonymous).await.expect(201);

    let mut refused = 0;
    for route in ROUTES {
        let path = route
            .path
            .replace("{registration}", &draft.registration)
            .replace("{uid}", &agent.uid().to_string())
            .replace("{message_id}", "m")
            .replace("{document_id}", &support::documents::new_id())
            .replace("{upload_id}", &support::documents::new_upload())
            .replace("{login}", "00112233445566778899aabbccddeeff")
            .replace("{addition}", "00112233445566778899aabbccddeeff")
            .replace("{credential_id}", "00112233445566778899aabbccddeeff");
        let bare = request(route.method, &path);
        let body = (bare.headers()["content-type"] == "application/json").then(|| json!({}));
        let proven = draft.proven(route.method, &path, body.as_ref());
        let callers = [
            ("anonymous", anonymous.send(bare).await),
            ("bootstrap", anonymous.send(proven).await),
            ("personalised", agent.client.send(request(route.method, &path)).await),
        ];
        for (caller, reply) in callers {
            let demanded = match (route.level, caller) {
                (Level::Anonymous | Level::Bootstrap(Proof::Answer | Proof::InBody), _) => None,
                (Level::Bootstrap(Proof::InHeader), "bootstrap") => None,
                (Level::Bootstrap(Proof::InHeader), _) => Some("PROOF_REQUIRED"),
                (Level::Personalised, "personalised") => None,
                (Level::Personalised, _) => Some("CERTIFICATE_REQUIRED"),
            };
            let what = format!("{} {} as {caller}: {} {}", route.method, path, reply.status, reply.reason());
            match demanded {
                Some(reason) => {
                    assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (401, reason), "{what}");
                    refused += 1;
                }
                None => assert!(
                    reply.status != 401 && reply.status != 404 || reply.reason().ends_with("_UNKNOWN"),
                    "{what}"
                ),
            }
        }
    }
    // The table has three bootstrap routes with a header and twenty-three personalised ones, two refused callers each.
    assert_eq!(refused, 2 * (3 + 23));
}

#[tokio::test]
async fn a_proof_counts_for_one_registration_and_for_nothing_personal() {
    let platform = Platform::start();
    let client = platform.client();
    let agent = Agent::register(&platform).await;
    // Even the proof of a committed registration opens nothing of its account.
    for path in ["/v1/me", "/v1/me/seals", "/v1/inbox"] {
        client.send(agent.draft.proven("GET", path, None)).await.refused(401, "CERTIFICATE_REQUIRED");
    }
    let mut other = Draft::new(ParticipantKind::Patient);
    other.begin(&client).await.expect(201);
    for (method, rest) in [("GET", ""), ("PUT", "/keys"), ("POST", "/commit")] {
        let request = other.proven(method, &agent.draft.path(rest), None);
        client.send(request).await.refused(401, "PROOF_INVALID");
    }
}

#[tokio::test]
async fn certificates_that_do_not_count() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let refused = async |client: Client, reason: &str| {
        client.get("/v1/me").await.refused(401, reason);
        // What everybody may have is still there.
        client.get("/v1/versions").await.expect(200);
    };
    // The user's own certificates of other slots, with their keys.
    for (slot, key) in [("SIGNATURE", &agent.draft.signature), ("ENCRYPTION", &agent.draft.encryption)] {
        refused(agent.client_with(&platform, slot, key), "CERTIFICATE_UNTRUSTED").await;
    }
    refused(agent.client_with(&platform, "ROOT", &agent.draft.root), "CERTIFICATE_UNTRUSTED").await;

    // A certificate of the right form from another authority of the same name.
    let key = PrivateKey::generate_p256().unwrap();
    let forger = Issuing::new(CaKey::generate().unwrap(), "LIFE user issuing");
    let slot = life_pki::KeySlot::Authentication;
    let now = life_platform::clock::Clock::system().now();
    let identity = |der: Vec<u8>, key: &PrivateKey| {
        Client::new(platform.address, &platform.root(), Some((der, key.to_pkcs8().expose().to_vec())))
    };
    let forged = forger.user(agent.uid(), slot, key.public_key(), now, 30).unwrap();
    refused(identity(forged, &key), "CERTIFICATE_UNTRUSTED").await;

    // Certificates of the real authority that this platform never handed out, expired or not begun.
    let real =
        Issuing::new(CaKey::load(&platform.root().join("ca/issuing.key")).unwrap(), "LIFE user issuing");
    let issue = |at: Timestamp, days| real.user(agent.uid(), slot, key.public_key(), at, days).unwrap();
    refused(identity(issue(now, 30), &key), "CERTIFICATE_UNTRUSTED").await;
    refused(identity(issue(now.minus(3 * 86_400), 1), &key), "CERTIFICATE_EXPIRED").await;
    refused(identity(issue(now.plus(86_400), 30), &key), "CERTIFICATE_NOT_YET_VALID").await;

    // Somebody else's certificate without its key does not get through the handshake.
    let stolen = identity(slot_der(&agent.certificates, "AUTHENTICATION"), &key);
    assert!(stolen.try_send(request("GET", "/v1/versions")).await.is_err());
}

#[tokio::test]
async fn revocation_counts_from_the_next_request_on() {
    let mut platform = Platform::start();
    let (agent, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let before = platform.client().get("/v1/crl").await.expect(200).body;
    let mut open = agent.client.open().await.unwrap();
    let me = || support::client::request("GET", "/v1/me", Body::empty());
    support::client::send(&mut open, me()).await.unwrap().expect(200);

    let (uid, credential) = (agent.uid().to_string(), agent.draft.credential.to_string());
    let done = platform.command(&["revoke"], &[&uid, &credential]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    // On the connection that was open already, and on a new one.
    support::client::send(&mut open, me()).await.unwrap().refused(401, "CERTIFICATE_REVOKED");
    agent.client.get("/v1/me").await.refused(401, "CERTIFICATE_REVOKED");
    other.client.get("/v1/me").await.expect(200);
    // The list has the three certificates of the credential, and OpenSSL reads them.
    let after = platform.client().get("/v1/crl").await.expect(200).body;
    assert_ne!(before, after);
    let file = platform.dir.path().join("crl.der");
    std::fs::write(&file, &after).unwrap();
    let text = std::process::Command::new("openssl")
        .args(["crl", "-inform", "der", "-noout", "-text", "-in", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&text.stdout).matches("Serial Number").count(), 3);
    assert!(!platform.command(&["revoke"], &[&other.uid().to_string(), &credential]).status.success());

    // Without the authority a revocation still counts here at once.
    platform.stop_ca();
    let (uid, credential) = (other.uid().to_string(), other.draft.credential.to_string());
    let done = platform.command(&["revoke"], &[&uid, &credential]);
    assert!(done.status.success() && String::from_utf8_lossy(&done.stdout).contains("once"));
    other.client.get("/v1/me").await.refused(401, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn nobody_reaches_into_another_inbox() {
    let platform = Platform::start();
    let (owner, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let envelope = support::content::envelope(b"for the owner", owner.draft.root.public_key());
    other.client.deposit(&owner.inbox("m1"), envelope.clone()).await;
    // The depositor cannot see it again, nor anybody else.
    other.client.get("/v1/inbox/m1").await.refused(404, "MESSAGE_UNKNOWN");
    other.client.delete("/v1/inbox/m1").await.refused(404, "MESSAGE_UNKNOWN");
    assert_eq!(other.client.get("/v1/inbox").await.expect(200).json()["messages"], json!([]));
    other.client.get(&owner.inbox("m1")).await.refused(405, "METHOD_NOT_ALLOWED");
    other.client.delete(&owner.inbox("m1")).await.refused(405, "METHOD_NOT_ALLOWED");
    assert_eq!(owner.client.get("/v1/inbox/m1").await.expect(200).body, envelope);
}
