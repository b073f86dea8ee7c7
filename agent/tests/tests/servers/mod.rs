//! A hand-written HTTPS server that behaves as the path says.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use life_e2e::Platform;
use life_e2e::dev::openssl;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

type Stream = TlsStream<TcpStream>;

/// What was counted of one path.
#[derive(Default)]
struct Count {
    asked: u32,
    completed: u32,
    open: u32,
}

type Counts = Arc<Mutex<HashMap<String, Count>>>;

/// A running server.
pub struct Hostile {
    /// `https://127.0.0.1:PORT`.
    pub origin: String,
    folder: TempDir,
    counts: Counts,
}

/// One request's head.
struct Head {
    path: String,
    asks: bool,
    chunked: bool,
    length: Option<usize>,
}

impl Hostile {
    /// Starts one with the platform's TLS key and certificate, on a port of its own.
    pub async fn start(platform: &Platform) -> Self {
        let file = |name: &str| std::fs::read(platform.dir().join("serve").join(name)).unwrap();
        let certificate = CertificateDer::from(file("tls.der"));
        let key = PrivateKeyDer::try_from(file("tls.key")).unwrap();
        let config = rustls::ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let folder = TempDir::with_prefix("life-hostile-").unwrap();
        let root = platform.dir().join("public/server-root.der").display().to_string();
        std::fs::write(folder.path().join("root.pem"), openssl(["x509", "-inform", "DER", "-in", &root]))
            .unwrap();
        let counts = Counts::default();
        let shared = counts.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, counts) = (acceptor.clone(), shared.clone());
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    while serve(&mut stream, &counts).await.is_some() {}
                });
            }
        });
        Self { origin, folder, counts }
    }

    /// The root of its certificate, PEM.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// How many requests it saw on a path.
    pub fn asked(&self, path: &str) -> u32 {
        self.counts.lock().unwrap().get(path).map_or(0, |count| count.asked)
    }

    /// How many whole bodies it saw on a path.
    pub fn completed(&self, path: &str) -> u32 {
        self.counts.lock().unwrap().get(path).map_or(0, |count| count.completed)
    }

    fn open(&self, path: &str) -> u32 {
        self.counts.lock().unwrap().get(path).map_or(0, |count| count.open)
    }

    /// Waits until one request on a path is under way.
    pub async fn one_open(&self, path: &str) {
        self.until(path, 1).await;
    }

    /// Waits until the connections of all requests on a path are gone.
    pub async fn all_closed(&self, path: &str) {
        self.until(path, 0).await;
    }

    async fn until(&self, path: &str, open: u32) {
        for _ in 0..2000 {
            if self.open(path) == open {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{path}: {} are open", self.open(path));
    }
}

async fn head(stream: &mut Stream) -> Option<Head> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.ok()?;
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).unwrap().to_ascii_lowercase();
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned()))
    };
    let head = Head {
        path: text.split(' ').nth(1).unwrap().to_owned(),
        asks: value("expect").is_some_and(|value| value == "100-continue"),
        chunked: value("transfer-encoding").is_some_and(|value| value == "chunked"),
        length: value("content-length").map(|value| value.parse().unwrap()),
    };
    assert!(!(head.chunked && head.length.is_some()), "two lengths: {text}");
    Some(head)
}

/// Reads a body to its end: how long it is.
async fn body(stream: &mut Stream, head: &Head) -> Option<usize> {
    if !head.chunked {
        let length = head.length.unwrap_or(0);
        let mut left = length;
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let most = buffer.len().min(left);
            match stream.read(&mut buffer[..most]).await.ok()? {
                0 => return None,
                count => left -= count,
            }
        }
        return Some(length);
    }
    let mut whole = 0;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await.ok()?);
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).await.ok()?;
        whole += size;
        if size == 0 {
            return Some(whole);
        }
    }
}

