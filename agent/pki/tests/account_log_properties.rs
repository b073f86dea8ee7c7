//! Random histories verify; whatever is done to one is refused, or recognised as a rollback or a fork.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::author::{Author, now};
use common::respell;
use life_pki::CredentialKind;
use life_pki::account_log::{Pin, PinError, verify};
use proptest::prelude::*;

/// One random step; the numbers choose among what is possible at that moment.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add(usize, u8),
    Revoke(usize, usize),
    Rotate(usize),
    Wait(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), 1..=5u8).prop_map(|(signer, kind)| Step::Add(signer, kind)),
        (any::<usize>(), any::<usize>()).prop_map(|(signer, target)| Step::Revoke(signer, target)),
        any::<usize>().prop_map(Step::Rotate),
        (0..1_000_000u32).prop_map(Step::Wait),
    ]
}

fn write(seed: u8, steps: &[Step]) -> Author {
    let mut author = Author::registered(seed);
    for step in steps {
        let signers = author.signers();
        let pick = |number: usize| signers[number % signers.len()];
        match *step {
            Step::Add(signer, kind) => author.add(pick(signer), CredentialKind::from_number(kind).unwrap()),
            Step::Rotate(signer) => author.rotate(pick(signer)),
            Step::Wait(seconds) => author.time = author.time.plus(seconds),
            Step::Revoke(signer, target) => {
                let target = target % author.holders.len();
                let last = signers == [target];
                if author.holders[target].live && !last {
                    author.revoke(pick(signer), target);
                }
            }
        }
    }
    author
}

/// What a hostile platform does to a log.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Drop(usize),
    Duplicate(usize),
    Flip(usize, usize, u8),
    Foreign(usize, usize),
    InsertForeign(usize, usize),
    Respell(usize, bool),
    RespellLast(bool),
    Reverse,
    Shorten(usize, usize),
    Swap(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let n = any::<usize>;
    prop_oneof![
        n().prop_map(Mutation::Drop),
        n().prop_map(Mutation::Duplicate),
        (n(), n(), 0..8u8).prop_map(|(entry, byte, bit)| Mutation::Flip(entry, byte, bit)),
        (n(), n()).prop_map(|(at, from)| Mutation::Foreign(at, from)),
        (n(), n()).prop_map(|(at, from)| Mutation::InsertForeign(at, from)),
        (n(), any::<bool>()).prop_map(|(entry, possession)| Mutation::Respell(entry, possession)),
        any::<bool>().prop_map(Mutation::RespellLast),
        Just(Mutation::Reverse),
        (n(), n()).prop_map(|(entry, to)| Mutation::Shorten(entry, to)),
        (n(), n()).prop_map(|(a, b)| Mutation::Swap(a, b)),
        n().prop_map(Mutation::Truncate),
    ]
}

fn mutate(log: &mut Vec<Vec<u8>>, foreign: &[Vec<u8>], mutation: Mutation) {
    let len = log.len();
    match mutation {
        Mutation::Drop(at) => drop(log.remove(at % len)),
        Mutation::Duplicate(at) => log.insert(at % len, log[at % len].clone()),
        Mutation::Flip(entry, byte, bit) => {
            let entry = &mut log[entry % len];
            let byte = byte % entry.len();
            entry[byte] ^= 1 << bit;
        }
        Mutation::Foreign(at, from) => log[at % len] = foreign[from % foreign.len()].clone(),
        Mutation::InsertForeign(at, from) => {
            log.insert(at % (len + 1), foreign[from % foreign.len()].clone());
        }
        Mutation::Respell(entry, possession) => {
            let entry = &mut log[entry % len];
            *entry = respell::entry(entry, possession);
        }
        Mutation::RespellLast(possession) => log[len - 1] = respell::entry(&log[len - 1], possession),
        Mutation::Reverse => log.reverse(),
        Mutation::Shorten(entry, to) => {
            let entry = &mut log[entry % len];
            entry.truncate(to % entry.len());
        }
        Mutation::Swap(a, b) => log.swap(a % len, b % len),
        Mutation::Truncate(to) => log.truncate(to % len),
    }
}

/// 64 cases in everyday tests; as many as `PROPTEST_CASES` says where that is set.
fn configuration() -> ProptestConfig {
    let everyday = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        everyday
    } else {
        ProptestConfig { cases: 64, ..everyday }
    }
}

proptest! {
    #![proptest_config(configuration())]

    #[test]
    fn random_histories_verify_and_extend(steps in prop::collection::vec(step(), 0..24)) {
        let author = write(1, &steps);
        let log = author.ders();
        let state = verify(&log, now()).unwrap();
        prop_assert_eq!(state.length() as usize, log.len());
        prop_assert_eq!(state.current_root().generation, author.generation);
        for holder in &author.holders {
            prop_assert_eq!(state.live_credential(&holder.keys.id).is_some(), holder.live);
        }
        // A pin of any earlier state is extended by the whole.
        for earlier in 2..=log.len() {
            let pin = Pin::from_state(&verify(&log[..earlier], now()).unwrap());
            let (extended, _) = pin.extend(&log, now()).unwrap();
            prop_assert_eq!(&extended, &state);
        }
    }

    #[test]
    fn every_mutation_is_noticed(
        steps in prop::collection::vec(step(), 0..12),
        mutations in prop::collection::vec(mutation(), 24),
    ) {
        let log = write(1, &steps).ders();
        let foreign = write(2, &steps).ders();
        let pin = Pin::from_state(&verify(&log, now()).unwrap());
        for mutation in mutations {
            let mut changed = log.clone();
            mutate(&mut changed, &foreign, mutation);
            if changed == log {
                continue;
            }
            let verdict = pin.extend(&changed, now());
            let noticed = matches!(verdict, Err(PinError::Invalid(_) | PinError::RolledBack | PinError::Forked));
            prop_assert!(noticed, "{:?}: {:?}", mutation, verdict);
            // Only a shorter log proves itself; everything else breaks a rule without any pin.
            let prefix = log.starts_with(&changed);
            prop_assert_eq!(verify(&changed, now()).is_ok(), prefix && changed.len() >= 2, "{:?}", mutation);
        }
    }

    #[test]
    fn two_histories_with_one_beginning_are_a_fork(
        common in prop::collection::vec(step(), 0..6),
        left in prop::collection::vec(step(), 1..6),
        right in prop::collection::vec(step(), 1..6),
    ) {
        // Both continue the same beginning: the authors differ only in what they do afterwards.
        let mut author = write(1, &common);
        let shared = author.entries.len();
        let finish = |author: &mut Author, steps: &[Step]| {
            for step in steps {
                match *step {
                    Step::Wait(seconds) => author.time = author.time.plus(seconds),
                    _ => author.rotate(author.signers()[0]),
                }
            }
            author.ders()
        };
        let generation = author.generation;
        let one = finish(&mut author, &left);
        author.entries.truncate(shared);
        author.generation = generation;
        let other = finish(&mut author, &right);
        prop_assume!(one.len() > shared && other.len() > shared);
        let pin = Pin::from_state(&verify(&one, now()).unwrap());
        prop_assert!(verify(&other, now()).is_ok());
        let verdict = pin.extend(&other, now());
        let expected = if other.len() < one.len() { PinError::RolledBack } else { PinError::Forked };
        prop_assert_eq!(verdict.unwrap_err(), expected);
    }
}
