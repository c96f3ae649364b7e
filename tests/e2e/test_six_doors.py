#!/usr/bin/python3
"""One failure comes in by EventBridge, SNS, CodeStar Notifications, a GitHub status, a GitLab pipeline and a Slack command at the same moment, at two
processes on one Redis: one retry, one RetryBuild, and its record names every delivery. Again with one of the two killed in the middle."""
import hashlib
import hmac
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from forge_server import Forge  # noqa: E402
from life import FAST_RULE, event_of  # noqa: E402
from service import ACCOUNT, KEY, REGION, wait_until  # noqa: E402
from sim_harness import Sim, equal  # noqa: E402
from stand_ins import signed_by_sns  # noqa: E402

SECRET = "hook-secret-0123456789"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:builds"
PROJECT = "six-doors"
# The retry runs long enough to be under way when the last delivery arrives: a person who asks after its end would get a new one.
SCRIPT = """
projects: [{name: six-doors, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED, durations: {BUILD: 2s}}]}]
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""
DOORS = ["eventbridge", "github", "gitlab", "slack", "sns", "sns"]
ROUNDS, KILLS = 5, 4


class World:
    def __init__(self, build):
        self.build = build
        self.folder = tempfile.TemporaryDirectory(prefix="rb-six-")
        self.sim = Sim(build / "cmd/codebuild-sim/codebuild-sim", SCRIPT)
        self.client = self.sim.client()
        self.forge = Forge()
        self.redis = service.Redis("no")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{self.folder.name}/sns.key", "-out", f"{self.folder.name}/sns.pem",
                        "-subj", "/CN=sns.amazonaws.com", "-days", "30"], check=True, capture_output=True)
        self.two = [self.make().start() for _ in range(2)]

    def make(self):
        timing = service.FAST.replace("sweep_every: 3s", "sweep_every: 1h")
        s = service.Service(self.build / "cmd/retrybuild/retrybuild", self.redis.url, self.sim.url, f'rules: [{FAST_RULE}]\nnetwork: {{allow: ["127.0.0.1/32"]}}\n', timing)
        api = f'api: {{url: "{self.forge.url}", token: forge-token-0123456789}}'
        rows = [f"{{name: {t}, type: {t}, secrets: [{{value: {SECRET}}}], {api}}}" for t in ("github", "gitlab")]
        rows += [f"{{name: slack, type: slack, secrets: [{{value: {SECRET}}}], who: [{{users: [UANN]}}]}}",
                 f'{{name: sns, type: sns, topics: ["{TOPIC}"], certificate_file: {self.folder.name}/sns.pem}}']
        s.config.write_text(s.config.read_text().replace("sources: [", f"sources: [{', '.join(rows)}, ").replace("aws: {", f'aws: {{account: "{ACCOUNT}", '))
        return s

    def stop(self):
        for s in self.two:
            s.stop()
        self.redis.stop()
        self.forge.stop()
        self.sim.stop()
        self.folder.cleanup()

    def failed(self):
        sha = uuid.uuid4().hex + "00000000"
        build_id = self.client.start_build(projectName=PROJECT, sourceVersion=sha)["build"]["id"]

        def ended():
            b = self.client.batch_get_builds(ids=[build_id])["builds"][0]
            return b if b["buildStatus"] == "FAILED" else None
        return sha, wait_until("the build fails", ended)

    def sns(self, message):
        return json.dumps(signed_by_sns(f"{self.folder.name}/sns.key", TOPIC, "Notification", message, f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-1.pem"))

    def deliveries(self, sha, build):
        """(source, body, headers) of each door."""
        e = event_of(build)
        star = {"account": ACCOUNT, "detailType": e["detail-type"], "region": REGION, "source": e["source"], "time": e["time"], "detail": e["detail"],
                "resources": e["resources"], "additionalAttributes": {}}
        link = f"https://{REGION}.console.aws.amazon.com/codebuild/home?region={REGION}#/builds/{build['id']}/view/new"
        context = f"AWS CodeBuild {REGION} ({PROJECT})"
        status = json.dumps({"id": 1, "sha": sha, "state": "failure", "context": context, "target_url": link, "branches": [], "repository": {"full_name": "o/r"},
                             "sender": {"login": "aws"}})
        pipeline = json.dumps({"object_kind": "pipeline", "object_attributes": {"id": 1, "sha": sha, "source": "external", "status": "failed"}, "project": {"id": 5}})
        self.forge.on(f"GET /projects/5/repository/commits/{sha}/statuses", [{"id": 2, "name": context, "status": "failed", "target_url": link}])
        stamp = str(int(time.time()))
        form = urllib.parse.urlencode({"command": "/retry", "text": build["id"], "user_id": "UANN", "user_name": "ann", "channel_id": "C1", "trigger_id": uuid.uuid4().hex})
        return [("eventbridge", json.dumps(e), {"x-retrybuild-key": KEY}), ("sns", self.sns(json.dumps(e)), {"Content-Type": "text/plain; charset=UTF-8"}),
                ("sns", self.sns(json.dumps(star)), {"Content-Type": "text/plain; charset=UTF-8"}),
                ("github", status, {"X-GitHub-Event": "status", "X-GitHub-Delivery": str(uuid.uuid4()), "X-Hub-Signature-256": "sha256=" + mac(status)}),
                ("gitlab", pipeline, {"X-Gitlab-Event": "Pipeline Hook", "Idempotency-Key": str(uuid.uuid4()), "X-Gitlab-Token": SECRET}),
                ("slack", form, {"Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp,
                                 "X-Slack-Signature": "v0=" + mac(f"v0:{stamp}:{form}")})]

    def send(self, hooks, meanwhile=None):
        """All at once, to the two in turn; what a dead process did not answer is sent again to the other, as a load balancer's senders do."""
        start, answers = threading.Barrier(len(hooks) + 1), [None] * len(hooks)

        def post(i):
            source, body, headers = hooks[i]
            start.wait()
            for s in [self.two[i % 2], self.two[1]]:
                try:
                    status, _, text = s.request("POST", f"/v1/hooks/{source}", body.encode(), headers)
                except OSError:
                    continue
                if status != 503:
                    answers[i] = (source, status, text)
                    return
        threads = [threading.Thread(target=post, args=(i,)) for i in range(len(hooks))]
        for t in threads:
            t.start()
        start.wait()
        if meanwhile:
            meanwhile()
        for t in threads:
            t.join()
        return answers

    def one_retry(self, build, hooks):
        """The record of the only retry, once it has ended."""
        def ended():
            found = [r for r in self.two[1].retries() if r["build"]["id"] == build["id"]]
            return found if found and found[0]["finished_at"] else None
        found = wait_until("the retry ends", ended, 40)
        equal([r["state"] for r in found], ["recovered"])
        equal(len([e for e in self.sim.effects("RetryBuild") if e["parent"].endswith(build["id"])]), 1)
        r = self.two[1].api("GET", f"/v1/retries/{found[0]['id']}")[1]
        keys = {(d["source"], d["type"], d["key"]) for d in r["deliveries"]}
        equal(sorted(t for _, t, _ in keys), DOORS, r["deliveries"])
        equal(all(s and k and d["at"] for d in r["deliveries"] for s, k in [(d["source"], d["key"])]), True, r["deliveries"])
        equal(r["duplicates"], len(r["deliveries"]) - 1)
        equal({h["X-GitHub-Delivery"] for _, _, h in hooks if "X-GitHub-Delivery" in h} <= {k for _, _, k in keys}, True, keys)
        return r


