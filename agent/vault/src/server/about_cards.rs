//! The way of a request about cards, which may take as long as a card or its service likes.

use life_vault_protocol::cards::{MAX_CARD_CERTIFICATE, MAX_READERS};
use life_vault_protocol::{RequestKind, Response};

use super::{Server, answered, guarded};
use crate::cards::{Cards, Turn};
use crate::outbox::Answers;
use crate::thread::Desk;

/// What all certificates on all cards may need, read, reported and encoded.
const CARDS: usize = 4 * MAX_READERS * 3 * MAX_CARD_CERTIFICATE;

impl Server {
    /// Finds out about cards, one question after the other.
    pub(super) fn answer_about(&self, cards: &Cards, desk: &Desk) {
        while let Some(turn) = cards.next() {
            let ((id, since), kind, response) = match turn {
                Turn::News(question, number) => {
                    (question, RequestKind::AwaitCards, Response::CardsChanged(number))
                }
                Turn::Survey(question) => {
                    let response = match self.room.set_aside(CARDS) {
                        Ok(_lease) => guarded(|| cards.survey()),
                        Err(error) => Response::Error(error),
                    };
                    (question, RequestKind::ListCards, response)
                }
            };
            let mut answers = Answers::default();
            answered(&mut answers, id, since, kind, None, response);
            desk.clear();
            self.outbox.send(answers);
        }
    }
}
