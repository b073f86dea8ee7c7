//! Sealed streams there and back, and everything between that makes one refuse to open.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use common::{Ca, Use};
use life_envelope::signature::{Signed, content_digest};
use life_envelope::stream::{
    self, Announced, Digests, Manifest, Opener, Position, Sealer, StreamHeader, segment_digest,
};
use life_envelope::{
    DocumentId, Envelope, Error, Form, OwnKey, Purpose, SignedData, StreamFault, envelope, recipient,
};

fn own(user: &common::User) -> OwnKey {
    OwnKey::from_certificate(&user.certificate).unwrap()
}

fn seal_stream(plaintext: &[u8], sender: &common::User, sign: bool) -> Vec<u8> {
    let context = sender.context_over(Purpose::Document, Form::Manifest, &[sender]);
    let keys = [sender.key.public_key().clone()];
    let announced = if sign { Announced::Signature } else { Announced::Nothing };
    let (mut out, mut sealer) =
        Sealer::new(context.document_id(), context.document_version(), announced, &keys).unwrap();
    let mut digests = Digests::new();
    let mut rest = plaintext;
    loop {
        let (segment, after) = rest.split_at(rest.len().min(sealer.segment_size()));
        rest = after;
        digests.push(&segment_digest(segment), segment.len());
        let position = if rest.is_empty() { Position::Last } else { Position::Inner };
        let mut segment = segment.to_vec();
        let tag = sealer.seal_segment(&mut segment, position).unwrap();
        out.extend_from_slice(&segment);
        out.extend_from_slice(&tag);
        if rest.is_empty() {
            break;
        }
    }
    let manifest = digests.finish(sealer.commitment()).to_der();
    let signed = sign.then(|| sender.sign(&manifest, context));
    out.extend_from_slice(&sealer.finish(signed.as_deref()).unwrap());
    out
}

fn open_stream(
    bytes: &[u8],
    reader: &common::User,
    piece: usize,
) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
    let header = stream::header_length(bytes)?.ok_or(StreamFault::Truncated)?;
    let (head, body) = bytes.split_at_checked(header).ok_or(StreamFault::Truncated)?;
    let head = StreamHeader::parse(head)?;
    let info = head.envelope().find(&[own(reader)]).ok_or(Error::NotARecipient)?;
    let key = head.open(&recipient::unwrap(info, &reader.key)?)?;
    let mut opener = Opener::new(key)?;
    let (mut out, mut segment, mut digests) = (Vec::new(), Vec::new(), Digests::new());
    let mut take = |opener: &mut Opener| -> Result<(), Error> {
        while opener.next_segment(&mut segment)? {
            digests.push(&segment_digest(&segment), segment.len());
            out.extend_from_slice(&segment);
        }
        Ok(())
    };
    for piece in body.chunks(piece) {
        opener.push(Bytes::copy_from_slice(piece))?;
        take(&mut opener)?;
    }
    opener.end_input()?;
    take(&mut opener)?;
    let actual = digests.finish(opener.commitment());
    let ending = opener.finish()?;
    assert_eq!(ending.length, out.len() as u64);
    if let Some(trailer) = &ending.trailer {
        let signed = SignedData::parse(trailer)?;
        signed.verify(Signed::Enclosed)?.check(Purpose::Document, Form::Manifest, reader.uid)?;
        Manifest::from_der(signed.content().unwrap())?.check(&actual)?;
    }
    Ok((out, ending.trailer))
}

#[test]
fn streams_round_trip_at_every_boundary() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    let first = stream::FIRST_SEGMENT;
    let second = first + stream::SEGMENT;
    for length in [0, 1, first - 1, first, first + 1, second - 1, second, second + 1, 3_000_000] {
        let plaintext: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        for sign in [true, false] {
            let sealed = seal_stream(&plaintext, &user, sign);
            for piece in [1 << 20, 65_537] {
                let (opened, trailer) = open_stream(&sealed, &user, piece).unwrap();
                assert!(opened == plaintext, "{length} {sign} {piece}");
                assert_eq!(trailer.is_some(), sign);
            }
        }
    }
}

