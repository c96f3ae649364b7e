#!/usr/bin/python3
"""GET /openapi.json: a valid OpenAPI 3.1 document, and every route answers as it says, when all is well and when not."""
import http.client
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
from api_document import Document  # noqa: E402
from cases import case  # noqa: E402
from door_harness import Door  # noqa: E402
from service import KEY, TOKEN, failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

VALIDATOR = "@seriousme/openapi-schema-validator@2.11.0"
CHECK = """
import { Validator } from "@seriousme/openapi-schema-validator";
import { readFileSync } from "node:fs";
const validator = new Validator();
const result = await validator.validate(JSON.parse(readFileSync(process.argv[2], "utf8")));
console.log(JSON.stringify({ valid: result.valid, version: validator.version, errors: result.errors ?? [] }));
"""
EXTRA = """
rules: [{name: held, when: {project: [held-*]}, then: ask}, {name: later, when: {project: [later-*]}, delay: {fixed: 1h}}]
destinations: [{name: away, type: webhook, url: "http://127.0.0.1:9/", secrets: [{value: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}], stages: [finished], give_up: 1s,
    schedule: [200ms], when: {project: [flaky]}}]
network: {allow: ["127.0.0.1/32"]}
"""
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}
VIEWER = {"Authorization": f"Bearer viewer-{TOKEN}"}


class World:
    def __init__(self, build):
        self.life = life.World(build)
        cloudevents = "{name: cloud, type: cloudevents, secrets: [{value: " + KEY + "}]}"
        self.s = Door(build / "cmd/retrybuild/retrybuild", "sqlite:api.db", self.life.sim.url, extra=EXTRA)
        text = self.s.config.read_text()
        self.s.config.write_text(text.replace("sources: [", f"sources: [{cloudevents}, "))
        self.s.start()
        self.build = build
        self.document = Document(self.s.request("GET", "/openapi.json")[2])

    def call(self, status, method, path, body=None, headers=None):
        """The answer has this status, and is what the document says of it."""
        got, found, text = self.s.request(method, path, body, headers or {})
        equal(got, status, f"{method} {path}: {text[:300]}")
        self.document.holds(method, path, got, found.get("Content-Type", ""), text, found)
        return json.loads(text) if text[:1] in "{[" and text else text

    def announce(self, status, path, length, headers):
        """A POST that says it will be this long, and is answered before it is."""
        conn = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=60)
        try:
            conn.putrequest("POST", path)
            for name, value in {**headers, "Content-Length": str(length)}.items():
                conn.putheader(name, value)
            conn.endheaders()
            answer = conn.getresponse()
            text = answer.read().decode()
        finally:
            conn.close()
        equal(answer.status, status, text)
        self.document.holds("POST", path, answer.status, answer.getheader("Content-Type"), text, answer.headers)

    def new(self, project):
        answer = self.call(202, "POST", "/v1/hooks/eventbridge", failure_event(f"{project}:{service.uuid.uuid4()}"), {"x-retrybuild-key": KEY})
        return answer["retry"]

    def stop(self):
        try:
            equal(self.s.stop(), 0)
        finally:
            self.life.sim.stop()


