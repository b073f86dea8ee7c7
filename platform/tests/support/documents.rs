//! Documents as an agent would make them, as far as the platform can see.

use life_envelope::stream::{StreamHeader, TINK_HEADER, header_length};
use life_envelope::{Envelope, OwnKey, envelope, recipient};
use life_pki::PublicKey;
use life_platform::encoding::{base64, random};
use serde_json::{Value, json};

use super::client::append;
use super::content::stream_for;
use super::{Agent, Client, Platform, Reply};

/// A document's path.
pub fn path_of(id: &str) -> String {
    format!("/v1/documents/{id}")
}

/// A new random document id.
pub fn new_id() -> String {
    life_pki::Uid::from_random(random().unwrap()).to_string()
}

/// A new random upload id.
pub fn new_upload() -> String {
    hex::encode(random::<16>().unwrap())
}

/// One version of a document, sealed: content, metadata, and who may read it.
#[derive(Clone)]
pub struct Version {
    pub stream: Vec<u8>,
    pub metadata: Vec<u8>,
    pub readers: Vec<String>,
    pub digest: [u8; 32],
}

impl Version {
    /// Content of so many bytes, sealed to its owner and readers.
    pub fn new(length: usize, owner: &Agent, readers: &[&Agent]) -> Self {
        let keys: Vec<PublicKey> = std::iter::once(&owner)
            .chain(readers)
            .map(|agent| agent.draft.root.public_key().clone())
            .collect();
        let metadata = envelope::seal(b"metadata, as signed data", &keys).unwrap().0;
        Self {
            stream: stream_for(length, &keys),
            metadata,
            readers: readers.iter().map(|agent| agent.uid().to_string()).collect(),
            digest: random().unwrap(),
        }
    }

    pub fn commit_body(&self) -> Value {
        json!({
            "metadata": base64(&self.metadata),
            "signature_digest": base64(&self.digest),
            "readers": self.readers,
        })
    }

    /// How long the part of the stream is that sharing replaces.
    pub fn start(&self) -> usize {
        header_length(&self.stream).unwrap().unwrap() + TINK_HEADER
    }

    /// The same version with more recipients, as its owner shares it.
    pub fn shared(&self, owner: &Agent, with: &[&Agent]) -> Self {
        let keys: Vec<PublicKey> = with.iter().map(|agent| agent.draft.root.public_key().clone()).collect();
        let (start, rest) = self.stream.split_at(self.start());
        let (head, tink) = start.split_at(start.len() - TINK_HEADER);
        let mut header = StreamHeader::parse(head).unwrap();
        add(header.envelope_mut(), owner, &keys);
        let mut metadata = Envelope::parse(&self.metadata).unwrap();
        add(&mut metadata, owner, &keys);
        Self {
            stream: [&header.to_bytes().unwrap(), tink, rest].concat(),
            metadata: metadata.to_der(),
            readers: with.iter().map(|agent| agent.uid().to_string()).collect(),
            digest: self.digest,
        }
    }

    /// The request that shares a document by [`Version::shared`].
    pub fn share_body(&self, version: u64, revision: u64) -> Value {
        json!({
            "version": version,
            "revision": revision,
            "header": base64(&self.stream[..self.start()]),
            "metadata": base64(&self.metadata),
            "readers": self.readers,
        })
    }
}

fn add(envelope: &mut Envelope<'_>, owner: &Agent, keys: &[PublicKey]) {
    let own = OwnKey { hash: owner.draft.root.public_key().hash(), issuer_serial: None };
    let info = envelope.find(&[own]).unwrap();
    let key = recipient::unwrap(info, &owner.draft.root).unwrap();
    envelope.check_key(&key).unwrap();
    envelope.add_recipients(&key, keys).unwrap();
}

impl Client {
    /// Begins an upload and returns its path.
    pub async fn begin(&self, document: &str, version: u64) -> String {
        let upload = new_upload();
        let body = json!({ "version": version, "upload_id": upload });
        self.post(&format!("{}/uploads", path_of(document)), &body).await.expect(201);
        format!("{}/uploads/{upload}", path_of(document))
    }

    pub async fn append(&self, upload: &str, offset: usize, body: impl Into<axum::body::Body>) -> Reply {
        self.send(append(upload, offset as u64, body)).await
    }

    pub async fn commit(&self, upload: &str, version: &Version) -> Reply {
        self.post(&format!("{upload}/commit"), &version.commit_body()).await
    }

    /// Stores one version of a document, all in one append; returns the record.
    pub async fn store(&self, document: &str, number: u64, version: &Version) -> Value {
        let upload = self.begin(document, number).await;
        self.append(&upload, 0, version.stream.clone()).await.expect(200);
        self.commit(&upload, version).await.expect(200).json()
    }

    /// A request of content with one more header.
    pub async fn content(&self, document: &str, headers: &[(&'static str, &str)]) -> Reply {
        let mut request = super::client::request("GET", &format!("{}/content", path_of(document)), "");
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        self.send(request).await
    }
}

/// Where the server keeps its content.
pub fn data(platform: &Platform) -> std::path::PathBuf {
    platform.root().join("serve/data")
}

/// The content there is, by name.
pub fn files(platform: &Platform) -> Vec<std::path::PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(data(platform).join("blobs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// How far an upload has come.
pub async fn offset(agent: &Agent, upload: &str) -> usize {
    let upload = agent.client.get(upload).await.expect(200).json();
    usize::try_from(upload["offset"].as_u64().unwrap()).unwrap()
}

/// The head of an append with so many bytes announced.
pub fn head(upload: &str, offset: usize, length: usize) -> String {
    format!(
        "PATCH {upload} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
         upload-offset: {offset}\r\ncontent-length: {length}\r\n\r\n"
    )
}
