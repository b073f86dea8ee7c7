//! PINs and PUKs, and who may use up tries.

use life_sys::secret::SecretBytes;

use super::CardError;

/// PIN and PUK have so many bytes on the card, those that are missing are 0xff (SP 800-73-4 part 2, 2.4.3).
const LENGTH: usize = 8;
const SHORTEST: usize = 6;

/// A PIN that a card could have.
pub struct Pin(SecretBytes);

/// A PUK that a card could have.
pub struct Puk(SecretBytes);

life_sys::secret_types!(Pin, Puk);

impl Pin {
    /// Takes 6 to 8 printable characters of ASCII. The standard has digits; cards with letters are about.
    ///
    /// # Errors
    /// [`CardError::UnusablePin`] for anything else: the card is not asked, which would cost a try.
    pub fn new(text: &SecretBytes) -> Result<Self, CardError> {
        padded(text).map(Self)
    }

    pub(super) fn padded(&self) -> &SecretBytes {
        &self.0
    }
}

impl Puk {
    /// Takes what [`Pin::new`] takes.
    ///
    /// # Errors
    /// [`CardError::UnusablePin`] for anything else.
    pub fn new(text: &SecretBytes) -> Result<Self, CardError> {
        padded(text).map(Self)
    }

    pub(super) fn padded(&self) -> &SecretBytes {
        &self.0
    }
}

fn padded(text: &SecretBytes) -> Result<SecretBytes, CardError> {
    // EXPOSE: its form is looked at, and it is padded as the card wants it.
    let text = text.expose();
    if !(SHORTEST..=LENGTH).contains(&text.len()) || !text.iter().all(u8::is_ascii_graphic) {
        return Err(CardError::UnusablePin);
    }
    SecretBytes::init_with(LENGTH, |padded| {
        let (front, rest) = padded.split_at_mut(text.len());
        front.copy_from_slice(text);
        rest.fill(0xff);
        Ok(())
    })
}

/// Who enters a PIN, and so whether a card may lose a try that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The agent, with a PIN that it remembers: only while a card has more than two tries left. A third wrong try never
    /// happens without a person.
    Agent,
    /// A person, just now.
    Person,
}

impl Who {
    /// Whether one of `left` tries may be used up.
    pub(super) fn may_try(self, left: u8) -> Result<(), CardError> {
        match (self, left) {
            (_, 0) => Err(CardError::PinBlocked),
            (Self::Agent, 1..=2) => Err(CardError::PersonNeeded { left }),
            (Self::Agent | Self::Person, _) => Ok(()),
        }
    }
}

/// How many tries are left; zero is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinStatus {
    /// Tries left for the PIN; none where somebody has shown it, and the card does not tell.
    pub pin: Option<u8>,
    /// Tries left for the PUK, on cards that tell.
    pub puk: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_card_can_have_is_not_sent() {
        for good in ["123456", "1234567", "12345678", "aB3!?~"] {
            let pin = Pin::new(&SecretBytes::new(good.into())).ok().unwrap();
            let padded = [good.as_bytes(), &vec![0xff; 8 - good.len()]].concat();
            assert!(pin.padded().ct_eq(&padded), "{good}");
        }
        for bad in ["", "12345", "123456789", "12345 ", "12345\n", "1234é", "12345\u{7f}"] {
            assert_eq!(
                Pin::new(&SecretBytes::new(bad.into())).err(),
                Some(CardError::UnusablePin),
                "{bad:?}"
            );
            assert_eq!(
                Puk::new(&SecretBytes::new(bad.into())).err(),
                Some(CardError::UnusablePin),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_agent_never_uses_up_a_try_that_matters() {
        for left in 0..=15 {
            let agent = match left {
                0 => Err(CardError::PinBlocked),
                1 | 2 => Err(CardError::PersonNeeded { left }),
                _ => Ok(()),
            };
            assert_eq!(Who::Agent.may_try(left), agent);
            assert_eq!(Who::Person.may_try(left).is_ok(), left > 0);
        }
    }
}
