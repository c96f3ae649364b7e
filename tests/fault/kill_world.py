"""What surrounds a service that is killed: a simulator at its worst, a store that can be wiped, failures that are delivered until somebody
accepts them, a receiver of reports, and the account of it all at the end."""
import http.client
import json
import pathlib
import random
import threading
import time

import life
import service
import sim_harness

PROJECTS = 12
# What the simulator does to calls. Some of what breaks has had its effect; a call that waits on its way has it when the caller has given up, and
# one that waits longest comes when its signature is too old.
FAULTS = """
  - {operation: RetryBuild, probability: 0.08, lose_reply: true}
  - {operation: RetryBuild, probability: 0.03, half_reply: true}
  - {operation: RetryBuild, probability: 0.04, status: 500, body: empty}
  - {operation: RetryBuild, probability: 0.03, status: 503, body: html, effect: true}
  - {operation: RetryBuild, probability: 0.05, error: ThrottlingException, message: "Rate exceeded"}
  - {operation: RetryBuild, probability: 0.02, reset: true}
  - {operation: RetryBuild, probability: 0.03, delay: 1500ms}
  - {operation: RetryBuild, probability: 0.01, delay: 11s}
  - {operation: RetryBuild, probability: 0.10, latency: 250ms}
  - {operation: BatchGetBuilds, probability: 0.03, status: 503, body: html}
  - {operation: BatchGetBuilds, probability: 0.04, error: ThrottlingException, message: "Rate exceeded"}
  - {operation: ListBuildsForProject, probability: 0.03, error: ThrottlingException, message: "Rate exceeded"}
  - {operation: ListBuildsForProject, probability: 0.02, half_reply: true}
"""
SCRIPT = f"""
projects:
  - {{name: "twice-*", outcomes: [{{status: FAILED, phase: PROVISIONING}}, {{status: FAILED, phase: PROVISIONING}}, {{status: SUCCEEDED}}]}}
  - {{name: "long-*", outcomes: [{{status: FAILED, phase: PROVISIONING}}, {{durations: {{BUILD: 1h}}}}]}}
  - {{name: "*", outcomes: [{{status: FAILED, phase: PROVISIONING, message: "no capacity"}}, {{status: SUCCEEDED}}]}}
durations: {{QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}}
lag: 800ms
token_window: 9s
signature_window: 9s
signature_dates: always
faults: {FAULTS}"""
# In the proportions of the defaults: a call is sent again by several workers, one lease after the other, before its date is too old; the
# quarantine outlives every copy of a call.
TIMING = ("{lease: 1s, resend_window: 8s, token_window: 9s, signature_window: 9s, visibility_grace: 2s, quarantine: 13s, follow_poll: 100ms,"
          " sweep_every: 3s, call_timeout: 1s, report_timeout: 1s, shutdown: 5s}")
# Who starts the builds that fail is not who retries them: what one starts by itself later is never taken for what the other started.
CI_KEY = "AKIASTARTSTHEBUILDS"
# A call whose date passes without a clear answer, and of which nothing shows, is made anew, twice; then the retry is given up as dead, for a person to
# requeue. Kills between mark and wire make that of more calls than any other life; it is to stay rare.
GIVEN_UP = "unknown outcome: three calls got no clear answer and started nothing that shows"
GIVEN_UP_PART = 0.01
# Allowed ends. A build whose source version has a newer one is superseded: after a wipe that is how a forgotten retry shows.
ENDS = {"recovered", "failed_again", "cancelled", "superseded"}


def project_of(n):
    """Most have a commit of their own; some fail twice, run until they are cancelled, or share a branch."""
    kind = {3: "twice", 6: "long", 9: "branch"}.get(n % 10, "app")
    return f"{kind}-{n % PROJECTS}"


PROJECT_NAMES = sorted({project_of(n) for n in range(PROJECTS * 10)})


