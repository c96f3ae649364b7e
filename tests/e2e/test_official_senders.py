#!/usr/bin/python3
"""What the senders' own libraries sign is taken, and nothing they would sign otherwise; what `retrybuild send` signs, those libraries take. Libraries come
from npm into the build folder; without npm the cases say that they were skipped."""
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from catcher import Catcher  # noqa: E402
from service import KEY  # noqa: E402
from serving import QUICK, QUIET, event  # noqa: E402
from sim_harness import equal  # noqa: E402

LIBRARIES = ("@octokit/webhooks-methods@6.0.0", "standardwebhooks@1.1.1", "svix@1.99.1", "discord-interactions@4.4.0", "@slack/bolt@5.1.0", "cloudevents@10.0.0")
SECRET, SIGNING, OTHER = "hook-secret-0123456789", "whsec_" + "QUJD" * 8, "whsec_" + "WFla" * 8
SEED, PUBLIC = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
SOURCES = f"""sources:
  - {{name: eventbridge, type: eventbridge, secrets: [{{value: {KEY}}}]}}
  - {{name: github, type: github, secrets: [{{value: old-secret}}, {{value: {SECRET}}}]}}
  - {{name: gitlab, type: gitlab, secrets: [{{value: {SECRET}}}], signing_secrets: [{{value: {SIGNING}}}]}}
  - {{name: sw, type: standard-webhooks, secrets: [{{value: {SIGNING}}}]}}
  - {{name: slack, type: slack, secrets: [{{value: {SECRET}}}], who: [{{users: [UANN]}}]}}
  - {{name: discord, type: discord, public_key: "{PUBLIC}", who: [{{users: ["1"]}}]}}
  - {{name: ce, type: cloudevents, secrets: [{{value: {KEY}}}]}}
"""


class World:
    def __init__(self, build):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-senders-")
        self.js, self.why = js_client.installed(build, "js-senders", LIBRARIES)
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:senders.db", "http://127.0.0.1:9", extra=QUIET, timing=QUICK)
        lines = self.s.config.read_text().splitlines()
        self.s.config.write_text("\n".join(line for line in lines if not line.startswith("sources:")) + "\n" + SOURCES)
        self.s.start()

    def stop(self):
        equal(self.s.stop(), 0, "exit status")
        self.folder.cleanup()

    def told(self, what, settings):
        path = pathlib.Path(self.folder.name) / f"{what}.json"
        path.write_text(json.dumps(settings), encoding="utf-8")
        return js_client.told(self.js, "senders_js.mjs", what, str(path))

    def need_libraries(self):
        if self.js is None:
            raise cases.Skipped(self.why)


@case
def what_the_libraries_sign_is_taken_and_nothing_else(w):
    w.need_libraries()
    made = w.told("make", {
        "secret": SECRET, "signing": SIGNING, "other": OTHER, "seed": SEED, "public_key": PUBLIC,
        "status": json.dumps({"state": "success", "context": "Größe & <x>+%", "repository": {"full_name": "o/r"}}, ensure_ascii=False),
        "pipeline": json.dumps({"object_kind": "pipeline", "object_attributes": {"status": "success"}}), "own": json.dumps({"data": {"build": "none"}}),
        "form": urllib.parse.urlencode({"command": "/retry", "text": "help", "user_id": "UANN", "trigger_id": "1"}),
        "interaction": json.dumps({"type": 2, "id": "5", "application_id": "2", "token": "t", "member": {"user": {"id": "1"}}, "data": {"name": "help"}})})
    wrong = []
    for d in made:
        status, _, text = w.s.request("POST", f"/v1/hooks/{d['source']}", d["body"].encode(), d["headers"])
        if (status in (200, 202)) != d["good"] or (not d["good"] and status != 401):
            wrong.append((d["source"], d["name"], status, text))
        if "verdict" in d and d["verdict"] != d["good"] and d["name"] != "from the future":
            wrong.append((d["source"], d["name"], "the library says", d["verdict"]))
    equal(wrong, [])
    equal({s: sorted({d["good"] for d in made if d["source"] == s}) for s in ("github", "gitlab", "sw", "slack", "discord")},
          {s: [False, True] for s in ("github", "gitlab", "sw", "slack", "discord")})
    equal(len({w.s.request("POST", f"/v1/hooks/{d['source']}", d["body"].encode(), d["headers"])[2] for d in made if not d["good"]}), 1, "one text for all causes")


@case
def a_signing_token_admits_no_plain_token(w):
    body = json.dumps({"object_kind": "pipeline"})
    equal(w.s.request("POST", "/v1/hooks/gitlab", body, {"X-Gitlab-Event": "Pipeline Hook", "X-Gitlab-Token": SECRET})[0], 401)


@case
def what_send_signs_the_libraries_take(w):
    w.need_libraries()
    catcher = Catcher()
    form = urllib.parse.urlencode({"command": "/retry", "text": "status", "user_id": "UANN", "trigger_id": "2"})
    rows = [("github", SECRET, SECRET, json.dumps({"zen": "Größe"}, ensure_ascii=False)), ("slack", SECRET, SECRET, form), ("discord", SEED, PUBLIC, json.dumps({"type": 1})),
            ("standard-webhooks", SIGNING, SIGNING, json.dumps({"data": {}}))]
    try:
        for kind, secret, _, body in rows:
            (pathlib.Path(w.folder.name) / "secret").write_text(secret + "\n")
            (pathlib.Path(w.folder.name) / "body").write_text(body)
            r = subprocess.run([w.s.binary, "send", "--source", kind, "--url", catcher.url, "--secret-file", f"{w.folder.name}/secret", f"{w.folder.name}/body"],
                               capture_output=True, text=True, check=False)
            equal((r.returncode, r.stderr.strip()), (0, "HTTP 200"), (kind, r.stdout))
        equal([g["body"] for g in catcher.got], [r[3] for r in rows])
        asked = []
        for (kind, _, key, body), got in zip(rows, catcher.got):
            other = SEED if kind == "discord" else OTHER
            asked += [{"source": kind, "secret": key, **got}, {"source": kind, "secret": other, **got}, {"source": kind, "secret": key, **got, "body": body + " "}]
        equal(w.told("check", asked), [True, False, False] * len(rows))
    finally:
        catcher.stop()


@case
def cloudevents_of_the_library_arrive_in_every_mode(w):
    w.need_libraries()
    answers = w.told("emit", {"url": f"http://127.0.0.1:{w.s.port}/v1/hooks/ce", "key": KEY, "events": [event(), event()]})
    binary, structured, (batch, stranger) = answers[:2], answers[2:4], answers[4:]
    equal([a["status"] for a in binary], ["accepted", "accepted"])
    equal([(a["status"], a["retry"]) for a in structured], [("duplicate", a["retry"]) for a in binary])
    equal([(r["status"], r["retry"]) for r in batch["retries"]], [("duplicate", a["retry"]) for a in binary])
    equal(stranger["status"], 401)
    found = {r["id"]: r for r in w.s.retries()}
    equal([sorted(d["type"] for d in found[a["retry"]]["deliveries"]) for a in binary], [["cloudevents"] * 3] * 2)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
