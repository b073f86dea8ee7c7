//! Api.Call with bodies of any size: through nginx up and down, as they are, in constant memory.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::calls::{call_with, header};
use life_e2e::nginx::Nginx;
use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User};
use life_proto::v1::{self, ParticipantKind, call_request::Message as Ask, call_response::Message as Reply};

/// What a longer body may add to the broker's peak, in KiB.
const ALLOWANCE_KIB: u64 = 32 * 1024;

/// The bytes of one MiB, different for each.
fn block(number: u64) -> Bytes {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..(1 << 20) / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect::<Vec<_>>().into()
}

/// Gets a path and compares it with the blocks, holding one.
async fn compare(clients: &mut Clients, user: &User, path: &str, mib: u64) {
    let ask = v1::CallRequest { message: Some(Ask::Header(header(user, "GET", path))) };
    let mut replies = clients.api.call(tokio_stream::once(ask)).await.unwrap().into_inner();
    let (mut number, mut expected, mut done) = (0, Bytes::new(), None);
    while let Some(reply) = replies.message().await.unwrap() {
        match reply.message.unwrap() {
            Reply::Answer(head) => assert_eq!(head.status, 200),
            Reply::Chunk(mut chunk) => {
                while !chunk.is_empty() {
                    if expected.is_empty() {
                        expected = block(number);
                        number += 1;
                    }
                    let length = chunk.len().min(expected.len());
                    assert!(chunk.split_to(length) == expected.split_to(length), "in block {number}");
                }
            }
            Reply::Result(result) => done = Some(result.size),
        }
    }
    assert_eq!(done, Some(mib << 20));
}

/// 64 MiB in everyday tests, 1 GiB with LIFE_SOAK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_go_both_ways_in_constant_memory() {
    let mib = if std::env::var_os("LIFE_SOAK").is_some() { 1024 } else { 64 };
    let platform = Platform::start();
    // `/chunks/` is `/store/` without a length.
    let chunks = "location /chunks/ { alias store/; ssi on; ssi_types application/octet-stream; ssi_min_file_chunk 64k; }";
    let nginx = Nginx::start(&platform, chunks);
    let agent = Agent::start_with(&platform, &nginx.section(""));
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Institution).await;
    let pid = clients.status().await.broker.unwrap().pid;
    let mut small = 0;
    for size in [1, mib] {
        for declared in [true, false] {
            let body = tokio_stream::iter((0..size).map(block));
            let length = declared.then_some(size << 20);
            let put = v1::CallHeader { content_length: length, ..header(&user, "PUT", "/store/scan") };
            let got = call_with(&mut clients, put, body).await.unwrap();
            assert!(matches!(got.head.status, 201 | 204), "{}", got.head.status);
            assert_eq!((got.result.sent_size, got.result.attempts), (size << 20, 1));
            compare(&mut clients, &user, "/store/scan", size).await;
        }
        if small == 0 {
            small = memory_kib(pid).1;
        }
    }
    let large = memory_kib(pid).1;
    assert!(large <= small + ALLOWANCE_KIB, "peak {small} KiB at 1 MiB, {large} KiB at {mib} MiB");
    // The same without a length, and all over as few connections as a single caller needs.
    compare(&mut clients, &user, "/chunks/scan", mib).await;
    let log = nginx.log();
    let mut connections: Vec<_> = log.iter().map(|line| line.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), 1, "{log:?}");
}
