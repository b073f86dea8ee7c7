/**
 * Asks the platform, in a user's name, who that is. Neither certificate nor token is in sight.
 *
 *     node build/examples/call-platform.js USER
 */
import { Agent, errors } from "life-agent";

async function main(user: string): Promise<number> {
    const agent = new Agent({ user });
    try {
        const answer = await agent.call("GET", "/v1/me", { headers: { Accept: "application/json" } });
        console.log(answer.status, answer.content.toString());
        return 0;
    } catch (error) {
        if (error instanceof errors.ApiCallForbidden) {
            console.error(`the agent's configuration does not allow that: ${error.message}`);
            return 77;
        }
        if (!(error instanceof errors.LifeError)) throw error;
        console.error(String(error));
        return 1;
    } finally {
        agent.close();
    }
}

const [user] = process.argv.slice(2);
if (user === undefined) {
    console.error("usage: call-platform USER");
    process.exitCode = 64;
} else {
    process.exitCode = await main(user);
}
