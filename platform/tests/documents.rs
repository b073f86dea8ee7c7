//! Documents: versions, rights, lists, deletion.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use life_pki::certificate::Certificate;
use life_pki::receipt::Receipt;
use life_platform::clock::Clock;
use life_platform::encoding::{base64, from_base64};
use serde_json::json;
use support::documents::{Version, new_id, new_upload, path_of};
use support::{Agent, Platform, Reply};

const MIB: usize = 1 << 20;

fn files(platform: &Platform) -> usize {
    std::fs::read_dir(platform.root().join("serve/data/blobs")).unwrap().count()
}

#[tokio::test]
async fn a_document_goes_through_its_versions() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (id, one) = (new_id(), Version::new(3 * MIB, &owner, &[&reader]));
    let record = owner.client.store(&id, 1, &one).await;
    assert_eq!(record["document_id"], id);
    assert_eq!((&record["version"], &record["revision"]), (&json!(1), &json!(0)));
    assert_eq!(record["status"], "CURRENT");
    assert_eq!(record["owner"], owner.uid().to_string());
    assert_eq!(record["size"], one.stream.len());
    assert_eq!(record["metadata"], base64(&one.metadata));
    assert_eq!(record["readers"], json!([reader.uid().to_string()]));
    let root = std::fs::read(platform.root().join("public/server-root.der")).unwrap();
    let root = Certificate::from_der(&root).unwrap();
    let receipt = from_base64(record["receipt"].as_str().unwrap()).unwrap();
    let receipt = Receipt::verify(&receipt, &root, Clock::system().now()).unwrap();
    assert_eq!(receipt.signature_digest, one.digest);

    for agent in [&owner, &reader] {
        let shown = agent.client.get(&path_of(&id)).await.expect(200);
        assert_eq!(shown.headers["etag"], "\"1-0\"");
        assert_eq!(shown.json(), record);
        let listed = agent.client.get("/v1/documents").await.expect(200).json();
        assert_eq!(listed, json!({ "documents": [record] }));
        let content = agent.client.content(&id, &[]).await.expect(200);
        assert_eq!(content.body, one.stream);
        assert_eq!(content.headers["etag"], "\"1-0\"");
        assert_eq!(content.headers["content-length"], one.stream.len().to_string().as_str());
        assert_eq!(content.headers["life-receipt"], record["receipt"].as_str().unwrap());
    }

    // A new version takes the place of the old one, and its readers that of the old ones.
    let two = Version::new(0, &owner, &[]);
    let next = owner.client.store(&id, 2, &two).await;
    assert_eq!((&next["version"], &next["create_time"]), (&json!(2), &record["create_time"]));
    assert_eq!(next["readers"], json!([]));
    assert_eq!(owner.client.content(&id, &[]).await.expect(200).body, two.stream);
    reader.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
    reader.client.content(&id, &[]).await.refused(404, "DOCUMENT_UNKNOWN");
    assert_eq!(reader.client.get("/v1/documents").await.expect(200).json(), json!({ "documents": [] }));
    assert_eq!(files(&platform), 1);
}

/// Every route of one document, as somebody would call it.
async fn attempts(agent: &Agent, id: &str, upload: &str, version: &Version) -> Vec<(&'static str, Reply)> {
    let path = path_of(id);
    let client = &agent.client;
    let begin = json!({ "version": 2, "upload_id": new_upload() });
    vec![
        ("show", client.get(&path).await),
        ("content", client.content(id, &[]).await),
        ("range", client.content(id, &[("range", "bytes=0-9")]).await),
        ("if-match", client.content(id, &[("if-match", "\"8-8\"")]).await),
        ("share", client.post(&format!("{path}/sharing"), &version.share_body(1, 0)).await),
        ("begin", client.post(&format!("{path}/uploads"), &begin).await),
        ("upload", client.get(upload).await),
        ("append", client.append(upload, 0, version.stream.clone()).await),
        ("commit", client.commit(upload, version).await),
        ("give up", client.delete(upload).await),
        ("delete", client.delete(&format!("{path}?version=1")).await),
    ]
}

