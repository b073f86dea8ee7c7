//! The service Crypto.

use std::sync::Arc;

use bytes::Bytes;
use life_envelope::stream::MAX_TRAILER;
use life_proto::v1::{
    self, DecryptRequest, DecryptResponse, DecryptStreamRequest, DecryptStreamResponse, EncryptRequest,
    EncryptResponse, EncryptStreamRequest, EncryptStreamResponse, GetReceiptRequest, GetReceiptResponse,
    ShareRequest, ShareResponse, SignRequest, SignResponse, SignStreamRequest, SignStreamResponse,
    VerifyRequest, VerifyResponse, VerifyStreamRequest, VerifyStreamResponse, decrypt_stream_request,
    decrypt_stream_response, encrypt_stream_request, encrypt_stream_response, sign_stream_request,
    verify_stream_request,
};
use life_proto::{UNARY_LIMIT, v1::crypto_server};
use tonic::{Request, Response, Status, Streaming};

use super::streams::{Answers, ChunkSink, Chunks, Incoming, Message, Part, answers, call};
use crate::agent::Agent;
use crate::engine::{self, Document, OpenOptions, Release, Shared};
use crate::error::{Error, Fault, Result};
use crate::names;
use crate::policy::Call;

/// The longest detached signature VerifyStream takes.
const SIGNATURE_LIMIT: usize = 256 * 1024;

/// The service Crypto.
pub struct Crypto(pub Arc<Agent>);

impl Crypto {
    /// EncryptStream, however its messages come.
    ///
    /// # Errors
    /// As the contract says; later ones are the last answer.
    pub async fn encrypting(
        &self,
        call: Call,
        incoming: impl Incoming<Header = v1::EncryptStreamHeader> + 'static,
    ) -> Result<Answers<EncryptStreamResponse>> {
        use encrypt_stream_response::Message as Out;
        let (header, mut chunks) = Chunks::begin(&call, incoming).await?;
        let document = Document::from_fields(
            &header.recipients,
            header.signing,
            header.purpose,
            &header.document_id,
            header.document_version,
        )?;
        let identity = self.0.identities.named("user", &header.user)?;
        let stall = self.0.config().limits.stall_seconds.duration();
        Ok(answers(call, stall, |out| async move {
            let wrap = |chunk| EncryptStreamResponse { message: Some(Out::Chunk(chunk)) };
            let mut sink = ChunkSink { out: &out, wrap };
            let sealing = engine::seal_stream(&identity, &document, &mut chunks, &mut sink);
            let sealed = identity.run(sealing).await?;
            let result = v1::EncryptStreamResult {
                document_id: document_id(&document),
                signature_digest: sealed.signature_digest.into(),
                recipients: sealed.recipients,
                plaintext_size: sealed.plaintext_size,
                ciphertext_size: sealed.ciphertext_size,
            };
            out.send(EncryptStreamResponse { message: Some(Out::Result(result)) }).await
        }))
    }

    /// DecryptStream, however its messages come.
    ///
    /// # Errors
    /// As the contract says; later ones are the last answer.
    pub async fn decrypting(
        &self,
        call: Call,
        incoming: impl Incoming<Header = v1::DecryptStreamHeader> + 'static,
    ) -> Result<Answers<DecryptStreamResponse>> {
        use decrypt_stream_response::Message as Out;
        let (header, mut chunks) = Chunks::begin(&call, incoming).await?;
        let options = OpenOptions::from_fields(header.purpose, header.accept_unsigned, header.receipt)?;
        let identity = self.0.identities.named("user", &header.user)?;
        let stall = self.0.config().limits.stall_seconds.duration();
        let agent = self.0.clone();
        Ok(answers(call, stall, move |out| async move {
            let release = match header.allow_unverified_sender {
                true => Release::AsItComes,
                false => Release::WhenVerified(&agent.paths.spool),
            };
            let wrap = |chunk| DecryptStreamResponse { message: Some(Out::Chunk(chunk)) };
            let mut sink = ChunkSink { out: &out, wrap };
            let opening = engine::open_stream(&identity, &options, release, &mut chunks, &mut sink);
            let opened = identity.run(opening).await?;
            let result = v1::DecryptStreamResult {
                signature: Some(opened.signature),
                recipients: opened.recipients,
                plaintext_size: opened.plaintext_size,
            };
            out.send(DecryptStreamResponse { message: Some(Out::Result(result)) }).await
        }))
    }
}

