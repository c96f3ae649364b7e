#!/usr/bin/python3
"""The listener against requests whose beginning or end another program might see elsewhere: smuggling, folding, wrong lengths, odd methods and paths."""
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from listener import HOOK, JSON_TYPE, LATE_S, PROOF, World, alive, one, refused_by_the_library  # noqa: E402
from raw_http import exchange, request  # noqa: E402
from sim_harness import equal  # noqa: E402


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
            answers = exchange(world.port, data, timeout=LATE_S)
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
        answers = exchange(world.port, request("POST", HOOK, front, b"0\r\n\r\n" + inner), timeout=LATE_S)
        equal([a.status for a in answers], [400], front)


@case
def bad_chunks_end_the_connection(world):
    head = request("POST", HOOK, [JSON_TYPE, PROOF, ("Transfer-Encoding", "chunked")])
    for tail in (b"zz\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n{}\r\n", b"2\r\n{}XX0\r\n\r\n", b"\r\n\r\n"):
        answers = exchange(world.port, head + tail, timeout=LATE_S)
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
    for path in ("/v1", "/v1/", "/assets/", "/assets/../index.html", "/v1/retries/x/y", "/livez/", "//livez", "/favicon.ico", "/%00", "/..%2f..%2fetc/passwd", "/v1/hooks"):
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


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
