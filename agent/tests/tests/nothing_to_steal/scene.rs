//! A user with secrets that are known to the test, and what users do all day.

use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::process::{eventually, is_alive};
use life_e2e::scan::{self, Findings, Needles};
use life_e2e::{Agent, Platform, User};
use life_proto::v1;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rustix::process::{Pid, Signal, kill_process};

/// How long the broker may take to notice that a client has gone.
const NOTICED: Duration = Duration::from_secs(5);

/// Both processes of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pids {
    pub broker: u32,
    pub vault: u32,
}

impl Pids {
    pub async fn of(clients: &mut Clients) -> Self {
        let vault = clients.vault_pid().await;
        Self { broker: clients.status().await.broker.unwrap().pid, vault }
    }
}

/// Ends a process by a signal, and waits for the end. Rust's runtime takes the first SIGSEGV, to look whether a stack
/// has overflowed, and lets the next one through.
pub fn end_by(pid: u32, signal: Signal) {
    let target = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    eventually("a process that was sent a signal ends", Duration::from_secs(10), || {
        let _gone = kill_process(target, signal);
        !is_alive(pid)
    });
}

/// The vault's memory as it is now: by the contract, what the status says may be a second old.
pub async fn fresh_memory(clients: &mut Clients) -> v1::VaultMemory {
    tokio::time::sleep(Duration::from_millis(1001)).await;
    clients.status().await.vault_memory.unwrap()
}

/// Waits until no more of the arena is taken than at the start, and these bytes; large blocks are gone then too.
pub async fn arena_comes_back(clients: &mut Clients, start: &v1::VaultMemory, kept: u64) {
    let end = tokio::time::Instant::now() + NOTICED;
    loop {
        let now = fresh_memory(clients).await;
        if now.used_bytes <= start.used_bytes + kept && now.large_bytes == 0 {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "at the start {start:?}, and now {now:?}");
    }
}

/// Looks into both processes.
pub fn look(pids: Pids, needles: &Needles) -> Findings {
    scan::scan(&[pids.broker, pids.vault], needles)
}

/// While somebody is unlocked: the vault's sheltered memory has the secrets, and nothing else has.
pub fn assert_sheltered(what: &str, pids: Pids, needles: &Needles) {
    let findings = look(pids, needles);
    assert!(findings.copies() > 0, "{what}: nothing was found, so this looks for the wrong things");
    assert_eq!(findings.of(pids.broker).len(), 0, "{what}: in the broker: {findings}");
    assert_eq!(findings.exposed(), 0, "{what}: {findings}");
}

/// Nothing is anywhere.
pub fn assert_gone(what: &str, pids: Pids, needles: &Needles) {
    let findings = look(pids, needles);
    assert_eq!(findings.copies(), 0, "{what}: {findings}");
}

/// As [`assert_gone`], once the broker has noticed that a client has gone.
pub async fn assert_gone_soon(what: &str, pids: Pids, needles: &Needles) {
    let end = tokio::time::Instant::now() + NOTICED;
    while look(pids, needles).copies() > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_gone(what, pids, needles);
}

/// Waits until the broker has nothing.
pub async fn broker_forgets(pids: Pids, needles: &Needles) {
    let end = tokio::time::Instant::now() + NOTICED;
    while scan::scan(&[pids.broker], needles).copies() > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Signs, seals and opens so often, by four clients at once.
pub async fn use_keys(agent: &Agent, user: &User, times: usize) {
    let mut running = Vec::new();
    for _ in 0..4 {
        let (mut clients, user) = (agent.clients().await, user.clone());
        running.push(tokio::spawn(async move {
            for _ in 0..times.div_ceil(4) {
                let sign =
                    v1::SignRequest { user: user.name.clone(), content: b"signed".to_vec().into(), form: 0 };
                clients.crypto.sign(sign).await.unwrap();
                let seal = v1::EncryptRequest {
                    user: user.name.clone(),
                    plaintext: b"sealed".to_vec().into(),
                    ..Default::default()
                };
                let envelope = clients.crypto.encrypt(seal).await.unwrap().into_inner().envelope;
                let open = v1::DecryptRequest { user: user.name.clone(), envelope, ..Default::default() };
                clients.crypto.decrypt(open).await.unwrap();
            }
        }));
    }
    for client in running {
        client.await.unwrap();
    }
}

/// Locks everybody.
pub async fn lock(clients: &mut Clients) {
    clients.agent.lock(v1::LockRequest {}).await.unwrap();
}

/// The same user with a software certificate that costs next to nothing to open: what takes most of an unlock is there to
/// keep guessers out, and nothing that tests repeat hundreds of times.
pub fn quick_to_open(user: &User) -> User {
    let passphrase = std::str::from_utf8(&user.passphrase).unwrap();
    let file = KeyStore::from_pkcs12(&user.pkcs12, passphrase, Pkcs12ImportPolicy::Strict).unwrap();
    let writer = file.writer(passphrase).encryption_iterations(1000).mac_iterations(1000);
    User { pkcs12: writer.write().unwrap(), ..user.clone() }
}

/// What must not be found of a user.
pub fn needles(platform: &Platform, user: &User) -> Needles {
    Needles::new(&scan::keys::of_user(platform, user))
}
