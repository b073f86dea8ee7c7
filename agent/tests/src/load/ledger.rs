//! What callers were told: what was acknowledged must be there at the end, and nothing may be there in part.

use std::collections::BTreeMap;

use bytes::Bytes;
use life_proto::v1::TrustState;

use crate::User;

/// Envelopes kept to be opened later.
const ENVELOPES: usize = 200;

/// An envelope that somebody got.
#[derive(Clone)]
pub struct Envelope {
    /// The envelope.
    pub bytes: Bytes,
    /// Who can open it: a number of a user.
    pub reader: usize,
    /// Its content's number and length.
    pub content: (u64, usize),
}

/// A message that somebody sent, or tried to.
#[derive(Clone, Debug)]
pub struct Message {
    /// Numbers of users.
    pub from: usize,
    /// Numbers of users.
    pub to: usize,
    /// Its content's number and length.
    pub content: (u64, usize),
    /// Somebody is sending it: one at a time.
    pub in_flight: bool,
    /// The agent said that it lies in the inbox.
    pub acknowledged: bool,
    /// Somebody asked for its deletion.
    pub delete_tried: bool,
    /// The agent said that it is deleted.
    pub deleted: bool,
}

/// A document that somebody stored, or tried to.
#[derive(Clone, Debug)]
pub struct Document {
    /// Numbers of users.
    pub owner: usize,
    /// Numbers of users.
    pub reader: usize,
    /// What each version holds, were it only tried: a content's number and length.
    pub contents: BTreeMap<u64, (u64, usize)>,
    /// The latest version that the agent said is stored; 0 before the first.
    pub acknowledged: u64,
    /// Somebody is changing it: one at a time.
    pub in_flight: bool,
    /// Its owner asked for its deletion.
    pub delete_tried: bool,
    /// The agent said that it is deleted.
    pub deleted: bool,
}

/// What somebody learnt of another user.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// When the account was pinned.
    pub first_seen: i64,
    /// How well it was known.
    pub trust: TrustState,
}

/// Everything that was acknowledged.
#[derive(Default)]
pub struct Ledger {
    /// By document id.
    pub documents: BTreeMap<String, Document>,
    /// By message id.
    pub messages: BTreeMap<String, Message>,
    /// The latest.
    pub envelopes: Vec<Envelope>,
    /// By caller and peer: numbers of users.
    pub lookups: BTreeMap<(usize, usize), Lookup>,
    /// Registered under load.
    pub registered: Vec<User>,
    /// How each operation ended: `answer`, or a reason.
    pub outcomes: BTreeMap<(&'static str, String), usize>,
}

impl Ledger {
    /// Keeps an envelope, in the place of another when there are many.
    pub fn keep(&mut self, envelope: Envelope, place: usize) {
        if self.envelopes.len() < ENVELOPES {
            self.envelopes.push(envelope);
        } else {
            self.envelopes[place % ENVELOPES] = envelope;
        }
    }

    /// How often an operation ended like this.
    pub fn count(&mut self, what: &'static str, outcome: &str) {
        *self.outcomes.entry((what, outcome.to_owned())).or_default() += 1;
    }

    /// The ends of all operations, one a line.
    #[must_use]
    pub fn report(&self) -> String {
        self.outcomes
            .iter()
            .map(|((what, outcome), count)| format!("{what:>16} {outcome:<24} {count}\n"))
            .collect()
    }

    /// How many operations ended with an answer.
    #[must_use]
    pub fn answers(&self) -> usize {
        self.outcomes.iter().filter(|((_, outcome), _)| outcome == "answer").map(|(_, count)| count).sum()
    }
}
