//! TLS 1.3 to the platform: at the anonymous level, and with a user's certificate whose key stays in the vault.

use std::sync::Arc;
use std::time::Duration;

use life_pki::key::KeyAlgorithm;
use life_pki::{Certificate, PublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureAlgorithm, SignatureScheme, version,
};
use tokio::runtime::Handle;

use crate::error::{Error, Result};
use crate::vault::Session;

/// How long a handshake waits for the vault's signature.
const SIGN_LIMIT: Duration = Duration::from_secs(5);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::internal(format_args!("TLS cannot be set up: {error}"))
}

/// Anonymous: the server must lead to the pinned root.
pub fn anonymous(server_root: &Certificate) -> Result<ClientConfig> {
    let verifier = verifier(&[CertificateDer::from(server_root.der())])?;
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(internal)?;
    Ok(builder.with_webpki_verifier(verifier).with_no_client_auth())
}

/// Personalised: the server must lead to one of the roots, and it gets the user's authentication certificate, whose signatures the vault makes.
///
/// Sessions are never resumed: a ticket would outlive a lock (FORMATS §8).
pub fn identified(
    server_roots: &[CertificateDer<'_>],
    session: Arc<Session>,
    certificate: &Certificate,
    issuers: &[Vec<u8>],
) -> Result<ClientConfig> {
    let chain = std::iter::once(certificate.der())
        .chain(issuers.iter().map(Vec::as_slice))
        .map(|der| CertificateDer::from(der.to_vec()))
        .collect();
    let key = VaultKey::new(session, certificate.public_key());
    let resolver = OneCertificate(Arc::new(CertifiedKey::new(chain, Arc::new(key))));
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(internal)?;
    let mut config =
        builder.with_webpki_verifier(verifier(server_roots)?).with_client_cert_resolver(Arc::new(resolver));
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For the first contact only: takes any server. What it then says is compared with a fingerprint.
pub fn unverified() -> Result<ClientConfig> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(internal)?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(algorithms)))
        .with_no_client_auth())
}

fn verifier(server_roots: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for root in server_roots {
        roots.add(root.clone().into_owned()).map_err(internal)?;
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().map_err(internal)
}

#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[derive(Debug)]
struct OneCertificate(Arc<CertifiedKey>);

impl ResolvesClientCert for OneCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// An authentication key in the vault.
#[derive(Clone)]
struct VaultKey {
    session: Arc<Session>,
    scheme: SignatureScheme,
}

impl std::fmt::Debug for VaultKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("VaultKey").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl VaultKey {
    fn new(session: Arc<Session>, key: &PublicKey) -> Self {
        let scheme = match key.algorithm() {
            KeyAlgorithm::P256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            KeyAlgorithm::Rsa { .. } => SignatureScheme::RSA_PSS_SHA256,
        };
        Self { session, scheme }
    }
}

impl SigningKey for VaultKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

impl Signer for VaultKey {
    /// rustls asks synchronously, from a worker of the runtime, which hands its other tasks over meanwhile.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signing = tokio::time::timeout(SIGN_LIMIT, self.session.sign_tls(message.to_vec()));
        match tokio::task::block_in_place(|| Handle::current().block_on(signing)) {
            Ok(Ok(signature)) => Ok(signature),
            Ok(Err(error)) => Err(rustls::Error::General(error.fault().reason().to_owned())),
            Err(_) => Err(rustls::Error::General("the vault did not sign in time".to_owned())),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}
