//! The service Messages: sealed streams through the platform's inboxes, never held as a whole.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use life_envelope::Purpose;
use life_proto::v1::{
    self, DeleteMessageRequest, DeleteMessageResponse, FetchRequest, FetchResponse, ListMessagesRequest,
    ListMessagesResponse, ReceiveRequest, ReceiveResponse, SendRequest, SendResponse, fetch_response,
    messages_server, receive_response, send_request,
};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::streams::{Answers, ChunkSink, Chunks, Message, Part, answer, call, within};
use crate::agent::Agent;
use crate::clock;
use crate::engine::{self, Document, OpenOptions, Release, Sink, Source};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;
use crate::platform::{BODY_PAUSE, Deposit, next_piece, time};

/// Pieces on their way to the platform.
const AHEAD: usize = 2;
/// How long the platform may take to answer once it has a message whole.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a message that broke off may take to say why.
const SETTLE: Duration = Duration::from_millis(100);

/// The service Messages.
pub struct Messages(pub Arc<Agent>);

impl Message for SendRequest {
    type Header = v1::SendHeader;

    fn part(self) -> Option<Part<Self::Header>> {
        self.message.map(|message| match message {
            send_request::Message::Header(header) => Part::Header(header),
            send_request::Message::Chunk(chunk) => Part::Chunk(chunk),
        })
    }
}

/// A body on its way to the platform.
struct ToBody(mpsc::Sender<std::io::Result<Bytes>>);

impl Sink for ToBody {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        match tokio::time::timeout(BODY_PAUSE, self.0.send(Ok(piece))).await {
            // A platform that wants no more has answered, and its answer says why.
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::PlatformUnavailable.because("it stopped taking the message")),
        }
    }
}

/// A body that comes from the platform.
struct FromBody(Incoming);

impl Source for FromBody {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        next_piece(&mut self.0).await
    }
}

