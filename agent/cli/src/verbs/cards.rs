//! `life cards`: what smart cards there are.

use clap::Args;
use life_proto::v1;
use serde::Serialize;

use super::user::pem;
use crate::context::Context;
use crate::error::Error;
use crate::output::{Report, word};

/// Lists card readers and the cards in them.
///
/// The agent knows cards where its configuration says where pcscd listens (`service` in section `[cards]`). No PIN is asked
/// for, and no try is used up. Cards cannot be unlocked with yet.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"service_available\",\"readers\":[{\"reader\",\"state\",\"card\" or null}]}, a card being \
{\"card\",\"kind\",\"pin_tries_left\" or null,\"puk_tries_left\" or null,\"certificates\":[{\"slot\",\"certificate\"}]}, \
certificates in PEM.")]
pub struct Arguments {}

#[derive(Serialize)]
struct Cards {
    service_available: bool,
    readers: Vec<Reader>,
}

#[derive(Serialize)]
struct Reader {
    reader: String,
    state: String,
    card: Option<Card>,
}

#[derive(Serialize)]
struct Card {
    card: String,
    kind: String,
    pin_tries_left: Option<u32>,
    puk_tries_left: Option<u32>,
    certificates: Vec<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    slot: String,
    certificate: String,
}

/// Runs the verb.
pub async fn run(_: &Arguments, context: &Context) -> Result<(), Error> {
    let answer =
        context.connect().await?.credentials().list_cards(v1::ListCardsRequest {}).await?.into_inner();
    let readers = answer.readers.into_iter().map(Reader::from).collect();
    context.output.answer(&Cards { service_available: answer.service_available, readers })
}

impl From<v1::CardReader> for Reader {
    fn from(reader: v1::CardReader) -> Self {
        Self {
            state: word(reader.state().as_str_name(), "CARD_READER_STATE_"),
            reader: reader.name,
            card: reader.card.map(Card::from),
        }
    }
}

impl From<v1::Card> for Card {
    fn from(card: v1::Card) -> Self {
        Self {
            kind: word(card.kind().as_str_name(), "CARD_KIND_"),
            card: card.name,
            pin_tries_left: card.pin_tries_left,
            puk_tries_left: card.puk_tries_left,
            certificates: card.certificates.into_iter().map(Certificate::from).collect(),
        }
    }
}

impl From<v1::CardCertificate> for Certificate {
    fn from(of: v1::CardCertificate) -> Self {
        let slot = word(of.slot().as_str_name(), "CARD_SLOT_");
        Self { slot, certificate: pem(&of.certificate) }
    }
}

impl Report for Cards {
    fn text(&self) -> String {
        if !self.service_available {
            return "no smart-card service: pcscd does not answer, or agent.toml has no cards.service\n"
                .into();
        }
        if self.readers.is_empty() {
            return "no card reader\n".into();
        }
        self.readers.iter().map(Reader::text).collect()
    }
}

impl Reader {
    fn text(&self) -> String {
        let Self { reader, state, card } = self;
        let Some(card) = card else { return format!("{reader}: {state}\n") };
        let slots: Vec<_> = card.certificates.iter().map(|of| of.slot.as_str()).collect();
        let slots = if slots.is_empty() { "none".to_owned() } else { slots.join(", ") };
        format!(
            "{reader}: {kind} {name}\n  PIN: {pin}\n  PUK: {puk}\n  certificates: {slots}\n",
            kind = card.kind,
            name = card.card,
            pin = tries(card.pin_tries_left),
            puk = tries(card.puk_tries_left),
        )
    }
}

fn tries(left: Option<u32>) -> String {
    match left {
        None => "tries unknown".into(),
        Some(0) => "blocked".into(),
        Some(1) => "1 try left".into(),
        Some(left) => format!("{left} tries left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_pin_is_told_from_one_that_is_not_known() {
        let said = [None, Some(0), Some(1), Some(3)].map(tries);
        assert_eq!(said, ["tries unknown", "blocked", "1 try left", "3 tries left"]);
    }
}
