//! Api.Call against nginx: what is let through, who one is there, and what statuses mean.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::calls::{call, header};
use life_e2e::nginx::Nginx;
use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::{self, ParticipantKind};
use tonic_types::StatusExt;

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
    let log = nginx.log_of(6);
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

#[tokio::test]
async fn every_status_is_an_answer_and_what_is_not_allowed_is_not_asked() {
    let platform = Platform::start();
    let nginx = Nginx::start(&platform, "");
    let agent = Agent::start_with(&platform, &nginx.section("request_headers = ['X-Own']"));
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    for (path, attempts) in [
        ("/status/204", 1),
        ("/status/304", 1),
        ("/status/401", 1),
        ("/status/404", 1),
        ("/status/500", 1),
        ("/status/429?after=60", 1),
        ("/status/503?after=0", 3),
        ("/status/502", 3),
    ] {
        let got = call(&mut clients, header(&user, "GET", path), b"").await.unwrap();
        assert_eq!(got.head.status.to_string(), path[8..11]);
        assert_eq!(got.result.attempts, attempts, "{path}");
    }
    let got = call(&mut clients, header(&user, "GET", "/status/429?after=60"), b"").await.unwrap();
    assert_eq!(got.header("retry-after"), Some("60"));
    let got = call(&mut clients, header(&user, "POST", "/status/503?after=0"), b"x").await.unwrap();
    assert_eq!((got.head.status, got.result.attempts), (503, 1));
    let got = call(&mut clients, header(&user, "HEAD", "/echo/"), b"").await.unwrap();
    assert!(got.body.is_empty() && got.head.content_length.is_some_and(|length| length > 0));

    let asked = nginx.log_of(15).len();
    let refusals = [
        ("TRACE", "/echo/", "accept", "x", "INVALID_ARGUMENT"),
        ("CONNECT", "evil.example:443", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "https://evil.example/", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "//evil.example/", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "/echo/../files/", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "/echo/%2e%2e/files/", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "/echo/\r\nhost: evil.example\r\n", "accept", "x", "INVALID_ARGUMENT"),
        ("GET", "/echo/", "x-own", "a\r\nhost: evil.example", "INVALID_ARGUMENT"),
        ("GET", "/echo/", "host", "evil.example", "API_CALL_FORBIDDEN"),
        ("GET", "/echo/", "authorization", "Bearer x", "API_CALL_FORBIDDEN"),
        ("GET", "/echo/", "cookie", "a=b", "API_CALL_FORBIDDEN"),
        ("GET", "/echo/", "content-length", "5", "API_CALL_FORBIDDEN"),
        ("GET", "/echo/", "transfer-encoding", "chunked", "API_CALL_FORBIDDEN"),
        ("GET", "/echo/", "x-http-method-override", "DELETE", "API_CALL_FORBIDDEN"),
    ];
    for (method, path, name, value, reason) in refusals {
        let ask = v1::CallHeader { headers: vec![named(name, value)], ..header(&user, method, path) };
        assert_eq!(call(&mut clients, ask, b"").await.reason(), reason, "{method} {path} {name}");
    }
    // None of them was sent: the next one that is, is the next that is logged.
    call(&mut clients, header(&user, "GET", "/echo/"), b"").await.unwrap();
    let log = nginx.log_of(asked + 1);
    assert_eq!((log[asked].method.as_str(), log[asked].target.as_str()), ("GET", "/echo/"));
}

#[tokio::test]
async fn the_platform_is_the_server_unless_another_is_named_and_only_reads_are_allowed() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let versions = call(&mut clients, header(&user, "GET", "/v1/versions"), b"").await.unwrap();
    assert_eq!((versions.head.status, versions.header("content-type")), (200, Some("application/json")));
    let me = call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap();
    assert!(me.text().contains(user.uid()), "the platform knows who asks");
    let path = format!("/v1/users/{}", uuid());
    assert_eq!(call(&mut clients, header(&user, "GET", &path), b"").await.unwrap().head.status, 404);
    for (method, path) in [
        ("GET", "/v1/me/seals"),
        ("GET", "/v1/inbox"),
        ("DELETE", "/v1/me"),
        ("POST", "/v1/registrations"),
        ("POST", "/v1/receipts"),
        ("PUT", "/v1/documents/x"),
    ] {
        let refused = call(&mut clients, header(&user, method, path), b"").await;
        assert_eq!(refused.reason(), "API_CALL_FORBIDDEN", "{method} {path}");
    }
}

fn uuid() -> &'static str {
    "5f0c6a52-6d8e-4c0f-9f5b-0a4f7f2f9f10"
}

#[tokio::test]
async fn a_server_that_comes_back_is_found_by_the_next_call() {
    let platform = Platform::start();
    let mut nginx = Nginx::start(&platform, "");
    let agent = Agent::start_with(&platform, &nginx.section(""));
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    assert_eq!(call(&mut clients, header(&user, "GET", "/echo/"), b"").await.unwrap().head.status, 200);
    for round in 0..3 {
        nginx.kill();
        if round > 0 {
            // Nothing was sent, and the caller is told so.
            let refused = call(&mut clients, header(&user, "POST", "/echo/"), b"x").await.unwrap_err();
            assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
            assert_eq!(refused.get_details_error_info().unwrap().metadata["request_sent"], "no");
            let refused = call(&mut clients, header(&user, "GET", "/echo/"), b"").await;
            assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
        }
        nginx.run();
        let got = call(&mut clients, header(&user, "POST", "/echo/"), b"x").await.unwrap();
        assert_eq!((got.head.status, got.result.attempts), (200, 1), "a closed connection is no attempt");
    }

    // Another root: the server is not the one that is meant.
    let other = Nginx::start(&platform, "");
    let section = nginx.section("").replace(
        &nginx.path("root.pem").display().to_string(),
        &other.path("root.pem").display().to_string(),
    );
    let agent = Agent::start_with(&platform, &section);
    let mut clients = agent.clients().await;
    user.unlock(&mut clients).await;
    let refused = call(&mut clients, header(&user, "GET", "/echo/"), b"").await;
    assert_eq!(refused.reason(), "PLATFORM_UNTRUSTED");
}

/// What is checked with --check-config.
#[test]
fn a_section_that_cannot_hold_does_not_start() {
    let platform = Platform::start();
    for (section, word) in [
        ("[api]\norigin = 'http://127.0.0.1:1'\n", "api.origin"),
        ("[api]\nserver_roots = '/nonexistent.pem'\n", "api.server_roots"),
        ("[api]\nallow = [{ methods = ['GET'], path = '/a/../b' }]\n", "api.allow"),
        ("[[api.allow]]\nmethods = ['CONNECT']\npath = '/'\n", "api.allow"),
        ("[api]\nrequest_headers = ['Authorization']\n", "api.request_headers"),
        ("[api]\nhost = 'x'\n", "unknown field"),
    ] {
        let agent = Agent::prepare(&platform, section);
        let checked =
            agent.command().arg("--check-config").stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(checked.status.code(), Some(78), "{section}");
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(said.contains(word), "{section}: {said}");
    }
}
