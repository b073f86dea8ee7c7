//! `openapi.json` against the route table, the types, and what the platform really answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::collections::BTreeSet;

use life_pki::ParticipantKind;
use life_platform::authority::added::AddedKeys;
use life_platform::authority::evidence::Keys;
use life_platform::encoding::Base64;
use life_platform::http::documents::dto::{BeginUpload, CommitDocument, ShareDocument};
use life_platform::http::dto::{
    AnswerLogin, Answers, BeginLogin, BeginRegistration, Commit, CommitAddition, NewSuperPin, Publish,
    RevokeCredential, SignatureDigest,
};
use life_platform::http::problem::Reason;
use life_platform::http::routes::ROUTES;
use serde_json::{Value, json};
use support::credential::NewCredential;
use support::documents::{Version, new_id, new_upload, path_of};
use support::schema::{contract, faults};
use support::{Agent, Draft, Platform, Reply};

/// Checks an answer against what the contract says about its operation and status.
#[track_caller]
fn conforms(method: &str, path: &str, reply: &Reply) {
    let contract = contract();
    let responses = &contract["paths"][path][method.to_lowercase()]["responses"];
    assert!(responses.is_object(), "{method} {path} is not in the contract");
    let status = reply.status.as_u16().to_string();
    let response = if responses[&status].is_object() {
        &responses[&status]
    } else {
        assert!(reply.status.as_u16() >= 400, "{method} {path}: {status} is not in the contract");
        &contract["components"]["responses"]["Problem"]
    };
    let Some(content) = response["content"].as_object() else {
        assert!(reply.body.is_empty(), "{method} {path}: a body that is not in the contract");
        return;
    };
    let (content_type, media) = content.iter().next().unwrap();
    assert_eq!(reply.headers["content-type"], content_type.as_str(), "{method} {path}");
    if content_type.contains("json") {
        assert_eq!(
            faults(&contract, &media["schema"], &reply.json()),
            Vec::<String>::new(),
            "{method} {path}"
        );
    } else {
        assert!(!reply.body.is_empty());
    }
}

/// Checks a request body of the tests against the contract, so that they speak what it says.
#[track_caller]
fn speaks(method: &str, path: &str, body: &Value) {
    let contract = contract();
    let request = &contract["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(faults(&contract, request, body), Vec::<String>::new(), "{method} {path}");
}

#[test]
fn routes_levels_and_reasons_are_those_of_the_contract() {
    let contract = contract();
    let mut documented = BTreeSet::new();
    for (path, methods) in contract["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let level = operation["x-life-level"].as_str().unwrap();
            documented.insert((method.to_uppercase(), path.clone(), level.to_owned()));
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{method} {path}");
            let named: BTreeSet<&str> = path.split('/').filter_map(|part| part.strip_prefix('{')).collect();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let declared: BTreeSet<String> = parameters
                .filter_map(|parameter| parameter["$ref"].as_str())
                .map(|reference| format!("{}}}", reference.rsplit('/').next().unwrap()))
                .collect();
            assert_eq!(named, declared.iter().map(String::as_str).collect(), "{method} {path}");
        }
    }
    let real: BTreeSet<_> = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned(), route.level.name().to_owned()))
        .collect();
    assert_eq!(real, documented);
    assert_eq!(real.len(), ROUTES.len());

    let reasons = &contract["components"]["schemas"]["Problem"]["properties"]["reason"]["enum"];
    let documented: BTreeSet<&str> = reasons.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(documented, Reason::ALL.iter().map(|reason| reason.name()).collect());
}

