/** What needs no agent: finding the socket, files, errors. */
import assert from "node:assert/strict";
import {
    chmodSync,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    symlinkSync,
    writeFileSync,
    chownSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { createServer } from "node:net";
import path from "node:path";
import { test } from "node:test";

import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { Agent, errors } from "life-agent";

import { rpcErrorInfo, rpcStatus } from "../src/contract.js";
import { DOMAIN, errorOf, fromRpc, LifeError, REASONS } from "../src/errors.js";
import { spool, staged, whole } from "../src/files.js";
import { appToken, checkOwner, findSocket } from "../src/socket.js";
import { folder, ROOT } from "./dev.js";

/** Registers the tests. */
export function localTests(): void {
    test("every reason has a class and no other", () => {
        const source = readFileSync(path.join(ROOT, "proto/src/reason.rs"), "utf8");
        const reasons = [...source.matchAll(/^ {4}([A-Z][A-Z0-9_]+);$/gm)].map(([, reason]) => reason ?? "");
        assert.ok(reasons.length > 50);
        assert.deepEqual(new Set(reasons), REASONS);
        for (const reason of reasons) {
            const error = errorOf(reason, "why");
            assert.equal(error.reason, reason);
            assert.notEqual(error.constructor, LifeError);
            assert.equal(Object.entries(errors).find(([name]) => name === error.name)?.[1], error.constructor);
        }
        assert.equal(errors.NotARecipient.REASON, "NOT_A_RECIPIENT");
    });

    test("a newer reason is still a LifeError", () => {
        const error = errorOf("SOMETHING_NEW", "why");
        assert.equal(error.constructor, LifeError);
        assert.equal(error.reason, "SOMETHING_NEW");
    });

    test("the socket is looked for in order", () => {
        const home = path.join(process.env["HOME"] ?? "", ".life/run/agent.sock");
        assert.equal(findSocket(undefined, {}), home);
        const runtime = { XDG_RUNTIME_DIR: "/run/user/7" };
        assert.equal(findSocket(undefined, runtime), "/run/user/7/life/agent.sock");
        const named = { ...runtime, LIFE_AGENT_SOCKET: "/tmp/a.sock" };
        assert.equal(findSocket(undefined, named), "/tmp/a.sock");
        assert.equal(findSocket("/tmp/b.sock", named), "/tmp/b.sock");
        assert.equal(findSocket(`/tmp/${"x".repeat(102)}`).length, 107);
        assert.throws(() => findSocket(`/tmp/${"x".repeat(103)}`), errors.NotConfigured);
        assert.throws(() => findSocket(`/tmp/${"ü".repeat(52)}`), /107 bytes/);
    });

    test("a token that is none is refused", () => {
        assert.equal(appToken({ LIFE_APP_TOKEN: "token-of-an-app" }), "token-of-an-app");
        assert.equal(appToken({ LIFE_APP_TOKEN: "" }), undefined);
        assert.equal(appToken({}), undefined);
        assert.throws(() => appToken({ LIFE_APP_TOKEN: "no\ntoken" }), errors.NotConfigured);
    });

    test("no agent is said as such", async () => {
        using agent = new Agent({ socket: path.join(await folder(), "agent.sock") });
        await assert.rejects(agent.status(), (error) => {
            assert.ok(error instanceof errors.AgentUnavailable);
            return error.message.includes("life-agentd");
        });
    });

    test("error details of Google are read", () => {
        const info = { reason: "CREDENTIAL_LOCKED", domain: DOMAIN, metadata: { user: "users/x" } };
        const error = fromRpc(refusal(status.FAILED_PRECONDITION, "locked", trailer(rpcErrorInfo.serialize(info))));
        assert.ok(error instanceof errors.CredentialLocked);
        assert.equal(error.reason, "CREDENTIAL_LOCKED");
        assert.equal(error.code, "FAILED_PRECONDITION");
        assert.deepEqual(error.metadata, { user: "users/x" });
        assert.equal(String(error), "locked (CREDENTIAL_LOCKED)");
        assert.ok(fromRpc(refusal(status.INTERNAL, "broken")) instanceof errors.Internal);
        const foreign = trailer(rpcErrorInfo.serialize({ ...info, domain: "somebody.else" }));
        assert.ok(fromRpc(refusal(status.INTERNAL, "broken", foreign)) instanceof errors.Internal);
    });

    test("a malformed trailer is a LifeError", () => {
        const bad = [Buffer.from([0xff, 0xff]), Buffer.from("\x1a\x05ab"), trailer(Buffer.from([0xff]))];
        for (const bytes of bad) {
            const error = fromRpc(refusal(status.INTERNAL, "broken", bytes));
            assert.ok(error instanceof errors.Internal);
            assert.equal(error.message, "broken");
        }
    });

    test("staged files appear whole or not at all", async () => {
        const where = await folder();
        const target = path.join(where, "out");
        const keep = { overwrite: false, mode: 0o600 };
        const fail = staged(target, keep, async (file) => {
            await file.write("half");
            assert.ok(!existsSync(target));
            throw new RangeError();
        });
        await assert.rejects(fail, RangeError);
        assert.deepEqual(readdirSync(where), []);
        await staged(target, keep, (file) => file.write("whole"));
        assert.equal(readFileSync(target, "utf8"), "whole");
        await assert.rejects(
            staged(target, keep, async () => assert.fail("not asked")),
            errors.OutputExists,
        );
        await staged(target, { ...keep, overwrite: true }, (file) => file.write("new"));
        assert.equal(readFileSync(target, "utf8"), "new");
        assert.deepEqual(readdirSync(where), ["out"]);
    });

    test("a name taken meanwhile is kept", async () => {
        const where = await folder();
        const target = path.join(where, "out");
        const late = staged(target, { overwrite: false, mode: 0o600 }, async () => writeFileSync(target, "theirs"));
        await assert.rejects(late, errors.OutputExists);
        assert.equal(readFileSync(target, "utf8"), "theirs");
        assert.deepEqual(readdirSync(where), ["out"]);
    });

    test("a spool has no name", async () => {
        const where = await folder();
        const file = await spool(where);
        await file.write("not verified yet");
        assert.equal((await file.stat()).nlink, 0);
        assert.deepEqual(readdirSync(where), []);
        await file.close();
    });

    test("a passphrase that no file can have is refused", async () => {
        using agent = new Agent({ socket: "/nonexistent/agent.sock" });
        for (const secret of ["", "x".repeat(1025), Buffer.alloc(200_000)]) {
            await assert.rejects(agent.unlock(Buffer.from("certificate"), secret), errors.InvalidArgument);
        }
    });

    test("what has no end is refused", async () => {
        using agent = new Agent({ socket: "/nonexistent/agent.sock" });
        await assert.rejects(agent.unlock("/dev/zero", "correct horse battery"), errors.CredentialDamaged);
        const endless = await open("/dev/zero");
        await assert.rejects(whole(endless, 1000), errors.MessageTooLarge);
        await endless.close();
    });

    test("text is no content", async () => {
        using agent = new Agent({ socket: "/nonexistent/agent.sock" });
        const text = "c2VjcmV0" as unknown as Uint8Array;
        await assert.rejects(agent.encrypt(text, []), TypeError);
        await assert.rejects(agent.sign(text), TypeError);
    });

    test("another user's socket gets nothing", async (t) => {
        const where = path.join(await folder(), "run");
        mkdirSync(where, { mode: 0o700 });
        const socket = path.join(where, "agent.sock");
        const server = createServer((connection) => connection.destroy()).listen(socket);
        t.after(() => server.close());
        await new Promise((resolve) => server.once("listening", resolve));
        await checkOwner(socket);

        // A link's target can be another one after the look.
        const link = path.join(where, "link.sock");
        symlinkSync(socket, link);
        await assert.rejects(checkOwner(link), /is no socket/);
        await assert.rejects(checkOwner(where), /is no socket/);

        // Others could put a socket of theirs in its place.
        chmodSync(where, 0o777);
        await assert.rejects(checkOwner(socket), /others can write/);
        chmodSync(where, 0o1777);
        await checkOwner(socket);
        chmodSync(where, 0o700);

        // Who cannot give files away believes to be somebody else.
        const { geteuid } = process;
        t.after(() => Object.assign(process, { geteuid }));
        if (geteuid?.() === 0) chownSync(socket, 65534, 65534);
        else process.geteuid = () => 65534;
        for (const call of [
            (agent: Agent) => agent.unlock(Buffer.from("certificate"), "correct horse battery"),
            (agent: Agent) => agent.register("PATIENT", "correct horse battery"),
            (agent: Agent) => agent.status(),
        ]) {
            using agent = new Agent({ socket });
            await assert.rejects(call(agent), (error) => {
                assert.ok(error instanceof errors.AgentUnavailable);
                return error.message.includes("another user");
            });
        }
    });
}

function refusal(code: status, details: string, trailer?: Buffer): ServiceError {
    const metadata = new Metadata();
    metadata.set("other", "x");
    if (trailer) metadata.set("grpc-status-details-bin", trailer);
    return Object.assign(new Error(details), { code, details, metadata });
}

function trailer(value: Buffer): Buffer {
    return rpcStatus.serialize({ code: 9, details: [{ type_url: "type.googleapis.com/google.rpc.ErrorInfo", value }] });
}
