use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;

use life_vault_protocol::{SecretSource, SessionId, VaultError, encode_response};

use super::*;

const PROTECTION: Protection = Protection {
    hardening: life_sys::hardening::Hardening {
        undumpable: true,
        no_core: true,
        no_new_privileges: true,
        no_executable_memory: true,
    },
    confinement: life_sys::sandbox::Confinement {
        landlock_abi: 7,
        landlock: life_sys::sandbox::Enforcement::Full,
        seccomp: true,
    },
};

/// Links a vault whose other end the test plays.
fn linked() -> (Vault, StdStream) {
    let (ours, theirs) = StdStream::pair().unwrap();
    let vault = Vault::default();
    let serving = vault.clone();
    tokio::spawn(async move { serving.serve(Fresh { pid: 1, socket: ours }).await });
    (vault, theirs)
}

fn read_ids(mut stream: &StdStream, count: usize) -> Vec<u64> {
    let mut decoder = FrameDecoder::new();
    let mut ids = Vec::new();
    let mut buffer = [0; 4096];
    while ids.len() < count {
        let got = stream.read(&mut buffer).unwrap();
        assert_ne!(got, 0);
        let mut input = &buffer[..got];
        while let Some(frame) = decoder.next_frame(&mut input).unwrap() {
            ids.push(frame.id);
        }
    }
    ids
}

fn answer(mut stream: &StdStream, id: u64, response: &Response) {
    stream.write_all(encode_response(id, response).unwrap().expose()).unwrap();
}

