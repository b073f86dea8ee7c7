//! Bodies of the fuzz targets: one for each parser of bytes from outside. None may panic on any input.

use std::io;
use std::os::unix::fs::FileExt;

use life_pki::{Timestamp, Uid};

use crate::authority::added::AddedKeys;
use crate::authority::evidence::Keys;
use crate::authority::protocol::{self, Request, Response};
use crate::http::documents::dto::{BeginUpload, CommitDocument, ShareDocument};
use crate::http::documents::range::{Wanted, parse_offset, parse_version, wanted};
use crate::http::documents::recipients::parse_metadata;
use crate::http::dto::{
    AnswerLogin, BeginLogin, BeginRegistration, Commit, CommitAddition, Publish, RevokeCredential,
    SignatureDigest,
};
use crate::http::level::parse_proof;
use crate::http::page::Page;
use crate::store::documents::DocumentId;
use crate::store::shape::{Screen, parse_start, stream_end, stream_start};

/// A deposit, in pieces of different sizes: both have to lead to the same verdict.
pub fn deposit(bytes: &[u8]) {
    let verdict = |size: usize| {
        let mut screen = Screen::default();
        bytes.chunks(size).all(|piece| screen.push(piece).is_ok()) && screen.finish(&Memory(bytes)).is_ok()
    };
    assert!(verdict(7) == verdict(64 << 10));
}

/// A document's content, in pieces of different sizes: all have to lead to the same verdict, and what is good for a
/// document is good for a message.
pub fn document_upload(bytes: &[u8]) {
    let verdict = |size: usize| {
        let so_far = |length: usize| {
            let there = bytes.get(..length).unwrap_or_default();
            stream_start(&Memory(there), there.len() as u64)
        };
        let begins = (0..=bytes.len()).step_by(size).all(|length| so_far(length).is_ok());
        let start = so_far(bytes.len()).ok().flatten().filter(|_| begins);
        start.filter(|start| stream_end(&Memory(bytes), start.header, bytes.len() as u64).is_ok())
    };
    let whole = verdict(64 << 10);
    assert!(verdict(7) == whole);
    if let Some(start) = whole {
        let start = start.read(&Memory(bytes)).unwrap_or_default();
        assert!(parse_start(&start).is_ok());
        let mut screen = Screen::default();
        assert!(screen.push(bytes).is_ok() && screen.finish(&Memory(bytes)).is_ok());
    }
}

/// The new beginning of a shared document's content, or its metadata.
pub fn document_sharing(bytes: &[u8]) {
    if let Ok(header) = parse_start(bytes) {
        assert!(header.envelope().has_content_of(header.envelope()));
    }
    let _ = parse_metadata(bytes);
}

/// A frame as the CA gets it, with its evidence.
pub fn ca_request(bytes: &[u8]) {
    let Ok(now) = Timestamp::from_unix(1_800_000_000) else { return };
    match protocol::read(&mut { bytes }, protocol::MAX_REQUEST) {
        Ok(Some(Request::Issue { uid, evidence })) => {
            let _ = uid.parse().map(|uid: Uid| evidence.check(uid, now));
        }
        Ok(Some(Request::IssueAdded { uid, evidence })) => {
            let _ = uid.parse().map(|uid: Uid| evidence.check(uid, now));
        }
        _ => {}
    }
}

/// A frame as `serve` gets it.
pub fn ca_response(bytes: &[u8]) {
    let _ = protocol::read::<Response>(&mut { bytes }, protocol::MAX_RESPONSE);
}

/// The JSON bodies of requests.
pub fn request_body(bytes: &[u8]) {
    let _ = serde_json::from_slice::<AnswerLogin>(bytes);
    let _ = serde_json::from_slice::<BeginLogin>(bytes);
    let _ = serde_json::from_slice::<BeginRegistration>(bytes);
    let _ = serde_json::from_slice::<BeginUpload>(bytes);
    let _ = serde_json::from_slice::<CommitDocument>(bytes);
    let _ = serde_json::from_slice::<ShareDocument>(bytes);
    let _ = serde_json::from_slice::<Commit>(bytes);
    let _ = serde_json::from_slice::<CommitAddition>(bytes);
    let _ = serde_json::from_slice::<Publish>(bytes);
    let _ = serde_json::from_slice::<RevokeCredential>(bytes);
    let _ = serde_json::from_slice::<SignatureDigest>(bytes);
    if let Ok(keys) = serde_json::from_slice::<Keys>(bytes) {
        let _ = keys.check(Uid::from_random([0; 16]));
    }
    if let Ok(keys) = serde_json::from_slice::<AddedKeys>(bytes) {
        let _ = keys.check(Uid::from_random([0; 16]));
    }
}

/// The text of a request beside its body: the proof header, queries, ranges, offsets and ids.
pub fn request_text(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_proof(text);
        let _ = Page::parse(text, 1000);
        let _ = parse_version(text);
        let _ = DocumentId::parse(text).map(|id| assert!(id.to_string() == text));
        let _ = parse_offset(text).map(|offset| assert!(offset.to_string() == text));
        for length in [0, 1, 1000, u64::MAX] {
            if let Wanted::Part(start, end) = wanted(text, length) {
                assert!(start < end && end <= length);
            }
        }
    }
}

/// Bytes that read like a file.
struct Memory<'a>(&'a [u8]);

impl FileExt for Memory<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
