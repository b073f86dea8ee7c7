//! One request and the head of its answer.

use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode, response};
use hyper::body::Incoming;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::body::{CallBody, Due, Feed, Payload};
use super::connect::Failed;
use super::gate::Ask;
use super::pool::{Lease, Pool};
use crate::error::{Fault, Result};
use crate::platform::{next_piece, tls_error, tls_fault};

/// How long a server may take to say whether it wants a body (RFC 9110 §10.1.1: it need not say anything).
const CONTINUE: Duration = Duration::from_secs(1);
/// Interim answers that a server may send; at the next one it is given up.
const INTERIM: u32 = 32;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("life-agent/", env!("CARGO_PKG_VERSION")));

/// Whether a server is asked before it gets a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// `Expect: 100-continue`.
    Asking,
    /// It did not like to be asked.
    Straight,
}

/// An answer whose body is still to be read.
pub struct Answer {
    /// Status and headers.
    pub head: response::Parts,
    /// The headers that the caller is told.
    pub told: Vec<(String, String)>,
    /// How often the request was sent.
    pub attempts: u32,
    body: Incoming,
    feed: Option<Feed>,
    sent: u64,
    lease: Lease,
}

/// Sends a request once and waits for the head of the answer.
///
/// A connection that turns out to be closed before it took the request is replaced by another: nothing was sent then.
pub async fn once(
    pool: &Arc<Pool>,
    ask: &Ask,
    payload: &Payload,
    manners: Manners,
) -> Result<Answer, Failed> {
    loop {
        let mut lease = pool.lease().await?;
        let interim = Arc::new(Interim::default());
        let request = request(pool, ask, payload, manners, &interim);
        let sending = pin!(lease.connection.sender.try_send_request(request));
        let answer = match waited(sending, payload, manners, pool.gate.head, &interim).await? {
            Ok(answer) => answer,
            Err(mut error) => {
                let unsent = error.take_message().is_some();
                if unsent && lease.used {
                    continue;
                }
                return Err(broken(&error.into_error(), payload));
            }
        };
        let (head, body) = answer.into_parts();
        let told =
            pool.gate.headers.response(&head.headers).map_err(|error| unreadable(error.to_string()))?;
        if !(200..600).contains(&head.status.as_u16()) {
            return Err(unreadable(format!("its status is {}", head.status.as_u16())));
        }
        let (feed, sent) = match payload {
            Payload::Kept(bytes) => (None, bytes.len() as u64),
            Payload::Feed(feed) => (Some(feed.clone()), 0),
        };
        return Ok(Answer { head, told, attempts: 1, body, feed, sent, lease });
    }
}

