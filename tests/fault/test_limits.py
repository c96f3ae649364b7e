#!/usr/bin/python3
"""Budgets and breakers across three replicas on one Redis, with a thousand failures at once: no limit is passed, and none is left unused."""
import collections
import concurrent.futures
import datetime
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from cases import case  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

REPLICAS, PROJECTS, FAILURES = 3, 20, 1000
OF_PROJECT, OF_ACCOUNT, OF_COMMIT = 7, 100, 3
FAILED = '{status: FAILED, phase: PROVISIONING, message: "no capacity"}'
SCRIPT = "projects:\n" + "".join(f"  - {{name: app-{n}, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}\n" for n in range(40)) + f"""  - {{name: bad-0, outcomes: [{FAILED}]}}
durations: {{QUEUED: 5ms, PROVISIONING: 5ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 5ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}}
"""
RULES = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 1, delay: {fixed: 0s}}]\n"
TIMING = service.FAST.replace("sweep_every: 3s", "sweep_every: 10m").replace("lease: 2s", "lease: 10s").replace("call_timeout: 1s", "call_timeout: 5s")


class World:
    def __init__(self, build):
        self.build = build


class Replicas:
    """Three processes on one Redis, and the failures that they are told of."""

    def __init__(self, world, extra):
        self.sim = sim_harness.Sim(str(world.build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        self.redis = service.Redis()
        self.all = [service.Service(world.build / "cmd/retrybuild/retrybuild", self.redis.url, self.sim.url, RULES + extra, TIMING) for _ in range(REPLICAS)]
        self.pool = concurrent.futures.ThreadPoolExecutor(8)

    def __enter__(self):
        for s in self.all:
            s.start()
        return self

    def __exit__(self, failed, *_):
        for s in self.all:
            if failed:
                print(s.tail(10))
            s.stop()
        self.redis.stop()
        self.sim.stop()

    def fail(self, builds):
        """Failed builds as CodeBuild has them: of (project, commit)."""
        def start(part):
            client = self.sim.client()
            return [client.start_build(projectName=p, sourceVersion=v)["build"]["id"] for p, v in part]
        ids = [i for part in self.pool.map(start, [builds[n::8] for n in range(8)]) for i in part]
        time.sleep(0.1)  # simulated builds of some milliseconds
        return ids

    def tell(self, ids):
        """Each failure to one of the replicas, all at once."""
        answers = list(self.pool.map(lambda at: self.all[at[0] % REPLICAS].deliver(service.failure_event(at[1]))[0], enumerate(ids)))
        equal(set(answers), {202})

    def settled(self, n, states, timeout=60):
        def look():
            found = self.all[0].retries()
            return found if sum(r["state"] in states for r in found) == n else None
        return wait_until(f"{n} retries are {states}", look, timeout, 0.5)

    def effects(self):
        return self.sim.effects("RetryBuild")


def project_of(name):
    return name.split("build/")[-1].split(":")[0]


@case
def a_thousand_failures_spend_every_budget_exactly(world):
    budgets = f"budgets: {{per_commit: 0, per_project: {{ratio: 0, floor_per_hour: {OF_PROJECT}}}, per_account: {OF_ACCOUNT}}}\n"
    with Replicas(world, budgets) as x:
        x.tell(x.fail([(f"app-{n % PROJECTS}", f"{n:040x}") for n in range(FAILURES)]))
        done = x.settled(FAILURES, {"recovered", "refused"})
        went = collections.Counter(project_of(e["parent"]) for e in x.effects())
        equal(sum(went.values()), OF_ACCOUNT)
        assert max(went.values()) <= OF_PROJECT, went
        said = collections.Counter(r["decision"]["reason"] for r in done if r["state"] == "refused")
        equal(sum(said.values()), FAILURES - OF_ACCOUNT)
        assert set(said) <= {"budget:project", "budget:account"}, said
        hours = [p["hour"] for p in x.all[1].api("GET", "/v1/stats")[1]["budgets"]["projects"]]
        equal(sum(h["used"] for h in hours), OF_ACCOUNT)
        print(f"     {FAILURES} failures, {REPLICAS} replicas: {OF_ACCOUNT} retried, refused {dict(said)}; at most {max(went.values())} of a project")


@case
def one_commit_in_many_projects_is_retried_so_often(world):
    budgets = f"budgets: {{per_commit: {OF_COMMIT}, per_project: {{ratio: 0, floor_per_hour: 0}}}}\n"
    with Replicas(world, budgets) as x:
        commits = {f"{c:040x}" for c in range(1, 6)}
        x.tell(x.fail([(f"app-{n}", c) for n in range(40) for c in sorted(commits)]))
        done = x.settled(200, {"recovered", "refused"})
        commit_of = {r["build"]["id"]: r["commit"] for r in done}
        went = collections.Counter(commit_of[e["parent"].split("build/")[-1]] for e in x.effects())
        equal(dict(went), dict.fromkeys(commits, OF_COMMIT))


@case
def an_open_breaker_lets_one_go_at_a_time(world):
    breaker = "breaker: {minimum: 5, window: 60m, open: 3s}\n"
    with Replicas(world, breaker) as x:
        x.tell(x.fail([("bad-0", f"{n:040x}") for n in range(5)]))
        x.settled(5, {"failed_again"})
        before = len(x.effects())
        x.tell(x.fail([("bad-0", f"{n:040x}") for n in range(100, 300)]))
        wait_until("probes", lambda: len(x.effects()) >= before + 3, 40)
        at = [datetime.datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp() if isinstance(e["time"], str) else e["time"] for e in x.effects()[before:]]
        gaps = [b - a for a, b in zip(at, at[1:])]
        assert min(gaps) >= 2.9, gaps
        waiting = [r for r in x.all[2].retries("state=scheduled")]
        assert len(waiting) >= 190, len(waiting)


if __name__ == "__main__":
    cases.main(__doc__, World)
