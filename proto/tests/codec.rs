//! The codec of the generated clients and servers: messages of every size, each in room of its own size.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use life_proto::CHUNK_LIMIT;
use life_proto::codec::Codec;
use life_proto::v1::{SendRequest, send_request::Message as Sent};
use tonic::codec::{Codec as _, EncodeBody};
use tonic::{Code, Status, Streaming};

/// Messages that are all there.
struct Ready(std::vec::IntoIter<SendRequest>);

impl Stream for Ready {
    type Item = Result<SendRequest, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn chunks(lengths: &[usize]) -> Vec<SendRequest> {
    let chunk = |length: &usize| Bytes::from(vec![u8::try_from(length % 251).unwrap(); *length]);
    lengths.iter().map(|length| SendRequest { message: Some(Sent::Chunk(chunk(length))) }).collect()
}

fn encoded(
    messages: Vec<SendRequest>,
) -> EncodeBody<impl tonic::codec::Encoder<Item = SendRequest, Error = Status>, Ready> {
    let encoder = Codec::<SendRequest, SendRequest>::default().encoder();
    EncodeBody::new_client(encoder, Ready(messages.into_iter()), None, Some(4 * CHUNK_LIMIT))
}

#[test]
fn messages_of_every_size_come_back_in_their_order() {
    let messages = chunks(&[0, 1, 7, CHUNK_LIMIT, 300_000, 1, 16 * 1024, 2 * CHUNK_LIMIT, CHUNK_LIMIT, 5]);
    let decoder = Codec::<SendRequest, SendRequest>::default().decoder();
    let body = encoded(messages.clone());
    let mut stream = Streaming::new_request(decoder, body, None, Some(4 * CHUNK_LIMIT));
    for message in messages {
        assert_eq!(now(stream.message()).unwrap(), Some(message));
    }
    assert_eq!(now(stream.message()).unwrap(), None);
}

#[test]
fn a_chunk_of_a_stream_goes_out_in_one_piece_and_small_messages_together() {
    let mut body = std::pin::pin!(encoded(chunks(&[CHUNK_LIMIT, CHUNK_LIMIT, 10, 20, 30])));
    let mut pieces = Vec::new();
    while let Some(frame) = now(std::future::poll_fn(|context| body.as_mut().poll_frame(context))) {
        pieces.push(frame.unwrap().into_data().unwrap());
    }
    let lengths: Vec<_> = pieces.iter().map(Bytes::len).collect();
    // The prefix of gRPC, the field's key, and a length in one byte or three.
    assert_eq!(lengths, [CHUNK_LIMIT + 9, CHUNK_LIMIT + 9, 10 + 20 + 30 + 3 * 7]);
    // What a message takes is what it needs: the agent wipes every byte that it frees.
    let first = pieces.swap_remove(0).try_into_mut().unwrap();
    assert!(first.capacity() < CHUNK_LIMIT + 64, "{}", first.capacity());
}

#[test]
fn a_message_beyond_the_limit_and_one_that_is_none_are_refused() {
    let decoder = || Codec::<SendRequest, SendRequest>::default().decoder();
    let long = encoded(chunks(&[CHUNK_LIMIT]));
    let mut stream = Streaming::new_request(decoder(), long, None, Some(CHUNK_LIMIT / 2));
    assert_eq!(now(stream.message()).unwrap_err().code(), Code::OutOfRange);
    let broken = body_of(Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff]));
    let mut stream = Streaming::new_request(decoder(), broken, None, None);
    assert_eq!(now(stream.message()).unwrap_err().code(), Code::Internal);
}

/// A body of these bytes.
fn body_of(bytes: Bytes) -> impl Body<Data = Bytes, Error = Status> + Send + 'static {
    struct Once(Option<Bytes>);
    impl Body for Once {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
        }
    }
    Once(Some(bytes))
}
