//! Which revocation lists count, and in which order.

use der::Decode;
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::CrlNumber;
use x509_cert::time::Time;

use super::ChainError;
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
    let list = CertificateList::<Rfc5280>::from_der(crl).map_err(|_| ChainError::Malformed)?.tbs_cert_list;
    let Some(next_update) = list.next_update else { return Ok(None) };
    let time =
        |time: Time| Timestamp::from_duration(time.to_unix_duration()).map_err(|_| ChainError::Malformed);
    let (this_update, next_update) = (time(list.this_update)?, time(next_update)?);
    if next_update <= now || this_update.is_in_the_future(now) {
        return Ok(None);
    }
    let extensions = list.crl_extensions.as_deref().unwrap_or_default();
    let number = profile::optional::<CrlNumber>(extensions).map_err(|_| ChainError::Malformed)?;
    let number = number.map(|number| number.0.as_bytes().to_vec()).unwrap_or_default();
    Ok(Some((this_update, number.len(), number)))
}
