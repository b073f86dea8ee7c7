//! Measures the agent beside the raw limits of the same machine, in one run, and prints ratios.
//!
//! The raw limits are AWS-LC in this process (signing) and a plain tonic echo over a Unix socket with the agent's own
//! transport settings (streams, small calls). Writes `target/bench/summary.json`: a list of
//! `{name, value, unit, ratio, against}`; a ratio is ours / theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

mod echo;
mod measure;
mod signing;
mod streaming;

use life_e2e::{Agent, Platform, User};
use life_proto::v1;
use v1::new_software_certificate::KeyAlgorithm;

use crate::measure::Table;

fn main() {
    // `cargo bench` passes --bench; `cargo test --benches` passes nothing: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench" || argument == echo::ARGUMENT) {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    if let Some(at) = std::env::args().position(|argument| argument == echo::ARGUMENT) {
        let socket = std::env::args().nth(at + 1).unwrap();
        runtime.block_on(echo::serve(socket.as_ref()));
        return;
    }
    let table = runtime.block_on(async {
        let platform = Platform::start();
        let agent = Agent::start(&platform);
        let mut clients = agent.clients().await;
        let kind = v1::ParticipantKind::Institution;
        let user = User::register_with(&mut clients, kind, KeyAlgorithm::Rsa3072).await;
        user.unlock(&mut clients).await;
        let mut table = Table::default();
        signing::run(&mut table, &agent, &user).await;
        streaming::run(&mut table, &agent, &user).await;
        let (rss, _) = life_e2e::process::memory_kib(clients.status().await.broker.unwrap().pid);
        table.report("broker.rss", rss as f64 / 1024.0, "MiB");
        let (rss, _) = life_e2e::process::memory_kib(clients.vault_pid().await);
        table.report("vault.rss", rss as f64 / 1024.0, "MiB");
        table
    });
    table.finish();
}
