#!/usr/bin/python3
"""Results where people look: one recording stand-in for every receiver, with the limits that the real ones have."""
import http.server
import json
import pathlib
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from serving import logged_any, metric  # noqa: E402
from sim_harness import equal  # noqa: E402

REPOSITORY = "https://github.com/acme/web.git"
ALLOW = 'network: {allow: ["127.0.0.1/32"]}'


class Recorder:
    """Answers as GitHub, Slack and plain webhooks do; keeps every request; can be down, or allow one message at a time."""

    def __init__(self):
        self.got, self.lock = [], threading.Lock()
        self.down, self.comments, self.least_gap, self.last, self.limited = False, {}, 0.0, {}, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                with outer.lock:
                    status, headers, answer = outer.answer_to(self.command, self.path, json.loads(body) if body else None, self.headers)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer_to(self, method, path, body, headers):
        now = time.monotonic()
        if self.down and path.startswith("/down"):
            return 503, {}, {}
        if self.least_gap and path.startswith("/limited"):
            left = self.last.get(path, 0) + self.least_gap - now
            if left > 0:
                self.limited += 1
                return 429, {"Retry-After": "1"}, {"retry_after": left}
            self.last[path] = now
        self.got.append((now, method, path, body, headers))
        if path.startswith("/gone"):
            return 410, {}, {}
        if path.startswith("/moved"):
            return 302, {"Location": self.url + "/inside"}, {}
        if path.endswith("/chat.postMessage"):
            return 200, {}, {"ok": True, "channel": "C123", "ts": f"17.{len(self.got)}"}
        if path.endswith("/chat.update"):
            return 200, {}, {"ok": True}
        if "/comments" in path:
            return self.comment(method, path, body)
        return 201 if "/statuses/" in path else 200, {}, {"id": len(self.got)}

    def comment(self, method, path, body):
        if method == "GET":
            return 200, {}, [{"id": k, "body": v} for k, v in self.comments.items()]
        key = len(self.comments) + 1 if method == "POST" else int(path.rsplit("/", 1)[1])
        self.comments[key] = body["body"]
        return 201, {}, {"id": key}

    def of(self, part, method=None):
        with self.lock:
            return [g for g in self.got if part in g[2] and method in (None, g[1])]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def failed_pull_request(world, project, sha):
    return world.failed_build(project, sourceVersion=sha, sourceTypeOverride="GITHUB", sourceLocationOverride=REPOSITORY)


def pull_request_event(build, number="12"):
    event = event_of(build)
    event["detail"]["additional-information"]["source"] = {"type": "GITHUB", "location": REPOSITORY}
    return event


def all_reported(s, retry_id):
    return wait_until("every report delivered", lambda: (lambda r: r if r and all(x["state"] in ("delivered", "superseded") for x in r) else None)(
        s.api("GET", f"/v1/retries/{retry_id}")[1]["reports"]))


def chain_of(s, chain, n):
    return wait_until(f"{n} attempts", lambda: (lambda c: c if len(c) == n and all(r["finished_at"] for r in c) else None)(
        sorted((r for r in s.retries() if r["chain"] == chain), key=lambda r: r["attempt"])))


@both
def a_commit_is_pending_then_green_in_the_right_context(world, kind):
    to = Recorder()
    extra = f"""rules: [{FAST_RULE}]
{ALLOW}
destinations:
  - {{name: own, type: github-status, api: {{url: "{to.url}/own", token: canary}}}}
  - {{name: original, type: github-status, api: {{url: "{to.url}/original", token: canary}}, context: original}}
  - {{name: tea, type: gitea-status, api: {{url: "{to.url}/tea", token: canary}}}}"""
    with world.serving(kind, extra) as s:
        build = failed_pull_request(world, "flaky", "0123456789abcdef0123456789abcdef01234567")
        _, answer = deliver(s, pull_request_event(build))
        r = reach(s, answer["retry"], "recovered")
        all_reported(s, r["id"])
        sha = r["commit"]
        own = to.of("/own")
        equal([g[2] for g in own], [f"/own/repos/acme/web/statuses/{sha}"] * len(own))
        states = [g[3]["state"] for g in own]
        assert states in (["pending", "success"], ["success"]), states
        equal({g[3]["context"] for g in own}, {"retrybuild/flaky"})
        equal({g[3]["context"] for g in to.of("/original")}, {"AWS CodeBuild us-east-1 (flaky)"})
        equal(own[-1][4]["Authorization"], "Bearer canary")
        assert re.match(r"Recovered on retry 1 of 2 \(rule infrastructure: ", own[-1][3]["description"]), own[-1][3]
        assert len(own[-1][3]["description"]) <= 140
        equal(to.of("/tea"), [])  # a repository of github.com is not that host's
        assert "canary" not in s.tail(2000)
    to.stop()


