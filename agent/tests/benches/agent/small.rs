//! What most calls are: 4 KiB, signed, for three recipients; and the share of each part.

use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::{Agent, User};
use life_proto::v1;

use crate::measure::{Table, p50, rounds, timed};

/// Measures and adds to the table. The parts are differences between calls that have them and calls that do not.
pub async fn run(table: &mut Table, agent: &Agent, user: &User) {
    let mut clients = agent.clients().await;
    let mut recipients = Vec::new();
    for _ in 0..3 {
        recipients.push(User::register(&mut clients, v1::ParticipantKind::Patient).await.name);
    }
    let request = |recipients: &[String], signing: v1::Signing| v1::EncryptRequest {
        user: user.name.clone(),
        recipients: recipients.to_vec(),
        plaintext: vec![1; 4096].into(),
        signing: signing.into(),
        ..Default::default()
    };
    let whole = request(&recipients, v1::Signing::Sign);
    let unsigned = request(&recipients, v1::Signing::None);
    let alone = request(&[], v1::Signing::None);
    // The first call looks the recipients up.
    encrypt(&mut clients, &whole).await;

    let mut samples: [Vec<Duration>; 4] = Default::default();
    for _ in 0..rounds(300) {
        for (request, samples) in [&whole, &unsigned, &alone].into_iter().zip(&mut samples) {
            samples.push(encrypt(&mut clients, request).await);
        }
        samples[3].push(timed(clients.agent.get_status(v1::GetStatusRequest {})).await.1);
    }
    let [whole, unsigned, alone, transport] = samples.map(p50);
    table.report("encrypt4k.p50", whole, "ms");
    for (part, took) in [
        ("signature", whole - unsigned),
        ("recipients", unsigned - alone),
        ("sender", alone - transport),
        ("transport", transport),
    ] {
        table.report(&format!("encrypt4k.share.{part}"), 100.0 * took / whole, "%");
    }
}

async fn encrypt(clients: &mut Clients, request: &v1::EncryptRequest) -> Duration {
    let (answer, took) = timed(clients.crypto.encrypt(request.clone())).await;
    answer.unwrap();
    took
}
