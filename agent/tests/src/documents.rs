//! Documents with everything in memory.

use bytes::Bytes;
use life_proto::v1;
use tonic::Status;

use crate::agent::Clients;
use crate::streams::chunks;
use crate::users::User;

/// A fresh document id.
#[must_use]
pub fn fresh_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

/// The header of a new document of an owner for readers.
#[must_use]
pub fn header(owner: &User, id: &str, readers: &[&User]) -> v1::UploadDocumentHeader {
    v1::UploadDocumentHeader {
        user: owner.name.clone(),
        document_id: id.to_owned(),
        readers: readers.iter().map(|user| user.name.clone()).collect(),
        title: format!("Befund {id}"),
        content_type: "text/plain".into(),
        ..Default::default()
    }
}

/// Upload over chunks.
///
/// # Errors
/// The status of the call.
pub async fn upload_chunks(
    clients: &mut Clients,
    header: v1::UploadDocumentHeader,
    chunks: impl Iterator<Item = Bytes> + Send + 'static,
) -> Result<v1::UploadDocumentResponse, Status> {
    use v1::upload_document_request::Message as Ask;
    let messages = std::iter::once(Ask::Header(header))
        .chain(chunks.map(Ask::Chunk))
        .map(|message| v1::UploadDocumentRequest { message: Some(message) });
    Ok(clients.documents.upload(tokio_stream::iter(messages)).await?.into_inner())
}

/// Upload over a whole plaintext.
///
/// # Errors
/// The status of the call.
pub async fn upload(
    clients: &mut Clients,
    header: v1::UploadDocumentHeader,
    plaintext: &[u8],
) -> Result<v1::UploadDocumentResponse, Status> {
    upload_chunks(clients, header, chunks(plaintext, 1 << 20)).await
}

/// What Download gave.
#[derive(Debug)]
pub struct Downloaded {
    /// The content.
    pub content: Vec<u8>,
    /// The document.
    pub document: v1::Document,
    /// The verdict.
    pub result: v1::DownloadDocumentResult,
}

/// Download into memory.
///
/// # Errors
/// The status of the call; then nothing was given out.
pub async fn download(clients: &mut Clients, user: &User, id: &str) -> Result<Downloaded, Status> {
    try_download(clients, user, id).await.map_err(|(status, content)| {
        assert!(content.is_empty(), "content was given out, and then refused: {status:?}");
        status
    })
}

/// As [`download`], from an agent that may be killed while it gives out what it has verified.
///
/// # Errors
/// The status of the call, with what had been given out.
pub async fn try_download(
    clients: &mut Clients,
    user: &User,
    id: &str,
) -> Result<Downloaded, (Status, Vec<u8>)> {
    use v1::download_document_response::Message as Answer;
    let request = v1::DownloadDocumentRequest {
        user: user.name.clone(),
        document_id: id.to_owned(),
        ..Default::default()
    };
    let (mut content, mut document) = (Vec::new(), None);
    let mut answers = match clients.documents.download(request).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Err((status, content)),
    };
    loop {
        match answers.message().await {
            Ok(Some(answer)) => match answer.message {
                Some(Answer::Document(first)) => document = Some(first),
                Some(Answer::Chunk(chunk)) => content.extend_from_slice(&chunk),
                Some(Answer::Result(result)) => {
                    return Ok(Downloaded { content, document: document.unwrap(), result });
                }
                None => panic!("an empty answer"),
            },
            Ok(None) => return Err((Status::internal("the stream ended without a result"), content)),
            Err(status) => return Err((status, content)),
        }
    }
}

/// Get.
///
/// # Errors
/// The status of the call.
pub async fn get(clients: &mut Clients, user: &User, id: &str) -> Result<v1::Document, Status> {
    let request = v1::GetDocumentRequest { user: user.name.clone(), document_id: id.to_owned() };
    Ok(clients.documents.get(request).await?.into_inner().document.unwrap())
}

/// List, all of it, a page of so many at a time.
///
/// # Errors
/// The status of the call.
pub async fn list(clients: &mut Clients, user: &User, page_size: i32) -> Result<Vec<v1::Document>, Status> {
    let (mut documents, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListDocumentsRequest { user: user.name.clone(), page_size, page_token };
        let page = clients.documents.list(request).await?.into_inner();
        documents.extend(page.documents);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(documents);
        }
    }
}

/// Share.
///
/// # Errors
/// The status of the call.
pub async fn share(
    clients: &mut Clients,
    owner: &User,
    id: &str,
    readers: &[&User],
) -> Result<v1::ShareDocumentResponse, Status> {
    let request = v1::ShareDocumentRequest {
        user: owner.name.clone(),
        document_id: id.to_owned(),
        version: 0,
        readers: readers.iter().map(|user| user.name.clone()).collect(),
    };
    Ok(clients.documents.share(request).await?.into_inner())
}

/// Unshare.
///
/// # Errors
/// The status of the call.
pub async fn unshare(
    clients: &mut Clients,
    owner: &User,
    id: &str,
    readers: &[&User],
) -> Result<v1::UnshareDocumentResponse, Status> {
    let request = v1::UnshareDocumentRequest {
        user: owner.name.clone(),
        document_id: id.to_owned(),
        version: 0,
        readers: readers.iter().map(|user| user.name.clone()).collect(),
    };
    Ok(clients.documents.unshare(request).await?.into_inner())
}

/// Delete.
///
/// # Errors
/// The status of the call.
pub async fn delete(clients: &mut Clients, owner: &User, id: &str, version: u64) -> Result<(), Status> {
    let request = v1::DeleteDocumentRequest { user: owner.name.clone(), document_id: id.to_owned(), version };
    clients.documents.delete(request).await.map(drop)
}

/// Who can open something, without `users/`, in order.
#[must_use]
pub fn names(readers: &[v1::Recipient]) -> Vec<String> {
    let mut names: Vec<_> = readers.iter().map(|it| it.user.clone()).collect();
    names.sort();
    names
}
