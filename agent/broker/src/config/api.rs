//! The section `[api]`: what apps may call in a user's name.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Count, Seconds};

/// What apps may call in a user's name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// The one server that calls go to: `https://host[:port]`. The platform the agent is bound to when not set.
    pub origin: Option<String>,
    /// A PEM file with the roots that the server's certificate must lead to. The platform's pinned root when not set.
    pub server_roots: Option<PathBuf>,
    /// What may be called, instead of the usual list.
    pub allow: Option<Vec<Allowed>>,
    /// Headers that apps may send beside the usual ones.
    pub request_headers: Vec<String>,
    /// Headers that apps are told beside the usual ones.
    pub response_headers: Vec<String>,
    /// How long to wait for a connection, in seconds: 1 to 600.
    pub connect_seconds: Seconds<10>,
    /// How long to wait for the head of an answer once the request is sent, in seconds: 1 to 3600.
    pub head_seconds: Seconds<60>,
    /// Connections of one user at once: 1 to 256.
    pub max_connections: Count<64>,
}

/// Methods on paths that apps may call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Some of GET (HEAD is then allowed too), HEAD, POST, PUT, PATCH, DELETE, OPTIONS.
    pub methods: Vec<String>,
    /// A path: `*` stands for one segment, `**` at the end for all that follow.
    pub path: String,
}
