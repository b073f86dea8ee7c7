//! A stream that its caller gave up is no shorter stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status};

/// A request's body that fails when its caller gives it up.
///
/// tonic takes a reset with CANCEL for the end of a caller's messages. A caller whose source fails resets its stream so
/// that nobody takes what was sent for all of it: as an end it would make half a document a whole one.
pub struct GivenUp<B>(pub B);

impl<B: HttpBody<Data = Bytes, Error = Status> + Unpin> HttpBody for GivenUp<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.0).poll_frame(context).map_err(|status| match status.code() {
            Code::Cancelled => Status::aborted("the caller gave its stream up"),
            _ => status,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use life_proto::codec::Codec;
    use life_proto::v1::{SendRequest, send_request::Message as Sent};
    use prost::Message;
    use tonic::Streaming;
    use tonic::body::Body;
    use tonic::codec::Codec as _;

    use super::*;

    /// What tonic makes of a body that has one message and is then given up.
    async fn end_of(wrap: impl FnOnce(Body) -> Body) -> Result<Option<SendRequest>, Status> {
        let message = SendRequest { message: Some(Sent::Chunk(Bytes::from_static(b"half"))) };
        let mut framed = vec![0, 0, 0, 0, u8::try_from(message.encoded_len()).unwrap()];
        framed.extend(message.encode_to_vec());
        let frames = [Ok(Frame::data(Bytes::from(framed))), Err(Status::cancelled("reset"))];
        let body = wrap(Body::new(StreamBody::new(tokio_stream::iter(frames))));
        let decoder = Codec::<SendRequest, SendRequest>::default().decoder();
        let mut stream = Streaming::new_request(decoder, body, None, None);
        assert_eq!(stream.message().await.unwrap(), Some(message));
        stream.message().await
    }

    #[tokio::test]
    async fn a_reset_is_no_end() {
        // What it is there for: should tonic mend this, the wrapper can go.
        assert_eq!(end_of(|body| body).await.unwrap(), None);
        let given_up = end_of(|body| Body::new(GivenUp(body))).await;
        assert_eq!(given_up.unwrap_err().code(), Code::Aborted);
    }
}
