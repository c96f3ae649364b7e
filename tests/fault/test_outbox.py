#!/usr/bin/python3
"""SIGKILL between the post of a report and its settle: no report is missing, and what came twice carries the same id.

usage: tests/fault/test_outbox.py --build DIR [--kills N] [--store sqlite|redis|both] [--seed N]

Each life of the service accepts a failure, which is held and told of, and is denied one of an earlier life, which is told of too; it kills itself
right after a receiver has answered (tests/fault/retrybuild-fault, RB_FAULT_AT), so that nothing of that answer is stored. In the end everybody was
told of every state, in order.
"""
import argparse
import concurrent.futures
import http.client
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import life  # noqa: E402
import service  # noqa: E402

NOWHERE = "http://127.0.0.1:9"
TIMING = "{lease: 1s, report_timeout: 1s, sweep_every: 1h, shutdown: 5s}"


def settings(sink_url):
    return f"""mode: ask
workers: {{submit: 1, report: 3}}
network: {{allow: ["127.0.0.1/32"]}}
destinations: [{{name: hook, type: webhook, url: "{sink_url}", secrets: [{{value: "whsec_{life.SIGNING}"}}], schedule: [100ms]}}]"""


class Lives:
    """One service after the other on one store."""

    def __init__(self, args, kind, extra, seed):
        self.redis = service.Redis("always") if kind == "redis" else None
        self.service = service.Service(args.build / "tests/fault/retrybuild-fault", self.redis.url if self.redis else "sqlite:outbox.db", NOWHERE, extra, TIMING)
        self.rng = random.Random(f"{seed}/{kind}")
        self.made, self.denied, self.kills = [], [], 0

    def start(self, at=None):
        self.service.env.pop("RB_FAULT_AT", None)
        if at:
            self.service.env["RB_FAULT_AT"] = f"report.after_post:{at}"
        try:
            self.service.start()
            return True
        except RuntimeError:  # an older report was due at once
            if at is None or self.service.proc.returncode != -signal.SIGKILL:
                raise
            return False

    def deliver(self, event):
        """True once it was accepted; False when the service died of it."""
        try:
            return self.service.deliver(event, timeout=10)[0] in (200, 202)
        except (OSError, http.client.HTTPException):
            return False

    def deny(self):
        """One of those that are held."""
        if self.made and self.rng.random() < 0.5:
            build = self.made[self.rng.randrange(len(self.made))]
            try:
                held = [r for r in self.service.api("GET", f"/v1/retries?state=held&project={build.split(':')[0]}")[1]["retries"] if r["build"]["id"] == build]
                if held and self.service.api("POST", f"/v1/retries/{held[0]['id']}/deny")[0] == 200:
                    self.denied.append(build)
            except (OSError, http.client.HTTPException, ValueError):
                pass  # it died before it said so

    def one_life(self, waiting):
        """Ends with a kill between post and settle. What was not accepted is delivered in the next."""
        if self.start(self.rng.choice([1, 1, 2])):
            self.deny()
            for build in list(waiting):
                if not self.deliver(service.failure_event(build)):
                    break
                waiting.remove(build)
                self.made.append(build)
        try:
            self.service.proc.wait(timeout=1.5 * service.PATIENCE)
            if self.service.proc.returncode != -signal.SIGKILL:
                raise AssertionError(f"ended by itself with {self.service.proc.returncode}\n{self.service.tail()}")
            self.kills += 1
        except subprocess.TimeoutExpired:
            self.service.proc.kill()  # nothing more was to be told
            self.service.proc.wait()
        self.service.proc.stdout.close()

    def stop(self):
        if self.service.proc and self.service.proc.poll() is None:
            self.service.proc.kill()
            self.service.proc.wait()
        if self.redis:
            self.redis.stop()


def told(s):
    found = s.retries()
    return found if all(p["state"] in ("delivered", "superseded") for r in found for p in r["reports"]) else None


def account(lives, sink, retries):
    """What the receiver got, against what there was to tell."""
    posts, ids = {}, {}
    for _, headers, body in list(sink.got):
        said = json.loads(body)
        posts.setdefault(said["data"]["id"], []).append(said["type"])
        ids.setdefault(headers["webhook-id"], []).append((said["type"], said["timestamp"], said["data"]["id"], said["data"]["state"]))
    wrong = [b for b in lives.made if b not in {r["build"]["id"] for r in retries}]
    for r in retries:
        states = list(dict.fromkeys(posts.get(r["id"], [])))
        want = {"held": [["retry.held"]], "cancelled": [["retry.held", "retry.cancelled"], ["retry.cancelled"]]}[r["state"]]
        if states not in want or len(r["reports"]) != len({p["stage"] for p in r["reports"]}):
            wrong.append(f"{r['id']} {r['state']}: {posts.get(r['id'])}, {r['reports']}")
    for key, messages in ids.items():
        if len(set(messages)) != 1:
            wrong.append(f"{key} names {set(messages)}")
    messages = {said for messages in ids.values() for said in messages}
    if len(messages) != len(ids):
        wrong.append(f"{len(messages)} messages under {len(ids)} ids")
    twice = len(sink.got) - len(ids)
    if twice < lives.kills:  # each kill left one that was posted and not settled
        wrong.append(f"{twice} came again after {lives.kills} kills")
    if wrong:
        raise AssertionError("\n  ".join(map(str, wrong[:20])))
    return f"{len(retries)} retries, {len(lives.denied)} of them denied, {len(sink.got)} posts of {len(ids)} messages"


def nothing_is_missing(args, kind, kills, seed):
    sink = life.Sink()
    lives = Lives(args, kind, settings(sink.url), seed)
    started, waiting = time.monotonic(), []
    try:
        while lives.kills < kills:
            waiting.append(f"app-{len(lives.made) % 7}:{uuid.UUID(int=lives.rng.getrandbits(128), version=4)}")
            lives.one_life(waiting)
            if len(lives.made) + len(waiting) > 3 * kills + 20:
                raise AssertionError(f"only {lives.kills} of so many lives ended at the point")
        lives.start()
        for build in waiting:
            lives.deliver(service.failure_event(build))
            lives.made.append(build)
        retries = service.wait_until("everything is told", lambda: told(lives.service), 30, 0.2)
        print(f"  {kind}: {lives.kills} SIGKILLs between post and settle, {account(lives, sink, retries)}, {time.monotonic() - started:.0f} s, seed {seed}", flush=True)
    except BaseException:
        print(lives.service.tail(20))
        raise
    finally:
        lives.stop()
        sink.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True, type=pathlib.Path)
    p.add_argument("--kills", type=int, default=20, help="on each store")
    p.add_argument("--store", choices=["sqlite", "redis", "both"], default="both")
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    args = p.parse_args()
    kinds = ["redis", "sqlite"] if args.store == "both" else [args.store]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(kinds)) as pool:
        for done in [pool.submit(nothing_is_missing, args, kind, args.kills, args.seed) for kind in kinds]:
            try:
                done.result()
                passed += 1
            except Exception:
                failed += 1
                traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