#[test]
fn truncated_and_changed_streams_do_not_open() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    let sealed = seal_stream(&vec![9; 2_500_000], &user, true);
    let header = stream::header_length(&sealed).unwrap().unwrap();
    let boundary = header + stream::CIPHERTEXT_SEGMENT;
    for end in [
        header,
        header + 1,
        header + 40,
        boundary - 1,
        boundary,
        boundary + 1,
        sealed.len() - 5,
        sealed.len() - 1,
    ] {
        assert!(open_stream(&sealed[..end], &user, 1 << 20).is_err(), "{end}");
    }
    // Cut at a segment boundary, with its own end put behind it.
    let (_, trailer) = common::split_trailer(&sealed);
    let cut = [&sealed[..boundary], trailer].concat();
    assert_eq!(open_stream(&cut, &user, 1 << 20).err(), Some(Error::DecryptionFailed));
    for at in [header, header + 5, header + 39, header + 41, boundary + 3] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open_stream(&changed, &user, 1 << 20).err(), Some(Error::DecryptionFailed), "{at}");
    }
    // Another stream's envelope or trailer.
    let other = seal_stream(b"other", &user, true);
    let other_header = stream::header_length(&other).unwrap().unwrap();
    let swapped = [&other[..other_header], &sealed[header..]].concat();
    assert_eq!(open_stream(&swapped, &user, 1 << 20).err(), Some(Error::DecryptionFailed));
    let unsigned = seal_stream(b"other", &user, false);
    let grafted = [common::split_trailer(&unsigned).0, common::split_trailer(&other).1].concat();
    assert_eq!(open_stream(&grafted, &user, 1 << 20).err(), Some(Error::DecryptionFailed));
}

#[test]
fn whole_segments_cannot_be_exchanged_dropped_or_repeated() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    // Four full segments and a last one; every segment differs.
    let plaintext: Vec<u8> = (0..4_500_000u32).map(|n| (n / 1_000_000) as u8).collect();
    let sealed = seal_stream(&plaintext, &user, true);
    let (body, trailer) = common::split_trailer(&sealed);
    let (header, body) = body.split_at(stream::header_length(&sealed).unwrap().unwrap());
    let (tink, body) = body.split_at(stream::TINK_HEADER);
    let (first, body) = body.split_at(stream::CIPHERTEXT_SEGMENT - stream::TINK_HEADER);
    let segments: Vec<&[u8]> = [first].into_iter().chain(body.chunks(stream::CIPHERTEXT_SEGMENT)).collect();
    assert_eq!(segments.len(), 5);
    let open = |order: &[usize]| {
        let body: Vec<u8> = order.iter().flat_map(|n| segments[*n]).copied().collect();
        let made = [header, tink, &body, trailer].concat();
        open_stream(&made, &user, 1 << 20).map(|(opened, _)| assert!(opened == plaintext)).err()
    };
    assert_eq!(open(&[0, 1, 2, 3, 4]), None);
    let failed = Some(Error::DecryptionFailed);
    for exchanged in [[0, 2, 1, 3, 4], [0, 1, 3, 2, 4], [0, 3, 2, 1, 4], [1, 0, 2, 3, 4], [0, 1, 2, 4, 3]] {
        assert_eq!(open(&exchanged), failed, "{exchanged:?}");
    }
    for dropped in [&[1, 2, 3, 4][..], &[0, 2, 3, 4], &[0, 1, 3, 4], &[0, 1, 2, 4], &[0, 1, 2, 3], &[0], &[4]]
    {
        assert_eq!(open(dropped), failed, "{dropped:?}");
    }
    for repeated in [[0, 0, 1, 2, 3, 4], [0, 1, 1, 2, 3, 4], [0, 1, 2, 3, 3, 4], [0, 1, 2, 3, 4, 4]] {
        assert_eq!(open(&repeated), failed, "{repeated:?}");
    }
}

