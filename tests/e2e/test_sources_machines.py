#!/usr/bin/python3
"""EventBridge, CloudEvents, SNS, Standard Webhooks and generic senders at a running service: every case of the data folder whose proof has no
clock, live signatures of openssl, Python and the senders' own libraries, certificates over TLS, confirmations, batches, tokens, `send`."""
import base64
import hashlib
import hmac
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from life import SCRIPT  # noqa: E402
from internet import certificate  # noqa: E402
from service import KEY, failure_event, wait_until  # noqa: E402
from sim_harness import Sim, equal  # noqa: E402
from stand_ins import signed_by_sns  # noqa: E402
from tls_proxy import TlsProxy  # noqa: E402

DATA = pathlib.Path(__file__).resolve().parents[1] / "data/source"
LIBRARIES = ("standardwebhooks@1.1.1", "svix@1.99.1", "sns-validator@0.3.5", "cloudevents@10.0.0")
TOPIC = f"arn:aws:sns:us-east-1:{service.ACCOUNT}:builds"
URL = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-{}.pem"
WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OWN = "own-secret-0123456789"


def run(*command, **args):
    return subprocess.run(command, check=True, capture_output=True, **args)


class Net(TlsProxy):
    """Is sns.us-east-1.amazonaws.com for every TLS connection, and keeps who was asked for what."""

    def __init__(self, folder, ca):
        self.asked, self.pages = [], {}
        certificate(folder, "net", "sns.us-east-1.amazonaws.com", ca=ca)
        super().__init__(folder)

    def one(self, conn):
        try:
            line = self.head(conn)
            if line and line[0] == "CONNECT":
                conn.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
                conn = self.context.wrap_socket(conn, server_side=True)
                host, line = line[1], self.head(conn)
                line = line and [line[0], f"https://{host.removesuffix(':443')}{line[1]}"]
            if line:
                self.asked.append(line[1])
                status, body, more = self.pages.get(line[1], (404, b"no such page", ""))
                conn.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n".encode() + body)
        except OSError:
            pass
        finally:
            conn.close()


def settings_of_cases():
    """{source name: setting} and [(source name, path, case)] of the cases whose proof does not depend on the clock."""
    found, all_cases = {}, []
    for kind in ("eventbridge", "cloudevents", "generic"):
        for path in sorted((DATA / kind).glob("*.json")):
            c = json.loads(path.read_text(encoding="utf-8"))
            setting = {"type": kind, **c["setting"]}
            setting["secrets"] = [{"value": s["value"], **({"not_after": "2020-01-01"} if "not_after" in s else {})} for s in setting["secrets"]]
            name = f"{kind[:2]}{list(found.values()).index(setting)}" if setting in found.values() else f"{kind[:2]}{len(found)}"
            found[name] = setting
            all_cases.append((name, path, c))
    return found, all_cases


