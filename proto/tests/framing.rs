//! Chunks on the wire: what is framed without a copy is what protobuf and gRPC say, however the transport cuts it.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame};
use life_proto::CHUNK_LIMIT;
use life_proto::framing::{Chunked, Framed, Side};
use life_proto::unframing::{Piece, Unframed};
use life_proto::v1::{self, encrypt_stream_request::Message as Ask};
use prost::Message;
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};

type Request = v1::EncryptStreamRequest;

/// Items that are all there.
struct Ready<T>(std::vec::IntoIter<T>);

impl<T> Unpin for Ready<T> {}

impl<T> Stream for Ready<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        Poll::Ready(self.0.next())
    }
}

impl Body for Ready<Result<Bytes, Status>> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Poll::Ready(self.0.next().map(|item| item.map(Frame::data)))
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing here waits"),
    }
}

fn message(message: Ask) -> Request {
    Request { message: Some(message) }
}

fn header() -> Request {
    message(Ask::Header(v1::EncryptStreamHeader {
        user: "users/me".into(),
        recipients: vec!["users/you".into(); 30],
        ..Default::default()
    }))
}

/// A message as gRPC has it, by protobuf's own encoder.
fn by_prost(message: &Request) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len() as u32);
    message.encode(&mut bytes).unwrap();
    bytes.to_vec()
}

fn frames<M: Chunked>(items: Vec<Result<M, Status>>, side: Side) -> Vec<Result<Frame<Bytes>, Status>> {
    let mut body = Framed::new(Ready(items.into_iter()), side);
    let mut frames = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        frames.push(frame);
    }
    frames
}

/// Reads a body that comes in pieces of a size; the pieces of each chunk are put together.
fn read(wire: &[u8], size: usize) -> Result<Vec<Piece<Request>>, Status> {
    let pieces: Vec<_> = wire.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut unframed = Unframed::<Request, _>::new(Ready(pieces.into_iter()));
    let mut read = Vec::new();
    while let Some(piece) = now(unframed.next())? {
        read.push(piece);
    }
    Ok(read)
}

fn content(pieces: &[Piece<Request>]) -> Vec<u8> {
    let chunk = |piece: &Piece<Request>| match piece {
        Piece::Chunk(bytes) => bytes.to_vec(),
        Piece::Message(_) => Vec::new(),
    };
    pieces.iter().flat_map(chunk).collect()
}

#[test]
fn a_framed_body_is_what_protobuf_writes() {
    for length in [1, 127, 128, 16_383, 16_384, CHUNK_LIMIT] {
        let chunk = Bytes::from(vec![7; length]);
        let messages = [header(), message(Ask::Chunk(chunk.clone())), Request { message: None }];
        let expected: Vec<u8> = messages.iter().flat_map(by_prost).collect();
        let frames = frames(messages.map(Ok).into(), Side::Client);
        let data: Vec<Bytes> = frames.into_iter().map(|frame| frame.unwrap().into_data().unwrap()).collect();
        assert_eq!(data.concat(), expected);
        assert!(data.iter().any(|frame| frame.as_ptr() == chunk.as_ptr()), "the chunk was copied");
    }
}

#[test]
fn a_server_says_how_it_ended_and_a_client_only_that_it_failed() {
    let failed = || vec![Ok(header()), Err(Status::data_loss("lost"))];
    let last = frames(failed(), Side::Server).pop().unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&last["grpc-status"], &last["grpc-message"]),
        (&"15".parse().unwrap(), &"lost".parse().unwrap())
    );
    let last = frames(vec![Ok(header())], Side::Server).pop().unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(last["grpc-status"], "0");
    assert_eq!(frames(failed(), Side::Client).pop().unwrap().unwrap_err().code(), Code::DataLoss);
    assert_eq!(frames(vec![Ok(header())], Side::Client).len(), 1);
}

