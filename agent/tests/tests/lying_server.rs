//! A server that holds the platform's TLS key and answers nonsense: every call ends in time, with a stable reason.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use v1::ParticipantKind;

/// How the server answers whatever it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    BadJson,
    ClosesAtOnce,
    ClosesInTheMiddle,
    EndlessBody,
    EndlessHeader,
    HugeJson,
    Nothing,
    NotFoundForEverything,
    Redirect,
    ServerError,
    TooManyRequests,
    WrongType,
}

const ALL: &[Answer] = &[
    Answer::BadJson,
    Answer::ClosesAtOnce,
    Answer::ClosesInTheMiddle,
    Answer::EndlessBody,
    Answer::EndlessHeader,
    Answer::HugeJson,
    Answer::Nothing,
    Answer::NotFoundForEverything,
    Answer::Redirect,
    Answer::ServerError,
    Answer::TooManyRequests,
    Answer::WrongType,
];

type Stream = TlsStream<tokio::net::TcpStream>;

/// Reads one request's head; nothing when the client went away.
async fn request(stream: &mut Stream) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(())
}

async fn say(stream: &mut Stream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

async fn answer(stream: &mut Stream, how: Answer) -> Option<()> {
    request(stream).await?;
    let json = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match how {
        Answer::BadJson => say(stream, &json("200 OK", "{\"uid\":")).await,
        Answer::ClosesAtOnce => None,
        Answer::ClosesInTheMiddle => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"uid\"").await?;
            None
        }
        Answer::EndlessBody => {
            say(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            )
            .await?;
            let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
            loop {
                say(stream, &chunk).await?;
            }
        }
        Answer::EndlessHeader => {
            say(stream, "HTTP/1.1 200 OK\r\n").await?;
            loop {
                say(stream, &format!("x-{0}: {0}\r\n", "y".repeat(1000))).await?;
            }
        }
        Answer::HugeJson => {
            let body = format!("{{\"uid\":\"{}\"}}", "x".repeat(40 << 20));
            say(stream, &json("200 OK", &body)).await
        }
        Answer::Nothing => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            None
        }
        Answer::NotFoundForEverything => say(stream, &json("404 Not Found", "{}")).await,
        Answer::Redirect => say(
            stream,
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: https://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        )
        .await,
        Answer::ServerError => say(stream, &json("500 Internal Server Error", "<html>")).await,
        Answer::TooManyRequests => say(stream, &json("429 Too Many Requests", "{}")).await,
        Answer::WrongType => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>").await
        }
    }
}

/// Listens where the platform listened, with its key and certificate.
async fn serve(platform: &Platform, how: Answer) -> tokio::task::JoinHandle<()> {
    let file = |name: &str| std::fs::read(platform.dir().join("serve").join(name)).unwrap();
    let certificate = CertificateDer::from(file("tls.der"));
    let key = PrivateKeyDer::try_from(file("tls.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let address = platform.origin.strip_prefix("https://").unwrap().to_owned();
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                while answer(&mut stream, how).await.is_some() {}
            });
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_ends_every_call_in_time() {
    let mut platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let other = User::register(&mut clients, ParticipantKind::Patient).await;
    let look = v1::LookupUserRequest { name: other.name.clone(), caller: reader.name.clone() };
    let pid = clients.status().await.broker.unwrap().pid;
    let (_, before) = life_e2e::process::memory_kib(pid);
    for &how in ALL {
        platform.kill_serve();
        let server = serve(&platform, how).await;
        let start = Instant::now();
        let allowed = ["PLATFORM_UNAVAILABLE", "PLATFORM_UNTRUSTED", "PLATFORM_REFUSED"];
        let reason = clients.directory.lookup_user(look.clone()).await.reason();
        let not_found = how == Answer::NotFoundForEverything && reason == "RECIPIENT_NOT_FOUND";
        assert!(allowed.contains(&reason.as_str()) || not_found, "{how:?}: {reason}");
        let reason = users::unlock(&mut clients, other.unlock_request()).await.reason();
        assert!(allowed.contains(&reason.as_str()) || reason == "CREDENTIAL_UNTRUSTED", "{how:?}: {reason}");
        let list = v1::ListMessagesRequest { user: reader.name.clone(), ..Default::default() };
        let reason = clients.messages.list(list).await.reason();
        assert!(allowed.contains(&reason.as_str()), "{how:?}: {reason}");
        assert!(start.elapsed() < Duration::from_secs(150), "{how:?} took {:?}", start.elapsed());
        server.abort();
        let _ = server.await;
    }
    let (_, after) = life_e2e::process::memory_kib(pid);
    assert!(after < before + 96 * 1024, "memory went from {before} to {after} KiB");
    // What needs no platform works all along.
    let sign = v1::SignRequest { user: reader.name.clone(), content: b"x".to_vec().into(), form: 0 };
    clients.crypto.sign(sign).await.unwrap();
}
