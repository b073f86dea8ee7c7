//! The caller's body: kept where it is short, else handed on as it comes.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::error::{Error, Fault, Result};
use crate::platform::BODY_PAUSE;

/// A body up to this length is kept, so that it can be sent again.
const KEEP: usize = 64 * 1024;
/// And in so many pieces at the most: each takes memory, however small it is.
const PIECES: usize = 512;
/// How long a body of unknown length may take to be there and be kept.
const GATHER: Duration = Duration::from_millis(50);

/// Chunks of a caller.
pub trait Draw: Send {
    /// The next chunk; nothing at the end.
    fn poll_draw(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>>;

    /// How long the caller may leave its stream without one.
    fn stall(&self) -> Duration;
}

/// What is sent beside the head.
pub enum Payload {
    /// All of it is here.
    Kept(Bytes),
    /// It comes from the caller.
    Feed(Feed),
}

impl Payload {
    /// Takes the caller's body: whole where it is short and there.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a body where there is none, STREAM_PROTOCOL for one that has not its declared length.
    pub async fn take(mut chunks: Box<dyn Draw>, method: &Method, length: Option<u64>) -> Result<Self> {
        if !life_api::has_body(method) {
            let seen = poll_fn(|context| Poll::Ready(chunks.poll_draw(context))).await;
            if length.unwrap_or_default() > 0 || matches!(seen, Poll::Ready(Ok(Some(_)))) {
                return Err(Error::field("method", "is one whose requests have no body"));
            }
            return Ok(Self::Kept(Bytes::new()));
        }
        match length {
            Some(0) => Ok(Self::Kept(Bytes::new())),
            Some(length) if length > KEEP as u64 => Ok(Self::feed(chunks, VecDeque::new(), Some(length))),
            Some(length) => {
                let mut kept = Gathered::default();
                while (kept.length as u64) < length {
                    kept.add(next(&mut chunks).await?.ok_or_else(too_short)?);
                }
                if kept.length as u64 > length { Err(too_long()) } else { Ok(Self::Kept(kept.whole())) }
            }
            None => {
                let mut kept = Gathered::default();
                let end = Instant::now() + GATHER;
                while kept.length <= KEEP && kept.pieces.len() < PIECES {
                    match tokio::time::timeout_at(end, poll_fn(|context| chunks.poll_draw(context))).await {
                        Ok(Ok(Some(chunk))) => kept.add(chunk),
                        Ok(Ok(None)) => return Ok(Self::Kept(kept.whole())),
                        Ok(Err(error)) => return Err(error),
                        Err(_) => break,
                    }
                }
                Ok(Self::feed(chunks, kept.pieces, None))
            }
        }
    }

    fn feed(chunks: Box<dyn Draw>, kept: VecDeque<Bytes>, length: Option<u64>) -> Self {
        let state = State {
            stall: chunks.stall(),
            chunks,
            kept,
            left: length,
            sent: 0,
            ended: false,
            open: false,
            starved: false,
            failure: None,
            last: Instant::now(),
            timer: None,
            waker: None,
        };
        Self::Feed(Feed { state: Arc::new(Mutex::new(state)), length })
    }

    /// The body for one attempt.
    pub fn body(&self) -> CallBody {
        match self {
            Self::Kept(bytes) => CallBody::Kept(Some(bytes.clone()).filter(|bytes| !bytes.is_empty())),
            Self::Feed(feed) => CallBody::Feed(feed.clone()),
        }
    }
}

async fn next(chunks: &mut Box<dyn Draw>) -> Result<Option<Bytes>> {
    let stall = chunks.stall();
    let drawn = tokio::time::timeout(stall, poll_fn(|context| chunks.poll_draw(context))).await;
    drawn.unwrap_or_else(|_| Err(stalled()))
}

fn stalled() -> Error {
    Fault::DeadlineExceeded.because("the caller's stream stood still for too long")
}

fn too_short() -> Error {
    Fault::StreamProtocol.because("the body is shorter than the header says")
}

fn too_long() -> Error {
    Fault::StreamProtocol.because("the body is longer than the header says")
}

#[derive(Default)]
struct Gathered {
    pieces: VecDeque<Bytes>,
    length: usize,
}

impl Gathered {
    fn add(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push_back(piece);
    }

