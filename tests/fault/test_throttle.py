#!/usr/bin/python3
"""CodeBuild throttles one call in five and fails one in twenty: every failure is retried once, and never faster than configured.

usage: tests/fault/test_throttle.py --build DIR [--count N] [--rate N] [--workers N] [--seed N] [--only quiet|throttled]

Failures of many projects come in as fast as they are accepted. First quietly, at a rate far below what the programs could do: it is kept, and used.
Then all operations of the simulator are throttled and broken, some of what breaks after the effect. At the end each failure has exactly one build,
and in no span of time more calls of an operation have come than the rate allows. --count, --rate and --workers are those of
the second part: a worker whose look-up is throttled pauses, so that a few of them do not come near a high rate.
"""
import argparse
import concurrent.futures
import http.client
import http.server
import pathlib
import random
import socketserver
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import service  # noqa: E402
import sim_harness  # noqa: E402
from fire import SCRIPT  # noqa: E402

PROJECTS = 50
BURST = 10
SLACK = 0.10  # calls that wait for their turn are sent a little late, so that two seconds can meet in one
FAULTS = [{"operation": op, "probability": 0.2, "error": "ThrottlingException", "message": "Rate exceeded"} for op in ("RetryBuild", "BatchGetBuilds", "ListBuildsForProject")] + [
    {"operation": "RetryBuild", "probability": 0.025, "status": 500, "body": "empty"},
    {"operation": "RetryBuild", "probability": 0.025, "status": 503, "body": "html", "effect": True},
    {"operation": "BatchGetBuilds", "probability": 0.05, "status": 503, "body": "html"},
    {"operation": "ListBuildsForProject", "probability": 0.05, "status": 500, "body": "empty"}]
RULES = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {fixed: 0s}}]"
# Windows as by default, but for the polls: nothing here outlives them.
TIMING = "{follow_poll: 1s, sweep_every: 5m, visibility_grace: 10s, shutdown: 5s}"


class Meter(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Stands before the simulator and keeps when each call came."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, target):
        self.calls = {}
        self.lock = threading.Lock()
        host = target.split("//")[1]
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            upstream = None

            def do_POST(self):
                operation = self.headers["X-Amz-Target"].split(".")[1]
                with outer.lock:
                    outer.calls.setdefault(operation, []).append(time.monotonic())
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.upstream is None:
                    self.upstream = http.client.HTTPConnection(host, timeout=60)
                self.upstream.request("POST", self.path, body, dict(self.headers))
                r = self.upstream.getresponse()
                data = r.read()
                self.send_response_only(r.status)
                for k, v in r.headers.items():
                    if k.lower() not in ("connection", "content-length", "transfer-encoding"):
                        self.send_header(k, v)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()

    def most(self, window):
        """By operation: the most calls in any span of so many seconds."""
        found = {}
        for operation, times in self.calls.items():
            first, most = 0, 0
            for last, t in enumerate(times):
                while times[first] <= t - window:
                    first += 1
                most = max(most, last - first + 1)
            found[operation] = most
        return found


def make_builds(sim, count):
    client = sim.client()
    for n in range(PROJECTS):
        client.create_project(name=f"app-{n}", source={"type": "NO_SOURCE", "buildspec": "version: 0.2"}, artifacts={"type": "NO_ARTIFACTS"},
                              environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
                              serviceRole=f"arn:aws:iam::{service.ACCOUNT}:role/ci")
    ids = [client.start_build(projectName=f"app-{n % PROJECTS}", sourceVersion=f"{n:040x}")["build"]["id"] for n in range(count)]
    service.wait_until("the builds have failed", lambda: client.batch_get_builds(ids=ids[-1:])["builds"][0]["buildStatus"] == "FAILED")
    return ids


def deliver_all(s, ids):
    def one(n):
        event = service.failure_event(ids[n], n // PROJECTS + 1, source_version=f"{n:040x}")
        for _ in range(100):
            status, _, text = s.deliver(event)
            if status == 202 or (status == 200 and '"duplicate"' in text):  # the sweep can be first where there are many
                return
            if status not in (429, 503):
                raise AssertionError(f"a delivery was answered {status}: {text}")
            time.sleep(0.1)
        raise AssertionError("a delivery was never accepted")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(len(ids))))


