//! Everything that must be refused, with the right error. The folder `testkit/negative` is the list.
//!
//! A fixture's name is `DESCRIPTION.VERDICT`: the verdict is the error's name with dashes for parentheses. Its folder
//! says what a reader does with it. `cargo test -p life-envelope --test negative -- --ignored` writes those that are
//! missing.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;
mod fixtures;

use bytes::Bytes;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::kit::Kit;
use life_envelope::accounting::{Accounting, AttestedStatement, NoLogs, Standing};
use life_envelope::root_seal::RootKeySeal;
use life_envelope::signature::{Signed, content_digest};
use life_envelope::stream::{self, Digests, Manifest, Opener, StreamHeader, StreamKey, segment_digest};
use life_envelope::{
    Envelope, Error, Form, OwnKey, Purpose, RecipientInfo, SharingStatement, SignedAttributes, SignedData,
    StreamFault, Verified, recipient,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/negative")
}

/// The verdict of a reader: an error, or one of the two findings that are no errors of this crate.
#[derive(Debug)]
enum Verdict {
    Error(Error),
    /// Opaque content: nobody signed it in a way that counts.
    Unsigned,
    /// A recipient nobody accounts for.
    Unaccounted,
    /// The reader is not among those the sender or a sharer listed.
    NotListed,
}

