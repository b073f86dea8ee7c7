//! What everybody may know: versions, catalogues, certificates, the revocation list.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use life_pki::ParticipantKind;

use super::body::{json, typed};
use super::dto::{Issuers, ParticipantKindInfo, ParticipantKinds, Versions};
use super::problem::Problem;
use super::state::{App, blocking};
use crate::config::Approval;
use crate::encoding::Base64;
use crate::store::crl as crl_store;

/// The contract, as checked in.
pub const OPENAPI: &str = include_str!("../../openapi.json");

const OCTETS: &str = "application/octet-stream";

/// Whether a registrar has to approve a registration.
#[must_use]
pub fn needs_approval(approval: Approval, kind: ParticipantKind) -> bool {
    approval == Approval::Registrar && kind != ParticipantKind::Patient
}

/// The certificates above every user certificate, issuing first.
#[must_use]
pub fn issuer_list(app: &App) -> Vec<Base64> {
    vec![Base64(app.public.user_issuing.clone()), Base64(app.public.user_root.der().to_vec())]
}

pub(super) async fn crl(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let list = blocking(&app, |app| Ok(app.database.read(crl_store::get)?)).await?;
    let list = list.ok_or_else(|| Problem::internal(&"there is no revocation list"))?;
    Ok(typed(StatusCode::OK, "application/pkix-crl", list.der))
}

pub(super) async fn issuers(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    json(StatusCode::OK, &Issuers { issuers: issuer_list(&app) })
}

pub(super) async fn openapi() -> Response {
    typed(StatusCode::OK, "application/json", OPENAPI)
}

pub(super) async fn participant_kinds(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let kinds = ParticipantKind::ALL.iter().map(|kind| ParticipantKindInfo {
        kind: kind.name(),
        needs_approval: needs_approval(app.config.approval, *kind),
    });
    json(StatusCode::OK, &ParticipantKinds { participant_kinds: kinds.collect() })
}

pub(super) async fn trust(State(app): State<Arc<App>>) -> Response {
    typed(StatusCode::OK, OCTETS, app.public.trust.clone())
}

pub(super) async fn versions(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let versions = Versions {
        versions: vec!["v1"],
        platform_version: env!("CARGO_PKG_VERSION"),
        time: app.clock.now().to_string(),
    };
    json(StatusCode::OK, &versions)
}
