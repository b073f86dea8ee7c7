//! Certificate chains, judged by rustls-webpki and by our own rules on top.

mod lists;

use std::time::Duration;

use der::Decode;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, Error, ExpirationPolicy, ExtendedKeyUsageValidator, KeyUsage,
    RevocationCheckDepth, RevocationOptions, RevocationOptionsBuilder, VerifiedPath,
};

use crate::certificate::{Certificate, CertificateError};
use crate::kind::KeySlot;
use crate::profile::{self, ProfileError};
use crate::time::Timestamp;

pub use lists::{MAX_CRL_SIZE, MAX_CRLS, RevocationList};

/// The most certificates between a leaf and its root that are looked at.
pub const MAX_INTERMEDIATES: usize = 8;

/// The signature algorithms of the suite; no certificate or CRL signed by another one is believed.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] =
    &[webpki::aws_lc_rs::ECDSA_P256_SHA256, webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY];

/// id-kp-clientAuth, id-kp-emailProtection and id-kp-timeStamping (RFC 5280 §4.2.1.12), as webpki wants them:
/// the contents of the OBJECT IDENTIFIER.
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
const EMAIL_PROTECTION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 4];
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

/// Why a certificate is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No CRL of the issuer is there that is current: neither past its nextUpdate nor from the future.
    #[error("no current revocation list of the issuer is there")]
    CrlStale,
    /// A certificate of the chain is past its notAfter.
    #[error("the certificate has expired")]
    Expired,
    /// A certificate or CRL cannot be read, a CRL is longer than [`MAX_CRL_SIZE`], or there are more than
    /// [`MAX_CRLS`].
    #[error("a certificate or revocation list is not well-formed")]
    Malformed,
    /// A certificate of the chain is before its notBefore.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// The certificate does not follow the profile of its purpose.
    #[error("the certificate does not follow its profile: {0}")]
    Profile(#[from] ProfileError),
    /// The issuer has revoked the certificate.
    #[error("the certificate has been revoked")]
    Revoked,
    /// No chain leads to the root that obeys RFC 5280.
    #[error("the certificate does not lead to the trusted root")]
    Untrusted,
    /// The certificate is for another purpose.
    #[error("the certificate is for another purpose")]
    WrongPurpose,
}

impl From<CertificateError> for ChainError {
    fn from(_: CertificateError) -> Self {
        Self::Malformed
    }
}

/// What a certificate is to be believed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To sign receipts for the platform.
    Receipt,
    /// To be the certificate of a user's key slot.
    Slot(KeySlot),
}

/// How revocation is judged.
#[derive(Clone, Copy, Debug)]
pub enum Revocation<'a> {
    /// By the issuer's newest CRL among these in DER: an older one, though still current, hides no revocation. The
    /// list must be current at `now`; one whose thisUpdate lies in the future counts as if it were not there. A
    /// certificate that was revoked after the time of validation was still good then.
    ///
    /// Newer is the later thisUpdate and, within one second, the higher cRLNumber (RFC 5280 §5.2.3).
    Crls {
        /// The lists, of any issuers.
        crls: &'a [&'a [u8]],
        /// The time at which a list must be current.
        now: Timestamp,
    },
    /// Not at all: the caller has no list and knows what that means, or the issuer has none (the server root).
    Unchecked,
}