class World:
    def __init__(self, build):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-machines-")
        self.build, f = build, self.folder.name
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{f}/ca.key", "-out", f"{f}/ca.pem", "-subj", "/CN=test root", "-days", "30")
        for name, dns in (("signer", "sns.amazonaws.com"), ("stranger", "sns.example.com")):
            certificate(f, name, dns)
        self.net = Net(f, "ca")
        self.binary = build / "cmd/retrybuild/retrybuild"
        settings, self.cases = settings_of_cases()
        settings |= {"ce": {"type": "cloudevents", "secrets": [{"value": KEY}]}, "sw": {"type": "standard-webhooks", "secrets": [{"value": "another"}, {"value": WHSEC}]},
                     "gen": {"type": "generic", "secrets": [{"value": OWN}], "paths": {"build": "b", "token": "t"}},
                     "sns": {"type": "sns", "topics": [TOPIC], "confirm": True}, "quiet": {"type": "sns", "topics": [TOPIC], "signature_versions": ["2"]},
                     "pinned": {"type": "sns", "topics": [TOPIC], "certificate_file": f"{f}/signer.pem", "secrets": [{"value": OWN}]}}
        self.settings = settings
        self.s = self.make(f"workers: {{submit: 0, report: 1}}\nnetwork: {{proxy: '{self.net.url}', ca_file: {f}/ca.pem}}\n").start()

    def make(self, extra, sim_url="http://127.0.0.1:9", store="sqlite:machines.db", timing="{shutdown: 3s}"):
        s = service.Service(self.binary, store, sim_url, extra=extra, timing=timing)
        more = ", ".join(json.dumps({"name": n, **v}) for n, v in self.settings.items())
        s.config.write_text(s.config.read_text().replace("sources: [", f"sources: [{more}, ").replace("aws: {", f'aws: {{account: "{service.ACCOUNT}", '))
        return s

    def stop(self):
        equal(self.s.stop(), 0, "exit status")
        self.net.stop()
        self.folder.cleanup()

    def post(self, source, body, headers=(), s=None):
        """(status, JSON); headers as pairs, so that one may come twice."""
        conn = http.client.HTTPConnection("127.0.0.1", (s or self.s).port, timeout=60)
        data = body.encode() if isinstance(body, str) else body
        try:
            conn.putrequest("POST", f"/v1/hooks/{source}")
            pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
            if not any(k.lower() == "content-type" for k, _ in pairs):
                pairs.append(("Content-Type", "text/plain; charset=UTF-8"))
            for k, v in pairs + [("Content-Length", str(len(data)))]:
                conn.putheader(k, v)
            conn.endheaders(data)
            r = conn.getresponse()
            return r.status, json.loads(r.read())
        finally:
            conn.close()

    def sns(self, message, kind="Notification", version="2", key="signer", page="one", at=0, **more):
        """A signed message as SNS posts it."""
        if kind != "Notification":
            more = {"Token": "2336412f37fb687f", "SubscribeURL": "http://169.254.169.254/latest/meta-data", **more}
        return signed_by_sns(f"{self.folder.name}/{key}.key", TOPIC, kind, message, URL.format(page), version, at, **more)

    def pem(self, name):
        return pathlib.Path(f"{self.folder.name}/{name}.pem").read_bytes()


def event(project="app"):
    return failure_event(f"{project}:{service.uuid.uuid4()}")


def cloud(data, **more):
    return {"specversion": "1.0", "id": str(service.uuid.uuid4()), "source": "aws.codebuild", "type": "t", "data": data, **more}


def signed(body, key=WHSEC, at=0, id=None, names="webhook"):
    id, stamp = id or f"msg_{service.uuid.uuid4().hex}", int(time.time()) + at
    mac = hmac.new(base64.b64decode(key[6:]), f"{id}.{stamp}.{body}".encode(), hashlib.sha256).digest()
    return [(f"{names}-id", id), (f"{names}-timestamp", str(stamp)), (f"{names}-signature", "v1," + base64.b64encode(mac).decode())]


@case
def every_case_without_a_clock_is_answered_as_it_says(w):
    wrong = []
    for name, path, c in w.cases:
        status, answer = w.post(name, c["body"], c["headers"])
        expected = (401,) if c["proof"] == "bad" else (400,) if "code" in c or not c["body"] else (200, 202)
        if status not in expected:
            wrong.append((path.name, status, answer))
    equal(wrong, [])
    equal(len(w.cases) > 100, True, len(w.cases))


@case
def a_batch_of_500_with_one_bad_takes_the_good_and_names_the_bad(w):
    batch = [cloud(event()) for _ in range(500)]
    del batch[321]["source"]
    for e in batch:
        e["data"]["detail"].pop("additional-information")
    headers = [("x-retrybuild-key", KEY), ("Content-Type", "application/cloudevents-batch+json")]
    status, answer = w.post("ce", json.dumps(batch), headers)
    equal(status, 202, answer)
    words = [r["status"] for r in answer["retries"]]
    equal((words.count("accepted"), words.index("invalid"), len(words)), (499, 321, 500))
    equal(answer["retries"][321]["reason"], "event 322 of 500: a CloudEvent needs the attribute 'source', a text that is not empty")
    status, answer = w.post("ce", json.dumps(batch), headers)
    equal((status, answer["status"]), (200, "duplicate"))
    status, answer = w.post("ce", json.dumps([{}] * 1001), headers)
    equal((status, "at most" in answer["detail"]), (400, True), answer)


