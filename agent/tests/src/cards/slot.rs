//! A card without a reader's software: the test itself is what the card is connected to. For what a card and the code that
//! speaks to it do, whoever carries the bytes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use life_credentials::card::{Transport, TransportError};
use life_sys::secret::SecretBytes;

use super::image::binary;
use crate::process::Process;

/// What a virtual reader says besides commands.
const RESET: u8 = 2;

/// A card that has power.
pub struct Slot {
    card: TcpStream,
    _process: Process,
    sent: Vec<Vec<u8>>,
}

impl Slot {
    /// Starts the card with what it remembers in `folder`.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        Self::start_faulty(folder, &[])
    }

    /// The same with faults of card-rig.
    #[must_use]
    pub fn start_faulty(folder: &Path, faults: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let child = Command::new(binary())
            .arg(listener.local_addr().unwrap().port().to_string())
            .arg(folder)
            .args(faults)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process::new(child);
        let (card, _address) = listener.accept().unwrap();
        card.set_nodelay(true).unwrap();
        let mut slot = Self { card, _process: process, sent: Vec::new() };
        slot.reset();
        slot
    }

    /// Resets the card: it forgets the PIN.
    pub fn reset(&mut self) {
        self.card.write_all(&[0, 1, RESET]).unwrap();
    }

    /// The commands that went to the card, secrets and all.
    #[must_use]
    pub fn sent(&self) -> &[Vec<u8>] {
        &self.sent
    }

    fn carry(&mut self, apdu: &[u8]) -> std::io::Result<Vec<u8>> {
        let length = u16::try_from(apdu.len()).unwrap().to_be_bytes();
        self.card.write_all(&[&length[..], apdu].concat())?;
        let mut length = [0; 2];
        self.card.read_exact(&mut length)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        self.card.read_exact(&mut answer)?;
        Ok(answer)
    }
}

impl Transport for Slot {
    fn transmit(&mut self, apdu: &SecretBytes) -> Result<SecretBytes, TransportError> {
        // EXPOSE: a test looks at everything.
        let apdu = apdu.expose();
        self.sent.push(apdu.to_vec());
        self.carry(apdu).map(SecretBytes::new).map_err(|_| TransportError::CardGone)
    }
}
