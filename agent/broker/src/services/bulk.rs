//! The calls whose streams are mostly content: it comes and leaves without a copy
//! ([`life_proto::framing`], [`life_proto::unframing`]).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, header};
use life_proto::MESSAGE_LIMIT;
use life_proto::framing::{Chunked, Framed, Side};
use life_proto::unframing::Unframed;
use life_proto::v1::crypto_server::CryptoServer;
use life_proto::v1::{DecryptStreamRequest, EncryptStreamRequest};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use super::Crypto;
use super::streams::Answers;
use crate::agent::Agent;
use crate::error::Result;
use crate::policy::Call;

/// The service Crypto on the wire: tonic's, but for the two calls that carry content both ways.
#[derive(Clone)]
pub struct BulkCrypto {
    crypto: Arc<Crypto>,
    others: CryptoServer<Crypto>,
}

impl BulkCrypto {
    /// Serves the agent's Crypto.
    pub fn new(agent: Arc<Agent>) -> Self {
        let crypto = Arc::new(Crypto(agent));
        let others = CryptoServer::from_arc(crypto.clone()).max_decoding_message_size(MESSAGE_LIMIT);
        Self { crypto, others }
    }
}

impl NamedService for BulkCrypto {
    const NAME: &'static str = <CryptoServer<Crypto> as NamedService>::NAME;
}

impl Service<Request<Body>> for BulkCrypto {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        <CryptoServer<Crypto> as Service<Request<Body>>>::poll_ready(&mut self.others, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let crypto = self.crypto.clone();
        match request.uri().path() {
            "/life.agent.v1.Crypto/EncryptStream" => Box::pin(async move {
                let (call, incoming) = streaming::<EncryptStreamRequest>(request);
                Ok(framed(crypto.encrypting(call, incoming).await))
            }),
            "/life.agent.v1.Crypto/DecryptStream" => Box::pin(async move {
                let (call, incoming) = streaming::<DecryptStreamRequest>(request);
                Ok(framed(crypto.decrypting(call, incoming).await))
            }),
            _ => self.others.call(request),
        }
    }
}

/// A request's call and its messages, as the transport brings them.
fn streaming<M: Chunked + Default>(request: Request<Body>) -> (Call, Unframed<M, Body>) {
    let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
    (call, Unframed::new(request.into_body()))
}

fn framed<M: Chunked + Send + 'static>(answers: Result<Answers<M>>) -> Response<Body> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(error) => return Status::from(error).into_http(),
    };
    let mut response = Response::new(Body::new(Framed::new(answers, Side::Server)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
