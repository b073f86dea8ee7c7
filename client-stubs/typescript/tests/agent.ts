/** What a thin app does: state, encrypting, signing, sending, all through a live agent. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Agent, errors, type Event } from "life-agent";

import { folder } from "./dev.js";
import { MIB, world } from "./world.js";

/** Registers the tests. */
export function agentTests(): void {
    test("status", async () => {
        const { agent, dev } = await world();
        const status = await agent.status();
        assert.ok(status.version);
        assert.equal(status.brokerPid, dev.summary.processes.agent);
        assert.ok(status.vaultPid && status.vaultPid !== status.brokerPid);
        assert.equal(status.platform, dev.summary.platform);
        assert.deepEqual(
            new Set(status.identities.map((one) => one.uid)),
            new Set(dev.kinds.map((one) => dev.uid(one))),
        );
        assert.ok(status.identities.every((one) => one.generation === 1 && one.expireTime));
    });

    test("the socket is found by itself", async () => {
        const { dev } = await world();
        process.env["LIFE_AGENT_SOCKET"] = dev.socket;
        using agent = new Agent();
        delete process.env["LIFE_AGENT_SOCKET"];
        assert.equal(agent.socket, dev.socket);
        assert.ok((await agent.status()).version);
    });

    for (const size of [0, 1, 1000, 16 * MIB]) {
        test(`encrypt and decrypt ${size} bytes`, async () => {
            const { agent, practice, patient } = await world();
            const content = randomBytes(size);
            const sealed = await agent.encrypt(content, [patient], { user: practice });
            assert.deepEqual(new Set(sealed.recipients.map((one) => one.user)), new Set([practice, patient]));
            assert.ok(sealed.recipients.every((one) => one.user !== patient || one.trust));
            for (const user of [practice, patient]) {
                const opened = await agent.decrypt(sealed.envelope, { user });
                assert.ok(opened.plaintext.equals(content));
                assert.ok(opened.signature.valid);
                assert.equal(opened.signature.signer, practice);
                assert.equal(opened.signature.purpose, "DOCUMENT");
                assert.equal(opened.signature.documentId, sealed.documentId);
                assert.deepEqual(opened.signature.digest, sealed.signatureDigest);
            }
        });
    }

    test("names have several spellings", async () => {
        const { agent, practice: user, patient } = await world();
        for (const name of [patient, `users/${patient}`, `urn:uuid:${patient}`, patient.toUpperCase()]) {
            assert.ok((await agent.encrypt(Buffer.from("x"), name, { user })).envelope.length);
        }
    });

    test("unsigned content is opened only when accepted", async () => {
        const { agent, practice, patient } = await world();
        const sealed = await agent.encrypt(Buffer.from("anonymous"), [patient], { user: practice, sign: false });
        await assert.rejects(agent.decrypt(sealed.envelope, { user: patient }), errors.SignatureMissing);
        const opened = await agent.decrypt(sealed.envelope, { user: patient, acceptUnsigned: true });
        assert.equal(opened.plaintext.toString(), "anonymous");
        assert.equal(opened.signature.state, "NONE");
        assert.ok(!opened.signature.valid);
    });

    test("sign and verify", async () => {
        const { agent, practice, physician: user } = await world();
        const content = Buffer.from("finding");
        for (const detached of [false, true]) {
            const signed = await agent.sign(content, { user: practice, detached });
            const verified = await agent.verify(signed, detached ? { user, content } : { user });
            assert.ok(verified.signature.valid);
            assert.equal(verified.signature.signer, practice);
            assert.equal(verified.signature.purpose, "DETACHED");
            assert.equal(verified.content.toString(), detached ? "" : "finding");
        }
        const signed = await agent.sign(content, { user: practice, detached: true });
        const other = await agent.verify(signed, { user, content: Buffer.from("another") });
        assert.equal(other.signature.state, "INVALID");
        assert.ok(other.signature.explanation);
    });

    test("streams of 64 MiB both ways", async () => {
        const { agent, practice, patient } = await world();
        const where = await folder();
        const [source, sealed, target] = ["scan.dcm", "scan.life", "opened.dcm"].map((name) => path.join(where, name));
        assert.ok(source && sealed && target);
        const content = Buffer.concat(Array<Buffer>(64).fill(randomBytes(MIB)));
        await writeFile(source, content);
        const result = await agent.encryptFile(source, sealed, [patient], { user: practice });
        assert.equal(result.plaintextSize, 64 * MIB);
        assert.equal(readFileSync(sealed).subarray(0, 8).toString(), "LIFESTRM");

        const opened = await agent.decryptFile(sealed, target, { user: patient });
        assert.ok(opened.signature.valid);
        assert.equal(opened.signature.signer, practice);
        assert.equal(opened.plaintextSize, 64 * MIB);
        const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
        assert.equal(digest(readFileSync(target)), digest(content));
        assert.equal(statSync(target).mode & 0o777, 0o600);

        const signature = await agent.signFile(source, { user: practice });
        assert.ok((await agent.verifyFile(signature, source, { user: patient })).signature.valid);
        const file = await open(source, "r+");
        await file.write(Buffer.from("?"), 0, 1, 40 * MIB);
        await file.close();
        const changed = await agent.verifyFile(signature, source, { user: patient });
        assert.equal(changed.signature.state, "INVALID");
        assert.deepEqual(readdirSync(where).sort(), ["opened.dcm", "scan.dcm", "scan.life"]);
    });

    test("a stream from and into the program itself", async () => {
        const { agent, practice, patient } = await world();
        const pieces = [Buffer.alloc(3_000_000, "a"), Buffer.alloc(0), Buffer.from("b")];
        const sealed = new PassThrough({ highWaterMark: 64 * 1024 });
        const sealing = agent.encryptStream(pieces, sealed, [patient], { user: practice }).then(() => sealed.end());
        const { opened, content } = await agent.decryptStream(sealed, { user: patient });
        await sealing;
        await using kept = content;
        assert.equal(kept.size, 3_000_001);
        assert.ok((await kept.bytes()).equals(Buffer.concat(pieces)));
        const streamed: Buffer[] = [];
        for await (const chunk of kept.stream()) streamed.push(chunk);
        assert.ok(Buffer.concat(streamed).equals(Buffer.concat(pieces)));
        assert.ok(opened.signature.valid);
    });

    test("existing files are kept", async () => {
        const { agent, practice: user, patient } = await world();
        const where = await folder();
        const [source, target] = [path.join(where, "source"), path.join(where, "target")];
        await writeFile(source, "new");
        await writeFile(target, "old");
        await assert.rejects(agent.encryptFile(source, target, [patient], { user }), errors.OutputExists);
        assert.equal(readFileSync(target, "utf8"), "old");
        await agent.encryptFile(source, target, [patient], { user, overwrite: true });
        await agent.decryptFile(target, source, { user: patient, overwrite: true });
        assert.equal(readFileSync(source, "utf8"), "new");
        assert.deepEqual(readdirSync(where).sort(), ["source", "target"]);
    });

    test("a source that fails makes no stream", async () => {
        const { agent, practice: user, patient } = await world();
        async function* source() {
            yield Buffer.alloc(MIB);
            throw new Error("bad sector");
        }
        const kept: Buffer[] = [];
        const sink = new PassThrough().on("data", (chunk: Buffer) => kept.push(chunk));
        await assert.rejects(agent.encryptStream(source(), sink, [patient], { user }), /bad sector/);
        await assert.rejects(agent.decryptStream(kept, { user: patient }), errors.LifeError);
        await assert.rejects(agent.send(patient, source(), { user }), /bad sector/);
    });

    test("a sink that fails ends the call", async () => {
        const { agent, practice: user, patient } = await world();
        const sink = new PassThrough().on("error", () => undefined);
        sink.destroy(new Error("disk full"));
        await assert.rejects(
            agent.encryptStream([Buffer.alloc(MIB)], sink, [patient], { user }),
            /disk full|destroyed/,
        );
        assert.ok((await agent.status()).version);
    });

    test("share files of both forms", async () => {
        const { agent, practice, patient, physician } = await world();
        const where = await folder();
        const [source, stream, envelope] = ["source", "stream", "envelope"].map((name) => path.join(where, name));
        assert.ok(source && stream && envelope);
        await writeFile(source, "finding");
        await agent.encryptFile(source, stream, [patient], { user: practice });
        const sealed = await agent.encrypt(Buffer.from("finding"), [patient], { user: practice });
        await writeFile(envelope, sealed.envelope);
        for (const name of [stream, envelope]) {
            const target = `${name}.opened`;
            await assert.rejects(agent.decryptFile(name, target, { user: physician }), errors.NotARecipient);
            assert.throws(() => statSync(target));
            await agent.shareFile(name, [physician], { user: patient });
            const opened = await agent.decryptFile(name, target, { user: physician });
            assert.equal(readFileSync(target, "utf8"), "finding");
            assert.ok(opened.signature.valid);
            assert.equal(opened.signature.signer, practice);
            const added = opened.recipients.filter((one) => one.origin === "SHARED");
            assert.deepEqual(
                added.map((one) => [one.user, one.sharedBy]),
                [[physician, patient]],
            );
        }
    });

    test("send and receive", async () => {
        const { agent, practice, patient } = await world();
        const target = path.join(await folder(), "message");
        const message = await agent.send(patient, [Buffer.from("first "), Buffer.from("second")], { user: practice });
        const listed = async () => {
            const found = [];
            for await (const one of agent.inbox({ user: patient })) if (one.messageId === message) found.push(one);
            return found;
        };
        const [found, ...rest] = await listed();
        assert.ok(found && rest.length === 0 && found.depositor === practice && found.size > 0);
        const { opened, content } = await agent.receive(message, { user: patient });
        assert.equal(await content.text(), "first second");
        await content.close();
        assert.ok(opened.signature.valid);
        assert.equal(opened.signature.purpose, "MESSAGE");
        await agent.receiveFile(message, target, { user: patient });
        assert.equal(readFileSync(target, "utf8"), "first second");
        await agent.deleteMessage(message, { user: patient });
        await agent.deleteMessage(message, { user: patient });
        assert.deepEqual(await listed(), []);
    });

    test("lookup and fingerprint", async () => {
        const { agent, practice: user, physician } = await world();
        const found = await agent.lookup(physician, { user });
        assert.equal(found.uid, physician);
        assert.equal(found.kind, "HEALTH_CARE_PROFESSIONAL");
        assert.ok(found.certificate.length && found.issuers.length === 2);
        const { digits } = await agent.fingerprint(physician, { user });
        assert.equal(digits, found.fingerprint);
        const confirmed = await agent.confirmFingerprint(physician, digits.replaceAll(" ", "-"), { user });
        assert.equal(confirmed.trust, "CONFIRMED");
        // One's own view is one's own.
        assert.notEqual((await agent.fingerprint(user, { user: physician })).trust, "CONFIRMED");
    });

    test("lock and unlock are seen as events", async () => {
        const { agent, dev, practice: user } = await world();
        using watcher = new Agent({ socket: dev.socket });
        const events = watcher.events();
        const seen: Event[] = [(await events.next()).value];
        assert.equal(await agent.lock({ user }), 1);
        assert.equal(await agent.lock({ user }), 0);
        await assert.rejects(agent.sign(Buffer.from("x"), { user }), errors.CredentialLocked);
        const identity = await agent.unlock(dev.certificate("institution"), dev.passphrase("institution"), { user });
        assert.equal(identity.uid, user);
        for await (const event of events) {
            seen.push(event);
            if (event.kind === "unlocked") break;
        }
        assert.deepEqual(
            seen.map((event) => event.kind),
            ["watchStarted", "locked", "unlocked"],
        );
        const numbers = seen.map((event) => event.sequence);
        assert.deepEqual(
            numbers,
            [...numbers].sort((a, b) => a - b),
        );
    });

    test("unlock by path, and the only unlocked user is the default", async () => {
        const { agent, dev, patient } = await world();
        await agent.lock();
        const certificate = dev.summary.users["patient"]?.software_certificate ?? "";
        assert.equal((await agent.unlock(certificate, Buffer.from(dev.passphrase("patient")))).uid, patient);
        const verified = await agent.verify(await agent.sign(Buffer.from("x")));
        assert.equal(verified.signature.signer, patient);
    });

    test("the default user of a connection", async () => {
        const { dev, practice, patient } = await world();
        using mine = new Agent({ socket: dev.socket, user: practice });
        const sealed = await mine.encrypt(Buffer.from("x"), [patient]);
        assert.equal((await mine.decrypt(sealed.envelope)).signature.signer, practice);
    });

    test("the examples run", async () => {
        const { dev, practice, patient } = await world();
        const options = { env: { ...process.env, LIFE_AGENT_SOCKET: dev.socket }, timeout: 60_000 };
        const example = async (name: string, ...words: string[]) => {
            const program = fileURLToPath(new URL(`../examples/${name}.js`, import.meta.url));
            return (await promisify(execFile)(process.execPath, [program, ...words], options)).stdout;
        };
        const said = await example("thin-app", practice, patient);
        assert.equal(said, `${practice} wrote: HbA1c 6.1 %, control in three months\n`);
        const finding = path.join(await folder(), "finding.txt");
        await writeFile(finding, "HbA1c 6.1 %");
        const document = (await example("store-document", practice, patient, finding)).trim();
        const read = JSON.parse(await example("read-document", patient, document));
        const sha256 = createHash("sha256").update("HbA1c 6.1 %").digest("hex");
        assert.deepEqual(read, { title: "finding.txt", signer: practice, sha256 });
        const [status, content] = (await example("call-platform", patient)).split(/ (.*)/s);
        assert.deepEqual([status, JSON.parse(content ?? "").uid], ["200", patient]);
    });
}
