//! What the program does with files: nothing half written, nothing overwritten, whatever goes wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::{Agent, Folder, UID, code, error, stderr};

const MIB: usize = 1024 * 1024;

#[test]
fn outputs_have_sensible_names_and_modes() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("report.pdf", b"%PDF");
    for arguments in [&["encrypt", "--to", UID][..], &["sign"], &["sign", "--detached"]] {
        let output = agent.life().args(arguments).arg(&file).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
    assert_eq!(folder.names(), ["report.pdf", "report.pdf.life", "report.pdf.p7m", "report.pdf.p7s"]);
    fs::remove_file(&file).unwrap();
    let sealed = folder.path("report.pdf.life");
    let output = agent.life().arg("decrypt").arg(&sealed).output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(stderr(&output).contains("unsigned"));
    assert_eq!(fs::read(&file).unwrap(), b"%PDF");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "opened content is private");
}

#[test]
fn standard_input_and_output_carry_content() {
    let agent = Agent::start();
    for arguments in
        [&["decrypt"][..], &["decrypt", "-"], &["decrypt", "-", "-o", "-"], &["encrypt", "--to", UID]]
    {
        let mut child = agent
            .life()
            .args(arguments)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"through").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), output.stdout.as_slice()), (0, &b"through"[..]), "{arguments:?}");
        let report: serde_json::Value =
            serde_json::from_str(stderr(&output).lines().last().unwrap()).unwrap();
        assert_eq!(report["output"], "-", "the report goes beside the content");
    }
}

#[test]
fn an_existing_file_is_kept_unless_forced() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"new");
    let out = folder.write("out", b"old");
    let mut command = agent.life();
    command.args(["encrypt", "--json", "--to", UID, "-o"]).arg(&out).arg(&file);
    let output = command.output().unwrap();
    assert_eq!((code(&output), &error(&output)["reason"]), (73, &"OUTPUT_EXISTS".into()));
    assert_eq!(fs::read(&out).unwrap(), b"old");
    assert_eq!(code(&command.arg("--force").output().unwrap()), 0);
    assert_eq!(fs::read(&out).unwrap(), b"new");
    assert_eq!(folder.names(), ["file", "out"]);
}

#[test]
fn a_link_leads_to_the_file_that_is_meant() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let (file, real) = (folder.write("file", b"new"), folder.write("real", b"old"));
    let link = folder.path("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let output = agent.life().args(["encrypt", "--force", "--to", UID, "-o"]).arg(&link).arg(file).output();
    assert_eq!(code(&output.unwrap()), 0);
    assert_eq!(fs::read(real).unwrap(), b"new");
    assert!(link.is_symlink());
}

#[test]
fn a_refusal_leaves_nothing_and_keeps_its_code() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"content");
    for (reason, expected) in [
        ("CREDENTIAL_LOCKED", 77),
        ("IDENTITY_AMBIGUOUS", 64),
        ("IDENTITY_CHANGED", 65),
        ("PLATFORM_UNAVAILABLE", 69),
        ("RECIPIENT_NOT_FOUND", 67),
        ("PLATFORM_NOT_CONFIGURED", 78),
        ("TOO_MANY_IDENTITIES", 75),
        ("INTERNAL", 70),
    ] {
        let mut command = agent.life();
        command.args(["encrypt", "--json", "--to", UID, "--document-id", reason]).arg(&file);
        let output = command.output().unwrap();
        assert_eq!((code(&output), &error(&output)["reason"]), (expected, &reason.into()));
        assert_eq!(folder.names(), ["file"]);
    }
}

#[test]
fn a_stream_that_fails_leaves_nothing() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", &vec![7; 8 * MIB]);
    for (behaviour, expected) in [("fail", 77), ("cut", 70)] {
        let mut command = agent.life();
        command.args(["encrypt", "--stream", "--to", UID, "--document-id", behaviour]).arg(&file);
        let output = command.output().unwrap();
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        assert_eq!(folder.names(), ["file"]);
    }
}

