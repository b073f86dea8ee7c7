//! Secrets on a terminal: typed without being shown, asked for by real pinentries, shown once; and the terminal as it was,
//! however that ends.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use life_e2e::process::{eventually, signal_pid};
use life_e2e::skip::needs;
use life_e2e::terminal::Terminal;
use life_e2e::{Agent, Platform, User, binaries};
use life_proto::v1::ParticipantKind;
use rustix::process::Signal;

struct Scene {
    _platform: Platform,
    agent: Agent,
    passphrase: String,
}

const PATIENT: ParticipantKind = ParticipantKind::Patient;

async fn scene(config: &str) -> Scene {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, config);
    let user = User::register(&mut agent.clients().await, PATIENT).await;
    std::fs::write(agent.dir().join("me.p12"), &user.pkcs12).unwrap();
    Scene { _platform: platform, agent, passphrase: String::from_utf8(user.passphrase).unwrap() }
}

impl Scene {
    fn life(&self, arguments: &[&str]) -> Terminal {
        Terminal::run(&binaries::path("life"), arguments, &self.agent.socket())
    }

    fn file(&self) -> String {
        self.agent.dir().join("me.p12").to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.agent.dir().join(name).to_str().unwrap().to_owned()
    }
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().trim_start().chars().next().unwrap()
}

#[tokio::test]
async fn the_terminal_is_as_before_however_the_question_ends() {
    let scene = scene("").await;
    let file = scene.file();
    let ask = || {
        let terminal = scene.life(&["unlock", &file]);
        terminal.wait_for("Passphrase of ", 1);
        terminal.wait_for_echo(false);
        terminal
    };
    // Ctrl-C, Ctrl-\, and requests to end.
    for (keys, signal) in [
        ("\x03", None),
        ("\x1c", None),
        ("", Some(Signal::TERM)),
        ("", Some(Signal::HUP)),
        ("", Some(Signal::INT)),
    ] {
        let mut terminal = ask();
        match signal {
            Some(signal) => terminal.process.signal(signal),
            None => terminal.type_keys(keys),
        }
        assert_eq!(terminal.exit_code(), Some(130), "{keys:?} {signal:?}: {}", terminal.seen());
        assert!(terminal.echoes());
    }
    // Stopped it gives the terminal back, and asks again when it goes on; stopped by force it hushes again.
    let mut terminal = ask();
    let pid = terminal.process.pid();
    terminal.process.signal(Signal::TSTP);
    eventually("it stops", Duration::from_secs(20), || state(pid) == 'T');
    assert!(terminal.echoes());
    signal_pid(pid, Signal::CONT);
    terminal.wait_for("Passphrase of ", 2);
    terminal.wait_for_echo(false);
    signal_pid(pid, Signal::STOP);
    eventually("it stops", Duration::from_secs(20), || state(pid) == 'T');
    // As a shell does while a command is stopped.
    terminal.show_typing();
    signal_pid(pid, Signal::CONT);
    terminal.wait_for("Passphrase of ", 3);
    terminal.wait_for_echo(false);
    terminal.type_keys(&format!("{}\r", scene.passphrase));
    assert_eq!(terminal.exit_code(), Some(0), "{}", terminal.seen());
    assert!(terminal.echoes());
    assert!(!terminal.seen().contains(&scene.passphrase), "the terminal showed the passphrase");
}

#[tokio::test]
async fn a_new_passphrase_is_typed_twice_or_made_and_shown_once() {
    let scene = scene("").await;
    let register = |out: &str, more: &[&str]| {
        let arguments =
            [&["register", "--kind", "patient", "--key-algorithm", "p-256", "--out", out], more].concat();
        scene.life(&arguments)
    };
    for (second, code) in [("another new passphrase", 64), ("a new passphrase", 0)] {
        let mut terminal = register(&scene.path("typed.p12"), &[]);
        terminal.wait_for("New passphrase", 1);
        terminal.type_keys("a new passphrase\r");
        terminal.wait_for("The same again", 1);
        terminal.wait_for_echo(false);
        terminal.type_keys(&format!("{second}\r"));
        assert_eq!(terminal.exit_code(), Some(code), "{}", terminal.seen());
        assert!(!terminal.seen().contains("a new passphrase"), "the terminal showed the passphrase");
    }

    let mut terminal = register(&scene.path("made.p12"), &["--generate-passphrase"]);
    terminal.wait_for("press Enter when you have it", 1);
    let seen = terminal.seen();
    let made = seen.lines().map(str::trim).find(|line| line.len() == 34 && line.matches('-').count() == 6);
    let made = made.unwrap_or_else(|| panic!("no passphrase: {seen}")).to_owned();
    terminal.type_keys("\r");
    assert_eq!(terminal.exit_code(), Some(0), "{}", terminal.seen());
    was_alone(&mut terminal, &made, 1);
    assert!(!scene.agent.log().contains(&made));

    for (file, passphrase) in [("typed.p12", "a new passphrase"), ("made.p12", made.as_str())] {
        let mut terminal = scene.life(&["unlock", &scene.path(file)]);
        terminal.wait_for("Passphrase of ", 1);
        terminal.type_keys(&format!("{passphrase}\r"));
        assert_eq!(terminal.exit_code(), Some(0), "{}", terminal.seen());
    }
}

