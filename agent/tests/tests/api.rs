//! Api.Call against nginx: what is let through, who one is there, and what statuses mean.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::calls::{call, header};
use life_e2e::nginx::Nginx;
use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::{self, ParticipantKind};

fn named(name: &str, value: &str) -> v1::HttpHeader {
    v1::HttpHeader { name: name.to_owned(), value: value.to_owned() }
}

#[tokio::test]
async fn a_user_calls_nginx_and_nginx_knows_who_it_is() {
    let platform = Platform::start();
    let nginx = Nginx::start(&platform, "");
    let agent = Agent::start_with(&platform, &nginx.section(""));
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;

    // Each user by the own certificate, on connections of the own.
    for _ in 0..3 {
        for user in [&clinic, &patient] {
            let mut ask = header(user, "GET", "/echo/a%7eb?x=|1");
            ask.headers = vec![named("Accept", "text/plain")];
            let got = call(&mut clients, ask, b"").await.unwrap();
            assert_eq!((got.head.status, got.result.attempts, got.result.sent_size), (200, 1, 0));
            let text = got.text();
            assert!(text.starts_with("GET /echo/a~b?x=%7C1 host=127.0.0.1:"), "{text}");
            assert!(text.contains("accept=text/plain cookie= auth= agent=life-agent/"), "{text}");
            assert!(text.contains(user.uid()), "{text}");
            assert_eq!(got.head.content_length, Some(got.body.len() as u64));
            assert_eq!(got.header("etag"), Some("\"7\""));
            assert_eq!((got.header("set-cookie"), got.header("server")), (None, None));
        }
    }
    let log = nginx.log();
    assert_eq!(log.len(), 6);
    assert!(log.iter().all(|line| line.protocol == "TLSv1.3" && !line.resumed));
    for user in [&clinic, &patient] {
        let mut used: Vec<_> =
            log.iter().filter(|line| line.subject.contains(user.uid())).map(|line| line.connection).collect();
        used.dedup();
        assert_eq!(used.len(), 1, "a user's connection is used again: {log:?}");
        assert!(log.iter().all(|line| line.connection != used[0] || line.subject.contains(user.uid())));
    }

    // A lock closes the connections of that user at once, and nobody else's.
    assert_eq!(nginx.connections(), 2);
    clients.credentials.lock(v1::LockCredentialRequest { user: patient.name.clone() }).await.unwrap();
    eventually("the locked user's connection is closed", Duration::from_secs(5), || nginx.connections() == 1);
    assert_eq!(
        call(&mut clients, header(&patient, "GET", "/echo/"), b"").await.reason(),
        "CREDENTIAL_LOCKED"
    );
    assert_eq!(call(&mut clients, header(&clinic, "GET", "/echo/"), b"").await.unwrap().head.status, 200);
}
