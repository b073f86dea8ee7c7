//! What an inbox has no room for: quotas, full disks, and memory that does not grow with what passes through.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use axum::body::Body;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use support::client::{octets, request};
use support::content::{envelope, stream};
use support::{Agent, Options, Platform};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn one_depositor_cannot_fill_what_others_use() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\nshare_bytes = 3_000_000\nshare_messages = 3\ndepositor_messages = 5\n\
                 share_deposits_per_minute = 11\n",
        ..Options::default()
    });
    let (greedy, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let to = Agent::register(&platform).await;
    let key = to.draft.root.public_key();
    let (small, large) = (envelope(b"x", key), stream(2_000_000, key));
    // Invisible ones count, and what is replaced does not count twice.
    greedy.client.put_octets(&to.inbox("m1"), large.clone()).await.expect(201);
    greedy.client.put_octets(&to.inbox("m2"), large.clone()).await.refused(507, "DEPOSIT_LIMIT");
    greedy.client.put_octets(&to.inbox("m1"), large.clone()).await.expect(200);
    greedy.client.publish(&to.inbox("m1")).await.expect(200);
    for id in ["m2", "m3"] {
        greedy.client.deposit(&to.inbox(id), small.clone()).await;
    }
    greedy.client.put_octets(&to.inbox("m4"), small.clone()).await.refused(507, "DEPOSIT_LIMIT");
    // Deleting gives the bytes back, and the id when it is forgotten.
    to.client.delete("/v1/inbox/m1").await.expect(204);
    greedy.client.put_octets(&to.inbox("m4"), small.clone()).await.refused(507, "DEPOSIT_LIMIT");
    // Others still have their share, and the greedy one elsewhere, up to a limit for all.
    other.client.deposit(&to.inbox("o1"), large).await;
    for id in ["m1", "m2"] {
        greedy.client.deposit(&other.inbox(id), small.clone()).await;
    }
    greedy.client.put_octets(&other.inbox("m3"), small.clone()).await.refused(507, "DEPOSIT_LIMIT");
    // Eight attempts in this inbox so far: what is refused is an attempt, too.
    let mut refused = 0;
    for _ in 0..6 {
        let reply = greedy.client.put_octets(&to.inbox("m2"), small.clone()).await;
        refused += usize::from(reply.reason() == "RATE_LIMITED");
    }
    assert!(refused > 0);
    other.client.deposit(&to.inbox("o2"), small).await;
}

