//! The gate in front of every route: who may pass is said once, in the route table.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{RequestExt, http::HeaderMap};
use life_pki::PublicKey;
use std::time::Instant;

use super::body;
use super::peer::Peer;
use super::problem::{Problem, Reason};
use super::rate::prefix;
use super::state::{App, blocking};
use crate::encoding::{from_base64, parse_id, sha256};
use crate::store::registrations::{self, Registration};

/// The header that carries the proof of a registration's ephemeral key: `<unix seconds>.<base64 signature>`.
pub const PROOF_HEADER: &str = "life-registration-proof";
/// What the signature of that header covers begins with.
pub const PROOF_PREFIX: &[u8] = b"LIFE registration request v1\0";
/// How far the clocks of client and platform may differ, in seconds.
pub const MAX_SKEW: u64 = 300;

/// What a caller has to prove (FORMATS §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing: the same answer for everybody.
    Anonymous,
    /// A secret made for this one registration, or a SuperPIN.
    Bootstrap(Proof),
    /// A live working credential, by mutual TLS.
    Personalised,
}

/// Where the proof of a bootstrap request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// In the body, which answers a challenge; the handler judges it.
    Answer,
    /// In the body: the request that introduces the key.
    InBody,
    /// In [`PROOF_HEADER`], for the registration named in the path.
    InHeader,
}

impl Level {
    /// The name in the OpenAPI document (`x-life-level`).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Bootstrap(_) => "bootstrap",
            Self::Personalised => "personalised",
        }
    }
}

/// Lets a request pass to its handler, with who it is from, or answers it with a problem.
pub async fn gate(State((app, level)): State<(Arc<App>, Level)>, request: Request, next: Next) -> Response {
    match admit(&app, level, request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn admit(app: &Arc<App>, level: Level, mut request: Request) -> Result<Request, Problem> {
    let peer = request
        .extensions()
        .get::<Arc<Peer>>()
        .cloned()
        .ok_or_else(|| Problem::internal(&"a request without a connection"))?;
    match level {
        Level::Anonymous | Level::Bootstrap(Proof::Answer) => spend(app, &peer)?,
        Level::Bootstrap(Proof::InBody) => {
            spend(app, &peer)?;
            app.registrations.spend(prefix(peer.address.ip()), Instant::now()).map_err(slow_down)?;
        }
        Level::Bootstrap(Proof::InHeader) => {
            spend(app, &peer)?;
            request = registration(app, request).await?;
        }
        Level::Personalised => {
            // Judging costs more than refusing to: a certificate that was found good last time goes on unhindered.
            if !peer.is_trusted() {
                spend(app, &peer)?;
            }
            let caller = blocking(app, move |app| peer.identify(app)).await?;
            request.extensions_mut().insert(caller);
        }
    }
    Ok(request)
}

fn spend(app: &App, peer: &Peer) -> Result<(), Problem> {
    app.requests.spend(prefix(peer.address.ip()), Instant::now()).map_err(slow_down)
}

pub(super) fn slow_down(seconds: u32) -> Problem {
    Problem::new(Reason::RateLimited, format!("try again in {seconds} s")).retry_after(seconds)
}

/// Reads the body, finds the registration and verifies that its key signed exactly this request.
async fn registration(app: &Arc<App>, mut request: Request) -> Result<Request, Problem> {
    let Path(parameters): Path<HashMap<String, String>> =
        request.extract_parts().await.map_err(|_| unknown())?;
    let id = parameters.get("registration").and_then(|id| parse_id(id)).ok_or_else(unknown)?;
    let (seconds, signature) = proof(request.headers())?;
    check_clock(app, seconds)?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, crate::config::seconds(app.config.timeouts.body)).await?;
    let message = [
        PROOF_PREFIX,
        parts.method.as_str().as_bytes(),
        b" ",
        parts.uri.path().as_bytes(),
        b"\n",
        seconds.to_string().as_bytes(),
        b"\n",
        &sha256(&[&body]),
    ]
    .concat();
    let found = blocking(app, move |app| {
        let found = app.database.read(|connection| registrations::find(connection, &id))?;
        let found = found.ok_or_else(unknown)?;
        let key = PublicKey::from_spki(&found.client_key).map_err(|error| Problem::internal(&error))?;
        let detail = "sign method, path, time and body with the key that began this registration";
        key.verify(&message, &signature).map_err(|_| Problem::new(Reason::ProofInvalid, detail))?;
        alive(app, found)
    })
    .await?;
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(Arc::new(found));
    Ok(request)
}

fn alive(app: &App, found: Registration) -> Result<Registration, Problem> {
    if found.is_alive(app.clock.now()) {
        Ok(found)
    } else {
        Err(Problem::new(Reason::RegistrationExpired, "begin a new registration"))
    }
}

fn unknown() -> Problem {
    Problem::new(
        Reason::RegistrationUnknown,
        "there is none of this name, or it was forgotten after it expired",
    )
}

fn proof(headers: &HeaderMap) -> Result<(i64, Vec<u8>), Problem> {
    let value = headers
        .get(PROOF_HEADER)
        .ok_or_else(|| Problem::new(Reason::ProofRequired, format!("send the header {PROOF_HEADER}")))?;
    value
        .to_str()
        .ok()
        .and_then(parse_proof)
        .ok_or_else(|| Problem::new(Reason::ProofInvalid, "the header is <unix seconds>.<base64 signature>"))
}

/// Reads the value of [`PROOF_HEADER`]: seconds in their one spelling (what was signed is what is compared), and a
/// signature.
#[must_use]
pub fn parse_proof(text: &str) -> Option<(i64, Vec<u8>)> {
    let (seconds, signature) = text.split_once('.')?;
    let number: i64 = seconds.parse().ok()?;
    (number.to_string() == seconds).then_some((number, from_base64(signature)?))
}

/// Refuses times that are too far from the platform's.
///
/// # Errors
/// [`Reason::ClockSkew`], with the platform's time.
pub fn check_clock(app: &App, seconds: i64) -> Result<(), Problem> {
    let now = app.clock.now();
    if now.unix().abs_diff(seconds) <= MAX_SKEW {
        return Ok(());
    }
    Err(Problem::new(Reason::ClockSkew, format!("it is {now} here; set the clock of the client")))
}
