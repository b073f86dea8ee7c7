//! Protobuf in gRPC frames, with buffers that suit small calls and bulk data.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec as TonicCodec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// What a call begins with, each way: most are small, and the agent wipes every buffer it frees. It grows for larger messages.
const BUFFER: usize = 16 * 1024;
/// A stream hands its buffer on at this size: a chunk of 1 MiB goes out in one piece.
const YIELD: usize = 1024 * 1024;

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
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, YIELD))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, YIELD))
    }
}
