//! What callers do: one operation after the other, chosen at random, each noted in the ledger.

use std::sync::atomic::Ordering;

use life_proto::v1;

use super::ledger::{Envelope, Lookup};
use super::{Caller, Refused, content};
use crate::agent::Clients;
use crate::{User, calls, streams, users};

/// Operations with how often each is chosen, of a thousand.
const MIX: &[(usize, Operation)] = &[
    (200, Operation::Sign),
    (130, Operation::Encrypt),
    (130, Operation::Decrypt),
    (80, Operation::Stream),
    (100, Operation::Send),
    (80, Operation::Receive),
    (40, Operation::Delete),
    (70, Operation::Store),
    (60, Operation::Read),
    (20, Operation::Remove),
    (30, Operation::Call),
    (30, Operation::LookUp),
    (25, Operation::Files),
    (5, Operation::Register),
];

#[derive(Clone, Copy, Debug)]
enum Operation {
    Call,
    Decrypt,
    Delete,
    Encrypt,
    Files,
    LookUp,
    Read,
    Receive,
    Register,
    Remove,
    Send,
    Sign,
    Store,
    Stream,
}

impl Caller {
    /// Does operations until so many are over in all.
    pub async fn work(&mut self, operations: usize) {
        while self.shared.done() < operations {
            self.one().await;
        }
    }

    /// Does one operation.
    pub async fn one(&mut self) {
        let mut chosen = self.random.below(1000);
        let operation = MIX.iter().find(|(weight, _)| {
            let here = chosen < *weight;
            chosen = chosen.saturating_sub(*weight);
            here
        });
        // What is refused is counted where it is called.
        let _ended = match operation.map_or(Operation::Sign, |(_, operation)| *operation) {
            Operation::Call => self.ask_platform().await,
            Operation::Decrypt => self.decrypt().await,
            Operation::Delete => self.delete().await,
            Operation::Encrypt => self.encrypt().await,
            Operation::Files => self.files().await,
            Operation::LookUp => self.look_up().await,
            Operation::Read => self.read().await,
            Operation::Receive => self.receive().await,
            Operation::Register => self.register().await,
            Operation::Remove => self.remove().await,
            Operation::Send => self.send().await,
            Operation::Sign => self.sign().await,
            Operation::Store => self.store().await,
            Operation::Stream => self.stream().await,
        };
        self.shared.done.fetch_add(1, Ordering::Relaxed);
    }

    /// One of the users that act.
    pub fn user(&mut self) -> usize {
        self.random.below(self.shared.users.len())
    }

    /// What a user is called.
    pub fn name(&self, user: usize) -> String {
        self.shared.users[user].name.clone()
    }

    /// A content's number and length, and what it is.
    pub fn content(&mut self, longest: usize) -> ((u64, usize), Vec<u8>) {
        let (number, length) = (self.random.number(), self.random.below(longest));
        ((number, length), content(number, length))
    }

    async fn sign(&mut self) -> Result<(), Refused> {
        let user = self.user();
        let (_, plaintext) = self.content(20_000);
        let request = v1::SignRequest { user: self.name(user), content: plaintext.clone().into(), form: 0 };
        let sign = |mut it: Clients| {
            let request = request.clone();
            async move { it.crypto.sign(request).await }
        };
        let signed = self.act("sign", user, &[], sign).await?.into_inner().signed_data;
        let request = v1::VerifyRequest { user: self.name(user), signed_data: signed, ..Default::default() };
        let verify = |mut it: Clients| {
            let request = request.clone();
            async move { it.crypto.verify(request).await }
        };
        let verified = self.act("verify", user, &[], verify).await?.into_inner();
        assert_eq!(verified.signature.unwrap().state(), v1::SignatureState::Valid);
        assert!(verified.content == plaintext, "another content was signed");
        Ok(())
    }

    async fn encrypt(&mut self) -> Result<(), Refused> {
        let (user, reader) = (self.user(), self.user());
        let (number, plaintext) = self.content(50_000);
        let request = v1::EncryptRequest {
            user: self.name(user),
            recipients: vec![self.name(reader)],
            plaintext: plaintext.into(),
            ..Default::default()
        };
        let encrypt = |mut it: Clients| {
            let request = request.clone();
            async move { it.crypto.encrypt(request).await }
        };
        let bytes = self.act("encrypt", user, &[], encrypt).await?.into_inner().envelope;
        let place = self.random.below(1 << 20);
        self.shared.ledger().keep(Envelope { bytes, reader, content: number }, place);
        Ok(())
    }

