/** Reasons that take an operator's doing: approvals, revocations, limits and lies. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { errors } from "life-agent";

import { PASSPHRASE, Platform, startAgent } from "./dev.js";
import { flipped } from "./world.js";

/** Registers the tests. */
export function platformTests(): void {
    test("a registration waits for the registrar", async () => {
        const platform = await Platform.start();
        const { agent } = await startAgent(platform.config);
        for (const decision of ["approve", "refuse"]) {
            let registration = "";
            await assert.rejects(agent.register("INSTITUTION", PASSPHRASE), (error) => {
                assert.ok(error instanceof errors.RegistrationPending);
                registration = error.metadata["registration"] ?? "";
                return registration !== "";
            });
            const again = () => agent.register("INSTITUTION", PASSPHRASE, { registration });
            await assert.rejects(again, errors.RegistrationPending);
            const [raw] = await platform.sql("SELECT uid FROM registration ORDER BY created DESC, rowid DESC LIMIT 1");
            const uid = uuidOf(raw);
            await platform.run(`registrar ${decision}`, uid);
            if (decision === "approve") {
                const made = await again();
                assert.equal(made.uid, uid);
                assert.equal((await agent.unlock(made.pkcs12, PASSPHRASE)).uid, uid);
            } else {
                await assert.rejects(again, errors.RegistrationRefused);
            }
        }
    });

    test("what an operator can do to an account", async () => {
        const platform = await Platform.start();
        const { agent } = await startAgent(platform.config);
        const one = await agent.register("PATIENT", PASSPHRASE);
        const other = await agent.register("PATIENT", PASSPHRASE);
        const user = one.uid;
        const [mine, theirs] = [rawOf(one.uid), rawOf(other.uid)];
        for (const { pkcs12 } of [one, other]) await agent.unlock(pkcs12, PASSPHRASE);
        const read = async (statement: string, raw: Buffer) => {
            const [found] = await platform.sql(statement, raw);
            assert.ok(found);
            return found;
        };

        // The inbox of this platform holds one message.
        await agent.send(other.uid, Buffer.from("first"), { user });
        await assert.rejects(agent.send(other.uid, Buffer.from("second"), { user }), errors.InboxFull);

        // A substituted certificate.
        const certificate = "SELECT der FROM certificate WHERE uid = ? AND slot = 4";
        const [own, foreign] = [await read(certificate, mine), await read(certificate, theirs)];
        const substitute = "UPDATE certificate SET der = ? WHERE uid = ? AND slot = 4";
        await platform.sql(substitute, own, theirs);
        await assert.rejects(agent.lookup(other.uid, { user }), errors.RecipientUntrusted);
        await platform.sql(substitute, foreign, theirs);
        assert.equal((await agent.lookup(other.uid, { user })).uid, other.uid);

        // A log with an entry that breaks its rules.
        const entry = await read("SELECT der FROM log_entry WHERE uid = ? AND position = 1", theirs);
        const edit = "UPDATE log_entry SET der = ? WHERE uid = ? AND position = 1";
        await platform.sql(edit, flipped(entry, -1), theirs);
        await assert.rejects(agent.lookup(other.uid, { user }), errors.AccountLogInvalid);
        await platform.sql(edit, entry, theirs);

        // Seals swapped, and taken away.
        await agent.lock();
        const seal = await read("SELECT der FROM seal WHERE uid = ?", theirs);
        await platform.sql("UPDATE seal SET der = ? WHERE uid = ?", seal, mine);
        await assert.rejects(agent.unlock(one.pkcs12, PASSPHRASE), errors.RootSealForeign);
        await platform.sql("DELETE FROM seal WHERE uid = ?", mine);
        await assert.rejects(agent.unlock(one.pkcs12, PASSPHRASE), errors.RootSealMissing);

        // A revoked credential.
        const identity = await agent.unlock(other.pkcs12, PASSPHRASE);
        await agent.lock();
        await platform.run("revoke", other.uid, identity.credential.split("/").at(-1) ?? "");
        await assert.rejects(agent.unlock(other.pkcs12, PASSPHRASE), errors.CredentialRevoked);
    });
}

function rawOf(uid: string): Buffer {
    return Buffer.from(uid.replaceAll("-", ""), "hex");
}

function uuidOf(raw: Buffer | undefined): string {
    const digits = raw?.toString("hex") ?? "";
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
