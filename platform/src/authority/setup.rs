//! Makes both certificate hierarchies and the platform's own keys, once.

use life_pki::Timestamp;
use life_pki::certificate::Certificate;
use life_pki::trust::TrustBundle;

use super::crl;
use super::keys::CaKey;
use super::ledger::Ledger;
use super::mint::{Authority, Issuing};
use crate::config::{CaConfig, Config};
use crate::error::Error;
use crate::layout::{self, Layout};
use crate::store::Database;

/// Common name of the root TLS and receipt certificates chain to.
pub const SERVER_ROOT: &str = "LIFE server root";
/// Common name of the root user certificates chain to.
pub const USER_ROOT: &str = "LIFE user root";
/// Common name of the authority that issues user certificates.
pub const USER_ISSUING: &str = "LIFE user issuing";

/// Makes a new platform and returns the fingerprint clients pin: SHA-256 of the trust bundle.
///
/// # Errors
/// [`Error::Config`] when the folder holds a platform already or a name is not one; [`Error::Io`];
/// [`Error::Certificate`]; [`Error::Database`].
pub fn init(layout: &Layout, names: &[String], config: &Config, now: Timestamp) -> Result<[u8; 32], Error> {
    if layout.config().exists() || layout.trust().exists() {
        return Err(Error::Config("this folder holds a platform already; choose another one".to_owned()));
    }
    let (server, server_root) = root(SERVER_ROOT, now)?;
    let (user, user_root) = root(USER_ROOT, now)?;
    let tls_key = CaKey::generate()?;
    let tls = server.tls_server(names, tls_key.public(), now)?;
    let receipt_key = CaKey::generate()?;
    let receipt = server.receipt(receipt_key.public(), now)?;
    let issuing_key = CaKey::generate()?;
    let issuing = user.authority(USER_ISSUING, issuing_key.public(), Authority::Issuing, now)?;

    layout.create()?;
    server.save(&layout.server_root_key())?;
    user.save(&layout.user_root_key())?;
    issuing_key.save(&layout.issuing_key())?;
    tls_key.save(&layout.tls_key())?;
    receipt_key.save(&layout.receipt_key())?;
    layout::write_new(&layout.tls_certificate(), &tls)?;
    layout::write_new(&layout.receipt_certificate(), &receipt)?;
    layout::write_new(&layout.server_root(), &server_root)?;
    layout::write_new(&layout.user_root(), &user_root)?;
    layout::write_new(&layout.user_issuing(), &issuing)?;
    let ca_config = CaConfig::default();
    layout::write_new(&layout.ca_config(), toml_text(&ca_config)?.as_bytes())?;
    layout::write_new(&layout.config(), toml_text(config)?.as_bytes())?;

    // The first, empty list is there before the CA's process ever ran.
    let mut ledger = Ledger::create(&layout.ca_database())?;
    let next_update = now.plus(ca_config.crl_days * 86_400);
    let first = ledger.next_crl(now, now)?;
    let list =
        crl::sign(&Issuing::new(issuing_key, USER_ISSUING), first.number, &first.revoked, now, next_update)?;
    Database::create(&layout.database())?.write(|tx| crate::store::crl::put(tx, &list, now, next_update))?;

    let bundle = TrustBundle::new(parse(&server_root)?, parse(&user_root)?).map_err(|_| BAD_ROOTS)?;
    layout::write_new(&layout.trust(), &bundle.to_der().map_err(|_| BAD_ROOTS)?)?;
    bundle.fingerprint().map_err(|_| BAD_ROOTS)
}

const BAD_ROOTS: Error = Error::Certificate("the root certificates do not parse");

fn parse(der: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|_| BAD_ROOTS)
}

fn root(name: &str, now: Timestamp) -> Result<(Issuing, Vec<u8>), Error> {
    let issuing = Issuing::new(CaKey::generate()?, name);
    let certificate = issuing.self_signed(now)?;
    Ok((issuing, certificate))
}

fn toml_text(value: &impl serde::Serialize) -> Result<String, Error> {
    toml::to_string(value).map_err(|error| Error::Config(error.to_string()))
}
