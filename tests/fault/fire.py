"""What tests of a store under fire share: a simulator with projects that fail once, senders that deliver until they are heard, the judgement."""
import random
import threading
import time

import service
import sim_harness
from service import wait_until
from sim_harness import equal

PROJECTS = 20
REFUSED, CUT = 0, -1
SCRIPT = """
projects:
  - name: "app-*"
    outcomes:
      - {status: FAILED, phase: PROVISIONING, message: "no capacity"}
      - {status: SUCCEEDED}
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""
RULES = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {list: [0s, 50ms]}}]"


class World:
    def __init__(self, build):
        self.binary = build / "cmd/retrybuild/retrybuild"
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        self.client = self.sim.client(attempts=5)
        for n in range(PROJECTS):
            self.client.create_project(name=f"app-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                                       environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
                                       serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")

    def failed_builds(self, count, version=None):
        """Builds of many projects that have failed: (id, number)."""
        ids = [self.client.start_build(projectName=f"app-{n % PROJECTS}", **({"sourceVersion": version % n} if version else {}))["build"]["id"] for n in range(count)]

        def ended():
            found = [b for i in range(0, count, 100) for b in self.client.batch_get_builds(ids=ids[i:i + 100])["builds"]]
            return found if all(b["buildStatus"] == "FAILED" for b in found) else None
        return [b["id"] for b in wait_until("the first builds have failed", ended, 60)]

    def effects(self, ids):
        found = {b: [] for b in ids}
        for e in self.sim.effects("RetryBuild"):
            parent = e["parent"].split("build/")[-1]
            if parent in found:
                found[parent].append(e["build"])
        return found

    def serve(self, url, **more):
        return service.Service(self.binary, url, self.sim.url, RULES, **more).start()

    def settled(self, s, ids, timeout=60, states=("recovered", "failed_again")):
        """Every one of these failures is terminal, with one effect each."""
        def all_ended():
            rows = {r["build"]["id"]: r for r in s.retries() if r["state"] in service.TERMINAL}
            return rows if set(ids) <= set(rows) else None
        try:
            rows = wait_until("every accepted failure is terminal", all_ended, timeout, 0.3)
        except AssertionError:
            rows = s.retries()
            print("  missing:", set(ids) - {r["build"]["id"] for r in rows})
            for r in rows:
                if r["state"] not in service.TERMINAL:
                    print("  open:", r["id"], r["state"], [(h["at"], h["state"], h["note"]) for h in r["history"]][-5:])
            print(s.tail(15))
            raise
        wrong = {b: e for b, e in self.effects(ids).items() if len(e) != 1}
        odd = [(r["id"], r["state"], [(h["at"], h["state"], h["note"]) for h in r["history"]]) for b, r in rows.items() if b in ids and (r["state"] not in states or b in wrong)]
        if wrong or odd:
            raise AssertionError(f"effects {wrong}; odd {odd}")
        return rows


def try_deliver(s, build_id, timeout=12, event=None):
    """The status; REFUSED when nobody listened, CUT when the connection broke. Without an event it is one of a build that ended now."""
    try:
        return s.deliver(event or service.failure_event(build_id), timeout=timeout)[0]
    except ConnectionRefusedError:
        return REFUSED
    except OSError:
        return CUT


def deliver_all(s, ids, expected=202):
    for b in ids:
        equal(try_deliver(s, b), expected, b)


class Senders:
    """Threads that deliver each of the failures until it is accepted; what was answered besides is kept."""

    def __init__(self, services, ids, threads=4):
        self.accepted, self.answers, self.stopped = set(), {}, False
        self.ids, self.lock = list(ids), threading.Lock()
        self.services = services
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopped:
            with self.lock:
                if not self.ids:
                    return
                b = self.ids.pop()
            while not self.stopped:
                status = try_deliver(random.choice(self.services), b)
                with self.lock:
                    self.answers[status] = self.answers.get(status, 0) + 1
                if status in (200, 202):
                    with self.lock:
                        self.accepted.add(b)
                    break
                time.sleep(0.02)

    def join(self, timeout=60):
        deadline = time.monotonic() + timeout
        for t in self.threads:
            t.join(max(0.1, deadline - time.monotonic()))
        self.stopped = True
