#!/usr/bin/python3
"""The REST API of a real `retrybuild serve`: tokens and roles, asking for retries, lists, verbs, problems, metrics; on both stores."""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from raw_http import exchange, request  # noqa: E402
from service import ACCOUNT, REGION, TOKEN, failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

NOWHERE = "http://127.0.0.1:9"
VIEWER = f"viewer-{TOKEN}"
EXTRA = "workers: {submit: 0, report: 1}\nrules: [{name: ask-first, when: {project: [held-*]}, then: ask}]\n"


class World:
    def __init__(self, build):
        binary = build / "cmd/retrybuild/retrybuild"
        self.redis = service.Redis("no")
        self.services = {"sqlite": service.Service(binary, "sqlite:api.db", NOWHERE, extra=EXTRA, timing="{}").start(),
                         "redis": service.Service(binary, self.redis.url, NOWHERE, extra=EXTRA, timing="{}").start()}

    def stop(self):
        try:
            for name, s in self.services.items():
                equal(s.stop(), 0, f"exit status on {name}")
        finally:
            self.redis.stop()


def on_both(function):
    """The case once for each store."""
    def both(world):
        for name, s in world.services.items():
            try:
                function(s)
            except AssertionError as e:
                raise AssertionError(f"on {name}: {e}") from e
    both.__name__ = function.__name__
    return case(both)


def build_id(project="app"):
    return f"{project}:{service.uuid.uuid4()}"


def ask(s, body, token=TOKEN, **headers):
    """(status, headers, JSON) of POST /v1/retries."""
    status, found, text = s.request("POST", "/v1/retries", body, {"Authorization": f"Bearer {token}", **headers})
    return status, found, json.loads(text)


def problem(got, status, *words):
    equal(got[0], status, got)
    equal(got[1]["status"], status, got)
    equal(sorted(got[1]), ["detail", "status", "title", "type"], got)
    for word in words:
        equal(word in got[1]["detail"], True, f"{word!r} in {got}")


# ---- who may do what ----

