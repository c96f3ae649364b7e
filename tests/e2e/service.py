"""What end-to-end and fault tests of the service share: a redis-server, `retrybuild serve`, payloads, the API."""
import datetime
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import uuid

ACCOUNT, REGION = "123456789012", "us-east-1"
KEY, TOKEN = "source-secret-0123456789", "operator-token-0123456789"
AWS_KEY, AWS_SECRET = "AKIASIMULATOREXAMPLE", "sim/secret+example"

# Of every limit of a wait: tests/run says how much slower a build is than the plain one.
PATIENCE = float(os.environ.get("RB_TEST_PATIENCE", "2"))

# Every window small; the simulator's own token window stays five minutes.
FAST = ("{lease: 2s, resend_window: 3s, token_window: 4s, signature_window: 4s, visibility_grace: 1s, quarantine: 6s, follow_poll: 200ms,"
        " sweep_every: 3s, call_timeout: 1s, report_timeout: 1s, shutdown: 5s}")


# What limits retries by their number and failures stays out of tests that are about something else.
UNLIMITED = {"budgets": "{per_commit: 0, per_project: {ratio: 0, floor_per_hour: 0}}", "breaker": "{minimum: 0}", "incident": "{projects: 0}"}


def unlimited(extra=""):
    return "".join(f"{key}: {value}\n" for key, value in UNLIMITED.items() if f"{key}:" not in extra)


class Redis:
    """One redis-server on a unix socket, durable, restartable."""

    def __init__(self, fsync="everysec", *args):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-redis-")
        self.socket = f"{self.folder.name}/r.sock"
        self.url = f"redis+unix://{self.socket}"
        self.args = ["--appendfsync", fsync, *args]
        self.proc = None
        self.start()

    def start(self):
        self.proc = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder.name, "--save", "", "--appendonly", "yes",
                                      "--enable-debug-command", "local", *self.args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.cli("PING") != "PONG":
            if time.monotonic() > deadline:
                raise RuntimeError("redis-server did not come up")
            time.sleep(0.02)

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True, check=False).stdout.strip()

    def kill(self, sig=signal.SIGKILL):
        self.proc.send_signal(sig)
        self.proc.wait()

    def stop(self):
        if self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait()
        self.folder.cleanup()


class Service:
    """One `retrybuild serve` with a configuration of its own; may be killed and started again."""

    def __init__(self, binary, store_url, sim_url, extra="", timing=FAST, folder=None, aws_env=None, listen='{address: "127.0.0.1:0"}'):
        self.binary = str(binary)
        self.folder = folder or tempfile.TemporaryDirectory(prefix="rb-serve-")
        self.log = pathlib.Path(self.folder.name) / f"serve-{uuid.uuid4().hex[:6]}.log"
        self.config = pathlib.Path(self.folder.name) / f"config-{uuid.uuid4().hex[:6]}.yaml"
        self.config.write_text(f"""
listen: {listen}
api: {{tokens: [{{name: ops, role: operator, secret: {TOKEN}}}, {{name: eyes, role: viewer, secret: viewer-{TOKEN}}}]}}
store: {{url: "{store_url}"}}
aws: {{region: {REGION}, endpoint_url: "{sim_url}", rate: {{per_second: 1000, burst: 1000}}}}
sources: [{{name: eventbridge, type: eventbridge, secrets: [{{value: {KEY}}}]}}]
timing: {timing}
{unlimited(extra)}{extra}
""")
        self.env = {**os.environ, "AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_EC2_METADATA_DISABLED": "true", **(aws_env or {})}
        self.proc = None
        self.port = 0

    def start(self):
        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen([self.binary, "serve", "--config", str(self.config)], stdout=subprocess.PIPE, stderr=log, text=True, env=self.env)
        line = self.proc.stdout.readline()
        if not line.startswith("listening on http"):
            self.proc.wait(timeout=10)
            raise RuntimeError(f"no ready line but {line!r}\n{self.tail()}")
        self.port = int(line.strip().rsplit(":", 1)[1])
        return self

    def tail(self, lines=40):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()

    def stop(self, timeout=60):
        """SIGTERM; the exit status."""
        self.proc.send_signal(signal.SIGTERM)
        status = self.proc.wait(timeout=timeout)
        self.proc.stdout.close()
        return status

    def request(self, method, path, body=None, headers=None, timeout=60, port=None):
        """(status, headers, body text)."""
        conn = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
            conn.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            r = conn.getresponse()
            return r.status, r.headers, r.read().decode()
        finally:
            conn.close()

    def api(self, method, path, body=None, token=TOKEN):
        status, _, text = self.request(method, path, body, {"Authorization": f"Bearer {token}"})
        return status, json.loads(text) if text else None

    def deliver(self, event, key=KEY, timeout=60):
        return self.request("POST", "/v1/hooks/eventbridge", event, {"x-retrybuild-key": key}, timeout=timeout)

    def retries(self, query=""):
        """Every retry, over all pages."""
        found, cursor = [], None
        while True:
            glue = "&" if query else "?"
            path = f"/v1/retries{'?' + query if query else ''}{glue}limit=200" + (f"&cursor={cursor}" if cursor else "")
            status, page = self.api("GET", path)
            if status != 200:
                raise RuntimeError(f"list answered {status}: {page}")
            found += page["retries"]
            cursor = page["next"]
            if not cursor:
                return found


def us_time(t):
    return t.strftime("%b %-d, %Y %-I:%M:%S %p")


def failure_event(build_id, number=1, status="FAILED", phase="PROVISIONING", message="no capacity", source_version=None, **detail):
    """A Build State Change of a failed build, as EventBridge sends it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    project = build_id.split(":")[0]
    arn = f"arn:aws:codebuild:{REGION}:{ACCOUNT}:build/{build_id}"
    names = ["SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD"]
    phases = []
    for name in names:
        bad = name == phase
        phases.append({"phase-type": name, "phase-status": status if bad else "SUCCEEDED", "phase-context": [message if bad else ": "], "start-time": us_time(now),
                       "end-time": us_time(now), "duration-in-seconds": 0})
        if bad:
            break
    phases.append({"phase-type": "COMPLETED", "start-time": us_time(now)})
    info = {"build-number": number, "build-complete": True, "initiator": "ci-user", "build-start-time": us_time(now), "phases": phases,
            "source": {"type": "GITHUB", "location": "https://github.com/example-org/app.git"}}
    if source_version:
        info["source-version"] = source_version
    return {"version": "0", "id": str(uuid.uuid4()), "detail-type": "CodeBuild Build State Change", "source": "aws.codebuild", "account": ACCOUNT,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"), "region": REGION, "resources": [arn],
            "detail": {"build-status": status, "project-name": project, "build-id": arn, "current-phase": "COMPLETED", "current-phase-context": "[: ]", "version": "1",
                       "additional-information": info, **detail}}


TERMINAL = {"recovered", "failed_again", "ignored", "refused", "superseded", "deferred", "cancelled", "dead"}


def wait_until(what, condition, timeout=30, step=0.05):
    """What the condition gives once it is true; the limit is for the slowest machine and build, a good one never comes near it."""
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(step)
