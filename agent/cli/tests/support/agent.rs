//! The stage set: Crypto, which hands back what it gets. The document id of a request says how to misbehave.

use std::pin::Pin;
use std::time::Duration;

use life_proto::v1;
use life_proto::v1::accounts_server::AccountsServer;
use life_proto::v1::crypto_server::{Crypto, CryptoServer};
use life_proto::v1::documents_server::DocumentsServer;
use life_proto::v1::messages_server::MessagesServer;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Folder, life};

/// An agent that keeps nothing secret.
pub struct Agent {
    folder: Folder,
    runtime: Runtime,
}

impl Agent {
    /// Starts one.
    pub fn start() -> Self {
        let folder = Folder::new();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(async { UnixListener::bind(folder.path("agent.sock")).unwrap() });
        let service = CryptoServer::new(Stage)
            .max_decoding_message_size(life_proto::MESSAGE_LIMIT)
            .max_encoding_message_size(life_proto::MESSAGE_LIMIT);
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .add_service(AccountsServer::new(Stage))
            .add_service(DocumentsServer::new(Stage))
            .add_service(MessagesServer::new(Stage).max_encoding_message_size(life_proto::MESSAGE_LIMIT));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self { folder, runtime }
    }

    /// Goes away at once, whatever runs.
    pub fn vanish(self) {
        self.runtime.shutdown_background();
    }

    /// The program, with this agent.
    pub fn life(&self) -> std::process::Command {
        let mut command = life();
        command.env("LIFE_AGENT_SOCKET", self.folder.path("agent.sock"));
        command
    }
}

/// The refusal that a document id asks for.
pub fn refusal(reason: &str) -> Status {
    let details =
        ErrorDetails::with_error_info(reason, life_proto::ERROR_DOMAIN, std::collections::HashMap::new());
    Status::with_error_details(tonic::Code::FailedPrecondition, "the stage set refuses: as asked", details)
}

#[derive(Clone, Copy)]
pub struct Stage;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Crypto for Stage {
    type EncryptStreamStream = Answers<v1::EncryptStreamResponse>;
    type DecryptStreamStream = Answers<v1::DecryptStreamResponse>;

    async fn encrypt(
        &self,
        request: Request<v1::EncryptRequest>,
    ) -> Result<Response<v1::EncryptResponse>, Status> {
        let request = request.into_inner();
        if request.document_id.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(refusal(&request.document_id));
        }
        Ok(Response::new(v1::EncryptResponse { envelope: request.plaintext, ..Default::default() }))
    }

    /// Hands the chunks back. The document id `fail` refuses after three chunks, `stall` stops there, `cut` ends
    /// there without a result.
    async fn encrypt_stream(
        &self,
        request: Request<Streaming<v1::EncryptStreamRequest>>,
    ) -> Result<Response<Self::EncryptStreamStream>, Status> {
        let mut requests = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            use v1::encrypt_stream_request::Message as Received;
            use v1::encrypt_stream_response::Message as Sent;
            let (mut behaviour, mut chunks, mut size) = (String::new(), 0, 0);
            while let Some(Ok(request)) = requests.next().await {
                match request.message {
                    Some(Received::Header(header)) => behaviour = header.document_id,
                    Some(Received::Chunk(chunk)) => {
                        chunks += 1;
                        size += chunk.len() as u64;
                        let answer = v1::EncryptStreamResponse { message: Some(Sent::Chunk(chunk)) };
                        if sender.send(Ok(answer)).await.is_err() {
                            return;
                        }
                    }
                    None => return,
                }
                match (behaviour.as_str(), chunks) {
                    ("fail", 3) => {
                        let _gone = sender.send(Err(refusal("CREDENTIAL_LOCKED"))).await;
                        return;
                    }
                    ("stall", 3) => tokio::time::sleep(Duration::from_secs(600)).await,
                    ("cut", 3) => return,
                    _ => {}
                }
            }
            let result =
                v1::EncryptStreamResult { plaintext_size: size, ciphertext_size: size, ..Default::default() };
            let answer = v1::EncryptStreamResponse { message: Some(Sent::Result(result)) };
            let _gone = sender.send(Ok(answer)).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_receipt(
        &self,
        _: Request<v1::GetReceiptRequest>,
    ) -> Result<Response<v1::GetReceiptResponse>, Status> {
        Err(Status::unimplemented("the stage set gives no receipts"))
    }

    /// Opens everything as unsigned, unless the caller wants a signature.
    async fn decrypt(
        &self,
        request: Request<v1::DecryptRequest>,
    ) -> Result<Response<v1::DecryptResponse>, Status> {
        let request = request.into_inner();
        if !request.accept_unsigned {
            return Err(refusal("SIGNATURE_MISSING"));
        }
        Ok(Response::new(v1::DecryptResponse { plaintext: request.envelope, ..Default::default() }))
    }

    /// Gives out what it gets while it comes, and then says that the signature is bad; gives out nothing at all
    /// when the caller does not keep it aside.
    async fn decrypt_stream(
        &self,
        request: Request<Streaming<v1::DecryptStreamRequest>>,
    ) -> Result<Response<Self::DecryptStreamStream>, Status> {
        let mut requests = request.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            use v1::decrypt_stream_request::Message as Received;
            use v1::decrypt_stream_response::Message as Sent;
            let mut early = false;
            while let Some(Ok(request)) = requests.next().await {
                match request.message {
                    Some(Received::Header(header)) => early = header.allow_unverified_sender,
                    Some(Received::Chunk(chunk)) if early => {
                        let answer = v1::DecryptStreamResponse { message: Some(Sent::Chunk(chunk)) };
                        let _gone = sender.send(Ok(answer)).await;
                    }
                    _ => {}
                }
            }
            let _gone = sender.send(Err(refusal("SIGNATURE_INVALID"))).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn sign(&self, _: Request<v1::SignRequest>) -> Result<Response<v1::SignResponse>, Status> {
        let signed_data = bytes::Bytes::from_static(b"\x30\x80signature");
        Ok(Response::new(v1::SignResponse { signed_data, ..Default::default() }))
    }

    async fn verify(
        &self,
        request: Request<v1::VerifyRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        let signature = v1::SignatureReport {
            state: v1::SignatureState::Invalid.into(),
            explanation: "the stage set trusts nobody".into(),
            ..Default::default()
        };
        let content = request.into_inner().signed_data;
        Ok(Response::new(v1::VerifyResponse { signature: Some(signature), content }))
    }

    async fn sign_stream(
        &self,
        _: Request<Streaming<v1::SignStreamRequest>>,
    ) -> Result<Response<v1::SignStreamResponse>, Status> {
        Err(refusal("SIGNING_FAILED"))
    }

    async fn verify_stream(
        &self,
        _: Request<Streaming<v1::VerifyStreamRequest>>,
    ) -> Result<Response<v1::VerifyStreamResponse>, Status> {
        Err(refusal("FORMAT_INVALID"))
    }

    /// Puts the names of the new recipients in front of what it gets.
    async fn share(&self, request: Request<v1::ShareRequest>) -> Result<Response<v1::ShareResponse>, Status> {
        let request = request.into_inner();
        let mut envelope = request.envelope.to_vec();
        envelope.extend_from_slice(b"+shared");
        Ok(Response::new(v1::ShareResponse { envelope: envelope.into(), ..Default::default() }))
    }
}
