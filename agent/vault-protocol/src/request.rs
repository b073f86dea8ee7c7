//! What the broker may ask of the vault.

use life_pki::{KeySlot, ParticipantKind, Uid};
use life_sys::secret::SecretBytes;

use crate::codec::DecodeError;
use crate::entries::Entries;

/// The largest PKCS#12 file, in bytes.
pub const MAX_PKCS12: usize = 64 * 1024;
/// The largest secret, in bytes, whatever its source.
pub const MAX_SECRET: usize = 1024;
/// The largest certificate, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;
/// The most certificates in a list.
pub const MAX_CERTIFICATES: usize = 16;
/// The most entries of an account log.
pub const MAX_LOG_ENTRIES: usize = 4096;
/// The largest account-log entry, in bytes.
pub const MAX_LOG_ENTRY: usize = 16 * 1024;
/// The most root key seals in one request.
pub const MAX_SEALS: usize = 64;
/// The largest envelope of a challenge or a root key seal, in bytes.
pub const MAX_ENVELOPE: usize = 64 * 1024;
/// The largest encoding of signed attributes, in bytes.
pub const MAX_ATTRIBUTES: usize = 256 * 1024;
/// The largest TLS signature input, in bytes; the one the vault signs has 130 or 146.
pub const MAX_TLS_INPUT: usize = 1024;
/// The largest RecipientInfo, in bytes.
pub const MAX_RECIPIENT_INFO: usize = 16 * 1024;
/// The largest message under a MAC, in bytes.
pub const MAX_MAC_DATA: usize = 3 * 1024 * 1024;
/// The fewest bytes of a new secret.
pub const MIN_NEW_SECRET: usize = 12;
/// The longest text of a prompt, in bytes.
pub const MAX_PROMPT_TEXT: usize = 2048;
/// How often a person is asked at one prompt.
pub const MAX_TRIES: u8 = 3;
/// The longest wait for a secret, in seconds; the vault cuts longer ones down to it.
pub const MAX_SECRET_SECONDS: u16 = 600;

/// An account whose keys exist in the vault but nowhere else yet: random, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PendingId(pub u64);

/// An unlocked credential: random, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What keys a new working credential gets. The root credential is always RSA-3072.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkingKeyAlgorithm {
    /// P-256 for all three slots.
    P256,
    /// RSA-3072 for all three slots.
    Rsa3072,
}

impl WorkingKeyAlgorithm {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Rsa3072 => 1,
            Self::P256 => 2,
        }
    }

    pub(crate) fn from_number(number: u8) -> Result<Self, DecodeError> {
        match number {
            1 => Ok(Self::Rsa3072),
            2 => Ok(Self::P256),
            _ => Err(DecodeError),
        }
    }
}

/// What a prompt says. Line breaks are allowed; the vault escapes all that Assuan needs escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Why the secret is asked for, and by whom.
    pub description: String,
    /// The word before the input field, such as "Passphrase:".
    pub label: String,
    /// How long the person has, in seconds.
    pub timeout_seconds: u16,
}

/// Where the secret of a credential comes from.
pub enum SecretSource {
    /// One descriptor, which the vault reads to its end; a single newline at the end is dropped.
    Descriptor {
        /// How long the other end has, in seconds.
        timeout_seconds: u16,
    },
    /// The secret itself.
    Inline(SecretBytes),
    /// Two descriptors: the standard input (to write to) and output (to read from) of a running pinentry. A person who
    /// mistypes is asked again, [`MAX_TRIES`] times in all and within the one time.
    Prompt(Prompt),
}

life_sys::secret_types!(SecretSource);

impl SecretSource {
    /// How many descriptors come with the frame.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Inline(_) => 0,
            Self::Descriptor { .. } => 1,
            Self::Prompt(_) => 2,
        }
    }
}

/// How often a new secret comes through its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Once, up to the end; a single newline at the end is dropped.
    Once,
    /// Twice, each with a newline behind it: a person typed it two times, and the vault compares.
    Twice,
}

