/** Files that appear only when they are complete, and content that nobody sees before it is verified. */
import { randomBytes } from "node:crypto";
import { constants, type ReadStream } from "node:fs";
import { link, lstat, open, realpath, rename, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { MessageTooLarge, OutputExists } from "./errors.js";
import { codeOf } from "./socket.js";

export const CHUNK = 1024 * 1024;
// Linux: a file without a name from the start. Node has no constant for it.
const O_TMPFILE = 0o20200000;

/** What takes the bytes of a stream. */
export interface Sink {
    /** Takes a chunk; the next one waits until it is done. */
    write(chunk: Uint8Array): Promise<void>;
}

/** What a file holds from where it stands, in chunks of at most 1 MiB. */
export async function* chunks(source: FileHandle): AsyncGenerator<Buffer> {
    for (;;) {
        // A buffer each: the one before may still be on its way.
        const { bytesRead, buffer } = await source.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, null);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
    }
}

/** All that a file holds. Throws MessageTooLarge for more than `limit` bytes. */
export async function whole(source: FileHandle, limit: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of chunks(source)) {
        size += chunk.length;
        if (size > limit) throw new MessageTooLarge(`there are more than ${limit} bytes: too much for one call`);
        parts.push(chunk);
    }
    return Buffer.concat(parts);
}

/** A file as a sink. */
export function into(file: FileHandle): Sink {
    return {
        async write(chunk) {
            for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
        },
    };
}

/** How a file is to appear. */
export interface Staging {
    /** Replace a file that exists; otherwise OutputExists is thrown for it. */
    overwrite: boolean;
    /** Its permissions, less the umask. */
    mode: number;
}

/** Gives `fill` a file that gets its name when `fill` ends well, and vanishes when it does not. */
export async function staged<T>(target: string, how: Staging, fill: (file: FileHandle) => Promise<T>): Promise<T> {
    const resolved = await resolve(target);
    if (!how.overwrite && (await exists(resolved))) {
        throw new OutputExists(`${resolved} exists already: it was left as it is; overwrite: true replaces it`);
    }
    const folder = path.dirname(resolved);
    const suffix = `${process.pid}-${randomBytes(4).toString("hex")}`;
    const hidden = path.join(folder, `.${path.basename(resolved)}.${suffix}.part`);
    const file = await open(hidden, "wx", how.mode);
    try {
        let result;
        try {
            result = await fill(file);
            await file.sync();
        } finally {
            await file.close();
        }
        if (how.overwrite) {
            await rename(hidden, resolved);
        } else {
            // A link refuses a name that was taken meanwhile; a rename would not.
            await link(hidden, resolved).catch((error: unknown) => {
                if (codeOf(error) !== "EEXIST") throw error;
                throw new OutputExists(`${resolved} exists already: it was left as it is`, { cause: error });
            });
        }
        await syncFolder(folder);
        return result;
    } finally {
        await unlink(hidden).catch(ignored);
    }
}

/** A file without a name, for content that is not verified yet. It ends with its handle, or with the program. */
export async function spool(folder: string = tmpdir()): Promise<FileHandle> {
    try {
        return await open(folder, O_TMPFILE | constants.O_RDWR, 0o600);
    } catch (error) {
        // No Linux, or a file system that cannot.
        if (!["EISDIR", "EOPNOTSUPP", "EINVAL", "ENOENT"].includes(codeOf(error) ?? "")) throw error;
    }
    const name = path.join(folder, `.life-${randomBytes(16).toString("hex")}`);
    const file = await open(name, "wx+", 0o600);
    await unlink(name);
    return file;
}

/** Verified content in a file without a name. Close it when done, or declare it with `await using`. */
export class Content {
    readonly #file: FileHandle;
    /** How many bytes there are. */
    readonly size: number;

    constructor(file: FileHandle, size: number) {
        this.#file = file;
        this.size = size;
    }

    /** The content as a stream, from its start. */
    stream(): ReadStream {
        return this.#file.createReadStream({ start: 0, autoClose: false, highWaterMark: CHUNK });
    }

    /** All of the content. */
    async bytes(): Promise<Buffer> {
        const all = Buffer.allocUnsafe(this.size);
        for (let at = 0; at < all.length;) {
            const { bytesRead } = await this.#file.read(all, at, all.length - at, at);
            if (bytesRead === 0) throw new Error("the file without a name was cut short");
            at += bytesRead;
        }
        return all;
    }

    /** All of the content, as UTF-8. */
    async text(): Promise<string> {
        return (await this.bytes()).toString("utf8");
    }

    /** Gives the room back. */
    async close(): Promise<void> {
        await this.#file.close();
    }

    async [Symbol.asyncDispose](): Promise<void> {
        await this.close();
    }
}

/** Copies what a file holds from a place on. */
export async function copy(source: FileHandle, target: FileHandle, from: number): Promise<void> {
    const sink = into(target);
    for (let at = from; ;) {
        const { bytesRead, buffer } = await source.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, at);
        if (bytesRead === 0) return;
        await sink.write(buffer.subarray(0, bytesRead));
        at += bytesRead;
    }
}

async function resolve(target: string): Promise<string> {
    try {
        return await realpath(target);
    } catch (error) {
        if (codeOf(error) !== "ENOENT") throw error;
        return path.join(await realpath(path.dirname(target)), path.basename(target));
    }
}

async function exists(name: string): Promise<boolean> {
    return await lstat(name).then(
        () => true,
        () => false,
    );
}

async function syncFolder(name: string): Promise<void> {
    // Some file systems cannot: the file itself is safe by then.
    const folder = await open(name, "r").catch(ignored);
    await folder?.sync().catch(ignored);
    await folder?.close();
}

function ignored(): undefined {
    return undefined;
}
