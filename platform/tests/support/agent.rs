//! Registers users step by step, as an agent with its vault would.

use axum::body::Body;
use http::Request;
use life_envelope::challenge;
use life_envelope::root_seal::RootKeySeal;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody};
use life_pki::{CredentialKind, KeySlot, ParticipantKind, PrivateKey, Timestamp, Uid, csr};
use life_platform::clock::Clock;
use life_platform::encoding::{base64, from_base64, sha256};
use life_sys::secret::{Key256, SecretBytes};
use serde_json::{Value, json};

use super::client::{Client, Reply, json_request, request};
use super::platform::Platform;

/// A user on the way: all keys, and the registration when it was begun.
pub struct Draft {
    pub kind: ParticipantKind,
    pub ephemeral: PrivateKey,
    pub authentication: PrivateKey,
    pub signature: PrivateKey,
    pub encryption: PrivateKey,
    pub root: PrivateKey,
    pub credential: CredentialId,
    pub registration: String,
    pub uid: Uid,
    pub time: Timestamp,
}

/// A registered user with a client that authenticates.
pub struct Agent {
    pub draft: Draft,
    pub certificates: Value,
    pub client: Client,
}

pub fn slot_der(certificates: &Value, slot: &str) -> Vec<u8> {
    from_base64(certificates[slot].as_str().unwrap()).unwrap()
}

impl Draft {
    /// Makes keys: P-256 for the credential, RSA-3072 for the root credential.
    pub fn new(kind: ParticipantKind) -> Self {
        let p256 = || PrivateKey::generate_p256().unwrap();
        Self {
            kind,
            ephemeral: p256(),
            authentication: p256(),
            signature: p256(),
            encryption: p256(),
            root: PrivateKey::generate_rsa(3072).unwrap(),
            credential: CredentialId(life_platform::encoding::random().unwrap()),
            registration: String::new(),
            uid: Uid::from_random([0; 16]),
            time: Clock::system().now(),
        }
    }

    pub fn begin_body(&self) -> Value {
        let key = self.ephemeral.public_key().spki();
        let proof = self.ephemeral.sign(&[b"LIFE registration v1\0", key].concat()).unwrap();
        json!({ "kind": self.kind.name(), "key": base64(key), "proof": base64(&proof) })
    }

    pub async fn begin(&mut self, client: &Client) -> Reply {
        let reply = client.post("/v1/registrations", &self.begin_body()).await;
        if reply.status.is_success() {
            let answer = reply.json();
            self.registration = answer["registration"].as_str().unwrap().to_owned();
            self.uid = answer["uid"].as_str().unwrap().parse().unwrap();
        }
        reply
    }

    pub fn path(&self, rest: &str) -> String {
        format!("/v1/registrations/{}{rest}", self.registration)
    }

    /// A request with the proof header, made at a time.
    pub fn proven_at(&self, method: &str, path: &str, body: Option<&Value>, seconds: i64) -> Request<Body> {
        let bytes = body.map(|body| serde_json::to_vec(body).unwrap()).unwrap_or_default();
        let message = [
            b"LIFE registration request v1\0",
            method.as_bytes(),
            b" ",
            path.as_bytes(),
            b"\n",
            seconds.to_string().as_bytes(),
            b"\n",
            &sha256(&[&bytes]),
        ]
        .concat();
        let proof = format!("{seconds}.{}", base64(&self.ephemeral.sign(&message).unwrap()));
        let mut request = match body {
            Some(body) => json_request(method, path, body),
            None => request(method, path, Body::empty()),
        };
        request.headers_mut().insert("life-registration-proof", proof.parse().unwrap());
        request
    }

    pub fn proven(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        self.proven_at(method, path, body, Clock::system().now().unix())
    }

    pub async fn show(&self, client: &Client) -> Reply {
        client.send(self.proven("GET", &self.path(""), None)).await
    }

    pub fn request_for(&self, slot: KeySlot, key: &PrivateKey) -> Vec<u8> {
        let to_sign = csr::to_be_signed(&self.uid, slot, key.public_key()).unwrap();
        csr::assemble(&to_sign, key.public_key(), &key.sign(&to_sign).unwrap()).unwrap()
    }

    pub fn keys_body(&self) -> Value {
        json!({
            "authentication_csr": base64(&self.request_for(KeySlot::Authentication, &self.authentication)),
            "signature_csr": base64(&self.request_for(KeySlot::Signature, &self.signature)),
            "encryption_spki": base64(self.encryption.public_key().spki()),
            "root_spki": base64(self.root.public_key().spki()),
        })
    }

