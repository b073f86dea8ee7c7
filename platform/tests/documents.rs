//! Documents: versions, rights, sharing, ranges, deletion.
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
use support::documents::{Version, new_id, path_of};
use support::{Agent, Platform};

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
