#!/usr/bin/python3
"""Every signature of tests/data/vectors at a running service: the same bytes and headers, at the time the vector is of. A good proof is
never 401, a bad one always is, with one text for all causes."""
import base64
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from sim_harness import Sim, equal  # noqa: E402

VECTORS = json.loads((pathlib.Path(__file__).resolve().parents[1] / "data/vectors/signatures.json").read_text(encoding="utf-8"))["vectors"]
FEWEST = 34
TYPES = {"github-sha256": "github", "gitea-sha256": "gitea", "forgejo-sha256": "forgejo", "bitbucket-sha256": "bitbucket", "gitlab-token": "gitlab",
         "standard-webhooks-v1": "standard-webhooks", "standard-webhooks-v1a": "standard-webhooks", "svix-v1": "standard-webhooks", "slack-v0": "slack",
         "discord-ed25519": "discord", "teams-hmac": "teams", "mattermost-token": "mattermost", "rocketchat-token": "rocketchat"}


def type_of(v):
    if "X-Gitlab-Event" in v["headers"]:
        return "gitlab"
    return "bitbucket-server" if "X-Request-Id" in v["headers"] else TYPES[v["scheme"]]


class NothingThere(http.server.BaseHTTPRequestHandler):
    """The API of a git host that knows of no status."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


def source(n, v, api):
    kind = type_of(v)
    if kind == "discord":
        return {"name": f"v{n}", "type": kind, "public_key": v["public_key_hex"]}
    key = "signing_secrets" if kind == "gitlab" and "webhook-id" in v["headers"] else "secrets"
    return {"name": f"v{n}", "type": kind, key: [{"value": v.get("public_key") or v["secret"]}]} | ({"api": {"url": api, "token": "t"}} if kind == "gitlab" else {})


class World:
    """A service for each time that vectors are of, with a source for each of them."""

    def __init__(self, build):
        self.sim = Sim(build / "cmd/codebuild-sim/codebuild-sim")
        self.host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), NothingThere)
        threading.Thread(target=self.host.serve_forever, daemon=True).start()
        self.services = {}
        for at in {v.get("now") for v in VECTORS}:
            shift = {} if at is None else {"RB_FAULT_CLOCK_S": str(int(at - time.time()))}
            s = service.Service(build / "tests/fault/retrybuild-fault", f"sqlite:vectors-{at}.db", self.sim.url, 'network: {allow: ["127.0.0.1/32"]}', aws_env=shift)
            own = [source(n, v, f"http://127.0.0.1:{self.host.server_port}") for n, v in enumerate(VECTORS) if v.get("now") == at]
            s.config.write_text(s.config.read_text().replace(f"sources: [{{name: eventbridge, type: eventbridge, secrets: [{{value: {service.KEY}}}]}}]",
                                                             "sources: " + json.dumps(own, ensure_ascii=False)))
            self.services[at] = s.start()

    def post(self, n, v, **change):
        body = change.get("body", v["body"]).encode()
        return self.services[v.get("now")].request("POST", f"/v1/hooks/v{n}", body, {k: x for k, x in v["headers"].items() if k != "Host"} | change.get("headers", {}))

    def stop(self):
        for s in self.services.values():
            s.stop()
        self.sim.stop()
        self.host.shutdown()
        self.host.server_close()


def readable(v):
    """Is the body something that the sender could have meant? Some vectors sign a mere sentence."""
    if "form" in v["headers"].get("Content-Type", ""):
        return True
    try:
        return isinstance(json.loads(v["body"]), dict)
    except ValueError:
        return False


@case
def every_vector_behaves_as_it_says(w):
    equal(len(VECTORS) >= FEWEST, True)
    wrong = []
    for n, v in enumerate(VECTORS):
        status, _, body = w.post(n, v)
        if v["expect"] == "invalid":
            good = status == 401 and json.loads(body)["detail"] == "the proof of the sender is missing or wrong"
        elif v["expect"] == "answer-200-but-do-nothing":
            good = (status, body) == (200, "")
        else:
            good = status in (200, 202, 204) if readable(v) else status == 400
        if not good:
            wrong.append((v["id"], v["expect"], status, body))
    equal(wrong, [])


@case
def a_byte_more_is_refused_wherever_the_body_is_signed(w):
    wrong = []
    for n, v in enumerate(VECTORS):
        if v["expect"] == "valid" and not v["scheme"].endswith("-token"):
            status, _, body = w.post(n, v, body=v["body"] + " ")
            wrong += [] if status == 401 else [(v["id"], status, body)]
    equal(wrong, [])


@case
def what_send_signs_with_a_private_key_the_public_one_verifies(w):
    n, v = next((n, v) for n, v in enumerate(VECTORS) if v["scheme"] == "standard-webhooks-v1a")
    s = w.services[v["now"]]
    folder = s.config.parent
    seed = bytes(range(0x20, 0x40))
    (folder / "body.json").write_text('{"data": {}}')
    for name, raw, code in (("seed", seed, 0), ("seed-and-public", seed + base64.b64decode(v["public_key"][5:]), 0), ("other", bytes(32), 77), ("short", seed[:31], 1)):
        (folder / name).write_text("whsk_" + base64.b64encode(raw).decode())
        p = subprocess.run([s.binary, "send", "--source", "standard-webhooks", "--secret-file", folder / name, "--url", f"http://127.0.0.1:{s.port}/v1/hooks/v{n}",
                            folder / "body.json"], capture_output=True, text=True, check=False, env=s.env)
        equal((name, p.returncode), (name, code), p.stdout + p.stderr)


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.stop())
