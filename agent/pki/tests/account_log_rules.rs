//! Every rule of an account log, broken one at a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::author::{Author, now, sign};
use common::respell;
use life_pki::account_log::{
    Change, Entry, EntryBody, EntryError, EntryHash, LogError, LogFault, MAX_ENTRIES, MAX_ENTRY_SIZE, Pin,
    PinError, verify, verify_for,
};
use life_pki::{CredentialKind, ParticipantKind, PrivateKey, SpkiHash, Uid};

/// A registered account with two permanent credentials and an access token.
fn account() -> Author {
    let mut author = Author::registered(1);
    author.add(0, CredentialKind::SmartCard);
    author.add(0, CredentialKind::AccessToken);
    author
}

/// What the log says when `entry` comes last.
fn fault_of(author: &Author, entry: &Entry) -> LogFault {
    let mut entries = author.ders();
    entries.push(entry.to_der().to_vec());
    let error = verify(&entries, now()).unwrap_err();
    assert_eq!(error.index, entries.len() - 1);
    error.fault
}

fn next(author: &Author, change: Change) -> EntryBody {
    author.next_body(change)
}

fn new_root(author: &mut Author) -> Change {
    Change::NewRoot { generation: author.generation + 1, spki_hash: author.fresh_hash() }
}

#[test]
fn a_history_says_what_happened() {
    let mut author = account();
    author.rotate(1);
    author.revoke(1, 0);
    let state = verify(&author.ders(), now()).unwrap();
    assert_eq!(state.uid(), author.uid);
    assert_eq!(state.kind(), ParticipantKind::Patient);
    assert_eq!(state.genesis(), author.entries[0].hash());
    assert_eq!(state.head(), author.entries[5].hash());
    assert_eq!(state.length(), 6);
    assert_eq!(state.current_root().generation, 2);
    assert_eq!(state.roots().count(), 2);
    assert_eq!(state.root(1).unwrap().since.index, 1);
    let root = state.current_root();
    assert_eq!(state.owner_of_root(&root.spki_hash), Some(root));

    let [first, second, token] = [0, 1, 2].map(|index| &author.holders[index].keys);
    assert!(state.live_credential(&first.id).is_none());
    assert_eq!(state.credential(&first.id).unwrap().revoked.unwrap().index, 5);
    assert!(state.live_credential(&second.id).is_some());
    assert_eq!(state.signer(&second.signature).unwrap().keys, *second);
    assert_eq!(state.authenticator(&second.authentication).unwrap().keys, *second);
    assert!(state.signer(&token.signature).is_none(), "an access token signs nothing");
    assert!(state.signer(&second.authentication).is_none(), "only the signature key signs");
}

#[test]
fn liveness_follows_the_times_of_the_entries() {
    let mut author = account();
    let added = author.time;
    author.time = added.plus(100);
    author.revoke(1, 0);
    let state = verify(&author.ders(), now()).unwrap();
    let record = state.credential(&author.holders[0].keys.id).unwrap();
    assert!(!record.was_live_at(added.minus(1)));
    assert!(record.was_live_at(added));
    assert!(record.was_live_at(added.plus(99)));
    assert!(!record.was_live_at(added.plus(100)));
}

#[test]
fn the_genesis_has_its_own_rules() {
    let genesis = |edit: &dyn Fn(&mut EntryBody)| {
        let mut author = Author::blank(1);
        let holder = author.new_holder(CredentialKind::LifeKey);
        let mut body =
            EntryBody::genesis(author.uid, ParticipantKind::Patient, holder.keys.clone(), author.time);
        edit(&mut body);
        let entry = sign(body, &holder.key, None);
        verify(&[entry.to_der()], now()).unwrap_err().fault
    };
    assert_eq!(genesis(&|_| ()), LogFault::Incomplete, "good so far, but no root credential");
    assert_eq!(genesis(&|body| body.index = 1), LogFault::WrongIndex);
    assert_eq!(genesis(&|body| body.previous = EntryHash([1; 32])), LogFault::BrokenChain);
    assert_eq!(
        genesis(&|body| if let Change::Genesis { credential, .. } = &mut body.change {
            credential.kind = CredentialKind::AccessToken;
        }),
        LogFault::NotPermanent
    );
    assert_eq!(
        genesis(&|body| if let Change::Genesis { credential, .. } = &mut body.change {
            credential.signature = SpkiHash([9; 32]);
        }),
        LogFault::NotLive
    );
    assert_eq!(
        genesis(&|body| if let Change::Genesis { credential, .. } = &mut body.change {
            credential.encryption = credential.authentication;
        }),
        LogFault::DuplicateKey
    );
    assert_eq!(
        genesis(&|body| body.change = Change::NewRoot { generation: 1, spki_hash: SpkiHash([1; 32]) }),
        LogFault::Genesis
    );
}

