#!/usr/bin/python3
"""A destination that never answers delays nobody else's reports, and does not keep the store busy either."""
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
import fire  # noqa: E402
from service import wait_until  # noqa: E402

COUNT = 200
QUIET = 500  # scripts a second that Redis may be asked for while nothing but the silent destination waits
cases.CASES.clear()  # those of the module above


def scripts_run(redis):
    line = [s for s in redis.cli("INFO", "commandstats").splitlines() if s.startswith("cmdstat_evalsha:")][0]
    return int(line.split("calls=")[1].split(",")[0])


@cases.case
def a_silent_destination_delays_nobody_and_costs_little(world):
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(1)
    sink = life.Sink()
    redis = service.Redis()
    extra = f"""{fire.RULES}
network: {{allow: ["127.0.0.1/32"]}}
destinations:
  - {{name: silent, type: webhook, url: "http://127.0.0.1:{silent.getsockname()[1]}/x", stages: [started, finished]}}
  - {{name: good, type: webhook, url: "{sink.url}", stages: [finished]}}
"""
    s = service.Service(world.binary, redis.url, world.sim.url, extra, service.FAST.replace("report_timeout: 1s", "report_timeout: 5s")).start()
    try:
        ids = world.failed_builds(COUNT, "fair-%d")
        fire.Senders([s], ids).join()
        wait_until("the others have their reports", lambda: len(sink.got) >= COUNT, 30, 0.2)
        time.sleep(3)
        before, at = scripts_run(redis), time.monotonic()
        time.sleep(5)
        rate = (scripts_run(redis) - before) / (time.monotonic() - at)
        late = world.failed_builds(1, "late-%d")
        told, at = len(sink.got), time.monotonic()
        fire.deliver_all(s, late)
        wait_until("a later report", lambda: len(sink.got) > told, 10, 0.02)
        print(f"  {rate:.0f} scripts a second, a later report after {time.monotonic() - at:.2f} s", flush=True)
        if rate > QUIET:
            raise AssertionError(f"{rate:.0f} scripts a second")
    finally:
        s.kill()
        redis.stop()
        sink.stop()
        silent.close()


if __name__ == "__main__":
    cases.main(__doc__, fire.World, lambda w: w.sim.stop())