#[test]
fn fields_of_requests_are_those_of_the_contract() {
    let bytes = || Base64(vec![1]);
    let keys = Keys {
        authentication_csr: bytes(),
        signature_csr: bytes(),
        encryption_spki: bytes(),
        root_spki: bytes(),
    };
    let answers = || Answers { encryption: bytes(), root: bytes() };
    let commit = Commit { answers: answers(), log: vec![bytes(), bytes()], seal: bytes() };
    let begin = BeginRegistration { kind: "PATIENT".to_owned(), key: bytes(), proof: bytes() };
    let begin_upload = BeginUpload { version: 1, upload_id: "00".repeat(16) };
    let uid = "123e4567-e89b-42d3-a456-426614174000".to_owned();
    let commit_document = CommitDocument {
        metadata: bytes(),
        signature_digest: bytes(),
        readers: vec![uid.clone()],
        replaces_revision: Some(0),
    };
    let share_document =
        ShareDocument { version: 1, revision: 0, header: bytes(), metadata: bytes(), readers: vec![uid] };
    let added_keys =
        AddedKeys { authentication_csr: bytes(), signature_csr: bytes(), encryption_spki: bytes() };
    let lookup_id = "00".repeat(16);
    let super_pin = NewSuperPin { lookup_id: lookup_id.clone(), verifier: bytes(), bundle: bytes() };
    let commit_addition =
        CommitAddition { answer: bytes(), entry: bytes(), seal: bytes(), super_pin: super_pin.clone() };
    let values = [
        ("AddedKeys", serde_json::to_value(added_keys).unwrap()),
        ("NewSuperPin", serde_json::to_value(super_pin).unwrap()),
        ("CommitAddition", serde_json::to_value(commit_addition).unwrap()),
        ("RevokeCredential", serde_json::to_value(RevokeCredential { entry: bytes() }).unwrap()),
        ("BeginLogin", serde_json::to_value(BeginLogin { lookup_id }).unwrap()),
        ("AnswerLogin", serde_json::to_value(AnswerLogin { signature: bytes() }).unwrap()),
        ("BeginUpload", serde_json::to_value(begin_upload).unwrap()),
        ("CommitDocument", serde_json::to_value(commit_document).unwrap()),
        ("ShareDocument", serde_json::to_value(share_document).unwrap()),
        ("Keys", serde_json::to_value(keys).unwrap()),
        ("Answers", serde_json::to_value(answers()).unwrap()),
        ("Commit", serde_json::to_value(commit).unwrap()),
        ("BeginRegistration", serde_json::to_value(begin).unwrap()),
        ("Publish", serde_json::to_value(Publish { signature_digest: Some(bytes()) }).unwrap()),
        ("SignatureDigest", serde_json::to_value(SignatureDigest { signature_digest: bytes() }).unwrap()),
    ];
    let contract = contract();
    for (name, value) in values {
        let schema = &contract["components"]["schemas"][name];
        assert_eq!(faults(&contract, schema, &value), Vec::<String>::new(), "{name}");
        let fields: BTreeSet<&String> = value.as_object().unwrap().keys().collect();
        assert_eq!(fields, schema["properties"].as_object().unwrap().keys().collect(), "{name}");
    }
}

#[tokio::test]
async fn every_answer_conforms() {
    let platform = Platform::start();
    let client = platform.client();
    for path in
        ["/v1/versions", "/v1/openapi.json", "/v1/trust", "/v1/issuers", "/v1/crl", "/v1/participant-kinds"]
    {
        conforms("GET", path, &client.get(path).await.expect(200));
    }
    let trust = client.get("/v1/trust").await.expect(200).body;
    let fingerprint = life_pki::trust::TrustBundle::from_der(&trust).unwrap().fingerprint().unwrap();
    assert_eq!(hex::encode(fingerprint), platform.fingerprint);
    let printed = platform.command(&["fingerprint"], &[]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap().trim(), platform.fingerprint);

    let mut draft = Draft::new(ParticipantKind::Patient);
    let begin = "/v1/registrations";
    speaks("post", begin, &draft.begin_body());
    conforms("POST", begin, &draft.begin(&client).await.expect(201));
    conforms("POST", begin, &draft.begin(&client).await.expect(200));
    conforms("POST", begin, &client.post(begin, &json!({})).await.expect(400));
    let one = "/v1/registrations/{registration}";
    conforms("GET", one, &draft.show(&client).await.expect(200));
    conforms("GET", one, &client.get(&draft.path("")).await.expect(401));
    let keys = "/v1/registrations/{registration}/keys";
    speaks("put", keys, &draft.keys_body());
    let challenges = draft.put_keys(&client, &draft.keys_body()).await.expect(200);
    conforms("PUT", keys, &challenges);
    let commit = "/v1/registrations/{registration}/commit";
    let body = draft.commit_body(&challenges.json());
    speaks("post", commit, &body);
    let committed = draft.commit(&client, &body).await.expect(200);
    conforms("POST", commit, &committed);
    let agent = draft.into_agent(&platform, &committed.json());

    conforms("GET", "/v1/me", &agent.client.get("/v1/me").await.expect(200));
    conforms("GET", "/v1/me", &client.get("/v1/me").await.expect(401));
    conforms("GET", "/v1/me/seals", &agent.client.get("/v1/me/seals").await.expect(200));
    let user = format!("/v1/users/{}", agent.uid());
    conforms("GET", "/v1/users/{uid}", &agent.client.get(&user).await.expect(200));
    conforms("GET", "/v1/users/{uid}/log", &agent.client.get(&format!("{user}/log")).await.expect(200));
    inbox_conforms(&agent).await;
    documents_conform(&agent, &Agent::register(&platform).await).await;
    credentials_conform(&platform, &agent).await;
}

