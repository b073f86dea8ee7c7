//! Documents: who the recipients are, sharing, metadata, and byte ranges before and after a sharing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use life_platform::encoding::base64;
use serde_json::json;
use support::documents::{Version, new_id, path_of};
use support::{Agent, Platform};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn recipients_are_exactly_owner_and_readers() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let stranger = Agent::register(&platform).await;
    let version = |readers: &[&Agent]| Version::new(50, &owner, readers);
    let (both, alone) = (version(&[&reader]), version(&[]));
    let uid = |agent: &Agent| agent.uid().to_string();
    let named = |version: &Version, readers: &[&Agent]| Version {
        readers: readers.iter().map(|agent| uid(agent)).collect(),
        ..version.clone()
    };
    let unknown_key = life_pki::PrivateKey::generate_p256().unwrap().public_key().clone();
    let keys = [owner.draft.root.public_key().clone(), unknown_key];
    let for_unknown = Version {
        stream: support::content::stream_for(50, &keys),
        metadata: life_envelope::envelope::seal(b"x", &keys).unwrap().0,
        ..alone.clone()
    };
    // A working credential's key is no root credential.
    let keys = [owner.draft.root.public_key().clone(), owner.draft.encryption.public_key().clone()];
    let for_credential =
        Version { metadata: life_envelope::envelope::seal(b"x", &keys).unwrap().0, ..alone.clone() };
    let by_stranger = Version::new(50, &stranger, &[]);
    let refused = [
        ("a stranger's key", named(&version(&[&stranger]), &[])),
        ("a key nobody has", for_unknown),
        ("a credential's key", for_credential),
        ("a reader without key", named(&alone, &[&reader])),
        ("another reader than the key's", named(&both, &[&stranger])),
        ("content alone for the reader", Version { metadata: alone.metadata.clone(), ..both.clone() }),
        ("metadata alone for the reader", Version { metadata: both.metadata.clone(), ..alone.clone() }),
        ("not for the owner", named(&by_stranger, &[&stranger])),
    ];
    let id = new_id();
    for (what, version) in refused {
        let upload = owner.client.begin(&id, 1).await;
        owner.client.append(&upload, 0, version.stream.clone()).await.expect(200);
        let reply = owner.client.commit(&upload, &version).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (422, "RECIPIENT_REFUSED"), "{what}");
        owner.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
        owner.client.delete(&upload).await.expect(204);
    }
    // The owner among the readers, or somebody twice, is no harm.
    let record = owner.client.store(&id, 1, &named(&both, &[&reader, &owner, &reader])).await;
    assert_eq!(record["readers"], json!([uid(&reader)]));
}

#[tokio::test]
async fn metadata_is_an_envelope_of_bounded_size() {
    let platform = Platform::start();
    let owner = Agent::register(&platform).await;
    let (id, good) = (new_id(), Version::new(50, &owner, &[]));
    let key = owner.draft.root.public_key();
    let upload = owner.client.begin(&id, 1).await;
    owner.client.append(&upload, 0, good.stream.clone()).await.expect(200);
    let with = |metadata: Vec<u8>| Version { metadata, ..good.clone() };
    for (metadata, status, reason) in [
        (b"{\"resourceType\":\"DocumentReference\"}".to_vec(), 422, "CONTENT_REFUSED"),
        (Vec::new(), 422, "CONTENT_REFUSED"),
        (good.metadata[..good.metadata.len() - 1].to_vec(), 422, "CONTENT_REFUSED"),
        (good.stream.clone(), 422, "CONTENT_REFUSED"),
        (support::content::envelope(&vec![0; 520 << 10], key), 413, "TOO_LARGE"),
    ] {
        owner.client.commit(&upload, &with(metadata)).await.refused(status, reason);
    }
    let mut body = good.commit_body();
    for (field, bad) in [
        ("signature_digest", json!(base64(&[1; 31]))),
        ("metadata", json!("not base64!")),
        ("readers", json!(["somebody"])),
        ("readers", json!(null)),
        ("more", json!(1)),
    ] {
        let kept = body[field].take();
        body[field] = bad;
        owner.client.post(&format!("{upload}/commit"), &body).await.refused(400, "INVALID_ARGUMENT");
        body[field] = kept;
        body.as_object_mut().unwrap().remove("more");
    }
    // The largest that is taken, and the upload is still there for it.
    owner
        .client
        .commit(&upload, &with(support::content::envelope(&vec![0; 500 << 10], key)))
        .await
        .expect(200);
}

