/** Encrypting, decrypting, signing, verifying what fits into memory: up to 16 MiB. */
import { crypto } from "./contract.js";
import { nameOf, namesOf, recipientsOf, signatureOf } from "./convert.js";
import type { Decrypted, Encrypted, Purpose, Verified } from "./model.js";
import { checkBytes } from "./streams.js";
import type { CallOptions, Transport } from "./transport.js";

/** How to encrypt. */
export interface EncryptOptions extends CallOptions {
    /** Whether to sign; true unless said otherwise. Without, no reader will know who made it. */
    sign?: boolean;
    /** DOCUMENT unless said otherwise. */
    purpose?: Purpose;
    /** A UUID; the agent makes one. */
    documentId?: string;
    /** From 1. */
    documentVersion?: number;
}

/** How to decrypt. */
export interface DecryptOptions extends CallOptions {
    /** Take content without a signature too; its signature's state is then NONE. */
    acceptUnsigned?: boolean;
    /** What the sender must have signed it for; DOCUMENT unless said otherwise. */
    purpose?: Purpose;
    /** The platform's receipt over the signature, DER. */
    receipt?: Uint8Array;
}

/** How to verify. */
export interface VerifyOptions extends CallOptions {
    /** The platform's receipt over the signature, DER. */
    receipt?: Uint8Array;
}

/** The part of Agent that works on content in memory. */
export class CryptoCalls {
    protected readonly transport: Transport;
    readonly #user: string | undefined;

    constructor(transport: Transport, user: string | undefined) {
        this.transport = transport;
        this.#user = user;
    }

    /** Encrypts up to 16 MiB for several users into one CMS envelope, and signs. The sender can open it too. */
    async encrypt(
        plaintext: Uint8Array,
        to: string | Iterable<string>,
        options: EncryptOptions = {},
    ): Promise<Encrypted> {
        const request = { ...this.sealing(to, options), plaintext: checkBytes(plaintext) };
        const answer = await this.transport.unary(crypto.Encrypt, request, options);
        const { envelope, documentId, signatureDigest } = answer;
        const recipients = recipientsOf(answer.recipients);
        return { envelope, documentId, signatureDigest, recipients, plaintextSize: plaintext.length };
    }

    /** Opens an envelope. Throws SignatureMissing for an unsigned one, unless told to accept it. */
    async decrypt(envelope: Uint8Array, options: DecryptOptions = {}): Promise<Decrypted> {
        const request = { ...this.opening(options), envelope: checkBytes(envelope) };
        const { plaintext, signature, recipients } = await this.transport.unary(crypto.Decrypt, request, options);
        return {
            plaintext,
            signature: signatureOf(signature),
            recipients: recipientsOf(recipients),
            plaintextSize: plaintext.length,
        };
    }

    /** Signs a content: CMS SignedData, DER, with the content inside or left out. */
    async sign(content: Uint8Array, options: CallOptions & { detached?: boolean } = {}): Promise<Buffer> {
        const form = options.detached ? "SIGNATURE_FORM_DETACHED" : "SIGNATURE_FORM_ATTACHED";
        const request = { user: this.acting(options), content: checkBytes(content), form } as const;
        return (await this.transport.unary(crypto.Sign, request, options)).signedData;
    }

    /** Judges a signature; `content` is that of a detached one. A bad signature is an answer, not an error. */
    async verify(signedData: Uint8Array, options: VerifyOptions & { content?: Uint8Array } = {}): Promise<Verified> {
        const { content } = options;
        const request = {
            user: this.acting(options),
            signedData: checkBytes(signedData),
            receipt: options.receipt ?? Buffer.alloc(0),
            ...(content === undefined ? {} : { content: checkBytes(content) }),
        };
        const answer = await this.transport.unary(crypto.Verify, request, options);
        const contentSize = (content ?? answer.content).length;
        return { signature: signatureOf(answer.signature), content: answer.content, contentSize };
    }

    /**
     * Lets further users open an envelope, or what stands before a sealed stream's first segment, whose `trailer` is
     * then needed too. Gives what takes its place.
     */
    async share(
        envelope: Uint8Array,
        to: string | Iterable<string>,
        options: CallOptions & { trailer?: Uint8Array } = {},
    ): Promise<Buffer> {
        const request = {
            user: this.acting(options),
            recipients: namesOf(to),
            envelope: checkBytes(envelope),
            trailer: options.trailer ?? Buffer.alloc(0),
        };
        return (await this.transport.unary(crypto.Share, request, options)).envelope;
    }

    /** On whose behalf a call is made. */
    protected acting(options: CallOptions): string {
        return nameOf(options.user ?? this.#user);
    }

    /** What every request to encrypt says. */
    protected sealing(to: string | Iterable<string>, options: EncryptOptions) {
        return {
            user: this.acting(options),
            recipients: namesOf(to),
            signing: options.sign === false ? "SIGNING_NONE" : "SIGNING_SIGN",
            purpose: `SIGNATURE_PURPOSE_${options.purpose ?? "DOCUMENT"}`,
            documentId: options.documentId ?? "",
            documentVersion: options.documentVersion ?? 1,
        } as const;
    }

    /** What every request to decrypt says. */
    protected opening(options: DecryptOptions) {
        return {
            user: this.acting(options),
            acceptUnsigned: options.acceptUnsigned ?? false,
            purpose: `SIGNATURE_PURPOSE_${options.purpose ?? "DOCUMENT"}`,
            receipt: options.receipt ?? Buffer.alloc(0),
        } as const;
    }
}
