"""What a thin app does: state, encrypting, signing, sending, all through a live agent."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from life_agent import Agent, Kind, Origin, Purpose, SignatureState, Trust, errors

MIB = 1024 * 1024


def test_status(agent, dev):
    status = agent.status()
    assert status.version
    assert status.broker_pid == dev.summary["processes"]["agent"]
    assert status.vault_pid not in (None, status.broker_pid)
    assert status.platform == dev.summary["platform"]
    assert {one.uid for one in status.identities} == {dev.uid(kind) for kind in dev.summary["users"]}
    assert all(one.generation == 1 and one.expire_time for one in status.identities)


def test_the_socket_is_found_by_itself(dev, monkeypatch):
    monkeypatch.setenv("LIFE_AGENT_SOCKET", dev.socket)
    with Agent() as agent:
        assert agent.socket == dev.socket
        assert agent.status().version


@pytest.mark.parametrize("size", [0, 1, 1000, 16 * MIB])
def test_encrypt_and_decrypt(agent, practice, patient, size):
    content = os.urandom(size)
    sealed = agent.encrypt(content, to=[patient], user=practice)
    assert {one.user for one in sealed.recipients} == {practice, patient}
    assert all(isinstance(one.trust, Trust) for one in sealed.recipients if one.user == patient)
    for reader in (practice, patient):
        opened = agent.decrypt(sealed.envelope, user=reader)
        assert opened.plaintext == content
        assert opened.signature.valid and opened.signature.signer == practice
        assert opened.signature.purpose is Purpose.DOCUMENT
        assert opened.signature.document_id == sealed.document_id
        assert opened.signature.digest == sealed.signature_digest


def test_names_have_several_spellings(agent, practice, patient):
    for spelling in (patient, f"users/{patient}", f"urn:uuid:{patient}", patient.upper()):
        assert agent.encrypt(b"x", to=spelling, user=practice).envelope


def test_unsigned_content_is_opened_only_when_accepted(agent, practice, patient):
    sealed = agent.encrypt(b"anonymous", to=[patient], user=practice, sign=False)
    with pytest.raises(errors.SignatureMissing):
        agent.decrypt(sealed.envelope, user=patient)
    opened = agent.decrypt(sealed.envelope, user=patient, accept_unsigned=True)
    assert opened.plaintext == b"anonymous"
    assert opened.signature.state is SignatureState.NONE and not opened.signature.valid


def test_sign_and_verify(agent, practice, physician):
    for detached in (False, True):
        signed = agent.sign(b"finding", user=practice, detached=detached)
        verified = agent.verify(signed, b"finding" if detached else None, user=physician)
        assert verified.signature.valid and verified.signature.signer == practice
        assert verified.signature.purpose is Purpose.DETACHED
        assert verified.content == (b"" if detached else b"finding")
    other = agent.verify(agent.sign(b"finding", user=practice, detached=True), b"another", user=physician)
    assert other.signature.state is SignatureState.INVALID and other.signature.explanation


def test_streams_of_64_mib_both_ways(agent, practice, patient, tmp_path):
    content = os.urandom(MIB) * 64
    source = tmp_path / "scan.dcm"
    source.write_bytes(content)
    sealed = tmp_path / "scan.life"
    result = agent.encrypt_file(source, sealed, to=[patient], user=practice)
    assert result.plaintext_size == 64 * MIB
    assert sealed.read_bytes()[:8] == b"LIFESTRM"

    target = tmp_path / "opened.dcm"
    opened = agent.decrypt_file(sealed, target, user=patient)
    assert opened.signature.valid and opened.signature.signer == practice
    assert opened.plaintext_size == 64 * MIB
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert target.stat().st_mode & 0o777 == 0o600

    signature = agent.sign_file(source, user=practice)
    assert agent.verify_file(signature, source, user=patient).signature.valid
    with source.open("r+b") as file:
        file.seek(40 * MIB)
        file.write(b"?")
    changed = agent.verify_file(signature, source, user=patient)
    assert changed.signature.state is SignatureState.INVALID
    assert sorted(path.name for path in tmp_path.iterdir()) == ["opened.dcm", "scan.dcm", "scan.life"]


def test_a_stream_from_and_into_the_program_itself(agent, practice, patient, tmp_path):
    pieces = [b"a" * 3_000_000, b"", b"b"]
    with open(tmp_path / "sealed", "w+b") as sealed:
        agent.encrypt_stream(iter(pieces), sealed, to=[patient], user=practice)
        sealed.seek(0)
        opened, content = agent.decrypt_stream(iter(lambda: sealed.read(100_000), b""), user=patient)
    with content:
        assert content.read() == b"".join(pieces)
    assert opened.signature.valid


def test_existing_files_are_kept(agent, practice, patient, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    with pytest.raises(errors.OutputExists):
        agent.encrypt_file(source, target, to=[patient], user=practice)
    assert target.read_bytes() == b"old"
    agent.encrypt_file(source, target, to=[patient], user=practice, overwrite=True)
    agent.decrypt_file(target, source, user=patient, overwrite=True)
    assert source.read_bytes() == b"new"


def test_a_source_that_fails_makes_no_stream(agent, practice, patient, tmp_path):
    def source():
        yield b"x" * MIB
        raise OSError("bad sector")

    with open(tmp_path / "sealed", "w+b") as sealed:
        with pytest.raises(OSError, match="bad sector"):
            agent.encrypt_stream(source(), sealed, to=[patient], user=practice)
        sealed.seek(0)
        with pytest.raises(errors.LifeError):
            agent.decrypt_stream(iter(lambda: sealed.read(MIB), b""), user=patient)


def test_share_files_of_both_forms(agent, practice, patient, physician, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"finding")
    stream, envelope = tmp_path / "stream", tmp_path / "envelope"
    agent.encrypt_file(source, stream, to=[patient], user=practice)
    envelope.write_bytes(agent.encrypt(b"finding", to=[patient], user=practice).envelope)
    for path in (stream, envelope):
        target = tmp_path / f"{path.name}.opened"
        with pytest.raises(errors.NotARecipient):
            agent.decrypt_file(path, target, user=physician)
        assert not target.exists()
        agent.share_file(path, to=[physician], user=patient)
        opened = agent.decrypt_file(path, target, user=physician)
        assert target.read_bytes() == b"finding"
        assert opened.signature.valid and opened.signature.signer == practice
        added = [one for one in opened.recipients if one.origin is Origin.SHARED]
        assert [(one.user, one.shared_by) for one in added] == [(physician, patient)]


def test_send_and_receive(agent, practice, patient, tmp_path):
    message = agent.send(patient, [b"first ", b"second"], user=practice)
    listed = [one for one in agent.inbox(user=patient) if one.message_id == message]
    assert len(listed) == 1 and listed[0].depositor == practice and listed[0].size > 0
    opened, content = agent.receive(message, user=patient)
    with content:
        assert content.read() == b"first second"
    assert opened.signature.valid and opened.signature.purpose is Purpose.MESSAGE
    agent.receive_file(message, tmp_path / "message", user=patient)
    assert (tmp_path / "message").read_bytes() == b"first second"
    agent.delete_message(message, user=patient)
    agent.delete_message(message, user=patient)
    assert message not in {one.message_id for one in agent.inbox(user=patient)}


def test_lookup_and_fingerprint(agent, practice, physician):
    found = agent.lookup(physician, user=practice)
    assert found.uid == physician and found.kind is Kind.HEALTH_CARE_PROFESSIONAL
    assert found.certificate and len(found.issuers) == 2
    digits = agent.fingerprint(physician, user=practice).digits
    assert digits == found.fingerprint
    confirmed = agent.confirm_fingerprint(physician, digits.replace(" ", "-"), user=practice)
    assert confirmed.trust is Trust.CONFIRMED
    # One's own view is one's own.
    assert agent.fingerprint(practice, user=physician).trust is not Trust.CONFIRMED


def test_lock_and_unlock_are_seen_as_events(agent, dev, practice):
    seen, ready = [], threading.Event()

    def watch():
        with Agent(dev.socket) as watcher:
            for event in watcher.events():
                seen.append(event)
                ready.set()
                if event.kind == "unlocked":
                    return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    assert ready.wait(10)
    assert agent.lock(practice) == 1
    assert agent.lock(practice) == 0
    with pytest.raises(errors.CredentialLocked):
        agent.sign(b"x", user=practice)
    identity = agent.unlock(dev.pkcs12("institution"), dev.passphrase("institution"), user=practice)
    assert identity.uid == practice
    thread.join(10)
    assert [event.kind for event in seen] == ["watch_started", "locked", "unlocked"]
    assert [event.sequence for event in seen] == sorted(event.sequence for event in seen)


def test_unlock_inline_and_by_path(agent, dev, patient):
    agent.lock()
    path = dev.summary["users"]["patient"]["software_certificate"]
    assert agent.unlock(path, dev.passphrase("patient").encode(), inline=True).uid == patient
    # The only unlocked user is the default.
    assert agent.verify(agent.sign(b"x")).signature.signer == patient


def test_the_default_user_of_a_connection(dev, agent, practice, patient):
    with Agent(dev.socket, user=practice) as mine:
        assert mine.decrypt(mine.encrypt(b"x", to=[patient]).envelope).signature.signer == practice


def test_the_examples_run(dev, agent, practice, patient, tmp_path):
    examples = pathlib.Path(__file__).parent.parent / "examples"
    environment = {**os.environ, "LIFE_AGENT_SOCKET": dev.socket}

    def run(name, *arguments):
        command = [sys.executable, examples / name, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run("thin_app.py", practice, patient)
    assert said == f"{practice} wrote: HbA1c 6.1 %, control in three months\n"
    finding = tmp_path / "finding.txt"
    finding.write_text("HbA1c 6.1 %")
    read = json.loads(run("read_document.py", patient, run("store_document.py", practice, patient, finding).strip()))
    sha256 = hashlib.sha256(finding.read_bytes()).hexdigest()
    assert read == {"title": "finding.txt", "signer": practice, "sha256": sha256}
    status, content = run("call_platform.py", patient).split(" ", 1)
    assert status == "200" and json.loads(content)["uid"] == patient
