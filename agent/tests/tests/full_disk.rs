//! A state folder that is full or read-only: refused with a reason, nothing lost, and well again when there is room.
//!
//! The agent runs in a mount namespace of its own, with a small tmpfs as state folder. That needs root, or user
//! namespaces; where neither is to be had the test fails, unless LIFE_ALLOW_SKIP is set.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use life_e2e::{Agent, Platform, Reason, User, skip, streams, users};
use life_proto::v1;
use v1::ParticipantKind;

fn can_mount() -> bool {
    let probe = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let can = probe.is_ok_and(|out| out.status.success());
    skip::needs("state folders that are full or read-only", "mounting needs root", can)
}

/// The state folder as the agent sees it, from outside its mount namespace.
fn state(agent: &Agent, pid: u32) -> std::path::PathBuf {
    let path = agent.state();
    std::path::Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_state_folder() {
    if !can_mount() {
        return;
    }
    let platform = Platform::start();
    let mut agent = Agent::prepare(&platform, "[directory]\nrefresh_seconds = 0\n");
    agent.mount_state("size=512k,mode=700");
    agent.run();
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let known = User::register(&mut clients, ParticipantKind::Patient).await;
    let stranger = User::register(&mut clients, ParticipantKind::Patient).await;
    let look = |user: &User| v1::LookupUserRequest { name: user.name.clone(), caller: reader.name.clone() };
    clients.directory.lookup_user(look(&known)).await.unwrap();

    let folder = state(&agent, clients.status().await.broker.unwrap().pid);
    let filler = folder.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 512]).is_ok() {}
    drop(file);
    let refused = clients.directory.lookup_user(look(&stranger)).await;
    assert_eq!(refused.reason(), "STATE_UNUSABLE");
    // What needs no new state goes on.
    let sign = v1::SignRequest { user: reader.name.clone(), content: b"x".to_vec().into(), form: 0 };
    clients.crypto.sign(sign).await.unwrap();
    // A spooled stream finds no room either, where the spool shares the disk; it says so or does not need it.
    let header = v1::EncryptStreamHeader { user: reader.name.clone(), ..Default::default() };
    let (sealed, _) = streams::encrypt(&mut clients, header, &vec![1; 3_000_000]).await.unwrap();
    let header = v1::DecryptStreamHeader { user: reader.name.clone(), ..Default::default() };
    if let Err((status, released)) = streams::decrypt(&mut clients, header, &sealed).await {
        assert_eq!(status.reason(), "SPOOL_FULL");
        assert!(released.is_empty());
    }

    std::fs::remove_file(&filler).unwrap();
    let found = clients.directory.lookup_user(look(&stranger)).await.unwrap().into_inner().user.unwrap();
    assert_eq!(found.trust(), v1::TrustState::FirstUse, "the refused lookup pinned nothing");
    let found = clients.directory.lookup_user(look(&known)).await.unwrap().into_inner().user.unwrap();
    assert_eq!(found.trust(), v1::TrustState::Pinned, "the older pin was kept");
    let leftovers: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("tmp"))
        .collect();
    assert!(leftovers.is_empty(), "half-written files: {leftovers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_state_folder() {
    if !can_mount() {
        return;
    }
    let platform = Platform::start();
    let other = Agent::start(&platform);
    let user = User::register(&mut other.clients().await, ParticipantKind::Patient).await;
    let mut agent = Agent::prepare(&platform, "");
    agent.mount_state("ro,mode=700");
    // It either says at once that it cannot work like this, or serves and says so when it would write.
    let out = agent.command().env("LIFE_E2E", "probe").arg("--check-config").output().unwrap();
    assert!(out.status.success(), "the configuration itself is right");
    match agent.try_run() {
        Ok(()) => {
            let refused = users::unlock(&mut agent.clients().await, user.unlock_request()).await;
            assert_eq!(refused.reason(), "STATE_UNUSABLE");
        }
        Err(code) => {
            assert!([73, 74, 77, 78].contains(&code), "exit {code}: {}", agent.log());
            assert!(agent.log().to_lowercase().contains("read-only"), "{}", agent.log());
        }
    }
}
