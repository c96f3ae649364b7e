#!/usr/bin/python3
"""The listener against bodies and proofs that are wrong, and clients that are slow or many: raw sockets to a real `retrybuild serve` on SQLite."""
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
from listener import HOOK, JSON_TYPE, LATE_S, NOWHERE, PROOF, World, alive, event, one, post, refused_by_the_library  # noqa: E402
from raw_http import exchange, request  # noqa: E402
from service import KEY, TOKEN  # noqa: E402
from sim_harness import equal  # noqa: E402


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


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
    equal(time.monotonic() - started < LATE_S, True, "cut in time")


@case
def a_length_that_is_too_short_spoils_only_what_follows(world):
    body = event()
    answers = exchange(world.port, request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 5)], body.encode()), timeout=LATE_S)
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
def many_large_bodies_share_a_bounded_room_and_small_ones_pass(world):
    own = service.Service(world.service.binary, "sqlite:crowd.db", NOWHERE, extra="workers: {submit: 0, report: 1}",
                          listen='{address: "127.0.0.1:0", request_timeout: 60s}').start()
    body = b" " * 2**20
    waiting = []
    try:
        for _ in range(90):
            s = socket.create_connection(("127.0.0.1", own.port), timeout=60)
            s.sendall(post(body)[:-1])
            waiting.append(s)
        equal(own.deliver(event())[0], 202, "a delivery beside them")
        seen = [0, 1]
        service.wait_until("all of it is read", lambda: seen.append(cpu_ticks(own.proc.pid)) or seen[-1] == seen[-2], 60, 0.7)
        heads = []
        for s in waiting:
            s.sendall(b" ")
            heads.append(s.recv(65536))
        kept = [h for h in heads if h.startswith(b"HTTP/1.1 400")]
        crowded = [h for h in heads if h.startswith(b"HTTP/1.1 503") and b"Retry-After" in h]
        equal(len(kept) + len(crowded), 90)
        assert 50 <= len(kept) <= 64, len(kept)
        equal(own.request("POST", HOOK, body, {"x-retrybuild-key": KEY})[0], 400, "there is room again")
    finally:
        for s in waiting:
            s.close()
        own.stop()


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
    equal(drip(world, b"GET /livez HTTP/1.1\r\nHost: a\r\n", b"X-A: b\r\n", 2 * LATE_S) < LATE_S, True)
    equal(drip(world, b"", b"G", 2 * LATE_S) < LATE_S, True)


@case
def a_client_that_drips_its_body_is_cut(world):
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Content-Length", 10000)])
    equal(drip(world, head, b" ", 2 * LATE_S) < LATE_S, True)
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked")])
    equal(drip(world, head, b"1\r\n \r\n", 2 * LATE_S) < LATE_S, True)


@case
def a_client_that_does_not_read_is_cut(world):
    with raw_http.connect(world.port) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 2 * LATE_S:
                s.settimeout(0.2)
                try:
                    s.sendall(request("GET", "/metrics") * 50)
                except socket.timeout:
                    continue
        except OSError:
            pass
        equal(time.monotonic() - started < LATE_S, True, "cut")
    alive(world)


@case
def an_answer_that_the_socket_does_not_take_at_once_reaches_a_slow_reader(world):
    for _ in range(100):
        one(world, post(event()), 202)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(LATE_S)
        s.connect(("127.0.0.1", world.port))
        page = request("GET", "/v1/retries?limit=100", [("Authorization", f"Bearer {TOKEN}")])
        s.sendall(page * 20 + request("GET", "/livez", [("Connection", "close")]))  # what is sent meanwhile waits
        got, piece = b"", b"more"
        while piece:
            time.sleep(0.0005)
            piece = s.recv(16384)
            got += piece
    answers = raw_http.parse(got)
    equal([a.status for a in answers], [200] * 21)
    equal([len(a.json()["retries"]) for a in answers[:20]], [100] * 20)


@case
def an_idle_connection_is_closed(world):
    with raw_http.connect(world.port) as s:
        equal(raw_http.closed_after(s, 2 * LATE_S) < LATE_S, True)
    with raw_http.connect(world.port) as s:
        s.sendall(request("GET", "/livez"))
        equal(raw_http.closed_after(s, 2 * LATE_S) < LATE_S, True)


@case
def pipelined_requests_are_answered_in_order(world):
    body = event()
    data = b"".join([request("GET", "/livez"), post(body, close=False), request("GET", "/nowhere"), post(body, close=False)])
    answers = exchange(world.port, data, timeout=LATE_S)
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
        equal(time.monotonic() - started < LATE_S, True, "answered while they are there")
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
