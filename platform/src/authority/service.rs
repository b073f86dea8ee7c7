//! The CA's process: a socket, one request at a time, and the two things it may sign.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use life_pki::account_log::{AccountState, CredentialId};
use life_pki::certificate::Certificate;
use life_pki::{KeySlot, PublicKey, SpkiHash, Timestamp, Uid};
use rustix::fs::Mode;
use rustix::process::umask;

use super::added::AddedEvidence;
use super::evidence::{CheckedEvidence, Evidence};
use super::keys::CaKey;
use super::ledger::{Issued, Ledger};
use super::mint::Issuing;
use super::protocol::{self, Request, Response, SignedList};
use super::setup::USER_ISSUING;
use crate::clock::Clock;
use crate::config::{CaConfig, SocketAccess};
use crate::encoding::Base64;
use crate::error::{Error, io};
use crate::layout::Layout;

/// A peer that is silent for so long in the middle of a request is dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// The certificate authority: the issuing key and the ledger.
pub struct Authority {
    issuing: Issuing,
    ledger: Ledger,
    config: CaConfig,
    clock: Clock,
}

life_sys::secret_types!(Authority);

impl Authority {
    /// Loads the issuing key and opens the ledger.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Certificate`], [`Error::Database`].
    pub fn open(layout: &Layout, config: CaConfig, clock: Clock) -> Result<Self, Error> {
        let issuing = Issuing::new(CaKey::load(&layout.issuing_key())?, USER_ISSUING);
        Ok(Self { issuing, ledger: Ledger::open(&layout.ca_database())?, config, clock })
    }

    /// Answers one request.
    pub fn answer(&mut self, request: Request) -> Response {
        let answer = match request {
            Request::Crl => self.sign_crl().map(Response::Crl),
            Request::Issue { uid, evidence } => self.issue(&uid, &evidence),
            Request::IssueAdded { uid, evidence } => self.issue_added(&uid, &evidence),
            Request::Revoke { uid, credential, time } => self.revoke(&uid, &credential, time),
        };
        answer.unwrap_or_else(|error| {
            tracing::warn!(%error, "request refused");
            Response::Refused { message: error.to_string() }
        })
    }

    fn issue(&mut self, uid: &str, evidence: &Evidence) -> Result<Response, Error> {
        let uid: Uid = uid.parse().map_err(|_| Error::CaRefused("not a user id".to_owned()))?;
        let checked =
            evidence.check(uid, self.clock.now()).map_err(|fault| Error::CaRefused(fault.to_string()))?;
        let digest = evidence.digest();
        let issued = match self.ledger.evidence(uid)? {
            Some(known) if known == digest => self.registered(uid, checked.credential.keys.id)?,
            Some(_) => return Err(Error::CaRefused("this user has another genesis".to_owned())),
            None => self.mint(uid, &checked, &digest)?,
        };
        Ok(by_name(issued))
    }

    /// What a registration was issued.
    fn registered(&self, uid: Uid, credential: CredentialId) -> Result<Vec<Issued>, Error> {
        let mut issued = self.ledger.issued(uid, Some(credential))?;
        issued.append(&mut self.ledger.issued(uid, None)?);
        Ok(issued)
    }

    fn issue_added(&mut self, uid: &str, evidence: &AddedEvidence) -> Result<Response, Error> {
        let uid: Uid = uid.parse().map_err(|_| Error::CaRefused("not a user id".to_owned()))?;
        let now = self.clock.now();
        let checked = evidence.check(uid, now).map_err(|fault| Error::CaRefused(fault.to_string()))?;
        self.check_account(uid, &checked.state)?;
        let id = checked.credential.id;
        let known = self.ledger.issued(uid, Some(id))?;
        if known.is_empty() {
            let issued = checked.keys.iter().map(|(slot, key)| self.certify(uid, *slot, key));
            let issued = issued.collect::<Result<Vec<_>, _>>()?;
            self.ledger.record_added(uid, id, &issued, now)?;
            tracing::info!("issued the certificates of an added credential");
            return Ok(by_name(issued));
        }
        let named: Vec<_> = checked.keys.iter().map(|(slot, key)| (*slot, key.hash())).collect();
        if keys_of(&known)? == named {
            Ok(by_name(known))
        } else {
            Err(Error::CaRefused("this credential has other keys".to_owned()))
        }
    }

    /// A log that verifies may still be another account's of the same name: it has to begin with the keys that this CA
    /// issued to.
    fn check_account(&self, uid: Uid, state: &AccountState) -> Result<(), Error> {
        let foreign = || Error::CaRefused("nothing was issued to the account of this log".to_owned());
        let first = &state.credentials().first().ok_or_else(foreign)?.keys;
        let root = state.root(1).ok_or_else(foreign)?;
        let issued = keys_of(&self.registered(uid, first.id)?)?;
        let named = [
            (KeySlot::Authentication, first.authentication),
            (KeySlot::Signature, first.signature),
            (KeySlot::Encryption, first.encryption),
            (KeySlot::Root, root.spki_hash),
        ];
        if issued == named { Ok(()) } else { Err(foreign()) }
    }

