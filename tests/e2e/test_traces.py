#!/usr/bin/python3
"""W3C trace context: into the retry, through its life and restarts, and out to who is told; its spans, as a collector of OpenTelemetry gets them.

The collector judges each request by the rules of OTLP, and each trace as a tree. OpenTelemetry's own types come by npm into the build folder."""
import collections
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, Sink, World, event_of, reach  # noqa: E402
from service import KEY, TOKEN, wait_until  # noqa: E402
from serving import logged_any  # noqa: E402
from sim_harness import equal  # noqa: E402

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
W3C = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


BODIES = []  # of every collector


class Collector:
    """An OTLP/HTTP receiver that takes nothing on trust; answers from a list of (status, headers, body), then 200."""

    def __init__(self):
        self.spans, self.resources, self.bodies, self.wrong, self.seen, self.answers = [], [], [], [], [], []
        self.hold, self.held, self.down = None, 0, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if outer.down:  # a connection that was kept
                    self.close_connection = True
                    return
                if outer.hold:
                    outer.held += 1
                    outer.hold.wait(20)
                status, headers, answer = outer.answers.pop(0) if outer.answers else (200, {}, {"partialSuccess": {}})
                outer.seen.append((time.monotonic(), status, self.path, dict(self.headers), body))
                if status == 200:
                    try:
                        outer.take(self.path, self.headers, body)
                    except Exception as e:
                        outer.wrong.append(repr(e))
                raw = json.dumps(answer).encode()
                self.send_response(status)
                for k, v in {**headers, "Content-Type": "application/json", "Content-Length": str(len(raw))}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        equal(path, "/v1/traces")
        equal(headers["Content-Type"], "application/json")
        self.bodies.append(body.decode())
        BODIES.append(body.decode())
        request = json.loads(body)
        equal(list(request), ["resourceSpans"])
        for r in request["resourceSpans"]:
            only(r, {"resource", "scopeSpans"})
            self.resources.append(attributes(r["resource"]))
            for scope in r["scopeSpans"]:
                only(scope, {"scope", "spans"})
                equal(scope["scope"]["name"], "retrybuild")
                for span in scope["spans"]:
                    check_span(span)
                    self.spans.append(span)

    def of(self, trace):
        return [s for s in list(self.spans) if s["traceId"] == trace]

    def wait(self, trace, *names):
        """The spans of the trace once there are these, which is then judged as one tree."""
        def look():
            have = collections.Counter(s["name"] for s in self.of(trace))
            return not collections.Counter(names) - have
        try:
            wait_until(f"spans {names}", look, 8)
        except AssertionError:
            print(sorted(s["name"] for s in self.of(trace)), self.wrong, [(x[1], x[2]) for x in self.seen])
            raise
        equal(self.wrong, [])
        return self.of(trace)

    def stop(self):
        self.down = True
        self.server.shutdown()
        self.server.server_close()


def only(o, keys):
    if not set(o) <= keys:
        raise AssertionError(f"members that OTLP does not know: {set(o) - keys}")


def attributes(o):
    found = {}
    for a in o.get("attributes", []):
        equal(sorted(a), ["key", "value"])
        (kind, value), = a["value"].items()
        if kind == "intValue":
            value = int(value) if isinstance(value, str) and re.fullmatch(r"-?[0-9]+", value) else 1 / 0
        elif kind != "stringValue" or not isinstance(value, str):
            raise AssertionError(a)
        if not a["key"] or a["key"] in found:
            raise AssertionError(f"a key that is empty or there twice: {a}")
        found[a["key"]] = value
    return found


