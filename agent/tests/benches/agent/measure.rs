//! Figures, their table and their file.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use life_e2e::agent::Clients;

/// The figures of one run.
#[derive(Default)]
pub struct Table {
    rows: Vec<serde_json::Value>,
    leftovers: Vec<Leftovers>,
    missing: Vec<String>,
}

/// How many copies of the numbers of a key are in a program.
pub struct Leftovers {
    /// The program.
    pub program: &'static str,
    /// While the key can be used: all copies, and those outside memory that is locked and kept out of dumps.
    pub unlocked: [usize; 2],
    /// After the program was told to forget it: the same.
    pub locked: [usize; 2],
}

/// A program that is not there, and where it comes from.
#[derive(Debug)]
pub struct Missing(pub String);

impl Table {
    /// Adds a figure and what it is compared with.
    pub fn compare(&mut self, name: &str, value: f64, unit: &str, against: &str, theirs: f64) {
        self.rows.push(serde_json::json!({
            "name": name, "value": value, "unit": unit, "ratio": value / theirs, "against": against,
        }));
    }

    /// Adds a figure that stands alone.
    pub fn report(&mut self, name: &str, value: f64, unit: &str) {
        self.rows.push(serde_json::json!({
            "name": name, "value": value, "unit": unit, "ratio": null, "against": null,
        }));
    }

    /// Adds a figure that is compared if the peer was there.
    pub fn compare_if(&mut self, name: &str, value: f64, unit: &str, against: &str, theirs: Option<f64>) {
        match theirs {
            Some(theirs) => self.compare(name, value, unit, against, theirs),
            None => self.report(name, value, unit),
        }
    }

    /// Adds what was found in a program's memory and registers.
    pub fn leftovers(&mut self, found: Leftovers) {
        let when = [("unlocked", found.unlocked), ("locked", found.locked)];
        for (when, [copies, exposed]) in when {
            self.report(&format!("scan.{}.{when}.copies", found.program), copies as f64, "copies");
            self.report(&format!("scan.{}.{when}.exposed", found.program), exposed as f64, "copies");
        }
        self.leftovers.push(found);
    }

    /// Takes a peer, or notes that it is missing: the run goes on, and fails at its end.
    pub fn peer<T>(&mut self, peer: Result<T, Missing>) -> Option<T> {
        match peer {
            Ok(peer) => Some(peer),
            Err(Missing(what)) => {
                if !self.missing.contains(&what) {
                    self.missing.push(what);
                }
                None
            }
        }
    }

    /// Prints the table and writes the summary; a failure when a peer was missing.
    pub fn finish(self) -> ExitCode {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{:<38} {:>12} {:<6} {:>12} {:>9}  against", "", "ours", "", "theirs", "ratio")
            .unwrap();
        // What was found in memory has a table of its own.
        for row in self.rows.iter().filter(|row| !row["name"].as_str().unwrap().starts_with("scan.")) {
            let value = row["value"].as_f64().unwrap();
            let (theirs, ratio) = match row["ratio"].as_f64() {
                Some(ratio) => (format!("{:.3}", value / ratio), format!("{ratio:.2} x")),
                None => Default::default(),
            };
            writeln!(
                out,
                "{:<38} {value:>12.3} {:<6} {theirs:>12} {ratio:>9}  {}",
                row["name"].as_str().unwrap(),
                row["unit"].as_str().unwrap(),
                row["against"].as_str().unwrap_or_default(),
            )
            .unwrap();
        }
        if !self.leftovers.is_empty() {
            writeln!(out, "\ncopies of the numbers of an RSA-3072 key in memory and registers (exposed: not in memory that is \
                 locked and kept out of dumps)\n{:<38} {:>12} {:>12} {:>12} {:>12}", "", "unlocked", "exposed", "locked",
                 "exposed").unwrap();
        }
        for Leftovers { program, unlocked: [all, exposed], locked: [left, left_exposed] } in &self.leftovers {
            writeln!(out, "{program:<38} {all:>12} {exposed:>12} {left:>12} {left_exposed:>12}").unwrap();
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
        std::fs::create_dir_all(&folder).unwrap();
        let text = serde_json::to_string_pretty(&self.rows).unwrap();
        std::fs::write(folder.join("summary.json"), text).unwrap();
        writeln!(out, "written: target/bench/summary.json").unwrap();
        for what in &self.missing {
            writeln!(out, "missing, so not compared: {what}").unwrap();
        }
        if self.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Whether figures do not matter and only the way to them is tried: `LIFE_BENCH_QUICK`.
pub fn is_quick() -> bool {
    std::env::var_os("LIFE_BENCH_QUICK").is_some()
}

/// So many repetitions, or few when figures do not matter.
pub fn rounds(count: usize) -> usize {
    if is_quick() { count.min(2) } else { count }
}

/// How long throughput is measured.
pub fn window() -> Duration {
    Duration::from_millis(if is_quick() { 200 } else { 3000 })
}

/// The median of some durations, in milliseconds.
pub fn p50(mut samples: Vec<Duration>) -> f64 {
    samples.sort();
    samples[samples.len() / 2].as_secs_f64() * 1e3
}

/// The median of some numbers.
pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// How long an operation takes.
pub async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = work.await;
    (value, start.elapsed())
}

/// How long a program takes, which must succeed.
///
/// # Errors
/// Names the program and its package when it is not there.
pub fn run(command: &mut Command, package: &str) -> Result<Duration, Missing> {
    let start = Instant::now();
    output(command, package).map(|_| start.elapsed())
}

/// What a program prints, which must succeed.
///
/// # Errors
/// Names the program and its package when it is not there.
pub fn output(command: &mut Command, package: &str) -> Result<Vec<u8>, Missing> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| missing(command, package, &error))?;
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// A program that could not be started.
pub fn missing(command: &Command, package: &str, error: &std::io::Error) -> Missing {
    Missing(format!("{} ({error}), of the Debian package {package}", command.get_program().display()))
}

/// One of 16 clients that do the same over and over, each on a connection of its own.
pub trait Client {
    /// Does it once.
    async fn once(&mut self);
}

/// Operations a second by these clients together.
pub async fn throughput(clients: Vec<impl Client>) -> f64 {
    let (start, window) = (Instant::now(), window());
    let loops = clients.into_iter().map(|mut client| async move {
        let mut count = 0u64;
        while start.elapsed() < window {
            client.once().await;
            count += 1;
        }
        count
    });
    let counts = futures_util::future::join_all(loops).await;
    counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64()
}

/// A call of the agent's as a [`Client`].
pub struct Call<F> {
    clients: Clients,
    call: F,
}

impl<F> Call<F> {
    /// Calls like this over these clients.
    pub fn new(clients: Clients, call: F) -> Self {
        Self { clients, call }
    }
}

impl<F, R> Client for Call<F>
where
    F: Fn(Clients) -> R,
    R: Future<Output = Result<(), tonic::Status>>,
{
    async fn once(&mut self) {
        (self.call)(self.clients.clone()).await.unwrap();
    }
}

/// Connects to a socket as soon as it is there.
pub async fn connect(socket: &Path) -> tokio::net::UnixStream {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match tokio::net::UnixStream::connect(socket).await {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "{}: {error}", socket.display()),
        }
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}
