//! A file of 1 GiB on tmpfs through `life`, beside `age` and `gpg`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use life_e2e::dev::{life, noise, text};
use life_e2e::{Agent, User};
use tempfile::TempDir;

use crate::measure::{Missing, Table, is_quick, median, output, rounds, run};
use crate::peers::gpg::Gpg;

/// Both ways of one program, in MB/s.
#[derive(Default)]
struct Rates {
    encrypt: Vec<f64>,
    decrypt: Vec<f64>,
}

impl Rates {
    /// The medians, if anything was measured.
    fn medians(self) -> Option<(f64, f64)> {
        (!self.encrypt.is_empty()).then(|| (median(self.encrypt), median(self.decrypt)))
    }
}

/// The folder with the file, and where results go.
struct Place {
    folder: TempDir,
    size: f64,
}

impl Place {
    /// On tmpfs, where there is one.
    fn new() -> Self {
        let shared = Path::new("/dev/shm");
        let folder =
            if shared.is_dir() { TempDir::with_prefix_in("life-bench-", shared) } else { TempDir::new() };
        let folder = folder.unwrap();
        let mib: usize = if is_quick() { 20 } else { 1024 };
        let mut file = std::fs::File::create(folder.path().join("plain")).unwrap();
        // Nobody compresses it: what repeats is long.
        let block = noise(1 << 20);
        for _ in 0..mib {
            std::io::Write::write_all(&mut file, &block).unwrap();
        }
        Self { folder, size: (mib << 20) as f64 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Encrypts and decrypts once, and looks at the result.
    fn round(
        &self,
        rates: &mut Rates,
        package: &str,
        mut encrypt: Command,
        mut decrypt: Command,
    ) -> Result<(), Missing> {
        let rate = |took: Duration| self.size / 1e6 / took.as_secs_f64();
        rates.encrypt.push(rate(run(&mut encrypt, package)?));
        rates.decrypt.push(rate(run(&mut decrypt, package)?));
        let size = std::fs::metadata(self.path("opened")).unwrap().len();
        assert!(size as f64 == self.size, "{decrypt:?} gave {size} bytes");
        for name in ["sealed", "opened"] {
            std::fs::remove_file(self.path(name)).unwrap();
        }
        Ok(())
    }
}

/// Measures and adds to the table.
pub fn measure(table: &mut Table, agent: &Agent, user: &User, gpg: Option<&Gpg>) {
    let place = Place::new();
    let identity = table.peer(age_identity(&place));
    let (mut ours, mut signed, mut by_age, mut by_gpg) =
        (Rates::default(), Rates::default(), Rates::default(), Rates::default());
    for round in 0..rounds(5) {
        let (encrypt, decrypt) = life_pair(&place, agent, user, &["--no-sign"]);
        place.round(&mut ours, "of our own", encrypt, decrypt).unwrap();
        if let Some(recipient) = &identity {
            let (encrypt, decrypt) = age_pair(&place, recipient);
            table.peer(place.round(&mut by_age, "age", encrypt, decrypt));
        }
        if round < 3 {
            let (encrypt, decrypt) = life_pair(&place, agent, user, &[]);
            place.round(&mut signed, "of our own", encrypt, decrypt).unwrap();
            if let Some(gpg) = gpg {
                let (encrypt, decrypt) = gpg_pair(&place, gpg);
                table.peer(place.round(&mut by_gpg, "gnupg", encrypt, decrypt));
            }
        }
    }
    let (encrypt, decrypt) = ours.medians().unwrap();
    let (signed_encrypt, signed_decrypt) = signed.medians().unwrap();
    let (age, gpg) = (by_age.medians(), by_gpg.medians());
    table.compare_if("file.encrypt", encrypt, "MB/s", "age", age.map(|age| age.0));
    table.compare_if("file.decrypt", decrypt, "MB/s", "age", age.map(|age| age.1));
    table.compare_if("file.encrypt.signed", signed_encrypt, "MB/s", "age, unsigned", age.map(|age| age.0));
    table.compare_if("file.decrypt.signed", signed_decrypt, "MB/s", "age, unsigned", age.map(|age| age.1));
    if let Some((theirs_encrypt, theirs_decrypt)) = gpg {
        table.compare("file.encrypt.gpg", encrypt, "MB/s", "gpg, unsigned", theirs_encrypt);
        table.compare("file.decrypt.gpg", decrypt, "MB/s", "gpg, unsigned", theirs_decrypt);
    }
}

fn life_pair(place: &Place, agent: &Agent, user: &User, further: &[&str]) -> (Command, Command) {
    let verb = |verb: &str, from: &str, to: &str| {
        let mut command = life([verb, "--as", user.uid(), "--output"]);
        command.arg(place.path(to)).arg(place.path(from)).env("LIFE_AGENT_SOCKET", agent.socket());
        command
    };
    let mut encrypt = verb("encrypt", "plain", "sealed");
    encrypt.args(["--stream", "--to", user.uid()]).args(further);
    (encrypt, verb("decrypt", "sealed", "opened"))
}

/// Makes an identity in `identity`, and gives its recipient.
fn age_identity(place: &Place) -> Result<String, Missing> {
    let made = output(Command::new("age-keygen").arg("-o").arg(place.path("identity")), "age");
    made?;
    let shown = output(Command::new("age-keygen").arg("-y").arg(place.path("identity")), "age")?;
    Ok(text(&shown).trim().to_owned())
}

fn age_pair(place: &Place, recipient: &str) -> (Command, Command) {
    let (mut encrypt, mut decrypt) = (Command::new("age"), Command::new("age"));
    encrypt.args(["--recipient", recipient, "--output"]).arg(place.path("sealed")).arg(place.path("plain"));
    decrypt.arg("--decrypt").arg("--identity").arg(place.path("identity"));
    decrypt.arg("--output").arg(place.path("opened")).arg(place.path("sealed"));
    (encrypt, decrypt)
}

fn gpg_pair(place: &Place, gpg: &Gpg) -> (Command, Command) {
    let (mut encrypt, mut decrypt) = (gpg.command(), gpg.command());
    encrypt.args(["--compress-algo", "none", "--recipient", "bench", "--output"]).arg(place.path("sealed"));
    encrypt.arg("--encrypt").arg(place.path("plain"));
    decrypt.arg("--output").arg(place.path("opened")).arg("--decrypt").arg(place.path("sealed"));
    (encrypt, decrypt)
}
