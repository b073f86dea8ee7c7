//! The paddings of RSA that a card leaves to the host: it only raises to a power (FORMATS §3 rule 4).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use life_sys::secret::{Key256, SecretBytes};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// The length of a SHA-256 digest, and of the salt.
const HASH: usize = 32;

/// EMSA-PSS-ENCODE with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 8017 §9.1.1), for a modulus of `length` bytes whose
/// first bit is set. None when `length` is too short, or no random numbers are to be had.
pub(crate) fn encode_pss(message: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut salt = [0; HASH];
    SystemRandom::new().fill(&mut salt).ok()?;
    encode_pss_with(message, length, &salt)
}

fn encode_pss_with(message: &[u8], length: usize, salt: &[u8; HASH]) -> Option<Vec<u8>> {
    let masked = length.checked_sub(HASH + 1)?;
    let padding = masked.checked_sub(HASH + 1)?;
    let hash = digest(&SHA256, &[&[0; 8], digest(&SHA256, message).as_ref(), salt].concat());
    let mut encoded = [&vec![0; padding][..], &[1], salt].concat();
    mask(hash.as_ref(), &mut encoded);
    // The encoded message has one bit less than the modulus.
    if let Some(first) = encoded.first_mut() {
        *first &= 0x7f;
    }
    Some([&encoded, hash.as_ref(), &[0xbc]].concat())
}

/// Takes a 256-bit key out of an encoded message of RSAES-OAEP with SHA-256, MGF1-SHA-256 and an empty label (RFC 8017 §7.1.2,
/// step 3); the given random key comes out of what is not well-formed. What is done does not depend on the bytes.
///
/// None when the length, which is public, cannot hold a key.
pub(crate) fn take_oaep_key(encoded: &SecretBytes, random: &Key256) -> Option<Key256> {
    // EXPOSE: unmasked here, into copies that are wiped.
    let (first, rest) = encoded.expose().split_first()?;
    let (masked_seed, masked_block) = rest.split_at_checked(HASH)?;
    // An empty label's hash, zeros, a one, the key.
    let one = masked_block.len().checked_sub(HASH + 1)?;
    let zeros = one.checked_sub(HASH)?;
    let seed = SecretBytes::init_with(HASH, |seed| {
        seed.copy_from_slice(masked_seed);
        mask(masked_block, seed);
        Ok::<_, ()>(())
    })
    .ok()?;
    let block = SecretBytes::init_with(masked_block.len(), |block| {
        block.copy_from_slice(masked_block);
        // EXPOSE: the seed unmasks the block.
        mask(seed.expose(), block);
        Ok::<_, ()>(())
    })
    .ok()?;
    // EXPOSE: compared and chosen in constant time.
    let block = block.expose();
    let good: Choice = first.ct_eq(&0)
        & block[..HASH].ct_eq(digest(&SHA256, b"").as_ref())
        & block[HASH..HASH + zeros].ct_eq(&vec![0; zeros])
        & block[one].ct_eq(&1);
    Key256::init_with(|key| {
        for (at, byte) in key.iter_mut().enumerate() {
            *byte = u8::conditional_select(&random.expose()[at], &block[one + 1 + at], good);
        }
        Ok::<_, ()>(())
    })
    .ok()
}

/// Xors MGF1-SHA-256 of `seed` over `bytes` (RFC 8017 appendix B.2.1).
fn mask(seed: &[u8], bytes: &mut [u8]) {
    for (counter, block) in (0_u32..).zip(bytes.chunks_mut(HASH)) {
        let mut input = aws_lc_rs::digest::Context::new(&SHA256);
        input.update(seed);
        input.update(&counter.to_be_bytes());
        block.iter_mut().zip(input.finish().as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RSAES-OAEP's encoding (RFC 8017 §7.1.1, step 2) of any message, for the tests below.
    fn encode_oaep(message: &[u8], length: usize) -> Vec<u8> {
        let zeros = length - 2 * HASH - 2 - message.len();
        let mut seed = [3; HASH];
        let mut block = [digest(&SHA256, b"").as_ref(), &vec![0; zeros], &[1], message].concat();
        mask(&seed, &mut block);
        mask(&block, &mut seed);
        [&[0][..], &seed, &block].concat()
    }

    #[test]
    fn a_key_comes_out_and_a_random_one_out_of_everything_else() {
        let random = Key256::take(&mut [9; 32]);
        let open = |encoded: Vec<u8>| {
            let key = take_oaep_key(&SecretBytes::new(encoded), &random)?;
            Some(*key.expose())
        };
        for length in [256, 384, 512] {
            assert_eq!(open(encode_oaep(&[7; 32], length)), Some([7; 32]));
            for at in (0..length).step_by(5) {
                let mut bent = encode_oaep(&[7; 32], length);
                bent[at] ^= 0x10;
                let got = open(bent).unwrap();
                assert!(got == [9; 32], "byte {at} of {length}");
            }
            for other in [0, 1, 31, 33, 64] {
                assert_eq!(open(encode_oaep(&vec![7; other], length)), Some([9; 32]), "{other} bytes");
            }
        }
        assert_eq!(open(vec![0; 97]), None);
        assert_eq!(open(vec![0; 98]), Some([9; 32]));
        assert_eq!(open(vec![]), None);
    }

    #[test]
    fn pss_has_the_standards_form() {
        let encoded = encode_pss_with(b"message", 256, &[5; 32]).unwrap();
        assert_eq!((encoded.len(), encoded[0] & 0x80, encoded[255]), (256, 0, 0xbc));
        let mut block = encoded[..223].to_vec();
        mask(&encoded[223..255], &mut block);
        block[0] &= 0x7f;
        assert_eq!(block, [&[0; 190][..], &[1], &[5; 32]].concat());
        assert_ne!(encode_pss(b"message", 256), encode_pss(b"message", 256), "the salt is random");
        assert_eq!(encode_pss(b"message", 65), None);
    }
}
