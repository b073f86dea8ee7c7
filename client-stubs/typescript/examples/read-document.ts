/**
 * Reads a document and tells what it is.
 *
 *     node build/examples/read-document.js READER DOCUMENT
 */
import { createHash } from "node:crypto";

import { Agent, errors } from "life-agent";

async function main(reader: string, documentId: string): Promise<number> {
    const agent = new Agent({ user: reader });
    try {
        const { document, signature, content } = await agent.downloadDocument(documentId);
        const sha256 = createHash("sha256");
        for await (const chunk of content.stream()) sha256.update(chunk);
        await content.close();
        const title = document.description?.title;
        console.log(JSON.stringify({ title, signer: signature.signer, sha256: sha256.digest("hex") }));
        return 0;
    } catch (error) {
        if (!(error instanceof errors.LifeError)) throw error;
        console.error(String(error));
        return 1;
    } finally {
        agent.close();
    }
}

const [reader, documentId] = process.argv.slice(2);
if (reader === undefined || documentId === undefined) {
    console.error("usage: read-document READER DOCUMENT");
    process.exitCode = 64;
} else {
    process.exitCode = await main(reader, documentId);
}
