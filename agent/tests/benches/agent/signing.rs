//! Signing and unwrapping: RSA-3072, serially and by 16 clients, beside AWS-LC in this process on all cores and beside
//! the agents of OpenSSH and GnuPG.

use std::time::{Duration, Instant};

use life_e2e::agent::Clients;
use life_e2e::{Agent, User};
use life_pki::PrivateKey;
use life_proto::v1;

use crate::echo;
use crate::measure::{Call, Client, Table, p50, rounds, throughput, timed, window};
use crate::peers::gpg::Gpg;
use crate::peers::ssh_agent::SshAgent;

/// Operations in each round.
const EACH: usize = 100;
/// Clients at once.
const MANY: usize = 16;

/// Measures and adds to the table.
pub async fn run(table: &mut Table, agent: &Agent, user: &User, ssh: Option<&SshAgent>, gpg: Option<&Gpg>) {
    let mut clients = agent.clients().await;
    let key = PrivateKey::generate_rsa(3072).unwrap();
    serial(table, &mut clients, user, &key, ssh, gpg).await;

    let limit = raw_throughput(&key);
    let signed = throughput(callers(agent, |clients| sign(clients, user)).await).await;
    table.compare("sign.clients16.throughput", signed, "op/s", "raw AWS-LC, all cores", limit);
    if let Some(ssh) = ssh {
        let mut signers = Vec::new();
        for _ in 0..MANY {
            signers.push(ssh.client().await);
        }
        let theirs = throughput(signers).await;
        table.compare("sign.clients16.throughput.ssh-agent", signed, "op/s", "ssh-agent", theirs);
    }
    if let Some(gpg) = gpg
        && let Some(signers) = table.peer(gpg.clients(MANY).await)
    {
        let theirs = throughput(signers).await;
        table.compare("sign.clients16.throughput.gpg-agent", signed, "op/s", "gpg-agent", theirs);
    }

    let request = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: vec![1; 64].into(),
        signing: v1::Signing::None.into(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(request).await.unwrap().into_inner().envelope;
    let open = |mut clients: Clients| {
        let request = v1::DecryptRequest {
            user: user.name.clone(),
            envelope: sealed.clone(),
            accept_unsigned: true,
            ..Default::default()
        };
        async move { clients.crypto.decrypt(request).await.map(|_| ()) }
    };
    let opened = throughput(callers(agent, open).await).await;
    table.compare("unwrap.clients16.throughput", opened, "op/s", "raw AWS-LC, all cores", limit);

    let bare = echo::Server::start();
    let mut client = bare.client().await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds(1000) {
        theirs.push(timed(client.agent.get_status(v1::GetStatusRequest {})).await.1);
        ours.push(timed(clients.agent.get_status(v1::GetStatusRequest {})).await.1);
    }
    table.compare("unary.status.p50", p50(ours), "ms", "bare tonic echo", p50(theirs));
}

/// One after the other; the rounds are interleaved, so that a machine that slows down slows all.
async fn serial(
    table: &mut Table,
    clients: &mut Clients,
    user: &User,
    key: &PrivateKey,
    ssh: Option<&SshAgent>,
    gpg: Option<&Gpg>,
) {
    let mut ssh = match ssh {
        Some(ssh) => Some(ssh.client().await),
        None => None,
    };
    let mut gpg = match gpg {
        Some(gpg) => table.peer(gpg.clients(1).await).and_then(|mut clients| clients.pop()),
        None => None,
    };
    let (mut raw, mut ours) = (Vec::new(), Vec::new());
    let (mut by_ssh, mut by_gpg) = (Vec::new(), Vec::new());
    for _ in 0..rounds(4) {
        for _ in 0..rounds(EACH) {
            let start = Instant::now();
            key.sign(b"message").unwrap();
            raw.push(start.elapsed());
        }
        for _ in 0..rounds(EACH) {
            let (signed, took) = timed(sign(clients.clone(), user)).await;
            signed.unwrap();
            ours.push(took);
        }
        several(&mut ssh, &mut by_ssh).await;
        several(&mut gpg, &mut by_gpg).await;
    }
    let ours = p50(ours);
    table.compare("sign.serial.p50", ours, "ms", "raw AWS-LC RSA-3072", p50(raw));
    for (name, theirs) in [("ssh-agent", by_ssh), ("gpg-agent", by_gpg)] {
        if !theirs.is_empty() {
            table.compare(&format!("sign.serial.p50.{name}"), ours, "ms", name, p50(theirs));
        }
    }
}

/// A round of a peer's, if it is there.
async fn several(client: &mut Option<impl Client>, samples: &mut Vec<Duration>) {
    if let Some(client) = client {
        for _ in 0..rounds(EACH) / 2 {
            samples.push(timed(client.once()).await.1);
        }
    }
}

async fn sign(mut clients: Clients, user: &User) -> Result<(), tonic::Status> {
    let request = v1::SignRequest {
        user: user.name.clone(),
        content: b"message".to_vec().into(),
        form: v1::SignatureForm::Detached.into(),
    };
    clients.crypto.sign(request).await.map(drop)
}

/// Callers with a connection each.
async fn callers<F: Clone>(agent: &Agent, call: F) -> Vec<Call<F>> {
    let mut all = Vec::new();
    for _ in 0..MANY {
        all.push(Call::new(agent.clients().await, call.clone()));
    }
    all
}

/// Signatures a second in this process, one thread a core.
fn raw_throughput(key: &PrivateKey) -> f64 {
    let cores = std::thread::available_parallelism().unwrap().get();
    let pkcs8 = key.to_pkcs8();
    let counts: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(move || {
                    // EXPOSE: a key of this measurement alone.
                    let key = PrivateKey::from_pkcs8(pkcs8.expose()).unwrap();
                    let (start, mut count) = (Instant::now(), 0);
                    while start.elapsed() < window() {
                        key.sign(b"message").unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    counts.iter().sum::<u64>() as f64 / window().as_secs_f64()
}
