//! How much memory opening takes. One test in its own process: the peak is the process's.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]
#![cfg(target_os = "linux")]

mod common;

use bytes::Bytes;
use common::tree::Node;
use common::{Ca, Use};
use life_envelope::stream::{self, Announced, Opener, Position, Sealer, StreamHeader};
use life_envelope::{DocumentId, Envelope, OwnKey, envelope, limits, recipient};

const MIB: usize = 1 << 20;

/// Peak resident memory in bytes while `work` runs, above what was there before.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let field = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    };
    // Resets the peak to the present size, proc(5).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = field("VmRSS:");
    let result = work();
    (field("VmHWM:").saturating_sub(before), result)
}

#[test]
fn memory_is_bounded() {
    let ca = Ca::new();
    let user = ca.p256(Use::Encrypt);
    let keys = [user.key.public_key().clone()];
    let own = OwnKey::from_certificate(&user.certificate).unwrap();
    let open = |bytes: &[u8]| {
        let envelope = Envelope::parse(bytes).unwrap();
        let key = recipient::unwrap(envelope.find(std::slice::from_ref(&own)).unwrap(), &user.key).unwrap();
        envelope.open(&key).unwrap()
    };

    let content = vec![7; limits::MAX_PLAINTEXT];
    let (sealed, _) = envelope::seal(&content, &keys).unwrap();
    let (used, opened) = peak(|| open(&sealed));
    assert!(opened == content);
    assert!(used < 17 * MIB, "DER: {} KiB", used / 1024);

    // BER in segments of 1000 bytes, as Bouncy Castle writes: transcoded once, joined once.
    let segmented = {
        let mut tree = Node::parse(&sealed);
        let place = tree.at(&[1, 0, 2, 2]);
        let segments = place.contents().chunks(1000).map(|it| Node::Primitive(4, it.to_vec())).collect();
        *place = Node::Constructed(0xa0, segments);
        tree.to_der()
    };
    drop((opened, sealed));
    let (used, opened) = peak(|| open(&segmented));
    assert!(opened == content);
    assert!(used < 52 * MIB, "BER: {} KiB", used / 1024);
    drop((opened, segmented, content));

    let (used, length) = peak(|| stream_through(&user, &own, 100));
    assert_eq!(length, (stream::FIRST_SEGMENT + 99 * stream::SEGMENT) as u64);
    assert!(used < 8 * MIB, "stream: {} KiB", used / 1024);
}

/// Seals and opens a stream of so many full segments, holding no more than one of them.
fn stream_through(user: &common::User, own: &OwnKey, segments: usize) -> u64 {
    let (start, mut sealer) =
        Sealer::new(DocumentId([5; 16]), 1, Announced::Nothing, &[user.key.public_key().clone()]).unwrap();
    let (head, tink) = start.split_at(stream::header_length(&start).unwrap().unwrap());
    let header = StreamHeader::parse(head).unwrap();
    let info = header.envelope().find(std::slice::from_ref(own)).unwrap();
    let key = header.open(&recipient::unwrap(info, &user.key).unwrap()).unwrap();
    let mut opener = Opener::new(key).unwrap();
    opener.push(Bytes::copy_from_slice(tink)).unwrap();
    let mut out = Vec::new();
    for number in 1..=segments {
        let mut segment = vec![number as u8; sealer.segment_size()];
        let position = if number == segments { Position::Last } else { Position::Inner };
        let tag = sealer.seal_segment(&mut segment, position).unwrap();
        segment.extend_from_slice(&tag);
        for piece in segment.chunks(MIB) {
            opener.push(Bytes::copy_from_slice(piece)).unwrap();
            while opener.next_segment(&mut out).unwrap() {}
        }
    }
    opener.push(sealer.finish(None).unwrap().into()).unwrap();
    opener.end_input().unwrap();
    while opener.next_segment(&mut out).unwrap() {}
    opener.finish().unwrap().length
}
