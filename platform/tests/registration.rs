//! Registration from begin to commit, with everything that must be refused on the way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use life_pki::certificate::Certificate;
use life_pki::chain::{self, Purpose, Revocation};
use life_pki::{KeySlot, ParticipantKind, PrivateKey};
use life_platform::clock::Clock;
use life_platform::encoding::{base64, from_base64};
use serde_json::json;
use support::agent::slot_der;
use support::{Agent, Draft, Options, Platform};

#[tokio::test]
async fn a_patient_registers_and_finds_itself_and_others() {
    let platform = Platform::start();
    let client = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    let body = draft.prepare(&client).await;

    // Nobody sees it before the commit.
    let other = Agent::register(&platform).await;
    let uid = draft.uid;
    other.client.get(&format!("/v1/users/{uid}")).await.refused(404, "USER_UNKNOWN");
    assert_eq!(draft.show(&client).await.expect(200).json()["state"], "OPEN");

    let committed = draft.commit(&client, &body).await.expect(200);
    assert_eq!(draft.show(&client).await.expect(200).json()["state"], "COMMITTED");
    // Again is the same, whatever was lost on the way.
    assert_eq!(draft.commit(&client, &body).await.expect(200).body, committed.body);

    let agent = draft.into_agent(&platform, &committed.json());
    let me = agent.client.get("/v1/me").await.expect(200).json();
    assert_eq!(me["uid"], uid.to_string());
    assert_eq!(me["certificates"], committed.json()["certificates"]);
    let seals = agent.client.get("/v1/me/seals").await.expect(200).json();
    assert_eq!(seals["seals"][0]["credential_id"], agent.draft.credential.to_string());
    assert_eq!(seals["seals"][0]["seal"], body["seal"]);

    let user = other.client.get(&format!("/v1/users/{uid}")).await.expect(200).json();
    assert_eq!(user["log"], body["log"]);
    assert_eq!(user["certificates"].as_object().unwrap().len(), 1);
    assert_eq!(user["certificates"]["ROOT"], committed.json()["certificates"]["ROOT"]);
    let log = other.client.get(&format!("/v1/users/{uid}/log")).await.expect(200).json();
    assert_eq!(log["log"], body["log"]);
}

#[tokio::test]
async fn certificates_follow_the_profile_and_openssl_agrees() {
    let platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let public = platform.root().join("public");
    let root = Certificate::from_der(&std::fs::read(public.join("user-root.der")).unwrap()).unwrap();
    let issuing = std::fs::read(public.join("user-issuing.der")).unwrap();
    let crl = platform.client().get("/v1/crl").await.expect(200).body;
    let now = Clock::system().now();
    let draft = &agent.draft;
    let keys = [&draft.authentication, &draft.signature, &draft.encryption, &draft.root];
    for (slot, key) in KeySlot::ALL.iter().zip(keys) {
        let der = slot_der(&agent.certificates, slot.name());
        let revocation = Revocation::Crls { crls: &[&crl], now };
        let certificate =
            chain::verify(&der, &[&issuing], &root, revocation, now, Purpose::Slot(*slot)).unwrap();
        assert_eq!(certificate.public_key(), key.public_key());
        assert_eq!(certificate.uid(), Some(agent.uid()));

        let file = platform.dir.path().join("user.der");
        std::fs::write(&file, &der).unwrap();
        let text = openssl(&["x509", "-inform", "der", "-in", file.to_str().unwrap(), "-noout", "-text"]);
        assert!(text.contains(&format!("URI:urn:uuid:{}", agent.uid())), "{text}");
        assert!(text.contains(&format!("CN = LIFE {}", slot.name().to_lowercase())), "{text}");
        let usage = match slot {
            KeySlot::Authentication => "TLS Web Client Authentication",
            _ => "E-mail Protection",
        };
        assert!(text.contains(usage), "{text}");
        let usage = match slot {
            KeySlot::Authentication | KeySlot::Signature => "Digital Signature",
            KeySlot::Encryption => "Key Agreement",
            KeySlot::Root => "Key Encipherment",
        };
        assert!(text.contains(usage), "{text}");
        assert!(!text.contains("CA:TRUE"), "{text}");
    }

    // OpenSSL builds the same chain, with revocation.
    let pem = |name: &str| {
        let to = platform.dir.path().join(format!("{name}.pem"));
        support::platform::pem(&public.join(format!("{name}.der")), &to)
    };
    let (ca, chain_pem) = (pem("user-root"), pem("user-issuing"));
    let leaf = platform.dir.path().join("leaf.pem");
    support::platform::pem(&platform.dir.path().join("user.der"), &leaf);
    let crl_file = platform.dir.path().join("crl.der");
    std::fs::write(&crl_file, &crl).unwrap();
    let crl_pem = platform.dir.path().join("crl.pem");
    openssl(&["crl", "-inform", "der", "-in", crl_file.to_str().unwrap(), "-out", crl_pem.to_str().unwrap()]);
    let verdict = openssl(&[
        "verify",
        "-x509_strict",
        "-crl_check",
        "-purpose",
        "smimeencrypt",
        "-CAfile",
        ca.to_str().unwrap(),
        "-untrusted",
        chain_pem.to_str().unwrap(),
        "-CRLfile",
        crl_pem.to_str().unwrap(),
        leaf.to_str().unwrap(),
    ]);
    assert!(verdict.contains("OK"), "{verdict}");
}