#[test]
fn a_genesis_with_a_proof_of_possession_is_refused() {
    let mut author = Author::blank(1);
    let holder = author.new_holder(CredentialKind::LifeKey);
    let body = EntryBody::genesis(author.uid, ParticipantKind::Patient, holder.keys.clone(), author.time);
    let entry = sign(body, &holder.key, Some(&holder.key));
    assert_eq!(verify(&[entry.to_der()], now()).unwrap_err().fault, LogFault::Possession);
}

#[test]
fn a_genesis_signed_by_another_message_is_refused() {
    let mut author = Author::blank(1);
    let holder = author.new_holder(CredentialKind::LifeKey);
    let body = EntryBody::genesis(author.uid, ParticipantKind::Patient, holder.keys.clone(), author.time);
    let signature = holder.key.sign(&body.possession_input().unwrap()).unwrap();
    let entry = Entry::assemble(body, holder.key.public_key(), signature, None).unwrap();
    assert_eq!(verify(&[entry.to_der()], now()).unwrap_err().fault, LogFault::BadSignature);
}

#[test]
fn entry_1_is_the_first_root_credential() {
    let mut author = Author::registered(1);
    author.entries.truncate(1);
    author.add(0, CredentialKind::SmartCard);
    assert_eq!(verify(&author.ders(), now()), Err(LogError { index: 1, fault: LogFault::Incomplete }));
    author.entries.truncate(1);
    author.revoke(0, 0);
    assert_eq!(verify(&author.ders(), now()), Err(LogError { index: 1, fault: LogFault::Incomplete }));
    let none: [&[u8]; 0] = [];
    assert_eq!(verify(&none, now()), Err(LogError { index: 0, fault: LogFault::Incomplete }));
}

#[test]
fn place_chain_user_and_time_must_fit() {
    let mut author = account();
    let change = new_root(&mut author);
    let fault = |edit: &dyn Fn(&mut EntryBody)| {
        let mut body = next(&author, change.clone());
        edit(&mut body);
        fault_of(&author, &sign(body, &author.holders[0].key, None))
    };
    assert_eq!(fault(&|body| body.index += 1), LogFault::WrongIndex);
    assert_eq!(fault(&|body| body.index -= 1), LogFault::WrongIndex);
    assert_eq!(fault(&|body| body.previous = EntryHash::ZERO), LogFault::BrokenChain);
    assert_eq!(fault(&|body| body.uid = Uid::from_random([7; 16])), LogFault::WrongUser);
    assert_eq!(fault(&|body| body.time = body.time.minus(1)), LogFault::TimeRunsBackwards);
}

#[test]
fn no_entry_is_from_the_future() {
    let mut author = account();
    let pin = Pin::from_state(&verify(&author.ders(), now()).unwrap());
    let honest = author.ders();
    // As far ahead as clocks may be, and one second more.
    author.time = now().plus(300);
    author.rotate(0);
    assert!(verify(&author.ders(), now()).is_ok());
    assert!(pin.extend(&author.ders(), now()).is_ok());
    let early = now().minus(1);
    let refused = LogError { index: 4, fault: LogFault::FromTheFuture };
    assert_eq!(verify(&author.ders(), early), Err(refused));
    assert_eq!(verify_for(author.uid, &author.ders(), early), Err(refused));
    assert_eq!(pin.extend(&author.ders(), early), Err(PinError::Invalid(refused)));
    assert!(verify(&honest, early).is_ok());

    // A thief of one credential cannot shut the owner out by an entry that nothing real can follow.
    author.entries.truncate(4);
    author.generation -= 1;
    author.time = "9999-12-31T23:59:59Z".parse().unwrap();
    author.rotate(1);
    assert_eq!(verify(&author.ders(), now()), Err(refused));
    author.entries.truncate(4);
    author.time = now();
    author.revoke(0, 1);
    assert!(pin.extend(&author.ders(), now()).is_ok());

    let born_late = Author::registered(1).ders();
    let fault = LogError { index: 0, fault: LogFault::FromTheFuture };
    assert_eq!(verify(&born_late, common::authority::day(2025, 1, 1)), Err(fault));
}

