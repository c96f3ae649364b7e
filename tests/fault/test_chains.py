#!/usr/bin/python3
"""Chains whose events come too early, twice and through every process at once: each failed build is retried exactly once, and no chain breaks off."""
import pathlib
import random
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from cases import case  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

CHAINS, PROJECTS = 60, 20
SCRIPT = """
projects:
  - name: "app-*"
    outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]
durations: {QUEUED: 5ms, PROVISIONING: 5ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 5ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""
RULES = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {fixed: 0s}}]"
LATE = [{"operation": "RetryBuild", "probability": 0.5, "latency": "400ms"}, {"operation": "RetryBuild", "probability": 0.2, "lose_reply": True},
        {"operation": "BatchGetBuilds", "probability": 0.2, "latency": "150ms"}]


class World:
    def __init__(self, build):
        self.build = build


class Herald:
    """Tells every failed child to every process, several times, as soon as the ledger has it."""

    def __init__(self, sim, services, rng, copies):
        self.sim, self.services, self.rng, self.copies = sim, services, rng, copies
        self.told, self.stopped = set(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(copies)]
        for t in self.threads:
            t.start()

    def run(self, number):
        told = set()
        while not self.stopped.is_set():
            for e in self.sim.effects("RetryBuild"):
                child = e["build"].split("build/")[-1]
                if child in told:
                    continue
                told.add(child)
                time.sleep(self.rng.uniform(0.0, 0.15) * number)
                for s in self.services:
                    try:
                        s.deliver(service.failure_event(child), timeout=10)
                    except OSError:
                        pass
            time.sleep(0.01)

    def stop(self):
        self.stopped.set()
        for t in self.threads:
            t.join(15)


def chains(world, kind, version, timing=service.FAST):
    rng = random.Random()
    sim = sim_harness.Sim(str(world.build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
    redis = service.Redis() if kind == "redis" else None
    services = [service.Service(world.build / "cmd/retrybuild/retrybuild", redis.url if redis else "sqlite:chains.db", sim.url, RULES, timing).start() for _ in range(2 if redis else 1)]
    herald = None
    try:
        client = sim.client(attempts=5)
        for n in range(PROJECTS):
            client.create_project(name=f"app-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                                  environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}, serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")
        ids = [client.start_build(projectName=f"app-{n % PROJECTS}", sourceVersion=version.format(n))["build"]["id"] for n in range(CHAINS)]
        time.sleep(2.5)
        sim.faults(*LATE)
        herald = Herald(sim, services, rng, 3)
        for b in ids:
            for s in services:
                s.deliver(service.failure_event(b))
        def all_over():
            rows = services[0].retries()
            return rows if all(r["state"] in service.TERMINAL for r in rows) and len(sim.effects("RetryBuild")) >= 2 * CHAINS else None
        try:
            wait_until("every chain is at its end", all_over, 60, 0.5)
        except AssertionError:
            pass
        sim.faults()
        time.sleep(2)
        rows = services[0].retries()
        effects = {}
        for e in sim.effects("RetryBuild"):
            effects.setdefault(e["parent"].split("build/")[-1], []).append(e["build"].split("build/")[-1])
        double = {p: c for p, c in effects.items() if len(c) > 1}
        broken = []
        for b in ids:
            at, length = b, 0
            while at in effects:
                at, length = effects[at][0], length + 1
            if length != 2:
                broken.append((b, length, [(r["id"], r["attempt"], r["state"], [(h["at"][17:], h["state"], h["note"]) for h in r["history"]]) for r in rows if r["build"]["id"] in (b, at)]))
        if double or broken:
            for x in broken:
                print("  broken:", x)
            raise AssertionError(f"double {double}, {len(broken)} broken")
        recovered = sum(r["state"] == "recovered" for r in rows)
        equal(recovered, CHAINS, "recovered")
        early = sum(r["state"] == "superseded" for r in rows)
        print(f"  {kind}: {CHAINS} chains, {early} early failures set aside", flush=True)
    except BaseException:
        print(services[0].tail(10))
        raise
    finally:
        if herald:
            herald.stop()
        for s in services:
            s.kill()
        if redis:
            redis.stop()
        sim.stop()


@case
def two_processes_on_redis(world):
    chains(world, "redis", "topic-{}")


@case
def one_process_on_sqlite(world):
    chains(world, "sqlite", "topic-{}")


@case
def commits_on_redis(world):
    chains(world, "redis", "{:040x}")


if __name__ == "__main__":
    cases.main(__doc__, World)
