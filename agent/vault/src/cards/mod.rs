//! Smart cards: what the broker asks about them, and the threads that may have to wait for one.

mod hands;
mod readers;
mod watch;

use std::collections::VecDeque;
use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hands::{Hands, SERVICE};
use life_credentials::card::{CardError, TransportError};
use life_vault_protocol::cards::{CardReader, CardSlot, CardTrouble, MAX_READER_NAME};
use life_vault_protocol::{Response, VaultError};

use crate::process::{Memory, ProcessError};
use crate::thread;

/// How long a card has for what is asked of it.
const LIMIT: Duration = Duration::from_secs(10);
/// The most questions that wait.
const MAX_WAITING: usize = 16;

/// Where pcscd listens, where this process may talk to it: the broker says so in the variable that libpcsclite reads.
pub(crate) fn service() -> Option<PathBuf> {
    std::env::var_os("PCSCLITE_CSOCK_NAME").map(PathBuf::from)
}

/// What is said of cards where the service does not answer, or is not to be asked.
pub(crate) fn none() -> Response {
    Response::Cards { service: false, readers: Vec::new() }
}

/// A question about cards: the number of its frame, and when it came.
pub(crate) type Question = (u64, Instant);

/// What to answer.
pub(crate) enum Turn {
    /// That something has changed: with this number.
    News(Question, u64),
    /// What cards there are.
    Survey(Question),
}

/// The questions about cards, and who finds out.
pub(crate) struct Cards {
    hands: Hands,
    desk: Arc<Desk>,
}

/// Where questions wait, and changes are noted.
#[derive(Default)]
struct Desk {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    surveys: VecDeque<Question>,
    /// Who waits for a change, and the number of the last one that is known there.
    awaiting: Option<(Question, u64)>,
    superseded: Option<Question>,
    changes: u64,
    closed: bool,
}

impl Queue {
    fn turn(&mut self) -> Option<Turn> {
        if let Some(question) = self.superseded.take() {
            return Some(Turn::News(question, self.changes));
        }
        let changes = self.changes;
        let news = self.awaiting.take_if(|(_, seen)| *seen != changes);
        (news.map(|(question, _)| Turn::News(question, changes)))
            .or_else(|| self.surveys.pop_front().map(Turn::Survey))
    }
}

impl Desk {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cards {
    /// Starts the threads that touch cards, and the one that watches them come and go.
    pub(crate) fn start(memory: Memory) -> Result<Self, ProcessError> {
        let desk = Arc::<Desk>::default();
        let changed = Arc::clone(&desk);
        thread::detached("card-watch", memory, move |_| {
            watch::watch(&|| {
                changed.queue().changes += 1;
                changed.arrived.notify_all();
            });
        })?;
        Ok(Self { hands: Hands::start(memory)?, desk })
    }

    /// Adds a question what cards there are.
    pub(crate) fn ask(&self, question: Question) -> Result<(), VaultError> {
        let mut queue = self.desk.queue();
        if queue.surveys.len() >= MAX_WAITING {
            return Err(VaultError::Busy);
        }
        queue.surveys.push_back(question);
        self.desk.arrived.notify_all();
        Ok(())
    }

    /// Adds a question that is answered when something changes. There is one at a time: another is answered for it.
    pub(crate) fn await_change(&self, question: Question, seen: u64) {
        let mut queue = self.desk.queue();
        queue.superseded = queue.awaiting.replace((question, seen)).map(|(question, _)| question);
        self.desk.arrived.notify_all();
    }

    /// Waits for something to answer; none when all was closed.
    pub(crate) fn next(&self) -> Option<Turn> {
        let mut queue = self.desk.queue();
        loop {
            if queue.closed {
                return None;
            }
            if let Some(turn) = queue.turn() {
                return Some(turn);
            }
            queue = self.desk.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops what waits and sends who answers home.
    pub(crate) fn close(&self) {
        self.desk.queue().closed = true;
        self.desk.arrived.notify_all();
    }

    /// Looks at all readers. Takes up to [`LIMIT`] for each whose card does not answer, once.
    pub(crate) fn survey(&self) -> Response {
        let Some(Ok(names)) = self.hands.run(SERVICE, LIMIT, readers::names) else {
            return none();
        };
        let readers = names.iter().filter_map(|name| self.look(name)).collect();
        Response::Cards { service: true, readers }
    }

    /// What is in a reader; none when it is gone.
    fn look(&self, name: &CStr) -> Option<CardReader> {
        let own = name.to_owned();
        let looked = self.hands.run(name, LIMIT, move || readers::look(&own));
        let slot = match looked.unwrap_or(Err(TransportError::Silent.into())) {
            Ok(None) => CardSlot::Empty,
            Ok(Some(card)) => CardSlot::Card(card),
            Err(CardError::Transport(TransportError::ReaderGone | TransportError::ServiceGone)) => {
                return None;
            }
            Err(CardError::Transport(TransportError::Busy)) => CardSlot::Unusable(CardTrouble::Busy),
            Err(CardError::Transport(TransportError::Silent)) => CardSlot::Unusable(CardTrouble::Silent),
            Err(CardError::NoApplication) => CardSlot::Unusable(CardTrouble::UnknownKind),
            Err(error) => {
                tracing::debug!(%error, "a card cannot be worked with");
                CardSlot::Unusable(CardTrouble::Failed)
            }
        };
        let mut name = name.to_string_lossy().into_owned();
        name.truncate(name.floor_char_boundary(MAX_READER_NAME));
        Some(CardReader { name, slot })
    }
}
