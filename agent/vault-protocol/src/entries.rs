//! A list of byte strings in one block: an account log may have thousands of entries, and the vault's arena is small.

/// Byte strings, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Entries {
    /// An empty list with room for so many strings with so many bytes in all.
    pub(crate) fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Adds a string.
    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(entry);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}

impl<T: AsRef<[u8]>> From<Vec<T>> for Entries {
    fn from(entries: Vec<T>) -> Self {
        let bytes = entries.iter().map(|entry| entry.as_ref().len()).sum();
        let mut all = Self::with_capacity(entries.len(), bytes);
        entries.iter().for_each(|entry| all.push(entry.as_ref()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        for list in [vec![], vec!["one"], vec!["", "two", "", "three"]] {
            let entries = Entries::from(list.clone());
            assert_eq!((entries.len(), entries.is_empty()), (list.len(), list.is_empty()));
            assert!(entries.iter().eq(list.iter().map(|entry| entry.as_bytes())));
        }
    }
}
