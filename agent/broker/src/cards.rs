//! Watches smart cards come and go, and tells of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use life_vault_protocol::cards::{CardReader, CardSlot};

use crate::agent::Agent;
use crate::names;

/// How long the vault is left alone when it does not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// What is in a reader, as far as others are told: a card, one that cannot be worked with, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Card(String),
    Nothing,
    Unusable,
}

type Readers = BTreeMap<String, Content>;

/// Tells of changes for as long as the agent runs, where the configuration names a smart-card service.
pub async fn watch(agent: Arc<Agent>) {
    let (mut seen, mut known) = (0, Readers::new());
    loop {
        match changed(&agent, seen).await {
            // This vault knows no cards, nor will another.
            Some((0, _)) => return,
            Some((number, now)) => {
                for (reader, content) in differences(&known, &now) {
                    let (card, gone) = match content {
                        Some(Content::Card(card)) => (card, false),
                        Some(Content::Nothing | Content::Unusable) => (String::new(), false),
                        None => (String::new(), true),
                    };
                    agent.events.card_reader_changed(reader, card, gone);
                }
                (seen, known) = (number, now);
            }
            None => {
                // The next vault counts anew.
                seen = 0;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Waits for a change, and looks; none where there is no vault.
async fn changed(agent: &Agent, seen: u64) -> Option<(u64, Readers)> {
    let number = agent.vault.cards_changed(seen).await.ok()?;
    let readers = agent.vault.cards().await.ok()?.unwrap_or_default();
    Some((number, readers.into_iter().map(content).collect()))
}

fn content(reader: CardReader) -> (String, Content) {
    let content = match reader.slot {
        CardSlot::Empty => Content::Nothing,
        CardSlot::Card(card) => Content::Card(names::card(&card.id)),
        CardSlot::Unusable(_) => Content::Unusable,
    };
    (reader.name, content)
}

/// The readers in which something else is than before; with nothing, those that are gone.
fn differences(before: &Readers, now: &Readers) -> Vec<(String, Option<Content>)> {
    let gone = before.keys().filter(|reader| !now.contains_key(*reader)).map(|reader| (reader.clone(), None));
    let other = now.iter().filter(|(reader, content)| before.get(*reader) != Some(content));
    gone.chain(other.map(|(reader, content)| (reader.clone(), Some(content.clone())))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(contents: &[(&str, Content)]) -> Readers {
        contents.iter().map(|(name, content)| ((*name).to_owned(), content.clone())).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_told_and_nothing_else() {
        let card = |name: &str| Content::Card(name.to_owned());
        let before =
            readers(&[("a", card("x")), ("b", Content::Nothing), ("c", Content::Unusable), ("d", card("y"))]);
        let now =
            readers(&[("a", card("z")), ("b", Content::Nothing), ("c", Content::Nothing), ("e", card("y"))]);
        let told = differences(&before, &now);
        let expected =
            [("d", None), ("a", Some(card("z"))), ("c", Some(Content::Nothing)), ("e", Some(card("y")))];
        assert_eq!(told, expected.map(|(name, content)| (name.to_owned(), content)));
        assert_eq!(differences(&now, &now), []);
    }
}
