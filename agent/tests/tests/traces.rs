//! No secret in any log, at any level: agent, vault, platform and `life` say all they can while everything is done, right
//! and wrong, and then all they said is searched.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use life_e2e::agent::Clients;
use life_e2e::dev::{life, text};
use life_e2e::nginx::Nginx;
use life_e2e::scan::logs::LogNeedles;
use life_e2e::scan::{Kind, Secret, keys};
use life_e2e::terminal::Terminal;
use life_e2e::{Agent, Platform, Reason, User, binaries, calls, documents, users};
use life_proto::v1;
use v1::ParticipantKind;
use v1::new_software_certificate::KeyAlgorithm;
use v1::secret::Source;
use v1::unlock_response::Step;

/// Everything there is, whatever it is called.
const LEVEL: &str =
    "trace,h2=trace,hyper=trace,hyper_util=trace,tonic=trace,tower=trace,rustls=trace,mio=trace";
/// How the lines of the house begin, after time and level; the vault's have no target.
const OURS: &str = "life_";

const WRONG: &str = "copper-meadow-lantern-!4409";
const PATIENT: &str = "Wilhelmine Obermoser-Krautz";
const CONTENT: &str = "Verdacht auf paroxysmales Vorhofflimmern, bitte Langzeit-EKG";
const SIGNED: &str = "Arztbrief vom dritten November, signiert in der Ambulanz";
const BODY: &str = "Medikation: Apixaban zweimal taeglich fuenf Milligramm";
const BEARER: &str = "Bearer eyJhbGciOiJub25lIn0.c2VjcmV0LXNlc3Npb24";
const COOKIE: &str = "session=b7d1f3e0c94a4f5e8d2a6613";
const APP_TOKEN: &str = "app-token-5f0c9be1d2734a6688";

struct Scene {
    platform: Platform,
    _nginx: Nginx,
    agent: Agent,
    /// What programs of a person's said: screens and standard errors.
    said: Vec<(String, String)>,
}

