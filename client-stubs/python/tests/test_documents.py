"""Documents: stored, read, replaced, shared, unshared, deleted."""

import json
import os
import uuid

import pytest

from life_agent import Coding, DocumentStatus, Origin, errors

MIB = 1024 * 1024
TYPE = Coding(code="11488-4", system="http://loinc.org", display="Consult note")


def read(agent, document_id, user, **options):
    downloaded, content = agent.download_document(document_id, user=user, **options)
    with content:
        return downloaded, content.read()


def test_a_document_lives(agent, practice, patient, physician):
    document_id, finding = str(uuid.uuid4()), os.urandom(3 * MIB)
    options = {"user": practice, "document_id": document_id, "readers": [patient], "title": "Finding", "type_": TYPE}
    stored = agent.upload_document(finding, content_type="application/pdf", **options)
    assert (stored.document_id, stored.version, stored.existed) == (document_id, 1, False)
    assert stored.plaintext_size == len(finding) < stored.ciphertext_size
    assert {one.user for one in stored.readers} == {practice, patient}

    for reader in (practice, patient):
        downloaded, content = read(agent, document_id, reader, version=1)
        assert content == finding and downloaded.plaintext_size == len(finding)
        assert downloaded.signature.valid and downloaded.signature.signer == practice
        document = downloaded.document
        assert (document.owner, document.version, document.status) == (practice, 1, DocumentStatus.CURRENT)
        assert document.signature.valid and document.fault is None and document.update_time
        described = document.description
        assert (described.title, described.type_, described.content_type) == ("Finding", TYPE, "application/pdf")
        assert described.content_size == len(finding)
        assert json.loads(described.document_reference)["resourceType"] == "DocumentReference"
        assert described == agent.document(document_id, user=reader).description
        listed = {one.document_id: one for one in agent.documents(user=reader)}
        assert listed[document_id].description.title == "Finding" and not listed[document_id].description.document_reference
    assert document_id not in {one.document_id for one in agent.documents(user=physician)}
    with pytest.raises(errors.DocumentNotFound):
        agent.download_document(document_id, user=physician)

    # The same again finds what is there; other content does not replace it.
    assert agent.upload_document(finding, content_type="application/pdf", **options).existed
    with pytest.raises(errors.VersionConflict):
        agent.upload_document(b"another", **options)

    shared = agent.share_document(document_id, [physician], user=practice, version=1)
    assert {one.user for one in shared} == {practice, patient, physician}
    downloaded, content = read(agent, document_id, physician)
    assert content == finding
    assert [one.shared_by for one in downloaded.readers if one.origin is Origin.SHARED] == [practice]
    with pytest.raises(errors.NotTheOwner):
        agent.share_document(document_id, [physician], user=patient)

    second = agent.upload_document(
        b"Addendum", user=practice, document_id=document_id, replaces_version=1, keep_readers=True, title="Addendum"
    )
    assert second.version == 2 and len(second.readers) == 3
    left = agent.unshare_document(document_id, [physician], user=practice)
    assert left.version == 3 and {one.user for one in left.readers} == {practice, patient}
    with pytest.raises(errors.DocumentNotFound):
        agent.download_document(document_id, user=physician)
    assert read(agent, document_id, patient)[1] == b"Addendum"

    with pytest.raises(errors.VersionConflict):
        agent.delete_document(document_id, user=practice, version=2)
    agent.delete_document(document_id, user=practice, version=3)
    agent.delete_document(document_id, user=practice)
    gone = agent.document(document_id, user=practice)
    assert gone.status is DocumentStatus.DELETED and gone.description is None and gone.signature is None


def test_documents_as_files(agent, practice, patient, tmp_path):
    source, target = tmp_path / "scan.dcm", tmp_path / "got.dcm"
    source.write_bytes(os.urandom(MIB) * 20)
    stored = agent.upload_document_file(source, user=practice, readers=patient)
    assert agent.document(stored.document_id, user=patient).description.title == "scan.dcm"
    with pytest.raises(errors.VersionConflict):
        agent.download_document_file(stored.document_id, target, user=patient, version=7)
    with pytest.raises(errors.DocumentNotFound):
        agent.download_document_file(str(uuid.uuid4()), target, user=patient)
    assert not target.exists()
    downloaded = agent.download_document_file(stored.document_id, target, user=patient)
    assert downloaded.signature.signer == practice
    assert target.read_bytes() == source.read_bytes() and target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(errors.OutputExists):
        agent.download_document_file(stored.document_id, target, user=patient)
    agent.delete_document(stored.document_id, user=practice)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["got.dcm", "scan.dcm"]


def test_a_source_that_fails_stores_nothing(agent, practice):
    def source():
        yield b"x" * MIB
        raise OSError("bad sector")

    document_id = str(uuid.uuid4())
    with pytest.raises(OSError, match="bad sector"):
        agent.upload_document(source(), user=practice, document_id=document_id)
    with pytest.raises(errors.DocumentNotFound):
        agent.document(document_id, user=practice)
