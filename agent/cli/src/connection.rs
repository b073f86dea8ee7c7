//! Finding the agent's socket and speaking to it.

use std::env;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::Stream;
use hyper_util::rt::TokioIo;
use life_proto::framing::Chunked;
use life_proto::unframing::Piece;
use life_proto::v1::{
    accounts_client::AccountsClient, agent_client::AgentClient, api_client::ApiClient,
    credentials_client::CredentialsClient, crypto_client::CryptoClient, directory_client::DirectoryClient,
    documents_client::DocumentsClient, messages_client::MessagesClient,
};
use life_sys::peer::{credentials, own_uid};
use tokio::net::UnixStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::{Interceptor, interceptor::InterceptedService};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::bulk;
use crate::error::{Error, innermost};

/// The longest path of a Unix socket: `sun_path` without its closing zero.
const SOCKET_PATH_LIMIT: usize = 107;
/// The environment variable that names the socket.
pub const SOCKET_VARIABLE: &str = "LIFE_AGENT_SOCKET";
/// The environment variable with this program's token.
const TOKEN_VARIABLE: &str = "LIFE_APP_TOKEN";

// What makes bulk streams fast over a Unix socket: large frames, windows for several chunks, room in the socket.
const FRAME: u32 = 256 * 1024;
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
const SOCKET_BUFFER: usize = 1024 * 1024;

/// How long an agent may take to answer at all.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A connection that names its caller.
pub type Transport = InterceptedService<Channel, Token>;

/// A connection to the agent.
#[derive(Clone)]
pub struct Connection {
    transport: Transport,
}

/// What this program calls itself: the token an app got when a person consented, if there is one.
#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert(life_proto::APP_TOKEN_KEY, token.clone());
        }
        Ok(request)
    }
}

impl Token {
    fn from_environment() -> Result<Self, Error> {
        let Some(text) = variable(TOKEN_VARIABLE) else {
            return Ok(Self(None));
        };
        let invalid =
            || Error::Config(format!("{TOKEN_VARIABLE} is no token: it has characters no token has"));
        let mut token: MetadataValue<Ascii> =
            text.to_str().and_then(|text| text.parse().ok()).ok_or_else(invalid)?;
        token.set_sensitive(true);
        Ok(Self(Some(token)))
    }
}

macro_rules! clients {
    ($($(#[$doc:meta])* $name:ident -> $client:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(&self) -> $client<Transport> {
            $client::new(self.transport.clone()).max_decoding_message_size(life_proto::MESSAGE_LIMIT)
        })*
    };
}

impl Connection {
    clients! {
        /// The service Accounts.
        accounts -> AccountsClient;
        /// The service Agent.
        agent -> AgentClient;
        /// The service Api.
        api -> ApiClient;
        /// The service Credentials.
        credentials -> CredentialsClient;
        /// The service Crypto.
        crypto -> CryptoClient;
        /// The service Directory.
        directory -> DirectoryClient;
        /// The service Documents.
        documents -> DocumentsClient;
        /// The service Messages.
        messages -> MessagesClient;
    }

    /// Makes one of the calls in [`bulk`].
    pub async fn bulk<A, B>(
        &self,
        path: &'static str,
        requests: impl Stream<Item = A> + Send + 'static,
    ) -> Result<impl Stream<Item = Result<Piece<B>, Status>> + Unpin, Status>
    where
        A: Chunked + Send + 'static,
        B: Chunked + Default + 'static,
    {
        bulk::call(self.transport.clone(), path, requests).await
    }

    /// Connects to an agent.
    ///
    /// Fails with [`Error::NotRunning`] when none answers, and with [`Error::Config`] for a path that no socket can
    /// have.
    pub async fn open(socket: &Path) -> Result<Self, Error> {
        check_path(socket)?;
        let token = Token::from_environment()?;
        let not_running = |why: String| Error::NotRunning { socket: socket.to_owned(), why };
        let stream = UnixStream::connect(socket).await.map_err(|error| not_running(plain(&error)))?;
        // Before a word is said: requests carry passphrases and content.
        check_peer(&stream).map_err(|error| not_running(plain(&error)))?;
        // Best effort: a socket with smaller buffers is slower, no more.
        let _slower = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SOCKET_BUFFER);
        let _slower = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, SOCKET_BUFFER);
        let once = Arc::new(Mutex::new(Some(TokioIo::new(stream))));
        let connector = tower::service_fn(move |_| {
            let stream = once.lock().ok().and_then(|mut stream| stream.take());
            async { stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset)) }
        });
        let channel = Endpoint::from_static("http://life.agent")
            .max_frame_size(FRAME)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .connect_timeout(CONNECT_TIME)
            .connect_with_connector(connector)
            .await
            .map_err(|error| not_running(innermost(&error)))?;
        Ok(Self { transport: InterceptedService::new(channel, token) })
    }
}

/// Refuses a socket that neither this user nor root listens on.
pub fn check_peer(socket: impl AsFd) -> io::Result<()> {
    if is_trusted(credentials(socket)?.uid, own_uid()) {
        return Ok(());
    }
    Err(io::ErrorKind::PermissionDenied.into())
}

fn is_trusted(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// Where the agent listens: `$LIFE_AGENT_SOCKET`, else `$XDG_RUNTIME_DIR/life/agent.sock`, else
/// `~/.life/run/agent.sock`.
pub fn default_socket() -> Result<PathBuf, Error> {
    if let Some(path) = variable(SOCKET_VARIABLE) {
        return Ok(path.into());
    }
    if let Some(folder) = variable("XDG_RUNTIME_DIR") {
        return Ok(PathBuf::from(folder).join("life/agent.sock"));
    }
    let folders = directories::BaseDirs::new();
    let folders = folders.ok_or_else(|| {
        Error::Config(format!("no home folder: say where the agent is, in {SOCKET_VARIABLE}"))
    })?;
    Ok(folders.home_dir().join(".life/run/agent.sock"))
}

/// Refuses a path that is too long for a socket, before the kernel cuts it off.
pub fn check_path(socket: &Path) -> Result<(), Error> {
    let length = socket.as_os_str().len();
    if length > SOCKET_PATH_LIMIT {
        return Err(Error::Config(format!(
            "the socket path {} has {length} bytes: a Unix socket's path can have {SOCKET_PATH_LIMIT}; choose a \
             shorter folder",
            socket.display()
        )));
    }
    Ok(())
}

/// An environment variable; an empty one counts as unset.
pub fn variable(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no socket".into(),
        io::ErrorKind::ConnectionRefused => "nothing listens on the socket".into(),
        io::ErrorKind::PermissionDenied => "the socket is another user's".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_exact() {
        let path = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        assert!(check_path(&path(107)).is_ok());
        assert!(matches!(check_path(&path(108)), Err(Error::Config(_))));
    }

    #[test]
    fn only_this_user_and_root_are_trusted() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000));
        assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0));
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        check_peer(one).unwrap();
    }

    #[tokio::test]
    async fn a_missing_agent_is_unavailable() {
        let error = Connection::open(Path::new("/nonexistent/agent.sock")).await.err().unwrap();
        assert_eq!(error.exit() as u8, 69);
        assert!(error.advice().is_some_and(|text| text.contains("life-agentd")));
    }
}
