//! Sessions of the real vault: what they sign and unwrap, and what they refuse to a hostile broker.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::collections::HashSet;

use life_envelope::{
    ContentKey, DocumentContext, DocumentId, Envelope, Form, Purpose, RecipientInfo, SignedAttributes,
    SignedData, envelope, signature,
};
use life_pki::{KeySlot, PrivateKey, Uid};
use life_sys::secret::SecretBytes;
use life_vault_protocol::*;
use support::people::*;
use support::*;

fn context(sender: Uid) -> DocumentContext {
    DocumentContext::new(Purpose::Detached, Form::Content, sender, DocumentId([1; 16]), 1, vec![]).unwrap()
}

fn attributes(account: &Account, sender: Uid, slot: KeySlot) -> SignedAttributes {
    let digest = signature::content_digest(b"content");
    SignedAttributes::build(digest, now(), certificate(account, slot).der(), context(sender)).unwrap()
}

struct Scene {
    ca: Authority,
    alice: Account,
    vault: Vault,
    session: SessionId,
}

fn unlocked(keys: Keys) -> Scene {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), keys);
    let mut vault = Vault::start();
    let session = vault.unlock(&alice, &ca);
    Scene { ca, alice, vault, session }
}

#[test]
fn typed_input_is_signed_and_documents_open() {
    for keys in [Keys::P256, Keys::Rsa2048] {
        let Scene { alice, mut vault, session, .. } = unlocked(keys);
        let input = tls_input();
        let signed = signature_of(vault.call(&Request::SignTls { session, input: input.clone() }));
        certificate(&alice, KeySlot::Authentication).public_key().verify(&input, &signed).unwrap();

        let attributes = attributes(&alice, uid(ALICE), KeySlot::Signature);
        let request = Request::SignAttributes { session, attributes: attributes.to_der() };
        let signed = signature_of(vault.call(&request));
        let certificates = [certificate(&alice, KeySlot::Signature).der().to_vec()];
        let message =
            signature::assemble(Some(b"content".as_slice()), &attributes, &signed, &certificates).unwrap();
        SignedData::parse(&message).unwrap().verify(signature::Signed::Enclosed).unwrap();

        let (sealed, key) =
            envelope::seal(b"a document", std::slice::from_ref(alice.root.public_key())).unwrap();
        let parsed = Envelope::parse(&sealed).unwrap();
        let recipient_info = parsed.recipients()[0].to_der();
        let Response::ContentKey(unwrapped) =
            vault.call(&Request::UnwrapContentKey { session, recipient_info })
        else {
            panic!("no key")
        };
        assert_eq!(unwrapped.expose(), key.expose());

        let mac = |vault: &mut Vault, data: &[u8]| match vault
            .call(&Request::Mac { session, data: data.to_vec() })
        {
            Response::Tag(tag) => tag,
            _ => panic!("no tag"),
        };
        assert_eq!(mac(&mut vault, b"pins"), mac(&mut vault, b"pins"));
        assert_ne!(mac(&mut vault, b"pins"), mac(&mut vault, b"other pins"));
    }
}

#[test]
fn attributes_of_others_are_not_signed() {
    let Scene { ca, alice, mut vault, session } = unlocked(Keys::P256);
    let bob = Account::new(&ca, uid(BOB), Keys::P256);
    let mut refused = |attributes: Vec<u8>| vault.refusal(&Request::SignAttributes { session, attributes });
    let good = attributes(&alice, uid(ALICE), KeySlot::Signature).to_der();

    let wrong_sender = attributes(&alice, uid(BOB), KeySlot::Signature).to_der();
    assert_eq!(refused(wrong_sender), VaultError::WrongSender);
    let wrong_slot = attributes(&alice, uid(ALICE), KeySlot::Authentication).to_der();
    assert_eq!(refused(wrong_slot), VaultError::WrongCertificate);
    let wrong_certificate = attributes(&bob, uid(ALICE), KeySlot::Signature).to_der();
    assert_eq!(refused(wrong_certificate), VaultError::WrongCertificate);

    // A statement on an account, well-formed and in the user's own name.
    let statement =
        DocumentContext::new(Purpose::Statement, Form::Statement, uid(ALICE), DocumentId([1; 16]), 1, vec![]);
    let signer = certificate(&alice, KeySlot::Signature);
    let statement = SignedAttributes::build([7; 32], now(), signer.der(), statement.unwrap()).unwrap();
    assert_eq!(refused(statement.to_der()), VaultError::AttributesRefused);

    // One attribute left out, each in its turn; one twice; trailing bytes; nothing; a bare hash; a TLS input; a CSR.
    let elements = elements(&good);
    assert_eq!(elements.len(), 6);
    for missing in 0..elements.len() {
        let mut fewer = elements.clone();
        fewer.remove(missing);
        assert_eq!(refused(set(&fewer)), VaultError::AttributesRefused, "without attribute {missing}");
    }
    let mut twice = elements.clone();
    twice.push(elements[0].clone());
    assert_eq!(refused(set(&twice)), VaultError::AttributesRefused);
    assert_eq!(refused([good.as_slice(), &[0]].concat()), VaultError::AttributesRefused);
    let mut reordered = elements.clone();
    reordered.swap(0, 1);
    assert_eq!(refused(set(&reordered)), VaultError::AttributesRefused);
    for bytes in [vec![], vec![7; 32], tls_input(), b"LIFE account log entry v1\0".to_vec()] {
        assert_eq!(refused(bytes), VaultError::AttributesRefused);
    }
}

