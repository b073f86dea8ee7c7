/** Every reason a program can provoke: the table says how. */
import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { Client, credentials as channel, type ServiceError } from "@grpc/grpc-js";
import { Agent, errors } from "life-agent";

import { credentials, crypto } from "../src/contract.js";
import { REASONS, errorOf, fromRpc } from "../src/errors.js";
import { find, folder, openssl, PASSPHRASE, ROOT, startAgent, writeProgram } from "./dev.js";
import { flipped, MIB, otherDev, world, type World } from "./world.js";

const FINDING = Buffer.from("finding");

const TABLE: Record<string, (world: World) => Promise<unknown>> = {
    API_CALL_FORBIDDEN: ({ agent, patient: user }) => agent.call("DELETE", "/v1/me", { user }),
    CONTENT_MISSING: async ({ agent, practice, patient }) =>
        agent.verify(await agent.sign(FINDING, { user: practice, detached: true }), { user: patient }),
    CREDENTIAL_DAMAGED: ({ agent }) => agent.unlock(Buffer.from("not a certificate"), PASSPHRASE),
    CREDENTIAL_LOCKED: ({ agent }) => agent.sign(FINDING, { user: randomUUID() }),
    CREDENTIAL_UNTRUSTED: async ({ agent }) => {
        const other = await otherDev();
        return agent.unlock(other.certificate("patient"), other.passphrase("patient"));
    },
    DEADLINE_EXCEEDED: ({ agent, patient, practice: user }) => agent.lookup(patient, { user, timeout: 0 }),
    DECRYPTION_FAILED: async (world) => world.agent.decrypt(flipped(await sealed(world), -1), { user: world.patient }),
    DOCUMENT_NOT_FOUND: ({ agent, patient: user }) => agent.downloadDocument(randomUUID(), { user }),
    FINGERPRINT_MISMATCH: ({ agent, patient, practice: user }) =>
        agent.confirmFingerprint(patient, "0 ".repeat(30), { user }),
    FORMAT_INVALID: ({ agent, patient: user }) => agent.decrypt(Buffer.from("not an envelope"), { user }),
    FORMAT_REFUSED: (world) => fromOpenssl(world, Buffer.from("no authentication"), "-aes-256-cbc"),
    IDENTITY_AMBIGUOUS: ({ agent }) => agent.sign(FINDING),
    INVALID_ARGUMENT: ({ agent, practice: user }) => agent.encrypt(FINDING, ["nobody"], { user }),
    KEY_SLOT_MISSING: async ({ agent, dev }) => agent.unlock(await loneKey(dev), dev.passphrase("patient")),
    MESSAGE_NOT_FOUND: ({ agent, patient: user }) => agent.receive(randomUUID(), { user }),
    MESSAGE_TOO_LARGE: ({ agent, patient, practice: user }) =>
        agent.encrypt(Buffer.alloc(16 * MIB + 1), [patient], { user }),
    NOT_A_RECIPIENT: async (world) => world.agent.decrypt(await sealed(world), { user: world.physician }),
    NOT_THE_OWNER: async (world) => world.agent.deleteDocument(await document(world), { user: world.patient }),
    PASSPHRASE_TOO_SHORT: ({ agent }) => agent.register("PATIENT", "short"),
    PLATFORM_MISMATCH: ({ agent }) =>
        agent.register("PATIENT", PASSPHRASE, { platform: "https://other.example", caFingerprint: "0".repeat(64) }),
    PLATFORM_NOT_CONFIGURED: async () => (await startAgent("")).agent.register("PATIENT", PASSPHRASE),
    PLATFORM_UNAVAILABLE: async ({ dev }) => {
        const nowhere = `[platform]\norigin = "https://127.0.0.1:9"\nca_fingerprint = "${"0".repeat(64)}"\n`;
        return unlockPatient(dev, (await startAgent(nowhere)).agent);
    },
    PLATFORM_UNTRUSTED: async ({ dev }) => {
        const { agent } = await startAgent("");
        const options = { platform: dev.summary.platform, caFingerprint: "0".repeat(64) };
        return agent.register("PATIENT", PASSPHRASE, options);
    },
    PROMPT_CANCELLED: async ({ dev }) => {
        // A pinentry whose person presses Cancel.
        const pinentry = path.join(await folder(), "pinentry");
        const cancel =
            "GETPIN) echo 'ERR 83886179 Operation cancelled <Pinentry>';;\nBYE) echo OK; exit;;\n*) echo OK;;";
        await writeProgram(
            pinentry,
            `#!/bin/sh\necho OK ready\nwhile read -r word rest; do case $word in\n${cancel}\nesac; done\n`,
        );
        const { agent } = await startAgent(`${dev.config}[unlock]\npinentry = "${pinentry}"\n`);
        return agent.unlock(dev.certificate("patient"));
    },
    PROMPT_UNAVAILABLE: async ({ dev }) => {
        const { agent } = await startAgent(`${dev.config}[unlock]\npinentry = "/nonexistent/pinentry"\n`);
        return agent.unlock(dev.certificate("patient"));
    },
    PURPOSE_MISMATCH: async (world) =>
        world.agent.decrypt(await sealed(world), { user: world.patient, purpose: "MESSAGE" }),
    RECIPIENT_NOT_FOUND: ({ agent, practice: user }) => agent.encrypt(FINDING, [randomUUID()], { user }),
    SECRET_SOURCE_FORBIDDEN: async ({ dev }) =>
        unlockPatient(dev, (await startAgent(`${dev.config}[unlock]\ninline_secrets = "forbid"\n`)).agent),
    SECRET_TIMEOUT: async ({ dev }) => {
        const { agent } = await startAgent(`${dev.config}[unlock]\nticket_seconds = 1\n`);
        const softwareCertificate = { pkcs12: dev.certificate("patient") };
        const request = { softwareCertificate, secret: { descriptor: {} } };
        return raw(agent, (client) => {
            const { path, requestSerialize, responseDeserialize } = credentials.Unlock;
            return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request);
        });
    },
    SIGNATURE_INVALID: async (world) => {
        const signed = await world.agent.sign(FINDING, { user: world.practice });
        signed.write("F", signed.indexOf("finding"));
        return fromOpenssl(world, signed);
    },
    SIGNATURE_MISSING: (world) => fromOpenssl(world, Buffer.from("from anybody")),
    STATE_UNUSABLE: async ({ dev, practice }) => {
        const { agent, folder } = await startAgent(dev.config);
        await unlockPatient(dev, agent);
        await agent.lookup(practice);
        await agent.lock();
        const [pins] = find(folder, `${dev.uid("patient")}.der`).filter((name) => name.includes("/pins/"));
        assert.ok(pins);
        await writeFile(pins, flipped(await readFile(pins), -40));
        await unlockPatient(dev, agent);
        return agent.lookup(practice);
    },
    STREAM_PROTOCOL: ({ agent }) =>
        raw(agent, (client) => {
            const { path, requestSerialize, responseDeserialize } = crypto.EncryptStream;
            const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
            call.write({ chunk: Buffer.from("x") });
            return call;
        }),
    STREAM_TRUNCATED: async ({ agent, patient, practice: user }) => {
        const whole = await stream(agent, patient, user);
        return agent.decryptStream([whole.subarray(0, -5000)], { user: patient });
    },
    TOO_MANY_IDENTITIES: async ({ dev }) => {
        const { agent } = await startAgent(`${dev.config}[limits]\nmax_identities = 1\n`);
        await unlockPatient(dev, agent);
        return agent.unlock(dev.certificate("institution"), dev.passphrase("institution"));
    },
    UNIMPLEMENTED: ({ agent }) =>
        raw(agent, (client) => {
            const same = (bytes: Buffer) => bytes;
            return client.makeServerStreamRequest("/life.agent.v1.Agent/Frobnicate", same, same, Buffer.alloc(0));
        }),
    VERSION_CONFLICT: async (world) =>
        world.agent.downloadDocument(await document(world), { user: world.patient, version: 2 }),
    WRONG_PASSPHRASE: ({ agent, dev }) => agent.unlock(dev.certificate("patient"), "not the passphrase"),
    WRONG_USER: ({ agent, dev, practice: user }) =>
        agent.unlock(dev.certificate("patient"), dev.passphrase("patient"), { user }),
};

