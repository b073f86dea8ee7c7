//! Short answers in one write.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

/// The longest frame that h2 copies into the buffer of its connection. A longer one it writes by itself, and what follows it,
/// the trailers of every answer, with a second system call, which wakes the caller a second time.
const COPIED: usize = 255;
/// Answers up to this size are cut; beyond it the frames cost more than the second write.
const SHORT: usize = 4 * 1024;

/// An answer's body that is given out in small pieces where it is short.
pub struct ShortFrames {
    body: Body,
    rest: Bytes,
}

impl ShortFrames {
    /// Over a body that has not been read yet.
    pub fn new(body: Body) -> Self {
        Self { body, rest: Bytes::new() }
    }
}

impl HttpBody for ShortFrames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            match frame.into_data() {
                Ok(data) if data.len() > COPIED && data.len() <= SHORT => this.rest = data,
                Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let piece = this.rest.split_to(this.rest.len().min(COPIED));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() { self.body.size_hint() } else { SizeHint::default() }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// What comes of a body with one frame of so many bytes and trailers: the lengths of the pieces.
    async fn lengths(length: usize) -> Vec<usize> {
        let bytes: Bytes = (0..length).map(|n| n.to_le_bytes()[0]).collect();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [Ok::<_, Status>(Frame::data(bytes.clone())), Ok(Frame::trailers(trailers.clone()))];
        let mut body = ShortFrames::new(Body::new(StreamBody::new(tokio_stream::iter(frames))));
        let mut pieces = Vec::new();
        loop {
            assert!(!body.is_end_stream());
            match body.frame().await.unwrap().unwrap().into_data() {
                Ok(piece) => pieces.push(piece),
                Err(last) => {
                    assert_eq!(last.into_trailers().unwrap(), trailers);
                    break;
                }
            }
        }
        assert!(body.frame().await.is_none());
        assert_eq!(pieces.concat(), bytes);
        pieces.iter().map(Bytes::len).collect()
    }

    #[tokio::test]
    async fn short_answers_are_cut_and_long_ones_go_as_they_are() {
        assert_eq!(lengths(255).await, [255]);
        assert_eq!(lengths(600).await, [255, 255, 90]);
        assert_eq!(lengths(SHORT).await.len(), SHORT.div_ceil(COPIED));
        assert_eq!(lengths(SHORT + 1).await, [SHORT + 1]);
    }
}
