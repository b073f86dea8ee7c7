//! Many who ask for much at once: the vault refuses what does not fit, and never ends for want of memory.

use std::collections::BTreeMap;

use life_e2e::agent::Clients;
use life_e2e::enrol::{self, RsaKeys};
use life_e2e::{Agent, Platform, Reason, User, users};
use life_pki::KeySlot;
use life_proto::v1;
use tokio::task::JoinSet;
use tonic::Status;
use v1::ParticipantKind;

use crate::limits::{KEPT, padded, works};
use crate::scene::{Pids, arena_comes_back, fresh_memory, lock};

/// How many connections there are, and calls of each kind on each.
const CONNECTIONS: usize = 10;
const CALLS: usize = 100;
/// Registrations, whose derivations take long on purpose.
const REGISTRATIONS: usize = 24;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Decrypt,
    Encrypt,
    Register,
    Sign,
    /// The largest file there can be, with no sense in it.
    UnlockJunk,
    /// The largest file, and a wrong passphrase.
    UnlockWrong,
}

async fn ask(kind: Kind, clients: &mut Clients, user: &User, envelope: &[u8]) -> Result<(), Status> {
    let name = user.name.clone();
    match kind {
        Kind::Decrypt => {
            let envelope = envelope.to_vec().into();
            let open = v1::DecryptRequest { user: name, envelope, ..Default::default() };
            clients.crypto.decrypt(open).await.map(drop)
        }
        Kind::Encrypt => {
            let seal =
                v1::EncryptRequest { user: name, plaintext: vec![7; 4096].into(), ..Default::default() };
            clients.crypto.encrypt(seal).await.map(drop)
        }
        Kind::Register => {
            let request = users::registering_with(ParticipantKind::Patient, &[b'x'; 1024]);
            users::register(clients, request).await.map(drop)
        }
        Kind::Sign => {
            let sign = v1::SignRequest { user: name, content: vec![7; 4096].into(), form: 0 };
            clients.crypto.sign(sign).await.map(drop)
        }
        Kind::UnlockJunk => {
            let junk = User { pkcs12: vec![7; 64 * 1024], passphrase: vec![b'x'; 1024], ..user.clone() };
            users::unlock(clients, junk.unlock_request()).await.map(drop)
        }
        Kind::UnlockWrong => {
            let wrong = User { passphrase: vec![b'x'; 1024], ..user.clone() };
            users::unlock(clients, wrong.unlock_request()).await.map(drop)
        }
    }
}

/// Whether a call may end so.
fn is_expected(kind: Kind, reason: &str) -> bool {
    match kind {
        _ if reason == "RESOURCE_EXHAUSTED" => true,
        Kind::UnlockJunk => reason == "CREDENTIAL_DAMAGED",
        Kind::UnlockWrong => reason == "WRONG_PASSPHRASE",
        _ => reason == "OK",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_the_largest_requests_at_once_end_no_vault() {
    let platform = Platform::start();
    let agent = Agent::start_confined(&platform, "[limits]\nmax_calls = 4096\n");
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
    let start = fresh_memory(&mut clients).await;
    let besides: Vec<_> = (0..3).map(|_| padded(15 * 1024)).collect();
    let mut keys = RsaKeys::new(4096, 4);
    let user = enrol::patient(&platform, |_: KeySlot| keys.take(), &besides);
    user.unlock(&mut clients).await;
    let seal = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: b"sealed".to_vec().into(),
        ..Default::default()
    };
    let envelope = clients.crypto.encrypt(seal).await.unwrap().into_inner().envelope;

    let mut running = JoinSet::new();
    let mut start_one = |kind, clients: &Clients| {
        let (mut clients, user, envelope) = (clients.clone(), user.clone(), envelope.clone());
        running.spawn(async move {
            let ended = ask(kind, &mut clients, &user, &envelope).await;
            (kind, ended.map_or_else(|status| status.reason(), |()| "OK".to_owned()))
        });
    };
    for connection in 0..CONNECTIONS {
        let clients = agent.clients().await;
        for call in 0..CALLS {
            for kind in [Kind::Decrypt, Kind::Encrypt, Kind::Sign, Kind::UnlockJunk, Kind::UnlockWrong] {
                start_one(kind, &clients);
            }
            if connection * CALLS + call < REGISTRATIONS {
                start_one(Kind::Register, &clients);
            }
        }
    }
    let mut ended: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    while let Some(one) = running.join_next().await {
        *ended.entry(one.unwrap()).or_default() += 1;
    }
    assert_eq!(ended.values().sum::<usize>(), 5 * CONNECTIONS * CALLS + REGISTRATIONS);
    for (kind, reason) in ended.keys() {
        assert!(is_expected(*kind, reason), "{ended:?}");
    }
    // Not all were refused: the flood has come as far as the vault.
    for kind in [Kind::Decrypt, Kind::Encrypt, Kind::Sign] {
        assert!(ended.contains_key(&(kind, "OK".to_owned())), "{ended:?}");
    }
    assert!(ended.contains_key(&(Kind::UnlockWrong, "WRONG_PASSPHRASE".to_owned())), "{ended:?}");
    works(&mut clients, &user).await;
    let full = fresh_memory(&mut clients).await;
    assert!(full.refused_requests > 0 && full.peak_bytes < full.arena_bytes, "{full:?}");
    lock(&mut clients).await;
    arena_comes_back(&mut clients, &start, KEPT).await;
    assert_eq!(Pids::of(&mut clients).await, pids, "it is the same vault all the time");
}