#[test]
fn a_bad_signature_at_the_end_leaves_nothing_in_a_file_or_a_pipe() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let mut content = b"LIFESTRM".to_vec();
    content.resize(5 * MIB, 7);
    let file = folder.write("scan.life", &content);
    let output = agent.life().arg("decrypt").arg(&file).output().unwrap();
    assert_eq!(code(&output), 65);
    let output = agent.life().args(["decrypt", "-o", "-"]).arg(&file).output().unwrap();
    assert_eq!((code(&output), output.stdout.len()), (65, 0), "a pipe gets nothing before all is verified");
    assert_eq!(folder.names(), ["scan.life"]);
    let signature = folder.write("signature", b"0");
    let out = folder.path("out");
    let output = agent.life().arg("verify").arg(&signature).arg("-o").arg(out).output().unwrap();
    assert_eq!(code(&output), 65);
    assert_eq!(folder.names(), ["scan.life", "signature"]);
}

#[test]
fn unsigned_content_is_refused_when_asked() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file.life", b"content");
    let output = agent.life().args(["decrypt", "--require-signature"]).arg(file).output().unwrap();
    assert_eq!(code(&output), 65);
    assert_eq!(folder.names(), ["file.life"]);
}

#[test]
fn large_content_becomes_a_stream_by_itself() {
    let (agent, folder) = (Agent::start(), Folder::new());
    for (size, form) in [(0, "ENVELOPE"), (16 * MIB, "ENVELOPE"), (16 * MIB + 1, "SEALED_STREAM")] {
        let file = folder.write("file", &vec![7; size]);
        for input in [file.to_str().unwrap(), "-"] {
            let out = folder.path("out");
            let mut command = agent.life();
            command.args(["encrypt", "--json", "--force", "--to", UID, "-o"]).arg(&out).arg(input);
            let output = command.stdin(File::open(&file).unwrap()).output().unwrap();
            assert_eq!(code(&output), 0, "{}", stderr(&output));
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!((&report["form"], &report["plaintext_size"]), (&form.into(), &size.into()));
            assert_eq!(fs::read(&out).unwrap().len(), size);
        }
    }
}

/// Waits until a program handles Ctrl-C, and then a while for it to be in the middle of its work.
fn wait_until_caught(pid: u32) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        if u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (Signal::TERM.as_raw() - 1) != 0 {
            break;
        }
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn an_interrupted_command_leaves_nothing() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", &vec![7; 8 * MIB]);
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = agent.life();
        command.args(["encrypt", "--stream", "--to", UID, "--document-id", "stall"]).arg(&file);
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        wait_until_caught(child.id());
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 130, "{}", stderr(&output));
        assert_eq!(folder.names(), ["file"]);
    }
}

#[test]
fn a_command_that_waits_for_a_pipe_can_be_interrupted() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"content");
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (file, fifo) = (file.to_str().unwrap(), fifo.to_str().unwrap());
    for arguments in [
        &["decrypt", file, "-o", fifo][..],
        &["encrypt", "--to", UID, fifo],
        &["unlock", file, "--passphrase-file", fifo],
        &["register", "--kind", "patient", "--passphrase-file", fifo, "--out", fifo],
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let mut child = agent.life().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
            wait_until_caught(child.id());
            kill_process(Pid::from_child(&child), signal).unwrap();
            let began = Instant::now();
            while child.try_wait().unwrap().is_none() {
                if began.elapsed() > Duration::from_secs(10) {
                    child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let output = child.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(130), "{arguments:?}: {}", stderr(&output));
        }
    }
}

#[test]
fn an_agent_that_vanishes_leaves_nothing() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", &vec![7; 8 * MIB]);
    let mut command = agent.life();
    command.args(["encrypt", "--json", "--stream", "--to", UID, "--document-id", "stall"]).arg(&file);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    agent.vanish();
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), &error(&output)["reason"]), (69, &"AGENT_UNAVAILABLE".into()));
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn pipes_and_devices_are_written_directly() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"through the pipe");
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = agent.life();
    let mut child = command.args(["encrypt", "--to", UID, "-o"]).arg(&fifo).arg(&file).spawn().unwrap();
    let mut text = String::new();
    File::open(&fifo).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "through the pipe");
    assert!(child.wait().unwrap().success());

    let mut command = agent.life();
    let output =
        command.args(["encrypt", "--json", "--to", UID, "-o", "/dev/full"]).arg(&file).output().unwrap();
    assert_eq!((code(&output), &error(&output)["reason"]), (74, &"WRITE_FAILED".into()));
}

