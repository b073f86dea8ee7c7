//! What the vault answers.

use life_pki::Uid;
use life_sys::sandbox::Protection;
use life_sys::secret::Key256;

use crate::cards::{CardReader, MAX_READERS};
use crate::codec::{DecodeError, Reader, Sink};
use crate::error::VaultError;
use crate::memory::MemoryUse;
use crate::protection;
use crate::request::{
    MAX_CERTIFICATE, MAX_CERTIFICATES, MAX_ENVELOPE, MAX_LOG_ENTRIES, MAX_LOG_ENTRY, MAX_PKCS12, PendingId,
    SessionId,
};

/// The largest CSR or SubjectPublicKeyInfo, in bytes.
const MAX_KEY_MESSAGE: usize = 8 * 1024;
/// The largest signature, in bytes: RSA-4096.
const MAX_SIGNATURE: usize = 512;
/// The largest PKCS#12 file the vault makes, in bytes.
const MAX_EXPORT: usize = MAX_PKCS12;

/// An answer of the vault.
pub enum Response {
    /// To GenerateAccount: the keys exist.
    Account {
        /// The handle of the pending account.
        pending: PendingId,
        /// The id of its working credential.
        credential_id: [u8; 16],
        /// A PKCS#10 request for the authentication slot.
        authentication_csr: Vec<u8>,
        /// A PKCS#10 request for the signature slot.
        signature_csr: Vec<u8>,
        /// The encryption key's SubjectPublicKeyInfo (DER).
        encryption_spki: Vec<u8>,
        /// The root key's SubjectPublicKeyInfo (DER).
        root_spki: Vec<u8>,
    },
    /// To ListCards.
    Cards {
        /// Whether the system's smart-card service answers.
        service: bool,
        /// The readers it has.
        readers: Vec<CardReader>,
    },
    /// To AwaitCards: a number that grows with each change; 0 where the vault does not know cards.
    CardsChanged(u64),
    /// To CommitAccount.
    Committed {
        /// The first account-log entries (DER).
        log: Vec<Vec<u8>>,
        /// The root key seal (DER).
        seal: Vec<u8>,
    },
    /// To UnwrapContentKey.
    ContentKey(Key256),
    /// To a request that has nothing to tell but that it is done.
    Done,
    /// To a request that failed.
    Error(VaultError),
    /// To AnswerChallenge: the nonce inside.
    Nonce([u8; 32]),
    /// To OpenSoftwareCertificate: a session in the state Opened.
    Opened {
        /// The handle of the session.
        session: SessionId,
        /// Whose it is.
        uid: Uid,
        /// The authentication certificate (DER).
        authentication: Vec<u8>,
        /// The signature certificate (DER).
        signature: Vec<u8>,
        /// The encryption certificate (DER).
        encryption: Vec<u8>,
        /// The other certificates of the file (DER).
        issuers: Vec<Vec<u8>>,
    },
    /// To ExportSoftwareCertificate: the file.
    Pkcs12(Vec<u8>),
    /// To OpenRoot: the session is Unlocked.
    Root {
        /// The root credential's generation.
        generation: u64,
        /// Its SubjectPublicKeyInfo (DER).
        root_spki: Vec<u8>,
        /// The id of the working credential in the account log.
        credential_id: [u8; 16],
        /// The hash of the account log's first entry.
        genesis: [u8; 32],
        /// The hash of the account log's last entry.
        head: [u8; 32],
    },
    /// To SignAttributes and SignTls.
    Signature(Vec<u8>),
    /// To Status.
    Status {
        /// The vault's process id.
        pid: u32,
        /// How many sessions are open.
        sessions: u32,
        /// How many accounts are pending.
        pendings: u32,
        /// Its memory.
        memory: MemoryUse,
        /// How the vault's process is protected.
        protection: Protection,
    },
    /// To Mac.
    Tag([u8; 32]),
}

life_sys::secret_types!(Response);

