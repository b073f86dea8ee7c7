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
    platform_is_whole(&world.platform, listed.len());
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
fn platform_is_whole(platform: &Platform, messages: usize) {
    let database = Connection::open(platform.database()).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let pending: usize = database.query_row("SELECT COUNT(*) FROM pending", [], |row| row.get(0)).unwrap();
    let count = |name: &str| {
        std::fs::read_dir(platform.dir().join("serve/data").join(name)).map_or(0, Iterator::count)
    };
    assert_eq!(count("blobs"), messages + pending, "{messages} messages and {pending} pending");
    // Whole files that nobody was told of yet may lie in quarantine: no row names them, and none is removed unasked.
    assert_eq!(count("incoming"), 0);
}
