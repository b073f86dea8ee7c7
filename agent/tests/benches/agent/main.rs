//! Measures the agent beside the raw limits of the same machine and beside programs that do similar work, in one run,
//! and prints ratios.
//!
//! The raw limits are AWS-LC in this process (signing) and a plain tonic echo over a Unix socket with the agent's own
//! transport settings (streams, small calls); the others are Debian's ssh-agent, gpg-agent, age, gpg and nginx. Writes
//! `target/bench/summary.json`: a list of `{name, value, unit, ratio, against}`; a ratio is ours / theirs. Ends with a
//! failure when a peer is missing.
//!
//! `LIFE_BENCH_ONLY` names the parts to run, separated by commas: signing, streaming, small, files,
//! leftovers, api, start. With
//! `LIFE_BENCH_QUICK` everything is short, and figures mean nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement fails by panicking"
)]

mod api;
mod echo;
mod files;
mod leftovers;
mod measure;
mod peers;
mod signing;
mod small;
mod start;
mod streaming;

use std::process::ExitCode;

use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User};
use life_proto::v1;
use v1::new_software_certificate::KeyAlgorithm;

use crate::measure::{Table, is_quick};
use crate::peers::gpg::Gpg;
use crate::peers::ssh_agent::SshAgent;

fn main() -> ExitCode {
    // `cargo bench` passes --bench; `cargo test --benches` passes nothing: then there is nothing to do.
    if !std::env::args().any(|argument| argument == "--bench" || argument == echo::ARGUMENT) {
        return ExitCode::SUCCESS;
    }
    life_sys::malloc::keep_large_blocks();
    // One thread, as the agent has for its transport: a call that waits on another thread than the one that reads its
    // answer is woken twice.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(at) = std::env::args().position(|argument| argument == echo::ARGUMENT) {
        let socket = std::env::args().nth(at + 1).unwrap();
        runtime.block_on(echo::serve(socket.as_ref()));
        return ExitCode::SUCCESS;
    }
    let mut table = Table::default();
    runtime.block_on(run(&mut table));
    table.finish()
}

/// Whether this part is asked for.
fn wanted(part: &str) -> bool {
    std::env::var("LIFE_BENCH_ONLY").map_or(true, |only| only.split(',').any(|name| name == part))
}

async fn run(table: &mut Table) {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let kind = v1::ParticipantKind::Institution;
    let user = User::register_with(&mut clients, kind, KeyAlgorithm::Rsa3072).await;
    user.unlock(&mut clients).await;

    // One after the other: what is not measured stands still.
    let ssh = table.peer(SshAgent::start().await);
    let ssh = ssh.filter(|ssh| table.peer(ssh.add_key()).is_some());
    let gpg = table.peer(Gpg::start().await);
    let gpg = gpg.filter(|gpg| table.peer(gpg.add_key()).is_some());
    if wanted("signing") {
        signing::run(table, &agent, &user, ssh.as_ref(), gpg.as_ref()).await;
    }
    // Its rounds are long, and there is nothing in it that a quick run could find out.
    if wanted("streaming") && !is_quick() {
        streaming::run(table, &agent, &user).await;
    }
    if wanted("small") {
        small::run(table, &agent, &user).await;
    }
    if wanted("files") {
        files::measure(table, &agent, &user, gpg.as_ref());
    }
    let rss = |pid| memory_kib(pid).0 as f64 / 1024.0;
    table.report("broker.rss", rss(clients.status().await.broker.unwrap().pid), "MiB");
    table.report("vault.rss", rss(clients.vault_pid().await), "MiB");
    if wanted("leftovers") {
        leftovers::run(table, &agent, &user, ssh.as_ref(), gpg.as_ref()).await;
    }
    drop((clients, agent, ssh, gpg));
    if wanted("api") {
        api::run(table, &platform).await;
    }
    if wanted("start") {
        start::run(table, &platform).await;
    }
}
