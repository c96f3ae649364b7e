#!/usr/bin/python3
"""The store goes away, loses its memory, fills up or turns strange in the middle of the work: what was accepted ends, and AWS starts one build for it."""
import pathlib
import random
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from fire import CUT, REFUSED, Senders, World, deliver_all, try_deliver  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

def with_redis(world, count, disturb, processes=1, redis_args=(), fsync="everysec", states=("recovered", "failed_again"), faults=(), allowed=(REFUSED, CUT, 200, 202, 503), timeout=60, **build):
    """Deliver failures while @disturb(redis, services) works on the store; all of it ends well."""
    redis = service.Redis(fsync, *redis_args)
    services = []
    try:
        services = [world.serve(redis.url) for _ in range(processes)]
        ids = world.failed_builds(count, **build)
        if faults:
            world.sim.faults(*faults)
        senders = Senders(services, ids)
        disturb(redis, services)
        senders.join()
        if set(senders.answers) - set(allowed):
            raise AssertionError(f"answers {senders.answers}")
        equal(len(senders.accepted), count, f"accepted; answers {senders.answers}")
        rows = world.settled(services[0], ids, timeout, states)
        print("  answers", senders.answers, flush=True)
        for s in services:
            equal(s.proc.poll(), None, "the process lives")
        return rows
    finally:
        for s in services:
            if s.proc.poll() is None:
                s.kill()
        redis.stop()


@case
def a_hundred_restarts_of_redis_lose_no_accepted_delivery(world):
    def disturb(redis, _services):
        rng = random.Random(1)
        for _ in range(100):
            time.sleep(rng.uniform(0.0, 0.15))
            redis.kill()
            time.sleep(rng.uniform(0.0, 0.05))
            redis.start()
    # With everysec a server that is killed may lose what it has confirmed, for it puts writes off while an earlier fsync lasts.
    with_redis(world, 600, disturb, 2, timeout=90, fsync="always")


@case
def replies_lost_while_redis_is_killed_start_nothing_twice(world):
    def disturb(redis, services):
        rng = random.Random(2)
        for n in range(12):
            time.sleep(rng.uniform(0.05, 0.5))
            redis.kill()
            if n % 3 == 0:
                services[n % 2].kill()
            time.sleep(rng.uniform(0.0, 0.3))
            redis.start()
            if n % 3 == 0:
                services[n % 2].start()
    faults = [{"operation": "RetryBuild", "probability": 0.4, "times": 60, "lose_reply": True}, {"operation": "RetryBuild", "probability": 0.2, "times": 30, "status": 500, "effect": True}]
    with_redis(world, 120, disturb, 2, faults=faults, timeout=90)


@case
def scripts_that_were_forgotten_are_loaded_again(world):
    def disturb(redis, _services):
        for _ in range(100):
            redis.cli("SCRIPT", "FLUSH")
            time.sleep(0.01)
    with_redis(world, 100, disturb, allowed=(200, 202))


@case
def a_redis_that_pauses_is_waited_for(world):
    def disturb(redis, _services):
        for _ in range(3):
            redis.cli("CLIENT", "PAUSE", "1500", "ALL")
            time.sleep(2)
            subprocess.run(["redis-cli", "-s", redis.socket, "DEBUG", "SLEEP", "1.5"], capture_output=True, check=False)
    with_redis(world, 100, disturb, 2)


@case
def connections_that_redis_kills_are_made_again(world):
    def disturb(redis, _services):
        for _ in range(100):
            redis.cli("CLIENT", "KILL", "TYPE", "normal")
            redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
            time.sleep(0.02)
    with_redis(world, 150, disturb, 2)


@case
def a_full_redis_takes_nothing_and_comes_back(world):
    def disturb(redis, services):
        time.sleep(0.3)
        redis.cli("CONFIG", "SET", "maxmemory", "1mb")
        wait_until("not ready", lambda: services[0].request("GET", "/readyz")[0] == 503, 20)
        time.sleep(2)
        redis.cli("CONFIG", "SET", "maxmemory", "0")
        wait_until("ready", lambda: services[0].request("GET", "/readyz")[0] == 200, 20)
    with_redis(world, 300, disturb, 2, allowed=(REFUSED, CUT, 200, 202, 503))


@case
def a_password_set_at_run_time_is_an_absence(world):
    def disturb(redis, services):
        time.sleep(0.2)
        redis.cli("CONFIG", "SET", "requirepass", "secret")
        redis.cli("CLIENT", "KILL", "TYPE", "normal")
        redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
        time.sleep(2)
        for s in services:
            equal(s.proc.poll(), None, "the process lives")
        redis.cli("-a", "secret", "CONFIG", "SET", "requirepass", "")
    with_redis(world, 100, disturb, 2)


