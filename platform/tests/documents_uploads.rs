//! Uploads: in pieces, over broken connections, kills and restarts; what is refused; quotas and full disks.
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
use serde_json::json;
use support::client::{append, octets, request};
use support::documents::{Version, data, files, head, new_id, new_upload, offset, path_of};
use support::{Agent, Options, Platform, until};
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
    // One of a document that has others takes their place when nothing has come for them for a while.
    let document = path_of(b.split('/').nth(3).unwrap());
    let again = format!("{document}/uploads");
    owner.client.append(&b, 0, small.stream.clone()).await.expect(200);
    let instead = json!({ "version": 1, "upload_id": new_upload() });
    // As long as something comes they keep it.
    owner.client.post(&again, &instead).await.refused(507, "DOCUMENTS_FULL");
    let database = rusqlite::Connection::open(platform.root().join("serve/data/platform.db")).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    database.execute("UPDATE document_upload SET expires = expires - 60", []).unwrap();
    owner.client.post(&again, &instead).await.expect(201);
    owner.client.get(&b).await.refused(404, "UPLOAD_UNKNOWN");
    owner.client.append(&b, small.stream.len(), vec![0]).await.refused(404, "UPLOAD_UNKNOWN");
    owner.client.post(&uploads, &begin).await.refused(507, "DOCUMENTS_FULL");
    let b = format!("{again}/{}", instead["upload_id"].as_str().unwrap());
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