/// Waits for both ends of a deposit. One that is refused early ends at once: nobody would read the rest.
async fn both<S, D>(
    mut sealing: Pin<&mut impl Future<Output = Result<S>>>,
    mut depositing: Pin<&mut impl Future<Output = Result<D>>>,
) -> Result<(S, D)> {
    tokio::select! {
        biased;
        sealed = &mut sealing => {
            let deposited = tokio::time::timeout(ANSWER, depositing).await;
            let late = || Err(Fault::PlatformUnavailable.because("it did not answer in time"));
            match (sealed, deposited.unwrap_or_else(|_| late())) {
                (Ok(sealed), Ok(deposited)) => Ok((sealed, deposited)),
                (Err(error), Err(refused)) if error.fault() == Fault::PlatformUnavailable => Err(refused),
                // What made the message break off says more than that it broke off.
                (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            }
        }
        deposited = &mut depositing => match deposited {
            Ok(deposited) => sealing.await.map(|sealed| (sealed, deposited)),
            Err(refused) if refused.fault() == Fault::PlatformUnavailable => {
                // Perhaps it broke off because the message did.
                match tokio::time::timeout(SETTLE, sealing).await {
                    Ok(Err(error)) => Err(error),
                    _ => Err(refused),
                }
            }
            Err(refused) => Err(refused),
        },
    }
}

/// Seals the message into the body of the deposit, then makes it visible with a receipt over its signature.
///
/// Whatever breaks on the way, the same call with the same id completes it: until it is visible the message is replaced,
/// and from then on it is left as it is.
async fn send(
    identity: &Identity,
    to: life_pki::Uid,
    id: [u8; 16],
    chunks: &mut impl Source,
) -> Result<SendResponse> {
    let document = Document::message(to, id);
    let (sender, receiver) = mpsc::channel(AHEAD);
    let body = StreamBody::new(
        ReceiverStream::new(receiver).map(|piece: std::io::Result<Bytes>| piece.map(Frame::data)),
    )
    .boxed();
    let mut sink = ToBody(sender);
    let sealing = async {
        let sealed = engine::seal_stream(identity, &document, chunks, &mut sink).await;
        if sealed.is_err() {
            // A body that breaks off is no message; without this it would only be a shorter one.
            let _ = sink.0.send(Err(std::io::Error::other("the message was given up"))).await;
        }
        drop(sink);
        sealed
    };
    let (sealing, depositing) = (pin!(sealing), pin!(identity.client.deposit(to, &id, body)));
    let (sealed, deposited) = both(sealing, depositing).await?;
    let deposit_time = match deposited {
        Deposit::Before => None,
        Deposit::Pending => {
            let digest = <[u8; 32]>::try_from(sealed.signature_digest.as_slice()).map_err(Error::internal)?;
            Some(clock::wire(identity.client.publish(to, &id, &digest).await?))
        }
    };
    let message_id = names::uuid(&id);
    let (plaintext_size, recipients) = (sealed.plaintext_size, sealed.recipients);
    Ok(SendResponse { message_id, plaintext_size, deposit_time, recipients })
}

#[tonic::async_trait]
impl messages_server::Messages for Messages {
    async fn send(&self, request: Request<Streaming<SendRequest>>) -> Result<Response<SendResponse>, Status> {
        let call = call(&request);
        let (header, mut chunks) = Chunks::begin(&call, request.into_inner()).await?;
        let to = names::parse_user("recipient", &header.recipient)?;
        let id = match header.message_id.as_str() {
            "" => engine::fresh_id()?,
            text => names::parse_uuid("message_id", text)?,
        };
        let identity = self.0.identities.named("user", &header.user)?;
        let sending = identity.run(send(&identity, to, id, &mut chunks));
        // With the id, which may be the agent's, the caller can try again.
        let sent = within(call, sending).await.map_err(|error| error.with("message_id", names::uuid(&id)));
        Ok(Response::new(sent?))
    }

    async fn list(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.page_size {
            0 => 100,
            size @ 1..=1000 => size.unsigned_abs(),
            _ => return Err(Error::field("page_size", "is not 1 to 1000").into()),
        };
        if request.page_token.len() > 256 {
            return Err(Error::field("page_token", "is not one of ours").into());
        }
        let identity = self.0.identities.named("user", &request.user)?;
        let page = identity.run(identity.client.inbox(limit, &request.page_token)).await?;
        let mut messages = Vec::with_capacity(page.messages.len());
        for listed in page.messages {
            // It goes into paths, and a person sees it.
            let named = names::parse_uuid("message_id", &listed.message_id);
            let id = named.map_err(|_| Fault::PlatformUntrusted.because("it names a message by no UUID"))?;
            messages.push(v1::MessageInfo {
                depositor: listed.depositor.parse().map(|uid| names::user(&uid)).unwrap_or_default(),
                deposit_time: Some(clock::wire(time(&listed.deposit_time)?)),
                message_id: names::uuid(&id),
                size: listed.size,
            });
        }
        Ok(Response::new(ListMessagesResponse { messages, next_page_token: page.next.unwrap_or_default() }))
    }

    type ReceiveStream = Answers<ReceiveResponse>;

    async fn receive(
        &self,
        request: Request<ReceiveRequest>,
    ) -> Result<Response<Self::ReceiveStream>, Status> {
        use receive_response::Message as Out;
        let call = call(&request);
        let request = request.into_inner();
        let id = names::parse_uuid("message_id", &request.message_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let stall = self.0.config().limits.stall_seconds.duration();
        let agent = self.0.clone();
        Ok(answer(call, stall, move |out| async move {
            let receiving = async {
                let (receipt, body) = identity.client.message(&id).await?;
                let options = OpenOptions {
                    purpose: Purpose::Message,
                    accept_unsigned: false,
                    receipt: receipt.map(Bytes::from),
                    stored: None,
                };
                let release = match request.allow_unverified_sender {
                    true => Release::AsItComes,
                    false => Release::WhenVerified(&agent.paths.spool),
                };
                let wrap = |chunk| ReceiveResponse { message: Some(Out::Chunk(chunk)) };
                let mut sink = ChunkSink { out: &out, wrap };
                engine::open_stream(&identity, &options, release, &mut FromBody(body), &mut sink).await
            };
            let opened = identity.run(receiving).await?;
            let result = v1::ReceiveResult {
                signature: Some(opened.signature),
                recipients: opened.recipients,
                plaintext_size: opened.plaintext_size,
            };
            out.send(ReceiveResponse { message: Some(Out::Result(result)) }).await
        }))
    }

    type FetchStream = Answers<FetchResponse>;

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        use fetch_response::Message as Out;
        let call = call(&request);
        let request = request.into_inner();
        let id = names::parse_uuid("message_id", &request.message_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let stall = self.0.config().limits.stall_seconds.duration();
        Ok(answer(call, stall, move |out| async move {
            let fetching = async {
                let (receipt, body) = identity.client.message(&id).await?;
                let mut source = FromBody(body);
                let mut size = 0;
                while let Some(piece) = source.next().await? {
                    size += piece.len() as u64;
                    out.send(FetchResponse { message: Some(Out::Chunk(piece)) }).await?;
                }
                Ok(v1::FetchResult { size, receipt: receipt.unwrap_or_default().into() })
            };
            let result = identity.run(fetching).await?;
            out.send(FetchResponse { message: Some(Out::Result(result)) }).await
        }))
    }

    async fn delete(
        &self,
        request: Request<DeleteMessageRequest>,
    ) -> Result<Response<DeleteMessageResponse>, Status> {
        let request = request.into_inner();
        let id = names::parse_uuid("message_id", &request.message_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        identity.run(identity.client.delete_message(&id)).await?;
        Ok(Response::new(DeleteMessageResponse {}))
    }
}
