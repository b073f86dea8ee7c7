//! Inboxes: what is taken, what is refused, quotas, receipts, repetition, constant memory.
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
use support::client::request;
use support::content::{envelope, stream};
use support::{Agent, Platform};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn envelopes_and_streams_arrive_as_they_were() {
    let platform = Platform::start();
    let (from, to) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let key = to.draft.root.public_key();
    let first = MIB - 56;
    let mut contents = vec![envelope(b"", key), envelope(&[7; 3 * MIB], key)];
    // Lengths at every boundary of segments.
    contents.extend([0, 1, first - 1, first, first + 1, first + MIB - 16, 3 * MIB].map(|n| stream(n, key)));
    for (index, content) in contents.iter().enumerate() {
        let reply = from.client.deposit(&to.inbox(&format!("m{index}")), content.clone()).await;
        assert_eq!(reply.json()["message_id"], format!("m{index}"));
    }
    let listed = to.client.get("/v1/inbox").await.expect(200).json();
    let listed = listed["messages"].as_array().unwrap();
    assert_eq!(listed.len(), contents.len());
    for (index, (entry, content)) in listed.iter().zip(&contents).enumerate() {
        assert_eq!(entry["message_id"], format!("m{index}"));
        assert_eq!(entry["size"], content.len());
        assert_eq!(entry["depositor"], from.uid().to_string());
        let reply = to.client.get(&format!("/v1/inbox/m{index}")).await.expect(200);
        assert_eq!(reply.body, content);
        assert_eq!(reply.headers["content-length"], content.len().to_string().as_str());
        assert!(!reply.headers.contains_key("life-receipt"));
    }
    // Nobody but the files and the database holds them: one file each.
    let blobs = std::fs::read_dir(platform.root().join("serve/data/blobs")).unwrap().count();
    assert_eq!(blobs, contents.len());
}

