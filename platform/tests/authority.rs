//! The certificate authority against a `serve` that lies, and the clock against certificates and lists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::sync::Arc;

use life_pki::account_log::CredentialId;
use life_pki::{KeySlot, ParticipantKind, Timestamp, Uid};
use life_platform::authority::added::AddedEvidence;
use life_platform::authority::evidence::{Evidence, Keys};
use life_platform::authority::ledger::{Issued, Ledger};
use life_platform::authority::protocol::{Request, Response};
use life_platform::authority::service::Authority;
use life_platform::authority::setup;
use life_platform::clock::Clock;
use life_platform::config::{Approval, CaConfig, Config};
use life_platform::encoding::Base64;
use life_platform::http::state::App;
use life_platform::http::{maintenance, routes, server, tls};
use life_platform::layout::Layout;
use support::credential::NewCredential;
use support::{Agent, Draft, Platform};
use tokio::sync::watch;

fn authority(clock: &Clock) -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path().join("p"));
    setup::init(&layout, &["localhost".to_owned()], &Config::default(), clock.now()).unwrap();
    let authority = Authority::open(&layout, CaConfig::default(), clock.clone()).unwrap();
    (dir, authority)
}

fn evidence(draft: &Draft) -> Evidence {
    let keys: Keys = serde_json::from_value(draft.keys_body()).unwrap();
    Evidence { keys, log: draft.log().iter().map(|entry| Base64(entry.to_der().to_vec())).collect() }
}

fn issue(uid: Uid, evidence: Evidence) -> Request {
    Request::Issue { uid: uid.to_string(), evidence }
}

fn new_draft(fill: u8) -> Draft {
    Draft { uid: Uid::from_random([fill; 16]), ..Draft::new(ParticipantKind::Patient) }
}

