//! The service Documents: encrypted and signed content with its description, kept by the platform.

use std::collections::BTreeSet;
use std::sync::Arc;

use life_pki::Uid;
use life_proto::v1::{
    self, DeleteDocumentRequest, DeleteDocumentResponse, DownloadDocumentRequest, DownloadDocumentResponse,
    GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest, ListDocumentsResponse,
    ShareDocumentRequest, ShareDocumentResponse, UnshareDocumentRequest, UnshareDocumentResponse,
    UploadDocumentRequest, UploadDocumentResponse, documents_server, download_document_response,
    upload_document_request,
};
use tonic::{Request, Response, Status, Streaming};

use super::streams::{Answers, ChunkSink, Chunks, Message, Part, answer, call, within};
use crate::agent::Agent;
use crate::clock;
use crate::engine::{self, CurrentDocument, Documents as Store, PutDocument, Release, Wanted};
use crate::error::{Error, Result};
use crate::identities::Identity;
use crate::names;
use crate::platform::Record;

/// The service Documents.
pub struct Documents(pub Arc<Agent>);

/// The documents of an identity.
fn store<'a>(agent: &'a Agent, identity: &'a Identity) -> Store<'a> {
    let patience = agent.config().limits.platform_patience_seconds.duration();
    Store { identity, spool: &agent.paths.spool, uploads: &agent.paths.uploads, patience }
}

impl Message for UploadDocumentRequest {
    type Header = v1::UploadDocumentHeader;

    fn part(self) -> Option<Part<Self::Header>> {
        self.message.map(|message| match message {
            upload_document_request::Message::Header(header) => Part::Header(header),
            upload_document_request::Message::Chunk(chunk) => Part::Chunk(chunk),
        })
    }
}

fn document_id(text: &str) -> Result<[u8; 16]> {
    let id = names::parse_uuid("document_id", text)?;
    // As for users: anything but version 4 and its variant could be chosen to mean something.
    text.parse::<Uid>().map_err(|_| Error::field("document_id", "is no version 4 UUID"))?;
    Ok(id)
}

/// A version that a caller names, or none.
fn named(version: u64) -> Option<u64> {
    (version > 0).then_some(version)
}

fn readers(names: &[String]) -> Result<BTreeSet<Uid>> {
    if names.is_empty() {
        return Err(Error::field("readers", "is missing"));
    }
    engine::parse_users("readers", names)
}

fn of_record(record: &Record) -> v1::Document {
    let status = match record.deleted {
        true => v1::DocumentStatus::Deleted,
        false => v1::DocumentStatus::Current,
    };
    v1::Document {
        document_id: names::uuid(&record.id),
        version: record.version,
        owner: names::user(&record.owner),
        status: status.into(),
        revision: record.revision,
        ciphertext_size: record.size,
        create_time: Some(clock::wire(record.created)),
        update_time: Some(clock::wire(record.updated)),
        ..v1::Document::default()
    }
}

/// What Get says of a document.
fn whole(current: &CurrentDocument) -> Result<v1::Document> {
    Ok(v1::Document {
        description: Some(current.description.to_wire()?),
        signature: Some(current.signature.clone()),
        readers: current.readers.clone(),
        ..of_record(&current.record)
    })
}

/// What List says of a document: one that is refused hides no other.
async fn listed(store: &Store<'_>, record: Record) -> Result<v1::Document> {
    let shown = of_record(&record);
    if record.deleted {
        return Ok(shown);
    }
    match store.open(record).await {
        Ok(current) => Ok(v1::Document {
            description: Some(current.description.to_summary()),
            signature: Some(current.signature),
            readers: current.readers,
            ..shown
        }),
        Err(error) if error.is_about_content() => {
            let (reason, message) = (error.fault().reason().to_owned(), error.to_string());
            Ok(v1::Document { fault: Some(v1::DocumentFault { reason, message }), ..shown })
        }
        Err(error) => Err(error),
    }
}

