//! The applet as a card with contacts: commands in parts, answers in parts, and what a loss of power forgets.

use heapless::Vec as Bounded;
use iso7816::Status;
use iso7816::command::CommandView;
use piv_authenticator::{Authenticator, Client, Options};

/// The card application's id (SP 800-73-4 part 1, 2.2), and its registered part, which stands for it when selecting.
const AID: [u8; 11] = [0xa0, 0, 0, 3, 8, 0, 0, 0x10, 0, 1, 0];
const RID: usize = 5;

/// The bit of the class byte that says more parts follow (ISO/IEC 7816-4, 5.3.3).
const CHAINED: u8 = 0x10;
const GET_RESPONSE: u8 = 0xc0;
const SELECT: u8 = 0xa4;
const GENERAL_AUTHENTICATE: u8 = 0x87;
/// Commands of the administrator, and the key that makes one: generate, put data, and Yubico's import and set key.
const ADMINISTRATION: [u8; 4] = [0x47, 0xdb, 0xfe, 0xff];
const MANAGEMENT_KEY: u8 = 0x9b;
/// A request for a challenge or a witness is this long; what proves the key is longer.
const ASKS_FOR_CHALLENGE: usize = 4;

/// More than any answer of this applet: a certificate's object is at most 3 KiB or so.
const ANSWER: usize = 8192;

/// A card, and what it remembers between two commands.
pub struct Card<T> {
    applet: Authenticator<T>,
    command: Vec<u8>,
    answer: Vec<u8>,
    administrator: bool,
}

impl<T: Client> Card<T> {
    /// A card that has just got power.
    pub fn new(client: T) -> Self {
        Self {
            applet: Authenticator::new(client, Options::new()),
            command: Vec::new(),
            answer: Vec::new(),
            administrator: false,
        }
    }

    /// Forgets what a card forgets without power: half a command, half an answer, the PIN, the management key.
    ///
    /// The applet itself keeps the proof of the management key, so the card stops its commands until there is a new one.
    pub fn reset(&mut self) {
        self.command.clear();
        self.answer.clear();
        self.administrator = false;
        let _status = self.run(&[0, 0x20, 0xff, 0x80]);
    }

    /// Carries out one command.
    pub fn execute(&mut self, apdu: &[u8]) -> Vec<u8> {
        let Ok(command) = CommandView::try_from(apdu) else {
            return status(Status::WrongLength);
        };
        let header = [apdu[0] & !CHAINED, apdu[1], apdu[2], apdu[3]];
        if header[1] == GET_RESPONSE {
            return self.part(command.expected());
        }
        self.answer.clear();
        self.command.extend_from_slice(command.data());
        if apdu[0] & CHAINED != 0 {
            return status(Status::Success);
        }
        let data = std::mem::take(&mut self.command);
        let data = if header[1] == SELECT && data == AID[..RID] { AID.to_vec() } else { data };
        if ADMINISTRATION.contains(&header[1]) && !self.administrator {
            return status(Status::SecurityStatusNotSatisfied);
        }
        let length = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
        let whole = if data.is_empty() {
            header.to_vec()
        } else {
            [&header, &[0][..], &length, &data, &[0, 0]].concat()
        };
        match self.run(&whole) {
            Ok(answer) => self.answer = answer,
            Err(refused) => return status(refused),
        }
        if header[1] == GENERAL_AUTHENTICATE && header[3] == MANAGEMENT_KEY && data.len() > ASKS_FOR_CHALLENGE
        {
            self.administrator = true;
        }
        // Who did not say how long the answer may be gets as much as a short answer holds.
        self.part(if command.extended { command.expected().max(256) } else { 256 })
    }

    fn run(&mut self, apdu: &[u8]) -> Result<Vec<u8>, Status> {
        let command = CommandView::try_from(apdu).map_err(|_| Status::WrongLength)?;
        let mut answer = Bounded::<u8, ANSWER>::new();
        self.applet.respond(command, &mut answer)?;
        Ok(answer.to_vec())
    }

    /// The next part of the answer, and whether more follow (61xx).
    fn part(&mut self, expected: usize) -> Vec<u8> {
        let rest = self.answer.split_off(expected.clamp(1, usize::from(u16::MAX)).min(self.answer.len()));
        let mut part = std::mem::replace(&mut self.answer, rest);
        let more = self.answer.len();
        part.extend(match more {
            0 => u16::from(Status::Success).to_be_bytes(),
            _ => [0x61, u8::try_from(more).unwrap_or(0)],
        });
        part
    }
}

fn status(status: Status) -> Vec<u8> {
    u16::from(status).to_be_bytes().to_vec()
}
