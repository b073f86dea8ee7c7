//! `life events`: watching the agent.

use clap::Args;
use life_proto::v1;
use life_proto::v1::watch_events_response::Event;
use serde::Serialize;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::names::bare;
use crate::output::{Report, escape_line, time_or_none, word};

/// Prints what happens in the agent, until interrupted.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"sequence\",\"time\",\"missed\",\"event\",...}; event is WATCH_STARTED, UNLOCKED (user, credential_kind), \
LOCKED (user,
  cause), VAULT_RESTARTED (pid), PLATFORM_CHANGED (up) or CARD_READER_CHANGED (reader, card, gone).")]
pub struct Arguments {}

#[derive(Serialize)]
struct Line {
    sequence: u64,
    time: Option<String>,
    missed: u64,
    event: &'static str,
    #[serde(flatten)]
    details: Value,
}

/// Runs the verb.
pub async fn run(_arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let mut agent = context.connect().await?.agent();
    let mut events = agent.watch_events(v1::WatchEventsRequest {}).await?.into_inner();
    while let Some(response) = events.message().await? {
        context.output.answer(&Line::from(response))?;
    }
    Err(Error::Lost("the stream of events ended".into()))
}

impl From<v1::WatchEventsResponse> for Line {
    fn from(response: v1::WatchEventsResponse) -> Self {
        let (event, details) = match &response.event {
            Some(Event::WatchStarted(_)) => ("WATCH_STARTED", json!({})),
            Some(Event::Unlocked(unlocked)) => {
                let kind = word(unlocked.credential_kind().as_str_name(), "CREDENTIAL_KIND_");
                ("UNLOCKED", json!({ "user": unlocked.user, "credential_kind": kind }))
            }
            Some(Event::Locked(locked)) => {
                let cause = word(locked.cause().as_str_name(), "CAUSE_");
                ("LOCKED", json!({ "user": locked.user, "cause": cause }))
            }
            Some(Event::VaultRestarted(restarted)) => ("VAULT_RESTARTED", json!({ "pid": restarted.pid })),
            Some(Event::PlatformChanged(changed)) => ("PLATFORM_CHANGED", json!({ "up": changed.up })),
            Some(Event::CardReaderChanged(v1::CardReaderChanged { reader, card, gone })) => {
                ("CARD_READER_CHANGED", json!({ "reader": reader, "card": card, "gone": gone }))
            }
            None => ("UNKNOWN", json!({})),
        };
        Self {
            sequence: response.sequence,
            time: time_or_none(response.time),
            missed: response.missed,
            event,
            details,
        }
    }
}

impl Report for Line {
    fn text(&self) -> String {
        let mut text = format!("{} {}", self.time.as_deref().unwrap_or("-"), self.event);
        for (name, value) in self.details.as_object().into_iter().flatten() {
            match value.as_str() {
                Some(value) => text.push_str(&format!(" {name}={}", escape_line(bare(value)))),
                None => text.push_str(&format!(" {name}={value}")),
            }
        }
        if self.missed > 0 {
            text.push_str(&format!(" (missed {})", self.missed));
        }
        text.push('\n');
        text
    }
}
