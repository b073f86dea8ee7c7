/** The agent, as a program sees it. */
import { open } from "node:fs/promises";

import { ApiCalls } from "./api.js";
import { accounts, agent, credentials, directory } from "./contract.js";
import type { RegisterUserResponse__Output } from "./contract/life/agent/v1/RegisterUserResponse.js";
import type { Fingerprint__Output } from "./contract/life/agent/v1/Fingerprint.js";
import { CredentialDamaged, Internal } from "./errors.js";
import { identityOf, kindOf, known, nameOf, timeOf, trustOf, uidOf } from "./convert.js";
import type { Event, Fingerprint, Identity, Kind, Registered, Status, User } from "./model.js";
import { checkSecret, findSocket } from "./socket.js";
import { checkBytes } from "./streams.js";
import { Transport, type CallOptions } from "./transport.js";

// The largest PKCS#12 file the agent takes.
const PKCS12_LIMIT = 64 * 1024;

/** How to register. */
export interface RegisterOptions extends CallOptions {
    /** The platform's origin, where the agent is bound to none yet. */
    platform?: string;
    /** The platform's fingerprint: 64 hexadecimal digits, with `platform`. */
    caFingerprint?: string;
    /** The registration to go on with, as an earlier RegistrationPending named it. */
    registration?: string;
}

/**
 * A connection to the agent on this machine. Any number of calls may run on it at once. Close it when done, or declare
 * it with `using`.
 *
 * The socket is found as the command line finds it: `socket`, else LIFE_AGENT_SOCKET, else
 * $XDG_RUNTIME_DIR/life/agent.sock, else ~/.life/run/agent.sock. The app's token comes from LIFE_APP_TOKEN.
 *
 * In every call `user` says on whose behalf, as a user id; without one the `user` given here, else the only unlocked
 * one. Every refusal is thrown as a class of `errors`, by its reason.
 */
export class Agent extends ApiCalls {
    constructor(options: { socket?: string; user?: string } = {}) {
        super(new Transport(findSocket(options.socket)), options.user);
    }

    /** Ends the connection, and whatever runs on it. */
    close(): void {
        this.transport.close();
    }

    [Symbol.dispose](): void {
        this.close();
    }

    /** The path of the agent's socket. */
    get socket(): string {
        return this.transport.path;
    }

    /** How the agent is. Throws AgentUnavailable when none answers. */
    async status(options: CallOptions = {}): Promise<Status> {
        const answer = await this.transport.unary(agent.GetStatus, {}, options);
        return {
            version: answer.version,
            vaultRestarts: answer.vaultRestarts,
            descriptorSocket: answer.descriptorSocket,
            identities: answer.identities.map(identityOf),
            platformUp: answer.platform?.up ?? false,
            ...known({
                brokerPid: answer.broker?.pid,
                vaultPid: answer.vault?.pid,
                platform: answer.platform?.origin,
            }),
        };
    }

    /** What happens in the agent, as it happens, without end; the first is `watchStarted`. */
    async *events(options: CallOptions = {}): AsyncGenerator<Event> {
        for await (const answer of this.transport.events(agent.WatchEvents, {}, options)) {
            const { sequence, missed } = answer;
            const kind = answer.event ?? "unknown";
            const details = answer.event && answer[answer.event];
            yield { sequence, kind, missed, details, ...known({ time: timeOf(answer.time) }) };
        }
    }

    /**
     * Unlocks a software certificate, given as bytes or as the path of a PKCS#12 file.
     *
     * With a passphrase this sends it along, through the broker, which a policy can forbid (Node passes no descriptors:
     * `life unlock` does). Without one the agent asks the person, through its pinentry program. Throws WrongUser when
     * the certificate is not that of `user`, where one is given.
     */
    async unlock(
        certificate: Uint8Array | string,
        passphrase?: string | Uint8Array,
        options: CallOptions = {},
    ): Promise<Identity> {
        const inline = passphrase === undefined ? undefined : secretOf(passphrase);
        const pkcs12 = typeof certificate === "string" ? await beginning(certificate) : checkBytes(certificate);
        if (pkcs12.length > PKCS12_LIMIT) {
            throw new CredentialDamaged(`a software certificate has at most ${PKCS12_LIMIT} bytes`);
        }
        const request = {
            user: nameOf(options.user),
            softwareCertificate: { pkcs12, fileName: typeof certificate === "string" ? certificate : "" },
            secret: inline === undefined ? { prompt: {} } : { inline },
        };
        const take = async (steps: AsyncIterable<{ identity?: Parameters<typeof identityOf>[0] | null }>) => {
            for await (const step of steps) if (step.identity) return identityOf(step.identity);
            throw new Internal("the agent ended the unlock without a result");
        };
        return await this.transport.answers(credentials.Unlock, request, take, options, "secret");
    }