def settings(sink_url):
    return f"""rules: [{{name: infrastructure, when: {{phase: [PROVISIONING]}}, then: retry, limit: 2, delay: {{list: [0s, 50ms]}}}}]
sweep: {{projects: [{", ".join(PROJECT_NAMES)}]}}
network: {{allow: ["127.0.0.1/32"]}}
destinations: [{{name: hook, type: webhook, url: "{sink_url}", secrets: [{{value: "whsec_{life.SIGNING}"}}], schedule: [100ms]}}]"""


class Store:
    """Either store, and the loss of it."""

    def __init__(self, kind):
        self.kind = kind
        self.redis = service.Redis() if kind == "redis" else None
        self.url = self.redis.url if self.redis else "sqlite:kill.db"

    def wipe(self, services, restart):
        """All memory is gone: FLUSHALL under the living, a Redis that starts again empty, or a file that is deleted while nobody has it open."""
        if self.kind == "sqlite":
            for s in services:
                s.end("wipe")
                for file in pathlib.Path(s.service.folder.name).glob("kill.db*"):
                    file.unlink()
            return "file deleted"
        if not restart:
            if self.redis.cli("FLUSHALL") != "OK":
                raise AssertionError("Redis did not forget")
            return "FLUSHALL"
        self.redis.kill()
        for file in pathlib.Path(self.redis.folder.name).rglob("*"):
            if file.is_file():
                file.unlink()
        self.redis.start()
        return "Redis started empty"

    def stop(self):
        if self.redis:
            self.redis.stop()


