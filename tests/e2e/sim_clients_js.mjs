// One walk of @aws-sdk/client-codebuild through codebuild-sim. Usage: node FILE URL. Prints one JSON object for the test that started it.
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "package.json"));
const sdk = require("@aws-sdk/client-codebuild");
const url = process.argv[2];
const credentials = { accessKeyId: "AKIASIMULATOREXAMPLE", secretAccessKey: "sim/secret+example" };
const client = new sdk.CodeBuildClient({ endpoint: url, region: "us-east-1", credentials, maxAttempts: 3 });
const send = (name, input) => client.send(new sdk[`${name}Command`](input));

const control = async (where, body) => {
    const r = await fetch(url + where, { method: "POST", body: JSON.stringify(body) });
    return r.json();
};

const refusal = async (name, input) => {
    try {
        await send(name, input);
        return "no error";
    } catch (e) {
        return [e instanceof (sdk[e.name] ?? Array), e.name, e.$metadata.attempts];
    }
};

const pages = async (paginate, input) => {
    const sizes = [];
    for await (const page of paginate({ client }, input)) {
        sizes.push(page.ids.length);
    }
    return sizes;
};

// Polls, for a clock moved by hand would show in the Date header: this client takes any error beside a skewed Date for one to repeat.
const over = async (name, member, id, done) => {
    for (;;) {
        const one = (await send(name, { ids: [id] }))[member][0];
        if (done(one)) {
            return one;
        }
    }
};

const told = {};
const first = (await send("StartBuild", { projectName: "web-app", idempotencyToken: "js" })).build;
told.fresh = [first.buildStatus, first.startTime instanceof Date, first.phases.length];
told.failed = (await over("BatchGetBuilds", "builds", first.id, (b) => b.buildComplete)).buildStatus;
const retries = [];
for (let i = 0; i < 2; i++) {
    retries.push((await send("RetryBuild", { id: first.id, idempotencyToken: "once" })).build.id);
}
told.once = retries[0] === retries[1];
told.missing = await refusal("RetryBuild", { id: "web-app:none" });
told.mismatch = await refusal("RetryBuild", { id: retries[0], idempotencyToken: "once" });
told.unknown = (await refusal("ListFleets", {})).slice(1);
const batch = (await send("StartBuildBatch", { projectName: "steady" })).buildBatch;
told.batch = (await over("BatchGetBuildBatches", "buildBatches", batch.id, (b) => b.complete)).buildBatchStatus;
for (let i = 0; i < 110; i++) {
    await send("StartBuild", { projectName: "steady" });
}
told.pages = await pages(sdk.paginateListBuildsForProject, { projectName: "steady" });
await control("/_sim/faults", { faults: [{ operation: "ListBuilds", nth: [1], error: "ThrottlingException" },
                                         { operation: "ListProjects", nth: [1], status: 503, body: "html" },
                                         { operation: "StopBuild", error: "ThrottlingException" }] });
told.throttled = (await send("ListBuilds", {})).$metadata.attempts;
told.unavailable = (await send("ListProjects", {})).$metadata.attempts;
told.exhausted = (await refusal("StopBuild", { id: first.id })).slice(1);
console.log(JSON.stringify(told));
