"""Every reason a program can provoke: the table says how."""

import os
import pathlib
import uuid

import grpc
import pytest

from life_agent import Kind, Purpose, errors
from life_agent._calls import raising
from life_agent._contract.life.agent.v1 import credentials_pb2, crypto_pb2, directory_pb2

MIB = 1024 * 1024
PASSPHRASE = "quiet-granite-harbour-7731"


class World:
    """What a row of the table works with."""

    def __init__(self, dev, other_dev, agent, openssl, tmp_path, start_agent):
        self.dev, self.other_dev, self.agent, self.openssl = dev, other_dev, agent, openssl
        self.folder, self.start_agent = tmp_path, start_agent
        self.patient, self.practice = dev.uid("patient"), dev.uid("institution")
        self.physician = dev.uid("professional")

    def sealed(self, **options) -> bytes:
        return self.agent.encrypt(b"finding", to=[self.patient], user=self.practice, **options).envelope

    def stream(self) -> bytes:
        path = self.folder / "stream"
        with open(path, "w+b") as file:
            self.agent.encrypt_stream([b"x" * 3 * MIB], file, to=[self.patient], user=self.practice)
        return path.read_bytes()

    def document(self) -> str:
        """The practice's, which the patient can read."""
        return self.agent.upload_document(b"finding", user=self.practice, readers=[self.patient]).document_id

    def opened(self, stream: bytes):
        _, content = self.agent.decrypt_stream([stream], user=self.patient)
        content.close()

    def from_openssl(self, content: bytes, cipher: str = "-aes-256-gcm"):
        """What OpenSSL encrypts for the patient, opened."""
        certificate = self.folder / "certificate.pem"
        der = self.agent.lookup(self.patient, user=self.practice).certificate
        certificate.write_bytes(self.openssl("x509", "-inform", "DER", data=der))
        return self.agent.decrypt(
            self.openssl(
                "cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-recip", certificate,
                "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256", data=content,
            ),
            user=self.patient,
        )

    def lone_key(self) -> bytes:
        """One key of the patient's certificate, put into a file of its own by OpenSSL."""
        path, secret, pem = (self.folder / name for name in ("old.p12", "secret", "all.pem"))
        path.write_bytes(self.dev.pkcs12("patient"))
        secret.write_text(self.dev.passphrase("patient"))
        pem.write_bytes(self.openssl("pkcs12", "-in", path, "-passin", f"file:{secret}", "-nodes"))
        return self.openssl("pkcs12", "-export", "-in", pem, "-passout", f"file:{secret}")

    def bare_agent(self, extra: str = ""):
        """An agent of one's own that knows no platform."""
        return self.start_agent(extra)

    def bound_agent(self, extra: str = ""):
        """An agent of one's own that is bound to the platform."""
        summary = self.dev.summary
        platform = f'[platform]\norigin = "{summary["platform"]}"\nca_fingerprint = "{summary["ca_fingerprint"]}"\n'
        return self.start_agent(platform + extra)


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def chunk_before_header(world):
    requests = iter([crypto_pb2.EncryptStreamRequest(chunk=b"x")])
    for _ in world.agent._transport.crypto.EncryptStream(requests):
        pass


def unknown_method(world):
    method = world.agent._transport.channel.unary_unary("/life.agent.v1.Agent/Frobnicate")
    method(b"")


def no_time(world):
    request = directory_pb2.LookupUserRequest(name=f"users/{world.patient}", caller=f"users/{world.practice}")
    world.agent._transport.directory.LookupUser(request, timeout=0.000001)


def too_many(world):
    agent = world.bound_agent("[limits]\nmax_identities = 1\n")
    agent.unlock(world.dev.pkcs12("patient"), world.dev.passphrase("patient"))
    agent.unlock(world.dev.pkcs12("institution"), world.dev.passphrase("institution"))


def platform_gone(world):
    agent = world.start_agent('[platform]\norigin = "https://127.0.0.1:9"\nca_fingerprint = "' + "0" * 64 + '"\n')
    agent.unlock(world.dev.pkcs12("patient"), world.dev.passphrase("patient"))


def platform_untrusted(world):
    agent = world.bare_agent()
    agent.register(Kind.PATIENT, PASSPHRASE, platform=world.dev.summary["platform"], ca_fingerprint="0" * 64)


def inline_forbidden(world):
    agent = world.bound_agent('[unlock]\ninline_secrets = "forbid"\n')
    agent.unlock(world.dev.pkcs12("patient"), world.dev.passphrase("patient"), inline=True)


def nobody_to_ask(world):
    world.bound_agent('[unlock]\npinentry = "/nonexistent/pinentry"\n').unlock(world.dev.pkcs12("patient"))