#[tokio::test]
async fn only_the_owner_changes_and_only_readers_read() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let stranger = Agent::register(&platform).await;
    let (id, one) = (new_id(), Version::new(1000, &owner, &[&reader]));
    let record = owner.client.store(&id, 1, &one).await;
    // The owner has an upload open, of which the others even know the id.
    let upload = owner.client.begin(&id, 2).await;
    owner.client.append(&upload, 0, one.stream[..10].to_vec()).await.expect(200);
    let nowhere = new_id();
    for (agent, reads) in [(&reader, true), (&stranger, false)] {
        let seen = attempts(agent, &id, &upload, &one).await;
        let unknown = attempts(agent, &nowhere, &upload, &one).await;
        for ((what, reply), (_, other)) in seen.iter().zip(&unknown) {
            let expected = match *what {
                "show" | "content" if reads => (200, ""),
                "range" if reads => (206, ""),
                "if-match" if reads => (412, "PRECONDITION_FAILED"),
                "upload" | "append" | "commit" => (404, "UPLOAD_UNKNOWN"),
                "give up" => (204, ""),
                _ => (404, "DOCUMENT_UNKNOWN"),
            };
            assert_eq!((reply.status.as_u16(), reply.reason().as_str()), expected, "{what}, reads: {reads}");
            if reply.status == 404 {
                assert_eq!((reply.status, &reply.body), (other.status, &other.body), "{what}: an oracle");
            }
        }
    }
    // A reader sees itself and nobody else of the readers, and the document in its list.
    assert_eq!(reader.client.get(&path_of(&id)).await.expect(200).json()["readers"], record["readers"]);
    assert_eq!(stranger.client.get("/v1/documents").await.expect(200).json()["documents"], json!([]));
    // An id that is taken cannot be created; nothing more is told, and nothing was changed by all this.
    for agent in [&reader, &stranger] {
        let begin = json!({ "version": 1, "upload_id": new_upload() });
        let reply = agent.client.post(&format!("{}/uploads", path_of(&id)), &begin).await;
        let reply = reply.refused(409, "DOCUMENT_CONFLICT").json();
        assert!(reply["current_version"].is_null(), "{reply}");
    }
    assert_eq!(owner.client.get(&path_of(&id)).await.expect(200).json(), record);
    assert_eq!(owner.client.get(&upload).await.expect(200).json()["offset"], 10);
    // What the routes give the owner, so that the table above can fail.
    let statuses: Vec<_> = attempts(&owner, &id, &upload, &one.shared(&owner, &[&stranger]))
        .await
        .iter()
        .map(|(what, reply)| (*what, reply.status.as_u16()))
        .collect();
    let expected = [
        ("show", 200),
        ("content", 200),
        ("range", 206),
        ("if-match", 412),
        ("share", 200),
        ("begin", 201),
        ("upload", 200),
        ("append", 409),
        ("commit", 422),
        ("give up", 204),
        ("delete", 204),
    ];
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn versions_follow_one_another_and_repeats_change_nothing() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let (id, one) = (new_id(), Version::new(100, &owner, &[]));
    let uploads = format!("{}/uploads", path_of(&id));
    let begin = |version: u64| json!({ "version": version, "upload_id": new_upload() });
    owner.client.post(&uploads, &begin(0)).await.refused(400, "INVALID_ARGUMENT");
    owner.client.post(&uploads, &begin(2)).await.refused(404, "DOCUMENT_UNKNOWN");
    // The same upload again, at every step.
    let first = begin(1);
    let begun = owner.client.post(&uploads, &first).await.expect(201);
    assert_eq!(owner.client.post(&uploads, &first).await.expect(200).body, begun.body);
    let mut other_use = first.clone();
    other_use["version"] = json!(2);
    owner.client.post(&uploads, &other_use).await.refused(404, "DOCUMENT_UNKNOWN");
    let other_document = format!("{}/uploads", path_of(&new_id()));
    owner.client.post(&other_document, &first).await.refused(400, "INVALID_ARGUMENT");
    let upload = format!("{uploads}/{}", first["upload_id"].as_str().unwrap());
    owner.client.append(&upload, 0, one.stream.clone()).await.expect(200);
    let again = owner.client.append(&upload, 0, one.stream.clone()).await;
    assert_eq!(again.headers["upload-offset"], one.stream.len().to_string().as_str());
    again.refused(409, "UPLOAD_OFFSET_MISMATCH");
    let committed = owner.client.commit(&upload, &one).await.expect(200);
    assert_eq!(owner.client.commit(&upload, &one).await.expect(200).body, committed.body);
    let mut other = one.clone();
    other.digest = [0; 32];
    owner.client.commit(&upload, &other).await.refused(409, "VERSION_CONFLICT");
    owner.client.get(&upload).await.refused(404, "UPLOAD_UNKNOWN");
    owner.client.append(&upload, 0, one.stream.clone()).await.refused(404, "UPLOAD_UNKNOWN");
    for _ in 0..2 {
        owner.client.delete(&upload).await.expect(204);
    }
    assert_eq!(owner.client.get(&path_of(&id)).await.expect(200).body, committed.body);

    for version in [1, 3, u64::MAX] {
        let reply =
            owner.client.post(&uploads, &begin(version)).await.refused(409, "VERSION_CONFLICT").json();
        assert_eq!((&reply["current_version"], &reply["current_revision"]), (&json!(1), &json!(0)));
    }
    // Two writers at one version: the first commit counts, the other is told, and may give up.
    let (a, b) = (owner.client.begin(&id, 2).await, owner.client.begin(&id, 2).await);
    let (left, right) = (Version::new(200, &owner, &[]), Version::new(300, &owner, &[]));
    for (upload, version) in [(&a, &left), (&b, &right)] {
        owner.client.append(upload, 0, version.stream.clone()).await.expect(200);
    }
    let (left_reply, right_reply) =
        tokio::join!(owner.client.commit(&a, &left), owner.client.commit(&b, &right));
    let (won, lost, winner, loser) = if left_reply.status == 200 {
        (left_reply, right_reply, &left, &b)
    } else {
        (right_reply, left_reply, &right, &a)
    };
    let lost = lost.refused(409, "VERSION_CONFLICT").json();
    assert_eq!(lost["current_version"], 2);
    assert_eq!(won.expect(200).json()["size"], winner.stream.len());
    owner.client.append(loser, 0, "").await.refused(409, "VERSION_CONFLICT");
    assert_eq!(owner.client.content(&id, &[]).await.expect(200).body, winner.stream);
    assert_eq!(files(&platform), 2);
    owner.client.delete(loser).await.expect(204);
    assert_eq!(files(&platform), 1);
}