@case
def options_is_the_handshake_of_cloudevents_alone(w):
    def ask(source, **headers):
        status, found, _ = w.s.request("OPTIONS", f"/v1/hooks/{source}", None, {k.replace("_", "-"): v for k, v in headers.items()})
        return status, found
    status, found = ask("ce", WebHook_Request_Origin="events.example.com", WebHook_Request_Rate="120", WebHook_Request_Callback="http://169.254.169.254/")
    equal((status, found["WebHook-Allowed-Origin"], found["WebHook-Allowed-Rate"], found["Allow"]), (200, "events.example.com", "120", "POST"))
    equal(ask("ce", WebHook_Request_Origin="events.example.com")[1]["WebHook-Allowed-Rate"], "*")
    equal(ask("ce", WebHook_Request_Origin="a b<script>")[0], 400)
    for source in ("ce", "eventbridge", "sns"):
        status, found = ask(source)
        equal((status, found["Allow"]), (405, "POST"), source)
    equal(ask("nobody", WebHook_Request_Origin="x")[0], 404)
    equal(w.post("ce", json.dumps(cloud(event())))[0], 401)


@case
def standard_webhooks_count_within_five_minutes_either_way(w):
    body = json.dumps({"data": {"build": f"app:{service.uuid.uuid4()}", "n": 1}})
    mine = signed(body)
    equal(w.post("sw", body, mine)[0], 202)
    equal(w.post("sw", body, mine)[1]["status"], "duplicate")
    for at, status in ((-290, (200, 202)), (290, (200, 202)), (-310, (401,)), (310, (401,))):
        equal(w.post("sw", body, signed(body, at=at))[0] in status, True, at)
    right = dict(mine)["webhook-signature"]
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for name, headers in {"other key": signed(body, other), "other body": signed(body + " "), "two headers": mine + [("webhook-signature", right)], "none": [],
                          "empty digest": mine[:2] + [("webhook-signature", "v1,")], "no version": mine[:2] + [("webhook-signature", right[3:])],
                          "version 2": mine[:2] + [("webhook-signature", right.replace("v1", "v2"))], "no id": mine[1:], "no time": mine[::2]}.items():
        equal(w.post("sw", body, headers)[0], 401, name)
    mixed = mine[:2] + [("webhook-signature", f"v2,x {dict(signed(body, other))['webhook-signature']} {right}")]
    equal(w.post("sw", body, mixed)[0], 200)
    equal(w.post("sw", body, signed(body, names="svix"))[0] in (200, 202), True)


@case
def a_token_is_good_for_one_build(w):
    def ask(build, token):
        body = json.dumps({"b": f"app:{build}", "t": token})
        return w.post("gen", body, [("x-retrybuild-key", hmac.new(OWN.encode(), body.encode(), "sha256").hexdigest())])
    one, two = service.uuid.uuid4(), service.uuid.uuid4()
    equal(ask(one, "tok-1")[0], 202)
    status, answer = ask(one, "tok-1")
    equal((status, answer["status"]), (200, "duplicate"))
    status, answer = ask(two, "tok-1")
    equal((status, "idempotency token" in answer["detail"]), (422, True), answer)
    equal(ask(two, "tok-2")[0], 202)


@case
def the_libraries_of_the_senders_are_understood(w):
    folder, why = js_client.installed(w.build, "js-machines", LIBRARIES)
    if folder is None:
        raise cases.Skipped(why)
    e = event()
    text = pathlib.Path(w.folder.name) / "event.json"
    text.write_text(json.dumps(e))
    made = js_client.told(folder, "machines_js.mjs", "make", WHSEC, str(text))
    equal(len(made), 4)
    for r in made:
        status, answer = w.post(r["source"], r["body"], {**r["headers"], "x-retrybuild-key": KEY})
        equal(status in (200, 202), True, (r["source"], status, answer))
    messages = [w.sns("hello", version=v, Subject="Größe \"x\"") for v in "12"] + [w.sns("hello", kind="SubscriptionConfirmation"), w.sns("hello") | {"Message": "other"}]
    (pathlib.Path(w.folder.name) / "m.json").write_text(json.dumps(messages))
    verdicts = js_client.told(folder, "machines_js.mjs", "check", f"{w.folder.name}/m.json", f"{w.folder.name}/signer.pem")
    equal([v == "good" for v in verdicts], [True, True, True, False], verdicts)
    for m, good in zip(messages, (True, True, True, False)):
        equal(w.post("pinned", json.dumps(m))[0], 200 if good else 401, m)