fn request(
    pool: &Pool,
    ask: &Ask,
    payload: &Payload,
    manners: Manners,
    interim: &Arc<Interim>,
) -> Request<CallBody> {
    let mut request = Request::new(payload.body());
    *request.method_mut() = ask.method.clone();
    // In origin-form: it was read as one.
    *request.uri_mut() = ask.uri.clone();
    *request.headers_mut() = ask.headers.clone();
    let headers = request.headers_mut();
    headers.insert(HOST, pool.connector.host.clone());
    headers.insert(USER_AGENT, AGENT);
    match payload {
        Payload::Kept(bytes)
            if bytes.is_empty() && matches!(ask.method, Method::POST | Method::PUT | Method::PATCH) =>
        {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Payload::Feed(_) if manners == Manners::Asking => {
            headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        _ => {}
    }
    let (interim, feed) = (
        interim.clone(),
        match payload {
            Payload::Feed(feed) => Some(feed.clone()),
            Payload::Kept(_) => None,
        },
    );
    hyper::ext::on_informational(&mut request, move |answer| {
        if answer.status() == StatusCode::CONTINUE
            && let Some(feed) = &feed
        {
            feed.open();
        }
        interim.count();
    });
    request
}

/// Counts interim answers: a server could send them for ever.
#[derive(Default)]
struct Interim {
    count: AtomicU32,
    many: Notify,
}

impl Interim {
    fn count(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) >= INTERIM {
            self.many.notify_one();
        }
    }
}

/// Waits for an answer as long as the time limits have it: for the server's word about the body, for the body to go,
/// for the head.
async fn waited<T>(
    mut sending: std::pin::Pin<&mut impl Future<Output = T>>,
    payload: &Payload,
    manners: Manners,
    limit: Duration,
    interim: &Interim,
) -> Result<T, Failed> {
    let start = Instant::now();
    let mut next = match payload {
        Payload::Kept(_) => start + limit,
        Payload::Feed(feed) if manners == Manners::Straight => {
            feed.open();
            start + CONTINUE
        }
        Payload::Feed(_) => start + CONTINUE,
    };
    loop {
        tokio::select! {
            biased;
            answer = &mut sending => return Ok(answer),
            () = interim.many.notified() => return Err(unreadable("it sends interim answers and no other".to_owned())),
            () = tokio::time::sleep_until(next) => {}
        }
        let due = match payload {
            Payload::Kept(_) => Due::Sent(start),
            Payload::Feed(feed) => feed.due(),
        };
        next = match due {
            Due::Later(at) => at,
            Due::Sent(at) if at + limit > Instant::now() => at + limit,
            Due::Sent(_) => return Err(late("it did not answer in time")),
            Due::Stuck => return Err(late("it stopped taking the body")),
        };
    }
}

fn late(why: &'static str) -> Failed {
    let error = Fault::PlatformUnavailable.because(why).with("request_sent", "maybe");
    // Who is slow is not helped by being asked again.
    Failed { error, again: false }
}

fn unreadable(why: String) -> Failed {
    let error = Fault::PlatformUntrusted.because(format!("its answer is not acceptable: {why}"));
    Failed { error: error.with("request_sent", "maybe"), again: false }
}

/// Why a request that was sent has no answer.
fn broken(error: &hyper::Error, payload: &Payload) -> Failed {
    if let Payload::Feed(feed) = payload
        && let Some(error) = feed.failure()
    {
        return Failed { error: error.with("request_sent", "maybe"), again: false };
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = tls_error(error) {
            let error = tls_fault(tls).with("request_sent", "maybe");
            return Failed { again: error.fault() == Fault::PlatformUnavailable, error };
        }
        cause = error.source();
    }
    if error.is_parse() {
        return unreadable("it is not HTTP, or its head is too long".to_owned());
    }
    let error = Fault::PlatformUnavailable.because("the connection broke before it answered");
    Failed { error: error.with("request_sent", "maybe"), again: true }
}

impl Answer {
    /// The next bytes of the body; none at its end.
    ///
    /// # Errors
    /// PLATFORM_UNAVAILABLE when it breaks off or pauses for too long; what went wrong on the caller's side.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let piece = next_piece(&mut self.body).await;
        piece.map_err(|error| {
            let caller = self.feed.as_ref().and_then(Feed::failure);
            caller.unwrap_or_else(|| self.lease.gate().told(error)).with("request_sent", "maybe")
        })
    }

    /// How long the body is, where the server said so and there is one.
    pub fn length(&self) -> Option<u64> {
        use hyper::body::Body;
        self.body.size_hint().exact()
    }

    /// Whether the caller's body is through.
    pub fn is_request_complete(&self) -> bool {
        self.feed.as_ref().is_none_or(Feed::is_complete)
    }

    /// Whether the server answered before it wanted any of the body.
    pub fn is_body_untouched(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::is_untouched)
    }

    /// Ends an answer that was read whole: keeps the connection if the caller's body is through too. Returns how many
    /// bytes of that were sent.
    pub fn finish(self) -> u64 {
        let sent = self.feed.as_ref().map_or(self.sent, Feed::sent);
        if self.is_request_complete() {
            self.lease.put_back();
        }
        sent
    }
}
