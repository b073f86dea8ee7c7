//! AuthEnvelopedData in DER (RFC 5083 §2.1).

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Envelope;
use crate::algorithm::{self, TAG};
use crate::asn1::{self, Parser, SEQUENCE, SET, context, context_primitive, header, header_length};
use crate::{Error, RecipientInfo, Refusal, ber, limits, oid};

/// The version of AuthEnvelopedData, always 0.
const VERSION: u64 = 0;

pub(super) fn parse(bytes: &[u8]) -> Result<Envelope<'_>, Error> {
    match ber::to_der(bytes, limits::MAX_ENVELOPE)? {
        Cow::Borrowed(der) => parse_der(der),
        Cow::Owned(der) => parse_der(&der).map(Envelope::into_owned),
    }
}

fn parse_der(der: &[u8]) -> Result<Envelope<'_>, Error> {
    let mut content_info = Parser::only(der, SEQUENCE)?;
    match content_info.oid()? {
        oid::AUTH_ENVELOPED_DATA => {}
        oid::ENVELOPED_DATA => return Err(Refusal::EnvelopedData.into()),
        _ => return Err(Refusal::ContentType.into()),
    }
    let mut explicit = content_info.inside(context(0))?;
    content_info.finish()?;
    let mut data = explicit.inside(SEQUENCE)?;
    explicit.finish()?;

    if data.unsigned()? != VERSION {
        return Err(Refusal::Version.into());
    }
    if data.tag() == Some(context(0)) {
        return Err(Refusal::OriginatorInfo.into());
    }
    let (raw_recipients, recipients) = parse_recipients(data.inside(SET)?)?;
    let mut info = data.inside(SEQUENCE)?;
    if info.oid()? != oid::DATA {
        return Err(Refusal::ContentType.into());
    }
    let nonce = algorithm::check_content_encryption(&info.algorithm()?)?;
    let ciphertext = encrypted_content(&mut info)?;
    info.finish()?;
    if ciphertext.len() > limits::MAX_CONTENT || der.len() - ciphertext.len() > limits::MAX_HEADER {
        return Err(Error::TooLarge);
    }
    if data.tag() == Some(context(1)) {
        return Err(Refusal::AuthenticatedAttributes.into());
    }
    let tag: [u8; TAG] = data.octets()?.try_into().map_err(|_| Error::Refused(Refusal::TagLength))?;
    let Attributes { statements, receipts, others: other_attributes } = match data.optional(context(2))? {
        Some(attributes) => parse_attributes(Parser::new(attributes)?)?,
        None => Attributes::default(),
    };
    data.finish()?;
    Ok(Envelope {
        recipients,
        raw_recipients,
        nonce,
        ciphertext,
        tag,
        statements,
        receipts,
        other_attributes,
    })
}

fn parse_recipients(mut set: Parser<'_>) -> Result<(Vec<Vec<u8>>, Vec<RecipientInfo>), Error> {
    let (mut raw, mut recipients) = (Vec::new(), Vec::new());
    while !set.is_empty() {
        let one = set.raw()?;
        RecipientInfo::read(one, &mut recipients)?;
        raw.push(one.to_vec());
    }
    if recipients.is_empty() {
        return Err(Error::Malformed);
    }
    // An own key named first with rubbish, and then with the real key, would deny the document to its reader.
    let mut names = BTreeSet::new();
    if !recipients.iter().all(|info| names.insert(info.id())) {
        return Err(Refusal::RecipientRepeated.into());
    }
    Ok((raw, recipients))
}

/// The `[0] IMPLICIT OCTET STRING`: in one piece, or in segments as BER writers leave it.
fn encrypted_content<'a>(info: &mut Parser<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let (tag, contents) = info.any()?;
    if tag == context_primitive(0) {
        return Ok(Cow::Borrowed(contents));
    }
    if tag != context(0) {
        return Err(Error::Malformed);
    }
    let mut segments = Parser::new(contents)?;
    let mut joined = Vec::with_capacity(contents.len());
    while !segments.is_empty() {
        joined.extend_from_slice(segments.octets()?);
    }
    Ok(Cow::Owned(joined))
}

