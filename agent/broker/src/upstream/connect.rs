//! A connection to the server: TCP, TLS with the user's certificate, HTTP/1.1.

use std::error::Error as StdError;
use std::time::Duration;

use http::{HeaderValue, Uri};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::CallBody;
use crate::error::{Error, Fault, Result};
use crate::platform::{Origin, tls_error, tls_fault};

/// The longest head of an answer, and what is read of a body at once.
const BUFFER: usize = 256 * 1024;

/// Why a request was not answered.
pub struct Failed {
    /// What the caller is told.
    pub error: Error,
    /// Whether the same request may succeed now.
    pub again: bool,
}

impl Failed {
    /// Nothing can have reached the server, and trying again is no use.
    pub fn for_good(error: Error) -> Self {
        Self { error: error.with("request_sent", "no"), again: false }
    }

    /// Nothing can have reached the server.
    fn unsent(error: Error) -> Self {
        Self { error: error.with("request_sent", "no"), again: true }
    }
}

/// Makes connections.
pub struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    uri: Uri,
    name: ServerName<'static>,
    limit: Duration,
    locked: CancellationToken,
    /// What requests say of the server.
    pub host: HeaderValue,
}

impl Connector {
    /// To one server, as one user; `locked` ends every connection.
    ///
    /// # Errors
    /// INTERNAL for an origin whose host is no name.
    pub fn new(
        origin: &Origin,
        tls: rustls::ClientConfig,
        limit: Duration,
        locked: CancellationToken,
    ) -> Result<Self> {
        let bad = || Error::internal("an origin is no address");
        let uri = origin.uri("/").ok_or_else(bad)?;
        let host = uri.host().ok_or_else(bad)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        let host = HeaderValue::from_str(authority).map_err(|_| bad())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        Ok(Self { tcp, tls: TlsConnector::from(std::sync::Arc::new(tls)), uri, name, limit, locked, host })
    }

    /// Connects.
    pub async fn connect(&self) -> Result<Connection, Failed> {
        match tokio::time::timeout(self.limit, self.attempt()).await {
            Ok(connected) => connected,
            Err(_) => {
                Err(Failed::unsent(Fault::PlatformUnavailable.because("no connection came about in time")))
            }
        }
    }

    async fn attempt(&self) -> Result<Connection, Failed> {
        let tcp = self.tcp.clone().oneshot(self.uri.clone()).await.map_err(|error| {
            tracing::debug!(%error, "the server was not reached");
            Failed::unsent(Fault::PlatformUnavailable.into())
        })?;
        let tls = self.tls.connect(self.name.clone(), tcp.into_inner()).await.map_err(|error| {
            let error: &(dyn StdError + 'static) = &error;
            let fault = match tls_error(error) {
                Some(tls) => tls_fault(tls),
                None => Fault::PlatformUnavailable.because("the connection broke while it came about"),
            };
            Failed { again: fault.fault() == Fault::PlatformUnavailable, ..Failed::unsent(fault) }
        })?;
        let built =
            http1::Builder::new().max_buf_size(BUFFER).handshake::<_, CallBody>(TokioIo::new(tls)).await;
        let (sender, connection) =
            built.map_err(|_| Failed::unsent(Fault::PlatformUnavailable.because("the connection broke")))?;
        let locked = self.locked.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = locked.cancelled() => {}
                _ = connection => {}
            }
        });
        Ok(Connection { sender, task: task.abort_handle() })
    }
}

/// A connection, which is closed when this is dropped.
pub struct Connection {
    /// Takes one request at a time.
    pub sender: SendRequest<CallBody>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
