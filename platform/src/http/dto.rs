//! The JSON bodies of the contract. Field names here and in `openapi.json` are compared by a test.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::encoding::Base64;

/// `GET /v1/versions`
#[derive(Clone, Debug, Serialize)]
pub struct Versions {
    /// Contract versions this platform speaks.
    pub versions: Vec<&'static str>,
    /// The platform's own version.
    pub platform_version: &'static str,
    /// The platform's clock, RFC 3339.
    pub time: String,
}

/// `GET /v1/issuers`
#[derive(Clone, Debug, Serialize)]
pub struct Issuers {
    /// The issuing certificate, then the user root.
    pub issuers: Vec<Base64>,
}

/// `GET /v1/participant-kinds`
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantKinds {
    /// All kinds.
    pub participant_kinds: Vec<ParticipantKindInfo>,
}

/// One kind of participant.
#[derive(Clone, Debug, Serialize)]
pub struct ParticipantKindInfo {
    /// Its name.
    pub kind: &'static str,
    /// Whether a registrar has to approve a registration of this kind.
    pub needs_approval: bool,
}

/// Body of `POST /v1/registrations`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginRegistration {
    /// The kind of participant.
    pub kind: String,
    /// SubjectPublicKeyInfo of a fresh P-256 key.
    pub key: Base64,
    /// That key's signature over `"LIFE registration v1\0" | key`.
    pub proof: Base64,
}

/// Answer to `POST /v1/registrations` and `GET /v1/registrations/{registration}`
#[derive(Clone, Debug, Serialize)]
pub struct RegistrationInfo {
    /// Its name.
    pub registration: String,
    /// The user it is to become.
    pub uid: String,
    /// How far it has come.
    pub state: &'static str,
    /// When it is forgotten, RFC 3339.
    pub expire_time: String,
}

/// Answer to `PUT /v1/registrations/{registration}/keys`
#[derive(Clone, Debug, Serialize)]
pub struct Challenges {
    /// By slot: `ENCRYPTION`, `ROOT`.
    pub challenges: BTreeMap<&'static str, Base64>,
}

/// Body of `POST /v1/registrations/{registration}/commit`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// The opened challenges.
    pub answers: Answers,
    /// Genesis and first root credential.
    pub log: Vec<Base64>,
    /// The root key seal.
    pub seal: Base64,
}

life_sys::secret_types!(Commit);

/// The nonces of the two challenges.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answers {
    /// Of the encryption key's challenge.
    #[serde(rename = "ENCRYPTION")]
    pub encryption: Base64,
    /// Of the root credential's challenge.
    #[serde(rename = "ROOT")]
    pub root: Base64,
}

life_sys::secret_types!(Answers);

/// Answer to `POST /v1/registrations/{registration}/commit`
#[derive(Clone, Debug, Serialize)]
pub struct Committed {
    /// By slot.
    pub certificates: BTreeMap<&'static str, Base64>,
    /// The issuing certificate, then the user root.
    pub issuers: Vec<Base64>,
}

/// Answer to `GET /v1/users/{uid}` and `GET /v1/me`
#[derive(Clone, Debug, Serialize)]
pub struct User {
    /// The user.
    pub uid: String,
    /// The kind of participant.
    pub kind: &'static str,
    /// The whole account log.
    pub log: Vec<Base64>,
    /// By slot: `ROOT` for others; for oneself the slots of the credential in use as well.
    pub certificates: BTreeMap<&'static str, Base64>,
    /// The issuing certificate, then the user root.
    pub issuers: Vec<Base64>,
}

/// Answer to `GET /v1/users/{uid}/log`
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// The whole account log.
    pub log: Vec<Base64>,
}

/// Answer to `GET /v1/me/seals`
#[derive(Clone, Debug, Serialize)]
pub struct Seals {
    /// One for each credential and generation.
    pub seals: Vec<Seal>,
}

/// One root key seal.
#[derive(Clone, Debug, Serialize)]
pub struct Seal {
    /// The credential it is sealed to, 32 hexadecimal digits.
    pub credential_id: String,
    /// The root credential's generation.
    pub generation: u32,
    /// The envelope.
    pub seal: Base64,
}

/// Answer to `POST /v1/me/credentials`
#[derive(Clone, Debug, Serialize)]
pub struct AdditionInfo {
    /// Its name.
    pub addition: String,
    /// For the encryption key.
    pub challenge: Base64,
    /// When it is forgotten, RFC 3339.
    pub expire_time: String,
}

