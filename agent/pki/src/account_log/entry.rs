//! One entry of an account log: its body, what is signed, and its DER form.

use der::Encode;
use der::asn1::OctetString;

use super::{CredentialId, EntryHash, MAX_ENTRY_SIZE, wire};
use crate::asn1::{Enumerated, decode_canonical};
use crate::ecdsa;
use crate::key::{KeyAlgorithm, KeyError, PublicKey, SpkiHash};
use crate::kind::{CredentialKind, ParticipantKind};
use crate::time::Timestamp;
use crate::uid::Uid;

const VERSION: u8 = 1;
const SIGNING_PREFIX: &[u8] = b"LIFE account log entry v1\0";
const POSSESSION_PREFIX: &[u8] = b"LIFE account log possession v1\0";

/// Why bytes are no entry, or an entry cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not the one DER encoding of an entry.
    #[error("the entry is not well-formed")]
    Malformed,
    /// An ECDSA signature in another spelling than the one that counts: DER, with the smaller s.
    #[error("a signature in the entry is not in its only spelling")]
    SignatureSpelling,
    /// A format version that this program does not know.
    #[error("the entry has an unknown version")]
    UnknownVersion,
    /// Longer than [`MAX_ENTRY_SIZE`].
    #[error("the entry is too long")]
    TooLong,
}

impl From<der::Error> for EntryError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// The keys of one working credential, as a log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialKeys {
    /// The credential's id.
    pub id: CredentialId,
    /// What it is made of.
    pub kind: CredentialKind,
    /// The key of slot AUTHENTICATION.
    pub authentication: SpkiHash,
    /// The key of slot SIGNATURE.
    pub signature: SpkiHash,
    /// The key of slot ENCRYPTION.
    pub encryption: SpkiHash,
}

/// What an entry changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Opens the account; only at index 0.
    Genesis {
        /// What kind of participant the user is.
        kind: ParticipantKind,
        /// The first working credential, of a permanent kind; it signs this entry.
        credential: CredentialKeys,
    },
    /// Adds a working credential, which proves possession of its signature key.
    AddCredential(CredentialKeys),
    /// Revokes a live working credential.
    RevokeCredential(CredentialId),
    /// Makes another key the root credential.
    NewRoot {
        /// The generation: 1, then one more each time.
        generation: u32,
        /// The root credential's key.
        spki_hash: SpkiHash,
    },
}

/// The part of an entry that is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBody {
    /// The account's user.
    pub uid: Uid,
    /// The place in the log, from 0.
    pub index: u32,
    /// The hash of the whole entry before; [`EntryHash::ZERO`] in a genesis.
    pub previous: EntryHash,
    /// When the signer says that it was made.
    pub time: Timestamp,
    /// What it changes.
    pub change: Change,
}

impl EntryBody {
    /// The body of a genesis.
    #[must_use]
    pub fn genesis(uid: Uid, kind: ParticipantKind, credential: CredentialKeys, time: Timestamp) -> Self {
        Self { uid, index: 0, previous: EntryHash::ZERO, time, change: Change::Genesis { kind, credential } }
    }

    /// The body of the entry that follows `previous`.
    #[must_use]
    pub fn after(previous: &Entry, time: Timestamp, change: Change) -> Self {
        Self {
            uid: previous.body.uid,
            index: previous.body.index.saturating_add(1),
            previous: previous.hash(),
            time,
            change,
        }
    }

    /// The DER encoding.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] when the encoder fails, which no body of ours makes it do.
    pub fn to_der(&self) -> Result<Vec<u8>, EntryError> {
        Ok(self.to_wire()?.to_der()?)
    }

    /// What the signer signs.
    ///
    /// # Errors
    /// As [`EntryBody::to_der`].
    pub fn signing_input(&self) -> Result<Vec<u8>, EntryError> {
        Ok([SIGNING_PREFIX, &self.to_der()?].concat())
    }

    /// What an added working credential signs to prove that it holds its signature key.
    ///
    /// # Errors
    /// As [`EntryBody::to_der`].
    pub fn possession_input(&self) -> Result<Vec<u8>, EntryError> {
        Ok([POSSESSION_PREFIX, &self.to_der()?].concat())
    }

