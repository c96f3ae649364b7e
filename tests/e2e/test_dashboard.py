#!/usr/bin/python3
"""The dashboard as people use it: a headless Chromium logs in, watches a failure recover, approves, denies, requeues, on a desktop and a
phone, in light and dark; axe-core looks at every view; what senders write stays text. Screenshots stay in BUILD/dashboard.

Chromium is Debian's; playwright-core and axe-core come by npm into the build folder. Where either cannot be had, the script says so."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from cases import case  # noqa: E402
from sim_harness import equal  # noqa: E402

PACKAGES = ("playwright-core@1.65.1", "axe-core@4.14.1")
SECONDS = 150
EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"
SCRIPT = """
projects:
  - {name: recovers, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]}
  - {name: dies, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]}
  - {name: asks, outcomes: [{status: TIMED_OUT, phase: BUILD}, {status: SUCCEEDED}]}
  - {name: broken, outcomes: [{status: FAILED, phase: BUILD, exit_code: 2, message: "tests failed"}]}
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""
MISMATCH = {"operation": "RetryBuild", "error": "InvalidInputException", "message": "The idempotency token belongs to other parameters"}
TIMING = service.FAST.replace("sweep_every: 3s", "sweep_every: 1h")  # only what the steps deliver


class Stage(life.World):
    """What the browser's script asks for is done here."""

    def __init__(self, build):  # pylint: disable=super-init-not-called
        self.build = build
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        self.client = self.sim.client()
        self.sink = life.Sink()
        self.n = 0

    def fail(self, s, project):
        self.n += 1
        if project == "dies":
            self.sim.faults(MISMATCH)
        build = self.failed_build(project, sourceVersion=f"refs/heads/topic-{self.n}")
        _, answer = life.deliver(s, life.event_of(build))
        if project == "dies":
            life.reach(s, answer["retry"], "dead")
            self.sim.faults()
        return {"id": answer["retry"], "name": project, "number": f"#{build['buildNumber']}"}

    def evil(self, s):
        build = "broken:0badc0de-1111-2222-3333-444444444444"
        event = service.failure_event(build, 7, phase="BUILD", message=EVIL, source_version=f"refs/heads/{EVIL}")
        more = event["detail"]["additional-information"]
        more["initiator"] = EVIL
        more["source"] = {"type": EVIL, "location": f"javascript:alert(3)//{EVIL}"}
        more["logs"] = {"deep-link": "javascript:alert(4)", "group-name": EVIL, "stream-name": EVIL}
        event["id"] = EVIL
        _, _, text = s.deliver(event)
        return {"id": json.loads(text)["retry"]}

    def do(self, s, asked):
        if asked["do"] == "fail":
            return self.fail(s, asked["as"])
        if asked["do"] == "evil":
            return self.evil(s)
        if asked["do"] == "reached":
            return {"state": life.reach(s, asked["id"], asked["state"])["state"]}
        equal(asked["do"], "stop")
        s.stop()
        return {}


def played(stage, s, folder, shots):
    """The verdicts of the browser's script."""
    told = {"url": f"http://127.0.0.1:{s.port}", "operator": service.TOKEN, "viewer": f"viewer-{service.TOKEN}", "shots": str(shots),
            "patience": service.PATIENCE, "evil": EVIL, "browser": shutil.which("chromium")}
    node = subprocess.Popen(["node", str(js_client.HERE / "dashboard.mjs"), json.dumps(told)], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=sys.stdout, text=True, env={**os.environ, "NODE_PATH": str(folder / "node_modules")})
    timer = threading.Timer(SECONDS * service.PATIENCE, node.kill)
    timer.start()
    try:
        for line in node.stdout:
            asked = json.loads(line)
            if "checks" in asked:
                return asked["checks"]
            node.stdin.write(json.dumps(stage.do(s, asked)) + "\n")
            node.stdin.flush()
        raise AssertionError("the browser's script ended early")
    finally:
        timer.cancel()
        node.kill()
        node.communicate()


@case
def people_work_with_it_on_every_screen(stage):
    folder, why = js_client.installed(stage.build, "js-dashboard", PACKAGES)
    if folder is None or shutil.which("chromium") is None:
        raise cases.Skipped(why or "chromium is not installed")
    shots = stage.build.resolve() / "dashboard"
    shots.mkdir(exist_ok=True)
    extra = (f"rules: [{life.FAST_RULE}]\nnetwork: {{allow: [127.0.0.1/32]}}\n"
             f"destinations: [{{name: ci, type: webhook, url: \"{stage.sink.url}\", secrets: [{{value: {life.SIGNING}}}], stages: [held, started, finished, refused]}}]\n")
    with stage.serving("sqlite", extra, TIMING) as s:
        checks = played(stage, s, folder, shots)
        equal([name for name, error in checks if error is not None], [])
        assert len(checks) >= 20, f"only {len(checks)} checks"
        assert len(list(shots.glob("*.png"))) >= 36, "screenshots are missing"


def teardown(stage):
    stage.sim.stop()
    stage.sink.stop()


if __name__ == "__main__":
    cases.main(__doc__, Stage, teardown)
