/** How calls are made, seen by an agent that this test plays: token, backpressure, cancelling, time limits. */
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { Agent, errors } from "life-agent";

import { play } from "./play.js";
import { MIB } from "./world.js";

/** Registers the tests. */
export function callTests(): void {
    test("the token goes along with every call", async () => {
        const seen: unknown[] = [];
        const socket = await play({
            GetStatus: (call: Call, answer: (error: null, value: object) => void) => {
                seen.push(call.metadata.get("life-app-token"));
                answer(null, { version: "1.2.3" });
            },
        });
        for (const token of ["token-of-an-app", ""]) {
            process.env["LIFE_APP_TOKEN"] = token;
            using agent = new Agent({ socket });
            delete process.env["LIFE_APP_TOKEN"];
            assert.equal((await agent.status()).version, "1.2.3");
        }
        assert.deepEqual(seen, [["token-of-an-app"], []]);
    });

    test("a source is read no faster than the agent takes it, and closed when the call ends", async () => {
        const socket = await play({ EncryptStream: () => undefined });
        using agent = new Agent({ socket });
        const [stop, state] = [new AbortController(), { pulled: 0, closed: false }];
        function* endless() {
            try {
                for (;;) {
                    assert.ok(++state.pulled < 200, "200 MiB were taken from the source, and nobody has read one");
                    yield Buffer.alloc(MIB);
                }
            } finally {
                state.closed = true;
            }
        }
        const reason = new Error("enough");
        const call = agent.encryptStream(endless(), new PassThrough(), [], { signal: stop.signal });
        const ended = assert.rejects(call, reason);
        // Until it stands still.
        for (let still = 0, last = -1; still < 20; last = state.pulled) {
            await pause(10);
            still = last > 0 && last === state.pulled ? still + 1 : 0;
        }
        stop.abort(reason);
        await ended;
        while (!state.closed) await pause(1);
    });

    test("a signal ends a call, before and while it runs", async () => {
        const socket = await play({ GetStatus: () => undefined });
        using agent = new Agent({ socket });
        await assert.rejects(agent.status({ signal: AbortSignal.abort() }), { name: "AbortError" });
        const stop = new AbortController();
        const call = agent.status({ signal: stop.signal });
        setImmediate(() => stop.abort());
        await assert.rejects(call, { name: "AbortError" });
    });

    test("a time limit ends a call", async () => {
        const socket = await play({ GetStatus: () => undefined, EncryptStream: () => undefined });
        using agent = new Agent({ socket });
        await assert.rejects(agent.status({ timeout: 10 }), errors.DeadlineExceeded);
        const call = agent.encryptStream([Buffer.alloc(1)], new PassThrough(), [], { timeout: 10 });
        await assert.rejects(call, errors.DeadlineExceeded);
    });

    test("closing ends what runs", async () => {
        const socket = await play({ GetStatus: () => undefined, WatchEvents: () => undefined });
        const agent = new Agent({ socket });
        const calls = [agent.status(), agent.events().next()];
        setImmediate(() => agent.close());
        // All at once: a rejection that nobody waits for yet ends the test.
        await Promise.all(calls.map((call) => assert.rejects(call, errors.LifeError)));
    });

    test("a stream without a result does not count", async () => {
        const socket = await play({
            EncryptStream: (call: Call & { end(): void; write(message: object): void }) => {
                call.write({ chunk: Buffer.from("half") });
                call.end();
            },
        });
        using agent = new Agent({ socket });
        await assert.rejects(agent.encryptStream([], new PassThrough().resume(), []), errors.Internal);
    });
}

interface Call {
    metadata: { get(name: string): unknown };
}