#[derive(Default)]
struct Attributes {
    statements: Vec<Vec<u8>>,
    receipts: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

/// Unauthenticated attributes: our sharing statements and their receipts, and all others as they stand.
fn parse_attributes(mut set: Parser<'_>) -> Result<Attributes, Error> {
    let mut found = Attributes::default();
    let mut seen = Vec::new();
    while !set.is_empty() {
        let raw = set.raw()?;
        let mut attribute = Parser::only(raw, SEQUENCE)?;
        let id = attribute.oid()?;
        let mut values = attribute.inside(SET)?;
        attribute.finish()?;
        if id != oid::SHARING_STATEMENTS && id != oid::STATEMENT_RECEIPTS {
            found.others.push(raw.to_vec());
            if found.others.len() > limits::MAX_ATTRIBUTES {
                return Err(Error::TooLarge);
            }
            continue;
        }
        if seen.contains(&id) {
            return Err(Error::Malformed);
        }
        let is_receipts = id == oid::STATEMENT_RECEIPTS;
        seen.push(id);
        while !values.is_empty() {
            let (list, value, longest) = if is_receipts {
                (&mut found.receipts, values.octets()?, limits::MAX_STATEMENT_RECEIPT)
            } else {
                (&mut found.statements, values.raw()?, limits::MAX_STATEMENT)
            };
            if list.len() >= limits::MAX_STATEMENTS || value.len() > longest {
                return Err(Error::TooLarge);
            }
            list.push(value.to_vec());
        }
    }
    Ok(found)
}

/// Everything before the encrypted content, with room for all of the message, and everything after the tag.
pub(super) fn frame(envelope: &Envelope<'_>, content: usize) -> (Vec<u8>, Vec<u8>) {
    let version = asn1::unsigned(VERSION);
    let recipients = asn1::tlv(SET, &[&asn1::sorted(&envelope.raw_recipients)]);
    let data = asn1::oid(&oid::DATA);
    let encryption = algorithm::aes256_gcm(&envelope.nonce);
    let tail = attributes(envelope);
    let info = data.len() + encryption.len() + header_length(content) + content;
    let tag = header_length(TAG) + TAG;
    let body = version.len() + recipients.len() + header_length(info) + info + tag + tail.len();
    let explicit = header_length(body) + body;
    let kind = asn1::oid(&oid::AUTH_ENVELOPED_DATA);
    let total = kind.len() + header_length(explicit) + explicit;

    let mut out = Vec::with_capacity(header_length(total) + total);
    for part in [
        &header(SEQUENCE, total),
        &kind,
        &header(context(0), explicit),
        &header(SEQUENCE, body),
        &version,
        &recipients,
        &header(SEQUENCE, info),
        &data,
        &encryption,
        &header(context_primitive(0), content),
    ] {
        out.extend_from_slice(part);
    }
    (out, tail)
}

fn attributes(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut attributes = envelope.other_attributes.clone();
    if !envelope.statements.is_empty() {
        attributes.push(asn1::sequence(&[
            &asn1::oid(&oid::SHARING_STATEMENTS),
            &asn1::tlv(SET, &[&asn1::sorted(&envelope.statements)]),
        ]));
    }
    if !envelope.receipts.is_empty() {
        let receipts: Vec<_> = envelope.receipts.iter().map(|receipt| asn1::octets(receipt)).collect();
        attributes.push(asn1::sequence(&[
            &asn1::oid(&oid::STATEMENT_RECEIPTS),
            &asn1::tlv(SET, &[&asn1::sorted(&receipts)]),
        ]));
    }
    if attributes.is_empty() { Vec::new() } else { asn1::tlv(context(2), &[&asn1::sorted(&attributes)]) }
}
