//! Load and faults: many callers at once, slow ones among them, while platform, broker and vault are killed at random.
//!
//! Short in everyday tests, 10,000 operations and an hour (LIFE_SOAK_MINUTES) with LIFE_SOAK. What failed once is made
//! to fail again with the seed that the test prints: LIFE_LOAD_SEED.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use life_e2e::load::{DEADLINE, Fault, Faults, Random, World, verify};
use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User, streams};
use life_proto::v1::{self, ParticipantKind};

/// Callers that work at the same time.
const CALLERS: u64 = 8;

fn soaking() -> bool {
    std::env::var_os("LIFE_SOAK").is_some()
}

/// Past the capturing of tests that pass: what a run did is of interest also when it did well.
fn say(text: &str) {
    let _seen = writeln!(std::io::stderr(), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whoever_is_killed() {
    let operations = if soaking() { 10_000 } else { 300 };
    let seed = Random::seed();
    say(&format!("load with faults: LIFE_LOAD_SEED={seed}, {operations} operations"));
    let mut world = World::start().await;
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let mut caller = world.caller(seed.wrapping_add(number)).await;
        callers.push(tokio::spawn(async move { caller.work(operations).await }));
    }
    let mut faults = Faults::new(!seed);
    faults.run(&mut world, operations).await;
    for caller in callers {
        caller.await.unwrap();
    }
    for fault in [Fault::Broker, Fault::Platform, Fault::Vault] {
        assert!(faults.killed.contains(&fault), "{fault:?} was never killed");
    }
    let mut caller = world.caller(seed).await;
    verify(&mut world, &mut caller).await;
    let ledger = world.shared.ledger();
    say(&format!("{} kills\n{}", faults.killed.len(), ledger.report()));
    assert!(ledger.answers() > operations / 2, "hardly anything was answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Institution).await;
    // All are connected before the first one calls.
    let mut connections = Vec::new();
    for _ in 0..200 {
        connections.push(agent.clients().await);
    }
    let calls: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(number, mut clients)| {
            let name = user.name.clone();
            tokio::spawn(async move {
                let plaintext = format!("finding {number}").into_bytes();
                let sign = v1::SignRequest { user: name.clone(), content: plaintext.clone().into(), form: 0 };
                clients.crypto.sign(sign).await.unwrap();
                let encrypt = v1::EncryptRequest {
                    user: name.clone(),
                    plaintext: plaintext.clone().into(),
                    ..Default::default()
                };
                let envelope = clients.crypto.encrypt(encrypt).await.unwrap().into_inner().envelope;
                let decrypt = v1::DecryptRequest { user: name.clone(), envelope, ..Default::default() };
                assert!(clients.crypto.decrypt(decrypt).await.unwrap().into_inner().plaintext == plaintext);
                let header = v1::EncryptStreamHeader { user: name, ..Default::default() };
                streams::encrypt(&mut clients, header, &vec![7; 100_000]).await.unwrap();
                clients
            })
        })
        .collect();
    for call in calls {
        tokio::time::timeout(DEADLINE, call).await.expect("a connection hangs").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_nobody_up() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Institution).await;
    let broker = clients.status().await.broker.unwrap().pid;
    let plaintext = vec![0x5a; 48 << 20];
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let (sealed, _) = streams::encrypt(&mut clients, header, &plaintext).await.unwrap();
    let (_, before) = memory_kib(broker);

    // Slow readers take one message of their answers, and another only when all the fast ones are through once more.
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut clients = agent.clients().await;
        let header = v1::DecryptStreamHeader {
            user: user.name.clone(),
            allow_unverified_sender: true,
            ..Default::default()
        };
        use v1::decrypt_stream_request::Message as Ask;
        let messages = std::iter::once(Ask::Header(header))
            .chain(streams::chunks(&sealed, 1 << 20).map(Ask::Chunk))
            .map(|message| v1::DecryptStreamRequest { message: Some(message) });
        let answers = clients.crypto.decrypt_stream(tokio_stream::iter(messages)).await.unwrap();
        slow.push((answers.into_inner(), clients, 0));
    }
    for _ in 0..3 {
        for (answers, _, length) in &mut slow {
            let answer = answers.message().await.unwrap().unwrap();
            *length += chunk(answer).len();
        }
        let fast: Vec<_> = (0..8)
            .map(|_| {
                let (mut clients, name) = (clients.clone(), user.name.clone());
                tokio::spawn(async move {
                    for _ in 0..10 {
                        let content = vec![1; 1000].into();
                        let sign = v1::SignRequest { user: name.clone(), content, form: 0 };
                        clients.crypto.sign(sign).await.unwrap();
                    }
                    let header = v1::EncryptStreamHeader { user: name, ..Default::default() };
                    streams::encrypt(&mut clients, header, &vec![2; 2 << 20]).await.unwrap();
                })
            })
            .collect();
        for call in fast {
            tokio::time::timeout(DEADLINE, call).await.expect("a fast caller waits for a slow one").unwrap();
        }
    }
    let (_, after) = memory_kib(broker);
    // Windows and queues of four streams, and what the fast ones took: never what the slow ones have not read.
    assert!(after <= before + 96 * 1024, "the broker's peak went from {before} to {after} KiB");
    for (mut answers, _clients, mut length) in slow {
        while let Some(answer) = answers.message().await.unwrap() {
            length += chunk(answer).len();
        }
        assert_eq!(length, plaintext.len(), "a slow reader got everything");
    }
}

