/** Calling the agent: the connection, time limits, cancelling, and errors as ours. */
import { Client, credentials, Metadata, type CallOptions as GrpcOptions, type ServiceError } from "@grpc/grpc-js";

import { AgentUnavailable, LifeError, fromRpc } from "./errors.js";
import type { Sink } from "./files.js";
import { appToken, checkOwner } from "./socket.js";
import { feeding, receive, type Answer, type Outgoing, type ResultOf, type Source } from "./streams.js";

const MIB = 1024 * 1024;
/** The most plaintext that one call takes without a stream. */
export const UNARY_LIMIT = 16 * MIB;

const OPTIONS = {
    "grpc.max_receive_message_length": UNARY_LIMIT + MIB,
    "grpc.max_send_message_length": UNARY_LIMIT + MIB,
    // What makes bulk streams fast over a Unix socket.
    "grpc-node.flow_control_window": 4 * MIB,
    "grpc.enable_http_proxy": 0,
    // A call is made once: the agent says what may be repeated.
    "grpc.enable_retries": 0,
};

/** What every call takes. */
export interface CallOptions {
    /** On whose behalf, as a user id; else the connection's user, else the only unlocked one. */
    user?: string | undefined;
    /** Ends the call; the promise is then rejected with the signal's reason. */
    signal?: AbortSignal | undefined;
    /** The most time the call may take, in milliseconds; DeadlineExceeded is thrown after it. */
    timeout?: number | undefined;
}

/** A method of the contract, as far as calling it needs. */
export interface Method<Request, Response> {
    path: string;
    requestSerialize(value: Request): Buffer;
    responseDeserialize(bytes: Buffer): Response;
}

interface Cancellable {
    cancel(): void;
}

/** A connection to the agent. */
export class Transport {
    readonly path: string;
    readonly #client: Client;
    readonly #metadata = new Metadata();
    readonly #running = new Set<Cancellable>();
    #checked = false;
    #closed = false;

    constructor(path: string) {
        const token = appToken();
        if (token !== undefined) this.#metadata.set("life-app-token", token);
        this.path = path;
        this.#client = new Client(`unix:${path}`, credentials.createInsecure(), OPTIONS);
    }

    /** Ends the connection, and whatever runs on it. */
    close(): void {
        this.#closed = true;
        for (const call of this.#running) call.cancel();
        this.#client.close();
    }

    /** One request, one answer. */
    async unary<Q, A>(method: Method<Q, A>, request: Q, options: CallOptions, secret?: "secret"): Promise<A> {
        const { metadata, limits } = await this.#begin(options, secret);
        const { path, requestSerialize: write, responseDeserialize: read } = method;
        const { promise, settle } = awaited<A>();
        const call = this.#client.makeUnaryRequest(path, write, read, request, metadata, limits, settle);
        return await this.#guard(call, options.signal, () => promise);
    }

    /** One request; `take` reads the answers, and ends the call by returning. */
    async answers<Q, A, T>(
        method: Method<Q, A>,
        request: Q,
        take: (answers: AsyncIterable<A>) => Promise<T>,
        options: CallOptions,
        secret?: "secret",
    ): Promise<T> {
        const { metadata, limits } = await this.#begin(options, secret);
        const { path, requestSerialize: write, responseDeserialize: read } = method;
        const call = this.#client.makeServerStreamRequest(path, write, read, request, metadata, limits);
        return await this.#guard(call, options.signal, () => take(call).finally(() => call.cancel()));
    }

    /** One request, and answers as they come, until the caller stops reading. */
    async *events<Q, A>(method: Method<Q, A>, request: Q, options: CallOptions): AsyncGenerator<A> {
        const { metadata, limits } = await this.#begin(options);
        const { path, requestSerialize: write, responseDeserialize: read } = method;
        const call = this.#client.makeServerStreamRequest(path, write, read, request, metadata, limits);
        const answers: AsyncIterable<A> = call;
        const release = this.#hold(call, options.signal);
        try {
            for await (const answer of answers) yield answer;
        } catch (error) {
            throw told(error, options.signal);
        } finally {
            release();
            call.on("error", () => undefined);
            call.cancel();
        }
    }

    /** A header and chunks one way, one answer back. */
    async upload<H, A>(method: Method<Outgoing<H>, A>, header: H, source: Source, options: CallOptions): Promise<A> {
        const { metadata, limits } = await this.#begin(options);
        const { path, requestSerialize: write, responseDeserialize: read } = method;
        const { promise, settle } = awaited<A>();
        const call = this.#client.makeClientStreamRequest(path, write, read, metadata, limits, settle);
        return await this.#guard(call, options.signal, () => feeding(call, header, source, () => promise));
    }

    /** A header and chunks one way, chunks and a result back; the chunks go to the sink. */
    async exchange<H, A extends Answer>(
        method: Method<Outgoing<H>, A>,
        header: H,
        source: Source,
        sink: Sink,
        options: CallOptions,
        head?: (answer: A) => void,
    ): Promise<ResultOf<A>> {
        const { metadata, limits } = await this.#begin(options);
        const { path, requestSerialize: write, responseDeserialize: read } = method;
        const call = this.#client.makeBidiStreamRequest(path, write, read, metadata, limits);
        return await this.#guard(call, options.signal, () =>
            feeding(call, header, source, () => receive(call as AsyncIterable<A>, sink, head)),
        );
    }

    /** Looks first whose agent this is: once, and before every secret. */
    async #begin(options: CallOptions, secret?: "secret"): Promise<{ metadata: Metadata; limits: GrpcOptions }> {
        options.signal?.throwIfAborted();
        if (secret !== undefined || !this.#checked) {
            await checkOwner(this.path);
            this.#checked = true;
        }
        if (this.#closed) throw new AgentUnavailable("this connection to the agent was closed: make another");
        const limits = options.timeout === undefined ? {} : { deadline: Date.now() + options.timeout };
        return { metadata: this.#metadata.clone(), limits };
    }

    async #guard<T>(call: Cancellable, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
        const release = this.#hold(call, signal);
        try {
            return await work();
        } catch (error) {
            throw told(error, signal);
        } finally {
            release();
        }
    }

    /** Has a call cancelled by its signal and with the connection, until it is released. */
    #hold(call: Cancellable, signal: AbortSignal | undefined): () => void {
        const cancel = () => call.cancel();
        this.#running.add(call);
        signal?.addEventListener("abort", cancel, { once: true });
        if (signal?.aborted) cancel();
        return () => {
            signal?.removeEventListener("abort", cancel);
            this.#running.delete(call);
        };
    }
}

/** Why a call failed: because its signal said so, or as the agent says. */
function told(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    return isServiceError(error) ? fromRpc(error) : error;
}

/** A promise, and the callback that settles it. */
function awaited<A>(): { promise: Promise<A>; settle: (error: ServiceError | null, answer?: A) => void } {
    let settle: (error: ServiceError | null, answer?: A) => void = () => undefined;
    const promise = new Promise<A>((resolve, reject) => {
        settle = (error, answer) => (answer === undefined ? reject(error) : resolve(answer));
    });
    return { promise, settle };
}

function isServiceError(error: unknown): error is ServiceError {
    return error instanceof Error && !(error instanceof LifeError) && "metadata" in error && "details" in error;
}
