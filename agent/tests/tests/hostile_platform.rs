//! A platform that lies: each lie is told by editing what the real platform stores, and must be refused with its reason.
//!
//! The lies are told to an agent that has met the victim before (`Acquainted`) or never has (`Stranger`), or to the
//! victim's own agent when it unlocks (`Own`).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, forge, users};
use life_pki::account_log::{Change, Entry, EntryBody};
use life_pki::time::Timestamp;
use life_pki::{PrivateKey, Uid};
use life_proto::v1;
use rusqlite::{Connection, params};
use v1::{ParticipantKind, TrustState};

#[derive(Clone, Copy, Debug, PartialEq)]
enum To {
    Acquainted,
    Own,
    Stranger,
}

/// Somebody to lie about, with what the forger knows of them.
struct Victim {
    user: User,
    uid: Uid,
    keys: Vec<PrivateKey>,
}

struct Lie {
    name: &'static str,
    to: To,
    tell: fn(&Connection, &Victim, &Victim),
    reasons: &'static [&'static str],
}

fn replace_log(database: &Connection, uid: Uid, log: &[Vec<u8>]) {
    database.execute("DELETE FROM log_entry WHERE uid = ?1", [uid.as_bytes()]).unwrap();
    for (position, der) in log.iter().enumerate() {
        let row = params![uid.as_bytes(), position as i64, der];
        database.execute("INSERT INTO log_entry (uid, position, der) VALUES (?1, ?2, ?3)", row).unwrap();
    }
}