def nobody_answers(world):
    """A pinentry whose person presses Cancel."""
    pinentry = world.folder / "pinentry"
    pinentry.write_text(
        "#!/bin/sh\necho OK ready\nwhile read -r word rest; do case $word in\n"
        "GETPIN) echo 'ERR 83886179 Operation cancelled <Pinentry>';;\nBYE) echo OK; exit;;\n*) echo OK;;\nesac; done\n"
    )
    pinentry.chmod(0o700)
    world.bound_agent(f'[unlock]\npinentry = "{pinentry}"\n').unlock(world.dev.pkcs12("patient"))


def tampered_state(world):
    agent = world.bound_agent()
    agent.unlock(world.dev.pkcs12("patient"), world.dev.passphrase("patient"))
    agent.lookup(world.practice)
    agent.lock()
    (pins,) = world.folder.rglob(f"pins/{world.patient}.der")
    pins.write_bytes(flipped(pins.read_bytes(), -40))
    agent.unlock(world.dev.pkcs12("patient"), world.dev.passphrase("patient"))
    agent.lookup(world.practice)


def secret_too_late(world):
    agent = world.bound_agent("[unlock]\nticket_seconds = 1\n")
    request = credentials_pb2.UnlockRequest(
        software_certificate=credentials_pb2.SoftwareCertificate(pkcs12=world.dev.pkcs12("patient")),
        secret=credentials_pb2.Secret(descriptor=credentials_pb2.DescriptorSource()),
    )
    for _ in agent._transport.credentials.Unlock(request):
        pass


TABLE = {
    "API_CALL_FORBIDDEN": lambda w: w.agent.call("DELETE", "/v1/me", user=w.patient),
    "CONTENT_MISSING": lambda w: w.agent.verify(w.agent.sign(b"x", user=w.practice, detached=True), user=w.patient),
    "CREDENTIAL_DAMAGED": lambda w: w.agent.unlock(b"not a certificate", PASSPHRASE),
    "CREDENTIAL_LOCKED": lambda w: w.agent.sign(b"x", user=str(uuid.uuid4())),
    "CREDENTIAL_UNTRUSTED": lambda w: w.agent.unlock(
        w.other_dev.pkcs12("patient"), w.other_dev.passphrase("patient")
    ),
    "DEADLINE_EXCEEDED": no_time,
    "DECRYPTION_FAILED": lambda w: w.agent.decrypt(flipped(w.sealed(), -1), user=w.patient),
    "DOCUMENT_NOT_FOUND": lambda w: w.agent.download_document(str(uuid.uuid4()), user=w.patient),
    "FINGERPRINT_MISMATCH": lambda w: w.agent.confirm_fingerprint(w.patient, "0 " * 30, user=w.practice),
    "FORMAT_INVALID": lambda w: w.agent.decrypt(b"not an envelope", user=w.patient),
    "FORMAT_REFUSED": lambda w: w.from_openssl(b"no authentication", "-aes-256-cbc"),
    "IDENTITY_AMBIGUOUS": lambda w: w.agent.sign(b"x"),
    "INVALID_ARGUMENT": lambda w: w.agent.encrypt(b"x", to=["nobody"], user=w.practice),
    "KEY_SLOT_MISSING": lambda w: w.agent.unlock(w.lone_key(), w.dev.passphrase("patient")),
    "MESSAGE_NOT_FOUND": lambda w: w.agent.receive(str(uuid.uuid4()), user=w.patient),
    "MESSAGE_TOO_LARGE": lambda w: w.agent.encrypt(bytes(16 * MIB + 1), to=[w.patient], user=w.practice),
    "NOT_A_RECIPIENT": lambda w: w.agent.decrypt(w.sealed(), user=w.physician),
    "NOT_THE_OWNER": lambda w: w.agent.delete_document(w.document(), user=w.patient),
    "PASSPHRASE_TOO_SHORT": lambda w: w.agent.register(Kind.PATIENT, "short"),
    "PLATFORM_MISMATCH": lambda w: w.agent.register(
        Kind.PATIENT, PASSPHRASE, platform="https://other.example", ca_fingerprint="0" * 64
    ),
    "PLATFORM_NOT_CONFIGURED": lambda w: w.bare_agent().register(Kind.PATIENT, PASSPHRASE),
    "PLATFORM_UNAVAILABLE": platform_gone,
    "PLATFORM_UNTRUSTED": platform_untrusted,
    "PROMPT_CANCELLED": nobody_answers,
    "PROMPT_UNAVAILABLE": nobody_to_ask,
    "PURPOSE_MISMATCH": lambda w: w.agent.decrypt(w.sealed(), user=w.patient, purpose=Purpose.MESSAGE),
    "RECIPIENT_NOT_FOUND": lambda w: w.agent.encrypt(b"x", to=[str(uuid.uuid4())], user=w.practice),
    "SECRET_SOURCE_FORBIDDEN": inline_forbidden,
    "SECRET_TIMEOUT": secret_too_late,
    "SIGNATURE_INVALID": lambda w: w.from_openssl(
        w.agent.sign(b"finding", user=w.practice).replace(b"finding", b"Finding")
    ),
    "SIGNATURE_MISSING": lambda w: w.from_openssl(b"from anybody"),
    "STATE_UNUSABLE": tampered_state,
    "STREAM_PROTOCOL": chunk_before_header,
    "STREAM_TRUNCATED": lambda w: w.opened(w.stream()[:-5000]),
    "TOO_MANY_IDENTITIES": too_many,
    "UNIMPLEMENTED": unknown_method,
    "VERSION_CONFLICT": lambda w: w.agent.download_document(w.document(), user=w.patient, version=2),
    "WRONG_PASSPHRASE": lambda w: w.agent.unlock(w.dev.pkcs12("patient"), "not the passphrase"),
    "WRONG_USER": lambda w: w.agent.unlock(
        w.dev.pkcs12("patient"), w.dev.passphrase("patient"), user=w.practice
    ),
}

