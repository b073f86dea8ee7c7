//! Protobuf in gRPC frames, with buffers that suit small calls and bulk data.

use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec as TonicCodec, EncodeBuf, Encoder as TonicEncoder};
use tonic_prost::ProstDecoder;

/// What a call begins with, each way: nothing. Buffers are made for the messages that come, and the agent wipes what it frees.
const BUFFER: usize = 0;
/// A stream hands its buffer on at this size: a chunk of 1 MiB goes out in one piece.
const YIELD: usize = 1024 * 1024;

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER, YIELD)
}

/// The codec of every generated client and server: tonic's, with other buffers.
///
/// Tonic hands a stream on in pieces of 32 KiB, which cuts its throughput to a third.
#[derive(Clone, Copy, Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> TonicCodec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Encoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        Encoder(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(settings())
    }
}

/// Encodes messages, each into room that was made for it at once: a buffer that grows field by field copies what it has.
#[derive(Clone, Copy, Debug)]
pub struct Encoder<T>(PhantomData<T>);

impl<T: Message> TonicEncoder for Encoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message.encode_raw(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}
