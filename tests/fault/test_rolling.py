#!/usr/bin/python3
"""Replicas are replaced one after another while deliveries come and calls are under way: nothing is lost, nothing happens twice, nobody waits long."""
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from fire import CUT, REFUSED, Senders, World  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

FAILURES = 600
REPLICAS = 3
# Longer than any call of the test, so that a replica which stops ends what it has begun.
PATIENT = service.FAST.replace("shutdown: 5s", "shutdown: 20s")


def replace(s, make):
    """Stop one replica as a supervisor does and start its successor; the successor."""
    equal(s.stop(timeout=30), 0, "the status of a replica that was told to stop")
    successor = make().start()
    wait_until("the successor is ready", lambda: successor.request("GET", "/readyz")[0] == 200)
    return successor


def after_round(world, services, senders):
    senders.join(90)
    # A connection that waited to be accepted when the socket closed is cut; a request that was read is answered, never with an error.
    unexpected = set(senders.answers) - {REFUSED, CUT, 200, 202}
    if unexpected:
        raise AssertionError(f"answers {senders.answers}")
    equal(len(senders.accepted), FAILURES, f"accepted; answers {senders.answers}")
    print("  answers", senders.answers, flush=True)
    return world.settled(services[0], list(senders.accepted), 90)


@case
def three_replicas_are_replaced_twice_under_load(world):
    redis = service.Redis()
    services = []

    def make():
        return service.Service(world.binary, redis.url, world.sim.url, "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, delay: {list: [0s, 50ms]}}]", timing=PATIENT)
    try:
        services.extend(make().start() for _ in range(REPLICAS))
        ids = world.failed_builds(FAILURES)
        world.sim.faults({"operation": "RetryBuild", "probability": 0.1, "times": 40, "latency": "500ms"})
        senders = Senders(services, ids)
        for n in range(2 * REPLICAS):
            services[n % REPLICAS] = replace(services[n % REPLICAS], make)
        rows = after_round(world, services, senders)
        # A lease that was not given back would have been waited for, and told.
        waited = [h["note"] for r in rows.values() for h in r["history"] if h["note"] and "lease" in h["note"]]
        equal(waited, [], "retries that had to wait for a replica's lease to run out")
    finally:
        for s in services:
            if s.proc.poll() is None:
                s.kill()
        redis.stop()


@case
def a_single_node_is_replaced_under_load(world):
    """SQLite: the successor opens the file that its predecessor has closed; senders come again meanwhile."""
    rng = random.Random(5)
    s = world.serve("sqlite:rolling.db", timing=PATIENT)
    try:
        ids = world.failed_builds(FAILURES)
        services = [s]
        senders = Senders(services, ids)
        for _ in range(5):
            time.sleep(rng.uniform(0.05, 0.4))
            equal(s.stop(timeout=30), 0)
            s.start()
        after_round(world, services, senders)
    finally:
        if s.proc.poll() is None:
            s.kill()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
