//! What the vault says of smart cards: through a real pcscd, whatever goes wrong there.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::binaries;
use life_e2e::cards::{CardKey, PIN, Reader, fresh, personalised};
use life_e2e::dev::openssl;
use life_e2e::process::{Process, eventually};
use life_pki::KeySlot;
use life_vault_protocol::cards::{Card, CardKind, CardSlot, CardTrouble};
use life_vault_protocol::{FrameDecoder, Request, Response, encode_request};

/// No answer takes longer than this, whatever cards do.
const LIMIT: Duration = Duration::from_secs(60);

/// A vault that uses this reader.
struct Vault {
    process: Process,
    socket: UnixStream,
}

impl Vault {
    fn start(reader: &Reader) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let child = Command::new(binaries::path("life-vault"))
            .env_clear()
            .env("PCSCLITE_CSOCK_NAME", reader.socket())
            .env("LIFE_LOG", "debug")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(fs::File::create(reader.path("vault.log")).unwrap())
            .spawn()
            .unwrap();
        ours.set_read_timeout(Some(LIMIT)).unwrap();
        Self { process: Process::new(child), socket: ours }
    }

    fn ask(&mut self, request: &Request) {
        self.socket.write_all(encode_request(1, request).unwrap().expose()).unwrap();
    }

    fn answer(&mut self) -> Response {
        let mut decoder = FrameDecoder::new();
        loop {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).unwrap();
            if let Some(frame) = decoder.next_frame(&mut &byte[..]).unwrap() {
                return Response::decode(frame.body.expose()).unwrap();
            }
        }
    }

    /// What is in the first reader; none where the service does not answer.
    fn look(&mut self) -> Option<CardSlot> {
        self.ask(&Request::ListCards);
        match self.answer() {
            Response::Cards { service: false, readers } => {
                assert_eq!(readers, []);
                None
            }
            Response::Cards { service: true, readers } => {
                assert_eq!(readers.len(), 2, "{readers:?}");
                let names: Vec<_> = readers.iter().map(|reader| reader.name.as_str()).collect();
                assert_eq!(names, ["Virtual PCD 00 00", "Virtual PCD 00 01"]);
                assert_eq!(readers[1].slot, CardSlot::Empty);
                Some(readers[0].slot.clone())
            }
            _ => panic!("no cards"),
        }
    }

    /// Does something, and follows the changes until what is in the first reader is as it should be.
    fn news<T>(
        &mut self,
        seen: &mut u64,
        act: impl FnOnce() -> T,
        is: impl Fn(&Option<CardSlot>) -> bool,
    ) -> T {
        self.ask(&Request::AwaitCards { seen: *seen });
        let acted = act();
        loop {
            match self.answer() {
                Response::CardsChanged(number) => {
                    assert!(number > *seen);
                    *seen = number;
                }
                _ => panic!("no news"),
            }
            if is(&self.look()) {
                return acted;
            }
            self.ask(&Request::AwaitCards { seen: *seen });
        }
    }

    fn card(&mut self) -> Card {
        match self.look() {
            Some(CardSlot::Card(card)) => card,
            other => panic!("no card: {other:?}"),
        }
    }

    /// The vault ends when the broker goes, whatever a card does.
    fn ends(mut self) {
        drop(self.socket);
        assert!(self.process.wait(LIMIT).is_some_and(|status| status.success()), "the vault has not ended");
    }
}

