#!/usr/bin/python3
"""What must not get in, at a running service: proofs beside their window, twice, empty, in the wrong form; secrets that come and go with a reload; links
that lie; bodies beyond measure; deliveries that try to stand in a real failure's way."""
import base64
import datetime
import hashlib
import hmac
import json
import pathlib
import signal
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import raw_http  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from catcher import Catcher  # noqa: E402
from life import FAST_RULE, World, event_of, reach  # noqa: E402
from service import ACCOUNT, REGION, failure_event, wait_until  # noqa: E402
from serving import logged  # noqa: E402
from sim_harness import equal  # noqa: E402

SECRET, OLD, SIGNING = "hook-secret-0123456789", "old-secret-0123456789", "whsec_" + base64.b64encode(b"k" * 32).decode()
TEAMS = base64.b64encode(b"teams key of the tests, 32 bytes").decode()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PLAIN = ("github", "bitbucket", "bitbucket-server", "gitea", "forgejo", "gitlab", "eventbridge", "generic", "teams", "slack", "standard-webhooks")


def hexmac(text, key=SECRET, how="sha256"):
    return hmac.new(key.encode(), text.encode(), how).hexdigest()


def proof(kind, body, key=SECRET, at=0):
    """The headers with which a sender of this kind proves itself."""
    stamp = str(int(time.time()) + at)
    if kind == "github":
        return {"X-Hub-Signature-256": "sha256=" + hexmac(body, key), "X-GitHub-Event": "status"}
    if kind.startswith("bitbucket"):
        return {"X-Hub-Signature": "sha256=" + hexmac(body, key), "X-Event-Key": "repo:push"}
    if kind in ("gitea", "forgejo"):
        return {f"X-{kind.title()}-Signature": hexmac(body, key), f"X-{kind.title()}-Event-Type": "status"}
    if kind == "gitlab":
        return {"X-Gitlab-Token": key, "X-Gitlab-Event": "Pipeline Hook"}
    if kind == "eventbridge":
        return {"x-retrybuild-key": key}
    if kind == "generic":
        return {"x-retrybuild-key": hexmac(body, key)}
    if kind == "teams":
        raw = base64.b64decode(TEAMS) if key == SECRET else key.encode()
        return {"Authorization": "HMAC " + base64.b64encode(hmac.new(raw, body.encode(), hashlib.sha256).digest()).decode()}
    if kind == "slack":
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=" + hexmac(f"v0:{stamp}:{body}", key), **FORM}
    raw = base64.b64decode(SIGNING[6:]) if key == SECRET else key.encode()
    signature = base64.b64encode(hmac.new(raw, f"msg_{kind}.{stamp}.{body}".encode(), hashlib.sha256).digest()).decode()
    return {"webhook-id": f"msg_{kind}", "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}


PREFIX = {"github": "sha256=", "bitbucket": "sha256=", "bitbucket-server": "sha256=", "teams": "HMAC ", "slack": "v0=", "standard-webhooks": "v1,"}
BODIES = {"slack": urllib.parse.urlencode({"command": "/retry", "text": "help", "user_id": "U1"}), "eventbridge": "{}"}


def signature_of(headers):
    return next(k for k in headers if k.lower() in ("x-hub-signature-256", "x-hub-signature", "x-gitea-signature", "x-forgejo-signature", "x-gitlab-token", "x-retrybuild-key",
                                                     "authorization", "x-slack-signature", "webhook-signature"))


class Doors(World):
    def __init__(self, build):
        super().__init__(build)
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:bad.db", self.sim.url, f"rules: [{FAST_RULE}]\n",
                                 service.FAST.replace("sweep_every: 3s", "sweep_every: 1h"), listen='{address: "127.0.0.1:0", max_body: 32MiB}')
        self.text = self.s.config.read_text().replace("aws: {", f'aws: {{account: "{ACCOUNT}", ')
        self.write()
        self.s.start()

    def write(self, old=None, secret=SECRET):
        """The sources, with a second secret that is good until then."""
        more = f", {{value: {OLD}, not_after: {old}}}" if old else ""
        rows = [f"{{name: {t}, type: {t}, secrets: [{{value: {secret}}}{more}]{', who: [{anyone: true}]' if t == 'slack' else ''}}}" for t in PLAIN[:-3] + ("slack",)]
        rows += [f'{{name: teams, type: teams, secrets: [{{value: "{TEAMS}"}}{more.replace(OLD, base64.b64encode(OLD.encode()).decode())}], who: [{{anyone: true}}]}}',
                 f"{{name: standard-webhooks, type: standard-webhooks, secrets: [{{value: {SIGNING}}}{more}]}}"]
        lines = [f"sources: [{', '.join(rows)}]" if line.startswith("sources:") else line for line in self.text.splitlines()]
        self.s.config.write_text("\n".join(lines) + "\n")

    def reload(self, **how):
        before = len(logged(self.s, "config.reloaded"))
        self.write(**how)
        self.s.proc.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: len(logged(self.s, "config.reloaded")) > before)

    def close(self):
        equal(self.s.stop(), 0, "exit status")
        self.sim.stop()

    def post(self, kind, body, pairs):
        """(status, JSON); pairs of headers, so that one may come twice."""
        pairs = list(pairs.items()) if isinstance(pairs, dict) else list(pairs)
        if not any(k.lower() == "content-type" for k, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
        data = body.encode() if isinstance(body, str) else body
        request = raw_http.request("POST", f"/v1/hooks/{kind}", [*pairs, ("Content-Length", len(data)), ("Connection", "close")], data)
        answer = raw_http.exchange(self.s.port, request)[-1]
        return answer.status, json.loads(answer.body) if answer.body else None


@case
def proofs_that_are_no_proofs_are_401_with_one_text(w):
    texts, tried = set(), 0
    for kind in PLAIN:
        body = BODIES.get(kind, "{}")
        good = proof(kind, body)
        name = signature_of(good)
        value = good[name]
        equal(w.post(kind, body, good)[0] in (200, 202), True, kind)
        tail = value[len(PREFIX.get(kind, "")):]
        bad = {"empty": "", "empty digest": value[:len(value) - len(tail)], "no prefix": tail, "one more byte": value + "0", "one byte less": value[:-1], "a blank more": value[:-1] + " ",
               "upper case": value[:len(value) - len(tail)] + tail.upper(), "prefix in upper case": value[:len(value) - len(tail)].upper() + tail, "hex of nothing": "0" * 64,
               "null": "null", "comma list": f"{value},{value}", "sha1": "sha1=" + hexmac(body, how="sha1"), "other key": proof(kind, body, "another-key")[name],
               "other body": proof(kind, body + " ")[name]}
        if kind in ("gitlab", "eventbridge"):  # the secret itself
            bad = {k: v for k, v in bad.items() if k not in ("empty digest", "no prefix", "prefix in upper case", "other body")}
        if tail == value:
            bad = {k: v for k, v in bad.items() if k not in ("no prefix", "prefix in upper case")}
        if kind == "teams":  # a scheme of Authorization has no case
            bad.pop("prefix in upper case")
        for what, text in bad.items():
            status, answer = w.post(kind, body, {**good, name: text})
            equal((status, what), (401, what), (kind, text, answer))
            texts.add(json.dumps(answer))
            tried += 1
        for what, pairs in {"twice": [*good.items(), (name, value)], "a bad one first": [(name, "x"), *good.items()], "a bad one after": [*good.items(), (name, "x")],
                            "none": [p for p in good.items() if p[0] != name], "another sender's": [("X-Hub-Signature", "sha1=" + hexmac(body, how="sha1"))]}.items():
            status, answer = w.post(kind, body, pairs)
            equal((status, what), (401, what), (kind, answer))
            texts.add(json.dumps(answer))
    equal((len(texts), tried > 100), (1, True), texts)


@case
def a_timestamp_counts_for_300_seconds_either_way(w):
    for kind in ("slack", "standard-webhooks"):
        body = BODIES.get(kind, "{}")
        for at, good in ((-297, True), (297, True), (-302, False), (303, False), (-10**9, False), (10**10, False)):
            status, answer = w.post(kind, body, proof(kind, body, at=at))
            equal(status in (200, 202), good, (kind, at, answer))
        signed = proof(kind, body)
        name = next(k for k in signed if k.lower().endswith("timestamp"))
        for stamp in ("", "0", "-1", "+" + signed[name], signed[name] + ".0", " " + signed[name] + " 1", "0x6", "9" * 40, signed[name] + "000", "NaN", "1e9"):
            equal(w.post(kind, body, {**signed, name: stamp})[0], 401, (kind, stamp))
        equal(w.post(kind, body, [*signed.items(), (name, signed[name])])[0], 401, kind)


@case
def a_replay_in_the_window_is_a_duplicate_and_refused_beyond_it(w):
    build = w.failed_build("flaky")
    form = urllib.parse.urlencode({"command": "/retry", "text": f"{build['id']} --force", "user_id": "U1", "trigger_id": "replayed"})
    made = time.time()
    slack = proof("slack", form, at=-297)
    body = json.dumps({"data": {"build": w.failed_build("stubborn")["id"]}})
    webhook = proof("standard-webhooks", body, at=-297)
    status, answer = w.post("slack", form, slack)
    equal((status, answer["response_type"]), (200, "in_channel"), answer)
    status, answer = w.post("standard-webhooks", body, webhook)
    equal(status in (200, 202), True, answer)
    mine = [r for r in w.s.retries() if r["build"]["id"] == build["id"]]
    reach(w.s, mine[0]["id"], "recovered")
    if time.time() - made < 2:  # else this machine is too slow to be inside the window still
        status, answer = w.post("slack", form, slack)
        equal((status, answer["response_type"]), (200, "ephemeral"), answer)
        equal(w.post("standard-webhooks", body, webhook)[1]["status"], "duplicate")
    wait_until("the window's end", lambda: time.time() - made > 5)
    equal([w.post(*p)[0] for p in (("slack", form, slack), ("standard-webhooks", body, webhook))], [401, 401])
    equal(len(w.effects_of(build["id"])), 1)


@case
def secrets_come_and_go_with_a_reload(w):
    pid = w.s.proc.pid
    today = datetime.datetime.now(datetime.timezone.utc)
    far, past, soon = ((today + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%SZ") for s in (86400, -60, 3))

    def taken(key):
        found = {kind: w.post(kind, BODIES.get(kind, "{}"), proof(kind, BODIES.get(kind, "{}"), key))[0] for kind in PLAIN}
        equal(len(set(s == 401 for s in found.values())), 1, found)
        return 401 not in found.values()
    equal((taken(SECRET), taken(OLD)), (True, False))
    w.reload(old=far)
    equal((taken(SECRET), taken(OLD)), (True, True))
    w.reload(old=past)
    equal((taken(SECRET), taken(OLD)), (True, False))
    w.reload(old=soon)
    wait_until("the old secret ends by itself", lambda: w.post("github", "{}", proof("github", "{}", OLD))[0] == 401)
    equal((taken(SECRET), taken(OLD)), (True, False))
    w.reload()
    equal((w.s.proc.poll(), w.s.proc.pid), (None, pid))
    equal([x for x in (SECRET, OLD, SIGNING, TEAMS) if x in w.s.log.read_text()], [])


def status_of(build_id, link, project="flaky", **more):
    return json.dumps({"id": 1, "sha": "a" * 40, "state": "failure", "context": f"AWS CodeBuild {REGION} ({project})", "target_url": link, "branches": [],
                       "repository": {"full_name": "o/r"}, "sender": {"login": "eve"}, **more})


def github(w, body):
    return w.post("github", body, {**proof("github", body), "X-GitHub-Delivery": str(uuid.uuid4())})


@case
def links_that_lie_start_nothing(w):
    build = w.failed_build("flaky")
    i, good = build["id"], f"https://{REGION}.console.aws.amazon.com"
    for link in (f"https://{REGION}.console.aws.amazon.com.evil.example/codebuild/home#/builds/{i}/view/new", f"http://evil.example/#/builds/{i}/view/new",
                 f"https://evil.example@{REGION}.console.aws.amazon.com:8443/codebuild/home#/builds/{i}/view/new", f"{good}/codebuild/home#/builds/{i}%00/view/new",
                 f"{good}/codebuild/home#/builds/flaky%00x:{i.split(':')[1]}/view/new", f"{good}/codebuild/home#/builds/..%2f{i}/view/new", f"{good}/#/builds/{i}/../../x",
                 f"https://{REGION}.console.aws.amazon.com\\@evil.example/#/builds/{i}/view/new", f"javascript:{good}/#/builds/{i}", f"//{REGION}.console.aws.amazon.com/#/builds/{i}",
                 f"https://x.{REGION}.console.aws.amazon.com/#/builds/{i}/view/new", "https://" + "a" * 3000, f"{good}/codebuild/home#/builds/{i}" + "/x" * 500, "", None):
        status, answer = github(w, status_of(i, link, "no-such-project"))
        equal(status in (200, 202), True, (link, answer))
        if status == 202:
            ended = wait_until("it is judged", lambda a=answer: (lambda r: r if r["finished_at"] else None)(w.s.api("GET", f"/v1/retries/{a['retry']}")[1]))
            equal(ended["state"] in ("refused", "ignored"), True, (link, ended["state"]))
    foreign = f"{good}/codesuite/codebuild/999999999999/projects/flaky/build/{i.replace(':', '%3A')}"
    equal(github(w, status_of(i, foreign))[0] in (200, 202), True)
    wait_until("all is judged", lambda: not [r for r in w.s.retries() if not r["finished_at"]])
    equal(w.effects_of(i), [])


@case
def a_lie_about_a_build_is_not_in_its_real_failure_s_way(w):
    link = f"https://{REGION}.console.aws.amazon.com/codebuild/home?region={REGION}#/builds/{{}}/view/new"
    build = w.failed_build("flaky", sourceVersion="b" * 40)
    status, answer = github(w, status_of(build["id"], link.format(build["id"])))  # of another commit
    equal(status, 202, answer)
    wait_until("it is refused", lambda: w.s.api("GET", f"/v1/retries/{answer['retry']}")[1]["state"] == "refused")
    status, _, text = w.s.deliver(event_of(build), SECRET)
    real = json.loads(text)
    equal((status, real["status"]), (202, "accepted"), text)
    reach(w.s, real["retry"], "recovered")
    running = w.client.start_build(projectName="endless")["build"]["id"]  # not ended yet, as the status says it has
    ended = wait_until("it fails", lambda: w.ended(running))
    again = w.client.retry_build(id=running)["build"]["id"]
    status, answer = github(w, status_of(again, link.format(again), "endless", sha=ended.get("resolvedSourceVersion", "a" * 40)))
    equal(status in (200, 202), True, answer)
    if status == 202:
        wait_until("it is judged", lambda: w.s.api("GET", f"/v1/retries/{answer['retry']}")[1]["finished_at"])
    status, _, text = w.s.deliver(failure_event(again), SECRET)
    equal((status, json.loads(text)["status"]), (202, "accepted"), text)


@case
def a_text_that_cannot_be_read_is_not_taken_for_none(w):
    deliver = failure_event(w.failed_build("slow")["id"], status="TIMED_OUT", phase="BUILD")
    _, _, text = w.s.deliver(deliver, SECRET)
    held = json.loads(text)["retry"]
    for n, words in enumerate(("%00pause", "%ff", "status&text=retry", "%c0%af", "%ed%a0%80")):
        form = f"command=%2Fretry&user_id=U1&text={words}&trigger_id=unread{n}"
        status, answer = w.post("slack", form, proof("slack", form))
        equal((status, "'text' cannot be read" in answer["detail"]), (400, True), (words, answer))
    equal(w.s.api("GET", f"/v1/retries/{held}")[1]["state"], "held")


@case
def a_response_url_inside_is_not_called(w):
    catcher = Catcher()
    try:
        port = catcher.server.server_port
        for n, host in enumerate(("127.0.0.1", "localhost", "[::1]", "127.1", "2130706433", "0", "[::ffff:127.0.0.1]", "0x7f.1", "eve@127.0.0.1")):
            url = f"http://{host}:{port}/"
            button = {"type": "block_actions", "user": {"id": "U1"}, "channel": {"id": "C1"}, "response_url": url, "container": {"message_ts": "1"},
                      "actions": [{"action_id": "retrybuild_deny", "value": "rty_none", "action_ts": str(n)}]}
            form = urllib.parse.urlencode({"payload": json.dumps(button)})
            equal(w.post("slack", form, proof("slack", form))[0], 200, url)
        equal(catcher.got, [])
    finally:
        catcher.stop()


@case
def large_and_odd_bodies_are_answered(w):
    big = '{"action":"push","commits":[' + ",".join(['{"message":"' + "x" * 1000 + '"}'] * 24900) + "]}"
    equal(25_000_000 < len(big) < 26_000_000, True, len(big))
    status, answer = w.post("github", big, {**proof("github", big), "X-GitHub-Event": "push"})
    equal((status, answer["status"]), (200, "ignored"), answer)
    equal(w.post("github", big, {**proof("github", big), "X-Hub-Signature-256": "sha256=" + "0" * 64})[0], 401)
    for name in ("status", "issue_comment", "check_run"):
        status, answer = w.post("github", big, {**proof("github", big), "X-GitHub-Event": name})
        equal(status in (200, 400), True, (name, status, answer))
    rss = int(next(x for x in open(f"/proc/{w.s.proc.pid}/status", encoding="ascii") if x.startswith("VmRSS")).split()[1])
    equal(rss < 300_000, True, f"{rss} kB")
    deep, wide = "[" * 100_000, "{" + ",".join(f'"k{n}":{n}' for n in range(100_000)) + "}"
    for kind in PLAIN:
        for body in (deep, wide, "null", "[]", "1", '"x"', "", "{", "\xff\xfe", '{"a":"\\ud800"}', '{"detail":[]}', '{"type":{}}', "payload=", "payload=%", "command=&command=", "{}{}",
                     '{"action":"created","comment":[],"issue":1}', '{"object_kind":"note","object_attributes":{"note":7}}', "payload=" + urllib.parse.quote(deep), "&" * 5000):
            for form in (False, True):
                status, answer = w.post(kind, body, {**proof(kind, body), **(FORM if form else {"Content-Type": "application/json"}), "X-GitHub-Event": "issue_comment"})
                equal(status in (200, 202, 400, 415) or (status == 401 and kind in ("gitea", "forgejo") and form), True, (kind, form, body[:30], status, answer))
    equal(w.s.request("GET", "/livez")[0], 200)


if __name__ == "__main__":
    cases.main(__doc__, Doors, Doors.close)
