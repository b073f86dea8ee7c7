//! Locking and unlocking over and over: nothing grows.

use std::fs;
use std::time::Duration;

use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User};
use life_proto::v1::ParticipantKind;

use crate::scene::{Pids, lock, quick_to_open};

/// How often in every run, and in a long one.
const CYCLES: (usize, usize) = (300, 10_000);
/// How much a process may grow over the second half of all cycles, in KiB: caches fill in the first.
const GROWTH: u64 = 2048;

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn locking_and_unlocking_makes_nothing_grow() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    let user = quick_to_open(&user);
    let pids = Pids::of(&mut clients).await;
    let both = [pids.broker, pids.vault];
    let cycles = if std::env::var_os("LIFE_SOAK").is_some() { CYCLES.1 } else { CYCLES.0 };
    let mut cycle = async |count: usize| {
        for _ in 0..count {
            user.unlock(&mut clients).await;
            lock(&mut clients).await;
        }
    };
    cycle(cycles / 2).await;
    let before = both.map(|pid| memory_kib(pid).0);
    let open = both.map(descriptors);
    cycle(cycles - cycles / 2).await;
    let after = both.map(|pid| memory_kib(pid).0);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after <= before + GROWTH, "{before} KiB after half of the cycles, {after} KiB after all");
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while both.map(descriptors).iter().zip(&open).any(|(now, then)| now > then) {
        assert!(tokio::time::Instant::now() < end, "{open:?} descriptors, then {:?}", both.map(descriptors));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(clients.vault_pid().await, pids.vault, "it is the same vault all the time");
}
