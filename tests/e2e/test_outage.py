#!/usr/bin/python3
"""A store that is away, hangs or is full: 503 with Retry-After, not ready, and back by itself; nothing accepted is lost."""
import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from service import ACCOUNT, TOKEN, wait_until  # noqa: E402
from serving import event, make, metric, ready, setup  # noqa: E402
from sim_harness import equal  # noqa: E402

FULL_AT_BYTES = 600000


@case
def without_redis_deliveries_are_503_until_it_is_back(binary):
    redis = service.Redis("no")
    s = make(binary, store=redis.url).start()
    try:
        equal(s.deliver(event())[0], 202)
        redis.kill()
        e = event()
        status, headers, _ = s.deliver(e)
        equal((status, headers["Retry-After"].isdigit()), (503, True))
        wait_until("not ready", lambda: ready(s) == 503, 10)
        equal(metric(s, "store_up"), 0.0)
        for method, path, body in (("GET", "/v1/retries", None), ("POST", "/v1/retries", {"id": "app:1", "account": ACCOUNT})):
            status, headers, text = s.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
            equal((status, headers["Retry-After"].isdigit(), json.loads(text)["status"]), (503, True, 503), path)
        equal(s.request("GET", "/livez")[0], 200)
        redis.start()
        wait_until("ready again", lambda: ready(s) == 200, 20)
        wait_until("accepted again", lambda: s.deliver(e)[0] == 202, 10)
        equal(s.deliver(e)[0], 200)
        wait_until("lists again", lambda: s.api("GET", "/v1/retries")[0] == 200, 10)
        equal(s.stop(), 0)
    finally:
        redis.stop()


@case
def a_redis_that_hangs_is_503_in_time(binary):
    redis = service.Redis("no")
    s = make(binary, store=redis.url).start()
    try:
        redis.proc.send_signal(signal.SIGSTOP)
        started = time.monotonic()
        status, headers, _ = s.deliver(event(), timeout=60)
        equal((status, "Retry-After" in headers), (503, True))
        equal(time.monotonic() - started < 30, True)
        redis.proc.send_signal(signal.SIGCONT)
        wait_until("accepted again", lambda: s.deliver(event())[0] == 202, 20)
        equal(s.stop(), 0)
    finally:
        redis.proc.send_signal(signal.SIGCONT)
        redis.stop()


@case
def a_disk_that_is_full_is_503_until_there_is_room(binary):
    s = make(binary)
    with open(s.log, "ab") as log:
        s.proc = subprocess.Popen(["env", "--ignore-signal=XFSZ", "prlimit", f"--fsize={FULL_AT_BYTES}:unlimited", s.binary, "serve", "--config", str(s.config)],
                                  stdout=subprocess.PIPE, stderr=log, text=True, env=s.env)
    s.port = int(s.proc.stdout.readline().rsplit(":", 1)[1])
    accepted = []

    def full():
        e = event()
        status, headers, text = s.deliver(e)
        if status == 202:
            accepted.append(json.loads(text)["retry"])
            return None
        equal((status, headers["Retry-After"].isdigit()), (503, True), text)
        return e
    refused = wait_until("the disk to fill", full, 60, 0)
    equal(s.request("GET", "/livez")[0], 200)
    subprocess.run(["prlimit", f"--pid={s.proc.pid}", "--fsize=unlimited"], check=True)
    wait_until("accepted again", lambda: s.deliver(refused)[0] in (200, 202), 20)
    wait_until("ready again", lambda: ready(s) == 200, 20)
    equal(set(accepted) - {r["id"] for r in s.retries()}, set(), "accepted and gone")
    equal(s.stop(), 0)


if __name__ == "__main__":
    cases.main(__doc__, setup)
