//! Working credentials of one's own account: adding one, revoking one. Every step can be repeated.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_envelope::challenge;
use life_pki::account_log::{self, AccountState, Change, CredentialId, Entry};
use life_pki::key::KeyAlgorithm;
use life_pki::{KeySlot, PublicKey, Uid};
use life_sys::secret::Key256;

use super::body::{self, json};
use super::directory::by_name;
use super::dto::{AdditionInfo, CommitAddition, RevokeCredential, WorkingCertificates};
use super::evidence::{check_seal, check_time, invalid};
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::public::issuer_list;
use super::state::{App, blocking};
use crate::authority::added::{AddedEvidence, AddedKeys, hashes};
use crate::authority::client::Certificates;
use crate::config::seconds;
use crate::encoding::{Base64, parse_id, random};
use crate::store::accounts::{self, Account};
use crate::store::additions::{self, Added, Addition};
use crate::store::super_pins::{self, NewSuperPin};

/// The largest key bundle (FORMATS §6).
const MAX_BUNDLE: usize = 16 << 10;
/// The most working credentials of an account that are live at a time.
const MAX_LIVE: usize = 16;
/// The most additions that one user may have open.
const MAX_OPEN: u64 = 8;
/// How long an addition is open, in seconds.
const LIFETIME: u32 = 3600;

/// Takes the keys of a new credential and answers with a challenge for the one that cannot sign.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let keys: AddedKeys = body::parse(&parts.headers, &body)?;
    let addition = blocking(&app, move |app| begin_with(app, caller.uid, keys)).await?;
    let info = AdditionInfo {
        addition: hex::encode(addition.id),
        challenge: Base64(addition.challenge.clone()),
        expire_time: addition.expires.to_string(),
    };
    json(StatusCode::CREATED, &info)
}

fn begin_with(app: &App, uid: Uid, keys: AddedKeys) -> Result<Addition, Problem> {
    let checked = keys.check(uid).map_err(|fault| invalid(&fault))?;
    let nonce = Key256::take(&mut random()?);
    let [.., (_, encryption)] = &checked;
    // EXPOSE: to seal it to the key that is to be proven.
    let challenge = challenge::seal(nonce.expose(), uid, KeySlot::Encryption, encryption)
        .map_err(|error| Problem::internal(&error))?;
    let now = app.clock.now();
    let addition = Addition { id: random()?, uid, expires: now.plus(LIFETIME), keys, nonce, challenge };
    app.database.write(|tx| {
        additions::sweep(tx, now)?;
        if additions::open(tx, uid)? >= MAX_OPEN {
            let detail = "so many additions are open; commit them, or wait until they have expired";
            return Err(Problem::new(Reason::RateLimited, detail).retry_after(LIFETIME));
        }
        if accounts::any_key_known(tx, &hashes(&checked))? {
            return Err(key_in_use());
        }
        additions::insert(tx, &addition)?;
        Ok(addition)
    })
}

/// Checks everything, has certificates issued, and adds the credential, in this order. The last step is one transaction:
/// entry, certificates, seal and what the SuperPIN is found by become valid together, or nothing does.
pub(super) async fn commit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let commit: CommitAddition = body::parse(&parts.headers, &body)?;
    let certificates = blocking(&app, move |app| commit_with(app, caller.uid, &id, commit));
    let certificates = by_name(certificates.await?);
    json(StatusCode::OK, &WorkingCertificates { certificates, issuers: issuer_list(&app) })
}

fn commit_with(app: &App, uid: Uid, id: &str, commit: CommitAddition) -> Result<Certificates, Problem> {
    let now = app.clock.now();
    let addition = parse_id(id).map(|id| app.database.read(|tx| additions::find(tx, uid, &id)));
    let addition = addition.transpose()?.flatten().filter(|it| now < it.expires).ok_or_else(unknown)?;
    if !Key256::from_slice(&commit.answer.0).is_some_and(|answer| addition.nonce.ct_eq(&answer)) {
        return Err(invalid(&"the answer is not the nonce of the challenge"));
    }
    let entry = Entry::from_der(&commit.entry.0).map_err(|fault| invalid(&fault))?;
    let account = account(app, uid)?;
    if let Some(certificates) = committed_before(app, uid, &account, &entry)? {
        return Ok(certificates);
    }
    let log = extended(account, &entry)?;
    let wanted = AddedEvidence { keys: addition.keys.clone(), log: log.into_iter().map(Base64).collect() };
    let checked = wanted.check(uid, now).map_err(|fault| invalid(&fault))?;
    check_time(&entry, addition.expires.minus(LIFETIME), now)?;
    check_seal(&commit.seal.0, &checked.credential.encryption.0)?;
    check_live(&checked.state)?;
    let super_pin = super_pin(commit.super_pin)?;
    let certificates = app.ca.issue_added(uid, wanted)?;
    app.database.write(|tx| {
        let place = entry.body().index;
        match additions::entry_at(tx, uid, place)? {
            Some(known) if known == entry.to_der() => return Ok(()),
            Some(_) => return Err(conflict()),
            None => {}
        }
        if super_pins::is_taken(tx, &super_pin.lookup)? {
            return Err(Problem::new(Reason::KeyInUse, "make another SuperPIN"));
        }
        if !accounts::claim(tx, uid, &hashes(&checked.keys), checked.credential.id)? {
            return Err(key_in_use());
        }
        let added = Added {
            checked: &checked,
            entry: entry.to_der(),
            seal: &commit.seal.0,
            super_pin: &super_pin,
            certificates: &certificates,
        };
        Ok(additions::commit(tx, uid, &added)?)
    })?;
    Ok(certificates)
}

