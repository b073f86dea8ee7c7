/** The contract's messages as values of the model, and names as the contract spells them. */
import type { Timestamp__Output } from "./contract/google/protobuf/Timestamp.js";
import type { Document__Output } from "./contract/life/agent/v1/Document.js";
import type { DocumentDescription__Output } from "./contract/life/agent/v1/DocumentDescription.js";
import type { Recipient__Output } from "./contract/life/agent/v1/Recipient.js";
import type { SignatureReport__Output } from "./contract/life/agent/v1/SignatureReport.js";
import type { UnlockedIdentity__Output } from "./contract/life/agent/v1/UnlockedIdentity.js";
import { DOCUMENT_STATUSES, KINDS, ORIGINS, PURPOSES, SIGNATURE_STATES, TRUSTS } from "./model.js";
import type { Description, Document, Identity, Recipient, Signature } from "./model.js";

/** The bare user id of `users/{uid}`; empty for no name. */
export function uidOf(name: string): string {
    return name.replace(/^users\//, "");
}

/** `users/{uid}` of a user id, a resource name or a URN; empty for undefined. */
export function nameOf(user: string | undefined): string {
    return user
        ? `users/${uidOf(user)
              .replace(/^urn:uuid:/, "")
              .toLowerCase()}`
        : "";
}

/** The names of one user or several. */
export function namesOf(users: string | Iterable<string>): string[] {
    return (typeof users === "string" ? [users] : [...users]).map(nameOf);
}

/** A time; nothing where it is not set. */
export function timeOf(time: Timestamp__Output | null): Date | undefined {
    return time ? new Date(time.seconds * 1000 + Math.floor(time.nanos / 1e6)) : undefined;
}

export const kindOf = member("PARTICIPANT_KIND_", KINDS);
export const trustOf = member("TRUST_STATE_", TRUSTS);
const stateOf = member("SIGNATURE_STATE_", SIGNATURE_STATES);
const purposeOf = member("SIGNATURE_PURPOSE_", PURPOSES);
const statusOf = member("DOCUMENT_STATUS_", DOCUMENT_STATUSES);
const originOf = member("ORIGIN_", ORIGINS);

/** A signature's report. */
export function signatureOf(report: SignatureReport__Output | null): Signature {
    const state = (report && stateOf(report.state)) ?? "NONE";
    if (!report) return { state, valid: false, digest: Buffer.alloc(0) };
    return {
        state,
        valid: state === "VALID",
        digest: report.signatureDigest,
        ...known({
            signer: uidOf(report.signer) || undefined,
            trust: trustOf(report.trust),
            signingTime: timeOf(report.signingTime),
            receiptTime: timeOf(report.receiptTime),
            purpose: purposeOf(report.purpose),
            explanation: report.explanation || undefined,
            documentId: report.documentId || undefined,
            documentVersion: report.documentVersion || undefined,
        }),
    };
}

/** A list of recipients. */
export function recipientsOf(recipients: Recipient__Output[]): Recipient[] {
    return recipients.map((one) => ({
        rootKeyHash: one.rootKeyHash,
        ...known({
            user: uidOf(one.user) || undefined,
            origin: originOf(one.origin),
            sharedBy: uidOf(one.sharedBy) || undefined,
            trust: trustOf(one.trust),
        }),
    }));
}

/** An unlocked identity. */
export function identityOf(identity: UnlockedIdentity__Output): Identity {
    return {
        uid: uidOf(identity.user),
        credential: identity.credential,
        generation: identity.generation,
        ...known({ unlockTime: timeOf(identity.unlockTime), expireTime: timeOf(identity.expireTime) }),
    };
}

/** A document. */
export function documentOf(document: Document__Output): Document {
    const { documentId, version, revision, ciphertextSize, description, signature, fault } = document;
    return {
        ...{ documentId, version, revision, ciphertextSize },
        owner: uidOf(document.owner),
        readers: recipientsOf(document.readers),
        ...known({
            status: statusOf(document.status),
            createTime: timeOf(document.createTime),
            updateTime: timeOf(document.updateTime),
            description: description ? descriptionOf(description) : undefined,
            signature: signature ? signatureOf(signature) : undefined,
            fault: fault ? { reason: fault.reason, message: fault.message } : undefined,
        }),
    };
}

/** Leaves away what is not set. */
export function known<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
        [K in keyof T]?: Exclude<T[K], undefined>;
    };
}

/** Takes the prefix from an enum's value; gives nothing for one that is not set or not known here. */
function member<T extends string>(prefix: string, values: readonly T[]): (value: string | number) => T | undefined {
    return (value) => values.find((one) => `${prefix}${one}` === value);
}

function descriptionOf(described: DocumentDescription__Output): Description {
    const { title, contentType, contentSize, documentReference, type } = described;
    return {
        ...{ title, contentType, contentSize, documentReference },
        ...known({
            type: type ? { code: type.code, system: type.system, display: type.display } : undefined,
            createTime: timeOf(described.createTime),
        }),
    };
}
