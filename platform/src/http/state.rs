//! What every request may use.

use std::net::IpAddr;
use std::sync::Arc;

use life_pki::certificate::Certificate;
use life_pki::receipt::Receipt;
use life_pki::{PrivateKey, PublicKey, Uid};

use super::problem::Problem;
use super::rate::Buckets;
use super::turns::Turns;
use crate::authority::client::CaClient;
use crate::authority::keys::CaKey;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::store::Database;
use crate::store::blobs::Blobs;
use crate::store::usage::Scope;

/// What everybody may know.
pub struct Public {
    /// The trust bundle in DER.
    pub trust: Vec<u8>,
    /// The certificate that issues user certificates.
    pub user_issuing: Vec<u8>,
    /// The root above it.
    pub user_root: Certificate,
}

/// Signs receipts (FORMATS §4, time).
pub struct ReceiptSigner {
    key: CaKey,
    certificate: Vec<u8>,
}

life_sys::secret_types!(ReceiptSigner);

impl ReceiptSigner {
    /// Signs a receipt over a signature digest.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn sign(&self, receipt: &Receipt) -> Result<Vec<u8>, Error> {
        let failed = Error::Certificate("a receipt could not be signed");
        let key: &PrivateKey = self.key.private();
        let signed = receipt.signing_input().ok().and_then(|input| key.sign(&input).ok());
        match signed.map(|signature| receipt.assemble(&self.certificate, &signature)) {
            Some(Ok(der)) => Ok(der),
            _ => Err(failed),
        }
    }
}

/// Everything below the handlers.
pub struct App {
    /// Configuration.
    pub config: Config,
    /// The clock.
    pub clock: Clock,
    /// Everything but content.
    pub database: Database,
    /// Content.
    pub blobs: Blobs,
    /// The way to the CA.
    pub ca: CaClient,
    /// What everybody may know.
    pub public: Public,
    /// Signs receipts.
    pub receipts: ReceiptSigner,
    /// A key that nobody has: the answers of unknown SuperPINs are judged with it.
    pub nobody: PublicKey,
    /// New registrations by address.
    pub registrations: Buckets<IpAddr>,
    /// Requests without a certificate that was found good, by address.
    pub requests: Buckets<IpAddr>,
    /// Deposits, of one depositor in one inbox and in all.
    pub deposits: [Buckets<Scope>; 2],
    /// Changes to documents, of one owner.
    pub document_writes: Buckets<Uid>,
    /// Appends to uploads, of one owner.
    pub document_appends: Buckets<Uid>,
    /// Who works on the file of which upload.
    pub turns: Turns,
}

life_sys::secret_types!(App);

impl App {
    /// Opens everything `serve` needs; the CA need not be there.
    ///
    /// # Errors
    /// [`Error`] of whatever is missing, damaged or held by another process.
    pub fn open(layout: &Layout, config: Config, clock: Clock) -> Result<Arc<Self>, Error> {
        let public = Public {
            trust: layout::read(&layout.trust(), "cannot read the trust bundle")?,
            user_issuing: layout::read(&layout.user_issuing(), "cannot read the issuing certificate")?,
            user_root: Certificate::from_der(&layout::read(
                &layout.user_root(),
                "cannot read the user root certificate",
            )?)
            .map_err(|_| Error::Config("the user root certificate does not parse".to_owned()))?,
        };
        let receipts = ReceiptSigner {
            key: CaKey::load(&layout.receipt_key())?,
            certificate: layout::read(&layout.receipt_certificate(), "cannot read the receipt certificate")?,
        };
        let database = Database::open(&layout.database())?;
        let blobs = Blobs::open(layout, &database, config.limits.free_bytes)?;
        let nobody = PrivateKey::generate_p256().map_err(|_| Error::Certificate("no key could be made"))?;
        let socket = config.ca_socket.clone().unwrap_or_else(|| layout.ca_socket());
        Ok(Arc::new(Self {
            registrations: Buckets::new(config.limits.registrations_per_minute, 60),
            requests: Buckets::new(config.limits.requests_per_second.saturating_mul(10), 10),
            deposits: [config.limits.share_deposits_per_minute, config.limits.deposits_per_minute]
                .map(|rate| Buckets::new(rate, 60)),
            document_writes: Buckets::new(config.limits.document_writes_per_minute, 60),
            document_appends: Buckets::new(config.limits.document_appends_per_minute, 60),
            turns: Turns::default(),
            config,
            clock,
            database,
            blobs,
            ca: CaClient::new(socket),
            public,
            receipts,
            nobody: nobody.public_key().clone(),
        }))
    }
}

/// Runs blocking work (the database, files, the CA) off the I/O threads.
///
/// # Errors
/// What `work` returns; [`super::problem::Reason::Internal`] when it panicked.
pub async fn blocking<T: Send + 'static>(
    app: &Arc<App>,
    work: impl FnOnce(&App) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let app = Arc::clone(app);
    tokio::task::spawn_blocking(move || work(&app))
        .await
        .unwrap_or_else(|error| Err(Problem::internal(&error)))
}
