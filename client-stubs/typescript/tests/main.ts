/** All tests in one program: they share one development set-up. */
import { after, describe } from "node:test";

import { agentTests } from "./agent.js";
import { callTests } from "./calls.js";
import { cleanUp } from "./dev.js";
import { localTests } from "./local.js";
import { platformTests } from "./platform.js";
import { reasonTests } from "./reasons.js";

describe("life-agent", () => {
    after(cleanUp);
    localTests();
    callTests();
    agentTests();
    reasonTests();
    platformTests();
});
