/** What the agent answers, as plain values. */
export const SIGNATURE_STATES = ["NONE", "VALID", "INVALID", "SIGNER_TIME_UNPROVEN", "SIGNER_UNKNOWN"] as const;
export const TRUSTS = ["FIRST_USE", "PINNED", "CONFIRMED"] as const;
export const PURPOSES = ["DOCUMENT", "MESSAGE", "SHARE", "DETACHED"] as const;
export const KINDS = ["PATIENT", "INSTITUTION", "HEALTH_CARE_PROFESSIONAL"] as const;
export const ORIGINS = ["SIGNED", "SHARED", "UNACCOUNTED"] as const;
export const DOCUMENT_STATUSES = ["CURRENT", "DELETED"] as const;

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
/** Whether a document is there. */
export type DocumentStatus = (typeof DOCUMENT_STATUSES)[number];

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

/** A word from a code system, as FHIR's Coding. */
export interface Coding {
    code: string;
    system?: string;
    display?: string;
}

/** What a document is, as its owner signed it; `documentReference` is FHIR's, JSON, empty in lists. */
export interface Description {
    title: string;
    type?: Coding;
    contentType: string;
    contentSize: number;
    createTime?: Date;
    documentReference: Buffer;
}

/** A document; without `description` and `signature` when it was deleted, or the description refused. */
export interface Document {
    documentId: string;
    version: number;
    owner: string;
    status?: DocumentStatus;
    revision: number;
    ciphertextSize: number;
    createTime?: Date;
    updateTime?: Date;
    description?: Description;
    signature?: Signature;
    readers: Recipient[];
    /** Why the description was refused: the stable reason, and what happened. */
    fault?: { reason: string; message: string };
}

/** A stored version; `existed` when it was there from a call whose answer was lost: `readers` is then empty. */
export interface Stored {
    documentId: string;
    version: number;
    readers: Recipient[];
    plaintextSize: number;
    ciphertextSize: number;
    existed: boolean;
    /** Bytes of the sealed stream that an earlier call, which was cut, had sent already. */
    resumedSize: number;
}

/** A document, and what is known of its content's signer and readers. */
export interface Downloaded {
    document: Document;
    signature: Signature;
    readers: Recipient[];
    plaintextSize: number;
}

/** The version that a document has now, and who can open it. */
export interface Unshared {
    version: number;
    readers: Recipient[];
}

/** An HTTP answer; `content` is empty where it went to a sink. The headers' names are in lower case. */
export interface ApiAnswer {
    status: number;
    headers: [name: string, value: string][];
    content: Buffer;
    size: number;
    sentSize: number;
    attempts: number;
}

/** Something that happened in the agent: `kind` is the event's name in the contract, in camel case. */
export interface Event {
    sequence: number;
    kind: string;
    time?: Date;
    missed: number;
    details: unknown;
}
