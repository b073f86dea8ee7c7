//! TLS 1.3 and nothing older; a client certificate is asked for, and judged later (FORMATS §8).

use std::sync::Arc;

use life_pki::certificate::Certificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, PeerMisbehaved, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

use crate::error::Error;
use crate::layout::{self, Layout};

/// Makes the server's TLS configuration.
///
/// Sessions are never resumed and there is no early data, so that a revoked or locked credential cannot ride on an
/// earlier handshake.
///
/// # Errors
/// [`Error::Io`]; [`Error::Config`] when key and certificate do not fit.
pub fn config(layout: &Layout) -> Result<ServerConfig, Error> {
    let certificate = layout::read(&layout.tls_certificate(), "cannot read the TLS certificate")?;
    let key = layout::read(&layout.tls_key(), "cannot read the TLS key")?;
    let issuer =
        Certificate::from_der(&layout::read(&layout.user_issuing(), "cannot read the issuing certificate")?)
            .map_err(|_| Error::Config("the issuing certificate does not parse".to_owned()))?;
    let provider = aws_lc_rs::default_provider();
    let verifier = PossessionOnly {
        algorithms: provider.signature_verification_algorithms,
        hints: vec![DistinguishedName::from(issuer.subject_der().to_vec())],
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::Config(format!("TLS: {error}")))?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key)),
        )
        .map_err(|error| Error::Config(format!("the TLS key and certificate do not fit: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Takes any well-formed client certificate whose private key signed the handshake.
///
/// Whether it is believed is decided for each request by [`super::peer::Peer::identify`]: there an expired certificate can
/// be answered with its reason, and still fetch the revocation list as anybody can.
#[derive(Debug)]
struct PossessionOnly {
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for PossessionOnly {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}
