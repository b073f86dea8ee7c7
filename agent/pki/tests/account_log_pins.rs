//! Pins: a log that extends one, forks, is rolled back, or is another account's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::author::{Author, now, sign};
use life_pki::account_log::{Change, EntryBody, LogError, LogFault, Pin, PinError, verify, verify_for};
use life_pki::{CredentialKind, Uid};

/// A registered account with two permanent credentials and an access token.
fn account() -> Author {
    let mut author = Author::registered(1);
    author.add(0, CredentialKind::SmartCard);
    author.add(0, CredentialKind::AccessToken);
    author
}

#[test]
fn a_log_of_another_user_is_refused() {
    let author = account();
    assert!(verify_for(author.uid, &author.ders(), now()).is_ok());
    let fault = verify_for(Uid::from_random([9; 16]), &author.ders(), now()).unwrap_err().fault;
    assert_eq!(fault, LogFault::WrongUser);
}

#[test]
fn a_pin_tells_extension_fork_rollback_and_reset_apart() {
    let mut author = account();
    let pin = Pin::from_state(&verify(&author.ders(), now()).unwrap());
    assert_eq!(Pin::from_der(&pin.to_der().unwrap()), Ok(pin.clone()));

    let (_, same) = pin.extend(&author.ders(), now()).unwrap();
    assert_eq!(same, pin);

    let mut fork = author.ders();
    let body = EntryBody::after(
        &author.entries[2],
        author.time,
        Change::RevokeCredential(author.holders[0].keys.id),
    );
    fork[3] = sign(body, &author.holders[1].key, None).to_der().to_vec();
    assert_eq!(pin.extend(&fork, now()), Err(PinError::Forked));

    assert_eq!(pin.extend(&author.ders()[..3], now()), Err(PinError::RolledBack));
    let reset = Author::registered(1);
    assert_eq!(reset.uid, author.uid);
    assert_eq!(pin.extend(&reset.ders(), now()), Err(PinError::IdentityChanged));
    let foreign = Author::registered(2);
    assert!(matches!(
        pin.extend(&foreign.ders(), now()),
        Err(PinError::Invalid(LogError { fault: LogFault::WrongUser, .. }))
    ));

    author.rotate(0);
    let (state, extended) = pin.extend(&author.ders(), now()).unwrap();
    assert_eq!(extended, Pin::from_state(&state));
    assert_eq!((extended.length(), extended.generation()), (5, 2));
    let mut broken = author.ders();
    broken[4][20] ^= 1;
    assert!(matches!(pin.extend(&broken, now()), Err(PinError::Invalid(LogError { index: 4, .. }))));
}

#[test]
fn an_implausible_pin_is_refused() {
    let author = account();
    let der = Pin::from_state(&verify(&author.ders(), now()).unwrap()).to_der().unwrap();
    let tail = der.len() - 6;
    assert_eq!(der[tail..], [2, 1, 4, 2, 1, 1], "length 4, generation 1");
    for (at, value) in [(2, 1), (2, 0), (5, 0), (5, 4), (5, 0xff)] {
        let mut bad = der.clone();
        bad[tail + at] = value;
        assert!(Pin::from_der(&bad).is_err(), "{at} {value}");
    }
}
