//! SIGKILL in the middle of documents' writes: what was acknowledged is there, what was not is there whole or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::client::{Client, append, json_request, request};
use support::documents::{Version, new_id, new_upload, path_of};
use support::{Agent, Options, Platform};

/// A state of a document: version and how often it was shared.
type State = (u64, u64);

/// What one writer knows of its document.
struct Written {
    id: String,
    /// What each state would look like.
    sent: BTreeMap<State, Version>,
    /// The last state that was answered for, and the one that was asked for last.
    acknowledged: State,
    asked: State,
    delete: Delete,
    /// The open upload, what it is of, and how many of its bytes were acknowledged.
    upload: Option<(String, Version, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delete {
    No,
    Asked,
    Acknowledged,
}

/// The server is gone.
struct Gone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_kill_leaves_every_document_whole() {
    let rounds = if std::env::var_os("LIFE_SOAK").is_some() { 200 } else { 12 };
    let mut platform = Platform::start_with(&Options {
        config: "[limits]\ndocument_writes_per_minute = 0\ndocument_appends_per_minute = 0\n",
        ..Options::default()
    });
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let versions = Arc::new([1000, 300_000, 2_500_000].map(|length| {
        let one = Version::new(length, &owner, &[]);
        let shared = one.shared(&owner, &[&reader]);
        (one, shared)
    }));
    let (mut acknowledged, mut cut_off) = (0, 0);
    for round in 0..rounds {
        let client = owner.client.at(platform.address);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (client, versions) = (client.clone(), Arc::clone(&versions));
                tokio::spawn(async move { write(&client, &*versions, writer).await })
            })
            .collect();
        // From before the first write to well into the stream of them.
        tokio::time::sleep(Duration::from_millis(5 + (round * 71) % 400)).await;
        platform.kill_serve();
        let mut written = Vec::new();
        for writer in writers {
            written.extend(writer.await.unwrap());
        }
        platform.start_serve();
        let client = owner.client.at(platform.address);
        for document in &written {
            verify(&client, document).await;
            acknowledged += document.acknowledged.0;
            cut_off += u64::from(document.asked != document.acknowledged || document.upload.is_some());
        }
        no_orphans(&platform);
    }
    assert!(acknowledged > rounds, "only {acknowledged} versions were acknowledged");
    assert!(cut_off > rounds / 4, "only {cut_off} writes were cut off");
}

/// Documents one after another, each with some versions, until the server is gone.
async fn write(client: &Client, versions: &[(Version, Version)], writer: usize) -> Vec<Written> {
    let mut documents = Vec::new();
    for count in writer.. {
        let mut document = Written {
            id: new_id(),
            sent: BTreeMap::new(),
            acknowledged: (0, 0),
            asked: (0, 0),
            delete: Delete::No,
            upload: None,
        };
        let ended = write_one(client, versions, count, &mut document).await;
        documents.push(document);
        if ended.is_err() {
            break;
        }
    }
    documents
}

async fn write_one(
    client: &Client,
    versions: &[(Version, Version)],
    count: usize,
    document: &mut Written,
) -> Result<(), Gone> {
    let path = path_of(&document.id);
    for number in 1..=3 {
        let (one, shared) = &versions[(count + usize::try_from(number).unwrap()) % versions.len()];
        let id = new_upload();
        let body = json!({ "version": number, "upload_id": id });
        ask(client, json_request("POST", &format!("{path}/uploads"), &body)).await?;
        let upload = format!("{path}/uploads/{id}");
        let mut at = 0;
        for piece in one.stream.chunks(1_000_000) {
            document.upload = Some((upload.clone(), one.clone(), at));
            ask(client, append(&upload, at as u64, piece.to_vec())).await?;
            at += piece.len();
        }
        document.upload = Some((upload.clone(), one.clone(), at));
        document.sent.insert((number, 0), one.clone());
        document.asked = (number, 0);
        ask(client, json_request("POST", &format!("{upload}/commit"), &one.commit_body())).await?;
        document.acknowledged = (number, 0);
        document.upload = None;
        if number == 2 {
            document.sent.insert((number, 1), shared.clone());
            document.asked = (number, 1);
            ask(client, json_request("POST", &format!("{path}/sharing"), &shared.share_body(number, 0)))
                .await?;
            document.acknowledged = (number, 1);
        }
    }
    if count.is_multiple_of(3) {
        document.delete = Delete::Asked;
        ask(client, request("DELETE", &format!("{path}?version=3"), "")).await?;
        document.delete = Delete::Acknowledged;
    }
    Ok(())
}

