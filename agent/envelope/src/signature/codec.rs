//! SignedData and SignerInfo in DER (RFC 5652 §5.1, §5.3).

use std::borrow::Cow;

use super::{SignedData, Signer};
use crate::asn1::{
    self, OCTET_STRING, Parser, SEQUENCE, SET, context, context_primitive, header, header_length,
};
use crate::attributes::AttributeSet;
use crate::certificate::CertificateFields;
use crate::recipient::{issuer_serial, key_id, write_issuer_serial};
use crate::{
    Error, Refusal, SignatureAlgorithm, SignatureFault, SignedAttributes, algorithm, ber, limits, oid,
};

/// RSA-4096, or ECDSA in DER.
const MAX_SIGNATURE_VALUE: usize = 512;

/// Puts a SignedData message together: id-data, one signer, the signer's certificate first in `certificates`.
///
/// Without `content` the signature is detached. The signature value is not checked here.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Signature`] when the first certificate is not the one the attributes name.
pub fn assemble(
    content: Option<&[u8]>,
    attributes: &SignedAttributes,
    signature: &[u8],
    certificates: &[Vec<u8>],
) -> Result<Vec<u8>, Error> {
    asn1::check_size(content.unwrap_or_default(), limits::MAX_PLAINTEXT)?;
    let certificate = certificates.first().ok_or(SignatureFault::CertificateMissing)?;
    if super::content_digest(certificate) != *attributes.certificate_hash() {
        return Err(SignatureFault::CertificateMismatch.into());
    }
    if certificates.len() > limits::MAX_CERTIFICATES || signature.len() > MAX_SIGNATURE_VALUE {
        return Err(Error::TooLarge);
    }
    let fields = CertificateFields::read(certificate)?;
    let signer = asn1::sequence(&[
        &asn1::unsigned(1),
        &write_issuer_serial(fields.issuer, fields.serial),
        &algorithm::sha256(),
        &implicit_set(0, &attributes.to_der())?,
        &asn1::tlv(SEQUENCE, &[&attributes.algorithm().contents()]),
        &asn1::octets(signature),
    ]);
    let tail = [asn1::tlv(context(0), &[&asn1::sorted(certificates)]), asn1::tlv(SET, &[&signer])].concat();
    if tail.len() > limits::MAX_SIGNATURE {
        return Err(Error::TooLarge);
    }
    Ok(frame(content, &tail))
}

/// A SET under an implicit tag.
fn implicit_set(number: u8, set: &[u8]) -> Result<Vec<u8>, Error> {
    let mut outer = Parser::new(set)?;
    Ok(asn1::tlv(context(number), &[outer.contents(SET)?]))
}

/// Writes the message around its content, which is copied once.
fn frame(content: Option<&[u8]>, tail: &[u8]) -> Vec<u8> {
    let version = asn1::unsigned(1);
    let digests = asn1::tlv(SET, &[&algorithm::sha256()]);
    let data = asn1::oid(&oid::DATA);
    let wrapped = |length: usize| header_length(length) + length;
    let explicit = content.map(|content| wrapped(content.len()));
    let info = data.len() + explicit.map_or(0, wrapped);
    let body = version.len() + digests.len() + wrapped(info) + tail.len();
    let kind = asn1::oid(&oid::SIGNED_DATA);
    let total = kind.len() + wrapped(wrapped(body));

    let mut out = Vec::with_capacity(wrapped(total));
    for part in [
        &header(SEQUENCE, total),
        &kind,
        &header(context(0), wrapped(body)),
        &header(SEQUENCE, body),
        &version,
        &digests,
        &header(SEQUENCE, info),
        &data,
    ] {
        out.extend_from_slice(part);
    }
    if let (Some(content), Some(explicit)) = (content, explicit) {
        out.extend_from_slice(&header(context(0), explicit));
        out.extend_from_slice(&header(OCTET_STRING, content.len()));
        out.extend_from_slice(content);
    }
    out.extend_from_slice(tail);
    out
}

pub(super) fn parse(bytes: &[u8]) -> Result<SignedData<'_>, Error> {
    match ber::to_der(bytes, limits::MAX_CONTENT)? {
        Cow::Borrowed(der) => Outer::parse(der)?.finish(),
        Cow::Owned(der) => Outer::parse(&der)?.finish().map(into_owned),
    }
}

pub(super) fn detect(bytes: &[u8]) -> Result<Option<SignedData<'_>>, Error> {
    // The type of the message stands within its first bytes, whatever the form of the lengths before it.
    let kind = asn1::oid(&oid::SIGNED_DATA);
    let start = bytes.get(..32).unwrap_or(bytes);
    if !contains(start, &kind) {
        return Ok(None);
    }
    let Ok(der) = ber::to_der(bytes, limits::MAX_CONTENT) else { return Ok(None) };
    match der {
        Cow::Borrowed(der) => match Outer::parse(der) {
            Ok(outer) if outer.has_context() => outer.finish().map(Some),
            _ => Ok(None),
        },
        Cow::Owned(der) => match Outer::parse(&der) {
            Ok(outer) if outer.has_context() => outer.finish().map(into_owned).map(Some),
            _ => Ok(None),
        },
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn into_owned<'a>(data: SignedData<'_>) -> SignedData<'a> {
    SignedData {
        content: data.content.map(|content| Cow::Owned(content.into_owned())),
        certificates: data.certificates,
        signer: data.signer,
    }
}

