#!/usr/bin/python3
"""What an operator watches: the metrics of a service at work pass promtool, alerts fire for what they are about, the runbook knows every event."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
import yaml  # noqa: E402
from cases import case  # noqa: E402
from service import KEY, failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/monitoring"
# name, type, labels: the contract
METRICS = """
deliveries_total counter source result
delivery_duration_seconds histogram
signature_failures_total counter source
decisions_total counter action rule
retries_total counter outcome
retries gauge state
tasks gauge kind
oldest_task_age_seconds gauge kind
codebuild_requests_total counter operation result
codebuild_request_duration_seconds histogram operation
reports_total counter destination result
budget_remaining gauge project
breaker_open gauge scope
store_up gauge
store_batch_size histogram
config_last_reload_successful gauge
build_info gauge version revision
"""
RESULTS = {"deliveries_total": {"accepted", "duplicate", "ignored", "refused", "unauthorized", "invalid", "mismatch", "overloaded", "unavailable"},
           "codebuild_requests_total": {"ok", "throttled", "refused", "transient", "ambiguous"}}
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def contract():
    rows = [line.split() for line in METRICS.strip().splitlines()]
    return {f"retrybuild_{r[0]}": (r[1], set(r[2:])) for r in rows}


def samples(text):
    """(name, labels, value) of each line that is no comment."""
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            yield name, dict(LABEL.findall(labels or "")), float(value)


def promtool(*args, text=None):
    r = subprocess.run(["promtool", *args], input=text, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    return r.returncode, r.stdout + r.stderr


def exercise(world, s, sink):
    """One of everything that a metric counts; the failed build whose retry recovered, and what its payload named."""
    failed = world.failed_build("flaky")
    life.deliver(s, life.event_of(failed))
    s.deliver(life.event_of(failed))
    s.deliver(failure_event(f"app:{service.uuid.uuid4()}", phase="BUILD", message="tests failed"))
    s.deliver(failure_event(f"app:{service.uuid.uuid4()}"), key="wrong")
    s.request("POST", "/v1/hooks/eventbridge", "{", {"x-retrybuild-key": KEY})
    r = s.retries("state=recovered")
    if not r:
        r = wait_until("it recovered", lambda: s.retries("state=recovered"))
    wait_until("it was reported", lambda: sink.of(r[0]["id"]))
    return failed


class World:
    def __init__(self, build):
        self.life = life.World(build)
        self.sink = life.Sink()
        self.text = self.failed = None
        extra = (f"rules: [{life.FAST_RULE}]\nnetwork: {{allow: [127.0.0.1/32]}}\n"
                 f"destinations: [{{name: ci, type: webhook, url: '{self.sink.url}', secrets: [{{value: whsec_{life.SIGNING}}}]}}]\n"
                 "budgets: {per_project: {ratio: 0, floor_per_hour: 50}}\nbreaker: {minimum: 5}\n")
        with self.life.serving(extra=extra) as s:
            self.failed = exercise(self.life, s, self.sink)
            wanted = ("budget_remaining{", "breaker_open{", 'tasks{kind="submit"}', 'reports_total{destination="ci",result="delivered"}')
            wait_until("the gauges are there", lambda: all(f"retrybuild_{w}" in s.request("GET", "/metrics")[2] for w in wanted))
            self.text = s.request("GET", "/metrics")[2]

    def stop(self):
        self.sink.stop()
        self.life.sim.stop()


@case
def metrics_of_a_service_at_work_pass_promtool(w):
    status, told = promtool("check", "metrics", text=w.text)
    equal((status, told), (0, ""))


@case
def metrics_have_the_names_types_and_labels_of_the_contract(w):
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", w.text, re.M))
    seen = {}
    for name, labels, _ in samples(w.text):
        family = name if name in types else re.sub(r"_(bucket|sum|count)$", "", name)
        seen.setdefault(family, set()).update(set(labels) - {"le"})
    for name, (kind, labels) in contract().items():
        equal((name, types.get(name)), (name, kind))
        equal((name, seen.get(name)), (name, labels))


@case
def results_are_words_of_the_contract(w):
    for name, words in RESULTS.items():
        found = {labels["result"] for n, labels, _ in samples(w.text) if n == f"retrybuild_{name}"}
        equal(found - words, set(), name)
    got = {(labels["source"], labels["result"]): v for n, labels, v in samples(w.text) if n == "retrybuild_deliveries_total"}
    for result in ("accepted", "duplicate", "ignored", "unauthorized", "invalid"):
        equal(got[("eventbridge", result)], 1.0, result)


@case
def no_label_names_a_build_a_person_or_a_repository(w):
    build = w.failed["id"].split(":")[1]
    for word in (build, w.failed["arn"], "rty_", "ci-user", "github.com", "example-org", KEY, service.TOKEN):
        equal(word in w.text, False, word)


@case
def rules_are_good_and_fire_for_what_they_are_about(w):
    status, told = promtool("check", "rules", "alerts.yaml")
    equal(status, 0, told)
    status, told = promtool("test", "rules", "alerts_test.yaml")
    equal(status, 0, told)
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text())["tests"]
    fired = {a["alertname"] for t in tests for a in t["alert_rule_test"] if a["exp_alerts"]}
    silent = {a["alertname"] for t in tests for a in t["alert_rule_test"] if not a["exp_alerts"]}
    equal((fired, silent), (alerts(), alerts()))


def alerts():
    found = {r["alert"] for g in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for r in g["rules"]}
    equal(len(found) >= 15, True, found)
    return found


@case
def alerts_and_dashboard_ask_for_metrics_that_there_are(w):
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", w.text, re.M))
    known = set(types) | {f"{n}_{part}" for n, kind in types.items() if kind == "histogram" for part in ("bucket", "sum", "count")}
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    asked = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    asked += [r["expr"] for g in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for r in g["rules"]]
    names = {n for e in asked for n in re.findall(r"\bretrybuild_\w+", e)}
    equal(names - known, set())
    shown = {n for p in dashboard["panels"] for t in p["targets"] for n in re.findall(r"\bretrybuild_\w+", t["expr"])}
    missing = {n for n in types if not any(s.startswith(n) for s in shown)}
    equal(missing, set(), "metrics that no panel shows")
    rules = [{"record": f"asked:{i}", "expr": e.replace("$job", "x")} for i, e in enumerate(asked)]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "asked.json"
        file.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
        status, told = promtool("check", "rules", str(file))
    equal(status, 0, told)


@case
def panels_have_places_and_numbers_of_their_own(w):
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    equal(len({p["id"] for p in panels}), len(panels))
    taken = set()
    for p in panels:
        g = p["gridPos"]
        equal(g["x"] + g["w"] <= 24, True, p["title"])
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        equal(taken & cells, set(), p["title"])
        taken |= cells


def events_of_the_source():
    """The event names of every call of rb_log, and of the table of a retry's states."""
    found = set()
    for f in [*(ROOT / "lib").rglob("*.c"), *(ROOT / "cmd").rglob("*.c")]:
        text = f.read_text(encoding="utf-8")
        for call in re.findall(r"\brb_log\((.*?);", text, re.S):
            words = re.findall(r'"([a-z_]+(?:\.[a-z_]+)?)"', call.split("RB_F", 1)[0])
            equal(bool(words) or "state_event" in call, True, f"{f}: {call[:80]}")
            found.update(words)
        found.update(re.findall(r'\[RB_STATE_\w+\] = "(retry\.\w+)"', text))
    equal(len(found) >= 60, True, found)
    return found


@case
def the_runbook_has_an_entry_for_each_alert_and_each_event(w):
    text = (FOLDER / "RUNBOOK.md").read_text(encoding="utf-8")
    equal(set(re.findall(r"^### (\w+)$", text, re.M)), alerts())
    entries = re.findall(r"^\| `([a-z_.]+)` \| (.+) \| (.+) \|$", text, re.M)
    equal({e[0] for e in entries}, events_of_the_source())
    for word in re.findall(r"\bRetrybuild[A-Z]\w+", text):
        equal(word in alerts(), True, word)


@case
def the_runbook_links_of_alerts_lead_somewhere(w):
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            equal(rule["annotations"]["runbook"], f"RUNBOOK.md#{rule['alert'].lower()}")


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
