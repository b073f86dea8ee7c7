//! The pin store of one identity: a DER file whose MAC only the vault can make, under a key out of the root key seal.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::OctetString;
use der::{Decode, Encode, Sequence};
use life_pki::account_log::Pin;
use life_pki::{Timestamp, Uid};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{Error, Fault, Result};
use crate::vault::Session;

const VERSION: u8 = 2;
/// A file beyond this size is not ours, and none is written.
const MAX_SIZE: usize = 256 * 1024 * 1024;
/// As many users are pinned.
const MAX_PEERS: usize = 50_000;

/// How long another agent may keep the pin file locked.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// What is kept of one user.
#[derive(Clone)]
pub struct Peer {
    /// How far the account log was seen.
    pub pin: Pin,
    /// The log itself.
    pub log: Vec<Vec<u8>>,
    /// The root credential's certificate, empty while none was acceptable.
    pub certificate: Vec<u8>,
    /// The certificates that issued it, the root last: the path that was verified, nothing else.
    pub issuers: Vec<Vec<u8>>,
    /// When the account was pinned.
    pub first_seen: Timestamp,
    /// Whether a person confirmed the fingerprint.
    pub confirmed: bool,
    /// When the platform last showed the account, to the hour.
    pub checked: Timestamp,
    /// Whether a caller was told that the user was met for the first time.
    pub reported: bool,
    /// How often a person accepted that the account was reset.
    pub resets: u64,
}

impl Peer {
    /// A user met just now: confirmed by nobody, without a certificate yet.
    pub fn first(pin: Pin, now: Timestamp) -> Self {
        Self {
            pin,
            log: Vec::new(),
            certificate: Vec::new(),
            issuers: Vec::new(),
            first_seen: now,
            confirmed: false,
            checked: now,
            reported: false,
            resets: 0,
        }
    }

