//! Streams of the contract: header first, then chunks, the result last; backpressure, cancellation and deadlines.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use life_proto::CHUNK_LIMIT;
use life_proto::framing::Chunked;
use life_proto::unframing::{Piece, Unframed};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_stream::Stream;
use tonic::body::Body;
use tonic::{Response, Status, Streaming};

use crate::engine::{Sink, Source};
use crate::error::{Error, Fault, Result};
use crate::policy::Call;
use crate::upstream::Draw;

/// Messages that wait for the transport: enough to keep it busy.
const AHEAD: usize = 2;

/// What one message of a caller's stream is.
pub enum Part<H> {
    /// The header.
    Header(H),
    /// A chunk.
    Chunk(Bytes),
}

/// A message of a caller's stream.
pub trait Message: Send + 'static {
    /// Its header.
    type Header;

    /// What it is; nothing for an empty message.
    fn part(self) -> Option<Part<Self::Header>>;
}

/// How a caller's messages come.
pub trait Incoming: Send {
    /// The header among them.
    type Header: Send;

    /// What comes next: nothing at the end, and nothing inside for an empty message.
    fn part(&mut self) -> impl Future<Output = Result<Option<Option<Part<Self::Header>>>, Status>> + Send;
}

/// As tonic decodes them, whole.
impl<M: Message> Incoming for Streaming<M>
where
    M::Header: Send,
{
    type Header = M::Header;

    async fn part(&mut self) -> Result<Option<Option<Part<M::Header>>>, Status> {
        Ok(self.message().await?.map(Message::part))
    }
}

/// As the transport brings them, in pieces.
impl<M: Message + Chunked + Default> Incoming for Unframed<M, Body>
where
    M::Header: Send,
{
    type Header = M::Header;

    async fn part(&mut self) -> Result<Option<Option<Part<M::Header>>>, Status> {
        Ok(self.next().await?.map(|piece| match piece {
            Piece::Chunk(chunk) => Some(Part::Chunk(chunk)),
            Piece::Message(message) => message.part(),
        }))
    }
}

/// A caller's stream after its header.
pub struct Chunks<I> {
    incoming: I,
    stall: Duration,
}

impl<I: Incoming> Chunks<I> {
    /// Reads the header.
    ///
    /// # Errors
    /// STREAM_PROTOCOL when something else comes first, DEADLINE_EXCEEDED when nothing comes.
    pub async fn begin(call: &Call, incoming: I) -> Result<(I::Header, Self)> {
        let mut chunks = Self { incoming, stall: call.input_stall };
        match chunks.part().await? {
            Some(Some(Part::Header(header))) => Ok((header, chunks)),
            _ => Err(Fault::StreamProtocol.because("the header did not come first")),
        }
    }

    async fn part(&mut self) -> Result<Option<Option<Part<I::Header>>>> {
        match tokio::time::timeout(self.stall, self.incoming.part()).await {
            Ok(part) => part.map_err(broken),
            Err(_) => Err(Fault::DeadlineExceeded.because("the caller's stream stood still for too long")),
        }
    }
}

impl<I: Incoming> Source for Chunks<I> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        chunk(self.part().await?)
    }
}

impl<M: Message> Draw for Chunks<Streaming<M>> {
    fn poll_draw(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        let message = ready!(Pin::new(&mut self.incoming).poll_next(context));
        Poll::Ready(message.transpose().map_err(broken).and_then(|message| chunk(message.map(Message::part))))
    }

    fn stall(&self) -> Duration {
        self.stall
    }
}

/// The chunk that a message after the header is; nothing at the stream's end.
fn chunk<H>(part: Option<Option<Part<H>>>) -> Result<Option<Bytes>> {
    match part {
        None => Ok(None),
        Some(Some(Part::Chunk(chunk))) if chunk.is_empty() => {
            Err(Fault::StreamProtocol.because("a chunk is empty"))
        }
        Some(Some(Part::Chunk(chunk))) if chunk.len() > CHUNK_LIMIT => {
            Err(Fault::MessageTooLarge.because("a chunk is longer than 1 MiB"))
        }
        Some(Some(Part::Chunk(chunk))) => Ok(Some(chunk)),
        Some(Some(Part::Header(_))) => Err(Fault::StreamProtocol.because("a second header came")),
        Some(None) => Err(Fault::StreamProtocol.because("a message is empty")),
    }
}

/// The caller's stream broke: a reset, or a message that is none.
fn broken(status: Status) -> Error {
    match status.code() {
        tonic::Code::OutOfRange => Fault::MessageTooLarge.because("a chunk is longer than 1 MiB"),
        _ => Fault::StreamProtocol.because("the caller's stream broke"),
    }
}

/// Where the work puts its answers.
pub struct Out<T> {
    sender: mpsc::Sender<T>,
    stall: Duration,
}

