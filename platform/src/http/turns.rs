//! One at a time on the file of an upload; who comes later takes over.
//!
//! A client whose connection broke comes back before the platform notices. So the newer request does not wait for the
//! older one's body to end: it asks it to stop, and begins once the older one has acknowledged what it got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

/// The turns of all files.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<String, Place>>>);

#[derive(Clone, Default)]
struct Place {
    turn: Arc<tokio::sync::Mutex<()>>,
    stop: CancellationToken,
}

/// The right to a file, until dropped.
pub struct Turn {
    name: String,
    turns: Turns,
    stop: CancellationToken,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Asks whoever has the file to stop, and waits for it.
    pub async fn take(&self, name: &str) -> Turn {
        let stop = CancellationToken::new();
        let turn = {
            let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let place = places.entry(name.to_owned()).or_default();
            std::mem::replace(&mut place.stop, stop.clone()).cancel();
            Arc::clone(&place.turn)
        };
        // From here on, dropping clears up, also when the wait is given up.
        let mut taken = Turn { name: name.to_owned(), turns: self.clone(), stop, guard: None };
        taken.guard = Some(turn.lock_owned().await);
        taken
    }
}

impl Turn {
    /// Comes to an end when somebody else wants the file.
    pub async fn wanted(&self) {
        self.stop.cancelled().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.guard = None;
        let mut places = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own is the last one left.
        if places.get(&self.name).is_some_and(|place| Arc::strong_count(&place.turn) == 1) {
            places.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_gets_the_turn_and_nothing_is_left() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        let other = turns.take("b").await;
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("a").await }
        });
        first.wanted().await;
        assert!(!second.is_finished() && !other.stop.is_cancelled());
        drop(first);
        let second = second.await.unwrap();
        assert!(!second.stop.is_cancelled());
        let third = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take("a").await }
        });
        second.wanted().await;
        // A wait that is given up leaves nothing either.
        third.abort();
        assert!(third.await.is_err());
        drop((second, other));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