/// Decides whether to believe a certificate for a purpose at a time, and returns it read.
///
/// The chain must lead to `root` through `intermediates` as RFC 5280 §6 demands; every authority must assert
/// keyCertSign; the leaf must follow the profile of its purpose to the letter. Revocation is judged for the leaf.
///
/// A believed certificate still proves little about a user: its key must be live in the account log (FORMATS §7).
///
/// # Errors
/// [`ChainError`].
pub fn verify<I: AsRef<[u8]>>(
    leaf: &[u8],
    intermediates: &[I],
    root: &Certificate,
    revocation: Revocation<'_>,
    at: Timestamp,
    purpose: Purpose,
) -> Result<Certificate, ChainError> {
    let certificate = Certificate::from_der(leaf)?;
    check_root(root, at)?;
    let usage = match purpose {
        Purpose::Receipt => TIME_STAMPING,
        Purpose::Slot(KeySlot::Authentication) => CLIENT_AUTH,
        Purpose::Slot(KeySlot::Signature | KeySlot::Encryption | KeySlot::Root) => EMAIL_PROTECTION,
    };
    let rules = PathRules {
        algorithms: ALGORITHMS,
        depth: RevocationCheckDepth::EndEntity,
        usage: KeyUsage::required_if_present(usage),
        key_usage: AuthorityKeyUsage::Mandatory,
    };
    verify_path(leaf, intermediates, root.der(), revocation, at, &rules)?;
    match purpose {
        Purpose::Receipt => profile::check_receipt_certificate(certificate.tbs())?,
        Purpose::Slot(slot) if certificate.identity()?.slot != slot => return Err(ChainError::WrongPurpose),
        Purpose::Slot(_) => {}
    }
    Ok(certificate)
}

/// webpki takes a trust anchor as name and key; that the certificate around them may be a root is up to us.
fn check_root(root: &Certificate, at: Timestamp) -> Result<(), ChainError> {
    if !root.is_authority() {
        return Err(ChainError::Untrusted);
    }
    if at < root.not_before() {
        return Err(ChainError::NotYetValid);
    }
    if at > root.not_after() {
        return Err(ChainError::Expired);
    }
    Ok(())
}

/// The rules of a path that our product fixes, and that PKITS needs wider.
#[derive(Clone, Copy)]
pub struct PathRules<'a, U> {
    /// Signature algorithms that are believed.
    pub algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    /// Whose revocation is judged.
    pub depth: RevocationCheckDepth,
    /// The extended key usage asked for.
    pub usage: U,
    /// What an authority's keyUsage must say.
    pub key_usage: AuthorityKeyUsage,
}

/// Whether an authority may lack the keyUsage extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityKeyUsage {
    /// It must have it, with keyCertSign (RFC 5280 §4.2.1.3).
    Mandatory,
    /// Only if it has it, it must have keyCertSign (RFC 5280 §6.1.4 n).
    IfPresent,
}

/// Validates a path without our profiles. [`verify`] is what products call; this is what PKITS tests.
///
/// # Errors
/// [`ChainError`].
pub fn verify_path<I: AsRef<[u8]>, U: ExtendedKeyUsageValidator>(
    leaf: &[u8],
    intermediates: &[I],
    root: &[u8],
    revocation: Revocation<'_>,
    at: Timestamp,
    rules: &PathRules<'_, U>,
) -> Result<(), ChainError> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(ChainError::Untrusted);
    }
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|error| judge(&error))?;
    let root = CertificateDer::from(root);
    let anchor = webpki::anchor_from_trusted_cert(&root).map_err(|error| judge(&error))?;
    let intermediates: Vec<_> = intermediates.iter().map(|der| CertificateDer::from(der.as_ref())).collect();
    let path = Path { leaf: &leaf, intermediates: &intermediates, anchors: &[anchor], at: unix(at) };
    match revocation {
        Revocation::Unchecked => path.validate(rules, None),
        Revocation::Crls { crls, now } => validate_with_crls(&path, rules, crls, now),
    }
}

/// What webpki needs to know of one path.
struct Path<'a> {
    leaf: &'a EndEntityCert<'a>,
    intermediates: &'a [CertificateDer<'a>],
    anchors: &'a [TrustAnchor<'a>],
    at: UnixTime,
}