// Reasons that take an operator's doing: platform.ts.
const BY_THE_OPERATOR = [
    "ACCOUNT_LOG_INVALID",
    "CREDENTIAL_REVOKED",
    "INBOX_FULL",
    "RECIPIENT_UNTRUSTED",
    "REGISTRATION_PENDING",
    "REGISTRATION_REFUSED",
    "ROOT_SEAL_FOREIGN",
    "ROOT_SEAL_MISSING",
];

/** Registers the tests. */
export function reasonTests(): void {
    test("the table knows no other reasons, and none twice", () => {
        const here = [...Object.keys(TABLE), ...BY_THE_OPERATOR];
        assert.equal(new Set(here).size, here.length);
        assert.deepEqual(
            here.filter((reason) => !REASONS.has(reason)),
            [],
        );
        // What no client can provoke is listed once, in the Python client's tests, which see that it is tested.
        const python = readFileSync(path.join(ROOT, "client-stubs/python/tests/test_reasons.py"), "utf8");
        const elsewhere = /^ELSEWHERE = \{([^}]*)\}/m.exec(python)?.[1]?.match(/[A-Z_]+/g) ?? [];
        const missing = [...REASONS].filter((reason) => ![...here, ...elsewhere].includes(reason));
        assert.deepEqual(missing, []);
    });

    for (const [reason, provoke] of Object.entries(TABLE)) {
        test(`reason ${reason}`, async () => {
            const error = await provoke(await world()).then(
                () => assert.fail("nothing was refused"),
                (refusal: unknown) => refusal,
            );
            assert.ok(error instanceof errors.LifeError, String(error));
            assert.equal(error.reason, reason, error.message);
            assert.equal(error.constructor, errorOf(reason, "").constructor);
            assert.ok(error.message.length > 20, "an error says what happened and what to do");
            assert.ok(error.code, "it is the agent's");
        });
    }

    test("a refused file leaves nothing", async () => {
        const { agent, patient, practice: user } = await world();
        const where = await folder();
        const [source, sealed, target] = ["source", "sealed", "target"].map((name) => path.join(where, name));
        assert.ok(source && sealed && target);
        await writeFile(source, randomBytes(5 * MIB));
        await agent.encryptFile(source, sealed, [patient], { user });
        const whole = await readFile(sealed);
        const cut = [whole.subarray(0, -1), whole.subarray(0, 2 * MIB), Buffer.alloc(0)];
        for (const damaged of [...cut, flipped(whole, 3 * MIB), flipped(whole, -10)]) {
            await writeFile(sealed, damaged);
            await assert.rejects(agent.decryptFile(sealed, target, { user: patient }), errors.LifeError);
            assert.ok(!existsSync(target));
            assert.deepEqual(readdirSync(where).sort(), ["sealed", "source"]);
        }
    });
}