    pub async fn put_keys(&self, client: &Client, body: &Value) -> Reply {
        client.send(self.proven("PUT", &self.path("/keys"), Some(body))).await
    }

    pub fn answer(&self, challenges: &Value) -> Value {
        let open = |slot: KeySlot, key: &PrivateKey| {
            let envelope = from_base64(challenges["challenges"][slot.name()].as_str().unwrap()).unwrap();
            base64(challenge::open(&envelope, self.uid, slot, key).unwrap().expose())
        };
        json!({
            "ENCRYPTION": open(KeySlot::Encryption, &self.encryption),
            "ROOT": open(KeySlot::Root, &self.root),
        })
    }

    pub fn credential_keys(&self) -> CredentialKeys {
        CredentialKeys {
            id: self.credential,
            kind: CredentialKind::SoftwareCertificate,
            authentication: self.authentication.public_key().hash(),
            signature: self.signature.public_key().hash(),
            encryption: self.encryption.public_key().hash(),
        }
    }

    pub fn entry(&self, body: EntryBody) -> Entry {
        let signature = self.signature.sign(&body.signing_input().unwrap()).unwrap();
        Entry::assemble(body, self.signature.public_key(), signature, None).unwrap()
    }

    pub fn log(&self) -> Vec<Entry> {
        let genesis = EntryBody::genesis(self.uid, self.kind, self.credential_keys(), self.time);
        let genesis = self.entry(genesis);
        let change = Change::NewRoot { generation: 1, spki_hash: self.root.public_key().hash() };
        let root = self.entry(EntryBody::after(&genesis, self.time, change));
        vec![genesis, root]
    }

    pub fn seal(&self) -> Vec<u8> {
        let mut history: [u8; 32] = life_platform::encoding::random().unwrap();
        let seal = RootKeySeal {
            uid: self.uid,
            credential_id: self.credential.0,
            generation: 1,
            root_key: SecretBytes::new(self.root.to_pkcs8().expose().to_vec()),
            history_key: Key256::take(&mut history),
        };
        seal.seal(self.encryption.public_key()).unwrap()
    }

    pub fn commit_body(&self, challenges: &Value) -> Value {
        let log: Vec<String> = self.log().iter().map(|entry| base64(entry.to_der())).collect();
        json!({ "answers": self.answer(challenges), "log": log, "seal": base64(&self.seal()) })
    }

    pub async fn commit(&self, client: &Client, body: &Value) -> Reply {
        client.send(self.proven("POST", &self.path("/commit"), Some(body))).await
    }

    /// Begin and keys; returns the body of the commit.
    pub async fn prepare(&mut self, client: &Client) -> Value {
        self.begin(client).await.expect(201);
        let challenges = self.put_keys(client, &self.keys_body()).await.expect(200).json();
        self.commit_body(&challenges)
    }

    /// The rest, from an accepted commit.
    pub fn into_agent(self, platform: &Platform, committed: &Value) -> Agent {
        let certificates = committed["certificates"].clone();
        let certificate = slot_der(&certificates, "AUTHENTICATION");
        let pkcs8 = self.authentication.to_pkcs8().expose().to_vec();
        let client = Client::new(platform.address, &platform.root(), Some((certificate, pkcs8)));
        Agent { draft: self, certificates, client }
    }
}

impl Agent {
    pub async fn register(platform: &Platform) -> Self {
        Self::register_as(platform, ParticipantKind::Patient).await
    }

    pub async fn register_as(platform: &Platform, kind: ParticipantKind) -> Self {
        let client = platform.client();
        let mut draft = Draft::new(kind);
        let body = draft.prepare(&client).await;
        let committed = draft.commit(&client, &body).await.expect(200).json();
        draft.into_agent(platform, &committed)
    }

    pub fn uid(&self) -> Uid {
        self.draft.uid
    }

    /// Where others deposit for this user.
    pub fn inbox(&self, message_id: &str) -> String {
        format!("/v1/inboxes/{}/messages/{message_id}", self.uid())
    }

    /// A client that shows another certificate, or proves another key.
    pub fn client_with(&self, platform: &Platform, slot: &str, key: &PrivateKey) -> Client {
        let certificate = slot_der(&self.certificates, slot);
        Client::new(platform.address, &platform.root(), Some((certificate, key.to_pkcs8().expose().to_vec())))
    }
}
