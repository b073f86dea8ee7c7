//! Readers and cards as the contract shows them.

use life_pki::KeySlot;
use life_proto::v1::{self, CardCertificate, CardReaderState};
use life_vault_protocol::cards::{Card, CardKind, CardReader, CardSlot, CardTrouble};

use crate::names;

/// A reader, and what is in it.
pub(super) fn to_wire(reader: CardReader) -> v1::CardReader {
    let CardReader { name, slot } = reader;
    let (state, card) = match slot {
        CardSlot::Empty => (CardReaderState::Empty, None),
        CardSlot::Card(card) => (CardReaderState::Ready, Some(card_to_wire(card))),
        CardSlot::Unusable(trouble) => (trouble_to_wire(trouble), None),
    };
    v1::CardReader { name, state: state.into(), card }
}

fn trouble_to_wire(trouble: CardTrouble) -> CardReaderState {
    match trouble {
        CardTrouble::Busy => CardReaderState::Busy,
        CardTrouble::Failed => CardReaderState::Failed,
        CardTrouble::Silent => CardReaderState::Silent,
        CardTrouble::UnknownKind => CardReaderState::UnknownKind,
    }
}

fn card_to_wire(card: Card) -> v1::Card {
    let Card { kind, id, pin_tries, puk_tries, certificates } = card;
    v1::Card {
        name: names::card(&id),
        kind: match kind {
            CardKind::Piv => v1::CardKind::Piv,
        }
        .into(),
        pin_tries_left: pin_tries.map(u32::from),
        puk_tries_left: puk_tries.map(u32::from),
        certificates: certificates.into_iter().filter_map(certificate_to_wire).collect(),
    }
}

fn certificate_to_wire((slot, certificate): (KeySlot, Vec<u8>)) -> Option<CardCertificate> {
    let slot = match slot {
        KeySlot::Authentication => v1::CardSlot::Authentication,
        KeySlot::Signature => v1::CardSlot::Signature,
        KeySlot::Encryption => v1::CardSlot::Encryption,
        // No card has one.
        KeySlot::Root => return None,
    };
    Some(CardCertificate { slot: slot.into(), certificate: certificate.into() })
}