# ---- SNS ----

@case
def a_certificate_is_fetched_once_and_by_the_rules(w):
    w.net.pages[URL.format("one")] = (200, w.pem("signer"), "")
    w.net.asked.clear()
    e = event()
    for version in "12":
        status, answer = w.post("sns", json.dumps(w.sns(json.dumps(e), version=version)))
        equal(status in (200, 202), True, answer)
    equal(w.net.asked, [URL.format("one")])
    status, answer = w.post("sns", json.dumps(w.sns(json.dumps(e)) | {"Message": json.dumps(event())}))
    equal(status, 401)
    equal(w.post("quiet", json.dumps(w.sns(json.dumps(e), version="1")))[0], 401)
    w.net.pages |= {URL.format("moved"): (302, b"", f"Location: {URL.format('one')}\r\n"), URL.format("stranger"): (200, w.pem("stranger"), ""),
                    URL.format("text"): (200, b"hello", ""), URL.format("large"): (200, b"x" * 200000, ""), URL.format("busy"): (503, b"", "")}
    for page, expected in {"moved": 401, "stranger": 401, "text": 401, "large": 401, "missing": 401, "busy": 503}.items():
        status, answer = w.post("sns", json.dumps(w.sns(json.dumps(event()), page=page)))
        equal(status, expected, (page, answer))
    equal(w.net.asked.count(URL.format("one")), 1)


@case
def nobody_is_called_for_a_message_that_cannot_count(w):
    w.net.asked.clear()
    good = w.sns(json.dumps(event()), page="never")
    for name, change in {
            "bucket": {"SigningCertURL": "https://sns.s3.amazonaws.com/SimpleNotificationService-1.pem"},
            "longer": {"SigningCertURL": "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem"},
            "port": {"SigningCertURL": "https://sns.us-east-1.amazonaws.com:444/SimpleNotificationService-1.pem"},
            "userinfo": {"SigningCertURL": "https://a@sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem"},
            "region": {"SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem"},
            "inside": {"SigningCertURL": "http://169.254.169.254/x.pem"}, "topic": {"TopicArn": TOPIC + "-2"}, "old": {"Timestamp": "2026-01-01T00:00:00.000Z"},
            "version": {"SignatureVersion": "3"}, "type": {"Type": "x"}}.items():
        equal(w.post("sns", json.dumps(good | change))[0], 401, name)
    equal(w.net.asked, [])


@case
def a_subscription_is_confirmed_by_topic_and_token(w):
    w.net.pages[URL.format("one")] = (200, w.pem("signer"), "")
    target = f"http://127.0.0.1:9/?Action=ConfirmSubscription&TopicArn={TOPIC.replace(':', '%3A')}&Token=2336412f37fb687f"
    for page, expected in (((503, b"", ""), 503), ((200, b"<ok/>", ""), 200), ((400, b"", ""), 200)):
        w.net.pages[target] = page
        w.net.asked.clear()
        status, answer = w.post("sns", json.dumps(w.sns("You have chosen", kind="SubscriptionConfirmation")))
        equal(status, expected, answer)
        equal([u for u in w.net.asked if "Action" in u or "169.254" in u], [target])
    w.net.asked.clear()
    status, answer = w.post("quiet", json.dumps(w.sns("You have chosen", kind="SubscriptionConfirmation")))
    equal((status, answer["status"]), (200, "ignored"))
    status, answer = w.post("quiet", json.dumps(w.sns("bye", kind="UnsubscribeConfirmation")))
    equal((status, answer["reason"]), (200, "the subscription was removed"))
    equal([u for u in w.net.asked if "Action" in u], [])
    log = w.s.log.read_text()
    notices = [line for line in log.splitlines() if '"source.notice"' in line and '"quiet"' in line]
    equal((len(notices), "2336412f37fb687f" in log), (2, False), notices)


