//! nginx from Debian as a server that asks for client certificates, run by the test itself.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::Platform;
use crate::dev::openssl;
use crate::process::{Process, eventually};

/// What `/status/N` gives.
const STATUSES: [u16; 8] = [204, 304, 401, 404, 429, 500, 502, 503];

/// A running nginx with a server certificate of its own, which takes the users of a platform: TLS 1.3 only, client
/// certificates required.
pub struct Nginx {
    dir: TempDir,
    process: Option<Process>,
    port: u16,
}

/// One line of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The connection's number.
    pub connection: u64,
    /// The status.
    pub status: u16,
    /// The method.
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    /// Bytes of the request, head included.
    pub length: u64,
    /// Whether the TLS session was resumed.
    pub resumed: bool,
    /// The TLS version.
    pub protocol: String,
    /// The client certificate's subject.
    pub subject: String,
}

impl Nginx {
    /// Starts nginx. What it serves: `/files/` reads, `/store/` takes PUT and DELETE, `/echo/` tells what came,
    /// `/status/N` answers so; `locations` adds to that.
    #[must_use]
    pub fn start(platform: &Platform, locations: &str) -> Self {
        let dir = TempDir::with_prefix("life-nginx-").unwrap();
        for folder in ["files", "store", "temp"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        certificates(dir.path());
        let user_root = platform.dir().join("public/user-root.der");
        let pem = openssl([
            "x509".as_ref(),
            "-inform".as_ref(),
            "DER".as_ref(),
            "-in".as_ref(),
            user_root.as_os_str(),
        ]);
        fs::write(dir.path().join("users.pem"), pem).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut nginx = Self { dir, process: None, port };
        fs::write(nginx.path("nginx.conf"), nginx.config(locations)).unwrap();
        nginx.run();
        nginx
    }

    /// Starts it again on its port.
    pub fn run(&mut self) {
        let child = Command::new("nginx")
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("stderr.log")).unwrap())
            .spawn()
            .expect("install the Debian package nginx");
        let mut process = Process::new(child);
        let port = self.port;
        eventually("nginx listens", Duration::from_secs(20), || {
            if process.child().try_wait().unwrap().is_some() {
                panic!("nginx ended: {}", fs::read_to_string(self.path("stderr.log")).unwrap());
            }
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        self.process = Some(process);
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A file of its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An agent's section `[api]` that allows everything here; `more` adds to it.
    #[must_use]
    pub fn section(&self, more: &str) -> String {
        let methods = "'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'";
        format!(
            "[api]\norigin = '{}'\nserver_roots = '{}'\nallow = [{{ methods = [{methods}], path = '/**' }}]\n{more}\n",
            self.origin(),
            self.path("root.pem").display(),
        )
    }

    /// What was asked so far, in the order of the answers.
    #[must_use]
    pub fn log(&self) -> Vec<Logged> {
        let log = fs::read_to_string(self.path("access.log")).unwrap_or_default();
        log.lines()
            .map(|line| {
                let fields: Vec<_> = line.splitn(8, ' ').collect();
                Logged {
                    connection: fields[0].parse().unwrap(),
                    status: fields[1].parse().unwrap(),
                    method: fields[2].to_owned(),
                    target: fields[3].to_owned(),
                    length: fields[4].parse().unwrap(),
                    resumed: fields[5] == "r",
                    protocol: fields[6].to_owned(),
                    subject: fields[7].to_owned(),
                }
            })
            .collect()
    }

    /// The log of so many requests and no more. nginx writes a line when its answer is out already.
    #[must_use]
    pub fn log_of(&self, requests: usize) -> Vec<Logged> {
        eventually("nginx has logged all", Duration::from_secs(20), || self.log().len() >= requests);
        let log = self.log();
        assert_eq!(log.len(), requests, "{log:?}");
        log
    }

    /// The connections that the test's agents have open to it, as the kernel lists them.
    #[must_use]
    pub fn connections(&self) -> usize {
        let port = format!(":{:04X}", self.port);
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let established = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[2].ends_with(&port) && fields[3] == "01"
        };
        table.lines().skip(1).filter(established).count()
    }

    fn config(&self, locations: &str) -> String {
        format!(
            r#"
            daemon off;
            master_process off;
            pid nginx.pid;
            error_log error.log;
            events {{ worker_connections 512; }}
            http {{
                log_format told '$connection $status $request_method $request_uri $request_length $ssl_session_reused $ssl_protocol $ssl_client_s_dn';
                access_log access.log told;
                client_body_temp_path temp/body;
                proxy_temp_path temp/proxy;
                fastcgi_temp_path temp/fastcgi;
                uwsgi_temp_path temp/uwsgi;
                scgi_temp_path temp/scgi;
                client_max_body_size 0;
                sendfile on;
                default_type application/octet-stream;
                server {{
                    listen 127.0.0.1:{port} ssl;
                    ssl_certificate server.pem;
                    ssl_certificate_key server.key;
                    ssl_protocols TLSv1.3;
                    ssl_client_certificate users.pem;
                    ssl_verify_client on;
                    ssl_verify_depth 3;
                    location /files/ {{ root .; }}
                    location /store/ {{ root .; dav_methods PUT DELETE; create_full_put_path on; }}
                    location /echo/ {{
                        default_type text/plain;
                        add_header Set-Cookie secret=1;
                        add_header ETag '"7"';
                        return 200 "$request_method $request_uri host=$http_host te=$http_transfer_encoding accept=$http_accept cookie=$http_cookie auth=$http_authorization agent=$http_user_agent by $ssl_client_s_dn";
                    }}
                    {statuses}
                    {locations}
                }}
            }}
            "#,
            statuses = STATUSES
                .map(|code| {
                    format!("location = /status/{code} {{ add_header Retry-After $arg_after always; return {code}; }}")
                })
                .join("\n"),
            port = self.port
        )
    }
}

/// A root, and a server certificate for 127.0.0.1 below it, made by OpenSSL.
fn certificates(dir: &Path) {
    let file = |name: &str| dir.join(name).display().to_string();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut root = arguments(&["req", "-x509", "-subj", "/CN=Root of a test"]);
    root.extend(arguments(&key));
    root.extend(["-keyout".to_owned(), file("root.key"), "-out".to_owned(), file("root.pem")]);
    openssl(root);
    let mut server = arguments(&["req", "-x509", "-subj", "/CN=127.0.0.1"]);
    server.extend(arguments(&key));
    server.extend(arguments(&[
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-addext",
        "extendedKeyUsage=serverAuth",
    ]));
    server.extend(["-CA".to_owned(), file("root.pem"), "-CAkey".to_owned(), file("root.key")]);
    server.extend(["-keyout".to_owned(), file("server.key"), "-out".to_owned(), file("server.pem")]);
    openssl(server);
}
