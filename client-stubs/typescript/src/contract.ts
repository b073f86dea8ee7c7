/** The contract as it is spoken: its services and messages, loaded from the package's copy of proto/. */
import { fileURLToPath } from "node:url";

import type { Metadata } from "@grpc/grpc-js";
import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";

import type { ErrorInfo, ErrorInfo__Output } from "./contract/life/agent/stubs/ErrorInfo.js";
import type { Status, Status__Output } from "./contract/life/agent/stubs/Status.js";
import type { AccountsDefinition } from "./contract/life/agent/v1/Accounts.js";
import type { AgentDefinition } from "./contract/life/agent/v1/Agent.js";
import type { ApiDefinition } from "./contract/life/agent/v1/Api.js";
import type { CredentialsDefinition } from "./contract/life/agent/v1/Credentials.js";
import type { CryptoDefinition } from "./contract/life/agent/v1/Crypto.js";
import type { DirectoryDefinition } from "./contract/life/agent/v1/Directory.js";
import type { DocumentsDefinition } from "./contract/life/agent/v1/Documents.js";
import type { MessagesDefinition } from "./contract/life/agent/v1/Messages.js";

interface Contract {
    "life.agent.v1.Accounts": AccountsDefinition;
    "life.agent.v1.Agent": AgentDefinition;
    "life.agent.v1.Api": ApiDefinition;
    "life.agent.v1.Credentials": CredentialsDefinition;
    "life.agent.v1.Crypto": CryptoDefinition;
    "life.agent.v1.Directory": DirectoryDefinition;
    "life.agent.v1.Documents": DocumentsDefinition;
    "life.agent.v1.Messages": MessagesDefinition;
    "life.agent.stubs.Status": MessageTypeDefinition<Status, Status__Output>;
    "life.agent.stubs.ErrorInfo": MessageTypeDefinition<ErrorInfo, ErrorInfo__Output>;
}

const SERVICES = ["accounts", "agent", "api", "credentials", "crypto", "directory", "documents", "messages"];
// The types in ./contract are made from the same files, under the same options: generate.mjs.
const loaded = loadSync([...SERVICES.map((name) => `life/agent/v1/${name}.proto`), "life_error_info.proto"], {
    includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url))],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
}) as unknown as Contract;

export const accounts = loaded["life.agent.v1.Accounts"];
export const agent = loaded["life.agent.v1.Agent"];
export const api = loaded["life.agent.v1.Api"];
export const credentials = loaded["life.agent.v1.Credentials"];
export const crypto = loaded["life.agent.v1.Crypto"];
export const directory = loaded["life.agent.v1.Directory"];
export const documents = loaded["life.agent.v1.Documents"];
export const messages = loaded["life.agent.v1.Messages"];
/** google.rpc.Status, under a name of our own. */
export const rpcStatus = loaded["life.agent.stubs.Status"];
/** google.rpc.ErrorInfo, under a name of our own. */
export const rpcErrorInfo = loaded["life.agent.stubs.ErrorInfo"];

/** The ErrorInfo messages in an error's trailer; none of those that cannot be read. */
export function detailsOf(metadata: Metadata): ErrorInfo__Output[] {
    const found: ErrorInfo__Output[] = [];
    for (const value of metadata.get("grpc-status-details-bin")) {
        if (typeof value === "string") continue;
        try {
            for (const detail of rpcStatus.deserialize(value).details) {
                if (detail.type_url.split("/").at(-1) !== "google.rpc.ErrorInfo") continue;
                found.push(rpcErrorInfo.deserialize(detail.value));
            }
        } catch {
            // A trailer that nobody can read says nothing; the status still does.
        }
    }
    return found;
}
