/** Finding the agent's socket, and looking whose it is. */
import { lstat, stat } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";

import { AgentUnavailable, InvalidArgument, NotConfigured } from "./errors.js";

const PATH_LIMIT = 107;
// The longest passphrase, as of the command line.
const SECRET_LIMIT = 1024;

/**
 * The agent's socket: as given, else $LIFE_AGENT_SOCKET, $XDG_RUNTIME_DIR/life/agent.sock, ~/.life/run/agent.sock.
 *
 * Throws NotConfigured for a path too long for a socket.
 */
export function findSocket(given?: string, environment: NodeJS.ProcessEnv = process.env): string {
    const runtime = environment["XDG_RUNTIME_DIR"];
    const standard = runtime ? `${runtime}/life/agent.sock` : path.join(homedir(), ".life/run/agent.sock");
    const found = path.resolve(given || environment["LIFE_AGENT_SOCKET"] || standard);
    if (Buffer.byteLength(found) > PATH_LIMIT) {
        throw new NotConfigured(`${found} is too long: a Unix socket's path has at most ${PATH_LIMIT} bytes`);
    }
    return found;
}

/** The calling app's token, from LIFE_APP_TOKEN. */
export function appToken(environment: NodeJS.ProcessEnv = process.env): string | undefined {
    const token = environment["LIFE_APP_TOKEN"];
    if (token && !/^[\x20-\x7e]+$/.test(token)) {
        throw new NotConfigured("LIFE_APP_TOKEN is no token: it has characters no token has");
    }
    return token || undefined;
}

/** Refuses a passphrase that no file can have. */
export function checkSecret(secret: Uint8Array): Uint8Array {
    if (secret.length === 0 || secret.length > SECRET_LIMIT) {
        throw new InvalidArgument(`the passphrase has ${secret.length} bytes: it must have 1 to ${SECRET_LIMIT}`);
    }
    return secret;
}

/**
 * Refuses a socket that somebody else can have put there; says nothing of one that is not there.
 *
 * Node cannot ask a connection for its peer (SO_PEERCRED), so that this looks at the file: the socket must be this
 * user's or root's and no link, whose target can change. So must its folder, in which nobody else may be able to put
 * another one in its place.
 */
export async function checkOwner(socket: string): Promise<void> {
    const uid = process.geteuid?.();
    if (uid === undefined) return;
    let file, folder;
    try {
        file = await lstat(socket);
        folder = await stat(path.dirname(socket));
    } catch (error) {
        if (codeOf(error) === "EACCES") throw foreign(error);
        return;
    }
    if (!file.isSocket()) throw new AgentUnavailable(`${socket} is no socket: nothing was sent to it`);
    const owned = (owner: number) => owner === uid || owner === 0;
    if (!owned(file.uid) || !owned(folder.uid)) throw foreign();
    // In a sticky folder such as /tmp only the owner takes a file away.
    if ((folder.mode & 0o022) !== 0 && (folder.mode & 0o1000) === 0) {
        const name = path.dirname(socket);
        throw new AgentUnavailable(
            `others can write to ${name}, and so put a socket of theirs there: nothing was sent; chmod go-w ${name}`,
        );
    }
}

/** The name of a system error, such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
    return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function foreign(cause?: unknown): AgentUnavailable {
    return new AgentUnavailable("the agent's socket is another user's: nothing was sent to it", { cause });
}
