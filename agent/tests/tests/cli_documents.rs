//! `life documents` against the real platform, agent and vault.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use life_e2e::dev::{Dev, MIB, noise};
use life_e2e::documents::fresh_id;
use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

#[test]
fn documents_live_through_the_command_line() {
    let dev = Dev::up("patient,institution,professional");
    let (patient, clinic, doctor) = (dev.uid("patient"), dev.uid("institution"), dev.uid("professional"));
    let content = noise(3 * MIB);
    let file = dev.write("scan.dcm", &content);
    let name = file.to_str().unwrap();
    let out = dev.path("out");
    let out_name = out.to_str().unwrap().to_owned();
    let as_clinic = |arguments: &[&str]| -> Value {
        dev.done(["documents"].iter().chain(arguments).copied().chain(["--as", &clinic]))
    };

    let stored = as_clinic(&["upload", name, "--to", &patient, "--type", "http://loinc.org|18748-4"]);
    let id = stored["document_id"].as_str().unwrap().to_owned();
    assert_eq!((&stored["version"], &stored["existed"]), (&1.into(), &false.into()));
    assert_eq!(stored["readers"].as_array().unwrap().len(), 2);
    let again = as_clinic(&["upload", name, "--to", &patient, "--id", &id]);
    assert_eq!(again["existed"], true);

    let shown = dev.done(["documents", "show", &id, "--as", &patient]);
    assert_eq!((&shown["title"], &shown["owner"]), (&"scan.dcm".into(), &format!("users/{clinic}").into()));
    assert_eq!((&shown["type"]["code"], &shown["size"]), (&"18748-4".into(), &content.len().into()));
    assert_eq!(shown["signature"]["state"], "VALID");
    assert_eq!(shown["document_reference"]["resourceType"], "DocumentReference");
    let listed = dev.done(["documents", "list", "--as", &patient]);
    assert_eq!(listed["documents"][0]["document_id"], id.as_str());
    let text = dev.life(["documents", "list", "--as", &patient]).output().unwrap();
    assert!(String::from_utf8(text.stdout).unwrap().contains("scan.dcm"));

    // To a file, which appears only when all is verified and replaces nothing; to a pipe; and what is not there.
    let report = dev.done(["documents", "download", &id, "-o", &out_name, "--as", &patient]);
    assert_eq!((fs::read(&out).unwrap(), &report["output"]), (content.clone(), &out_name.as_str().into()));
    let refused = dev.refused(["documents", "download", &id, "-o", &out_name, "--as", &patient]);
    assert_eq!(refused, (73, "OUTPUT_EXISTS".into()));
    let piped = dev.life(["documents", "download", &id, "-o", "-", "--as", &patient]).output().unwrap();
    assert_eq!(piped.stdout, content);
    let refused = dev.refused(["documents", "download", &id, "-o", "never", "--as", &doctor]);
    assert_eq!(refused, (66, "DOCUMENT_NOT_FOUND".into()));

    as_clinic(&["share", &id, "--to", &doctor]);
    dev.done(["documents", "download", &id, "--force", "-o", &out_name, "--as", &doctor]);
    let refused = dev.refused(["documents", "share", &id, "--to", &doctor, "--as", &patient]);
    assert_eq!(refused, (77, "NOT_THE_OWNER".into()));

    // A new version from standard input, for those who read the old one.
    let reference = dev.write("reference.json", br#"{"status":"current","description":"Nachtrag"}"#);
    let arguments = [
        "documents",
        "upload",
        "-",
        "--id",
        &id,
        "--expect-version",
        "1",
        "--keep-readers",
        "--content-type",
    ];
    let mut command = dev.life(arguments);
    command.args(["text/plain", "--json", "--as", &clinic, "--reference"]).arg(&reference);
    let mut upload = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    upload.stdin.take().unwrap().write_all(b"addendum").unwrap();
    let output = upload.wait_with_output().unwrap();
    let stored: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&stored["version"], stored["readers"].as_array().unwrap().len()), (&2.into(), 3));
    let shown = dev.done(["documents", "show", &id, "--as", &doctor]);
    assert_eq!((&shown["title"], &shown["content_type"]), (&"Nachtrag".into(), &"text/plain".into()));
    let stale =
        dev.refused(["documents", "upload", name, "--id", &id, "--expect-version", "1", "--as", &clinic]);
    assert_eq!(stale, (75, "VERSION_CONFLICT".into()));

    let left = as_clinic(&["unshare", &id, "--from", &doctor]);
    assert_eq!(left["version"], 3);
    let refused = dev.refused(["documents", "show", &id, "--as", &doctor]);
    assert_eq!(refused, (66, "DOCUMENT_NOT_FOUND".into()));
    let wrong = dev.refused(["documents", "delete", &id, "--expect-version", "2", "--as", &clinic]);
    assert_eq!(wrong, (75, "VERSION_CONFLICT".into()));
    assert_eq!(as_clinic(&["delete", &id])["deleted"], id.as_str());
    assert_eq!(as_clinic(&["show", &id])["status"], "DELETED");
    assert!(!dev.path("never").exists());
}

#[test]
fn an_upload_that_was_killed_goes_on() {
    let dev = Dev::up("institution");
    let (clinic, id, content) = (dev.uid("institution"), fresh_id(), noise(24 * MIB));
    let mut command = dev.life(["documents", "upload", "-", "--id", &id, "--as", &clinic]);
    let mut upload = command.stdin(Stdio::piped()).spawn().unwrap();
    // More than all that is on its way at a time; the rest never comes.
    let mut stdin = upload.stdin.take().unwrap();
    stdin.write_all(&content[..20 * MIB]).unwrap();
    upload.kill().unwrap();
    upload.wait().unwrap();
    drop(stdin);
    let journal = dev.root().join(format!("agent/state/uploads/{clinic}.{id}"));
    // Free once the agent has noticed.
    flock(File::open(&journal).unwrap(), FlockOperation::LockExclusive).unwrap();

    let file = dev.write("whole", &content);
    let arguments = ["documents", "upload", file.to_str().unwrap(), "--id", &id, "--as", &clinic];
    let output = dev.life(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("went on where an earlier call had come to"), "{said}");
    let out = dev.path("out");
    dev.done(["documents", "download", &id, "-o", out.to_str().unwrap(), "--as", &clinic]);
    assert!(fs::read(&out).unwrap() == content);
    assert!(!journal.exists());
}
