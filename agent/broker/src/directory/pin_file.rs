//! How pins are written: DER, versioned, so that what an older agent wrote is read.

use std::collections::BTreeMap;

use der::asn1::OctetString;
use der::{Decode, Encode, Sequence};
use life_pki::account_log::Pin;
use life_pki::{Timestamp, Uid};

use super::pins::{Peer, Pins};
use super::store::{MAX_SIZE, unusable};
use crate::error::{Error, Result};

const VERSION: u8 = 2;
/// As many users are pinned.
const MAX_PEERS: usize = 50_000;

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

fn octets(bytes: &[u8]) -> der::Result<OctetString> {
    OctetString::new(bytes)
}

/// Reads the pins of a user; nothing for what is damaged, of a later version or another's.
pub fn parse(uid: Uid, body: &[u8]) -> Option<Pins> {
    let body = read_body(body).filter(|body| body.uid.as_bytes() == uid.as_bytes())?;
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
pub fn encode(uid: Uid, pins: &Pins) -> Result<Vec<u8>> {
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
    let own = pins.own.as_ref().map(Pin::to_der).transpose().map_err(Error::internal)?.unwrap_or_default();
    let peers = pins.peers.values().map(peer).collect::<Result<Vec<_>>>()?;
    let encode = || -> der::Result<Vec<u8>> {
        let (uid, own) = (octets(uid.as_bytes())?, octets(&own)?);
        WireBody { version: VERSION, uid, own, peers }.to_der()
    };
    let body = encode().map_err(Error::internal)?;
    // Room for the tag and the lengths: what is written can be read.
    if body.len() > MAX_SIZE - 1024 {
        return Err(unusable("the pin file has no room for more"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::super::pins::tests::{now, of, peer};
    use super::*;
    use crate::error::Fault;

    #[test]
    fn the_version_before_is_read_and_what_cannot_be_read_again_is_not_written() {
        let uid = Uid::from_random([4; 16]);
        let peer = peer(uid, 3);
        let body = encode(uid, &of(&peer)).unwrap();
        let read = parse(uid, &body).unwrap();
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
        let read = parse(uid, &old.to_der().unwrap()).unwrap();
        let migrated = &read.peers[&uid];
        assert!(migrated.confirmed && migrated.reported && migrated.checked == now());

        let huge = Peer { log: vec![vec![0; MAX_SIZE]], ..peer };
        assert_eq!(encode(uid, &of(&huge)).unwrap_err().fault(), Fault::StateUnusable);
    }
}
