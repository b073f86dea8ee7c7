// Prints a dot a test, the failures in full, and a closing line.
export default async function* report(events) {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for await (const { type, data } of events) {
        if (type === "test:stderr" || type === "test:stdout") yield data.message;
        if ((type !== "test:pass" && type !== "test:fail") || data.details?.type === "suite") continue;
        if (type === "test:fail") {
            count.failed += 1;
            const error = data.details.error;
            yield `\n${data.name}: ${(error.cause ?? error).stack ?? error}\n`;
        } else if (data.skip !== undefined) {
            count.skipped += 1;
        } else {
            count.passed += 1;
            yield ".";
        }
    }
    yield `\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`;
}
