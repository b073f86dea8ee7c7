//! gRPC frames whose chunks are not copied: the body of a stream that is mostly content.
//!
//! tonic's encoder copies each message into a buffer of its own before the transport takes it. For a chunk of 1 MiB that
//! copy costs about as much as encrypting it. Here a message that is a chunk becomes two pieces: what stands before its bytes on the wire,
//! and the bytes themselves, which the transport sends from where they lie.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use tonic::Status;

use crate::v1;

/// A message of a stream that may be a chunk.
pub trait Chunked: Message + Sized {
    /// The number of the field that holds the chunk.
    const FIELD: u32;

    /// Takes the chunk out; gives another message back.
    fn into_chunk(self) -> Result<Bytes, Box<Self>>;
}

/// Says where a message holds its chunk; the contract's test compares the numbers.
macro_rules! chunked {
    ($($message:ident, $module:ident, $field:literal;)*) => {$(
        impl Chunked for v1::$message {
            const FIELD: u32 = $field;

            fn into_chunk(self) -> Result<Bytes, Box<Self>> {
                match self.message {
                    Some(v1::$module::Message::Chunk(chunk)) => Ok(chunk),
                    other => Err(Box::new(Self { message: other })),
                }
            }
        }
    )*};
}

chunked! {
    DecryptStreamRequest, decrypt_stream_request, 2;
    DecryptStreamResponse, decrypt_stream_response, 1;
    EncryptStreamRequest, encrypt_stream_request, 2;
    EncryptStreamResponse, encrypt_stream_response, 1;
}

/// Bytes before a gRPC message: whether it is compressed, and its length.
pub(crate) const PREFIX: usize = 5;

/// What stands before a chunk's bytes on the wire.
fn before(field: u32, length: usize) -> Bytes {
    let mut key = BytesMut::with_capacity(PREFIX + 16);
    encode_key(field, WireType::LengthDelimited, &mut key);
    encode_varint(length as u64, &mut key);
    let mut bytes = BytesMut::with_capacity(PREFIX + key.len());
    put_prefix(&mut bytes, key.len() + length);
    bytes.extend_from_slice(&key);
    bytes.freeze()
}

fn put_prefix(bytes: &mut BytesMut, length: usize) {
    bytes.put_u8(0);
    // A chunk has at most 1 MiB, and other messages of a stream less.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn whole<M: Message>(message: &M) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut bytes, length);
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

/// Who sends a body: a server says at its end how the call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A request's body.
    Client,
    /// An answer's body.
    Server,
}

/// The body of a request or an answer, made of messages.
pub struct Framed<S> {
    source: Option<S>,
    chunk: Bytes,
    side: Side,
}

impl<S> Framed<S> {
    /// A body of what the source gives.
    pub fn new(source: S, side: Side) -> Self {
        Self { source: Some(source), chunk: Bytes::new(), side }
    }
}

impl<S, M> Body for Framed<S>
where
    S: Stream<Item = Result<M, Status>> + Unpin,
    M: Chunked,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.chunk.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.chunk)))));
        }
        let Some(source) = &mut this.source else { return Poll::Ready(None) };
        let Poll::Ready(item) = Pin::new(source).poll_next(context) else { return Poll::Pending };
        let item = item.map(|message| message.map(M::into_chunk));
        let status = match item {
            Some(Ok(Ok(chunk))) => {
                let before = before(M::FIELD, chunk.len());
                this.chunk = chunk;
                return Poll::Ready(Some(Ok(Frame::data(before))));
            }
            Some(Ok(Err(message))) => return Poll::Ready(Some(Ok(Frame::data(whole(&*message))))),
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        this.source = None;
        Poll::Ready(match (this.side, status.code()) {
            (Side::Server, _) => Some(trailers(&status).map(Frame::trailers)),
            (Side::Client, tonic::Code::Ok) => None,
            (Side::Client, _) => Some(Err(status)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.side == Side::Client && self.source.is_none()
    }
}

fn trailers(status: &Status) -> Result<HeaderMap, Status> {
    let mut headers = HeaderMap::with_capacity(3);
    status.add_header(&mut headers)?;
    Ok(headers)
}