@on_both
def without_a_token_everything_of_the_api_is_401(s):
    texts = set()
    for method, path in (("GET", "/v1/retries"), ("GET", "/v1/retries/x"), ("POST", "/v1/retries"), ("POST", "/v1/retries/x/cancel"), ("POST", "/v1/pause"),
                         ("POST", "/v1/resume")):
        for headers in ({}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer wrong"},
                        {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Bearer {TOKEN[:-1]}"}):
            status, found, text = s.request(method, path, "{}" if method == "POST" else None, headers)
            equal(status, 401, (method, path, headers))
            equal(found["WWW-Authenticate"], "Bearer")
            texts.add(text)
    equal(len(texts), 1, texts)


@on_both
def two_authorization_headers_are_not_accepted(s):
    data = request("GET", "/v1/retries", [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other"), ("Connection", "close")])
    equal(exchange(s.port, data)[0].status, 401)


@on_both
def a_viewer_reads_and_is_403_where_something_happens(s):
    equal(s.api("GET", "/v1/retries", token=VIEWER)[0], 200)
    for path in ("/v1/retries", "/v1/pause", "/v1/resume", "/v1/retries/x/cancel", "/v1/retries/x/approve", "/v1/retries/x/deny", "/v1/retries/x/requeue"):
        problem(s.api("POST", path, {}, token=VIEWER), 403, "eyes", "operator")


@on_both
def the_scheme_is_read_in_any_case(s):
    status, _, _ = s.request("GET", "/v1/retries", None, {"Authorization": f"bearer {TOKEN}"})
    equal(status, 200)


# ---- asking for a retry ----

@on_both
def a_build_is_retried_on_request(s):
    build = build_id()
    status, _, r = ask(s, {"id": build, "account": ACCOUNT, "reason": "flaky network"})
    equal(status, 202, r)
    equal((r["project"], r["account"], r["region"], r["requested_by"]), ("app", ACCOUNT, REGION, "ops"))
    equal(r["source"]["name"], "api")
    equal(r["source"]["type"], "api")
    equal(r["build"]["id"], build)
    equal(r["chain"][:4], "chn_")
    equal(r["child"], None)
    equal(r["history"][0]["state"], r["state"])
    status, shown = s.api("GET", f"/v1/retries/{r['id']}")
    equal(status, 200)
    equal(shown["id"], r["id"])
    members = {"id", "state", "chain", "attempt", "limit", "project", "account", "region", "build", "child", "source", "deliveries", "repository", "commit", "branch",
               "pull_request", "decision", "requested_by", "duplicates", "created_at", "due_at", "submitted_at", "finished_at", "reports", "history"}
    equal(members - set(shown), set(), "members that are missing")
    equal(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["created_at"]) is not None, True, shown["created_at"])


@on_both
def an_arn_says_account_and_region(s):
    arn = f"arn:aws:codebuild:eu-west-1:210987654321:build/{build_id('other')}"
    status, _, r = ask(s, {"id": arn})
    equal((status, r["account"], r["region"]), (202, "210987654321", "eu-west-1"), r)
    status, _, r = ask(s, {"id": arn, "account": ACCOUNT})
    problem((status, r), 400, "another account")


@on_both
def the_same_build_again_is_the_retry_that_lives(s):
    body = {"id": build_id(), "account": ACCOUNT}
    _, _, first = ask(s, body)
    status, headers, again = ask(s, body)
    equal((status, headers["Idempotent-Replayed"], again["id"]), (200, "true", first["id"]))


@on_both
def one_token_is_one_retry_and_a_mismatch_is_422(s):
    token = str(service.uuid.uuid4())
    body = {"id": build_id(), "account": ACCOUNT, "idempotencyToken": token}
    status, _, first = ask(s, body)
    equal(status, 202, first)
    equal(ask(s, body)[0], 200)
    status, headers, again = ask(s, {"id": body["id"], "account": ACCOUNT}, **{"Idempotency-Key": token})
    equal((status, headers["Idempotent-Replayed"], again["id"]), (200, "true", first["id"]))
    status, _, r = ask(s, {**body, "id": build_id()})
    problem((status, r), 422, "token")
    status, _, r = ask(s, {"id": build_id("third"), "account": ACCOUNT}, **{"Idempotency-Key": token})
    problem((status, r), 422, "token")


@on_both
def two_different_tokens_in_one_request_are_refused(s):
    status, _, r = ask(s, {"id": build_id(), "account": ACCOUNT, "idempotencyToken": "a"}, **{"Idempotency-Key": "b"})
    problem((status, r), 400, "differ")


@on_both
def what_is_wrong_in_a_request_is_said(s):
    good = build_id()
    bad = [("", "JSON"), ("[]", "object"), ("1", "object"), ("{", ""), ("[" * 2000, ""), ({}, "'id' is missing"), ({"id": ""}, "'id'"), ({"id": 5}, "'id'"),
           ({"id": None}, "'id' is missing"), ({"id": "noproject"}, "'id'"), ({"id": "a b:c"}, "'id'"), ({"id": "p:" + "x" * 600}, "'id'"),
           ({"id": "arn:aws:s3:::bucket"}, "'id'"), ({"id": good, "force": "yes"}, "'force'"), ({"id": good, "reason": "r" * 501}, "'reason'"),
           ({"id": good, "region": 1}, "'region'"), ({"id": good, "account": "1234567890123"}, "'account'"), ({"id": good, "idempotencyToken": ""}, "'idempotencyToken'"),
           ({"id": good, "idempotencyToken": "t" * 257}, "'idempotencyToken'"), ({"id": good, "idempotencytoken": "t"}, "did you mean 'idempotencyToken'"),
           ({"id": good, "colour": "red"}, "unknown member 'colour'"), ({"id": good, "region": "Not A Region"}, "region"), ({"id": good, "account": "12x"}, "account")]
    for body, word in bad:
        status, _, r = ask(s, body)
        problem((status, r), 400, word)
    status, _, r = ask(s, {"id": good}, **{"Idempotency-Key": "k" * 300})
    problem((status, r), 400, "Idempotency-Key")


@on_both
def a_callback_that_points_inside_is_422(s):
    for url in ("http://169.254.169.254/latest", "http://127.0.0.1:1/", "http://[::1]/", "http://10.0.0.1/", "ftp://example.org/", "not a url", "http://0x7f000001/"):
        status, _, r = ask(s, {"id": build_id(), "account": ACCOUNT, "callback_url": url})
        problem((status, r), 422, "callback_url")


# ---- lists ----

@on_both
def lists_are_filtered_and_paged(s):
    project = f"list-{service.uuid.uuid4().hex[:6]}"
    made = [ask(s, {"id": build_id(project), "account": ACCOUNT})[2]["id"] for _ in range(7)]
    pages, cursor = [], ""
    while True:
        status, page = s.api("GET", f"/v1/retries?project={project}&limit=3{cursor}")
        equal(status, 200, page)
        pages.append([r["id"] for r in page["retries"]])
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"
    equal([len(p) for p in pages], [3, 3, 1])
    equal(sorted(i for p in pages for i in p), sorted(made))
    equal([i for p in pages for i in p], sorted(made, reverse=True), "newest first")
    for query, count in ((f"project={project}&source=api", 7), (f"project={project}&source=eventbridge", 0), (f"project={project}&since=1h", 7),
                         (f"project={project}&since=2099-01-01T00:00:00Z", 0), (f"project={project}&state=recovered", 0), ("project=none-of-this-name", 0)):
        status, page = s.api("GET", f"/v1/retries?{query}")
        equal((status, len(page["retries"]), page["next"]), (200, count, None), query)


@on_both
def bad_filters_are_400_and_say_what_is_right(s):
    for query, word in (("state=broken", "'broken' is not a state"), ("state=heldd", "did you mean 'held'?"), ("limit=0", "1 to 200"), ("limit=201", "1 to 200"), ("limit=many", "1 to 200"),
                        ("limit=-1", "1 to 200"), ("since=yesterday", "duration"), ("cursor=nonsense", "cursor"), ("cursor=%00", ""), ("colour=red", "unknown filter 'colour'"),
                        ("state=", "is not a state"), ("cursor=" + "x" * 500, "cursor"), ("state=held&state=dead", "once")):
        problem(s.api("GET", f"/v1/retries?{query}"), 400, word)


# ---- verbs ----

@on_both
def unknown_ids_are_404(s):
    ids = ("x", "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "chn_01ARZ3NDEKTSV4RRFFQ69G5FAV", "rty_", "rty_%2e%2e", "r" * 300, "rty_01ARZ3NDEKTSV4RRFFQ69G5FA%00", "%ff")
    for i in ids:
        problem(s.api("GET", f"/v1/retries/{i}"), 404)
        for verb in ("cancel", "approve", "deny", "requeue"):
            problem(s.api("POST", f"/v1/retries/{i}/{verb}"), 404)


@on_both
def a_retry_is_cancelled_once(s):
    _, _, r = ask(s, {"id": build_id(), "account": ACCOUNT})
    status, after = s.api("POST", f"/v1/retries/{r['id']}/cancel")
    equal((status, after["state"]), (200, "cancelled"), after)
    equal(after["history"][-1]["state"], "cancelled")
    for verb in ("cancel", "approve", "deny"):
        problem(s.api("POST", f"/v1/retries/{r['id']}/{verb}"), 409)


@on_both
def a_held_retry_is_approved_or_denied(s):
    for verb, states in (("approve", ("scheduled",)), ("deny", ("cancelled",))):
        event = failure_event(build_id("held-app"))
        status, _, text = s.deliver(event)
        equal(status, 202, text)
        i = json.loads(text)["retry"]
        equal(s.api("GET", f"/v1/retries/{i}")[1]["state"], "held")
        status, after = s.api("POST", f"/v1/retries/{i}/{verb}")
        equal((status, after["state"] in states), (200, True), after)


@on_both
def pause_and_resume_answer_what_they_did(s):
    equal(s.api("POST", "/v1/pause", {"project": "app"}), (200, {"paused": True, "project": "app"}))
    equal(s.api("POST", "/v1/resume", {"project": "app"}), (200, {"paused": False, "project": "app"}))
    equal(s.api("POST", "/v1/pause"), (200, {"paused": True, "project": None}))
    equal(s.api("POST", "/v1/resume", {}), (200, {"paused": False, "project": None}))
    for body in ("[]", "1", "{", {"project": 5}, {"project": ""}, {"project": "x" * 300}, {"projekt": "a"}):
        equal(s.api("POST", "/v1/pause", body)[0], 400, body)


@on_both
def an_ignored_failure_is_200_with_its_reason(s):
    status, _, text = s.deliver(failure_event(build_id(), phase="BUILD", message="exit status 2"))
    answer = json.loads(text)
    equal((status, answer["status"]), (200, "ignored"), text)
    equal(bool(answer["reason"]), True, text)
    equal(s.api("GET", f"/v1/retries/{answer['retry']}")[1]["decision"]["action"], "ignore")


# ---- probes and metrics ----

@on_both
def probes_answer_without_a_token(s):
    equal(s.request("GET", "/livez")[0], 200)
    equal(s.request("GET", "/readyz")[0], 200)


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
ALLOWED_LABELS = {"source", "result", "action", "rule", "outcome", "state", "kind", "operation", "destination", "project", "scope", "version", "revision", "le"}
CONTRACT = {
    "deliveries_total", "delivery_duration_seconds", "signature_failures_total", "decisions_total", "retries_total", "retries", "tasks", "oldest_task_age_seconds",
    "codebuild_requests_total", "codebuild_request_duration_seconds", "reports_total", "store_up", "store_batch_size", "config_last_reload_successful", "build_info"}


@on_both
def metrics_read_as_prometheus_text(s):
    status, headers, text = s.request("GET", "/metrics")
    equal(status, 200)
    equal(headers["Content-Type"].startswith("text/plain; version=0.0.4"), True)
    kinds, helps, seen, buckets = {}, set(), set(), {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helps.add(line.split(" ", 3)[2])
            equal(len(line.split(" ", 3)) == 4, True, line)
        elif line.startswith("# TYPE "):
            name, kind = line.split(" ")[2:4]
            equal(name in kinds, False, f"{name} has two types")
            kinds[name] = kind
            equal(kind in ("counter", "gauge", "histogram"), True, line)
        else:
            m = SAMPLE.fullmatch(line)
            equal(m is not None, True, f"bad line {line!r}")
            name, labels, value = m.groups()
            base = re.sub(r"_(bucket|sum|count)$", "", name) if re.sub(r"_(bucket|sum|count)$", "", name) in kinds else name
            equal(base in kinds and base in helps, True, f"{line!r} has no TYPE and HELP before it")
            equal((name, labels) in seen, False, f"{line!r} twice")
            seen.add((name, labels))
            float(value)
            found = dict(re.findall(r'(\w+)="([^"]*)"', labels or ""))
            equal(set(found) - ALLOWED_LABELS, set(), line)
            if name.endswith("_bucket"):
                key = (base, tuple(sorted((k, v) for k, v in found.items() if k != "le")))
                equal(float(value) >= buckets.get(key, 0), True, f"{line!r} falls")
                buckets[key] = float(value)
            if kinds[base] == "counter":
                equal(base.endswith("_total"), True, base)
    for name in kinds:
        equal(name.startswith("retrybuild_"), True, name)
    equal({f"retrybuild_{n}" for n in CONTRACT} - set(kinds), set(), "names that are missing")
    equal("retrybuild_store_up 1" in text, True)
    equal(re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text), None, "an id in a label")


@on_both
def the_gauges_of_states_follow_the_store(s):
    def waiting():
        found = re.search(r'retrybuild_retries\{state="scheduled"\} (\S+)', s.request("GET", "/metrics")[2])
        return float(found.group(1)) if found else None
    ask(s, {"id": build_id("gauge"), "account": ACCOUNT})
    _, page = s.api("GET", "/v1/retries?state=scheduled&limit=200")
    wait_until("the gauge says what the list says", lambda: waiting() is not None and waiting() >= min(1, len(page["retries"])), 20)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