#[test]
fn only_a_recipient_can_take_a_signature_away() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    let sealed = seal_stream(b"a scan", &user, true);
    let (body, trailer) = common::split_trailer(&sealed);
    // Nothing in what is stored tells signed content: not even the type of the message.
    let signed_data = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    assert!(!trailer.windows(9).any(|it| it == signed_data));
    let without = |end: &[u8]| open_stream(&[body, end].concat(), &user, 1 << 20).err();
    assert_eq!(without(&[]), Some(Error::Stream(StreamFault::Truncated)));
    assert_eq!(without(&[0; 4]), Some(Error::Stream(StreamFault::Truncated)));
    for tag in [0, 0xff] {
        let empty = [&[tag; 16][..], &[0, 0, 0, 16]].concat();
        assert_eq!(without(&empty), Some(Error::DecryptionFailed));
    }
    // The trailer of another unsigned stream, even of the same recipient.
    let other = seal_stream(b"a scan", &user, false);
    assert_eq!(without(common::split_trailer(&other).1), Some(Error::DecryptionFailed));
    // Who has the key can, and the stream is unsigned then.
    let resealed = user.with_trailer(&sealed, None);
    assert_eq!(open_stream(&resealed, &user, 1 << 20), Ok((b"a scan".to_vec(), None)));
}

#[test]
fn a_signature_that_was_not_announced_is_refused() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    let unsigned = seal_stream(b"a scan", &user, false);
    assert_eq!(open_stream(&unsigned, &user, 1 << 20), Ok((b"a scan".to_vec(), None)));
    // Nobody who opens such a stream hashes it, so a signature put there later could not be judged.
    let signed = user.with_trailer(&unsigned, Some(b"a signature"));
    let refused = Err(Error::Stream(StreamFault::TrailerMismatch));
    assert_eq!(open_stream(&signed, &user, 1 << 20), refused);
    let keys = [user.key.public_key().clone()];
    for (announced, trailer) in
        [(Announced::Nothing, Some(&b"a signature"[..])), (Announced::Signature, None)]
    {
        let (_, mut sealer) = Sealer::new(DocumentId([5; 16]), 1, announced, &keys).unwrap();
        sealer.seal_segment(&mut [], Position::Last).unwrap();
        assert_eq!(sealer.finish(trailer), Err(Error::Stream(StreamFault::TrailerMismatch)));
    }
}

#[test]
fn a_stream_ends_after_its_last_segment_only() {
    let ca = Ca::new();
    let user = ca.p256(Use::Encrypt);
    let (_, sealer) =
        Sealer::new(DocumentId([5; 16]), 1, Announced::Nothing, &[user.key.public_key().clone()]).unwrap();
    assert_eq!(sealer.finish(None), Err(Error::Stream(StreamFault::Truncated)));
}

#[test]
fn debug_output_holds_no_content() {
    let ca = Ca::new();
    let user = ca.p256(Use::Sign);
    let content = b"a finding nobody else may read";
    let signed = user.sign(content, user.context(Purpose::Document, &[&user]));
    let parsed = SignedData::parse(&signed).unwrap();
    let verified = parsed.verify(Signed::Enclosed).unwrap();
    let (sealed, _) = envelope::seal(&signed, &[user.key.public_key().clone()]).unwrap();
    let digest = content_digest(content);
    let mut digests = Digests::new();
    digests.push(&digest, content.len());
    let manifest = digests.finish([1; 32]);
    let attributes = user.attributes(content, user.context(Purpose::Document, &[&user]));
    let sealed_stream = seal_stream(content, &user, true);
    let stream_header = &sealed_stream[..stream::header_length(&sealed_stream).unwrap().unwrap()];
    let ending = stream::Ending { trailer: Some(signed.clone()), length: 7 };
    let printed = [
        format!("{parsed:?} {verified:?} {attributes:?} {manifest:?} {ending:?}"),
        format!("{:?} {:?} {:?}", Signed::Content(content), Signed::Digest(&digest), Signed::Enclosed),
        format!("{:?}", Envelope::parse(&sealed).unwrap()),
        format!("{:?}", StreamHeader::parse(stream_header).unwrap()),
    ]
    .concat();
    let bytes = |it: &[u8]| format!("{it:?}").trim_matches(['[', ']']).to_owned();
    let list = content_digest(&digest);
    for part in [&content[..8], &digest[..8], &manifest.digests[..8], &list[..8]] {
        assert!(!printed.contains(&bytes(part)) && !printed.contains(&hex::encode(part)), "{printed}");
    }
    assert!(!printed.contains("a finding") && printed.contains("content_length: Some(30)"), "{printed}");
    assert!(printed.len() < 4000, "{printed}");
}