/// Body of `POST /v1/me/credentials/{addition}/commit`
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitAddition {
    /// The opened challenge.
    pub answer: Base64,
    /// The account log's entry that adds the credential.
    pub entry: Base64,
    /// The root key seal for it.
    pub seal: Base64,
    /// What the SuperPIN is found and opened by.
    pub super_pin: NewSuperPin,
}

life_sys::secret_types!(CommitAddition);

/// What a new SuperPIN leaves at the platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSuperPin {
    /// What it is found by, 32 hexadecimal digits.
    pub lookup_id: String,
    /// SubjectPublicKeyInfo of the key that answers challenges.
    pub verifier: Base64,
    /// The key bundle.
    pub bundle: Base64,
}

/// Answer to `POST /v1/me/credentials/{addition}/commit`
#[derive(Clone, Debug, Serialize)]
pub struct WorkingCertificates {
    /// By slot, of the credential alone.
    pub certificates: BTreeMap<&'static str, Base64>,
    /// The issuing certificate, then the user root.
    pub issuers: Vec<Base64>,
}

/// Body of `POST /v1/me/credentials/{credential_id}/revocation`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeCredential {
    /// The account log's entry that revokes the credential.
    pub entry: Base64,
}

/// Body of `POST /v1/super-pin-logins`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginLogin {
    /// What the SuperPIN is found by, 32 hexadecimal digits.
    pub lookup_id: String,
}

/// Answer to `POST /v1/super-pin-logins`
#[derive(Clone, Debug, Serialize)]
pub struct LoginInfo {
    /// Its name.
    pub login: String,
    /// 32 random bytes to be signed.
    pub challenge: Base64,
    /// Until when it can be answered, RFC 3339.
    pub expire_time: String,
}

/// Body of `POST /v1/super-pin-logins/{login}/answer`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerLogin {
    /// The signature over `"LIFE SuperPIN login v1\0" | lookup id | challenge`.
    pub signature: Base64,
}

/// Answer to `POST /v1/super-pin-logins/{login}/answer`
#[derive(Clone, Debug, Serialize)]
pub struct OpenedLogin {
    /// The user.
    pub uid: String,
    /// The credential, 32 hexadecimal digits.
    pub credential_id: String,
    /// The key bundle.
    pub bundle: Base64,
    /// By slot, of the credential alone.
    pub certificates: BTreeMap<&'static str, Base64>,
    /// The issuing certificate, then the user root.
    pub issuers: Vec<Base64>,
}

/// Body of `POST /v1/receipts`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureDigest {
    /// SHA-256 of the signature value.
    pub signature_digest: Base64,
}

/// Answer to `POST /v1/receipts`
#[derive(Clone, Debug, Serialize)]
pub struct ReceiptAnswer {
    /// The receipt.
    pub receipt: Base64,
}

/// Answer to `PUT /v1/inboxes/{uid}/messages/{message_id}`
#[derive(Clone, Debug, Serialize)]
pub struct Deposited {
    /// The id the depositor chose.
    pub message_id: String,
    /// When it is forgotten unless it is made visible before, RFC 3339.
    pub expire_time: String,
}

/// Body of `POST /v1/inboxes/{uid}/messages/{message_id}/receipt`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// SHA-256 of the signature value; nothing for content without a signature.
    #[serde(default)]
    pub signature_digest: Option<Base64>,
}

/// Answer to `POST /v1/inboxes/{uid}/messages/{message_id}/receipt`
#[derive(Clone, Debug, Serialize)]
pub struct Published {
    /// The id the depositor chose.
    pub message_id: String,
    /// When it became visible, RFC 3339.
    pub deposit_time: String,
    /// The receipt, when a signature digest was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Base64>,
}

/// Answer to `GET /v1/inbox`
#[derive(Clone, Debug, Serialize)]
pub struct Messages {
    /// In the order of arrival.
    pub messages: Vec<MessageInfo>,
    /// What to pass as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One message of an inbox.
#[derive(Clone, Debug, Serialize)]
pub struct MessageInfo {
    /// The id the depositor chose.
    pub message_id: String,
    /// Who deposited it.
    pub depositor: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it became visible, RFC 3339.
    pub deposit_time: String,
}
