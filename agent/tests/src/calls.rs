//! Api.Call with everything in memory.

use bytes::Bytes;
use life_proto::v1::{self, call_request::Message as Ask, call_response::Message as Reply};
use tonic::Status;

use crate::agent::Clients;
use crate::users::User;

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its head.
    pub head: v1::CallAnswer,
    /// Its body.
    pub body: Vec<u8>,
    /// What came last.
    pub result: v1::CallResult,
}

impl Answered {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.iter().find(|header| header.name == name).map(|header| header.value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A header without anything else.
#[must_use]
pub fn header(user: &User, method: &str, path: &str) -> v1::CallHeader {
    v1::CallHeader {
        user: user.name.clone(),
        method: method.to_owned(),
        path: path.to_owned(),
        ..Default::default()
    }
}

/// Api.Call over a whole body.
///
/// # Errors
/// The status of the call.
pub async fn call(clients: &mut Clients, header: v1::CallHeader, body: &[u8]) -> Result<Answered, Status> {
    let chunks = crate::streams::chunks(body, 1 << 20);
    call_with(clients, header, tokio_stream::iter(chunks)).await
}

/// Api.Call over a body that comes in chunks.
///
/// # Errors
/// The status of the call.
pub async fn call_with(
    clients: &mut Clients,
    header: v1::CallHeader,
    chunks: impl tokio_stream::Stream<Item = Bytes> + Send + 'static,
) -> Result<Answered, Status> {
    use tokio_stream::StreamExt;
    let messages = tokio_stream::once(Ask::Header(header))
        .chain(chunks.map(Ask::Chunk))
        .map(|message| v1::CallRequest { message: Some(message) });
    let mut replies = clients.api.call(messages).await?.into_inner();
    let (mut head, mut body) = (None, Vec::new());
    while let Some(reply) = replies.message().await? {
        match reply.message {
            Some(Reply::Answer(answer)) => assert!(head.replace(answer).is_none(), "two heads"),
            Some(Reply::Chunk(chunk)) => {
                assert!(head.is_some() && !chunk.is_empty(), "a chunk out of order");
                body.extend_from_slice(&chunk);
            }
            Some(Reply::Result(result)) => {
                assert!(replies.message().await?.is_none(), "nothing follows the result");
                assert_eq!(result.size, body.len() as u64);
                return Ok(Answered { head: head.unwrap(), body, result });
            }
            None => panic!("an empty reply"),
        }
    }
    Err(Status::internal("the stream ended without a result"))
}
