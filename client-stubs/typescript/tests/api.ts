/** Calling the platform's HTTP interface: through a live agent, and one that this test plays. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";

import type { ServerDuplexStream } from "@grpc/grpc-js";
import { Agent, errors } from "life-agent";

import type { CallHeader__Output } from "../src/contract/life/agent/v1/CallHeader.js";
import type { CallRequest__Output } from "../src/contract/life/agent/v1/CallRequest.js";
import type { CallResponse } from "../src/contract/life/agent/v1/CallResponse.js";
import { play } from "./play.js";
import { MIB, world } from "./world.js";

/** Registers the tests. */
export function apiTests(): void {
    test("the platform answers in the user's name", async () => {
        const { agent, practice, patient } = await world();
        for (const user of [practice, patient]) {
            const answer = await agent.call("GET", "/v1/me", { user, headers: { Accept: "application/json" } });
            assert.equal(answer.status, 200);
            assert.ok(new Map(answer.headers).get("content-type")?.startsWith("application/json"));
            assert.ok(JSON.stringify(JSON.parse(answer.content.toString())).includes(user));
            assert.equal(answer.size, answer.content.length);
        }
        const sink = new PassThrough();
        const into = await agent.callInto(sink, "GET", "/v1/me", { user: patient, timeout: 60_000 });
        assert.equal((await buffer(sink.end())).length, into.size);
        assert.deepEqual([into.status, into.content.length], [200, 0]);
        // A status is an answer.
        assert.equal((await agent.call("GET", `/v1/users/${randomUUID()}`, { user: patient })).status, 404);
    });

    test("bodies of known and unknown length", async () => {
        const { agent, calls } = await echo();
        using mine = agent;
        const body = Buffer.alloc(2 * MIB + 1, "b");
        const pairs = [["X-A", "1"], ["X-A", "2"]] as const; // prettier-ignore
        const answer = await mine.call("POST", "/a?b=c", { body, headers: pairs, timeout: 61_500 });
        assert.deepEqual([answer.status, answer.attempts], [503, 3]);
        assert.ok(answer.content.equals(body));
        assert.deepEqual(answer.headers, [["x-one", "1"], ["x-one", "2"]]); // prettier-ignore
        const [header, chunks] = calls.pop() ?? [];
        assert.deepEqual([header?.user, header?.method, header?.path], ["users/7", "POST", "/a?b=c"]);
        assert.equal(header?.contentLength, body.length);
        assert.deepEqual(header.headers.map(({ name, value }) => [name, value]), pairs); // prettier-ignore
        assert.deepEqual([header.timeLimit?.seconds, header.timeLimit?.nanos], [61, 500_000_000]);
        assert.deepEqual(chunks, [MIB, MIB, 1]);

        const answered = await mine.call("PUT", "/", { body: [Buffer.from("one"), Buffer.from("two")] });
        assert.equal(answered.content.toString(), "onetwo");
        assert.equal(calls.pop()?.[0]._contentLength, undefined);
        await mine.call("GET", "/");
        assert.deepEqual([calls[0]?.[0]._contentLength, calls[0]?.[0].contentLength], ["contentLength", 0]);
        assert.deepEqual(calls[0]?.[1], []);
    });

    test("answers that do not count", async () => {
        using agent = (await echo()).agent;
        for (const path of ["/headless", "/cut"]) await assert.rejects(agent.call("GET", path), errors.Internal);
        await assert.rejects(agent.call("GET", "/long"), errors.MessageTooLarge);
        const sink = new PassThrough();
        const whole = buffer(sink);
        await agent.callInto(sink, "GET", "/long");
        sink.end();
        assert.equal((await whole).length, 17 * MIB);
    });
}

/** An agent that answers with what it got, or as the path says. */
async function echo() {
    const calls: [CallHeader__Output, number[]][] = [];
    const answer = async (call: ServerDuplexStream<CallRequest__Output, CallResponse>) => {
        let header: CallHeader__Output | undefined;
        const chunks: Buffer[] = [];
        call.on("data", (request: CallRequest__Output) => {
            if (request.header) header = request.header;
            if (request.chunk) chunks.push(request.chunk);
        });
        await once(call, "end");
        assert.ok(header);
        calls.push([header, chunks.map((chunk) => chunk.length)]);
        const headers = ["1", "2"].map((value) => ({ name: "x-one", value }));
        if (header.path !== "/headless") call.write({ answer: { status: 503, headers } });
        const body = header.path === "/long" ? Array<Buffer>(17).fill(Buffer.alloc(MIB)) : chunks;
        for (const chunk of body) call.write({ chunk });
        const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
        if (header.path !== "/cut") call.write({ result: { size, sentSize: size, attempts: 3 } });
        call.end();
    };
    const socket = await play({
        Call: (call: ServerDuplexStream<CallRequest__Output, CallResponse>) => void answer(call),
    });
    return { agent: new Agent({ socket, user: "7" }), calls };
}
