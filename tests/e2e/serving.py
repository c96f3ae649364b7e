"""What the tests of `retrybuild serve` share: a service without workers, its metrics and its log."""
import json
import subprocess

import service
from service import failure_event

NOWHERE = "http://127.0.0.1:9"
QUIET = "workers: {submit: 0, report: 1}\n"
QUICK = "{shutdown: 3s}"


def setup(build):
    return build / "cmd/retrybuild/retrybuild"


def make(binary, extra=QUIET, store="sqlite:serve.db", timing=QUICK, **args):
    return service.Service(binary, store, NOWHERE, extra=extra, timing=timing, **args)


def event():
    return failure_event(f"app:{service.uuid.uuid4()}")


def metric(s, name):
    for line in s.request("GET", "/metrics")[2].splitlines():
        if line.startswith(f"retrybuild_{name} "):
            return float(line.split()[-1])
    return None


def logged(s, event_name):
    return [line for line in s.log.read_text().splitlines() if json.loads(line).get("event") == event_name]


def logged_any(s, name):
    return [line for line in s.log.read_text(errors="replace").splitlines() if f'"{name}"' in line]


def ready(s):
    try:
        return s.request("GET", "/readyz")[0]
    except OSError:
        return None


def start_with_log_level(s, level):
    with open(s.log, "ab") as log:
        s.proc = subprocess.Popen([s.binary, "serve", "--config", str(s.config), "--log-level", level], stdout=subprocess.PIPE, stderr=log, text=True, env=s.env)
    line = s.proc.stdout.readline()
    if not line.startswith("listening on"):
        raise RuntimeError(f"{line!r}\n{s.tail()}")
    s.port = int(line.rsplit(":", 1)[1])
