//! Little to lock: a user without privileges, who may lock 8 MiB, has all of it, for 64 identities at once.

use std::process::Command;
use std::time::Duration;

use life_e2e::agent::{Clients, LOCKED_LIMIT, as_nobody};
use life_e2e::process::eventually;
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1;
use rustix::process::{Signal, geteuid};
use v1::ParticipantKind;

use crate::scene::{Pids, end_by, lock};

/// How many identities can be unlocked at once.
const IDENTITIES: usize = 64;

/// Locked memory of a process, in bytes, as the kernel counts it.
fn locked(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Registers so many users, some at once.
async fn register(agent: &Agent, count: usize) -> Vec<User> {
    let mut running = Vec::new();
    for part in 0..8 {
        let mut clients = agent.clients().await;
        let own = (0..count).filter(|index| index % 8 == part).count();
        running.push(tokio::spawn(async move {
            let mut users = Vec::new();
            for _ in 0..own {
                users.push(User::register(&mut clients, ParticipantKind::Patient).await);
            }
            users
        }));
    }
    let mut users = Vec::new();
    for running in running {
        users.extend(running.await.unwrap());
    }
    users
}

async fn works(clients: &mut Clients, user: &User) {
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

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_identities_fit_and_one_more_harms_nobody() {
    let platform = Platform::start();
    let agent = Agent::start_confined(&platform, &format!("[limits]\nmax_identities = {IDENTITIES}\n"));
    let users = register(&agent, IDENTITIES + 1).await;
    let mut clients = agent.clients().await;
    let pids = Pids::of(&mut clients).await;
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
    let locked_bytes = locked(pids.vault);
    assert!((1..=LOCKED_LIMIT).contains(&locked_bytes), "{locked_bytes} bytes are locked");

    // Room is there again as soon as one goes.
    let one = v1::LockCredentialRequest { user: first[0].name.clone() };
    assert!(clients.credentials.lock(one).await.unwrap().into_inner().was_unlocked);
    last.unlock(&mut clients).await;
    works(&mut clients, last).await;
    lock(&mut clients).await;
    assert!(clients.status().await.identities.is_empty());
    assert_eq!(Pids::of(&mut clients).await, pids, "it is the same vault all the time");
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
    let refused = users::unlock(&mut clients, user.unlock_request()).await;
    assert_eq!(refused.reason(), "VAULT_UNAVAILABLE");
    // The refusal may come before the first of the fresh vaults has found out why it cannot start.
    eventually("the log says which limit", Duration::from_secs(10), || {
        agent.log().contains("RLIMIT_MEMLOCK")
    });
    assert!(clients.status().await.identities.is_empty(), "the agent serves, and has nobody's keys");
}