#[tonic::async_trait]
impl documents_server::Documents for Documents {
    async fn upload(
        &self,
        request: Request<Streaming<UploadDocumentRequest>>,
    ) -> Result<Response<UploadDocumentResponse>, Status> {
        let call = call(&request);
        let (header, mut chunks) = Chunks::begin(&call, request.into_inner()).await?;
        let id = match (header.document_id.as_str(), header.replaces_version) {
            ("", 0) => engine::fresh_id()?,
            (text, _) => document_id(text)?,
        };
        let wanted = Wanted::from_fields(
            header.title,
            header.r#type,
            header.content_type,
            &header.document_reference,
        )?;
        let put = PutDocument {
            id,
            replaces: header.replaces_version,
            readers: engine::parse_users("readers", &header.readers)?,
            keep_readers: header.keep_readers,
            wanted,
        };
        let identity = self.0.identities.named("user", &header.user)?;
        let store = store(&self.0, &identity);
        let uploading = identity.run(store.put(&put, &mut chunks));
        // With the id, which may be the agent's, the caller can try again.
        let uploaded =
            within(call, uploading).await.map_err(|error| error.with("document_id", names::uuid(&id)))?;
        Ok(Response::new(UploadDocumentResponse {
            document_id: names::uuid(&id),
            version: uploaded.version,
            plaintext_size: uploaded.plaintext_size,
            ciphertext_size: uploaded.ciphertext_size,
            readers: uploaded.readers,
            existed: uploaded.existed,
            resumed_size: uploaded.resumed,
        }))
    }

    type DownloadStream = Answers<DownloadDocumentResponse>;

    async fn download(
        &self,
        request: Request<DownloadDocumentRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        use download_document_response::Message as Out;
        let call = call(&request);
        let request = request.into_inner();
        let id = document_id(&request.document_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let stall = self.0.config().limits.stall_seconds.duration();
        let agent = self.0.clone();
        let wrap = |message| DownloadDocumentResponse { message: Some(message) };
        Ok(answer(call, stall, move |out| async move {
            let downloading = async {
                let store = store(&agent, &identity);
                let fetched = store.fetch(&id, named(request.version)).await?;
                out.send(wrap(Out::Document(whole(&fetched.current)?))).await?;
                let release = match request.allow_unverified_sender {
                    true => Release::AsItComes,
                    false => Release::WhenVerified(&agent.paths.spool),
                };
                let wrap = |chunk| DownloadDocumentResponse { message: Some(Out::Chunk(chunk)) };
                store.open_content(fetched, release, &mut ChunkSink { out: &out, wrap }).await
            };
            let result = identity.run(downloading).await?;
            out.send(wrap(Out::Result(result))).await
        }))
    }

    async fn list(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.page_size {
            0 => 50,
            size @ 1..=100 => size.unsigned_abs(),
            _ => return Err(Error::field("page_size", "is not 1 to 100").into()),
        };
        if request.page_token.len() > 256 {
            return Err(Error::field("page_token", "is not one of ours").into());
        }
        let identity = self.0.identities.named("user", &request.user)?;
        let store = store(&self.0, &identity);
        let listing = async {
            let page = identity.client.documents(limit, &request.page_token).await?;
            let mut documents = Vec::with_capacity(page.documents.len());
            for record in page.documents {
                documents.push(listed(&store, record).await?);
            }
            Ok(ListDocumentsResponse { documents, next_page_token: page.next.unwrap_or_default() })
        };
        Ok(Response::new(identity.run(listing).await?))
    }

    async fn get(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let request = request.into_inner();
        let id = document_id(&request.document_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let store = store(&self.0, &identity);
        let getting = async {
            let record = store.record(&id).await?;
            if record.deleted { Ok(of_record(&record)) } else { whole(&store.open(record).await?) }
        };
        Ok(Response::new(GetDocumentResponse { document: Some(identity.run(getting).await?) }))
    }

    async fn share(
        &self,
        request: Request<ShareDocumentRequest>,
    ) -> Result<Response<ShareDocumentResponse>, Status> {
        let request = request.into_inner();
        let id = document_id(&request.document_id)?;
        let users = readers(&request.readers)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let store = store(&self.0, &identity);
        let current = identity.run(store.share(&id, named(request.version), &users)).await?;
        Ok(Response::new(ShareDocumentResponse {
            version: current.record.version,
            revision: current.record.revision,
            readers: current.readers,
        }))
    }

    async fn unshare(
        &self,
        request: Request<UnshareDocumentRequest>,
    ) -> Result<Response<UnshareDocumentResponse>, Status> {
        let request = request.into_inner();
        let id = document_id(&request.document_id)?;
        let users = readers(&request.readers)?;
        let identity = self.0.identities.named("user", &request.user)?;
        if users.contains(&identity.uid) {
            return Err(Error::field("readers", "names the owner").into());
        }
        let store = store(&self.0, &identity);
        let uploaded = identity.run(store.unshare(&id, named(request.version), &users)).await?;
        Ok(Response::new(UnshareDocumentResponse { version: uploaded.version, readers: uploaded.readers }))
    }

    async fn delete(
        &self,
        request: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        let request = request.into_inner();
        let id = document_id(&request.document_id)?;
        let identity = self.0.identities.named("user", &request.user)?;
        let store = store(&self.0, &identity);
        identity.run(store.delete(&id, named(request.version))).await?;
        Ok(Response::new(DeleteDocumentResponse {}))
    }
}
