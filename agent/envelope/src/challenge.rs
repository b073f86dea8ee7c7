//! Proof of possession for keys that never sign: opening a challenge sealed to them (FORMATS §4).

use life_pki::{KeySlot, PrivateKey, PublicKey, SpkiHash, Uid};
use life_sys::secret::Key256;
use zeroize::Zeroizing;

use crate::asn1::{self, Parser, SEQUENCE, UTF8_STRING};
use crate::context::{VERSION, read_uid, read_version};
use crate::{Envelope, Error, OwnKey, envelope, recipient};

/// Keeps a challenge from being taken for anything else, and anything else for a challenge.
const LABEL: &[u8] = b"LIFE possession challenge";

/// Seals a challenge with this nonce to the key of one slot of one user. Returns an envelope, DER.
///
/// # Errors
/// [`Error::Key`] when AWS-LC fails.
pub fn seal(nonce: &[u8; 32], uid: Uid, slot: KeySlot, key: &PublicKey) -> Result<Vec<u8>, Error> {
    let content = Zeroizing::new(write(nonce, uid, slot, &key.hash()));
    envelope::seal(&content, std::slice::from_ref(key)).map(|(envelope, _)| envelope)
}

/// Opens a challenge and gives its nonce, if it is for exactly this user, slot and key and for no other recipient.
///
/// # Errors
/// [`Error::NotARecipient`] for an envelope to another key or to several, [`Error::DecryptionFailed`], whatever the
/// cause, once the form is right.
pub fn open(envelope: &[u8], uid: Uid, slot: KeySlot, key: &PrivateKey) -> Result<Key256, Error> {
    let content = open_sole(envelope, key)?;
    read(&content, uid, slot, &key.public_key().hash()).map_err(|_| Error::DecryptionFailed)
}

/// Opens an envelope of which this key is the one and only recipient.
pub(crate) fn open_sole(envelope: &[u8], key: &PrivateKey) -> Result<Zeroizing<Vec<u8>>, Error> {
    let envelope = Envelope::parse(envelope)?;
    let own = OwnKey { hash: key.public_key().hash(), issuer_serial: None };
    match envelope.recipients() {
        [sole] if sole.is_for(&own) => {
            let key = recipient::unwrap(sole, key)?;
            envelope.open(&key).map(Zeroizing::new)
        }
        _ => Err(Error::NotARecipient),
    }
}

fn write(nonce: &[u8; 32], uid: Uid, slot: KeySlot, key: &SpkiHash) -> Vec<u8> {
    asn1::sequence(&[
        &asn1::unsigned(VERSION),
        &asn1::tlv(UTF8_STRING, &[LABEL]),
        &asn1::octets(nonce),
        &asn1::octets(uid.as_bytes()),
        &asn1::enumerated(slot.number()),
        &asn1::octets(&key.0),
    ])
}

pub(crate) fn read(content: &[u8], uid: Uid, slot: KeySlot, key: &SpkiHash) -> Result<Key256, Error> {
    let mut parser = Parser::only(content, SEQUENCE)?;
    read_version(&mut parser)?;
    let label = parser.contents(UTF8_STRING)?;
    let nonce = Key256::from_slice(parser.octets()?).ok_or(Error::Malformed)?;
    let addressed =
        read_uid(&mut parser)? == uid && parser.enumerated()? == slot.number() && parser.octets()? == key.0;
    parser.finish()?;
    if label == LABEL && addressed { Ok(nonce) } else { Err(Error::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addressed_key_slot_and_user_open_it() {
        let uid = Uid::from_random([1; 16]);
        for key in [PrivateKey::generate_rsa(2048).unwrap(), PrivateKey::generate_p256().unwrap()] {
            let sealed = seal(&[7; 32], uid, KeySlot::Root, key.public_key()).unwrap();
            assert_eq!(open(&sealed, uid, KeySlot::Root, &key).unwrap().expose(), &[7; 32]);
            let failed = open(&sealed, uid, KeySlot::Encryption, &key).err();
            assert_eq!(failed, Some(Error::DecryptionFailed));
            let failed = open(&sealed, Uid::from_random([2; 16]), KeySlot::Root, &key).err();
            assert_eq!(failed, Some(Error::DecryptionFailed));
            let other = PrivateKey::generate_p256().unwrap();
            assert_eq!(open(&sealed, uid, KeySlot::Root, &other).err(), Some(Error::NotARecipient));
            let both = [key.public_key().clone(), other.public_key().clone()];
            let content = write(&[7; 32], uid, KeySlot::Root, &key.public_key().hash());
            let (both, _) = envelope::seal(&content, &both).unwrap();
            assert_eq!(open(&both, uid, KeySlot::Root, &key).err(), Some(Error::NotARecipient));
        }
    }
}