    async fn decrypt(&mut self) -> Result<(), Refused> {
        let envelopes = self.shared.ledger().envelopes.clone();
        if envelopes.is_empty() {
            return self.encrypt().await;
        }
        let envelope = self.random.pick(&envelopes).clone();
        self.open(&envelope).await
    }

    /// Opens an envelope that was acknowledged.
    ///
    /// # Errors
    /// As [`Caller::call`]; panics when it opens to something else.
    pub async fn open(&mut self, envelope: &Envelope) -> Result<(), Refused> {
        let request = v1::DecryptRequest {
            user: self.name(envelope.reader),
            envelope: envelope.bytes.clone(),
            ..Default::default()
        };
        let decrypt = |mut it: Clients| {
            let request = request.clone();
            async move { it.crypto.decrypt(request).await }
        };
        let opened = self.act("decrypt", envelope.reader, &[], decrypt).await?.into_inner();
        let (number, length) = envelope.content;
        assert!(opened.plaintext == content(number, length), "another content was opened");
        Ok(())
    }

    async fn stream(&mut self) -> Result<(), Refused> {
        let (user, reader) = (self.user(), self.user());
        let (_, plaintext) = self.content(3 << 20);
        let header = v1::EncryptStreamHeader {
            user: self.name(user),
            recipients: vec![self.name(reader)],
            ..Default::default()
        };
        let encrypt = |mut it: Clients| {
            let (header, plaintext) = (header.clone(), &plaintext);
            async move { streams::encrypt(&mut it, header, plaintext).await }
        };
        let (sealed, _) = self.act("encrypt stream", user, &[], encrypt).await?;
        let header = v1::DecryptStreamHeader { user: self.name(reader), ..Default::default() };
        let decrypt = |mut it: Clients| {
            let (header, sealed, plaintext) = (header.clone(), &sealed, &plaintext);
            async move {
                let ended = streams::decrypt(&mut it, header, sealed).await;
                // What is released before it is killed is verified.
                ended.map_err(|(status, released)| {
                    assert!(plaintext.starts_with(&released), "something else was released");
                    status
                })
            }
        };
        let (opened, _) = self.act("decrypt stream", reader, &[], decrypt).await?;
        assert!(opened == plaintext, "the stream brought something else");
        Ok(())
    }

    /// One's own account, as the platform's HTTP interface shows it.
    async fn ask_platform(&mut self) -> Result<(), Refused> {
        let user = self.user();
        let header = calls::header(&self.shared.users[user], "GET", "/v1/me");
        let ask = |mut it: Clients| {
            let header = header.clone();
            async move { calls::call(&mut it, header, b"").await }
        };
        let answer = self.act("call", user, &[], ask).await?;
        // A platform that stops, or starts, may say so itself.
        if answer.head.status == 200 {
            assert!(answer.text().contains(self.shared.users[user].uid()), "{}", answer.text());
        } else {
            assert!((500..=599).contains(&answer.head.status), "status {}", answer.head.status);
        }
        Ok(())
    }

    async fn look_up(&mut self) -> Result<(), Refused> {
        let (caller, peer) = (self.user(), self.user());
        let request = v1::LookupUserRequest { name: self.name(peer), caller: self.name(caller) };
        let look = |mut it: Clients| {
            let request = request.clone();
            async move { it.directory.lookup_user(request).await }
        };
        let found = self.act("look up", caller, &[], look).await?.into_inner().user.unwrap();
        let first_seen = found.first_seen_time.map_or(0, |time| time.seconds);
        let learnt = Lookup { first_seen, trust: found.trust() };
        let before = self.shared.ledger().lookups.insert((caller, peer), learnt);
        if let Some(before) = before.filter(|_| caller != peer) {
            assert_eq!(before.first_seen, learnt.first_seen, "a pin was lost");
        }
        Ok(())
    }

    async fn register(&mut self) -> Result<(), Refused> {
        let passphrase = b"quiet-granite-harbour-%7731".to_vec();
        let request = users::registering_with(v1::ParticipantKind::Patient, &passphrase);
        let register = |mut it: Clients| async move { users::register(&mut it, request).await };
        // The keys of an account are in the vault until it is finished, and gone with it.
        let answer = self.call("register", &["REGISTRATION_EXPIRED"], register).await?;
        let user = User { name: answer.user.unwrap().name, pkcs12: answer.pkcs12.to_vec(), passphrase };
        self.shared.ledger().registered.push(user);
        Ok(())
    }
}
