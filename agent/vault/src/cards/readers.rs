//! Readers and cards through PC/SC: pcscd on Linux, which is asked anew each time, so that it may come and go.

use std::ffi::{CStr, CString};
use std::thread::sleep;
use std::time::{Duration, Instant};

use life_credentials::card::{CardError, CardProfile, Piv, Transport, TransportError};
use life_pki::KeySlot;
use life_sys::secret::SecretBytes;
use life_vault_protocol::cards::{Card, CardKind, MAX_CARD_CERTIFICATE, MAX_CARD_ID, MAX_READERS};
use pcsc::{Context, Disposition, Error, Protocols, ReaderState, Scope, ShareMode, State};

/// How long a card is waited for that another program keeps to itself.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// How long pcscd may take to see what has become of a card that does not answer any more.
const NOTICE: Duration = Duration::from_secs(2);
/// CM_IOCTL_GET_FEATURE_REQUEST (PC/SC part 10, 2.2): a question to the reader that changes nothing.
const GET_FEATURES: u32 = 3400;

/// The readers there are.
pub(super) fn names() -> Result<Vec<CString>, TransportError> {
    match context()?.list_readers_owned() {
        Ok(mut names) => {
            names.truncate(MAX_READERS);
            Ok(names)
        }
        Err(Error::NoReadersAvailable) => Ok(Vec::new()),
        Err(error) => Err(meaning(error)),
    }
}

/// What card is in a reader, if any.
pub(super) fn look(name: &CStr) -> Result<Option<Card>, CardError> {
    let context = context()?;
    let looked = transact(&context, name, Disposition::LeaveCard, |transport| {
        let mut piv = Piv::select(transport)?;
        let id = piv.id()?.as_bytes().to_vec();
        let tries = piv.pin_status()?;
        let mut certificates = Vec::new();
        for slot in [KeySlot::Authentication, KeySlot::Signature, KeySlot::Encryption] {
            match piv.certificate(slot) {
                Ok(Some(certificate)) if certificate.len() <= MAX_CARD_CERTIFICATE => {
                    certificates.push((slot, certificate));
                }
                // What is of no use here is not there; the rest of the card may be good.
                Ok(_) | Err(CardError::NotSupported | CardError::Senseless) => {}
                Err(error) => return Err(error),
            }
        }
        if id.len() > MAX_CARD_ID {
            return Err(CardError::Senseless);
        }
        Ok(Card { kind: CardKind::Piv, id, pin_tries: tries.pin, puk_tries: tries.puk, certificates })
    });
    match looked {
        Err(CardError::Transport(TransportError::CardGone)) => Ok(None),
        looked => looked.map(Some),
    }
}

fn context() -> Result<Context, TransportError> {
    Context::establish(Scope::User).map_err(meaning)
}

/// Works with the card in a reader while no other program can, and leaves it as `after` says.
fn transact<T>(
    context: &Context,
    name: &CStr,
    after: Disposition,
    work: impl FnOnce(&mut dyn Transport) -> Result<T, CardError>,
) -> Result<T, CardError> {
    let until = Instant::now() + PATIENCE;
    let mut card = patiently(until, || context.connect(name, ShareMode::Shared, Protocols::ANY))?;
    // Beginning a transaction would wait for ever where another program has one: first it must have ended.
    let mut free =
        patiently(until, || match card.control(pcsc::ctl_code(GET_FEATURES.into()), &[], &mut [0; 256]) {
            Err(error @ (Error::SharingViolation | Error::ResetCard | Error::RemovedCard)) => Err(error),
            // A reader that does not know the question was asked all the same.
            Ok(_) | Err(_) => Ok(()),
        });
    if free == Err(TransportError::CardReset) {
        // By another program, since it was connected.
        free = card.reconnect(ShareMode::Shared, Protocols::ANY, Disposition::LeaveCard).map_err(meaning);
    }
    let worked = free.map_err(CardError::from).and_then(|()| {
        let transaction = card.transaction().map_err(meaning)?;
        let worked = work(&mut Wire { context, name, card: &transaction });
        // What ends it otherwise, should this fail, is that the connection is closed next.
        let _ended = transaction.end(after);
        worked
    });
    let _closed = card.disconnect(after);
    worked
}

/// Does what another program may stand in the way of, for a while.
fn patiently<T>(until: Instant, mut act: impl FnMut() -> Result<T, Error>) -> Result<T, TransportError> {
    loop {
        match act() {
            Err(Error::SharingViolation) if Instant::now() < until => sleep(PAUSE),
            done => return done.map_err(meaning),
        }
    }
}

/// A card in a transaction.
struct Wire<'a> {
    context: &'a Context,
    name: &'a CStr,
    card: &'a pcsc::Card,
}

impl Transport for Wire<'_> {
    fn transmit(&mut self, apdu: &SecretBytes) -> Result<SecretBytes, TransportError> {
        let mut length = 0;
        let buffer = SecretBytes::init_with(pcsc::MAX_BUFFER_SIZE, |buffer| {
            // EXPOSE: to the card.
            length = self.card.transmit(apdu.expose(), buffer)?.len();
            Ok::<_, Error>(())
        });
        match buffer {
            // No card says so little: some drivers have that for one that is gone.
            Ok(_) if length < 2 => Err(self.what_became_of_it(Error::NotTransacted)),
            // EXPOSE: what the card said, without the room behind it; both are wiped.
            Ok(buffer) => Ok(SecretBytes::new(buffer.expose()[..length].to_vec())),
            Err(error) => Err(self.what_became_of_it(error)),
        }
    }
}

impl Wire<'_> {
    /// A card that is pulled out in mid-operation is an error of its own only when pcscd has seen it go.
    fn what_became_of_it(&self, error: Error) -> TransportError {
        let meant = meaning(error);
        if meant != TransportError::Failed {
            return meant;
        }
        let until = Instant::now() + NOTICE;
        let mut reader = [ReaderState::new(self.name, State::UNAWARE)];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.context.get_status_change(left, &mut reader) {
                Ok(()) if reader[0].event_state().intersects(State::EMPTY) => {
                    return TransportError::CardGone;
                }
                Ok(()) if reader[0].event_state().intersects(State::UNKNOWN | State::UNAVAILABLE) => {
                    return TransportError::ReaderGone;
                }
                Ok(()) if !left.is_zero() => reader[0].sync_current_state(),
                Ok(()) | Err(Error::Timeout) => return TransportError::Failed,
                Err(error) => return meaning(error),
            }
        }
    }
}

fn meaning(error: Error) -> TransportError {
    match error {
        Error::SharingViolation => TransportError::Busy,
        Error::NoSmartcard | Error::RemovedCard => TransportError::CardGone,
        Error::ResetCard => TransportError::CardReset,
        Error::UnknownReader | Error::ReaderUnavailable => TransportError::ReaderGone,
        Error::NoService | Error::ServiceStopped | Error::CommError | Error::InvalidHandle => {
            TransportError::ServiceGone
        }
        Error::Timeout | Error::WaitedTooLong => TransportError::Silent,
        _ => TransportError::Failed,
    }
}
