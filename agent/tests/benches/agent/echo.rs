//! The peer: a plain tonic server over a Unix socket that gives every chunk back, with the agent's transport settings.
//!
//! It runs in a process of its own (this executable again, with an argument), as the agent does.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::agent::{Clients, channel};
use life_e2e::process::{Process, eventually};
use life_proto::v1;
use tempfile::TempDir;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use v1::agent_server::{Agent, AgentServer};
use v1::crypto_server::{Crypto, CryptoServer};

/// The argument that makes this executable the echo.
pub const ARGUMENT: &str = "--echo";

/// A running echo.
pub struct Server {
    dir: TempDir,
    _process: Process,
}

impl Server {
    /// Starts the echo and waits until it listens.
    pub fn start() -> Self {
        let dir = TempDir::with_prefix("life-echo-").unwrap();
        let socket = dir.path().join("echo.sock");
        let child = Command::new(std::env::current_exe().unwrap())
            .arg(ARGUMENT)
            .arg(&socket)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process::new(child);
        eventually("the echo listens", Duration::from_secs(5), || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        Self { dir, _process: process }
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("echo.sock")
    }

    /// A client of it.
    pub async fn client(&self) -> Clients {
        Clients::over(channel(self.socket()).await)
    }
}

/// Serves until killed.
pub async fn serve(socket: &Path) {
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener).map(|stream| {
        stream.inspect(|stream| {
            rustix::net::sockopt::set_socket_send_buffer_size(stream, 1 << 20).unwrap();
            rustix::net::sockopt::set_socket_recv_buffer_size(stream, 1 << 20).unwrap();
        })
    });
    let limit = 4 << 20;
    tonic::transport::Server::builder()
        .max_frame_size(256 * 1024)
        .initial_stream_window_size(2 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(AgentServer::new(Echo))
        .add_service(
            CryptoServer::new(Echo).max_decoding_message_size(limit).max_encoding_message_size(limit),
        )
        .serve_with_incoming(incoming)
        .await
        .unwrap();
}

struct Echo;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Refuses what nobody measures.
macro_rules! unmeasured {
    ($($name:ident($ask:ty) -> $answer:ty;)*) => {$(
        fn $name<'a: 'b, 'b>(
            &'a self,
            _: Request<$ask>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<$answer>, Status>> + Send + 'b>>
        where
            Self: 'b,
        {
            Box::pin(async { Err(Status::unimplemented("an echo")) })
        }
    )*};
}

#[tonic::async_trait]
impl Agent for Echo {
    type WatchEventsStream = Answers<v1::WatchEventsResponse>;

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        Ok(Response::new(v1::GetStatusResponse::default()))
    }

    unmeasured! {
        watch_events(v1::WatchEventsRequest) -> Self::WatchEventsStream;
        lock(v1::LockRequest) -> v1::LockResponse;
    }
}

#[tonic::async_trait]
impl Crypto for Echo {
    type EncryptStreamStream = Answers<v1::EncryptStreamResponse>;
    type DecryptStreamStream = Answers<v1::DecryptStreamResponse>;

    async fn encrypt_stream(
        &self,
        request: Request<Streaming<v1::EncryptStreamRequest>>,
    ) -> Result<Response<Self::EncryptStreamStream>, Status> {
        use v1::encrypt_stream_request::Message as Ask;
        use v1::encrypt_stream_response::Message as Answer;
        let mut hash = None;
        let answers = request.into_inner().filter_map(move |ask| match ask {
            Ok(v1::EncryptStreamRequest { message: Some(Ask::Chunk(chunk)) }) => {
                if hash.unwrap_or(false) {
                    std::hint::black_box(life_envelope::stream::segment_digest(&chunk));
                }
                Some(Ok(v1::EncryptStreamResponse { message: Some(Answer::Chunk(chunk)) }))
            }
            // The header says whether to hash as well: that is what the signed streams are compared with.
            Ok(v1::EncryptStreamRequest { message: Some(Ask::Header(header)) }) => {
                hash = Some(header.signing() == v1::Signing::Sign);
                None
            }
            Ok(_) => None,
            Err(status) => Some(Err(status)),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    unmeasured! {
        encrypt(v1::EncryptRequest) -> v1::EncryptResponse;
        decrypt(v1::DecryptRequest) -> v1::DecryptResponse;
        sign(v1::SignRequest) -> v1::SignResponse;
        verify(v1::VerifyRequest) -> v1::VerifyResponse;
        decrypt_stream(Streaming<v1::DecryptStreamRequest>) -> Self::DecryptStreamStream;
        sign_stream(Streaming<v1::SignStreamRequest>) -> v1::SignStreamResponse;
        verify_stream(Streaming<v1::VerifyStreamRequest>) -> v1::VerifyStreamResponse;
        get_receipt(v1::GetReceiptRequest) -> v1::GetReceiptResponse;
        share(v1::ShareRequest) -> v1::ShareResponse;
    }
}
