//! The few fields of a certificate that CMS names it by. Chains and profiles are life-pki's.

use crate::Error;
use crate::asn1::{BIT_STRING, INTEGER, OID, Parser, SEQUENCE, context};

/// subjectKeyIdentifier, RFC 5280 §4.2.1.2: 2.5.29.14.
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];

/// What CMS needs of a certificate (RFC 5280 §4.1), as it stands.
pub(crate) struct CertificateFields<'a> {
    /// The issuer's Name, DER.
    pub(crate) issuer: &'a [u8],
    /// The contents of the serial number.
    pub(crate) serial: &'a [u8],
    /// The SubjectPublicKeyInfo, DER.
    pub(crate) spki: &'a [u8],
    /// The subjectKeyIdentifier.
    pub(crate) key_id: Option<&'a [u8]>,
}

impl<'a> CertificateFields<'a> {
    pub(crate) fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut certificate = Parser::only(der, SEQUENCE)?;
        let mut tbs = certificate.inside(SEQUENCE)?;
        certificate.algorithm()?;
        certificate.contents(BIT_STRING)?;
        certificate.finish()?;

        tbs.optional(context(0))?;
        let serial = tbs.contents(INTEGER)?;
        tbs.algorithm()?;
        let issuer = tbs.raw()?;
        tbs.contents(SEQUENCE)?;
        tbs.contents(SEQUENCE)?;
        let spki = tbs.raw()?;
        let mut key_id = None;
        while !tbs.is_empty() {
            let (tag, contents) = tbs.any()?;
            if tag == context(3) {
                key_id = subject_key_identifier(contents)?;
            }
        }
        Ok(Self { issuer, serial, spki, key_id })
    }
}

fn subject_key_identifier(extensions: &[u8]) -> Result<Option<&[u8]>, Error> {
    let mut extensions = Parser::only(extensions, SEQUENCE)?;
    while !extensions.is_empty() {
        let mut extension = extensions.inside(SEQUENCE)?;
        if extension.contents(OID)? == SUBJECT_KEY_IDENTIFIER {
            let (mut tag, mut value) = extension.any()?;
            if tag == 0x01 {
                (tag, value) = extension.any()?;
            }
            let mut inner = Parser::new(value)?;
            return if tag == 0x04 { inner.octets().map(Some) } else { Err(Error::Malformed) };
        }
    }
    Ok(None)
}
