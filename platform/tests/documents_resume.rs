//! Uploads that go on: over broken bodies, appends that hang, and kills of the server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use axum::body::Body;
use futures_util::StreamExt;
use support::client::append;
use support::documents::{Version, data, files, head, new_id, offset, path_of};
use support::{Agent, Options, Platform, until};
use tokio::io::AsyncWriteExt;

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_a_broken_body() {
    let platform = Platform::start_with(&Options { config: "[timeouts]\nidle = 2\n", ..Options::default() });
    let owner = Agent::register(&platform).await;
    let version = Version::new(6 * MIB, &owner, &[]);
    let (id, all) = (new_id(), version.stream.len());
    let upload = owner.client.begin(&id, 1).await;
    // A client that goes away in the middle: what it sent counts.
    let mut tls = owner.client.tls().await.unwrap();
    tls.write_all(head(&upload, 0, all).as_bytes()).await.unwrap();
    tls.write_all(&version.stream[..2_000_000]).await.unwrap();
    tls.shutdown().await.unwrap();
    drop(tls);
    until(async || offset(&owner, &upload).await == 2_000_000).await;
    // One that stops without going away: it is told, and where it is.
    let rest =
        futures_util::stream::iter([Ok::<_, std::io::Error>(version.stream[2_000_000..3_000_000].to_vec())]);
    let stalled = Body::from_stream(rest.chain(futures_util::stream::pending()));
    let reply = owner.client.send(append(&upload, 2_000_000, stalled)).await;
    assert_eq!(reply.headers["upload-offset"], "3000000");
    reply.refused(408, "TIMEOUT");
    owner.client.append(&upload, 3_000_000, version.stream[3_000_000..].to_vec()).await.expect(200);
    owner.client.commit(&upload, &version).await.expect(200);
    assert!(owner.client.content(&id, &[]).await.expect(200).body == version.stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_append_takes_over_from_one_that_hangs() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let version = Version::new(2 * MIB, &owner, &[]);
    let (id, all) = (new_id(), version.stream.len());
    let upload = owner.client.begin(&id, 1).await;
    let mut hanging = owner.client.tls().await.unwrap();
    hanging.write_all(head(&upload, 0, all).as_bytes()).await.unwrap();
    // More than a batch, so that the disk has some of it; the connection stays open.
    hanging.write_all(&version.stream[..1_500_000]).await.unwrap();
    hanging.flush().await.unwrap();
    until(async || files(&platform).first().is_some_and(|file| file.metadata().unwrap().len() > 0)).await;
    assert_eq!(offset(&owner, &upload).await, 0);
    // The client has given that connection up and asks again: the older one's part is acknowledged first.
    let reply = owner.client.append(&upload, 0, version.stream.clone()).await;
    let at: usize = reply.headers["upload-offset"].to_str().unwrap().parse().unwrap();
    reply.refused(409, "UPLOAD_OFFSET_MISMATCH");
    assert!((1..=1_500_000).contains(&at), "{at}");
    owner.client.append(&upload, at, version.stream[at..].to_vec()).await.expect(200);
    // The older one has no part in it any more.
    let _ = hanging.write_all(&version.stream[1_500_000..]).await;
    drop(hanging);
    owner.client.commit(&upload, &version).await.expect(200);
    assert!(owner.client.content(&id, &[]).await.expect(200).body == version.stream);

    // At once from many: the bytes are there once, whoever brought them.
    let upload = owner.client.begin(&id, 2).await;
    let appends = (0..8).map(|_| owner.client.append(&upload, 0, version.stream.clone()));
    for reply in futures_util::future::join_all(appends).await {
        assert!(reply.status == 200 || reply.reason() == "UPLOAD_OFFSET_MISMATCH", "{reply:?}");
    }
    let at = offset(&owner, &upload).await;
    owner.client.append(&upload, at, version.stream[at..].to_vec()).await.expect(200);
    owner.client.commit(&upload, &version).await.expect(200);
    assert!(owner.client.content(&id, &[]).await.expect(200).body == version.stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_outlives_a_kill_of_the_server() {
    let mut platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let version = Version::new(24 * MIB, &owner, &[]);
    let (id, all) = (new_id(), version.stream.len());
    let upload = owner.client.begin(&id, 1).await;
    owner.client.append(&upload, 0, version.stream[..3 * MIB].to_vec()).await.expect(200);
    let mut client = owner.client.clone();
    let mut acknowledged = 3 * MIB;
    // Killed once in the middle of a long append, and once between two.
    for (round, hold) in [(0, true), (1, false)] {
        let mut tls = client.tls().await.unwrap();
        tls.write_all(head(&upload, acknowledged, all - acknowledged).as_bytes()).await.unwrap();
        let sent = acknowledged + 10 * MIB;
        tls.write_all(&version.stream[acknowledged..sent]).await.unwrap();
        tls.flush().await.unwrap();
        // So long an append acknowledges by itself on the way.
        until(async || {
            let upload = client.get(&upload).await.expect(200).json();
            upload["offset"].as_u64().unwrap() > acknowledged as u64
        })
        .await;
        acknowledged =
            usize::try_from(client.get(&upload).await.expect(200).json()["offset"].as_u64().unwrap())
                .unwrap();
        if !hold {
            drop(tls);
        }
        platform.kill_serve();
        if round == 0 {
            // What a kill may leave beyond that, here some more of it.
            let file = files(&platform).pop().unwrap();
            let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
            std::io::Write::write_all(&mut file, b"never acknowledged").unwrap();
        }
        platform.start_serve();
        client = owner.client.at(platform.address);
        let now = client.get(&upload).await.expect(200).json()["offset"].as_u64().unwrap();
        assert!(
            now >= acknowledged as u64 && now <= sent as u64,
            "{now}, {acknowledged} acknowledged, {sent} sent"
        );
        acknowledged = usize::try_from(now).unwrap();
    }
    client.append(&upload, acknowledged, version.stream[acknowledged..].to_vec()).await.expect(200);
    platform.kill_serve();
    platform.start_serve();
    let client = owner.client.at(platform.address);
    let committed = client.commit(&upload, &version).await.expect(200);
    platform.kill_serve();
    platform.start_serve();
    // Also the answer that was lost: the same commit again.
    let client = owner.client.at(platform.address);
    assert_eq!(client.commit(&upload, &version).await.expect(200).body, committed.body);
    assert!(client.content(&id, &[]).await.expect(200).body == version.stream);
    assert_eq!(files(&platform).len(), 1);
    assert!(!data(&platform).join("quarantine").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_stays_whole_whose_upload_is_given_up_while_it_is_committed() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let version = Version::new(300_000, &owner, &[]);
    let mut committed = 0;
    for _ in 0..20 {
        let id = new_id();
        let upload = owner.client.begin(&id, 1).await;
        owner.client.append(&upload, 0, version.stream.clone()).await.expect(200);
        // Several, so that one has looked at the upload before it is a document, and acts after.
        let deletes = futures_util::future::join_all((0..4).map(|_| owner.client.delete(&upload)));
        let (reply, _) = tokio::join!(owner.client.commit(&upload, &version), deletes);
        if reply.status == 200 {
            committed += 1;
            assert!(owner.client.content(&id, &[]).await.expect(200).body == version.stream);
        } else {
            reply.refused(404, "UPLOAD_UNKNOWN");
            owner.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
        }
    }
    assert!(committed > 0, "no commit was ever first");
}
