//! The judge itself: it finds a secret that a process keeps, wherever it keeps it, and none where there is none.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use life_e2e::process::Process;
use life_e2e::scan::{self, Kind, Needles, Place, Secret};
use life_e2e::skip;

/// Bytes that nobody else has.
fn secret() -> Vec<u8> {
    (0..64u8).map(|index| index.wrapping_mul(167) ^ 0x9d).collect()
}

/// A process that keeps the secret there.
fn keeper(place: &str) -> Process {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/keeps_a_secret.py");
    let mut command = Command::new("python3");
    command.arg(program).arg(place).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::new(command.spawn().unwrap());
    process.child().stdin.take().unwrap().write_all(hex::encode(secret()).as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(process.child().stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "{place}");
    process
}

#[test]
fn it_finds_a_secret_wherever_a_process_keeps_it() {
    if !skip::needs("whether secrets in a process are found", "only root may look", scan::may_look()) {
        return;
    }
    let needles = Needles::new(&[Secret::new("control", Kind::Key, &secret())]);
    let mut expected =
        vec![("nowhere", None), ("plain", Some(Place::Memory)), ("sheltered", Some(Place::Sheltered))];
    if skip::needs("whether secrets in registers are found", "x86-64 alone", cfg!(target_arch = "x86_64")) {
        expected.push(("register", Some(Place::Registers)));
    }
    for (name, place) in expected {
        let process = keeper(name);
        let findings = scan::scan(&[process.pid()], &needles);
        let places: Vec<_> = findings.all.iter().map(|found| found.place.clone()).collect();
        assert_eq!(places.first(), place.as_ref(), "{name}: {findings}");
        assert_eq!(findings.copies(), usize::from(place.is_some()), "{name}: {findings}");
        assert_eq!(findings.exposed(), usize::from(!matches!(name, "nowhere" | "sheltered")), "{name}");
        assert!(findings.looked_at > 1 << 20, "{name}: {findings}");
    }
}
