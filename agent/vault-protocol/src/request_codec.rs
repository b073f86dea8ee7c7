//! Requests on the wire: their kind's number, then their fields in the order of the type.

use life_pki::{KeySlot, ParticipantKind, Uid};
use life_sys::secret::SecretBytes;

use crate::codec::{DecodeError, Reader, Sink};
use crate::request::{
    Entry, MAX_ATTRIBUTES, MAX_CERTIFICATE, MAX_CERTIFICATES, MAX_ENVELOPE, MAX_LOG_ENTRIES, MAX_LOG_ENTRY,
    MAX_MAC_DATA, MAX_PKCS12, MAX_PROMPT_TEXT, MAX_RECIPIENT_INFO, MAX_SEALS, MAX_SECRET, MAX_TLS_INPUT,
    NewSecretSource, PendingId, Prompt, Request, RequestKind, SecretSource, SessionId, WorkingKeyAlgorithm,
};

impl Request {
    pub(crate) fn encode(&self, out: &mut impl Sink) {
        out.u8(self.kind().number());
        match self {
            Self::AnswerChallenge { pending, slot, envelope } => {
                out.u64(pending.0);
                out.u8(slot.number());
                out.bytes(envelope);
            }
            Self::AwaitCards { seen } => out.u64(*seen),
            Self::CancelSecret { request } => out.u64(*request),
            Self::CommitAccount { pending, time } => {
                out.u64(pending.0);
                out.i64(*time);
            }
            Self::DiscardAccount { pending } => out.u64(pending.0),
            Self::ExportSoftwareCertificate { pending, certificates, issuers } => {
                out.u64(pending.0);
                out.list(certificates);
                out.list(issuers);
            }
            Self::GenerateAccount { uid, kind, algorithm, secret } => {
                out.raw(uid.as_bytes());
                out.u8(kind.number());
                out.u8(algorithm.number());
                encode_new_source(secret, out);
            }
            Self::Lock { session } => out.u64(session.0),
            Self::ListCards | Self::LockAll | Self::Status => {}
            Self::LockUser { uid } => out.raw(uid.as_bytes()),
            Self::Mac { session, data } => {
                out.u64(session.0);
                out.bytes(data);
            }
            Self::OpenRoot { session, log, seals, now } => {
                out.u64(session.0);
                out.entries(log);
                out.entries(seals);
                out.i64(*now);
            }
            Self::OpenSoftwareCertificate { pkcs12, secret, now, expected } => {
                out.bytes(pkcs12);
                encode_source(secret, out);
                out.i64(*now);
                out.u8(u8::from(expected.is_some()));
                expected.iter().for_each(|uid| out.raw(uid.as_bytes()));
            }
            Self::SignAttributes { session, attributes: data }
            | Self::SignTls { session, input: data }
            | Self::UnwrapContentKey { session, recipient_info: data } => {
                out.u64(session.0);
                out.bytes(data);
            }
        }
    }

    /// What kind of request a frame's body begins as; none for what is no request.
    #[must_use]
    pub fn kind_of(body: &[u8]) -> Option<RequestKind> {
        RequestKind::from_number(*body.first()?).ok()
    }

