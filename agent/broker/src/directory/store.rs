//! The pin store of one identity: a DER file whose MAC only the vault can make, under a key out of the root key seal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::OctetString;
use der::{Decode, Encode, Sequence};
use life_pki::account_log::Pin;
use life_pki::{Timestamp, Uid};
use rustix::fs::FlockOperation;

use crate::error::{Error, Fault, Result};
use crate::vault::Session;

const VERSION: u8 = 1;
/// A file beyond this size is not ours.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// What is kept of one user.
#[derive(Clone)]
pub struct Peer {
    /// How far the account log was seen.
    pub pin: Pin,
    /// The log itself.
    pub log: Vec<Vec<u8>>,
    /// The root credential's certificate.
    pub certificate: Vec<u8>,
    /// The certificates that issued it, the root last.
    pub issuers: Vec<Vec<u8>>,
    /// When the account was pinned.
    pub first_seen: Timestamp,
    /// Whether a person confirmed the fingerprint.
    pub confirmed: bool,
}

/// Everything that is kept.
#[derive(Default)]
pub struct Pins {
    /// One's own account.
    pub own: Option<Pin>,
    /// The others.
    pub peers: BTreeMap<Uid, Peer>,
}

impl Pins {
    /// Takes over what is stored and further than what is here.
    fn merge(&mut self, stored: Self, changed: Option<Uid>) {
        let further =
            |stored: &Pin, here: Option<&Pin>| here.is_none_or(|here| stored.length() > here.length());
        if let Some(own) = stored.own.filter(|own| further(own, self.own.as_ref())) {
            self.own = Some(own);
        }
        for (uid, peer) in stored.peers {
            let here = self.peers.get(&uid);
            let more = further(&peer.pin, here.map(|here| &here.pin))
                || here.is_some_and(|here| here.pin == peer.pin && peer.confirmed && !here.confirmed);
            if more && changed != Some(uid) {
                self.peers.insert(uid, peer);
            }
        }
    }
}

#[derive(Sequence)]
struct WirePeer {
    pin: OctetString,
    log: Vec<OctetString>,
    certificate: OctetString,
    issuers: Vec<OctetString>,
    first_seen: u64,
    confirmed: bool,
}

#[derive(Sequence)]
struct WireBody {
    version: u8,
    uid: OctetString,
    own: OctetString,
    peers: Vec<WirePeer>,
}

#[derive(Sequence)]
struct WireFile {
    body: OctetString,
    tag: OctetString,
}

/// Where an identity's pins are.
pub struct Store {
    file: PathBuf,
    uid: Uid,
}

fn octets(bytes: &[u8]) -> der::Result<OctetString> {
    OctetString::new(bytes)
}

fn unusable(why: &'static str) -> Error {
    Fault::StateUnusable.because(why)
}

/// The vault's MAC is over a digest, so that the file may outgrow a frame.
async fn mac(session: &Session, body: &[u8]) -> Result<[u8; 32]> {
    session.mac(digest(&SHA256, body).as_ref().to_vec()).await
}

impl Store {
    /// The store of a user in the agent's state folder.
    pub fn new(state: &Path, uid: Uid) -> Self {
        Self { file: state.join("pins").join(format!("{uid}.der")), uid }
    }