fn log(database: &Connection, uid: Uid) -> Vec<Vec<u8>> {
    let mut rows = database.prepare("SELECT der FROM log_entry WHERE uid = ?1 ORDER BY position").unwrap();
    rows.query_map([uid.as_bytes()], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The log with its last entry made anew by the account's own signature key: a fork only a key's owner can make.
fn fork(database: &Connection, victim: &Victim) -> Vec<Vec<u8>> {
    let genesis = Entry::from_der(&log(database, victim.uid)[0]).unwrap();
    let key = victim.keys.iter().find(|key| key.public_key() == genesis.signer()).unwrap();
    let other = PrivateKey::generate_rsa(3072).unwrap();
    let change = Change::NewRoot { generation: 1, spki_hash: other.public_key().hash() };
    let time = Timestamp::from_unix(genesis.body().time.unix() + 1).unwrap();
    let entry = forge::sign(EntryBody::after(&genesis, time, change), key);
    vec![genesis.to_der().to_vec(), entry.to_der().to_vec()]
}

fn credential_id(database: &Connection, uid: Uid) -> [u8; 16] {
    let id: Vec<u8> = database
        .query_row("SELECT id FROM credential WHERE uid = ?1", [uid.as_bytes()], |row| row.get(0))
        .unwrap();
    id.try_into().unwrap()
}

const LIES: &[Lie] = &[
    Lie {
        name: "another user's root certificate",
        to: To::Acquainted,
        tell: |database, victim, other| {
            let der: Vec<u8> = database
                .query_row(
                    "SELECT der FROM certificate WHERE uid = ?1 AND slot = 4",
                    [other.uid.as_bytes()],
                    |row| row.get(0),
                )
                .unwrap();
            let edit = "UPDATE certificate SET der = ?1 WHERE uid = ?2 AND slot = 4";
            assert_eq!(database.execute(edit, params![der, victim.uid.as_bytes()]).unwrap(), 1);
        },
        reasons: &["RECIPIENT_UNTRUSTED"],
    },
    Lie {
        name: "a working credential's certificate in the root's place",
        to: To::Stranger,
        tell: |database, victim, _| {
            let edit = "UPDATE certificate SET der = (SELECT der FROM certificate WHERE uid = ?1 AND slot = 3) \
                        WHERE uid = ?1 AND slot = 4";
            assert_eq!(database.execute(edit, [victim.uid.as_bytes()]).unwrap(), 1);
        },
        reasons: &["RECIPIENT_UNTRUSTED"],
    },
    Lie {
        name: "an account made anew",
        to: To::Acquainted,
        tell: |database, victim, _| replace_log(database, victim.uid, &forge::account(victim.uid).log),
        reasons: &["IDENTITY_CHANGED"],
    },
    Lie {
        name: "a log that lost its last entry",
        to: To::Acquainted,
        tell: |database, victim, _| replace_log(database, victim.uid, &log(database, victim.uid)[..1]),
        reasons: &["ACCOUNT_LOG_ROLLED_BACK"],
    },
    Lie {
        name: "a log that forks",
        to: To::Acquainted,
        tell: |database, victim, _| replace_log(database, victim.uid, &fork(database, victim)),
        reasons: &["ACCOUNT_LOG_FORKED"],
    },
    Lie {
        name: "another user's log",
        to: To::Stranger,
        tell: |database, victim, other| replace_log(database, victim.uid, &log(database, other.uid)),
        reasons: &["ACCOUNT_LOG_INVALID"],
    },
    Lie {
        name: "a log with its root entry signed by a stranger",
        to: To::Stranger,
        tell: |database, victim, _| {
            let mut entries = log(database, victim.uid);
            let genesis = Entry::from_der(&entries[0]).unwrap();
            let forged = forge::account(victim.uid);
            let change = Change::NewRoot { generation: 1, spki_hash: forged.root.public_key().hash() };
            let time = genesis.body().time;
            entries[1] =
                forge::sign(EntryBody::after(&genesis, time, change), &forged.signature).to_der().to_vec();
            replace_log(database, victim.uid, &entries);
        },
        reasons: &["ACCOUNT_LOG_INVALID"],
    },
    Lie {
        name: "a log with a flipped bit",
        to: To::Stranger,
        tell: |database, victim, _| {
            let mut entries = log(database, victim.uid);
            let last = entries[1].len() - 1;
            entries[1][last] ^= 1;
            replace_log(database, victim.uid, &entries);
        },
        reasons: &["ACCOUNT_LOG_INVALID"],
    },
    Lie {
        name: "no log at all",
        to: To::Stranger,
        tell: |database, victim, _| replace_log(database, victim.uid, &[]),
        reasons: &["ACCOUNT_LOG_INVALID", "RECIPIENT_NOT_FOUND"],
    },
    Lie {
        name: "a log of nonsense",
        to: To::Stranger,
        tell: |database, victim, _| replace_log(database, victim.uid, &[vec![0x30, 0x80], vec![0xff; 9000]]),
        reasons: &["ACCOUNT_LOG_INVALID"],
    },
    Lie {
        name: "one's own log rolled back",
        to: To::Own,
        tell: |database, victim, _| replace_log(database, victim.uid, &log(database, victim.uid)[..1]),
        reasons: &["ACCOUNT_LOG_ROLLED_BACK", "ACCOUNT_LOG_INVALID"],
    },
    Lie {
        name: "one's own account made anew",
        to: To::Own,
        tell: |database, victim, _| replace_log(database, victim.uid, &forge::account(victim.uid).log),
        reasons: &["IDENTITY_CHANGED", "ACCOUNT_LOG_INVALID", "CREDENTIAL_REVOKED"],
    },
    Lie {
        name: "another user's seal",
        to: To::Own,
        tell: |database, victim, other| {
            let edit = "UPDATE seal SET der = (SELECT der FROM seal WHERE uid = ?1) WHERE uid = ?2";
            let ids = params![other.uid.as_bytes(), victim.uid.as_bytes()];
            assert_eq!(database.execute(edit, ids).unwrap(), 1);
        },
        reasons: &["ROOT_SEAL_FOREIGN"],
    },
    Lie {
        name: "a seal with the platform's own root key",
        to: To::Own,
        tell: |database, victim, _| {
            let entries = log(database, victim.uid);
            let genesis = Entry::from_der(&entries[0]).unwrap();
            let Change::Genesis { credential, .. } = &genesis.body().change else { panic!("no genesis") };
            let to = victim.keys.iter().find(|key| key.public_key().hash() == credential.encryption).unwrap();
            let own = forge::account(victim.uid).root;
            let der = forge::seal(victim.uid, credential_id(database, victim.uid), &own, to.public_key());
            let edit = "UPDATE seal SET der = ?1 WHERE uid = ?2";
            assert_eq!(database.execute(edit, params![der, victim.uid.as_bytes()]).unwrap(), 1);
        },
        reasons: &["ROOT_SEAL_FOREIGN"],
    },
    Lie {
        name: "no seal",
        to: To::Own,
        tell: |database, victim, _| {
            assert_eq!(
                database.execute("DELETE FROM seal WHERE uid = ?1", [victim.uid.as_bytes()]).unwrap(),
                1
            );
        },
        reasons: &["ROOT_SEAL_MISSING"],
    },
    Lie {
        name: "a damaged seal",
        to: To::Own,
        tell: |database, victim, _| {
            let read = "SELECT der FROM seal WHERE uid = ?1";
            let mut der: Vec<u8> =
                database.query_row(read, [victim.uid.as_bytes()], |row| row.get(0)).unwrap();
            let near_the_end = der.len() - 9;
            der[near_the_end] ^= 1;
            let edit = "UPDATE seal SET der = ?1 WHERE uid = ?2";
            assert_eq!(database.execute(edit, params![der, victim.uid.as_bytes()]).unwrap(), 1);
        },
        reasons: &["ROOT_SEAL_FOREIGN"],
    },
];

async fn victim(clients: &mut Clients) -> Victim {
    let user = User::ready(clients, ParticipantKind::Patient).await;
    let uid = user.uid().parse().unwrap();
    let keys = forge::keys_of(&user);
    Victim { user, uid, keys }
}

#[tokio::test]
async fn every_lie_is_refused_with_its_reason() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let other = victim(&mut clients).await;
    let database = Connection::open(platform.database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    for lie in LIES {
        let victim = victim(&mut clients).await;
        let encrypt = v1::EncryptRequest {
            user: reader.name.clone(),
            recipients: vec![victim.user.name.clone()],
            plaintext: b"confidential".to_vec().into(),
            ..Default::default()
        };
        if lie.to == To::Acquainted {
            clients.crypto.encrypt(encrypt.clone()).await.unwrap();
        }
        (lie.tell)(&database, &victim, &other);
        let reason = if lie.to == To::Own {
            users::unlock(&mut clients, victim.user.unlock_request()).await.reason()
        } else {
            let look = v1::LookupUserRequest { name: victim.user.name.clone(), caller: reader.name.clone() };
            let reason = clients.directory.lookup_user(look).await.reason();
            assert_eq!(clients.crypto.encrypt(encrypt).await.reason(), reason, "{}", lie.name);
            reason
        };
        assert!(lie.reasons.contains(&reason.as_str()), "{}: {reason}", lie.name);
    }
}

#[tokio::test]
async fn an_account_made_anew_needs_a_person_to_accept_it() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let old = victim(&mut clients).await;
    let look = v1::LookupUserRequest { name: old.user.name.clone(), caller: reader.name.clone() };
    let before = clients.directory.lookup_user(look.clone()).await.unwrap().into_inner().user.unwrap();
    let database = Connection::open(platform.database()).unwrap();
    let forged = forge::account(old.uid);
    replace_log(&database, old.uid, &forged.log);
    // The CA lies along: it issues for the new root key.
    let der = forge::root_certificate(&platform, old.uid, forged.root.public_key());
    let edit = "UPDATE certificate SET der = ?1 WHERE uid = ?2 AND slot = 4";
    database.execute(edit, params![der, old.uid.as_bytes()]).unwrap();
    assert_eq!(clients.directory.lookup_user(look.clone()).await.reason(), "IDENTITY_CHANGED");
    let confirm = |fingerprint: String| v1::ConfirmFingerprintRequest {
        name: old.user.name.clone(),
        fingerprint,
        caller: reader.name.clone(),
    };
    // The old digits do not accept the new account; it stays refused.
    let refused = clients.directory.confirm_fingerprint(confirm(before.fingerprint)).await;
    assert_eq!(refused.reason(), "FINGERPRINT_MISMATCH");
    assert_eq!(clients.directory.lookup_user(look.clone()).await.reason(), "IDENTITY_CHANGED");
    // The new ones do: a person has accepted the new account, and it is known from then on.
    let genesis = Entry::from_der(&forged.log[0]).unwrap().hash();
    let digits = life_pki::account_log::fingerprint(&genesis);
    clients.directory.confirm_fingerprint(confirm(digits)).await.unwrap();
    let after = clients.directory.lookup_user(look).await.unwrap().into_inner().user.unwrap();
    assert_eq!(after.trust(), TrustState::Confirmed);
    assert_eq!(after.certificate, der);
}

#[tokio::test]
async fn a_revoked_credential_does_not_unlock_and_its_old_signatures_need_a_receipt() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let signer = victim(&mut clients).await;
    let reader = User::ready(&mut clients, ParticipantKind::Patient).await;
    let sign = v1::SignRequest { user: signer.user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    let signed = clients.crypto.sign(sign).await.unwrap().into_inner().signed_data;
    let database = Connection::open(platform.database()).unwrap();
    let credential = life_pki::account_log::CredentialId(credential_id(&database, signer.uid));
    platform.run(&["revoke", signer.user.uid(), &credential.to_string()]);

    let reason = users::unlock(&mut clients, signer.user.unlock_request()).await.reason();
    assert_eq!(reason, "CREDENTIAL_REVOKED");
    let verify = v1::VerifyRequest { user: reader.name.clone(), signed_data: signed, ..Default::default() };
    let verdict = clients.crypto.verify(verify).await.unwrap().into_inner().signature.unwrap();
    assert_eq!(verdict.state(), v1::SignatureState::SignerTimeUnproven, "{}", verdict.explanation);
}

#[tokio::test]
async fn junk_and_old_revocation_lists_do_not_take_the_place_of_good_ones() {
    let platform = Platform::start();
    let config = "[directory]\nrefresh_seconds = 0\n";
    let agent = Agent::start_with(&platform, config);
    let mut clients = agent.clients().await;
    let signer = victim(&mut clients).await;
    let reader = User::ready(&mut clients, ParticipantKind::Patient).await;
    let sign = v1::SignRequest { user: signer.user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    let signed = clients.crypto.sign(sign).await.unwrap().into_inner().signed_data;
    let verify = v1::VerifyRequest { user: reader.name.clone(), signed_data: signed, ..Default::default() };
    let database = Connection::open(platform.database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let list = || -> Vec<u8> { database.query_row("SELECT der FROM crl", [], |row| row.get(0)).unwrap() };
    let show = |der: &[u8]| assert_eq!(database.execute("UPDATE crl SET der = ?1", [der]).unwrap(), 1);
    let good = list();
    let mut flipped = good.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for bad in [b"junk".as_slice(), &[], &flipped] {
        show(bad);
        // Who has the good list goes on with it; who has none is told.
        let verdict = clients.crypto.verify(verify.clone()).await.unwrap().into_inner().signature.unwrap();
        assert_eq!(verdict.state(), v1::SignatureState::Valid, "{}", verdict.explanation);
        let stranger = Agent::start_with(&platform, config);
        let mut strangers = stranger.clients().await;
        let reason = users::unlock(&mut strangers, reader.unlock_request()).await.reason();
        assert_eq!(reason, "PLATFORM_UNTRUSTED");
    }
    show(&good);

    // The list that does not know of a revocation yet is still current, and still no longer believed.
    let credential = life_pki::account_log::CredentialId(credential_id(&database, signer.uid));
    platform.run(&["revoke", signer.user.uid(), &credential.to_string()]);
    for old in [false, true] {
        if old {
            assert_ne!(list(), good);
            show(&good);
        }
        let verdict = clients.crypto.verify(verify.clone()).await.unwrap().into_inner().signature.unwrap();
        assert_eq!(verdict.state(), v1::SignatureState::SignerTimeUnproven, "{old}: {}", verdict.explanation);
    }
}

/// A root credential's certificate is for those who encrypt; signatures stand on log and pin.
#[tokio::test]
async fn a_signature_stays_valid_whatever_the_directory_says_of_the_signers_root_certificate() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let signer = victim(&mut clients).await;
    let reader = User::ready(&mut clients, ParticipantKind::Patient).await;
    let sign = v1::SignRequest { user: signer.user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    let signed = clients.crypto.sign(sign).await.unwrap().into_inner().signed_data;
    let verify = v1::VerifyRequest { user: reader.name.clone(), signed_data: signed, ..Default::default() };
    let look = v1::LookupUserRequest { name: signer.user.name.clone(), caller: reader.name.clone() };
    let database = Connection::open(platform.database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    // Somebody else's slot in its place: a stranger's signature is good all the same, and it is the first use.
    let edit = "UPDATE certificate SET der = (SELECT der FROM certificate WHERE uid = ?1 AND slot = 3) \
                WHERE uid = ?1 AND slot = 4";
    assert_eq!(database.execute(edit, [signer.uid.as_bytes()]).unwrap(), 1);
    for trust in [TrustState::FirstUse, TrustState::Pinned] {
        let report = clients.crypto.verify(verify.clone()).await.unwrap().into_inner().signature.unwrap();
        assert_eq!(
            (report.state(), report.trust()),
            (v1::SignatureState::Valid, trust),
            "{}",
            report.explanation
        );
    }
    assert_eq!(clients.directory.lookup_user(look.clone()).await.reason(), "RECIPIENT_UNTRUSTED");
    // The platform claims not to know the user any more; who pinned the signer does.
    database.pragma_update(None, "foreign_keys", false).unwrap();
    let edit = "UPDATE account SET uid = randomblob(16) WHERE uid = ?1";
    assert_eq!(database.execute(edit, [signer.uid.as_bytes()]).unwrap(), 1);
    assert_eq!(clients.directory.lookup_user(look).await.reason(), "RECIPIENT_NOT_FOUND");
    let report = clients.crypto.verify(verify).await.unwrap().into_inner().signature.unwrap();
    assert_eq!(report.state(), v1::SignatureState::Valid, "{}", report.explanation);
}
