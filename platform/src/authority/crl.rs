//! Signs certificate revocation lists (RFC 5280 §5).

use life_pki::Timestamp;
use rcgen::{CertificateRevocationListParams, RevocationReason, RevokedCertParams, SerialNumber};

use super::mint::{Issuing, instant, key_id};
use crate::error::Error;

/// One revoked certificate.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// The certificate's serial number, big endian.
    pub serial: Vec<u8>,
    /// When it was revoked.
    pub time: Timestamp,
}

/// Signs the list of everything revoked so far.
///
/// # Errors
/// [`Error::Certificate`] when signing fails.
pub fn sign(
    issuing: &Issuing,
    number: u64,
    revoked: &[Revoked],
    this_update: Timestamp,
    next_update: Timestamp,
) -> Result<Vec<u8>, Error> {
    let revoked_certs = revoked
        .iter()
        .map(|entry| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&entry.serial),
                revocation_time: instant(entry.time)?,
                reason_code: Some(RevocationReason::CessationOfOperation),
                invalidity_date: None,
            })
        })
        .collect::<Result<_, Error>>()?;
    let params = CertificateRevocationListParams {
        this_update: instant(this_update)?,
        next_update: instant(next_update)?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: key_id(issuing.public()),
    };
    params
        .signed_by(&issuing.issuer())
        .map(|crl| crl.der().to_vec())
        .map_err(|_| Error::Certificate("signing a revocation list failed"))
}