#[track_caller]
fn refused(response: &Response, why: &str) {
    match response {
        Response::Refused { message } => assert!(message.contains(why), "{message}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn it_issues_once_for_one_genesis_and_only_on_evidence() {
    let clock = Clock::system();
    let (_dir, mut authority) = authority(&clock);
    let (draft, other) = (new_draft(1), new_draft(1));
    let proven = evidence(&draft);
    let Response::Issued { certificates } = authority.answer(issue(draft.uid, proven.clone())) else {
        panic!("refused")
    };
    assert_eq!(certificates.len(), 4);
    // The same again, even much later: not one more certificate.
    clock.shift(86_400);
    let Response::Issued { certificates: again } = authority.answer(issue(draft.uid, proven)) else {
        panic!("refused")
    };
    assert_eq!(certificates, again);
    // Another genesis for the same user is the attack this is here for.
    refused(&authority.answer(issue(draft.uid, evidence(&other))), "another genesis");

    let fresh = new_draft(2);
    refused(&authority.answer(issue(draft.uid, evidence(&fresh))), "another user");
    refused(
        &authority.answer(Request::Issue { uid: "me".to_owned(), evidence: evidence(&fresh) }),
        "user id",
    );
    // One thing of the evidence replaced by somebody else's.
    let swapped = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = evidence(&fresh);
        change(&mut evidence);
        evidence
    };
    let intruder = Draft { uid: fresh.uid, ..Draft::new(ParticipantKind::Patient) };
    let theirs = evidence(&intruder);
    for (evidence, why) in [
        (swapped(&|e| e.keys.root_spki = theirs.keys.root_spki.clone()), "another ROOT key"),
        (
            swapped(&|e| e.keys.encryption_spki = theirs.keys.encryption_spki.clone()),
            "another ENCRYPTION key",
        ),
        (swapped(&|e| e.keys.signature_csr = theirs.keys.signature_csr.clone()), "another SIGNATURE key"),
        (
            swapped(&|e| e.keys.authentication_csr = theirs.keys.authentication_csr.clone()),
            "another AUTHENTICATION key",
        ),
        (swapped(&|e| e.keys.signature_csr = e.keys.authentication_csr.clone()), "SIGNATURE request"),
        (swapped(&|e| e.log[1] = theirs.log[1].clone()), "account log"),
        (swapped(&|e| e.log[0].0[40] ^= 1), "account log"),
        (swapped(&|e| drop(e.log.pop())), "genesis and the first root"),
        (swapped(&|e| e.log.push(e.log[1].clone())), "genesis and the first root"),
    ] {
        refused(&authority.answer(issue(fresh.uid, evidence)), why);
    }
    // The clock stands a day ahead; a log from a day after that is none.
    let late = Draft { time: fresh.time.plus(2 * 86_400), ..new_draft(3) };
    refused(&authority.answer(issue(late.uid, evidence(&late))), "future");
    assert!(matches!(authority.answer(issue(fresh.uid, evidence(&fresh))), Response::Issued { .. }));
}

#[test]
fn it_issues_to_an_added_credential_only_of_an_account_it_knows() {
    let clock = Clock::system();
    let (_dir, mut authority) = authority(&clock);
    let (draft, stranger) = (new_draft(1), new_draft(1));
    let (pin, other) = (NewCredential::new(), NewCredential::new());
    let added = |owner: &Draft, pin: &NewCredential| {
        let mut log = owner.log();
        let entry = pin.entry(owner, log.last().unwrap(), pin.keys());
        log.push(entry);
        let keys = serde_json::from_value(pin.keys_body(owner)).unwrap();
        AddedEvidence { keys, log: log.iter().map(|entry| Base64(entry.to_der().to_vec())).collect() }
    };
    let ask = |uid: Uid, evidence: AddedEvidence| Request::IssueAdded { uid: uid.to_string(), evidence };
    refused(&authority.answer(ask(draft.uid, added(&draft, &pin))), "nothing was issued");
    let proven = evidence(&draft);
    let registered = authority.answer(issue(draft.uid, proven.clone()));
    // Another account of the same name, which verifies as well.
    refused(&authority.answer(ask(draft.uid, added(&stranger, &pin))), "nothing was issued");
    let Response::Issued { certificates } = authority.answer(ask(draft.uid, added(&draft, &pin))) else {
        panic!("refused")
    };
    assert_eq!(certificates.keys().collect::<Vec<_>>(), ["AUTHENTICATION", "ENCRYPTION", "SIGNATURE"]);
    // The same again, even much later: not one more certificate. Nor are the registration's others then.
    clock.shift(86_400);
    let Response::Issued { certificates: again } = authority.answer(ask(draft.uid, added(&draft, &pin)))
    else {
        panic!("refused")
    };
    assert_eq!(certificates, again);
    let (Response::Issued { certificates: first }, Response::Issued { certificates: again }) =
        (registered, authority.answer(issue(draft.uid, proven)))
    else {
        panic!("refused")
    };
    assert_eq!(first, again);
    let same_id = NewCredential { id: pin.id, ..NewCredential::new() };
    refused(&authority.answer(ask(draft.uid, added(&draft, &same_id))), "other keys");
    let mut mixed = added(&draft, &other);
    mixed.keys = added(&draft, &pin).keys;
    refused(&authority.answer(ask(draft.uid, mixed)), "another AUTHENTICATION key");
    let mut unsaid = added(&draft, &other);
    unsaid.log.pop();
    refused(&authority.answer(ask(draft.uid, unsaid)), "does not add");
}

#[test]
fn it_revokes_what_it_issued_and_nothing_else() {
    let clock = Clock::system();
    let (_dir, mut authority) = authority(&clock);
    let draft = new_draft(3);
    authority.answer(issue(draft.uid, evidence(&draft)));
    let time = clock.now();
    let revoke = |uid: Uid, credential: String| Request::Revoke {
        uid: uid.to_string(),
        credential,
        time: time.unix(),
    };
    let credential = draft.credential.to_string();
    refused(&authority.answer(revoke(Uid::from_random([9; 16]), credential.clone())), "nothing was issued");
    refused(&authority.answer(revoke(draft.uid, "00".to_owned())), "credential id");
    let Response::Crl(first) = authority.answer(revoke(draft.uid, credential.clone())) else {
        panic!("refused")
    };
    // The first time counts, and the list goes on.
    clock.shift(3600);
    let Response::Crl(second) = authority.answer(revoke(draft.uid, credential)) else { panic!("refused") };
    assert!(second.this_update > first.this_update);
    let times = |der: &[u8]| {
        let crl = <x509_cert::crl::CertificateList as der::Decode>::from_der(der).unwrap();
        let revoked = crl.tbs_cert_list.revoked_certificates.unwrap();
        revoked.iter().map(|entry| entry.revocation_date.to_unix_duration()).collect::<Vec<_>>()
    };
    assert_eq!(times(&first.der.0).len(), 3);
    assert_eq!(times(&first.der.0), times(&second.der.0));
}

/// Serial numbers and revocation times of a list.
fn entries(list: &[u8]) -> Vec<(Vec<u8>, i64)> {
    let list = <x509_cert::crl::CertificateList as der::Decode>::from_der(list).unwrap();
    let entry = |entry: x509_cert::crl::RevokedCert| {
        let time = i64::try_from(entry.revocation_date.to_unix_duration().as_secs()).unwrap();
        (entry.serial_number.as_bytes().to_vec(), time)
    };
    list.tbs_cert_list.revoked_certificates.unwrap_or_default().into_iter().map(entry).collect()
}

#[test]
fn a_revocation_counts_from_when_it_was_made_and_never_from_the_future() {
    let clock = Clock::system();
    let (_dir, mut authority) = authority(&clock);
    let begin = clock.now().unix();
    // Issued now, revoked after 100 s; the CA hears of it after an hour.
    for (fill, time, expected) in
        [(1, begin + 100, begin + 100), (2, begin + 86_400, begin + 3600), (3, begin - 86_400, begin)]
    {
        clock.shift(0);
        let draft = new_draft(fill);
        authority.answer(issue(draft.uid, evidence(&draft)));
        clock.shift(3600);
        let (uid, credential) = (draft.uid.to_string(), draft.credential.to_string());
        let Response::Crl(list) = authority.answer(Request::Revoke { uid, credential, time }) else {
            panic!("refused")
        };
        let near = entries(&list.der.0).iter().filter(|(_, time)| time.abs_diff(expected) < 30).count();
        assert_eq!(near, 3, "{fill}");
    }
}

/// Makes certificates that exist in the ledger alone.
fn fill_ledger(ledger: &mut Ledger, uid: Uid, count: u32, now: Timestamp, expires: Timestamp) {
    let credential = CredentialId(*uid.as_bytes());
    let issued = |index: u32| Issued {
        slot: KeySlot::Signature,
        serial: [&[0x40], &uid.as_bytes()[..11], &index.to_be_bytes()[..]].concat(),
        der: vec![0x30, 0],
        expires,
    };
    let issued: Vec<_> = (0..count).map(issued).collect();
    ledger.record(uid, &[0; 32], credential, &issued, now).unwrap();
    assert_eq!(ledger.revoke(uid, credential, now).unwrap(), issued.len());
}

#[tokio::test]
async fn a_list_of_many_thousands_is_signed_and_what_expired_is_dropped() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    platform.stop_ca();
    {
        let now = Clock::system().now();
        let mut ledger = Ledger::open(&platform.root().join("ca/ca.db")).unwrap();
        fill_ledger(&mut ledger, Uid::from_random([1; 16]), 30_000, now, now.plus(86_400));
        // Expired, the one within and the other beyond the life of a list.
        fill_ledger(&mut ledger, Uid::from_random([2; 16]), 10, now, now.minus(86_400));
        fill_ledger(&mut ledger, Uid::from_random([3; 16]), 20_000, now, now.minus(8 * 86_400));
    }
    platform.start_ca();
    let revoked =
        platform.command(&["revoke"], &[&agent.uid().to_string(), &agent.draft.credential.to_string()]);
    let said = [revoked.stdout, revoked.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("on the revocation list"), "{said:?}");
    let list = platform.client().get("/v1/crl").await.expect(200).body;
    assert!(list.len() > 1 << 20);
    assert_eq!(entries(&list).len(), 30_000 + 10 + 3);
}