fn chunk(answer: v1::DecryptStreamResponse) -> Bytes {
    match answer.message.unwrap() {
        v1::decrypt_stream_response::Message::Chunk(chunk) => chunk,
        v1::decrypt_stream_response::Message::Result(_) => Bytes::new(),
    }
}

/// What a process may gain between two thirds of a run, in KiB. Allocators round up and keep what was freed for the next
/// stream, up to 256 MiB in the broker: a short run ends while that is still filling up, a long one does not.
fn growth_kib() -> u64 {
    if soaking() { 24 * 1024 } else { 64 * 1024 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_mixed_load() {
    let minutes = std::env::var("LIFE_SOAK_MINUTES").map_or(60, |text| text.parse().unwrap());
    let time = if soaking() { Duration::from_secs(minutes * 60) } else { Duration::from_secs(20) };
    let seed = Random::seed();
    say(&format!("mixed load for {time:?}: LIFE_LOAD_SEED={seed}"));
    let world = World::start().await;
    let mut clients = world.agent.clients().await;
    let status = clients.status().await;
    let pids = [
        ("broker", status.broker.unwrap().pid),
        ("vault", clients.vault_pid().await),
        ("platform", world.platform.serve_pid()),
    ];
    let end = Instant::now() + time;
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let mut caller = world.caller(seed.wrapping_add(number)).await;
        callers.push(tokio::spawn(async move {
            while Instant::now() < end {
                caller.one().await;
            }
        }));
    }
    let mut samples: Vec<[u64; 3]> = Vec::new();
    while Instant::now() < end {
        tokio::time::sleep(time / 60).await;
        samples.push(pids.map(|(_, pid)| memory_kib(pid).0));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    // The first third warms up: caches fill, pools open, allocators settle.
    let third = samples.len() / 3;
    for (place, (name, _)) in pids.into_iter().enumerate() {
        let median = |part: &[[u64; 3]]| {
            let mut values: Vec<_> = part.iter().map(|sample| sample[place]).collect();
            values.sort_unstable();
            values[values.len() / 2]
        };
        let (middle, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
        say(&format!("{name}: {middle} KiB, then {last} KiB"));
        assert!(last <= middle + growth_kib(), "{name} grew from {middle} to {last} KiB");
    }
    say(&format!("{} operations\n{}", world.shared.done(), world.shared.ledger().report()));
}