def check_span(s):
    only(s, {"traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "events", "status"})
    for member, digits in (("traceId", 32), ("spanId", 16), ("parentSpanId", 16)):
        if member in s and (not re.fullmatch(f"[0-9a-f]{{{digits}}}", s[member]) or not int(s[member], 16)):
            raise AssertionError(f"{member}: {s[member]}")
    if not s["name"] or s["kind"] not in (1, 2, 3, 4, 5) or not isinstance(s["flags"], int) or not s["flags"] & 1:
        raise AssertionError(s)
    start, end = stamp(s["startTimeUnixNano"]), stamp(s["endTimeUnixNano"])
    if not 0 < start <= end or abs(start / 1e9 - time.time()) > 600:
        raise AssertionError(f"times: {s}")
    last = 0
    for e in s.get("events", []):
        only(e, {"name", "timeUnixNano", "attributes"})
        if stamp(e["timeUnixNano"]) < last or not e["name"]:
            raise AssertionError(f"events out of order: {s}")
        last = stamp(e["timeUnixNano"])
        attributes(e)
    only(s["status"], {"code", "message"})
    if s["status"]["code"] not in (0, 1, 2) or ("message" in s["status"] and s["status"]["code"] != 2):
        raise AssertionError(s["status"])
    attributes(s)


def stamp(text):
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]+", text):
        raise AssertionError(f"64-bit numbers are texts: {text!r}")
    return int(text)


def tree(spans, remote=None):
    """{span id: span}: ids are there once, every parent but the one that is remote is there, and there is one root."""
    by_id = {s["spanId"]: s for s in spans}
    equal(len(by_id), len(spans), sorted(s["name"] for s in spans))
    roots = [s for s in spans if s.get("parentSpanId") not in by_id]
    equal([(r["name"].split("/")[0], r.get("parentSpanId")) for r in roots], [("POST ", remote)])
    for s in spans:
        equal(bool(s["flags"] & 0x200), s in roots and remote is not None)
        seen = set()
        while s["spanId"] not in seen and s.get("parentSpanId") in by_id:
            seen.add(s["spanId"])
            s = by_id[s["parentSpanId"]]
        equal(s, roots[0])
    return by_id


def one(spans, name, **wanted):
    found = [s for s in spans if s["name"] == name and all(attributes(s).get(f"retrybuild.{k.replace('_', '.')}") == v for k, v in wanted.items())]
    equal(len(found), 1, (name, wanted, [(s["name"], attributes(s)) for s in spans]))
    return found[0]


def exported(collector, sink, more="", form="standard"):
    return told(sink, form) + f'telemetry: {{otlp_endpoint: "{collector.url}"{more}}}\n'


def told(sink, form="standard"):
    rule = f'rules: [{FAST_RULE}]\nnetwork: {{allow: ["127.0.0.1/32"]}}\n'
    return rule + f'destinations: [{{name: hook, type: webhook, url: "{sink.url}", format: {form}}}]\n'


def serving(world, kind, extra):
    return world.serving(kind, extra, service.FAST.replace("sweep_every: 3s", "sweep_every: 1h"))


def deliver(s, event, expected=202, **headers):
    status, _, text = s.request("POST", "/v1/hooks/eventbridge", event, {"x-retrybuild-key": KEY, **headers})
    equal(status, expected, text)
    return json.loads(text)["retry"]


def reports(sink, retry_id, n):
    return wait_until("the reports", lambda: [x for x in [sink.of(retry_id)] if len(x) >= n])[0]


@case
def a_trace_that_came_goes_on_to_the_webhook(world):
    sink = Sink()
    with serving(world, "sqlite", told(sink)) as s:
        retry = deliver(s, event_of(world.failed_build("flaky")), traceparent=PARENT, tracestate="rojo=1, congo=2")
        r = reach(s, retry, "recovered")
        equal(r["trace_id"], TRACE)
        logged = wait_until("it is logged", lambda: logged_any(s, "retry.recovered"))
        equal([json.loads(x)["trace_id"] for x in logged], [TRACE])
        for _, headers, _ in reports(sink, retry, 2):
            equal(W3C.fullmatch(headers["traceparent"]).group(1), TRACE)
            equal(headers["traceparent"][-2:], "01")
            equal(headers["tracestate"], "rojo=1,congo=2")
    sink.stop()


@case
def the_next_attempt_is_of_the_same_trace(world):
    sink = Sink()
    with serving(world, "sqlite", told(sink)) as s:
        first = deliver(s, event_of(world.failed_build("stubborn")), traceparent=UNSAMPLED)
        r = reach(s, first, "failed_again")
        later = wait_until("the next attempt", lambda: [x for x in s.retries() if x["chain"] == r["chain"] and x["id"] != first])
        equal(later[0]["trace_id"], TRACE)
        reach(s, later[0]["id"], "failed_again")
        for _, headers, _ in reports(sink, later[0]["id"], 2):
            equal(headers["traceparent"], UNSAMPLED)  # no span of ours is in between
            equal(headers.get("tracestate"), None)
    sink.stop()


@case
def without_one_the_chain_has_a_trace_of_its_own(world):
    sink, bad = Sink(), ("", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-x")
    with serving(world, "sqlite", told(sink)) as s:
        retries = [deliver(s, event_of(world.failed_build("flaky")), **({"traceparent": b, "tracestate": "a=b"} if b else {})) for b in bad]
        ids = set()
        for retry in retries:
            r = reach(s, retry, "recovered")
            _, headers, _ = reports(sink, retry, 2)[-1]
            equal(W3C.fullmatch(headers["traceparent"]).group(1), r["trace_id"])
            equal(headers.get("tracestate"), None)
            ids.add(r["trace_id"])
        equal(len(ids - {TRACE}), len(bad))
    sink.stop()


@case
def a_person_and_a_cloud_event_bring_theirs(world):
    sink = Sink()
    with serving(world, "sqlite", told(sink, "cloudevents")) as s:
        build = world.failed_build("flaky")
        status, _, text = s.request("POST", "/v1/retries", {"id": build["arn"]}, {"Authorization": f"Bearer {TOKEN}", "traceparent": PARENT})
        equal(status, 202, text)
        retry = json.loads(text)
        equal(retry["trace_id"], TRACE)
        reach(s, retry["id"], "recovered")
        _, headers, body = reports(sink, retry["id"], 2)[-1]
        equal(headers["Content-Type"].split(";")[0], "application/cloudevents+json")
        equal(W3C.fullmatch(body["traceparent"]).group(1), TRACE)
        cloud = {"specversion": "1.0", "id": "e-1", "source": "tests", "type": "t", "traceparent": PARENT.replace("4bf9", "5bf9"),
                 "tracestate": "congo=2", "data": event_of(world.failed_build("flaky"))}
        retry = deliver(s, cloud, traceparent=PARENT, tracestate="rojo=1", **{"Content-Type": "application/cloudevents+json"})
        equal(reach(s, retry, "recovered")["trace_id"], TRACE.replace("4bf9", "5bf9"))
        _, _, body = reports(sink, retry, 2)[-1]
        equal(body["tracestate"], "congo=2")
    sink.stop()


@both
def a_failing_build_that_recovers_is_one_tree_of_spans(world, kind):
    sink, collector = Sink(), Collector()
    with serving(world, kind, exported(collector, sink, ", headers: [{name: x-key, value: collector-secret}]")) as s:
        build = world.failed_build("flaky", sourceVersion="refs/heads/main")
        retry = deliver(s, event_of(build), traceparent=PARENT, tracestate="rojo=1")
        r = reach(s, retry, "recovered")
        spans = collector.wait(TRACE, "POST /v1/hooks/{source}", "retry", "decide", "CodeBuild/RetryBuild", "build", "report", "report")
        by_id = tree(spans, SPAN)
        equal(len(spans), 7)
        whole, call, child = one(spans, "retry"), one(spans, "CodeBuild/RetryBuild"), one(spans, "build")
        a = attributes(whole)
        equal((a["cicd.pipeline.name"], a["cicd.pipeline.run.id"], a["cicd.pipeline.result"]), ("flaky", build["id"], "success"))
        equal((a["cloud.account.id"], a["cloud.region"], a["retrybuild.retry.id"], a["retrybuild.decision.rule"]),
              (r["account"], r["region"], retry, "infrastructure"))
        equal((whole["status"], whole["kind"], whole["traceState"]), ({"code": 1}, 1, "rojo=1"))
        equal([e["name"] for e in whole["events"]], [h["state"] for h in r["history"]])
        equal(by_id[whole["parentSpanId"]]["name"], "POST /v1/hooks/{source}")
        equal((call["kind"], attributes(call)["rpc.method"], call["status"]["code"]), (3, "RetryBuild", 0))
        equal(attributes(child)["cicd.pipeline.run.id"], r["child"]["id"])
        for _, headers, body in reports(sink, retry, 2):  # each names the span of its own post
            span = by_id[W3C.fullmatch(headers["traceparent"]).group(2)]
            equal((span["name"], attributes(span)["retrybuild.stage"]), ("report", {"running": "started", "recovered": "finished"}[body["data"]["state"]]))
            equal(attributes(span)["http.response.status_code"], 200)
        equal(collector.resources[0]["service.name"], "retrybuild")
        equal(sorted(collector.resources[0]), ["service.instance.id", "service.name", "service.version"])
        equal({h["x-key"] for _, _, _, h, _ in collector.seen}, {"collector-secret"})
        for secret in ("collector-secret", KEY, TOKEN, "secret-path", "no capacity"):
            equal([b for b in collector.bodies if secret in b], [])
        equal("collector-secret" in s.log.read_text(), False)
        wait_until("they are counted", lambda: spans_total(s, "exported") >= 7)
    collector.stop()
    sink.stop()


def spans_total(s, result):
    found = re.search(rf'retrybuild_spans_total{{result="{result}"}} (\S+)', s.request("GET", "/metrics")[2])
    return float(found.group(1)) if found else 0.0


@case
def further_attempts_hang_below_the_first(world):
    sink, collector = Sink(), Collector()
    with serving(world, "sqlite", exported(collector, sink)) as s:
        first = deliver(s, event_of(world.failed_build("stubborn")))
        unsampled = deliver(s, event_of(world.failed_build("flaky")), traceparent=UNSAMPLED)
        r = reach(s, first, "failed_again")
        later = wait_until("the next attempt", lambda: [x for x in s.retries() if x["chain"] == r["chain"] and x["id"] != first])[0]["id"]
        reach(s, later, "failed_again")
        spans = collector.wait(r["trace_id"], "retry", "retry", *["report"] * 4)
        by_id = tree(spans)
        below = one(spans, "retry", retry_id=later)
        equal(by_id[below["parentSpanId"]], one(spans, "retry", retry_id=first))
        equal(below["status"]["code"], 2)
        equal(attributes(below)["error.type"], "failed_again")
        equal(len([s for s in spans if s["name"] == "CodeBuild/RetryBuild"]), 2)
        reach(s, unsampled, "recovered")  # not recorded, and told on as it came
        equal({h["traceparent"] for _, h, _ in reports(sink, unsampled, 2)}, {UNSAMPLED})
        equal(s.stop(), 0)  # what has gathered is posted
        equal(collector.of(TRACE), [])
        equal(len(collector.of(r["trace_id"])), len(spans))
    collector.stop()
    sink.stop()


@both
def a_restart_between_admission_and_call_keeps_the_trace(world, kind):
    collector = Collector()
    rule = "rules: [{name: later, when: {phase: [PROVISIONING]}, then: retry, delay: {fixed: 1500ms}}]\n"
    more = f'{rule}network: {{allow: ["127.0.0.1/32"]}}\ntelemetry: {{otlp_endpoint: "{collector.url}/", service_name: ci}}\n'
    with serving(world, kind, more) as s:
        person = {"Authorization": f"Bearer {TOKEN}", "traceparent": PARENT}
        status, _, text = s.request("POST", "/v1/retries", {"id": world.failed_build("flaky")["arn"]}, person)
        equal(status, 202, text)
        asked = json.loads(text)
        retry = deliver(s, event_of(world.failed_build("flaky")))
        trace = s.api("GET", f"/v1/retries/{retry}")[1]["trace_id"]
        equal(s.stop(), 0)
        s.start()
        reach(s, retry, "recovered")
        spans = collector.wait(trace, "POST /v1/hooks/{source}", "retry", "decide", "CodeBuild/RetryBuild", "build")
        tree(spans)
        reach(s, asked["id"], "recovered")
        spans = collector.wait(TRACE, "POST /v1/retries", "retry", "inspect", "decide", "CodeBuild/RetryBuild", "build")
        tree(spans, SPAN)
        equal(asked["trace_id"], TRACE)
    equal(len({r["service.instance.id"] for r in collector.resources}), 2)
    equal({r["service.name"] for r in collector.resources}, {"ci"})
    collector.stop()


@case
def a_collector_in_trouble_costs_no_retry(world):
    sink, collector = Sink(), Collector()
    collector.hold = threading.Event()
    with serving(world, "sqlite", exported(collector, sink, ", timeout: 30s")) as s:
        retry = deliver(s, event_of(world.failed_build("flaky")), traceparent=PARENT)
        reach(s, retry, "recovered")
        wait_until("the collector holds a request", lambda: collector.held)
        collector.answers = [(429, {"Retry-After": "0"}, {}), (503, {"Retry-After": "0"}, {}), (200, {}, {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "too old"}})]
        collector.hold.set()
        spans = collector.wait(TRACE, "retry", "report", "report")
        tree(spans, SPAN)
        equal([x[1] for x in collector.seen][:3], [429, 503, 200])
        equal(len({x[4] for x in collector.seen[:3]}), 1)  # the same each time
        wait_until("they are counted", lambda: spans_total(s, "rejected") == 1 and spans_total(s, "exported") == len(spans) - 1)
        equal((len(logged_any(s, "telemetry.failing")), len(logged_any(s, "telemetry.back")), len(logged_any(s, "telemetry.rejected"))), (1, 1, 1))
        collector.stop()  # down
        retry = deliver(s, event_of(world.failed_build("flaky")), traceparent=PARENT)
        reach(s, retry, "recovered")
        reports(sink, retry, 2)
        wait_until("it is noticed", lambda: len(logged_any(s, "telemetry.failing")) == 2)
        started = time.monotonic()
        equal(s.stop(), 0)
        equal(time.monotonic() - started < 10, True)
    sink.stop()


def official(build):
    """The folder with the generated types of OTLP that OpenTelemetry's JavaScript client has, and nothing else of it; or None and why not."""
    folder, why = js_client.installed(build, "otlp-js", ("protobufjs@7.5.4",))
    if folder is None or (folder / "root.js").exists():
        return folder, why
    r = subprocess.run(["npm", "pack", "--silent", "@opentelemetry/otlp-transformer@0.208.0"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    if r.returncode != 0:
        return None, f"npm has not got the types: {r.stderr.strip()[-200:]}"
    with tarfile.open(folder / r.stdout.split()[-1]) as t:
        (folder / "root.js").write_bytes(t.extractfile("package/build/src/generated/root.js").read())
    return folder, ""


@case
def the_official_types_know_all_of_it(world):
    if service.PATIENCE > 2:
        return  # once, in the plain build
    folder, why = official(world.build)
    if folder is None:
        print(f"skipped: {why}")
        return
    if not BODIES:
        further_attempts_hang_below_the_first(world)
    file = folder / "requests.jsonl"
    file.write_text("\n".join(BODIES) + "\n", encoding="utf-8")
    for answer in js_client.told(folder, "otlp_js.mjs", str(file)):
        equal((answer["wrong"], answer["same"]), (None, True), answer)


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