def judge(sim, s, meter, ids, rate, limit_s):
    def all_ended():
        text = s.request("GET", "/metrics", headers={"Authorization": f"Bearer {service.TOKEN}"})[2]
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("retrybuild_retries_total{")) >= len(ids)

    service.wait_until("every failure is terminal", all_ended, timeout=limit_s / service.PATIENCE, step=1)
    effects = {}
    for e in sim.effects("RetryBuild"):
        effects.setdefault(e["parent"].split("build/")[-1], []).append(e["build"])
    wrong = {b: effects.get(b, []) for b in ids if len(effects.get(b, [])) != 1}
    states = {}
    for r in s.retries():
        states[r["state"]] = states.get(r["state"], 0) + 1
    if wrong or states != {"recovered": len(ids)}:
        raise AssertionError(f"not exactly one effect: {dict(list(wrong.items())[:5])}; states {states}")
    for window in (1, 10):
        allowed = BURST + rate * window
        for operation, most in meter.most(window).items():
            if most > allowed * (1 + SLACK):
                raise AssertionError(f"{most} calls of {operation} within {window} s, {allowed} are allowed")


def run(kind, args):
    count, rate, workers = (100, 20, 8) if kind == "quiet" else (args.count, args.rate, args.workers)
    sim = sim_harness.Sim(str(args.build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT, "--seed", str(args.seed))
    meter, s = None, None
    try:
        meter = Meter(sim.url)
        s = service.Service(args.build / "cmd/retrybuild/retrybuild", "sqlite:throttle.db", meter.url, f"{RULES}\nworkers: {{submit: {workers}}}", TIMING)
        text = s.config.read_text()
        mine = text.replace("{per_second: 1000, burst: 1000}", f"{{per_second: {rate}, burst: {BURST}}}")
        if mine == text:
            raise AssertionError("the rate is not where it was expected")
        s.config.write_text(mine)
        s.start()
        time.sleep(2.5)  # a build that ends close to the store's birth is looked at once more
        ids = make_builds(sim, count)  # after the store was born: no quarantine
        if kind == "throttled":
            sim.faults(*FAULTS)
        started = time.monotonic()
        deliver_all(s, ids)
        judge(sim, s, meter, ids, rate, 60 + count / 5)
        spent = time.monotonic() - started
        if kind == "quiet" and meter.most(3)["RetryBuild"] < rate * 3 * 0.8:
            raise AssertionError(f"the rate was not used: {meter.most(3)} calls within 3 s")
        calls = {op: len(times) for op, times in sorted(meter.calls.items())}
        print(f"  {kind}: {count} failures, one effect each, in {spent:.0f} s; calls {calls}, most within a second {meter.most(1)}, allowed {rate} a second"
              f" and {BURST} at once, seed {args.seed}", flush=True)
    except BaseException:
        if s is not None and s.log.exists():
            print(s.tail(20))
            if s.proc and s.proc.poll() is None:
                for r in [r for r in s.retries() if r["state"] not in service.TERMINAL][:5]:
                    print("  open:", r["id"], r["state"], [(h["at"], h["state"], h["note"]) for h in r["history"]][-5:])
        raise
    finally:
        if s is not None and s.proc and s.proc.poll() is None:
            s.kill()
        if meter:
            meter.stop()
        sim.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", required=True, type=pathlib.Path)
    p.add_argument("--count", type=int, default=300)
    p.add_argument("--rate", type=int, default=800)
    p.add_argument("--workers", type=int, default=8)
    p.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    p.add_argument("--only", choices=["quiet", "throttled"])
    args = p.parse_args()
    kinds = [args.only] if args.only else ["quiet", "throttled"]
    passed = failed = 0
    for kind in kinds:
        try:
            run(kind, args)
            passed += 1
        except Exception:
            failed += 1
            print(f"{kind}, seed {args.seed}:")
            traceback.print_exc(file=sys.stdout)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
