//! Answers of the platform that get lost, or come when they are old.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use life_e2e::{Agent, Platform, Reason, Tap, User, address_of, forge, users};
use life_pki::account_log::{Change, Entry, EntryBody};
use life_pki::{PrivateKey, Timestamp, Uid};
use life_proto::v1::{self, ParticipantKind};
use rusqlite::{Connection, params};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic_types::StatusExt;

const PASSPHRASE: &[u8] = b"quiet-granite-harbour-7731";

fn open(platform: &Platform) -> Connection {
    let database = Connection::open(platform.database()).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
}

fn accounts(database: &Connection) -> i64 {
    database.query_row("SELECT COUNT(*) FROM account", [], |row| row.get(0)).unwrap()
}

fn registering() -> v1::RegisterUserRequest {
    users::registering_with(ParticipantKind::Patient, PASSPHRASE)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_whose_platform_never_said_so_gets_its_keys_all_the_same() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let database = open(&platform);
    tap.lose_answers_when(move || accounts(&database) > 0);

    let mut request = registering();
    let refused = users::register(&mut clients, request.clone()).await;
    assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
    assert_eq!(accounts(&open(&platform)), 1, "the platform committed");
    let metadata = refused.unwrap_err().get_details_error_info().unwrap().metadata;
    request.registration = metadata["registration"].clone();
    // As long as answers are lost, that is what one learns; then the very account is there, with its keys.
    let again = users::register(&mut clients, request.clone()).await;
    assert_eq!(again.reason(), "PLATFORM_UNAVAILABLE");
    tap.mend();
    let registered = users::register(&mut clients, request).await.unwrap();
    let user = User {
        name: registered.user.unwrap().name,
        pkcs12: registered.pkcs12.to_vec(),
        passphrase: PASSPHRASE.to_vec(),
    };
    assert_eq!(user.name, metadata["user"]);
    assert_eq!(user.unlock(&mut clients).await.user, user.name);
    assert_eq!(accounts(&open(&platform)), 1);
}

/// Somebody on the line who answers every handshake with an alert: that the certificate was revoked.
async fn alarmist() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut agent, _)) = listener.accept().await {
            // The answer to whatever comes first; then all else is read, so that the connection is not reset.
            let _hello = agent.read(&mut [0; 4096]).await;
            let _sent = agent.write_all(&[21, 3, 3, 0, 2, 2, 44]).await;
            tokio::spawn(async move { tokio::io::copy(&mut agent, &mut tokio::io::sink()).await });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_on_the_line_can_have_the_keys_of_a_committed_account_given_up() {
    let (platform, stranger) = (Platform::start(), Platform::start());
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let database = open(&platform);
    tap.lose_answers_when(move || accounts(&database) > 0);

    let mut request = registering();
    let refused = users::register(&mut clients, request.clone()).await;
    assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
    assert_eq!(accounts(&open(&platform)), 1, "the platform committed");
    let metadata = refused.unwrap_err().get_details_error_info().unwrap().metadata;
    request.registration = metadata["registration"].clone();
    // From here on others answer: one with a certificate of their own, one with an alert before there is any.
    let others = [(address_of(&stranger), "PLATFORM_UNTRUSTED"), (alarmist().await, "CREDENTIAL_REVOKED")];
    for (address, reason) in others {
        tap.lead_to(address);
        tap.mend();
        // An attempt that was under way may have ended otherwise.
        let told = async {
            loop {
                let refused = users::register(&mut clients, request.clone()).await;
                if refused.reason() == reason {
                    return refused.unwrap_err();
                }
            }
        };
        let refused = tokio::time::timeout(Duration::from_secs(60), told).await.expect("nobody was asked");
        let metadata = refused.get_details_error_info().unwrap().metadata;
        assert_eq!(metadata["registration"], request.registration);
    }
    tap.lead_to(address_of(&platform));
    let registered = async {
        loop {
            if let Ok(registered) = users::register(&mut clients, request.clone()).await {
                return registered;
            }
        }
    };
    let registered = tokio::time::timeout(Duration::from_secs(60), registered).await.expect("no file came");
    let user = User {
        name: registered.user.unwrap().name,
        pkcs12: registered.pkcs12.to_vec(),
        passphrase: PASSPHRASE.to_vec(),
    };
    assert_eq!(user.unlock(&mut clients).await.user, metadata["user"]);
    assert_eq!(accounts(&open(&platform)), 1);
}

/// The account's log with one more entry, which its own signature key signed.
fn grow(database: &Connection, user: &User) {
    let uid: Uid = user.uid().parse().unwrap();
    let read = "SELECT der FROM log_entry WHERE uid = ?1 ORDER BY position DESC LIMIT 1";
    let last: Vec<u8> = database.query_row(read, [uid.as_bytes()], |row| row.get(0)).unwrap();
    let last = Entry::from_der(&last).unwrap();
    let key = forge::keys_of(user).into_iter().find(|key| key.public_key() == last.signer()).unwrap();
    let other = PrivateKey::generate_rsa(3072).unwrap();
    let change = Change::NewRoot { generation: 2, spki_hash: other.public_key().hash() };
    let time = Timestamp::from_unix(last.body().time.unix() + 1).unwrap();
    let entry = forge::sign(EntryBody::after(&last, time, change), &key);
    let row = params![uid.as_bytes(), 2, entry.to_der()];
    database.execute("INSERT INTO log_entry (uid, position, der) VALUES (?1, ?2, ?3)", row).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_another_call_overtook_is_no_rollback() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let peer = User::register(&mut clients, ParticipantKind::Patient).await;
    let database = open(&platform);
    let look = v1::LookupUserRequest { name: peer.name.clone(), caller: reader.name.clone() };
    clients.directory.lookup_user(look.clone()).await.unwrap();

    // One call's answer, with the log as it was, is held back; the log grows, and another call learns of it.
    tap.hold_next();
    let (mut late, request) = (clients.clone(), look.clone());
    let late = tokio::spawn(async move { late.directory.lookup_user(request).await });
    tokio::time::timeout(Duration::from_secs(10), tap.held()).await.expect("no answer came");
    grow(&database, &peer);
    // The certificate is still that of the old root key: the log counts, and the certificate no longer fits it.
    let grown = clients.directory.lookup_user(look).await;
    assert_eq!(grown.reason(), "RECIPIENT_UNTRUSTED");
    tap.release();
    assert_eq!(
        late.await.unwrap().reason(),
        "RECIPIENT_UNTRUSTED",
        "it was asked again before a rollback is told"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_is_one_about_ones_own_account() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let read = v1::GetUserRequest { name: user.name.clone() };
    assert_eq!(clients.accounts.get_user(read.clone()).await.unwrap().into_inner().generation, 1);
    tap.hold_next();
    let (mut late, request) = (clients.clone(), read.clone());
    let late = tokio::spawn(async move { late.accounts.get_user(request).await });
    tokio::time::timeout(Duration::from_secs(10), tap.held()).await.expect("no answer came");
    grow(&open(&platform), &user);
    assert_eq!(clients.accounts.get_user(read).await.unwrap().into_inner().generation, 2);
    tap.release();
    assert_eq!(late.await.unwrap().unwrap().into_inner().generation, 2);
}
