//! Uploads: in pieces, over broken connections, kills and restarts; what is refused; quotas and full disks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::json;
use support::client::{append, octets, request};
use support::documents::{Version, new_id, new_upload, path_of};
use support::{Agent, Options, Platform};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn quotas_count_what_is_stored_and_what_is_on_its_way() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\ndocuments = 4\ndocuments_bytes = 3_000_000\ndocument_bytes = 2_000_000\n\
                 document_uploads = 2\ndocuments_readers = 2\n",
        ..Options::default()
    });
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (small, large) = (Version::new(1000, &owner, &[]), Version::new(1_500_000, &owner, &[]));
    let first = new_id();
    owner.client.store(&first, 1, &large).await;
    // Bytes: of open uploads as well, up to the last one.
    let upload = owner.client.begin(&new_id(), 1).await;
    let reply = owner.client.append(&upload, 0, large.stream.clone()).await;
    let kept: u64 = reply.headers["upload-offset"].to_str().unwrap().parse().unwrap();
    reply.refused(507, "DOCUMENTS_FULL");
    assert_eq!(owner.client.get(&upload).await.expect(200).json()["offset"], kept);
    let too_long = vec![0; 2_000_001];
    owner.client.append(&upload, 0, too_long).await.refused(413, "TOO_LARGE");
    owner.client.delete(&upload).await.expect(204);
    // Uploads.
    let (a, b) = (owner.client.begin(&new_id(), 1).await, owner.client.begin(&new_id(), 1).await);
    let begin = json!({ "version": 1, "upload_id": new_upload() });
    let uploads = format!("{}/uploads", path_of(&new_id()));
    owner.client.post(&uploads, &begin).await.refused(507, "DOCUMENTS_FULL");
    for upload in [&a, &b] {
        owner.client.delete(upload).await.expect(204);
    }
    // Documents, and ids of those deleted; a new version of one is always possible.
    let ids = [new_id(), new_id(), new_id()];
    for id in &ids {
        owner.client.store(id, 1, &small).await;
    }
    owner.client.post(&uploads, &begin).await.refused(507, "DOCUMENTS_FULL");
    owner.client.delete(&format!("{}?version=1", path_of(&ids[2]))).await.expect(204);
    owner.client.post(&uploads, &begin).await.refused(507, "DOCUMENTS_FULL");
    owner.client.store(&ids[0], 2, &small).await;
    // Readers.
    let for_reader = Version::new(1000, &owner, &[&reader]);
    owner.client.store(&ids[0], 3, &for_reader).await;
    owner.client.store(&ids[1], 2, &for_reader).await;
    owner.client.store(&ids[1], 3, &for_reader).await;
    let share = large.shared(&owner, &[&reader]).share_body(1, 0);
    let path = format!("{}/sharing", path_of(&first));
    owner.client.post(&path, &share).await.refused(507, "DOCUMENTS_FULL");
    reader.client.get(&path_of(&first)).await.refused(404, "DOCUMENT_UNKNOWN");
    owner.client.store(&ids[1], 4, &small).await;
    owner.client.post(&path, &share).await.expect(200);
    // None of this is anybody else's.
    reader.client.store(&new_id(), 1, &Version::new(1_500_000, &reader, &[])).await;
}

fn data(platform: &Platform) -> std::path::PathBuf {
    platform.root().join("serve/data")
}

