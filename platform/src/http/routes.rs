//! The route table: every resource, its level and its handler. Nothing is reachable that does not stand here.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, patch, post, put};

use super::level::{Level, Proof, gate};
use super::problem::{Problem, Reason};
use super::state::App;
use super::{
    access_log, credentials, deposit, directory, documents, inbox, public, receipts, registration, super_pin,
};

/// One resource with one method.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path with its parameters, as in the OpenAPI document.
    pub path: &'static str,
    /// What a caller has to prove.
    pub level: Level,
    handler: fn() -> MethodRouter<Arc<App>>,
}

macro_rules! routes {
    ($($method:literal $path:literal $level:expr, $handler:expr;)*) => {
        /// Every route.
        pub const ROUTES: &[Route] = &[$(Route {
            method: $method, path: $path, level: $level, handler: || $handler,
        },)*];
    };
}

use Level::{Anonymous, Bootstrap, Personalised};

routes! {
    "GET" "/v1/crl" Anonymous, get(public::crl);
    "GET" "/v1/issuers" Anonymous, get(public::issuers);
    "GET" "/v1/openapi.json" Anonymous, get(public::openapi);
    "GET" "/v1/participant-kinds" Anonymous, get(public::participant_kinds);
    "GET" "/v1/trust" Anonymous, get(public::trust);
    "GET" "/v1/versions" Anonymous, get(public::versions);

    "POST" "/v1/registrations" Bootstrap(Proof::InBody), post(registration::begin);
    "GET" "/v1/registrations/{registration}" Bootstrap(Proof::InHeader), get(registration::show);
    "PUT" "/v1/registrations/{registration}/keys" Bootstrap(Proof::InHeader), put(registration::keys);
    "POST" "/v1/registrations/{registration}/commit" Bootstrap(Proof::InHeader), post(registration::commit);

    "POST" "/v1/super-pin-logins" Bootstrap(Proof::Answer), post(super_pin::begin);
    "POST" "/v1/super-pin-logins/{login}/answer" Bootstrap(Proof::Answer), post(super_pin::answer);

    "POST" "/v1/me/credentials" Personalised, post(credentials::begin);
    "POST" "/v1/me/credentials/{addition}/commit" Personalised, post(credentials::commit);
    "POST" "/v1/me/credentials/{credential_id}/revocation" Personalised, post(credentials::revoke);
    "GET" "/v1/me" Personalised, get(directory::me);
    "GET" "/v1/me/seals" Personalised, get(directory::seals);
    "GET" "/v1/users/{uid}" Personalised, get(directory::user);
    "GET" "/v1/users/{uid}/log" Personalised, get(directory::log);
    "POST" "/v1/receipts" Personalised, post(receipts::issue);
    "PUT" "/v1/inboxes/{uid}/messages/{message_id}" Personalised, put(deposit::deposit);
    "POST" "/v1/inboxes/{uid}/messages/{message_id}/receipt" Personalised, post(receipts::for_message);
    "GET" "/v1/inbox" Personalised, get(inbox::list);
    "GET" "/v1/inbox/{message_id}" Personalised, get(inbox::fetch);
    "DELETE" "/v1/inbox/{message_id}" Personalised, delete(inbox::remove);

    "GET" "/v1/documents" Personalised, get(documents::list);
    "GET" "/v1/documents/{document_id}" Personalised, get(documents::show);
    "DELETE" "/v1/documents/{document_id}" Personalised, delete(documents::remove);
    "GET" "/v1/documents/{document_id}/content" Personalised, get(documents::content);
    "POST" "/v1/documents/{document_id}/sharing" Personalised, post(documents::share);
    "POST" "/v1/documents/{document_id}/uploads" Personalised, post(documents::begin);
    "GET" "/v1/documents/{document_id}/uploads/{upload_id}" Personalised, get(documents::show_upload);
    "PATCH" "/v1/documents/{document_id}/uploads/{upload_id}" Personalised, patch(documents::append);
    "DELETE" "/v1/documents/{document_id}/uploads/{upload_id}" Personalised, delete(documents::give_up);
    "POST" "/v1/documents/{document_id}/uploads/{upload_id}/commit" Personalised, post(documents::commit);
}

/// Makes the router of the whole table, each route behind its gate, everything in the access log.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let gate = from_fn_with_state((Arc::clone(app), route.level), gate);
        router = router.route(route.path, (route.handler)().route_layer(gate));
    }
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(access_log::record))
        .with_state(Arc::clone(app))
}

async fn not_found() -> Response {
    Problem::new(Reason::NotFound, "GET /v1/openapi.json lists what there is").into_response()
}

async fn method_not_allowed() -> Response {
    Problem::new(Reason::MethodNotAllowed, "GET /v1/openapi.json lists what there is").into_response()
}
