//! nginx as a proxy that has a client certificate: plain HTTP over a Unix socket in front, connections to the upstream
//! kept alive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use life_e2e::dev::openssl;
use life_e2e::nginx::Nginx;
use life_e2e::process::{Process, eventually};
use tempfile::TempDir;

use crate::measure::{Client, Missing, connect, missing};

/// The upstream's answer, in bytes.
pub const SIZE: usize = 1024;
/// Where it is.
pub const PATH: &str = "/kib";

/// What the upstream has to serve; connections last.
pub fn location() -> String {
    format!(
        "keepalive_requests 100000000; location = {PATH} {{ access_log off; return 200 \"{}\"; }}",
        "x".repeat(SIZE)
    )
}

/// Whether nginx is there.
///
/// # Errors
/// When it is not.
pub fn find() -> Result<(), Missing> {
    let mut command = Command::new("nginx");
    command.arg("-v").stdin(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop).map_err(|error| missing(&command, "nginx", &error))
}

/// A running proxy.
pub struct Proxy {
    dir: TempDir,
    _process: Process,
}

impl Proxy {
    /// Starts a proxy in front of this upstream, with a client certificate that the upstream is made to accept.
    pub fn start(upstream: &mut Nginx) -> Self {
        let dir = TempDir::with_prefix("life-proxy-").unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let above = |name: &str| upstream.path(name).display().to_string();
        openssl([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=proxy",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-CA",
            &above("root.pem"),
            "-CAkey",
            &above("root.key"),
            "-keyout",
            &file("proxy.key"),
            "-out",
            &file("proxy.pem"),
        ]);
        let users = fs::read_to_string(upstream.path("users.pem")).unwrap();
        let root = fs::read_to_string(upstream.path("root.pem")).unwrap();
        fs::write(upstream.path("users.pem"), users + &root).unwrap();
        upstream.kill();
        upstream.run();

        fs::create_dir(dir.path().join("temp")).unwrap();
        fs::write(dir.path().join("nginx.conf"), config(&dir.path().join("proxy.sock"), upstream)).unwrap();
        let child = Command::new("nginx")
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process::new(child);
        let proxy = Self { dir, _process: process };
        eventually("the proxy listens", Duration::from_secs(20), || proxy.socket().exists());
        proxy
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("proxy.sock")
    }

    /// A client with a connection of its own.
    pub async fn client(&self) -> Http {
        let stream = connect(&self.socket()).await;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Http(sender)
    }
}

/// As small as the upstream's, and it checks the server as the agent does.
fn config(socket: &Path, upstream: &Nginx) -> String {
    format!(
        r#"
        daemon off;
        master_process off;
        pid nginx.pid;
        error_log error.log;
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            client_body_temp_path temp/body;
            proxy_temp_path temp/proxy;
            fastcgi_temp_path temp/fastcgi;
            uwsgi_temp_path temp/uwsgi;
            scgi_temp_path temp/scgi;
            upstream above {{ server {address}; keepalive 64; keepalive_requests 100000000; }}
            server {{
                listen unix:{socket};
                keepalive_requests 100000000;
                location / {{
                    proxy_pass https://above;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_ssl_protocols TLSv1.3;
                    proxy_ssl_certificate proxy.pem;
                    proxy_ssl_certificate_key proxy.key;
                    proxy_ssl_trusted_certificate {root};
                    proxy_ssl_verify on;
                    proxy_ssl_name localhost;
                }}
            }}
        }}
        "#,
        socket = socket.display(),
        address = upstream.origin().trim_start_matches("https://"),
        root = upstream.path("root.pem").display(),
    )
}

/// An HTTP/1.1 client.
pub struct Http(SendRequest<Empty<Bytes>>);

impl Client for Http {
    async fn once(&mut self) {
        let request = hyper::Request::get(PATH).header("host", "proxy").body(Empty::new()).unwrap();
        self.0.ready().await.unwrap();
        let answer = self.0.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), SIZE);
    }
}