/// Refuses more than 16 MiB and names the streaming call.
fn check_size(content: &[u8], streaming: &'static str) -> Result<()> {
    if content.len() <= UNARY_LIMIT {
        return Ok(());
    }
    let why = format!("this call takes 16777216 bytes, and {streaming} takes any number");
    Err(Fault::MessageTooLarge
        .because(why)
        .with("streaming_method", format!("life.agent.v1.Crypto/{streaming}")))
}

fn receipt(receipt: &Bytes) -> Option<&[u8]> {
    Some(receipt.as_ref()).filter(|receipt| !receipt.is_empty())
}

/// The id and version of a document, for an answer.
fn document_id(document: &Document) -> String {
    names::uuid(&document.id.0)
}

macro_rules! message {
    ($request:ident, $module:ident, $header:ident) => {
        impl Message for $request {
            type Header = v1::$header;

            fn part(self) -> Option<Part<Self::Header>> {
                self.message.map(|message| match message {
                    $module::Message::Header(header) => Part::Header(header),
                    $module::Message::Chunk(chunk) => Part::Chunk(chunk),
                })
            }
        }
    };
}

message!(EncryptStreamRequest, encrypt_stream_request, EncryptStreamHeader);
message!(DecryptStreamRequest, decrypt_stream_request, DecryptStreamHeader);
message!(SignStreamRequest, sign_stream_request, SignStreamHeader);
message!(VerifyStreamRequest, verify_stream_request, VerifyStreamHeader);

#[tonic::async_trait]
impl crypto_server::Crypto for Crypto {
    async fn encrypt(&self, request: Request<EncryptRequest>) -> Result<Response<EncryptResponse>, Status> {
        let request = request.into_inner();
        check_size(&request.plaintext, "EncryptStream")?;
        let document = Document::from_fields(
            &request.recipients,
            request.signing,
            request.purpose,
            &request.document_id,
            request.document_version,
        )?;
        let identity = self.0.identities.named("user", &request.user)?;
        let sealed = identity.run(engine::seal(&identity, &document, request.plaintext)).await?;
        Ok(Response::new(EncryptResponse {
            envelope: sealed.envelope.into(),
            document_id: document_id(&document),
            signature_digest: sealed.signature_digest.into(),
            recipients: sealed.recipients,
        }))
    }

