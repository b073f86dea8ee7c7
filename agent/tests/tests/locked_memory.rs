//! What the agent says of the memory that keys are in, and what it does where it may lock none.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::users::{Reason, User, unlock};
use life_e2e::{Agent, Platform};
use life_proto::v1::{ParticipantKind, ScratchProtection};
use tonic::Code;

#[tokio::test]
async fn where_nothing_may_be_locked_nothing_is_unlocked_and_the_limit_is_named() {
    let platform = Platform::start();
    let mut agent = Agent::prepare(&platform, "");
    agent.limit_locked_memory(0);
    agent.run();
    let mut clients = agent.clients().await;
    let user =
        User { name: String::new(), pkcs12: b"never opened".to_vec(), passphrase: b"never read".to_vec() };
    // From the first call on, whatever the vault has come to meanwhile.
    let refused = unlock(&mut clients, user.unlock_request()).await.unwrap_err();
    assert_eq!((refused.code(), refused.reason().as_str()), (Code::Unavailable, "VAULT_UNAVAILABLE"));
    assert!(refused.message().contains("RLIMIT_MEMLOCK"), "{refused}");
    assert_eq!(clients.status().await.vault_memory, None);
    assert!(agent.log().contains("RLIMIT_MEMLOCK"));
}

#[tokio::test]
async fn the_usual_limit_suffices_and_the_status_says_what_is_used() {
    let platform = Platform::start();
    let mut agent = Agent::prepare(&platform, "");
    agent.limit_locked_memory(8 << 20);
    agent.run();
    let mut clients = agent.clients().await;
    clients.vault_pid().await;
    let before = clients.status().await.vault_memory.unwrap();
    User::ready(&mut clients, ParticipantKind::Patient).await;
    // The status may be a second old.
    let mut after = before;
    for _ in 0..100 {
        after = clients.status().await.vault_memory.unwrap();
        if after.used_bytes > before.used_bytes + 8 * 1024 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(after.used_bytes > before.used_bytes + 8 * 1024, "{before:?} {after:?}");
    assert!(after.peak_bytes >= after.used_bytes && after.peak_bytes < after.arena_bytes, "{after:?}");
    assert!(after.locked_bytes > after.arena_bytes && after.locked_bytes <= 8 << 20, "{after:?}");
    assert_eq!((after.large_unlocked_bytes, after.refused_requests), (0, 0));
    // 64 MiB cannot be locked under this limit.
    use ScratchProtection::{Droppable, Hidden};
    assert!([Droppable, Hidden].contains(&after.scratch_protection()), "{after:?}");
}
