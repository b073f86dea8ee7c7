//! Events: numbered, told to whoever watches.

use std::sync::Mutex;
use std::time::SystemTime;

use life_proto::v1::watch_events_response::Event;
use life_proto::v1::{
    CardReaderChanged, CredentialKind, Locked, PlatformChanged, Unlocked, VaultRestarted,
    WatchEventsResponse, WatchStarted, locked,
};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

use crate::names;

/// How many events a slow watcher may lag behind before it loses the oldest.
const CAPACITY: usize = 256;

/// The source of events.
pub struct Events {
    // The number and the sending go together, or events could overtake each other.
    sequence: Mutex<u64>,
    sender: broadcast::Sender<WatchEventsResponse>,
    changes: watch::Sender<u64>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            sequence: Mutex::new(0),
            sender: broadcast::Sender::new(CAPACITY),
            changes: watch::Sender::default(),
        }
    }
}

impl Events {
    fn tell(&self, event: Event) {
        let mut sequence = self.sequence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *sequence += 1;
        let event = WatchEventsResponse {
            sequence: *sequence,
            time: Some(SystemTime::now().into()),
            missed: 0,
            event: Some(event),
        };
        // Nobody may be watching.
        let _ = self.sender.send(event);
        self.changes.send_replace(*sequence);
    }

    /// Tells that a user was unlocked.
    pub fn unlocked(&self, uid: life_pki::Uid, kind: CredentialKind) {
        self.tell(Event::Unlocked(Unlocked { user: names::user(&uid), credential_kind: kind.into() }));
    }

    /// Tells that a user was locked.
    pub fn locked(&self, uid: life_pki::Uid, cause: locked::Cause) {
        self.tell(Event::Locked(Locked { user: names::user(&uid), cause: cause.into() }));
    }

    /// Tells that a fresh vault runs.
    pub fn vault_restarted(&self, pid: u32) {
        self.tell(Event::VaultRestarted(VaultRestarted { pid }));
    }

    /// Tells that the platform came or went.
    pub fn platform_changed(&self, up: bool) {
        self.tell(Event::PlatformChanged(PlatformChanged { up }));
    }

    /// Tells that something else is in a card reader, or that the reader is gone.
    pub fn card_reader_changed(&self, reader: String, card: String, gone: bool) {
        self.tell(Event::CardReaderChanged(CardReaderChanged { reader, card, gone }));
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Tells that something happened, to who only looks at how things are then; counts as no watcher.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Starts watching: everything from now on arrives.
    pub fn watch(&self) -> Watch {
        let sequence = self.sequence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Watch { receiver: self.sender.subscribe(), first: Some(*sequence), missed: 0 }
    }
}

/// One watcher.
pub struct Watch {
    receiver: broadcast::Receiver<WatchEventsResponse>,
    /// The number of the last event before the watch began, until that is told.
    first: Option<u64>,
    missed: u64,
}

impl Watch {
    /// The next event; nothing once the agent stops.
    pub async fn next(&mut self) -> Option<WatchEventsResponse> {
        if let Some(sequence) = self.first.take() {
            return Some(WatchEventsResponse {
                sequence,
                time: Some(SystemTime::now().into()),
                missed: 0,
                event: Some(Event::WatchStarted(WatchStarted {})),
            });
        }
        loop {
            match self.receiver.recv().await {
                Ok(mut event) => {
                    event.missed = std::mem::take(&mut self.missed);
                    return Some(event);
                }
                Err(RecvError::Lagged(count)) => self.missed += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_watcher_learns_how_much_it_missed() {
        let events = Events::default();
        events.platform_changed(true);
        let mut watch = events.watch();
        assert_eq!(watch.next().await.unwrap().sequence, 1);
        for _ in 0..CAPACITY + 10 {
            events.platform_changed(false);
        }
        let event = watch.next().await.unwrap();
        assert_eq!((event.missed, event.sequence), (10, 12));
        let event = watch.next().await.unwrap();
        assert_eq!((event.missed, event.sequence), (0, 13));
    }
}
