//! The messages of a body whose chunks are not copied: they are given out as the transport brings them.
//!
//! tonic's decoder copies each frame into a buffer of its own, until a message is whole. Content needs no whole messages:
//! of a message that is a chunk, each piece is given out as soon as it is there.

use std::marker::PhantomData;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body;
use tonic::{Code, Status};

use crate::CHUNK_LIMIT;
use crate::framing::{Chunked, PREFIX};

/// The longest message that is no chunk: the header of a stream, with all its recipients.
const OTHER_LIMIT: usize = CHUNK_LIMIT;
/// The most bytes that a chunk's key and length take.
const CHUNK_HEAD: usize = 16;

/// What comes next in a stream.
#[derive(Debug, PartialEq)]
pub enum Piece<M> {
    /// 1 byte or more of a chunk.
    Chunk(Bytes),
    /// A message that is no chunk, or an empty one.
    Message(M),
}

/// A body, read as messages.
pub struct Unframed<M, B> {
    body: B,
    /// What came and was not given out.
    frame: Bytes,
    /// Bytes of the present chunk that are still to come.
    left: usize,
    /// How the call went, where the body is an answer's and has ended.
    trailers: Option<HeaderMap>,
    message: PhantomData<fn() -> M>,
}

impl<M, B> Unframed<M, B>
where
    M: Chunked + Default,
    B: Body<Data = Bytes, Error = Status> + Unpin,
{
    /// Reads a body from its start.
    pub fn new(body: B) -> Self {
        Self { body, frame: Bytes::new(), left: 0, trailers: None, message: PhantomData }
    }

    /// What a server said at the end of its answer; nothing before, and nothing for a request.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    /// What comes next; nothing at the end. May be dropped while it waits only together with the stream.
    ///
    /// # Errors
    /// `OUT_OF_RANGE` for a message longer than 1 MiB, `UNIMPLEMENTED` for a compressed one, `INTERNAL` for one that does
    /// not decode or a body that ends within it; else what the transport says.
    pub async fn next(&mut self) -> Result<Option<Piece<M>>, Status> {
        if self.left > 0 {
            return self.chunk().await.map(Some);
        }
        let mut prefix = [0; PREFIX];
        if !self.fill_or_end(&mut prefix).await? {
            return Ok(None);
        }
        let [compressed, length @ ..] = prefix;
        if compressed != 0 {
            return Err(Status::unimplemented("a compressed message"));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > OTHER_LIMIT + CHUNK_HEAD {
            return Err(Status::out_of_range("a message is longer than a chunk may be"));
        }
        self.message(length).await
    }

    /// A message of so many bytes: a chunk if it begins as one and has nothing else.
    async fn message(&mut self, length: usize) -> Result<Option<Piece<M>>, Status> {
        let mut head = BytesMut::with_capacity(CHUNK_HEAD);
        while head.len() < length.min(CHUNK_HEAD) {
            let mut byte = [0];
            self.fill(&mut byte).await?;
            head.extend_from_slice(&byte);
            match chunk_head::<M>(&head) {
                Head::More => {}
                Head::Chunk(chunk) if chunk > 0 && head.len() + chunk == length => {
                    if chunk > CHUNK_LIMIT {
                        return Err(Status::out_of_range("a chunk is longer than 1 MiB"));
                    }
                    self.left = chunk;
                    return self.chunk().await.map(Some);
                }
                Head::Chunk(_) | Head::Other => break,
            }
        }
        let read = head.len();
        head.resize(length, 0);
        self.fill(head.get_mut(read..).unwrap_or_default()).await?;
        let message = M::decode(head.freeze()).map_err(|_| Status::internal("a message does not decode"))?;
        Ok(Some(Piece::Message(message)))
    }

    /// The next bytes of the present chunk.
    async fn chunk(&mut self) -> Result<Piece<M>, Status> {
        if self.frame.is_empty() && !self.frame().await? {
            return Err(cut_off());
        }
        let piece = self.frame.split_to(self.left.min(self.frame.len()));
        self.left -= piece.len();
        Ok(Piece::Chunk(piece))
    }

    async fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Status> {
        if bytes.is_empty() || self.fill_or_end(bytes).await? { Ok(()) } else { Err(cut_off()) }
    }

    /// Fills a buffer; false when the body has ended before.
    async fn fill_or_end(&mut self, bytes: &mut [u8]) -> Result<bool, Status> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            if self.frame.is_empty() && !self.frame().await? {
                return if filled == 0 { Ok(false) } else { Err(cut_off()) };
            }
            let count = rest.len().min(self.frame.len());
            self.frame.copy_to_slice(rest.get_mut(..count).unwrap_or_default());
            filled += count;
        }
        Ok(true)
    }

    /// Waits for bytes; false at the end of the body.
    async fn frame(&mut self) -> Result<bool, Status> {
        loop {
            let next = std::future::poll_fn(|context| std::pin::Pin::new(&mut self.body).poll_frame(context));
            match next.await {
                None => return Ok(false),
                Some(Err(status)) if status.code() == Code::Ok => return Ok(false),
                Some(Err(status)) => return Err(status),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => {
                        self.frame = data;
                        return Ok(true);
                    }
                    Err(other) => self.trailers = other.into_trailers().ok(),
                },
            }
        }
    }
}

fn cut_off() -> Status {
    Status::internal("the body ends within a message")
}

/// What the first bytes of a message are.
enum Head {
    /// The head of a chunk of so many bytes.
    Chunk(usize),
    /// Too few bytes to tell.
    More,
    /// Something else.
    Other,
}

/// Reads the key of the chunk's field, which has one byte, and its length, a varint.
fn chunk_head<M: Chunked>(head: &[u8]) -> Head {
    let Some((key, varint)) = head.split_first() else { return Head::More };
    if u32::from(*key) != M::FIELD << 3 | 2 {
        return Head::Other;
    }
    let mut length = 0usize;
    for (index, byte) in varint.iter().enumerate() {
        // 1 MiB has three bytes; some encoders pad.
        if index > 4 {
            return Head::Other;
        }
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Head::Chunk(length);
        }
    }
    Head::More
}
