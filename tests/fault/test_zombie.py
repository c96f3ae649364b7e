#!/usr/bin/python3
"""Processes that stand still past their lease, in the middle of whatever they do, and go on later: AWS starts at most one build for a failure.

AWS's windows (token, signature, visibility) are as short here as the service believes them to be, so nothing but the protocol protects.
"""
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from fire import RULES, SCRIPT  # noqa: E402
from cases import case  # noqa: E402
from service import wait_until  # noqa: E402

PROJECTS = 30
WINDOWS = """
token_window: 4s
signature_window: 4s
signature_dates: always
lag: 500ms
"""
MESS = [{"operation": "RetryBuild", "probability": 0.15, "lose_reply": True}, {"operation": "RetryBuild", "probability": 0.1, "delay": "1500ms"},
        {"operation": "RetryBuild", "probability": 0.1, "latency": "1500ms"}, {"operation": "BatchGetBuilds", "probability": 0.05, "latency": "600ms"}]


class World:
    def __init__(self, build):
        self.build = build


def one_round(world, kind, seed, frozen_s, count, mess, version=None, seconds=25, advance=False):
    rng = random.Random(seed)
    sim = sim_harness.Sim(str(world.build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT + WINDOWS)
    redis = service.Redis() if kind == "redis" else None
    url = redis.url if redis else "sqlite:zombie.db"
    services = [service.Service(world.build / "cmd/retrybuild/retrybuild", url, sim.url, RULES).start() for _ in range(2 if redis else 1)]
    try:
        client = sim.client(attempts=10)
        for n in range(PROJECTS):
            client.create_project(name=f"app-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                                  environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"}, serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")
        def version_of(n):
            return {"sourceVersion": version.format(n)} if version else {}
        ids = [client.start_build(projectName=f"app-{n % PROJECTS}", **version_of(n))["build"]["id"] for n in range(count)]
        wait_until("failed", lambda: all(b["buildStatus"] == "FAILED" for b in client.batch_get_builds(ids=ids[:100])["builds"]))
        sim.faults(*mess)
        done = threading.Event()

        def send():
            for b in ids:
                while not done.is_set():
                    try:
                        if rng.choice(services).deliver(service.failure_event(b), timeout=3)[0] in (200, 202):
                            break
                    except OSError:
                        pass
                time.sleep(0.02)
        sender = threading.Thread(target=send)
        sender.start()
        deadline = time.monotonic() + seconds
        freezes = 0
        while time.monotonic() < deadline:
            victim = rng.choice(services)
            time.sleep(rng.uniform(0.0, 0.6))
            victim.proc.send_signal(signal.SIGSTOP)
            freezes += 1
            time.sleep(rng.uniform(*frozen_s))
            victim.proc.send_signal(signal.SIGCONT)
            if advance:
                sim.control("/_sim/clock", {"advance": rng.choice(["6m", "6m", "5s"])})
        sim.faults()
        sender.join(60)
        done.set()

        def all_ended():
            rows = {r["build"]["id"]: r for r in services[0].retries() if r["state"] in service.TERMINAL or r["state"] == "held"}
            return rows if set(ids) <= set(rows) else None
        try:
            rows = wait_until("every failure is terminal or held", all_ended, 60, 0.5)
        except AssertionError:
            for r in services[0].retries():
                if r["state"] not in service.TERMINAL:
                    print("  open:", r["id"], r["state"], [(h["at"], h["state"], h["note"]) for h in r["history"]][-6:])
            raise
        effects = {b: [] for b in ids}
        for e in sim.effects("RetryBuild"):
            effects[e["parent"].split("build/")[-1]].append(e)
        double = {b: e for b, e in effects.items() if len(e) > 1}
        wrong = [b for b in ids if rows[b]["state"] in ("recovered", "failed_again") and len(effects[b]) != 1]
        # a clock that jumps makes ends look older than the store: then a newer build may be the retry that was forgotten
        aside = ("ignored", "deferred", "cancelled") if advance else ("superseded", "ignored", "deferred", "cancelled")
        lost = [b for b in ids if rows[b]["state"] in aside]
        states = {}
        for b in ids:
            states[rows[b]["state"]] = states.get(rows[b]["state"], 0) + 1
        if double or wrong or lost:
            for b in {*double, *wrong, *lost}:
                print("  odd:", b, rows[b]["id"], rows[b]["state"], [(h["at"], h["state"], h["note"]) for h in rows[b]["history"]], effects[b])
            raise AssertionError(f"double {len(double)}, wrong {len(wrong)}, lost {len(lost)}; states {states}")
        print(f"  {kind}: {count} failures, {freezes} freezes, states {states}, seed {seed}", flush=True)
    finally:
        for s in services:
            s.proc.send_signal(signal.SIGCONT)
            s.kill()
        if redis:
            redis.stop()
        sim.stop()


@case
def two_processes_that_freeze_past_their_lease(world):
    one_round(world, "redis", random.randrange(1 << 30), (2.1, 3.5), 150, MESS)


@case
def one_process_that_freezes_past_every_window(world):
    one_round(world, "sqlite", random.randrange(1 << 30), (0.5, 6.5), 100, MESS, version="topic-{}")


@case
def freezes_shorter_than_the_lease(world):
    one_round(world, "redis", random.randrange(1 << 30), (0.2, 2.5), 150, MESS, version="{:040x}")


@case
def the_clock_of_aws_jumps_meanwhile(world):
    one_round(world, "redis", random.randrange(1 << 30), (0.2, 2.5), 100, MESS, version="{:040x}", advance=True)


if __name__ == "__main__":
    cases.main(__doc__, World)
