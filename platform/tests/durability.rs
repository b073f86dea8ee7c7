//! SIGKILL in the middle of writes: what was acknowledged is there, what was not is there whole or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::client::Client;
use support::content::{envelope, stream};
use support::{Agent, Options, Platform};

/// What the writers know: content by message id, and what was acknowledged.
#[derive(Default)]
struct Ledger {
    sent: BTreeMap<String, Vec<u8>>,
    stored: BTreeSet<String>,
    delete_sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_kill_loses_nothing_that_was_acknowledged() {
    let rounds = if std::env::var_os("LIFE_SOAK").is_some() { 200 } else { 20 };
    let mut platform = Platform::start_with(&Options {
        config: "[limits]\ndeposits_per_minute = 0\nshare_deposits_per_minute = 0\n",
        ..Options::default()
    });
    let agent = Arc::new(Agent::register(&platform).await);
    let key = agent.draft.root.public_key().clone();
    let contents = Arc::new([envelope(b"small", &key), stream(300_000, &key), stream(3_000_000, &key)]);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    for round in 0..rounds {
        let client = agent.client.at(platform.address);
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (client, agent, contents, ledger) =
                    (client.clone(), Arc::clone(&agent), Arc::clone(&contents), Arc::clone(&ledger));
                tokio::spawn(async move { write(&client, &agent, &*contents, &ledger, round, writer).await })
            })
            .collect();
        // From before the first write to well into the stream of them.
        tokio::time::sleep(Duration::from_millis(5 + (round * 37) % 180)).await;
        platform.kill_serve();
        for writer in writers {
            writer.await.unwrap();
        }
        platform.start_serve();
        verify(&agent.client.at(platform.address), &platform, &ledger).await;
    }
    let ledger = ledger.lock().unwrap();
    assert!(
        ledger.stored.len() > usize::try_from(rounds).unwrap(),
        "only {} were stored",
        ledger.stored.len()
    );
    assert!(ledger.sent.len() > ledger.stored.len(), "no write was ever cut off");
}

/// Deposits, and deletes some again, until the server is gone.
async fn write(
    client: &Client,
    agent: &Agent,
    contents: &[Vec<u8>],
    ledger: &Mutex<Ledger>,
    round: u64,
    writer: u64,
) {
    for count in 0u64.. {
        let id = format!("r{round}-w{writer}-{count}");
        let content = contents[usize::try_from(count + writer).unwrap() % contents.len()].clone();
        ledger.lock().unwrap().sent.insert(id.clone(), content.clone());
        let put = support::client::octets("PUT", &agent.inbox(&id), content);
        match client.try_send(put).await {
            Ok(reply) if reply.status == 201 => {}
            Ok(reply) => panic!("{}: {}", reply.status, reply.reason()),
            Err(_) => return,
        }
        let path = format!("{}/receipt", agent.inbox(&id));
        let publish = support::client::json_request("POST", &path, &serde_json::json!({}));
        match client.try_send(publish).await {
            Ok(reply) if reply.status == 200 => drop(ledger.lock().unwrap().stored.insert(id.clone())),
            Ok(reply) => panic!("{}: {}", reply.status, reply.reason()),
            Err(_) => return,
        }
        if count % 3 == 1 {
            ledger.lock().unwrap().delete_sent.insert(id.clone());
            let delete = support::client::request("DELETE", &format!("/v1/inbox/{id}"), "");
            match client.try_send(delete).await {
                Ok(reply) if reply.status == 204 => drop(ledger.lock().unwrap().deleted.insert(id)),
                Ok(reply) => panic!("{}: {}", reply.status, reply.reason()),
                Err(_) => return,
            }
        }
    }
}

async fn verify(client: &Client, platform: &Platform, ledger: &Mutex<Ledger>) {
    let (mut listed, mut path) = (BTreeMap::new(), "/v1/inbox?limit=1000".to_owned());
    loop {
        let page = client.get(&path).await.expect(200).json();
        for message in page["messages"].as_array().unwrap() {
            let id = message["message_id"].as_str().unwrap().to_owned();
            listed.insert(id, message["size"].as_u64().unwrap());
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/inbox?limit=1000&after={next}"),
            None => break,
        }
    }
    let newest = {
        let ledger = ledger.lock().unwrap();
        for id in &ledger.stored {
            let there = listed.contains_key(id);
            assert!(there || ledger.delete_sent.contains(id), "{id} was acknowledged and is lost");
            assert!(!there || !ledger.deleted.contains(id), "{id} was deleted and is back");
        }
        for (id, size) in &listed {
            assert_eq!(ledger.sent[id].len() as u64, *size, "{id} is not whole");
        }
        listed.keys().rev().take(8).map(|id| (id.clone(), ledger.sent[id].clone())).collect::<Vec<_>>()
    };
    for (id, content) in newest {
        let got = client.get(&format!("/v1/inbox/{id}")).await.expect(200).body;
        assert!(got == content, "{id} is damaged");
    }
    // No orphans: one file for each message, visible or not yet, and nothing on the way.
    let data = platform.root().join("serve/data");
    let database = rusqlite::Connection::open(data.join("platform.db")).unwrap();
    let pending: usize = database.query_row("SELECT COUNT(*) FROM pending", [], |row| row.get(0)).unwrap();
    assert_eq!(std::fs::read_dir(data.join("blobs")).unwrap().count(), listed.len() + pending);
    assert_eq!(std::fs::read_dir(data.join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_lost_database_takes_no_content_with_it() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let content = envelope(b"x", agent.draft.root.public_key());
    for id in ["kept", "deleted"] {
        agent.client.deposit(&agent.inbox(id), content.clone()).await;
    }
    let data = platform.root().join("serve/data");
    let (database, blobs, quarantine) =
        (data.join("platform.db"), data.join("blobs"), data.join("quarantine"));
    let count = |folder: &std::path::Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
    platform.serve().terminate();
    platform.kill_serve();

    // Neither without the database, nor with an empty one, does anything begin; and nothing is made or removed.
    let away = data.join("away.db");
    std::fs::rename(&database, &away).unwrap();
    for empty in [false, true] {
        if empty {
            std::fs::write(&database, b"").unwrap();
        }
        for command in [&["serve"][..], &["registrar", "list"]] {
            let output = platform.command(command, &[]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{said}");
            assert!(said.contains("backup"), "{said}");
        }
        assert_eq!((database.exists(), count(&blobs)), (empty, 2));
    }
    std::fs::rename(&away, &database).unwrap();
    platform.stop_ca();
    std::fs::rename(platform.root().join("ca/ca.db"), &away).unwrap();
    assert_eq!(platform.command(&["ca"], &[]).status.code(), Some(78));
    std::fs::rename(&away, platform.root().join("ca/ca.db")).unwrap();

    // What the database does not name is moved away, what it says is to be removed is removed.
    std::fs::write(blobs.join("unknown"), b"of a database that was lost").unwrap();
    platform.start_serve();
    assert_eq!((count(&blobs), count(&quarantine)), (2, 1));
    let client = agent.client.at(platform.address);
    assert_eq!(client.get("/v1/inbox/kept").await.expect(200).body, content);
    let before: BTreeSet<_> = std::fs::read_dir(&blobs).unwrap().map(|entry| entry.unwrap().path()).collect();
    client.delete("/v1/inbox/deleted").await.expect(204);
    let deleted = before.iter().find(|path| !path.exists()).unwrap();
    platform.kill_serve();
    // As if the process had been killed before it removed the file.
    std::fs::write(deleted, &content).unwrap();
    platform.start_serve();
    assert_eq!((count(&blobs), count(&quarantine)), (1, 1));
}
