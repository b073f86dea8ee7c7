//! `life api` against nginx: where bodies go, what statuses mean for scripts.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use life_e2e::dev::{life, text};
use life_e2e::nginx::Nginx;
use life_e2e::{Agent, Platform, User};
use life_proto::v1::ParticipantKind;
use serde_json::Value;

struct Shell {
    agent: Agent,
    nginx: Nginx,
    _platform: Platform,
}

impl Shell {
    async fn new() -> Self {
        let platform = Platform::start();
        let more = "location = /problem { default_type application/problem+json; return 422 '{\"title\":\"no such code\"}'; }";
        let nginx = Nginx::start(&platform, more);
        let agent = Agent::start_with(&platform, &nginx.section(""));
        let mut clients = agent.clients().await;
        User::ready(&mut clients, ParticipantKind::Patient).await;
        Self { agent, nginx, _platform: platform }
    }

    fn api(&self, arguments: &[&str]) -> Command {
        let mut command = life(["api"]);
        command
            .args(arguments)
            .env("LIFE_AGENT_SOCKET", self.agent.socket())
            .current_dir(self.nginx.path("temp"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.api(arguments).output().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_can_call_and_tell_what_became_of_it() {
    let shell = Shell::new().await;
    let got = shell.run(&["get", "/echo/x", "--header", "Accept: text/plain"]);
    assert!(got.status.success(), "{}", text(&got.stderr));
    assert!(
        text(&got.stdout).starts_with("GET /echo/x host=") && text(&got.stdout).contains("accept=text/plain")
    );
    assert!(text(&got.stderr).starts_with("200 OK, "), "{}", text(&got.stderr));
    let got = shell.run(&["GET", "/echo/x", "--include"]);
    let head = text(&got.stdout);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\n")
            && head.contains("\netag: \"7\"\n")
            && head.contains("\n\nGET /echo/x")
    );
    assert!(!head.to_lowercase().contains("set-cookie"));

    // From a file and from a pipe; to a file.
    std::fs::write(shell.nginx.path("temp/in"), vec![9; 300_000]).unwrap();
    assert!(shell.run(&["PUT", "/store/a", "--data", "in"]).status.success());
    let mut piped = shell.api(&["PUT", "/store/b", "--data", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(&[8; 200_000]).unwrap();
    assert!(piped.wait().unwrap().success());
    for (name, byte, length) in [("a", 9, 300_000), ("b", 8, 200_000)] {
        let got = shell.run(&["GET", &format!("/store/{name}"), "-o", name, "--json"]);
        let report: Value = serde_json::from_slice(&got.stdout).unwrap();
        assert_eq!((report["status"].as_u64(), report["size"].as_u64()), (Some(200), Some(length)));
        assert_eq!((report["output"].as_str(), report["attempts"].as_u64()), (Some(name), Some(1)));
        assert_eq!(std::fs::read(shell.nginx.path("temp").join(name)).unwrap(), vec![byte; length as usize]);
    }
    // A file that is there stays, and nothing is asked for.
    let asked = shell.nginx.log_of(6).len();
    assert_eq!(shell.run(&["GET", "/store/a", "-o", "b"]).status.code(), Some(73));
    assert_eq!(shell.nginx.log().len(), asked);

    // What a server refuses leaves no file, and says so.
    for (path, code) in [
        ("/status/401", 77),
        ("/status/404", 66),
        ("/status/429?after=60", 75),
        ("/status/500", 69),
        ("/problem", 65),
    ] {
        let got = shell.run(&["GET", path, "-o", "none"]);
        assert_eq!(got.status.code(), Some(code), "{path}");
        assert!(!shell.nginx.path("temp/none").exists());
    }
    let got = shell.run(&["GET", "/problem", "-o", "none", "--json"]);
    let error: Value = serde_json::from_slice(&got.stderr).unwrap();
    assert_eq!(error["error"]["reason"], "HTTP_STATUS");
    assert_eq!(error["error"]["metadata"]["body"], "{\"title\":\"no such code\"}");
    let got = shell.run(&["GET", "/problem"]);
    assert_eq!(text(&got.stdout), "{\"title\":\"no such code\"}");
    assert!(text(&got.stderr).contains("422 Unprocessable Entity"), "{}", text(&got.stderr));

    // What never gets there.
    assert_eq!(shell.run(&["GET", "/a/../b"]).status.code(), Some(64));
    assert_eq!(shell.run(&["BREW", "/echo/"]).status.code(), Some(64));
    assert_eq!(shell.run(&["GET", "/echo/", "--header", "Host: evil.example"]).status.code(), Some(77));
    assert_eq!(shell.run(&["GET", "/echo/", "--data", "missing"]).status.code(), Some(66));
}