#[tokio::test]
async fn two_users_who_choose_one_id_do_not_mix() {
    let platform = Platform::start();
    let (first, second) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let id = new_id();
    let (a, b) = (first.client.begin(&id, 1).await, second.client.begin(&id, 1).await);
    let (mine, yours) = (Version::new(10, &first, &[]), Version::new(20, &second, &[]));
    first.client.append(&a, 0, mine.stream.clone()).await.expect(200);
    second.client.append(&b, 0, yours.stream.clone()).await.expect(200);
    // Not even with the other's upload id.
    second.client.get(&a).await.refused(404, "UPLOAD_UNKNOWN");
    let upload = a.rsplit('/').next().unwrap();
    let same = json!({ "version": 1, "upload_id": upload });
    second.client.post(&format!("{}/uploads", path_of(&id)), &same).await.expect(201);
    first.client.commit(&a, &mine).await.expect(200);
    second.client.commit(&b, &yours).await.refused(409, "DOCUMENT_CONFLICT");
    second.client.append(&b, yours.stream.len(), "").await.refused(409, "DOCUMENT_CONFLICT");
    second.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
    assert_eq!(first.client.content(&id, &[]).await.expect(200).body, mine.stream);
}

#[tokio::test]
async fn a_deleted_document_is_gone_and_its_id_taken() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (id, one) = (new_id(), Version::new(5000, &owner, &[&reader]));
    owner.client.store(&id, 1, &one).await;
    let open = owner.client.begin(&id, 2).await;
    owner.client.append(&open, 0, one.stream.clone()).await.expect(200);
    let path = path_of(&id);
    for query in ["", "?version=", "?version=x", "?version=+1", "?version=1&x=1", "?limit=1"] {
        owner.client.delete(&format!("{path}{query}")).await.refused(400, "INVALID_ARGUMENT");
    }
    for version in [0, 2, u64::MAX] {
        let reply = owner.client.delete(&format!("{path}?version={version}")).await;
        assert_eq!(reply.refused(409, "VERSION_CONFLICT").json()["current_version"], 1);
    }
    for _ in 0..2 {
        owner.client.delete(&format!("{path}?version=1")).await.expect(204);
    }
    let left = owner.client.get(&path).await.expect(200).json();
    assert_eq!((&left["status"], &left["size"], &left["version"]), (&json!("DELETED"), &json!(0), &json!(1)));
    assert!(left["metadata"].is_null() && left["receipt"].is_null());
    assert_eq!(left["readers"], json!([]));
    reader.client.get(&path).await.refused(404, "DOCUMENT_UNKNOWN");
    for agent in [&owner, &reader] {
        agent.client.content(&id, &[]).await.refused(404, "DOCUMENT_UNKNOWN");
        assert_eq!(agent.client.get("/v1/documents").await.expect(200).json()["documents"], json!([]));
    }
    // Neither an upload that was open nor a late or new one brings it back.
    owner.client.commit(&open, &one).await.refused(404, "UPLOAD_UNKNOWN");
    for version in [1, 2] {
        let begin = json!({ "version": version, "upload_id": new_upload() });
        owner.client.post(&format!("{path}/uploads"), &begin).await.refused(409, "DOCUMENT_CONFLICT");
    }
    owner
        .client
        .post(&format!("{path}/sharing"), &one.share_body(1, 0))
        .await
        .refused(409, "DOCUMENT_CONFLICT");
    let begin = json!({ "version": 1, "upload_id": new_upload() });
    reader.client.post(&format!("{path}/uploads"), &begin).await.refused(409, "DOCUMENT_CONFLICT");
    owner.client.delete(&format!("{}?version=1", path_of(&new_id()))).await.refused(404, "DOCUMENT_UNKNOWN");
    // Nothing of it is left in the database but that it was; the upload's file goes with the next round.
    let database = rusqlite::Connection::open(platform.root().join("serve/data/platform.db")).unwrap();
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT COUNT(*) FROM document_header"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM document_access"), 0);
    assert_eq!(count("SELECT COUNT(*) FROM document_upload"), 0);
    assert_eq!(count("SELECT bytes FROM document_usage WHERE documents = 1"), 0);
    let blobs = platform.root().join("serve/data/blobs");
    let named: Vec<_> = std::fs::read_dir(blobs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for name in named {
        let doomed = "SELECT COUNT(*) FROM doomed WHERE blob = ?";
        let doomed: i64 = database.query_row(doomed, [name.to_str().unwrap()], |row| row.get(0)).unwrap();
        assert_eq!(doomed, 1);
    }
}

