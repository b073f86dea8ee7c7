//! Receipts: the platform's signed word on when a signature existed (FORMATS §4).

use der::asn1::{GeneralizedTime, OctetString};
use der::{Encode, Sequence};

use crate::asn1::decode_canonical;
use crate::certificate::Certificate;
use crate::chain::{self, ChainError, Purpose, Revocation};
use crate::key::{KeyError, PublicKey};
use crate::time::Timestamp;

const VERSION: u8 = 1;
const SIGNING_PREFIX: &[u8] = b"LIFE receipt v1\0";

/// The most bytes a receipt may have.
pub const MAX_RECEIPT_SIZE: usize = 32 * 1024;

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not the one DER encoding of a receipt, or of an unknown version.
    #[error("the receipt is not well-formed")]
    Malformed,
    /// The certificate in it is not the platform's for receipts.
    #[error("the receipt's certificate is refused: {0}")]
    Chain(#[from] ChainError),
    /// The time lies in the future by more than clocks may differ ([`crate::time::MAX_CLOCK_SKEW`]).
    #[error("the receipt is from the future, or this machine's clock is behind")]
    FromTheFuture,
    /// The signature is not by that certificate's key.
    #[error("the receipt's signature is refused: {0}")]
    Signature(#[from] KeyError),
}

impl From<der::Error> for ReceiptError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// What a receipt says: a signature with this digest existed at this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// SHA-256 of the signature value.
    pub signature_digest: [u8; 32],
    /// When the platform saw it.
    pub time: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct WireBody {
    version: u8,
    signature_digest: OctetString,
    time: GeneralizedTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Wire {
    body: WireBody,
    certificate: OctetString,
    signature: OctetString,
}

impl Receipt {
    /// What the platform's receipt key signs.
    ///
    /// # Errors
    /// [`ReceiptError::Malformed`] when the encoder fails, which no receipt makes it do.
    pub fn signing_input(&self) -> Result<Vec<u8>, ReceiptError> {
        Ok([SIGNING_PREFIX, &self.to_wire()?.to_der()?].concat())
    }

    /// Puts the DER receipt together from a signature over [`Receipt::signing_input`] and the DER certificate.
    ///
    /// # Errors
    /// As [`Receipt::signing_input`]; the signature is not checked.
    pub fn assemble(&self, certificate: &[u8], signature: &[u8]) -> Result<Vec<u8>, ReceiptError> {
        let wire = Wire {
            body: self.to_wire()?,
            certificate: OctetString::new(certificate)?,
            signature: OctetString::new(signature)?,
        };
        Ok(wire.to_der()?)
    }

    /// Reads a DER receipt and verifies it up to the platform's server root, at the time that it states.
    ///
    /// The platform could state any time within its certificate's validity up to `now`; that it does not is what one
    /// trusts it for. That the digest is the one of the signature in question is left to the caller.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(der: &[u8], server_root: &Certificate, now: Timestamp) -> Result<Self, ReceiptError> {
        if der.len() > MAX_RECEIPT_SIZE {
            return Err(ReceiptError::Malformed);
        }
        let wire: Wire = decode_canonical(der)?;
        if wire.body.version != VERSION {
            return Err(ReceiptError::Malformed);
        }
        let signature_digest = wire.body.signature_digest.as_bytes();
        let receipt = Self {
            signature_digest: signature_digest.try_into().map_err(|_| ReceiptError::Malformed)?,
            time: wire.body.time.try_into().map_err(|_| ReceiptError::Malformed)?,
        };
        if receipt.time.is_in_the_future(now) {
            return Err(ReceiptError::FromTheFuture);
        }
        let key = receipt_key(wire.certificate.as_bytes(), server_root, receipt.time)?;
        key.verify(&receipt.signing_input()?, wire.signature.as_bytes())?;
        Ok(receipt)
    }

    fn to_wire(self) -> Result<WireBody, ReceiptError> {
        Ok(WireBody {
            version: VERSION,
            signature_digest: OctetString::new(self.signature_digest.as_slice())?,
            time: self.time.to_asn1()?,
        })
    }
}

/// The key of a receipt certificate that the server root issued directly.
fn receipt_key(certificate: &[u8], root: &Certificate, at: Timestamp) -> Result<PublicKey, ChainError> {
    let none: [&[u8]; 0] = [];
    let certificate = chain::verify(certificate, &none, root, Revocation::Unchecked, at, Purpose::Receipt)?;
    Ok(certificate.public_key().clone())
}