# Reasons that take an operator's doing: test_platform.py.
BY_THE_OPERATOR = {
    "CREDENTIAL_REVOKED", "INBOX_FULL", "RECIPIENT_UNTRUSTED", "REGISTRATION_PENDING", "REGISTRATION_REFUSED",
    "ROOT_SEAL_FOREIGN", "ROOT_SEAL_MISSING", "ACCOUNT_LOG_INVALID",
}  # fmt: skip

# Reasons whose cause lies where a client cannot reach: forged account logs and envelopes, wrong clocks, another user of
# the machine, a vault that dies or refuses, a full disk. Tests elsewhere in the project provoke them.
ELSEWHERE = {
    "ACCOUNT_LOG_FORKED", "ACCOUNT_LOG_ROLLED_BACK", "CREDENTIAL_EXPIRED", "CREDENTIAL_NOT_YET_VALID",
    "DOCUMENTS_FULL", "DOCUMENT_MISMATCH",
    "IDENTITY_CHANGED", "INTERNAL", "PERMISSION_DENIED", "PLATFORM_REFUSED", "RECIPIENT_MISMATCH",
    "RECIPIENT_UNACCOUNTED", "REGISTRATION_EXPIRED", "RESOURCE_EXHAUSTED", "SHUTTING_DOWN", "SIGNER_TIME_UNPROVEN",
    "SIGNER_UNKNOWN", "SIGNING_FAILED", "SPOOL_FULL", "VAULT_UNAVAILABLE",
}  # fmt: skip
# Where those tests are.
TESTS = ("agent/tests/tests/*.rs", "agent/broker/tests/*.rs", "demo/*.py")


def test_the_table_knows_every_reason():
    assert set(TABLE) | BY_THE_OPERATOR | ELSEWHERE == errors.REASONS
    assert len(TABLE) + len(BY_THE_OPERATOR) + len(ELSEWHERE) == len(errors.REASONS)


def test_what_is_said_to_be_tested_elsewhere_is():
    root = pathlib.Path(__file__).resolve().parents[3]
    tests = "".join(path.read_text() for pattern in TESTS for path in root.glob(pattern))
    assert not {reason for reason in ELSEWHERE if f'"{reason}"' not in tests}


@pytest.mark.parametrize("reason", sorted(TABLE))
def test_reason(reason, dev, other_dev, agent, openssl, tmp_path, start_agent):
    world = World(dev, other_dev, agent, openssl, tmp_path, start_agent)
    with pytest.raises(errors.LifeError) as raised:
        raising(TABLE[reason])(world)
    assert type(raised.value) is errors.error_class(reason), raised.value
    assert raised.value.reason == reason
    assert len(raised.value.message) > 20, "an error says what happened and what to do"
    assert isinstance(raised.value.code, grpc.StatusCode)


def test_a_refused_file_leaves_nothing(agent, dev, tmp_path):
    practice, patient = dev.uid("institution"), dev.uid("patient")
    source, sealed, target = tmp_path / "source", tmp_path / "sealed", tmp_path / "target"
    source.write_bytes(os.urandom(5 * MIB))
    agent.encrypt_file(source, sealed, to=[patient], user=practice)
    whole = sealed.read_bytes()
    for damaged in (whole[:-1], whole[: 2 * MIB], flipped(whole, 3 * MIB), flipped(whole, -10), b""):
        sealed.write_bytes(damaged)
        with pytest.raises(errors.LifeError):
            agent.decrypt_file(sealed, target, user=patient)
        assert not target.exists() and len(list(tmp_path.iterdir())) == 2
