//! A PIV card for the tests, without a reader: Nitrokey's applet, connected to vpcd, the virtual reader of vsmartcard.
//!
//!     life-card-rig PORT FOLDER [--die INS:N] [--slow INS:MILLISECONDS]
//!
//! The process is the card in the reader at PORT of 127.0.0.1: it is put in by starting and pulled out by killing it. FOLDER
//! is what the card remembers. `--die` pulls it out in mid-operation, when the Nth command with this instruction (hexadecimal)
//! comes; `--slow` has each such command take so much longer.

mod card;
mod platform;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use card::Card;

/// What the reader says between commands (vsmartcard, "Virtual Smart Card Protocol").
const POWER_OFF: u8 = 0;
const POWER_ON: u8 = 1;
const RESET: u8 = 2;
const GET_ATR: u8 = 4;

/// Answer to reset: T=1, and in its historical bytes a category indicator and card capabilities.
const ATR: [u8; 11] = [0x3b, 0x95, 0x13, 0x81, 0x01, 0x80, 0x73, 0xff, 0x01, 0x00, 0x0b];

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (port, folder, faults) = parse(&arguments)
        .ok_or("usage: life-card-rig PORT FOLDER [--die INS:N] [--slow INS:MILLISECONDS]")?;
    TcpStream::connect(("127.0.0.1", port))
        .and_then(|reader| insert(reader, Path::new(folder), faults))
        .map_err(|error| error.to_string())
}

/// What goes wrong on demand: an instruction and a number.
#[derive(Default)]
struct Faults {
    die: Option<(u8, u64)>,
    slow: Option<(u8, u64)>,
}

fn parse(arguments: &[String]) -> Option<(u16, &str, Faults)> {
    let [port, folder, options @ ..] = arguments else { return None };
    let mut faults = Faults::default();
    for option in options.chunks(2) {
        let [name, value] = option else { return None };
        let (instruction, number) = value.split_once(':')?;
        let fault = Some((u8::from_str_radix(instruction, 16).ok()?, number.parse().ok()?));
        match name.as_str() {
            "--die" => faults.die = fault,
            "--slow" => faults.slow = fault,
            _ => return None,
        }
    }
    Some((port.parse().ok()?, folder, faults))
}

/// Is the card in a reader until the reader goes away.
fn insert(mut reader: TcpStream, folder: &Path, mut faults: Faults) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    reader.set_nodelay(true)?;
    platform::with_client(folder, |client| {
        let mut card = Card::new(client);
        while let Some(message) = receive(&mut reader)? {
            match *message {
                [POWER_ON | POWER_OFF | RESET] => card.reset(),
                [GET_ATR] => send(&mut reader, &ATR)?,
                [_] | [] => {}
                _ => {
                    if faults.strike(message[1]) {
                        // Pulled out: the reader gets no answer.
                        break;
                    }
                    send(&mut reader, &card.execute(&message))?;
                }
            }
        }
        Ok(())
    })
}

impl Faults {
    /// Whether the card is pulled out now.
    fn strike(&mut self, instruction: u8) -> bool {
        if let Some((which, left)) = &mut self.die
            && *which == instruction
        {
            *left -= 1;
            if *left == 0 {
                return true;
            }
        }
        if let Some((which, milliseconds)) = self.slow
            && which == instruction
        {
            std::thread::sleep(Duration::from_millis(milliseconds));
        }
        false
    }
}

/// One message, with its length before it; nothing when the reader has gone.
fn receive(reader: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match read(reader, &mut length) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
        {
            return Ok(None);
        }
        read => read?,
    }
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read(reader, &mut message)?;
    Ok(Some(message))
}

/// The reader sends length and message apart, the second only when the first is acknowledged: acknowledging late, as TCP
/// does otherwise, would cost 40 ms a command.
fn read(reader: &mut TcpStream, bytes: &mut [u8]) -> io::Result<()> {
    rustix::net::sockopt::set_tcp_quickack(&*reader, true)?;
    reader.read_exact(bytes)
}

fn send(reader: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    reader.write_all(&[&length.to_be_bytes()[..], message].concat())
}
