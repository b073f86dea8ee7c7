//! What the configuration lets through, in the form in which calls are judged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, Method, Uri};
use life_api::{AllowList, HeaderError, HeaderRules, PatternError, Rule, Target};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config;
use crate::error::{Error, Fault, Result};
use crate::platform::Origin;

/// What may be called on our own platform where the configuration says nothing: what is public, one's own account and
/// the directory. Nothing that changes an account, and nothing that has a service of its own in the contract.
const USUAL: &[&str] = &[
    "/v1/crl",
    "/v1/issuers",
    "/v1/me",
    "/v1/openapi.json",
    "/v1/participant-kinds",
    "/v1/trust",
    "/v1/users/*",
    "/v1/users/*/log",
    "/v1/versions",
];

/// Why the section `[api]` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// A rule.
    #[error("api.allow: {0:?}: {1}")]
    Allow(String, PatternError),
    /// A value is out of bounds.
    #[error("{0}: {1}")]
    Bounds(&'static str, &'static str),
    /// A header.
    #[error("{0}: {1}")]
    Header(&'static str, HeaderError),
    /// The origin.
    #[error("api.origin: must be https://host[:port], nothing behind it")]
    Origin,
    /// The file with roots.
    #[error("api.server_roots: {0}: {1}")]
    Roots(PathBuf, String),
}

/// What is let through, to where, and how long that may take.
#[derive(Debug)]
pub struct Gate {
    /// The server, where it is not the platform.
    pub origin: Option<Origin>,
    /// Where its certificate must lead to, where that is not the platform's root.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// The headers of both ways.
    pub headers: HeaderRules,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long the head of an answer may take.
    pub head: Duration,
    /// Connections of one user.
    pub connections: usize,
    allow: AllowList,
}

/// A request that may be sent.
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Path and query, in origin-form.
    pub uri: Uri,
    /// The caller's headers.
    pub headers: HeaderMap,
}

impl Gate {
    /// Reads the section `[api]`, and the file that it names.
    ///
    /// # Errors
    /// [`GateError`] names the field.
    pub fn open(config: &config::Api) -> Result<Self, GateError> {
        let bound = |holds, field, rule| if holds { Ok(()) } else { Err(GateError::Bounds(field, rule)) };
        let seconds = |duration: Duration| duration.as_secs();
        let (connect, head) = (config.connect_seconds.duration(), config.head_seconds.duration());
        bound((1..=600).contains(&seconds(connect)), "api.connect_seconds", "1 to 600")?;
        bound((1..=3600).contains(&seconds(head)), "api.head_seconds", "1 to 3600")?;
        bound((1..=256).contains(&config.max_connections.0), "api.max_connections", "1 to 256")?;
        let origin = match &config.origin {
            Some(text) => Some(Origin::parse(text).ok_or(GateError::Origin)?),
            None => None,
        };
        let wrong = |path: &str, error| GateError::Allow(path.to_owned(), error);
        let rules: Result<Vec<_>, _> = match &config.allow {
            Some(allow) => {
                let rules = allow.iter().map(|it| {
                    let rule = Rule::parse(it.methods.iter().map(String::as_str), &it.path);
                    rule.map_err(|error| wrong(&it.path, error))
                });
                rules.collect()
            }
            None => {
                let rules =
                    USUAL.iter().map(|path| Rule::parse(["GET"], path).map_err(|error| wrong(path, error)));
                rules.collect()
            }
        };
        // One list at a time, so that a fault is laid at the right one.
        let headers = |request: &[String], response: &[String], field| {
            HeaderRules::with(request, response).map_err(|error| GateError::Header(field, error))
        };
        headers(&config.request_headers, &[], "api.request_headers")?;
        Ok(Self {
            origin,
            roots: config.server_roots.as_deref().map(roots).transpose()?,
            headers: headers(&config.request_headers, &config.response_headers, "api.response_headers")?,
            connect,
            head,
            connections: config.max_connections.0,
            allow: AllowList::new(rules?),
        })
    }

    /// A fault in words that fit the server: what is usually said is about our own platform.
    pub fn told(&self, error: Error) -> Error {
        let what = match error.fault() {
            _ if self.origin.is_none() => return error,
            Fault::CredentialUntrusted => "the server takes other credentials",
            Fault::PlatformUnavailable => "the server of the [api] section does not answer",
            Fault::PlatformUntrusted => "the server of the [api] section is not trusted",
            _ => return error,
        };
        error.told_as(
            what,
            "look at [api] origin and server_roots of the agent's configuration, and at the server",
        )
    }