#[tokio::test]
async fn what_is_not_sealed_is_refused() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let key = agent.draft.root.public_key();
    let (good, sealed) = (envelope(b"x", key), stream(2 * MIB, key));
    let cut = |end: usize| sealed[..end].to_vec();
    let mut header_changed = sealed.clone();
    header_changed[8] = 9;
    let mut trailer_changed = sealed.clone();
    let last = trailer_changed.len() - 1;
    trailer_changed[last] = 1;
    let signed = signed_only(&platform);
    let refused = [
        ("nothing", Vec::new()),
        ("text", b"name: Erika Mustermann".to_vec()),
        ("a long text", b"0 is how this text begins. ".repeat(100_000)),
        ("FHIR", br#"{"resourceType":"Bundle"}"#.to_vec()),
        ("PDF", b"%PDF-1.7\n".to_vec()),
        ("an envelope cut short", good[..good.len() - 1].to_vec()),
        ("an envelope with more behind it", [good.clone(), b"and this".to_vec()].concat()),
        ("a signature without encryption", signed),
        ("EnvelopedData", openssl_cms(&platform, &agent, &["-aes-256-cbc"])),
        ("PKCS#1 v1.5", openssl_cms_with(&platform, &agent, &["-aes-256-gcm"], false)),
        ("a stream's magic", cut(8)),
        ("a stream's header", cut(200)),
        ("a stream without its last byte", cut(sealed.len() - 1)),
        ("a stream without its end", cut(sealed.len() - 4)),
        ("a stream cut in a segment", cut(sealed.len() - 1000)),
        ("a stream of an unknown version", header_changed),
        ("a stream with a trailer that is none", trailer_changed),
        ("a stream with more behind it", [sealed.clone(), vec![1; 9]].concat()),
    ];
    for (what, content) in refused {
        let reply = agent.client.put_octets(&agent.inbox("m"), content).await;
        assert_eq!((reply.status.as_u16(), reply.reason().as_str()), (422, "CONTENT_REFUSED"), "{what}");
    }
    assert_eq!(agent.client.get("/v1/inbox").await.expect(200).json()["messages"], json!([]));
    let data = platform.root().join("serve/data");
    assert_eq!(std::fs::read_dir(data.join("blobs")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(data.join("incoming")).unwrap().count(), 0);
    // The control: what OpenSSL makes by the rules is taken, DER and BER.
    for (id, extra) in [("der", &["-aes-256-gcm"][..]), ("ber", &["-aes-256-gcm", "-stream"])] {
        let content = openssl_cms(&platform, &agent, extra);
        agent.client.deposit(&agent.inbox(id), content).await;
    }
}

fn openssl_cms(platform: &Platform, agent: &Agent, extra: &[&str]) -> Vec<u8> {
    openssl_cms_with(platform, agent, extra, true)
}

fn openssl_cms_with(platform: &Platform, agent: &Agent, extra: &[&str], oaep: bool) -> Vec<u8> {
    let dir = platform.dir.path();
    let der = dir.join("root.der");
    std::fs::write(&der, support::agent::slot_der(&agent.certificates, "ROOT")).unwrap();
    let pem = support::platform::pem(&der, &dir.join("root.pem"));
    std::fs::write(dir.join("plain"), vec![b'x'; 5000]).unwrap();
    let mut command = std::process::Command::new("openssl");
    command.args(["cms", "-encrypt", "-binary", "-outform", "DER", "-in"]).arg(dir.join("plain"));
    command.args(extra).arg("-recip").arg(pem);
    if oaep {
        command.args(["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn signed_only(platform: &Platform) -> Vec<u8> {
    let (key, cert) = (platform.dir.path().join("k.pem"), platform.dir.path().join("c.pem"));
    let (key, cert) = (key.to_str().unwrap(), cert.to_str().unwrap());
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let subject = ["-subj", "/CN=x", "-keyout", key, "-out", cert];
    openssl(&[&["req", "-x509", "-newkey", "rsa:2048", "-nodes"][..], &subject].concat());
    let signer = ["-signer", cert, "-inkey", key, "-in", cert];
    openssl(&[&["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"][..], &signer].concat())
}

#[tokio::test]
async fn a_deposit_is_invisible_and_replaceable_until_its_receipt() {
    let platform = Platform::start();
    let (from, to) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let content = |text: &[u8]| envelope(text, to.draft.root.public_key());
    let blobs = || std::fs::read_dir(platform.root().join("serve/data/blobs")).unwrap().count();
    let path = to.inbox("m-1_A");
    let (one, two) = (content(b"one"), content(b"two"));
    from.client.put_octets(&path, one).await.expect(201);
    for reply in [to.client.get("/v1/inbox/m-1_A").await, to.client.delete("/v1/inbox/m-1_A").await] {
        reply.refused(404, "MESSAGE_UNKNOWN");
    }
    assert_eq!(to.client.get("/v1/inbox").await.expect(200).json()["messages"], json!([]));
    // Nobody else gets hold of it; its depositor replaces it.
    to.client.put_octets(&path, two.clone()).await.refused(409, "MESSAGE_CONFLICT");
    to.client.publish(&path).await.refused(404, "MESSAGE_UNKNOWN");
    let again = from.client.put_octets(&path, two.clone()).await.expect(200);
    assert!(again.json()["expire_time"].is_string());
    assert_eq!(blobs(), 1);

    // From then on it stays as it is, whatever comes; the request for that can be repeated.
    let published = from.client.publish(&path).await.expect(200);
    assert_eq!(from.client.publish(&path).await.expect(200).body, published.body);
    for late in [two.clone(), content(b"three"), b"not even looked at".to_vec()] {
        from.client.put_octets(&path, late).await.refused(409, "MESSAGE_EXISTS");
    }
    to.client.put_octets(&path, two.clone()).await.refused(409, "MESSAGE_CONFLICT");
    assert_eq!(to.client.get("/v1/inbox/m-1_A").await.expect(200).body, two);
    assert_eq!(blobs(), 1);

    // At once, from many connections: one message.
    let race = to.inbox("race");
    let puts = (0..8).map(|_| from.client.put_octets(&race, two.clone()));
    let replies = futures_util::future::join_all(puts).await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    let repeated = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((created, repeated, blobs()), (1, 7, 2));
    from.client.publish(&race).await.expect(200);

    // A retry that comes after the owner deleted the message does not bring it back.
    to.client.delete("/v1/inbox/race").await.expect(204);
    to.client.delete("/v1/inbox/race").await.expect(204);
    to.client.get("/v1/inbox/race").await.refused(404, "MESSAGE_UNKNOWN");
    from.client.put_octets(&race, two).await.refused(409, "MESSAGE_EXISTS");
    from.client.publish(&race).await.refused(404, "MESSAGE_UNKNOWN");
    to.client.get("/v1/inbox/race").await.refused(404, "MESSAGE_UNKNOWN");
    assert_eq!(blobs(), 1);
    to.client.delete("/v1/inbox/never").await.refused(404, "MESSAGE_UNKNOWN");
}

#[tokio::test]
async fn arrival_is_when_a_message_becomes_visible() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let content = envelope(b"x", agent.draft.root.public_key());
    for id in ["late", "early"] {
        agent.client.put_octets(&agent.inbox(id), content.clone()).await.expect(201);
    }
    agent.client.publish(&agent.inbox("early")).await.expect(200);
    let page = agent.client.get("/v1/inbox?limit=1").await.expect(200).json();
    assert_eq!(page["messages"][0]["message_id"], "early");
    agent.client.publish(&agent.inbox("late")).await.expect(200);
    // Whoever has seen the early one finds the late one behind it.
    let page = agent.client.get("/v1/inbox?limit=1").await.expect(200).json();
    let next = page["next"].as_str().unwrap();
    let page = agent.client.get(&format!("/v1/inbox?after={next}")).await.expect(200).json();
    assert_eq!(page["messages"][0]["message_id"], "late");
}

#[tokio::test]
async fn pages_follow_the_order_of_arrival() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let content = envelope(b"x", agent.draft.root.public_key());
    for index in 0..7 {
        agent.client.deposit(&agent.inbox(&format!("m{index}")), content.clone()).await;
    }
    agent.client.delete("/v1/inbox/m3").await.expect(204);
    let (mut ids, mut path) = (Vec::new(), "/v1/inbox?limit=2".to_owned());
    loop {
        let page = agent.client.get(&path).await.expect(200).json();
        for message in page["messages"].as_array().unwrap() {
            ids.push(message["message_id"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/inbox?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!(ids, ["m0", "m1", "m2", "m4", "m5", "m6"]);
    for query in ["limit=0", "limit=1001", "limit=x", "after=-1", "after=x", "page=1", "limit"] {
        agent.client.get(&format!("/v1/inbox?{query}")).await.refused(400, "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn addresses_and_types_are_checked() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let content = envelope(b"x", agent.draft.root.public_key());
    let stranger = "/v1/inboxes/123e4567-e89b-42d3-a456-426614174000/messages/m";
    agent.client.put_octets(stranger, content.clone()).await.refused(404, "USER_UNKNOWN");
    for path in ["/v1/inboxes/me/messages/m", "/v1/inboxes/123E4567-E89B-42D3-A456-426614174000/messages/m"] {
        agent.client.put_octets(path, content.clone()).await.refused(400, "INVALID_ARGUMENT");
    }
    for id in ["..%2F..%2Fca", "a.b", "%00", &"x".repeat(65), "%C3%A9"] {
        agent.client.put_octets(&agent.inbox(id), content.clone()).await.refused(400, "INVALID_ARGUMENT");
        agent.client.get(&format!("/v1/inbox/{id}")).await.refused(400, "INVALID_ARGUMENT");
    }
    let untyped = request("PUT", &agent.inbox("m"), content);
    agent.client.send(untyped).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    agent.client.get("/v1/users/me").await.refused(400, "INVALID_ARGUMENT");
}

#[tokio::test]
async fn receipts_verify_and_stay_with_their_message() {
    let platform = Platform::start();
    let (from, to) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let root = std::fs::read(platform.root().join("public/server-root.der")).unwrap();
    let root = Certificate::from_der(&root).unwrap();
    let digest = [9; 32];
    let body = json!({ "signature_digest": base64(&digest) });
    let check = |text: &str| {
        let der = from_base64(text).unwrap();
        let receipt = Receipt::verify(&der, &root, Clock::system().now()).unwrap();
        assert_eq!(receipt.signature_digest, digest);
        assert!(receipt.time.unix().abs_diff(Clock::system().now().unix()) < 60);
    };
    let reply = from.client.post("/v1/receipts", &body).await.expect(200).json();
    check(reply["receipt"].as_str().unwrap());

    let content = envelope(b"x", to.draft.root.public_key());
    from.client.put_octets(&to.inbox("m"), content.clone()).await.expect(201);
    let path = format!("{}/receipt", to.inbox("m"));
    let bad = json!({ "signature_digest": base64(&[9; 31]) });
    from.client.post(&path, &bad).await.refused(400, "INVALID_ARGUMENT");
    to.client.get("/v1/inbox/m").await.refused(404, "MESSAGE_UNKNOWN");
    let kept = from.client.post(&path, &body).await.expect(200);
    check(kept.json()["receipt"].as_str().unwrap());
    let without = from.client.post(&path, &json!({ "signature_digest": null })).await.expect(200).json();
    assert_eq!((&without["deposit_time"], &without["receipt"]), (&kept.json()["deposit_time"], &json!(null)));
    assert_eq!(from.client.post(&path, &body).await.expect(200).body, kept.body);
    let other = json!({ "signature_digest": base64(&[8; 32]) });
    from.client.post(&path, &other).await.refused(409, "MESSAGE_CONFLICT");
    // Only whoever deposited it may ask, not even the owner.
    to.client.post(&path, &body).await.refused(404, "MESSAGE_UNKNOWN");
    let fetched = to.client.get("/v1/inbox/m").await.expect(200);
    assert_eq!(fetched.headers["life-receipt"], kept.json()["receipt"].as_str().unwrap());

    for bad in [json!({}), json!({"signature_digest": base64(&[9; 31])}), json!({"signature_digest": 9})] {
        from.client.post("/v1/receipts", &bad).await.refused(400, "INVALID_ARGUMENT");
    }
}