/// Where a new secret comes from. Whatever way it comes, it is UTF-8 of [`MIN_NEW_SECRET`] to [`MAX_SECRET`] bytes.
pub enum NewSecretSource {
    /// One descriptor, which the vault reads to its end.
    Descriptor {
        /// How long the other end has, in seconds.
        timeout_seconds: u16,
        /// How often it comes.
        entry: Entry,
    },
    /// One descriptor, which the vault writes a secret of its own making to.
    Generated,
    /// The secret itself.
    Inline(SecretBytes),
    /// As [`SecretSource::Prompt`]; the person is asked twice.
    Prompt(Prompt),
}

life_sys::secret_types!(NewSecretSource);

impl NewSecretSource {
    /// How many descriptors come with the frame.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::Inline(_) => 0,
            Self::Descriptor { .. } | Self::Generated => 1,
            Self::Prompt(_) => 2,
        }
    }
}

/// A request of the broker. [`crate::TABLE`] says which is allowed in what state.
pub enum Request {
    /// Opens a challenge sealed to a pending account's key, as proof of possession.
    AnswerChallenge {
        /// The account.
        pending: PendingId,
        /// Which key: encryption or root.
        slot: KeySlot,
        /// The challenge's envelope (DER).
        envelope: Vec<u8>,
    },
    /// Gives up waiting for the secret of another request, which then ends in an error.
    CancelSecret {
        /// The id of the waiting request's frame.
        request: u64,
    },
    /// Builds the first account-log entries and the root key seal of a pending account; repeating it gives the
    /// same bytes again.
    CommitAccount {
        /// The account.
        pending: PendingId,
        /// The time the entries carry, in Unix seconds.
        time: i64,
    },
    /// Wipes a pending account's keys.
    DiscardAccount {
        /// The account.
        pending: PendingId,
    },
    /// Packs the working credential of a committed account into a PKCS#12 file under the account's passphrase, and ends
    /// the pending account.
    ExportSoftwareCertificate {
        /// The account.
        pending: PendingId,
        /// The certificates (DER) of the three slots, in any order.
        certificates: Vec<Vec<u8>>,
        /// The certificates (DER) of the issuers, to be packed with them.
        issuers: Vec<Vec<u8>>,
    },
    /// Takes the passphrase of a new account, and makes all its keys. The passphrase is there before anything else, so that
    /// nobody who cancels a prompt leaves an account without its file behind.
    GenerateAccount {
        /// The user.
        uid: Uid,
        /// What the user is.
        kind: ParticipantKind,
        /// The working credential's keys.
        algorithm: WorkingKeyAlgorithm,
        /// Where the passphrase of the software certificate comes from.
        secret: NewSecretSource,
    },
    /// Waits until there may be other readers or cards than before. Of two that wait the first is answered at once.
    AwaitCards {
        /// The number in the last answer; 0 at first.
        seen: u64,
    },
    /// Asks what card readers there are, and what cards are in them. Shows no PIN to any card.
    ListCards,
    /// Wipes a session's keys; answered when they are wiped.
    Lock {
        /// The session.
        session: SessionId,
    },
    /// Wipes every session's keys and gives up every request for a secret and what is done with one. Answered when nothing
    /// is left of them, of accounts that are being made apart.
    LockAll,
    /// The same for one user: whatever is open or being opened. What is being opened and does not say for whom comes to
    /// nothing if it turns out to be this user's.
    LockUser {
        /// The user.
        uid: Uid,
    },
    /// Computes the MAC of a pin store under a key that comes from the root key seal.
    Mac {
        /// The session.
        session: SessionId,
        /// The message.
        data: Vec<u8>,
    },
    /// Opens the root credential with the working credential.
    OpenRoot {
        /// The session.
        session: SessionId,
        /// The whole account log (DER entries), first to last.
        log: Entries,
        /// Root key seals (envelopes, DER) that may be meant for this credential.
        seals: Entries,
        /// The time to judge the log at, in Unix seconds: no entry may lie ahead of it. It comes from the broker, as when a
        /// software certificate is opened.
        now: i64,
    },
    /// Opens a software certificate and starts a session.
    OpenSoftwareCertificate {
        /// The file.
        pkcs12: Vec<u8>,
        /// Where the passphrase comes from.
        secret: SecretSource,
        /// The time to judge validity at, in Unix seconds. The vault has no clock to trust more than the broker's;
        /// expiry protects the platform and peers, and they judge it for themselves.
        now: i64,
        /// The user it should belong to.
        expected: Option<Uid>,
    },
    /// Signs CMS signed attributes with the signature key.
    SignAttributes {
        /// The session.
        session: SessionId,
        /// The attributes: the DER encoding with the SET OF tag (RFC 5652 §5.4).
        attributes: Vec<u8>,
    },
    /// Signs a TLS 1.3 client CertificateVerify input with the authentication key.
    SignTls {
        /// The session.
        session: SessionId,
        /// The input of RFC 8446 §4.4.3.
        input: Vec<u8>,
    },
    /// Asks how the vault is.
    Status,
    /// Unwraps an object's content key with the root credential.
    UnwrapContentKey {
        /// The session.
        session: SessionId,
        /// The RecipientInfo (DER).
        recipient_info: Vec<u8>,
    },
}

