/**
 * Stores a file as a document that another user can read, and prints its id.
 *
 *     node build/examples/store-document.js OWNER READER FILE
 */
import { Agent, errors } from "life-agent";

async function main(owner: string, reader: string, file: string): Promise<number> {
    const agent = new Agent({ user: owner });
    try {
        const stored = await agent.uploadDocumentFile(file, { readers: [reader] });
        console.log(stored.documentId);
        return 0;
    } catch (error) {
        if (!(error instanceof errors.LifeError)) throw error;
        console.error(String(error));
        return 1;
    } finally {
        agent.close();
    }
}

const [owner, reader, file] = process.argv.slice(2);
if (owner === undefined || reader === undefined || file === undefined) {
    console.error("usage: store-document OWNER READER FILE");
    process.exitCode = 64;
} else {
    process.exitCode = await main(owner, reader, file);
}