@case
def a_redis_that_may_evict_is_no_store(world):
    redis = service.Redis("everysec", "--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    try:
        world.serve(redis.url).kill()
        raise AssertionError("it started")
    except RuntimeError as e:
        if "maxmemory-policy is allkeys-lru" not in str(e):
            raise
    redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
    s = world.serve(redis.url)
    try:
        redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        wait_until("not ready", lambda: s.request("GET", "/readyz")[0] == 503, 20)
        ids = world.failed_builds(3)
        equal(s.request("GET", "/readyz")[0], 503, "ready")
        equal(try_deliver(s, ids[0]), 503, "a delivery")
        redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
        for b in ids:
            wait_until("accepted", lambda b=b: try_deliver(s, b) in (200, 202), 20)
        world.settled(s, ids)
        redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        wait_until("not ready", lambda: s.request("GET", "/readyz")[0] == 503, 20)
    finally:
        s.kill()
        redis.stop()


@case
def an_older_dump_that_was_put_back_starts_nothing_twice(world):
    redis = service.Redis("everysec", "--appendonly", "no")
    s = world.serve(redis.url)
    try:
        ids = world.failed_builds(1, "dumped-%d")
        wait_until("ready", lambda: s.request("GET", "/readyz")[0] == 200, 20)
        redis.cli("SAVE")
        dump = pathlib.Path(redis.folder.name) / "dump.rdb"
        before = dump.read_bytes()
        world.sim.faults({"operation": "RetryBuild", "probability": 1, "times": 1, "lose_reply": True})
        deliver_all(s, ids)
        wait_until("the call was made", lambda: world.effects(ids)[ids[0]], 20)
        redis.kill()
        dump.write_bytes(before)
        redis.start()
        wait_until("accepted again", lambda: try_deliver(s, ids[0]) in (200, 202), 20)
        world.settled(s, ids, 60, service.TERMINAL | {"held"})
        metrics = s.request("GET", "/metrics")[2]
        if "retrybuild_store_set_back_total 0" in metrics or "retrybuild_store_set_back_total" not in metrics:
            raise AssertionError("the loss was not counted")
    finally:
        s.kill()
        redis.stop()


def flushed(world, version):
    """FLUSHALL while calls are under way, then every failure is delivered again."""
    redis = service.Redis()
    services = []
    try:
        services = [world.serve(redis.url) for _ in range(2)]
        ids = world.failed_builds(60, version)
        world.sim.faults({"operation": "RetryBuild", "probability": 0.5, "times": 40, "lose_reply": True}, {"operation": "RetryBuild", "probability": 0.3, "times": 20, "latency": "700ms"})
        for b in ids:
            try_deliver(random.choice(services), b)
        time.sleep(0.2)
        redis.cli("FLUSHALL")
        for b in ids:
            wait_until("accepted", lambda b=b: try_deliver(random.choice(services), b) in (200, 202), 20)

        def done():
            rows = {r["build"]["id"]: r for r in services[0].retries() if r["state"] in service.TERMINAL or r["state"] == "held"}
            return rows if set(ids) <= set(rows) else None
        rows = wait_until("every failure is terminal or held", done, 60, 0.5)
        effects = world.effects(ids)
        double = {b: e for b, e in effects.items() if len(e) > 1}
        none = [b for b, e in effects.items() if not e and rows[b]["state"] != "held"]
        if double or none:
            raise AssertionError(f"double {double}; none {[(b, rows[b]['state'], rows[b]['history']) for b in none]}; {[(b, rows[b]['history']) for b in double]}")
        print("  states", {st: sum(r["state"] == st for r in rows.values()) for st in {r["state"] for r in rows.values()}}, flush=True)
    finally:
        for s in services:
            s.kill()
        redis.stop()


@case
def a_store_that_lost_everything_starts_nothing_twice_on_a_branch(world):
    flushed(world, "topic-%d")


@case
def a_store_that_lost_everything_starts_nothing_twice_on_a_commit(world):
    flushed(world, "%040x")


@case
def failures_that_the_store_forgot_are_found_by_the_sweep(world):
    redis = service.Redis()
    ids = []
    rule = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {fixed: 10s}}]"
    s = service.Service(world.binary, redis.url, world.sim.url, f"{rule}\nsweep: {{projects: [app-0, app-1, app-2]}}").start()
    try:
        ids = world.failed_builds(3, "swept-%d")
        deliver_all(s, ids)
        time.sleep(8)  # the sweep has met them, as duplicates
        ours = [r for r in s.retries() if r["build"]["id"] in ids]  # builds of earlier cases may be swept up beside them
        equal([r["state"] for r in ours], ["scheduled"] * 3)
        redis.cli("FLUSHALL")
        world.settled(s, ids, 45)
    finally:
        s.kill()
        redis.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
