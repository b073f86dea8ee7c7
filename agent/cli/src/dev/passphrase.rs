//! Passphrases for throwaway users.

use std::fs::File;
use std::io::{self, Read};

use life_sys::secret::SecretBytes;
use zeroize::Zeroize;

/// 32 characters that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// How many characters: 5 bits each.
const LENGTH: usize = 28;

/// Generates a passphrase of 140 random bits.
pub fn generate() -> io::Result<SecretBytes> {
    let mut random = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let characters = random.iter().map(|byte| char(*byte));
    let secret = SecretBytes::new(characters.collect());
    random.zeroize();
    Ok(secret)
}

fn char(byte: u8) -> u8 {
    ALPHABET.get(usize::from(byte & 31)).copied().unwrap_or(b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_long_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_eq!(one.len(), LENGTH);
        assert!(!one.ct_eq(other.expose()));
        assert!(one.expose().is_ascii());
    }
}
