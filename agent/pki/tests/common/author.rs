//! Writes account logs, good and bad.

use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody, Possession};
use life_pki::{CredentialKind, ParticipantKind, PrivateKey, SpkiHash, Timestamp, Uid};

/// A working credential whose signature key is at hand.
pub struct Holder {
    pub keys: CredentialKeys,
    pub key: PrivateKey,
    pub live: bool,
}

impl Holder {
    pub fn is_permanent(&self) -> bool {
        self.keys.kind != CredentialKind::AccessToken
    }
}

/// Keeps a log and whoever can sign its next entry.
pub struct Author {
    pub uid: Uid,
    pub entries: Vec<Entry>,
    pub holders: Vec<Holder>,
    pub generation: u32,
    pub time: Timestamp,
    counter: u64,
    seed: u8,
}

impl Author {
    /// A log as a registration commits it: a genesis and the first root credential.
    pub fn registered(seed: u8) -> Self {
        let mut author = Self::blank(seed);
        let first = author.new_holder(CredentialKind::SoftwareCertificate);
        let body = EntryBody::genesis(author.uid, ParticipantKind::Patient, first.keys.clone(), author.time);
        author.push(body, &first.key, None);
        author.holders.push(first);
        author.rotate(0);
        author
    }

    /// An author without any entry.
    pub fn blank(seed: u8) -> Self {
        let time = Timestamp::from_unix(1_767_225_600).unwrap();
        let uid = Uid::from_random([seed; 16]);
        Self { uid, entries: Vec::new(), holders: Vec::new(), generation: 0, time, counter: 0, seed }
    }

    /// Signs a body and appends the entry, whatever it says.
    pub fn push(&mut self, body: EntryBody, signer: &PrivateKey, possession: Option<&PrivateKey>) {
        self.entries.push(sign(body, signer, possession));
    }

    /// The body that comes next.
    pub fn next_body(&self, change: Change) -> EntryBody {
        EntryBody::after(self.entries.last().unwrap(), self.time, change)
    }

    pub fn add(&mut self, signer: usize, kind: CredentialKind) {
        let holder = self.new_holder(kind);
        let body = self.next_body(Change::AddCredential(holder.keys.clone()));
        let entry = sign(body, &self.holders[signer].key, Some(&holder.key));
        self.entries.push(entry);
        self.holders.push(holder);
    }

    pub fn revoke(&mut self, signer: usize, target: usize) {
        let body = self.next_body(Change::RevokeCredential(self.holders[target].keys.id));
        let entry = sign(body, &self.holders[signer].key, None);
        self.entries.push(entry);
        self.holders[target].live = false;
    }

    pub fn rotate(&mut self, signer: usize) {
        self.generation += 1;
        let spki_hash = self.fresh_hash();
        let body = self.next_body(Change::NewRoot { generation: self.generation, spki_hash });
        let entry = sign(body, &self.holders[signer].key, None);
        self.entries.push(entry);
    }

    pub fn new_holder(&mut self, kind: CredentialKind) -> Holder {
        let key = PrivateKey::generate_p256().unwrap();
        let keys = CredentialKeys {
            id: CredentialId(self.fresh_hash().0[..16].try_into().unwrap()),
            kind,
            authentication: self.fresh_hash(),
            signature: key.public_key().hash(),
            encryption: self.fresh_hash(),
        };
        Holder { keys, key, live: true }
    }

    /// A hash that stands for a key nobody needs here.
    pub fn fresh_hash(&mut self) -> SpkiHash {
        self.counter += 1;
        SpkiHash::of(&[&self.counter.to_be_bytes()[..], &[self.seed]].concat())
    }

    /// The holders that may sign the next entry.
    pub fn signers(&self) -> Vec<usize> {
        (0..self.holders.len())
            .filter(|index| self.holders[*index].live && self.holders[*index].is_permanent())
            .collect()
    }

    pub fn ders(&self) -> Vec<Vec<u8>> {
        self.entries.iter().map(|entry| entry.to_der().to_vec()).collect()
    }
}

/// When the logs are judged: after all that an author writes.
pub fn now() -> Timestamp {
    Timestamp::from_unix(1_798_761_600).unwrap()
}

/// Signs a body, with a proof of possession where there is a key for it.
pub fn sign(body: EntryBody, signer: &PrivateKey, possession: Option<&PrivateKey>) -> Entry {
    let signature = signer.sign(&body.signing_input().unwrap()).unwrap();
    let possession = possession.map(|key| Possession {
        key: key.public_key().clone(),
        signature: key.sign(&body.possession_input().unwrap()).unwrap(),
    });
    Entry::assemble(body, signer.public_key(), signature, possession).unwrap()
}
