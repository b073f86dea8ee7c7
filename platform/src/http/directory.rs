//! Users by id, and what belongs to oneself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use life_pki::{KeySlot, Uid};

use super::body::json;
use super::dto::{Log, Seal, Seals, User};
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::public::issuer_list;
use super::state::{App, blocking};
use crate::authority::client::Certificates;
use crate::encoding::Base64;
use crate::store::accounts::{self, Account};

pub(super) async fn me(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let user = blocking(&app, move |app| {
        app.database.read(|connection| {
            let account = accounts::find(connection, caller.uid)?.ok_or_else(user_unknown)?;
            let certificates = accounts::certificates(connection, caller.uid, caller.credential)?;
            Ok(user_of(app, account, certificates))
        })
    });
    json(StatusCode::OK, &user.await?)
}

pub(super) async fn seals(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let seals = blocking(&app, move |app| {
        Ok(app.database.read(|connection| accounts::seals(connection, caller.uid))?)
    });
    let seals = seals.await?.into_iter().map(|seal| Seal {
        credential_id: seal.credential.to_string(),
        generation: seal.generation,
        seal: Base64(seal.der),
    });
    json(StatusCode::OK, &Seals { seals: seals.collect() })
}

pub(super) async fn user(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Result<Response, Problem> {
    let uid = parse_uid(&uid)?;
    let user = blocking(&app, move |app| {
        app.database.read(|connection| {
            let account = accounts::find(connection, uid)?.ok_or_else(user_unknown)?;
            let root = accounts::root_certificate(connection, uid)?;
            let certificates = root.map(|der| (KeySlot::Root, der)).into_iter().collect();
            Ok(user_of(app, account, certificates))
        })
    });
    json(StatusCode::OK, &user.await?)
}

pub(super) async fn log(State(app): State<Arc<App>>, Path(uid): Path<String>) -> Result<Response, Problem> {
    let uid = parse_uid(&uid)?;
    let account = blocking(&app, move |app| {
        app.database.read(|connection| accounts::find(connection, uid))?.ok_or_else(user_unknown)
    });
    json(StatusCode::OK, &Log { log: account.await?.log.into_iter().map(Base64).collect() })
}

fn user_of(app: &App, account: Account, certificates: Certificates) -> User {
    User {
        uid: account.uid.to_string(),
        kind: account.kind.name(),
        log: account.log.into_iter().map(Base64).collect(),
        certificates: by_name(certificates),
        issuers: issuer_list(app),
    }
}

/// Certificates by the names of their slots.
#[must_use]
pub fn by_name(certificates: Certificates) -> BTreeMap<&'static str, Base64> {
    certificates.into_iter().map(|(slot, der)| (slot.name(), Base64(der))).collect()
}

pub(super) fn parse_uid(text: &str) -> Result<Uid, Problem> {
    text.parse()
        .map_err(|error: life_pki::uid::InvalidUid| Problem::new(Reason::InvalidArgument, error.to_string()))
}

pub(super) fn user_unknown() -> Problem {
    Problem::new(Reason::UserUnknown, "check the user id; a registration shows up here once it is committed")
}
