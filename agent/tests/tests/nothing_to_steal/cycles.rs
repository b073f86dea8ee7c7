//! Locking and unlocking over and over: nothing grows.

use std::fs;

use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User};
use life_proto::v1::ParticipantKind;

use crate::scene::{Pids, arena_comes_back, fresh_memory, lock, quick_to_open};

/// How often in every run, and in a long one.
const CYCLES: (usize, usize) = (300, 10_000);
/// How often both processes are looked at meanwhile.
const SAMPLES: usize = 60;
/// How much a process may grow over the second half of all cycles, in KiB, by the straight line that fits best: caches fill
/// in the first.
const GROWTH: f64 = 1024.0;

/// How much more of the arena may be taken at the end than after half of the cycles, in bytes: a thread's first work leaves as
/// much. The smallest block, lost in each cycle, is more.
const KEPT: u64 = 1024;

/// What a process has: resident memory in KiB, and descriptors.
fn sample(pid: u32) -> [f64; 2] {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    [memory_kib(pid).0 as f64, descriptors as f64]
}

/// By how much values grow from the first to the last, by the straight line that fits best (least squares).
fn growth(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let from_middle = |index: usize| index as f64 - middle;
    let products = values.iter().enumerate().map(|(index, value)| from_middle(index) * (value - mean));
    let squares = (0..values.len()).map(|index| from_middle(index).powi(2));
    products.sum::<f64>() / squares.sum::<f64>() * (count - 1.0)
}

#[test]
fn growth_is_told_from_noise() {
    let noise = |index: usize| if index.is_multiple_of(2) { 9.0 } else { -9.0 };
    let leak: Vec<_> = (0..40).map(|index| 100.0 + 3.0 * index as f64 + noise(index)).collect();
    assert!((growth(&leak) - 117.0).abs() < 3.0, "{}", growth(&leak));
    let none: Vec<_> = (0..40).map(|index| 100.0 + noise(index)).collect();
    assert!(growth(&none).abs() < 3.0, "{}", growth(&none));
}

#[tokio::test(flavor = "multi_thread")]
async fn locking_and_unlocking_makes_nothing_grow() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    let user = quick_to_open(&user);
    let pids = Pids::of(&mut clients).await;
    let cycles = if std::env::var_os("LIFE_SOAK").is_some() { CYCLES.1 } else { CYCLES.0 };
    let mut samples: [Vec<[f64; 2]>; 2] = Default::default();
    let mut start = None;
    for cycle in 0..cycles {
        user.unlock(&mut clients).await;
        lock(&mut clients).await;
        if cycle == cycles / 2 {
            start = Some(fresh_memory(&mut clients).await);
        }
        if cycle >= cycles / 2 && cycle.is_multiple_of(cycles / 2 / SAMPLES) {
            for (samples, pid) in samples.iter_mut().zip([pids.broker, pids.vault]) {
                samples.push(sample(pid));
            }
        }
    }
    for (name, samples) in ["broker", "vault"].into_iter().zip(samples) {
        assert!(samples.len() >= SAMPLES, "{} samples", samples.len());
        for (what, index, limit) in [("KiB", 0, GROWTH), ("descriptors", 1, 1.0)] {
            let values: Vec<_> = samples.iter().map(|sample| sample[index]).collect();
            assert!(growth(&values) < limit, "{name} grows by {} {what}: {values:?}", growth(&values));
        }
    }
    let start = start.unwrap();
    arena_comes_back(&mut clients, &start, KEPT).await;
    let end = fresh_memory(&mut clients).await;
    assert!(start.used_bytes > 0 && end.used_bytes <= end.peak_bytes, "{end:?}");
    assert!(end.peak_bytes < end.arena_bytes && end.refused_requests == 0, "{end:?}");
    assert_eq!(clients.vault_pid().await, pids.vault, "it is the same vault all the time");
}
