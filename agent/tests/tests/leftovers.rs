//! What is left of an inline passphrase in the broker's memory when its connection has gone: nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use life_e2e::{Agent, Platform, User, skip};
use life_proto::v1::ParticipantKind;

/// How often a text stands in the memory that the process can write to; none when only root may look.
fn occurrences(pid: u32, text: &[u8]) -> Option<usize> {
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut count = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            count += bytes.windows(text.len()).filter(|window| *window == text).count();
        }
    }
    Some(count)
}

#[tokio::test]
async fn the_broker_keeps_nothing_of_an_inline_passphrase() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    user.unlock(&mut clients).await;
    let pid = clients.status().await.broker.unwrap().pid;
    drop(clients);
    let what = "what is left of a passphrase in the broker's memory";
    if !skip::needs(what, "only root may look", occurrences(pid, &user.passphrase).is_some()) {
        return;
    }
    // The broker notices the end of the connection a moment later.
    let end = Instant::now() + Duration::from_secs(5);
    while occurrences(pid, &user.passphrase).is_some_and(|count| count > 0) {
        assert!(Instant::now() < end, "{:?} copies are left", occurrences(pid, &user.passphrase));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
