//! Writes an ECDSA P-256 signature in its other spelling, without the key: (r, s) as (r, n - s).

use der::asn1::{AnyRef, OctetString, UintRef};
use der::{Decode, Encode, Sequence};
use rsa::BigUint;

const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

#[derive(Sequence)]
struct SigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

#[derive(Sequence)]
struct Entry<'a> {
    body: AnyRef<'a>,
    signer: AnyRef<'a>,
    signature: OctetString,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    possession: Option<Possession>,
}

#[derive(Sequence)]
struct Possession {
    spki: OctetString,
    signature: OctetString,
}

pub fn signature(der: &[u8]) -> Vec<u8> {
    let value = SigValue::from_der(der).unwrap();
    let order = BigUint::from_bytes_be(&hex::decode(ORDER).unwrap());
    let s = (order - BigUint::from_bytes_be(value.s.as_bytes())).to_bytes_be();
    SigValue { r: value.r, s: UintRef::new(&s).unwrap() }.to_der().unwrap()
}

/// Respells the signature of an entry, or that of its proof of possession where it has one.
pub fn entry(der: &[u8], possession: bool) -> Vec<u8> {
    let mut entry = Entry::from_der(der).unwrap();
    let octets = match &mut entry.possession {
        Some(proof) if possession => &mut proof.signature,
        _ => &mut entry.signature,
    };
    *octets = OctetString::new(signature(octets.as_bytes())).unwrap();
    entry.to_der().unwrap()
}
