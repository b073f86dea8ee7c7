//! Moving content between files and the agent's streams, with backpressure from end to end.

use std::future::{Future, pending};

use bytes::Bytes;
use futures_util::stream::unfold;
use futures_util::{Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::error::Error;
use crate::files::{Chunks, Writer};
use crate::output::Progress;

/// What tells that an input failed while it was sent.
pub struct Failure(oneshot::Receiver<Error>);

enum Stage<R> {
    Header(R, Outgoing),
    Chunks(Outgoing),
}

struct Outgoing {
    chunks: Chunks,
    failure: Option<oneshot::Sender<Error>>,
    progress: mpsc::UnboundedSender<usize>,
}

/// A caller's side of a stream: the header, then the chunks.
///
/// When the input fails the stream does not end, for an end would mean that all was sent: it stops, and the failure
/// is told by [`Failure`], so that the call is dropped.
pub fn outgoing<R: Send + 'static>(
    header: R,
    chunks: Chunks,
    wrap: fn(Bytes) -> R,
) -> (impl Stream<Item = R> + Send + 'static, Failure, mpsc::UnboundedReceiver<usize>) {
    let (failure, failed) = oneshot::channel();
    let (progress, sent) = mpsc::unbounded_channel();
    let outgoing = Outgoing { chunks, failure: Some(failure), progress };
    let stream = unfold(Stage::Header(header, outgoing), move |stage| async move {
        match stage {
            Stage::Header(header, outgoing) => Some((header, Stage::Chunks(outgoing))),
            Stage::Chunks(mut outgoing) => {
                let chunk = outgoing.next().await?;
                Some((wrap(chunk), Stage::Chunks(outgoing)))
            }
        }
    });
    (stream, Failure(failed), sent)
}

impl Outgoing {
    async fn next(&mut self) -> Option<Bytes> {
        match self.chunks.recv().await? {
            Ok(chunk) => {
                let _nobody_counts = self.progress.send(chunk.len());
                Some(chunk)
            }
            Err(error) => {
                if let Some(failure) = self.failure.take() {
                    let _call_is_over = failure.send(error);
                }
                pending().await
            }
        }
    }
}

/// What one message of an answer brings.
pub enum Part<R> {
    /// A piece of content.
    Chunk(Bytes),
    /// The result, which ends the answer.
    Result(R),
}

/// Writes the content of an answer and gives its result. Each piece written is counted.
///
/// Fails for an answer that ends without a result, whatever came before.
pub async fn incoming<M, R>(
    mut messages: impl Stream<Item = Result<M, Status>> + Unpin,
    writer: &mut Writer,
    part: impl Fn(M) -> Option<Part<R>>,
    mut count: impl FnMut(usize),
) -> Result<R, Error> {
    let mut result = None;
    while let Some(message) = messages.next().await {
        match part(message?) {
            Some(Part::Chunk(chunk)) => {
                count(chunk.len());
                writer.write(chunk).await?;
            }
            Some(Part::Result(last)) => result = Some(last),
            None => {}
        }
    }
    result.ok_or_else(|| Error::Software("the agent ended the stream without a result".into()))
}

/// Runs a call while its input is sent: ends with the call, or as soon as the input fails. Counts what was sent.
pub async fn drive<T>(
    call: impl Future<Output = Result<T, Error>>,
    failure: Failure,
    mut sent: mpsc::UnboundedReceiver<usize>,
    mut progress: Progress,
) -> Result<T, Error> {
    let failed = async {
        match failure.0.await {
            Ok(error) => error,
            Err(_) => pending().await,
        }
    };
    let count = async {
        while let Some(bytes) = sent.recv().await {
            progress.add(bytes);
        }
        pending::<()>().await
    };
    tokio::select! {
        biased;
        error = failed => Err(error),
        result = call => result,
        () = count => Err(Error::Software("counting ended".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::output::{Format, Output};

    #[tokio::test]
    async fn a_failing_input_never_looks_like_an_end() {
        let (sender, chunks) = mpsc::channel(4);
        let (stream, failure, sent) = outgoing(Bytes::from_static(b"header"), chunks, |chunk| chunk);
        sender.send(Ok(Bytes::from_static(b"one"))).await.unwrap();
        let broken = Error::Read { name: "disk".into(), source: io::Error::other("bad sector") };
        sender.send(Err(broken)).await.unwrap();
        drop(sender);
        let mut stream = Box::pin(stream);
        assert_eq!(stream.next().await.unwrap(), "header");
        assert_eq!(stream.next().await.unwrap(), "one");
        assert!(tokio::time::timeout(Duration::from_millis(50), stream.next()).await.is_err());
        let progress = Output::new(Format::Json).progress("testing", None);
        let result = drive(pending::<Result<(), Error>>(), failure, sent, progress).await;
        assert!(matches!(result, Err(Error::Read { .. })));
    }

    #[tokio::test]
    async fn an_input_that_ends_ends_the_stream() {
        let (sender, chunks) = mpsc::channel(4);
        let (stream, _failure, _sent) = outgoing(Bytes::from_static(b"header"), chunks, |chunk| chunk);
        drop(sender);
        assert_eq!(stream.collect::<Vec<_>>().await, ["header"]);
    }
}