#[tokio::test]
async fn a_revocation_the_authority_does_not_know_stops_nothing() {
    let mut platform = Platform::start();
    let (lost, other) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let clock = Clock::system();
    let (app, _stop) = serve_with_clock(&mut platform, &clock).await;
    // As after the ledger was put back from a backup.
    platform.stop_ca();
    rusqlite::Connection::open(platform.root().join("ca/ca.db"))
        .unwrap()
        .execute("DELETE FROM issued WHERE uid = ?", [lost.uid().as_bytes()])
        .unwrap();
    platform.start_ca();
    let revoke = |agent: &Agent| {
        let (uid, credential) = (agent.uid().to_string(), agent.draft.credential.to_string());
        platform.command(&["revoke"], &[&uid, &credential])
    };
    assert_eq!(revoke(&lost).status.code(), Some(65));
    let output = revoke(&other);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Both are refused here, one is on the list, and the list is renewed.
    for agent in [&lost, &other] {
        agent.client.at(platform.address).get("/v1/me").await.refused(401, "CERTIFICATE_REVOKED");
    }
    let list = || app.database.read(life_platform::store::crl::get).unwrap().unwrap();
    let before = list();
    assert_eq!(entries(&before.der).len(), 3);
    // The CA's process has the system's clock: what it signs anew is newer by seconds only.
    clock.shift(4 * 86_400);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    maintenance::turn_once(&app).unwrap();
    assert!(list().this_update > before.this_update);
}

