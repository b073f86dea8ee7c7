//! What happens beside requests: forgetting what expired, revocations on their way to the CA, a fresh CRL.

use std::sync::Arc;
use std::time::Duration;

use life_pki::Timestamp;
use life_pki::account_log::CredentialId;
use tokio::sync::watch;

use super::state::App;
use crate::authority::client::CaClient;
use crate::authority::protocol::SignedList;
use crate::error::Error;
use crate::store::{
    Database, accounts, additions, crl, documents, messages, pending, registrations, super_pins, uploads,
};

const PERIOD: Duration = Duration::from_secs(30);

/// Runs until told to stop.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let turn = Arc::clone(&app);
        let done = tokio::task::spawn_blocking(move || turn_once(&turn)).await;
        if let Ok(Err(error)) = done {
            tracing::warn!(%error, "maintenance failed and will be tried again");
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// One turn.
///
/// # Errors
/// [`Error::CaUnavailable`] when there was something to sign; [`Error::Database`].
pub fn turn_once(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    app.database.write(|tx| {
        registrations::sweep(tx, now)?;
        additions::sweep(tx, now)?;
        super_pins::sweep(tx, now)?;
        pending::sweep(tx, now)?;
        uploads::sweep(tx, now)?;
        documents::sweep(tx, now)?;
        messages::sweep(tx, now)
    })?;
    app.blobs.remove_doomed(&app.database)?;
    // A revocation that does not get through is no reason to let the list grow stale, which would end everybody's work.
    let pushed = push_revocations(&app.database, &app.ca);
    if is_old(&app.database, now)? {
        store(&app.database, &app.ca.crl()?)?;
    }
    pushed.map(drop)
}

/// Tells the CA of every revocation it does not know yet and stores the lists it signs. Returns the credentials that
/// the CA refused to revoke, each with why; they will be tried again.
///
/// # Errors
/// [`Error::CaUnavailable`], [`Error::Database`]; the rest is not tried then.
pub fn push_revocations(database: &Database, ca: &CaClient) -> Result<Vec<(CredentialId, Error)>, Error> {
    let mut refused = Vec::new();
    for revocation in database.read(accounts::unsent_revocations)? {
        match ca.revoke(&revocation) {
            Ok(list) => {
                store(database, &list)?;
                database.write(|tx| accounts::revocation_sent(tx, revocation.credential))?;
            }
            Err(error @ Error::CaRefused(_)) => {
                tracing::error!(%error, "a revocation is not on the list");
                refused.push((revocation.credential, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

fn store(database: &Database, list: &SignedList) -> Result<(), Error> {
    let time = |seconds| Timestamp::from_unix(seconds).map_err(|_| Error::Stored("a time of the CA"));
    let (this_update, next_update) = (time(list.this_update)?, time(list.next_update)?);
    database.write(|tx| crl::put(tx, &list.der.0, this_update, next_update))
}

/// A list is renewed at half its life, so that the CA may be away for the other half.
fn is_old(database: &Database, now: Timestamp) -> Result<bool, Error> {
    Ok(match database.read(crl::get)? {
        None => true,
        Some(list) => {
            let life = list.next_update.unix().saturating_sub(list.this_update.unix());
            now.unix() >= list.this_update.unix().saturating_add(life / 2)
        }
    })
}
