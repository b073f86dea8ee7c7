//! Who is at the other end of a connection, and whether to believe it, for each request anew.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use life_pki::account_log::CredentialId;
use life_pki::chain::{self, ChainError, Purpose, Revocation};
use life_pki::{KeySlot, Timestamp, Uid};

use super::problem::{Problem, Reason};
use super::state::App;
use crate::encoding::sha256;
use crate::store::accounts;

/// One TLS connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The client certificate, whose private key the handshake proved. Nothing more is known of it yet.
    pub certificate: Option<Vec<u8>>,
    chain: OnceLock<Chained>,
    trusted: AtomicBool,
}

/// A certificate that led to the user root once, and until when that holds.
#[derive(Clone, Copy, Debug)]
struct Chained {
    uid: Uid,
    hash: [u8; 32],
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A user who proved possession of a live credential's authentication key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: Uid,
    /// The credential in use.
    pub credential: CredentialId,
}

impl Peer {
    /// A connection after its handshake.
    #[must_use]
    pub fn new(address: SocketAddr, certificate: Option<Vec<u8>>) -> Self {
        Self { address, certificate, chain: OnceLock::new(), trusted: AtomicBool::new(false) }
    }

    /// Judges the client certificate by chain, purpose, user id and time, and asks the database whether it was issued
    /// here and is not revoked. Reads the database: not for an I/O thread.
    ///
    /// # Errors
    /// A [`Problem`] of the `CERTIFICATE_…` kind.
    pub fn identify(&self, app: &App) -> Result<Caller, Problem> {
        let judged = self.judge(app);
        self.trusted.store(judged.is_ok(), Ordering::Relaxed);
        judged
    }

    /// Whether the certificate was good when it was last judged.
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Relaxed)
    }

    fn judge(&self, app: &App) -> Result<Caller, Problem> {
        let now = app.clock.now();
        let chained = self.chained(app, now)?;
        if now < chained.not_before {
            return Err(refused(ChainError::NotYetValid));
        }
        if now > chained.not_after {
            return Err(refused(ChainError::Expired));
        }
        let known = app.database.read(|connection| accounts::known_certificate(connection, &chained.hash))?;
        match known {
            Some(known) if known.revoked => Err(refused(ChainError::Revoked)),
            Some(known) if known.uid == chained.uid && known.slot == KeySlot::Authentication => {
                let credential = known.credential.ok_or_else(|| refused(ChainError::Untrusted))?;
                Ok(Caller { uid: chained.uid, credential })
            }
            _ => Err(refused(ChainError::Untrusted)),
        }
    }

    /// The signatures of a chain are verified once for each connection.
    fn chained(&self, app: &App, now: Timestamp) -> Result<Chained, Problem> {
        if let Some(chained) = self.chain.get() {
            return Ok(*chained);
        }
        let Some(der) = &self.certificate else {
            let detail = "connect with the authentication certificate of a working credential";
            return Err(Problem::new(Reason::CertificateRequired, detail));
        };
        let purpose = Purpose::Slot(KeySlot::Authentication);
        let issuing = [&app.public.user_issuing];
        // Revocation is judged below by the database, which knows before the list does.
        let certificate =
            chain::verify(der, &issuing, &app.public.user_root, Revocation::Unchecked, now, purpose)
                .map_err(refused)?;
        let uid = certificate.uid().ok_or_else(|| refused(ChainError::Untrusted))?;
        let chained = Chained {
            uid,
            hash: sha256(&[der]),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        };
        Ok(*self.chain.get_or_init(|| chained))
    }
}

fn refused(error: ChainError) -> Problem {
    let reason = match error {
        ChainError::Expired => Reason::CertificateExpired,
        ChainError::NotYetValid => Reason::CertificateNotYetValid,
        ChainError::Revoked => Reason::CertificateRevoked,
        _ => Reason::CertificateUntrusted,
    };
    Problem::new(reason, error.to_string())
}