@case
def the_document_is_openapi_3_1(w):
    folder, why = js_client.installed(w.build, "js-openapi", (VALIDATOR,))
    equal(folder is not None, True, why)
    (folder / "check.mjs").write_text(CHECK)
    (folder / "openapi.json").write_text(json.dumps(w.document.raw))
    r = subprocess.run(["node", "check.mjs", "openapi.json"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    equal(json.loads(r.stdout or "{}"), {"valid": True, "version": "3.1", "errors": []}, r.stderr[-500:])
    ids = [w.document.raw["paths"][p][m]["operationId"] for p, m in w.document.operations()]
    equal(len(ids), len(set(ids)), sorted(ids))


@case
def hooks_answer_as_described(w):
    key = {"x-retrybuild-key": KEY}
    event = failure_event(f"held-a:{service.uuid.uuid4()}")
    w.call(202, "POST", "/v1/hooks/eventbridge", event, key)
    w.call(200, "POST", "/v1/hooks/eventbridge", event, key)
    w.call(200, "POST", "/v1/hooks/eventbridge", {"detail-type": "Scheduled Event", "source": "aws.events"}, key)
    w.call(200, "POST", "/v1/hooks/eventbridge", failure_event(f"app:{service.uuid.uuid4()}", phase="BUILD", message="tests failed"), key)
    w.call(400, "POST", "/v1/hooks/eventbridge", "{", key)
    w.call(401, "POST", "/v1/hooks/eventbridge", event, {"x-retrybuild-key": "wrong"})
    w.call(404, "POST", "/v1/hooks/nowhere", event, key)
    w.announce(413, "/v1/hooks/eventbridge", 1 << 21, key)
    w.call(415, "POST", "/v1/hooks/eventbridge", event, {**key, "Content-Type": "image/png"})
    w.call(200, "OPTIONS", "/v1/hooks/cloud", None, {"WebHook-Request-Origin": "events.example.com"})
    w.call(405, "OPTIONS", "/v1/hooks/cloud")
    w.call(405, "OPTIONS", "/v1/hooks/eventbridge")
    w.call(404, "OPTIONS", "/v1/hooks/nowhere")


@case
def retries_answer_as_described(w):
    ask = {"id": f"held-b:{service.uuid.uuid4()}", "account": service.ACCOUNT, "reason": "the registry was down"}
    r = w.call(202, "POST", "/v1/retries", ask, {**OPERATOR, "Idempotency-Key": "one"})
    w.call(200, "POST", "/v1/retries", ask, {**OPERATOR, "Idempotency-Key": "one"})
    w.call(422, "POST", "/v1/retries", {**ask, "force": True, "id": f"held-c:{service.uuid.uuid4()}"}, {**OPERATOR, "Idempotency-Key": "one"})
    w.call(422, "POST", "/v1/retries", {**ask, "callback_url": "https://10.0.0.1/x"}, OPERATOR)
    w.call(400, "POST", "/v1/retries", {**ask, "color": 1}, OPERATOR)
    w.call(401, "POST", "/v1/retries", ask)
    w.call(403, "POST", "/v1/retries", ask, VIEWER)
    w.call(200, "GET", "/v1/retries?limit=1", None, VIEWER)
    w.call(200, "GET", f"/v1/retries?state={r['state']}&project=held-b&source=api&since=1h", None, VIEWER)
    w.call(400, "GET", "/v1/retries?limit=0", None, VIEWER)
    w.call(401, "GET", "/v1/retries")
    w.call(200, "GET", f"/v1/retries/{r['id']}", None, VIEWER)
    w.call(404, "GET", "/v1/retries/rty_nothing", None, VIEWER)
    w.call(401, "GET", f"/v1/retries/{r['id']}")
    w.call(200, "GET", f"/v1/retries/{r['id']}/chain", None, VIEWER)
    w.call(404, "GET", "/v1/retries/rty_nothing/chain", None, VIEWER)
    w.call(200, "GET", "/v1/retries?q=held-b", None, VIEWER)
    recovered = w.life.failed_build("flaky")
    asked = w.call(202, "POST", "/v1/retries", {"id": recovered["arn"]}, OPERATOR)
    wait_until("it recovered", lambda: w.call(200, "GET", f"/v1/retries/{asked['id']}", None, VIEWER)["state"] == "recovered")


@case
def verbs_answer_as_described(w):
    for verb, project, status in (("approve", "held-d", 200), ("deny", "held-e", 200), ("cancel", "later-f", 200), ("requeue", "held-g", 409)):
        path = f"/v1/retries/{w.new(project)}/{verb}"
        w.call(401, "POST", path)
        w.call(403, "POST", path, None, VIEWER)
        w.call(status, "POST", path, None, OPERATOR)
        w.call(404, "POST", f"/v1/retries/rty_nothing/{verb}", None, OPERATOR)
    w.call(409, "POST", f"/v1/retries/{w.new('later-h')}/approve", None, OPERATOR)
    # The report of a retry that has ended is dead by then.
    undelivered = w.call(202, "POST", "/v1/retries", {"id": w.life.failed_build("flaky")["arn"]}, OPERATOR)["id"]
    wait_until("its report is dead", lambda: "dead" in [x["state"] for x in w.call(200, "GET", f"/v1/retries/{undelivered}", None, VIEWER)["reports"]])
    w.call(200, "POST", f"/v1/retries/{undelivered}/requeue", None, OPERATOR)


@case
def policy_answers_as_described(w):
    event = failure_event(f"held-j:{service.uuid.uuid4()}")
    w.call(200, "POST", "/v1/explain?source=eventbridge", event, VIEWER)
    w.call(200, "POST", "/v1/explain?source=eventbridge", failure_event(f"later-j:{service.uuid.uuid4()}"), VIEWER)
    w.call(200, "POST", f"/v1/explain?retry={w.new('held-k')}", None, VIEWER)
    w.call(404, "POST", "/v1/explain?source=nothing", event, VIEWER)
    w.call(400, "POST", "/v1/explain", None, VIEWER)
    w.call(401, "POST", "/v1/explain?source=eventbridge", event)
    w.call(200, "GET", "/v1/stats", None, VIEWER)
    w.call(401, "GET", "/v1/stats")
    for verb in ("pause", "resume"):
        w.call(200, "POST", f"/v1/{verb}", {"project": "held-l"}, OPERATOR)
        w.call(200, "POST", f"/v1/{verb}", None, OPERATOR)
        w.call(400, "POST", f"/v1/{verb}", {"projects": 1}, OPERATOR)
        w.call(403, "POST", f"/v1/{verb}", None, VIEWER)


@case
def events_answer_as_described(w):
    w.call(401, "GET", "/v1/events")
    conn = http.client.HTTPConnection("127.0.0.1", w.s.port, timeout=60)
    try:
        conn.request("GET", "/v1/events", headers=VIEWER)
        answer = conn.getresponse()
        w.new("held-m")
        lines = iter(answer.readline, b"")
        data = next(line for line in lines if line.startswith(b"data: {\"state\""))
    finally:
        conn.sock.close()
    w.document.holds("GET", "/v1/events", answer.status, answer.getheader("Content-Type"), "", answer.headers)
    w.document.validate(json.loads(data[6:]), {"$ref": "#/components/schemas/StateChange"}, "an event")


@case
def the_front_door_answers_as_described(w):
    failed = w.life.failed_build("flaky")
    for body, status in (({"id": failed["id"]}, 200), ({"id": "nonsense"}, 400)):
        got, headers, _, text = w.s.signed_raw("RetryBuild", body)
        equal(got, status, text)
        w.document.holds("POST", "/", got, headers["Content-Type"], text, headers)
    w.call(400, "POST", "/", "{}", {"X-Amz-Target": "CodeBuild_20161006.RetryBuild"})


@case
def operation_answers_as_described(w):
    for name in ("session", "overview", "projects", "rules", "sources", "destinations"):
        w.call(200, "GET", f"/v1/{name}", None, VIEWER)
        w.call(401, "GET", f"/v1/{name}")
    equal(w.call(200, "POST", "/v1/destinations/away/test", None, OPERATOR)["delivered"], False)
    w.call(403, "POST", "/v1/destinations/away/test", None, VIEWER)
    w.call(404, "POST", "/v1/destinations/nowhere/test", None, OPERATOR)
    w.call(200, "GET", "/")
    w.call(200, "GET", "/assets/app.js")
    w.call(404, "GET", "/assets/nothing.js")
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        w.call(200, "GET", path)
        got, _, text = w.s.request("HEAD", path)
        equal((got, text), (200, ""), path)


@case
def every_route_was_called_when_all_is_well_and_when_not(w):
    for template, method in w.document.operations():
        seen = w.document.seen.get((template, method), set())
        described = w.document.doc["paths"][template][method]["responses"]
        equal(any(s < 300 for s in seen), True, f"{method} {template}: no success among {sorted(seen)}")
        fails = [k for k in described if k not in ("default", "503") and k[0] in "45"]
        equal(not fails or any(s >= 400 for s in seen), True, f"{method} {template}: no failure among {sorted(seen)}")


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