#[tokio::test]
async fn sharing_replaces_the_header_and_nothing_else() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (other, stranger) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (id, one) = (new_id(), Version::new(2 * MIB, &owner, &[&reader]));
    let before = owner.client.store(&id, 1, &one).await;
    let sharing = format!("{}/sharing", path_of(&id));
    let shared = one.shared(&owner, &[&other]);
    let body = shared.share_body(1, 0);
    let record = owner.client.post(&sharing, &body).await.expect(200).json();
    assert_eq!((&record["version"], &record["revision"]), (&json!(1), &json!(1)));
    assert_eq!(record["readers"].as_array().unwrap().len(), 2);
    assert_eq!((&record["receipt"], &record["create_time"]), (&before["receipt"], &before["create_time"]));
    assert_eq!(record["size"], shared.stream.len());
    // The same again is the same answer; another one at that revision is too late.
    assert_eq!(owner.client.post(&sharing, &body).await.expect(200).json(), record);
    let late = one.shared(&owner, &[&stranger]).share_body(1, 0);
    let late = owner.client.post(&sharing, &late).await.refused(409, "VERSION_CONFLICT").json();
    assert_eq!((&late["current_version"], &late["current_revision"]), (&json!(1), &json!(1)));
    owner.client.post(&sharing, &shared.share_body(2, 1)).await.refused(409, "VERSION_CONFLICT");
    let seen = shared.shared(&owner, &[&stranger]).share_body(1, 1);
    for agent in [&reader, &other, &stranger] {
        agent.client.post(&sharing, &seen).await.refused(404, "DOCUMENT_UNKNOWN");
    }

    for agent in [&owner, &reader, &other] {
        let content = agent.client.content(&id, &[]).await.expect(200);
        assert_eq!(content.headers["etag"], "\"1-1\"");
        assert!(content.body == shared.stream);
        assert_eq!(content.body[shared.start()..], one.stream[one.start()..]);
    }
    stranger.client.content(&id, &[]).await.refused(404, "DOCUMENT_UNKNOWN");
    // Whoever was reading sees that something changed.
    owner.client.content(&id, &[("if-match", "\"1-0\"")]).await.refused(412, "PRECONDITION_FAILED");
    // On the disk nothing changed: the file of the upload.
    let blobs = platform.root().join("serve/data/blobs");
    let file = std::fs::read_dir(blobs).unwrap().next().unwrap().unwrap();
    assert!(std::fs::read(file.path()).unwrap() == one.stream);
    // A sharing with nobody new, as for a new generation of a key, is one as well.
    let record = owner.client.post(&sharing, &shared.shared(&owner, &[&other]).share_body(1, 1)).await;
    assert_eq!(record.expect(200).json()["revision"], 2);
    // Unsharing is a new version, of the revision it was made from and no other.
    let unshared = Version::new(10, &owner, &[&other]);
    let upload = owner.client.begin(&id, 2).await;
    owner.client.append(&upload, 0, unshared.stream.clone()).await.expect(200);
    let commit = |revision: u64| {
        let mut body = unshared.commit_body();
        body["replaces_revision"] = revision.into();
        body
    };
    let path = format!("{upload}/commit");
    for wrong in [0, 1, 3] {
        let late = owner.client.post(&path, &commit(wrong)).await.refused(409, "VERSION_CONFLICT").json();
        assert_eq!((&late["current_version"], &late["current_revision"]), (&json!(1), &json!(2)));
    }
    reader.client.content(&id, &[]).await.expect(200);
    let committed = owner.client.post(&path, &commit(2)).await.expect(200).json();
    assert_eq!(owner.client.post(&path, &commit(2)).await.expect(200).json(), committed);
    reader.client.content(&id, &[]).await.refused(404, "DOCUMENT_UNKNOWN");
    other.client.content(&id, &[]).await.expect(200);
    let late = shared.share_body(1, 2);
    let late = owner.client.post(&sharing, &late).await.refused(409, "VERSION_CONFLICT").json();
    assert_eq!((&late["current_version"], &late["current_revision"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn sharing_that_changes_more_is_refused() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let other = Agent::register(&platform).await;
    let (id, one) = (new_id(), Version::new(5000, &owner, &[&reader]));
    let before = owner.client.store(&id, 1, &one).await;
    let sharing = format!("{}/sharing", path_of(&id));
    let good = one.shared(&owner, &[&other]);
    let fresh = Version::new(5000, &owner, &[&reader, &other]);
    let without_reader = Version::new(5000, &owner, &[&other]);
    let start = good.start();
    let mut tink = good.clone();
    tink.stream[start - 1] ^= 1;
    let join = |header: &Version, metadata: &Version| Version {
        metadata: metadata.metadata.clone(),
        readers: good.readers.clone(),
        ..header.clone()
    };
    let named = |readers: Vec<String>| Version { readers, ..good.clone() };
    for (what, version, reason) in [
        ("other content", join(&fresh, &good), "CONTENT_REFUSED"),
        ("other metadata", join(&good, &fresh), "CONTENT_REFUSED"),
        ("a reader is gone", join(&without_reader, &good), "CONTENT_REFUSED"),
        ("another Tink header", tink, "CONTENT_REFUSED"),
        ("metadata not shared", join(&good, &one), "RECIPIENT_REFUSED"),
        ("content not shared", join(&one, &good), "RECIPIENT_REFUSED"),
        ("nobody named", named(vec![]), "RECIPIENT_REFUSED"),
    ] {
        let reply = owner.client.post(&sharing, &version.share_body(1, 0)).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (422, reason), "{what}");
    }
    for (what, header) in [
        ("one byte more", good.stream[..=start].to_vec()),
        ("one byte less", good.stream[..start - 1].to_vec()),
        ("no Tink header", good.stream[..start - 40].to_vec()),
        ("nothing", Vec::new()),
        ("an envelope", good.metadata.clone()),
        ("too long", vec![b'L'; (1 << 20) + 1]),
    ] {
        let mut body = good.share_body(1, 0);
        body["header"] = json!(base64(&header));
        let reply = owner.client.post(&sharing, &body).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (422, "CONTENT_REFUSED"), "{what}");
    }
    let mut large = good.share_body(1, 0);
    large["header"] = json!("A".repeat(3 << 20));
    owner.client.post(&sharing, &large).await.refused(413, "TOO_LARGE");
    assert_eq!(owner.client.get(&path_of(&id)).await.expect(200).json(), before);
    other.client.get(&path_of(&id)).await.refused(404, "DOCUMENT_UNKNOWN");
    owner.client.post(&sharing, &good.share_body(1, 0)).await.expect(200);
}

