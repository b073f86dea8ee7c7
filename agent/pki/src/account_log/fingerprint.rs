//! The number that two people compare to know that they see the same account.

use aws_lc_rs::digest::{Context, SHA256};

use super::EntryHash;

const PREFIX: &[u8] = b"LIFE account fingerprint v1\0";
const GROUPS: usize = 6;

/// Makes the fingerprint of an account from the hash of its genesis: 30 decimal digits in 6 groups of 5.
///
/// Each group is 5 bytes of a SHA-256, big-endian, modulo 100,000; together they carry more than 99 bits, so that
/// nobody can grind a second account with the same digits.
#[must_use]
pub fn fingerprint(genesis: &EntryHash) -> String {
    let mut context = Context::new(&SHA256);
    context.update(PREFIX);
    context.update(&genesis.0);
    let groups: Vec<String> = (context.finish().as_ref().chunks_exact(5).take(GROUPS))
        .map(|bytes| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)))
        .map(|number| format!("{:05}", number % 100_000))
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_groups_of_five_digits() {
        let one = fingerprint(&EntryHash([1; 32]));
        assert_eq!(one.len(), 35);
        assert!(one.split(' ').all(|group| group.len() == 5 && group.bytes().all(|c| c.is_ascii_digit())));
        assert_ne!(one, fingerprint(&EntryHash([2; 32])));
    }
}