/// The same folder served in this process, with a clock of our own.
async fn serve_with_clock(platform: &mut Platform, clock: &Clock) -> (Arc<App>, watch::Sender<bool>) {
    platform.kill_serve();
    let layout = Layout::new(platform.root());
    let config = Config { approval: Approval::Auto, ..Config::default() };
    let app = App::open(&layout, config.clone(), clock.clone()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    platform.address = listener.local_addr().unwrap();
    let (stop, stopping) = watch::channel(false);
    let tls = Arc::new(tls::config(&layout).unwrap());
    tokio::spawn(server::run(listener, tls, routes::router(&app), config, stopping));
    (app, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_passes_for_certificates_registrations_and_lists() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let clock = Clock::system();
    let (app, _stop) = serve_with_clock(&mut platform, &clock).await;
    let client = agent.client.at(platform.address);
    let anonymous = platform.client();

    // On one connection, so that the verdict on a chain is not simply remembered.
    let mut open = client.open().await.unwrap();
    let me = || support::client::request("GET", "/v1/me", "");
    for (shift, status, reason) in [
        (0, 200, ""),
        (-86_400, 401, "CERTIFICATE_NOT_YET_VALID"),
        (2 * 365 * 86_400, 200, ""),
        (4 * 365 * 86_400, 401, "CERTIFICATE_EXPIRED"),
        (0, 200, ""),
    ] {
        clock.shift(shift);
        let kept = support::client::send(&mut open, me()).await.unwrap();
        assert_eq!((kept.status.as_u16(), kept.reason().as_str()), (status, reason), "{shift}");
        let fresh = client.get("/v1/me").await;
        assert_eq!((fresh.status.as_u16(), fresh.reason().as_str()), (status, reason), "{shift}");
    }

    // A registration is forgotten after its hour, but not one whose commit was accepted.
    let mut late = Draft::new(ParticipantKind::Patient);
    late.begin(&anonymous).await.expect(201);
    let mut accepted = Draft::new(ParticipantKind::Patient);
    let body = accepted.prepare(&anonymous).await;
    platform.stop_ca();
    accepted.commit(&anonymous, &body).await.refused(503, "CA_UNAVAILABLE");
    clock.shift(3700);
    let later = clock.now().unix();
    let show = late.proven_at("GET", &late.path(""), None, later);
    anonymous.send(show).await.refused(410, "REGISTRATION_EXPIRED");
    // A message that nobody asked a receipt for is forgotten, with its file.
    clock.shift(0);
    let content = support::content::envelope(b"x", agent.draft.root.public_key());
    client.put_octets(&agent.inbox("m"), content).await.expect(201);
    let blobs = || std::fs::read_dir(platform.root().join("serve/data/blobs")).unwrap().count();
    for (shift, left) in [(3500, 1), (3700, 0)] {
        clock.shift(shift);
        assert!(maintenance::turn_once(&app).is_ok());
        assert_eq!(blobs(), left);
    }
    client.publish(&agent.inbox("m")).await.refused(404, "MESSAGE_UNKNOWN");
    // Half way to its nextUpdate the list is renewed, as soon as there is an authority.
    clock.shift(4 * 86_400);
    assert!(maintenance::turn_once(&app).is_err());
    platform.start_ca();
    clock.shift(0);
    maintenance::turn_once(&app).unwrap();
    clock.shift(3700);
    maintenance::turn_once(&app).unwrap();
    let again = late.proven_at("GET", &late.path(""), None, later);
    anonymous.send(again).await.refused(404, "REGISTRATION_UNKNOWN");
    let commit = accepted.proven_at("POST", &accepted.path("/commit"), Some(&body), later);
    let committed = anonymous.send(commit).await.expect(200).json();
    assert!(committed["certificates"][KeySlot::Root.name()].is_string());
}
