//! Events: what somebody who watches an agent learns, in the order in which it happens.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::cards::{Reader, fresh};
use life_e2e::{Agent, Platform, User};
use life_proto::v1::watch_events_response::Event;
use life_proto::v1::{self, ParticipantKind};

/// Waits for an event, past those that come for other reasons.
async fn until(
    events: &mut tonic::Streaming<v1::WatchEventsResponse>,
    what: &str,
    is: impl Fn(&Event) -> bool,
) {
    let coming = async {
        loop {
            let event = events.message().await.unwrap().unwrap();
            assert!(event.time.is_some(), "{what}: an event without its time");
            if event.event.as_ref().is_some_and(&is) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), coming)
        .await
        .unwrap_or_else(|_| panic!("not told: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_learns_of_unlocking_locking_and_the_platform() {
    let mut platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    let mut events = clients.agent.watch_events(v1::WatchEventsRequest {}).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap();
    assert!(matches!(first.event, Some(Event::WatchStarted(_))));

    user.unlock(&mut clients).await;
    let name = user.name.as_str();
    until(&mut events, "unlocked", |event| matches!(event, Event::Unlocked(it) if it.user == name)).await;
    clients.credentials.lock(v1::LockCredentialRequest { user: user.name.clone() }).await.unwrap();
    until(&mut events, "locked", |event| {
        matches!(event, Event::Locked(it) if it.user == name && it.cause() == v1::locked::Cause::Requested)
    })
    .await;
    // Nobody calls: the agent looks by itself as long as somebody watches.
    platform.kill_serve();
    until(&mut events, "down", |event| matches!(event, Event::PlatformChanged(it) if !it.up)).await;
    platform.start_serve();
    until(&mut events, "up", |event| matches!(event, Event::PlatformChanged(it) if it.up)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_learns_of_cards_that_come_and_go() {
    let Some(mut reader) = Reader::start() else { return };
    let [first, second] = [fresh(), fresh()];
    let platform = Platform::start();
    let agent =
        Agent::start_with(&platform, &format!("[cards]\nservice = '{}'\n", reader.socket().display()));
    let mut clients = agent.clients().await;
    let mut events = clients.agent.watch_events(v1::WatchEventsRequest {}).await.unwrap().into_inner();

    let mut cards = Vec::new();
    for folder in [&first, &second] {
        let card = reader.insert(folder.path());
        let mut listed = clients.credentials.list_cards(v1::ListCardsRequest {}).await.unwrap().into_inner();
        let name = listed.readers.swap_remove(0).card.expect("a card").name;
        until(&mut events, "a card", |event| is_told(event, &name, false)).await;
        cards.push(name);
        card.pull();
        until(&mut events, "no card", |event| is_told(event, "", false)).await;
    }
    assert_ne!(cards[0], cards[1]);
    reader.unplug();
    until(&mut events, "no reader", |event| is_told(event, "", true)).await;
    reader.plug_in();
    until(&mut events, "a reader", |event| is_told(event, "", false)).await;
}

/// Whether it is told of the first reader that this card is in it, or that it is gone.
fn is_told(event: &Event, card: &str, gone: bool) -> bool {
    matches!(event, Event::CardReaderChanged(it) if it.reader == "Virtual PCD 00 00" && it.card == card && it.gone == gone)
}
