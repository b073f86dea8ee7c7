/** A live platform, agents and users for the tests: `life dev up`, with the binaries under test. */
import { execFile, spawn, spawnSync, type ChildProcess } from "node:child_process";
import fs from "node:fs";
import { chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Agent, LifeError } from "life-agent";

const execute = promisify(execFile);
/** The checkout. */
export const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
/** Where the binaries are: LIFE_BIN_DIR, else what was built last. */
const BINARIES = process.env["LIFE_BIN_DIR"] ?? built();
/** A passphrase for users that tests register. */
export const PASSPHRASE = "quiet-granite-harbour-7731";

type Kind = "patient" | "institution" | "professional";
interface Summary {
    socket: string;
    platform: string;
    ca_fingerprint: string;
    processes: { agent: number };
    users: Record<string, { uid: string; software_certificate: string; passphrase_file: string }>;
}

const leftovers: (() => Promise<void>)[] = [];
const folders: string[] = [];
/** What must end with this program even where a signal ends it before {@link cleanUp}; the last one first. */
const alive = new Set<() => void>();

process.once("exit", () => {
    for (const end of [...alive].reverse()) end();
});
for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
] as const)
    // prettier-ignore
    process.once(signal, () => process.exit(128 + number));

/** Has something done when all tests are over. */
export function finally_(clean: () => Promise<void>): void {
    leftovers.push(clean);
}

/** Stops and removes all that the tests left. */
export async function cleanUp(): Promise<void> {
    const ended = await Promise.allSettled(leftovers.map((clean) => clean()));
    for (const made of folders) await rm(made, { recursive: true, force: true });
    alive.clear();
    const failed = ended.filter((one) => one.status === "rejected");
    if (failed.length > 0) throw new AggregateError(failed.map((one) => one.reason));
}

/** An empty folder of one's own. */
export async function folder(): Promise<string> {
    const made = await mkdtemp(path.join(tmpdir(), "life-ts-"));
    folders.push(made);
    alive.add(() => fs.rmSync(made, { recursive: true, force: true }));
    return made;
}

/** A development set-up. */
export class Dev {
    readonly folder: string;
    readonly summary: Summary;

    private constructor(folder: string, summary: Summary) {
        this.folder = folder;
        this.summary = summary;
    }

    static async up(users: Kind[]): Promise<Dev> {
        const where = await folder();
        const dir = ["--dir", path.join(where, "dev")];
        finally_(async () => void (await run("life", "dev", "down", ...dir)));
        const life = path.join(BINARIES, "life");
        const down = () => void spawnSync(life, ["dev", "down", ...dir], { timeout: 60_000 });
        alive.add(down);
        const started = await run("life", "dev", "up", "--detach", ...dir, "--users", users.join(","));
        return new Dev(path.join(where, "dev"), JSON.parse(started) as Summary);
    }

    get socket(): string {
        return this.summary.socket;
    }

    get kinds(): Kind[] {
        return Object.keys(this.summary.users) as Kind[];
    }

    /** What binds another agent to its platform. */
    get config(): string {
        return `[platform]\norigin = "${this.summary.platform}"\nca_fingerprint = "${this.summary.ca_fingerprint}"\n`;
    }

    uid(kind: Kind): string {
        return this.#user(kind).uid;
    }

    certificate(kind: Kind): Buffer {
        return fs.readFileSync(this.#user(kind).software_certificate);
    }

    passphrase(kind: Kind): string {
        return fs.readFileSync(this.#user(kind).passphrase_file, "utf8");
    }

    /** Unlocks everybody. */
    async unlockAll(agent: Agent): Promise<void> {
        const unlocked = new Set((await agent.status()).identities.map((one) => one.uid));
        for (const kind of this.kinds) {
            if (!unlocked.has(this.uid(kind))) await agent.unlock(this.certificate(kind), this.passphrase(kind));
        }
    }

    #user(kind: Kind) {
        const user = this.summary.users[kind];
        if (!user) throw new Error(`there is no ${kind}`);
        return user;
    }
}

/** A platform of a test's own, whose operator does as the test likes. */
export class Platform {
    readonly #folder: string;
    readonly #processes: ChildProcess[] = [];
    fingerprint = "";
    origin = "";

    private constructor(folder: string) {
        this.#folder = folder;
    }

