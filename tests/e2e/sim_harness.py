"""What end-to-end tests of codebuild-sim share: the program, a receiver of events, clients."""
import http.client
import http.server
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import urllib.request

import boto3
import botocore.config
import botocore.exceptions

AWS = "/usr/bin/aws" if os.path.exists("/usr/bin/aws") else "aws"
KEY, SECRET = "AKIASIMULATOREXAMPLE", "sim/secret+example"

SCRIPT = """
projects:
  - name: web-app
    outcomes:
      - {status: FAILED, phase: PROVISIONING, message: "no capacity"}
      - {status: FAILED, phase: BUILD, exit_code: 75, log: "registry answered 503"}
      - {status: SUCCEEDED}
  - {name: steady}
  - {name: "made-*", outcomes: [{status: FAILED, phase: BUILD, message: "tests failed"}, {status: SUCCEEDED}]}
  - {name: endless, outcomes: [{durations: {BUILD: 30d}}]}
events: {retry_base: 50ms, retry_cap: 200ms}
"""


class Sim:
    """One codebuild-sim process on a free port."""

    def __init__(self, binary, script=SCRIPT, *args):
        self.dir = tempfile.mkdtemp(prefix="sim-e2e-")
        path = os.path.join(self.dir, "sim.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(script)
        self.ledger_path = os.path.join(self.dir, "ledger")
        self.proc = subprocess.Popen(
            [binary, "--listen", "127.0.0.1:0", "--script", path, "--ledger", self.ledger_path, "--seed", "7",
             *args], stdout=subprocess.PIPE, text=True)
        line = self.proc.stdout.readline()
        if not line.startswith("listening on http://"):
            raise RuntimeError(f"no ready line but {line!r}")
        self.url = line.split()[-1]

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data), timeout=60) as r:
            return json.load(r)

    def advance(self, span):
        return self.control("/_sim/clock", {"advance": span})

    def faults(self, *rows):
        return self.control("/_sim/faults", {"faults": list(rows)})

    def effects(self, operation=None):
        rows = self.control("/_sim/ledger")["effects"]
        return [r for r in rows if operation in (None, r["operation"])]

    def client(self, key=KEY, secret=SECRET, attempts=1, timeout=60):
        config = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": "standard"},
                                        read_timeout=timeout, connect_timeout=5)
        session = boto3.session.Session()  # the shared one is for one thread only
        return session.client("codebuild", region_name="us-east-1", endpoint_url=self.url, aws_access_key_id=key,
                              aws_secret_access_key=secret, config=config)

    def raw(self, operation, body, headers=None, timeout=60):
        """(status, headers, body); raises on a broken answer."""
        host = self.url.split("//")[1]
        conn = http.client.HTTPConnection(host, timeout=timeout)
        try:
            conn.request("POST", "/", json.dumps(body),
                         {"X-Amz-Target": f"CodeBuild_20161006.{operation}",
                          "Content-Type": "application/x-amz-json-1.1", **(headers or {})})
            r = conn.getresponse()
            return r.status, r.headers, r.read()
        finally:
            conn.close()

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        code = self.proc.wait(timeout=60)
        self.proc.stdout.close()
        shutil.rmtree(self.dir)
        return code


class Receiver:
    """Takes events; answers what `answers` says, then 200."""

    def __init__(self, answers=()):
        self.got = queue.Queue()
        answers = list(answers)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = answers.pop(0) if answers else 200
                outer.got.put((status, dict(self.headers), json.loads(body)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self, timeout=60):
        return self.got.get(timeout=timeout)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def equal(got, want, what=""):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def error_of(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except botocore.exceptions.ClientError as e:
        return e.response["Error"]["Code"], e.response["Error"]["Message"]
    raise AssertionError("no error")


def aws(sim, *args, check=True):
    env = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
           "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": "/dev/null",
           "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    env.pop("PYTHONPATH", None)
    r = subprocess.run([AWS, "--endpoint-url", sim.url, "--output", "json", "codebuild", *args], env=env,
                       capture_output=True, text=True, timeout=60, check=False)
    if check:
        if r.returncode != 0:
            raise AssertionError(f"aws {args[0]}: {r.stderr}")
        return json.loads(r.stdout) if r.stdout.strip() else {}
    return r


def failed_build(sim, project="web-app", **more):
    build = sim.client().start_build(projectName=project, **more)["build"]
    sim.advance("10m")
    return build["id"]
