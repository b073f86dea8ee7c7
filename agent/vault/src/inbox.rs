//! What comes from the broker: bytes and descriptors in, requests out.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use life_sys::descriptors::recv_with_fds;
use life_vault_protocol::frame::MAX_DESCRIPTORS;
use life_vault_protocol::{FrameDecoder, Request, VaultError};
use zeroize::Zeroize;

use crate::server::ServeError;

const BUFFER: usize = 64 * 1024;

/// One request, or why there is none in a frame that was otherwise well-formed.
pub(crate) struct Received {
    /// The frame's id, for the answer.
    pub(crate) id: u64,
    /// The request and the descriptors it asked for.
    pub(crate) request: Result<(Request, Vec<OwnedFd>), VaultError>,
}

/// The reading end. One thread at a time reads.
pub(crate) struct Inbox {
    socket: UnixStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are not decoded yet.
    pending: std::ops::Range<usize>,
    descriptors: VecDeque<OwnedFd>,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: FrameDecoder::new(),
            buffer: vec![0; BUFFER],
            pending: 0..0,
            descriptors: VecDeque::new(),
            ended: false,
        }
    }

    /// Waits for the next request; `None` when the broker has closed its end, and ever after.
    ///
    /// Fails for good when the broker breaks the framing, sends too many descriptors, or goes in the middle of a frame.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, ServeError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.read_on();
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }

    fn read_on(&mut self) -> Result<Option<Received>, ServeError> {
        loop {
            let mut rest = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let frame = self.decoder.next_frame(&mut rest)?;
            let consumed = self.pending.len() - rest.len();
            let done = self.pending.start..self.pending.start + consumed;
            self.pending.start = done.end;
            // The frame's body is the only copy that stays.
            self.buffer.get_mut(done).unwrap_or_default().zeroize();
            if let Some(frame) = frame {
                // EXPOSE: parsed; secrets inside go into types of their own.
                let request = Request::decode(frame.body.expose())
                    .map_err(|_| VaultError::Malformed)
                    .and_then(|request| self.with_descriptors(request));
                return Ok(Some(Received { id: frame.id, request }));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads more bytes; says whether there were any.
    fn fill(&mut self) -> Result<bool, ServeError> {
        if self.decoder.is_between_frames() {
            // Descriptors that came with a frame that had no use for them are closed.
            self.descriptors.clear();
        }
        let mut new = Vec::new();
        let count = recv_with_fds(&self.socket, &mut self.buffer, &mut new)?;
        self.pending = 0..count;
        self.descriptors.extend(new);
        if self.descriptors.len() > MAX_DESCRIPTORS {
            return Err(ServeError::Descriptors);
        }
        if count == 0 && !self.decoder.is_between_frames() {
            return Err(ServeError::Truncated);
        }
        Ok(count > 0)
    }

    fn with_descriptors(&mut self, request: Request) -> Result<(Request, Vec<OwnedFd>), VaultError> {
        let count = request.descriptors();
        if count > self.descriptors.len() {
            return Err(VaultError::Malformed);
        }
        let taken = self.descriptors.drain(..count).collect();
        Ok((request, taken))
    }
}