#[test]
fn sharing_replaces_the_file_in_one_step() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file.life", b"envelope");
    assert_eq!(code(&agent.life().args(["share", "--to", UID]).arg(&file).output().unwrap()), 0);
    assert_eq!(fs::read(&file).unwrap(), b"envelope+shared");

    // The agent gets all before the first segment, and its answer takes that place.
    let header = [&b"LIFESTRM\x01\x00\x00\x00\x03env"[..], &[40; 40]].concat();
    let rest = b"segments of the streama sealed trailer\x00\x00\x00\x10";
    let stream = [&header[..], rest].concat();
    folder.write("file.life", &stream);
    let out = folder.path("out");
    for input in [file.to_str().unwrap(), "-"] {
        let mut command = agent.life();
        command.args(["share", "--force", "--to", UID, "-o"]).arg(&out).arg(input);
        let output = command.stdin(File::open(&file).unwrap()).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert_eq!(fs::read(&out).unwrap(), [&header[..], b"+shared", rest].concat());
        assert_eq!(fs::read(&file).unwrap(), stream);
    }
}

/// Runs the program where a small file system of its own is mounted on `folder`.
///
/// Fails where an ordinary user may mount nothing; with `LIFE_ALLOW_SKIP` in the environment it says so and gives nothing.
fn on_own_file_system(
    agent: &Agent,
    folder: &Path,
    options: &str,
    arguments: &[&str],
) -> Option<(i32, String)> {
    let life = agent.life();
    let script = format!(
        "mount -t tmpfs -o {options} none \"$0\" || exit 99\n\"$@\"; code=$?\nls -A \"$0\" >&3\nexit $code"
    );
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command
        .arg(format!("exec 3>&1 1>/dev/null\n{script}"))
        .arg(folder)
        .arg(life.get_program())
        .args(arguments);
    for (name, value) in life.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.stdin(Stdio::null()).output().unwrap();
    if matches!(output.status.code(), Some(1 | 99)) && !stderr(&output).contains("life:") {
        assert!(
            std::env::var_os("LIFE_ALLOW_SKIP").is_some(),
            "nothing can be mounted here, so that this cannot be tested: {}; LIFE_ALLOW_SKIP=1 skips it",
            stderr(&output)
        );
        let skipped = format!("SKIPPED: nothing can be mounted here: {}\n", stderr(&output));
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return None;
    }
    Some((code(&output), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn a_full_disk_leaves_nothing() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", &vec![7; 4 * MIB]);
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let out = disk.join("out");
    for form in [&[][..], &["--stream"]] {
        let mut arguments = vec!["encrypt", "--to", UID, "-o", out.to_str().unwrap(), file.to_str().unwrap()];
        arguments.extend(form);
        let Some((code, left)) = on_own_file_system(&agent, &disk, "size=1m", &arguments) else { return };
        assert_eq!((code, left.as_str()), (74, ""));
    }
}

#[test]
fn a_read_only_folder_is_73() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"content");
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let out = disk.join("out");
    let arguments = ["encrypt", "--to", UID, "-o", out.to_str().unwrap(), file.to_str().unwrap()];
    let Some((code, left)) = on_own_file_system(&agent, &disk, "ro", &arguments) else { return };
    assert_eq!((code, left.as_str()), (73, ""));
}

#[test]
fn a_folder_that_is_missing_is_73() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"content");
    let out = folder.path("missing/out");
    let output = agent.life().args(["encrypt", "--to", UID, "-o"]).arg(out).arg(file).output().unwrap();
    assert_eq!(code(&output), 73, "{}", stderr(&output));
}