fn files(platform: &Platform) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(data(platform).join("blobs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

async fn until(mut done: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if done().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("did not happen within 30 s");
}

async fn offset(agent: &Agent, upload: &str) -> usize {
    let upload = agent.client.get(upload).await.expect(200).json();
    usize::try_from(upload["offset"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn content_arrives_in_pieces_of_any_size() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    // At every boundary of segments, and with pieces that end inside the header and inside the trailer.
    let first = MIB - 56;
    for length in [0, 1, first, first + 1, first + MIB - 16, 2 * MIB] {
        let version = Version::new(length, &owner, &[]);
        let id = new_id();
        let upload = owner.client.begin(&id, 1).await;
        let (start, all) = (version.start(), version.stream.len());
        let mut cuts = vec![
            0,
            1,
            8,
            12,
            13,
            14,
            start - 41,
            start - 40,
            start - 39,
            start,
            start + 1,
            all - 4,
            all - 1,
            all,
        ];
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            let reply =
                owner.client.append(&upload, pair[0], version.stream[pair[0]..pair[1]].to_vec()).await;
            assert_eq!(reply.expect(200).json()["offset"], pair[1]);
            if pair[1] < all {
                owner.client.commit(&upload, &version).await.refused(422, "CONTENT_REFUSED");
            }
        }
        owner.client.commit(&upload, &version).await.expect(200);
        assert_eq!(owner.client.content(&id, &[]).await.expect(200).body, version.stream);
    }
}

#[tokio::test]
async fn a_body_of_single_bytes_arrives_as_well() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let (id, version) = (new_id(), Version::new(5000, &owner, &[]));
    let upload = owner.client.begin(&id, 1).await;
    let bytes: Vec<_> = version.stream.iter().map(|byte| Ok::<_, std::io::Error>(vec![*byte])).collect();
    let body = Body::from_stream(futures_util::stream::iter(bytes));
    let reply = owner.client.send(append(&upload, 0, body)).await.expect(200).json();
    assert_eq!(reply["offset"], version.stream.len());
    owner.client.commit(&upload, &version).await.expect(200);
    assert_eq!(owner.client.content(&id, &[]).await.expect(200).body, version.stream);
}

#[tokio::test]
async fn soak_memory_is_constant_at_any_size() {
    let mut platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let size = if std::env::var_os("LIFE_SOAK").is_some() { 4096 } else { 192 };
    owner.client.store(&new_id(), 1, &Version::new(MIB, &owner, &[])).await;
    let before = peak(platform.serve().child.id());
    // As in an inbox: the same header and segments over and over, for their lengths are what is checked.
    let version = Version::new(2 * MIB - 56 - 16, &owner, &[]);
    let (head, tail) = version.stream.split_at(version.stream.len() - 20);
    let (head, tail) = (head.to_vec(), tail.to_vec());
    let segment = head[head.len() - MIB..].to_vec();
    let length = (head.len() + size * MIB + tail.len()) as u64;
    let pieces = futures_util::stream::iter(0..size + 2).map(move |index| {
        Ok::<_, std::io::Error>(match index {
            0 => head.clone(),
            _ if index == size + 1 => tail.clone(),
            _ => segment.clone(),
        })
    });
    let id = new_id();
    let upload = owner.client.begin(&id, 1).await;
    let reply = owner.client.send(append(&upload, 0, Body::from_stream(pieces))).await.expect(200);
    assert_eq!(reply.json()["offset"], length);
    owner.client.commit(&upload, &version).await.expect(200);
    let mut connection = owner.client.open().await.unwrap();
    let download = request("GET", &format!("{}/content", path_of(&id)), Body::empty());
    let mut frames = connection.send_request(download).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = frames.frame().await {
        received += frame.unwrap().into_data().map_or(0, |data| data.len() as u64);
    }
    assert_eq!(received, length);
    let after = peak(platform.serve().child.id());
    assert!(after - before < 32 << 10, "grew from {before} to {after} KiB");
}

/// The peak of a process's resident memory in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_does_not_belong_there_is_not_appended() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let version = Version::new(3000, &owner, &[]);
    let upload = owner.client.begin(&new_id(), 1).await;
    owner.client.append(&upload, 0, version.stream[..1000].to_vec()).await.expect(200);
    for wrong in [0, 1, 999, 1001, 5000, usize::MAX >> 1] {
        let reply = owner.client.append(&upload, wrong, version.stream[1000..].to_vec()).await;
        if wrong < 1 << 30 {
            assert_eq!(reply.headers["upload-offset"], "1000");
            reply.refused(409, "UPLOAD_OFFSET_MISMATCH");
        } else {
            reply.refused(413, "TOO_LARGE");
        }
    }
    for bad in ["", "-1", "+1000", "01000", "1e3", "x", "18446744073709551616"] {
        let mut request = octets("PATCH", &upload, "x");
        request.headers_mut().insert("upload-offset", bad.parse().unwrap());
        owner.client.send(request).await.refused(400, "INVALID_ARGUMENT");
    }
    owner.client.send(octets("PATCH", &upload, "x")).await.refused(400, "INVALID_ARGUMENT");
    let mut untyped = request("PATCH", &upload, "x");
    untyped.headers_mut().insert("upload-offset", "1000".parse().unwrap());
    owner.client.send(untyped).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let ids =
        [new_id(), "me".to_owned(), new_id().to_uppercase(), "..%2F..%2Fca".to_owned(), "%00".to_owned()];
    for id in &ids[1..] {
        owner.client.get(&path_of(id)).await.refused(400, "INVALID_ARGUMENT");
        owner.client.content(id, &[]).await.refused(400, "INVALID_ARGUMENT");
    }
    for upload in ["x", "..%2Fx", &"a".repeat(31), &"A".repeat(32), &"a".repeat(64)] {
        let path = format!("{}/uploads/{upload}", path_of(&ids[0]));
        owner.client.get(&path).await.refused(400, "INVALID_ARGUMENT");
        owner.client.append(&path, 0, "x").await.refused(400, "INVALID_ARGUMENT");
        let begin = json!({ "version": 1, "upload_id": upload });
        let uploads = format!("{}/uploads", path_of(&ids[0]));
        owner.client.post(&uploads, &begin).await.refused(400, "INVALID_ARGUMENT");
    }
    // None of this has moved anything.
    assert_eq!(offset(&owner, &upload).await, 1000);
    let rest = version.stream[1000..].to_vec();
    owner.client.append(&upload, 1000, rest).await.expect(200);
    owner.client.commit(&upload, &version).await.expect(200);
}

#[tokio::test]
async fn only_a_sealed_stream_stays() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let version = Version::new(2 * MIB, &owner, &[]);
    let start = version.start();
    let mut no_tink = version.stream.clone();
    no_tink[start - 40] = 41;
    let mut other_version = version.stream.clone();
    other_version[8] = 2;
    let mut no_envelope = version.stream.clone();
    no_envelope[13] = 0x31;
    let mut huge_header = version.stream.clone();
    huge_header[9..13].copy_from_slice(&(2u32 << 20).to_be_bytes());
    let cases = [
        ("text", b"name: Erika Mustermann".to_vec()),
        ("FHIR", br#"{"resourceType":"Bundle"}"#.to_vec()),
        ("an envelope", version.metadata.clone()),
        ("no Tink header", no_tink),
        ("an unknown version", other_version),
        ("no envelope", no_envelope),
        ("too long a header", huge_header),
    ];
    for (what, content) in cases {
        // At once, and byte by byte as far as it decides.
        for pieces in [vec![content.clone()], vec![content[..5].to_vec(), content[5..].to_vec()]] {
            let upload = owner.client.begin(&new_id(), 1).await;
            let mut at = 0;
            let mut reasons = Vec::new();
            for piece in pieces {
                let length = piece.len();
                reasons.push(owner.client.append(&upload, at, piece).await.reason());
                at += length;
            }
            assert!(reasons.contains(&"CONTENT_REFUSED".to_owned()), "{what}: {reasons:?}");
            // It is gone, file and all.
            owner.client.get(&upload).await.refused(404, "UPLOAD_UNKNOWN");
            assert_eq!(files(&platform).len(), 0, "{what}");
        }
    }
    // What begins well is looked at as a whole when it is committed; it may still be completed then.
    let all = version.stream.len();
    let id = new_id();
    let upload = owner.client.begin(&id, 1).await;
    owner.client.commit(&upload, &version).await.refused(422, "CONTENT_REFUSED");
    let mut at = 0;
    for cut in [start, start + 10, start + MIB - 40, all - 20, all - 4, all - 1] {
        owner.client.append(&upload, at, version.stream[at..cut].to_vec()).await.expect(200);
        at = cut;
        owner.client.commit(&upload, &version).await.refused(422, "CONTENT_REFUSED");
    }
    owner.client.append(&upload, at, version.stream[at..].to_vec()).await.expect(200);
    let longer = owner.client.begin(&id, 1).await;
    owner.client.append(&longer, 0, [version.stream.clone(), vec![1; 9]].concat()).await.expect(200);
    owner.client.commit(&longer, &version).await.refused(422, "CONTENT_REFUSED");
    owner.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
    owner.client.commit(&upload, &version).await.expect(200);
}

/// The head of an append with so many bytes announced.
fn head(upload: &str, offset: usize, length: usize) -> String {
    format!(
        "PATCH {upload} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
         upload-offset: {offset}\r\ncontent-length: {length}\r\n\r\n"
    )
}

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

#[tokio::test]
async fn uploads_expire_and_leave_nothing() {
    let mut platform =
        Platform::start_with(&Options { config: "[timeouts]\nupload = 6\n", ..Options::default() });
    let owner = Agent::register(&platform).await;
    let version = Version::new(1000, &owner, &[]);
    let (id, kept) = (new_id(), new_id());
    owner.client.store(&kept, 1, &version).await;
    let upload = owner.client.begin(&id, 1).await;
    owner.client.append(&upload, 0, version.stream.clone()).await.expect(200);
    assert_eq!(files(&platform).len(), 2);
    until(async || owner.client.get(&upload).await.status == 404).await;
    owner.client.append(&upload, version.stream.len(), "").await.refused(404, "UPLOAD_UNKNOWN");
    owner.client.commit(&upload, &version).await.refused(404, "UPLOAD_UNKNOWN");
    // The same id begins anew.
    let begin = json!({ "version": 1, "upload_id": upload.rsplit('/').next().unwrap() });
    let again = owner.client.post(&format!("{}/uploads", path_of(&id)), &begin).await.expect(201);
    assert_eq!(again.json()["offset"], 0);
    until(async || owner.client.get(&upload).await.status == 404).await;
    // An append that was still running then has no part in the upload that comes after, under the same id.
    owner.client.post(&format!("{}/uploads", path_of(&id)), &begin).await.expect(201);
    let (head, half) = (head(&upload, 0, version.stream.len()), version.stream.len() / 2);
    let mut late = owner.client.tls().await.unwrap();
    late.write_all(head.as_bytes()).await.unwrap();
    late.write_all(&version.stream[..half]).await.unwrap();
    late.flush().await.unwrap();
    until(async || owner.client.get(&upload).await.status == 404).await;
    owner.client.post(&format!("{}/uploads", path_of(&id)), &begin).await.expect(201);
    late.write_all(&version.stream[half..]).await.unwrap();
    let mut answer = [0; 12];
    late.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 404");
    assert_eq!(offset(&owner, &upload).await, 0);
    until(async || owner.client.get(&upload).await.status == 404).await;
    // Maintenance, which runs at every start too, removes the files.
    platform.kill_serve();
    platform.start_serve();
    until(async || files(&platform).len() == 1).await;
    let client = owner.client.at(platform.address);
    assert_eq!(client.content(&kept, &[]).await.expect(200).body, version.stream);
    assert!(!data(&platform).join("quarantine").exists());
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let mut platform =
        Platform::start_with(&Options { config: "[limits]\nfree_bytes = 1_500_000\n", ..Options::default() });
    platform.kill_serve();
    if platform.start_serve_on_small_disk("12m").is_none() {
        return support::platform::skipped("no right to mount a small disk here");
    }
    let owner = Agent::register(&platform).await;
    let version = Version::new(3 * MIB, &owner, &[]);
    let mut stored = Vec::new();
    let (id, upload, at) = loop {
        let id = new_id();
        let upload = owner.client.begin(&id, 1).await;
        let reply = owner.client.append(&upload, 0, version.stream.clone()).await;
        if reply.status != 200 {
            reply.refused(507, "STORAGE_FULL");
            break (id, upload.clone(), offset(&owner, &upload).await);
        }
        owner.client.commit(&upload, &version).await.expect(200);
        stored.push(id);
        assert!(stored.len() < 4);
    };
    assert!(stored.len() > 1, "{stored:?}");
    for id in &stored {
        assert!(owner.client.content(id, &[]).await.expect(200).body == version.stream);
    }
    // Once there is room, it goes on where it was.
    owner.client.delete(&format!("{}?version=1", path_of(&stored[0]))).await.expect(204);
    owner.client.append(&upload, at, version.stream[at..].to_vec()).await.expect(200);
    owner.client.commit(&upload, &version).await.expect(200);
    assert!(owner.client.content(&id, &[]).await.expect(200).body == version.stream);
}

#[tokio::test]
async fn too_fast_is_said() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\ndocument_writes_per_minute = 3\ndocument_appends_per_minute = 2\n",
        ..Options::default()
    });
    let (owner, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let version = Version::new(10, &owner, &[]);
    let upload = owner.client.begin(&new_id(), 1).await;
    for _ in 0..2 {
        owner.client.append(&upload, 0, "").await.expect(200);
    }
    let reply = owner.client.append(&upload, 0, "").await;
    assert!(reply.headers.contains_key("retry-after"));
    reply.refused(429, "RATE_LIMITED");
    for _ in 0..2 {
        owner.client.commit(&upload, &version).await.refused(422, "CONTENT_REFUSED");
    }
    owner.client.commit(&upload, &version).await.refused(429, "RATE_LIMITED");
    other.client.begin(&new_id(), 1).await;
}