@case
def raw_messages_count_with_a_secret_of_their_own_alone(w):
    raw = [("x-amz-sns-rawdelivery", "true"), ("x-amz-sns-topic-arn", TOPIC), ("x-amz-sns-message-id", "m-1")]
    body = json.dumps(event())
    equal(w.post("sns", body, raw)[0], 401)
    equal(w.post("pinned", body, raw)[0], 401)
    equal(w.post("pinned", body, raw + [("Authorization", "Basic " + base64.b64encode(f"sns:{OWN}".encode()).decode())])[0], 202)


# ---- the whole ----

@case
def send_signs_as_each_of_them(w):
    secret = pathlib.Path(w.folder.name) / "secret"
    payload = pathlib.Path(w.folder.name) / "payload.json"
    build = f"app:{service.uuid.uuid4()}"
    for kind, name, key, body, more in (("cloudevents", "ce", KEY, cloud(event()), []), ("standard-webhooks", "sw", WHSEC, {"data": {"build": build}}, []),
                                        ("generic", "gen", OWN, {"b": build}, []), ("eventbridge", "eventbridge", KEY, event(), []),
                                        ("sns", "pinned", OWN, event(), ["--header", f"x-amz-sns-topic-arn: {TOPIC}"]), ("sns", "pinned", None, w.sns(json.dumps(event())), [])):
        secret.write_text(key or "")
        payload.write_text(json.dumps(body))
        r = subprocess.run([w.binary, "send", "--source", kind, "--url", f"http://127.0.0.1:{w.s.port}/v1/hooks/{name}", *(["--secret-file", secret] if key else []),
                            *more, payload], capture_output=True, text=True, check=False)
        equal((r.returncode, r.stderr.strip() in ("HTTP 202", "HTTP 200")), (0, True), (kind, r.stderr, r.stdout))


@case
def one_failure_through_five_doors_is_one_retry(w):
    sim = Sim(w.build / "cmd/codebuild-sim/codebuild-sim", SCRIPT)
    redis = service.Redis("no")
    two = []
    try:
        extra = "rules: [{name: infrastructure, when: {phase: [PROVISIONING]}, then: retry, limit: 2, delay: {fixed: 0s}}]\n"
        two = [w.make(extra, sim.url, redis.url, service.FAST).start() for _ in range(2)]
        build = sim.client().start_build(projectName="flaky")["build"]["id"]
        wait_until("the build ends", lambda: sim.client().batch_get_builds(ids=[build])["builds"][0]["buildStatus"] == "FAILED")
        e = failure_event(build)
        star = {"account": e["account"], "detailType": e["detail-type"], "region": e["region"], "source": e["source"], "time": e["time"], "detail": e["detail"],
                "resources": e["resources"], "additionalAttributes": {}}
        arn = e["detail"]["build-id"]
        own = json.dumps({"b": arn})
        hooks = [("eventbridge", json.dumps(e), {"x-retrybuild-key": KEY}), ("ce", json.dumps(cloud(e)), {"Authorization": f"Bearer {KEY}"}),
                 ("pinned", json.dumps(w.sns(json.dumps(e))), {}), ("pinned", json.dumps(w.sns(json.dumps(star), version="1")), {}),
                 ("gen", own, {"x-retrybuild-key": hmac.new(OWN.encode(), own.encode(), "sha256").hexdigest()})]
        answers = []
        threads = [threading.Thread(target=lambda i=i, h=h: answers.append(w.post(*h, s=two[i % 2]))) for i, h in enumerate(hooks)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(sorted(a[0] for a in answers), [200, 200, 200, 200, 202], answers)
        wait_until("the retry ends", lambda: [r["state"] for r in two[0].retries()] == ["recovered"])
        equal(len(sim.effects("RetryBuild")), 1)
        r = two[0].api("GET", f"/v1/retries/{two[0].retries()[0]['id']}")[1]
        equal(sorted(d["type"] for d in r["deliveries"]), ["cloudevents", "eventbridge", "generic", "sns", "sns"])
    finally:
        for s in two:
            s.stop()
        redis.stop()
        sim.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
