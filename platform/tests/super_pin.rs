//! Logging in with a SuperPIN: what it opens, and what tells nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use life_platform::encoding::base64;
use serde_json::json;
use support::credential::NewCredential;
use support::{Agent, Options, Platform};

#[tokio::test]
async fn the_right_answer_opens_ones_own_bundle() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let (pin, other) = (NewCredential::new(), NewCredential::new());
    let committed = pin.add(&agent).await;
    other.add(&Agent::register(&platform).await).await;
    let client = platform.client();
    let opened = pin.log_in(&client).await.expect(200).json();
    assert_eq!(opened["uid"], agent.uid().to_string());
    assert_eq!(opened["credential_id"], pin.id.to_string());
    assert_eq!(opened["bundle"], base64(&pin.bundle));
    assert_eq!(opened["certificates"], committed["certificates"]);
    assert_eq!(opened["issuers"], committed["issuers"]);
}

#[tokio::test]
async fn nothing_tells_whether_a_super_pin_exists() {
    let platform = Platform::start();
    let (pin, unknown) = (NewCredential::new(), NewCredential::new());
    pin.add(&Agent::register(&platform).await).await;
    let client = platform.client();
    let mut answers = Vec::new();
    // A wrong answer for a SuperPIN that exists, and what looks like a right one for a SuperPIN that does not.
    for (pin, key) in [(&pin, &unknown), (&unknown, &unknown)] {
        let begun =
            client.post("/v1/super-pin-logins", &json!({ "lookup_id": pin.lookup_id() })).await.expect(201);
        let (login, challenge) = pin.challenge(&client).await;
        let message = [b"LIFE SuperPIN login v1\0", &pin.lookup[..], &challenge].concat();
        let body = json!({ "signature": base64(&key.login.sign(&message).unwrap()) });
        let refused = pin.answer(&client, &login, &body).await.refused(401, "LOGIN_REFUSED");
        let shape = |reply: &support::Reply| {
            let mut names: Vec<String> = reply.headers.keys().map(ToString::to_string).collect();
            names.sort_unstable();
            (reply.status, names, reply.body.len())
        };
        answers.push((shape(&begun), shape(&refused), refused.body));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_challenge_has_one_answer() {
    let platform = Platform::start();
    let pin = NewCredential::new();
    pin.add(&Agent::register(&platform).await).await;
    let client = platform.client();
    let (login, challenge) = pin.challenge(&client).await;
    let good = pin.answer_body(&challenge);
    // The answer to another challenge uses it up.
    let (_, another) = pin.challenge(&client).await;
    pin.answer(&client, &login, &pin.answer_body(&another)).await.refused(401, "LOGIN_REFUSED");
    pin.answer(&client, &login, &good).await.refused(401, "LOGIN_REFUSED");
    let (login, challenge) = pin.challenge(&client).await;
    let good = pin.answer_body(&challenge);
    pin.answer(&client, &login, &good).await.expect(200);
    pin.answer(&client, &login, &good).await.refused(401, "LOGIN_REFUSED");
    pin.answer(&client, "nonsense", &good).await.refused(401, "LOGIN_REFUSED");
    for bad in [json!({}), json!({ "signature": 7 }), json!({ "signature": "!" })] {
        pin.answer(&client, &login, &bad).await.refused(400, "INVALID_ARGUMENT");
    }
    for bad in [
        json!({}),
        json!({ "lookup_id": "00" }),
        json!({ "lookup_id": pin.lookup_id().to_uppercase() + "A" }),
    ] {
        client.post("/v1/super-pin-logins", &bad).await.refused(400, "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn only_its_holder_learns_that_it_was_revoked() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let (pin, stranger) = (NewCredential::new(), NewCredential::new());
    pin.add(&agent).await;
    let body = pin.revocation(&agent, pin.id).await;
    let path = format!("/v1/me/credentials/{}/revocation", pin.id);
    agent.client.post(&path, &body).await.expect(204);
    let client = platform.client();
    pin.log_in(&client).await.refused(401, "CERTIFICATE_REVOKED");
    let (login, challenge) = pin.challenge(&client).await;
    pin.answer(&client, &login, &stranger.answer_body(&challenge)).await.refused(401, "LOGIN_REFUSED");
    // The operator's revocation counts as well.
    let other = NewCredential::new();
    other.add(&agent).await;
    let (uid, id) = (agent.uid().to_string(), other.id.to_string());
    let done = platform.command(&["revoke"], &[&uid, &id]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    other.log_in(&client).await.refused(401, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn logins_are_limited_across_a_restart() {
    for limit in ["super_pin_logins_per_hour", "all_super_pin_logins_per_hour"] {
        let config: &'static str = if limit.starts_with("all") {
            "[limits]\nall_super_pin_logins_per_hour = 3\n"
        } else {
            "[limits]\nsuper_pin_logins_per_hour = 3\n"
        };
        let mut platform = Platform::start_with(&Options { config, ..Options::default() });
        let body = json!({ "lookup_id": NewCredential::new().lookup_id() });
        for _ in 0..3 {
            platform.client().post("/v1/super-pin-logins", &body).await.expect(201);
        }
        platform.kill_serve();
        platform.start_serve();
        let refused =
            platform.client().post("/v1/super-pin-logins", &body).await.refused(429, "RATE_LIMITED");
        assert!(refused.headers.contains_key("retry-after"), "{limit}");
    }
}
