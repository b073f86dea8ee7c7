//! The end: everything runs again, and what was acknowledged is there, whole; nothing else is.

use std::collections::BTreeSet;
use std::path::Path;

use life_proto::v1;
use rusqlite::Connection;

use super::{Caller, Refused, World};
use crate::Platform;
use crate::agent::Clients;

/// As many messages are read again; all are listed.
const READ: usize = 400;

/// Compares what callers were told with what there is.
pub async fn verify(world: &mut World, caller: &mut Caller) {
    let shared = world.shared.clone();
    for user in 0..shared.users.len() {
        caller.unlock(user).await.unwrap();
    }
    let listed = inboxes(caller).await.unwrap();
    let messages = shared.ledger().messages.clone();
    for (id, message) in &messages {
        let there = listed.contains(&(message.to, id.clone()));
        assert!(there || !message.acknowledged || message.delete_tried, "{id} was acknowledged and is lost");
        assert!(!there || !message.deleted, "{id} was deleted and is back");
    }
    for (_, id) in &listed {
        assert!(messages.contains_key(id), "{id} was never sent");
    }
    // What is there is whole, acknowledged or not.
    let step = listed.len().div_ceil(READ).max(1);
    for (_, id) in listed.iter().step_by(step) {
        caller.fetch(id, &messages[id]).await.unwrap();
    }
    let envelopes = shared.ledger().envelopes.clone();
    for envelope in &envelopes {
        caller.open(envelope).await.unwrap();
    }
    documents(caller).await.unwrap();
    lookups(caller).await.unwrap();
    let registered = shared.ledger().registered.clone();
    for user in registered.iter().rev().take(10) {
        let request = user.unlock_request();
        let unlock = |mut it: Clients| async move { crate::users::unlock(&mut it, request).await };
        caller.call("unlock", &[], unlock).await.unwrap();
    }
    let left: Vec<_> = std::fs::read_dir(&shared.folder).unwrap().collect();
    assert!(left.is_empty(), "files are left: {left:?}");
    nothing_half_written(&world.agent.state());
    // What a crash leaves is taken away at the next start.
    world.platform.kill_serve();
    world.platform.start_serve();
    platform_is_whole(&world.platform);
}

async fn inboxes(caller: &mut Caller) -> Result<BTreeSet<(usize, String)>, Refused> {
    let mut listed = BTreeSet::new();
    for user in 0..caller.shared.users.len() {
        let mut page_token = String::new();
        loop {
            let name = caller.shared.users[user].name.clone();
            let request = v1::ListMessagesRequest { user: name, page_size: 500, page_token };
            let list = |mut it: Clients| async move { it.messages.list(request).await };
            let page = caller.call("list messages", &[], list).await?.into_inner();
            listed.extend(page.messages.into_iter().map(|message| (user, message.message_id)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
    }
    Ok(listed)
}

async fn documents(caller: &mut Caller) -> Result<(), Refused> {
    let documents = caller.shared.ledger().documents.clone();
    for (id, document) in documents {
        if document.acknowledged > 0 && !document.delete_tried {
            for who in [document.owner, document.reader] {
                caller.check_document(&id, who, document.acknowledged).await?;
            }
        }
        if document.deleted {
            let user = caller.shared.users[document.owner].clone();
            let get = |mut it: Clients| async move { crate::documents::get(&mut it, &user, &id).await };
            let gone = caller.call("get", &["DOCUMENT_NOT_FOUND"], get).await;
            let back = gone.is_ok_and(|document| document.status() != v1::DocumentStatus::Deleted);
            assert!(!back, "a document was deleted and is back");
        }
    }
    Ok(())
}

async fn lookups(caller: &mut Caller) -> Result<(), Refused> {
    let lookups = caller.shared.ledger().lookups.clone();
    for ((who, peer), learnt) in lookups.into_iter().filter(|((who, peer), _)| who != peer) {
        let users = &caller.shared.users;
        let request =
            v1::LookupUserRequest { name: users[peer].name.clone(), caller: users[who].name.clone() };
        let look = |mut it: Clients| async move { it.directory.lookup_user(request).await };
        let found = caller.call("look up", &[], look).await?.into_inner().user.unwrap();
        let first_seen = found.first_seen_time.map_or(0, |time| time.seconds);
        assert_eq!(first_seen, learnt.first_seen, "a pin was lost");
    }
    Ok(())
}

/// No file of the agent's own is there under a name that it only has in the meantime.
fn nothing_half_written(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            nothing_half_written(&path);
        } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!name.starts_with('.') && !name.contains("tmp"), "{} is left", path.display());
        }
    }
}

/// The database is sound, and names every file there is.
fn platform_is_whole(platform: &Platform) {
    let database = Connection::open(platform.database()).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let named = |sql: &str| -> BTreeSet<String> {
        let mut rows = database.prepare(sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let there = named(
        "SELECT blob FROM message WHERE blob IS NOT NULL UNION SELECT blob FROM pending UNION \
         SELECT blob FROM document WHERE blob IS NOT NULL",
    );
    let coming = named("SELECT blob FROM document_upload");
    let files = |name: &str| -> BTreeSet<String> {
        let folder = std::fs::read_dir(platform.dir().join("serve/data").join(name)).unwrap();
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let blobs = files("blobs");
    let missing: Vec<_> = there.difference(&blobs).collect();
    assert!(missing.is_empty(), "files are missing: {missing:?}");
    let strays: Vec<_> =
        blobs.iter().filter(|name| !there.contains(*name) && !coming.contains(*name)).collect();
    assert!(strays.is_empty(), "nothing names {strays:?}");
    // Whole files that nobody was told of yet may lie in quarantine: no row names them, and none is removed unasked.
    let left: Vec<_> = files("incoming").into_iter().filter(|name| !coming.contains(name)).collect();
    assert!(left.is_empty(), "half a file is left: {left:?}");
}
