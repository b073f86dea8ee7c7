/** Streams and files of any size. */
import type { Writable } from "node:stream";
import { open, type FileHandle } from "node:fs/promises";
import path from "node:path";

import { crypto } from "./contract.js";
import { CryptoCalls, type DecryptOptions, type EncryptOptions, type VerifyOptions } from "./crypto.js";
import { StreamTruncated } from "./errors.js";
import { CHUNK, chunks, Content, copy, into, spool, staged, whole, type Sink } from "./files.js";
import { recipientsOf, signatureOf } from "./convert.js";
import type { Decrypted, Encrypted, Verified } from "./model.js";
import { checkBytes, intoStream, type Source } from "./streams.js";
import { UNARY_LIMIT, type CallOptions } from "./transport.js";

const MAGIC = Buffer.from("LIFESTRM");
// What stands between envelope and segments, and the shortest segment or trailer.
const STREAM_HEADER = 40;
const TAG = 16;

/** An opened content and what is known of it. */
export interface Opened {
    /** The verdict. */
    opened: Decrypted;
    /** The content, in a file without a name. */
    content: Content;
}

/** The part of Agent that works on streams and files. */
export class BulkCalls extends CryptoCalls {
    /** Encrypts content of any size into a sealed stream. What `sink` has got counts only once this has returned. */
    async encryptStream(
        source: Source,
        sink: Writable,
        to: string | Iterable<string>,
        options: EncryptOptions = {},
    ): Promise<Encrypted> {
        return await this.#encrypt(source, intoStream(sink), to, options);
    }

