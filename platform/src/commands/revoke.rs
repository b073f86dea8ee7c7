//! `life-platform revoke`

use clap::Args;
use life_pki::Uid;
use life_pki::account_log::CredentialId;

use super::Dir;
use crate::authority::client::CaClient;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::http::maintenance::push_revocations;
use crate::output;
use crate::store::{Database, accounts};

/// Options of `revoke`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
    /// The user id
    uid: Uid,
    /// The credential's id, 32 hexadecimal digits
    #[arg(value_parser = credential)]
    credential: CredentialId,
}

fn credential(text: &str) -> Result<CredentialId, &'static str> {
    CredentialId::from_hex(text).ok_or("a credential id has 32 hexadecimal digits")
}

/// Refuses the credential from the next request on; then has it put on the revocation list.
///
/// Without the CA the first half still holds, and `serve` does the second as soon as the CA is back.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout = options.dir.layout();
    let config = Config::load(&layout.config())?;
    let database = Database::open(&layout.database())?;
    let now = Clock::system().now();
    if !database.write(|tx| accounts::revoke(tx, options.uid, options.credential, now))? {
        return Err(Error::Config("this user has no such credential".to_owned()));
    }
    let ca = CaClient::new(config.ca_socket.unwrap_or_else(|| layout.ca_socket()));
    match push_revocations(&database, &ca) {
        Ok(refused) => match refused.into_iter().find(|(credential, _)| *credential == options.credential) {
            Some((_, error)) => Err(error),
            None => output::line("revoked, and on the revocation list"),
        },
        Err(Error::CaUnavailable(_)) => {
            output::line("revoked; it will be on the revocation list once the certificate authority runs")
        }
        Err(error) => Err(error),
    }
}