@both
def a_second_failure_ends_red_with_the_reason_and_one_message_tells_it_all(world, kind):
    to = Recorder()
    extra = f"""rules: [{FAST_RULE}]
{ALLOW}
destinations:
  - {{name: status, type: github-status, api: {{url: "{to.url}/api", token: canary}}}}
  - {{name: chat, type: slack, api: {{url: "{to.url}/slack", token: canary}}, channel: "#ci"}}"""
    with world.serving(kind, extra) as s:
        build = failed_pull_request(world, "stubborn", "1123456789abcdef0123456789abcdef01234567")
        _, answer = deliver(s, pull_request_event(build))
        first = reach(s, answer["retry"], "failed_again")
        for r in chain_of(s, first["chain"], 2):
            all_reported(s, r["id"])
        last = to.of("/statuses/")[-1][3]
        equal(last["state"], "failure")
        assert last["description"].startswith("Failed again on retry 2 of 2: "), last
        posts = to.of("/slack/chat.postMessage")
        equal([p[3].get("thread_ts") is None for p in posts], [True] + [False] * (len(posts) - 1))
        equal([p[3].get("reply_broadcast") for p in posts][1:], [False] * (len(posts) - 2) + [True])
        equal(len(to.of("/slack/chat.update")), len(posts) - 1)
        ids = [p[3]["metadata"]["event_payload"]["id"] for p in posts]
        equal(len(ids), len(set(ids)))
        for a, b in zip(posts, posts[1:]):
            assert b[0] - a[0] >= 0.9, "messages to one channel are a second apart"
    to.stop()


@case
def a_comment_is_made_once_and_edited(world):
    to = Recorder()
    extra = f"""rules: [{FAST_RULE}]
{ALLOW}
destinations: [{{name: pr, type: github-comment, api: {{url: "{to.url}/api", token: canary}}}}]"""
    with world.serving(extra=extra) as s:
        build = failed_pull_request(world, "stubborn", "pr/12")
        _, answer = deliver(s, pull_request_event(build))
        first = reach(s, answer["retry"], "failed_again")
        for r in chain_of(s, first["chain"], 2):
            all_reported(s, r["id"])
        equal((len(to.of("/comments", "POST")), len(to.comments)), (1, 1))
        assert len(to.of("/comments/1", "PATCH")) >= 1
        assert "| 1 of 2 | failed again |" in to.comments[1] and "| 2 of 2 | failed again |" in to.comments[1], to.comments
    to.stop()


@both
def a_receiver_that_is_down_delays_nobody_else_and_then_hears_every_end_in_order(world, kind):
    to = Recorder()
    to.down = True
    hooks = "".join(f'  - {{name: {n}, type: webhook, url: "{to.url}/{n}", schedule: [200ms]}}\n' for n in ("down", "up"))
    with world.serving(kind, f"rules: [{FAST_RULE}]\n{ALLOW}\ndestinations:\n{hooks}") as s:
        chains = []
        for n in range(4):
            build = world.failed_build("stubborn", sourceVersion=f"refs/heads/{kind}-{n}")
            chains.append(reach(s, deliver(s, event_of(build))[1]["retry"], "failed_again")["chain"])
        ended = [r for c in chains for r in chain_of(s, c, 2)]
        wait_until("the other one has heard all", lambda: {r["id"] for r in ended} <= {g[3]["data"]["id"] for g in to.of("/up") if g[3]["type"] == "retry.failed_again"})
        equal(to.of("/down"), [])
        to.down = False
        for r in ended:
            all_reported(s, r["id"])
        for c in chains:
            told = [(g[3]["data"]["attempt"], g[3]["type"]) for g in to.of("/down") if g[3]["data"]["chain"] == c]
            equal([t for t in told if t[1] == "retry.failed_again"], [(1, "retry.failed_again"), (2, "retry.failed_again")])
            equal(told, sorted(told, key=lambda t: (t[0], t[1] == "retry.failed_again")))
    to.stop()


@case
def a_rate_limit_is_met_once_by_many_chains(world):
    to = Recorder()
    to.least_gap = 0.2
    extra = f"""rules: []
{ALLOW}
destinations: [{{name: limited, type: webhook, url: "{to.url}/limited", stages: [held], schedule: [100ms]}}]
mode: ask"""
    with world.serving(extra=extra) as s:
        build = world.failed_build("flaky")
        for n in range(12):
            other = {**build, "id": f"flaky:{n:08d}-1111-4222-8333-444444444444"}
            deliver(s, event_of(other))
        wait_until("all are told", lambda: len(to.of("/limited")) == 12, 60)
        assert to.limited <= 12 * 4, to.limited
    to.stop()


def dead_report(s, world, n):
    build = world.failed_build("flaky", sourceVersion=f"refs/heads/gone-{n}")
    r = reach(s, deliver(s, event_of(build))[1]["retry"], "recovered")
    wait_until("dead", lambda: [x["state"] for x in s.api("GET", f"/v1/retries/{r['id']}")[1]["reports"]] == ["dead"])
    return r


def off_rows(s):
    return [b["state"] for b in s.api("GET", "/v1/stats")[1]["breakers"] if b["scope"] == "destination:old"]


