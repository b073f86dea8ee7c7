//! The vault's requests as functions, and handles that clean up after themselves.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use life_pki::{KeySlot, ParticipantKind, Uid};
use life_sys::sandbox::Protection;
use life_sys::secret::Key256;
use life_vault_protocol::cards::CardReader;
use life_vault_protocol::{
    MemoryUse, NewSecretSource, PendingId, Request, Response, SecretSource, SessionId, WorkingKeyAlgorithm,
};

use super::link::{Vault, unexpected};
use crate::error::{Error, Fault, Result};

/// Calls and takes the one answer that fits.
macro_rules! ask {
    ($vault:expr, $request:expr, $pattern:pat => $value:expr) => {
        match $vault.call(&$request, Vec::new()).await? {
            $pattern => Ok($value),
            _ => Err(unexpected()),
        }
    };
}

/// A pending account's public part.
pub struct Account {
    /// PKCS#10 request of the authentication slot.
    pub authentication_csr: Vec<u8>,
    /// PKCS#10 request of the signature slot.
    pub signature_csr: Vec<u8>,
    /// SubjectPublicKeyInfo of the encryption slot.
    pub encryption_spki: Vec<u8>,
    /// SubjectPublicKeyInfo of the root credential.
    pub root_spki: Vec<u8>,
}

/// A pending account in the vault; wiped there when dropped before it was exported.
pub struct PendingAccount {
    vault: Vault,
    id: PendingId,
    done: bool,
}

impl Drop for PendingAccount {
    fn drop(&mut self) {
        if !self.done {
            self.vault.tell(&Request::DiscardAccount { pending: self.id });
        }
    }
}

impl PendingAccount {
    /// Opens a challenge sealed to one of the account's keys.
    pub async fn answer(&self, slot: KeySlot, envelope: Vec<u8>) -> Result<[u8; 32]> {
        let request = Request::AnswerChallenge { pending: self.id, slot, envelope };
        ask!(self.vault, request, Response::Nonce(nonce) => nonce)
    }

    /// Builds the first entries of the account log and the root key seal.
    pub async fn commit(&self, time: i64) -> Result<(Vec<Vec<u8>>, Vec<u8>)> {
        let request = Request::CommitAccount { pending: self.id, time };
        ask!(self.vault, request, Response::Committed { log, seal } => (log, seal))
    }

    /// Packs the credential; the pending account is over.
    pub async fn export(mut self, certificates: Vec<Vec<u8>>, issuers: Vec<Vec<u8>>) -> Result<Vec<u8>> {
        let request = Request::ExportSoftwareCertificate { pending: self.id, certificates, issuers };
        let file = ask!(self.vault, request, Response::Pkcs12(file) => file)?;
        self.done = true;
        Ok(file)
    }
}

/// A session in the vault; locked there when dropped.
pub struct Session {
    vault: Vault,
    id: SessionId,
    locked: AtomicBool,
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.locked.load(Ordering::Relaxed) {
            self.vault.tell(&Request::Lock { session: self.id });
        }
    }
}

/// What an opened credential says of itself.
pub struct Opened {
    /// Its session.
    pub session: Session,
    /// Whose it is.
    pub uid: Uid,
    /// The authentication certificate.
    pub authentication: Vec<u8>,
    /// The signature certificate.
    pub signature: Vec<u8>,
    /// The encryption certificate.
    pub encryption: Vec<u8>,
    /// The other certificates of the file.
    pub issuers: Vec<Vec<u8>>,
}

/// What an opened root credential is.
pub struct Root {
    /// Its generation.
    pub generation: u64,
    /// Its SubjectPublicKeyInfo.
    pub root_spki: Vec<u8>,
    /// The working credential's id in the account log.
    pub credential_id: [u8; 16],
}

impl Session {
    /// Opens the root credential.
    pub async fn open_root(&self, log: Vec<Vec<u8>>, seals: Vec<Vec<u8>>, now: i64) -> Result<Root> {
        let request = Request::OpenRoot { session: self.id, log: log.into(), seals: seals.into(), now };
        // The request holds nothing else that could be long.
        let answer = self.vault.call(&request, Vec::new()).await.map_err(|error| match error.fault() {
            Fault::MessageTooLarge => {
                Fault::AccountLogInvalid.because("it and its seals are longer than the vault takes (4 MiB)")
            }
            _ => error,
        })?;
        match answer {
            Response::Root { generation, root_spki, credential_id, .. } => {
                Ok(Root { generation, root_spki, credential_id })
            }
            _ => Err(unexpected()),
        }
    }

    /// Signs CMS signed attributes.
    pub async fn sign_attributes(&self, attributes: Vec<u8>) -> Result<Vec<u8>> {
        let request = Request::SignAttributes { session: self.id, attributes };
        ask!(self.vault, request, Response::Signature(signature) => signature)
    }

