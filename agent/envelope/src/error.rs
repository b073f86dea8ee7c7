//! What can be wrong with an envelope, a signature or a stream. Safe to log: no input bytes.

use life_pki::key::KeyError;

/// Why an operation of this crate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The content did not open: a wrong key, or bytes that were changed. Never says which.
    #[error("the content could not be decrypted")]
    DecryptionFailed,
    /// A key could not be used, or AWS-LC failed.
    #[error("a key could not be used: {0}")]
    Key(#[from] KeyError),
    /// The bytes are not the structure they should be.
    #[error("the bytes are not well-formed")]
    Malformed,
    /// The key given is not among the recipients.
    #[error("not a recipient")]
    NotARecipient,
    /// Well-formed, but of a form the rules forbid.
    #[error("a refused form: {0}")]
    Refused(#[from] Refusal),
    /// The signature, or what it covers, is not as it must be.
    #[error("the signature is not valid: {0}")]
    Signature(#[from] SignatureFault),
    /// A sealed stream is not as it must be.
    #[error("the sealed stream is not valid: {0}")]
    Stream(#[from] StreamFault),
    /// Larger, deeper or more numerous than the limits allow.
    #[error("a limit was exceeded")]
    TooLarge,
}

/// A form that is well-formed CMS and yet never accepted (FORMATS §3 rule 3 and 4, §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Authenticated attributes; the content type is always id-data, which needs none (RFC 5083 §2.1).
    #[error("authenticated attributes")]
    AuthenticatedAttributes,
    /// Another content encryption than AES-256-GCM.
    #[error("the content is not encrypted with AES-256-GCM")]
    ContentAlgorithm,
    /// Another content type than id-data inside.
    #[error("the inner content type is not id-data")]
    ContentType,
    /// EnvelopedData: encrypted without authentication.
    #[error("enveloped data without authentication")]
    EnvelopedData,
    /// Another key agreement than P-256 ECDH, X9.63 KDF with SHA-256 and AES-256 key wrap.
    #[error("a key agreement outside the suite")]
    KeyAgreement,
    /// Another key transport than RSAES-OAEP with SHA-256, MGF1-SHA-256 and an empty label.
    #[error("a key transport outside the suite")]
    KeyTransport,
    /// A nonce that is not 12 bytes long.
    #[error("the nonce is not 12 bytes long")]
    NonceLength,
    /// Originator information, which the suite has no use for.
    #[error("originator information")]
    OriginatorInfo,
    /// PKCS#1 v1.5 key transport.
    #[error("a PKCS#1 v1.5 key transport")]
    Pkcs1v15,
    /// Two recipients of the same name: which of the two wrapped keys counts would be anybody's guess.
    #[error("a recipient that is named twice")]
    RecipientRepeated,
    /// A kind of recipient that is neither key transport nor key agreement.
    #[error("a recipient that is neither key transport nor key agreement")]
    RecipientKind,
    /// A tag that is not 16 bytes long, or declared to be shorter.
    #[error("the tag is not 16 bytes long")]
    TagLength,
    /// A version number the standard does not give to this structure.
    #[error("an unexpected version")]
    Version,
}

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// A digest or signature algorithm outside the suite of FORMATS §2.
    #[error("an algorithm outside the suite")]
    Algorithm,
    /// cmsAlgorithmProtection names other algorithms than those used (RFC 6211 §3).
    #[error("the protected algorithms are not those used")]
    AlgorithmProtection,
    /// An attribute that appears twice, or with several values.
    #[error("a repeated attribute")]
    AttributeRepeated,
    /// The certificate named by signingCertificateV2 is not the signer's.
    #[error("the signing certificate is another one")]
    CertificateMismatch,
    /// The signer's certificate is not enclosed.
    #[error("the signer's certificate is missing")]
    CertificateMissing,
    /// The signature is detached and no content was given.
    #[error("the content is missing")]
    ContentMissing,
    /// The signature carries its content and another one was given.
    #[error("the content is enclosed already")]
    ContentPresent,
    /// The content type signed is not the one enclosed, or not id-data.
    #[error("the content type is not id-data")]
    ContentType,
    /// The documentContext breaks a rule of its own.
    #[error("the document context is not well-formed")]
    Context,
    /// The digest signed is not that of the content.
    #[error("the content was changed")]
    DigestMismatch,
    /// What was signed is of another form than the place it stands in: a manifest for a document, or the reverse.
    #[error("signed as another form of content")]
    FormMismatch,
    /// The signature value does not verify.
    #[error("the signature value does not verify")]
    Invalid,
    /// A mandatory signed attribute is missing.
    #[error("the signed attribute {0} is missing")]
    MissingAttribute(Attribute),
    /// There are no signed attributes at all.
    #[error("there are no signed attributes")]
    MissingSignedAttributes,
    /// Signed for another purpose than the reader asked for.
    #[error("signed for another purpose")]
    PurposeMismatch,
    /// The reader's own key is not among the signed recipients.
    #[error("the reader is not among the signed recipients")]
    RecipientMismatch,
    /// The sender named is not the owner of the certificate.
    #[error("the sender is not the owner of the certificate")]
    SenderMismatch,
    /// Not exactly one signer.
    #[error("not exactly one signer")]
    SignerCount,
    /// A sharing statement for another document, version or original.
    #[error("the statement belongs to another document")]
    StatementMismatch,
    /// The time signed is missing its form: UTCTime to 2049, GeneralizedTime after (RFC 5652 §11.3).
    #[error("the signing time is not well-formed")]
    Time,
}

/// A signed attribute that every signature of ours carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// contentType, RFC 5652 §11.1.
    ContentType,
    /// messageDigest, RFC 5652 §11.2.
    MessageDigest,
    /// signingTime, RFC 5652 §11.3.
    SigningTime,
    /// signingCertificateV2, RFC 5035 §3.
    SigningCertificate,
    /// cmsAlgorithmProtection, RFC 6211 §2.
    AlgorithmProtection,
    /// documentContext, FORMATS §4.
    DocumentContext,
}

impl std::fmt::Display for Attribute {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::ContentType => "contentType",
            Self::MessageDigest => "messageDigest",
            Self::SigningTime => "signingTime",
            Self::SigningCertificate => "signingCertificateV2",
            Self::AlgorithmProtection => "cmsAlgorithmProtection",
            Self::DocumentContext => "documentContext",
        })
    }
}

/// What is wrong with a sealed stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamFault {
    /// The manifest was made with another stream key.
    #[error("the manifest belongs to another stream key")]
    CommitmentMismatch,
    /// The manifest lists other segments.
    #[error("the manifest lists other content")]
    DigestMismatch,
    /// The signature is about another document or version than the stream key.
    #[error("the signature is about another document")]
    DocumentMismatch,
    /// The manifest names another length.
    #[error("the manifest names another length")]
    LengthMismatch,
    /// Not a sealed stream at all.
    #[error("not a sealed stream")]
    Magic,
    /// The segment given has not the length it must have.
    #[error("a segment of the wrong length")]
    SegmentLength,
    /// More was asked for after the end.
    #[error("the stream has ended")]
    Ended,
    /// A signature where the stream's key announces none, or the reverse where it is sealed.
    #[error("the trailer is not what the stream's key announces")]
    TrailerMismatch,
    /// The stream ends too early.
    #[error("the stream is truncated")]
    Truncated,
    /// A version this crate does not know.
    #[error("an unknown version")]
    Version,
}