    fn whole(mut self) -> Bytes {
        if self.pieces.len() == 1 {
            return self.pieces.pop_front().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.length);
        self.pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        whole.freeze()
    }
}

/// A body that comes from the caller, seen from both sides: the connection draws on it, the call watches it.
#[derive(Clone)]
pub struct Feed {
    state: Arc<Mutex<State>>,
    length: Option<u64>,
}

struct State {
    chunks: Box<dyn Draw>,
    stall: Duration,
    kept: VecDeque<Bytes>,
    /// What is still to come of a declared length.
    left: Option<u64>,
    sent: u64,
    ended: bool,
    /// Whether the server wants it.
    open: bool,
    /// Whether it waits for the caller, not for the server.
    starved: bool,
    failure: Option<Error>,
    last: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    waker: Option<Waker>,
}

/// What is to be done about a body when nothing has come of it for a while.
pub enum Due {
    /// Look again then.
    Later(Instant),
    /// The server has all of it since then.
    Sent(Instant),
    /// The server stopped taking it.
    Stuck,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the body go: the server wants it, or says nothing.
    pub fn open(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.open, true) {
            state.last = Instant::now();
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
    }

    /// Whether nothing of it was sent.
    pub fn is_untouched(&self) -> bool {
        !self.state().open
    }

    /// Whether all of it was sent.
    pub fn is_complete(&self) -> bool {
        let state = self.state();
        state.ended || state.left == Some(0)
    }

    /// How many bytes were handed to the connection.
    pub fn sent(&self) -> u64 {
        self.state().sent
    }

    /// What went wrong on the caller's side.
    pub fn failure(&self) -> Option<Error> {
        self.state().failure.clone()
    }

    /// How it stands. Opens the body if it still waits for the server's word.
    pub fn due(&self) -> Due {
        self.open();
        let state = self.state();
        let now = Instant::now();
        if state.ended || state.left == Some(0) {
            return Due::Sent(state.last);
        }
        if state.starved {
            return Due::Later(now + BODY_PAUSE);
        }
        let limit = state.last + BODY_PAUSE;
        if limit <= now { Due::Stuck } else { Due::Later(limit) }
    }
}

impl State {
    fn give(&mut self, piece: Bytes) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        let length = piece.len() as u64;
        if let Some(left) = self.left {
            match left.checked_sub(length) {
                Some(left) => self.left = Some(left),
                None => return self.fail(too_long()),
            }
        }
        self.sent += length;
        self.last = Instant::now();
        (self.starved, self.timer) = (false, None);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        self.failure = Some(error);
        Poll::Ready(Some(Err(GivenUp)))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if !self.open {
            self.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        if self.failure.is_some() {
            return Poll::Ready(Some(Err(GivenUp)));
        }
        if let Some(piece) = self.kept.pop_front() {
            return self.give(piece);
        }
        if self.ended {
            return Poll::Ready(None);
        }
        match self.chunks.poll_draw(context) {
            Poll::Ready(Ok(Some(chunk))) => self.give(chunk),
            Poll::Ready(Ok(None)) if self.left.unwrap_or_default() > 0 => self.fail(too_short()),
            Poll::Ready(Ok(None)) => {
                self.ended = true;
                self.last = Instant::now();
                Poll::Ready(None)
            }
            Poll::Ready(Err(error)) => self.fail(error),
            Poll::Pending => {
                self.starved = true;
                let stall = self.stall;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
                match timer.as_mut().poll(context) {
                    Poll::Ready(()) => self.fail(stalled()),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

/// The body cannot go on; the feed knows why.
#[derive(Debug, thiserror::Error)]
#[error("the caller's body was given up")]
pub struct GivenUp;

/// The body of a request as the connection sees it.
pub enum CallBody {
    /// All of it; nothing once it was taken.
    Kept(Option<Bytes>),
    /// As it comes.
    Feed(Feed),
}

impl Body for CallBody {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        match self.get_mut() {
            Self::Kept(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Feed(feed) => feed.state().poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Kept(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Kept(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Feed(feed) => feed.length.map(SizeHint::with_exact).unwrap_or_default(),
        }
    }
}
