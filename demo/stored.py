"""The platform's own interface through the agent, a document's life on it, and apps in two languages on one agent."""
import json
import os
import time

from common import HERE, Failed, check, fact, run, sha256

STUBS = os.path.join(HERE, "..", "client-stubs")


def call_platform(life, clinic, work):
    """`life api`: an answer in the user's name, and what an app may not ask for."""
    out = os.path.join(work, "me.json")
    answered = life("api", "GET", "/v1/me", "-o", out, user=clinic)[0]
    check(answered["status"] == 200, f"GET /v1/me: {answered}")
    with open(out, encoding="utf-8") as file:
        check(clinic in json.dumps(json.load(file)), "the platform took somebody else for the institution")
    fact(f"life api GET /v1/me: status 200, {answered['size']} bytes; the platform knew the institution by a TLS key that "
         "signs in the vault")
    life.refused("life api DELETE /v1/me", ["API_CALL_FORBIDDEN"], "api", "DELETE", "/v1/me", user=clinic)


def store_document(life, scan, clinic, patient, doctor, work):
    """A document: stored, shared, downloaded by its reader, unshared."""
    size, before = os.path.getsize(scan), time.monotonic()
    stored = life("documents", "upload", scan, "--to", patient, "--title", "CT of the chest", user=clinic)[0]
    name, took = stored["document_id"], time.monotonic() - before
    check(stored["version"] == 1 and stored["plaintext_size"] == size, f"stored as {stored}")
    fact(f"the institution stored a document of {size / 1e6:.0f} MB, content and title encrypted and signed, in {took:.1f} s "
         f"({size / 1e6 / took:.0f} MB/s)")

    never, got = os.path.join(work, "never"), os.path.join(work, "document.dcm")
    download = ["documents", "download", name, "-o", never]
    life.refused("the professional downloads it, before sharing", ["DOCUMENT_NOT_FOUND"], *download, user=doctor)
    life("documents", "share", name, "--to", doctor, user=clinic)
    for reader, who in ((patient, "the patient"), (doctor, "the professional, after sharing")):
        before = time.monotonic()
        life("documents", "download", name, "-o", got, user=reader)
        took = time.monotonic() - before
        check(sha256(got) == sha256(scan), "the document changed")
        os.remove(got)
        fact(f"{who} downloaded and verified it: same SHA-256, in {took:.1f} s ({size / 1e6 / took:.0f} MB/s)")

    before = time.monotonic()
    left = life("documents", "unshare", name, "--from", doctor, user=clinic)[0]
    check(left["version"] == 2, f"unshared: {left}")
    fact(f"the institution took the professional's right away: version 2, under a new key, in {time.monotonic() - before:.1f} s")
    life.refused("the professional downloads it, after unsharing", ["DOCUMENT_NOT_FOUND"], *download, user=doctor)
    check(not os.path.exists(never), "something was written")
    life("documents", "download", name, "-o", got, user=patient)
    check(sha256(got) == sha256(scan), "the new version is another content")
    fact("the patient still reads it: same SHA-256")


def prepare_apps():
    """Makes what the apps need from the contract; what npm and pip install is there already (scripts/need demo)."""
    python = os.path.join(HERE, "..", ".venv", "bin", "python")
    typescript = os.path.join(STUBS, "typescript")
    for command in (
        [python, os.path.join(STUBS, "python", "generate.py")],
        ["node", os.path.join(typescript, "generate.mjs")],
        ["node", os.path.join(typescript, "node_modules", "typescript", "bin", "tsc"), "-p", typescript],
    ):
        if not os.access(command[0], os.X_OK) and command[0] != "node":
            raise Failed(f"there is no {command[0]}: run scripts/need demo")
        done = run(*command)
        check(done.returncode == 0, f"{' '.join(command)}: {done.stdout.decode()}{done.stderr.decode()}")
    return python, os.path.join(typescript, "build", "examples")


def run_apps(life, report, clinic, patient):
    """Thin apps in Python and TypeScript, each alone and one for the other, on the agent that `life` uses."""
    python, typescript = prepare_apps()
    env = {**life.env, "PATH": os.environ["PATH"], "PYTHONPATH": os.path.join(STUBS, "python", "src"),
           "PYTHONDONTWRITEBYTECODE": "1"}
    examples = os.path.join(STUBS, "python", "examples")

    def app(*command):
        done = run(*command, env=env)
        check(done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    both = {
        "Python": [python, os.path.join(examples, "thin_app.py")],
        "TypeScript": ["node", os.path.join(typescript, "thin-app.js")],
    }
    for language, command in both.items():
        before = time.monotonic()
        said = app(*command, clinic, patient)
        check(said == f"{clinic} wrote: HbA1c 6.1 %, control in three months", f"the {language} app said: {said}")
        fact(f"an app in {language}, without a key, sent a finding to the patient and read it, signed by the institution, in "
             f"{time.monotonic() - before:.1f} s")

    name = app(python, os.path.join(examples, "store_document.py"), clinic, patient, report)
    told = json.loads(app("node", os.path.join(typescript, "read-document.js"), patient, name))
    check(told == {"title": os.path.basename(report), "signer": clinic, "sha256": sha256(report)}, f"read: {told}")
    fact(f"what the Python app stored, the TypeScript app read through the same agent (pid {life('status')[0]['broker']['pid']}): "
         f"same SHA-256, signed by the institution")
