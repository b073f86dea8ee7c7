//! Which file lies where, and which account owns it.
//!
//! ```text
//! DIR/
//!   platform.toml          configuration of `serve`                                    serve's account
//!   public/                trust.der, server-root.der, user-root.der, user-issuing.der serve's account
//!   serve/                 tls.key, tls.der, receipt.key, receipt.der                  serve's account
//!     data/                platform.db (SQLite), blobs/, incoming/, quarantine/, lock  serve's account
//!   ca/                    ca.toml, server-root.key, user-root.key, issuing.key, ca.db CA's account
//!   ca-socket/             ca.sock                                                     CA's account; see below
//! ```
//!
//! `serve` never reads `ca/`, and `ca` reads nothing else. `init` makes everything private to the account that runs it.
//! For two accounts: give DIR mode 0711, `ca/` and `ca-socket/` to the CA's account, the group of `ca-socket/` to
//! `serve` with mode 2750, and set `socket_access = "group"` in `ca.toml`. The key of the user root is needed only to
//! make another issuing CA, and the key of the server root only for another TLS or receipt certificate: both may
//! be moved to an offline medium.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, io};

/// The paths of one platform.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

macro_rules! paths {
    ($($(#[$doc:meta])* $name:ident = $path:literal;)*) => {
        impl Layout { $($(#[$doc])* #[must_use] pub fn $name(&self) -> PathBuf { self.root.join($path) })* }
    };
}

paths! {
    /// Configuration of `serve`.
    config = "platform.toml";
    /// The folder everybody may read.
    public = "public";
    /// The trust bundle clients pin.
    trust = "public/trust.der";
    /// The root certificate TLS and receipt certificates chain to.
    server_root = "public/server-root.der";
    /// The root certificate user certificates chain to.
    user_root = "public/user-root.der";
    /// The certificate that issues user certificates and CRLs.
    user_issuing = "public/user-issuing.der";
    /// The folder of `serve`.
    serve = "serve";
    /// The TLS server's private key, PKCS#8.
    tls_key = "serve/tls.key";
    /// The TLS server's certificate.
    tls_certificate = "serve/tls.der";
    /// The key that signs receipts, PKCS#8.
    receipt_key = "serve/receipt.key";
    /// The certificate of the key that signs receipts.
    receipt_certificate = "serve/receipt.der";
    /// What `serve` stores.
    data = "serve/data";
    /// Everything but content.
    database = "serve/data/platform.db";
    /// Content: one file per message.
    blobs = "serve/data/blobs";
    /// Content that is still arriving.
    incoming = "serve/data/incoming";
    /// Content the database did not name at a start: kept for the operator, never removed.
    quarantine = "serve/data/quarantine";
    /// The folder of `ca`.
    ca = "ca";
    /// Configuration of `ca`.
    ca_config = "ca/ca.toml";
    /// The private key of the server root, PKCS#8.
    server_root_key = "ca/server-root.key";
    /// The private key of the user root, PKCS#8.
    user_root_key = "ca/user-root.key";
    /// The private key that issues user certificates, PKCS#8.
    issuing_key = "ca/issuing.key";
    /// What the CA issued and revoked.
    ca_database = "ca/ca.db";
    /// The folder of the CA's socket.
    ca_socket_dir = "ca-socket";
    /// The CA's socket.
    ca_socket = "ca-socket/ca.sock";
}

impl Layout {
    /// The layout below a folder.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes every folder, private to this account by the process's umask.
    ///
    /// # Errors
    /// [`Error::Io`] when a folder cannot be made.
    pub fn create(&self) -> Result<(), Error> {
        for dir in [
            self.public(),
            self.serve(),
            self.data(),
            self.blobs(),
            self.incoming(),
            self.ca(),
            self.ca_socket_dir(),
        ] {
            fs::create_dir_all(&dir).map_err(io("cannot make a folder of the platform"))?;
        }
        Ok(())
    }
}

/// Writes a new file durably: its bytes and its name survive a crash once this returns.
///
/// # Errors
/// [`Error::Io`]; an existing file is never overwritten.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(io("cannot create a file of the platform"))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io("cannot write a file of the platform"))?;
    sync_parent(path)
}

/// Replaces a file durably: at every moment there is the old one or the new one.
///
/// # Errors
/// [`Error::Io`]; the old file stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    write_new(&beside, bytes)?;
    fs::rename(&beside, path).map_err(io("cannot replace a file of the platform"))?;
    sync_parent(path)
}

/// Makes a file's name durable by syncing the folder it lies in.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_parent(path: &Path) -> Result<(), Error> {
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(io("cannot sync a folder of the platform"))
}

/// Reads a whole file.
///
/// # Errors
/// [`Error::Io`]; the message names what the file is for, not where it lies.
pub fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(io(what))
}
