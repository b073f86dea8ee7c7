//! The server itself: TLS, limits in time and size, processes, the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says by panicking what does not hold"
)]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::StreamExt;
use life_pki::ParticipantKind;
use serde_json::json;
use support::client::{octets, request};
use support::content::{envelope, stream};
use support::{Agent, Draft, Options, Platform, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn only_tls_13_and_no_resumption() {
    let platform = Platform::start();
    let address = platform.address.to_string();
    let ca = platform.server_root_pem();
    let s_client = |extra: &[&str]| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "localhost", "-verify_return_error"])
            .args(["-CAfile", ca.to_str().unwrap(), "-verify_hostname", "localhost"])
            .args(extra)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, text) = s_client(&["-tls1_3"]);
    assert!(good && text.contains("TLSv1.3") && text.contains("Verification: OK"), "{text}");
    assert!(!text.contains("Post-Handshake New Session Ticket"), "{text}");
    for old in ["-tls1_2", "-tls1_1"] {
        let (good, text) = s_client(&[old]);
        assert!(!good, "{old}: {text}");
    }
    // Plain HTTP gets nothing.
    let mut plain = tokio::net::TcpStream::connect(platform.address).await.unwrap();
    plain.write_all(b"GET /v1/versions HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let curl = Command::new("curl")
        .args(["-sS", "--cacert", ca.to_str().unwrap()])
        .arg(format!("https://localhost:{}/v1/versions", platform.address.port()))
        .output()
        .unwrap();
    assert!(curl.status.success() && curl.stdout.starts_with(b"{\"versions\":[\"v1\"]"), "{curl:?}");
}

#[tokio::test]
async fn bodies_and_heads_have_limits() {
    let platform = Platform::start();
    let client = platform.client();
    let agent = Agent::register(&platform).await;
    let json = |size: usize| {
        let mut request = request("POST", "/v1/registrations", vec![b' '; size]);
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        request
    };
    client.send(json(1 << 20)).await.refused(400, "INVALID_ARGUMENT");
    client.send(json((1 << 20) + 1)).await.refused(413, "TOO_LARGE");
    // An answer arrives even when the client is still sending much more.
    for size in [5 << 20, 40 << 20] {
        client.send(json(size)).await.refused(413, "TOO_LARGE");
        let text = octets("PUT", &agent.inbox("m"), vec![b'x'; size]);
        agent.client.send(text).await.refused(422, "CONTENT_REFUSED");
    }
    let mut untyped = json(2);
    untyped.headers_mut().remove("content-type");
    client.send(untyped).await.refused(415, "UNSUPPORTED_MEDIA_TYPE");
    let mut huge = request("GET", "/v1/versions", Body::empty());
    huge.headers_mut().insert("x", "x".repeat(60_000).parse().unwrap());
    assert_eq!(client.send(huge).await.status, 431);
    client.get("/v1/nothing").await.refused(404, "NOT_FOUND");
    client.get("/").await.refused(404, "NOT_FOUND");
    client.delete("/v1/versions").await.refused(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn connections_and_registrations_are_capped() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\nconnections_per_address = 3\nregistrations_per_minute = 2\n",
        ..Options::default()
    });
    let client = platform.client();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(client.tls().await.unwrap());
    }
    assert!(client.tls().await.is_err());
    drop(open);
    until(async || client.tls().await.is_ok()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    for status in [201, 201, 429] {
        let reply = Draft::new(ParticipantKind::Patient).begin(&client).await.expect(status);
        assert!(status != 429 || reply.headers.contains_key("retry-after"));
    }
    client.get("/v1/versions").await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_running_requests_finish() {
    let mut platform = Platform::start();
    let agent = Agent::register(&platform).await;
    let idle = agent.client.open().await.unwrap();
    let content = stream(2 << 20, agent.draft.root.public_key());
    let length = content.len();
    let (first, rest) = (content[..1 << 20].to_vec(), content[1 << 20..].to_vec());
    let pieces = futures_util::stream::iter([first]).chain(futures_util::stream::once(async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        rest
    }));
    let body = Body::from_stream(pieces.map(Ok::<_, std::io::Error>));
    let upload = octets("PUT", &agent.inbox("m"), body);
    let client = agent.client.clone();
    let running = tokio::spawn(async move { client.send(upload).await });
    let incoming = platform.root().join("serve/data/incoming");
    until(async || std::fs::read_dir(&incoming).unwrap().count() == 1).await;
    let started = Instant::now();
    let serve = std::thread::scope(|scope| scope.spawn(|| platform.serve().terminate()).join().unwrap());
    let reply = running.await.unwrap().expect(201);
    assert!(reply.json()["expire_time"].is_string());
    assert_eq!(serve.0, Some(0), "{}", serve.1);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(idle);
    assert!(agent.client.tls().await.is_err());

    platform.start_serve();
    let client = agent.client.at(platform.address);
    client.publish(&agent.inbox("m")).await.expect(200);
    let listed = client.get("/v1/inbox").await.expect(200).json();
    assert_eq!(listed["messages"][0]["size"], length);
}

