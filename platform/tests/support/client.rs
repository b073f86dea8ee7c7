//! A small HTTPS client: one TLS 1.3 connection for each, with or without a client certificate.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// The reason of a problem document, or the empty string.
    pub fn reason(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["reason"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    #[track_caller]
    pub fn refused(self, status: u16, reason: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.reason().as_str()), (status, reason));
        self
    }
}

impl Client {
    pub fn new(address: SocketAddr, root: &Path, identity: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut roots = RootCertStore::empty();
        let der = std::fs::read(root.join("public/server-root.der")).unwrap();
        roots.add(CertificateDer::from(der)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let tls = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, pkcs8)) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8));
                // Not checked whether they fit: a thief's do not.
                let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
                let identity = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
            }
        };
        Self { address, tls: Arc::new(tls) }
    }

    /// The same client for a platform that was started again elsewhere.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { address, tls: Arc::clone(&self.tls) }
    }

    pub async fn tls(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await
    }

    pub async fn open(&self) -> std::io::Result<SendRequest<Body>> {
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(self.tls().await?))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request on a connection of its own.
    pub async fn try_send(&self, request: Request<Body>) -> Result<Reply, Box<dyn std::error::Error>> {
        let mut connection = self.open().await?;
        send(&mut connection, request).await
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        self.try_send(request).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(request("GET", path, Body::empty())).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(json_request("POST", path, body)).await
    }

    pub async fn put_octets(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(octets("PUT", path, body)).await
    }

    /// Makes a deposited message visible, without a receipt.
    pub async fn publish(&self, path: &str) -> Reply {
        self.post(&format!("{path}/receipt"), &serde_json::json!({})).await
    }

    /// Deposits a message and makes it visible.
    pub async fn deposit(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.put_octets(path, body).await.expect(201);
        self.publish(path).await.expect(200)
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(request("DELETE", path, Body::empty())).await
    }
}

pub async fn send(
    connection: &mut SendRequest<Body>,
    request: Request<Body>,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let response = connection.send_request(request).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Reply { status: parts.status, headers: parts.headers, body })
}

pub fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).header("host", "localhost").body(body.into()).unwrap()
}

pub fn json_request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let mut request = request(method, path, serde_json::to_vec(body).unwrap());
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    request
}

/// An append to an upload.
pub fn append(upload: &str, offset: u64, body: impl Into<Body>) -> Request<Body> {
    let mut request = octets("PATCH", upload, body);
    request.headers_mut().insert("upload-offset", offset.into());
    request
}

pub fn octets(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = request(method, path, body);
    request.headers_mut().insert("content-type", "application/octet-stream".parse().unwrap());
    request
}
