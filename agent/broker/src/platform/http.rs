//! HTTP to the platform: one pool of connections per level and user, with time limits.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as HttpBody, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use super::origin::Origin;
use super::refusal::{refused, tls_error, tls_fault, unreadable};
use crate::error::{Error, Fault, Result};

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// How long the platform may take for an answer that is read whole.
const WHOLE_TIME: Duration = Duration::from_secs(60);
/// How long the platform may pause within a body, giving or taking.
pub const BODY_PAUSE: Duration = Duration::from_secs(30);
/// The longest answer that is read whole.
const WHOLE_LIMIT: usize = 16 * 1024 * 1024;

/// The metadata of a fault that may be gone at the next try.
const BROKE: &str = "connection_broke";

/// The body of a request.
pub type Body = BoxBody<Bytes, std::io::Error>;

/// A body of these bytes.
pub fn body_of(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// Learns whether the platform answers.
pub type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// A pool of connections to the platform at one level.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Body>,
    origin: Origin,
    limit: Duration,
    told: Told,
}

impl Client {
    /// Makes a pool; nothing is connected yet.
    pub fn new(origin: Origin, tls: ClientConfig, limit: Duration, told: Told) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(https);
        Self { pool, origin, limit, told }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// PLATFORM_UNAVAILABLE, PLATFORM_UNTRUSTED, and what the platform refuses, by status and reason.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response<Incoming>> {
        self.send_within(method, path, headers, body, Some(self.limit)).await
    }

    /// As [`Client::send`], with another time limit or none: a large body takes as long as it takes.
    pub async fn send_within(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Body,
        limit: Option<Duration>,
    ) -> Result<Response<Incoming>> {
        let uri = self.origin.uri(path).ok_or_else(|| Error::internal("a path is not a URI"))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let answering = self.pool.request(request);
        let answer = match limit {
            Some(limit) => tokio::time::timeout(limit, answering).await,
            None => Ok(answering.await),
        };
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(self.broken(&error)),
            Err(_) => {
                (self.told)(false);
                return Err(Fault::PlatformUnavailable.because("it did not answer in time"));
            }
        };
        (self.told)(true);
        if answer.status().is_success() { Ok(answer) } else { Err(refused(answer).await) }
    }

    /// Tries again when a connection broke: one from the pool may have been closed by the platform meanwhile.
    async fn twice<F>(&self, ask: impl Fn() -> F) -> Result<Response<Incoming>>
    where
        F: Future<Output = Result<Response<Incoming>>>,
    {
        match ask().await {
            Err(error) if error.metadata(BROKE).is_some() => {}
            answer => return answer,
        }
        let answer = ask().await;
        if answer.as_ref().is_err_and(|error| error.metadata(BROKE).is_some()) {
            (self.told)(false);
        }
        answer
    }

    fn broken(&self, error: &hyper_util::client::legacy::Error) -> Error {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(tls) = tls_error(error) {
                (self.told)(false);
                return tls_fault(tls);
            }
            cause = error.source();
        }
        if error.is_connect() {
            (self.told)(false);
            return Fault::PlatformUnavailable.into();
        }
        Fault::PlatformUnavailable.because("the connection broke").with(BROKE, "true")
    }

    /// Gets a JSON answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        json(&self.get_bytes(path).await?)
    }

    /// Gets an answer whole.
    pub async fn get_bytes(&self, path: &str) -> Result<Bytes> {
        let get = || self.send(Method::GET, path, HeaderMap::new(), body_of(Bytes::new()));
        let answer = self.twice(get).await?;
        whole(answer.into_body()).await
    }

    /// Sends JSON and takes JSON. All such calls of the contract may be repeated.
    pub async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<T> {
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let send = || self.send(method.clone(), path, headers.clone(), body_of(body.clone()));
        let answer = self.twice(send).await?;
        json(&whole(answer.into_body()).await?)
    }
}

/// Reads a body whole.
pub async fn whole(body: Incoming) -> Result<Bytes> {
    whole_within(body, WHOLE_TIME).await
}

async fn whole_within<B>(body: B, limit: Duration) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    match tokio::time::timeout(limit, gather(body)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Fault::PlatformUnavailable.because("its answer took far too long")),
    }
}

async fn gather<B>(mut body: B) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut bytes = BytesMut::new();
    while let Some(piece) = next_piece(&mut body).await? {
        if bytes.len() + piece.len() > WHOLE_LIMIT {
            return Err(Fault::PlatformUntrusted.because("its answer is far too long"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// The next bytes of a body; none at its end.
pub async fn next_piece<B>(body: &mut B) -> Result<Option<Bytes>>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    loop {
        match tokio::time::timeout(BODY_PAUSE, body.frame()).await {
            Err(_) => return Err(Fault::PlatformUnavailable.because("it stopped in the middle of an answer")),
            Ok(Some(Err(_))) => {
                return Err(
                    Fault::PlatformUnavailable.because("the connection broke in the middle of an answer")
                );
            }
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| unreadable())
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_comes_byte_by_byte_has_an_end() {
        let drops = tokio_stream::iter(std::iter::repeat(Bytes::from_static(b"x")))
            .throttle(Duration::from_millis(5))
            .map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
        let body = StreamBody::new(Box::pin(drops));
        let read =
            tokio::time::timeout(Duration::from_secs(5), whole_within(body, Duration::from_millis(50)));
        assert_eq!(read.await.unwrap().unwrap_err().fault(), Fault::PlatformUnavailable);
    }
}
