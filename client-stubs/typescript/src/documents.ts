/** Documents stored on the platform, encrypted and signed. */
import { open } from "node:fs/promises";
import path from "node:path";

import { kept, keptInto } from "./bulk.js";
import { documents } from "./contract.js";
import { documentOf, namesOf, recipientsOf, signatureOf } from "./convert.js";
import { FormatInvalid, Internal } from "./errors.js";
import { chunks, type Content, type Sink } from "./files.js";
import { MessageCalls } from "./messages.js";
import type { Coding, Document, Downloaded, Recipient, Stored, Unshared } from "./model.js";
import { receive, type Source } from "./streams.js";
import type { CallOptions } from "./transport.js";

// How many documents are listed.
const LIST_LIMIT = 1_000_000;

/** What to store, and for whom. */
export interface UploadOptions extends CallOptions {
    /** Who may read it besides the owner. */
    readers?: string | Iterable<string>;
    /** The document's id, a UUID; the agent makes one. Needed with `replacesVersion`. */
    documentId?: string;
    /** The version that this one replaces. */
    replacesVersion?: number;
    /** Let those who read the replaced version read this one too. */
    keepReaders?: boolean;
    /** What people call it. */
    title?: string;
    /** Of what kind it is. */
    type?: Coding;
    /** The content's media type. */
    contentType?: string;
    /** A FHIR R4 DocumentReference, JSON, which the agent completes. */
    documentReference?: Uint8Array;
}

/** Which document one means. */
export interface VersionOptions extends CallOptions {
    /** The version it must have; VersionConflict is thrown otherwise. */
    version?: number;
}

/** The part of Agent that stores documents. */
export class DocumentCalls extends MessageCalls {
    /**
     * Encrypts, signs and stores a document of any size, or a new version of one.
     *
     * The same `documentId` with the same content again stores nothing new, so that a lost answer does no harm. Throws
     * VersionConflict when the document is of another version than `replacesVersion`.
     */
    async uploadDocument(content: Uint8Array | Source, options: UploadOptions = {}): Promise<Stored> {
        const header = {
            user: this.acting(options),
            documentId: options.documentId ?? "",
            replacesVersion: options.replacesVersion ?? 0,
            readers: namesOf(options.readers ?? []),
            keepReaders: options.keepReaders ?? false,
            title: options.title ?? "",
            type: options.type ?? null,
            contentType: options.contentType ?? "",
            documentReference: options.documentReference ?? Buffer.alloc(0),
        };
        const source = content instanceof Uint8Array ? [content] : content;
        const answer = await this.transport.upload(documents.Upload, header, source, options);
        const { documentId, version, plaintextSize, ciphertextSize, existed, resumedSize } = answer;
        const readers = recipientsOf(answer.readers);
        return { documentId, version, plaintextSize, ciphertextSize, existed, resumedSize, readers };
    }

    /** Stores a file of any size, with its name as title unless told otherwise. */
    async uploadDocumentFile(source: string, options: UploadOptions = {}): Promise<Stored> {
        const file = await open(source, "r");
        try {
            return await this.uploadDocument(chunks(file), { title: path.basename(source), ...options });
        } finally {
            await file.close();
        }
    }

    /** Fetches, opens and verifies a document; gives what it is and a file without a name: close it when done. */
    async downloadDocument(
        documentId: string,
        options: VersionOptions = {},
    ): Promise<Downloaded & { content: Content }> {
        const { opened, content } = await kept((sink) => this.#download(documentId, sink, options));
        return { ...opened, content };
    }

    /** Fetches, opens and verifies a document into a file, which appears only when all is verified. */
    async downloadDocumentFile(
        documentId: string,
        target: string,
        options: VersionOptions & { overwrite?: boolean } = {},
    ): Promise<Downloaded> {
        const overwrite = options.overwrite ?? false;
        return await keptInto(target, overwrite, (sink) => this.#download(documentId, sink, options));
    }

    /** The documents that a user owns or may read. One whose description was refused has a `fault` instead. */
    async *documents(options: CallOptions = {}): AsyncGenerator<Document> {
        let pageToken = "";
        for (let listed = 0; ;) {
            const request = { user: this.acting(options), pageToken };
            const page = await this.transport.unary(documents.List, request, options);
            yield* page.documents.map(documentOf);
            listed += page.documents.length;
            if (!page.nextPageToken) return;
            // A platform could say for ever that there is more.
            if (page.nextPageToken === pageToken || listed >= LIST_LIMIT) {
                throw new FormatInvalid("the platform's list of documents does not come to an end");
            }
            pageToken = page.nextPageToken;
        }
    }

    /** What a document is. That this belongs to the content is verified when that is downloaded. */
    async document(documentId: string, options: CallOptions = {}): Promise<Document> {
        const request = { user: this.acting(options), documentId };
        const { document } = await this.transport.unary(documents.Get, request, options);
        if (!document) throw new Internal("the agent's answer has no document");
        return documentOf(document);
    }

    /** Lets further users read a document. Gives who can open it now. */
    async shareDocument(
        documentId: string,
        to: string | Iterable<string>,
        options: VersionOptions = {},
    ): Promise<Recipient[]> {
        const request = { ...this.#named(documentId, options), readers: namesOf(to) };
        return recipientsOf((await this.transport.unary(documents.Share, request, options)).readers);
    }

    /** Lets users no longer read a document: a new version of the same content, under a new key. */
    async unshareDocument(
        documentId: string,
        readers: string | Iterable<string>,
        options: VersionOptions = {},
    ): Promise<Unshared> {
        const request = { ...this.#named(documentId, options), readers: namesOf(readers) };
        const answer = await this.transport.unary(documents.Unshare, request, options);
        return { version: answer.version, readers: recipientsOf(answer.readers) };
    }

    /** Deletes a document with its content; it may be deleted already. */
    async deleteDocument(documentId: string, options: VersionOptions = {}): Promise<void> {
        await this.transport.unary(documents.Delete, this.#named(documentId, options), options);
    }

    #named(documentId: string, options: VersionOptions) {
        return { user: this.acting(options), documentId, version: options.version ?? 0 };
    }

    async #download(documentId: string, sink: Sink, options: VersionOptions): Promise<Downloaded> {
        // Nobody sees the sink before the result has come.
        const request = { ...this.#named(documentId, options), allowUnverifiedSender: true };
        let document: Document | undefined;
        const result = await this.transport.answers(
            documents.Download,
            request,
            (answers) =>
                receive(answers, sink, (answer) => {
                    if (answer.document) document = documentOf(answer.document);
                }),
            options,
        );
        if (!document) throw new Internal("the agent did not say which document it gave");
        const signature = signatureOf(result.signature);
        return { document, signature, readers: recipientsOf(result.readers), plaintextSize: result.plaintextSize };
    }
}