    /// Reads a request from the body of a frame.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but exactly one well-formed request.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(body);
        let request = match RequestKind::from_number(input.u8()?)? {
            RequestKind::Status => Self::Status,
            RequestKind::GenerateAccount => Self::GenerateAccount {
                uid: uid(&mut input)?,
                kind: ParticipantKind::from_number(input.u8()?).ok_or(DecodeError)?,
                algorithm: WorkingKeyAlgorithm::from_number(input.u8()?)?,
                secret: decode_new_source(&mut input)?,
            },
            RequestKind::AnswerChallenge => Self::AnswerChallenge {
                pending: PendingId(input.u64()?),
                slot: KeySlot::from_number(input.u8()?).ok_or(DecodeError)?,
                envelope: input.bytes(MAX_ENVELOPE)?.to_vec(),
            },
            RequestKind::CommitAccount => {
                Self::CommitAccount { pending: PendingId(input.u64()?), time: input.i64()? }
            }
            RequestKind::ExportSoftwareCertificate => Self::ExportSoftwareCertificate {
                pending: PendingId(input.u64()?),
                certificates: input.list(MAX_CERTIFICATES, MAX_CERTIFICATE)?,
                issuers: input.list(MAX_CERTIFICATES, MAX_CERTIFICATE)?,
            },
            RequestKind::DiscardAccount => Self::DiscardAccount { pending: PendingId(input.u64()?) },
            RequestKind::OpenSoftwareCertificate => Self::OpenSoftwareCertificate {
                pkcs12: input.bytes(MAX_PKCS12)?.to_vec(),
                secret: decode_source(&mut input)?,
                now: input.i64()?,
                expected: match input.u8()? {
                    0 => None,
                    1 => Some(uid(&mut input)?),
                    _ => return Err(DecodeError),
                },
            },
            RequestKind::OpenRoot => Self::OpenRoot {
                session: SessionId(input.u64()?),
                log: input.entries(MAX_LOG_ENTRIES, MAX_LOG_ENTRY)?,
                seals: input.entries(MAX_SEALS, MAX_ENVELOPE)?,
                now: input.i64()?,
            },
            RequestKind::SignAttributes => Self::SignAttributes {
                session: SessionId(input.u64()?),
                attributes: input.bytes(MAX_ATTRIBUTES)?.to_vec(),
            },
            RequestKind::SignTls => Self::SignTls {
                session: SessionId(input.u64()?),
                input: input.bytes(MAX_TLS_INPUT)?.to_vec(),
            },
            RequestKind::UnwrapContentKey => Self::UnwrapContentKey {
                session: SessionId(input.u64()?),
                recipient_info: input.bytes(MAX_RECIPIENT_INFO)?.to_vec(),
            },
            RequestKind::Mac => {
                Self::Mac { session: SessionId(input.u64()?), data: input.bytes(MAX_MAC_DATA)?.to_vec() }
            }
            RequestKind::CancelSecret => Self::CancelSecret { request: input.u64()? },
            RequestKind::Lock => Self::Lock { session: SessionId(input.u64()?) },
            RequestKind::LockAll => Self::LockAll,
            RequestKind::AwaitCards => Self::AwaitCards { seen: input.u64()? },
            RequestKind::ListCards => Self::ListCards,
            RequestKind::LockUser => Self::LockUser { uid: uid(&mut input)? },
        };
        input.finish()?;
        Ok(request)
    }
}

fn uid(input: &mut Reader<'_>) -> Result<Uid, DecodeError> {
    Uid::from_bytes(input.array()?).map_err(|_| DecodeError)
}

fn encode_new_source(source: &NewSecretSource, out: &mut impl Sink) {
    match source {
        NewSecretSource::Inline(secret) => {
            out.u8(1);
            // EXPOSE: into an encode buffer that is wiped when dropped.
            out.bytes(secret.expose());
        }
        NewSecretSource::Descriptor { timeout_seconds, entry } => {
            out.u8(2);
            out.u16(*timeout_seconds);
            out.u8(match entry {
                Entry::Once => 1,
                Entry::Twice => 2,
            });
        }
        NewSecretSource::Prompt(prompt) => {
            out.u8(3);
            encode_prompt(prompt, out);
        }
        NewSecretSource::Generated => out.u8(4),
    }
}

fn decode_new_source(input: &mut Reader<'_>) -> Result<NewSecretSource, DecodeError> {
    match input.u8()? {
        1 => Ok(NewSecretSource::Inline(SecretBytes::new(input.bytes(MAX_SECRET)?.to_vec()))),
        2 => Ok(NewSecretSource::Descriptor {
            timeout_seconds: input.u16()?,
            entry: match input.u8()? {
                1 => Entry::Once,
                2 => Entry::Twice,
                _ => return Err(DecodeError),
            },
        }),
        3 => Ok(NewSecretSource::Prompt(decode_prompt(input)?)),
        4 => Ok(NewSecretSource::Generated),
        _ => Err(DecodeError),
    }
}

fn encode_prompt(prompt: &Prompt, out: &mut impl Sink) {
    out.bytes(prompt.description.as_bytes());
    out.bytes(prompt.label.as_bytes());
    out.u16(prompt.timeout_seconds);
}

fn decode_prompt(input: &mut Reader<'_>) -> Result<Prompt, DecodeError> {
    Ok(Prompt {
        description: input.text(MAX_PROMPT_TEXT)?,
        label: input.text(MAX_PROMPT_TEXT)?,
        timeout_seconds: input.u16()?,
    })
}

fn encode_source(source: &SecretSource, out: &mut impl Sink) {
    match source {
        SecretSource::Inline(secret) => {
            out.u8(1);
            // EXPOSE: into an encode buffer that is wiped when dropped.
            out.bytes(secret.expose());
        }
        SecretSource::Descriptor { timeout_seconds } => {
            out.u8(2);
            out.u16(*timeout_seconds);
        }
        SecretSource::Prompt(prompt) => {
            out.u8(3);
            encode_prompt(prompt, out);
        }
    }
}

fn decode_source(input: &mut Reader<'_>) -> Result<SecretSource, DecodeError> {
    match input.u8()? {
        1 => Ok(SecretSource::Inline(SecretBytes::new(input.bytes(MAX_SECRET)?.to_vec()))),
        2 => Ok(SecretSource::Descriptor { timeout_seconds: input.u16()? }),
        3 => Ok(SecretSource::Prompt(decode_prompt(input)?)),
        _ => Err(DecodeError),
    }
}
