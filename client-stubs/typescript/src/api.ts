/** Calling the platform's HTTP interface in a user's name. */
import type { Writable } from "node:stream";

import { api } from "./contract.js";
import { DocumentCalls } from "./documents.js";
import { Internal, MessageTooLarge } from "./errors.js";
import type { Sink } from "./files.js";
import type { ApiAnswer } from "./model.js";
import { intoStream, type Source } from "./streams.js";
import { UNARY_LIMIT, type CallOptions } from "./transport.js";

/** What to call with. */
export interface ApiOptions extends CallOptions {
    /** The request's headers, as an object or as pairs. */
    headers?: Record<string, string> | Iterable<readonly [name: string, value: string]>;
    /** The request's body, of any size. */
    body?: Uint8Array | Source;
}

/** The part of Agent that calls the platform. */
export class ApiCalls extends DocumentCalls {
    /**
     * Calls the server that the agent's configuration names; the answer's body has up to 16 MiB.
     *
     * Every HTTP status is an answer, not an error. `path` is absolute, with its query. Throws ApiCallForbidden for
     * what the configuration does not allow, and MessageTooLarge for a longer answer: callInto takes any.
     */
    async call(method: string, path: string, options: ApiOptions = {}): Promise<ApiAnswer> {
        const parts: Uint8Array[] = [];
        let size = 0;
        const kept: Sink = {
            async write(chunk) {
                size += chunk.length;
                if (size > UNARY_LIMIT) {
                    throw new MessageTooLarge(`the answer has more than ${UNARY_LIMIT} bytes: use callInto`);
                }
                parts.push(chunk);
            },
        };
        const answer = await this.#call(kept, method, path, options);
        return { ...answer, content: Buffer.concat(parts) };
    }

    /** As call, with the answer's body, of any size, into a stream. What that has got counts only once this returned. */
    async callInto(sink: Writable, method: string, path: string, options: ApiOptions = {}): Promise<ApiAnswer> {
        return await this.#call(intoStream(sink), method, path, options);
    }

    async #call(sink: Sink, method: string, path: string, options: ApiOptions): Promise<ApiAnswer> {
        const { headers = [], body = new Uint8Array(), timeout } = options;
        const pairs = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
        const header = {
            user: this.acting(options),
            method,
            path,
            headers: pairs.map(([name, value]) => ({ name, value })),
            // Where the length is known the server learns it, and the agent need not wait for the end.
            ...(body instanceof Uint8Array ? { contentLength: body.length } : {}),
            ...(timeout === undefined ? {} : { timeLimit: durationOf(timeout) }),
        };
        const source = body instanceof Uint8Array ? [body] : body;
        let head: Pick<ApiAnswer, "status" | "headers"> | undefined;
        const result = await this.transport.exchange(api.Call, header, source, sink, options, ({ answer }) => {
            if (answer) head = { status: answer.status, headers: answer.headers.map((one) => [one.name, one.value]) };
        });
        if (!head) throw new Internal("the agent gave an answer without a head");
        const { size, sentSize, attempts } = result;
        return { ...head, content: Buffer.alloc(0), size, sentSize, attempts };
    }
}

function durationOf(milliseconds: number) {
    const seconds = Math.floor(milliseconds / 1000);
    return { seconds, nanos: Math.round((milliseconds - seconds * 1000) * 1e6) };
}
