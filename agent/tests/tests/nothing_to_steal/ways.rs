//! The three ways of a passphrase, each with hours of use in little: what is left while unlocked, and after a lock.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use life_e2e::agent::Clients;
use life_e2e::dev::text;
use life_e2e::{Agent, Platform, User, binaries, scan, skip, users};
use life_proto::v1;
use v1::ParticipantKind;
use v1::new_software_certificate::KeyAlgorithm;
use v1::secret::Source;

use crate::scene::{
    Pids, assert_gone, assert_gone_soon, assert_sheltered, broker_forgets, lock, needles, use_keys,
};

/// How often each user signs, seals and opens.
const TIMES: usize = 50;

/// How a passphrase comes to the vault.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Through a descriptor of `life`'s.
    Terminal,
    /// From pinentry.
    Pinentry,
    /// In the request, through the broker.
    Inline,
}

/// A pinentry that types the passphrase of all test users.
fn pinentry(folder: &std::path::Path) -> String {
    let path = folder.join("pinentry");
    let script = "#!/bin/sh\necho 'OK hello'\nwhile read -r line; do\ncase \"$line\" in\n\
                  GETPIN*) printf 'D quiet-granite-harbour-%%257731\\nOK\\n' ;;\n\
                  BYE*) echo OK; exit 0 ;;\n*) echo OK ;;\nesac\ndone\n";
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `life unlock` on a terminal of its own (script(1)), on which the passphrase is typed.
fn unlock_on_a_terminal(agent: &Agent, user: &User) {
    let file = agent.dir().join("user.p12");
    fs::write(&file, &user.pkcs12).unwrap();
    let command = format!("'{}' unlock '{}'", binaries::path("life").display(), file.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--echo", "never", "--command", &command, "/dev/null"]);
    terminal.env("LIFE_AGENT_SOCKET", agent.socket());
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut keyboard = terminal.stdin.take().unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let mut seen = Vec::new();
    while !text(&seen).contains("Passphrase of") {
        let mut shown = [0; 1024];
        let read = screen.read(&mut shown).unwrap();
        assert!(read > 0, "{}", text(&seen));
        seen.extend_from_slice(&shown[..read]);
    }
    keyboard.write_all(&[&user.passphrase, &b"\n"[..]].concat()).unwrap();
    screen.read_to_end(&mut seen).unwrap();
    drop(keyboard);
    assert!(terminal.wait().unwrap().success(), "{}", text(&seen));
}

async fn unlock_by_prompt(clients: &mut Clients, user: &User) {
    let secret = v1::Secret { source: Some(Source::Prompt(v1::PromptSource::default())) };
    let request = v1::UnlockRequest { secret: Some(secret), ..user.unlock_request() };
    users::unlock(clients, request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn passphrase_and_keys_are_sheltered_while_unlocked_and_gone_after_a_lock() {
    let what = "what is left of secrets in memory and registers";
    if !skip::needs(what, "only root may look", scan::may_look()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start();
    let pinentry = pinentry(folder.path());
    let agent = Agent::start_with(&platform, &format!("[unlock]\npinentry = \"{pinentry}\"\n"));
    let pids = Pids::of(&mut agent.clients().await).await;
    for algorithm in [KeyAlgorithm::Rsa3072, KeyAlgorithm::P256] {
        // The connection goes with the registration: its passphrase came inline.
        let user = User::register_with(&mut agent.clients().await, ParticipantKind::Patient, algorithm).await;
        let needles = needles(&platform, &user);
        assert_gone_soon("registered", pids, &needles).await;
        for way in [Way::Terminal, Way::Pinentry, Way::Inline] {
            let says = |when: &str| format!("{when}, {way:?}, {}", algorithm.as_str_name());
            match way {
                Way::Terminal => unlock_on_a_terminal(&agent, &user),
                Way::Pinentry => unlock_by_prompt(&mut agent.clients().await, &user).await,
                Way::Inline => {
                    user.unlock(&mut agent.clients().await).await;
                    // The broker notices a moment later that its client has gone.
                    broker_forgets(pids, &needles).await;
                }
            }
            assert_sheltered(&says("unlocked"), pids, &needles);
            use_keys(&agent, &user, TIMES).await;
            assert_sheltered(&says("used"), pids, &needles);
            lock(&mut agent.clients().await).await;
            assert_gone(&says("locked"), pids, &needles);
        }
    }
    assert_eq!(Pids::of(&mut agent.clients().await).await, pids, "they are the same processes all the time");
}
