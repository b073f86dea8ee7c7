/** Both sides of a stream: what a program sends, with backpressure, and what the agent answers. */
import { once } from "node:events";
import type { Writable } from "node:stream";

import type { ClientWritableStream } from "@grpc/grpc-js";

import { Internal } from "./errors.js";
import { CHUNK, type Sink } from "./files.js";

/** Content in pieces of any size: an array, a generator, a stream. */
export type Source = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** What a caller sends in a stream: one header, then chunks. */
export interface Outgoing<Header> {
    header?: Header | null;
    chunk?: Buffer | Uint8Array | string;
}

/** A message of the agent in a stream: perhaps a head of its own first, the next bytes, or the result, which comes last. */
export interface Answer {
    message?: string;
    chunk?: Buffer;
    result?: object | null;
}

/** The result that a stream of answers ends with. */
export type ResultOf<A extends Answer> = NonNullable<A["result"]>;

/** Sends header and chunks while `answer` waits for what comes back; fails as the source did, if that failed first. */
export async function feeding<H, T>(
    call: ClientWritableStream<Outgoing<H>>,
    header: H,
    source: Source,
    answer: () => Promise<T>,
): Promise<T> {
    const over = new AbortController();
    let failure: { cause: unknown } | undefined;
    // Every error comes with the answer; as an event it would end the program.
    call.on("error", () => undefined);
    void feed(call, header, source, over.signal).catch((cause: unknown) => {
        if (over.signal.aborted) return;
        // An end would mean that all was sent.
        failure = { cause };
        call.cancel();
    });
    try {
        return await answer();
    } catch (error) {
        throw failure ? failure.cause : error;
    } finally {
        over.abort();
        call.cancel();
    }
}

/**
 * Hands the chunks of a stream to a sink, and what is neither chunk nor result to `head`; gives the result, without
 * which nothing counts.
 */
export async function receive<A extends Answer>(
    answers: AsyncIterable<A>,
    sink: Sink,
    head?: (answer: A) => void,
): Promise<ResultOf<A>> {
    let result: ResultOf<A> | undefined;
    for await (const answer of answers) {
        if (answer.message === "chunk" && answer.chunk) await sink.write(answer.chunk);
        else if (answer.message === "result" && answer.result) result = answer.result;
        else head?.(answer);
    }
    if (result === undefined) throw new Internal("the agent ended the stream without a result");
    return result;
}

/** A program's own stream as a sink. It is not ended: what it has got counts only once the call has succeeded. */
export function intoStream(writable: Writable): Sink {
    return {
        write: (chunk) =>
            new Promise((resolve, reject) => {
                writable.once("error", reject);
                writable.write(chunk, (error) => {
                    if (error) return reject(error);
                    writable.off("error", reject);
                    resolve();
                });
            }),
    };
}

/** Refuses what is no bytes: text would be read as base64. */
export function checkBytes(value: Uint8Array): Uint8Array {
    if (!(value instanceof Uint8Array)) throw new TypeError("content must be bytes: a Buffer or a Uint8Array");
    return value;
}

/** Fails as the source does, and with nothing else. */
async function feed<H>(
    call: ClientWritableStream<Outgoing<H>>,
    header: H,
    source: Source,
    over: AbortSignal,
): Promise<void> {
    // Waits until the call takes more, or is over.
    const write = async (message: Outgoing<H>): Promise<void> => {
        if (!call.write(message)) await once(call, "drain", { signal: over }).catch(() => undefined);
    };
    await write({ header });
    for await (const piece of source) {
        const bytes = checkBytes(piece);
        // However large the caller's pieces are, the contract's are not.
        for (let at = 0; at < bytes.length && !over.aborted; at += CHUNK) {
            await write({ chunk: bytes.subarray(at, at + CHUNK) });
        }
        // No use in reading on; leaving the loop closes the source.
        if (over.aborted) return;
    }
    call.end();
}