#[tokio::test]
async fn lists_go_on_where_they_ended() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (mine, shared) = (Version::new(10, &owner, &[]), Version::new(10, &owner, &[&reader]));
    let mut ids = Vec::new();
    for index in 0..7 {
        let id = new_id();
        owner.client.store(&id, 1, if index % 2 == 0 { &shared } else { &mine }).await;
        ids.push(id);
    }
    // A change does not move a document; a deletion takes it away; a reader's own comes in between.
    owner.client.store(&ids[0], 2, &shared).await;
    owner.client.delete(&format!("{}?version=1", path_of(&ids[4]))).await.expect(204);
    let own = new_id();
    reader.client.store(&own, 1, &Version::new(10, &reader, &[])).await;
    // What is shared late is the newest of the reader's list.
    let late = mine.shared(&owner, &[&reader]).share_body(1, 0);
    owner.client.post(&format!("{}/sharing", path_of(&ids[1])), &late).await.expect(200);
    let expected = [
        (&owner, [&ids[0], &ids[1], &ids[2], &ids[3], &ids[5], &ids[6]].to_vec()),
        (&reader, [&ids[0], &ids[2], &ids[6], &own, &ids[1]].to_vec()),
    ];
    for (agent, expected) in expected {
        for limit in [1, 2, 100] {
            let (mut found, mut path) = (Vec::new(), format!("/v1/documents?limit={limit}"));
            loop {
                let page = agent.client.get(&path).await.expect(200).json();
                let documents = page["documents"].as_array().unwrap();
                assert!(documents.len() <= limit);
                found.extend(documents.iter().map(|it| it["document_id"].as_str().unwrap().to_owned()));
                match page["next"].as_str() {
                    Some(next) => path = format!("/v1/documents?limit={limit}&after={next}"),
                    None => break,
                }
            }
            assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        }
    }
    // Places in a list tell nothing about others.
    let page = reader.client.get("/v1/documents?limit=1").await.expect(200).json();
    assert_eq!(page["next"], "1");
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "after=-1",
        "after=x",
        "page=1",
        "limit",
        "after=9999999999999999999",
    ] {
        owner.client.get(&format!("/v1/documents?{query}")).await.refused(400, "INVALID_ARGUMENT");
    }
    assert_eq!(
        owner.client.get(&format!("/v1/documents?after={}", i64::MAX)).await.expect(200).json()["documents"],
        json!([])
    );
}

