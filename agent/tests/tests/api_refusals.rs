//! Api.Call to a server that takes no such user, in a changed configuration, and while the platform is away.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::calls::{call, header};
use life_e2e::dev::openssl;
use life_e2e::process::{Process, eventually};
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1::ParticipantKind;
use rustix::process::Signal;
use tempfile::TempDir;
use tonic_types::StatusExt;

const PATIENCE: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes `root.pem` and `server.pem` with its key, for 127.0.0.1.
fn server_certificate(dir: &Path) {
    let file = |name: &str| dir.join(name).display().to_string();
    openssl([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=test server",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        &file("server.key"),
        "-out",
        &file("server.pem"),
    ]);
}

/// OpenSSL's own server, which takes clients as `arguments` say.
fn openssl_server(dir: &Path, port: u16, arguments: &[&str]) -> Process {
    let child = Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-tls1_3", "-verify_return_error", "-Verify", "3"])
        .args(["-cert", "server.pem", "-key", "server.key", "-accept", &format!("127.0.0.1:{port}")])
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process::new(child);
    eventually("OpenSSL listens", PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    process
}

async fn unlocked_at(platform: &Platform, dir: &Path, port: u16, user: &User) -> (Agent, Clients) {
    let section = format!(
        "[api]\norigin = 'https://127.0.0.1:{port}'\nserver_roots = '{}'\n\
         allow = [{{ methods = ['GET'], path = '/**' }}]\n",
        dir.join("server.pem").display()
    );
    let agent = Agent::start_with(platform, &section);
    let mut clients = agent.clients().await;
    user.unlock(&mut clients).await;
    (agent, clients)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_take_the_user_says_why() {
    let platform = Platform::start();
    let home = Agent::start(&platform);
    let mut clients = home.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let witness = User::ready(&mut clients, ParticipantKind::Patient).await;

    let dir = TempDir::with_prefix("life-openssl-").unwrap();
    server_certificate(dir.path());
    let root = platform.dir().join("public/user-root.der").display().to_string();
    std::fs::write(dir.path().join("users.pem"), openssl(["x509", "-inform", "DER", "-in", &root])).unwrap();
    let ports = [free_port(), free_port()];
    let (_strange, mut at_strange) = unlocked_at(&platform, dir.path(), ports[0], &user).await;
    let (_listed, mut at_listed) = unlocked_at(&platform, dir.path(), ports[1], &user).await;

    // One that has other users: its own certificate is the only root it knows.
    let _server = openssl_server(dir.path(), ports[0], &["-CAfile", "server.pem"]);
    let refused = call(&mut at_strange, header(&user, "GET", "/"), b"").await;
    assert_eq!(refused.reason(), "CREDENTIAL_UNTRUSTED", "{refused:?}");

    // One that has these users, and their list of revoked certificates.
    let list = async |clients: &mut Clients| {
        let list = call(clients, header(&witness, "GET", "/v1/crl"), b"").await.unwrap();
        assert_eq!(list.head.status, 200);
        std::fs::write(dir.path().join("list.der"), list.body).unwrap();
        let file = dir.path().join("list.der").display().to_string();
        let pem = openssl(["crl", "-inform", "DER", "-in", &file]);
        std::fs::write(dir.path().join("list.pem"), pem).unwrap();
    };
    let checking = ["-CAfile", "users.pem", "-CRL", "list.pem", "-crl_check"];
    list(&mut clients).await;
    let server = openssl_server(dir.path(), ports[1], &checking);
    let taken = call(&mut at_listed, header(&user, "GET", "/"), b"").await.unwrap();
    assert_eq!(taken.head.status, 200);
    drop(server);
    let credential = clients
        .status()
        .await
        .identities
        .into_iter()
        .find(|it| it.user == user.name)
        .and_then(|it| it.credential.rsplit('/').next().map(str::to_owned))
        .unwrap();
    platform.run(&["revoke", user.uid(), &credential]);
    list(&mut clients).await;
    let _server = openssl_server(dir.path(), ports[1], &checking);
    let refused = call(&mut at_listed, header(&user, "GET", "/"), b"").await;
    assert_eq!(refused.reason(), "CREDENTIAL_REVOKED", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_allowed_changes_without_a_restart() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    assert_eq!(call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap().head.status, 200);

    let path = agent.dir().join("agent.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    let narrow = "[api]\nallow = [{ methods = ['GET'], path = '/v1/versions' }]\n";
    std::fs::write(&path, format!("{before}\n{narrow}")).unwrap();
    agent.broker().signal(Signal::HUP);
    let mut refused = String::new();
    for _ in 0..1000 {
        refused = match call(&mut clients, header(&user, "GET", "/v1/me"), b"").await {
            Ok(_) => String::new(),
            Err(status) => status.reason(),
        };
        if !refused.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(refused, "API_CALL_FORBIDDEN");
    // The user is still unlocked, and what is allowed now works.
    assert_eq!(call(&mut clients, header(&user, "GET", "/v1/versions"), b"").await.unwrap().head.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_unlocked_outlasts_a_platform_that_is_away() {
    let mut platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    assert_eq!(call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap().head.status, 200);

    platform.kill_serve();
    let refused = call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap_err();
    assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
    let refused = call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["request_sent"], "no");
    assert_eq!(clients.status().await.identities.len(), 1, "nobody is locked by that");

    platform.start_serve();
    let back = call(&mut clients, header(&user, "GET", "/v1/me"), b"").await.unwrap();
    assert!(back.text().contains(user.uid()));
}
