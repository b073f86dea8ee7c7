//! Watches readers and cards come and go, for as long as the process lives.

use std::ffi::CString;
use std::thread::sleep;
use std::time::Duration;

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};

/// How long the service is left alone when it does not answer: at first, and at last.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Calls `tell` whenever there may be other readers or cards than before.
pub(super) fn watch(tell: &dyn Fn()) {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(context) = Context::establish(Scope::User) {
            pause = FIRST_PAUSE;
            // It came, and it went.
            tell();
            let _gone = follow(&context, tell);
            tell();
        }
        sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Follows the readers until the service goes.
fn follow(context: &Context, tell: &dyn Fn()) -> Result<(), Error> {
    let mut watched = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
    loop {
        let names = match context.list_readers_owned() {
            Err(Error::NoReadersAvailable) => Vec::new(),
            names => names?,
        };
        let mut news = keep_to(&mut watched, names);
        let before: Vec<_> = watched.iter().map(content).collect();
        context.get_status_change(None, &mut watched)?;
        watched.iter_mut().for_each(ReaderState::sync_current_state);
        news |= watched.iter().map(content).ne(before);
        if news {
            tell();
        }
    }
}

/// Watches these readers, and the coming of others; says whether any are new or gone.
fn keep_to(watched: &mut Vec<ReaderState>, names: Vec<CString>) -> bool {
    let count = watched.len();
    watched.retain(|reader| {
        reader.name() == PNP_NOTIFICATION() || names.iter().any(|name| name.as_c_str() == reader.name())
    });
    let mut changed = watched.len() != count;
    for name in names {
        if !watched.iter().any(|reader| reader.name() == name.as_c_str()) {
            watched.push(ReaderState::new(name, State::UNAWARE));
            changed = true;
        }
    }
    changed
}

/// Whether there is a card, and how often one came or went: that a program uses it, as we do ourselves, is no news.
fn content(reader: &ReaderState) -> (State, u32) {
    let what = State::EMPTY | State::PRESENT | State::UNKNOWN | State::UNAVAILABLE;
    (reader.current_state() & what, reader.event_count())
}