async fn ready(vault: &Vault) {
    while vault.process().is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_find_their_calls_in_any_order() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.call(&Request::Status, Vec::new()).await })
        })
        .collect();
    let player = tokio::task::spawn_blocking(move || {
        let ids = read_ids(&theirs, 8);
        for id in ids.iter().rev() {
            let response = Response::Status {
                pid: u32::try_from(*id).unwrap(),
                sessions: 0,
                pendings: 0,
                memory: Default::default(),
                protection: PROTECTION,
            };
            answer(&theirs, *id, &response);
        }
        theirs
    });
    let mut pids = Vec::new();
    for call in calls {
        match call.await.unwrap().unwrap() {
            Response::Status { pid, .. } => pids.push(pid),
            _ => panic!("another answer"),
        }
    }
    pids.sort_unstable();
    assert_eq!(pids, (1..9).collect::<Vec<_>>());
    drop(player.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn when_the_vault_dies_no_call_hangs() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let calling = vault.clone();
    let call = tokio::spawn(async move { calling.call(&Request::Status, Vec::new()).await });
    tokio::task::spawn_blocking(move || drop((read_ids(&theirs, 1), theirs))).await.unwrap();
    assert_eq!(call.await.unwrap().err().unwrap().fault(), Fault::VaultUnavailable);
    let again = vault.call(&Request::Status, Vec::new()).await;
    assert_eq!(again.err().unwrap().fault(), Fault::VaultUnavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn why_a_vault_does_not_start_is_told_to_every_call() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let calling = vault.clone();
    let call = tokio::spawn(async move { calling.call(&Request::Status, Vec::new()).await });
    let refused = tokio::task::spawn_blocking(move || {
        read_ids(&theirs, 1);
        answer(&theirs, 0, &Response::Error(VaultError::MemoryNotLocked));
    });
    refused.await.unwrap();
    for refused in [call.await.unwrap(), vault.call(&Request::Status, Vec::new()).await] {
        let refused = refused.err().unwrap();
        assert_eq!(refused.fault(), Fault::VaultUnavailable);
        assert!(refused.to_string().contains("RLIMIT_MEMLOCK"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_session_that_nobody_waits_for_is_locked() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let calling = vault.clone();
    let request = Request::OpenSoftwareCertificate {
        pkcs12: Vec::new(),
        secret: SecretSource::Inline(SecretBytes::new(b"x".to_vec())),
        now: 0,
        expected: None,
    };
    let call = tokio::spawn(async move { calling.call(&request, Vec::new()).await.map(drop) });
    let (theirs, ids) = tokio::task::spawn_blocking(move || (read_ids(&theirs, 1), theirs))
        .await
        .map(|(ids, theirs)| (theirs, ids))
        .unwrap();
    call.abort();
    let _ = call.await;
    let opened = Response::Opened {
        session: SessionId(77),
        uid: life_pki::Uid::from_random([7; 16]),
        authentication: Vec::new(),
        signature: Vec::new(),
        encryption: Vec::new(),
        issuers: Vec::new(),
    };
    answer(&theirs, ids[0], &opened);
    let asked = tokio::task::spawn_blocking(move || {
        let mut decoder = FrameDecoder::new();
        let mut requests = Vec::new();
        while requests.len() < 2 {
            let mut buffer = [0; 4096];
            let got = (&theirs).read(&mut buffer).unwrap();
            let mut input = &buffer[..got];
            while let Some(frame) = decoder.next_frame(&mut input).unwrap() {
                requests.push(Request::decode(frame.body.expose()).unwrap());
            }
        }
        requests
    });
    // The vault is told to give it up, and what it opened all the same is closed.
    let expected = ids[0];
    assert!(matches!(
        asked.await.unwrap()[..],
        [Request::CancelSecret { request }, Request::Lock { session: SessionId(77) }] if request == expected
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_the_vault_refuses_is_a_fault() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let calling = vault.clone();
    let call = tokio::spawn(async move { calling.call(&Request::Status, Vec::new()).await });
    tokio::task::spawn_blocking(move || {
        let ids = read_ids(&theirs, 1);
        answer(&theirs, ids[0], &Response::Error(VaultError::WrongPassphrase));
        theirs
    })
    .await
    .unwrap();
    assert_eq!(call.await.unwrap().err().unwrap().fault(), Fault::WrongPassphrase);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_locking_goes_out_though_its_caller_went_away() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    drop(vault.locking(&Request::LockAll));
    let ids = tokio::task::spawn_blocking(move || read_ids(&theirs, 1)).await.unwrap();
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_vault_that_does_not_lock_is_given_up_and_no_call_hangs() {
    let (ours, _theirs) = StdStream::pair().unwrap();
    let vault = Vault::default();
    let serving = vault.clone();
    let served = tokio::spawn(async move { serving.serve(Fresh { pid: 1, socket: ours }).await });
    ready(&vault).await;
    // More than the socket takes, so that the writer is stuck.
    let calls: Vec<_> = (0..4)
        .map(|_| {
            let vault = vault.clone();
            let request = Request::Mac { session: SessionId(1), data: vec![0; 1 << 20] };
            tokio::spawn(async move { vault.call(&request, Vec::new()).await.map(drop) })
        })
        .collect();
    let locking = vault.locking(&Request::LockAll);
    let locked = tokio::spawn(locking);
    tokio::time::timeout(Duration::from_secs(5), served).await.expect("the link stays").unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().fault(), Fault::VaultUnavailable);
    }
    // A fresh one is linked: the locking is done.
    let (ours, _fresh) = StdStream::pair().unwrap();
    let serving = vault.clone();
    tokio::spawn(async move { serving.serve(Fresh { pid: 2, socket: ours }).await });
    locked.await.unwrap().unwrap();
}

/// An answer that was delivered but not looked at belongs to nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_session_delivered_to_a_caller_that_went_away_is_locked() {
    let (vault, theirs) = linked();
    ready(&vault).await;
    let request = Request::OpenSoftwareCertificate {
        pkcs12: Vec::new(),
        secret: SecretSource::Inline(SecretBytes::new(b"x".to_vec())),
        now: 0,
        expected: None,
    };
    let waiting = vault.post(&request, Vec::new()).unwrap();
    let opened = Response::Opened {
        session: SessionId(78),
        uid: life_pki::Uid::from_random([7; 16]),
        authentication: Vec::new(),
        signature: Vec::new(),
        encryption: Vec::new(),
        issuers: Vec::new(),
    };
    vault.deliver(waiting.id, opened);
    drop(waiting);
    let ids = tokio::task::spawn_blocking(move || read_ids(&theirs, 2)).await.unwrap();
    assert_eq!(ids.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whatever_a_hostile_vault_sends_the_call_fails_and_does_not_hang() {
    let frame = |id: u64, body: &[u8]| {
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes()[..], &id.to_be_bytes(), body].concat()
    };
    let whole = |id: u64, response: &Response| encode_response(id, response).unwrap().expose().to_vec();
    let status = |id| {
        whole(
            id,
            &Response::Status {
                pid: 1,
                sessions: 0,
                pendings: 0,
                memory: Default::default(),
                protection: PROTECTION,
            },
        )
    };
    type Sent<'a> = (&'a str, Box<dyn Fn(u64) -> Vec<u8> + 'a>, bool);
    let cases: [Sent<'_>; 7] = [
        ("a frame that is too long", Box::new(|_| vec![0xff; 64]), false),
        ("an empty frame", Box::new(|_| vec![0; 4]), false),
        ("a body that is no answer", Box::new(|id| frame(id, &[0xff; 20])), false),
        (
            "an answer that goes on too long",
            Box::new(|id| frame(id, &[&status(id)[12..], &[0]].concat())),
            false,
        ),
        ("another request's answer", Box::new(|id| whole(id, &Response::Tag([0; 32]))), false),
        ("an answer to nobody and the end", Box::new(|id| status(id + 1)), true),
        ("half an answer and the end", Box::new(|id| status(id)[..15].to_vec()), true),
    ];
    for (what, sent, ends) in cases {
        let (vault, theirs) = linked();
        ready(&vault).await;
        let calling = vault.clone();
        let call = tokio::spawn(async move { calling.answers().await });
        let (theirs, ids) = tokio::task::spawn_blocking(move || (read_ids(&theirs, 1), theirs))
            .await
            .map(|(i, t)| (t, i))
            .unwrap();
        (&theirs).write_all(&sent(ids[0])).unwrap();
        let _open = (!ends).then_some(theirs);
        let ended = tokio::time::timeout(Duration::from_secs(10), call).await;
        let fault =
            ended.unwrap_or_else(|_| panic!("{what}: the call hangs")).unwrap().err().map(|it| it.fault());
        let expected = if what.starts_with("another") { Fault::Internal } else { Fault::VaultUnavailable };
        assert_eq!(fault, Some(expected), "{what}");
    }
}
