//! From inside the broker's sandbox: where it writes, what it executes, whom it signals.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::ErrorKind::PermissionDenied;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use life_sys::hardening::{Children, harden};
use life_sys::peer::Programs;
use life_sys::sandbox::{Enforcement, Places, confine_broker};
use rustix::process::{Pid, test_kill_process};

const FOLDER: &str = "LIFE_TEST_FOLDER";

/// Runs the test below that is ignored, in a process of its own.
fn child(folder: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", "confined"])
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A folder to write in, with one in it for programs and a program in each.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["ours", "programs", "elsewhere"] {
        let made = folder.path().join(name);
        fs::create_dir(&made).unwrap();
        fs::copy("/bin/true", made.join("true")).unwrap();
        fs::write(made.join("file"), "there before").unwrap();
        fs::write(made.join("spare"), "there before").unwrap();
    }
    folder
}

fn runs(program: &Path) -> std::io::Result<()> {
    let status = Command::new(program).status()?;
    assert!(status.success());
    Ok(())
}

/// What is tried in a folder: names, and outcomes of each.
fn outcomes(folder: &Path) -> Vec<(&'static str, std::io::Result<()>)> {
    let at = |name: &str| folder.join(name);
    let other = folder.parent().unwrap().join("ours");
    vec![
        ("read a file", fs::read(at("file")).map(drop)),
        ("make a file", fs::write(at("new"), "x")),
        ("write a file", fs::OpenOptions::new().append(true).open(at("file")).map(drop)),
        ("truncate a file", fs::OpenOptions::new().write(true).truncate(true).open(at("file")).map(drop)),
        ("make a file without a name", tempfile::tempfile_in(folder).map(drop)),
        ("make a folder", fs::create_dir(at("folder"))),
        ("make a link", std::os::unix::fs::symlink("file", at("link"))),
        ("make a socket", UnixListener::bind(at("socket")).map(drop)),
        ("move a file", fs::rename(at("file"), at("moved"))),
        ("move a file in", fs::rename(other.join("spare"), at("moved in"))),
        ("remove a file", fs::remove_file(at("true"))),
    ]
}

fn places(folder: &Path) -> Places {
    Places { writable: vec![folder.join("ours")], executable: vec![folder.join("programs")] }
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn confined() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let free = Pid::from_raw(std::os::unix::process::parent_id().cast_signed()).unwrap();
    runs(&folder.join("elsewhere/true")).unwrap();
    test_kill_process(free).unwrap();

    harden(Children::Free).unwrap();
    let confinement = confine_broker(&places(&folder)).unwrap();
    assert_eq!(confinement.landlock, Enforcement::Full);

    assert_eq!(runs(&folder.join("ours/true")).unwrap_err().kind(), PermissionDenied);
    assert_eq!(runs(&folder.join("elsewhere/true")).unwrap_err().kind(), PermissionDenied);
    runs(&folder.join("programs/true")).unwrap();
    runs(Path::new("/usr/bin/true")).unwrap();
    assert!(test_kill_process(free).is_err());
    // Its own children can still be ended.
    let mut own = Command::new("sleep").arg("600").spawn().unwrap();
    own.kill().unwrap();
    own.wait().unwrap();
    fs::OpenOptions::new().write(true).open("/dev/null").unwrap();

    for (what, outcome) in outcomes(&folder.join("elsewhere")) {
        match what {
            "read a file" => outcome.unwrap(),
            _ => assert!(outcome.is_err(), "{what} works elsewhere"),
        }
    }
    for (what, outcome) in outcomes(&folder.join("ours")) {
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
}

#[test]
fn it_writes_and_executes_where_it_has_to_and_nowhere_else() {
    let folder = scene();
    // Without a sandbox everything works, there as well.
    for (what, outcome) in outcomes(&folder.path().join("elsewhere")) {
        assert!(outcome.is_ok(), "{what}: {outcome:?}");
    }
    let folder = scene();
    child(folder.path());
    let places = places(folder.path());
    assert!(places.allow(&folder.path().join("programs/true")) && places.allow(Path::new("/bin/sh")));
    assert!(!places.allow(&folder.path().join("elsewhere/true")));
}

/// Where there are threads, no process is made that would have their locks.
#[test]
fn with_threads_there_is_nobody_beside() {
    let thread = std::thread::spawn(|| assert!(Programs::beside().is_err()));
    thread.join().unwrap();
}
