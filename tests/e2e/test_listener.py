#!/usr/bin/python3
"""The listener against requests that are wrong, slow or many: raw sockets to a real `retrybuild serve` on SQLite."""
import concurrent.futures
import json
import pathlib
import resource
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import raw_http  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from raw_http import exchange, request  # noqa: E402
from service import KEY, TOKEN, failure_event  # noqa: E402
from sim_harness import equal  # noqa: E402

TIMEOUT_S = 1  # listen.request_timeout
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
        got = raw_http.read_all(s, TIMEOUT_S + 2)
    equal(got.startswith(b"HTTP/1.1 " + status + b" ") and b"\r\nConnection: close\r\n" in got and b" 200 " not in got and b" 202 " not in got, True, got)


# ---- bodies ----

@case
def a_failure_is_accepted_once_and_its_repetition_is_a_duplicate(world):
    body = event()
    first = one(world, post(body), 202)
    equal(first.json()["status"], "accepted")
    again = one(world, post(body), 200)
    equal(again.json()["status"], "duplicate")
    equal(again.json()["retry"], first.json()["retry"])
    equal(again.headers["idempotent-replayed"], "true")


@case
def what_is_not_json_is_refused(world):
    bad = [b"hello", b"{", b"[1,", b"nul", b"{\"a\":1}{", b"\xef\xbb\xbf{}", b"{'a': 1}", b"{\"a\": 01}", b"\x00", b"   ", b"\"\\ud800\"",
           b"{\"a\":1,\"a\":2}", b"{\"detail\": \"\xff\xfe\"}", b"{\"detail\": \"\xc0\xaf\"}", b"[" * 2000 + b"]" * 2000, b"{\"a\":" * 2000]
    for body in bad:
        one(world, post(body), 400, body[:40])
    alive(world)


@case
def json_of_another_shape_is_ignored(world):
    for body in (b"[]", b"1", b"null", b"{}", b"{\"version\": 99999999999999999999999999}", b"{\"detail\": []}"):
        equal(one(world, post(body), 200, body).json()["status"], "ignored", body)


@case
def a_number_beyond_64_bits_where_one_is_read_is_refused_or_ignored(world):
    body = json.loads(event())
    text = json.dumps(body).replace('"build-number": 1', '"build-number": 18446744073709551617000')
    a = exchange(world.port, post(text))[0]
    equal(a.status in (200, 202, 400), True, a)


@case
def an_empty_body_is_refused(world):
    one(world, post(b""), 400)
    one(world, request("POST", HOOK, [JSON_TYPE, PROOF, ("Connection", "close")]), 400)


@case
def other_detail_types_are_ignored_with_200(world):
    for kind in ("CodeBuild Build Phase Change", "EC2 Instance State-change Notification", "", "x" * 500):
        body = json.loads(event())
        body["detail-type"] = kind
        a = one(world, post(json.dumps(body)), 200, kind)
        equal(a.json()["status"], "ignored", kind)


@case
def a_length_that_is_too_long_waits_and_is_cut(world):
    started = time.monotonic()
    data = request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 100)], b"{}")
    equal(exchange(world.port, data), [], "an answer to half a body")
    equal(time.monotonic() - started < TIMEOUT_S + 1, True, "cut in time")


@case
def a_length_that_is_too_short_spoils_only_what_follows(world):
    body = event()
    answers = exchange(world.port, request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 5)], body.encode()), timeout=TIMEOUT_S + 2)
    equal([a.status for a in answers][0], 400)
    equal(all(a.status == 400 for a in answers), True, answers)


@case
def a_body_beyond_the_limit_is_413(world):
    one(world, post(b"", ("Expect", "100-continue"), close=True).replace(b"Content-Length: 0", b"Content-Length: 1048577"), 413)
    one(world, request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 10**15)]), 413)
    one(world, request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 2**64 - 1)]), 413)
    refused_by_the_library(world, request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 2**64)]), b"413")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked")], chunk * 32 + b"0\r\n\r\n")
    one(world, chunked, 413, "2 MiB chunked")
    alive(world)


@case
def a_body_at_the_limit_is_read(world):
    body = event()
    one(world, post(body + " " * (1048576 - len(body))), 202)


