//! Clients that are slow, stop, vanish or read nothing: each is dropped, and takes nobody with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::StreamExt;
use support::client::{octets, request};
use support::content::stream;
use support::{Agent, Options, Platform, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_dropped() {
    let platform = Platform::start_with(&Options {
        config: "[timeouts]\nhandshake = 2\nheader = 2\nbody = 2\nidle = 2\n",
        ..Options::default()
    });
    let agent = Agent::register(&platform).await;
    let started = Instant::now();
    tokio::join!(
        never_says_hello(&platform),
        trickles_a_head(&platform),
        stops_in_a_body(&platform, &agent),
        vanishes(&platform, &agent),
        reads_nothing(&agent)
    );
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    // Nothing is left of any of them.
    let incoming = platform.root().join("serve/data/incoming");
    assert_eq!(std::fs::read_dir(incoming).unwrap().count(), 0);
    agent.client.get("/v1/me").await.expect(200);
}

async fn never_says_hello(platform: &Platform) {
    let mut silent = tokio::net::TcpStream::connect(platform.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

async fn trickles_a_head(platform: &Platform) {
    let mut loris = platform.client().tls().await.unwrap();
    for byte in b"GET /v1/versions HTTP/1.1\r\nx: ".iter().cycle().take(300) {
        let written = loris.write_all(&[*byte]).await.is_ok() && loris.flush().await.is_ok();
        let mut answer = [0; 64];
        let read = tokio::time::timeout(Duration::from_millis(100), loris.read(&mut answer)).await;
        if !written || matches!(read, Ok(Ok(0) | Err(_))) {
            return;
        }
    }
    panic!("a head may trickle for ever");
}

/// A JSON body and a message whose rest never comes.
async fn stops_in_a_body(platform: &Platform, agent: &Agent) {
    let stalled = || {
        let first = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![0x30])]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    };
    let mut begin = request("POST", "/v1/registrations", stalled());
    begin.headers_mut().insert("content-type", "application/json".parse().unwrap());
    platform.client().send(begin).await.refused(408, "TIMEOUT");
    agent.client.send(octets("PUT", &agent.inbox("m"), stalled())).await.refused(408, "TIMEOUT");
}

/// A client that goes away in the middle of a message.
async fn vanishes(platform: &Platform, agent: &Agent) {
    let content = stream(1 << 20, agent.draft.root.public_key());
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        agent.inbox("gone"),
        content.len()
    );
    let mut tls = agent.client.tls().await.unwrap();
    tls.write_all(head.as_bytes()).await.unwrap();
    tls.write_all(&content[..content.len() / 2]).await.unwrap();
    tls.flush().await.unwrap();
    let incoming = platform.root().join("serve/data/incoming");
    until(async || std::fs::read_dir(&incoming).unwrap().count() > 0).await;
    drop(tls);
    until(async || std::fs::read_dir(&incoming).unwrap().count() == 0).await;
    agent.client.get("/v1/inbox/gone").await.refused(404, "MESSAGE_UNKNOWN");
}

/// A client that asks for much and reads it only when it is too late.
async fn reads_nothing(agent: &Agent) {
    let content = stream(64 << 20, agent.draft.root.public_key());
    agent.client.deposit(&agent.inbox("big"), content).await;
    let mut deaf = agent.client.tls().await.unwrap();
    deaf.write_all(b"GET /v1/inbox/big HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    deaf.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let mut all = Vec::new();
    let read = deaf.read_to_end(&mut all).await;
    assert!(read.is_err() || all.len() < 64 << 20, "the whole answer waited for a deaf client");
}
