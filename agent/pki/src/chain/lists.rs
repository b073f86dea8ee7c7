//! Which revocation lists count, and in which order.

use der::asn1::{AnyRef, BitStringRef};
use der::{Decode, Encode, Sequence};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::{CrlNumber, KeyUsage};
use x509_cert::time::Time;

use super::ChainError;
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::profile;
use crate::time::Timestamp;

/// The most revocation lists that are looked at.
pub const MAX_CRLS: usize = 16;

/// The most bytes a revocation list may have; with 40 bytes for an entry that is 200,000 certificates.
pub const MAX_CRL_SIZE: usize = 8 << 20;

/// The lists that are current, the newest first: webpki takes the first one of the issuer.
pub(super) fn current(
    crls: &[&[u8]],
    now: Timestamp,
) -> Result<Vec<CertRevocationList<'static>>, ChainError> {
    if crls.len() > MAX_CRLS || crls.iter().any(|der| der.len() > MAX_CRL_SIZE) {
        return Err(ChainError::Malformed);
    }
    let mut lists = Vec::new();
    for der in crls {
        if let Some(age) = age_if_current(der, now)? {
            let list = OwnedCertRevocationList::from_der(der).map_err(|_| ChainError::Malformed)?;
            lists.push((age, CertRevocationList::from(list)));
        }
    }
    lists.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(lists.into_iter().map(|(_, list)| list).collect())
}

/// By which lists are sorted: the time of issue, then the number as length and bytes.
type Age = (Timestamp, usize, Vec<u8>);

/// The age of a list, unless its thisUpdate lies in the future, or its nextUpdate, which RFC 5280 §5.1.2.5 demands, is
/// missing or past.
fn age_if_current(crl: &[u8], now: Timestamp) -> Result<Option<Age>, ChainError> {
    let list = CertificateList::<Rfc5280>::from_der(crl).map_err(|_| ChainError::Malformed)?;
    let Some((age, next_update)) = age(&list)? else { return Ok(None) };
    let current = next_update > now && !age.0.is_in_the_future(now);
    Ok(current.then_some(age))
}

/// The age of a list and its nextUpdate; nothing without one.
fn age(list: &CertificateList<Rfc5280>) -> Result<Option<(Age, Timestamp)>, ChainError> {
    let list = &list.tbs_cert_list;
    let Some(next_update) = list.next_update else { return Ok(None) };
    let time =
        |time: Time| Timestamp::from_duration(time.to_unix_duration()).map_err(|_| ChainError::Malformed);
    let (this_update, next_update) = (time(list.this_update)?, time(next_update)?);
    let extensions = list.crl_extensions.as_deref().unwrap_or_default();
    let number = profile::optional::<CrlNumber>(extensions).map_err(|_| ChainError::Malformed)?;
    let number = number.map(|number| number.0.as_bytes().to_vec()).unwrap_or_default();
    Ok(Some(((this_update, number.len(), number), next_update)))
}

/// A revocation list whose signature was verified up to the root: what may be kept, and take the place of another.
#[derive(Clone, Debug)]
pub struct RevocationList {
    der: Vec<u8>,
    age: Age,
    next_update: Timestamp,
}

impl RevocationList {
    /// Reads a DER list and verifies that the root, or one of `authorities` that the root certified, signed it and may
    /// (cRLSign, RFC 5280 §4.2.1.3). A list that is past its nextUpdate verifies too; see
    /// [`RevocationList::is_current`].
    ///
    /// # Errors
    /// [`ChainError::Malformed`], [`ChainError::Untrusted`], and [`ChainError::CrlStale`] for a list from the future or
    /// without nextUpdate.
    pub fn verify<I: AsRef<[u8]>>(
        der: &[u8],
        authorities: &[I],
        root: &Certificate,
        now: Timestamp,
    ) -> Result<Self, ChainError> {
        if der.len() > MAX_CRL_SIZE {
            return Err(ChainError::Malformed);
        }
        let list = CertificateList::<Rfc5280>::from_der(der).map_err(|_| ChainError::Malformed)?;
        let (age, next_update) = age(&list)?.ok_or(ChainError::CrlStale)?;
        if age.0.is_in_the_future(now) {
            return Err(ChainError::CrlStale);
        }
        let issuer = list.tbs_cert_list.issuer.to_der().map_err(|_| ChainError::Malformed)?;
        let certified = authorities
            .iter()
            .take(super::MAX_INTERMEDIATES)
            .filter_map(|der| Certificate::from_der(der.as_ref()).ok())
            .filter(|authority| {
                authority.is_authority()
                    && authority.issuer_der() == root.subject_der()
                    && (authority.not_before()..=authority.not_after()).contains(&now)
                    && is_signed_by(authority.der(), root.public_key())
            });
        let signed = std::iter::once(root.clone()).chain(certified).any(|authority| {
            authority.subject_der() == issuer
                && may_sign_lists(&authority)
                && is_signed_by(der, authority.public_key())
        });
        if signed { Ok(Self { der: der.to_vec(), age, next_update }) } else { Err(ChainError::Untrusted) }
    }

    /// The list in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When a later list is due: from then on this one is stale.
    #[must_use]
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// Whether the list is not past its nextUpdate.
    #[must_use]
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.next_update > now
    }

    /// Whether the list was issued before the other: by thisUpdate, then by cRLNumber.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.age < other.age
    }
}

fn may_sign_lists(authority: &Certificate) -> bool {
    let extensions = authority.tbs().extensions().map_or(&[][..], Vec::as_slice);
    profile::optional::<KeyUsage>(extensions).is_ok_and(|usage| usage.is_some_and(|usage| usage.crl_sign()))
}

/// What certificates and lists have in common (RFC 5280 §4.1 and §5.1).
#[derive(Sequence)]
struct Signed<'a> {
    body: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
}

/// The algorithm follows from the key: there is one for each of the suite.
fn is_signed_by(der: &[u8], key: &PublicKey) -> bool {
    let verify = || -> Option<bool> {
        let signed = Signed::from_der(der).ok()?;
        let body = signed.body.to_der().ok()?;
        Some(key.verify(&body, signed.signature.as_bytes()?).is_ok())
    };
    verify().unwrap_or(false)
}
