//! The signed attributes: what a signature key really signs (RFC 5652 §5.3, FORMATS §4).

use std::time::Duration;

use der::Decode;
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};
use life_pki::time::Timestamp;
use life_pki::{PublicKey, SpkiHash};

use crate::asn1::{self, Algorithm, Parser, SEQUENCE, SET, context};
use crate::certificate::CertificateFields;
use crate::{Attribute, DocumentContext, Error, SignatureAlgorithm, SignatureFault, algorithm, limits, oid};

/// 2050-01-01T00:00:00Z: from here on signing times are GeneralizedTime (RFC 5652 §11.3).
const YEAR_2050: i64 = 2_524_608_000;

/// Attributes as they stand in a SignerInfo: the value of each, by type; nothing judged yet.
#[derive(Clone)]
pub(crate) struct AttributeSet {
    elements: Vec<(ObjectIdentifier, Vec<u8>)>,
    /// The DER SET OF: what was signed.
    der: Vec<u8>,
}

impl AttributeSet {
    /// Reads the contents of the SET. Every attribute appears once and has one value (RFC 5652 §5.3, §11).
    pub(crate) fn read(contents: &[u8]) -> Result<Self, Error> {
        let mut set = Parser::new(contents)?;
        let (mut elements, mut raw) = (Vec::new(), Vec::new());
        while !set.is_empty() {
            if elements.len() >= limits::MAX_ATTRIBUTES {
                return Err(Error::TooLarge);
            }
            let one = set.raw()?;
            let mut attribute = Parser::only(one, SEQUENCE)?;
            let id = attribute.oid()?;
            let mut values = attribute.inside(SET)?;
            attribute.finish()?;
            let value = values.raw()?.to_vec();
            if !values.is_empty() || elements.iter().any(|(known, _)| *known == id) {
                return Err(SignatureFault::AttributeRepeated.into());
            }
            elements.push((id, value));
            raw.push(one.to_vec());
        }
        Ok(Self { elements, der: asn1::tlv(SET, &[&asn1::sorted(&raw)]) })
    }

    /// The DER form that was signed (RFC 5652 §5.4).
    pub(crate) fn to_be_signed(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn value(&self, attribute: Attribute) -> Result<&[u8], Error> {
        let id = attribute_type(attribute);
        let found = self.elements.iter().find(|(known, _)| *known == id);
        found.map(|(_, value)| value.as_slice()).ok_or(SignatureFault::MissingAttribute(attribute).into())
    }

    pub(crate) fn content_digest(&self) -> Result<[u8; 32], Error> {
        let mut value = Parser::new(self.value(Attribute::MessageDigest)?)?;
        // A digest of another length is that of another algorithm.
        value.octets()?.try_into().map_err(|_| SignatureFault::DigestMismatch.into())
    }

    pub(crate) fn check_content_type(&self) -> Result<(), Error> {
        let id = Parser::new(self.value(Attribute::ContentType)?)?.oid()?;
        if id == oid::DATA { Ok(()) } else { Err(SignatureFault::ContentType.into()) }
    }
}

fn attribute_type(attribute: Attribute) -> ObjectIdentifier {
    match attribute {
        Attribute::ContentType => oid::CONTENT_TYPE,
        Attribute::MessageDigest => oid::MESSAGE_DIGEST,
        Attribute::SigningTime => oid::SIGNING_TIME,
        Attribute::SigningCertificate => oid::SIGNING_CERTIFICATE_V2,
        Attribute::AlgorithmProtection => oid::CMS_ALGORITHM_PROTECT,
        Attribute::DocumentContext => oid::DOCUMENT_CONTEXT,
    }
}

/// The six mandatory signed attributes, complete and well-formed.
///
/// Two phases: the broker builds it, the vault parses the DER form, judges it and signs exactly these bytes
/// ([`SignedAttributes::to_der`]), and [`crate::signature::assemble`] puts the message together.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedAttributes {
    content_digest: [u8; 32],
    signing_time: Timestamp,
    certificate_hash: [u8; 32],
    algorithm: SignatureAlgorithm,
    context: DocumentContext,
}