    /** Locks one user, or everybody, at once. Gives how many were unlocked. */
    async lock(options: CallOptions = {}): Promise<number> {
        if (options.user === undefined) return (await this.transport.unary(agent.Lock, {}, options)).lockedCount;
        const request = { user: nameOf(options.user) };
        return (await this.transport.unary(credentials.Lock, request, options)).wasUnlocked ? 1 : 0;
    }

    /**
     * Registers a new user with a software certificate; takes seconds. Unlock it afterwards.
     *
     * The passphrase of 12 bytes or more that will protect the certificate goes along as in `unlock`; without one the agent
     * asks the person.
     *
     * Throws RegistrationPending when a registrar must approve it; its metadata has the `registration` to go on with.
     */
    async register(kind: Kind, passphrase?: string | Uint8Array, options: RegisterOptions = {}): Promise<Registered> {
        const inline = passphrase === undefined ? undefined : secretOf(passphrase);
        const request = {
            kind: `PARTICIPANT_KIND_${kind}`,
            softwareCertificate: { secret: inline === undefined ? { prompt: {} } : { inline } },
            platformOrigin: options.platform ?? "",
            caFingerprint: options.caFingerprint ?? "",
            registration: options.registration ?? "",
        } as const;
        const take = async (steps: AsyncIterable<RegisterUserResponse__Output>) => {
            for await (const { registered } of steps) {
                if (!registered) continue;
                const { uid = "", fingerprint = "" } = registered.user ?? {};
                return { uid, fingerprint, pkcs12: registered.pkcs12 };
            }
            throw new Internal("the agent ended the registration without a result");
        };
        return await this.transport.answers(accounts.RegisterUser, request, take, options, "secret");
    }

    /** Looks a user up, verifies the account and pins it. */
    async lookup(uid: string, options: CallOptions = {}): Promise<User> {
        const request = { name: nameOf(uid), caller: this.acting(options) };
        const { user } = await this.transport.unary(directory.LookupUser, request, options);
        if (!user) throw new Internal("the agent's answer has no user");
        const { certificate, issuers, generation, fingerprint } = user;
        return {
            ...{ uid: uidOf(user.name), certificate, issuers, generation, fingerprint },
            ...known({ kind: kindOf(user.kind), trust: trustOf(user.trust) }),
        };
    }

    /** The short fingerprint of an account, for two people to compare. */
    async fingerprint(uid: string, options: CallOptions = {}): Promise<Fingerprint> {
        const request = { name: nameOf(uid), caller: this.acting(options) };
        return fingerprintOf(await this.transport.unary(directory.GetFingerprint, request, options));
    }

    /** Records that a person compared the fingerprint; the only way out of IdentityChanged. */
    async confirmFingerprint(uid: string, digits: string, options: CallOptions = {}): Promise<Fingerprint> {
        const request = { name: nameOf(uid), fingerprint: digits, caller: this.acting(options) };
        return fingerprintOf(await this.transport.unary(directory.ConfirmFingerprint, request, options));
    }
}

function fingerprintOf(answer: Fingerprint__Output): Fingerprint {
    return { uid: uidOf(answer.name), digits: answer.fingerprint, ...known({ trust: trustOf(answer.trust) }) };
}

function secretOf(passphrase: string | Uint8Array): Uint8Array {
    return checkSecret(typeof passphrase === "string" ? Buffer.from(passphrase) : checkBytes(passphrase));
}

/** The first bytes of a file: one more than the agent takes. */
async function beginning(name: string): Promise<Buffer> {
    const file = await open(name, "r");
    try {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(PKCS12_LIMIT + 1), 0, PKCS12_LIMIT + 1, null);
        return buffer.subarray(0, bytesRead);
    } finally {
        await file.close();
    }
}