    static async start(): Promise<Platform> {
        const platform = new Platform(path.join(await folder(), "platform"));
        await mkdir(platform.#folder);
        finally_(() => platform.#stop());
        const made = JSON.parse(await platform.run("init", "--json", "--listen", "127.0.0.1:0"));
        platform.fingerprint = made.ca_fingerprint;
        const config = path.join(platform.#folder, "platform.toml");
        const text = await readFile(config, "utf8");
        await writeFile(config, text.replace(/inbox_messages = \d+/, "inbox_messages = 1"));
        await platform.#spawn("ca");
        platform.origin = `https://${JSON.parse(await platform.#spawn("serve", "--listen", "127.0.0.1:0")).listening}`;
        return platform;
    }

    get config(): string {
        return `[platform]\norigin = "${this.origin}"\nca_fingerprint = "${this.fingerprint}"\n`;
    }

    async run(verb: string, ...words: string[]): Promise<string> {
        return await run("life-platform", ...verb.split(" "), "--dir", this.#folder, ...words);
    }

    /** Runs SQL on what the platform stores, with bytes in hexadecimal, `x` before them; gives the rows' bytes. */
    async sql(statement: string, ...values: Buffer[]): Promise<Buffer[]> {
        const program = [
            "import sqlite3, sys",
            "database = sqlite3.connect(sys.argv[1], timeout=10)",
            "with database:",
            "    done = database.execute(sys.argv[2], [bytes.fromhex(one) for one in sys.argv[3:]])",
            "    rows = done.fetchall()",
            "    assert rows or done.rowcount > 0, 'nothing there'",
            "    print('\\n'.join(row[0].hex() for row in rows), end='')",
        ].join("\n");
        const [database] = find(this.#folder, "platform.db");
        if (!database) throw new Error("the platform has no database");
        const words = ["-c", program, database, statement, ...values.map((one) => one.toString("hex"))];
        const { stdout } = await execute("python3", words);
        return stdout
            .split("\n")
            .filter(Boolean)
            .map((line) => Buffer.from(line, "hex"));
    }

    /** Starts a part; gives the line with which it says that it is ready. */
    async #spawn(verb: string, ...words: string[]): Promise<string> {
        const child = spawn(path.join(BINARIES, "life-platform"), [verb, "--dir", this.#folder, ...words], {
            stdio: ["ignore", "pipe", "ignore"],
        });
        this.#processes.push(child);
        alive.add(() => child.kill("SIGKILL"));
        for await (const line of createInterface(child.stdout)) return line;
        throw new Error(`life-platform ${verb} ended`);
    }

    async #stop(): Promise<void> {
        for (const child of this.#processes.reverse()) await terminate(child);
    }
}

/** Starts an agent of a test's own, with a configuration in TOML. Gives a connection to it, and its folder. */
export async function startAgent(config: string): Promise<{ agent: Agent; folder: string }> {
    const where = await folder();
    await writeFile(path.join(where, "agent.toml"), config);
    const socket = path.join(where, "run", "agent.sock");
    const environment = {
        ...process.env,
        LIFE_CONFIG: path.join(where, "agent.toml"),
        LIFE_STATE_DIR: path.join(where, "state"),
        LIFE_AGENT_SOCKET: socket,
    };
    const log = await open(path.join(where, "log"), "w");
    const stdio: ["ignore", number, number] = ["ignore", log.fd, log.fd];
    const child = spawn(path.join(BINARIES, "life-agentd"), { env: environment, stdio });
    await log.close();
    alive.add(() => child.kill("SIGKILL"));
    finally_(() => terminate(child));
    for (let tries = 0; tries < 1000 && child.exitCode === null; tries++) {
        const agent = new Agent({ socket });
        try {
            await agent.status();
            finally_(async () => agent.close());
            return { agent, folder: where };
        } catch (error) {
            if (!(error instanceof LifeError)) throw error;
            agent.close();
            await pause(20);
        }
    }
    throw new Error(`the agent does not answer: ${await readFile(path.join(where, "log"), "utf8")}`);
}

/** Runs one of our programs; gives what it prints. */
export async function run(program: string, ...words: string[]): Promise<string> {
    const { stdout } = await execute(path.join(BINARIES, program), words, { timeout: 180_000 });
    return stdout;
}

/** Runs OpenSSL with some input; gives its output. */
export async function openssl(words: string[], input: Uint8Array = Buffer.alloc(0)): Promise<Buffer> {
    const child = spawn("openssl", words);
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.stdin.on("error", () => undefined).end(input);
    const code = await new Promise((resolve) => child.once("close", resolve));
    if (code !== 0) throw new Error(`openssl ${words[0]}: ${Buffer.concat(err).toString()}`);
    return Buffer.concat(out);
}

/** Files with a name below a folder. */
export function find(below: string, name: string): string[] {
    return fs.readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
        const full = path.join(below, entry.name);
        if (entry.isDirectory()) return find(full, name);
        return entry.name === name ? [full] : [];
    });
}

/** Writes a program for a test. */
export async function writeProgram(name: string, text: string): Promise<void> {
    await writeFile(name, text);
    await chmod(name, 0o700);
}

async function terminate(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
}

function built(): string {
    const found = ["debug", "release"]
        .map((profile) => path.join(ROOT, "target", profile))
        .filter((where) => fs.existsSync(path.join(where, "life")))
        .sort((a, b) => fs.statSync(path.join(b, "life")).mtimeMs - fs.statSync(path.join(a, "life")).mtimeMs);
    if (!found[0]) throw new Error("build the binaries first: cargo build --workspace --bins");
    return found[0];
}