class Failures:
    """Makes builds that fail and has them delivered, several at once, each until it is accepted; a few are never delivered, for the sweep."""

    def __init__(self, sim, services, seed):
        self.sim = sim
        self.services = services
        self.rng = random.Random(seed)
        self.lock = threading.Lock()
        self.made = []
        self.delivered = self.undelivered = self.cancels = 0
        self.ends = threading.Event()
        self.threads = []
        self.failed = None
        client = sim.client(CI_KEY, attempts=5)
        for name in PROJECT_NAMES:
            client.create_project(name=name, source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                                  environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
                                  serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")

    def start(self, pace_s, at_once=4):
        self.threads = [threading.Thread(target=self.guarded, args=(self.deliver_on, pace_s * at_once)) for _ in range(at_once)]
        self.threads.append(threading.Thread(target=self.guarded, args=(self.cancel_on, 0.5)))
        for t in self.threads:
            t.start()

    def guarded(self, work, pace_s):
        try:
            client = self.sim.client(CI_KEY, attempts=5)
            while not self.ends.is_set():
                work(client)
                self.ends.wait(pace_s)
        except Exception as e:  # told by stop()
            self.failed = self.failed or e

    def deliver_on(self, client):
        with self.lock:
            n = len(self.made)
            self.made.append(None)
            draw = self.rng.random()
        project = project_of(n)
        version = "main" if project.startswith("branch") else f"{n:040x}"
        build = client.start_build(projectName=project, sourceVersion=version)["build"]
        self.made[n] = build["id"]
        if draw < 0.05:
            self.undelivered += 1
            return
        self.ends.wait(0.06)  # until it has failed
        event = service.failure_event(build["id"], build["buildNumber"], source_version=version)
        if draw < 0.35:
            del event["detail"]["additional-information"]["phases"]  # it must be asked for them
        for _ in range(2 if draw > 0.9 else 1):
            self.deliver(event)

    def deliver(self, event):
        """As a sender does: to any process, again after any failure."""
        deadline = time.monotonic() + 30 * service.PATIENCE
        last = None
        while time.monotonic() < deadline:
            try:
                status, _, text = random.choice(self.services).service.deliver(event, timeout=5)
                if 400 <= status < 500 and status != 429:
                    raise AssertionError(f"a delivery was answered {status}: {text}")
                if status in (200, 202):
                    self.delivered += 1
                    return
                last = f"{status}: {text}"
            except (OSError, http.client.HTTPException) as e:
                last = repr(e)  # it died in the middle
            time.sleep(0.02)
        raise AssertionError(f"a delivery was never accepted, at last {last}")

    def cancel_on(self, _):
        """Children that would run for an hour are cancelled, once they run."""
        try:
            for r in random.choice(self.services).service.retries("state=running"):
                if r["project"].startswith("long-"):
                    status, _ = random.choice(self.services).service.api("POST", f"/v1/retries/{r['id']}/cancel")
                    self.cancels += status == 200
        except (OSError, http.client.HTTPException, RuntimeError, ValueError):
            pass

    def stop(self):
        self.ends.set()
        for t in self.threads:
            t.join()
        if self.failed:
            raise self.failed
        return [b for b in self.made if b]


def failed_builds(sim):
    """Every build that failed, children of retries as well: each is to have one successor."""
    client = sim.client(CI_KEY, attempts=5)
    ids = client.get_paginator("list_builds").paginate().build_full_result()["ids"]
    found = []
    for i in range(0, len(ids), 100):
        found += [b["id"] for b in client.batch_get_builds(ids=ids[i:i + 100])["builds"] if b["buildStatus"] == "FAILED"]
    return found


def settled(s, failures, failed):
    """Every failure's retry, once all have ended and all reports are delivered; else None."""
    failures.cancel_on(None)
    found = s.retries()
    ended = {r["build"]["id"] for r in found if r["state"] in service.TERMINAL | {"held"}}
    open_ones = [r for r in found if r["state"] not in service.TERMINAL | {"held"} or any(p["state"] == "pending" for p in r["reports"])]
    return found if not open_ones and ended >= set(failed) else None


def short(r):
    return f"{r['id']} {r['state']} {r['build']['id']}: {[(h['at'][11:], h['state'], h['note']) for h in r['history']]}"


def by_another(build, mine):
    """No effect of its own, as it may be: where many builds share a branch, a failure needs no successor of its own when a newer build of the branch is there: seen before the call
    (superseded), or afterwards, when it may be what a call without an answer has started: one such is taken for it, of several a person chooses.
    A process that has just started cannot tell them apart by who started them: it learns that from answers."""
    return build.startswith("branch-") and any(r["state"] in ("superseded", "held") or r["child"] for r in mine)


def account(sim, sink, made, retries, wiped):
    """The figures, and what is wrong with them."""
    effects, states, wrong, known = {}, {}, [], {}
    for e in sim.effects("RetryBuild"):
        effects.setdefault(e["parent"].split("build/")[-1], []).append(e)
    for r in retries:
        known.setdefault(r["build"]["id"], []).append(r)
        states[r["state"]] = states.get(r["state"], 0) + 1
    given_up = {r["build"]["id"] for r in retries if r["state"] == "dead" and r["history"][-1]["note"] == GIVEN_UP}
    doubles = lost = others = 0
    for build in set(failed_builds(sim)) | set(effects):
        mine, n = known.get(build, []), len(effects.get(build, []))
        other = n == 0 and by_another(build, mine)
        excused = other or (n == 0 and build in given_up)
        doubles += max(n - 1, 0)
        others += other
        lost += not mine or (n == 0 and not excused)
        if n > 1 or not mine or (n == 0 and not excused):
            wrong.append(f"{build}: {[(e['build'], e['token'][:8], e['time']) for e in effects.get(build, [])]}; {[short(r) for r in mine]}")
    told = {json.loads(body)["data"]["id"] for _, _, body in list(sink.got)}
    for r in retries:
        shared = r["build"]["id"].startswith("branch-")
        if (r["state"] not in ENDS | ({"held"} if shared else set()) and r["build"]["id"] not in given_up) or (r["state"] == "superseded" and not wiped and not shared):
            wrong.append(short(r))
        if r["id"] not in told or any(p["state"] == "dead" for p in r["reports"]):
            wrong.append(f"{r['id']} {r['state']}: its end was not told, {r['reports']}")
    lost += len(set(made) - set(known))
    if len(given_up) > max(2, GIVEN_UP_PART * len(retries)):
        wrong.append(f"{len(given_up)} were given up: {sorted(given_up)}")
    return {"failures": len(made), "retries": len(retries), "effects": sum(map(len, effects.values())), "by another build of the branch": others,
            "given up": len(given_up), "doubles": doubles, "lost": lost}, states, wrong


def simulator(build, seed):
    return sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT, "--seed", str(seed))
