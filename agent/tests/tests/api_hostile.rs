//! Api.Call against a server that breaks off, floods, lies about lengths and refuses: every call ends with an answer or
//! a stable reason, and nothing is repeated that must not be.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod servers;

use std::time::Duration;

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::calls::{call, call_with, header};
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::{self, ParticipantKind};
use servers::Hostile;
use tokio_stream::StreamExt;
use tonic_types::StatusExt;

const MIB: usize = 1024 * 1024;

struct Scene {
    _platform: Platform,
    agent: Agent,
    server: Hostile,
    clients: Clients,
    user: User,
}

async fn scene() -> Scene {
    let platform = Platform::start();
    let server = Hostile::start(&platform).await;
    let section = format!(
        "[api]\norigin = '{}'\nserver_roots = '{}'\nhead_seconds = 2\nconnect_seconds = 5\n\
         allow = [{{ methods = ['GET', 'POST', 'PUT', 'DELETE'], path = '/**' }}]\n",
        server.origin,
        server.root().display()
    );
    let agent = Agent::start_with(&platform, &section);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    Scene { _platform: platform, agent, server, clients, user }
}

/// Gives chunks for ever, or as many as there are, with a pause before each.
fn slowly(chunk: Bytes, pause: Duration) -> impl tokio_stream::Stream<Item = Bytes> + Send + 'static {
    Box::pin(tokio_stream::iter(std::iter::repeat(chunk)).throttle(pause))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_misbehaviour_ends_in_a_reason_and_only_what_may_be_is_repeated() {
    let Scene { _platform, agent: _agent, server, mut clients, user } = scene().await;
    let unavailable = Err("PLATFORM_UNAVAILABLE");
    let untrusted = Err("PLATFORM_UNTRUSTED");
    // Method, path, what comes of it, how often the server was asked.
    let table: &[(&str, &str, Result<u32, &str>, u32)] = &[
        ("GET", "/busy", Ok(200), 3),
        ("POST", "/busy-post", Ok(503), 1),
        ("GET", "/later", Ok(503), 1),
        ("GET", "/none", unavailable, 3),
        ("POST", "/none-post", unavailable, 1),
        ("GET", "/limited", Ok(200), 2),
        ("GET", "/silent", unavailable, 1),
        ("GET", "/cut", unavailable, 1),
        // A reset can overtake the head, and then a GET would rightly be repeated.
        ("POST", "/reset", unavailable, 1),
        ("GET", "/cut-chunks", unavailable, 1),
        ("GET", "/cut-eof", unavailable, 1),
        ("GET", "/both", untrusted, 1),
        ("GET", "/two-lengths", untrusted, 1),
        ("GET", "/flood", untrusted, 1),
        ("GET", "/huge", untrusted, 1),
        ("GET", "/many", untrusted, 1),
        ("GET", "/garbage", untrusted, 1),
        ("GET", "/switch", untrusted, 1),
        ("GET", "/interim", Ok(200), 1),
        ("GET", "/eof", Ok(200), 1),
        ("GET", "/chunks", Ok(200), 1),
        ("DELETE", "/plain", Ok(200), 1),
    ];
    for (method, path, expected, asked) in table {
        let got = call(&mut clients, header(&user, method, path), b"").await;
        let seen = server.asked(path);
        match (expected, &got) {
            (Ok(status), Ok(answer)) => {
                assert_eq!((answer.head.status, answer.result.attempts), (*status, *asked), "{path}");
            }
            (Err(reason), Err(status)) => {
                assert_eq!(status.reason(), *reason, "{path}: {status:?}");
                let info = status.get_details_error_info().unwrap();
                assert_eq!(info.metadata["request_sent"], "maybe", "{path}");
            }
            _ => panic!("{path}: {got:?}"),
        }
        assert_eq!(seen, *asked, "{path}");
    }
    let got = call(&mut clients, header(&user, "GET", "/chunks"), b"").await.unwrap();
    assert_eq!((got.text().as_str(), got.head.content_length), ("hello, world", None));
    assert_eq!(call(&mut clients, header(&user, "GET", "/eof"), b"").await.unwrap().text(), "to the end");
    // After all that, the same session works.
    assert_eq!(call(&mut clients, header(&user, "GET", "/plain"), b"x").await.reason(), "INVALID_ARGUMENT");
    assert_eq!(call(&mut clients, header(&user, "GET", "/plain"), b"").await.unwrap().head.status, 200);

    // A server that is down is hardly asked more often than it is called.
    let calls = 60;
    for _ in 0..calls {
        assert_eq!(
            call(&mut clients, header(&user, "GET", "/storm"), b"").await.reason(),
            "PLATFORM_UNAVAILABLE"
        );
    }
    let asked = server.asked("/storm");
    assert!((calls..=calls + 18).contains(&asked), "asked {asked} times for {calls} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_asked_for_first_and_answers_may_come_early() {
    let Scene { _platform, agent: _agent, server, mut clients, user } = scene().await;
    let body = vec![7; 3 * MIB];
    // A server that wants it, one that says nothing, one that does not know the question.
    for (path, asked) in [("/take", 1), ("/take-mute", 1), ("/take-417", 2)] {
        let got = call(&mut clients, header(&user, "PUT", path), &body).await.unwrap();
        assert_eq!((got.head.status, got.text()), (200, format!("{} chunked", body.len())), "{path}");
        assert_eq!((server.asked(path), got.result.sent_size), (asked, body.len() as u64), "{path}");
        let known = v1::CallHeader { content_length: Some(body.len() as u64), ..header(&user, "POST", path) };
        let got = call(&mut clients, known, &body).await.unwrap();
        assert_eq!((got.head.status, got.text()), (200, format!("{} sized", body.len())), "{path}");
    }
    // Short bodies are kept: sized, unasked, and sent again where that may be.
    let got = call(&mut clients, header(&user, "PUT", "/take"), b"short").await.unwrap();
    assert_eq!((got.text().as_str(), got.result.sent_size), ("5 sized unasked", 5));
    let got = call(&mut clients, header(&user, "POST", "/take"), b"").await.unwrap();
    assert_eq!(got.text(), "0 sized unasked");
    let got = call(&mut clients, header(&user, "PUT", "/busy-put"), b"short").await.unwrap();
    assert_eq!((got.head.status, got.result.attempts), (200, 3));
    let got = call(&mut clients, header(&user, "PUT", "/busy-large"), &body).await.unwrap();
    assert_eq!((got.head.status, got.result.attempts), (503, 1));

    // Refused by its head: nothing is sent. Refused in the middle: the rest is not.
    let got = call(&mut clients, header(&user, "PUT", "/refuse"), &body).await.unwrap();
    assert_eq!((got.head.status, got.result.sent_size), (401, 0));
    let endless = slowly(Bytes::from(vec![1; 64 * 1024]), Duration::from_millis(1));
    let got = call_with(&mut clients, header(&user, "PUT", "/early"), endless).await.unwrap();
    assert_eq!((got.head.status, got.text().as_str()), (413, "enough"));
    assert!(got.result.sent_size >= 64 * 1024);

    // Broken off by the server, and by the caller, who has said another length.
    let status =
        call(&mut clients, header(&user, "PUT", "/reset-upload"), &vec![7; 32 * MIB]).await.unwrap_err();
    assert_eq!(status.reason(), "PLATFORM_UNAVAILABLE", "{status:?}");
    for (length, sent) in [(10, 5), (10, 15), (3 * MIB, 2 * MIB), (3 * MIB, 3 * MIB + 1)] {
        let path = format!("/wrong/{length}/{sent}");
        let wrong = v1::CallHeader { content_length: Some(length as u64), ..header(&user, "PUT", &path) };
        // One byte too many in a chunk of its own is not looked at: the length was declared.
        let got = call_with(
            &mut clients,
            wrong,
            tokio_stream::iter(life_e2e::streams::chunks(&vec![7; sent], 700_001)),
        )
        .await;
        assert_eq!(got.reason(), "STREAM_PROTOCOL", "{path}");
        assert_eq!(server.completed(&path), 0, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_a_limit_or_a_caller_that_goes_ends_a_call_and_its_connection() {
    let Scene { _platform, agent, server, mut clients, user } = scene().await;
    let limit = |seconds, nanos| Some(prost_types(seconds, nanos));
    for (path, method) in [("/drip", "GET"), ("/swallow", "PUT")] {
        let endless = || {
            let chunks = if method == "GET" { 0 } else { usize::MAX };
            slowly(Bytes::from_static(b"x"), Duration::from_millis(5)).take(chunks)
        };
        let start = |limit| v1::CallHeader { time_limit: limit, ..header(&user, method, path) };

        // The limit.
        let got = call_with(&mut clients, start(limit(1, 0)), endless()).await;
        assert_eq!(got.reason(), "DEADLINE_EXCEEDED", "{path}");
        server.all_closed(path).await;

        // The caller goes, and its connection with it.
        let mut other = agent.clients().await;
        let (ask, body) = (start(None), endless());
        let work = tokio::spawn(async move { call_with(&mut other, ask, body).await });
        server.one_open(path).await;
        work.abort();
        server.all_closed(path).await;

        // The lock.
        let mut other = clients.clone();
        let (ask, body) = (start(None), endless());
        let work = tokio::spawn(async move { call_with(&mut other, ask, body).await });
        server.one_open(path).await;
        let lock = v1::LockCredentialRequest { user: user.name.clone() };
        clients.credentials.lock(lock).await.unwrap();
        assert_eq!(work.await.unwrap().reason(), "CREDENTIAL_LOCKED", "{path}");
        server.all_closed(path).await;
        user.unlock(&mut clients).await;
        // None of the bodies that broke off came to an end that a server could take for theirs.
        assert_eq!(server.completed(path), 0, "{path}");
    }
    for bad in [limit(0, 0), limit(-1, 0), limit(86_401, 0)] {
        let ask = v1::CallHeader { time_limit: bad, ..header(&user, "GET", "/plain") };
        assert_eq!(call(&mut clients, ask, b"").await.reason(), "INVALID_ARGUMENT");
    }
}

fn prost_types(seconds: i64, nanos: i32) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos }
}
