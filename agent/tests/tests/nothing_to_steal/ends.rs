//! However it comes to an end: the keys are gone, callers learn a stable reason, and what comes next is fresh.

use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::process::{eventually, is_alive};
use life_e2e::scan::{self, Needles};
use life_e2e::{Agent, Platform, Reason, User, skip};
use life_proto::v1;
use rustix::process::Signal;
use v1::ParticipantKind;

use crate::scene::{Pids, assert_gone, broker_forgets, end_by, lock, needles, quick_to_open};

const LIMIT: Duration = Duration::from_secs(10);

/// Clients that sign over and over until one is refused; gives the reasons.
struct Signing(Vec<tokio::task::JoinHandle<tonic::Status>>);

impl Signing {
    async fn start(agent: &Agent, user: &User) -> Self {
        let mut running = Vec::new();
        for _ in 0..4 {
            let (mut clients, user) = (agent.clients().await, user.name.clone());
            let request = v1::SignRequest { user, content: b"x".to_vec().into(), form: 0 };
            clients.crypto.sign(request.clone()).await.unwrap();
            running.push(tokio::spawn(async move {
                loop {
                    if let Err(status) = clients.crypto.sign(request.clone()).await {
                        return status;
                    }
                }
            }));
        }
        Self(running)
    }

    async fn ended(self, what: &str) -> Vec<tonic::Status> {
        let mut statuses = Vec::new();
        for running in self.0 {
            statuses.push(
                tokio::time::timeout(LIMIT, running)
                    .await
                    .unwrap_or_else(|_| panic!("{what}: a call hangs"))
                    .unwrap(),
            );
        }
        statuses
    }
}

async fn scene() -> (Platform, Agent, User, Needles) {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let user = User::register(&mut agent.clients().await, ParticipantKind::Patient).await;
    let needles = needles(&platform, &user);
    let user = quick_to_open(&user);
    (platform, agent, user, needles)
}

/// A vault other than this one.
async fn fresh_vault(clients: &mut Clients, old: u32) -> Pids {
    let end = tokio::time::Instant::now() + LIMIT;
    loop {
        let pids = Pids::of(clients).await;
        if pids.vault != old {
            return pids;
        }
        assert!(tokio::time::Instant::now() < end, "no fresh vault");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn may_look() -> bool {
    skip::needs("that keys are gone however it ends", "only root may look", scan::may_look())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_or_the_vaults_end_takes_the_keys_and_the_next_vault_works() {
    if !may_look() {
        return;
    }
    let (_platform, agent, user, needles) = scene().await;
    let mut clients = agent.clients().await;
    for (what, signal) in [
        ("Lock", None),
        ("SIGKILL", Some(Signal::KILL)),
        ("SIGSEGV", Some(Signal::SEGV)),
        ("SIGABRT", Some(Signal::ABORT)),
        ("SIGSYS", Some(Signal::SYS)),
    ] {
        user.unlock(&mut agent.clients().await).await;
        let before = Pids::of(&mut clients).await;
        let signing = Signing::start(&agent, &user).await;
        let after = match signal {
            None => {
                lock(&mut clients).await;
                before
            }
            Some(signal) => {
                end_by(before.vault, signal);
                fresh_vault(&mut clients, before.vault).await
            }
        };
        for status in signing.ended(what).await {
            let reason = status.reason();
            assert!(
                ["CREDENTIAL_LOCKED", "VAULT_UNAVAILABLE"].contains(&reason.as_str()),
                "{what}: {reason}"
            );
        }
        broker_forgets(after, &needles).await;
        assert_gone(what, after, &needles);
        assert!(clients.status().await.identities.is_empty(), "{what}");
    }
    user.unlock(&mut clients).await;
    let sign = v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    clients.crypto.sign(sign).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_end_is_the_vaults_and_the_next_agent_has_nothing() {
    if !may_look() {
        return;
    }
    let (_platform, mut agent, user, needles) = scene().await;
    for (what, signal) in [("SIGKILL", Signal::KILL), ("SIGSEGV", Signal::SEGV), ("SIGTERM", Signal::TERM)] {
        let mut clients = agent.clients().await;
        user.unlock(&mut clients).await;
        let before = Pids::of(&mut clients).await;
        let signing = Signing::start(&agent, &user).await;
        drop(clients);
        if signal == Signal::TERM {
            agent.broker().signal(signal);
        } else {
            end_by(before.broker, signal);
        }
        for status in signing.ended(what).await {
            // The agent's last word, or none: then the transport says that nobody is there.
            let gone = matches!(
                status.code(),
                tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled
            );
            assert!(
                gone || ["CREDENTIAL_LOCKED", "VAULT_UNAVAILABLE"].contains(&status.reason().as_str()),
                "{what}: {status:?}"
            );
        }
        agent.broker().wait(LIMIT).unwrap_or_else(|| panic!("{what}: the broker does not end"));
        eventually("the vault ends", LIMIT, || !is_alive(before.vault));
        agent.run();
        let mut clients = agent.clients().await;
        let after = Pids::of(&mut clients).await;
        assert_gone(what, after, &needles);
        assert!(clients.status().await.identities.is_empty(), "{what}");
    }
}