    /// Signs a TLS 1.3 client's CertificateVerify input.
    pub async fn sign_tls(&self, input: Vec<u8>) -> Result<Vec<u8>> {
        let request = Request::SignTls { session: self.id, input };
        ask!(self.vault, request, Response::Signature(signature) => signature)
    }

    /// Unwraps a content key with the root credential.
    pub async fn unwrap(&self, recipient_info: Vec<u8>) -> Result<Key256> {
        let request = Request::UnwrapContentKey { session: self.id, recipient_info };
        ask!(self.vault, request, Response::ContentKey(key) => key)
    }

    /// Computes the MAC of the pin store.
    pub async fn mac(&self, data: Vec<u8>) -> Result<[u8; 32]> {
        let request = Request::Mac { session: self.id, data };
        ask!(self.vault, request, Response::Tag(tag) => tag)
    }

    /// Notes that the vault has wiped it already, or is about to.
    pub fn forget(&self) {
        self.locked.store(true, Ordering::Relaxed);
    }
}

impl Vault {
    /// Takes the passphrase of a new account and makes its keys.
    pub async fn generate_account(
        &self,
        uid: Uid,
        kind: ParticipantKind,
        algorithm: WorkingKeyAlgorithm,
        secret: NewSecretSource,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(PendingAccount, Account)> {
        self.linked().await?;
        let request = Request::GenerateAccount { uid, kind, algorithm, secret };
        // No file is opened here: what cannot be used is no wrong passphrase.
        let answer = self.call(&request, descriptors).await.map_err(|error| match error.fault() {
            Fault::WrongPassphrase => {
                Error::field("software_certificate.secret", "is not UTF-8 of 12 to 1024 bytes")
            }
            _ => error,
        })?;
        match answer {
            Response::Account {
                pending,
                authentication_csr,
                signature_csr,
                encryption_spki,
                root_spki,
                ..
            } => Ok((
                PendingAccount { vault: self.clone(), id: pending, done: false },
                Account { authentication_csr, signature_csr, encryption_spki, root_spki },
            )),
            _ => Err(unexpected()),
        }
    }

    /// Opens a software certificate.
    pub async fn open_software_certificate(
        &self,
        pkcs12: Vec<u8>,
        secret: SecretSource,
        descriptors: Vec<OwnedFd>,
        now: i64,
        expected: Option<Uid>,
    ) -> Result<Opened> {
        self.linked().await?;
        let request = Request::OpenSoftwareCertificate { pkcs12, secret, now, expected };
        match self.call(&request, descriptors).await? {
            Response::Opened { session, uid, authentication, signature, encryption, issuers } => Ok(Opened {
                session: Session { vault: self.clone(), id: session, locked: AtomicBool::new(false) },
                uid,
                authentication,
                signature,
                encryption,
                issuers,
            }),
            _ => Err(unexpected()),
        }
    }

    /// Waits until there may be other readers or cards than at this number, 0 at first; gives the next.
    pub async fn cards_changed(&self, seen: u64) -> Result<u64> {
        self.linked().await?;
        ask!(self, Request::AwaitCards { seen }, Response::CardsChanged(number) => number)
    }

    /// Lists readers and cards; none where the system's smart-card service does not answer.
    pub async fn cards(&self) -> Result<Option<Vec<CardReader>>> {
        self.linked().await?;
        ask!(self, Request::ListCards, Response::Cards { service, readers } => service.then_some(readers))
    }

    /// Waits until the vault says that it is there, what its memory is used for and how it is protected.
    ///
    /// # Errors
    /// VAULT_UNAVAILABLE when there is none, or none that answers.
    pub async fn answers(&self) -> Result<(MemoryUse, Protection)> {
        ask!(self, Request::Status, Response::Status { memory, protection, .. } => (memory, protection))
    }

    /// Wipes everything: asked for at once, whatever becomes of the caller. The future is ready when it is wiped, or
    /// the process that had it is gone.
    pub fn lock_all(&self) -> impl Future<Output = Result<()>> + use<> {
        self.locking(&Request::LockAll)
    }

    /// The same for one user, unlocked or about to be.
    pub fn lock_user(&self, uid: Uid) -> impl Future<Output = Result<()>> + use<> {
        self.locking(&Request::LockUser { uid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_longer_than_the_vault_takes_is_the_logs_fault() {
        let vault = Vault::default();
        let id = SessionId(1);
        let session = Session { vault, id, locked: AtomicBool::new(true) };
        // 4 MiB in entries each of which would be taken.
        let log = vec![vec![0; 16 * 1024]; 257];
        let refused = session.open_root(log, Vec::new(), 0).await.err().unwrap();
        assert_eq!(refused.fault(), Fault::AccountLogInvalid);
        assert!(refused.to_string().contains("4 MiB"), "{refused}");
        let refused = session.open_root(vec![vec![0; 16 * 1024]], Vec::new(), 0).await.err().unwrap();
        assert_eq!(refused.fault(), Fault::VaultUnavailable, "a shorter one is asked for");
    }
}
