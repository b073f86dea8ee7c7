//! Little to lock: a user without privileges, who may lock 8 MiB, has all of it, for 64 identities at once.

use std::process::Command;
use std::time::Duration;

use life_e2e::agent::{Clients, LOCKED_LIMIT, as_nobody};
use life_e2e::enrol::{self, RsaKeys};
use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, Reason, User, users};
use life_pki::{KeySlot, PrivateKey};
use life_proto::v1;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustix::process::{Signal, geteuid};
use v1::ParticipantKind;

use crate::scene::{Pids, arena_comes_back, end_by, fresh_memory, lock};

/// How many identities can be unlocked at once.
const IDENTITIES: usize = 64;
/// The least that an identity takes of the arena, in bytes: four private keys.
const LEAST: u64 = 1024;
/// What a vault that has worked keeps of the arena, in bytes: tables that have grown, and what AWS-LC has for each thread.
pub const KEPT: u64 = 64 * 1024;

/// Locked memory of a process, in bytes, as the kernel counts it.
fn locked(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

pub async fn works(clients: &mut Clients, user: &User) {
    let sign = v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    clients.crypto.sign(sign).await.unwrap();
    let plaintext = b"sealed".to_vec();
    let seal = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: plaintext.clone().into(),
        ..Default::default()
    };
    let envelope = clients.crypto.encrypt(seal).await.unwrap().into_inner().envelope;
    let open = v1::DecryptRequest { user: user.name.clone(), envelope, ..Default::default() };
    assert_eq!(clients.crypto.decrypt(open).await.unwrap().into_inner().plaintext, plaintext);
}

/// As many users as can be unlocked are, and one more is refused.
async fn sixty_four_fit(besides: &[Vec<u8>], mut key: impl FnMut(KeySlot) -> PrivateKey) {
    let platform = Platform::start();
    let users: Vec<_> = (0..=IDENTITIES).map(|_| enrol::patient(&platform, &mut key, besides)).collect();
    let agent = Agent::start_confined(&platform, &format!("[limits]\nmax_identities = {IDENTITIES}\n"));
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
    let start = fresh_memory(&mut clients).await;
    let (last, first) = users.split_last().unwrap();
    for user in first {
        user.unlock(&mut clients).await;
    }
    let refused = users::unlock(&mut clients, last.unlock_request()).await;
    assert_eq!(refused.as_ref().unwrap_err().code(), tonic::Code::ResourceExhausted);
    assert_eq!(refused.reason(), "TOO_MANY_IDENTITIES");
    for user in first {
        works(&mut clients, user).await;
    }
    let status = clients.status().await;
    assert_eq!(status.identities.len(), IDENTITIES);
    let full = fresh_memory(&mut clients).await;
    assert!(full.used_bytes > start.used_bytes + IDENTITIES as u64 * LEAST, "{start:?} {full:?}");
    assert!(full.used_bytes <= full.peak_bytes && full.peak_bytes < full.arena_bytes, "{full:?}");
    assert_eq!((full.refused_requests, full.large_unlocked_bytes), (0, 0), "{full:?}");
    let locked_bytes = locked(pids.vault);
    assert_eq!(locked_bytes, full.locked_bytes, "the kernel and the vault count the same");
    assert!(
        locked_bytes <= LOCKED_LIMIT && locked_bytes > full.arena_bytes,
        "{locked_bytes} bytes are locked"
    );

    // Room is there again as soon as one goes.
    let one = v1::LockCredentialRequest { user: first[0].name.clone() };
    assert!(clients.credentials.lock(one).await.unwrap().into_inner().was_unlocked);
    last.unlock(&mut clients).await;
    works(&mut clients, last).await;
    lock(&mut clients).await;
    assert!(clients.status().await.identities.is_empty());
    arena_comes_back(&mut clients, &start, KEPT).await;
    assert_eq!(Pids::of(&mut clients).await, pids, "it is the same vault all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_identities_fit_and_one_more_harms_nobody() {
    let mut roots = RsaKeys::new(3072, IDENTITIES + 1);
    let key = |slot| match slot {
        KeySlot::Root => roots.take(),
        _ => PrivateKey::generate_p256().unwrap(),
    };
    sixty_four_fit(&[], key).await;
}

/// With the keys that LIFE makes where nothing else is asked for, and files as large as they may be.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_identities_with_rsa_keys_and_large_files_fit_too() {
    let besides: Vec<_> = (0..3).map(|_| padded(15 * 1024)).collect();
    let mut keys = RsaKeys::new(3072, 4 * (IDENTITIES + 1));
    sixty_four_fit(&besides, |_| keys.take()).await;
}

/// RSA-4096 in all slots: where not all fit the next is refused, and whoever is unlocked can work.
#[tokio::test(flavor = "multi_thread")]
async fn users_with_the_largest_keys_are_let_in_only_while_all_can_work() {
    let mut keys = RsaKeys::new(4096, 4 * IDENTITIES);
    let platform = Platform::start();
    let agent = Agent::start_confined(&platform, &format!("[limits]\nmax_identities = {IDENTITIES}\n"));
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
    let start = fresh_memory(&mut clients).await;
    let mut users = Vec::new();
    while users.len() < IDENTITIES {
        let user = enrol::patient(&platform, |_| keys.take(), &[]);
        if let Err(refused) = users::unlock(&mut clients, user.unlock_request()).await {
            assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
            assert_eq!(refused.reason(), "RESOURCE_EXHAUSTED");
            break;
        }
        users.push(user);
    }
    // At least as many as are allowed where nothing is configured.
    assert!(users.len() >= 48, "{} fit", users.len());
    for user in &users {
        works(&mut clients, user).await;
    }
    let full = fresh_memory(&mut clients).await;
    assert!(full.used_bytes > full.arena_bytes / 2 && full.peak_bytes < full.arena_bytes, "{full:?}");
    lock(&mut clients).await;
    arena_comes_back(&mut clients, &start, KEPT).await;
    assert_eq!(Pids::of(&mut clients).await, pids, "it is the same vault all the time");
}

/// A certificate that nobody asks for, of so many bytes and some.
pub fn padded(bytes: usize) -> Vec<u8> {
    let mut parameters = CertificateParams::default();
    let padding = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![7; bytes]);
    parameters.custom_extensions = vec![padding];
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_may_lock_nothing_holds_nothing_and_says_so() {
    let platform = Platform::start();
    let agent = Agent::start_confined(&platform, "");
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    works(&mut clients, &user).await;
    let pids = Pids::of(&mut clients).await;
    // Any program of the same user may take the limit away, from the broker and so from the vaults to come.
    let mut lower = Command::new("prlimit");
    if geteuid().is_root() {
        lower = Command::new("setpriv");
        lower.args(&as_nobody()[1..]).arg("prlimit");
    }
    assert!(lower.args(["--memlock=0:0", "--pid", &pids.broker.to_string()]).status().unwrap().success());
    works(&mut clients, &user).await;
    end_by(pids.vault, Signal::KILL);
    // Each vault that ends, the fresh ones too, locks everybody and gives up who waits: that is what some calls read.
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        let refused = users::unlock(&mut clients, user.unlock_request()).await.reason();
        if refused == "VAULT_UNAVAILABLE" {
            break;
        }
        assert_eq!(refused, "CREDENTIAL_LOCKED");
        assert!(tokio::time::Instant::now() < end, "the reason is never said");
    }
    eventually("the log says which limit", Duration::from_secs(10), || {
        agent.log().contains("RLIMIT_MEMLOCK")
    });
    assert!(clients.status().await.identities.is_empty(), "the agent serves, and has nobody's keys");
}
