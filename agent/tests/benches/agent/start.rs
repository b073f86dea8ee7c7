//! From exec to the first answer, and what an idle agent takes up.

use std::process::Stdio;
use std::time::{Duration, Instant};

use life_e2e::agent::{Clients, channel};
use life_e2e::process::{Process, memory_kib};
use life_e2e::{Agent, Platform};
use life_proto::v1;

use crate::measure::{self, Table, p50, rounds};
use crate::peers::gpg::Gpg;
use crate::peers::ssh_agent::SshAgent;

/// Measures and adds to the table.
pub async fn run(table: &mut Table, platform: &Platform) {
    let agent = Agent::prepare(platform, "");
    let (mut answered, mut vaults) = (Vec::new(), Vec::new());
    let (mut by_ssh, mut by_gpg) = (Vec::new(), Vec::new());
    let mut memory = (0.0, 0.0);
    // The first start makes the folders.
    for round in 0..=rounds(10) {
        let start = Instant::now();
        let process = Process::new(agent.command().stderr(Stdio::null()).spawn().unwrap());
        drop(measure::connect(&agent.socket()).await);
        let mut clients = Clients::over(channel(agent.socket()).await);
        clients.agent.get_status(v1::GetStatusRequest {}).await.unwrap();
        let ready = start.elapsed();
        let vault = clients.vault_pid().await;
        if round > 0 {
            answered.push(ready);
            vaults.push(start.elapsed());
            by_ssh.extend(table.peer(SshAgent::start().await).map(|agent| agent.ready));
            by_gpg.extend(table.peer(Gpg::start().await).map(|gpg| gpg.ready));
        }
        let mib = |pid| memory_kib(pid).0 as f64 / 1024.0;
        memory = (mib(process.pid()), mib(vault));
        drop(clients);
        end(process).await;
    }
    let ready = p50(answered);
    table.report("start.ready", ready, "ms");
    for (name, theirs) in [("ssh-agent", by_ssh), ("gpg-agent", by_gpg)] {
        if !theirs.is_empty() {
            table.compare(&format!("start.ready.{name}"), ready, "ms", name, p50(theirs));
        }
    }
    table.report("start.vault", p50(vaults), "ms");
    table.report("idle.rss", memory.0 + memory.1, "MiB");
    table.report("idle.rss.broker", memory.0, "MiB");
    table.report("idle.rss.vault", memory.1, "MiB");
}

/// An orderly end, so that the next start finds nothing of this one.
async fn end(mut process: Process) {
    process.signal(rustix::process::Signal::TERM);
    assert!(process.wait(Duration::from_secs(20)).is_some());
}
