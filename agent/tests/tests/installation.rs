//! `make install` and `make uninstall`, and what the tools of the service managers say of what was installed.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use life_e2e::binaries;
use life_e2e::dev::{mode, text};
use life_e2e::process::{Process, eventually};
use tempfile::TempDir;

const BINARIES: [&str; 4] = ["life", "life-agentd", "life-vault", "life-platform"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The script behind both make targets; HOME is the folder's, so that it is never the person's own.
fn script(home: &Path, destdir: &Path, prefix: &Path, further: &[&str]) -> Output {
    script_as(0, home, destdir, prefix, further)
}

/// The same by a user whom `id` calls so, whoever runs the tests.
fn script_as(uid: u32, home: &Path, destdir: &Path, prefix: &Path, further: &[&str]) -> Output {
    let tools = TempDir::with_prefix("life-id-").unwrap();
    let id = tools.path().join("id");
    fs::write(&id, format!("#!/bin/sh\necho {uid}\n")).unwrap();
    fs::set_permissions(&id, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new(repository().join("scripts/install"))
        .env("PATH", path)
        .args(further)
        .args(BINARIES)
        .env("HOME", home)
        .env("DESTDIR", destdir)
        .env("PREFIX", prefix)
        .env("LIFE_BUILT", binaries::path("life").parent().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    output
}

/// Everything below a folder, as paths seen from it.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder_now) = open.pop() {
        for entry in fs::read_dir(folder_now).unwrap() {
            let path = entry.unwrap().path();
            found.insert(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    found
}

#[test]
fn uninstall_takes_away_what_install_put_there_and_nothing_else() {
    let dir = TempDir::with_prefix("life-install-").unwrap();
    let (home, destdir) = (dir.path().join("home"), dir.path().join("dest"));
    // What others have installed, in folders that the agent's files go to as well.
    for name in ["usr/bin/other", "usr/share/man/man1/life-other.1", "usr/lib/systemd/user/other.service"] {
        fs::create_dir_all(destdir.join(name).parent().unwrap()).unwrap();
        fs::write(destdir.join(name), "").unwrap();
    }
    fs::create_dir_all(destdir.join("usr/share/zsh")).unwrap();
    let before = tree(&destdir);

    script(&home, &destdir, Path::new("/usr"), &[]);
    let installed = tree(&destdir);
    for name in [
        "bin/life",
        "bin/life-platform",
        "lib/systemd/user/life-agentd.service",
        "lib/systemd/user/life-agentd.socket",
        "share/bash-completion/completions/life",
        "share/fish/vendor_completions.d/life.fish",
        "share/man/man1/life.1",
        "share/man/man1/life-unlock.1",
        "share/zsh/site-functions/_life",
    ] {
        assert!(installed.contains(&format!("usr/{name}")), "{name} is missing");
    }
    let unit = fs::read_to_string(destdir.join("usr/lib/systemd/user/life-agentd.service")).unwrap();
    assert!(unit.contains("ExecStart=\"/usr/bin/life-agentd\"\n"), "{unit}");
    for (name, expected) in [("life", 0o755), ("life-agentd", 0o711), ("life-vault", 0o711)] {
        assert_eq!(mode(&destdir.join("usr/bin").join(name)), expected, "{name}");
    }

    // A later version without a page that this one has, and one more time the same.
    let old_page = "usr/share/man/man1/life-gone.1";
    fs::write(destdir.join(old_page), "").unwrap();
    let manifest = destdir.join("usr/share/life/manifest");
    let listed = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{listed}f {old_page}\nf usr/../outside\nf etc/passwd\n")).unwrap();
    fs::create_dir(destdir.join("etc")).unwrap();
    for name in ["outside", "etc/passwd"] {
        fs::write(destdir.join(name), "").unwrap();
    }
    script(&home, &destdir, Path::new("/usr"), &[]);
    assert!(!destdir.join(old_page).exists(), "a page of an older version stays");
    for name in ["outside", "etc/passwd"] {
        assert!(destdir.join(name).exists(), "a manifest's word took {name} away");
    }
    fs::remove_dir_all(destdir.join("etc")).unwrap();
    fs::remove_file(destdir.join("outside")).unwrap();
    assert_eq!(tree(&destdir), installed);

    script(&home, &destdir, Path::new("/usr"), &["--remove"]);
    assert_eq!(tree(&destdir), before);
    script(&home, &destdir, Path::new("/usr"), &["--remove"]);
    assert_eq!(tree(&destdir), before);
}

/// Installs where the paths that the units name exist, and gives the folder of the units.
fn installed(dir: &TempDir, own: bool) -> PathBuf {
    let home = dir.path().join("home");
    let (prefix, units) = if own {
        (home.join(".local"), home.join(".local/share/systemd/user"))
    } else {
        (dir.path().join("usr"), dir.path().join("usr/lib/systemd/user"))
    };
    script(&home, Path::new(""), &prefix, &[]);
    units
}

#[test]
fn programs_that_are_not_roots_run_without_namespaces_wherever_they_are() {
    for (uid, own) in [(0, false), (1000, true)] {
        let dir = TempDir::with_prefix("life-units-").unwrap();
        let prefix = dir.path().join("opt");
        script_as(uid, &dir.path().join("home"), Path::new(""), &prefix, &[]);
        let drop_in = prefix.join("lib/systemd/user/life-agentd.service.d/own-prefix.conf");
        assert_eq!(drop_in.exists(), own, "as {uid}");
    }
}

#[test]
fn the_sandbox_holds_nothing_that_starts_programs_outside() {
    let dir = TempDir::with_prefix("life-units-").unwrap();
    let unit = fs::read_to_string(installed(&dir, false).join("life-agentd.service")).unwrap();
    let bound: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("BindPaths=").or(line.strip_prefix("BindReadOnlyPaths=")))
        .flat_map(str::split_whitespace)
        .map(|path| path.trim_start_matches('-'))
        .filter(|path| path.starts_with("%t"))
        .collect();
    assert_eq!(bound, ["%t/life", "%t/systemd/notify", "%t/wayland-0", "%t/wayland-1"]);
}

fn analyze(dir: &TempDir, arguments: &[&str]) -> Output {
    let runtime = dir.path().join("runtime");
    fs::create_dir_all(&runtime).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
    Command::new("systemd-analyze")
        .args(arguments)
        .env("HOME", dir.path().join("home"))
        .env("XDG_RUNTIME_DIR", runtime)
        .output()
        .expect("install the Debian package systemd")
}

#[test]
fn systemd_has_nothing_to_say_against_the_units() {
    for own in [false, true] {
        let dir = TempDir::with_prefix("life-units-").unwrap();
        let units = installed(&dir, own);
        let drop_in = units.join("life-agentd.service.d/own-prefix.conf");
        assert_eq!(drop_in.exists(), own);
        // It ends with 0 for keys that it does not know, and says so.
        let files = ["life-agentd.socket", "life-agentd.service"].map(|name| units.join(name));
        let [socket, service] = files.each_ref().map(|path| path.to_str().unwrap());
        let output = analyze(&dir, &["verify", "--user", "--man=no", socket, service]);
        assert_eq!(text(&output.stderr), "");
        assert!(output.status.success());

        let unit = fs::read_to_string(&files[1]).unwrap();
        let bad = unit.replace("UMask=", "Umask=");
        fs::write(&files[1], bad).unwrap();
        let output = analyze(&dir, &["verify", "--user", "--man=no", service]);
        assert!(text(&output.stderr).contains("Umask"), "the check sees nothing");
    }
}

#[test]
fn the_service_is_exposed_by_no_more_than_1_5() {
    let dir = TempDir::with_prefix("life-units-").unwrap();
    let service = installed(&dir, false).join("life-agentd.service");
    let arguments = ["security", "--user", "--offline=true", "--threshold=15", "--no-pager"];
    let output = analyze(&dir, &[&arguments[..], &[service.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_launchd_agent_is_a_property_list() {
    let dir = TempDir::with_prefix("life-launchd-").unwrap();
    let home = "/Users/a & b <c>";
    let script = |arguments: &[&str]| {
        let output = Command::new(repository().join("launchd/install.sh"))
            .args(arguments)
            .env("HOME", home)
            .env("DESTDIR", dir.path())
            .env("PREFIX", "/opt/life")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    script(&[]);
    let plist = dir.path().join(&home[1..]).join("Library/LaunchAgents/life.agentd.plist");
    assert_eq!(mode(&plist), 0o644);
    let read = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = Command::new("python3").args(["-c", read]).arg(&plist).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let plist_now: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plist_now["Label"], "life.agentd");
    assert_eq!(plist_now["ProgramArguments"], serde_json::json!(["/opt/life/bin/life-agentd"]));
    assert_eq!(plist_now["StandardErrorPath"], format!("{home}/Library/Logs/life/agentd.log"));
    assert_eq!(plist_now["Umask"], 0o077);
    script(&["--remove"]);
    assert!(!plist.exists());
}

/// A user of this test's own.
const SOMEBODY: u32 = 61_234;

/// A command of that user's.
fn somebody(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={SOMEBODY}"), format!("--regid={SOMEBODY}"), "--clear-groups".to_owned()]);
    command.arg(program).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// In a user namespace the kernel lets the user who made it debug what runs inside, whatever that process forbids, but
/// for programs that the user cannot read: that is why they are installed so.
#[test]
fn an_installed_agent_in_a_user_namespace_is_closed_to_its_user() {
    let can = somebody("unshare").args(["-U", "true"]).status().is_ok_and(|status| status.success());
    if !life_e2e::skip::needs("a user namespace of another user", "only root has other users", can) {
        return;
    }
    let dir = TempDir::with_prefix("life-namespace-").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    script(&dir.path().join("home"), dir.path(), Path::new("/usr"), &[]);
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(&state, Some(SOMEBODY), Some(SOMEBODY)).unwrap();

    for (permissions, open) in [(0o711, false), (0o755, true)] {
        for name in ["life-agentd", "life-vault"] {
            let program = dir.path().join("usr/bin").join(name);
            fs::set_permissions(program, fs::Permissions::from_mode(permissions)).unwrap();
        }
        let log = dir.path().join("agent.log");
        let mut command = somebody("unshare");
        command
            .args(["-U", &format!("--map-user={SOMEBODY}"), &format!("--map-group={SOMEBODY}")])
            .arg(dir.path().join("usr/bin/life-agentd"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &state)
            .env("LIFE_STATE_DIR", &state)
            .env("LIFE_AGENT_SOCKET", state.join("run/agent.sock"))
            .stderr(fs::File::create(&log).unwrap());
        let broker = Process::new(command.spawn().unwrap());
        let said = || fs::read_to_string(&log).unwrap();
        eventually("the vault runs", Duration::from_secs(20), || said().contains("the vault is ready"));
        assert_eq!(said().contains("other programs of this user may read this process"), open, "{}", said());

        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", broker.pid())).unwrap();
        // The vault, and the process that says which programs connect.
        let children: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        assert_eq!(children.len(), 2, "{children:?}");
        for pid in [vec![broker.pid().to_string()], children].concat() {
            let maps =
                somebody("cat").arg(format!("/proc/{pid}/maps")).stderr(Stdio::null()).status().unwrap();
            assert_eq!(maps.success(), open, "process {pid} with a program of mode {permissions:o}");
        }
    }
}