    /// Judges a request.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a method, path or header that is none, API_CALL_FORBIDDEN for one that is not allowed.
    pub fn pass<'a>(
        &self,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Ask> {
        let method = life_api::parse_method(method)
            .ok_or_else(|| Error::field("method", "is not GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"))?;
        let target = Target::parse(path)
            .map_err(|error| Fault::InvalidArgument.because(format!("path {error}")).with("field", "path"))?;
        if !self.allow.allows(&method, &target) {
            return Err(Fault::ApiCallForbidden.into());
        }
        let headers = self.headers.request(headers).map_err(|error| match &error {
            HeaderError::Forbidden(name) => {
                Fault::ApiCallForbidden.because(error.to_string()).with("header", name.as_str())
            }
            _ => Fault::InvalidArgument.because(error.to_string()).with("field", "headers"),
        })?;
        let uri = target.as_str().parse().map_err(|_| Error::field("path", "is not a URI"))?;
        Ok(Ask { method, uri, headers })
    }
}

fn roots(path: &Path) -> Result<Vec<CertificateDer<'static>>, GateError> {
    let fault = |why: String| GateError::Roots(path.to_owned(), why);
    let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let roots = roots.map_err(|_| fault("is not PEM".to_owned()))?;
    let mut store = rustls::RootCertStore::empty();
    let (taken, ignored) = store.add_parsable_certificates(roots.iter().cloned());
    match (taken, ignored) {
        (0, _) => Err(fault("has no certificate".to_owned())),
        (_, 0) => Ok(roots),
        _ => Err(fault("has a certificate that cannot be read".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(text: &str) -> Result<Gate, GateError> {
        Gate::open(&toml::from_str(text).unwrap())
    }

    #[test]
    fn what_changes_an_account_is_not_allowed_unless_the_configuration_says_so() {
        let gate = gate("").unwrap();
        let reason = |method, path| gate.pass(method, path, []).err().map(|error| error.fault());
        for path in ["/v1/versions", "/v1/users/5f0c", "/v1/users/5f0c/log?after=3"] {
            assert_eq!(reason("GET", path), None, "{path}");
            assert_eq!(reason("HEAD", path), None, "{path}");
            for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                assert_eq!(reason(method, path), Some(Fault::ApiCallForbidden), "{method} {path}");
            }
        }
        for path in
            ["/v1/me/seals", "/v1/registrations/7", "/v1/inbox", "/v1/inbox/7", "/", "/v2/me", "/v1/me/"]
        {
            assert_eq!(reason("GET", path), Some(Fault::ApiCallForbidden), "{path}");
        }
        assert_eq!(reason("TRACE", "/v1/me"), Some(Fault::InvalidArgument));
        assert_eq!(reason("GET", "https://evil.example/v1/me"), Some(Fault::InvalidArgument));
        assert_eq!(reason("GET", "/v1/me/../me/seals"), Some(Fault::InvalidArgument));
        let header =
            |name, value| gate.pass("GET", "/v1/me", [(name, value)]).err().map(|error| error.fault());
        assert_eq!(header("accept", "a/b"), None);
        assert_eq!(header("host", "evil.example"), Some(Fault::ApiCallForbidden));
        assert_eq!(header("accept", "a\r\nb"), Some(Fault::InvalidArgument));
    }

    #[test]
    fn a_list_replaces_the_usual_one() {
        let gate = gate("allow = [{ methods = ['GET', 'POST'], path = '/fhir/**' }]").unwrap();
        assert!(gate.pass("POST", "/fhir/Patient", []).is_ok());
        assert!(gate.pass("GET", "/v1/versions", []).is_err());
        assert!(gate_of_nothing().pass("GET", "/", []).is_err());
    }

    fn gate_of_nothing() -> Gate {
        gate("allow = []").unwrap()
    }

    #[test]
    fn a_section_that_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        for text in [
            "origin = 'http://life.example'",
            "origin = 'https://life.example/v1'",
            "server_roots = '/nonexistent/roots.pem'",
            &format!("server_roots = '{}'", empty.display()),
            "allow = [{ methods = ['TRACE'], path = '/' }]",
            "allow = [{ methods = ['GET'], path = 'v1' }]",
            "allow = [{ methods = ['GET'], path = '/a/../b' }]",
            "request_headers = ['Authorization']",
            "response_headers = ['Set-Cookie']",
            "request_headers = ['a b']",
            "connect_seconds = 0",
            "head_seconds = 4000",
            "max_connections = 0",
        ] {
            assert!(gate(text).is_err(), "{text}");
        }
    }
}
