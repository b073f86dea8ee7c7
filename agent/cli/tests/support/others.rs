//! The stage set's other services: Accounts, which registers somebody at once, and Messages, whose platform lies.

use std::pin::Pin;
use std::time::Duration;

use life_proto::v1;
use life_proto::v1::accounts_server::Accounts;
use life_proto::v1::messages_server::Messages;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::UID;
use super::agent::{Stage, refusal};

/// What the stage set gives out as a software certificate.
pub const CERTIFICATE: &[u8] = b"\x30\x80 a certificate \xff";

#[tonic::async_trait]
impl Accounts for Stage {
    type RegisterUserStream = Answers<v1::RegisterUserResponse>;

    /// Registers. A registration to resume says how to misbehave: `slow` takes a second and a half; an absolute path
    /// is made a folder meanwhile.
    async fn register_user(
        &self,
        request: Request<v1::RegisterUserRequest>,
    ) -> Result<Response<Self::RegisterUserStream>, Status> {
        let request = request.into_inner();
        match request.registration.as_str() {
            "slow" => tokio::time::sleep(Duration::from_millis(1500)).await,
            path if path.starts_with('/') => std::fs::create_dir(path)?,
            _ => {}
        }
        let user = v1::User { name: format!("users/{UID}"), uid: UID.into(), ..Default::default() };
        let registered = v1::RegisteredUser { user: Some(user), pkcs12: CERTIFICATE.into() };
        let step = Some(v1::register_user_response::Step::Registered(registered));
        let answers = tokio_stream::once(Ok(v1::RegisterUserResponse { step }));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_user(&self, _: Request<v1::GetUserRequest>) -> Result<Response<v1::User>, Status> {
        Err(refusal("CREDENTIAL_LOCKED"))
    }

    async fn list_credentials(
        &self,
        _: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        Err(refusal("CREDENTIAL_LOCKED"))
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a hostile platform would like a terminal to do, and a person to read.
pub const HOSTILE: &str = "\x1b]0;owned\x07\u{9b}2J\r\u{202e}evil\nlife: all is well";

#[tonic::async_trait]
impl Messages for Stage {
    type ReceiveStream = Answers<v1::ReceiveResponse>;
    type FetchStream = Answers<v1::FetchResponse>;

    async fn send(
        &self,
        _: Request<Streaming<v1::SendRequest>>,
    ) -> Result<Response<v1::SendResponse>, Status> {
        Ok(Response::new(v1::SendResponse { message_id: HOSTILE.into(), ..Default::default() }))
    }

    /// A list without end for the user of [`UID`]; one hostile message for everybody else.
    async fn list(
        &self,
        request: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        let request = request.into_inner();
        let message =
            v1::MessageInfo { message_id: HOSTILE.into(), depositor: HOSTILE.into(), ..Default::default() };
        let endless = request.user.ends_with(UID);
        let (messages, next_page_token) = match endless {
            true => (vec![message; request.page_size as usize], format!("{}x", request.page_token)),
            false => (vec![message], String::new()),
        };
        Ok(Response::new(v1::ListMessagesResponse { messages, next_page_token }))
    }

    async fn receive(&self, _: Request<v1::ReceiveRequest>) -> Result<Response<Self::ReceiveStream>, Status> {
        Err(Status::not_found(HOSTILE))
    }

    async fn fetch(&self, _: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        Err(refusal("MESSAGE_NOT_FOUND"))
    }

    async fn delete(
        &self,
        _: Request<v1::DeleteMessageRequest>,
    ) -> Result<Response<v1::DeleteMessageResponse>, Status> {
        Ok(Response::new(v1::DeleteMessageResponse {}))
    }
}