impl SignedAttributes {
    /// Builds the attributes for a content's SHA-256 and a signer's certificate (DER).
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Key`] for a certificate that cannot be used.
    pub fn build(
        content_digest: [u8; 32],
        signing_time: Timestamp,
        certificate: &[u8],
        context: DocumentContext,
    ) -> Result<Self, Error> {
        let key = PublicKey::from_spki(CertificateFields::read(certificate)?.spki)?;
        let algorithm = SignatureAlgorithm::of(&key);
        let certificate_hash = SpkiHash::of(certificate).0;
        Ok(Self { content_digest, signing_time, certificate_hash, algorithm, context })
    }

    /// Reads the DER form (a SET OF Attribute): all six attributes, each once, and nothing else, in the one spelling
    /// that [`SignedAttributes::to_der`] gives.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`] or [`Error::Signature`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        asn1::check_size(der, limits::MAX_SIGNATURE)?;
        let mut outer = Parser::new(der)?;
        let contents = outer.contents(SET)?;
        outer.finish()?;
        let parsed = Self::interpret(&AttributeSet::read(contents)?)?;
        if parsed.to_der() == der { Ok(parsed) } else { Err(Error::Malformed) }
    }

    /// Takes the six attributes out of a set that may hold others as well.
    pub(crate) fn interpret(set: &AttributeSet) -> Result<Self, Error> {
        set.check_content_type()?;
        let content_digest = set.content_digest()?;
        let signing_time = read_time(set.value(Attribute::SigningTime)?)?;
        let certificate_hash = read_signing_certificate(set.value(Attribute::SigningCertificate)?)?;
        let algorithm = read_protection(set.value(Attribute::AlgorithmProtection)?)?;
        let context = DocumentContext::from_der(set.value(Attribute::DocumentContext)?)?;
        Ok(Self { content_digest, signing_time, certificate_hash, algorithm, context })
    }

    /// The DER form: the message to sign.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let attribute = |kind, value: &[u8]| {
            asn1::sequence(&[&asn1::oid(&attribute_type(kind)), &asn1::tlv(SET, &[value])])
        };
        let certificate = asn1::sequence(&[&asn1::octets(&self.certificate_hash)]);
        let protection =
            asn1::sequence(&[&algorithm::sha256(), &asn1::tlv(context(1), &[&self.algorithm.contents()])]);
        let attributes = [
            attribute(Attribute::ContentType, &asn1::oid(&oid::DATA)),
            attribute(Attribute::MessageDigest, &asn1::octets(&self.content_digest)),
            attribute(Attribute::SigningTime, &write_time(self.signing_time)),
            attribute(Attribute::SigningCertificate, &asn1::sequence(&[&asn1::sequence(&[&certificate])])),
            attribute(Attribute::AlgorithmProtection, &protection),
            attribute(Attribute::DocumentContext, &self.context.to_der()),
        ];
        asn1::tlv(SET, &[&asn1::sorted(&attributes)])
    }

    /// SHA-256 of the content.
    #[must_use]
    pub fn content_digest(&self) -> &[u8; 32] {
        &self.content_digest
    }

    /// The time the signer claims.
    #[must_use]
    pub fn signing_time(&self) -> Timestamp {
        self.signing_time
    }

    /// SHA-256 of the signer's certificate (signingCertificateV2).
    #[must_use]
    pub fn certificate_hash(&self) -> &[u8; 32] {
        &self.certificate_hash
    }

    /// The algorithm the signature must have (cmsAlgorithmProtection).
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The documentContext.
    #[must_use]
    pub fn context(&self) -> &DocumentContext {
        &self.context
    }
}

fn write_time(time: Timestamp) -> Vec<u8> {
    let since_1970 = Duration::from_secs(time.unix_u64());
    let encoded = if time.unix() < YEAR_2050 {
        UtcTime::from_unix_duration(since_1970).map_err(Error::from).and_then(|it| asn1::encode(&it))
    } else {
        GeneralizedTime::from_unix_duration(since_1970).map_err(Error::from).and_then(|it| asn1::encode(&it))
    };
    // A Timestamp lies between 1970 and 9999, and every such second has its form.
    encoded.unwrap_or_default()
}

fn read_time(value: &[u8]) -> Result<Timestamp, Error> {
    const UTC_TIME: u8 = 0x17;
    let fault = Error::Signature(SignatureFault::Time);
    let since_1970 = if value.first() == Some(&UTC_TIME) {
        UtcTime::from_der(value).map_err(|_| fault)?.to_unix_duration()
    } else {
        GeneralizedTime::from_der(value).map_err(|_| fault)?.to_unix_duration()
    };
    let seconds = i64::try_from(since_1970.as_secs()).map_err(|_| fault)?;
    let time = Timestamp::from_unix(seconds).map_err(|_| fault)?;
    // RFC 5652 §11.3: UTCTime through 2049, GeneralizedTime after, so that there is one spelling.
    if write_time(time) == value { Ok(time) } else { Err(fault) }
}

/// SigningCertificateV2 (RFC 5035 §3): the first certificate is the signer's. Other hashes than SHA-256, which is the
/// default and then omitted, are outside the suite.
fn read_signing_certificate(value: &[u8]) -> Result<[u8; 32], Error> {
    let mut signing = Parser::only(value, SEQUENCE)?;
    let mut certificates = signing.inside(SEQUENCE)?;
    let mut first = certificates.inside(SEQUENCE)?;
    if first.tag() == Some(SEQUENCE) && !algorithm::is_sha256(&first.algorithm()?) {
        return Err(SignatureFault::Algorithm.into());
    }
    first.octet_array()
}

/// CMSAlgorithmProtection (RFC 6211 §2) of a signature: digest algorithm and `[1]` signature algorithm.
fn read_protection(value: &[u8]) -> Result<SignatureAlgorithm, Error> {
    let mut protection = Parser::only(value, SEQUENCE)?;
    let digest = protection.algorithm()?;
    let signature = Algorithm::read(protection.inside(context(1))?)?;
    protection.finish()?;
    if !algorithm::is_sha256(&digest) {
        return Err(SignatureFault::AlgorithmProtection.into());
    }
    SignatureAlgorithm::recognise(&signature).map_err(|_| SignatureFault::AlgorithmProtection.into())
}
