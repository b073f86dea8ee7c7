//! PIN and PUK (SP 800-73-4 part 2, 3.2.1 to 3.2.3).

use life_sys::secret::SecretBytes;

use super::Piv;
use crate::card::error::{Secret, left, refusal};
use crate::card::{CardError, Pin, Puk, Who, tlv};

const VERIFY: u8 = 0x20;
const CHANGE_REFERENCE_DATA: u8 = 0x24;
const RESET_RETRY_COUNTER: u8 = 0x2c;
/// Yubico's GET METADATA, which cards of other makers have taken over.
const GET_METADATA: u8 = 0xf7;

const PIN: u8 = 0x80;
const PUK: u8 = 0x81;

impl Piv<'_> {
    /// The tries left for the PIN, zero when it is blocked; none when it is verified, for then the card does not tell.
    pub(super) fn pin_tries(&mut self) -> Result<Option<u8>, CardError> {
        match self.send(VERIFY, [0, PIN], &[])?.status() {
            0x9000 => Ok(None),
            status @ 0x63c0..=0x63cf => Ok(Some(left(status))),
            0x6983 => Ok(Some(0)),
            other => Err(refusal(other, Secret::Pin)),
        }
    }

    /// The same before a PIN is shown: whatever was verified, by whoever had the card before, no longer is.
    fn pin_tries_before(&mut self) -> Result<u8, CardError> {
        if let Some(left) = self.pin_tries()? {
            return Ok(left);
        }
        self.send(VERIFY, [0xff, PIN], &[])?.data()?;
        self.pin_tries()?.ok_or(CardError::Senseless)
    }

    /// The tries left for the PUK, where the card knows the command: PIV itself tells them only when one was wrong.
    pub(super) fn puk_tries(&mut self) -> Result<Option<u8>, CardError> {
        let answer = self.send(GET_METADATA, [0, PUK], &[])?;
        let Ok(data) = answer.data() else { return Ok(None) };
        // EXPOSE: counters, not secret: tries in all, tries left.
        Ok(match tlv::find(data.expose(), 0x06) {
            Some([_, left]) => Some(*left),
            _ => None,
        })
    }

    pub(super) fn verify_pin(&mut self, pin: &Pin, who: Who) -> Result<(), CardError> {
        who.may_try(self.pin_tries_before()?)?;
        let answer = self.send_secret(VERIFY, [0, PIN], pin.padded())?;
        self.judge(answer.status(), Secret::Pin)
    }

    pub(super) fn change_reference(&mut self, old: &Pin, new: &Pin) -> Result<(), CardError> {
        Who::Person.may_try(self.pin_tries_before()?)?;
        let both = joined(old.padded(), new.padded());
        let answer = self.send_secret(CHANGE_REFERENCE_DATA, [0, PIN], &both)?;
        self.judge(answer.status(), Secret::Pin)
    }

    pub(super) fn reset_retry_counter(&mut self, puk: &Puk, new: &Pin) -> Result<(), CardError> {
        let both = joined(puk.padded(), new.padded());
        let answer = self.send_secret(RESET_RETRY_COUNTER, [0, PIN], &both)?;
        self.judge(answer.status(), Secret::Puk)
    }

    /// What a status says about a secret that was shown. Some cards say that it was wrong and not how many tries are left: they
    /// are asked.
    fn judge(&mut self, status: u16, secret: Secret) -> Result<(), CardError> {
        match (status, secret) {
            (0x9000, _) => Ok(()),
            (0x6300, Secret::Pin) => match self.pin_tries_before()? {
                0 => Err(CardError::PinBlocked),
                left => Err(CardError::WrongPin { left }),
            },
            (other, _) => Err(refusal(other, secret)),
        }
    }
}

fn joined(first: &SecretBytes, second: &SecretBytes) -> SecretBytes {
    // EXPOSE: both into one command, which is wiped.
    SecretBytes::new([first.expose(), second.expose()].concat())
}