impl Path<'_> {
    fn validate<U: ExtendedKeyUsageValidator>(
        &self,
        rules: &PathRules<'_, U>,
        revocation: Option<RevocationOptions<'_>>,
    ) -> Result<(), ChainError> {
        let key_usage = |path: &VerifiedPath<'_>| check_authorities(path, rules.key_usage);
        self.leaf
            .verify_for_usage(
                rules.algorithms,
                self.anchors,
                self.intermediates,
                self.at,
                &rules.usage,
                revocation,
                Some(&key_usage),
            )
            .map(|_| ())
            .map_err(|error| judge(&error))
    }
}

/// webpki judges lists by the time of validation; we ask for lists that are current now, and let a certificate
/// pass that was revoked only after the time of validation.
fn validate_with_crls<U: ExtendedKeyUsageValidator>(
    path: &Path<'_>,
    rules: &PathRules<'_, U>,
    crls: &[&[u8]],
    now: Timestamp,
) -> Result<(), ChainError> {
    let lists = lists::current(crls, now)?;
    let lists: Vec<&CertRevocationList<'_>> = lists.iter().collect();
    // webpki has no options without a list; then only a path that is good by itself lacks a list.
    let Ok(builder) = RevocationOptionsBuilder::new(&lists) else {
        return path.validate(rules, None).and(Err(ChainError::CrlStale));
    };
    let options = builder.with_depth(rules.depth).with_expiration_policy(ExpirationPolicy::Ignore).build();
    match path.validate(rules, Some(options)) {
        Err(ChainError::Revoked) if rules.depth == RevocationCheckDepth::EndEntity => {
            if revoked_later(path, &lists)? { path.validate(rules, None) } else { Err(ChainError::Revoked) }
        }
        judged => judged,
    }
}

/// Whether every list of the leaf's issuer that names the leaf does so from a later time on.
///
/// A list that is not the one webpki verified can only make this false.
fn revoked_later(path: &Path<'_>, lists: &[&CertRevocationList<'_>]) -> Result<bool, ChainError> {
    let mut later = true;
    for list in lists.iter().filter(|list| list.issuer() == path.leaf.issuer()) {
        let Some(entry) = list.find_serial(path.leaf.serial()).map_err(|_| ChainError::Malformed)? else {
            continue;
        };
        let since = entry.invalidity_date.unwrap_or(entry.revocation_date).min(entry.revocation_date);
        later &= since > path.at;
    }
    Ok(later)
}

/// Every authority of a path must be allowed to sign certificates.
fn check_authorities(path: &VerifiedPath<'_>, rule: AuthorityKeyUsage) -> Result<(), Error> {
    for authority in path.intermediate_certificates() {
        let der = authority.der();
        let certificate = x509_cert::Certificate::from_der(der.as_ref()).map_err(|_| Error::BadDer)?;
        let extensions = certificate.tbs_certificate().extensions().map_or(&[][..], Vec::as_slice);
        let usage = profile::optional::<x509_cert::ext::pkix::KeyUsage>(extensions)
            .map_err(|_| Error::MalformedExtensions)?;
        let may_sign = usage.map_or(rule == AuthorityKeyUsage::IfPresent, |usage| usage.key_cert_sign());
        if !may_sign {
            return Err(Error::EndEntityUsedAsCa);
        }
    }
    Ok(())
}

fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(time.unix_u64()))
}

/// Sorts webpki's verdicts into the few that a caller can act on.
fn judge(error: &Error) -> ChainError {
    match error {
        Error::CertExpired { .. } => ChainError::Expired,
        Error::CertNotValidYet { .. } => ChainError::NotYetValid,
        Error::CertRevoked => ChainError::Revoked,
        Error::CrlExpired { .. } | Error::UnknownRevocationStatus => ChainError::CrlStale,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => ChainError::WrongPurpose,
        Error::BadDer
        | Error::BadDerTime
        | Error::ExtensionValueInvalid
        | Error::InvalidSerialNumber
        | Error::MalformedExtensions
        | Error::TrailingData(_) => ChainError::Malformed,
        _ => ChainError::Untrusted,
    }
}
