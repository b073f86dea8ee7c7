//! How a SuperPIN is written: Crockford's base 32 in groups of three, with a check symbol at the end.
//!
//! The check is a code over GF(32), the field that the 32 symbols are the elements of: read as the coefficients of a
//! polynomial, first symbol first, a SuperPIN with its check symbol has the root α. A wrong symbol at place i adds
//! d·αⁱ, and two neighbours that changed places add (a + b)·(αⁱ + αⁱ⁺¹): neither is ever 0. So is no pair aa that became
//! bb, and no aXb that became bXa; of anything else one in 32 passes. Crockford's own check symbol, modulo 37, does the same for the
//! first two, but brings in five symbols that no other place has.

use life_sys::secret::SecretBytes;
use zeroize::Zeroizing;

use super::{SECRET_LEN, SuperPinError};

/// Crockford's base 32: digits and letters that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The symbols of the secret: 5 bits each.
const SYMBOLS: usize = SECRET_LEN * 8 / 5;
/// Those and the check symbol.
const WITH_CHECK: usize = SYMBOLS + 1;
/// Symbols that stand together, for a person to copy.
const GROUP: usize = 3;
/// Bytes and symbols that hold the same 40 bits.
const BLOCK: (usize, usize) = (5, 8);

/// Writes the secret with its check symbol: eleven groups of three symbols with hyphens between.
pub(super) fn write(secret: &SecretBytes) -> Result<SecretBytes, SuperPinError> {
    let mut symbols = Zeroizing::new([0; WITH_CHECK]);
    // EXPOSE: written out, into what is wiped or a secret again.
    for (to, from) in symbols.chunks_mut(BLOCK.1).zip(secret.expose().chunks(BLOCK.0)) {
        let bits = from.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for (to, shift) in to.iter_mut().zip((0..BLOCK.1).rev()) {
            *to = five_bits(bits >> (5 * shift));
        }
    }
    let check = times_alpha(remainder(symbols.get(..SYMBOLS).unwrap_or_default()));
    if let Some(last) = symbols.last_mut() {
        *last = check;
    }
    SecretBytes::init_with(WITH_CHECK + WITH_CHECK / GROUP - 1, |text| {
        for (place, group) in text.chunks_mut(GROUP + 1).zip(symbols.chunks(GROUP)) {
            place.fill(b'-');
            for (to, symbol) in place.iter_mut().zip(group) {
                *to = ALPHABET.get(usize::from(*symbol)).copied().ok_or(SuperPinError::Operation)?;
            }
        }
        Ok(())
    })
}

/// Reads what a person typed or a program scanned: letters of either case, O for 0, I and L for 1; blanks, line breaks,
/// hyphens and dashes wherever they stand.
pub(super) fn read(text: &SecretBytes) -> Result<SecretBytes, SuperPinError> {
    // EXPOSE: read symbol by symbol, into what is wiped.
    let text = std::str::from_utf8(text.expose()).map_err(|_| SuperPinError::ForeignSymbol)?;
    let mut symbols = Zeroizing::new([0; WITH_CHECK]);
    let mut count = 0;
    for character in text.chars().filter(|character| !is_between(*character)) {
        let symbol = value(character).ok_or(SuperPinError::ForeignSymbol)?;
        *symbols.get_mut(count).ok_or(SuperPinError::WrongLength)? = symbol;
        count += 1;
    }
    if count != WITH_CHECK {
        return Err(SuperPinError::WrongLength);
    }
    if remainder(&*symbols) != 0 {
        return Err(SuperPinError::Mistyped);
    }
    SecretBytes::init_with(SECRET_LEN, |secret| {
        for (to, from) in secret.chunks_mut(BLOCK.0).zip(symbols.chunks(BLOCK.1)) {
            let bits = from.iter().fold(0u64, |bits, symbol| bits << 5 | u64::from(*symbol));
            for (to, shift) in to.iter_mut().zip((0..BLOCK.0).rev()) {
                *to = (bits >> (8 * shift)).to_le_bytes()[0];
            }
        }
        Ok(())
    })
}

fn is_between(character: char) -> bool {
    character.is_whitespace() || matches!(character, '-' | '\u{2010}'..='\u{2015}')
}

fn value(character: char) -> Option<u8> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|symbol| char::from(*symbol) == character)?;
    u8::try_from(at).ok()
}

