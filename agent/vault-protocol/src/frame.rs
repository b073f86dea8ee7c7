//! Frames: `u32be length | u64be request id | body`, where the length counts what follows it.

use life_sys::secret::SecretBytes;
use zeroize::Zeroize;

use crate::codec::{Counter, Sink};
use crate::request::Request;
use crate::response::Response;

/// The largest value of a frame's length field.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;
/// The most descriptors that may come with one frame.
pub const MAX_DESCRIPTORS: usize = 3;
/// Length and request id.
const HEADER: usize = 12;
const ID: usize = 8;

/// Why a stream of frames cannot go on. There is no way to find the next frame: drop the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than [`MAX_FRAME`].
    #[error("the frame is too long")]
    TooLong,
    /// The frame has no body.
    #[error("the frame is too short")]
    TooShort,
    /// A field of a response is longer than the other side would take.
    #[error("a field is too long")]
    Undecodable,
}

/// One frame. Its body may hold a secret and is wiped when dropped.
pub struct Frame {
    /// The request id.
    pub id: u64,
    /// The encoded message.
    pub body: SecretBytes,
}

life_sys::secret_types!(Frame);

/// Encodes a request as a whole frame, ready to be written in one call.
///
/// # Errors
/// [`FrameError::TooLong`] when it is larger than [`MAX_FRAME`].
pub fn encode_request(id: u64, request: &Request) -> Result<SecretBytes, FrameError> {
    let mut counter = Counter(ID);
    request.encode(&mut counter);
    let mut buffer = start(id, counter.0)?;
    request.encode(&mut buffer);
    Ok(SecretBytes::new(buffer))
}

/// Encodes a response as a whole frame, ready to be written in one call.
///
/// # Errors
/// [`FrameError::TooLong`] when it is larger than [`MAX_FRAME`]; [`FrameError::Undecodable`] when
/// [`Response::decode`] would refuse it, which would cost the peer the whole vault.
pub fn encode_response(id: u64, response: &Response) -> Result<SecretBytes, FrameError> {
    let mut counter = Counter(ID);
    response.encode(&mut counter);
    let mut buffer = start(id, counter.0)?;
    response.encode(&mut buffer);
    let frame = SecretBytes::new(buffer);
    // EXPOSE: read back; what it holds is wiped with the response that it makes.
    let body = frame.expose().get(HEADER..).unwrap_or_default();
    Response::decode(body).map_err(|_| FrameError::Undecodable)?;
    Ok(frame)
}

/// A buffer with the header in it and room for exactly the rest.
fn start(id: u64, length: usize) -> Result<Vec<u8>, FrameError> {
    if length > MAX_FRAME {
        return Err(FrameError::TooLong);
    }
    let mut buffer = Vec::with_capacity(length + HEADER - ID);
    buffer.length(length);
    buffer.u64(id);
    Ok(buffer)
}

/// Cuts a byte stream into frames, however it arrives in pieces.
///
/// A body is collected in one buffer of its final size, so it leaves no partial copies behind; what the caller read
/// the bytes into is the caller's to wipe.
#[derive(Default)]
pub struct FrameDecoder {
    header: [u8; HEADER],
    have: usize,
    body: Option<Partial>,
}

struct Partial {
    bytes: Vec<u8>,
    want: usize,
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl FrameDecoder {
    /// A decoder at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing of a next frame has arrived yet: the only place where a stream may end.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.have == 0
    }

    /// Takes bytes from the front of `input`, up to the end of a frame; call it until it gives `None`.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the header says so; nothing can be read from this stream any more.
    pub fn next_frame(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        while self.body.is_none() {
            let missing = self.header.get_mut(self.have..).unwrap_or_default();
            let taken = missing.len().min(input.len());
            let (now, later) = input.split_at(taken);
            missing.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.have += taken;
            *input = later;
            if self.have < HEADER {
                // The length is judged as soon as it is there.
                if self.have >= HEADER - ID {
                    self.body_length()?;
                }
                return Ok(None);
            }
            let want = self.body_length()?;
            self.body = Some(Partial { bytes: Vec::with_capacity(want), want });
        }
        let Some(partial) = &mut self.body else { return Ok(None) };
        let taken = (partial.want - partial.bytes.len()).min(input.len());
        let (now, later) = input.split_at(taken);
        partial.bytes.extend_from_slice(now);
        *input = later;
        if partial.bytes.len() < partial.want {
            return Ok(None);
        }
        let body = SecretBytes::new(std::mem::take(&mut partial.bytes));
        let [_, _, _, _, id @ ..] = self.header;
        (self.have, self.body) = (0, None);
        Ok(Some(Frame { id: u64::from_be_bytes(id), body }))
    }

    fn body_length(&self) -> Result<usize, FrameError> {
        let [a, b, c, d, ..] = self.header;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| FrameError::TooLong)?;
        if length > MAX_FRAME {
            return Err(FrameError::TooLong);
        }
        length.checked_sub(ID).filter(|body| *body > 0).ok_or(FrameError::TooShort)
    }
}
