//! Data objects: the card holder unique identifier, certificates, public keys (SP 800-73-4 part 1, 3 and appendix A).

use life_pki::{KeySlot, PublicKey};

use super::Piv;
use super::administration::permitted;
use crate::card::{CardError, CardId, tlv};

const GET_DATA: u8 = 0xcb;
const PUT_DATA: u8 = 0xdb;
/// Yubico's GET SERIAL, for its cards that come without a card holder unique identifier.
const GET_SERIAL: u8 = 0xf8;

/// The card holder unique identifier.
const CHUID: [u8; 3] = [0x5f, 0xc1, 0x02];

impl Piv<'_> {
    pub(super) fn read_id(&mut self) -> Result<CardId, CardError> {
        if let Some(chuid) = self.object(CHUID)?
            && let Some(name) = card_name(&chuid)
        {
            return Ok(CardId(name));
        }
        match self.send(GET_SERIAL, [0, 0], &[])?.data() {
            // EXPOSE: a number that is printed on the card.
            Ok(serial) if serial.len() == 4 => Ok(CardId(serial.expose().to_vec())),
            Ok(_) | Err(CardError::NotSupported) => Err(CardError::NotFound),
            Err(other) => Err(other),
        }
    }

    pub(super) fn read_certificate(&mut self, slot: KeySlot) -> Result<Option<Vec<u8>>, CardError> {
        match self.object(certificate_object(slot)?)? {
            Some(object) => certificate_in(&object),
            None => Ok(None),
        }
    }

    pub(super) fn write_certificate(&mut self, slot: KeySlot, certificate: &[u8]) -> Result<(), CardError> {
        // Certificate, not compressed, and an empty error detection code (part 1, table 10).
        let object =
            [tlv::object(&[0x70], certificate), tlv::object(&[0x71], &[0]), tlv::object(&[0xfe], &[])]
                .concat();
        let data = [tlv::object(&[0x5c], &certificate_object(slot)?), tlv::object(&[0x53], &object)].concat();
        let answer = self.send(PUT_DATA, [0x3f, 0xff], &data)?;
        permitted(answer).map(drop)
    }

    /// The content of an object; none where the card has none.
    fn object(&mut self, tag: [u8; 3]) -> Result<Option<Vec<u8>>, CardError> {
        match self.send(GET_DATA, [0x3f, 0xff], &tlv::object(&[0x5c], &tag))?.data() {
            // EXPOSE: everybody may read these objects.
            Ok(data) => {
                tlv::find(data.expose(), 0x53).map(|object| Some(object.to_vec())).ok_or(CardError::Senseless)
            }
            Err(CardError::NotFound) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

fn certificate_object(slot: KeySlot) -> Result<[u8; 3], CardError> {
    match slot {
        KeySlot::Authentication => Ok([0x5f, 0xc1, 0x05]),
        KeySlot::Signature => Ok([0x5f, 0xc1, 0x0a]),
        KeySlot::Encryption => Ok([0x5f, 0xc1, 0x0b]),
        KeySlot::Root => Err(CardError::NotSupported),
    }
}

/// The certificate in a certificate object; none in an empty one.
pub(crate) fn certificate_in(object: &[u8]) -> Result<Option<Vec<u8>>, CardError> {
    if object.is_empty() {
        return Ok(None);
    }
    let certificate = tlv::find(object, 0x70).ok_or(CardError::Senseless)?;
    match tlv::find(object, 0x71) {
        // Compressed ones need a decompressor for bytes from outside: not for the sake of this.
        Some([info]) if info & 1 != 0 => Err(CardError::NotSupported),
        _ if certificate.is_empty() => Ok(None),
        _ => Ok(Some(certificate.to_vec())),
    }
}

/// What names the card in a CHUID: its GUID or, on older cards where that is zeros, its FASC-N (part 1, 3.1.2 and 3.4.1).
pub(crate) fn card_name(chuid: &[u8]) -> Option<Vec<u8>> {
    let name = |tag, length| {
        tlv::find(chuid, tag).filter(|name| name.len() == length && name.iter().any(|byte| *byte != 0))
    };
    name(0x34, 16).or_else(|| name(0x30, 25)).map(<[u8]>::to_vec)
}

/// The public key in a template 7F49 (part 2, table 11).
pub(crate) fn public_key_in(answer: &[u8]) -> Option<PublicKey> {
    let template = tlv::find(answer, 0x7f49)?;
    match (tlv::find(template, 0x86), tlv::find(template, 0x81), tlv::find(template, 0x82)) {
        (Some(point), None, None) => PublicKey::from_point(point).ok(),
        (None, Some(modulus), Some(exponent)) => PublicKey::from_modulus(modulus, exponent).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_named_by_its_guid_else_by_its_number() {
        let fascn = tlv::object(&[0x30], &[0xd4; 25]);
        let guid = |byte| tlv::object(&[0x34], &[byte; 16]);
        assert_eq!(card_name(&[fascn.clone(), guid(7)].concat()), Some(vec![7; 16]));
        assert_eq!(card_name(&[fascn.clone(), guid(0)].concat()), Some(vec![0xd4; 25]));
        assert_eq!(card_name(&fascn), Some(vec![0xd4; 25]));
        for nothing in [&[][..], &guid(0), &tlv::object(&[0x34], &[7; 15]), &[0x34, 16, 7]] {
            assert_eq!(card_name(nothing), None);
        }
    }

    #[test]
    fn a_certificate_is_taken_as_it_is_or_not_at_all() {
        let certificate = tlv::object(&[0x70], &[1, 2, 3]);
        let with = |info| [certificate.clone(), tlv::object(&[0x71], &[info]), vec![0xfe, 0]].concat();
        assert_eq!(certificate_in(&with(0)), Ok(Some(vec![1, 2, 3])));
        assert_eq!(certificate_in(&certificate), Ok(Some(vec![1, 2, 3])));
        assert_eq!(certificate_in(&with(1)), Err(CardError::NotSupported));
        assert_eq!(certificate_in(&[]), Ok(None));
        assert_eq!(certificate_in(&[0x70, 0]), Ok(None));
        assert_eq!(certificate_in(&[0x70, 9, 1]), Err(CardError::Senseless));
    }
}