    /**
     * Opens a sealed stream, or an envelope, of any size. Gives the verdict and a file without a name: close it when
     * done. Nothing is given before everything is verified.
     */
    async decryptStream(source: Source, options: DecryptOptions = {}): Promise<Opened> {
        return await kept((sink) => this.#decrypt(source, sink, options));
    }

    /**
     * Encrypts a file of any size into a sealed stream, which appears only when it is complete. Throws OutputExists for
     * a target that exists, unless it may be overwritten.
     */
    async encryptFile(
        source: string,
        target: string,
        to: string | Iterable<string>,
        options: EncryptOptions & { overwrite?: boolean } = {},
    ): Promise<Encrypted> {
        const how = { overwrite: options.overwrite ?? false, mode: 0o666 };
        return await reading(source, (file) =>
            staged(target, how, (sealed) => this.#encrypt(chunks(file), into(sealed), to, options)),
        );
    }

    /** Opens a file of any size into another, which appears, for its owner alone, only when all is verified. */
    async decryptFile(
        source: string,
        target: string,
        options: DecryptOptions & { overwrite?: boolean } = {},
    ): Promise<Decrypted> {
        return await reading(source, (file) =>
            keptInto(target, options.overwrite ?? false, (sink) => this.#decrypt(chunks(file), sink, options)),
        );
    }

    /** Signs a file of any size; gives the detached signature. */
    async signFile(source: string, options: CallOptions = {}): Promise<Buffer> {
        const header = { user: this.acting(options) };
        const answer = await reading(source, (file) =>
            this.transport.upload(crypto.SignStream, header, chunks(file), options),
        );
        return answer.signedData;
    }

    /** Judges a detached signature over a file of any size. */
    async verifyFile(signedData: Uint8Array, content: string, options: VerifyOptions = {}): Promise<Verified> {
        const receipt = options.receipt ?? Buffer.alloc(0);
        const header = { user: this.acting(options), signedData: checkBytes(signedData), receipt };
        const answer = await reading(content, (file) =>
            this.transport.upload(crypto.VerifyStream, header, chunks(file), options),
        );
        return { signature: signatureOf(answer.signature), content: Buffer.alloc(0), contentSize: answer.contentSize };
    }

    /** Lets further users open an encrypted file, which is replaced in one step; its content stays as it is. */
    async shareFile(name: string, to: string | Iterable<string>, options: CallOptions = {}): Promise<void> {
        await reading(name, (file) =>
            staged(name, { overwrite: true, mode: 0o666 }, async (shared) => {
                await shared.chmod((await file.stat()).mode & 0o777);
                const sink = into(shared);
                const start = await part(file, 0, MAGIC.length);
                if (!start.equals(MAGIC)) {
                    await sink.write(await this.share(await whole(file, UNARY_LIMIT + CHUNK), to, options));
                    return;
                }
                const { header, trailer } = await outerForm(file);
                await sink.write(await this.share(header, to, { ...options, trailer }));
                await copy(file, shared, header.length);
            }),
        );
    }

    async #encrypt(source: Source, sink: Sink, to: string | Iterable<string>, options: EncryptOptions) {
        const header = this.sealing(to, options);
        const result = await this.transport.exchange(crypto.EncryptStream, header, source, sink, options);
        const { documentId, signatureDigest, plaintextSize } = result;
        const recipients = recipientsOf(result.recipients);
        return { envelope: Buffer.alloc(0), documentId, signatureDigest, recipients, plaintextSize };
    }

    async #decrypt(source: Source, sink: Sink, options: DecryptOptions): Promise<Decrypted> {
        // Nobody sees the sink before the result has come.
        const header = { ...this.opening(options), allowUnverifiedSender: true };
        return decrypted(await this.transport.exchange(crypto.DecryptStream, header, source, sink, options));
    }
}

/** The verdict on a content that went to a sink. */
export function decrypted(result: {
    signature: Parameters<typeof signatureOf>[0];
    recipients: Parameters<typeof recipientsOf>[0];
    plaintextSize: number;
}): Decrypted {
    return {
        plaintext: Buffer.alloc(0),
        signature: signatureOf(result.signature),
        recipients: recipientsOf(result.recipients),
        plaintextSize: result.plaintextSize,
    };
}

/** Has content written into a file without a name; hands it out only if `open` succeeds. */
export async function kept<T>(open: (sink: Sink) => Promise<T>): Promise<{ opened: T; content: Content }> {
    const file = await spool();
    try {
        const opened = await open(into(file));
        return { opened, content: new Content(file, (await file.stat()).size) };
    } catch (error) {
        await file.close();
        throw error;
    }
}

/** Has content written into a file without a name, and copies it to `target` only if `open` succeeds. */
export async function keptInto<T>(target: string, overwrite: boolean, open: (sink: Sink) => Promise<T>): Promise<T> {
    return await staged(target, { overwrite, mode: 0o600 }, async (file) => {
        const aside = await spool(path.dirname(path.resolve(target)));
        try {
            const opened = await open(into(aside));
            await copy(aside, file, 0);
            return opened;
        } finally {
            await aside.close();
        }
    });
}

async function reading<T>(name: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await open(name, "r");
    try {
        return await use(file);
    } finally {
        await file.close();
    }
}

/** Header and sealed trailer: `magic | u8 version | u32be length | envelope | 40 bytes` and `trailer | u32be`. */
async function outerForm(file: FileHandle): Promise<{ header: Buffer; trailer: Buffer }> {
    const { size } = await file.stat();
    const fixed = await part(file, 0, MAGIC.length + 5);
    if (fixed.length < MAGIC.length + 5) throw new StreamTruncated("the sealed stream is cut off");
    const end = fixed.length + fixed.readUInt32BE(MAGIC.length + 1) + STREAM_HEADER;
    if (end + 2 * TAG + 4 > size || end > UNARY_LIMIT) {
        throw new StreamTruncated("the sealed stream ends before its first part does");
    }
    const length = (await part(file, size - 4, 4)).readUInt32BE(0);
    if (length < TAG || length > 256 * 1024 + TAG || end + TAG + length + 4 > size) {
        throw new StreamTruncated("the sealed stream does not end as one does: it is damaged or cut off");
    }
    return { header: await part(file, 0, end), trailer: await part(file, size - 4 - length, length) };
}

async function part(file: FileHandle, from: number, length: number): Promise<Buffer> {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, from);
    return buffer.subarray(0, bytesRead);
}
