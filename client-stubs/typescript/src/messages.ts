/** Messages between users, through the platform's inboxes. */
import { BulkCalls, decrypted, kept, keptInto, type Opened } from "./bulk.js";
import { messages } from "./contract.js";
import { FormatInvalid } from "./errors.js";
import { known, nameOf, timeOf, uidOf } from "./convert.js";
import type { Decrypted, Message } from "./model.js";
import type { Sink } from "./files.js";
import { receive, type Source } from "./streams.js";
import type { CallOptions } from "./transport.js";

// How many messages an inbox is listed with.
const LIST_LIMIT = 100_000;

/** The part of Agent that sends and receives. */
export class MessageCalls extends BulkCalls {
    /**
     * Encrypts, signs and deposits a content of any size; gives the message's id. The same `messageId` again deposits
     * nothing new.
     */
    async send(
        recipient: string,
        content: Uint8Array | Source,
        options: CallOptions & { messageId?: string } = {},
    ): Promise<string> {
        const header = {
            user: this.acting(options),
            recipient: nameOf(recipient),
            messageId: options.messageId ?? "",
        };
        const source = content instanceof Uint8Array ? [content] : content;
        return (await this.transport.upload(messages.Send, header, source, options)).messageId;
    }

    /** The messages in one's inbox, oldest first. */
    async *inbox(options: CallOptions = {}): AsyncGenerator<Message> {
        let pageToken = "";
        for (let listed = 0; ;) {
            const request = { user: this.acting(options), pageSize: 500, pageToken };
            const page = await this.transport.unary(messages.List, request, options);
            for (const one of page.messages) {
                const depositTime = timeOf(one.depositTime);
                yield {
                    messageId: one.messageId,
                    depositor: uidOf(one.depositor),
                    size: one.size,
                    ...known({ depositTime }),
                };
            }
            listed += page.messages.length;
            if (!page.nextPageToken) return;
            // A platform could say for ever that there is more.
            if (page.messages.length === 0 || page.nextPageToken === pageToken || listed >= LIST_LIMIT) {
                throw new FormatInvalid("the platform's list of messages does not come to an end");
            }
            pageToken = page.nextPageToken;
        }
    }

    /** Opens and verifies a message; gives the verdict and a file without a name: close it when done. */
    async receive(messageId: string, options: CallOptions = {}): Promise<Opened> {
        return await kept((sink) => this.#receive(messageId, sink, options));
    }

    /** Opens and verifies a message into a file, which appears only when all is verified. */
    async receiveFile(
        messageId: string,
        target: string,
        options: CallOptions & { overwrite?: boolean } = {},
    ): Promise<Decrypted> {
        return await keptInto(target, options.overwrite ?? false, (sink) => this.#receive(messageId, sink, options));
    }

    /** Deletes a message; it need not be there. */
    async deleteMessage(messageId: string, options: CallOptions = {}): Promise<void> {
        await this.transport.unary(messages.Delete, { user: this.acting(options), messageId }, options);
    }

    async #receive(messageId: string, sink: Sink, options: CallOptions): Promise<Decrypted> {
        // Nobody sees the sink before the result has come.
        const request = { user: this.acting(options), messageId, allowUnverifiedSender: true };
        return decrypted(
            await this.transport.answers(messages.Receive, request, (answers) => receive(answers, sink), options),
        );
    }
}
