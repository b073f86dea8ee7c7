//! Faults: SIGKILL to platform, broker or vault, at moments that a seed chooses.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;

use super::{Random, Shared, World};
use crate::process::signal_pid;
use crate::{Agent, Platform};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The broker, and with it the vault.
    Broker,
    /// The platform's server, at times its CA too.
    Platform,
    /// The vault.
    Vault,
}

/// Kills, and starts again what does not come back by itself.
pub struct Faults {
    random: Random,
    /// What is killed in this round.
    round: Vec<Fault>,
    /// What was killed so far.
    pub killed: Vec<Fault>,
}

impl Faults {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), round: Vec::new(), killed: Vec::new() }
    }

    /// The next one: each kind comes once a round, in any order.
    fn next(&mut self) -> Fault {
        if self.round.is_empty() {
            self.round = vec![Fault::Broker, Fault::Platform, Fault::Vault];
        }
        let place = self.random.below(self.round.len());
        self.round.swap_remove(place)
    }

    /// Kills again and again, until so many operations are over.
    pub async fn run(&mut self, world: &mut World, operations: usize) {
        let shared = world.shared.clone();
        let mut due = 10;
        while shared.done() < operations {
            if shared.done() < due {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            due = shared.done() + 30 + self.random.below(40);
            let fault = self.next();
            self.killed.push(fault);
            match fault {
                Fault::Broker => self.kill_broker(&mut world.agent, &shared).await,
                Fault::Platform => self.kill_platform(&mut world.platform).await,
                Fault::Vault => kill_vault(&world.agent).await,
            }
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.random.number() % 400)).await;
    }

    async fn kill_broker(&mut self, agent: &mut Agent, shared: &Arc<Shared>) {
        // Told before it happens: who gets an error from now on may have got it from this.
        shared.epoch.fetch_add(1, Ordering::SeqCst);
        tokio::task::block_in_place(|| agent.kill());
        self.pause().await;
        tokio::task::block_in_place(|| agent.run());
        shared.epoch.fetch_add(1, Ordering::SeqCst);
    }

    async fn kill_platform(&mut self, platform: &mut Platform) {
        let with_ca = self.random.below(3) == 0;
        tokio::task::block_in_place(|| {
            platform.kill_serve();
            if with_ca {
                platform.kill_ca();
            }
        });
        self.pause().await;
        tokio::task::block_in_place(|| {
            if with_ca {
                platform.start_ca();
            }
            platform.start_serve();
        });
    }
}

async fn kill_vault(agent: &Agent) {
    let vault = agent.clients().await.vault_pid().await;
    signal_pid(vault, Signal::KILL);
}
