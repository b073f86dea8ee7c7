//! New secrets: what they have to be, and those that the vault makes.

use life_sys::secret::SecretBytes;
use life_vault_protocol::VaultError;
use life_vault_protocol::request::{MAX_SECRET, MIN_NEW_SECRET};
use zeroize::Zeroizing;

/// Crockford's base 32: digits and letters that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a secret that the vault makes: 5 bits each, 140 in all.
const CHARACTERS: usize = 28;
/// Characters that stand together, for a person to copy.
const GROUP: usize = 4;

/// Refuses a new secret that is too short, too long or no text.
pub(crate) fn check(secret: &SecretBytes) -> Result<(), VaultError> {
    // EXPOSE: looked at, not kept.
    let bytes = secret.expose();
    if bytes.len() < MIN_NEW_SECRET {
        return Err(VaultError::SecretTooShort);
    }
    if bytes.len() > MAX_SECRET || std::str::from_utf8(bytes).is_err() {
        return Err(VaultError::SecretUnusable);
    }
    Ok(())
}

/// Takes a secret out of what came twice, each time with a newline behind it.
pub(crate) fn from_twice(both: &SecretBytes) -> Result<SecretBytes, VaultError> {
    // EXPOSE: cut in two and compared in constant time.
    let bytes = both.expose();
    let bytes = bytes.strip_suffix(b"\n").ok_or(VaultError::SecretUnusable)?;
    let at = bytes.iter().position(|byte| *byte == b'\n').ok_or(VaultError::SecretUnusable)?;
    let (first, second) = (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default());
    let secret = SecretBytes::new(first.to_vec());
    if secret.ct_eq(second) { Ok(secret) } else { Err(VaultError::SecretsDiffer) }
}

/// Makes a secret of 140 random bits: seven groups of four characters.
pub(crate) fn generate() -> Result<SecretBytes, VaultError> {
    let mut random = Zeroizing::new([0; CHARACTERS]);
    aws_lc_rs::rand::fill(&mut *random).map_err(|_| VaultError::Internal)?;
    SecretBytes::init_with(CHARACTERS + CHARACTERS / GROUP - 1, |text| {
        for (place, random) in text.chunks_mut(GROUP + 1).zip(random.chunks(GROUP)) {
            place.fill(b'-');
            for (to, random) in place.iter_mut().zip(random) {
                *to = ALPHABET.get(usize::from(random & 31)).copied().ok_or(VaultError::Internal)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twice(text: &[u8]) -> Result<SecretBytes, VaultError> {
        from_twice(&SecretBytes::new(text.to_vec()))
    }

    #[test]
    fn a_secret_has_its_bounds() {
        for (bytes, error) in [
            (vec![], Some(VaultError::SecretTooShort)),
            (vec![b'x'; 11], Some(VaultError::SecretTooShort)),
            (vec![b'x'; 12], None),
            (vec![b'x'; 1024], None),
            (vec![b'x'; 1025], Some(VaultError::SecretUnusable)),
            (vec![0xff; 12], Some(VaultError::SecretUnusable)),
        ] {
            assert_eq!(check(&SecretBytes::new(bytes)).err(), error);
        }
    }

    #[test]
    fn what_comes_twice_is_the_same() {
        assert!(twice(b"correct horse\ncorrect horse\n").unwrap().ct_eq(b"correct horse"));
        for different in [&b"correct horse\ncorrect house\n"[..], b"a\n\n", b"a\na\na\n", b"\na\n"] {
            assert_eq!(twice(different).err(), Some(VaultError::SecretsDiffer));
        }
        for other in [&b""[..], b"\n", b"correct horse", b"correct horse\n", b"a\na"] {
            assert_eq!(twice(other).err(), Some(VaultError::SecretUnusable));
        }
    }

    #[test]
    fn made_secrets_are_long_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert!(!one.ct_eq(other.expose()));
        for secret in [one, other] {
            check(&secret).unwrap();
            let text = std::str::from_utf8(secret.expose()).unwrap();
            let groups: Vec<_> = text.split('-').collect();
            assert_eq!(groups.len(), 7, "{}", groups.len());
            assert!(groups.iter().all(|it| it.len() == 4 && it.bytes().all(|c| ALPHABET.contains(&c))));
        }
    }
}
