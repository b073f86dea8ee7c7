//! The length of a long message before its bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// Bytes before a gRPC message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A request's body that gives out the length of a message alone where the message does not come in one piece.
///
/// tonic makes room for a message when it has read its length. Bytes that came together with the length lie in a buffer
/// of their own by then: they are moved once more, and what they leave is wiped. Of a chunk of 1 MiB that is a quarter.
pub struct LengthFirst {
    body: Body,
    /// What came and was not given out.
    held: Bytes,
    /// Bytes of the present message that are still to be given out.
    left: usize,
    /// What was given out of the next message's prefix.
    prefix: [u8; PREFIX],
    have: usize,
}

impl LengthFirst {
    /// Over a body that has not been read yet.
    pub fn new(body: Body) -> Self {
        Self { body, held: Bytes::new(), left: 0, prefix: [0; PREFIX], have: 0 }
    }

    /// Takes what is to be given out next: what is left of a message, a whole one, or a prefix.
    fn piece(&mut self) -> Bytes {
        if self.left == 0 {
            let missing = self.prefix.get_mut(self.have..).unwrap_or_default();
            let taken = missing.len().min(self.held.len());
            let prefix = self.held.get(..taken).unwrap_or_default();
            missing.iter_mut().zip(prefix).for_each(|(to, from)| *to = *from);
            if self.have + taken < PREFIX {
                self.have += taken;
                return std::mem::take(&mut self.held);
            }
            let [_, length @ ..] = self.prefix;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            let rest = self.held.len() - taken;
            self.have = 0;
            if rest < length {
                self.left = length;
                return self.held.split_to(taken);
            }
            return self.held.split_to(taken + length);
        }
        let taken = self.left.min(self.held.len());
        self.left -= taken;
        self.held.split_to(taken)
    }
}

impl HttpBody for LengthFirst {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.held.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) => this.held = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(length).unwrap().to_be_bytes());
        message.extend((0..length).map(|n| u8::try_from(n % 251).unwrap()));
        message
    }

    /// The pieces that come of a body whose frames have at most so many bytes.
    async fn pieces(bytes: &[u8], frame: usize) -> Vec<Bytes> {
        let frames: Vec<_> = bytes
            .chunks(frame)
            .map(Bytes::copy_from_slice)
            .map(|it| Ok::<_, Status>(Frame::data(it)))
            .collect();
        let mut body = LengthFirst::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
        let mut pieces = Vec::new();
        while let Some(piece) = body.frame().await {
            pieces.push(piece.unwrap().into_data().unwrap());
        }
        assert!(body.held.is_empty());
        pieces
    }

    #[tokio::test]
    async fn nothing_is_lost_however_the_bytes_come() {
        let bytes = [message(0), message(3), message(1000), message(70), message(0), message(1)].concat();
        for frame in 1..bytes.len() + 1 {
            assert_eq!(pieces(&bytes, frame).await.concat(), bytes, "{frame}");
        }
    }

    #[tokio::test]
    async fn the_length_of_a_message_in_several_frames_comes_alone_and_a_short_message_whole() {
        let bytes = [message(3), message(1000), message(7)].concat();
        let lengths: Vec<_> = pieces(&bytes, 400).await.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [8, 5, 387, 400, 213, 12]);
    }

    #[tokio::test]
    async fn a_body_that_ends_within_a_message_ends_there() {
        assert_eq!(pieces(&message(1000)[..500], 400).await.concat(), &message(1000)[..500]);
        assert_eq!(pieces(&message(1000)[..3], 400).await.concat(), &message(1000)[..3]);
    }
}
