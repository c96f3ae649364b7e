#!/usr/bin/python3
"""SIGKILL at random moments and at named points: every failure that was accepted ends, and AWS started exactly one build for it.

usage: tests/fault/test_kill.py --build DIR [--kills N] [--store sqlite|redis|both] [--seed N] [--episode N]

Failures come in all the time, and every 100 to 300 ms the process is killed and at once started again: by a signal at a random moment, or by
itself at a named point (tests/fault/retrybuild-fault, RB_FAULT_AT). On SQLite there is one process, on Redis two. The simulator loses replies,
delays, throttles, fails and shows builds late. In the middle of each episode the store loses all it knows. At the end of each, every failed build
has exactly one successor in the simulator's ledger, every retry has ended as it should, and the receiver of reports was told of each.
"""
import argparse
import concurrent.futures
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import kill_world  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402

POINTS = ["inspect.after_get", "submit.after_claim", "submit.after_look", "submit.after_intent", "submit.after_mark", "submit.after_answer",
          "submit.after_running", "submit.after_search", "follow.after_get", "follow.after_settle", "follow.after_stop", "report.after_post",
          "sweep.after_admit"]
WIPE_AT = 0.35  # of an episode's kills; what follows is longer than the quarantine
PACE_S = 0.25  # from one failure to the next


class Tally:
    """Kills by kind and by point."""

    def __init__(self):
        self.random = self.wipe = self.armed = 0
        self.points = dict.fromkeys(POINTS, 0)

    def total(self):
        return self.random + self.wipe + sum(self.points.values())


class Mortal:
    """A service that is killed and started again."""

    def __init__(self, binary, url, sim_url, extra, tally, rng):
        self.service = service.Service(binary, url, sim_url, extra, kill_world.TIMING)
        self.tally = tally
        self.rng = rng
        self.point = None

    def start(self, armed):
        """With a point to die at, of those that were reached least, or none. It may be dead before it is ready."""
        self.point = None
        self.service.env.pop("RB_FAULT_AT", None)
        if armed:
            self.point = min(self.rng.sample(POINTS, 3), key=self.tally.points.get)
            self.service.env["RB_FAULT_AT"] = f"{self.point}:{self.rng.choice([1, 1, 1, 2, 3])}"
            self.tally.armed += 1
        try:
            self.service.start()
        except RuntimeError:
            if self.point is None or self.service.proc.returncode != -signal.SIGKILL:
                raise

    def end(self, kind):
        """Dead afterwards, by its point or by us."""
        proc = self.service.proc
        if proc.poll() is None:
            proc.kill()
            setattr(self.tally, kind, getattr(self.tally, kind) + 1)
        elif proc.returncode == -signal.SIGKILL and self.point:
            self.tally.points[self.point] += 1
        else:
            raise AssertionError(f"the service ended by itself with {proc.returncode}\n{self.service.tail()}")
        proc.wait()
        proc.stdout.close()

    def wait(self, seconds):
        """For its time to die, or for its point."""
        try:
            self.service.proc.wait(timeout=seconds * (3 if self.point else 1))
        except subprocess.TimeoutExpired:
            pass


def killing(mortals, kills, tally, rng, store, restart):
    """Until so many were killed; the store forgets everything on the way. What it was that wiped it."""
    wiped = None
    until = tally.total() + kills
    wipe_at = tally.total() + int(kills * WIPE_AT)
    while tally.total() < until:
        for m in mortals:
            m.wait(rng.uniform(0.1, 0.3) / len(mortals))
            m.end("random")
            if wiped is None and tally.total() >= wipe_at:
                if store.kind == "sqlite":
                    m.start(False)
                wiped = store.wipe(mortals if store.kind == "sqlite" else [], restart)
            m.start(rng.random() < 0.6)
    return wiped


