//! A SuperPIN that is added to an account, as an agent with its vault would.

use life_envelope::challenge;
use life_envelope::root_seal::RootKeySeal;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody, Possession};
use life_pki::{CredentialKind, KeySlot, PrivateKey, Timestamp, csr};
use life_platform::clock::Clock;
use life_platform::encoding::{base64, from_base64, random};
use life_sys::secret::{Key256, SecretBytes};
use serde_json::{Value, json};

use super::agent::slot_der;
use super::{Agent, Client, Draft, Platform, Reply};

/// A SuperPIN with the keys that it opens.
pub struct NewCredential {
    pub id: CredentialId,
    pub authentication: PrivateKey,
    pub signature: PrivateKey,
    pub encryption: PrivateKey,
    /// Answers the challenges of a login.
    pub login: PrivateKey,
    pub lookup: [u8; 16],
    pub bundle: Vec<u8>,
    pub time: Timestamp,
}

/// The entries of an account as the platform shows them.
pub async fn log_of(agent: &Agent) -> Vec<Entry> {
    let me = agent.client.get("/v1/me").await.expect(200).json();
    let entries = me["log"].as_array().unwrap().iter();
    entries.map(|entry| Entry::from_der(&from_base64(entry.as_str().unwrap()).unwrap()).unwrap()).collect()
}

impl NewCredential {
    pub fn new() -> Self {
        let p256 = || PrivateKey::generate_p256().unwrap();
        Self {
            id: CredentialId(random().unwrap()),
            authentication: p256(),
            signature: p256(),
            encryption: p256(),
            login: p256(),
            lookup: random().unwrap(),
            bundle: b"a key bundle is opaque to the platform".to_vec(),
            time: Clock::system().now(),
        }
    }

    pub fn lookup_id(&self) -> String {
        hex::encode(self.lookup)
    }

    pub fn keys_body(&self, owner: &Draft) -> Value {
        let request = |slot, key: &PrivateKey| {
            let to_sign = csr::to_be_signed(&owner.uid, slot, key.public_key()).unwrap();
            base64(&csr::assemble(&to_sign, key.public_key(), &key.sign(&to_sign).unwrap()).unwrap())
        };
        json!({
            "authentication_csr": request(KeySlot::Authentication, &self.authentication),
            "signature_csr": request(KeySlot::Signature, &self.signature),
            "encryption_spki": base64(self.encryption.public_key().spki()),
        })
    }

    /// The keys, as the log names them.
    pub fn keys(&self) -> CredentialKeys {
        CredentialKeys {
            id: self.id,
            kind: CredentialKind::SuperPin,
            authentication: self.authentication.public_key().hash(),
            signature: self.signature.public_key().hash(),
            encryption: self.encryption.public_key().hash(),
        }
    }

    /// The entry that adds it behind another one, signed by the account's first credential.
    pub fn entry(&self, owner: &Draft, after: &Entry, keys: CredentialKeys) -> Entry {
        let body = EntryBody::after(after, self.time.max(after.body().time), Change::AddCredential(keys));
        let possession = Possession {
            key: self.signature.public_key().clone(),
            signature: self.signature.sign(&body.possession_input().unwrap()).unwrap(),
        };
        let signer = &owner.signature;
        let signature = signer.sign(&body.signing_input().unwrap()).unwrap();
        Entry::assemble(body, signer.public_key(), signature, Some(possession)).unwrap()
    }

    pub fn seal(&self, owner: &Draft) -> Vec<u8> {
        let seal = RootKeySeal {
            uid: owner.uid,
            credential_id: self.id.0,
            generation: 1,
            root_key: SecretBytes::new(owner.root.to_pkcs8().expose().to_vec()),
            history_key: Key256::take(&mut random().unwrap()),
        };
        seal.seal(self.encryption.public_key()).unwrap()
    }

    /// The answer to a challenge.
    fn open(&self, agent: &Agent, envelope: &[u8]) -> String {
        let nonce = challenge::open(envelope, agent.uid(), KeySlot::Encryption, &self.encryption);
        base64(nonce.unwrap().expose())
    }

    /// Hands the keys in; gives the addition's name and the body of a good commit.
    pub async fn begin(&self, agent: &Agent) -> (String, Value) {
        let begun =
            agent.client.post("/v1/me/credentials", &self.keys_body(&agent.draft)).await.expect(201).json();
        let envelope = from_base64(begun["challenge"].as_str().unwrap()).unwrap();
        let answer = self.open(agent, &envelope);
        let log = log_of(agent).await;
        let body = json!({
            "answer": answer,
            "entry": base64(self.entry(&agent.draft, log.last().unwrap(), self.keys()).to_der()),
            "seal": base64(&self.seal(&agent.draft)),
            "super_pin": {
                "lookup_id": self.lookup_id(),
                "verifier": base64(self.login.public_key().spki()),
                "bundle": base64(&self.bundle),
            },
        });
        (begun["addition"].as_str().unwrap().to_owned(), body)
    }

    pub async fn commit(&self, agent: &Agent, addition: &str, body: &Value) -> Reply {
        agent.client.post(&format!("/v1/me/credentials/{addition}/commit"), body).await
    }

    /// All of it; gives the commit's answer.
    pub async fn add(&self, agent: &Agent) -> Value {
        let (addition, body) = self.begin(agent).await;
        self.commit(agent, &addition, &body).await.expect(200).json()
    }

    /// The body that revokes a credential, signed by the account's first one.
    pub async fn revocation(&self, agent: &Agent, id: CredentialId) -> Value {
        let log = log_of(agent).await;
        let last = log.last().unwrap();
        let body = EntryBody::after(last, self.time.max(last.body().time), Change::RevokeCredential(id));
        json!({ "entry": base64(agent.draft.entry(body).to_der()) })
    }

    /// A client that shows its authentication certificate.
    pub fn client(&self, platform: &Platform, certificates: &Value) -> Client {
        let certificate = slot_der(certificates, "AUTHENTICATION");
        let key = self.authentication.to_pkcs8().expose().to_vec();
        Client::new(platform.address, &platform.root(), Some((certificate, key)))
    }

    /// Begins a login; gives its name and challenge.
    pub async fn challenge(&self, client: &Client) -> (String, Vec<u8>) {
        let body = json!({ "lookup_id": self.lookup_id() });
        let begun = client.post("/v1/super-pin-logins", &body).await.expect(201).json();
        let challenge = from_base64(begun["challenge"].as_str().unwrap()).unwrap();
        (begun["login"].as_str().unwrap().to_owned(), challenge)
    }

    pub fn answer_body(&self, challenge: &[u8]) -> Value {
        let message = [b"LIFE SuperPIN login v1\0", &self.lookup[..], challenge].concat();
        json!({ "signature": base64(&self.login.sign(&message).unwrap()) })
    }

    pub async fn answer(&self, client: &Client, login: &str, body: &Value) -> Reply {
        client.post(&format!("/v1/super-pin-logins/{login}/answer"), body).await
    }

    pub async fn log_in(&self, client: &Client) -> Reply {
        let (login, challenge) = self.challenge(client).await;
        self.answer(client, &login, &self.answer_body(&challenge)).await
    }
}
