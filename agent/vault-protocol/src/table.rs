//! What is allowed when: one row for each state and request that go together.
//!
//! The vault looks up each request here before it does anything else; what has no row is refused with
//! [`crate::VaultError::WrongState`]. A request that names no handle belongs to the state [`State::Vault`].

use crate::request::RequestKind;

/// What a request is about, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// A pending account that has built its account log.
    Committed,
    /// A pending account with fresh keys.
    Generated,
    /// A session whose working credential is open, but not its root credential.
    Opened,
    /// A session with both.
    Unlocked,
    /// The vault as a whole.
    Vault,
}

impl State {
    /// Every state.
    pub const ALL: &'static [Self] =
        &[Self::Committed, Self::Generated, Self::Opened, Self::Unlocked, Self::Vault];
}

/// What becomes of the handle when the request succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends: its keys are wiped.
    Gone,
    /// It stays as it is.
    Same,
    /// It changes to this state; for requests to the vault, a handle in this state comes to be.
    To(State),
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The state the handle is in.
    pub state: State,
    /// The request.
    pub request: RequestKind,
    /// What follows.
    pub next: Next,
}

const fn row(state: State, request: RequestKind, next: Next) -> Row {
    Row { state, request, next }
}

/// State x request: everything that is allowed.
pub const TABLE: &[Row] = &[
    row(State::Vault, RequestKind::Status, Next::Same),
    row(State::Vault, RequestKind::GenerateAccount, Next::To(State::Generated)),
    row(State::Vault, RequestKind::OpenSoftwareCertificate, Next::To(State::Opened)),
    row(State::Vault, RequestKind::ListCards, Next::Same),
    row(State::Vault, RequestKind::AwaitCards, Next::Same),
    row(State::Vault, RequestKind::CancelSecret, Next::Same),
    row(State::Vault, RequestKind::LockAll, Next::Same),
    row(State::Vault, RequestKind::LockUser, Next::Same),
    row(State::Generated, RequestKind::AnswerChallenge, Next::Same),
    row(State::Generated, RequestKind::CommitAccount, Next::To(State::Committed)),
    row(State::Generated, RequestKind::DiscardAccount, Next::Gone),
    row(State::Committed, RequestKind::AnswerChallenge, Next::Same),
    row(State::Committed, RequestKind::CommitAccount, Next::Same),
    row(State::Committed, RequestKind::DiscardAccount, Next::Gone),
    row(State::Committed, RequestKind::ExportSoftwareCertificate, Next::Gone),
    row(State::Opened, RequestKind::SignTls, Next::Same),
    row(State::Opened, RequestKind::OpenRoot, Next::To(State::Unlocked)),
    row(State::Opened, RequestKind::Lock, Next::Gone),
    row(State::Unlocked, RequestKind::SignTls, Next::Same),
    row(State::Unlocked, RequestKind::SignAttributes, Next::Same),
    row(State::Unlocked, RequestKind::UnwrapContentKey, Next::Same),
    row(State::Unlocked, RequestKind::Mac, Next::Same),
    row(State::Unlocked, RequestKind::Lock, Next::Gone),
];

/// Whether the request is allowed in the state, and what follows.
#[must_use]
pub fn lookup(state: State, request: RequestKind) -> Option<Next> {
    TABLE.iter().find(|row| row.state == state && row.request == request).map(|row| row.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_stands_twice_and_no_request_is_unreachable() {
        for (i, row) in TABLE.iter().enumerate() {
            let same = |other: &Row| other.state == row.state && other.request == row.request;
            assert_eq!(TABLE.iter().position(same), Some(i));
        }
        for kind in RequestKind::ALL {
            assert!(State::ALL.iter().any(|state| lookup(*state, *kind).is_some()), "{kind:?}");
        }
    }

    #[test]
    fn the_root_key_works_in_one_state_only() {
        for kind in [RequestKind::UnwrapContentKey, RequestKind::SignAttributes, RequestKind::Mac] {
            let states: Vec<_> = State::ALL.iter().filter(|state| lookup(**state, kind).is_some()).collect();
            assert_eq!(states, [&State::Unlocked]);
        }
    }
}