#[tokio::test]
async fn a_page_ends_before_it_grows_too_large() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let key = owner.draft.root.public_key();
    let metadata = support::content::envelope(&vec![0; 500 << 10], key);
    let large = Version { metadata, ..Version::new(10, &owner, &[]) };
    for _ in 0..7 {
        owner.client.store(&new_id(), 1, &large).await;
    }
    let page = owner.client.get("/v1/documents").await.expect(200);
    assert!(page.body.len() < 4 << 20, "{}", page.body.len());
    let page = page.json();
    let (found, next) = (page["documents"].as_array().unwrap().len(), page["next"].as_str().unwrap());
    let rest = owner.client.get(&format!("/v1/documents?after={next}")).await.expect(200).json();
    assert_eq!(found + rest["documents"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn the_log_names_no_document_and_nobody() {
    let mut platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (id, one) = (new_id(), Version::new(1000, &owner, &[&reader]));
    let upload = owner.client.begin(&id, 1).await;
    owner.client.append(&upload, 0, one.stream.clone()).await.expect(200);
    owner.client.commit(&upload, &one).await.expect(200);
    reader.client.content(&id, &[("range", "bytes=5-9")]).await.expect(206);
    owner.client.delete(&format!("{}?version=1", path_of(&id))).await.expect(204);
    let (_, log) = platform.serve().terminate();
    assert!(
        log.contains("/v1/documents/{document_id}/uploads/{upload_id}") && log.contains("PATCH"),
        "{log}"
    );
    let upload = upload.rsplit('/').next().unwrap();
    let people = [owner.uid().to_string(), reader.uid().to_string()];
    for secret in [&id, upload, &people[0], &people[1], &base64(&one.metadata)[..40], "version=1"] {
        assert!(!log.contains(secret), "{secret}");
    }
}
