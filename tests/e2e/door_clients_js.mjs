// One walk of @aws-sdk/client-codebuild through the AWS front door. Usage: node FILE URL KEY SECRET FAILED OTHER DENIED SIM, each of the three in the
// middle a build that failed. Prints one JSON object for the test that started it.
import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(path.join(process.cwd(), "package.json"));
const sdk = require("@aws-sdk/client-codebuild");
const [url, accessKeyId, secretAccessKey, failed, other, denied, sim] = process.argv.slice(2);

const clientOf = (more) => new sdk.CodeBuildClient({ endpoint: url, region: "us-east-1", credentials: { accessKeyId, secretAccessKey }, maxAttempts: 3, ...more });
const client = clientOf({});
const send = (name, input, by = client) => by.send(new sdk[`${name}Command`](input));

const refusal = async (name, input, by) => {
    try {
        await send(name, input, by);
        return "no error";
    } catch (e) {
        return [e instanceof (sdk[e.name] ?? Array), e.name, e.$metadata.attempts];
    }
};

const faults = (rows) => fetch(`${sim}/_sim/faults`, { method: "POST", body: JSON.stringify({ faults: rows }) });

const pages = async (paginate, input) => {
    const sizes = [];
    for await (const page of paginate({ client }, input)) {
        sizes.push(page.ids.length);
    }
    return sizes;
};

const told = {};
const builds = await Promise.all(Array.from({ length: 10 }, () => send("RetryBuild", { id: failed, idempotencyToken: "js-ten" }, clientOf({}))));
told.ten = new Set(builds.map((b) => b.build.id)).size;
const child = builds[0].build;
told.whole = [child.startTime instanceof Date, child.buildNumber > 0, child.source.type];
told.read = (await send("BatchGetBuilds", { ids: [child.id, "flaky:none"] })).buildsNotFound;
told.missing = await refusal("RetryBuild", { id: "flaky:00000000-0000-4000-8000-000000000000" });
told.invalid = await refusal("RetryBuild", {});
told.mismatch = await refusal("RetryBuild", { id: other, idempotencyToken: "js-ten" });
told.denied = (await refusal("RetryBuild", { id: denied })).slice(1);
told.unknown = (await refusal("StartBuild", { projectName: "flaky" })).slice(1);
told.unsigned = (await refusal("ListBuilds", {}, clientOf({ credentials: { accessKeyId, secretAccessKey: "wrong" } }))).slice(1, 2);
told.pages = await pages(sdk.paginateListBuildsForProject, { projectName: "steady" });
for (const retryMode of ["standard", "adaptive"]) {
    await faults([{ operation: "ListBuilds", nth: [1], error: "ThrottlingException" }, { operation: "ListProjects", nth: [1], status: 503, body: "html" },
                  { operation: "BatchGetProjects", error: "ThrottlingException" }]);
    const by = clientOf({ retryMode });
    told[retryMode] = [(await send("ListBuilds", {}, by)).$metadata.attempts, (await send("ListProjects", {}, by)).$metadata.attempts,
                       (await refusal("BatchGetProjects", { names: ["flaky"] }, by)).slice(1)];
}
await faults([]);
console.log(JSON.stringify(told));
