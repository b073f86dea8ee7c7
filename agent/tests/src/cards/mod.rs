//! Smart cards: real readers' software and a real card's, without the hardware.
//!
//! A [`Reader`] is a pcscd of the test's own with vsmartcard's virtual reader, in namespaces of its own: vpcd listens on every
//! interface, and there is only loopback. A [`Card`] is a process that is the card in it (`card-rig`). What runs ends with the
//! test. It is no proof that a reader or a card of any maker works.

mod image;
mod slot;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub use image::{CardKey, SLOTS, fresh, personalised};
pub use slot::Slot;
use tempfile::TempDir;

use crate::dev::text;
use crate::process::{Process, eventually};
use crate::skip;

/// The PIN of a new card.
pub const PIN: &str = "123456";
/// The PUK of a new card.
pub const PUK: &str = "12345678";

/// The reader's port, in a network where nobody else has one.
const PORT: u16 = 35963;

/// What runs in the namespaces before pcscd: a network with loopback alone, a `/run` of its own for pcscd's files, and the
/// listening socket from standard input to where pcscd takes it (sd_listen_fds(3)).
const INSIDE: &str =
    "set -e; PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; mount -t tmpfs none /run; mkdir /run/pcscd
exec 3<&0 </dev/null; export LISTEN_FDS=1; export LISTEN_PID=$$; exec pcscd --foreground --info -c \"$1\"";

/// A reader: pcscd, reached by a socket in a folder of the test.
pub struct Reader {
    folder: TempDir,
    pcscd: Option<Process>,
}

impl Reader {
    /// Starts one, or says that there can be none here and why.
    ///
    /// Where no namespaces are to be had the test fails, unless LIFE_ALLOW_SKIP is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let namespaces = own_namespaces("true").status().is_ok_and(|status| status.success());
        if !skip::needs("smart cards", "needs network namespaces (unshare)", namespaces) {
            return None;
        }
        let folder = TempDir::with_prefix("life-reader-").unwrap();
        fs::create_dir(folder.path().join("conf")).unwrap();
        let driver = format!(
            "FRIENDLYNAME \"Virtual PCD\"\nDEVICENAME /dev/null:{PORT:#x}\n\
             LIBPATH /usr/lib/pcsc/drivers/serial/libifdvpcd.so\nCHANNELID {PORT:#x}\n"
        );
        fs::write(folder.path().join("conf/vpcd"), driver).unwrap();
        let mut reader = Self { folder, pcscd: None };
        reader.plug_in();
        Some(reader)
    }

    /// Starts pcscd and waits until it has its readers.
    pub fn plug_in(&mut self) {
        let _gone = fs::remove_file(self.socket());
        let socket = UnixListener::bind(self.socket()).unwrap();
        let log = fs::File::create(self.path("pcscd.log")).unwrap();
        let child = own_namespaces("sh")
            .args(["-c", INSIDE, "sh"])
            .arg(self.path("conf"))
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut pcscd = Process::new(child);
        eventually("pcscd has its readers", Duration::from_secs(60), || {
            if let Some(status) = pcscd.child().try_wait().unwrap() {
                panic!("pcscd ended ({status}): {}", self.log());
            }
            // The listening socket takes connections before pcscd does: what it says is what counts.
            self.log().contains("daemon ready")
        });
        self.pcscd = Some(pcscd);
    }

    /// Ends pcscd at once: for programs the readers are gone.
    pub fn unplug(&mut self) {
        self.pcscd = None;
    }

    /// Where pcscd listens: `PCSCLITE_CSOCK_NAME` for who should use this reader.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.path("pcscd.comm")
    }

    /// A file of its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What pcscd has said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("pcscd.log")).unwrap_or_default()
    }

    /// A program that uses this reader.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("PCSCLITE_CSOCK_NAME", self.socket()).stdin(Stdio::null());
        command
    }

    /// Runs a program with this reader.
    #[must_use]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Runs a program that must end well, and gives what it wrote on both ways.
    #[must_use]
    pub fn runs(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{program} {arguments:?}: {}", text(&said));
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Puts a card in, with what it remembers in `folder`, and waits until pcscd has seen it.
    #[must_use]
    pub fn insert(&self, folder: &Path) -> Card {
        self.insert_faulty(folder, &[])
    }

    /// The same with a card that does not work well: `--die INS:N` or `--slow INS:MILLISECONDS` of card-rig.
    #[must_use]
    pub fn insert_faulty(&self, folder: &Path, faults: &[&str]) -> Card {
        let [inserted, removed] = [INSERTED, REMOVED].map(|event| count(&self.path("pcscd.log"), event));
        let pcscd = self.pcscd.as_ref().expect("the reader is plugged in").pid();
        let mut enter = Command::new("nsenter");
        enter.args(["--net", "--target", &pcscd.to_string()]);
        if !rustix::process::geteuid().is_root() {
            enter.args(["--user", "--preserve-credentials"]);
        }
        let child = enter
            .arg(image::binary())
            .arg(PORT.to_string())
            .arg(folder)
            .args(faults)
            .stdin(Stdio::null())
            .stderr(fs::File::options().create(true).append(true).open(self.path("card.log")).unwrap())
            .spawn()
            .unwrap();
        let mut card = Card { process: Process::new(child), log: self.path("pcscd.log"), removed };
        eventually("pcscd has seen the card", Duration::from_secs(60), || {
            if let Some(status) = card.process.child().try_wait().unwrap() {
                let said = fs::read_to_string(self.path("card.log")).unwrap();
                panic!("the card ended ({status}): {said}");
            }
            count(&card.log, INSERTED) > inserted
        });
        card
    }
}

/// A card in a reader; dropped, it is pulled out.
pub struct Card {
    process: Process,
    log: PathBuf,
    removed: usize,
}

impl Card {
    /// Pulls it out, and waits until pcscd has seen that. What is put in again before is the same card to pcscd, which never
    /// gives it power again.
    pub fn pull(mut self) {
        self.process.kill();
        self.is_seen_to_go();
    }

    /// Waits until it has ended by itself, as a card does that was told to, and pcscd has seen that.
    pub fn has_ended(mut self) {
        assert!(self.process.wait(Duration::from_secs(60)).is_some(), "the card has not ended");
        self.is_seen_to_go();
    }

    fn is_seen_to_go(&self) {
        eventually("pcscd has seen the card go", Duration::from_secs(60), || {
            count(&self.log, REMOVED) > self.removed
        });
    }
}

/// What pcscd logs when a card comes, behind the line that names the reader, and when it goes.
const INSERTED: &str = "Card ATR:";
const REMOVED: &str = "Card Removed From";

fn count(log: &Path, event: &str) -> usize {
    fs::read_to_string(log).unwrap().matches(event).count()
}

/// A program in a network and a file-system view of its own, with the same process id as what is spawned.
fn own_namespaces(program: &str) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--net", "--mount", program]);
    command
}
