//! Bodies of the fuzz targets: everything that reads bytes of the other process.

use crate::frame::FrameDecoder;
use crate::request::Request;
use crate::response::Response;

/// Reads the bytes as a request; what decodes must encode to the same bytes.
pub fn request(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        let mut again = Vec::new();
        request.encode(&mut again);
        assert_eq!(again, bytes, "the encoding is not unique");
    }
}

/// Reads the bytes as a response; what decodes must encode to the same bytes.
pub fn response(bytes: &[u8]) {
    if let Ok(response) = Response::decode(bytes) {
        let mut again = Vec::new();
        response.encode(&mut again);
        assert_eq!(again, bytes, "the encoding is not unique");
    }
}

/// Reads the bytes as a stream of frames, whole and in pieces; both ways must give the same frames.
pub fn frames(bytes: &[u8]) {
    let whole = cut(bytes, usize::MAX);
    assert_eq!(whole, cut(bytes, 1), "frames depend on how they arrive");
    assert_eq!(whole, cut(bytes, 7), "frames depend on how they arrive");
}

/// Ids and lengths of all frames, and whether the stream was refused.
fn cut(bytes: &[u8], piece: usize) -> (Vec<(u64, usize)>, bool) {
    let mut decoder = FrameDecoder::new();
    let mut found = Vec::new();
    for chunk in bytes.chunks(piece.min(bytes.len()).max(1)) {
        let mut rest = chunk;
        while !rest.is_empty() {
            match decoder.next_frame(&mut rest) {
                Ok(Some(frame)) => found.push((frame.id, frame.body.len())),
                Ok(None) => {}
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
