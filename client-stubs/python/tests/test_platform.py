"""Reasons that take an operator's doing: approvals, revocations, limits and lies."""

import uuid

import pytest

from life_agent import Kind, errors

PASSPHRASE = "quiet-granite-harbour-7731"


def test_a_registration_waits_for_the_registrar(platform, start_agent):
    agent = start_agent(platform.config)
    for decision in ("approve", "refuse"):
        with pytest.raises(errors.RegistrationPending) as pending:
            agent.register(Kind.INSTITUTION, PASSPHRASE)
        registration = pending.value.metadata["registration"]
        with pytest.raises(errors.RegistrationPending):
            agent.register(Kind.INSTITUTION, PASSPHRASE, registration=registration)
        uid = str(uuid.UUID(bytes=platform.read("SELECT uid FROM registration ORDER BY created DESC, rowid DESC")[0][0]))
        platform.run(f"registrar {decision}", uid)
        if decision == "approve":
            made = agent.register(Kind.INSTITUTION, PASSPHRASE, registration=registration)
            assert made.uid == uid and made.pkcs12
            assert agent.unlock(made.pkcs12, PASSPHRASE).uid == uid
        else:
            with pytest.raises(errors.RegistrationRefused):
                agent.register(Kind.INSTITUTION, PASSPHRASE, registration=registration)


def test_what_an_operator_can_do_to_an_account(platform, start_agent):
    agent = start_agent(platform.config)
    users = [agent.register(Kind.PATIENT, PASSPHRASE) for _ in range(2)]
    one, other = users
    raw = {user.uid: uuid.UUID(user.uid).bytes for user in users}
    for user in users:
        agent.unlock(user.pkcs12, PASSPHRASE)

    # The inbox of this platform holds one message.
    agent.send(other.uid, b"first", user=one.uid)
    with pytest.raises(errors.InboxFull):
        agent.send(other.uid, b"second", user=one.uid)

    # A substituted certificate.
    own, theirs = (
        platform.read("SELECT der FROM certificate WHERE uid = ? AND slot = 4", raw[user.uid])[0][0] for user in users
    )
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", own, raw[other.uid])
    with pytest.raises(errors.RecipientUntrusted):
        agent.lookup(other.uid, user=one.uid)
    platform.edit("UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4", theirs, raw[other.uid])
    assert agent.lookup(other.uid, user=one.uid).uid == other.uid

    # A log with an entry that breaks its rules.
    entry = platform.read("SELECT der FROM log_entry WHERE uid = ? AND position = 1", raw[other.uid])[0][0]
    bad = entry[:-1] + bytes([entry[-1] ^ 1])
    platform.edit("UPDATE log_entry SET der = ? WHERE uid = ? AND position = 1", bad, raw[other.uid])
    with pytest.raises(errors.AccountLogInvalid):
        agent.lookup(other.uid, user=one.uid)
    platform.edit("UPDATE log_entry SET der = ? WHERE uid = ? AND position = 1", entry, raw[other.uid])

    # Seals swapped, and taken away.
    agent.lock()
    theirs = platform.read("SELECT der FROM seal WHERE uid = ?", raw[other.uid])[0][0]
    platform.edit("UPDATE seal SET der = ? WHERE uid = ?", theirs, raw[one.uid])
    with pytest.raises(errors.RootSealForeign):
        agent.unlock(one.pkcs12, PASSPHRASE)
    platform.edit("DELETE FROM seal WHERE uid = ?", raw[one.uid])
    with pytest.raises(errors.RootSealMissing):
        agent.unlock(one.pkcs12, PASSPHRASE)

    # A revoked credential.
    identity = agent.unlock(other.pkcs12, PASSPHRASE)
    agent.lock()
    platform.run("revoke", other.uid, identity.credential.rpartition("/")[2])
    with pytest.raises(errors.CredentialRevoked):
        agent.unlock(other.pkcs12, PASSPHRASE)
