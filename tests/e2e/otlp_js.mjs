// What OpenTelemetry's own types make of a request: everything in it is known, of the type that it should be, and comes back the same.
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";

const require = createRequire(process.cwd() + "/");
const root = require("./root.js");
const Request = root.opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest;
const IDS = new Set(["traceId", "spanId", "parentSpanId"]);

// JSON's ids are hex, those of the types are bytes; everything else is the same.
const walk = (v, f) => Array.isArray(v) ? v.map((x) => walk(x, f)) : v !== null && typeof v === "object"
  ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, IDS.has(k) ? f(x) : walk(x, f)])) : v;
const sorted = (v) => Array.isArray(v) ? v.map(sorted) : v !== null && typeof v === "object"
  ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;

const answers = readFileSync(process.argv[2], "utf8").trim().split("\n").map((line) => {
  const said = JSON.parse(line);
  const message = Request.fromObject(walk(said, (hex) => Buffer.from(hex, "hex")));
  const wrong = Request.verify(message);
  const wire = Request.encode(message).finish();
  const back = walk(Request.toObject(Request.decode(wire), {longs: String, bytes: Buffer}), (b) => Buffer.from(b).toString("hex"));
  const same = JSON.stringify(sorted(back)) === JSON.stringify(sorted(said));
  return {wrong, same, bytes: wire.length, back: same ? null : back};
});
console.log(JSON.stringify(answers));
