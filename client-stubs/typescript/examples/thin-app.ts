/**
 * A thin app: a practice writes a finding, a patient reads it. No key is in sight.
 *
 *     life dev up --dir /tmp/life --detach && . /tmp/life/env
 *     node build/examples/thin-app.js "$LIFE_DEV_INSTITUTION" "$LIFE_DEV_PATIENT"
 */
import { Agent, errors } from "life-agent";

async function main(practice: string, patient: string): Promise<number> {
    const agent = new Agent();
    try {
        const finding = Buffer.from("HbA1c 6.1 %, control in three months");
        const message = await agent.send(patient, finding, { user: practice });
        const { opened, content } = await agent.receive(message, { user: patient });
        console.log(`${opened.signature.signer} wrote: ${await content.text()}`);
        await content.close();
        await agent.deleteMessage(message, { user: patient });
        return 0;
    } catch (error) {
        if (error instanceof errors.CredentialLocked) {
            console.error(`unlock first, with life unlock: ${error.message}`);
            return 77;
        }
        if (!(error instanceof errors.LifeError)) throw error;
        console.error(String(error));
        return 1;
    } finally {
        agent.close();
    }
}

const [practice, patient] = process.argv.slice(2);
if (practice === undefined || patient === undefined) {
    console.error("usage: thin-app PRACTICE PATIENT, both user ids");
    process.exitCode = 64;
} else {
    process.exitCode = await main(practice, patient);
}