/// Waits for something that comes to be true, at most 20 seconds.
#[tokio::test]
async fn the_log_names_no_one() {
    let mut platform = Platform::start();
    let (from, to) = (Agent::register(&platform).await, Agent::register(&platform).await);
    let secret = "Befund-Mustermann";
    let content = envelope(b"x", to.draft.root.public_key());
    from.client.deposit(&to.inbox(secret), content).await;
    from.client.put_octets(&to.inbox(&format!("{secret}-2")), secret).await.refused(422, "CONTENT_REFUSED");
    to.client.get(&format!("/v1/inbox/{secret}")).await.expect(200);
    to.client.get(&format!("/v1/inbox?after=1&{secret}=1")).await.expect(400);
    to.client.delete(&format!("/v1/inbox/{secret}")).await.expect(204);
    from.client.get(&format!("/v1/users/{}", to.uid())).await.expect(200);
    from.client.get(&format!("/v1/{secret}")).await.expect(404);
    from.client.send(request(secret, "/v1/versions", Body::empty())).await;
    let body = json!({ "kind": secret, secret: secret });
    from.client.post("/v1/registrations", &body).await.expect(400);
    let (code, log) = platform.serve().terminate();
    assert_eq!(code, Some(0));
    let ids = [from.uid().to_string(), to.uid().to_string(), from.draft.registration.clone()];
    for private in ids.iter().map(String::as_str).chain([secret, "127.0.0.1:"]) {
        let lines: Vec<_> = log.lines().filter(|line| line.contains(private)).collect();
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.contains("listening")).collect();
        assert!(lines.is_empty(), "{private}: {lines:?}");
    }
    // The control: what it is to say, it says.
    for said in [
        "method=\"PUT\" route=\"/v1/inboxes/{uid}/messages/{message_id}\" status=201",
        "method=\"GET\" route=\"/v1/inbox/{message_id}\" status=200",
        "method=\"OTHER\"",
        "route=\"-\" status=404",
        "milliseconds=",
        "received=",
    ] {
        assert!(log.contains(said), "{said} is not in {log}");
    }
}

