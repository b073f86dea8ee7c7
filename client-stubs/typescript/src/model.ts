/** What the agent answers, as plain values. */
import type { Timestamp__Output } from "./contract/google/protobuf/Timestamp.js";
import type { Recipient__Output } from "./contract/life/agent/v1/Recipient.js";
import type { SignatureReport__Output } from "./contract/life/agent/v1/SignatureReport.js";
import type { UnlockedIdentity__Output } from "./contract/life/agent/v1/UnlockedIdentity.js";

const SIGNATURE_STATES = ["NONE", "VALID", "INVALID", "SIGNER_TIME_UNPROVEN", "SIGNER_UNKNOWN"] as const;
const TRUSTS = ["FIRST_USE", "PINNED", "CONFIRMED"] as const;
const PURPOSES = ["DOCUMENT", "MESSAGE", "SHARE", "DETACHED"] as const;
const KINDS = ["PATIENT", "INSTITUTION", "HEALTH_CARE_PROFESSIONAL"] as const;
const ORIGINS = ["SIGNED", "SHARED", "UNACCOUNTED"] as const;

/** The verdict on a signature. Anything but VALID is no proof of the sender. */
export type SignatureState = (typeof SIGNATURE_STATES)[number];
/** How well the agent knows another user's account. */
export type Trust = (typeof TRUSTS)[number];
/** What a signature is for. */
export type Purpose = (typeof PURPOSES)[number];
/** Who takes part. */
export type Kind = (typeof KINDS)[number];
/** How a recipient came to be one. */
export type Origin = (typeof ORIGINS)[number];

/** What is known of a signature and its signer. */
export interface Signature {
    state: SignatureState;
    /** Whether the signature proves its signer. */
    valid: boolean;
    signer?: string;
    trust?: Trust;
    signingTime?: Date;
    receiptTime?: Date;
    purpose?: Purpose;
    explanation?: string;
    documentId?: string;
    documentVersion?: number;
    digest: Buffer;
}

/** One who can open a content; without `user` nobody vouches for it. */
export interface Recipient {
    user?: string;
    rootKeyHash: Buffer;
    origin?: Origin;
    sharedBy?: string;
    trust?: Trust;
}

/** An encrypted content; `envelope` is empty where it went to a file or stream. */
export interface Encrypted {
    envelope: Buffer;
    documentId: string;
    signatureDigest: Buffer;
    recipients: Recipient[];
    plaintextSize: number;
}

/** An opened content; `plaintext` is empty where it went to a file. */
export interface Decrypted {
    plaintext: Buffer;
    signature: Signature;
    recipients: Recipient[];
    plaintextSize: number;
}

/** A verdict; `content` is that of an attached signature, and only when valid. */
export interface Verified {
    signature: Signature;
    content: Buffer;
    contentSize: number;
}

/** An unlocked user. */
export interface Identity {
    uid: string;
    credential: string;
    unlockTime?: Date;
    expireTime?: Date;
    generation: number;
}

/** How the agent is. */
export interface Status {
    version: string;
    brokerPid?: number;
    vaultPid?: number;
    vaultRestarts: number;
    descriptorSocket: string;
    identities: Identity[];
    platform?: string;
    platformUp: boolean;
}

/** Another user's account, verified and pinned. */
export interface User {
    uid: string;
    kind?: Kind;
    trust?: Trust;
    certificate: Buffer;
    issuers: Buffer[];
    generation: number;
    fingerprint: string;
}

/** The short fingerprint of an account. */
export interface Fingerprint {
    uid: string;
    digits: string;
    trust?: Trust;
}

/** A new user; `pkcs12` is the software certificate, of which the agent keeps no copy. */
export interface Registered {
    uid: string;
    fingerprint: string;
    pkcs12: Buffer;
}

/** What the platform knows of a message; its depositor is proven only once it is opened. */
export interface Message {
    messageId: string;
    depositor: string;
    size: number;
    depositTime?: Date;
}

/** Something that happened in the agent: `kind` is the event's name in the contract, in camel case. */
export interface Event {
    sequence: number;
    kind: string;
    time?: Date;
    missed: number;
    details: unknown;
}

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