    fn to_wire(&self) -> Result<wire::Body, EntryError> {
        Ok(wire::Body {
            version: VERSION,
            uid: octets(self.uid.as_bytes())?,
            index: self.index,
            previous: octets(&self.previous.0)?,
            time: self.time.to_asn1()?,
            change: match &self.change {
                Change::Genesis { kind, credential } => wire::Change::Genesis(wire::Genesis {
                    kind: Enumerated(kind.number()),
                    credential: credential.to_wire()?,
                }),
                Change::AddCredential(keys) => wire::Change::AddCredential(keys.to_wire()?),
                Change::RevokeCredential(id) => {
                    wire::Change::RevokeCredential(wire::Revocation { id: octets(&id.0)? })
                }
                Change::NewRoot { generation, spki_hash } => wire::Change::NewRoot(wire::Root {
                    generation: *generation,
                    spki_hash: octets(&spki_hash.0)?,
                }),
            },
        })
    }

    fn from_wire(body: &wire::Body) -> Result<Self, EntryError> {
        if body.version != VERSION {
            return Err(EntryError::UnknownVersion);
        }
        Ok(Self {
            uid: Uid::from_slice(body.uid.as_bytes()).map_err(|_| EntryError::Malformed)?,
            index: body.index,
            previous: EntryHash::from_slice(body.previous.as_bytes()).ok_or(EntryError::Malformed)?,
            time: body.time.try_into().map_err(|_| EntryError::Malformed)?,
            change: match &body.change {
                wire::Change::Genesis(genesis) => Change::Genesis {
                    kind: ParticipantKind::from_number(genesis.kind.0).ok_or(EntryError::Malformed)?,
                    credential: CredentialKeys::from_wire(&genesis.credential)?,
                },
                wire::Change::AddCredential(keys) => Change::AddCredential(CredentialKeys::from_wire(keys)?),
                wire::Change::RevokeCredential(revocation) => {
                    Change::RevokeCredential(credential_id(&revocation.id)?)
                }
                wire::Change::NewRoot(root) => {
                    Change::NewRoot { generation: root.generation, spki_hash: spki_hash(&root.spki_hash)? }
                }
            },
        })
    }
}

impl CredentialKeys {
    fn to_wire(&self) -> Result<wire::Keys, EntryError> {
        Ok(wire::Keys {
            id: octets(&self.id.0)?,
            kind: Enumerated(self.kind.number()),
            authentication: octets(&self.authentication.0)?,
            signature: octets(&self.signature.0)?,
            encryption: octets(&self.encryption.0)?,
        })
    }

    fn from_wire(keys: &wire::Keys) -> Result<Self, EntryError> {
        Ok(Self {
            id: credential_id(&keys.id)?,
            kind: CredentialKind::from_number(keys.kind.0).ok_or(EntryError::Malformed)?,
            authentication: spki_hash(&keys.authentication)?,
            signature: spki_hash(&keys.signature)?,
            encryption: spki_hash(&keys.encryption)?,
        })
    }
}

/// An added working credential's proof that it holds its signature key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possession {
    /// The added credential's signature key.
    pub key: PublicKey,
    /// Its signature over [`EntryBody::possession_input`].
    pub signature: Vec<u8>,
}

/// A whole entry: body, signature and, for an added credential, its proof of possession.
///
/// That an entry exists says only that it is well-formed; [`super::verify`] judges it in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    body: EntryBody,
    signer: PublicKey,
    signature: Vec<u8>,
    possession: Option<Possession>,
    der: Vec<u8>,
}

impl Entry {
    /// Puts an entry together from a body and signatures over its inputs. Signatures may come in any spelling, as
    /// devices make them; the entry gets the one that counts.
    ///
    /// # Errors
    /// [`EntryError::TooLong`], or [`EntryError::Malformed`] when the encoder fails. Signatures are not checked here.
    pub fn assemble(
        body: EntryBody,
        signer: &PublicKey,
        signature: Vec<u8>,
        possession: Option<Possession>,
    ) -> Result<Self, EntryError> {
        let signature = in_its_spelling(signer, signature);
        let possession = possession.map(|Possession { key, signature }| {
            let signature = in_its_spelling(&key, signature);
            Possession { key, signature }
        });
        let entry = wire::Entry {
            body: body.to_wire()?,
            signer_spki: octets(signer.spki())?,
            signature: octets(&signature)?,
            possession: possession.as_ref().map(possession_to_wire).transpose()?,
        };
        let der = entry.to_der()?;
        if der.len() > MAX_ENTRY_SIZE {
            return Err(EntryError::TooLong);
        }
        Ok(Self { body, signer: signer.clone(), signature, possession, der })
    }

