//! Api.Call with answers of 1 KiB, beside nginx as a mutual-TLS proxy in front of the same upstream, another nginx.

use std::time::Instant;

use life_e2e::agent::Clients;
use life_e2e::calls::{call, header};
use life_e2e::nginx::Nginx;
use life_e2e::{Agent, Platform, User};
use life_proto::v1;

use crate::measure::{Call, Client, Table, p50, rounds, throughput};
use crate::peers::nginx::{PATH, Proxy, SIZE, find, location};

/// Measures and adds to the table. The agent needs the upstream too: without nginx nothing is measured.
pub async fn run(table: &mut Table, platform: &Platform) {
    if table.peer(find()).is_none() {
        return;
    }
    let mut upstream = Nginx::start(platform, &location());
    let proxy = Proxy::start(&mut upstream);
    let agent = Agent::start_with(platform, &upstream.section(""));
    let user = User::ready(&mut agent.clients().await, v1::ParticipantKind::Institution).await;

    let ours = |clients| Call::new(clients, |clients| get(clients, &user));
    let (mut mine, mut nginx) = (ours(agent.clients().await), proxy.client().await);
    let (mut samples, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds(5) {
        several(&mut mine, &mut samples).await;
        several(&mut nginx, &mut theirs).await;
    }
    table.compare("api.serial.p50", p50(samples), "ms", "nginx, mutual TLS", p50(theirs));

    let (mut mine, mut nginx) = (Vec::new(), Vec::new());
    for _ in 0..16 {
        mine.push(ours(agent.clients().await));
        nginx.push(proxy.client().await);
    }
    let (samples, theirs) = (throughput(mine).await, throughput(nginx).await);
    table.compare("api.clients16.throughput", samples, "op/s", "nginx, mutual TLS", theirs);
}

async fn several(client: &mut impl Client, samples: &mut Vec<std::time::Duration>) {
    for _ in 0..rounds(400) {
        let start = Instant::now();
        client.once().await;
        samples.push(start.elapsed());
    }
}

async fn get(mut clients: Clients, user: &User) -> Result<(), tonic::Status> {
    let header = v1::CallHeader { content_length: Some(0), ..header(user, "GET", PATH) };
    let answered = call(&mut clients, header, b"").await?;
    assert_eq!((answered.head.status, answered.body.len()), (200, SIZE));
    Ok(())
}