#[test]
fn only_live_permanent_credentials_sign() {
    let mut author = account();
    author.add(0, CredentialKind::SuperPin);
    author.revoke(0, 3);
    let stranger = PrivateKey::generate_p256().unwrap();
    let change = new_root(&mut author);
    let by = |key: &PrivateKey| fault_of(&author, &sign(next(&author, change.clone()), key, None));
    assert_eq!(by(&stranger), LogFault::NotLive);
    assert_eq!(by(&author.holders[3].key), LogFault::NotLive, "revoked");
    assert_eq!(by(&author.holders[2].key), LogFault::NotPermanent, "an access token");

    let body = next(&author, change);
    let signature = stranger.sign(&body.signing_input().unwrap()).unwrap();
    let forged = Entry::assemble(body, author.holders[0].key.public_key(), signature, None).unwrap();
    assert_eq!(fault_of(&author, &forged), LogFault::BadSignature);
}

#[test]
fn an_added_credential_proves_possession_and_does_not_sign_itself_in() {
    let mut author = account();
    let holder = author.new_holder(CredentialKind::LifeKey);
    let (first, other) = (&author.holders[0].key, &author.holders[1].key);
    let body = next(&author, Change::AddCredential(holder.keys.clone()));
    let entry = |signer, possession| sign(body.clone(), signer, possession);
    assert_eq!(fault_of(&author, &entry(first, None)), LogFault::Possession);
    assert_eq!(fault_of(&author, &entry(first, Some(other))), LogFault::Possession);
    assert_eq!(fault_of(&author, &entry(&holder.key, Some(&holder.key))), LogFault::NotLive);

    let mut forged = sign(body.clone(), first, Some(&holder.key)).possession().unwrap().clone();
    forged.signature = holder.key.sign(&body.signing_input().unwrap()).unwrap();
    let signature = first.sign(&body.signing_input().unwrap()).unwrap();
    let forged = Entry::assemble(body, first.public_key(), signature, Some(forged)).unwrap();
    assert_eq!(fault_of(&author, &forged), LogFault::BadSignature);

    let change = new_root(&mut author);
    let proof_too_many = sign(next(&author, change), &author.holders[0].key, Some(&holder.key));
    assert_eq!(fault_of(&author, &proof_too_many), LogFault::Possession);
}

#[test]
fn ids_and_keys_never_come_twice() {
    let mut author = account();
    author.add(0, CredentialKind::SuperPin);
    author.revoke(0, 3);
    let old = author.holders[3].keys.clone();
    let root = verify(&author.ders(), now()).unwrap().current_root().spki_hash;
    let holder = author.new_holder(CredentialKind::LifeKey);
    let fault = |edit: &dyn Fn(&mut life_pki::account_log::CredentialKeys)| {
        let mut keys = holder.keys.clone();
        edit(&mut keys);
        let body = next(&author, Change::AddCredential(keys));
        fault_of(&author, &sign(body, &author.holders[0].key, Some(&holder.key)))
    };
    assert_eq!(fault(&|keys| keys.id = old.id), LogFault::DuplicateCredential);
    assert_eq!(fault(&|keys| keys.authentication = old.authentication), LogFault::DuplicateKey);
    assert_eq!(fault(&|keys| keys.encryption = old.authentication), LogFault::DuplicateKey);
    assert_eq!(fault(&|keys| keys.encryption = root), LogFault::DuplicateKey);
    assert_eq!(fault(&|keys| keys.encryption = keys.signature), LogFault::DuplicateKey);

    for spki_hash in [root, old.encryption, author.holders[0].keys.signature] {
        let change = Change::NewRoot { generation: author.generation + 1, spki_hash };
        let entry = sign(next(&author, change), &author.holders[0].key, None);
        assert_eq!(fault_of(&author, &entry), LogFault::DuplicateKey);
    }
}