async function sealed({ agent, patient, practice: user }: World): Promise<Buffer> {
    return (await agent.encrypt(FINDING, [patient], { user })).envelope;
}

/** The practice's, which the patient can read. */
async function document({ agent, patient, practice: user }: World): Promise<string> {
    return (await agent.uploadDocument(FINDING, { user, readers: [patient] })).documentId;
}

async function stream(agent: Agent, to: string, user: string): Promise<Buffer> {
    const where = await folder();
    const [plain, made] = [path.join(where, "plain"), path.join(where, "stream")];
    await writeFile(plain, Buffer.alloc(3 * MIB, "x"));
    await agent.encryptFile(plain, made, [to], { user });
    return await readFile(made);
}

/** What OpenSSL encrypts for the patient, opened. */
async function fromOpenssl({ agent, patient, practice: user }: World, content: Buffer, cipher = "-aes-256-gcm") {
    const certificate = path.join(await folder(), "certificate.pem");
    const der = (await agent.lookup(patient, { user })).certificate;
    await writeFile(certificate, await openssl(["x509", "-inform", "DER"], der));
    const oaep = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
    const words = ["cms", "-encrypt", "-binary", cipher, "-outform", "DER", "-recip", certificate, ...oaep];
    return agent.decrypt(await openssl(words, content), { user: patient });
}

/** One key of the patient's certificate, put into a file of its own by OpenSSL. */
async function loneKey(dev: World["dev"]): Promise<Buffer> {
    const where = await folder();
    const [old, secret, pem] = ["old.p12", "secret", "all.pem"].map((name) => path.join(where, name));
    assert.ok(old && secret && pem);
    await writeFile(old, dev.certificate("patient"));
    await writeFile(secret, dev.passphrase("patient"));
    await writeFile(pem, await openssl(["pkcs12", "-in", old, "-passin", `file:${secret}`, "-nodes"]));
    return await openssl(["pkcs12", "-export", "-in", pem, "-passout", `file:${secret}`]);
}

async function unlockPatient(dev: World["dev"], agent: Agent): Promise<unknown> {
    return agent.unlock(dev.certificate("patient"), dev.passphrase("patient"));
}

/** A call that this package never makes. */
async function raw(agent: Agent, open: (client: Client) => AsyncIterable<unknown>): Promise<void> {
    const client = new Client(`unix:${agent.socket}`, channel.createInsecure());
    try {
        for await (const answer of open(client)) void answer;
    } catch (error) {
        throw fromRpc(error as ServiceError);
    } finally {
        client.close();
    }
}
