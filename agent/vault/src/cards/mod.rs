//! Smart cards: what the broker asks about them, and the threads that may have to wait for one.

mod hands;
mod readers;

use std::collections::VecDeque;
use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hands::{Hands, SERVICE};
use life_credentials::card::{CardError, TransportError};
use life_vault_protocol::cards::{CardReader, CardSlot, CardTrouble, MAX_READER_NAME};
use life_vault_protocol::{Response, VaultError};

use crate::process::{Memory, ProcessError};

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

/// The questions about cards, and who finds out.
pub(crate) struct Cards {
    hands: Hands,
    queue: Mutex<Queue>,
    arrived: Condvar,
}

#[derive(Default)]
struct Queue {
    questions: VecDeque<Question>,
    closed: bool,
}

impl Cards {
    /// Starts the threads that touch cards.
    pub(crate) fn start(memory: Memory) -> Result<Self, ProcessError> {
        Ok(Self { hands: Hands::start(memory)?, queue: Mutex::default(), arrived: Condvar::new() })
    }

    /// Adds a question.
    pub(crate) fn ask(&self, question: Question) -> Result<(), VaultError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.questions.len() >= MAX_WAITING {
            return Err(VaultError::Busy);
        }
        queue.questions.push_back(question);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for a question; none when the queue was closed.
    pub(crate) fn next(&self) -> Option<Question> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = (self.arrived)
            .wait_while(queue, |queue| queue.questions.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if queue.closed { None } else { queue.questions.pop_front() }
    }

    /// Drops what waits and sends who answers home.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        queue.questions.clear();
        self.arrived.notify_all();
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