#[tokio::test]
async fn ranges_are_cut_out_of_header_and_file_alike() {
    let platform = Platform::start();
    let (owner, reader) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let (id, one) = (new_id(), Version::new(MIB, &owner, &[]));
    owner.client.store(&id, 1, &one).await;
    let shared = one.shared(&owner, &[&reader]);
    for (version, tag) in [(&one, "\"1-0\""), (&shared, "\"1-1\"")] {
        if tag == "\"1-1\"" {
            owner
                .client
                .post(&format!("{}/sharing", path_of(&id)), &version.share_body(1, 0))
                .await
                .expect(200);
        }
        let (all, seam) = (&version.stream, version.start());
        let length = all.len();
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=0-99".to_owned(), 0, 100),
            (format!("bytes=0-{}", seam - 1), 0, seam),
            (format!("bytes={}-{seam}", seam - 1), seam - 1, seam + 1),
            (format!("bytes={seam}-{seam}"), seam, seam + 1),
            (format!("bytes={}-{}", seam - 20, seam + 500_000), seam - 20, seam + 500_001),
            (format!("bytes=600000-{}", 700_000), 600_000, 700_001),
            (format!("bytes={}-", length - 1), length - 1, length),
            ("bytes=500000-".to_owned(), 500_000, length),
            ("bytes=0-".to_owned(), 0, length),
            ("bytes=-1".to_owned(), length - 1, length),
            (format!("bytes=-{}", length - seam + 1), seam - 1, length),
            ("bytes=-999999999".to_owned(), 0, length),
            (format!("bytes=5-{}", u64::MAX), 5, length),
        ] {
            let reply = owner.client.content(&id, &[("range", &range), ("if-match", tag)]).await.expect(206);
            assert!(reply.body == all[from..to], "{range}");
            assert_eq!(reply.headers["content-range"], format!("bytes {from}-{}/{length}", to - 1).as_str());
            assert_eq!(reply.headers["content-length"], (to - from).to_string().as_str());
            assert_eq!(
                (&reply.headers["etag"], reply.headers.contains_key("life-receipt")),
                (&tag.parse().unwrap(), true)
            );
        }
        for range in [format!("bytes={length}-"), "bytes=-0".to_owned(), format!("bytes={}-", u64::MAX)] {
            let reply = owner.client.content(&id, &[("range", &range)]).await;
            assert_eq!(reply.headers["content-range"], format!("bytes */{length}").as_str());
            reply.refused(416, "RANGE_NOT_SATISFIABLE");
        }
        // What means nothing here means everything.
        for headers in [
            &[("range", "bytes=1-2,4-5")][..],
            &[("range", "bytes=1-2"), ("range", "bytes=4-5")],
            &[("range", "bytes=2-1")],
            &[("range", "lines=1-2")],
            &[("range", "bytes=1-2"), ("if-range", "\"7-7\"")],
        ] {
            assert!(owner.client.content(&id, headers).await.expect(200).body == *all, "{headers:?}");
        }
        let current = [("range", "bytes=1-2"), ("if-range", tag)];
        owner.client.content(&id, &current).await.expect(206);
    }
    for (matched, status) in
        [("*", 200), ("\"1-1\"", 200), ("\"0-0\", \"1-1\"", 200), ("W/\"1-1\"", 412), ("\"1-0\"", 412)]
    {
        owner.client.content(&id, &[("if-match", matched)]).await.expect(status);
    }
    let head = support::client::request("HEAD", &format!("{}/content", path_of(&id)), "");
    let head = owner.client.send(head).await.expect(200);
    assert_eq!(head.headers["content-length"], shared.stream.len().to_string().as_str());
    assert!(head.body.is_empty());
}
