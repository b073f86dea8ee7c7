//! The one TLS input that is signed (RFC 8446 §4.4.3).

/// 64 spaces, the context string of a client, and a zero byte.
const PREFIX: &[u8; 98] =
    b"                                                                TLS 1.3, client CertificateVerify\0";

/// A well-formed CertificateVerify input of a TLS 1.3 client: what follows the prefix is a transcript hash.
pub struct ClientCertificateVerify<'a>(&'a [u8]);

impl<'a> ClientCertificateVerify<'a> {
    /// Takes the prefix of a *client* with a hash of SHA-256 or SHA-384 behind it, and nothing else.
    #[must_use]
    pub fn parse(input: &'a [u8]) -> Option<Self> {
        let hash = input.strip_prefix(PREFIX)?;
        matches!(hash.len(), 32 | 48).then_some(Self(input))
    }

    /// The message to sign: prefix and hash.
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(context: &str, hash: usize) -> Vec<u8> {
        [&[0x20; 64], context.as_bytes(), &[0], &vec![7; hash]].concat()
    }

    #[test]
    fn only_the_clients_context_and_a_hash() {
        let client = "TLS 1.3, client CertificateVerify";
        assert!(ClientCertificateVerify::parse(&input(client, 32)).is_some());
        assert!(ClientCertificateVerify::parse(&input(client, 48)).is_some());
        for hash in [0, 31, 33, 47, 64, 66] {
            assert!(ClientCertificateVerify::parse(&input(client, hash)).is_none());
        }
        for context in ["TLS 1.3, server CertificateVerify", "TLS 1.3, client CertificateVerifY", ""] {
            assert!(ClientCertificateVerify::parse(&input(context, 32)).is_none());
        }
        assert!(ClientCertificateVerify::parse(&input(client, 32)[1..]).is_none());
        assert!(ClientCertificateVerify::parse(&[]).is_none());
    }
}