#[tokio::test]
async fn processes_keep_to_their_folders_and_out_of_each_others_way() {
    let mut platform = Platform::start();
    let root = platform.root();
    for (folder, mode) in
        [("ca", 0o700), ("serve", 0o700), ("ca-socket", 0o700), ("ca-socket/ca.sock", 0o600)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(root.join(folder)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{folder}");
    }
    // A second one of either is refused and does no harm.
    let again = platform.command(&["serve"], &["--listen", "127.0.0.1:0"]);
    assert_eq!(again.status.code(), Some(78), "{}", String::from_utf8_lossy(&again.stderr));
    let again = platform.command(&["ca"], &[]);
    assert_eq!(again.status.code(), Some(78), "{}", String::from_utf8_lossy(&again.stderr));
    let again = platform.command(&["init"], &[]);
    assert_eq!(again.status.code(), Some(78), "{}", String::from_utf8_lossy(&again.stderr));
    Agent::register(&platform).await;

    // `serve` never needs the CA's folder, nor the CA `serve`'s.
    platform.kill_serve();
    platform.stop_ca();
    std::fs::rename(root.join("ca"), root.join("ca-away")).unwrap();
    platform.start_serve();
    platform.client().get("/v1/crl").await.expect(200);
    platform.kill_serve();
    std::fs::rename(root.join("ca-away"), root.join("ca")).unwrap();
    std::fs::rename(root.join("serve"), root.join("serve-away")).unwrap();
    std::fs::rename(root.join("public"), root.join("public-away")).unwrap();
    // The socket of the CA that was killed is taken over.
    platform.start_ca();
    std::fs::rename(root.join("serve-away"), root.join("serve")).unwrap();
    std::fs::rename(root.join("public-away"), root.join("public")).unwrap();
    platform.start_serve();
    Agent::register(&platform).await;
}

#[tokio::test]
async fn a_read_only_folder_is_said_at_the_start() {
    let mut platform = Platform::start();
    platform.kill_serve();
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && exec "$0" serve --dir "$1""#;
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", script, support::platform::BINARY])
        .arg(platform.root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("mount:") || said.contains("unshare:") {
        support::platform::skipped("no right to mount here");
    } else {
        assert_eq!(output.status.code(), Some(74), "{said}");
    }
    assert!(output.stdout.is_empty());
    platform.start_serve();
    platform.client().get("/v1/versions").await.expect(200);
}

#[tokio::test]
async fn the_tls_certificate_can_be_renewed() {
    let mut platform = Platform::start();
    let file = platform.root().join("serve/tls.der");
    let before = std::fs::read(&file).unwrap();
    let renewed = platform.command(&["renew"], &["--name", "localhost", "platform.example"]);
    assert!(renewed.status.success(), "{}", String::from_utf8_lossy(&renewed.stderr));
    assert_ne!(std::fs::read(&file).unwrap(), before);
    // Without names it keeps those.
    let before = std::fs::read(&file).unwrap();
    assert!(platform.command(&["renew"], &[]).status.success());
    assert_ne!(std::fs::read(&file).unwrap(), before);
    let bad = platform.command(&["renew"], &["--name", "not a name"]);
    assert_eq!(bad.status.code(), Some(78), "{}", String::from_utf8_lossy(&bad.stderr));
    platform.kill_serve();
    platform.start_serve();
    platform.client().get("/v1/versions").await.expect(200);
    let to =
        ["--resolve", &format!("platform.example:{}:127.0.0.1", platform.address.port())].map(str::to_owned);
    let curl = Command::new("curl")
        .args(["-sS", "--cacert", platform.server_root_pem().to_str().unwrap()])
        .args(to)
        .arg(format!("https://platform.example:{}/v1/versions", platform.address.port()))
        .output()
        .unwrap();
    assert!(curl.status.success(), "{}", String::from_utf8_lossy(&curl.stderr));
}

#[tokio::test]
async fn configuration_is_checked() {
    let platform = Platform::start();
    let good = platform.command(&["serve"], &["--check-config"]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let good = platform.command(&["ca"], &["--check-config"]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let file = platform.root().join("platform.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    for (bad, what) in [
        ("lisen = 1\n", "lisen"),
        ("listen = \"nowhere\"\n", "listen"),
        ("[limits]\nconnections = 0\n", "limits.connections"),
        ("[log]\nlevel = \"a=b=c\"\n", "log.level"),
        ("[", "platform.toml"),
    ] {
        std::fs::write(&file, bad).unwrap();
        let output = platform.command(&["serve"], &["--check-config"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(what), "{said}");
    }
    std::fs::write(&file, text).unwrap();
    std::fs::write(platform.root().join("serve/tls.key"), b"damaged").unwrap();
    assert_eq!(platform.command(&["serve"], &["--check-config"]).status.code(), Some(78));
    assert_eq!(platform.command(&["serve"], &["--no-such-option"]).status.code(), Some(64));
    let nowhere = Command::new(support::platform::BINARY).args(["serve", "--dir", "/nonexistent"]).output();
    assert_eq!(nowhere.unwrap().status.code(), Some(74));
}

#[tokio::test]
async fn certificates_are_judged_only_so_often() {
    let platform = Platform::start_with(&Options {
        config: "[limits]\nrequests_per_second = 2\n",
        ..Options::default()
    });
    let agent = Agent::register(&platform).await;
    // A certificate that does not count uses up what its address has; on one connection, as an attacker would.
    let bad = agent.client_with(&platform, "SIGNATURE", &agent.draft.signature);
    let mut good = agent.client.open().await.unwrap();
    let me = || request("GET", "/v1/me", Body::empty());
    support::client::send(&mut good, me()).await.unwrap().expect(200);
    let mut connection = bad.open().await.unwrap();
    let mut limited = false;
    for _ in 0..30 {
        let reply = support::client::send(&mut connection, me()).await.unwrap();
        limited |= reply.reason() == "RATE_LIMITED";
    }
    assert!(limited);
    // Whoever was known before goes on.
    for _ in 0..30 {
        support::client::send(&mut good, me()).await.unwrap().expect(200);
    }
}