impl Response {
    pub(crate) fn encode(&self, out: &mut impl Sink) {
        match self {
            Self::Done => out.u8(1),
            Self::Error(error) => {
                out.u8(2);
                error.encode(out);
            }
            Self::Status { pid, sessions, pendings, memory, protection } => {
                out.u8(3);
                out.u32(*pid);
                out.u32(*sessions);
                out.u32(*pendings);
                memory.encode(out);
                protection::encode(protection, out);
            }
            Self::Account {
                pending,
                credential_id,
                authentication_csr,
                signature_csr,
                encryption_spki,
                root_spki,
            } => {
                out.u8(4);
                out.u64(pending.0);
                out.raw(credential_id);
                out.bytes(authentication_csr);
                out.bytes(signature_csr);
                out.bytes(encryption_spki);
                out.bytes(root_spki);
            }
            Self::Nonce(nonce) => {
                out.u8(5);
                out.raw(nonce);
            }
            Self::Committed { log, seal } => {
                out.u8(6);
                out.list(log);
                out.bytes(seal);
            }
            Self::Pkcs12(file) => {
                out.u8(7);
                out.bytes(file);
            }
            Self::Opened { session, uid, authentication, signature, encryption, issuers } => {
                out.u8(8);
                out.u64(session.0);
                out.raw(uid.as_bytes());
                out.bytes(authentication);
                out.bytes(signature);
                out.bytes(encryption);
                out.list(issuers);
            }
            Self::Root { generation, root_spki, credential_id, genesis, head } => {
                out.u8(9);
                out.u64(*generation);
                out.bytes(root_spki);
                out.raw(credential_id);
                out.raw(genesis);
                out.raw(head);
            }
            Self::Signature(signature) => {
                out.u8(10);
                out.bytes(signature);
            }
            Self::ContentKey(key) => {
                out.u8(11);
                // EXPOSE: into an encode buffer that is wiped when dropped.
                out.raw(key.expose());
            }
            Self::Tag(tag) => {
                out.u8(12);
                out.raw(tag);
            }
            Self::CardsChanged(number) => {
                out.u8(14);
                out.u64(*number);
            }
            Self::Cards { service, readers } => {
                out.u8(13);
                out.u8(u8::from(*service));
                out.length(readers.len());
                readers.iter().for_each(|reader| reader.encode(out));
            }
        }
    }

    /// Reads a response from the body of a frame.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one well-formed response.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(body);
        let response = match input.u8()? {
            1 => Self::Done,
            2 => Self::Error(VaultError::decode(&mut input)?),
            3 => Self::Status {
                pid: input.u32()?,
                sessions: input.u32()?,
                pendings: input.u32()?,
                memory: MemoryUse::decode(&mut input)?,
                protection: protection::decode(&mut input)?,
            },
            4 => Self::Account {
                pending: PendingId(input.u64()?),
                credential_id: input.array()?,
                authentication_csr: input.bytes(MAX_KEY_MESSAGE)?.to_vec(),
                signature_csr: input.bytes(MAX_KEY_MESSAGE)?.to_vec(),
                encryption_spki: input.bytes(MAX_KEY_MESSAGE)?.to_vec(),
                root_spki: input.bytes(MAX_KEY_MESSAGE)?.to_vec(),
            },
            5 => Self::Nonce(input.array()?),
            6 => Self::Committed {
                log: input.list(MAX_LOG_ENTRIES, MAX_LOG_ENTRY)?,
                seal: input.bytes(MAX_ENVELOPE)?.to_vec(),
            },
            7 => Self::Pkcs12(input.bytes(MAX_EXPORT)?.to_vec()),
            8 => Self::Opened {
                session: SessionId(input.u64()?),
                uid: Uid::from_bytes(input.array()?).map_err(|_| DecodeError)?,
                authentication: input.bytes(MAX_CERTIFICATE)?.to_vec(),
                signature: input.bytes(MAX_CERTIFICATE)?.to_vec(),
                encryption: input.bytes(MAX_CERTIFICATE)?.to_vec(),
                issuers: input.list(MAX_CERTIFICATES, MAX_CERTIFICATE)?,
            },
            9 => Self::Root {
                generation: input.u64()?,
                root_spki: input.bytes(MAX_KEY_MESSAGE)?.to_vec(),
                credential_id: input.array()?,
                genesis: input.array()?,
                head: input.array()?,
            },
            10 => Self::Signature(input.bytes(MAX_SIGNATURE)?.to_vec()),
            11 => Self::ContentKey(Key256::take(&mut input.array()?)),
            12 => Self::Tag(input.array()?),
            14 => Self::CardsChanged(input.u64()?),
            13 => {
                let service = match input.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(DecodeError),
                };
                let count = input.length(MAX_READERS)?;
                let readers = (0..count).map(|_| CardReader::decode(&mut input)).collect::<Result<_, _>>()?;
                Self::Cards { service, readers }
            }
            _ => return Err(DecodeError),
        };
        input.finish()?;
        Ok(response)
    }
}
