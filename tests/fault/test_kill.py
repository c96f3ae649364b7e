#!/usr/bin/python3
"""SIGKILL at random moments: every failure that was accepted ends, and AWS started exactly one build for it.

usage: tests/fault/test_kill.py --build DIR [--rounds N] [--seed N]

A round delivers a failure (or several) and kills a process at a random instant, which then starts again. Once with two processes on one Redis, both
killed; once with one process on SQLite. The simulator loses some replies after the effect, answers 500 now and then and throttles. At the end
every failure is terminal in the store, and the simulator's ledger has one RetryBuild effect for each.
"""
import argparse
import concurrent.futures
import pathlib
import random
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import service  # noqa: E402
import sim_harness  # noqa: E402

SCRIPT = """
projects:
  - name: "app-*"
    outcomes:
      - {status: FAILED, phase: PROVISIONING, message: "no capacity"}
      - {status: SUCCEEDED}
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
faults:
  - {operation: RetryBuild, probability: 0.08, lose_reply: true}
  - {operation: RetryBuild, probability: 0.05, status: 500}
  - {operation: RetryBuild, probability: 0.05, error: ThrottlingException, message: "Rate exceeded"}
  - {operation: BatchGetBuilds, probability: 0.03, status: 503, body: html}
"""
PROJECTS = 20
# In the proportions of the defaults: a call is sent again by several workers, one lease after the other, before its date is too old.
TIMING = ("{lease: 1s, resend_window: 8s, token_window: 9s, signature_window: 9s, visibility_grace: 1s, quarantine: 12s, follow_poll: 200ms,"
          " sweep_every: 3s, call_timeout: 1s, report_timeout: 1s, shutdown: 5s}")
RULES = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {list: [0s, 50ms]}}]"


class Killer:
    """Keeps processes running and ends them at random moments."""

    def __init__(self, services, rng):
        self.services = services
        self.rng = rng
        self.kills = 0
        self.lock = threading.Lock()

    def restart_one(self):
        victim = self.rng.choice(self.services)
        with self.lock:
            victim.kill()
            self.kills += 1
            victim.start()


def start_builds(sim, count):
    """Failed builds at the simulator, by project."""
    client = sim.client(attempts=10)
    ids = []
    for n in range(count):
        project = f"app-{n % PROJECTS}"
        ids.append((client.start_build(projectName=project)["build"]["id"]))
    service.wait_until("the first builds have failed", lambda: all(
        b["buildStatus"] == "FAILED" for i in range(0, len(ids), 100) for b in client.batch_get_builds(ids=ids[i:i + 100])["builds"]), timeout=60)
    return ids


def make_projects(sim):
    client = sim.client()
    for n in range(PROJECTS):
        client.create_project(name=f"app-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                              environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
                              serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")


def deliver_until_accepted(services, event, rng):
    """As a sender does: to either process, again after any failure; returns how often it took."""
    for tries in range(1, 400):
        try:
            status, _, _ = rng.choice(services).deliver(event, timeout=5)
            if status in (200, 202):
                return tries
        except OSError:
            pass
        except Exception as e:  # http.client's own, when a process died in mid-answer
            if type(e).__module__ != "http.client":
                raise
        time.sleep(0.02)
    raise AssertionError("a delivery was never accepted")


def rounds(services, ids, rng, killer):
    for build_id in ids:
        stop = threading.Timer(rng.uniform(0.0, 0.12), killer.restart_one)
        stop.start()
        deliver_until_accepted(services, service.failure_event(build_id), rng)
        stop.join()


def judge(sim, live, ids):
    def all_ended():
        found = live.retries()
        done = {r["build"]["id"] for r in found if r["state"] in service.TERMINAL}
        return done >= set(ids)

    try:
        service.wait_until("every failure is terminal", all_ended, timeout=120, step=0.5)
    except AssertionError:
        for r in live.retries():
            if r["state"] not in service.TERMINAL:
                print("  open:", r["id"], r["state"], r["build"]["id"], [(h["state"], h["note"]) for h in r["history"]][-6:])
        raise
    effects = {}
    for e in sim.effects("RetryBuild"):
        effects.setdefault(e["parent"].split("build/")[-1], []).append(e["build"])
    wrong = {b: effects.get(b, []) for b in ids if len(effects.get(b, [])) != 1}
    by_state = {}
    for r in live.retries():
        by_state[r["state"]] = by_state.get(r["state"], 0) + 1
    if wrong or set(by_state) - {"recovered", "failed_again"}:
        for r in live.retries():
            if r["build"]["id"] in wrong or r["state"] not in ("recovered", "failed_again"):
                print("  odd:", r["id"], r["state"], r["build"]["id"], [(h["state"], h["note"]) for h in r["history"]])
        raise AssertionError(f"not exactly one effect: {wrong}; states {by_state}")
    return by_state


def run(kind, build, count, seed):
    rng = random.Random(seed)
    sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
    redis = service.Redis() if kind == "redis" else None
    services = []
    try:
        make_projects(sim)
        binary = build / "cmd/retrybuild/retrybuild"
        if redis:
            services = [service.Service(binary, redis.url, sim.url, RULES, TIMING).start() for _ in range(2)]
        else:
            services = [service.Service(binary, "sqlite:kill.db", sim.url, RULES, TIMING).start()]
        ids = start_builds(sim, count)
        killer = Killer(services, rng)
        started = time.monotonic()
        rounds(services, ids, rng, killer)
        spent = time.monotonic() - started
        states = judge(sim, services[0], ids)
        print(f"  {kind}: {count} failures, {killer.kills} SIGKILLs in {spent:.0f} s, one effect each, states {states}, seed {seed}", flush=True)
    except BaseException:
        for s in services:
            print(s.tail(30))
        raise
    finally:
        for s in services:
            if s.proc.poll() is None:
                s.kill()
        if redis:
            redis.stop()
        sim.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True, type=pathlib.Path)
    p.add_argument("--rounds", type=int, default=200)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    p.add_argument("--only", choices=["redis", "sqlite"])
    args = p.parse_args()
    kinds = [args.only] if args.only else ["redis", "sqlite"]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        runs = {kind: pool.submit(run, kind, args.build, args.rounds, args.seed) for kind in kinds}
        for kind, done in runs.items():
            try:
                done.result()
                passed += 1
            except Exception:
                failed += 1
                print(f"{kind}, seed {args.seed}:")
                traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
