//! Why a card did not do what it was asked, and the status words that say so (ISO/IEC 7816-4, 5.6).

/// Why a card operation failed. Nothing of a card, a holder or a PIN is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Keys and certificates can only be changed with the management key.
    #[error("the card wants its management key first")]
    ManagementKeyNeeded,
    /// The management key is not this card's.
    #[error("the management key is not this card's")]
    ManagementKeyWrong,
    /// The card has no such application.
    #[error("the card has no application of this kind")]
    NoApplication,
    /// The card's memory is full.
    #[error("the card has no room for this")]
    NoRoom,
    /// The card has no such key or object.
    #[error("the card has no such key or object")]
    NotFound,
    /// The card does not know the command, the algorithm or the key size.
    #[error("the card cannot do this")]
    NotSupported,
    /// The PIN is blocked: only the PUK helps.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// The card wants the PIN first.
    #[error("the card wants the PIN first")]
    PinNeeded,
    /// So few tries are left that only a person may use one up.
    #[error("only {left} tries are left, and nobody is asked")]
    PersonNeeded {
        /// Tries left.
        left: u8,
    },
    /// The PUK is blocked: the card cannot be unblocked any more.
    #[error("the PUK is blocked")]
    PukBlocked,
    /// What the card said is not what the standard has it say.
    #[error("the card's answer makes no sense")]
    Senseless,
    /// A PIN or PUK that no card of this kind can have: it is not sent, and costs no try.
    #[error("a PIN has 6 to 8 characters, a PUK 6 to 8")]
    UnusablePin,
    /// A status word that says none of this.
    #[error("the card refused with status {0:#06x}")]
    Status(u16),
    /// The card could not be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The PIN was wrong.
    #[error("the PIN was wrong; {left} tries are left")]
    WrongPin {
        /// Tries left.
        left: u8,
    },
    /// The PUK was wrong.
    #[error("the PUK was wrong; {left} tries are left")]
    WrongPuk {
        /// Tries left.
        left: u8,
    },
}

/// Why a card was not reached, or not to the end. After each of these whoever goes on begins with a new connection: the
/// card may have carried out what it was told, and its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Another program kept the card to itself for longer than we wait.
    #[error("another program is using the card")]
    Busy,
    /// There is no card in the reader, or it was pulled out.
    #[error("the card is not in the reader")]
    CardGone,
    /// Another program reset the card in between.
    #[error("another program has reset the card")]
    CardReset,
    /// The card or its reader does not work.
    #[error("the card or its reader does not work")]
    Failed,
    /// The reader was unplugged.
    #[error("the reader is gone")]
    ReaderGone,
    /// The system's smart-card service does not run or was stopped.
    #[error("the smart-card service is not there")]
    ServiceGone,
    /// The card did not answer in time.
    #[error("the card does not answer")]
    Silent,
}

/// Which secret a command was about: the same status words mean either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secret {
    Pin,
    Puk,
}

/// What a status word other than success means; the counter of tries is about `secret`.
pub(crate) fn refusal(status: u16, secret: Secret) -> CardError {
    match (status, secret) {
        (0x63c0 | 0x6983, Secret::Pin) => CardError::PinBlocked,
        (0x63c0 | 0x6983, Secret::Puk) => CardError::PukBlocked,
        (0x63c1..=0x63cf, Secret::Pin) => CardError::WrongPin { left: left(status) },
        (0x63c1..=0x63cf, Secret::Puk) => CardError::WrongPuk { left: left(status) },
        (0x6982, _) => CardError::PinNeeded,
        (0x6a82 | 0x6a83 | 0x6a88, _) => CardError::NotFound,
        (0x6a84, _) => CardError::NoRoom,
        (0x6a81 | 0x6a86 | 0x6d00 | 0x6e00, _) => CardError::NotSupported,
        (other, _) => CardError::Status(other),
    }
}

/// The tries that a status word 63Cx tells.
pub(crate) fn left(status: u16) -> u8 {
    status.to_be_bytes()[1] & 0x0f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_own_meaning() {
        for (status, about_pin, about_puk) in [
            (0x63c0, CardError::PinBlocked, CardError::PukBlocked),
            (0x6983, CardError::PinBlocked, CardError::PukBlocked),
            (0x63c1, CardError::WrongPin { left: 1 }, CardError::WrongPuk { left: 1 }),
            (0x63cf, CardError::WrongPin { left: 15 }, CardError::WrongPuk { left: 15 }),
        ] {
            assert_eq!(refusal(status, Secret::Pin), about_pin);
            assert_eq!(refusal(status, Secret::Puk), about_puk);
        }
        for (status, means) in [
            (0x6982, CardError::PinNeeded),
            (0x6a81, CardError::NotSupported),
            (0x6a82, CardError::NotFound),
            (0x6a83, CardError::NotFound),
            (0x6a84, CardError::NoRoom),
            (0x6a86, CardError::NotSupported),
            (0x6a88, CardError::NotFound),
            (0x6d00, CardError::NotSupported),
            (0x6e00, CardError::NotSupported),
            (0x6300, CardError::Status(0x6300)),
            (0x6985, CardError::Status(0x6985)),
            (0x6f00, CardError::Status(0x6f00)),
            (0, CardError::Status(0)),
        ] {
            assert_eq!(refusal(status, Secret::Pin), means, "{status:#06x}");
        }
    }
}
