//! What is sealed, and for whom: users become verified root keys.

use std::collections::BTreeSet;

use life_envelope::{DocumentContext, DocumentId, Form, ListedRecipient, Purpose};
use life_pki::{PublicKey, Uid};
use life_proto::v1::{self, SignaturePurpose, Signing, TrustState, recipient::Origin};

use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;

/// The most recipients a request may name.
const MOST: usize = 256;

/// What is sealed.
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Its version.
    pub version: u64,
    /// Whether and for what it is signed.
    pub purpose: Option<Purpose>,
    /// Who can open it besides the sender.
    pub recipients: BTreeSet<Uid>,
}

impl Document {
    /// Reads it from a request's fields.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, which names the field.
    pub fn from_fields(
        recipients: &[String],
        signing: i32,
        purpose: i32,
        document_id: &str,
        document_version: u64,
    ) -> Result<Self> {
        let purpose = match SignaturePurpose::try_from(purpose) {
            Ok(SignaturePurpose::Unspecified | SignaturePurpose::Document) => Purpose::Document,
            Ok(SignaturePurpose::Message) => Purpose::Message,
            _ => return Err(Error::field("purpose", "is neither DOCUMENT nor MESSAGE")),
        };
        let purpose = match Signing::try_from(signing) {
            Ok(Signing::Unspecified | Signing::Sign) => Some(purpose),
            Ok(Signing::None) => None,
            Err(_) => return Err(Error::field("signing", "is not a known value")),
        };
        let id =
            if document_id.is_empty() { fresh_id()? } else { names::parse_uuid("document_id", document_id)? };
        let recipients = parse_recipients(recipients)?;
        Ok(Self { id: DocumentId(id), version: document_version.max(1), purpose, recipients })
    }

    /// A message to one user.
    pub fn message(to: Uid, id: [u8; 16]) -> Self {
        let recipients = BTreeSet::from([to]);
        Self { id: DocumentId(id), version: 1, purpose: Some(Purpose::Message), recipients }
    }
}

/// Reads user names, 0 to 256; duplicates count once.
pub fn parse_recipients(recipients: &[String]) -> Result<BTreeSet<Uid>> {
    parse_users("recipients", recipients)
}

/// The same for a field of another name.
pub fn parse_users(field: &'static str, users: &[String]) -> Result<BTreeSet<Uid>> {
    if users.len() > MOST {
        return Err(Error::field(field, "has more than 256 entries"));
    }
    users.iter().map(|name| names::parse_user(field, name)).collect()
}

/// A fresh random UUID, version 4.
pub fn fresh_id() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
    Ok(*Uid::from_random(bytes).as_bytes())
}

/// Verified recipients.
pub struct Resolved {
    /// As a signature lists them.
    pub listed: Vec<ListedRecipient>,
    /// What the content key is wrapped to, in the same order.
    pub keys: Vec<PublicKey>,
    /// How well they are known, in the same order.
    trust: Vec<TrustState>,
}

impl Resolved {
    /// Looks the users up; the identity itself is always the first.
    ///
    /// # Errors
    /// As the Directory service; the metadata names the `user`.
    pub async fn with_self(identity: &Identity, users: &BTreeSet<Uid>) -> Result<Self> {
        let mut resolved = Self {
            listed: vec![identity.as_recipient()],
            keys: vec![identity.root.key.clone()],
            trust: vec![TrustState::Confirmed],
        };
        resolved.add(identity, users).await?;
        Ok(resolved)
    }

    /// Looks the users up, without the identity itself.
    pub async fn others(identity: &Identity, users: &BTreeSet<Uid>) -> Result<Self> {
        let mut resolved = Self { listed: Vec::new(), keys: Vec::new(), trust: Vec::new() };
        resolved.add(identity, users).await?;
        Ok(resolved)
    }

    async fn add(&mut self, identity: &Identity, users: &BTreeSet<Uid>) -> Result<()> {
        for uid in users.iter().filter(|uid| **uid != identity.uid) {
            let known =
                identity.directory.find(*uid).await.map_err(|error| error.with("user", names::user(uid)))?;
            let key = known.certificate.public_key().clone();
            self.listed.push(ListedRecipient { uid: *uid, root_key: key.hash() });
            self.keys.push(key);
            self.trust.push(known.trust);
        }
        Ok(())
    }

    /// The context of a signature over what is sealed for them.
    pub fn context(
        &self,
        identity: &Identity,
        document: &Document,
        purpose: Purpose,
        form: Form,
    ) -> Result<DocumentContext> {
        let listed = self.listed.clone();
        DocumentContext::new(purpose, form, identity.uid, document.id, document.version, listed)
            .map_err(|_| Fault::InvalidArgument.into())
    }

    /// What the contract says of them, for content that they were just put into.
    pub fn to_wire(&self, signed: bool) -> Vec<v1::Recipient> {
        let origin = if signed { Origin::Signed } else { Origin::Unaccounted };
        self.listed
            .iter()
            .zip(&self.trust)
            .map(|(listed, trust)| v1::Recipient {
                user: names::user(&listed.uid),
                root_key_hash: listed.root_key.0.to_vec().into(),
                origin: origin.into(),
                shared_by: String::new(),
                trust: (*trust).into(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(n: u8) -> String {
        names::user(&Uid::from_random([n; 16]))
    }

    #[test]
    fn duplicates_count_once_and_257_are_too_many() {
        let twice = [user(1), user(1), user(2)];
        assert_eq!(parse_recipients(&twice).unwrap().len(), 2);
        let many: Vec<_> = (0..=255).map(user).collect();
        assert!(parse_recipients(&many).is_ok());
        assert!(parse_recipients(&[many, vec![user(0)]].concat()).is_err());
        assert!(parse_recipients(&["users/x".to_owned()]).is_err());
    }

    #[test]
    fn a_document_gets_an_id_and_a_version() {
        let document = Document::from_fields(&[], 0, 0, "", 0).unwrap();
        assert_eq!((document.version, document.purpose), (1, Some(Purpose::Document)));
        assert_ne!(document.id.0, [0; 16]);
        assert!(Document::from_fields(&[], 0, 3, "", 0).is_err());
        assert!(Document::from_fields(&[], 9, 0, "", 0).is_err());
        assert!(Document::from_fields(&[], 0, 0, "x", 0).is_err());
    }
}
