//! Every message survives the way over the wire, nothing else gets through, and the seed corpus is replayed.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use std::fs;
use std::path::{Path, PathBuf};

use life_pki::{KeySlot, ParticipantKind, Uid};
use life_sys::hardening::Hardening;
use life_sys::sandbox::{Confinement, Enforcement, Protection};
use life_sys::secret::{Key256, SecretBytes};
use life_vault_protocol::cards::{Card, CardKind, CardReader, CardSlot, CardTrouble};
use life_vault_protocol::frame::MAX_FRAME;
use life_vault_protocol::*;
use proptest::prelude::*;

const HEADER: usize = 12;

fn uid() -> Uid {
    "123e4567-e89b-42d3-a456-426614174000".parse().unwrap()
}

fn requests() -> Vec<Request> {
    let (session, pending) = (SessionId(0x0102_0304_0506_0708), PendingId(7));
    let open = |secret, expected| Request::OpenSoftwareCertificate {
        pkcs12: b"file".to_vec(),
        secret,
        now: 1_800_000_000,
        expected,
    };
    let prompt = || Prompt {
        description: "Unlock\nfor äpp".to_owned(),
        label: "Passphrase:".to_owned(),
        timeout_seconds: 60,
    };
    let generate = |secret| Request::GenerateAccount {
        uid: uid(),
        kind: ParticipantKind::Institution,
        algorithm: WorkingKeyAlgorithm::P256,
        secret,
    };
    vec![
        Request::Status,
        generate(NewSecretSource::Inline(SecretBytes::new(b"correct horse battery staple".to_vec()))),
        generate(NewSecretSource::Descriptor { timeout_seconds: 120, entry: Entry::Once }),
        generate(NewSecretSource::Descriptor { timeout_seconds: 120, entry: Entry::Twice }),
        generate(NewSecretSource::Generated),
        generate(NewSecretSource::Prompt(prompt())),
        Request::AnswerChallenge { pending, slot: KeySlot::Root, envelope: b"envelope".to_vec() },
        Request::CommitAccount { pending, time: -1 },
        Request::ExportSoftwareCertificate {
            pending,
            certificates: vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()],
            issuers: vec![],
        },
        Request::DiscardAccount { pending },
        open(SecretSource::Inline(SecretBytes::new(b"passphrase".to_vec())), Some(uid())),
        open(SecretSource::Descriptor { timeout_seconds: 120 }, None),
        open(SecretSource::Prompt(prompt()), None),
        Request::OpenRoot {
            session,
            log: vec![b"entry"].into(),
            seals: vec![b"seal".to_vec(), vec![]].into(),
            now: 1_800_000_000,
        },
        Request::SignAttributes { session, attributes: b"attributes".to_vec() },
        Request::SignTls { session, input: b"input".to_vec() },
        Request::UnwrapContentKey { session, recipient_info: b"recipient".to_vec() },
        Request::Mac { session, data: vec![] },
        Request::CancelSecret { request: 9 },
        Request::Lock { session },
        Request::LockAll,
        Request::LockUser { uid: uid() },
        Request::ListCards,
        Request::AwaitCards { seen: 7 },
    ]
}

fn protection(holds: bool) -> Protection {
    Protection {
        hardening: Hardening {
            undumpable: holds,
            no_core: !holds,
            no_new_privileges: holds,
            no_executable_memory: !holds,
        },
        confinement: Confinement { landlock_abi: 7, landlock: Enforcement::Partial, seccomp: holds },
    }
}

fn status(protection: Protection) -> Response {
    Response::Status {
        pid: 1,
        sessions: 2,
        pendings: 3,
        memory: MemoryUse {
            arena: 4,
            used: 5,
            peak: 6,
            locked: 7,
            large: 8,
            large_peak: 9,
            large_unlocked: 10,
            refused: 11,
            scratch: Some(life_sys::scratch::Protection::Droppable),
        },
        protection,
    }
}

