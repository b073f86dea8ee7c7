//! What is left of a key in memory and registers: while it can be used, and after the program was told to forget it.

use life_e2e::scan::{self, Findings, Needles};
use life_e2e::{Agent, User, skip};
use life_proto::v1;

use crate::measure::{Client, Leftovers, Table};
use crate::peers::gpg::Gpg;
use crate::peers::ssh_agent::SshAgent;

/// How often each signs before its memory is looked at.
const SIGNATURES: usize = 50;

/// Looks into our processes and the peers', as root.
pub async fn run(table: &mut Table, agent: &Agent, user: &User, ssh: Option<&SshAgent>, gpg: Option<&Gpg>) {
    if !scan::may_look() {
        skip::skipped("what is left of keys in memory", "only root may look");
        return;
    }
    ours(table, agent, user).await;
    if let Some(ssh) = ssh {
        sign(&mut ssh.client().await).await;
        let key = Needles::new(&ssh.numbers());
        let unlocked = scan::scan(&[ssh.pid()], &key);
        if table.peer(ssh.forget()).is_some() {
            add(table, "ssh-agent", &unlocked, &scan::scan(&[ssh.pid()], &key));
        }
    }
    if let Some(gpg) = gpg
        && let Some(key) = table.peer(gpg.numbers())
        && let Some(mut clients) = table.peer(gpg.clients(1).await)
    {
        sign(&mut clients[0]).await;
        let (pid, key) = (gpg.pid().await, Needles::new(&key));
        let unlocked = scan::scan(&[pid], &key);
        gpg.forget().await;
        add(table, "gpg-agent", &unlocked, &scan::scan(&[pid], &key));
    }
}

async fn ours(table: &mut Table, agent: &Agent, user: &User) {
    let mut clients = agent.clients().await;
    user.unlock(&mut clients).await;
    for _ in 0..SIGNATURES {
        let request =
            v1::SignRequest { user: user.name.clone(), content: b"message".to_vec().into(), form: 0 };
        clients.crypto.sign(request).await.unwrap();
    }
    let pids = [clients.status().await.broker.unwrap().pid, clients.vault_pid().await];
    let key = Needles::new(&scan::keys::of_signature_key(user));
    let unlocked = scan::scan(&pids, &key);
    clients.agent.lock(v1::LockRequest {}).await.unwrap();
    add(table, "life", &unlocked, &scan::scan(&pids, &key));
}

async fn sign(client: &mut impl Client) {
    for _ in 0..SIGNATURES {
        client.once().await;
    }
}

fn add(table: &mut Table, program: &'static str, unlocked: &Findings, locked: &Findings) {
    let counts = |found: &Findings| [found.copies(), found.exposed()];
    table.leftovers(Leftovers { program, unlocked: counts(unlocked), locked: counts(locked) });
}
