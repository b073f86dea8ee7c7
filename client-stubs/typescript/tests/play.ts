/** An agent that a test plays. */
import path from "node:path";

import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";

import { agent, api, crypto } from "../src/contract.js";
import { finally_, folder } from "./dev.js";

/** Serves only the methods given. Gives the socket. */
export async function play(methods: UntypedServiceImplementation): Promise<string> {
    const socket = path.join(await folder(), "agent.sock");
    const server = new Server();
    for (const service of [agent, api, crypto]) server.addService(service, methods);
    await new Promise<void>((resolve, reject) => {
        server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
            error ? reject(error) : resolve(),
        );
    });
    finally_(async () => server.forceShutdown());
    return socket;
}