impl From<Error> for Verdict {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Verdict {
    fn name(&self) -> String {
        let text = match self {
            Self::Error(error) => format!("{error:?}"),
            other => format!("{other:?}"),
        };
        text.replace('(', "-").replace(')', "")
    }
}

fn open_content(kit: &Kit, envelope: &Envelope<'_>) -> Result<Vec<u8>, Error> {
    let own = OwnKey::from_certificate(&kit.reader.certificate)?;
    let info = envelope.find(&[own]).ok_or(Error::NotARecipient)?;
    envelope.open(&recipient::unwrap(info, &kit.reader.key)?)
}

fn open(kit: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(open_content(kit, &Envelope::parse(bytes)?).map(drop)?)
}

fn verify(_: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(SignedData::parse(bytes)?.verify(Signed::Enclosed).map(drop)?)
}

fn attributes(_: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(SignedAttributes::parse(bytes).map(drop)?)
}

/// The user a signer's certificate belongs to; in the product the account log says so.
fn owner(kit: &Kit, verified: &Verified) -> life_pki::Uid {
    [&kit.sender, &kit.reader, &kit.outsider]
        .into_iter()
        .find(|it| it.certificate == verified.signer_certificate())
        .unwrap()
        .uid
}

fn judge(
    kit: &Kit,
    envelope: &Envelope<'_>,
    original: &[u8],
    form: Form,
    verified: &Verified,
) -> Result<(), Verdict> {
    verified.check(Purpose::Document, form, owner(kit, verified))?;
    let statements: Vec<AttestedStatement> = envelope
        .statements()
        .iter()
        .map(|it| {
            let signed = SignedData::parse(it)?;
            let attested = signed.verify(Signed::Enclosed)?;
            attested.check(Purpose::Share, Form::Statement, owner(kit, &attested))?;
            AttestedStatement::new(&attested, signed.content().unwrap_or_default())
        })
        .collect::<Result<_, Error>>()?;
    let accounting = Accounting::new(verified.context(), &content_digest(original), &statements);
    if !accounting.lists(&[kit.reader.listed()]) {
        return Err(Verdict::NotListed);
    }
    let accounted = accounting.account(envelope.recipients(), &NoLogs);
    if accounted.iter().any(|it| it.standing == Standing::Unaccounted) {
        return Err(Verdict::Unaccounted);
    }
    Ok(())
}

/// What a reader does with a document: open, detect, verify, account.
fn read(kit: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    let envelope = Envelope::parse(bytes)?;
    let content = open_content(kit, &envelope)?;
    let signed = SignedData::detect(&content)?.ok_or(Verdict::Unsigned)?;
    let verified = signed.verify(Signed::Enclosed)?;
    judge(kit, &envelope, &content, Form::Content, &verified)
}

fn read_stream(kit: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    let truncated = Error::Stream(StreamFault::Truncated);
    let length = stream::header_length(bytes)?.ok_or(truncated)?;
    let (head, body) = bytes.split_at_checked(length).ok_or(truncated)?;
    let header = StreamHeader::parse(head)?;
    let content = open_content(kit, header.envelope())?;
    let key = StreamKey::from_content(&content)?;
    let mut opener = Opener::new(StreamKey::from_content(&content)?)?;
    let (mut segment, mut digests) = (Vec::new(), Digests::new());
    let mut take = |opener: &mut Opener| -> Result<(), Error> {
        while opener.next_segment(&mut segment)? {
            digests.push(&segment_digest(&segment), segment.len());
        }
        Ok(())
    };
    for piece in body.chunks(1 << 20) {
        opener.push(Bytes::copy_from_slice(piece))?;
        take(&mut opener)?;
    }
    opener.end_input()?;
    take(&mut opener)?;
    let actual = digests.finish(opener.commitment());
    let trailer = opener.finish()?.trailer.ok_or(Verdict::Unsigned)?;
    let signed = SignedData::parse(&trailer)?;
    let verified = signed.verify(Signed::Enclosed)?;
    Manifest::from_der(signed.content().unwrap_or_default())?.check(&actual)?;
    key.check(verified.context())?;
    judge(kit, header.envelope(), &trailer, Form::Manifest, &verified)
}

fn open_seal(kit: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(RootKeySeal::open(bytes, &kit.reader.key).map(drop)?)
}

fn open_challenge(kit: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    let opened =
        life_envelope::challenge::open(bytes, kit.reader.uid, life_pki::KeySlot::Root, &kit.reader.key);
    Ok(opened.map(drop)?)
}

fn recipient_info(_: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(RecipientInfo::from_der(bytes).map(drop)?)
}

fn statement(_: &Kit, bytes: &[u8]) -> Result<(), Verdict> {
    Ok(SharingStatement::from_der(bytes).map(drop)?)
}

type Reader = fn(&Kit, &[u8]) -> Result<(), Verdict>;

const READERS: &[(&str, Reader)] = &[
    ("attributes", attributes),
    ("challenge", open_challenge),
    ("open", open),
    ("read", read),
    ("recipient-info", recipient_info),
    ("seal", open_seal),
    ("statement", statement),
    ("stream", read_stream),
    ("verify", verify),
];

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_fixture_is_refused_for_its_own_reason() {
    let kit = Kit::load();
    let readers: Vec<&str> = READERS.iter().map(|(name, _)| *name).collect();
    let folders: Vec<String> = names(&folder()).into_iter().filter(|it| it != "README.md").collect();
    assert_eq!(folders, readers, "one folder for each reader");
    let mut wrong = Vec::new();
    for (name, reader) in READERS {
        for fixture in names(&folder().join(name)) {
            let bytes = std::fs::read(folder().join(name).join(&fixture)).unwrap();
            let (description, expected) = fixture.split_once('.').unwrap();
            let found = match reader(&kit, &bytes) {
                Ok(()) => "accepted".to_owned(),
                Err(verdict) => verdict.name(),
            };
            // What is good is there as well, so that a reader that refuses everything is found out.
            if found != expected {
                wrong.push(format!("{name}/{description}: expected {expected}, found {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
#[ignore = "writes the fixtures that are missing"]
fn write_fixtures() {
    for (name, _) in READERS {
        std::fs::create_dir_all(folder().join(name)).unwrap();
    }
    let kit = Kit::load_or_write();
    let mut written = BTreeSet::new();
    fixtures::all(&kit, &mut |reader, description, verdict, bytes| {
        assert!(READERS.iter().any(|(name, _)| *name == reader));
        let path = folder().join(reader).join(format!("{description}.{verdict}"));
        assert!(written.insert(path.clone()), "{description} twice");
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    });
    assert!(written.len() > 200, "{}", written.len());
}