async fn credentials_conform(platform: &Platform, agent: &Agent) {
    let (pin, client) = (NewCredential::new(), platform.client());
    let begin = "/v1/me/credentials";
    speaks("post", begin, &pin.keys_body(&agent.draft));
    conforms("POST", begin, &agent.client.post(begin, &pin.keys_body(&agent.draft)).await.expect(201));
    let (addition, body) = pin.begin(agent).await;
    let commit = "/v1/me/credentials/{addition}/commit";
    speaks("post", commit, &body);
    conforms("POST", commit, &pin.commit(agent, "none", &body).await.expect(404));
    conforms("POST", commit, &pin.commit(agent, &addition, &body).await.expect(200));

    let (login, challenge) = ("/v1/super-pin-logins", json!({ "lookup_id": pin.lookup_id() }));
    speaks("post", login, &challenge);
    conforms("POST", login, &client.post(login, &challenge).await.expect(201));
    let (name, challenge) = pin.challenge(&client).await;
    let answer = "/v1/super-pin-logins/{login}/answer";
    let body = pin.answer_body(&challenge);
    speaks("post", answer, &body);
    for status in [200, 401] {
        conforms("POST", answer, &pin.answer(&client, &name, &body).await.expect(status));
    }

    let revocation = "/v1/me/credentials/{credential_id}/revocation";
    let body = pin.revocation(agent, pin.id).await;
    speaks("post", revocation, &body);
    let path = format!("/v1/me/credentials/{}/revocation", pin.id);
    conforms("POST", revocation, &agent.client.post(&path, &body).await.expect(204));
}

async fn documents_conform(owner: &Agent, reader: &Agent) {
    let (id, one) = (new_id(), Version::new(1000, owner, &[]));
    let (document, path) = ("/v1/documents/{document_id}", path_of(&id));
    let uploads = format!("{document}/uploads");
    let upload = format!("{uploads}/{{upload_id}}");
    let begin = json!({ "version": 1, "upload_id": new_upload() });
    speaks("post", &uploads, &begin);
    for status in [201, 200] {
        conforms(
            "POST",
            &uploads,
            &owner.client.post(&format!("{path}/uploads"), &begin).await.expect(status),
        );
    }
    let at = format!("{path}/uploads/{}", begin["upload_id"].as_str().unwrap());
    conforms("GET", &upload, &owner.client.get(&at).await.expect(200));
    conforms("PATCH", &upload, &owner.client.append(&at, 0, one.stream.clone()).await.expect(200));
    let wrong = owner.client.append(&at, 0, "").await.expect(409);
    conforms("PATCH", &upload, &wrong);
    let commit = format!("{upload}/commit");
    speaks("post", &commit, &one.commit_body());
    conforms("POST", &commit, &owner.client.commit(&at, &one).await.expect(200));
    let late = owner.client.post(&format!("{path}/uploads"), &begin).await.expect(409);
    assert_eq!(late.json()["current_version"], 1);
    conforms("POST", &uploads, &late);
    conforms("DELETE", &upload, &owner.client.delete(&at).await.expect(204));

    let shared = one.shared(owner, &[reader]);
    let sharing = format!("{document}/sharing");
    speaks("post", &sharing, &shared.share_body(1, 0));
    let reply = owner.client.post(&format!("{path}/sharing"), &shared.share_body(1, 0)).await.expect(200);
    conforms("POST", &sharing, &reply);
    for agent in [owner, reader] {
        conforms("GET", document, &agent.client.get(&path).await.expect(200));
        conforms("GET", "/v1/documents", &agent.client.get("/v1/documents").await.expect(200));
        let content = format!("{document}/content");
        conforms("GET", &content, &agent.client.content(&id, &[]).await.expect(200));
        conforms("GET", &content, &agent.client.content(&id, &[("range", "bytes=1-2")]).await.expect(206));
        conforms(
            "GET",
            &content,
            &agent.client.content(&id, &[("range", "bytes=9999999-")]).await.expect(416),
        );
        conforms("GET", &content, &agent.client.content(&id, &[("if-match", "\"9-9\"")]).await.expect(412));
    }
    owner.client.store(&new_id(), 1, &one).await;
    let page = owner.client.get("/v1/documents?limit=1").await.expect(200);
    assert!(page.json()["next"].is_string());
    conforms("GET", "/v1/documents", &page);
    conforms("DELETE", document, &owner.client.delete(&format!("{path}?version=1")).await.expect(204));
    conforms("GET", document, &owner.client.get(&path).await.expect(200));
    conforms("GET", document, &reader.client.get(&path).await.expect(404));
}