async fn ask(client: &Client, request: http::Request<axum::body::Body>) -> Result<Value, Gone> {
    match client.try_send(request).await {
        Ok(reply) if reply.status.is_success() => Ok(serde_json::from_slice(&reply.body).unwrap_or_default()),
        Ok(reply) => panic!("{}: {}", reply.status, reply.reason()),
        Err(_) => Err(Gone),
    }
}

async fn verify(client: &Client, document: &Written) {
    let shown = client.get(&path_of(&document.id)).await;
    let mut current = (0, 0);
    if shown.status == 200 {
        let record = shown.json();
        current = (record["version"].as_u64().unwrap(), record["revision"].as_u64().unwrap());
        if record["status"] == "DELETED" {
            assert_ne!(document.delete, Delete::No);
            return;
        }
        let version = &document.sent[&current];
        assert_eq!(record["size"], version.stream.len());
        assert_eq!(record["metadata"], life_platform::encoding::base64(&version.metadata));
        assert_eq!(record["readers"].as_array().unwrap().len(), usize::from(current.1 == 1));
        let content = client.content(&document.id, &[]).await.expect(200).body;
        assert!(content == version.stream, "content of {current:?} is damaged");
    }
    assert_ne!(document.delete, Delete::Acknowledged, "deleted and back");
    assert!(
        current == document.acknowledged || current == document.asked,
        "{current:?} is there; {:?} was acknowledged, {:?} asked for",
        document.acknowledged,
        document.asked
    );
    // An upload goes on where it was acknowledged, or its commit has happened.
    let Some((upload, version, acknowledged)) = &document.upload else { return };
    let number = current.0 + u64::from(document.asked == document.acknowledged || current != document.asked);
    let open = client.get(upload).await;
    if open.status == 200 {
        let at = usize::try_from(open.json()["offset"].as_u64().unwrap()).unwrap();
        assert!(at >= *acknowledged && at <= version.stream.len(), "{at}, {acknowledged} acknowledged");
        client.append(upload, at, version.stream[at..].to_vec()).await.expect(200);
    } else {
        assert_eq!(current, document.asked, "an upload is lost");
    }
    let record = client.commit(upload, version).await.expect(200).json();
    assert_eq!(record["version"], number);
    let content = client.content(&document.id, &[]).await.expect(200).body;
    assert!(content == version.stream, "a resumed upload is damaged");
}

/// Every document has its file, every file is of a document, and nothing is in quarantine.
fn no_orphans(platform: &Platform) {
    let data = platform.root().join("serve/data");
    let database = rusqlite::Connection::open(data.join("platform.db")).unwrap();
    let named = |table: &str| -> BTreeSet<String> {
        let mut statement =
            database.prepare(&format!("SELECT blob FROM {table} WHERE blob IS NOT NULL")).unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.collect::<Result<_, _>>().unwrap()
    };
    let (documents, uploads) = (named("document"), named("document_upload"));
    let doomed = named("doomed");
    let files: BTreeSet<String> = std::fs::read_dir(data.join("blobs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(documents.is_subset(&files));
    let known: BTreeSet<String> = documents.iter().chain(&uploads).chain(&doomed).cloned().collect();
    assert!(files.is_subset(&known), "{:?}", files.difference(&known));
    assert!(!data.join("quarantine").exists());
}
