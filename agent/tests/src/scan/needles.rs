//! The index of all words of all forms of all secrets.

use std::collections::HashMap;

use super::forms::{Kind, Secret};

/// The shortest secret that is looked for, and the shortest run of text that counts, in bytes: fewer letters of a
/// language stand in any program.
const SHORTEST: usize = 15;
/// Bits of a word's hash in the filter.
const FILTER_BITS: u32 = 20;
const PAGE: usize = 4096;

struct Form {
    secret: String,
    name: &'static str,
    bytes: Vec<u8>,
    /// The shortest run of it that counts.
    counts: usize,
}

/// Secrets in all their forms, ready to be looked for.
pub struct Needles {
    forms: Vec<Form>,
    /// Where each word of a form comes from: the form, and the place in it.
    words: HashMap<u64, (usize, usize)>,
    /// Which hashes there are: nearly every word of memory ends here.
    filter: Vec<bool>,
}

/// A run of bytes that is part of a form.
#[derive(Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Where it starts.
    pub start: usize,
    /// How many bytes.
    pub length: usize,
    /// The secret's name.
    pub secret: &'a str,
    /// The form's name.
    pub form: &'static str,
}

fn hash(word: u64) -> usize {
    usize::try_from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)).unwrap()
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

/// Whether a word says something: filler is everywhere.
fn is_telling(bytes: &[u8]) -> bool {
    let mut seen = bytes.to_vec();
    seen.sort_unstable();
    seen.dedup();
    seen.len() > 3
}

impl Needles {
    /// Prepares secrets. Panics for one that is too short to be told from chance.
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let mut needles =
            Self { forms: Vec::new(), words: HashMap::new(), filter: vec![false; 1 << FILTER_BITS] };
        for secret in secrets {
            assert!(secret.bytes.len() >= SHORTEST, "{} is too short to be looked for", secret.name);
            for (name, bytes) in secret.forms() {
                for (at, window) in bytes.windows(8).enumerate().filter(|(_, window)| is_telling(window)) {
                    needles.words.entry(word(window)).or_insert((needles.forms.len(), at));
                    needles.filter[hash(word(window))] = true;
                }
                let counts = if secret.kind == Kind::Text { SHORTEST } else { 8 };
                needles.forms.push(Form { secret: secret.name.clone(), name, bytes, counts });
            }
        }
        needles
    }

    /// Finds every run that has an aligned word in it; the memory's first byte is aligned to eight.
    #[must_use]
    pub fn search(&self, memory: &[u8]) -> Vec<Run<'_>> {
        let mut found: Vec<Run<'_>> = Vec::new();
        for (page, bytes) in memory.chunks(PAGE).enumerate() {
            // Most of it, and quick to tell.
            if bytes == &[0; PAGE][..bytes.len()] {
                continue;
            }
            for (index, bytes) in bytes.chunks_exact(8).enumerate() {
                let value = word(bytes);
                if !self.filter[hash(value)] {
                    continue;
                }
                let Some((form, at)) = self.words.get(&value) else { continue };
                let offset = page * PAGE + index * 8;
                if found.last().is_none_or(|run| offset >= run.start + run.length) {
                    let run = self.run(memory, offset, *form, *at);
                    if run.length >= self.forms[*form].counts {
                        found.push(run);
                    }
                }
            }
        }
        found
    }

    /// The whole run around a word.
    fn run(&self, memory: &[u8], offset: usize, form: usize, at: usize) -> Run<'_> {
        let form = &self.forms[form];
        let before = memory[..offset].iter().rev().zip(form.bytes[..at].iter().rev());
        let before = before.take_while(|(there, here)| there == here).count();
        let after = memory[offset..].iter().zip(&form.bytes[at..]);
        let after = after.take_while(|(there, here)| there == here).count();
        Run { start: offset - before, length: before + after, secret: &form.secret, form: form.name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Kind;

    const SECRET: &[u8] = b"correct-horse-battery-staple";

    fn needles() -> Needles {
        Needles::new(&[Secret::new("passphrase", Kind::Text, SECRET)])
    }

    #[test]
    fn a_run_of_fifteen_bytes_is_found_wherever_it_lies() {
        let needles = needles();
        for part in SECRET.windows(15) {
            for shift in 0..8 {
                let memory = [vec![b'.'; 5000 + shift], part.to_vec(), vec![b'.'; 100]].concat();
                let found = needles.search(&memory);
                assert_eq!(found.len(), 1, "{shift}");
                assert_eq!((found[0].start, found[0].length), (5000 + shift, 15));
                assert_eq!((found[0].secret, found[0].form), ("passphrase", "raw"));
            }
        }
    }

    #[test]
    fn every_form_is_found_and_nothing_where_nothing_is() {
        let needles = needles();
        for form in &needles.forms {
            let memory = [vec![7; 4093], form.bytes.clone(), vec![7; 11]].concat();
            let found = needles.search(&memory);
            // The two wide forms have all but one byte in common.
            assert_eq!(found.len(), 1, "{}", form.name);
            assert!(found[0].length + 1 >= form.bytes.len(), "{}", form.name);
        }
        assert!(needles.search(&[0; 3 * PAGE]).is_empty());
        assert!(needles.search(b"correct-cow-battery-powered-").is_empty());
    }

    #[test]
    fn two_copies_are_two_runs() {
        let memory = [SECRET, SECRET, &[0; 40][..]].concat();
        let needles = needles();
        let found = needles.search(&memory);
        assert_eq!(found.iter().map(|run| run.start).collect::<Vec<_>>(), [0, SECRET.len()]);
    }
}
