/**
 * A thin client of the LIFE agent: encrypt, decrypt, sign, verify and send, without touching a key.
 *
 *     import { Agent } from "life-agent";
 *
 *     using agent = new Agent();
 *     const sealed = await agent.encrypt(Buffer.from("HbA1c 6.1 %"), [patient]);
 *     const opened = await agent.decrypt(sealed.envelope, { user: patient });
 *     console.log(opened.signature.valid);
 */
export { Agent, type RegisterOptions } from "./agent.js";
export type { ApiOptions } from "./api.js";
export type { Opened } from "./bulk.js";
export type { DecryptOptions, EncryptOptions, VerifyOptions } from "./crypto.js";
export type { UploadOptions, VersionOptions } from "./documents.js";
export * as errors from "./errors.js";
export { LifeError, type AgentError, type Reason } from "./errors.js";
export { Content } from "./files.js";
export type {
    ApiAnswer,
    Coding,
    Description,
    Document,
    DocumentStatus,
    Downloaded,
    Stored,
    Unshared,
    Decrypted,
    Encrypted,
    Event,
    Fingerprint,
    Identity,
    Kind,
    Message,
    Origin,
    Purpose,
    Recipient,
    Registered,
    Signature,
    SignatureState,
    Status,
    Trust,
    User,
    Verified,
} from "./model.js";
export type { Source } from "./streams.js";
export type { CallOptions } from "./transport.js";