fn openssl(arguments: &[&str]) -> String {
    let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn begin_is_bound_to_its_key() {
    let platform = Platform::start();
    let client = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    let first = draft.begin(&client).await.expect(201).json();
    assert_eq!(draft.begin(&client).await.expect(200).json(), first);

    let mut body = draft.begin_body();
    body["kind"] = json!("INSTITUTION");
    client.post("/v1/registrations", &body).await.refused(409, "REGISTRATION_CONFLICT");
    body["kind"] = json!("ROBOT");
    client.post("/v1/registrations", &body).await.refused(400, "INVALID_ARGUMENT");
    let mut body = draft.begin_body();
    body["proof"] = Draft::new(ParticipantKind::Patient).begin_body()["proof"].clone();
    client.post("/v1/registrations", &body).await.refused(401, "PROOF_INVALID");
    let mut body = draft.begin_body();
    body["key"] = json!(base64(draft.root.public_key().spki()));
    client.post("/v1/registrations", &body).await.refused(400, "INVALID_ARGUMENT");
    for bad in [json!({}), json!([]), json!({"kind": "PATIENT", "key": "", "proof": "", "x": 1})] {
        client.post("/v1/registrations", &bad).await.refused(400, "INVALID_ARGUMENT");
    }
}

#[tokio::test]
async fn proof_header_is_bound_to_registration_request_and_time() {
    let platform = Platform::start();
    let client = platform.client();
    let (mut mine, mut theirs) = (Draft::new(ParticipantKind::Patient), Draft::new(ParticipantKind::Patient));
    mine.begin(&client).await.expect(201);
    theirs.begin(&client).await.expect(201);
    let now = Clock::system().now().unix();

    for off in [-86_400, -301, 360, 86_400] {
        let late = mine.proven_at("GET", &mine.path(""), None, now + off);
        client.send(late).await.refused(401, "CLOCK_SKEW");
    }
    client.send(mine.proven_at("GET", &mine.path(""), None, now - 240)).await.expect(200);
    // Another registration, another method, another path, another body.
    client.send(mine.proven("GET", &theirs.path(""), None)).await.refused(401, "PROOF_INVALID");
    let proof = mine.proven("GET", &mine.path(""), None).headers()["life-registration-proof"].clone();
    for (method, rest, body) in [("PUT", "/keys", "{}"), ("POST", "/commit", "{}"), ("GET", "", "x")] {
        let mut request = support::client::json_request(method, &mine.path(rest), &json!({}));
        *request.body_mut() = body.to_owned().into();
        request.headers_mut().insert("life-registration-proof", proof.clone());
        client.send(request).await.refused(401, "PROOF_INVALID");
    }
    for text in ["", "7", "7.!", "x.AAAA", "+7.AAAA"] {
        let mut request = mine.proven("GET", &mine.path(""), None);
        request.headers_mut().insert("life-registration-proof", text.parse().unwrap());
        client.send(request).await.refused(401, "PROOF_INVALID");
    }
    client.get(&mine.path("")).await.refused(401, "PROOF_REQUIRED");
    mine.registration = "00112233445566778899aabbccddeeff".to_owned();
    client.send(mine.proven("GET", &mine.path(""), None)).await.refused(404, "REGISTRATION_UNKNOWN");
    mine.registration = "nonsense".to_owned();
    client.send(mine.proven("GET", &mine.path(""), None)).await.refused(404, "REGISTRATION_UNKNOWN");
}

#[tokio::test]
async fn keys_are_refused_unless_proven_fresh_and_strong() {
    let platform = Platform::start();
    let client = platform.client();
    let taken = Agent::register(&platform).await;
    let mut draft = Draft::new(ParticipantKind::Patient);
    draft.begin(&client).await.expect(201);
    let good = draft.keys_body();
    let variant = |field: &str, value: String| {
        let mut body = good.clone();
        body[field] = json!(value);
        body
    };
    let small = PrivateKey::generate_rsa(2048).unwrap();
    let slot = |slot, key| base64(&draft.request_for(slot, key));
    for bad in [
        variant("authentication_csr", good["signature_csr"].as_str().unwrap().to_owned()),
        variant("authentication_csr", slot(KeySlot::Signature, &draft.authentication)),
        variant("signature_csr", slot(KeySlot::Signature, &draft.authentication)),
        variant("signature_csr", base64(&taken.draft.request_for(KeySlot::Signature, &draft.signature))),
        variant("signature_csr", "AAAA".to_owned()),
        variant("encryption_spki", "AAAA".to_owned()),
        variant("encryption_spki", base64(draft.root.public_key().spki())),
        variant("root_spki", base64(small.public_key().spki())),
    ] {
        draft.put_keys(&client, &bad).await.refused(422, "EVIDENCE_INVALID");
    }
    // A request whose signature belongs to another key.
    let mut forged = draft.request_for(KeySlot::Signature, &draft.signature);
    let last = forged.len() - 1;
    forged[last] ^= 1;
    draft
        .put_keys(&client, &variant("signature_csr", base64(&forged)))
        .await
        .refused(422, "EVIDENCE_INVALID");
    let in_use = variant("root_spki", base64(taken.draft.root.public_key().spki()));
    draft.put_keys(&client, &in_use).await.refused(409, "KEY_IN_USE");

    let challenges = draft.put_keys(&client, &good).await.expect(200);
    assert_eq!(draft.put_keys(&client, &good).await.expect(200).body, challenges.body);
}

#[tokio::test]
async fn commit_is_refused_unless_everything_fits() {
    let platform = Platform::start();
    let client = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    draft.begin(&client).await.expect(201);
    let early = json!({"answers": {"ENCRYPTION": "", "ROOT": ""}, "log": ["", ""], "seal": ""});
    draft.commit(&client, &early).await.refused(409, "KEYS_MISSING");
    let challenges = draft.put_keys(&client, &draft.keys_body()).await.expect(200).json();
    let good = draft.commit_body(&challenges);

    let with = |path: &str, value: serde_json::Value| {
        let mut body = good.clone();
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let stranger = PrivateKey::generate_p256().unwrap();
    let two = life_envelope::envelope::seal(
        b"x",
        &[draft.encryption.public_key().clone(), stranger.public_key().clone()],
    );
    let other = life_envelope::envelope::seal(b"x", &[stranger.public_key().clone()]);
    let to_root = life_envelope::envelope::seal(b"x", &[draft.root.public_key().clone()]);
    // Logs that name another key, another user, another kind.
    let mut changed = Draft::new(ParticipantKind::Patient);
    changed.uid = draft.uid;
    let foreign: Vec<String> = changed.log().iter().map(|entry| base64(entry.to_der())).collect();
    for bad in [
        with("/answers/ENCRYPTION", json!(base64(&[0; 32]))),
        with("/answers/ROOT", json!(base64(&[0; 32]))),
        with("/answers/ROOT", json!("")),
        with("/answers/ROOT", good["answers"]["ENCRYPTION"].clone()),
        with("/log", json!([good["log"][0]])),
        with("/log", json!([good["log"][1], good["log"][0]])),
        with("/log", json!([good["log"][0], good["log"][1], good["log"][1]])),
        with("/log", json!(foreign)),
        with("/seal", json!(base64(b"a secret in the clear"))),
        with("/seal", json!(base64(&two.unwrap().0))),
        with("/seal", json!(base64(&other.unwrap().0))),
        with("/seal", json!(base64(&to_root.unwrap().0))),
    ] {
        draft.commit(&client, &bad).await.refused(422, "EVIDENCE_INVALID");
    }
    let mut wrong_kind = Draft { kind: ParticipantKind::Institution, ..draft };
    let log: Vec<String> = wrong_kind.log().iter().map(|entry| base64(entry.to_der())).collect();
    wrong_kind.commit(&client, &with("/log", json!(log))).await.refused(422, "EVIDENCE_INVALID");
    wrong_kind.kind = ParticipantKind::Patient;
    let mut draft = wrong_kind;
    // Clocks that are off by a day.
    let now = draft.time;
    for time in [now.minus(86_400), now.plus(86_400)] {
        draft.time = time;
        let log: Vec<String> = draft.log().iter().map(|entry| base64(entry.to_der())).collect();
        draft.commit(&client, &with("/log", json!(log))).await.refused(401, "CLOCK_SKEW");
    }
    draft.time = now;
    draft.commit(&client, &good).await.expect(200);
    // Once accepted, only the same again.
    let reseal = with("/seal", json!(base64(&draft.seal())));
    draft.commit(&client, &reseal).await.refused(409, "REGISTRATION_CONFLICT");
    let mut other_keys = draft.keys_body();
    other_keys["root_spki"] = json!(base64(changed.root.public_key().spki()));
    draft.put_keys(&client, &other_keys).await.refused(409, "REGISTRATION_CONFLICT");
}

#[tokio::test]
async fn a_registrar_decides_about_institutions() {
    let platform = Platform::start_with(&Options { approval: "registrar", ..Options::default() });
    let client = platform.client();
    let mut clinic = Draft::new(ParticipantKind::Institution);
    let mut quack = Draft::new(ParticipantKind::HealthCareProfessional);
    for draft in [&mut clinic, &mut quack] {
        assert_eq!(draft.begin(&client).await.expect(201).json()["state"], "PENDING_APPROVAL");
        draft.put_keys(&client, &draft.keys_body()).await.refused(409, "REGISTRATION_PENDING");
    }
    let list = platform.command(&["registrar", "list"], &["--json"]);
    let text = String::from_utf8(list.stdout).unwrap();
    assert!(text.contains(&clinic.uid.to_string()) && text.contains("INSTITUTION"), "{text}");

    assert!(platform.command(&["registrar", "approve"], &[&clinic.uid.to_string()]).status.success());
    assert!(platform.command(&["registrar", "refuse"], &[&quack.uid.to_string()]).status.success());
    assert!(!platform.command(&["registrar", "approve"], &[&quack.uid.to_string()]).status.success());
    assert_eq!(quack.show(&client).await.expect(200).json()["state"], "REFUSED");
    quack.put_keys(&client, &quack.keys_body()).await.refused(403, "REGISTRATION_REFUSED");

    assert_eq!(clinic.show(&client).await.expect(200).json()["state"], "OPEN");
    let challenges = clinic.put_keys(&client, &clinic.keys_body()).await.expect(200).json();
    clinic.commit(&client, &clinic.commit_body(&challenges)).await.expect(200);
    // A patient needs nobody.
    Agent::register(&platform).await;
}

#[tokio::test]
async fn a_commit_survives_an_absent_authority_and_a_kill() {
    let mut platform = Platform::start_with(&Options { start_ca: false, ..Options::default() });
    let client = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    let body = draft.prepare(&client).await;
    let refused = draft.commit(&client, &body).await.refused(503, "CA_UNAVAILABLE");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(draft.show(&client).await.expect(200).json()["state"], "OPEN");

    platform.kill_serve();
    platform.start_serve();
    platform.start_ca();
    let client = platform.client();
    let committed = draft.commit(&client, &body).await.expect(200);
    // Once the account is there, the authority need not be.
    platform.stop_ca();
    assert_eq!(draft.commit(&client, &body).await.expect(200).body, committed.body);
    let agent = draft.into_agent(&platform, &committed.json());
    agent.client.get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn two_commits_at_once_make_one_account() {
    let platform = Platform::start();
    let client = platform.client();
    let mut draft = Draft::new(ParticipantKind::Patient);
    let body = draft.prepare(&client).await;
    let replies = futures_util::future::join_all((0..8).map(|_| draft.commit(&client, &body))).await;
    for reply in &replies {
        assert_eq!(reply.status, 200, "{}", reply.reason());
        assert_eq!(reply.body, replies[0].body);
    }
    let text = from_base64(replies[0].json()["certificates"]["ROOT"].as_str().unwrap()).unwrap();
    assert!(Certificate::from_der(&text).is_ok());
}

#[tokio::test]
async fn keys_and_credential_ids_are_taken_with_the_first_commit() {
    let mut platform = Platform::start();
    let client = platform.client();
    // Both hand in their keys before either commits; the authority is away, so neither becomes an account.
    let mut first = Draft::new(ParticipantKind::Patient);
    let body = first.prepare(&client).await;
    let encryption = PrivateKey::from_pkcs8(first.encryption.to_pkcs8().expose()).unwrap();
    let mut same_key = Draft { encryption, ..Draft::new(ParticipantKind::Patient) };
    let same_key_body = same_key.prepare(&client).await;
    let mut same_id = Draft { credential: first.credential, ..Draft::new(ParticipantKind::Patient) };
    let same_id_body = same_id.prepare(&client).await;
    platform.stop_ca();
    first.commit(&client, &body).await.refused(503, "CA_UNAVAILABLE");
    same_key.commit(&client, &same_key_body).await.refused(409, "KEY_IN_USE");
    same_id.commit(&client, &same_id_body).await.refused(409, "KEY_IN_USE");
    platform.start_ca();
    first.commit(&client, &body).await.expect(200);
    same_key.commit(&client, &same_key_body).await.refused(409, "KEY_IN_USE");
}