/// The certificates, when exactly this entry is in the log already: the answer was lost.
fn committed_before(
    app: &App,
    uid: Uid,
    account: &Account,
    entry: &Entry,
) -> Result<Option<Certificates>, Problem> {
    let place = usize::try_from(entry.body().index).unwrap_or(usize::MAX);
    match (account.log.get(place), &entry.body().change) {
        (None, _) => Ok(None),
        (Some(known), Change::AddCredential(keys)) if known == entry.to_der() => {
            Ok(Some(app.database.read(|connection| additions::certificates(connection, uid, keys.id))?))
        }
        (Some(_), _) => Err(conflict()),
    }
}

/// Revokes a credential by an entry of the log. The platform refuses what the log's rules refuse; that a way back stays is for
/// the agent to see to.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let revocation: RevokeCredential = body::parse(&parts.headers, &body)?;
    blocking(&app, move |app| revoke_with(app, caller.uid, &id, &revocation)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn revoke_with(app: &App, uid: Uid, id: &str, revocation: &RevokeCredential) -> Result<(), Problem> {
    let now = app.clock.now();
    let id = CredentialId::from_hex(id).ok_or_else(credential_unknown)?;
    let entry = Entry::from_der(&revocation.entry.0).map_err(|fault| invalid(&fault))?;
    if entry.body().change != Change::RevokeCredential(id) {
        return Err(invalid(&"the entry revokes no credential, or another one"));
    }
    let account = account(app, uid)?;
    let place = entry.body().index;
    match account.log.get(usize::try_from(place).unwrap_or(usize::MAX)) {
        Some(known) if known == entry.to_der() => return Ok(()),
        Some(_) => return Err(conflict()),
        None => {}
    }
    let log = extended(account, &entry)?;
    account_log::verify_for(uid, &log, now).map_err(|fault| invalid(&fault))?;
    check_time(&entry, now, now)?;
    app.database.write(|tx| match additions::entry_at(tx, uid, place)? {
        Some(known) if known == entry.to_der() => Ok(()),
        Some(_) => Err(conflict()),
        None => Ok(additions::revoke(tx, uid, id, (place, entry.to_der()), now)?),
    })
}

fn account(app: &App, uid: Uid) -> Result<Account, Problem> {
    let account = app.database.read(|connection| accounts::find(connection, uid))?;
    account.ok_or_else(|| Problem::new(Reason::UserUnknown, "there is no such account"))
}

/// The log with the entry behind it, which has to be the next one.
fn extended(account: Account, entry: &Entry) -> Result<Vec<Vec<u8>>, Problem> {
    let mut log = account.log;
    if usize::try_from(entry.body().index).ok() != Some(log.len()) {
        return Err(conflict());
    }
    log.push(entry.to_der().to_vec());
    Ok(log)
}

fn check_live(state: &AccountState) -> Result<(), Problem> {
    let live = state.credentials().iter().filter(|record| record.is_live()).count();
    if live <= MAX_LIVE {
        return Ok(());
    }
    let detail = format!("an account has at most {MAX_LIVE} working credentials; revoke one first");
    Err(Problem::new(Reason::CredentialLimit, detail))
}

fn super_pin(given: super::dto::NewSuperPin) -> Result<NewSuperPin, Problem> {
    let lookup = parse_id(&given.lookup_id).ok_or_else(|| {
        Problem::new(Reason::InvalidArgument, "lookup_id has 32 hexadecimal digits in lower case")
    })?;
    let verifier = PublicKey::from_spki(&given.verifier.0)
        .ok()
        .filter(|key| key.algorithm() == KeyAlgorithm::P256)
        .ok_or_else(|| invalid(&"the verifier is no P-256 SubjectPublicKeyInfo"))?;
    if given.bundle.0.is_empty() || given.bundle.0.len() > MAX_BUNDLE {
        return Err(invalid(&"the key bundle is empty or has more than 16 KiB"));
    }
    Ok(NewSuperPin { lookup, verifier: verifier.spki().to_vec(), bundle: given.bundle.0 })
}

fn conflict() -> Problem {
    let detail = "the account log has another entry at this place; read it and make a new entry";
    Problem::new(Reason::LogConflict, detail)
}

fn credential_unknown() -> Problem {
    Problem::new(Reason::CredentialUnknown, "credential_id has 32 hexadecimal digits in lower case")
}

fn key_in_use() -> Problem {
    Problem::new(Reason::KeyInUse, "make new keys and a new credential id")
}

fn unknown() -> Problem {
    Problem::new(Reason::AdditionUnknown, "there is none of this name, or it has expired; begin again")
}
