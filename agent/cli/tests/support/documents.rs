//! The stage set's documents: what their owners and the platform say of them is hostile.

use std::pin::Pin;

use life_proto::v1;
use life_proto::v1::documents_server::Documents;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::agent::{Stage, refusal};
use super::others::HOSTILE;

type Answers = Pin<Box<dyn Stream<Item = Result<v1::DownloadDocumentResponse, Status>> + Send>>;

fn hostile() -> v1::Document {
    let coding = v1::Coding { system: HOSTILE.into(), code: HOSTILE.into(), display: HOSTILE.into() };
    let description = v1::DocumentDescription {
        title: HOSTILE.into(),
        r#type: Some(coding),
        content_type: HOSTILE.into(),
        document_reference: serde_json::to_vec(&serde_json::json!({ "description": HOSTILE }))
            .unwrap()
            .into(),
        ..Default::default()
    };
    v1::Document {
        document_id: HOSTILE.into(),
        owner: HOSTILE.into(),
        description: Some(description),
        readers: vec![v1::Recipient { user: HOSTILE.into(), ..Default::default() }],
        ..Default::default()
    }
}

#[tonic::async_trait]
impl Documents for Stage {
    type DownloadStream = Answers;

    async fn upload(
        &self,
        request: Request<Streaming<v1::UploadDocumentRequest>>,
    ) -> Result<Response<v1::UploadDocumentResponse>, Status> {
        let mut requests = request.into_inner();
        while requests.next().await.is_some() {}
        Ok(Response::new(v1::UploadDocumentResponse { document_id: HOSTILE.into(), ..Default::default() }))
    }

    /// Some content, and then no result.
    async fn download(
        &self,
        _: Request<v1::DownloadDocumentRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        use v1::download_document_response::Message as Answer;
        let answers = [Answer::Document(hostile()), Answer::Chunk(b"unverified".to_vec().into())];
        let answers = answers.map(|it| Ok(v1::DownloadDocumentResponse { message: Some(it) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn list(
        &self,
        _: Request<v1::ListDocumentsRequest>,
    ) -> Result<Response<v1::ListDocumentsResponse>, Status> {
        let fault = v1::DocumentFault { reason: HOSTILE.into(), message: HOSTILE.into() };
        let refused = v1::Document { description: None, fault: Some(fault), ..hostile() };
        let documents = vec![hostile(), refused];
        Ok(Response::new(v1::ListDocumentsResponse { documents, ..Default::default() }))
    }

    async fn get(
        &self,
        _: Request<v1::GetDocumentRequest>,
    ) -> Result<Response<v1::GetDocumentResponse>, Status> {
        Ok(Response::new(v1::GetDocumentResponse { document: Some(hostile()) }))
    }

    async fn share(
        &self,
        _: Request<v1::ShareDocumentRequest>,
    ) -> Result<Response<v1::ShareDocumentResponse>, Status> {
        let readers = hostile().readers;
        Ok(Response::new(v1::ShareDocumentResponse { readers, ..Default::default() }))
    }

    async fn unshare(
        &self,
        _: Request<v1::UnshareDocumentRequest>,
    ) -> Result<Response<v1::UnshareDocumentResponse>, Status> {
        Err(refusal("NOT_THE_OWNER"))
    }

    async fn delete(
        &self,
        _: Request<v1::DeleteDocumentRequest>,
    ) -> Result<Response<v1::DeleteDocumentResponse>, Status> {
        Err(refusal("VERSION_CONFLICT"))
    }
}