fn script(path: PathBuf, text: &str) -> String {
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A pinentry that types a wrong passphrase first.
fn pinentry(folder: &Path) -> String {
    let tried = folder.join("tried");
    script(
        folder.join("pinentry"),
        &format!(
            "#!/bin/sh\necho 'OK hello'\nwhile read -r line; do\ncase \"$line\" in\n\
             GETPIN*) if [ -e '{tried}' ]; then printf 'D quiet-granite-harbour-%%257731\\nOK\\n'; else : > '{tried}'; \
             printf 'D {WRONG}\\nOK\\n'; fi ;;\n\
             BYE*) echo OK; exit 0 ;;\n*) echo OK ;;\nesac\ndone\n",
            tried = tried.display()
        ),
    )
}

impl Scene {
    fn start(folder: &Path) -> Self {
        let platform = Platform::start_logging(LEVEL);
        let cookie =
            format!("location = /cookie {{ add_header Set-Cookie \"{COOKIE}\"; return 200 '{BODY}'; }}");
        let nginx = Nginx::start(&platform, &cookie);
        // The agent starts its vault without any environment, and from nowhere but its folder.
        let vault = folder.join("life-vault");
        fs::copy(binaries::path("life-vault"), &vault).unwrap();
        let vault = format!("#!/bin/sh\nLIFE_LOG='{LEVEL}' exec '{}'\n", vault.display());
        let vault = script(folder.join("vault"), &vault);
        let config = format!(
            "[agent]\nspool = {folder:?}\n{}\n[log]\nlevel = \"{LEVEL}\"\n[vault]\nprogram = \"{vault}\"\n[unlock]\npinentry = \"{}\"\n",
            nginx.section(""),
            pinentry(folder)
        );
        let agent = Agent::start_with(&platform, &config);
        Self { platform, _nginx: nginx, agent, said: Vec::new() }
    }

    /// Runs `life` with something on its standard input; what it says to a person is kept.
    fn life(&mut self, arguments: &[&str], input: &str) -> bool {
        let mut command = life(arguments);
        command.env("LIFE_AGENT_SOCKET", self.agent.socket()).env("LIFE_APP_TOKEN", APP_TOKEN);
        command.env("RUST_LOG", LEVEL).env("LIFE_LOG", LEVEL).env("RUST_BACKTRACE", "full");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        self.said.push((arguments.join(" "), text(&output.stderr).to_owned()));
        output.status.success()
    }

    /// `life unlock` on a terminal, with a wrong passphrase first.
    fn unlock_on_a_terminal(&mut self, file: &str, user: &User) {
        for passphrase in [WRONG, std::str::from_utf8(&user.passphrase).unwrap()] {
            let life = binaries::path("life");
            let mut terminal = Terminal::run(&life, &["unlock", file], &self.agent.socket());
            terminal.wait_for("Passphrase of ", 1);
            terminal.wait_for_echo(false);
            terminal.type_keys(&format!("{passphrase}\n"));
            assert_eq!(terminal.exit_code() == Some(0), passphrase != WRONG, "{}", terminal.seen());
            self.said.push(("unlock on a terminal".to_owned(), terminal.seen()));
        }
    }

    /// All logs, each with its name.
    fn logs(&self) -> Vec<(String, String)> {
        let [serve, ca] = self.platform.logs();
        let daemons = [("agent and vault", self.agent.log()), ("serve", serve), ("ca", ca)];
        let daemons = daemons.map(|(name, log)| (name.to_owned(), log));
        daemons.into_iter().chain(self.said.iter().cloned()).collect()
    }
}

/// Unlocks by a descriptor, right or wrong, and gives the ticket.
async fn unlock_by_descriptor(clients: &mut Clients, user: &User, passphrase: &str) -> Vec<u8> {
    let source = Source::Descriptor(v1::DescriptorSource {});
    let secret = Some(v1::Secret { source: Some(source) });
    let request = v1::UnlockRequest { secret, ..user.unlock_request() };
    let mut answers = clients.credentials.unlock(request).await.unwrap().into_inner();
    let Some(Step::Ticket(ticket)) = answers.message().await.unwrap().unwrap().step else {
        panic!("no ticket")
    };
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(passphrase.as_bytes()).unwrap();
    drop(writer);
    users::hand_over(&ticket, &reader.into());
    let end = answers.message().await;
    assert_eq!(end.is_ok(), passphrase != WRONG, "{end:?}");
    ticket.ticket.to_vec()
}

/// Content of every kind, there and back, and what is refused.
async fn work(clients: &mut Clients, user: &User, other: &User) {
    let sign =
        v1::SignRequest { user: user.name.clone(), content: SIGNED.as_bytes().to_vec().into(), form: 0 };
    clients.crypto.sign(sign).await.unwrap();
    let plaintext = format!("{PATIENT}: {CONTENT}").into_bytes();
    let seal = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: plaintext.clone().into(),
        ..Default::default()
    };
    let envelope = clients.crypto.encrypt(seal).await.unwrap().into_inner().envelope;
    let open =
        v1::DecryptRequest { user: user.name.clone(), envelope: envelope.clone(), ..Default::default() };
    assert_eq!(clients.crypto.decrypt(open).await.unwrap().into_inner().plaintext, plaintext);
    let open = v1::DecryptRequest { user: other.name.clone(), envelope, ..Default::default() };
    assert!(clients.crypto.decrypt(open).await.is_err(), "it was not for the other");

    let id = documents::fresh_id();
    let header =
        v1::UploadDocumentHeader { title: format!("Befund {PATIENT}"), ..documents::header(user, &id, &[]) };
    documents::upload(clients, header, &plaintext).await.unwrap();
    documents::share(clients, user, &id, &[other]).await.unwrap();
    assert_eq!(documents::download(clients, other, &id).await.unwrap().content, plaintext);
    documents::unshare(clients, user, &id, &[other]).await.unwrap();
    assert!(documents::download(clients, other, &id).await.is_err(), "no longer shared");
    assert!(!documents::list(clients, user, 10).await.unwrap().is_empty());

    let mut header = calls::header(user, "GET", "/cookie");
    assert_eq!(calls::call(clients, header.clone(), b"").await.unwrap().text(), BODY);
    for (name, value) in [("authorization", BEARER), ("cookie", COOKIE)] {
        header.headers = vec![v1::HttpHeader { name: name.to_owned(), value: value.to_owned() }];
        assert!(!calls::call(clients, header.clone(), b"").await.reason().is_empty(), "{name} was sent");
    }
    let sent = calls::header(user, "POST", "/cookie");
    let _as_the_list_says = calls::call(clients, sent, BODY.as_bytes()).await;
}

