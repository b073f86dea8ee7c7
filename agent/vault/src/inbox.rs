//! What comes from the broker: bytes and descriptors in, requests out.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use life_sys::descriptors::recv_with_fds;
use life_vault_protocol::frame::MAX_DESCRIPTORS;
use life_vault_protocol::{FrameDecoder, Request, VaultError};
use zeroize::Zeroize;

use crate::room::{Lease, Room};
use crate::server::ServeError;

const BUFFER: usize = 64 * 1024;

/// One request, or why there is none in a frame that was otherwise well-formed.
pub(crate) struct Received<'a> {
    /// The frame's id, for the answer.
    pub(crate) id: u64,
    /// The memory that it may need, until it is answered or passed on.
    pub(crate) lease: Option<Lease<'a>>,
    /// The request and the descriptors it asked for.
    pub(crate) request: Result<(Request, Vec<OwnedFd>), VaultError>,
}

life_sys::secret_types!(Received<'static>);

/// The reading end. One thread at a time reads.
pub(crate) struct Inbox {
    socket: UnixStream,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
    /// The bytes of the buffer that are not decoded yet.
    pending: std::ops::Range<usize>,
    /// What came with the last read: it belongs to the frame that the read's last byte lies in.
    fresh: Vec<OwnedFd>,
    /// Whether the frame under way began before the last read, and the descriptors it then brought.
    begun: Option<Vec<OwnedFd>>,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            decoder: FrameDecoder::new(),
            buffer: vec![0; BUFFER],
            pending: 0..0,
            fresh: Vec::new(),
            begun: None,
            ended: false,
        }
    }

    /// Waits for the next request; `None` when the broker has closed its end, and ever after.
    ///
    /// Fails for good when the broker breaks the framing, sends too many descriptors, or goes in the middle of a frame.
    pub(crate) fn next<'a>(&mut self, room: &'a Room) -> Result<Option<Received<'a>>, ServeError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.read_on(room);
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }

    fn read_on<'a>(&mut self, room: &'a Room) -> Result<Option<Received<'a>>, ServeError> {
        loop {
            let mut rest = self.buffer.get(self.pending.clone()).unwrap_or_default();
            let frame = self.decoder.next_frame(&mut rest)?;
            let consumed = self.pending.len() - rest.len();
            let done = self.pending.start..self.pending.start + consumed;
            self.pending.start = done.end;
            // The frame's body is the only copy that stays.
            self.buffer.get_mut(done).unwrap_or_default().zeroize();
            if let Some(frame) = frame {
                let descriptors = self.descriptors()?;
                let (lease, request) = match room.for_request(frame.body.expose()) {
                    // EXPOSE: parsed; secrets inside go into types of their own.
                    Ok(lease) => (Some(lease), Request::decode(frame.body.expose())),
                    Err(error) => {
                        return Ok(Some(Received { id: frame.id, lease: None, request: Err(error) }));
                    }
                };
                let request = request
                    .map_err(|_| VaultError::Malformed)
                    .and_then(|request| with_descriptors(request, descriptors));
                return Ok(Some(Received { id: frame.id, lease, request }));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The descriptors of the frame that has just ended; what its request does not ask for is closed.
    ///
    /// Descriptors are a barrier: a read ends, at the latest, where the bytes end that they were sent with (unix(7)).
    /// So the read's last byte lies in their frame, however many frames without descriptors the read began with.
    fn descriptors(&mut self) -> Result<Vec<OwnedFd>, ServeError> {
        let begun = self.begun.take();
        if !self.pending.is_empty() {
            return Ok(begun.unwrap_or_default());
        }
        match begun {
            Some(_) if !self.fresh.is_empty() => Err(ServeError::Descriptors),
            Some(begun) => Ok(begun),
            None => Ok(std::mem::take(&mut self.fresh)),
        }
    }

    /// Reads more bytes, when all before are decoded; says whether there were any.
    fn fill(&mut self) -> Result<bool, ServeError> {
        if self.decoder.is_between_frames() {
            self.begun = None;
        } else if self.begun.is_none() {
            self.begun = Some(std::mem::take(&mut self.fresh));
        }
        if !self.fresh.is_empty() {
            // Not on a frame's first bytes.
            return Err(ServeError::Descriptors);
        }
        let count = recv_with_fds(&self.socket, &mut self.buffer, &mut self.fresh)?;
        self.pending = 0..count;
        if self.fresh.len() > MAX_DESCRIPTORS {
            return Err(ServeError::Descriptors);
        }
        if count == 0 && !self.decoder.is_between_frames() {
            return Err(ServeError::Truncated);
        }
        Ok(count > 0)
    }
}

/// Joins a request with as many descriptors as it asks for.
fn with_descriptors(
    request: Request,
    mut descriptors: Vec<OwnedFd>,
) -> Result<(Request, Vec<OwnedFd>), VaultError> {
    let count = request.descriptors();
    if count > descriptors.len() {
        return Err(VaultError::Malformed);
    }
    descriptors.truncate(count);
    Ok((request, descriptors))
}