#[test]
fn what_was_framed_is_read_however_it_is_cut() {
    let chunks = [1, 200, 70_000, CHUNK_LIMIT].map(|length| Bytes::from(vec![length as u8; length]));
    let mut wire = by_prost(&header());
    for chunk in &chunks {
        wire.extend(by_prost(&message(Ask::Chunk(chunk.clone()))));
    }
    wire.extend(by_prost(&Request { message: None }));
    for size in [7, 4096, 100_000, wire.len()] {
        let pieces = read(&wire, size).unwrap();
        assert_eq!(pieces.first(), Some(&Piece::Message(header())));
        assert_eq!(pieces.last(), Some(&Piece::Message(Request { message: None })));
        assert_eq!(content(&pieces), chunks.concat());
    }
}

#[test]
fn a_body_may_come_byte_by_byte() {
    let chunk = Bytes::from(vec![9; 3000]);
    let wire = [by_prost(&header()), by_prost(&message(Ask::Chunk(chunk.clone())))].concat();
    for size in 1..6 {
        assert_eq!(content(&read(&wire, size).unwrap()), chunk);
    }
}

#[test]
fn unusual_spellings_of_a_message_are_decoded_whole() {
    // An unknown field before or behind the chunk, a padded length, the chunk given twice: the last one counts.
    let chunk = [0x12, 2, b'h', b'i'];
    for wire in [
        [&[0x78, 1][..], &chunk].concat(),
        [&chunk[..], &[0x78, 1]].concat(),
        [0x12, 1, b'x'].into_iter().chain(chunk).collect(),
        vec![0x12, 0],
    ] {
        let expected = Request::decode(wire.as_slice()).unwrap();
        let framed = [&[0, 0, 0, 0, wire.len() as u8][..], &wire].concat();
        assert_eq!(read(&framed, 3).unwrap(), [Piece::Message(expected)], "{wire:?}");
    }
    let padded = [0, 0, 0, 0, 6, 0x12, 0x83, 0x80, 0, b'a', b'b', b'c'];
    let pieces = read(&[&padded[..4], &[7], &padded[5..]].concat(), 100).unwrap();
    assert_eq!(content(&pieces), b"abc");
}

#[test]
fn hostile_frames_are_refused() {
    let code = |wire: &[u8]| read(wire, 4).unwrap_err().code();
    assert_eq!(code(&[1, 0, 0, 0, 0]), Code::Unimplemented);
    assert_eq!(code(&[0, 0xff, 0xff, 0xff, 0xff]), Code::OutOfRange);
    assert_eq!(code(&[0, 0, 0, 0, 2, 0x12]), Code::Internal);
    assert_eq!(code(&[0, 0, 0]), Code::Internal);
    assert_eq!(code(&[0, 0, 0, 0, 3, 0x12, 9, 1]), Code::Internal);
    let too_long = message(Ask::Chunk(vec![0; CHUNK_LIMIT + 1].into()));
    assert_eq!(read(&by_prost(&too_long), 65_536).unwrap_err().code(), Code::OutOfRange);
    assert_eq!(
        read(&by_prost(&message(Ask::Chunk(vec![0; 9].into())))[..10], 3).unwrap_err().code(),
        Code::Internal
    );
    // Every message of three bytes: some answer, and no panic.
    for n in 0..=0xff_ffff_u32 {
        if n % 211 == 0 {
            let [_, a, b, c] = n.to_be_bytes();
            let _ = read(&[0, 0, 0, 0, 3, a, b, c], 8);
        }
    }
}

#[test]
fn the_fields_are_those_of_the_contract() {
    let pool = DescriptorPool::decode(life_proto::FILE_DESCRIPTOR_SET).unwrap();
    let field = |name: &str| {
        let message = pool.get_message_by_name(&format!("life.agent.v1.{name}")).unwrap();
        message.get_field_by_name("chunk").unwrap().number()
    };
    assert_eq!(v1::EncryptStreamRequest::FIELD, field("EncryptStreamRequest"));
    assert_eq!(v1::EncryptStreamResponse::FIELD, field("EncryptStreamResponse"));
    assert_eq!(v1::DecryptStreamRequest::FIELD, field("DecryptStreamRequest"));
    assert_eq!(v1::DecryptStreamResponse::FIELD, field("DecryptStreamResponse"));
}