/// The lowest five bits.
fn five_bits(bits: u64) -> u8 {
    bits.to_le_bytes()[0] & 31
}

/// The symbols as a polynomial over GF(32), at α.
fn remainder(symbols: &[u8]) -> u8 {
    symbols.iter().fold(0, |sum, symbol| times_alpha(sum) ^ symbol)
}

/// Multiplication by α, a root of the primitive polynomial x⁵ + x² + 1.
fn times_alpha(element: u8) -> u8 {
    let doubled = element << 1;
    (doubled & 31) ^ (0b00101 & 0u8.wrapping_sub(doubled >> 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(symbols: &[u8]) -> Result<SecretBytes, SuperPinError> {
        read(&SecretBytes::new(symbols.to_vec()))
    }

    /// Words whose symbols cover every value at every place, and random ones.
    fn words() -> impl Iterator<Item = Vec<u8>> {
        let even = (0..32u8).map(|symbol| [symbol; SYMBOLS]);
        let rising = (0..32u8).map(|first| std::array::from_fn(|i| (first + i as u8) & 31));
        let random = (0..16).map(|_| {
            let mut symbols = [0; SYMBOLS];
            aws_lc_rs::rand::fill(&mut symbols).unwrap();
            symbols.map(|symbol| symbol & 31)
        });
        even.chain(rising).chain(random).map(|symbols| {
            let check = times_alpha(remainder(&symbols));
            symbols.iter().chain([&check]).map(|symbol| ALPHABET[usize::from(*symbol)]).collect()
        })
    }

    #[test]
    fn alpha_has_the_whole_field_for_its_powers() {
        let mut powers: Vec<u8> =
            std::iter::successors(Some(1), |power| Some(times_alpha(*power))).take(31).collect();
        assert_eq!(times_alpha(*powers.last().unwrap()), 1);
        powers.sort_unstable();
        assert_eq!(powers, (1..32).collect::<Vec<_>>());
    }

    #[test]
    fn every_wrong_symbol_at_every_place_is_caught() {
        let mut tried = 0;
        for word in words() {
            judge(&word).unwrap();
            for place in 0..WITH_CHECK {
                for symbol in ALPHABET.iter().filter(|symbol| **symbol != word[place]) {
                    let mut wrong = word.clone();
                    wrong[place] = *symbol;
                    assert_eq!(judge(&wrong).err(), Some(SuperPinError::Mistyped));
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 80 * 33 * 31);
    }

    #[test]
    fn every_swap_of_neighbours_at_every_place_is_caught() {
        // The code is linear: what a swap adds depends on the two symbols and their place, not on the rest.
        let mut tried = 0;
        for place in 0..WITH_CHECK - 1 {
            for (a, b) in (0..32u8).flat_map(|a| (0..32).map(move |b| (a, b))).filter(|(a, b)| a != b) {
                let mut symbols = [0u8; WITH_CHECK];
                let free = if place == 0 { WITH_CHECK - 1 } else { 0 };
                (symbols[place], symbols[place + 1]) = (a, b);
                // One symbol elsewhere makes the word a good one.
                symbols[free] = (0..32)
                    .find(|fill| {
                        symbols[free] = *fill;
                        remainder(&symbols) == 0
                    })
                    .unwrap();
                let mut word = symbols.map(|symbol| ALPHABET[usize::from(symbol)]);
                judge(&word).unwrap();
                word.swap(place, place + 1);
                assert_eq!(judge(&word).err(), Some(SuperPinError::Mistyped), "{place} {a} {b}");
                tried += 1;
            }
        }
        assert_eq!(tried, 32 * 32 * 31);
    }

    #[test]
    fn twins_and_swaps_over_one_symbol_are_caught() {
        for word in words() {
            for place in 0..WITH_CHECK - 2 {
                let mut swapped = word.clone();
                swapped.swap(place, place + 2);
                assert_eq!(judge(&swapped).is_ok(), swapped == word);
                for symbol in ALPHABET.iter().filter(|_| word[place] == word[place + 1]) {
                    let mut twins = word.clone();
                    (twins[place], twins[place + 1]) = (*symbol, *symbol);
                    assert_eq!(judge(&twins).is_ok(), twins == word);
                }
            }
        }
    }
}
