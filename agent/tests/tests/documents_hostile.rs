//! A platform that lies about documents: each lie is told by editing what the real platform stores, and is refused with
//! its reason before anything is given out.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use life_e2e::agent::Clients;
use life_e2e::documents::{self, download, fresh_id, get, header, list, upload};
use life_e2e::{Agent, Platform, Reason, User};
use life_envelope::stream::{StreamHeader, TINK_HEADER};
use life_envelope::{ContentKey, Envelope};
use life_pki::{PrivateKey, Uid};
use life_proto::v1;
use rusqlite::{Connection, params};
use v1::ParticipantKind;

/// What the platform stores of one version.
#[derive(Clone)]
struct Stored {
    owner: Vec<u8>,
    version: i64,
    metadata: Vec<u8>,
    receipt: Vec<u8>,
    start: Vec<u8>,
    /// The file without its own beginning.
    rest: Vec<u8>,
}

struct Liar {
    platform: Platform,
    database: Connection,
}

impl Liar {
    fn new(platform: Platform) -> Self {
        let database = Connection::open(platform.database()).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
        database.pragma_update(None, "foreign_keys", false).unwrap();
        Self { platform, database }
    }

    fn file(&self, id: &str) -> (PathBuf, usize) {
        let read = "SELECT blob, skip FROM document WHERE id = ?1";
        let (name, skip): (String, i64) =
            self.database.query_row(read, [key(id)], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        (self.platform.dir().join("serve/data/blobs").join(name), usize::try_from(skip).unwrap())
    }

    fn look(&self, id: &str) -> Stored {
        let read = "SELECT owner, version, metadata, receipt, h.bytes FROM document JOIN document_header h \
                    ON h.document = id WHERE id = ?1";
        let (file, skip) = self.file(id);
        let rest = std::fs::read(file).unwrap()[skip..].to_vec();
        self.database
            .query_row(read, [key(id)], |row| {
                let (owner, version, metadata, receipt) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(Stored { owner, version, metadata, receipt, start: row.get(4)?, rest: rest.clone() })
            })
            .unwrap()
    }

    /// Shows this under an id.
    fn show(&self, id: &str, stored: &Stored) {
        let (file, skip) = self.file(id);
        let beginning = std::fs::read(&file).unwrap()[..skip].to_vec();
        std::fs::write(&file, [&beginning, stored.rest.as_slice()].concat()).unwrap();
        let edit = "UPDATE document SET owner = ?2, version = ?3, metadata = ?4, receipt = ?5, size = ?6, \
                    file_size = ?7 WHERE id = ?1";
        let size = (stored.start.len() + stored.rest.len()) as i64;
        let Stored { owner, version, metadata, receipt, .. } = stored;
        let row =
            params![key(id), owner, version, metadata, receipt, size, (skip + stored.rest.len()) as i64];
        assert_eq!(self.database.execute(edit, row).unwrap(), 1);
        let edit = "UPDATE document_header SET bytes = ?2 WHERE document = ?1";
        assert_eq!(self.database.execute(edit, params![key(id), stored.start]).unwrap(), 1);
    }

    /// Forgets a document as if it had never been there.
    fn forget(&self, id: &str) {
        for table in ["document_access WHERE document", "document_header WHERE document", "document WHERE id"]
        {
            self.database.execute(&format!("DELETE FROM {table} = ?1"), [key(id)]).unwrap();
        }
    }
}

fn key(id: &str) -> Vec<u8> {
    id.parse::<Uid>().unwrap().as_bytes().to_vec()
}

/// An envelope with one more recipient, who cannot open it: nobody but who has the content key can do better.
fn with_another(envelope: &mut Envelope<'_>) {
    let other = PrivateKey::generate_rsa(3072).unwrap();
    envelope.add_recipients(&ContentKey::generate().unwrap(), &[other.public_key().clone()]).unwrap();
}

fn reader_added(stored: &mut Stored, metadata: bool, content: bool) {
    if metadata {
        let mut envelope = Envelope::parse(&stored.metadata).unwrap().into_owned();
        with_another(&mut envelope);
        stored.metadata = envelope.to_der();
    }
    if content {
        let (head, tink) = stored.start.split_at(stored.start.len() - TINK_HEADER);
        let mut header = StreamHeader::parse(head).unwrap().into_owned();
        with_another(header.envelope_mut());
        stored.start = [header.to_bytes().unwrap(), tink.to_vec()].concat();
    }
}

struct Scene {
    liar: Liar,
    clients: Clients,
    _agent: Agent,
    clinic: User,
    patient: User,
    physician: User,
}

async fn scene() -> Scene {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[limits]\nplatform_patience_seconds = 1\n");
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let physician = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    Scene { liar: Liar::new(platform), clients, _agent: agent, clinic, patient, physician }
}

#[tokio::test]
async fn every_lie_about_a_document_is_refused_with_its_reason() {
    let Scene { liar, mut clients, clinic, patient, physician, _agent } = scene().await;
    let clients = &mut clients;
    let (id, other) = (fresh_id(), fresh_id());
    let content = vec![5; 2_500_000];
    // The same document twice, as if the first had never been: everything but the content's signature is alike.
    upload(clients, header(&clinic, &id, &[&patient]), b"another content").await.unwrap();
    let twin = liar.look(&id);
    liar.forget(&id);
    upload(clients, header(&clinic, &id, &[&patient]), &content).await.unwrap();
    upload(clients, header(&clinic, &other, &[&patient]), &content).await.unwrap();
    let (first, foreign) = (liar.look(&id), liar.look(&other));
    let second = v1::UploadDocumentHeader { replaces_version: 1, ..header(&clinic, &id, &[&patient]) };
    upload(clients, second, &content).await.unwrap();
    let good = liar.look(&id);
    let patients: Vec<u8> = key(patient.uid());

    // What a reader shares by itself, and the platform shows: only the owner's word counts.
    let mut passed_on = good.clone();
    let trailer = good.rest.len() - 4;
    let length = u32::from_be_bytes(good.rest[trailer..].try_into().unwrap()) as usize;
    let share = |envelope: Vec<u8>, trailer: Vec<u8>| v1::ShareRequest {
        user: patient.name.clone(),
        recipients: vec![physician.name.clone()],
        envelope: envelope.into(),
        trailer: trailer.into(),
        receipt: Default::default(),
    };
    let shared = clients.crypto.share(share(good.metadata.clone(), Vec::new())).await.unwrap().into_inner();
    passed_on.metadata = shared.envelope.to_vec();
    let ask = share(good.start.clone(), good.rest[trailer - length..trailer].to_vec());
    passed_on.start = clients.crypto.share(ask).await.unwrap().into_inner().envelope.to_vec();

    let cut = |at: usize| Stored { rest: good.rest[..at].to_vec(), ..good.clone() };
    let mut flipped = good.clone();
    flipped.rest[1_500_000] ^= 1;
    let bent = |change: &dyn Fn(&mut Stored)| {
        let mut stored = good.clone();
        change(&mut stored);
        stored
    };
    // What is shown, and what Get and Download say of it; Get sees only the description.
    let lies: Vec<(&str, Stored, &str, &[&str])> = vec![
        (
            "another document",
            Stored { version: 2, ..foreign.clone() },
            "DOCUMENT_MISMATCH",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "the content of another document",
            Stored { metadata: good.metadata.clone(), version: 2, ..foreign.clone() },
            "",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "the description of another document",
            Stored { metadata: foreign.metadata.clone(), ..good.clone() },
            "DOCUMENT_MISMATCH",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "an old version under a new number",
            Stored { version: 2, ..first.clone() },
            "DOCUMENT_MISMATCH",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "an old content under a new number",
            Stored { metadata: good.metadata.clone(), ..Stored { version: 2, ..first.clone() } },
            "",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "a version that is not there yet",
            bent(&|it| it.version = 3),
            "DOCUMENT_MISMATCH",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "a description of another content, of the same document and version",
            Stored { metadata: twin.metadata.clone(), ..first.clone() },
            "",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "another owner",
            bent(&|it| it.owner = patients.clone()),
            "DOCUMENT_MISMATCH",
            &["DOCUMENT_MISMATCH"],
        ),
        (
            "a reader of the description",
            bent(&|it| reader_added(it, true, false)),
            "RECIPIENT_UNACCOUNTED",
            &["RECIPIENT_UNACCOUNTED"],
        ),
        (
            "a reader of the content",
            bent(&|it| reader_added(it, false, true)),
            "",
            &["RECIPIENT_UNACCOUNTED"],
        ),
        (
            "a reader whom a reader added",
            passed_on.clone(),
            "RECIPIENT_UNACCOUNTED",
            &["RECIPIENT_UNACCOUNTED"],
        ),
        (
            "content that a reader shared",
            Stored { metadata: good.metadata.clone(), ..passed_on.clone() },
            "",
            &["RECIPIENT_UNACCOUNTED"],
        ),
        ("a flipped bit", flipped, "", &["DECRYPTION_FAILED"]),
        ("half of it", cut(good.rest.len() / 2), "", &["STREAM_TRUNCATED", "DECRYPTION_FAILED"]),
        ("all but the trailer", cut(trailer - length), "", &["STREAM_TRUNCATED", "DECRYPTION_FAILED"]),
        ("nothing but the header", cut(0), "", &["STREAM_TRUNCATED"]),
        ("no description", bent(&|it| it.metadata = b"junk".to_vec()), "FORMAT_INVALID", &["FORMAT_INVALID"]),
        (
            "a key's envelope for a description",
            bent(&|it| it.metadata = it.start[13..it.start.len() - TINK_HEADER].to_vec()),
            "SIGNATURE_MISSING",
            &["SIGNATURE_MISSING"],
        ),
    ];
    for (what, lie, described, downloaded) in lies {
        liar.show(&id, &lie);
        for reader in [&clinic, &patient] {
            match get(clients, reader, &id).await {
                Ok(_) => assert_eq!(described, "", "{what}: Get"),
                Err(status) => assert_eq!(status.reason(), described, "{what}: Get"),
            }
            let reason = download(clients, reader, &id).await.map(|it| it.result).reason();
            assert!(downloaded.contains(&reason.as_str()), "{what}: Download: {reason}");
            // One refused description hides no other.
            let listed = list(clients, reader, 0).await.unwrap();
            let of = |id: &str| listed.iter().find(|it| it.document_id == id).unwrap();
            let fault = of(&id).fault.as_ref().map(|fault| fault.reason.as_str()).unwrap_or_default();
            assert_eq!(fault, described, "{what}: List");
            assert!(of(&other).description.is_some(), "{what}");
        }
        // What is not believed is neither replaced for others nor shared; sharing does not look at the segments.
        let reason = documents::unshare(clients, &clinic, &id, &[&patient]).await.reason();
        assert!(downloaded.contains(&reason.as_str()), "{what}: Unshare: {reason}");
        if what != "a flipped bit" {
            let reason = documents::share(clients, &clinic, &id, &[&physician]).await.reason();
            assert!(downloaded.contains(&reason.as_str()), "{what}: Share: {reason}");
        }
    }
    liar.show(&id, &good);
    assert!(download(clients, &patient, &id).await.unwrap().content == content);
}

/// The same lie to a caller that keeps what comes aside until the verdict: the stream ends in the error.
#[tokio::test]
async fn what_was_released_early_ends_in_an_error() {
    use v1::download_document_response::Message as Answer;
    let Scene { liar, mut clients, clinic, patient, _agent, .. } = scene().await;
    let (id, other) = (fresh_id(), fresh_id());
    for id in [&id, &other] {
        upload(&mut clients, header(&clinic, id, &[&patient]), &vec![5; 2_500_000]).await.unwrap();
    }
    let lie = Stored { metadata: liar.look(&id).metadata, ..liar.look(&other) };
    liar.show(&id, &lie);
    let request = v1::DownloadDocumentRequest {
        user: patient.name.clone(),
        document_id: id,
        version: 1,
        allow_unverified_sender: true,
    };
    let mut answers = clients.documents.download(request).await.unwrap().into_inner();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => assert!(!matches!(answer.message, Some(Answer::Result(_)))),
            Ok(None) => panic!("it ended well"),
            Err(status) => return assert_eq!(status.reason(), "DOCUMENT_MISMATCH"),
        }
    }
}

/// An envelope has room for so many statements only.
#[tokio::test]
async fn a_document_that_was_shared_very_often_is_sealed_anew() {
    let Scene { liar, mut clients, clinic, patient, physician, _agent } = scene().await;
    let id = fresh_id();
    upload(&mut clients, header(&clinic, &id, &[]), b"content").await.unwrap();
    documents::share(&mut clients, &clinic, &id, &[&patient]).await.unwrap();
    let mut often = liar.look(&id);
    let mut envelope = Envelope::parse(&often.metadata).unwrap().into_owned();
    let statement = envelope.statements()[0].clone();
    while envelope.statements().len() < 48 {
        envelope.add_statement(&statement).unwrap();
    }
    often.metadata = envelope.to_der();
    liar.show(&id, &often);
    let shared = documents::share(&mut clients, &clinic, &id, &[&physician]).await.unwrap();
    assert_eq!((shared.version, shared.revision, shared.readers.len()), (2, 0, 3));
    assert!(Envelope::parse(&liar.look(&id).metadata).unwrap().statements().is_empty());
    for reader in [&patient, &physician] {
        assert_eq!(download(&mut clients, reader, &id).await.unwrap().content, b"content");
    }
}