/// What must not be found.
fn secrets(platform: &Platform, people: &[&User], tickets: &[Vec<u8>]) -> Vec<Secret> {
    let mut secrets: Vec<_> = people.iter().flat_map(|user| keys::of_user(platform, user)).collect();
    for (name, value) in [
        ("wrong passphrase", WRONG),
        ("patient", PATIENT),
        ("content", CONTENT),
        ("signed content", SIGNED),
        ("body", BODY),
        ("authorization", BEARER),
        ("cookie", COOKIE),
        ("app token", APP_TOKEN),
    ] {
        secrets.push(Secret::new(name, Kind::Text, value.as_bytes()));
    }
    secrets.extend(tickets.iter().map(|ticket| Secret::new("ticket", Kind::Key, ticket)));
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_done_no_log_has_a_secret_in_it() {
    // What the agent starts writes where the agent does: to its spool, for one.
    let closed = fs::Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut scene = Scene::start(folder.path());
    let mut clients = scene.agent.clients().await;
    let user = User::register_with(&mut clients, ParticipantKind::Patient, KeyAlgorithm::Rsa3072).await;
    let other = User::ready(&mut clients, ParticipantKind::Patient).await;
    let file = path("user.p12");
    fs::write(&file, &user.pkcs12).unwrap();

    // Every way of a passphrase, wrong and right.
    let wrong = User { passphrase: WRONG.into(), ..user.clone() };
    assert_eq!(users::unlock(&mut clients, wrong.unlock_request()).await.reason(), "WRONG_PASSPHRASE");
    user.unlock(&mut clients).await;
    let mut tickets = Vec::new();
    for passphrase in [WRONG, std::str::from_utf8(&user.passphrase).unwrap()] {
        tickets.push(unlock_by_descriptor(&mut clients, &user, passphrase).await);
    }
    let prompt = v1::Secret { source: Some(Source::Prompt(v1::PromptSource::default())) };
    let prompt = v1::UnlockRequest { secret: Some(prompt), ..user.unlock_request() };
    users::unlock(&mut clients, prompt).await.unwrap();
    assert!(folder.path().join("tried").exists(), "pinentry typed a wrong one first");
    scene.unlock_on_a_terminal(&file, &user);

    work(&mut clients, &user, &other).await;
    let clear = path("finding.txt");
    fs::write(&clear, format!("{PATIENT}: {CONTENT}")).unwrap();
    let sealed = format!("{clear}.life");
    let uid = user.uid().to_owned();
    assert!(scene.life(&["encrypt", "--as", &uid, "--to", &uid, &clear], ""));
    assert!(scene.life(&["decrypt", "--as", &uid, &sealed, "-o", "-"], ""));
    assert!(!scene.life(&["decrypt", "--as", other.uid(), &sealed, "-o", "-"], ""));
    assert!(scene.life(&["api", "GET", "/cookie", "--as", &uid], ""));
    let bearer = format!("Authorization: {BEARER}");
    assert!(!scene.life(&["api", "GET", "/cookie", "--as", &uid, "-H", &bearer], ""));
    let new = path("new.p12");
    let fingerprint = scene.platform.ca_fingerprint.clone();
    let origin = scene.platform.origin.clone();
    let register = ["register", "--platform", &origin, "--ca-fingerprint", &fingerprint, "--kind", "patient"];
    let passphrase = ["--out", &new, "--passphrase-fd", "0"];
    assert!(scene.life(&[&register[..], &passphrase].concat(), &format!("{WRONG}\n")), "{:?}", scene.said);
    assert!(scene.life(&["lock"], ""));

    let logs = scene.logs();
    // They say all they can, and are searched: each has something that is known to be in it.
    for (name, known) in [
        ("agent and vault", "DEBUG life_agentd::policy"),
        ("agent and vault", "DEBUG done request=\"SignAttributes\""),
        ("agent and vault", "DEBUG done request=\"UnwrapContentKey\""),
        ("agent and vault", "INFO refused request=\"OpenSoftwareCertificate\""),
        ("serve", "route=\"/v1/registrations/{registration}/commit\""),
        ("ca", "issued the certificates of a new account"),
        ("unlock on a terminal", "Passphrase of "),
    ] {
        let control = LogNeedles::new(&[Secret::new(known, Kind::Text, known.as_bytes())]);
        let there = logs.iter().filter(|(log, _)| log == name);
        assert!(there.flat_map(|(_, log)| control.search(log.as_bytes())).count() > 0, "{name}: no {known}");
    }
    // And libraries nothing, though their levels were asked for by name.
    for (name, log) in &logs[..3] {
        for line in log.lines() {
            let mut words = line.split_whitespace().skip(1);
            let quiet = matches!(words.next(), Some("INFO" | "DEBUG" | "TRACE"));
            let of_a_library =
                words.next().is_some_and(|word| word.ends_with(':') && !word.starts_with(OURS));
            assert!(!(quiet && of_a_library), "{name}: a library says {line}");
        }
    }

    let needles = LogNeedles::new(&secrets(&scene.platform, &[&user, &other], &tickets));
    for (name, log) in &logs {
        let leaks = needles.search(log.as_bytes());
        assert!(leaks.is_empty(), "{name}: {leaks:#?}");
    }
}
