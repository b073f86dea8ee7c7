//! Every object identifier this crate reads or writes.

use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// id-data, RFC 5652 §4.
pub const DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.1");
/// id-signedData, RFC 5652 §5.1.
pub const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// id-envelopedData, RFC 5652 §6.1: always refused.
pub const ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.3");
/// id-ct-authEnvelopedData, RFC 5083 §2.
pub const AUTH_ENVELOPED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.23");

/// id-contentType, RFC 5652 §11.1.
pub const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// id-messageDigest, RFC 5652 §11.2.
pub const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
/// id-signingTime, RFC 5652 §11.3.
pub const SIGNING_TIME: ObjectIdentifier = oid("1.2.840.113549.1.9.5");
/// id-aa-signingCertificateV2, RFC 5035 §3.
pub const SIGNING_CERTIFICATE_V2: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
/// id-aa-cmsAlgorithmProtect, RFC 6211 §2.
pub const CMS_ALGORITHM_PROTECT: ObjectIdentifier = oid("1.2.840.113549.1.9.52");

/// rsaEncryption, RFC 8017: as a key transport, PKCS#1 v1.5, always refused.
pub const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// id-RSAES-OAEP, RFC 8017.
pub const RSAES_OAEP: ObjectIdentifier = oid("1.2.840.113549.1.1.7");
/// id-mgf1, RFC 8017.
pub const MGF1: ObjectIdentifier = oid("1.2.840.113549.1.1.8");
/// id-pSpecified, RFC 8017.
pub const P_SPECIFIED: ObjectIdentifier = oid("1.2.840.113549.1.1.9");
/// id-RSASSA-PSS, RFC 8017.
pub const RSASSA_PSS: ObjectIdentifier = oid("1.2.840.113549.1.1.10");
/// ecdsa-with-SHA256, RFC 5758 §3.2.
pub const ECDSA_WITH_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
/// id-ecPublicKey, RFC 5480 §2.1.1.
pub const EC_PUBLIC_KEY: ObjectIdentifier = oid("1.2.840.10045.2.1");
/// secp256r1, RFC 5480 §2.1.1.1.
pub const P256: ObjectIdentifier = oid("1.2.840.10045.3.1.7");
/// dhSinglePass-stdDH-sha256kdf-scheme, RFC 5753 §7.1.4.
pub const ECDH_SHA256KDF: ObjectIdentifier = oid("1.3.132.1.11.1");
/// id-aes256-wrap, RFC 3565 §2.3.2.
pub const AES256_WRAP: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.45");
/// id-aes256-GCM, RFC 5084 §3.2.
pub const AES256_GCM: ObjectIdentifier = oid("2.16.840.1.101.3.4.1.46");
/// id-sha256, RFC 5754 §2.2.
pub const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");

/// Our arc: RFC 5612's example number until one of our own is assigned (FORMATS §4).
pub const LIFE: ObjectIdentifier = oid("1.3.6.1.4.1.32473.1");
/// documentContext, a signed attribute (FORMATS §4).
pub const DOCUMENT_CONTEXT: ObjectIdentifier = oid("1.3.6.1.4.1.32473.1.1");
/// sharingStatements, an unauthenticated attribute of AuthEnvelopedData (FORMATS §4).
pub const SHARING_STATEMENTS: ObjectIdentifier = oid("1.3.6.1.4.1.32473.1.2");
/// statementReceipts, an unauthenticated attribute of AuthEnvelopedData: the platform's receipts over the signatures of
/// sharing statements, SET OF OCTET STRING.
pub const STATEMENT_RECEIPTS: ObjectIdentifier = oid("1.3.6.1.4.1.32473.1.3");