/// The elements of a DER SET of less than 64 KiB, each with its header.
fn elements(set: &[u8]) -> Vec<Vec<u8>> {
    use der::{Decode, Encode, Reader};
    let any = der::asn1::AnyRef::from_der(set).unwrap();
    let mut reader = der::SliceReader::new(any.value()).unwrap();
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(der::asn1::AnyRef::decode(&mut reader).unwrap().to_der().unwrap());
    }
    found
}

fn set(elements: &[Vec<u8>]) -> Vec<u8> {
    use der::Encode;
    der::asn1::AnyRef::new(der::Tag::Set, &elements.concat()).unwrap().to_der().unwrap()
}

#[test]
fn other_tls_inputs_are_not_signed() {
    let Scene { mut vault, session, .. } = unlocked(Keys::P256);
    let client = &b"TLS 1.3, client CertificateVerify\0"[..];
    let server = &b"TLS 1.3, server CertificateVerify\0"[..];
    let spaces = [0x20; 64];
    for input in [
        [&spaces[..], server, &[5; 32]].concat(),
        [&spaces[..], client, &[5; 31]].concat(),
        [&spaces[..], client, &[5; 64]].concat(),
        [&spaces[1..], client, &[5; 32]].concat(),
        [client, &[5; 32]].concat(),
        vec![5; 32],
        vec![],
    ] {
        assert_eq!(vault.refusal(&Request::SignTls { session, input }), VaultError::TlsInputRefused);
    }
}

#[test]
fn nothing_but_the_root_key_unwraps() {
    let Scene { ca, alice, mut vault, session } = unlocked(Keys::Rsa2048);
    let unwrap = |vault: &mut Vault, recipient_info: Vec<u8>| {
        vault.call(&Request::UnwrapContentKey { session, recipient_info })
    };
    // The root key seal's own RecipientInfo: it is for the working credential's encryption key.
    let seal = alice.seal(|_| {});
    let recipient_info = Envelope::parse(&seal).unwrap().recipients()[0].to_der();
    assert_eq!(error_of(unwrap(&mut vault, recipient_info)), VaultError::RecipientRefused);

    // The same key wrapped, but under the root key's name: the root key does not open it, and a random key comes.
    let (_, key) = envelope::seal(b"for the encryption slot", &[alice.keys[2].public_key().clone()]).unwrap();
    let wrapped = RecipientInfo::wrap(&key, alice.keys[2].public_key()).unwrap().to_der();
    let renamed = replace(&wrapped, &alice.keys[2].public_key().hash().0, &alice.root.public_key().hash().0);
    match unwrap(&mut vault, renamed) {
        Response::ContentKey(random) => assert_ne!(random.expose(), key.expose()),
        Response::Error(error) => assert_eq!(error, VaultError::RecipientRefused),
        _ => panic!("another answer"),
    }

    // Another user's root key, and garbage.
    let bob = Account::new(&ca, uid(BOB), Keys::P256);
    let foreign =
        RecipientInfo::wrap(&ContentKey::generate().unwrap(), bob.root.public_key()).unwrap().to_der();
    assert_eq!(error_of(unwrap(&mut vault, foreign)), VaultError::RecipientRefused);
    assert_eq!(error_of(unwrap(&mut vault, b"garbage".to_vec())), VaultError::RecipientRefused);
    assert_eq!(error_of(unwrap(&mut vault, vec![])), VaultError::RecipientRefused);
}

