//! Signing and unwrapping: RSA-3072, serially and by 16 clients, beside AWS-LC in this process on all cores.

use std::time::{Duration, Instant};

use life_e2e::agent::Clients;
use life_e2e::{Agent, User};
use life_pki::PrivateKey;
use life_proto::v1;

use crate::echo;
use crate::measure::{Table, p50, timed};

const SERIAL: usize = 400;
const WINDOW: Duration = Duration::from_secs(3);

/// Measures and adds to the table.
pub async fn run(table: &mut Table, agent: &Agent, user: &User) {
    let key = PrivateKey::generate_rsa(3072).unwrap();
    let mut raw = Vec::new();
    let mut ours = Vec::new();
    let mut clients = agent.clients().await;
    // Interleaved, so that a machine that slows down slows both.
    for _ in 0..4 {
        for _ in 0..SERIAL / 4 {
            let start = Instant::now();
            key.sign(b"message").unwrap();
            raw.push(start.elapsed());
        }
        for _ in 0..SERIAL / 4 {
            ours.push(timed(clients.crypto.sign(sign_request(user))).await.1);
        }
    }
    table.compare("sign.serial.p50", p50(ours), "ms", "raw AWS-LC RSA-3072", p50(raw));

    let limit = raw_throughput(&key);
    let signed = throughput(agent, |mut clients| {
        let request = sign_request(user);
        async move { clients.crypto.sign(request).await.map(|_| ()) }
    })
    .await;
    table.compare("sign.clients16.throughput", signed, "op/s", "raw AWS-LC, all cores", limit);

    let request = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: vec![1; 64].into(),
        signing: v1::Signing::None.into(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(request).await.unwrap().into_inner().envelope;
    let opened = throughput(agent, |mut clients| {
        let request = v1::DecryptRequest {
            user: user.name.clone(),
            envelope: sealed.clone(),
            accept_unsigned: true,
            ..Default::default()
        };
        async move { clients.crypto.decrypt(request).await.map(|_| ()) }
    })
    .await;
    table.compare("unwrap.clients16.throughput", opened, "op/s", "raw AWS-LC, all cores", limit);

    let bare = echo::Server::start();
    let mut client = bare.client().await;
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        theirs.push(timed(client.agent.get_status(v1::GetStatusRequest {})).await.1);
        ours.push(timed(clients.agent.get_status(v1::GetStatusRequest {})).await.1);
    }
    table.compare("unary.status.p50", p50(ours), "ms", "bare tonic echo", p50(theirs));
}

fn sign_request(user: &User) -> v1::SignRequest {
    v1::SignRequest {
        user: user.name.clone(),
        content: b"message".to_vec().into(),
        form: v1::SignatureForm::Detached.into(),
    }
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
                    while start.elapsed() < WINDOW {
                        key.sign(b"message").unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    counts.iter().sum::<u64>() as f64 / WINDOW.as_secs_f64()
}

/// Calls a second by 16 clients, each with a connection of its own.
async fn throughput<F>(agent: &Agent, call: impl Fn(Clients) -> F) -> f64
where
    F: Future<Output = Result<(), tonic::Status>> + Send,
{
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(agent.clients().await);
    }
    let start = Instant::now();
    let loops = all.into_iter().map(|clients| {
        let call = &call;
        async move {
            let mut count = 0u64;
            while start.elapsed() < WINDOW {
                call(clients.clone()).await.unwrap();
                count += 1;
            }
            count
        }
    });
    let counts = futures_util::future::join_all(loops).await;
    counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64()
}
