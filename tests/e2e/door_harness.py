"""What tests of the AWS front door share: a service whose door is open, its clients, and requests signed by hand."""
import datetime
import json
import os
import subprocess
import uuid

import boto3
import botocore.config
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import life
import service
from service import REGION
from sim_harness import AWS, equal

KEY, SECRET = "AKIAFRONTDOOR", "front/door+secret-0123456789"
OTHER, OTHER_SECRET = "AKIAANOTHERONE", "another-secret-of-the-door-01"
EYES, EYES_SECRET = "AKIAEYESONLY", "eyes-only-secret-0123456789"
JSON11 = "application/x-amz-json-1.1"


# No sweep: it would find the failures that a case keeps for itself.
QUIET = service.FAST.replace("sweep_every: 3s", "sweep_every: 1h")


class Door(service.Service):
    """A service whose front door is open."""

    def __init__(self, binary, store_url, sim_url, wait="20s", extra="", timing=QUIET):
        super().__init__(binary, store_url, sim_url, extra, timing)
        keys = (f"front_door: {{wait: {wait}, access_keys: [{{id: {KEY}, secret: {SECRET}}}, {{id: {OTHER}, role: operator, secret: {OTHER_SECRET}}},"
                f" {{id: {EYES}, role: viewer, secret: {EYES_SECRET}}}]}}")
        text = self.config.read_text()
        self.config.write_text(text.replace("api: {tokens:", f"api: {{{keys}, tokens:"))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, key=KEY, secret=SECRET, attempts=1, region=REGION, token=None):
        config = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": "standard"}, read_timeout=60, connect_timeout=5, max_pool_connections=20)
        return boto3.session.Session().client("codebuild", region_name=region, endpoint_url=self.url, aws_access_key_id=key, aws_secret_access_key=secret,
                                              aws_session_token=token, config=config)

    def cli(self, *args, key=KEY, secret=SECRET):
        env = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "1",
               "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
        env.pop("PYTHONPATH", None)
        env.pop("AWS_SESSION_TOKEN", None)
        return subprocess.run([AWS, "--endpoint-url", self.url, "--output", "json", "codebuild", *args], env=env, capture_output=True, text=True, timeout=90, check=False)

    def signed(self, operation, body, key=KEY, secret=SECRET, region=REGION, name="codebuild", age=0, headers=None, url=None, change=None):
        """(status, headers, JSON) of a request signed here, so that anything about it can be wrong; `change` is applied to the headers afterwards."""
        return self.signed_raw(operation, body, key, secret, region, name, age, headers, url, change)[:3]

    def signed_raw(self, operation, body, key=KEY, secret=SECRET, region=REGION, name="codebuild", age=0, headers=None, url=None, change=None):
        """The same, and the answer's text."""
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        request = AWSRequest(method="POST", url=url or f"{self.url}/", data=data)
        for k, v in {"Content-Type": JSON11, "X-Amz-Target": f"CodeBuild_20161006.{operation}", **(headers or {})}.items():
            request.headers[k] = v
        at = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
        request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
        signer = SigV4Auth(Credentials(key, secret), name, region)
        signer._modify_request_before_signing(request)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        signer._inject_signature_to_request(request, signer.signature(text, request))
        sent = dict(request.headers.items())
        sent.setdefault("X-Amz-Date", request.context["timestamp"])
        for k, v in (change or {}).items():
            sent.pop(k, None)
            if v is not None:
                sent[k] = v
        return self.post(data, sent)

    def post(self, data, headers, path="/"):
        status, found, text = self.request("POST", path, data, headers)
        equal(bool(uuid.UUID(found["x-amzn-RequestId"])), True)
        answer = json.loads(text)
        if status != 200:
            equal(found["x-amzn-ErrorType"], answer["__type"])
            equal(found["Content-Type"], JSON11)
        return status, found, answer, text


class World(life.World):
    def __init__(self, build):
        super().__init__(build)
        binary = build / "cmd/retrybuild/retrybuild"
        self.redis = service.Redis("no")
        extra = "projects: {deny: [slow]}\n"
        self.doors = {"sqlite": Door(binary, "sqlite:door.db", self.sim.url, extra=extra).start(),
                      "redis": Door(binary, self.redis.url, self.sim.url, extra=extra).start()}

    def stop(self):
        try:
            for name, d in self.doors.items():
                equal(d.stop(), 0, f"exit status on {name}")
        finally:
            self.redis.stop()
            self.sim.stop()
