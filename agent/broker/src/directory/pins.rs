//! What an identity remembers of others, and of its own account; and how two memories become one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use life_pki::account_log::Pin;
use life_pki::{Timestamp, Uid};

/// What is kept of one user.
#[derive(Clone)]
pub struct Peer {
    /// How far the account log was seen.
    pub pin: Pin,
    /// The log itself.
    pub log: Vec<Vec<u8>>,
    /// The root credential's certificate, empty while none was acceptable.
    pub certificate: Vec<u8>,
    /// The certificates that issued it, the root last: the path that was verified, nothing else.
    pub issuers: Vec<Vec<u8>>,
    /// When the account was pinned.
    pub first_seen: Timestamp,
    /// Whether a person confirmed the fingerprint.
    pub confirmed: bool,
    /// When the platform last showed the account, to the hour.
    pub checked: Timestamp,
    /// Whether a caller was told that the user was met for the first time.
    pub reported: bool,
    /// How often a person accepted that the account was reset.
    pub resets: u64,
}

impl Peer {
    /// A user met just now: confirmed by nobody, without a certificate yet.
    pub fn first(pin: Pin, now: Timestamp) -> Self {
        Self {
            pin,
            log: Vec::new(),
            certificate: Vec::new(),
            issuers: Vec::new(),
            first_seen: now,
            confirmed: false,
            checked: now,
            reported: false,
            resets: 0,
        }
    }

    /// Takes over what is stored, where that is further. Of two accounts of one user the one that a person accepted
    /// later counts; what is known of the other says nothing about it.
    fn merge(&mut self, stored: Self) {
        if stored.pin.genesis() != self.pin.genesis() {
            if stored.resets > self.resets {
                *self = stored;
            }
            return;
        }
        self.confirmed |= stored.confirmed;
        self.reported |= stored.reported;
        self.resets = self.resets.max(stored.resets);
        self.first_seen = self.first_seen.min(stored.first_seen);
        self.checked = self.checked.max(stored.checked);
        if stored.pin.length() > self.pin.length() {
            self.pin = stored.pin;
            self.log = stored.log;
            self.certificate = stored.certificate;
            self.issuers = stored.issuers;
        }
    }
}

/// Everything that is kept.
#[derive(Default)]
pub struct Pins {
    /// One's own account.
    pub own: Option<Pin>,
    /// The others.
    pub peers: BTreeMap<Uid, Peer>,
}

impl Pins {
    /// Takes over what is stored and further than what is here.
    pub fn merge(&mut self, stored: Self) {
        // One's own account cannot be reset: another genesis is none of ours.
        let further = |stored: &Pin| {
            self.own
                .as_ref()
                .is_none_or(|own| stored.genesis() == own.genesis() && stored.length() > own.length())
        };
        if let Some(own) = stored.own.filter(further) {
            self.own = Some(own);
        }
        for (uid, peer) in stored.peers {
            match self.peers.entry(uid) {
                Entry::Occupied(mut here) => here.get_mut().merge(peer),
                Entry::Vacant(place) => drop(place.insert(peer)),
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use life_e2e::forge;
    use life_pki::account_log;

    use super::*;

    pub fn now() -> Timestamp {
        Timestamp::from_unix(1_760_000_000).unwrap()
    }

    pub fn peer(uid: Uid, resets: u64) -> Peer {
        let log = forge::account(uid).log;
        let pin = Pin::from_state(&account_log::verify_for(uid, &log, now()).unwrap());
        Peer { log, resets, ..Peer::first(pin, now()) }
    }

    pub fn of(peer: &Peer) -> Pins {
        Pins { own: None, peers: BTreeMap::from([(peer.pin.uid(), peer.clone())]) }
    }

    #[test]
    fn accounts_of_one_user_are_never_mixed_and_the_reset_accepted_last_wins() {
        let uid = Uid::from_random([4; 16]);
        let (old, new) = (peer(uid, 0), Peer { confirmed: true, ..peer(uid, 1) });
        for (here, stored) in [(&old, &new), (&new, &old)] {
            let mut pins = of(here);
            pins.merge(of(stored));
            let merged = &pins.peers[&uid];
            assert!(merged.pin == new.pin && merged.log == new.log && merged.confirmed);
        }
        // Nobody accepted either: what is here stays, whatever its length.
        let mut pins = of(&old);
        pins.merge(of(&Peer { resets: 0, ..new.clone() }));
        assert!(pins.peers[&uid].pin == old.pin && !pins.peers[&uid].confirmed);
        // Of one account everything known adds up.
        let mut pins = of(&new);
        pins.merge(of(&Peer { reported: true, confirmed: false, ..new.clone() }));
        assert!(pins.peers[&uid].reported && pins.peers[&uid].confirmed);
        // One's own account has one genesis.
        let mut pins = Pins { own: Some(old.pin.clone()), peers: BTreeMap::new() };
        pins.merge(Pins { own: Some(new.pin.clone()), peers: BTreeMap::new() });
        assert!(pins.own == Some(old.pin));
    }
}
