//! Api.Call where a connection does not come about, or there is no more to be had.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::calls::{call, call_with, header};
use life_e2e::nginx::Nginx;
use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::{self, ParticipantKind};
use tokio_stream::StreamExt;
use tonic::Status;
use tonic_types::StatusExt;

const MIB: usize = 1024 * 1024;

async fn ready(platform: &Platform, section: &str) -> (Agent, Clients, User) {
    let agent = Agent::start_with(platform, section);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    (agent, clients, user)
}

fn request_sent(status: &Status) -> String {
    status.get_details_error_info().unwrap().metadata["request_sent"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_finds_all_connections_at_work_is_told() {
    let platform = Platform::start();
    let nginx = Nginx::start(&platform, "");
    let section = nginx.section("max_connections = 1\nconnect_seconds = 1");
    let (_agent, mut clients, user) = ready(&platform, &section).await;

    // A chunk that no stream takes ends its call, and gives the place back.
    let large = tokio_stream::iter([Bytes::from(vec![0; MIB + 1])]);
    let got = call_with(&mut clients, header(&user, "PUT", "/store/large"), large).await;
    assert_eq!(got.reason(), "MESSAGE_TOO_LARGE");

    let slow = v1::CallHeader { content_length: Some(1 << 30), ..header(&user, "PUT", "/store/slow") };
    let chunks = std::iter::repeat(Bytes::from_static(b"x"));
    let chunks = Box::pin(tokio_stream::iter(chunks).throttle(Duration::from_millis(5)));
    let mut other = clients.clone();
    let work = tokio::spawn(async move { call_with(&mut other, slow, chunks).await });
    eventually("the slow call is under way", Duration::from_secs(20), || nginx.connections() == 1);
    let status = call(&mut clients, header(&user, "GET", "/echo/"), b"").await.unwrap_err();
    assert_eq!((status.reason().as_str(), request_sent(&status).as_str()), ("RESOURCE_EXHAUSTED", "no"));

    work.abort();
    assert!(work.await.is_err());
    let got = call(&mut clients, header(&user, "GET", "/echo/"), b"").await.unwrap();
    assert_eq!(got.head.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_an_older_tls_is_not_called() {
    let platform = Platform::start();
    let mut nginx = Nginx::start(&platform, "");
    let config = std::fs::read_to_string(nginx.path("nginx.conf")).unwrap();
    assert!(config.contains("TLSv1.3"));
    nginx.kill();
    std::fs::write(nginx.path("nginx.conf"), config.replace("TLSv1.3", "TLSv1.2")).unwrap();
    nginx.run();
    let (_agent, mut clients, user) = ready(&platform, &nginx.section("")).await;
    let status = call(&mut clients, header(&user, "POST", "/echo/"), b"").await.unwrap_err();
    assert_eq!((status.reason().as_str(), request_sent(&status).as_str()), ("PLATFORM_UNAVAILABLE", "no"));
    assert!(nginx.log().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_given_up_and_the_caller_learns_where_to_look() {
    let platform = Platform::start();
    // The kernel takes the connection, and nobody speaks.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let section = format!(
        "[api]\norigin = 'https://{}'\nconnect_seconds = 1\nallow = [{{ methods = ['POST'], path = '/**' }}]\n",
        mute.local_addr().unwrap()
    );
    let (_agent, mut clients, user) = ready(&platform, &section).await;
    let status = call(&mut clients, header(&user, "POST", "/"), b"").await.unwrap_err();
    assert_eq!((status.reason().as_str(), request_sent(&status).as_str()), ("PLATFORM_UNAVAILABLE", "no"));
    let text = status.message();
    assert!(text.contains("no connection came about in time") && text.contains("[api] origin"), "{text}");
    assert!(!text.contains("platform"), "{text}");
}