life_sys::secret_types!(Request);

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal,)*) => {
        /// The kinds of requests, each with the number that stands for it on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RequestKind { $($(#[$doc])* $kind = $number,)* }

        impl RequestKind {
            /// Every kind, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }

            /// The name, for logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }

            pub(crate) fn from_number(number: u8) -> Result<Self, DecodeError> {
                match number { $($number => Ok(Self::$kind),)* _ => Err(DecodeError) }
            }
        }
    };
}

kinds! {
    /// [`Request::Status`].
    Status = 1,
    /// [`Request::GenerateAccount`].
    GenerateAccount = 2,
    /// [`Request::AnswerChallenge`].
    AnswerChallenge = 3,
    /// [`Request::CommitAccount`].
    CommitAccount = 4,
    /// [`Request::ExportSoftwareCertificate`].
    ExportSoftwareCertificate = 5,
    /// [`Request::DiscardAccount`].
    DiscardAccount = 6,
    /// [`Request::OpenSoftwareCertificate`].
    OpenSoftwareCertificate = 7,
    /// [`Request::OpenRoot`].
    OpenRoot = 8,
    /// [`Request::SignAttributes`].
    SignAttributes = 9,
    /// [`Request::SignTls`].
    SignTls = 10,
    /// [`Request::UnwrapContentKey`].
    UnwrapContentKey = 11,
    /// [`Request::Mac`].
    Mac = 12,
    /// [`Request::CancelSecret`].
    CancelSecret = 13,
    /// [`Request::Lock`].
    Lock = 14,
    /// [`Request::LockAll`].
    LockAll = 15,
    /// [`Request::LockUser`].
    LockUser = 16,
    /// [`Request::ListCards`].
    ListCards = 17,
    /// [`Request::AwaitCards`].
    AwaitCards = 18,
}

impl Request {
    /// What kind of request it is.
    #[must_use]
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::AnswerChallenge { .. } => RequestKind::AnswerChallenge,
            Self::CancelSecret { .. } => RequestKind::CancelSecret,
            Self::CommitAccount { .. } => RequestKind::CommitAccount,
            Self::DiscardAccount { .. } => RequestKind::DiscardAccount,
            Self::ExportSoftwareCertificate { .. } => RequestKind::ExportSoftwareCertificate,
            Self::GenerateAccount { .. } => RequestKind::GenerateAccount,
            Self::AwaitCards { .. } => RequestKind::AwaitCards,
            Self::ListCards => RequestKind::ListCards,
            Self::Lock { .. } => RequestKind::Lock,
            Self::LockAll => RequestKind::LockAll,
            Self::LockUser { .. } => RequestKind::LockUser,
            Self::Mac { .. } => RequestKind::Mac,
            Self::OpenRoot { .. } => RequestKind::OpenRoot,
            Self::OpenSoftwareCertificate { .. } => RequestKind::OpenSoftwareCertificate,
            Self::SignAttributes { .. } => RequestKind::SignAttributes,
            Self::SignTls { .. } => RequestKind::SignTls,
            Self::Status => RequestKind::Status,
            Self::UnwrapContentKey { .. } => RequestKind::UnwrapContentKey,
        }
    }

    /// How many descriptors come with the frame.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        match self {
            Self::GenerateAccount { secret, .. } => secret.descriptors(),
            Self::OpenSoftwareCertificate { secret, .. } => secret.descriptors(),
            _ => 0,
        }
    }
}