fn replace(bytes: &[u8], from: &[u8; 32], to: &[u8; 32]) -> Vec<u8> {
    let at = bytes.windows(32).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + 32..]].concat()
}

#[test]
fn roots_open_only_from_verified_logs_and_own_seals() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let bob = Account::new(&ca, uid(BOB), Keys::P256);
    let reborn = Account::new(&ca, uid(ALICE), Keys::P256);
    let mut vault = Vault::start();
    let session = vault.open(&alice, &ca);
    let mut refused = |log: &[Vec<u8>], seals: Vec<Vec<u8>>| {
        vault.refusal(&Request::OpenRoot {
            session,
            log: log.to_vec().into(),
            seals: seals.into(),
            now: now().unix(),
        })
    };
    let good = alice.seal(|_| {});
    // The log: none, cut short, another user's, changed, or the user's but without this credential.
    assert_eq!(refused(&[], vec![good.clone()]), VaultError::LogInvalid);
    assert_eq!(refused(&alice.log[..1], vec![good.clone()]), VaultError::LogInvalid);
    assert_eq!(refused(&bob.log, vec![good.clone()]), VaultError::LogInvalid);
    let mut changed = alice.log.clone();
    *changed[1].last_mut().unwrap() ^= 1;
    assert_eq!(refused(&changed, vec![good.clone()]), VaultError::LogInvalid);
    assert_eq!(refused(&reborn.log, vec![good.clone()]), VaultError::CredentialNotLive);
    // The seal: none, another's, damaged, and one that the attacker made with a root key of their own.
    assert_eq!(refused(&alice.log, vec![]), VaultError::SealMissing);
    assert_eq!(refused(&alice.log, vec![bob.seal(|_| {})]), VaultError::SealMissing);
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&alice.log, vec![damaged]), VaultError::SealForeign);
    let attacker = PrivateKey::generate_rsa(3072).unwrap();
    let own_root = SecretBytes::new(attacker.to_pkcs8().expose().to_vec());
    assert_eq!(
        refused(&alice.log, vec![alice.seal(|seal| seal.root_key = own_root)]),
        VaultError::SealForeign
    );
    // After all that the right ones still work, once.
    let request_at = |now| {
        let (log, seals) = (alice.log.clone().into(), vec![good.clone()].into());
        Request::OpenRoot { session, log, seals, now }
    };
    let request = || request_at(now().unix());
    // The log: from the future.
    assert_eq!(vault.refusal(&request_at(now().unix() - 3600)), VaultError::LogInvalid);
    assert_eq!(vault.refusal(&request_at(-1)), VaultError::Malformed);
    assert!(matches!(vault.call(&request()), Response::Root { .. }));
    assert_eq!(vault.refusal(&request()), VaultError::WrongState);
}

#[test]
fn opening_has_a_reason_for_each_failure() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let mut vault = Vault::start();
    let file = alice.file(&ca, PASSPHRASE);
    assert_eq!(vault.refusal(&open_request(&file, "wrong")), VaultError::WrongPassphrase);
    assert_eq!(vault.refusal(&open_request(&file, "")), VaultError::SecretUnusable);
    assert_eq!(vault.refusal(&open_request(&file[..100], PASSPHRASE)), VaultError::Damaged);
    let with = |now, expected| Request::OpenSoftwareCertificate {
        pkcs12: file.clone(),
        secret: SecretSource::Inline(secret(PASSPHRASE)),
        now,
        expected,
    };
    assert_eq!(vault.refusal(&with(0, None)), VaultError::NotYetValid);
    assert_eq!(vault.refusal(&with(4_000_000_000, None)), VaultError::Expired);
    assert_eq!(vault.refusal(&with(-1, None)), VaultError::Malformed);
    assert_eq!(vault.refusal(&with(now().unix(), Some(uid(BOB)))), VaultError::WrongUser);
    assert_eq!(vault.status(), (0, 0));
    let opened = vault.call(&with(now().unix(), Some(uid(ALICE))));
    assert!(matches!(opened, Response::Opened { .. }));
    assert_eq!(vault.status(), (1, 0));
}