#[test]
fn generations_count_by_one() {
    let mut author = account();
    for generation in [0, 1, 3, u32::MAX] {
        let change = Change::NewRoot { generation, spki_hash: author.fresh_hash() };
        let entry = sign(next(&author, change), &author.holders[0].key, None);
        assert_eq!(fault_of(&author, &entry), LogFault::WrongGeneration, "{generation}");
    }
}

#[test]
fn the_last_permanent_credential_stays() {
    let mut author = account();
    author.revoke(0, 1);
    let entry = |target: usize| {
        let change = Change::RevokeCredential(author.holders[target].keys.id);
        sign(next(&author, change), &author.holders[0].key, None)
    };
    assert_eq!(fault_of(&author, &entry(0)), LogFault::LastCredential, "only an access token would be left");
    assert_eq!(fault_of(&author, &entry(1)), LogFault::UnknownCredential, "revoked before");
    let stranger = author.new_holder(CredentialKind::LifeKey).keys.id;
    let entry = sign(next(&author, Change::RevokeCredential(stranger)), &author.holders[0].key, None);
    assert_eq!(fault_of(&author, &entry), LogFault::UnknownCredential);
}

#[test]
fn a_second_genesis_is_refused() {
    let mut author = account();
    let holder = author.new_holder(CredentialKind::LifeKey);
    let change = Change::Genesis { kind: ParticipantKind::Institution, credential: holder.keys };
    let entry = sign(next(&author, change), &author.holders[0].key, None);
    assert_eq!(fault_of(&author, &entry), LogFault::Genesis);
}

#[test]
fn sizes_are_capped() {
    let author = account();
    let mut entries = author.ders();
    entries.push(vec![0x30; MAX_ENTRY_SIZE + 1]);
    assert_eq!(verify(&entries, now()).unwrap_err().fault, LogFault::Entry(EntryError::TooLong));
    let many = vec![author.ders()[0].clone(); MAX_ENTRIES + 1];
    assert_eq!(verify(&many, now()), Err(LogError { index: MAX_ENTRIES, fault: LogFault::TooLong }));

    let body = next(&author, Change::RevokeCredential(author.holders[1].keys.id));
    let long = Entry::assemble(body, author.holders[0].key.public_key(), vec![0; MAX_ENTRY_SIZE], None);
    assert_eq!(long, Err(EntryError::TooLong));
}

#[test]
fn nobody_without_a_key_writes_an_entry_again() {
    let mut author = account();
    let last = author.ders().pop().unwrap();
    author.rotate(0);
    let log = author.ders();
    let spelling = LogFault::Entry(EntryError::SignatureSpelling);
    // Each signature alone, and the last entry's, which no hash chain protects.
    for (index, entry) in log.iter().enumerate() {
        for possession in [false, true] {
            let mut changed = log.clone();
            changed[index] = respell::entry(entry, possession);
            assert_ne!(changed[index], *entry);
            assert_eq!(verify(&changed, now()), Err(LogError { index, fault: spelling }));
        }
    }
    // Both of an entry that proves possession.
    let both = respell::entry(&respell::entry(&last, true), false);
    assert_eq!(Entry::from_der(&both), Err(EntryError::SignatureSpelling));

    // Who signs need not care: a log has the right spelling, whatever the device made.
    let body = author.next_body(Change::RevokeCredential(author.holders[1].keys.id));
    let key = &author.holders[0].key;
    let signature = key.sign(&body.signing_input().unwrap()).unwrap();
    let spellings = [respell::signature(&signature), signature];
    let entries = spellings.map(|it| Entry::assemble(body.clone(), key.public_key(), it, None).unwrap());
    assert_eq!(entries[0], entries[1]);
    author.entries.push(entries[0].clone());
    assert!(verify(&author.ders(), now()).is_ok());
}

#[test]
fn rsa_4096_entries_fit() {
    let mut author = account();
    let mut holder = author.new_holder(CredentialKind::SmartCard);
    holder.key = PrivateKey::generate_rsa(4096).unwrap();
    holder.keys.signature = holder.key.public_key().hash();
    let body = next(&author, Change::AddCredential(holder.keys.clone()));
    let entry = sign(body, &author.holders[0].key, Some(&holder.key));
    author.entries.push(entry);
    author.holders.push(holder);
    author.rotate(3);
    assert!(verify(&author.ders(), now()).is_ok());
}