    async fn decrypt(&self, request: Request<DecryptRequest>) -> Result<Response<DecryptResponse>, Status> {
        let request = request.into_inner();
        let options = OpenOptions::from_fields(request.purpose, request.accept_unsigned, request.receipt)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let opened = identity.run(engine::open(&identity, request.envelope, &options)).await?;
        Ok(Response::new(DecryptResponse {
            plaintext: opened.content,
            signature: Some(opened.signature),
            recipients: opened.recipients,
        }))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let request = request.into_inner();
        check_size(&request.content, "SignStream")?;
        let enclose = match v1::SignatureForm::try_from(request.form) {
            Ok(v1::SignatureForm::Unspecified | v1::SignatureForm::Attached) => true,
            Ok(v1::SignatureForm::Detached) => false,
            Err(_) => return Err(Error::field("form", "is not a known value").into()),
        };
        let identity = self.0.identities.named("user", &request.user)?;
        let (message, digest) = identity.run(engine::sign(&identity, request.content, enclose)).await?;
        Ok(Response::new(SignResponse {
            signed_data: message.into(),
            signature_digest: digest.to_vec().into(),
        }))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Result<Response<VerifyResponse>, Status> {
        let request = request.into_inner();
        check_size(request.content.as_deref().unwrap_or_default(), "VerifyStream")?;
        let identity = self.0.identities.named("user", &request.user)?;
        let verifying =
            engine::verify(&identity, request.signed_data, request.content, receipt(&request.receipt));
        let (judgement, content) = identity.run(verifying).await?;
        Ok(Response::new(VerifyResponse { signature: Some(judgement.report), content }))
    }

    type EncryptStreamStream = Answers<EncryptStreamResponse>;

    async fn encrypt_stream(
        &self,
        request: Request<Streaming<EncryptStreamRequest>>,
    ) -> Result<Response<Self::EncryptStreamStream>, Status> {
        Ok(Response::new(self.encrypting(call(&request), request.into_inner()).await?))
    }

    type DecryptStreamStream = Answers<DecryptStreamResponse>;

    async fn decrypt_stream(
        &self,
        request: Request<Streaming<DecryptStreamRequest>>,
    ) -> Result<Response<Self::DecryptStreamStream>, Status> {
        Ok(Response::new(self.decrypting(call(&request), request.into_inner()).await?))
    }

    async fn sign_stream(
        &self,
        request: Request<Streaming<SignStreamRequest>>,
    ) -> Result<Response<SignStreamResponse>, Status> {
        let call = call(&request);
        let (header, mut chunks) = Chunks::begin(&call, request.into_inner()).await?;
        let identity = self.0.identities.named("user", &header.user)?;
        let signing = engine::sign_stream(&identity, &mut chunks);
        let ((message, digest), content_size) = identity.run(signing).await?;
        Ok(Response::new(SignStreamResponse {
            signed_data: message.into(),
            signature_digest: digest.to_vec().into(),
            content_size,
        }))
    }

    async fn verify_stream(
        &self,
        request: Request<Streaming<VerifyStreamRequest>>,
    ) -> Result<Response<VerifyStreamResponse>, Status> {
        let call = call(&request);
        let (header, mut chunks) = Chunks::begin(&call, request.into_inner()).await?;
        if header.signed_data.len() > SIGNATURE_LIMIT {
            return Err(Error::field("signed_data", "has more than 256 KiB").into());
        }
        let identity = self.0.identities.named("user", &header.user)?;
        let verifying =
            engine::verify_stream(&identity, header.signed_data, receipt(&header.receipt), &mut chunks);
        let (judgement, content_size) = identity.run(verifying).await?;
        Ok(Response::new(VerifyStreamResponse { signature: Some(judgement.report), content_size }))
    }

    async fn get_receipt(
        &self,
        request: Request<GetReceiptRequest>,
    ) -> Result<Response<GetReceiptResponse>, Status> {
        let request = request.into_inner();
        let digest: [u8; 32] = request
            .signature_digest
            .as_ref()
            .try_into()
            .map_err(|_| Error::field("signature_digest", "has not 32 bytes"))?;
        let identity = self.0.identities.named("user", &request.user)?;
        let receipt = identity.run(engine::receipt(&identity, &digest)).await?;
        Ok(Response::new(GetReceiptResponse { receipt: receipt.into() }))
    }

    async fn share(&self, request: Request<ShareRequest>) -> Result<Response<ShareResponse>, Status> {
        let request = request.into_inner();
        if request.trailer.len() > MAX_TRAILER {
            return Err(Error::field("trailer", "has more than 256 KiB and 16 bytes").into());
        }
        if request.recipients.is_empty() {
            return Err(Error::field("recipients", "is missing").into());
        }
        let users = engine::parse_recipients(&request.recipients)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let shared = Shared {
            message: request.envelope,
            trailer: request.trailer,
            receipt: receipt(&request.receipt),
            stored: None,
        };
        let (envelope, recipients) = identity.run(engine::share(&identity, &users, shared)).await?;
        Ok(Response::new(ShareResponse { envelope: envelope.into(), recipients }))
    }
}