async fn inbox_conforms(agent: &Agent) {
    let digest = json!({ "signature_digest": life_platform::encoding::base64(&[7; 32]) });
    speaks("post", "/v1/receipts", &digest);
    conforms("POST", "/v1/receipts", &agent.client.post("/v1/receipts", &digest).await.expect(200));
    let deposit = "/v1/inboxes/{uid}/messages/{message_id}";
    let envelope = support::content::envelope(b"x", agent.draft.root.public_key());
    for (id, status) in [("m1", 201), ("m1", 200), ("m2", 201)] {
        let reply = agent.client.put_octets(&agent.inbox(id), envelope.clone()).await.expect(status);
        conforms("PUT", deposit, &reply);
    }
    conforms("PUT", deposit, &agent.client.put_octets(&agent.inbox("m3"), "plain").await.expect(422));
    let receipt = format!("{deposit}/receipt");
    let path = format!("{}/receipt", agent.inbox("m1"));
    speaks("post", &receipt, &digest);
    speaks("post", &receipt, &json!({}));
    conforms("POST", &receipt, &agent.client.post(&path, &digest).await.expect(200));
    conforms("POST", &receipt, &agent.client.publish(&agent.inbox("m2")).await.expect(200));
    conforms("PUT", deposit, &agent.client.put_octets(&agent.inbox("m1"), "late").await.expect(409));
    let page = agent.client.get("/v1/inbox?limit=1").await.expect(200);
    assert!(page.json()["next"].is_string());
    conforms("GET", "/v1/inbox", &page);
    conforms("GET", "/v1/inbox", &agent.client.get("/v1/inbox").await.expect(200));
    let message = agent.client.get("/v1/inbox/m1").await.expect(200);
    assert!(message.headers.contains_key("life-receipt"));
    conforms("GET", "/v1/inbox/{message_id}", &message);
    conforms("DELETE", "/v1/inbox/{message_id}", &agent.client.delete("/v1/inbox/m1").await.expect(204));
    conforms("GET", "/v1/inbox/{message_id}", &agent.client.get("/v1/inbox/m1").await.expect(404));
}

#[test]
fn the_validator_can_fail() {
    let contract = contract();
    let schema = &contract["components"]["schemas"]["RegistrationInfo"];
    let good = serde_json::json!({
        "registration": "00112233445566778899aabbccddeeff",
        "uid": "123e4567-e89b-42d3-a456-426614174000",
        "state": "OPEN",
        "expire_time": "2026-01-31T12:00:00Z",
    });
    assert_eq!(faults(&contract, schema, &good), Vec::<String>::new());
    for (field, bad) in [
        ("registration", serde_json::json!("00")),
        ("uid", serde_json::json!("123e4567-e89b-12d3-a456-426614174000")),
        ("state", serde_json::json!("DONE")),
        ("expire_time", serde_json::json!(7)),
        ("more", serde_json::json!("field")),
    ] {
        let mut value = good.clone();
        value[field] = bad;
        assert!(!faults(&contract, schema, &value).is_empty(), "{field}");
    }
    let mut value = good;
    value.as_object_mut().unwrap().remove("uid");
    assert!(!faults(&contract, schema, &value).is_empty());
}