/// Every request in every state a handle can be in, compared with the table.
#[test]
fn the_table_is_what_the_vault_does() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let mut vault = Vault::start();
    let mut tried = HashSet::new();
    for state in [State::Opened, State::Unlocked, State::Generated, State::Committed] {
        for kind in RequestKind::ALL {
            let allowed = TABLE.iter().any(|row| row.state == state && row.request == *kind);
            let session = match state {
                State::Opened => vault.open(&alice, &ca),
                State::Unlocked => vault.unlock(&alice, &ca),
                _ => SessionId(12345),
            };
            let pending = match state {
                State::Generated | State::Committed => {
                    let made = vault.generate(uid(ALICE), WorkingKeyAlgorithm::P256);
                    if state == State::Committed {
                        vault.call(&Request::CommitAccount { pending: made.pending, time: 1 });
                    }
                    made.pending
                }
                _ => PendingId(12345),
            };
            let Some(request) = about_a_handle(*kind, session, pending) else { continue };
            let names_session = is_session(*kind);
            let response = vault.call(&request);
            let state_is_session = matches!(state, State::Opened | State::Unlocked);
            let outcome = match response {
                Response::Error(error) => Some(error),
                _ => None,
            };
            if names_session != state_is_session {
                let unknown =
                    if names_session { VaultError::UnknownSession } else { VaultError::UnknownPending };
                assert_eq!(outcome, Some(unknown), "{kind:?} in {state:?}");
            } else if allowed {
                assert_ne!(outcome, Some(VaultError::WrongState), "{kind:?} in {state:?}");
                tried.insert((state, *kind));
            } else {
                assert_eq!(outcome, Some(VaultError::WrongState), "{kind:?} in {state:?}");
            }
            vault.call(&Request::LockAll);
            vault.call(&Request::DiscardAccount { pending });
        }
    }
    let with_handle = TABLE.iter().filter(|row| row.state != State::Vault).count();
    assert_eq!(tried.len(), with_handle, "every row was tried");
}

fn is_session(kind: RequestKind) -> bool {
    matches!(
        kind,
        RequestKind::OpenRoot
            | RequestKind::SignAttributes
            | RequestKind::SignTls
            | RequestKind::UnwrapContentKey
            | RequestKind::Mac
            | RequestKind::Lock
    )
}

fn about_a_handle(kind: RequestKind, session: SessionId, pending: PendingId) -> Option<Request> {
    Some(match kind {
        RequestKind::AnswerChallenge => {
            Request::AnswerChallenge { pending, slot: KeySlot::Root, envelope: vec![] }
        }
        RequestKind::CommitAccount => Request::CommitAccount { pending, time: 1 },
        RequestKind::ExportSoftwareCertificate => {
            Request::ExportSoftwareCertificate { pending, certificates: vec![], issuers: vec![] }
        }
        RequestKind::DiscardAccount => Request::DiscardAccount { pending },
        RequestKind::OpenRoot => {
            Request::OpenRoot { session, log: Entries::default(), seals: Entries::default(), now: 0 }
        }
        RequestKind::SignAttributes => Request::SignAttributes { session, attributes: vec![] },
        RequestKind::SignTls => Request::SignTls { session, input: vec![] },
        RequestKind::UnwrapContentKey => Request::UnwrapContentKey { session, recipient_info: vec![] },
        RequestKind::Mac => Request::Mac { session, data: vec![] },
        RequestKind::Lock => Request::Lock { session },
        _ => return None,
    })
}

#[test]
fn locking_ends_sessions_and_many_are_possible() {
    let ca = Authority::new();
    let (alice, bob) = (Account::new(&ca, uid(ALICE), Keys::P256), Account::new(&ca, uid(BOB), Keys::P256));
    let mut vault = Vault::start();
    let first = vault.unlock(&alice, &ca);
    let second = vault.unlock(&bob, &ca);
    assert_ne!(first, second);
    let tls = |session| Request::SignTls { session, input: tls_input() };
    assert!(matches!(vault.call(&Request::Lock { session: first }), Response::Done));
    assert_eq!(vault.refusal(&tls(first)), VaultError::UnknownSession);
    assert_eq!(vault.refusal(&Request::Lock { session: first }), VaultError::UnknownSession);
    let signed = signature_of(vault.call(&tls(second)));
    certificate(&bob, KeySlot::Authentication).public_key().verify(&tls_input(), &signed).unwrap();
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert_eq!(vault.refusal(&tls(second)), VaultError::UnknownSession);
    assert_eq!(vault.status(), (0, 0));
}