def episode(kind, args, kills, seed, number, tally):
    rng = random.Random(f"{seed}/{kind}")
    store = kill_world.Store(kind)
    sim = kill_world.simulator(args.build, seed)
    sink = life.Sink()
    mortals, failures = [], None
    try:
        binary = args.build / "tests/fault/retrybuild-fault"
        mortals = [Mortal(binary, store.url, sim.url, kill_world.settings(sink.url), tally, rng) for _ in range(2 if kind == "redis" else 1)]
        for m in mortals:
            m.start(False)
        failures = kill_world.Failures(sim, mortals, f"{seed}/failures")
        time.sleep(1.1)  # what fails from here on is younger than the store's memory
        failures.start(PACE_S)
        wiped = killing(mortals, kills, tally, rng, store, number % 2 == 1)
        for m in mortals:
            m.end("random")
            m.start(False)
        made = failures.stop()
        sim.faults()
        failed = service.wait_until("the builds have failed", lambda: (lambda f: f if set(f) >= set(made) else None)(kill_world.failed_builds(sim)))
        s = mortals[0].service
        try:
            retries = service.wait_until("every failure has ended and was told", lambda: kill_world.settled(s, failures, failed), timeout=60, step=0.5)
        except AssertionError:
            retries = s.retries()
            print("open:", *[kill_world.short(r) + str(r["reports"]) for r in retries if r["state"] not in service.TERMINAL][:20], sep="\n  ")
            print("unknown:", sorted(set(failed) - {r["build"]["id"] for r in retries}), flush=True)
            raise
        figures, states, wrong = kill_world.account(sim, sink, made, retries, wiped)
        if wrong:
            print(f"{kind}, seed {seed}: {figures} {states}", *wrong[:20], sep="\n  ", flush=True)
            raise AssertionError(f"{len(wrong)} of {len(retries)} are not as they should be")
        figures |= {"deliveries": failures.delivered, "undelivered": failures.undelivered}
        return figures, states, wiped
    except BaseException:
        for m in mortals:
            print(m.service.tail(args.tail))
        raise
    finally:
        if failures:
            failures.ends.set()
        for m in mortals:
            if m.service.proc and m.service.proc.poll() is None:
                m.service.proc.kill()
                m.service.proc.wait()
        sink.stop()
        store.stop()
        sim.stop()


def add(total, more):
    for k, v in more.items():
        total[k] = total.get(k, 0) + v


def run(kind, args):
    """All episodes on one store; the figures are printed as they grow, so that a run that is cut short has told what it did."""
    tally, figures, states, wipes = Tally(), {}, {}, {}
    started = time.monotonic()
    number = bad = 0
    while tally.total() < args.kills and bad < 3:
        kills = min(args.episode, args.kills - tally.total())
        try:
            got, ends, wiped = episode(kind, args, kills, args.seed + number, number, tally)
        except Exception:
            traceback.print_exc(file=sys.stdout)
            number, bad = number + 1, bad + 1
            continue
        add(figures, got)
        add(states, ends)
        add(wipes, {wiped: 1})
        number += 1
        print(f"  {kind}: {tally.total()} SIGKILLs ({tally.random} at random, {tally.wipe} for a wipe, {sum(tally.points.values())} at named points, of"
              f" {tally.armed} that were armed), {figures}, ends {states}, wipes {wipes}, {number} episodes, {time.monotonic() - started:.0f} s,"
              f" seeds {args.seed} to {args.seed + number - 1}", flush=True)
    print(f"  {kind}, by point: {tally.points}", flush=True)
    if bad:
        raise AssertionError(f"{bad} of {number} episodes failed; what they killed is counted, what became of it is not")
    if args.kills >= 1000 and min(tally.points.values()) < args.kills / 300:
        raise AssertionError("a point was hardly ever reached")


def nothing_of_it_is_in_the_product(args):
    product = (args.build / "cmd/retrybuild/retrybuild").read_bytes()
    fault = (args.build / "tests/fault/retrybuild-fault").read_bytes()
    for word in [*POINTS, "RB_FAULT_AT"]:
        if word.encode() in product or word.encode() not in fault:
            raise AssertionError(f"'{word}' is in the product, or not in the program for tests")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True, type=pathlib.Path)
    p.add_argument("--kills", type=int, default=80)
    p.add_argument("--store", choices=["sqlite", "redis", "both"], default="both")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    p.add_argument("--episode", type=int, default=250, help="kills on one simulator and store")
    p.add_argument("--tail", type=int, default=20, help="lines of a service's log that are shown when it failed")
    args = p.parse_args()
    nothing_of_it_is_in_the_product(args)
    kinds = ["redis", "sqlite"] if args.store == "both" else [args.store]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        runs = {kind: pool.submit(run, kind, args) for kind in kinds}
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
