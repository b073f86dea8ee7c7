//! One log line for each request: method, route pattern, status, sizes, duration. Never content, ids or names.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Where these lines come from, for filters.
pub const TARGET: &str = "life_platform::access";

/// The status of a request whose client was gone before there was an answer.
const ABORTED: u16 = 499;

/// Counts both bodies and writes the line when the answer was sent or given up.
pub async fn record(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| Arc::from("-"), |path| Arc::<str>::from(path.as_str()));
    let received = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&received);
    let request = request.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let length = frame.data_ref().map_or(0, |data: &Bytes| data.len() as u64);
            counter.fetch_add(length, Ordering::Relaxed);
            frame
        }))
    });
    // Made before the work begins: a client that goes away drops the work, and the line is written then.
    let mut line = Line { method, route, status: ABORTED, received, started, sent: 0, ended: false };
    let response = next.run(request).await;
    line.status = response.status().as_u16();
    response.map(|body| Body::new(Logged { body, line }))
}

/// A client may send any token as a method; only those of the contract are repeated.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        _ => "OTHER",
    }
}

struct Line {
    method: &'static str,
    route: Arc<str>,
    status: u16,
    received: Arc<AtomicU64>,
    sent: u64,
    started: Instant,
    ended: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        tracing::info!(
            target: TARGET,
            method = self.method,
            route = &*self.route,
            status = self.status,
            received = self.received.load(Ordering::Relaxed),
            sent = self.sent,
            complete = self.ended,
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request"
        );
    }
}

/// A body that counts what was sent.
struct Logged {
    body: Body,
    line: Line,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.line.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.line.ended |= self.body.is_end_stream();
            }
            Poll::Ready(None) => self.line.ended = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_before_its_answer_has_a_line() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let router = Router::new().route("/slow", get(std::future::pending::<()>)).layer(from_fn(record));
        let request = http::Request::get("/slow").body(Body::empty()).unwrap();
        let answer = router.oneshot(request);
        tokio::time::timeout(std::time::Duration::from_millis(50), answer).await.unwrap_err();
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("status=499") && text.contains("complete=false"), "{text}");
    }
}