@case
def a_chunked_delivery_is_accepted(world):
    body = event().encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 100]), body[i:i + 100]) for i in range(0, len(body), 100))
    one(world, request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked"), ("Connection", "close")], pieces + b"0\r\n\r\n"), 202)


@case
def expect_100_continue_is_honoured(world):
    body = event().encode()
    with raw_http.connect(world.port) as s:
        s.sendall(request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", len(body)), ("Expect", "100-continue"), ("Connection", "close")]))
        equal(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(body)
        equal([a.status for a in raw_http.parse(raw_http.read_all(s))], [202])


@case
def other_media_types_and_encodings_are_415(world):
    body = event()
    for kind in ("application/x-www-form-urlencoded", "image/png", "application/jsonx", "multipart/form-data; boundary=x"):
        one(world, post(body).replace(b"application/json", kind.encode()), 415, kind)
    one(world, post(body, ("Content-Encoding", "gzip")), 415)
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/cloudevents+json", "text/plain"):
        one(world, post(event()).replace(b"application/json", kind.encode()), 202, kind)


# ---- proof ----

@case
def a_wrong_missing_or_doubled_secret_is_401_with_one_text(world):
    body = event()
    tries = [post(body, proof=False), post(body, ("x-retrybuild-key", "wrong"), proof=False), post(body, ("x-retrybuild-key", ""), proof=False),
             post(body, PROOF), post(body, ("x-retrybuild-key", "wrong")), post(body, ("X-Retrybuild-Key", KEY + "x"), proof=False),
             post(body, ("x-retrybuild-key", KEY[:-1]), proof=False), post("not json", proof=False), post(b"", proof=False)]
    texts = {one(world, t, 401).body for t in tries}
    equal(len(texts), 1, texts)
    equal(one(world, post(body, ("X-RETRYBUILD-KEY", KEY), proof=False), 202).status, 202)


@case
def an_unknown_source_is_404_and_says_nothing_of_secrets(world):
    for path in ("/v1/hooks/none", "/v1/hooks/api", "/v1/hooks/"):
        a = one(world, post(event(), path=path), 404, path)
        equal(KEY in a.body.decode(), False)
    one(world, post(event(), path="/v1/hooks/eventbridge/more"), 404)


# ---- framing ----

BODY = b"{}"
SMUGGLED = {
    "length and chunked": request("POST", HOOK, [("Content-Length", 4), ("Transfer-Encoding", "chunked")], b"0\r\n\r\n"),
    "chunked and length": request("POST", HOOK, [("Transfer-Encoding", "chunked"), ("Content-Length", 4)], b"0\r\n\r\n"),
    "two lengths": request("POST", HOOK, [("Content-Length", 2), ("Content-Length", 3)], BODY),
    "two equal lengths": request("POST", HOOK, [("Content-Length", 2), ("Content-Length", 2)], BODY),
    "two encodings": request("POST", HOOK, [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], b"0\r\n\r\n"),
    "encoding identity": request("POST", HOOK, [("Transfer-Encoding", "identity")], b""),
    "encoding list": request("POST", HOOK, [("Transfer-Encoding", "gzip, chunked")], b"0\r\n\r\n"),
    "encoding with tail": request("POST", HOOK, [("Transfer-Encoding", "chunked\x0b")], b"0\r\n\r\n"),
    "two hosts": request("GET", "/livez", [("Host", "other")]),
    "no host": request("GET", "/livez", host=False),
    "NUL in a value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
    "NUL in a name": b"GET /livez HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n",
    "NUL before the colon's end": b"GET /livez HTTP/1.1\r\nHost: a\0\r\n\r\n",
    "bare LF": b"GET /livez HTTP/1.1\nHost: a\n\n",
    "bare LF in the middle": b"GET /livez HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n",
    "bare CR": b"GET /livez HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n",
    "folded value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    "folded with tab": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\n\r\n",
    "folded first line": b"GET /livez HTTP/1.1\r\n Host: a\r\n\r\n",
    "blank before the colon": b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n",
    "no colon": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n",
    "empty name": b"GET /livez HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "control byte in a value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\x01\r\n\r\n",
    "DEL in a value": b"GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\x7f\r\n\r\n",
    "separator in a name": b"GET /livez HTTP/1.1\r\nHost: a\r\nX(A): b\r\n\r\n",
    "HTTP/1.0 chunked": request("POST", HOOK, [("Transfer-Encoding", "chunked")], b"0\r\n\r\n", version="HTTP/1.0"),
    "HTTP/0.9": b"GET /livez\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.2": request("GET", "/livez", version="HTTP/1.2"),
    "HTTP/3 words": request("GET", "/livez", version="HTTP/3.0"),
    "no version": b"GET /livez \r\nHost: a\r\n\r\n",
    "lower-case version": request("GET", "/livez", version="http/1.1"),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
}


@case
def no_ambiguous_request_is_served(world):
    served = []
    for name, data in SMUGGLED.items():
        try:
            answers = exchange(world.port, data, timeout=TIMEOUT_S + 2)
        except (ValueError, socket.timeout) as e:
            served.append((name, repr(e)))
            continue
        if len(answers) > 1 or any(a.status < 400 or a.status > 505 for a in answers):
            served.append((name, answers))
        elif answers and answers[0].headers.get("connection") != "close":
            served.append((name, "stays open", answers))
    equal(served, [], "served")
    alive(world)


@case
def a_length_that_is_no_number_is_refused(world):
    for text in ("2, 2", "+2", "-2", "0x2", "", "2 2", "2\t3", "two"):
        refused_by_the_library(world, request("POST", HOOK, [("Content-Length", text)], b"{}"), b"400")


@case
def a_smuggled_second_request_is_never_answered(world):
    inner = request("GET", "/metrics")
    for front in ([("Content-Length", len(inner)), ("Transfer-Encoding", "chunked")], [("Content-Length", 0), ("Content-Length", len(inner))]):
        answers = exchange(world.port, request("POST", HOOK, front, b"0\r\n\r\n" + inner), timeout=TIMEOUT_S + 2)
        equal([a.status for a in answers], [400], front)


@case
def bad_chunks_end_the_connection(world):
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked")])
    for tail in (b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}\r\n", b"2\r\n{}XX0\r\n\r\n", b"\r\n\r\n"):
        answers = exchange(world.port, head + tail, timeout=TIMEOUT_S + 2)
        equal(all(a.status >= 400 for a in answers), True, (tail, answers))
    alive(world)


@case
def honest_blanks_and_case_are_fine(world):
    one(world, b"GET /livez HTTP/1.1\r\nhOST:   a  \r\nCONNECTION: Close\r\n\r\n", 200)
    one(world, b"GET /livez HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Tab:\ta\tb\r\nX-High: \xe4\xff\r\nConnection: close\r\n\r\n", 200)
    one(world, b"GET /livez HTTP/1.0\r\n\r\n", 200)
    one(world, b"\r\nGET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200)


@case
def methods_and_paths_that_are_not_there(world):
    close = [("Connection", "close")]
    for path in ("/", "/v1", "/v1/", "/v1/retries/x/y", "/livez/", "//livez", "/favicon.ico", "/%00", "/..%2f..%2fetc/passwd", "/v1/hooks"):
        one(world, request("GET", path, close), 404, path)
    for method, path, allow in (("DELETE", "/livez", "GET, HEAD"), ("POST", "/metrics", "GET, HEAD"), ("GET", HOOK, "POST"), ("PUT", "/v1/retries", "GET, HEAD, POST"),
                                ("PATCH", HOOK, "POST"), ("OPTIONS", "/livez", "GET, HEAD")):
        a = one(world, request(method, path, close), 405, (method, path))
        equal(a.headers.get("allow"), allow, (method, path))
    for method in ("TRACE", "CONNECT", "get", "G\x01T", "A" * 300, "BREW", "PROPFIND"):
        equal(exchange(world.port, request(method, "/livez", close))[0].status in (400, 405, 501), True, method)
    a = one(world, request("HEAD", "/livez", close), 200, head=True)
    equal(a.headers["content-length"], "3")
    one(world, request("HEAD", HOOK, close), 405, head=True)


@case
def headers_beyond_the_limits_are_431(world):
    close = ("Connection", "close")
    one(world, request("GET", "/livez", [*((f"X-{i}", "v") for i in range(100)), close]), 431)
    one(world, request("GET", "/livez", [("X-Big", "v" * 9000), close]), 431)
    for size in (20 * 1024, 200 * 1024):
        answers = exchange(world.port, request("GET", "/livez", [("X-Big", "v" * size), close]))
        equal(all(a.status in (431, 413, 414) for a in answers), True, (size, answers))
    one(world, request("GET", "/livez?" + "q" * 1000, [close]), 200)
    one(world, request("GET", "/" + "p" * 2000, [close]), 414)
    equal(exchange(world.port, request("GET", "/" + "p" * 100000, [close]))[0].status in (414, 431), True)
    one(world, request("GET", "/livez", [*((f"X-{i}", "v") for i in range(50)), close]), 200)


# ---- time and number ----

def drip(world, head, piece, limit):
    """Bytes sent one by one until the server ends the connection; seconds that took."""
    started = time.monotonic()
    with raw_http.connect(world.port) as s:
        s.sendall(head)
        s.settimeout(0.25)
        while time.monotonic() - started < limit:
            try:
                s.sendall(piece)
                if s.recv(4096) == b"":
                    break
            except socket.timeout:
                continue
            except OSError:
                break
    return time.monotonic() - started


@case
def a_client_that_drips_its_headers_is_cut(world):
    equal(drip(world, b"GET /livez HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n", 10) < TIMEOUT_S + 1, True)
    equal(drip(world, b"", b"G", 10) < TIMEOUT_S + 1, True)


@case
def a_client_that_drips_its_body_is_cut(world):
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 10000)])
    equal(drip(world, head, b" ", 10) < TIMEOUT_S + 1, True)
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked")])
    equal(drip(world, head, b"1\r\n \r\n", 10) < TIMEOUT_S + 1, True)


@case
def a_client_that_does_not_read_is_cut(world):
    with raw_http.connect(world.port) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 10:
                s.settimeout(0.2)
                try:
                    s.sendall(request("GET", "/metrics") * 50)
                except socket.timeout:
                    continue
        except OSError:
            pass
        equal(time.monotonic() - started < 2 * TIMEOUT_S + 4, True, "cut")
    alive(world)


@case
def an_idle_connection_is_closed(world):
    with raw_http.connect(world.port) as s:
        equal(raw_http.closed_after(s, 10) < TIMEOUT_S + 1, True)
    with raw_http.connect(world.port) as s:
        s.sendall(request("GET", "/livez"))
        equal(raw_http.closed_after(s, 10) < TIMEOUT_S + 1, True)


@case
def pipelined_requests_are_answered_in_order(world):
    body = event()
    data = b"".join([request("GET", "/livez"), post(body, close=False), request("GET", "/nowhere"), post(body, close=False)])
    answers = exchange(world.port, data, timeout=TIMEOUT_S + 2)
    equal([a.status for a in answers][:3], [200, 202, 404])
    # a refusal closes, so what was behind it is not served
    equal(len(answers), 3)
    many = exchange(world.port, request("GET", "/livez") * 40 + request("GET", "/livez", [("Connection", "close")]))
    equal([a.status for a in many], [200] * 41)


@case
def one_connection_carries_many_deliveries(world):
    with raw_http.connect(world.port) as s:
        f = s.makefile("rb")
        for _ in range(200):
            s.sendall(post(event(), close=False))
            equal(f.readline(), b"HTTP/1.1 202 Accepted\r\n")
            length = 0
            while (line := f.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            f.read(length)


@case
def one_delivery_fifty_times_at_once_is_one_retry(world):
    body = event("crowd")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = [a for found in pool.map(lambda _: exchange(world.port, post(body)), range(50)) for a in found]
    equal(sorted(a.status for a in answers), [200] * 49 + [202])
    equal(len({a.json()["retry"] for a in answers}), 1)
    equal([a.headers.get("idempotent-replayed") for a in answers if a.status == 200], ["true"] * 49)
    equal([a.json()["status"] for a in answers if a.status == 200], ["duplicate"] * 49)


@case
def idle_connections_do_not_stop_good_requests(world):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle = []
    try:
        for _ in range(min(5000, hard - 200)):
            idle.append(socket.create_connection(("127.0.0.1", world.port), timeout=10))
        started = time.monotonic()
        one(world, post(event()), 202)
        equal(time.monotonic() - started < 1, True, "answered at once")
    finally:
        for s in idle:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    alive(world)


@case
def connections_that_vanish_in_the_middle_leave_nothing_behind(world):
    body = event()
    whole = post(body)
    for cut in range(1, len(whole), max(1, len(whole) // 150)):
        with raw_http.connect(world.port) as s:
            s.sendall(whole[:cut])
    with raw_http.connect(world.port) as s:
        s.sendall(whole)  # and gone before the answer
    alive(world)
    equal(one(world, post(body), 200).json()["status"], "duplicate")


@case
def the_counts_of_the_deliveries_add_up(world):
    def counts():
        text = exchange(world.port, request("GET", "/metrics", [("Connection", "close")]))[0].body.decode()
        return {line.split('result="')[1].split('"')[0]: float(line.split()[-1]) for line in text.splitlines()
                if line.startswith("retrybuild_deliveries_total{") and 'source="eventbridge"' in line}
    before = counts()
    body = event("counted")
    one(world, post(body), 202)
    one(world, post(body), 200)
    one(world, post("x"), 400)
    one(world, post(body, proof=False), 401)
    after = counts()
    changed = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
    equal(changed, {"accepted": 1, "duplicate": 1, "invalid": 1, "unauthorized": 1})


@case
def tokens_of_the_api_are_not_proof_for_a_hook(world):
    one(world, post(event(), ("Authorization", f"Bearer {TOKEN}"), proof=False), 401)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