    /// Keeps other agents from writing meanwhile. They hold it as long as a write takes.
    fn lock(&self) -> Result<std::fs::File> {
        let path = self.file.with_extension("lock");
        let fault =
            |error: std::io::Error| Fault::StateUnusable.because(format!("the pin file's lock: {error}"));
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(fault)?;
        tokio::task::block_in_place(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
            .map_err(|error| fault(error.into()))?;
        Ok(file)
    }

    /// Reads the pins and checks their MAC; none when there is no file yet.
    ///
    /// # Errors
    /// STATE_UNUSABLE for a file that cannot be read, was changed, or belongs to another account.
    pub async fn load(&self, session: &Session) -> Result<Pins> {
        let bytes = match std::fs::metadata(&self.file).map(|found| found.len()) {
            Ok(length) if length > MAX_SIZE => return Err(unusable("the pin file is far too long")),
            _ => std::fs::read(&self.file),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Pins::default()),
            Err(error) => return Err(Fault::StateUnusable.because(format!("the pin file: {error}"))),
        };
        let file = WireFile::from_der(&bytes).map_err(|_| unusable("the pin file is damaged"))?;
        let expected = mac(session, file.body.as_bytes()).await?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&expected, file.tag.as_bytes());
        same.map_err(|_| unusable("the pin file was changed or belongs to an earlier account of the user"))?;
        self.parse(file.body.as_bytes()).ok_or_else(|| unusable("the pin file is damaged"))
    }

    fn parse(&self, body: &[u8]) -> Option<Pins> {
        let body = WireBody::from_der(body).ok()?;
        if body.version != VERSION || body.uid.as_bytes() != self.uid.as_bytes() {
            return None;
        }
        let own = match body.own.as_bytes() {
            [] => None,
            der => Some(Pin::from_der(der).ok()?),
        };
        let bytes = |list: Vec<OctetString>| list.into_iter().map(|item| item.into_bytes().into()).collect();
        let mut peers = BTreeMap::new();
        for peer in body.peers {
            let pin = Pin::from_der(peer.pin.as_bytes()).ok()?;
            let peer = Peer {
                log: bytes(peer.log),
                certificate: peer.certificate.as_bytes().to_vec(),
                issuers: bytes(peer.issuers),
                first_seen: Timestamp::from_unix(i64::try_from(peer.first_seen).ok()?).ok()?,
                confirmed: peer.confirmed,
                pin,
            };
            peers.insert(peer.pin.uid(), peer);
        }
        Some(Pins { own, peers })
    }

    /// Encodes the pins.
    fn encode(&self, pins: &Pins) -> Result<Vec<u8>> {
        let list = |items: &[Vec<u8>]| items.iter().map(|item| octets(item)).collect::<der::Result<Vec<_>>>();
        let peer = |peer: &Peer| -> Result<WirePeer> {
            let wire = || -> der::Result<WirePeer> {
                Ok(WirePeer {
                    pin: octets(&[])?,
                    log: list(&peer.log)?,
                    certificate: octets(&peer.certificate)?,
                    issuers: list(&peer.issuers)?,
                    first_seen: peer.first_seen.unix_u64(),
                    confirmed: peer.confirmed,
                })
            };
            let mut wire = wire().map_err(Error::internal)?;
            wire.pin = octets(&peer.pin.to_der().map_err(Error::internal)?).map_err(Error::internal)?;
            Ok(wire)
        };
        let own =
            pins.own.as_ref().map(Pin::to_der).transpose().map_err(Error::internal)?.unwrap_or_default();
        let peers = pins.peers.values().map(peer).collect::<Result<Vec<_>>>()?;
        let encode = || -> der::Result<Vec<u8>> {
            let (uid, own) = (octets(self.uid.as_bytes())?, octets(&own)?);
            WireBody { version: VERSION, uid, own, peers }.to_der()
        };
        encode().map_err(Error::internal)
    }

    /// Writes the pins, whole or not at all. Where another agent of the same state folder has pinned more meanwhile,
    /// its pins are taken over, but for the user `changed`.
    ///
    /// # Errors
    /// STATE_UNUSABLE when the folder cannot be written.
    pub async fn save(&self, session: &Session, pins: &mut Pins, changed: Option<Uid>) -> Result<()> {
        let _one = self.lock()?;
        let stored = self.load(session).await?;
        pins.merge(stored, changed);
        let body = self.encode(pins)?;
        let tag = mac(session, &body).await?;
        let file =
            || -> der::Result<Vec<u8>> { WireFile { body: octets(&body)?, tag: octets(&tag)? }.to_der() };
        let bytes = file().map_err(Error::internal)?;
        let path = self.file.clone();
        let written =
            tokio::task::spawn_blocking(move || life_sys::files::write_atomically(&path, &bytes, 0o600));
        written
            .await
            .map_err(Error::internal)?
            .map_err(|error| Fault::StateUnusable.because(format!("the pin file cannot be written: {error}")))
    }
}
