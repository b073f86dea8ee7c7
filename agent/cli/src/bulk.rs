//! Calls whose messages are mostly content: it crosses this program without a copy ([`life_proto::framing`]).

use futures_util::stream::{Stream, StreamExt, try_unfold};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderValue, Method, Request, Uri};
use life_proto::framing::{Chunked, Framed, Side};
use life_proto::unframing::{Piece, Unframed};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::connection::Transport;

/// The path of Crypto.EncryptStream.
pub const ENCRYPT: &str = "/life.agent.v1.Crypto/EncryptStream";
/// The path of Crypto.DecryptStream.
pub const DECRYPT: &str = "/life.agent.v1.Crypto/DecryptStream";

/// Makes a call that streams both ways.
///
/// Fails with what the agent refuses it for at once; what it fails with later is the last item.
pub async fn call<A, B>(
    mut transport: Transport,
    path: &'static str,
    requests: impl Stream<Item = A> + Send + 'static,
) -> Result<impl Stream<Item = Result<Piece<B>, Status>> + Unpin, Status>
where
    A: Chunked + Send + 'static,
    B: Chunked + Default + 'static,
{
    let requests = Box::pin(requests.map(Ok));
    let mut request = Request::new(Body::new(Framed::new(requests, Side::Client)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(path);
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let answer = transport.ready().await.map_err(failed)?.call(request).await.map_err(failed)?;
    if let Some(status) = Status::from_header_map(answer.headers()) {
        ended(status)?;
    }
    let unframed = Unframed::<B, Body>::new(Body::new(answer.into_body()));
    Ok(Box::pin(try_unfold(unframed, |mut unframed| async move {
        if let Some(piece) = unframed.next().await? {
            return Ok(Some((piece, unframed)));
        }
        let status = unframed.trailers().and_then(Status::from_header_map);
        ended(status.unwrap_or_else(|| Status::unknown("the agent's answer broke off")))?;
        Ok(None)
    })))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync + 'static>>) -> Status {
    Status::from_error(error.into())
}

fn ended(status: Status) -> Result<(), Status> {
    if status.code() == Code::Ok { Ok(()) } else { Err(status) }
}