impl<T: Send> Out<T> {
    /// Gives an answer; waits until the caller has read those before.
    ///
    /// # Errors
    /// DEADLINE_EXCEEDED when the caller leaves them unread for very long; CANCELLED work is dropped before that.
    pub async fn send(&self, answer: T) -> Result<()> {
        match tokio::time::timeout(self.stall, self.sender.send(answer)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Fault::StreamProtocol.because("the caller went away")),
            Err(_) => Err(Fault::DeadlineExceeded.because("the caller left the answer unread for too long")),
        }
    }
}

/// Puts chunks into answers.
pub struct ChunkSink<'a, T> {
    /// Where they go.
    pub out: &'a Out<T>,
    /// Makes a chunk an answer.
    pub wrap: fn(Bytes) -> T,
}

impl<T: Send> Sink for ChunkSink<'_, T> {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        self.out.send((self.wrap)(piece)).await
    }
}

/// Answers of a call that streams; the work ends when the caller goes away.
pub struct Answers<T> {
    receiver: mpsc::Receiver<T>,
    failed: Arc<Mutex<Option<Status>>>,
    work: AbortHandle,
}

impl<T> Drop for Answers<T> {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl<T> Stream for Answers<T> {
    type Item = std::result::Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|answer| match answer {
            Some(answer) => Some(Ok(answer)),
            None => self.failed.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err),
        })
    }
}

/// Runs work that streams its answers, until its deadline.
pub fn answer<T, F>(call: Call, stall: Duration, work: impl FnOnce(Out<T>) -> F) -> Response<Answers<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    Response::new(answers(call, stall, work))
}

/// As [`answer`], for whoever sends the answers without tonic.
pub fn answers<T, F>(call: Call, stall: Duration, work: impl FnOnce(Out<T>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    // What a caller is told of work that panics.
    let failed = Arc::new(Mutex::new(Some(Error::from(Fault::Internal).into())));
    let failure = failed.clone();
    let keep = sender.clone();
    let work = work(Out { sender, stall });
    let task = tokio::spawn(async move {
        // Only when this is dropped does the stream end, so that it finds the failure.
        let _keep = keep;
        let ended = within(call, work).await;
        *failure.lock().unwrap_or_else(PoisonError::into_inner) = ended.err().map(Status::from);
    });
    Answers { receiver, failed, work: task.abort_handle() }
}

/// Does work until its deadline.
///
/// # Errors
/// DEADLINE_EXCEEDED, or what the work gives.
pub async fn within<T>(call: Call, work: impl Future<Output = Result<T>>) -> Result<T> {
    match call.deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work)
            .await
            .unwrap_or_else(|_| Err(Fault::DeadlineExceeded.into())),
    }
}

/// What the policy layer knows of a call.
pub fn call<T>(request: &tonic::Request<T>) -> Call {
    request.extensions().get::<Call>().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn answers_come_in_order_and_the_failure_last() {
        let answers = answer(Call::default(), Duration::from_secs(5), |out| async move {
            for n in 0..5 {
                out.send(n).await?;
            }
            Err(Fault::NotARecipient.into())
        });
        let got: Vec<_> = answers.into_inner().collect().await;
        assert_eq!(got.len(), 6);
        assert!(got[..5].iter().enumerate().all(|(n, answer)| answer.as_ref().is_ok_and(|got| *got == n)));
        assert_eq!(got[5].as_ref().unwrap_err().code(), tonic::Code::FailedPrecondition);
    }

    #[tokio::test]
    async fn a_caller_that_stops_reading_or_goes_away_ends_the_work() {
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let answers = answer(Call::default(), Duration::from_millis(20), |out| async move {
            let _done = done;
            loop {
                out.send(0u8).await?;
            }
        });
        assert!(tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().is_err());
        let last = answers.into_inner().collect::<Vec<_>>().await.pop().unwrap();
        assert_eq!(last.unwrap_err().code(), tonic::Code::DeadlineExceeded);

        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        let answers = answer::<u8, _>(Call::default(), Duration::from_secs(60), |_| async move {
            let _done = done;
            std::future::pending().await
        });
        drop(answers);
        assert!(tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn work_that_panics_is_no_success() {
        let answers = answer(Call::default(), Duration::from_secs(5), |out| async move {
            out.send(1u8).await?;
            panic!("as a fault of ours would");
        });
        let got: Vec<_> = answers.into_inner().collect().await;
        assert_eq!(got.len(), 2);
        assert_eq!(got[1].as_ref().unwrap_err().code(), tonic::Code::Internal);
    }

    #[tokio::test]
    async fn a_deadline_ends_the_work() {
        let mut call = Call::default();
        call.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(10));
        let answers = answer::<u8, _>(call, Duration::from_secs(60), |_| std::future::pending());
        let got: Vec<_> = answers.into_inner().collect().await;
        assert_eq!(got[0].as_ref().unwrap_err().code(), tonic::Code::DeadlineExceeded);
    }
}