    /// Takes over what is stored, where that is further. Of two accounts of one user the one that a person accepted
    /// later counts; what is known of the other says nothing about it.
    fn merge(&mut self, stored: Self) {
        if stored.pin.genesis() != self.pin.genesis() {
            if stored.resets > self.resets {
                *self = stored;
            }
            return;
        }
        self.confirmed |= stored.confirmed;
        self.reported |= stored.reported;
        self.resets = self.resets.max(stored.resets);
        self.first_seen = self.first_seen.min(stored.first_seen);
        self.checked = self.checked.max(stored.checked);
        if stored.pin.length() > self.pin.length() {
            self.pin = stored.pin;
            self.log = stored.log;
            self.certificate = stored.certificate;
            self.issuers = stored.issuers;
        }
    }
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
    fn merge(&mut self, stored: Self) {
        // One's own account cannot be reset: another genesis is none of ours.
        let further = |stored: &Pin| {
            self.own
                .as_ref()
                .is_none_or(|own| stored.genesis() == own.genesis() && stored.length() > own.length())
        };
        if let Some(own) = stored.own.filter(further) {
            self.own = Some(own);
        }
        for (uid, peer) in stored.peers {
            match self.peers.entry(uid) {
                Entry::Occupied(mut here) => here.get_mut().merge(peer),
                Entry::Vacant(place) => drop(place.insert(peer)),
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
    checked: u64,
    reported: bool,
    resets: u64,
}

#[derive(Sequence)]
struct WireBody {
    version: u8,
    uid: OctetString,
    own: OctetString,
    peers: Vec<WirePeer>,
}

/// A peer as version 1 had it.
#[derive(Sequence)]
struct OldPeer {
    pin: OctetString,
    log: Vec<OctetString>,
    certificate: OctetString,
    issuers: Vec<OctetString>,
    first_seen: u64,
    confirmed: bool,
}

#[derive(Sequence)]
struct OldBody {
    version: u8,
    uid: OctetString,
    own: OctetString,
    peers: Vec<OldPeer>,
}

impl From<OldPeer> for WirePeer {
    fn from(old: OldPeer) -> Self {
        let OldPeer { pin, log, certificate, issuers, first_seen, confirmed } = old;
        // Version 1 told of the first use at once, and kept no time of a later contact.
        let (checked, reported, resets) = (first_seen, true, 0);
        Self { pin, log, certificate, issuers, first_seen, confirmed, checked, reported, resets }
    }
}

/// Reads the body of this version, or of the one before.
fn read_body(der: &[u8]) -> Option<WireBody> {
    if let Ok(body) = WireBody::from_der(der) {
        return Some(body).filter(|body| body.version == VERSION);
    }
    let OldBody { version, uid, own, peers } = OldBody::from_der(der).ok().filter(|old| old.version == 1)?;
    Some(WireBody { version, uid, own, peers: peers.into_iter().map(WirePeer::from).collect() })
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

    /// Keeps other agents from writing meanwhile. They hold it as long as a write takes; one that holds it for long
    /// hangs, and must not take this one with it.
    async fn lock(&self, limit: Duration) -> Result<std::fs::File> {
        let path = self.file.with_extension("lock");
        let fault =
            |error: std::io::Error| Fault::StateUnusable.because(format!("the pin file's lock: {error}"));
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(fault)?;
        let end = tokio::time::Instant::now() + limit;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if tokio::time::Instant::now() < end => {
                    tokio::time::sleep(LOCK_RETRY).await;
                }
                Err(Errno::WOULDBLOCK) => return Err(unusable("another agent keeps the pin file locked")),
                Err(error) => return Err(fault(error.into())),
            }
        }
    }

    /// Reads the pins and checks their MAC; none when there is no file yet.
    ///
    /// # Errors
    /// STATE_UNUSABLE for a file that cannot be read, was changed, or belongs to another account.
    pub async fn load(&self, session: &Session) -> Result<Pins> {
        let bytes = match std::fs::metadata(&self.file).map(|found| found.len()) {
            Ok(length) if length > MAX_SIZE as u64 => return Err(unusable("the pin file is far too long")),
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
        let body = read_body(body).filter(|body| body.uid.as_bytes() == self.uid.as_bytes())?;
        let own = match body.own.as_bytes() {
            [] => None,
            der => Some(Pin::from_der(der).ok()?),
        };
        let bytes = |list: Vec<OctetString>| list.into_iter().map(|item| item.into_bytes().into()).collect();
        let time = |seconds| Timestamp::from_unix(i64::try_from(seconds).ok()?).ok();
        let mut peers = BTreeMap::new();
        for peer in body.peers {
            let pin = Pin::from_der(peer.pin.as_bytes()).ok()?;
            let peer = Peer {
                log: bytes(peer.log),
                certificate: peer.certificate.as_bytes().to_vec(),
                issuers: bytes(peer.issuers),
                first_seen: time(peer.first_seen)?,
                confirmed: peer.confirmed,
                checked: time(peer.checked)?,
                reported: peer.reported,
                resets: peer.resets,
                pin,
            };
            peers.insert(peer.pin.uid(), peer);
        }
        Some(Pins { own, peers })
    }

    /// Encodes the pins.
    fn encode(&self, pins: &Pins) -> Result<Vec<u8>> {
        if pins.peers.len() > MAX_PEERS {
            return Err(unusable("as many users are pinned as there is room for"));
        }
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
                    checked: peer.checked.unix_u64(),
                    reported: peer.reported,
                    resets: peer.resets,
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
        let body = encode().map_err(Error::internal)?;
        // Room for the tag and the lengths: what is written can be read.
        if body.len() > MAX_SIZE - 1024 {
            return Err(unusable("the pin file has no room for more"));
        }
        Ok(body)
    }

    /// Writes the pins, whole or not at all. Where another agent of the same state folder has pinned more meanwhile,
    /// its pins are taken over.
    ///
    /// # Errors
    /// STATE_UNUSABLE when the folder cannot be written, or the pins have no room in it.
    pub async fn save(&self, session: &Session, pins: &mut Pins) -> Result<()> {
        let _one = self.lock(LOCK_LIMIT).await?;
        let stored = self.load(session).await?;
        pins.merge(stored);
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

#[cfg(test)]
mod tests {
    use life_e2e::forge;
    use life_pki::account_log;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_unix(1_760_000_000).unwrap()
    }

    fn peer(uid: Uid, resets: u64) -> Peer {
        let log = forge::account(uid).log;
        let pin = Pin::from_state(&account_log::verify_for(uid, &log, now()).unwrap());
        Peer { log, resets, ..Peer::first(pin, now()) }
    }

    fn of(peer: &Peer) -> Pins {
        Pins { own: None, peers: BTreeMap::from([(peer.pin.uid(), peer.clone())]) }
    }

    #[test]
    fn accounts_of_one_user_are_never_mixed_and_the_reset_accepted_last_wins() {
        let uid = Uid::from_random([4; 16]);
        let (old, new) = (peer(uid, 0), Peer { confirmed: true, ..peer(uid, 1) });
        for (here, stored) in [(&old, &new), (&new, &old)] {
            let mut pins = of(here);
            pins.merge(of(stored));
            let merged = &pins.peers[&uid];
            assert!(merged.pin == new.pin && merged.log == new.log && merged.confirmed);
        }
        // Nobody accepted either: what is here stays, whatever its length.
        let mut pins = of(&old);
        pins.merge(of(&Peer { resets: 0, ..new.clone() }));
        assert!(pins.peers[&uid].pin == old.pin && !pins.peers[&uid].confirmed);
        // Of one account everything known adds up.
        let mut pins = of(&new);
        pins.merge(of(&Peer { reported: true, confirmed: false, ..new.clone() }));
        assert!(pins.peers[&uid].reported && pins.peers[&uid].confirmed);
        // One's own account has one genesis.
        let mut pins = Pins { own: Some(old.pin.clone()), peers: BTreeMap::new() };
        pins.merge(Pins { own: Some(new.pin.clone()), peers: BTreeMap::new() });
        assert!(pins.own == Some(old.pin));
    }

    #[test]
    fn the_version_before_is_read_and_what_cannot_be_read_again_is_not_written() {
        let uid = Uid::from_random([4; 16]);
        let store = Store::new(Path::new("/nowhere"), uid);
        let peer = peer(uid, 3);
        let body = store.encode(&of(&peer)).unwrap();
        let read = store.parse(&body).unwrap();
        assert_eq!((read.peers[&uid].resets, &read.peers[&uid].log), (3, &peer.log));

        let bytes = |bytes: &[u8]| OctetString::new(bytes).unwrap();
        let old = OldPeer {
            pin: bytes(&peer.pin.to_der().unwrap()),
            log: peer.log.iter().map(|entry| bytes(entry)).collect(),
            certificate: bytes(b"x"),
            issuers: Vec::new(),
            first_seen: now().unix_u64(),
            confirmed: true,
        };
        let old = OldBody { version: 1, uid: bytes(uid.as_bytes()), own: bytes(&[]), peers: vec![old] };
        let read = store.parse(&old.to_der().unwrap()).unwrap();
        let migrated = &read.peers[&uid];
        assert!(migrated.confirmed && migrated.reported && migrated.checked == now());

        let huge = Peer { log: vec![vec![0; MAX_SIZE]], ..peer };
        assert_eq!(store.encode(&of(&huge)).unwrap_err().fault(), Fault::StateUnusable);
    }

    #[tokio::test]
    async fn a_lock_that_another_agent_keeps_is_waited_for_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pins")).unwrap();
        let store = Store::new(folder.path(), Uid::from_random([1; 16]));
        let held = store.lock(Duration::from_millis(50)).await.unwrap();
        assert_eq!(store.lock(Duration::from_millis(50)).await.unwrap_err().fault(), Fault::StateUnusable);
        drop(held);
        store.lock(Duration::from_millis(50)).await.unwrap();
    }
}