/// A secret stood on the terminal's other screen, so often, and nothing else of it is left.
fn was_alone(terminal: &mut Terminal, secret: &str, times: usize) {
    terminal.wait_for("\x1b[?1049l", times);
    let seen = terminal.seen();
    let mut left = String::new();
    for part in seen.split("\x1b[?1049h") {
        left.push_str(part.split_once("\x1b[?1049l").map_or(part, |(_, after)| after));
    }
    assert_eq!(seen.matches(secret).count(), times, "{seen}");
    assert!(!left.contains(secret), "the passphrase stays on the screen");
}

#[tokio::test]
async fn a_passphrase_that_is_shown_leaves_the_screen_however_that_ends() {
    let scene = scene("").await;
    let path = scene.path("made.p12");
    let arguments = ["register", "--kind", "patient", "--key-algorithm", "p-256", "--generate-passphrase"];
    let mut terminal = scene.life(&[&arguments[..], &["--out", &path]].concat());
    terminal.wait_for("press Enter when you have it", 1);
    let seen = terminal.seen();
    let made = seen.lines().map(str::trim).find(|line| line.len() == 34 && line.matches('-').count() == 6);
    let made = made.unwrap_or_else(|| panic!("no passphrase: {seen}")).to_owned();
    // Stopped it is gone, and there again when it goes on.
    terminal.process.signal(Signal::TSTP);
    terminal.wait_for("\x1b[?1049l", 1);
    terminal.wait_for_echo(true);
    terminal.process.signal(Signal::CONT);
    terminal.wait_for("press Enter when you have it", 2);
    // The first is put off.
    terminal.process.signal(Signal::INT);
    terminal.wait_for("finishing first", 1);
    terminal.process.signal(Signal::INT);
    assert_eq!(terminal.exit_code(), Some(130), "{}", terminal.seen());
    was_alone(&mut terminal, &made, 2);
    assert!(terminal.echoes());
    // What was registered is there all the same.
    assert!(Path::new(&path).exists());
}

#[tokio::test]
async fn real_pinentries_ask_on_the_terminal_of_the_caller() {
    // What stands on the screen when the person is asked, the keys that give up, and whether they leave at once.
    for (program, asked, cancel) in
        [("pinentry-tty", "Passphrase:", "\x03"), ("pinentry-curses", "Cancel", "\t\t\r")]
    {
        let path = Path::new("/usr/bin").join(program);
        if !needs(program, "install the Debian package of that name", path.exists()) {
            continue;
        }
        let scene = scene(&format!("[unlock]\npinentry = \"{}\"\n", path.display())).await;
        let file = scene.file();
        let mut terminal = scene.life(&["unlock", "--prompt", &file]);
        terminal.wait_for(asked, 1);
        let seen = terminal.seen();
        for word in ["Asked for by", "/life", "3 tries within 120 seconds", "me.p12"] {
            assert!(seen.contains(word), "{program} does not say {word}: {seen}");
        }
        terminal.wait_for_echo(false);
        // A wrong one first: it is said so, and asked again.
        terminal.type_keys("not the passphrase\r");
        terminal.wait_for("Try 2 of 3", 1);
        terminal.wait_for(asked, 2);
        terminal.wait_for_echo(false);
        terminal.type_keys(&format!("{}\r", scene.passphrase));
        assert_eq!(terminal.exit_code(), Some(0), "{program}: {}", terminal.seen());
        assert!(!terminal.seen().contains(&scene.passphrase), "{program} showed the passphrase");
        terminal.wait_for_echo(true);

        // The caller who goes away takes the prompt along, and the terminal is as before.
        let mut terminal = scene.life(&["unlock", "--prompt", &file]);
        terminal.wait_for(asked, 1);
        terminal.wait_for_echo(false);
        terminal.process.signal(Signal::TERM);
        assert_eq!(terminal.exit_code(), Some(130), "{program}: {}", terminal.seen());
        terminal.wait_for_echo(true);

        let mut terminal = scene.life(&["unlock", "--prompt", &file]);
        terminal.wait_for(asked, 1);
        terminal.wait_for_echo(false);
        terminal.type_keys(cancel);
        let code = terminal.exit_code();
        assert!(matches!(code, Some(77 | 130 | 69)), "{program}: {code:?} {}", terminal.seen());
        terminal.wait_for_echo(true);
    }
}
