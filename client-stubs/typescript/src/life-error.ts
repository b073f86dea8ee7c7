/** What an error carries beside its message. */
export interface ErrorDetails {
    /** The stable reason, where it is not the class's own. */
    reason?: string;
    /** What the agent adds, such as the `field` of an INVALID_ARGUMENT. */
    metadata?: Readonly<Record<string, string>>;
    /** The gRPC status, such as `FAILED_PRECONDITION`; absent where the agent was not asked. */
    code?: string;
    /** What caused it. */
    cause?: unknown;
}

/** Whatever the agent refuses, or this package finds out: `message` says what happened, why, and what to do. */
export class LifeError extends Error {
    /** The stable reason of the contract. */
    readonly reason: string;
    /** What the agent adds. */
    readonly metadata: Readonly<Record<string, string>>;
    /** The gRPC status; undefined where the agent was not asked. */
    readonly code: string | undefined;

    constructor(message: string, details: ErrorDetails = {}) {
        super(message, details.cause === undefined ? undefined : { cause: details.cause });
        this.name = new.target.name;
        this.reason = details.reason ?? "UNKNOWN";
        this.metadata = details.metadata ?? {};
        this.code = details.code;
    }

    override toString(): string {
        return `${this.message} (${this.reason})`;
    }
}
