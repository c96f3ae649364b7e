#!/usr/bin/python3
"""Commands from chats, end to end: signed as the platform signs, answered in its form, finished by its response URL."""
import base64
import hashlib
import hmac
import json
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from catcher import Receiver  # noqa: E402
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
  - {{name: gchat, type: googlechat, audience: "4711", certificate_file: google.pem, who: [{{users: ["users/42"]}}]}}
  - {{name: discord, type: discord, public_key: "{PUBLIC}", who: [{{groups: ["77"]}}]}}
"""
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Reply(Receiver):
    """What stands behind a response URL."""

    def __init__(self):
        self.got, self.methods = [], []
        super().__init__(self.take)
        self.url = f"{self.root}/commands/secret-path"

    def take(self, request, body):
        self.got.append((request.path, json.loads(body)))
        self.methods.append(request.command)
        return 200, {}


class Chat:
    """A world with one service that has every chat as a source."""

    def __init__(self, build, store="sqlite:chat.db"):
        self.build = build
        self.world = World(build)
        self.reply = Reply()
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", store, self.world.sim.url, "network: {allow: [\"127.0.0.1/32\"]}\n")
        sources = SOURCES.replace("type: discord,", f'type: discord, api: {{url: "{self.reply.root}"}},')
        self.s.config.write_text(self.s.config.read_text().replace("sources: [", "sources:\n  - ", 1).replace(
            f"secrets: [{{value: {service.KEY}}}]}}]", f"secrets: [{{value: {service.KEY}}}]}}{sources}", 1))
        folder = self.s.config.parent
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "google.key", "-out", folder / "google.pem", "-subj", "/CN=test only",
                        "-days", "2"], check=True, capture_output=True)
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

    def discord(self, kind, data, roles=("77",)):
        """The answer to an interaction that `send` signs."""
        self.n += 1
        folder = self.s.config.parent
        (folder / "interaction.key").write_text(bytes(range(32)).hex())
        (folder / "interaction").write_text(json.dumps({"type": kind, "id": f"9{self.n}", "application_id": "2", "token": "tok-en", "channel_id": "11", "data": data,
                                                        "member": {"user": {"id": "12", "username": "dana"}, "roles": roles}}))
        p = subprocess.run([self.s.binary, "send", "--source", "discord", "--secret-file", folder / "interaction.key",
                            "--url", f"http://127.0.0.1:{self.s.port}/v1/hooks/discord", folder / "interaction"], capture_output=True, text=True, check=False)
        equal(p.returncode, 0, p.stdout + p.stderr)
        return json.loads(p.stdout)

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
def google_chat_is_answered_in_its_form_and_a_token_for_another_audience_is_not_taken(c):
    build = c.ignored_failure()
    folder = c.s.config.parent
    event = {"type": "MESSAGE", "user": {"name": "users/42", "displayName": "Ann", "type": "HUMAN"}, "space": {"name": "spaces/S1", "type": "ROOM"},
             "message": {"name": "spaces/S1/messages/1", "text": "@rb status", "argumentText": " status"}}

    def say(code, audience="4711", **change):
        (folder / "said.json").write_text(json.dumps(event | change))
        p = subprocess.run([c.s.binary, "send", "--source", "googlechat", "--audience", audience, "--secret-file", folder / "google.key", "--url", f"http://127.0.0.1:{c.s.port}/v1/hooks/gchat",
                            folder / "said.json"], capture_output=True, text=True, check=False)
        equal((p.returncode, code), (code, code), p.stdout + p.stderr)
        return json.loads(p.stdout)

    told = say(0)
    equal((sorted(told), build in told["text"], told["privateMessageViewer"]), (["privateMessageViewer", "text"], True, {"name": "users/42"}), told)
    equal(say(77, "4712")["status"], 401)
    no = say(0, user={"name": "users/43", "type": "HUMAN"}, message=event["message"] | {"name": "spaces/S1/messages/2", "argumentText": " retry " + build})
    equal(("may not use 'retry'" in no["text"], no["privateMessageViewer"]), (True, {"name": "users/43"}), no)
    yes = say(0, message=event["message"] | {"name": "spaces/S1/messages/3", "argumentText": " retry " + build})
    equal(("privateMessageViewer" in yes, build.split(":")[0] in yes["text"]), (False, True), yes)
    equal(say(0, type="ADDED_TO_SPACE", message=None), {})


@case
def what_send_posts_as_a_form_is_answered_as_the_real_one(c):
    folder = c.s.config.parent
    form = urllib.parse.urlencode({"command": "/retry", "text": "help", "user_id": "UANN", "channel_id": "cops", "trigger_id": "s9", "token": MATTERMOST})
    for kind, secret in (("slack", SLACK), ("mattermost", MATTERMOST)):
        (folder / "form").write_text(form)
        (folder / "form.key").write_text(secret)
        p = subprocess.run([c.s.binary, "send", "--source", kind, "--secret-file", folder / "form.key", "--url", f"http://127.0.0.1:{c.s.port}/v1/hooks/{kind}", folder / "form"],
                           capture_output=True, text=True, check=False)
        equal((p.returncode, json.loads(p.stdout)["response_type"]), (0, "ephemeral"), p.stdout + p.stderr)
        p = subprocess.run([c.s.binary, "explain", "--config", c.s.config, "--source", kind, folder / "form"], capture_output=True, text=True, check=False)
        equal((p.returncode, p.stderr), (0, ""), p.stdout + p.stderr)


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


@case
def what_takes_longer_than_a_chat_waits_is_answered_at_once_and_told_later(c):
    redis = service.Redis()
    slow = Chat(c.build, redis.url)

    def late(what, act, part):
        """What `act` is answered while the store hangs, and the request that follows once it is back."""
        del slow.reply.got[:], slow.reply.methods[:]
        redis.proc.send_signal(signal.SIGSTOP)
        try:
            early = act()
            equal(slow.reply.got, [], what)
        finally:
            redis.proc.send_signal(signal.SIGCONT)
        found = wait_until(what, lambda: [i for i, (_, b) in enumerate(list(slow.reply.got)) if part in b.get("content", b.get("text", ""))], 15)[0]
        return early, (slow.reply.methods[found], *slow.reply.got[found])

    try:
        build = slow.world.failed_build("flaky")
        command = {"name": "retry", "options": [{"name": "build", "value": build["id"]}]}
        button = {"custom_id": f"retrybuild_retry:{build['id']}"}
        equal(slow.discord(2, {"name": "status"})["type"], 4)  # in time: as ever
        early, (method, path, body) = late("a command", lambda: slow.discord(2, command), "attempt 1 of ")
        equal((early, method, path), ({"type": 5, "data": {"flags": 64}}, "PATCH", "/webhooks/2/tok-en/messages/@original"))
        equal((build["id"] in body["content"], "flags" in body, body["allowed_mentions"]), (True, False, {"parse": []}), body)
        reach(slow.s, slow.newest()["id"], "recovered")
        wait_until("the end", lambda: [b for _, b in list(slow.reply.got) if "recovered" in b["content"]])
        early, (method, path, body) = late("a button", lambda: slow.discord(3, button), "Not failed")
        equal((early, method, path, body["flags"]), ({"type": 6}, "POST", "/webhooks/2/tok-en", 64))
        early, (method, path, body) = late("a slash command", lambda: slow.command(f"status {build['id']}"), build["id"])
        equal((early["response_type"], early["text"], method, path), ("ephemeral", "Working on it…", "POST", "/commands/secret-path"))
        equal((body["response_type"], body["replace_original"]), ("ephemeral", False))
        equal(slow.s.stop(), 0)
    finally:
        slow.stop()
        redis.stop()


if __name__ == "__main__":
    cases.main(__doc__, Chat, lambda c: c.stop())
