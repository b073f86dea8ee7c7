//! Bodies of the fuzz targets: what reaches the vault and is parsed in no other crate.

use crate::secret_source::assuan;
use crate::tls::ClientCertificateVerify;

/// Whatever a pinentry says, the vault neither panics nor grows.
pub fn pinentry(bytes: &[u8]) {
    assuan::converse_with_anything(bytes);
}

/// Reads a TLS 1.3 CertificateVerify input; what is signed is all of what was read.
pub fn tls_input(bytes: &[u8]) {
    if let Some(input) = ClientCertificateVerify::parse(bytes) {
        assert_eq!(input.message(), bytes, "something else would be signed");
    }
}
