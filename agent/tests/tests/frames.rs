//! gRPC frames that lie about themselves, over real HTTP/2: each call ends with a status, and the agent stays well.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::{Agent, Platform};
use tonic::body::Body;
use tonic::codegen::http::{Request, header};
use tower::{Service, ServiceExt};

/// Sends a request body as it stands and returns the `grpc-status` that comes back.
async fn call(agent: &Agent, path: &str, body: Vec<u8>) -> String {
    let mut channel = agent.channel().await;
    let request = Request::post(format!("http://agent.invalid{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Body::new(http_body_util::Full::new(bytes::Bytes::from(body))))
        .unwrap();
    let exchange = async {
        let answer = channel.ready().await.unwrap().call(request).await.unwrap();
        let status = answer.headers().get("grpc-status").cloned();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap();
        let status = status.or_else(|| body.trailers().and_then(|t| t.get("grpc-status").cloned()));
        status.map_or_else(String::new, |status| status.to_str().unwrap().to_owned())
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await.expect("the call hangs")
}

fn frame(compressed: u8, length: u32, body: &[u8]) -> Vec<u8> {
    [&[compressed][..], &length.to_be_bytes(), body].concat()
}

#[tokio::test]
async fn lying_frames_end_with_a_status() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no frame", vec![]),
        ("half a prefix", vec![0, 0, 0]),
        ("a truncated message", frame(0, 100, b"short")),
        ("an absurd length", frame(0, u32::MAX, b"x")),
        ("a length over the limit", frame(0, 64 << 20, &[0; 1000])),
        ("a compressed message", frame(1, 4, b"\x1f\x8b\x08\0")),
        ("an unknown compression flag", frame(9, 1, b"x")),
        ("a message that is no protobuf", frame(0, 6, b"\xff\xff\xff\xff\xff\xff")),
        ("a field of the wrong type", frame(0, 2, b"\x08\x01")),
        ("a length inside that runs over the end", frame(0, 3, b"\x0a\x7fx")),
        ("a string that is no UTF-8", frame(0, 3, b"\x0a\x01\xff")),
        ("two messages in a unary call", [frame(0, 0, b""), frame(0, 0, b"")].concat()),
    ];
    for path in [
        "/life.agent.v1.Crypto/Encrypt",
        "/life.agent.v1.Crypto/EncryptStream",
        "/life.agent.v1.Credentials/Unlock",
    ] {
        for (what, body) in &cases {
            let status = call(&agent, path, body.clone()).await;
            assert!(!status.is_empty() && status != "0", "{path}, {what}: status {status:?}");
        }
    }
    let status = agent.clients().await.status().await;
    assert_eq!(status.vault_restarts, 0);
}
