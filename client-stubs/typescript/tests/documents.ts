/** Documents: stored, read, replaced, shared, unshared, deleted. */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { Agent, errors, type Document, type VersionOptions } from "life-agent";

import { folder } from "./dev.js";
import { MIB, world } from "./world.js";

const TYPE = { system: "http://loinc.org", code: "11488-4", display: "Consult note" };

/** Registers the tests. */
export function documentTests(): void {
    test("a document lives", async () => {
        const { agent, practice, patient, physician } = await world();
        const [documentId, finding] = [randomUUID(), randomBytes(3 * MIB)];
        const contentType = "application/pdf";
        const options = { user: practice, documentId, readers: [patient], title: "Finding", type: TYPE, contentType };
        const stored = await agent.uploadDocument(finding, options);
        assert.deepEqual([stored.documentId, stored.version, stored.existed], [documentId, 1, false]);
        assert.ok(stored.plaintextSize === finding.length && stored.ciphertextSize > finding.length);
        assert.deepEqual(new Set(stored.readers.map((one) => one.user)), new Set([practice, patient]));

        for (const user of [practice, patient]) {
            const { content, ...downloaded } = await read(agent, documentId, { user, version: 1 });
            assert.ok(content.equals(finding) && downloaded.plaintextSize === finding.length);
            assert.ok(downloaded.signature.valid && downloaded.signature.signer === practice);
            const { document } = downloaded;
            assert.deepEqual([document.owner, document.version, document.status], [practice, 1, "CURRENT"]);
            assert.ok(document.signature?.valid && !document.fault && document.updateTime);
            const { description } = document;
            assert.ok(description);
            assert.deepEqual([description.title, description.type], ["Finding", TYPE]);
            assert.deepEqual([description.contentType, description.contentSize], [contentType, finding.length]);
            assert.equal(JSON.parse(description.documentReference.toString()).resourceType, "DocumentReference");
            assert.deepEqual((await agent.document(documentId, { user })).description, description);
            const listed = (await list(agent, user)).find((one) => one.documentId === documentId);
            assert.equal(listed?.description?.title, "Finding");
            assert.equal(listed.description.documentReference.length, 0);
        }
        assert.ok((await list(agent, physician)).every((one) => one.documentId !== documentId));
        await assert.rejects(agent.downloadDocument(documentId, { user: physician }), errors.DocumentNotFound);

        // The same again finds what is there; other content does not replace it.
        assert.ok((await agent.uploadDocument(finding, options)).existed);
        await assert.rejects(agent.uploadDocument(Buffer.from("another"), options), errors.VersionConflict);

        const shared = await agent.shareDocument(documentId, [physician], { user: practice, version: 1 });
        assert.deepEqual(new Set(shared.map((one) => one.user)), new Set([practice, patient, physician]));
        const got = await read(agent, documentId, { user: physician });
        assert.ok(got.content.equals(finding));
        const added = got.readers.filter((one) => one.origin === "SHARED");
        assert.deepEqual(
            added.map((one) => one.sharedBy),
            [practice],
        );
        await assert.rejects(agent.shareDocument(documentId, physician, { user: patient }), errors.NotTheOwner);

        const addendum = { user: practice, documentId, replacesVersion: 1, keepReaders: true, title: "Addendum" };
        const second = await agent.uploadDocument(Buffer.from("Addendum"), addendum);
        assert.ok(second.version === 2 && second.readers.length === 3);
        const left = await agent.unshareDocument(documentId, [physician], { user: practice });
        assert.equal(left.version, 3);
        assert.deepEqual(new Set(left.readers.map((one) => one.user)), new Set([practice, patient]));
        await assert.rejects(agent.downloadDocument(documentId, { user: physician }), errors.DocumentNotFound);
        assert.equal((await read(agent, documentId, { user: patient })).content.toString(), "Addendum");

        await assert.rejects(agent.deleteDocument(documentId, { user: practice, version: 2 }), errors.VersionConflict);
        await agent.deleteDocument(documentId, { user: practice, version: 3 });
        await agent.deleteDocument(documentId, { user: practice });
        const gone = await agent.document(documentId, { user: practice });
        assert.ok(gone.status === "DELETED" && !gone.description && !gone.signature);
    });

    test("documents as files", async () => {
        const { agent, practice, patient: user } = await world();
        const where = await folder();
        const [source, target] = [path.join(where, "scan.dcm"), path.join(where, "got.dcm")];
        await writeFile(source, Buffer.concat(Array<Buffer>(20).fill(randomBytes(MIB))));
        const { documentId } = await agent.uploadDocumentFile(source, { user: practice, readers: user });
        assert.equal((await agent.document(documentId, { user })).description?.title, "scan.dcm");
        const wrong = agent.downloadDocumentFile(documentId, target, { user, version: 7 });
        await assert.rejects(wrong, errors.VersionConflict);
        await assert.rejects(agent.downloadDocumentFile(randomUUID(), target, { user }), errors.DocumentNotFound);
        assert.ok(!existsSync(target));
        const downloaded = await agent.downloadDocumentFile(documentId, target, { user });
        assert.equal(downloaded.signature.signer, practice);
        assert.ok(readFileSync(target).equals(readFileSync(source)));
        assert.equal(statSync(target).mode & 0o777, 0o600);
        await assert.rejects(agent.downloadDocumentFile(documentId, target, { user }), errors.OutputExists);
        await agent.deleteDocument(documentId, { user: practice });
        assert.deepEqual(readdirSync(where).sort(), ["got.dcm", "scan.dcm"]);
    });

    test("a source that fails stores nothing", async () => {
        const { agent, practice: user } = await world();
        function* source() {
            yield Buffer.alloc(MIB);
            throw new Error("bad sector");
        }
        const documentId = randomUUID();
        await assert.rejects(agent.uploadDocument(source(), { user, documentId }), /bad sector/);
        await assert.rejects(agent.document(documentId, { user }), errors.DocumentNotFound);
    });
}

async function read(agent: Agent, documentId: string, options: VersionOptions) {
    const { content, ...downloaded } = await agent.downloadDocument(documentId, options);
    await using kept = content;
    return { ...downloaded, content: await kept.bytes() };
}

async function list(agent: Agent, user: string): Promise<Document[]> {
    const found = [];
    for await (const one of agent.documents({ user })) found.push(one);
    return found;
}