/// The message without its signers, which are read last.
struct Outer<'a> {
    content: Option<&'a [u8]>,
    certificates: Vec<Vec<u8>>,
    /// The contents of the SET OF SignerInfo.
    signers: &'a [u8],
}

impl<'a> Outer<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, Error> {
        let mut content_info = Parser::only(der, SEQUENCE)?;
        if content_info.oid()? != oid::SIGNED_DATA {
            return Err(Refusal::ContentType.into());
        }
        let mut explicit = content_info.inside(context(0))?;
        content_info.finish()?;
        let mut data = explicit.inside(SEQUENCE)?;
        explicit.finish()?;
        // 1 and 3 are ours (RFC 5652 §5.1); 4 and 5 only say which other certificates and lists are enclosed.
        if !matches!(data.unsigned()?, 1 | 3 | 4 | 5) {
            return Err(Refusal::Version.into());
        }
        data.contents(SET)?;
        let mut info = data.inside(SEQUENCE)?;
        if info.oid()? != oid::DATA {
            return Err(Refusal::ContentType.into());
        }
        let content = match info.optional(context(0))? {
            Some(explicit) => {
                let mut inner = Parser::new(explicit)?;
                let content = inner.octets()?;
                inner.finish()?;
                Some(content)
            }
            None => None,
        };
        info.finish()?;
        asn1::check_size(content.unwrap_or_default(), limits::MAX_PLAINTEXT)?;
        if der.len() - content.map_or(0, <[u8]>::len) > limits::MAX_SIGNATURE {
            return Err(Error::TooLarge);
        }
        let certificates = match data.optional(context(0))? {
            Some(set) => read_certificates(Parser::new(set)?)?,
            None => Vec::new(),
        };
        // Revocation lists enclosed by the signer prove nothing to us.
        data.optional(context(1))?;
        let signers = data.contents(SET)?;
        data.finish()?;
        Ok(Self { content, certificates, signers })
    }

    /// Whether any signer has signed something that carries the type of documentContext.
    fn has_context(&self) -> bool {
        contains(self.signers, &asn1::oid(&oid::DOCUMENT_CONTEXT))
    }

    fn finish(self) -> Result<SignedData<'a>, Error> {
        let mut signers = Parser::new(self.signers)?;
        if signers.is_empty() {
            return Err(SignatureFault::SignerCount.into());
        }
        let signer = signers.inside(SEQUENCE)?;
        if !signers.is_empty() {
            return Err(SignatureFault::SignerCount.into());
        }
        let signer = read_signer(signer)?;
        Ok(SignedData { content: self.content.map(Cow::Borrowed), certificates: self.certificates, signer })
    }
}

/// CertificateSet: X.509 certificates; obsolete and attribute certificates are passed over (RFC 5652 §10.2.2).
fn read_certificates(mut set: Parser<'_>) -> Result<Vec<Vec<u8>>, Error> {
    let mut certificates = Vec::new();
    while !set.is_empty() {
        let is_certificate = set.tag() == Some(SEQUENCE);
        let certificate = set.raw()?;
        if certificates.len() >= limits::MAX_CERTIFICATES || certificate.len() > limits::MAX_CERTIFICATE {
            return Err(Error::TooLarge);
        }
        if is_certificate {
            certificates.push(certificate.to_vec());
        }
    }
    Ok(certificates)
}

fn read_signer(mut info: Parser<'_>) -> Result<Signer, Error> {
    let version = info.unsigned()?;
    let (id, expected) = if info.tag() == Some(context_primitive(0)) {
        (key_id(info.contents(context_primitive(0))?)?, 3)
    } else {
        (issuer_serial(info.inside(SEQUENCE)?)?, 1)
    };
    if version != expected {
        return Err(Refusal::Version.into());
    }
    if !algorithm::is_sha256(&info.algorithm()?) {
        return Err(SignatureFault::Algorithm.into());
    }
    let Some(attributes) = info.optional(context(0))? else {
        return Err(SignatureFault::MissingSignedAttributes.into());
    };
    let attributes = AttributeSet::read(attributes)?;
    let algorithm = SignatureAlgorithm::recognise(&info.algorithm()?)?;
    let signature = info.octets()?;
    // Unsigned attributes say nothing that counts.
    info.optional(context(1))?;
    info.finish()?;
    if signature.len() > MAX_SIGNATURE_VALUE {
        return Err(Error::TooLarge);
    }
    Ok(Signer { id, algorithm, attributes, signature: signature.to_vec() })
}