def mac(text):
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


@case
def six_deliveries_at_once_are_one_retry(w):
    rounds = []
    for n in range(ROUNDS):
        sha, build = w.failed()
        hooks = w.deliveries(sha, build)
        random.Random(n).shuffle(hooks)
        answers = w.send(hooks)
        equal([a for a in answers if a is None or a[1] not in (200, 202)], [], answers)
        equal(len([a for a in answers if a[1] == 202 or "Retrying" in a[2]]), 1, answers)
        rounds.append((build, hooks))
    for build, hooks in rounds:
        equal(len(w.one_retry(build, hooks)["deliveries"]), len(hooks))


@case
def each_door_may_be_the_first(w):
    rounds = []
    for first in range(len(DOORS)):
        sha, build = w.failed()
        hooks = w.deliveries(sha, build)
        hooks.insert(0, hooks.pop(first))
        source, body, headers = hooks[0]
        status, _, text = w.two[0].request("POST", f"/v1/hooks/{source}", body.encode(), headers)
        equal((status == 202 or "Retrying" in text), True, (source, status, text))
        answers = w.send(hooks[1:])
        equal([a for a in answers if a[1] != 200 or "Retrying" in a[2]], [], answers)
        rounds.append((build, hooks, source))
    for build, hooks, source in rounds:
        equal(w.one_retry(build, hooks)["source"]["type"], source)


@case
def one_of_two_killed_in_the_middle_makes_no_second(w):
    rng = random.Random(11)
    rounds = []
    for _ in range(KILLS):
        sha, build = w.failed()
        hooks = w.deliveries(sha, build)
        rng.shuffle(hooks)

        def kill():
            time.sleep(rng.uniform(0, 0.03))
            w.two[0].kill()
        answers = w.send(hooks, kill)
        equal([a for a in answers if a is None or a[1] not in (200, 202)], [], answers)
        w.two[0].start()
        rounds.append((build, hooks))
    for build, hooks in rounds:
        w.one_retry(build, hooks)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