fn readers() -> Vec<CardReader> {
    let card = |pin_tries, puk_tries, certificates| {
        CardSlot::Card(Card { kind: CardKind::Piv, id: vec![6; 16], pin_tries, puk_tries, certificates })
    };
    let slots = [
        CardSlot::Empty,
        card(None, None, vec![]),
        card(
            Some(3),
            Some(0),
            vec![(KeySlot::Authentication, b"cert".to_vec()), (KeySlot::Encryption, vec![])],
        ),
        CardSlot::Unusable(CardTrouble::Busy),
        CardSlot::Unusable(CardTrouble::Failed),
        CardSlot::Unusable(CardTrouble::Silent),
        CardSlot::Unusable(CardTrouble::UnknownKind),
    ];
    slots.into_iter().map(|slot| CardReader { name: "Reader 00 00".to_owned(), slot }).collect()
}

fn responses() -> Vec<Response> {
    let mut responses = vec![
        Response::Done,
        status(protection(true)),
        status(protection(false)),
        Response::Account {
            pending: PendingId(7),
            credential_id: [9; 16],
            authentication_csr: b"csr".to_vec(),
            signature_csr: b"csr".to_vec(),
            encryption_spki: b"spki".to_vec(),
            root_spki: b"spki".to_vec(),
        },
        Response::Nonce([1; 32]),
        Response::Committed { log: vec![b"genesis".to_vec(), b"root".to_vec()], seal: b"seal".to_vec() },
        Response::Pkcs12(b"file".to_vec()),
        Response::Opened {
            session: SessionId(5),
            uid: uid(),
            authentication: b"cert".to_vec(),
            signature: b"cert".to_vec(),
            encryption: b"cert".to_vec(),
            issuers: vec![b"ca".to_vec()],
        },
        Response::Root {
            generation: 1,
            root_spki: b"spki".to_vec(),
            credential_id: [9; 16],
            genesis: [1; 32],
            head: [2; 32],
        },
        Response::Signature(vec![3; 384]),
        Response::ContentKey(Key256::take(&mut [4; 32])),
        Response::Tag([5; 32]),
        Response::CardsChanged(8),
        Response::Cards { service: false, readers: vec![] },
        Response::Cards { service: true, readers: readers() },
    ];
    responses.extend(VaultError::ALL.iter().map(|error| Response::Error(*error)));
    responses
}

fn request_body(request: &Request) -> Vec<u8> {
    encode_request(1, request).unwrap().expose()[HEADER..].to_vec()
}

fn response_body(response: &Response) -> Vec<u8> {
    encode_response(1, response).unwrap().expose()[HEADER..].to_vec()
}

#[test]
fn a_response_that_could_not_be_read_is_not_sent() {
    let opened = |issuers| Response::Opened {
        session: SessionId(1),
        uid: uid(),
        authentication: vec![1],
        signature: vec![2],
        encryption: vec![3],
        issuers,
    };
    assert!(encode_response(1, &opened(vec![vec![4; 16 * 1024]; 16])).is_ok());
    for issuers in [vec![vec![4]; 17], vec![vec![4; 16 * 1024 + 1]]] {
        assert_eq!(encode_response(1, &opened(issuers)).err(), Some(FrameError::Undecodable));
    }
}

#[test]
fn every_request_survives_and_every_kind_is_there() {
    let mut seen = Vec::new();
    for request in requests() {
        let body = request_body(&request);
        let decoded = Request::decode(&body).unwrap();
        assert_eq!(decoded.kind(), request.kind());
        assert_eq!(decoded.descriptors(), request.descriptors());
        assert_eq!(request_body(&decoded), body);
        seen.push(request.kind());
    }
    assert!(RequestKind::ALL.iter().all(|kind| seen.contains(kind)));
}

#[test]
fn every_response_survives() {
    for response in responses() {
        let body = response_body(&response);
        assert_eq!(response_body(&Response::decode(&body).unwrap()), body);
    }
}

#[test]
fn error_numbers_are_stable_and_unique() {
    let mut numbers: Vec<_> = VaultError::ALL.iter().map(|error| error.number()).collect();
    numbers.dedup();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), numbers.len());
    assert_eq!(VaultError::Malformed.number(), 1);
    assert_eq!(VaultError::WrongPassphrase.number(), 33);
    assert_eq!(VaultError::SealForeign.number(), 51);
}

