//! What the layer before every service does, seen from outside: unknown methods, reflection, health, limits, and
//! reasons for what the transport itself refuses.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use http::uri::PathAndQuery;
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1;
use tonic::codec::Codec;
use tonic::{Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// Calls any path with any message.
async fn call<M: prost::Message + Default + 'static>(
    agent: &Agent,
    path: &str,
    message: M,
) -> Result<(), Status> {
    let mut grpc = tonic::client::Grpc::new(agent.channel().await).max_encoding_message_size(usize::MAX);
    grpc.ready().await.unwrap();
    let mut codec = life_proto::codec::Codec::<M, v1::GetStatusRequest>::default();
    let _ = codec.encoder();
    grpc.unary(Request::new(message), path.parse::<PathAndQuery>().unwrap(), codec).await.map(drop)
}

#[tokio::test]
async fn unknown_methods_and_messages_have_reasons() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    for path in ["/life.agent.v1.Crypto/SignHash", "/life.agent.v1.Apps/Grant", "/x/y"] {
        let refused = call(&agent, path, v1::GetStatusRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unimplemented);
        assert_eq!(refused.reason(), "UNIMPLEMENTED", "{path}");
    }
    // A field of another type than the contract's.
    let wrong = prost_types::Timestamp { seconds: 7, nanos: 7 };
    assert_eq!(call(&agent, "/life.agent.v1.Crypto/Sign", wrong).await.reason(), "INVALID_ARGUMENT");
    // Beyond what the transport takes in one message.
    let huge = v1::SignRequest { content: vec![0; 18 << 20].into(), ..Default::default() };
    let refused = call(&agent, "/life.agent.v1.Crypto/Sign", huge).await.unwrap_err();
    assert_eq!(refused.reason(), "MESSAGE_TOO_LARGE");
    assert!(refused.message().contains("SignStream"), "{}", refused.message());
}

#[tokio::test]
async fn reflection_and_health_answer() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut health = tonic_health::pb::health_client::HealthClient::new(agent.channel().await);
    for service in ["", "life.agent.v1.Crypto", "life.agent.v1.Agent"] {
        let ask = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let status = health.check(ask).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let mut reflection = tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(
        agent.channel().await,
    );
    let ask = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::iter([ask])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services");
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["Agent", "Accounts", "Credentials", "Crypto", "Directory", "Messages"] {
        assert!(names.contains(&format!("life.agent.v1.{service}").as_str()), "{names:?}");
    }
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_and_status_is_not() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[limits]\nmax_calls = 1\n");
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, v1::ParticipantKind::Patient).await;
    let (messages, stream) = tokio::sync::mpsc::channel(1);
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let message = Some(v1::encrypt_stream_request::Message::Header(header));
    messages.send(v1::EncryptStreamRequest { message }).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let running = clients.crypto.encrypt_stream(stream).await.unwrap();

    let sign = v1::SignRequest { user: user.name.clone(), ..Default::default() };
    assert_eq!(clients.crypto.sign(sign.clone()).await.reason(), "RESOURCE_EXHAUSTED");
    clients.status().await;
    // The place is free again as soon as the stream is dropped.
    drop((running, messages));
    let freed = async {
        while clients.crypto.sign(sign.clone()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), freed).await.unwrap();
}