    fn mint(&mut self, uid: Uid, checked: &CheckedEvidence, digest: &[u8; 32]) -> Result<Vec<Issued>, Error> {
        let now = self.clock.now();
        let mut issued = Vec::new();
        for (slot, key) in checked.keys.slots() {
            issued.push(self.certify(uid, slot, key)?);
        }
        self.ledger.record(uid, digest, checked.credential.keys.id, &issued, now)?;
        tracing::info!("issued the certificates of a new account");
        Ok(issued)
    }

    fn certify(&self, uid: Uid, slot: KeySlot, key: &PublicKey) -> Result<Issued, Error> {
        let days = match slot {
            KeySlot::Root => self.config.root_credential_days,
            _ => self.config.credential_days,
        };
        let der = self.issuing.user(uid, slot, key, self.clock.now(), days)?;
        let certificate =
            Certificate::from_der(&der).map_err(|_| Error::Certificate("the result does not parse"))?;
        // What leaves this process is what the profile says, or nothing does.
        if certificate.uid() != Some(uid) || certificate.slot() != Some(slot) {
            return Err(Error::Certificate("the result does not fit the profile"));
        }
        let serial = certificate.serial().to_vec();
        Ok(Issued { slot, serial, der, expires: certificate.not_after() })
    }

    fn revoke(&mut self, uid: &str, credential: &str, time: i64) -> Result<Response, Error> {
        let uid: Uid = uid.parse().map_err(|_| Error::CaRefused("not a user id".to_owned()))?;
        let credential = CredentialId::from_hex(credential)
            .ok_or_else(|| Error::CaRefused("not a credential id".to_owned()))?;
        let time = Timestamp::from_unix(time).map_err(|_| Error::CaRefused("not a time".to_owned()))?;
        // A credential counts for nothing since it was revoked, however late this process hears of it. A time to come
        // would keep it off the list.
        if self.ledger.revoke(uid, credential, time.min(self.clock.now()))? == 0 {
            return Err(Error::CaRefused("nothing was issued to this credential".to_owned()));
        }
        self.sign_crl().map(Response::Crl)
    }

    fn sign_crl(&mut self) -> Result<SignedList, Error> {
        let now = self.clock.now();
        let life = self.config.crl_days * 86_400;
        let next = now.plus(life);
        // An entry stays for one more list after its certificate expired, and for clocks that run behind.
        let list = self.ledger.next_crl(now, now.minus(life))?;
        let der = super::crl::sign(&self.issuing, list.number, &list.revoked, now, next)?;
        Ok(SignedList { der: Base64(der), this_update: now.unix(), next_update: next.unix() })
    }
}

/// The answer that names each certificate by its slot.
fn by_name(issued: Vec<Issued>) -> Response {
    let certificates = issued.into_iter().map(|issued| (issued.slot.name().to_owned(), Base64(issued.der)));
    Response::Issued { certificates: certificates.collect::<BTreeMap<_, _>>() }
}

/// Slots and keys of what was issued, in the order of the slots.
fn keys_of(issued: &[Issued]) -> Result<Vec<(KeySlot, SpkiHash)>, Error> {
    let key = |issued: &Issued| {
        let certificate = Certificate::from_der(&issued.der).map_err(|_| Error::Stored("a certificate"))?;
        Ok((issued.slot, certificate.public_key().hash()))
    };
    let mut keys = issued.iter().map(key).collect::<Result<Vec<_>, Error>>()?;
    keys.sort_unstable_by_key(|(slot, _)| slot.number());
    Ok(keys)
}

/// Binds the CA's socket with its mode set by the umask, never by a later chmod.
///
/// A socket nobody listens on any more is taken over; a live one is not.
///
/// # Errors
/// [`Error::Config`] when another CA listens; [`Error::Io`].
pub fn bind(path: &Path, access: SocketAccess) -> Result<UnixListener, Error> {
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(Error::Config("the CA's socket path is taken by something else".to_owned()));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(Error::Config("another CA listens on this socket".to_owned()));
        }
        std::fs::remove_file(path).map_err(io("cannot remove the stale socket of the CA"))?;
    }
    let mask = match access {
        SocketAccess::Group => 0o117,
        SocketAccess::Owner => 0o177,
    };
    let before = umask(Mode::from_raw_mode(mask));
    let listener = UnixListener::bind(path);
    umask(before);
    listener.map_err(io("cannot listen on the CA's socket"))
}

/// Serves until the process ends. Requests of all connections go through the one authority in turn.
pub fn serve(listener: &UnixListener, authority: Authority) {
    let authority = Arc::new(Mutex::new(authority));
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a peer could not be accepted");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let authority = Arc::clone(&authority);
        let spawned = std::thread::Builder::new().name("ca-peer".to_owned()).spawn(move || {
            if let Err(error) = converse(stream, &authority) {
                tracing::warn!(%error, "a peer's connection failed");
            }
        });
        if spawned.is_err() {
            tracing::error!("no thread for a peer");
        }
    }
}

fn converse(mut stream: UnixStream, authority: &Mutex<Authority>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    while let Some(request) = protocol::read(&mut stream, protocol::MAX_REQUEST)? {
        let response = authority.lock().unwrap_or_else(PoisonError::into_inner).answer(request);
        protocol::write(&mut stream, &response, protocol::MAX_RESPONSE)?;
    }
    Ok(())
}
