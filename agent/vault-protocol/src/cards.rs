//! What the vault says of card readers and the cards in them.

use life_pki::KeySlot;

use crate::codec::{DecodeError, Reader, Sink};

/// The most readers that are looked at.
pub const MAX_READERS: usize = 8;
/// The longest name of a reader, in bytes.
pub const MAX_READER_NAME: usize = 128;
/// The longest name of a card, in bytes.
pub const MAX_CARD_ID: usize = 32;
/// The largest certificate on a card, in bytes.
pub const MAX_CARD_CERTIFICATE: usize = 4 * 1024;

/// A reader, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardReader {
    /// What the system calls it.
    pub name: String,
    /// What is in it.
    pub slot: CardSlot,
}

/// What is in a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardSlot {
    /// No card.
    Empty,
    /// A card that can be worked with.
    Card(Card),
    /// A card that cannot be worked with now.
    Unusable(CardTrouble),
}

/// Why a card cannot be worked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardTrouble {
    /// Another program keeps it to itself.
    Busy,
    /// It or its reader does not work, or it says what makes no sense.
    Failed,
    /// It does not answer.
    Silent,
    /// It is of a kind that is not known here.
    UnknownKind,
}

/// A kind of cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    /// NIST SP 800-73-4.
    Piv,
}

/// A card.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// Its kind.
    pub kind: CardKind,
    /// What names it, whatever reader it is in. Never logged.
    pub id: Vec<u8>,
    /// Tries left for the PIN; none where another program has shown the PIN and the card does not tell.
    pub pin_tries: Option<u8>,
    /// Tries left for the PUK; none on cards that do not tell.
    pub puk_tries: Option<u8>,
    /// The slots with a certificate, and the certificates (DER), not judged.
    pub certificates: Vec<(KeySlot, Vec<u8>)>,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, id: _, pin_tries, puk_tries, certificates } = self;
        let slots: Vec<_> = certificates.iter().map(|(slot, _)| slot).collect();
        out.debug_struct("Card")
            .field("kind", kind)
            .field("pin_tries", pin_tries)
            .field("puk_tries", puk_tries)
            .field("slots", &slots)
            .finish_non_exhaustive()
    }
}

impl CardReader {
    pub(crate) fn encode(&self, out: &mut impl Sink) {
        out.bytes(self.name.as_bytes());
        match &self.slot {
            CardSlot::Empty => out.u8(1),
            CardSlot::Card(card) => {
                out.u8(2);
                card.encode(out);
            }
            CardSlot::Unusable(trouble) => {
                out.u8(3);
                out.u8(match trouble {
                    CardTrouble::Busy => 1,
                    CardTrouble::Failed => 2,
                    CardTrouble::Silent => 3,
                    CardTrouble::UnknownKind => 4,
                });
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = input.text(MAX_READER_NAME)?;
        let slot = match input.u8()? {
            1 => CardSlot::Empty,
            2 => CardSlot::Card(Card::decode(input)?),
            3 => CardSlot::Unusable(match input.u8()? {
                1 => CardTrouble::Busy,
                2 => CardTrouble::Failed,
                3 => CardTrouble::Silent,
                4 => CardTrouble::UnknownKind,
                _ => return Err(DecodeError),
            }),
            _ => return Err(DecodeError),
        };
        Ok(Self { name, slot })
    }
}

impl Card {
    fn encode(&self, out: &mut impl Sink) {
        out.u8(match self.kind {
            CardKind::Piv => 1,
        });
        out.bytes(&self.id);
        for tries in [self.pin_tries, self.puk_tries] {
            out.u8(u8::from(tries.is_some()));
            tries.iter().for_each(|tries| out.u8(*tries));
        }
        out.length(self.certificates.len());
        for (slot, certificate) in &self.certificates {
            out.u8(slot.number());
            out.bytes(certificate);
        }
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = match input.u8()? {
            1 => CardKind::Piv,
            _ => return Err(DecodeError),
        };
        let id = input.bytes(MAX_CARD_ID)?.to_vec();
        let mut tries = || match input.u8()? {
            0 => Ok(None),
            1 => input.u8().map(Some),
            _ => Err(DecodeError),
        };
        let (pin_tries, puk_tries) = (tries()?, tries()?);
        let count = input.length(KeySlot::ALL.len())?;
        let certificates = (0..count).map(|_| {
            let slot = KeySlot::from_number(input.u8()?).ok_or(DecodeError)?;
            Ok((slot, input.bytes(MAX_CARD_CERTIFICATE)?.to_vec()))
        });
        let certificates = certificates.collect::<Result<_, _>>()?;
        Ok(Self { kind, id, pin_tries, puk_tries, certificates })
    }
}
