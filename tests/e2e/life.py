"""A world for tests of the whole: the simulator with its projects, services on either store, a receiver of reports."""
import base64
import contextlib
import json

import service
import sim_harness
from catcher import Receiver
from service import failure_event, wait_until
from sim_harness import equal

SCRIPT = """
projects:
  - {name: flaky, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]}
  - {name: stubborn, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}]}
  - {name: broken, outcomes: [{status: FAILED, phase: BUILD, exit_code: 2, message: "tests failed"}]}
  - {name: slow, outcomes: [{status: TIMED_OUT, phase: BUILD}, {status: SUCCEEDED}]}
  - {name: steady}
  - {name: refused-database, outcomes: [{status: FAILED, phase: BUILD, exit_code: 1, log: "connect ECONNREFUSED 10.0.0.7:5432"}, {status: SUCCEEDED}]}
  - {name: endless, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {durations: {BUILD: 30d}}]}
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""
SIGNING = base64.b64encode(b"webhook signing key of the tests").decode()
FAST_RULE = "{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {fixed: 0s}}"


class Sink(Receiver):
    """A receiver of reports; answers from a list, then 200; keeps what came."""

    def __init__(self):
        self.got, self.answers = [], []
        super().__init__(self.take)
        self.url = f"{self.root}/reports/secret-path"

    def take(self, request, body):
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        self.got.append((status, dict(request.headers), body))
        return status, headers

    def of(self, retry_id):
        found = [(s, h, json.loads(b)) for s, h, b in list(self.got)]
        return [(s, h, b) for s, h, b in found if b["data"]["id"] == retry_id]


class World:
    def __init__(self, build):
        self.build = build
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        self.client = self.sim.client()

    def failed_build(self, project, **args):
        build_id = self.client.start_build(projectName=project, **args)["build"]["id"]
        return wait_until(f"{project} failed", lambda: self.ended(build_id))

    def ended(self, build_id):
        b = self.client.batch_get_builds(ids=[build_id])["builds"][0]
        return b if b["buildStatus"] != "IN_PROGRESS" else None

    @contextlib.contextmanager
    def serving(self, kind="sqlite", extra="", timing=service.FAST, edit=None):
        redis = service.Redis() if kind == "redis" else None
        url = redis.url if redis else "sqlite:life.db" if kind == "sqlite" else kind
        s = service.Service(self.build / "cmd/retrybuild/retrybuild", url, self.sim.url, extra, timing)
        if edit:
            s.config.write_text(edit(s.config.read_text()))
        try:
            yield s.start()
        except BaseException:
            print(s.tail())
            raise
        finally:
            if s.proc and s.proc.poll() is None:
                s.stop()
            if redis:
                redis.stop()

    def effects_of(self, build_id):
        return [e for e in self.sim.effects("RetryBuild") if e["parent"].split("build/")[-1] == build_id]


def event_of(build, **more):
    """The event of a build that the simulator has ended."""
    bad = [p for p in build["phases"] if p.get("phaseStatus") not in (None, "SUCCEEDED")]
    context = (bad[0].get("contexts") or [{}])[0] if bad else {}
    message = f"{context.get('statusCode', '')}: {context.get('message', '')}"
    return failure_event(build["id"], build["buildNumber"], build["buildStatus"], bad[0]["phaseType"] if bad else "BUILD", message, build.get("sourceVersion"), **more)


def deliver(s, event, expected=202):
    status, headers, text = s.deliver(event)
    equal(status, expected, text)
    return headers, json.loads(text)


def reach(s, retry_id, state, timeout=20):
    def look():
        _, r = s.api("GET", f"/v1/retries/{retry_id}")
        if r["state"] in service.TERMINAL and r["state"] != state:
            raise AssertionError(f"ended as {r['state']}: {[(h['state'], h['note']) for h in r['history']]}")
        return r if r["state"] == state else None
    try:
        return wait_until(f"{retry_id} is {state}", look, timeout)
    except AssertionError:
        print([(h["at"], h["state"], h["note"]) for h in s.api("GET", f"/v1/retries/{retry_id}")[1]["history"]])
        raise