#[test]
fn cut_and_lengthened_messages_are_refused() {
    let bodies = requests()
        .iter()
        .map(request_body)
        .map(|body| (body, true))
        .collect::<Vec<_>>()
        .into_iter()
        .chain(responses().iter().map(response_body).map(|body| (body, false)).collect::<Vec<_>>());
    for (body, is_request) in bodies {
        let refused = |bytes: &[u8]| {
            if is_request { Request::decode(bytes).is_err() } else { Response::decode(bytes).is_err() }
        };
        assert!((0..body.len()).all(|len| refused(&body[..len])));
        assert!(refused(&[body.as_slice(), &[0]].concat()));
    }
}

#[test]
fn absurd_lengths_allocate_nothing() {
    // A count of 4,294,967,295 log entries, and a file of as many bytes.
    let mut log = request_body(&Request::OpenRoot {
        session: SessionId(1),
        log: Entries::default(),
        seals: Entries::default(),
        now: 0,
    });
    log[9..13].copy_from_slice(&[0xff; 4]);
    assert!(Request::decode(&log).is_err());
    assert!(Request::decode(&[7, 0xff, 0xff, 0xff, 0xff, 0]).is_err());
}

#[test]
fn frames_over_the_limit_are_refused_before_their_body() {
    let mut decoder = FrameDecoder::new();
    let length = u32::try_from(MAX_FRAME + 1).unwrap().to_be_bytes();
    assert!(matches!(decoder.next_frame(&mut length.as_slice()), Err(FrameError::TooLong)));
    for short in 0..9u32 {
        let mut decoder = FrameDecoder::new();
        let refused = decoder.next_frame(&mut short.to_be_bytes().as_slice());
        assert!(matches!(refused, Err(FrameError::TooShort)));
    }
    let data = vec![0; MAX_FRAME];
    let refused = encode_request(1, &Request::Mac { session: SessionId(1), data });
    assert!(matches!(refused, Err(FrameError::TooLong)));
}

#[test]
fn frames_come_out_as_they_went_in() {
    let mut stream = Vec::new();
    for (id, request) in requests().iter().enumerate() {
        stream.extend_from_slice(encode_request(id as u64, request).unwrap().expose());
    }
    for piece in [1, 5, 4096] {
        let mut decoder = FrameDecoder::new();
        let mut ids = Vec::new();
        for chunk in stream.chunks(piece) {
            let mut rest = chunk;
            while let Some(frame) = decoder.next_frame(&mut rest).unwrap() {
                assert_eq!(
                    frame.body.expose(),
                    request_body(&requests()[usize::try_from(frame.id).unwrap()])
                );
                ids.push(frame.id);
            }
        }
        assert!(decoder.is_between_frames());
        assert_eq!(ids.len(), requests().len());
    }
    let mut decoder = FrameDecoder::new();
    assert!(decoder.next_frame(&mut &stream[..5]).unwrap().is_none());
    assert!(!decoder.is_between_frames());
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/corpus").join(name)
}

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    replay::replay(
        env!("CARGO_MANIFEST_DIR"),
        &[
            ("frames", fuzz_entry::frames),
            ("request", fuzz_entry::request),
            ("response", fuzz_entry::response),
        ],
    );
}

#[test]
#[ignore = "writes the seed corpus anew; run it after a change of the protocol"]
fn write_seeds() {
    for name in ["request", "response", "frames"] {
        fs::create_dir_all(corpus(name)).unwrap();
    }
    let mut stream = Vec::new();
    for (i, request) in requests().iter().enumerate() {
        fs::write(corpus("request").join(format!("{i:02}-{}", request.kind().name())), request_body(request))
            .unwrap();
        stream.extend_from_slice(encode_request(i as u64, request).unwrap().expose());
    }
    for (i, response) in
        responses().iter().take_while(|response| !matches!(response, Response::Error(_))).enumerate()
    {
        fs::write(corpus("response").join(format!("{i:02}")), response_body(response)).unwrap();
    }
    fs::write(corpus("frames").join("all-requests"), &stream).unwrap();
    fs::write(corpus("frames").join("too-long"), u32::MAX.to_be_bytes()).unwrap();
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        fuzz_entry::request(&bytes);
        fuzz_entry::response(&bytes);
        fuzz_entry::frames(&bytes);
    }

    #[test]
    fn any_field_survives(data in prop::collection::vec(any::<u8>(), 0..2048), id in any::<u64>()) {
        let request = Request::Mac { session: SessionId(id), data };
        let body = request_body(&request);
        prop_assert_eq!(request_body(&Request::decode(&body).unwrap()), body);
    }
}
