/**
 * Errors: one class for each reason of the agent, so that a program can catch just what it can handle. The classes are
 * made from the contract's list of reasons, `proto/src/reason.rs`.
 */
import { status, type ServiceError } from "@grpc/grpc-js";

import { detailsOf } from "./contract.js";
import { CLASSES } from "./contract/reasons.js";
import { LifeError, type ErrorDetails } from "./life-error.js";

export * from "./contract/reasons.js";
export { LifeError, type ErrorDetails } from "./life-error.js";

/** Whose reasons these are. */
export const DOMAIN = "agent.life.v1";

/** A reason of the agent. */
export type Reason = keyof typeof CLASSES;

/** An error of the agent, told apart by its `reason`. */
export type AgentError = InstanceType<(typeof CLASSES)[Reason]>;

/** Every reason of the agent. */
export const REASONS: ReadonlySet<string> = new Set(Object.keys(CLASSES));

/** No agent answers. Start one with: life-agentd. */
export class AgentUnavailable extends LifeError {
    static readonly REASON = "AGENT_UNAVAILABLE";
    override readonly reason = AgentUnavailable.REASON;
}

/** The environment names a socket or a token that cannot be. */
export class NotConfigured extends LifeError {
    static readonly REASON = "NOT_CONFIGURED";
    override readonly reason = NotConfigured.REASON;
}

/** The output file exists already; it was left as it is. */
export class OutputExists extends LifeError {
    static readonly REASON = "OUTPUT_EXISTS";
    override readonly reason = OutputExists.REASON;
}

/** Makes the error of a reason; a plain LifeError for one that a newer agent may have. */
export function errorOf(reason: string, message: string, details: ErrorDetails = {}): LifeError {
    if (isReason(reason)) return new CLASSES[reason](message, details);
    return new LifeError(message, { ...details, reason });
}

/** What a gRPC error says, as one of ours. */
export function fromRpc(error: ServiceError): LifeError {
    const code = status[error.code] ?? "UNKNOWN";
    for (const info of detailsOf(error.metadata)) {
        if (info.domain === DOMAIN) return errorOf(info.reason, error.details, { metadata: info.metadata, code });
    }
    if (error.code === status.UNAVAILABLE) {
        return new AgentUnavailable(`no agent answers: ${error.details}; start one with life-agentd`, { code });
    }
    if (error.code === status.DEADLINE_EXCEEDED) {
        const message = "the call took longer than its time limit allowed: give it more time";
        return errorOf("DEADLINE_EXCEEDED", message, { code });
    }
    return errorOf(code, error.details, { code });
}

function isReason(reason: string): reason is Reason {
    return REASONS.has(reason);
}