/// Has another program keep the card to itself until it is ended.
fn hold(reader: &Reader) -> Process {
    let script = "use Chipcard::PCSC; use Chipcard::PCSC::Card; $| = 1;
        my $context = Chipcard::PCSC->new() or die $Chipcard::PCSC::errno;
        my $card = Chipcard::PCSC::Card->new($context, 'Virtual PCD 00 00') or die $Chipcard::PCSC::errno;
        $card->BeginTransaction() or die $Chipcard::PCSC::errno;
        print \"held\\n\"; <STDIN>;";
    let mut command = reader.command("perl");
    let mut child =
        command.args(["-e", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut said).expect("install the Debian package libpcsc-perl");
    assert_eq!(&said, b"held\n");
    Process::new(child)
}

#[test]
fn cards_are_told_with_tries_and_certificates_and_change_nothing() {
    let Some(reader) = Reader::start() else { return };
    let Some(folder) = personalised(CardKey::P256) else { return };
    let mut vault = Vault::start(&reader);
    assert_eq!(vault.look(), Some(CardSlot::Empty));
    let inserted = reader.insert(folder.path());
    let card = vault.card();
    assert_eq!(
        (card.kind, card.id.len(), card.pin_tries, card.puk_tries),
        (CardKind::Piv, 16, Some(3), None)
    );
    let slots = [KeySlot::Authentication, KeySlot::Signature, KeySlot::Encryption];
    let expected: Vec<_> =
        slots.into_iter().zip(["9A", "9C", "9D"].map(|name| der(folder.path(), name))).collect();
    assert_eq!(card.certificates, expected);
    // A try that another program uses up is seen, and looking again costs none.
    let wrong = ["--reader", "Virtual PCD", "-a", "verify-pin", "-P", "654321"];
    assert!(!reader.run("yubico-piv-tool", &wrong).status.success());
    for _ in 0..3 {
        assert_eq!(vault.card().pin_tries, Some(2));
    }
    inserted.pull();
    assert_eq!(vault.look(), Some(CardSlot::Empty));
    // The same card, in whatever reader and whenever.
    let _inserted = reader.insert(folder.path());
    assert_eq!(vault.card().id, card.id);
    let log = fs::read_to_string(reader.path("vault.log")).unwrap();
    assert!(!log.contains(&hex(&card.id)), "{log}");
    vault.ends();
}

fn der(folder: &Path, slot: &str) -> Vec<u8> {
    openssl(["x509", "-in", folder.join(format!("{slot}.pem")).to_str().unwrap(), "-outform", "DER"])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_service_may_be_absent_come_and_go() {
    let Some(mut reader) = Reader::start() else { return };
    let folder = fresh();
    reader.unplug();
    let mut vault = Vault::start(&reader);
    assert_eq!(vault.look(), None);
    for _ in 0..2 {
        reader.plug_in();
        assert_eq!(vault.look(), Some(CardSlot::Empty));
        let card = reader.insert(folder.path());
        assert_eq!(vault.card().certificates, []);
        drop(card);
        reader.unplug();
        assert_eq!(vault.look(), None);
    }
    vault.ends();
}

#[test]
fn a_card_that_another_program_keeps_is_busy_and_then_is_not() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let _card = reader.insert(folder.path());
    let mut vault = Vault::start(&reader);
    let holding = hold(&reader);
    assert_eq!(vault.look(), Some(CardSlot::Unusable(CardTrouble::Busy)));
    drop(holding);
    eventually("the card is free", LIMIT, || matches!(vault.look(), Some(CardSlot::Card(_))));
    // Whoever has only connected, with the PIN shown, is not disturbed.
    let verified =
        reader.runs("yubico-piv-tool", &["--reader", "Virtual PCD", "-a", "verify-pin", "-P", PIN]);
    assert!(verified.contains("Successfully verified PIN"), "{verified}");
    vault.ends();
}

#[test]
fn a_card_that_is_pulled_out_in_mid_operation_is_gone() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let mut vault = Vault::start(&reader);
    // GET DATA is what it dies of, then VERIFY, which asks for the tries.
    for die in ["cb:1", "20:1"] {
        let card = reader.insert_faulty(folder.path(), &["--die", die]);
        assert_eq!(vault.look(), Some(CardSlot::Empty), "{die}");
        card.has_ended();
    }
    let _card = reader.insert(folder.path());
    assert_eq!(vault.card().pin_tries, Some(3));
    vault.ends();
}

#[test]
fn the_service_that_ends_in_mid_operation_is_gone() {
    let Some(mut reader) = Reader::start() else { return };
    let folder = fresh();
    let mut vault = Vault::start(&reader);
    let card = reader.insert_faulty(folder.path(), &["--slow", "cb:600000"]);
    vault.ask(&Request::ListCards);
    eventually("the card is asked", LIMIT, || reader.log().contains("PHSetProtocol"));
    reader.unplug();
    match vault.answer() {
        Response::Cards { service: true, readers } => {
            assert!(readers.iter().all(|reader| reader.slot == CardSlot::Empty), "{readers:?}");
        }
        _ => panic!("no cards"),
    }
    assert_eq!(vault.look(), None);
    drop(card);
    vault.ends();
}

#[test]
fn who_waits_for_a_change_is_told_of_it() {
    let Some(mut reader) = Reader::start() else { return };
    let folder = fresh();
    let mut vault = Vault::start(&reader);
    let mut seen = 0;
    let card = vault.news(
        &mut seen,
        || reader.insert(folder.path()),
        |slot| matches!(slot, Some(CardSlot::Card(_))),
    );
    vault.news(&mut seen, || card.pull(), |slot| *slot == Some(CardSlot::Empty));
    vault.news(&mut seen, || reader.unplug(), |slot| slot.is_none());
    vault.news(&mut seen, || reader.plug_in(), |slot| *slot == Some(CardSlot::Empty));
    // Of two that wait the first is answered.
    vault.ask(&Request::AwaitCards { seen: u64::MAX });
    let Response::CardsChanged(now) = vault.answer() else { panic!("no news") };
    vault.ask(&Request::AwaitCards { seen: now });
    vault.ask(&Request::AwaitCards { seen: now });
    assert!(matches!(vault.answer(), Response::CardsChanged(_)));
    vault.ends();
}

#[test]
fn a_card_that_does_not_answer_holds_up_nothing_else() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let mut vault = Vault::start(&reader);
    let card = reader.insert_faulty(folder.path(), &["--slow", "cb:600000"]);
    assert_eq!(vault.look(), Some(CardSlot::Unusable(CardTrouble::Silent)));
    // It is not asked again before it has answered.
    assert_eq!(vault.look(), Some(CardSlot::Unusable(CardTrouble::Silent)));
    vault.ask(&Request::Status);
    assert!(matches!(vault.answer(), Response::Status { .. }));
    card.pull();
    eventually("it is seen to be gone", LIMIT, || vault.look() == Some(CardSlot::Empty));
    let _card = reader.insert_faulty(folder.path(), &["--slow", "cb:600000"]);
    assert_eq!(vault.look(), Some(CardSlot::Unusable(CardTrouble::Silent)));
    vault.ends();
}
