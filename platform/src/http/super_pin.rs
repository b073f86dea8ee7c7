//! Logging in with a SuperPIN: a challenge for whoever asks, and for the right answer the key bundle.
//!
//! Nothing tells whether a lookup id exists: an unknown one gets a challenge as well, its answer is judged with a key
//! that nobody has, and is refused in the same words.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_pki::PublicKey;

use super::body::{self, json};
use super::directory::by_name;
use super::dto::{AnswerLogin, BeginLogin, LoginInfo, OpenedLogin};
use super::level::slow_down;
use super::peer::Peer;
use super::problem::{Problem, Reason};
use super::public::issuer_list;
use super::rate::prefix;
use super::state::{App, blocking};
use crate::config::seconds;
use crate::encoding::{Base64, parse_id, random};
use crate::store::additions;
use crate::store::super_pins::{self, Login, WINDOW};

/// What the answer's signature covers begins with.
pub const LOGIN_PREFIX: &[u8] = b"LIFE SuperPIN login v1\0";
/// How long a challenge can be answered, in seconds.
const LIFETIME: u32 = 300;

/// Gives a challenge.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let begin: BeginLogin = body::parse(&parts.headers, &body)?;
    let lookup = parse_id(&begin.lookup_id).ok_or_else(|| {
        Problem::new(Reason::InvalidArgument, "lookup_id has 32 hexadecimal digits in lower case")
    })?;
    let network = network(peer.address.ip());
    let now = app.clock.now();
    let login = Login { id: random()?, lookup, nonce: random()?, network, begun: now };
    let info = LoginInfo {
        login: hex::encode(login.id),
        challenge: Base64(login.nonce.to_vec()),
        expire_time: now.plus(LIFETIME).to_string(),
    };
    blocking(&app, move |app| begin_with(app, &login)).await?;
    json(StatusCode::CREATED, &info)
}

/// What was begun is counted in the database, so that a restart gives nobody new tries.
fn begin_with(app: &App, login: &Login) -> Result<(), Problem> {
    let limits = &app.config.limits;
    let most = [limits.super_pin_logins_per_hour, limits.all_super_pin_logins_per_hour];
    app.database.write(|tx| {
        super_pins::sweep(tx, login.begun)?;
        let (ours, all) = super_pins::begun_since(tx, &login.network, login.begun.minus(WINDOW))?;
        if [ours, all].iter().zip(most).any(|(begun, most)| most != 0 && *begun >= u64::from(most)) {
            return Err(slow_down(WINDOW));
        }
        Ok(super_pins::begin(tx, login)?)
    })
}

/// Judges the answer: one for each challenge.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    Path(login): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let answer: AnswerLogin = body::parse(&parts.headers, &body)?;
    let opened = blocking(&app, move |app| answer_with(app, &login, &answer.signature.0)).await?;
    json(StatusCode::OK, &opened)
}

fn answer_with(app: &App, login: &str, signature: &[u8]) -> Result<OpenedLogin, Problem> {
    let id = parse_id(login).ok_or_else(refused)?;
    let since = app.clock.now().minus(LIFETIME);
    let taken = app.database.write(|tx| super_pins::take(tx, &id, since))?;
    let (lookup, nonce) = taken.ok_or_else(refused)?;
    let found = app.database.read(|connection| super_pins::find(connection, &lookup))?;
    let key = match &found {
        Some(found) => PublicKey::from_spki(&found.verifier).map_err(|error| Problem::internal(&error))?,
        None => PublicKey::from_spki(app.nobody.spki()).map_err(|error| Problem::internal(&error))?,
    };
    key.verify(&[LOGIN_PREFIX, &lookup, &nonce].concat(), signature).map_err(|_| refused())?;
    // From here on it is somebody who has the SuperPIN.
    let found = found.ok_or_else(refused)?;
    let bundle = found.bundle.ok_or_else(|| {
        Problem::new(Reason::CertificateRevoked, "the SuperPIN was revoked; use another credential")
    })?;
    let certificates =
        app.database.read(|connection| additions::certificates(connection, found.uid, found.credential))?;
    Ok(OpenedLogin {
        uid: found.uid.to_string(),
        credential_id: found.credential.to_string(),
        bundle: Base64(bundle),
        certificates: by_name(certificates),
        issuers: issuer_list(app),
    })
}

/// The network that counts for an address, as 16 bytes.
fn network(address: IpAddr) -> [u8; 16] {
    match prefix(address) {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn refused() -> Problem {
    let detail =
        "the challenge is unknown, answered or too old, or the answer is wrong; type the SuperPIN again";
    Problem::new(Reason::LoginRefused, detail)
}