    /// Reads an entry from its DER encoding.
    ///
    /// # Errors
    /// [`EntryError`]; keys outside the suite of FORMATS §2 make an entry malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, EntryError> {
        if der.len() > MAX_ENTRY_SIZE {
            return Err(EntryError::TooLong);
        }
        let entry: wire::Entry = decode_canonical(der)?;
        let signer = PublicKey::from_spki(entry.signer_spki.as_bytes()).map_err(|_| EntryError::Malformed)?;
        check_spelling(&signer, entry.signature.as_bytes())?;
        Ok(Self {
            body: EntryBody::from_wire(&entry.body)?,
            signer,
            signature: entry.signature.into_bytes().into_vec(),
            possession: entry.possession.map(possession_from_wire).transpose()?,
            der: der.to_vec(),
        })
    }

    /// The DER encoding.
    #[must_use]
    pub fn to_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER encoding.
    #[must_use]
    pub fn hash(&self) -> EntryHash {
        EntryHash::of(&self.der)
    }

    /// The signed part.
    #[must_use]
    pub fn body(&self) -> &EntryBody {
        &self.body
    }

    /// The key whose signature it carries.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// The added credential's proof, if there is one.
    #[must_use]
    pub fn possession(&self) -> Option<&Possession> {
        self.possession.as_ref()
    }

    /// Verifies the signer's signature over the body; says nothing about the signer's right to sign.
    pub(super) fn verify_signature(&self) -> Result<(), KeyError> {
        let input = self.body.signing_input().map_err(|_| KeyError::Malformed)?;
        self.signer.verify(&input, &self.signature)
    }

    /// Verifies a proof of possession over the body.
    pub(super) fn verify_possession(&self, possession: &Possession) -> Result<(), KeyError> {
        let input = self.body.possession_input().map_err(|_| KeyError::Malformed)?;
        possession.key.verify(&input, &possession.signature)
    }
}

fn possession_to_wire(possession: &Possession) -> Result<wire::Possession, EntryError> {
    Ok(wire::Possession { spki: octets(possession.key.spki())?, signature: octets(&possession.signature)? })
}

fn possession_from_wire(possession: wire::Possession) -> Result<Possession, EntryError> {
    let key = PublicKey::from_spki(possession.spki.as_bytes()).map_err(|_| EntryError::Malformed)?;
    check_spelling(&key, possession.signature.as_bytes())?;
    Ok(Possession { key, signature: possession.signature.into_bytes().into_vec() })
}

/// The spelling of a signature that counts; what is no signature stays as it is, and will not verify.
fn in_its_spelling(key: &PublicKey, signature: Vec<u8>) -> Vec<u8> {
    match key.algorithm() {
        KeyAlgorithm::P256 => ecdsa::low_s(&signature).unwrap_or(signature),
        // AWS-LC takes no RSA signature but the one below the modulus, in as many bytes as that has.
        KeyAlgorithm::Rsa { .. } => signature,
    }
}

/// Else everybody could write an entry, and so a genesis, a second time with another hash.
fn check_spelling(key: &PublicKey, signature: &[u8]) -> Result<(), EntryError> {
    match key.algorithm() {
        KeyAlgorithm::P256 if !ecdsa::is_low_s(signature) => Err(EntryError::SignatureSpelling),
        KeyAlgorithm::P256 | KeyAlgorithm::Rsa { .. } => Ok(()),
    }
}

fn octets(bytes: &[u8]) -> der::Result<OctetString> {
    OctetString::new(bytes)
}

fn credential_id(octets: &OctetString) -> Result<CredentialId, EntryError> {
    CredentialId::from_slice(octets.as_bytes()).ok_or(EntryError::Malformed)
}

fn spki_hash(octets: &OctetString) -> Result<SpkiHash, EntryError> {
    SpkiHash::from_slice(octets.as_bytes()).ok_or(EntryError::Malformed)
}
