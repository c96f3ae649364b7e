"""What the tests of the listener share: one service with short deadlines, deliveries by hand."""
import json

import raw_http
import service
from raw_http import exchange, request
from service import KEY, failure_event
from sim_harness import equal

TIMEOUT_S = 1  # listen.request_timeout
LATE_S = 20  # by then the slowest machine has cut a client that it was to cut
NOWHERE = "http://127.0.0.1:9"
HOOK = "/v1/hooks/eventbridge"
PROOF = ("x-retrybuild-key", KEY)
JSON_TYPE = ("Content-Type", "application/json")


class World:
    def __init__(self, build):
        self.service = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:listener.db", NOWHERE, extra="workers: {submit: 0, report: 1}",
                                       listen=f'{{address: "127.0.0.1:0", request_timeout: {TIMEOUT_S}s, max_connections: 8000}}').start()
        self.port = self.service.port

    def stop(self):
        equal(self.service.stop(), 0, "exit status")


def post(body, *headers, path=HOOK, proof=True, close=True):
    """A POST with the right length and, unless said otherwise, the right secret."""
    body = body.encode() if isinstance(body, str) else body
    given = [JSON_TYPE, ("Content-Length", len(body)), *headers]
    if proof:
        given.append(PROOF)
    if close:
        given.append(("Connection", "close"))
    return request("POST", path, given, body)


def event(name="app", **args):
    return json.dumps(failure_event(f"{name}:{service.uuid.uuid4()}", **args))


def one(world, data, status, what="", **args):
    """Exactly one answer with this status; a problem in its proper form when it is one."""
    answers = exchange(world.port, data, **args)
    equal([a.status for a in answers], [status], what or data[:80])
    a = answers[0]
    if status >= 400 and not args.get("head"):
        equal(a.headers["content-type"], "application/problem+json", "type of a problem")
        equal(sorted(a.json()), ["detail", "status", "title", "type"], "members of a problem")
        equal(a.json()["status"], status, "status in the problem")
    return a


def alive(world):
    equal(one(world, request("GET", "/livez", [("Connection", "close")]), 200).body, b"ok\n")


def refused_by_the_library(world, data, status):
    """A length that libmicrohttpd cannot read it refuses by itself, before the service sees the request (and says its header twice)."""
    with raw_http.connect(world.port) as s:
        s.sendall(data)
        got = raw_http.read_all(s, LATE_S)
    equal(got.startswith(b"HTTP/1.1 " + status + b" ") and b"\r\nConnection: close\r\n" in got and b" 200 " not in got and b" 202 " not in got, True, got)
