//! What was locked since an opening was asked for: it then comes to nothing, whatever it opens.

use std::collections::HashMap;

use life_pki::Uid;

/// Users whose lockings are remembered one by one; beyond that a locking ends every opening that is under way.
const REMEMBERED: usize = 256;

/// The moment a request came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Epoch(pub(crate) u64);

/// When who was locked last, counted in lockings.
#[derive(Default)]
pub(crate) struct Lockings {
    count: u64,
    /// When everybody was.
    all: u64,
    /// When a user was, where that was after everybody was.
    single: HashMap<Uid, u64>,
}

impl Lockings {
    /// Notes a locking, of a user or of everybody; says what moment it is now.
    pub(crate) fn note(&mut self, uid: Option<Uid>) -> Epoch {
        self.count += 1;
        match uid {
            Some(uid) if self.single.len() < REMEMBERED || self.single.contains_key(&uid) => {
                self.single.insert(uid, self.count);
            }
            _ => {
                self.all = self.count;
                self.single.clear();
            }
        }
        Epoch(self.count)
    }

    /// Whether this user was locked since.
    pub(crate) fn since(&self, Epoch(moment): Epoch, uid: Uid) -> bool {
        self.all.max(self.single.get(&uid).copied().unwrap_or_default()) > moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_that_was_locked_is_forgotten() {
        let mut lockings = Lockings::default();
        let user = |n: u16| {
            let mut random = [0; 16];
            random[..2].copy_from_slice(&n.to_be_bytes());
            Uid::from_random(random)
        };
        let before = Epoch::default();
        let after = lockings.note(Some(user(1)));
        assert!(lockings.since(before, user(1)) && !lockings.since(before, user(2)));
        assert!(!lockings.since(after, user(1)));
        lockings.note(None);
        assert!(lockings.since(after, user(1)) && lockings.since(after, user(2)));

        let began = lockings.note(None);
        for n in 0..=u16::try_from(REMEMBERED).unwrap() {
            lockings.note(Some(user(n)));
        }
        assert!(lockings.single.len() <= REMEMBERED);
        assert!(lockings.since(began, user(0)));
    }
}