@both
def a_receiver_that_is_gone_is_switched_off_everywhere_with_an_alarm(world, kind):
    """In other processes, and in those that start later; until a reload or a requeue."""
    to = Recorder()
    extra = f"""rules: [{FAST_RULE}]
{ALLOW}
destinations: [{{name: old, type: mattermost, url: "{to.url}/gone/secret-path", stages: [finished], when: {{branch: ["gone-{kind}-*"]}}}}]"""
    with world.serving(kind, extra) as s:
        dead_report(s, world, f"{kind}-0")
        last = dead_report(s, world, f"{kind}-1")
        equal(len(to.of("/gone")), 1)
        assert "destination.off" in s.tail(1000) and "secret-path" not in s.tail(1000)
        equal((metric(s, 'breaker_open{scope="destination:old"}'), off_rows(s)), (1.0, ["off"]))
        others = [service.Service(s.binary, f"redis+unix://{s.config.read_text().split('redis+unix://')[1].split(chr(34))[0]}", world.sim.url, extra)] if kind == "redis" else []
        for other in others:
            other.start()
            wait_until("the other process knows", lambda o=other: metric(o, 'breaker_open{scope="destination:old"}') == 1.0)
        s.kill()
        s.start()
        dead_report(s, world, f"{kind}-2")
        equal((len(to.of("/gone")), len(logged_any(s, "destination.off"))), (1, 2))
        equal(s.api("POST", f"/v1/retries/{last['id']}/requeue")[0], 200)  # tried once more, and gone again
        wait_until("tried again", lambda: len(to.of("/gone")) == 2)
        wait_until("off again", lambda: off_rows(s) == ["off"])
        dead_report(s, world, f"{kind}-3")
        equal(len(to.of("/gone")), 2)
        s.proc.send_signal(signal.SIGHUP)
        wait_until("on again", lambda: off_rows(s) == [] and metric(s, 'breaker_open{scope="destination:old"}') == 0.0)
        for other in others:
            wait_until("there too", lambda o=other: metric(o, 'breaker_open{scope="destination:old"}') == 0.0)
            other.stop()
        dead_report(s, world, f"{kind}-4")
        equal(len(to.of("/gone")), 3)
    to.stop()


class Doors:
    """One port of every address of this machine; counts who came."""

    def __init__(self):
        self.sockets, self.came, port = [], 0, 0
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            try:
                door = socket.socket(family, socket.SOCK_STREAM)
                if family == socket.AF_INET6:
                    door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                door.bind((address, port))
            except OSError:  # no IPv6 here
                continue
            port = door.getsockname()[1]
            door.listen()
            self.sockets.append(door)
            threading.Thread(target=self.count, args=(door,), daemon=True).start()
        self.port = port

    def count(self, door):
        try:
            while True:
                door.accept()[0].close()
                self.came += 1
        except OSError:
            pass

    def stop(self):
        socket.create_connection(("127.0.0.1", self.port)).close()  # the count counts
        wait_until("the one who knocked is counted", lambda: self.came == 1)
        for door in self.sockets:
            door.close()


@case
def no_packet_goes_to_an_address_inside(world):
    doors = Doors()
    inside = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "localhost", "[::1]", "[::ffff:127.0.0.1]",
              "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[::]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "169.254.169.254", "[fd00:ec2::254]",
              "[fe80::1]", "100.64.0.1", "someone@127.0.0.1"]
    equal(len(inside), 24)
    urls = [f"https://{h}:{doors.port}/inside" for h in inside] + [f"http://127.0.0.1:{doors.port}/plain", "http://93.184.216.34/plain"]
    hooks = "".join(f'  - {{name: d{i}, type: webhook, url: "{u}", stages: [finished], give_up: 1s, timeout: 500ms}}\n' for i, u in enumerate(urls))
    with world.serving(extra=f"rules: [{FAST_RULE}]\ndestinations:\n{hooks}") as s:
        r = reach(s, deliver(s, event_of(world.failed_build("flaky")))[1]["retry"], "recovered")
        reports = wait_until("none delivered", lambda: (lambda x: x if len(x) == len(urls) and all(y["state"] == "dead" for y in x) else None)(
            s.api("GET", f"/v1/retries/{r['id']}")[1]["reports"]))
        refused = [x for x in reports if x["attempts"] == 1 and "may not be called" in x["last_error"]]
        assert len(refused) >= len(urls) - 1, reports  # one form is a name that may not resolve here
        equal(doors.came, 0)
        assert len(logged_any(s, "config.unreachable")) >= 20 and "/inside" not in s.log.read_text()
    doors.stop()


@case
def a_redirect_is_not_followed(world):
    to = Recorder()
    extra = f"""rules: [{FAST_RULE}]
{ALLOW}
destinations: [{{name: moved, type: webhook, url: "{to.url}/moved", stages: [finished]}}]"""
    with world.serving(extra=extra) as s:
        r = reach(s, deliver(s, event_of(world.failed_build("flaky")))[1]["retry"], "recovered")
        wait_until("dead", lambda: [x["state"] for x in s.api("GET", f"/v1/retries/{r['id']}")[1]["reports"]] == ["dead"])
        equal(to.of("/inside"), [])
    to.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda world: world.sim.stop())
