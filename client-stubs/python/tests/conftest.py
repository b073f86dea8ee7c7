"""A live platform, agent and users for the tests: `life dev up`, with the binaries under test."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from life_agent import Agent, LifeError

ROOT = pathlib.Path(__file__).resolve().parents[3]


def _folder() -> pathlib.Path:
    """The folder of the binaries: LIFE_BIN_DIR, else what was built last."""
    if named := os.environ.get("LIFE_BIN_DIR"):
        return pathlib.Path(named)
    built = [ROOT / "target" / profile / "life" for profile in ("debug", "release")]
    built = [path for path in built if path.exists()]
    assert built, "build the binaries first: cargo build --workspace --bins"
    return max(built, key=lambda path: path.stat().st_mtime).parent


BINARIES = _folder()


class Platform:
    """A platform of a test's own, whose operator does as the test likes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        made = json.loads(self.run("init", "--json", "--listen", "127.0.0.1:0"))
        self.fingerprint = made["ca_fingerprint"]
        config = folder / "platform.toml"
        config.write_text(re.sub(r"inbox_messages = \d+", "inbox_messages = 1", config.read_text()))
        self.processes = []
        self.spawn("ca")
        self.origin = "https://" + json.loads(self.spawn("serve", "--listen", "127.0.0.1:0"))["listening"]

    @property
    def config(self) -> str:
        """What binds an agent to it."""
        return f'[platform]\norigin = "{self.origin}"\nca_fingerprint = "{self.fingerprint}"\n'

    def command(self, verb: str, *arguments: str) -> list:
        words = verb.split()
        return [BINARIES / "life-platform", *words, "--dir", self.folder, *arguments]

    def run(self, verb: str, *arguments: str) -> str:
        done = subprocess.run(self.command(verb, *arguments), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def spawn(self, verb: str, *arguments: str) -> str:
        """Starts a part; gives the line with which it says that it is ready."""
        log = open(self.folder.parent / f"{verb}.log", "wb")
        command = self.command(verb, *arguments)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes.append(process)
        return process.stdout.readline()

    def edit(self, sql: str, *values) -> None:
        """Changes what the platform stores."""
        (database,) = self.folder.rglob("platform.db")
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
            assert connection.execute(sql, values).rowcount > 0

    def read(self, sql: str, *values) -> list:
        (database,) = self.folder.rglob("platform.db")
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection:
            return connection.execute(sql, values).fetchall()

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=30)
            process.stdout.close()


class Dev:
    """A development set-up."""

    def __init__(self, folder: pathlib.Path, users: str = "patient,institution,professional") -> None:
        life = [BINARIES / "life", "dev", "up", "--detach", "--dir", folder, "--users", users]
        started = subprocess.run(life, capture_output=True, text=True, timeout=180)
        assert started.returncode == 0, started.stderr
        self.summary = json.loads(started.stdout)
        self.folder = folder
        self.socket = self.summary["socket"]

    def uid(self, kind: str) -> str:
        return self.summary["users"][kind]["uid"]

    def pkcs12(self, kind: str) -> bytes:
        return pathlib.Path(self.summary["users"][kind]["software_certificate"]).read_bytes()

    def passphrase(self, kind: str) -> str:
        return pathlib.Path(self.summary["users"][kind]["passphrase_file"]).read_text()

    def down(self) -> None:
        life = [BINARIES / "life", "dev", "down", "--dir", self.folder]
        subprocess.run(life, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="session")
def dev(tmp_path_factory):
    dev = Dev(tmp_path_factory.mktemp("dev"))
    yield dev
    dev.down()


@pytest.fixture(scope="session")
def other_dev(tmp_path_factory):
    """A set-up of somebody else."""
    dev = Dev(tmp_path_factory.mktemp("other"), "patient")
    yield dev
    dev.down()


@pytest.fixture
def platform(tmp_path):
    platform = Platform(tmp_path / "platform")
    yield platform
    platform.stop()


@pytest.fixture
def agent(dev):
    """A connection to the agent; everybody is unlocked."""
    with Agent(dev.socket) as agent:
        unlocked = {identity.uid for identity in agent.status().identities}
        for kind in dev.summary["users"]:
            if dev.uid(kind) not in unlocked:
                agent.unlock(dev.pkcs12(kind), dev.passphrase(kind))
        yield agent


@pytest.fixture
def patient(dev) -> str:
    return dev.uid("patient")


@pytest.fixture
def practice(dev) -> str:
    return dev.uid("institution")


@pytest.fixture
def physician(dev) -> str:
    return dev.uid("professional")


@pytest.fixture
def start_agent(tmp_path):
    """Starts agents of a test's own, with a configuration in TOML."""
    running = []

    def start(config: str) -> Agent:
        folder = tmp_path / f"agent{len(running)}"
        folder.mkdir(mode=0o700)
        (folder / "agent.toml").write_text(config)
        socket = folder / "run" / "agent.sock"
        environment = {
            **os.environ,
            "LIFE_CONFIG": str(folder / "agent.toml"),
            "LIFE_STATE_DIR": str(folder / "state"),
            "LIFE_AGENT_SOCKET": str(socket),
        }
        log = open(folder / "log", "wb")
        process = subprocess.Popen([BINARIES / "life-agentd"], env=environment, stderr=log, stdout=log)
        agent = Agent(socket)
        running.append((process, agent, log))
        for _ in range(500):
            with contextlib.suppress(LifeError):
                agent.status()
                return agent
            assert process.poll() is None, (folder / "log").read_text()
            agent.close()
            time.sleep(0.02)
            agent = Agent(socket)
            running[-1] = (process, agent, log)
        raise AssertionError("the agent does not answer")

    yield start
    for process, agent, log in running:
        agent.close()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        log.close()


@pytest.fixture
def openssl():
    """Runs openssl with some input; gives its output."""
    program = shutil.which("openssl")
    assert program, "the tests need openssl"

    def run(*arguments, data: bytes = b"") -> bytes:
        done = subprocess.run([program, *map(str, arguments)], input=data, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    return run