async fn say(stream: &mut Stream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// A whole answer; `more` are header lines, each ended.
async fn answer(stream: &mut Stream, status: u16, more: &str, body: &str) -> Option<()> {
    say(stream, &format!("HTTP/1.1 {status} X\r\n{more}content-length: {}\r\n\r\n{body}", body.len())).await
}

/// Ends the connection with a reset.
fn reset(stream: &Stream) {
    rustix::net::sockopt::set_socket_linger(stream.get_ref().0, Some(Duration::ZERO)).unwrap();
}

/// Answers one request; nothing when the connection is over.
async fn serve(stream: &mut Stream, counts: &Counts) -> Option<()> {
    let head = head(stream).await?;
    let asked = {
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(head.path.clone()).or_default();
        count.asked += 1;
        count.open += 1;
        count.asked
    };
    let served = behave(stream, &head, asked, counts).await;
    counts.lock().unwrap().get_mut(&head.path).unwrap().open -= 1;
    served
}

async fn behave(stream: &mut Stream, head: &Head, asked: u32, counts: &Counts) -> Option<()> {
    let busy = "retry-after: 0\r\n";
    match head.path.as_str() {
        "/plain" => answer(stream, 200, "", "ok").await,
        "/none" | "/none-post" | "/storm" => None,
        "/busy" | "/busy-put" if asked < 3 => {
            body(stream, head).await?;
            answer(stream, 503, busy, "busy").await
        }
        "/busy" | "/busy-put" => {
            body(stream, head).await?;
            answer(stream, 200, "", "at last").await
        }
        "/busy-post" | "/busy-large" => {
            if head.asks {
                say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            body(stream, head).await?;
            answer(stream, 503, busy, "busy").await
        }
        "/limited" if asked < 2 => answer(stream, 429, busy, "").await,
        "/limited" => answer(stream, 200, "", "").await,
        "/later" => answer(stream, 503, "retry-after: 3600\r\n", "").await,
        "/silent" => {
            let _closed = stream.read_u8().await;
            None
        }
        "/cut" => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await?;
            let _ = stream.shutdown().await;
            None
        }
        "/reset" => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf").await?;
            reset(stream);
            None
        }
        "/cut-chunks" => {
            say(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await?;
            let _ = stream.shutdown().await;
            None
        }
        // No close_notify: somebody else may have cut the connection.
        "/cut-eof" => {
            say(stream, "HTTP/1.1 200 OK\r\n\r\nhalf").await?;
            None
        }
        "/eof" => {
            say(stream, "HTTP/1.1 200 OK\r\n\r\nto the end").await?;
            let _ = stream.shutdown().await;
            None
        }
        "/chunks" => {
            let chunks = "7\r\nhello, \r\n5;x=y\r\nworld\r\n0\r\nset-cookie: a=b\r\n\r\n";
            say(stream, &format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}")).await
        }
        "/both" => {
            let both = "transfer-encoding: chunked\r\ncontent-length: 4\r\n";
            say(stream, &format!("HTTP/1.1 200 OK\r\n{both}\r\n4\r\nboth\r\n0\r\n\r\n")).await
        }
        "/two-lengths" => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nbothx").await
        }
        "/flood" => loop {
            say(stream, "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await?;
        },
        "/interim" => {
            say(stream, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n").await?;
            answer(stream, 200, "", "ok").await
        }
        "/huge" => {
            say(stream, "HTTP/1.1 200 OK\r\n").await?;
            loop {
                say(stream, &format!("x-{0}: {0}\r\n", "y".repeat(1000))).await?;
            }
        }
        "/many" => answer(stream, 200, &"link: </x>\r\n".repeat(80), "").await,
        "/garbage" => say(stream, "SSH-2.0-OpenSSH_9.2\r\n\r\n").await,
        "/switch" => {
            say(stream, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n").await
        }
        "/take-417" if head.asks => answer(stream, 417, "connection: close\r\n", "").await,
        "/take" | "/take-mute" | "/take-417" => {
            if head.asks && head.path == "/take" {
                say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let length = body(stream, head).await?;
            let form = if head.chunked { "chunked" } else { "sized" };
            let unasked = if head.asks || length > 1000 { "" } else { " unasked" };
            answer(stream, 200, "", &format!("{length} {form}{unasked}")).await
        }
        "/refuse" => {
            answer(stream, 401, "connection: close\r\n", "who are you").await?;
            let _closed = stream.read_u8().await;
            None
        }
        "/early" => {
            say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            let mut some = vec![0; 64 * 1024];
            stream.read_exact(&mut some).await.ok()?;
            answer(stream, 413, "", "enough").await?;
            while stream.read(&mut some).await.ok()? > 0 {}
            None
        }
        "/reset-upload" => {
            say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            stream.read_exact(&mut vec![0; 1 << 20]).await.ok()?;
            reset(stream);
            None
        }
        "/drip" => {
            say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
            loop {
                say(stream, "drip").await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        "/swallow" => {
            say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            body(stream, head).await?;
            counts.lock().unwrap().get_mut(&head.path).unwrap().completed += 1;
            None
        }
        path if path.starts_with("/wrong/") => {
            if head.asks {
                say(stream, "HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            body(stream, head).await?;
            counts.lock().unwrap().get_mut(path).unwrap().completed += 1;
            answer(stream, 200, "", "").await
        }
        path => panic!("{path}"),
    }
}