#[tokio::test]
async fn quotas_hold_while_content_arrives() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\nmessage_bytes = 3_000_000\ninbox_bytes = 5_000_000\ninbox_messages = 4\n",
        ..Options::default()
    });
    let (agent, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let key = agent.draft.root.public_key();
    let large = stream(4_000_000, key);
    agent.client.put_octets(&agent.inbox("m"), large.clone()).await.refused(413, "TOO_LARGE");
    // Without a length announced, as well.
    let pieces =
        large.chunks(100_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let unannounced = Body::from_stream(futures_util::stream::iter(pieces));
    let reply = agent.client.send(octets("PUT", &agent.inbox("m"), unannounced)).await;
    reply.refused(413, "TOO_LARGE");

    let two = stream(2_000_000, key);
    agent.client.deposit(&agent.inbox("m1"), two.clone()).await;
    // Two at once of which only one has room.
    let at_once = ["m2", "m3"].map(|id| other.client.put_octets(&agent.inbox(id).leak()[..], two.clone()));
    let replies = futures_util::future::join_all(at_once).await;
    let stored = replies.iter().filter(|reply| reply.status == 201).count();
    let full = replies.iter().filter(|reply| reply.reason() == "INBOX_FULL").count();
    assert!(stored <= 1 && stored + full == 2, "{replies:?}");
    for (id, reply) in ["m2", "m3"].iter().zip(&replies) {
        if reply.status == 201 {
            other.client.publish(&agent.inbox(id)).await.expect(200);
        }
    }
    // Another inbox has its own room, and deleting makes room.
    other.client.deposit(&other.inbox("m1"), two.clone()).await;
    for message in agent.client.get("/v1/inbox").await.expect(200).json()["messages"].as_array().unwrap() {
        let id = message["message_id"].as_str().unwrap();
        agent.client.delete(&format!("/v1/inbox/{id}")).await.expect(204);
    }
    let small = envelope(b"x", key);
    for id in ["n1", "n2", "n3", "n4"] {
        agent.client.deposit(&agent.inbox(id), small.clone()).await;
    }
    agent.client.put_octets(&agent.inbox("n5"), small.clone()).await.refused(507, "INBOX_FULL");
    agent.client.put_octets(&agent.inbox("n4"), small.clone()).await.refused(409, "MESSAGE_EXISTS");
    // What is invisible takes room as well.
    agent.client.delete("/v1/inbox/n1").await.expect(204);
    agent.client.put_octets(&agent.inbox("n5"), small.clone()).await.expect(201);
    agent.client.put_octets(&agent.inbox("n6"), small.clone()).await.refused(507, "INBOX_FULL");
    agent.client.put_octets(&agent.inbox("n5"), small).await.expect(200);
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_is_half_written() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\nfree_bytes = 1_000_000_000_000_000\n",
        ..Options::default()
    });
    let agent = Agent::register(&platform).await;
    let content = stream(MIB, agent.draft.root.public_key());
    let reply = agent.client.put_octets(&agent.inbox("m"), content).await.refused(507, "STORAGE_FULL");
    assert!(reply.headers.contains_key("retry-after"));
    let data = platform.root().join("serve/data");
    assert_eq!(std::fs::read_dir(data.join("blobs")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.join("incoming")).unwrap().count(), 0);
    // Everything else goes on.
    agent.client.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_disk_that_runs_full_loses_nothing() {
    let mut platform =
        Platform::start_with(&Options { config: "[limits]\nfree_bytes = 1_500_000\n", ..Options::default() });
    platform.kill_serve();
    if platform.start_serve_on_small_disk("12m").is_none() {
        return support::platform::skipped("no right to mount a small disk here");
    }
    let agent = Agent::register(&platform).await;
    // Larger than the reserve, which is looked at before and leaves room for the database.
    let content = stream(3 * MIB, agent.draft.root.public_key());
    let mut stored = Vec::new();
    let full = loop {
        let id = format!("m{}", stored.len());
        let reply = agent.client.put_octets(&agent.inbox(&id), content.clone()).await;
        if reply.status != 201 {
            break reply;
        }
        agent.client.publish(&agent.inbox(&id)).await.expect(200);
        stored.push(id);
        assert!(stored.len() < 4);
    };
    full.refused(507, "STORAGE_FULL");
    assert!(stored.len() > 1, "{stored:?}");
    for id in &stored {
        let reply = agent.client.get(&format!("/v1/inbox/{id}")).await.expect(200);
        assert_eq!(reply.body, content);
    }
    // What the refused one had taken is free again, and so is what is deleted.
    let small = envelope(b"x", agent.draft.root.public_key());
    agent.client.deposit(&agent.inbox("small"), small).await;
    agent.client.delete(&format!("/v1/inbox/{}", stored[0])).await.expect(204);
    agent.client.deposit(&agent.inbox("again"), content).await;
}

#[tokio::test]
async fn soak_memory_is_constant_at_any_size() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let size = if std::env::var_os("LIFE_SOAK").is_some() { 4096 } else { 192 };
    let small = stream(MIB, agent.draft.root.public_key());
    agent.client.deposit(&agent.inbox("small"), small).await;
    agent.client.get("/v1/inbox/small").await.expect(200);
    let before = peak(platform.serve().child.id());

    // A stream of this size is the same header and segments over and over: their lengths are what is checked.
    let part = stream(2 * MIB - 56 - 16, agent.draft.root.public_key());
    // Behind them an unsigned stream has 16 bytes of trailer and their length.
    let (head, tail) = part.split_at(part.len() - 20);
    let (head, tail) = (head.to_vec(), tail.to_vec());
    let segment = head[head.len() - MIB..].to_vec();
    let pieces = futures_util::stream::iter(0..size + 2).map(move |index| {
        Ok::<_, std::io::Error>(match index {
            0 => head.clone(),
            _ if index == size + 1 => tail.clone(),
            _ => segment.clone(),
        })
    });
    let upload = octets("PUT", &agent.inbox("large"), Body::from_stream(pieces));
    agent.client.send(upload).await.expect(201);
    agent.client.publish(&agent.inbox("large")).await.expect(200);
    let listed = agent.client.get("/v1/inbox").await.expect(200).json();
    assert!(listed["messages"][1]["size"].as_u64().unwrap() > (size as u64) << 20);
    let mut connection = agent.client.open().await.unwrap();
    let download = connection.send_request(request("GET", "/v1/inbox/large", Body::empty())).await.unwrap();
    let (mut frames, mut received) = (download.into_body(), 0);
    while let Some(frame) = frames.frame().await {
        received += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
    }
    assert_eq!(received, listed["messages"][1]["size"].as_u64().unwrap());
    let after = peak(platform.serve().child.id());
    assert!(after - before < 32 << 10, "grew from {before} to {after} KiB");
}

/// The peak of a process's resident memory in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
