//! The service Api: calls in a user's name, never held as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use life_proto::v1::{self, CallHeader, CallRequest, CallResponse, api_server, call_request, call_response};
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::streams::{Answers, Chunks, Message, Out, Part, answers, call, within};
use crate::agent::Agent;
use crate::error::{Error, Result};
use crate::policy::Call;
use crate::upstream::{self, Answer, Payload};

/// An answer of at most this length is given in one go, by the task that asked for it.
const AT_ONCE: u64 = 64 * 1024;
/// The longest time limit.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The service Api.
pub struct Api(pub Arc<Agent>);

impl Message for CallRequest {
    type Header = CallHeader;

    fn part(self) -> Option<Part<Self::Header>> {
        self.message.map(|message| match message {
            call_request::Message::Header(header) => Part::Header(header),
            call_request::Message::Chunk(chunk) => Part::Chunk(chunk),
        })
    }
}

/// What a call gives: all at once, or as it comes.
pub enum Replies {
    /// All of it.
    Ready(std::vec::IntoIter<CallResponse>),
    /// As it comes.
    Work(Answers<CallResponse>),
}

impl Stream for Replies {
    type Item = Result<CallResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.get_mut() {
            Self::Ready(replies) => Poll::Ready(replies.next().map(Ok)),
            Self::Work(answers) => Pin::new(answers).poll_next(context),
        }
    }
}

fn reply(message: call_response::Message) -> CallResponse {
    CallResponse { message: Some(message) }
}

/// The head of an answer for the caller.
fn head(answer: &mut Answer) -> CallResponse {
    let length = answer.head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let told = std::mem::take(&mut answer.told);
    reply(call_response::Message::Answer(v1::CallAnswer {
        status: answer.head.status.as_u16().into(),
        headers: told.into_iter().map(|(name, value)| v1::HttpHeader { name, value }).collect(),
        content_length: length,
    }))
}

fn chunk(piece: Bytes) -> CallResponse {
    reply(call_response::Message::Chunk(piece))
}

fn result(answer: Answer, size: u64) -> CallResponse {
    let attempts = answer.attempts;
    reply(call_response::Message::Result(v1::CallResult { size, sent_size: answer.finish(), attempts }))
}

/// A short answer, whole.
async fn whole(mut answer: Answer) -> Result<Vec<CallResponse>> {
    let mut replies = Vec::with_capacity(3);
    replies.push(head(&mut answer));
    let mut size = 0;
    while let Some(piece) = answer.next().await? {
        size += piece.len() as u64;
        replies.push(chunk(piece));
    }
    replies.push(result(answer, size));
    Ok(replies)
}

/// An answer as it comes.
async fn streamed(mut answer: Answer, out: &Out<CallResponse>) -> Result<()> {
    out.send(head(&mut answer)).await?;
    let mut size = 0;
    while let Some(piece) = answer.next().await? {
        size += piece.len() as u64;
        out.send(chunk(piece)).await?;
    }
    out.send(result(answer, size)).await
}

/// The earlier of the call's deadline and the header's time limit.
fn limited(mut call: Call, header: &CallHeader) -> Result<Call> {
    let Some(limit) = &header.time_limit else { return Ok(call) };
    let limit = Duration::try_from(*limit).ok().filter(|limit| !limit.is_zero() && *limit <= LONGEST);
    let limit = limit.ok_or_else(|| Error::field("time_limit", "is not above 0 and up to 24 hours"))?;
    let end = Instant::now() + limit;
    call.deadline = Some(call.deadline.map_or(end, |deadline| deadline.min(end)));
    Ok(call)
}

#[tonic::async_trait]
impl api_server::Api for Api {
    type CallStream = Replies;

    async fn call(&self, request: Request<Streaming<CallRequest>>) -> Result<Response<Replies>, Status> {
        let call = call(&request);
        let (header, chunks) = Chunks::begin(&call, request.into_inner()).await?;
        let call = limited(call, &header)?;
        let gate = self.0.gate();
        let headers = header.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        let ask = gate.pass(&header.method, &header.path, headers)?;
        let identity = self.0.identities.named("user", &header.user)?;
        let pool = identity.upstream.pool(&gate)?;
        let deadline = call.deadline;
        let asking = async {
            let payload = Payload::take(Box::new(chunks), &ask.method, header.content_length).await?;
            upstream::call(&pool, &ask, &payload, deadline).await
        };
        let asking = within(call.clone(), identity.run(asking));
        let got = asking.await?;
        let short = got.length().is_some_and(|length| length <= AT_ONCE) && got.is_request_complete();
        if short {
            let replies = within(call, identity.run(whole(got))).await?;
            return Ok(Response::new(Replies::Ready(replies.into_iter())));
        }
        let stall = self.0.config().limits.stall_seconds.duration();
        let answers = answers(call, stall, move |out| async move { identity.run(streamed(got, &out)).await });
        Ok(Response::new(Replies::Work(answers)))
    }
}
