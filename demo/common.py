"""What every part of the demonstration uses: facts, the command line, OpenSSL, the operator's view."""
import hashlib
import json
import os
import sqlite3
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ.get("LIFE_BIN_DIR", os.path.join(HERE, "..", "target", "release"))
LIFE = os.path.join(BIN, "life")
SCAN_MIB = int(os.environ.get("LIFE_DEMO_SCAN_MIB", "256"))
started = time.monotonic()
facts = []


class Failed(Exception):
    """A fact that does not hold."""


def fact(text):
    facts.append(text)
    print(f"  {len(facts):2}. [{time.monotonic() - started:6.1f} s] {text}", flush=True)


def check(holds, what):
    if not holds:
        raise Failed(what)


def run(*args, env=None, stdin=None):
    return subprocess.run(args, env=env, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True, check=False)


def openssl(*args):
    done = run("openssl", *args)
    check(done.returncode == 0, f"openssl {args[0]}: {done.stderr.decode()}")
    return done.stdout


class Life:
    """The command line, in the development set-up's environment."""

    def __init__(self, env):
        self.env = env

    def __call__(self, *args, user=None):
        """Runs a verb that must succeed; returns its JSON."""
        done = self.attempt(*args, user=user)
        check(done.returncode == 0, f"life {' '.join(args)}: {done.stderr.decode()}")
        return [json.loads(line) for line in done.stdout.decode().splitlines() if line.strip()]

    def attempt(self, *args, user=None):
        as_user = ["--as", user] if user else []
        return run(LIFE, *args, *as_user, "--json", env=self.env)

    def refused(self, what, reasons, *args, user=None):
        """Runs a verb that must fail with one of the reasons, and says so."""
        done = self.attempt(*args, user=user)
        check(done.returncode != 0, f"{what}: was not refused")
        reason = None
        for line in done.stderr.decode().splitlines():
            try:
                reason = json.loads(line)["error"]["reason"]
            except (ValueError, KeyError, TypeError):
                continue
        check(reason in reasons, f"{what}: refused with {reason}, expected {reasons}: {done.stderr.decode()}")
        fact(f"{what}: refused, {reason} (exit {done.returncode})")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def openssl_stdin(args, data):
    done = run("openssl", *args, stdin=data)
    check(done.returncode == 0, f"openssl {args[0]}: {done.stderr.decode()}")
    return done.stdout


def der(data, at=0):
    """The parts of one DER element: tag, content, where the next begins."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start:start + count], "big"), start + count
    return data[at], data[start:start + length], start + length


def children(content):
    parts, at = [], 0
    while at < len(content):
        tag, body, at = der(content, at)
        parts.append((tag, body))
    return parts


class Platform:
    """What the operator can do: read and edit everything that is stored."""

    def __init__(self, folder):
        self.folder = folder

    def edit(self, sql, *args):
        with sqlite3.connect(self.path("platform.db"), timeout=10) as database:
            changed = database.execute(sql, args).rowcount
        check(changed > 0, f"the edit changed nothing: {sql}")

    def read(self, sql, *args):
        with sqlite3.connect(self.path("platform.db"), timeout=10) as database:
            return database.execute(sql, args).fetchall()

    def path(self, name):
        for folder, _, files in os.walk(self.folder):
            if name in files:
                return os.path.join(folder, name)
        raise Failed(f"the platform has no {name}")
