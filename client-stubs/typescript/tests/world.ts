/** What the tests share: a development set-up, a connection to its agent, its users. */
import { Agent } from "life-agent";

import { Dev, finally_ } from "./dev.js";

export const MIB = 1024 * 1024;

/** Who is there. */
export interface World {
    dev: Dev;
    agent: Agent;
    patient: string;
    practice: string;
    physician: string;
}

let made: Promise<World> | undefined;
let other: Promise<Dev> | undefined;

/** The shared set-up, everybody unlocked. */
export async function world(): Promise<World> {
    made ??= make();
    const shared = await made;
    await shared.dev.unlockAll(shared.agent);
    return shared;
}

/** A set-up of somebody else. */
export function otherDev(): Promise<Dev> {
    other ??= Dev.up(["patient"]);
    return other;
}

/** Bytes with one bit changed; counted from the end where `at` is negative. */
export function flipped(bytes: Uint8Array, at: number): Buffer {
    const changed = Buffer.from(bytes);
    const index = at < 0 ? changed.length + at : at;
    changed[index] = (changed[index] ?? 0) ^ 1;
    return changed;
}

async function make(): Promise<World> {
    const dev = await Dev.up(["patient", "institution", "professional"]);
    const agent = new Agent({ socket: dev.socket });
    finally_(async () => agent.close());
    return {
        dev,
        agent,
        patient: dev.uid("patient"),
        practice: dev.uid("institution"),
        physician: dev.uid("professional"),
    };
}
