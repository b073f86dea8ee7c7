//! Streaming calls with everything in memory.

use bytes::Bytes;
use life_proto::v1;
use tonic::Status;

use crate::agent::Clients;

/// Cuts bytes into chunks of at most a size.
pub fn chunks(bytes: &[u8], size: usize) -> impl Iterator<Item = Bytes> + Send + 'static {
    bytes.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>().into_iter()
}

/// EncryptStream over a whole plaintext.
///
/// # Errors
/// The status of the call.
pub async fn encrypt(
    clients: &mut Clients,
    header: v1::EncryptStreamHeader,
    plaintext: &[u8],
) -> Result<(Vec<u8>, v1::EncryptStreamResult), Status> {
    use v1::encrypt_stream_request::Message as Ask;
    use v1::encrypt_stream_response::Message as Answer;
    let messages = std::iter::once(Ask::Header(header))
        .chain(chunks(plaintext, 1 << 20).map(Ask::Chunk))
        .map(|message| v1::EncryptStreamRequest { message: Some(message) });
    let mut answers = clients.crypto.encrypt_stream(tokio_stream::iter(messages)).await?.into_inner();
    let mut sealed = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Answer::Chunk(chunk)) => sealed.extend_from_slice(&chunk),
            Some(Answer::Result(result)) => {
                assert!(answers.message().await?.is_none(), "nothing follows the result");
                return Ok((sealed, result));
            }
            None => panic!("an empty answer"),
        }
    }
    Err(Status::internal("the stream ended without a result"))
}

/// DecryptStream over a whole sealed stream or envelope.
///
/// # Errors
/// The status of the call, with what had been released before it.
pub async fn decrypt(
    clients: &mut Clients,
    header: v1::DecryptStreamHeader,
    sealed: &[u8],
) -> Result<(Vec<u8>, v1::DecryptStreamResult), (Status, Vec<u8>)> {
    use v1::decrypt_stream_request::Message as Ask;
    use v1::decrypt_stream_response::Message as Answer;
    let messages = std::iter::once(Ask::Header(header))
        .chain(chunks(sealed, 1 << 20).map(Ask::Chunk))
        .map(|message| v1::DecryptStreamRequest { message: Some(message) });
    let mut released = Vec::new();
    let mut answers = match clients.crypto.decrypt_stream(tokio_stream::iter(messages)).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Err((status, released)),
    };
    loop {
        match answers.message().await {
            Ok(Some(v1::DecryptStreamResponse { message: Some(Answer::Chunk(chunk)) })) => {
                released.extend_from_slice(&chunk);
            }
            Ok(Some(v1::DecryptStreamResponse { message: Some(Answer::Result(result)) })) => {
                return Ok((released, result));
            }
            Ok(Some(_)) => panic!("an empty answer"),
            Ok(None) => return Err((Status::internal("the stream ended without a result"), released)),
            Err(status) => return Err((status, released)),
        }
    }
}

/// SignStream over a whole content.
///
/// # Errors
/// The status of the call.
pub async fn sign(
    clients: &mut Clients,
    user: &str,
    content: &[u8],
) -> Result<v1::SignStreamResponse, Status> {
    use v1::sign_stream_request::Message as Ask;
    let messages = std::iter::once(Ask::Header(v1::SignStreamHeader { user: user.to_owned() }))
        .chain(chunks(content, 1 << 20).map(Ask::Chunk))
        .map(|message| v1::SignStreamRequest { message: Some(message) });
    Ok(clients.crypto.sign_stream(tokio_stream::iter(messages)).await?.into_inner())
}

/// VerifyStream over a whole content.
///
/// # Errors
/// The status of the call.
pub async fn verify(
    clients: &mut Clients,
    header: v1::VerifyStreamHeader,
    content: &[u8],
) -> Result<v1::VerifyStreamResponse, Status> {
    use v1::verify_stream_request::Message as Ask;
    let messages = std::iter::once(Ask::Header(header))
        .chain(chunks(content, 1 << 20).map(Ask::Chunk))
        .map(|message| v1::VerifyStreamRequest { message: Some(message) });
    Ok(clients.crypto.verify_stream(tokio_stream::iter(messages)).await?.into_inner())
}

/// Messages.Send over a whole plaintext.
///
/// # Errors
/// The status of the call.
pub async fn send(
    clients: &mut Clients,
    header: v1::SendHeader,
    plaintext: &[u8],
) -> Result<v1::SendResponse, Status> {
    use v1::send_request::Message as Ask;
    let messages = std::iter::once(Ask::Header(header))
        .chain(chunks(plaintext, 1 << 20).map(Ask::Chunk))
        .map(|message| v1::SendRequest { message: Some(message) });
    Ok(clients.messages.send(tokio_stream::iter(messages)).await?.into_inner())
}

/// Messages.Receive into memory.
///
/// # Errors
/// The status of the call.
pub async fn receive(
    clients: &mut Clients,
    user: &str,
    message_id: &str,
) -> Result<(Vec<u8>, v1::ReceiveResult), Status> {
    use v1::receive_response::Message as Answer;
    let request = v1::ReceiveRequest {
        user: user.to_owned(),
        message_id: message_id.to_owned(),
        allow_unverified_sender: false,
    };
    let mut answers = clients.messages.receive(request).await?.into_inner();
    let mut plaintext = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Answer::Chunk(chunk)) => plaintext.extend_from_slice(&chunk),
            Some(Answer::Result(result)) => return Ok((plaintext, result)),
            None => panic!("an empty answer"),
        }
    }
    Err(Status::internal("the stream ended without a result"))
}
