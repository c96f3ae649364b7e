#!/usr/bin/python3
"""Commands from chats, end to end: signed as the platform signs, answered in its form, finished by its response URL."""
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

SLACK, MATTERMOST, ROCKET = "slack-signing-secret-0123", "mattermost-token-0123", "rocket-token-0123"
TEAMS = base64.b64encode(b"teams key of the tests, 32 bytes").decode()
PUBLIC = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
SOURCES = f"""
  - {{name: slack, type: slack, secrets: [{{value: {SLACK}}}], who: [{{users: [UANN]}}]}}
  - {{name: mattermost, type: mattermost, secrets: [{{value: {MATTERMOST}}}], who: [{{channels: [cops]}}]}}
  - {{name: rocket, type: rocketchat, secrets: [{{value: {ROCKET}}}], who: [{{anyone: true}}]}}
  - {{name: teams, type: teams, secrets: [{{value: "{TEAMS}"}}], who: [{{users: [aad-ann]}}]}}
  - {{name: discord, type: discord, public_key: "{PUBLIC}", who: [{{groups: ["77"]}}]}}
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Reply:
    """What stands behind a response URL."""

    def __init__(self):
        self.got = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.got.append((self.path, json.loads(body)))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/commands/secret-path"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Chat:
    """A world with one service that has every chat as a source."""

    def __init__(self, build):
        self.world = World(build)
        self.reply = Reply()
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:chat.db", self.world.sim.url, "network: {allow: [\"127.0.0.1/32\"]}\n")
        self.s.config.write_text(self.s.config.read_text().replace("sources: [", "sources:\n  - ", 1).replace(
            f"secrets: [{{value: {service.KEY}}}]}}]", f"secrets: [{{value: {service.KEY}}}]}}{SOURCES}", 1))
        self.s.start()
        self.n = 0

    def stop(self):
        if self.s.proc.poll() is None:
            self.s.stop()
        self.reply.stop()
        self.world.sim.stop()

    def slack(self, form, secret=SLACK, at=None, raw=None):
        body = raw or urllib.parse.urlencode(form)
        t = str(int(time.time() if at is None else at))
        mac = hmac.new(secret.encode(), f"v0:{t}:{body}".encode(), hashlib.sha256).hexdigest()
        return self.s.request("POST", "/v1/hooks/slack", body.encode(), {**FORM, "X-Slack-Request-Timestamp": t, "X-Slack-Signature": f"v0={mac}"})

    def command(self, text, user="UANN", trigger=None):
        self.n += 1
        status, headers, body = self.slack({"team_id": "T1", "channel_id": "C1", "user_id": user, "user_name": user.lower(), "command": "/retry", "text": text,
                                            "response_url": self.reply.url, "trigger_id": trigger or f"t.{self.n}"})
        equal((status, headers["Content-Type"].split(";")[0]), (200, "application/json"), body)
        return json.loads(body)

    def ignored_failure(self, project="broken"):
        build = self.world.failed_build(project)
        deliver(self.s, event_of(build), 200)
        return build["id"]

    def newest(self):
        return self.s.retries()[0]


@case
def a_slash_command_retries_and_the_end_comes_by_the_response_url(c):
    build = c.world.failed_build("flaky")
    answer = c.command(f"{build['id']} --reason=\"node lost\"")
    equal(answer["response_type"], "in_channel", answer)
    for part in [build["id"], "project flaky", "attempt 1 of ", "https://us-east-1.console.aws.amazon.com/"]:
        equal(part in answer["text"], True, answer)
    r = reach(c.s, c.newest()["id"], "recovered")
    equal((r["source"]["type"], r["requested_by"]), ("slack", "uann (UANN)"))
    final = wait_until("final message", lambda: [b for _, b in list(c.reply.got) if "recovered" in b["text"]])[0]
    equal((final["response_type"], build["id"] in final["text"], r["child"]["id"] in final["text"]), ("in_channel", True, True))
    equal(len(c.world.effects_of(build["id"])), 1)
    equal("secret-path" in c.s.log.read_text() or "secret-path" in json.dumps(c.s.retries()), False)


@case
def the_same_command_delivered_twice_is_one_retry(c):
    build = c.world.failed_build("flaky")
    first, second = c.command(build["id"] + " --force", trigger="same"), c.command(build["id"] + " --force", trigger="same")
    equal((first["response_type"], second["response_type"]), ("in_channel", "ephemeral"))
    equal("Already" in second["text"], True, second)
    reach(c.s, c.newest()["id"], "recovered")
    equal(len(c.world.effects_of(build["id"])), 1)


@case
def a_stranger_is_told_in_private_and_nothing_starts(c):
    build = c.world.failed_build("flaky")
    before = len(c.s.retries())
    answer = c.command(build["id"], user="UEVE")
    equal((answer["response_type"], "may not use 'retry'" in answer["text"]), ("ephemeral", True), answer)
    equal(len(c.s.retries()), before)
    entries = [json.loads(line) for line in c.s.log.read_text().splitlines() if '"command"' in line]
    entry = [e for e in entries if e.get("who") == "UEVE"][-1]
    equal((entry["outcome"], entry["verb"], entry["source"], entry["channel"]), ("denied", "retry", "slack", "C1"))


@case
def questions_and_slips_are_answered_in_private(c):
    build = c.ignored_failure()
    for text, part in [("status", build), ("list broken", build), ("explain broken", "said ignore"), ("help", "retry [target]"), ("staus", "did you mean 'status'"),
                       ("retry last --forse", "did you mean '--force'"), ("version", "retrybuild ")]:
        answer = c.command(text)
        equal((answer["response_type"], part in answer["text"]), ("ephemeral", True), (text, answer))


@case
def bad_proof_is_401_with_one_text_and_probes_are_200(c):
    form = {"command": "/retry", "text": "", "user_id": "UANN"}
    texts = {c.slack(form, secret="other")[2], c.slack(form, at=time.time() - 400)[2], c.slack(form, at=time.time() + 400)[2]}
    equal({json.loads(t)["status"] for t in texts}, {401})
    equal(len({json.loads(t)["detail"] for t in texts}), 1)
    before = len(c.s.retries())
    status, _, body = c.s.request("POST", "/v1/hooks/slack", b"ssl_check=1&command=%2Fretry&text=last&user_id=UANN", FORM)
    equal((status, body, len(c.s.retries())), (200, "", before))
    equal(c.slack(None, raw='{"type":"url_verification","challenge":"abc"}')[0], 400)  # a form by its type, JSON by its text


@case
def a_button_of_a_held_retry_approves_and_answers_by_the_response_url(c):
    build = c.world.failed_build("slow")
    _, held = deliver(c.s, event_of(build))
    equal(c.s.api("GET", f"/v1/retries/{held['retry']}")[1]["state"], "held")

    def press(user, ts):
        payload = {"type": "block_actions", "user": {"id": user, "username": user.lower()}, "channel": {"id": "C1"}, "response_url": c.reply.url,
                   "container": {"message_ts": "1.1", "channel_id": "C1"}, "actions": [{"action_id": "retrybuild_approve", "value": held["retry"], "action_ts": ts}]}
        del c.reply.got[:]
        status, _, body = c.slack({"payload": json.dumps(payload)})
        equal((status, body), (200, ""))
        return c.reply.got[0][1]

    no = press("UEVE", "1")
    equal((no["response_type"], no["replace_original"], "may not use 'approve'" in no["text"]), ("ephemeral", False, True), no)
    yes = press("UANN", "2")
    equal((yes["replace_original"], "Approved" in yes["text"]), (True, True), yes)
    reach(c.s, held["retry"], "recovered")


@case
def mattermost_rocketchat_and_teams_answer_in_their_form(c):
    build = c.ignored_failure()
    form = {"channel_id": "cops", "command": "/retry", "text": "status", "token": MATTERMOST, "user_id": "u1", "user_name": "s", "trigger_id": "m1"}
    status, _, body = c.s.request("POST", "/v1/hooks/mattermost", urllib.parse.urlencode(form).encode(), {**FORM, "Authorization": f"Token {MATTERMOST}"})
    equal((status, json.loads(body)["response_type"], build in body), (200, "ephemeral", True), body)
    status, _, body = c.s.request("POST", "/v1/hooks/mattermost", urllib.parse.urlencode({**form, "token": "x"}).encode(), FORM)
    equal(status, 401, body)
    said = {"token": ROCKET, "bot": False, "channel_id": "c1", "message_id": "r1", "user_id": "u1", "user_name": "s", "text": "!retry status", "trigger_word": "!retry"}
    status, _, body = c.s.request("POST", "/v1/hooks/rocket", said)
    equal((status, list(json.loads(body)), build in body), (200, ["text"], True), body)
    equal(c.s.request("POST", "/v1/hooks/rocket", {**said, "token": "x"})[0], 401)
    activity = json.dumps({"type": "message", "id": "9", "from": {"id": "29:1", "aadObjectId": "aad-ann"}, "conversation": {"id": "19:c"}, "text": "<at>rb</at> status"})
    mac = base64.b64encode(hmac.new(base64.b64decode(TEAMS), activity.encode(), hashlib.sha256).digest()).decode()
    status, _, body = c.s.request("POST", "/v1/hooks/teams", activity.encode(), {"Authorization": f"HMAC {mac}"})
    equal((status, json.loads(body)["type"], build in body), (200, "message", True), body)
    equal(c.s.request("POST", "/v1/hooks/teams", activity.encode(), {"Authorization": "HMAC AAAA"})[0], 401)


@case
def discord_pings_and_bad_signatures_are_answered_as_it_probes(c):
    folder = pathlib.Path(__file__).resolve().parents[1] / "data/source/discord"
    for name, status, answer in [("ping", 200, '{"type":1}'), ("ping-of-events", 204, ""), ("ping-changed", 401, None), ("no-signature", 401, None),
                                 ("button-of-another", 200, '{"type":6}')]:
        one = json.loads((folder / f"{name}.json").read_text())
        got, _, body = c.s.request("POST", "/v1/hooks/discord", one["body"].encode(), one["headers"])
        equal((name, got, body if answer is not None else None), (name, status, answer))
    one = json.loads((folder / "command-status.json").read_text())
    got, _, body = c.s.request("POST", "/v1/hooks/discord", one["body"].encode(), one["headers"])
    told = json.loads(body)
    equal("more than five minutes ago" in body, True, body)  # signed long ago: answered, and nothing is done by it
    equal((got, told["type"], told["data"]["flags"], told["data"]["allowed_mentions"]), (200, 4, 64, {"parse": []}), body)


if __name__ == "__main__":
    cases.main(__doc__, Chat, lambda c: c.stop())
