/** All tests in one program: they share one development set-up. */
import { after, describe } from "node:test";

import { agentTests } from "./agent.js";
import { apiTests } from "./api.js";
import { callTests } from "./calls.js";
import { cleanUp } from "./dev.js";
import { documentTests } from "./documents.js";
import { localTests } from "./local.js";
import { platformTests } from "./platform.js";
import { reasonTests } from "./reasons.js";

// The limit is for a test that hangs; none comes near it.
describe("life-agent", { timeout: 900_000 }, () => {
    after(cleanUp);
    localTests();
    callTests();
    agentTests();
    documentTests();
    apiTests();
    reasonTests();
    platformTests();
});
