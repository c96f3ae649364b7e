#!/usr/bin/python3
"""What people say, end to end: a slash command answered before its retry ends, buttons, comments on each git host, who may say what, and the audit
entry that each of them leaves."""
import hashlib
import hmac
import json
import pathlib
import subprocess
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from forge_server import Forge  # noqa: E402
from life import FAST_RULE, SCRIPT, World, deliver, event_of, reach  # noqa: E402
from service import REGION, wait_until  # noqa: E402
from sim_harness import Sim, equal  # noqa: E402
from catcher import Catcher  # noqa: E402

SECRET = "hook-secret-0123456789"
MORE = '  - {name: patient, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED, durations: {BUILD: 1s}}]}\n'
WHO = {"users": "[{users: [UANN]}]", "channels": "[{channels: [CCI]}]", "commands": "[{users: [UANN], commands: [status, retry]}]", "projects": "[{users: [UANN], projects: [flaky]}]",
       "rows": "[{users: [UBOB], commands: [status]}, {users: [UANN], channels: [CCI]}]", "anyone": "[{anyone: true}]", "nobody": None}
HOSTS = ("github", "gitlab", "bitbucket", "bitbucket-server", "gitea", "forgejo")
SEED, PUBLIC = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
DC = "/rest/api/latest"  # the root of Bitbucket Data Center
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def mac(text):
    return hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()


class Talk(World):
    def __init__(self, build):
        super().__init__(build)
        self.sim.stop()
        self.sim = Sim(build / "cmd/codebuild-sim/codebuild-sim", SCRIPT.replace("  - {name: steady}\n", "  - {name: steady}\n" + MORE))
        self.client = self.sim.client()
        self.forge, self.reply, self.n = Forge(), Catcher(), 0
        self.forge.takes = True
        api = f'api: {{url: "{self.forge.url}", token: forge-token-0123456789}}'
        center = api.replace("/api", DC)
        rows = [f"{{name: {t}, type: {t}, secrets: [{{value: {SECRET}}}], {center if t == 'bitbucket-server' else api}}}" for t in HOSTS]
        rows += [f"{{name: {t}-groups, type: {t}, secrets: [{{value: {SECRET}}}], {center if t == 'bitbucket-server' else api}, who: [{{groups: [{g}]}}]}}"
                 for t, g in (("bitbucket-server", "release-team"), ("github", "o/release-team"), ("bitbucket", "release-team"))]
        rows += [f"{{name: slack-{k}, type: slack, secrets: [{{value: {SECRET}}}]{f', who: {v}' if v else ''}}}" for k, v in WHO.items()]
        rows += [f"{{name: github-admins, type: github, secrets: [{{value: {SECRET}}}], {api}, who: [{{permission: admin, projects: [flaky]}}]}}",
                 f"{{name: bitbucket-users, type: bitbucket, secrets: [{{value: {SECRET}}}], {api}, who: [{{users: [alice, '{{99}}']}}]}}",
                 f"{{name: github-users, type: github, secrets: [{{value: {SECRET}}}], {api}, who: [{{users: [alice]}}]}}",
                 f'{{name: discord, type: discord, public_key: "{PUBLIC}", who: [{{groups: ["77"], commands: [status]}}]}}',
                 f"{{name: slack-verbs, type: slack, secrets: [{{value: {SECRET}}}], commands: [status], who: [{{anyone: true}}]}}"]
        extra = f'rules: [{FAST_RULE}]\nnetwork: {{allow: ["127.0.0.1/32"]}}\n'
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:talk.db", self.sim.url, extra, service.FAST.replace("sweep_every: 3s", "sweep_every: 1h"))
        self.s.config.write_text(self.s.config.read_text().replace("sources: [", f"sources: [{', '.join(rows)}, ").replace("aws: {", f'aws: {{account: "{service.ACCOUNT}", '))
        self.s.start()

    def close(self):
        equal(self.s.stop(), 0, "exit status")
        self.forge.stop()
        self.reply.stop()
        self.sim.stop()

    def slack(self, text, source="users", user="UANN", channel="C1", payload=None):
        self.n += 1
        form = {"payload": json.dumps(payload)} if payload else {
            "command": "/retry", "text": text, "user_id": user, "user_name": user.lower(), "channel_id": channel, "trigger_id": f"t{self.n}",
            "response_url": self.reply.url + "respond/secret-path"}
        body, stamp = urllib.parse.urlencode(form), str(int(time.time()))
        headers = {**FORM, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=" + mac(f"v0:{stamp}:{body}")}
        status, _, answer = self.s.request("POST", f"/v1/hooks/slack-{source}", body.encode(), headers)
        equal(status, 200, answer)
        return json.loads(answer) if answer else None

    def audit(self, **wanted):
        """The newest audit entry; who, what, why, from where and outcome as wanted."""
        entry = [e for e in map(json.loads, self.s.log.read_text().splitlines()) if e["event"] == "command"][-1]
        equal({k: entry.get(k) for k in wanted}, wanted, entry)

    def replies(self, word):
        return [b for b in (json.loads(g["body"]) for g in list(self.reply.got)) if word in b["text"]]


# ---- Slack ----

@case
def a_slash_command_is_answered_before_its_retry_ends_and_the_end_is_told(w):
    build = w.failed_build("patient")
    answer = w.slack(build["id"] + ' --reason="node lost"')
    found = [r for r in w.s.retries() if r["build"]["id"] == build["id"]]
    equal((answer["response_type"], len(found), found[0]["finished_at"]), ("in_channel", 1, None), answer)
    equal(w.replies("recovered"), [])
    w.audit(who="UANN", verb="retry", reason="node lost", source="slack-users", channel="C1", outcome="done", retry=found[0]["id"])
    again = w.slack(build["id"])
    equal((again["response_type"], "Already retrying" in again["text"]), ("ephemeral", True), again)
    r = reach(w.s, found[0]["id"], "recovered")
    told = wait_until("the end is told", lambda: [b for b in w.replies(r["child"]["id"]) if "recovered" in b["text"]])
    equal([b["response_type"] for b in told], ["in_channel"], told)
    equal((len(w.effects_of(build["id"])), [d["type"] for d in r["deliveries"]]), (1, ["slack", "slack"]))
    equal("secret-path" in w.s.log.read_text() + json.dumps(w.s.api("GET", f"/v1/retries/{r['id']}")), False)


@case
def buttons_retry_approve_and_deny(w):
    def press(action, value, user="UANN"):
        w.n += 1
        w.slack(None, payload={"type": "block_actions", "user": {"id": user, "username": user.lower()}, "channel": {"id": "C1"}, "response_url": w.reply.url,
                               "container": {"message_ts": "1.1", "channel_id": "C1"}, "actions": [{"action_id": action, "value": value, "action_ts": str(w.n)}]})
    for action, state in (("retrybuild_approve", "recovered"), ("retrybuild_deny", "cancelled")):
        build = w.failed_build("slow")
        _, held = deliver(w.s, event_of(build))
        press(action, held["retry"], "UEVE")
        equal(w.s.api("GET", f"/v1/retries/{held['retry']}")[1]["state"], "held")
        press(action, held["retry"])
        equal(reach(w.s, held["retry"], state)["state"], state)
    build = w.failed_build("flaky")
    press("retrybuild_retry", build["id"])
    press("retrybuild_retry", build["id"])
    reach(w.s, [r for r in w.s.retries() if r["build"]["id"] == build["id"]][0]["id"], "recovered")
    equal(len(w.effects_of(build["id"])), 1)
    before = len(w.s.retries())
    for action, value in (("retrybuild_retry", "rty_nothing"), ("retrybuild_approve", "x" * 1900), ("another_app", build["id"]), ("retrybuild_retry", "")):
        press(action, value)
    equal(len(w.s.retries()), before)


@case
def who_may_is_judged_by_user_channel_command_and_project(w):
    flaky, broken = w.failed_build("flaky"), w.failed_build("broken")
    deliver(w.s, event_of(broken), 200)
    for source, user, channel, text, allowed in (
            ("users", "UEVE", "C1", "status", False), ("users", "uann", "C1", "status", False), ("users", "UANN", "C1", "status", True),
            ("channels", "UEVE", "C1", "status", False), ("channels", "UEVE", "CCI", "status", True),
            ("commands", "UANN", "C1", "pause", False), ("commands", "UANN", "C1", "status", True), ("commands", "UANN", "C1", "approve broken", False),
            ("projects", "UANN", "C1", "retry broken", False), ("projects", "UANN", "C1", "pause", False), ("projects", "UANN", "C1", f"retry {flaky['id']} --dry-run", True),
            ("projects", "UANN", "C1", f"retry {broken['id']}", False), ("projects", "UANN", "C1", "status flaky", True),
            ("rows", "UBOB", "C1", "status", True), ("rows", "UBOB", "CCI", "retry last", False), ("rows", "UANN", "C1", "status", False), ("rows", "UANN", "CCI", "status", True),
            ("nobody", "UANN", "CCI", "status", False), ("nobody", "UANN", "CCI", "help", True), ("anyone", "UEVE", "C9", "status", True)):
        answer = w.slack(text, source, user, channel)
        where = (source, user, channel, text, answer)
        equal("may not use" in answer["text"], not allowed, where)
        equal(allowed or (answer["response_type"] == "ephemeral" and "the operator" in answer["text"]), True, where)
        if not allowed:
            w.audit(who=user, source=f"slack-{source}", channel=channel, outcome="denied")
    equal("not switched on" in w.slack("retry last", "verbs")["text"], True)
    w.audit(who="UANN", verb="retry", source="slack-verbs", outcome="refused")
    equal([len(w.effects_of(b["id"])) for b in (flaky, broken)], [0, 0])
    equal(SECRET in w.s.log.read_text(), False)


# ---- comments ----

def comment(kind, text, n, **more):
    """(headers, body) of a comment on pull request 12 of o/r, by alice unless said otherwise."""
    who, kind_of, state, action = more.get("who", "alice"), more.get("type", "User"), more.get("state", "open"), more.get("action", "created")
    sha = more["sha"]
    if kind == "gitlab":
        return {"X-Gitlab-Event": "Note Hook", "X-Gitlab-Token": SECRET, "Idempotency-Key": str(n)}, {
            "object_kind": "note", "user": {"id": 42, "username": who}, "project_id": 5, "project": {"id": 5, "git_http_url": "https://host.example/o/r.git"},
            "object_attributes": {"id": n, "note": text, "noteable_type": "MergeRequest", "action": {"created": "create", "edited": "update"}[action], "system": kind_of == "Bot"},
            "merge_request": {"iid": 12, "state": {"open": "opened"}.get(state, state), "last_commit": {"id": sha}}}
    if kind == "bitbucket-server":
        return {"X-Event-Key": f"pr:comment:{'added' if action == 'created' else 'edited'}", "X-Request-Id": str(uuid.uuid4())}, {
            "actor": {"id": 42 if who == "alice" else 66, "name": who, "type": "NORMAL" if kind_of == "User" else "SERVICE"}, "comment": {"id": n, "text": text},
            "pullRequest": {"id": 12, "state": "OPEN" if state == "open" else "DECLINED", "fromRef": {"latestCommit": sha}, "toRef": {"repository": {"slug": "r", "project": {"key": "O"}}}}}
    if kind == "bitbucket":
        return {"X-Event-Key": f"pullrequest:comment_{'created' if action == 'created' else 'updated'}", "X-Request-UUID": str(n)}, {
            "actor": {"uuid": "{42}" if who == "alice" else "{66}", "nickname": who, "type": "user" if kind_of == "User" else "app_user"},
            "repository": {"full_name": "o/r", "links": {"html": {"href": "https://host.example/o/r"}}}, "comment": {"id": n, "content": {"raw": text}},
            "pullrequest": {"id": 12, "state": state.upper(), "source": {"commit": {"hash": sha[:12]}}}}
    body = {"action": action, "is_pull": True, "issue": {"number": 12, "state": state, "pull_request": {"url": "x"}},
            "repository": {"full_name": "o/r", "clone_url": "https://host.example/o/r.git"}, "comment": {"id": n, "body": text, "user": {"login": who, "id": 42, "type": kind_of}}}
    names = {"github": "GitHub", "gitea": "Gitea", "forgejo": "Forgejo"}
    return {f"X-{names[kind]}-Event": "issue_comment", f"X-{names[kind]}-Event-Type": "pull_request_comment", f"X-{names[kind]}-Delivery": str(n)}, body


def say(w, kind, text, source=None, **more):
    w.n += 1
    headers, body = comment(kind, text, more.pop("n", 1000 + w.n), **more)
    data = json.dumps(body)
    proof = {"github": ("X-Hub-Signature-256", "sha256="), "bitbucket": ("X-Hub-Signature", "sha256="), "bitbucket-server": ("X-Hub-Signature", "sha256="), "gitea": ("X-Gitea-Signature", ""), "forgejo": ("X-Forgejo-Signature", "")}
    if kind in proof:
        headers[proof[kind][0]] = proof[kind][1] + mac(data)
    headers["X-GitHub-Delivery"] = more.get("delivery", str(uuid.uuid4())) if kind == "github" else headers.get("X-GitHub-Delivery", "none")
    status, _, answer = w.s.request("POST", f"/v1/hooks/{source or kind}", data.encode(), headers)
    equal(status in (200, 202), True, (kind, text, answer))
    return json.loads(answer)


def host_knows(w, kind, sha, builds, may=True):
    """What the stand-in tells of pull request 12, of alice, and of who we are."""
    w.forge.answers.clear()
    rows = [{"state": "failure", "status": "failed", "context": f"AWS CodeBuild {REGION} ({b['projectName']})", "name": f"AWS CodeBuild {REGION} ({b['projectName']})",
             "target_url": f"https://{REGION}.console.aws.amazon.com/codebuild/home?region={REGION}#/builds/{b['id']}/view/new"} for b in builds]
    if kind == "gitlab":
        w.forge.on("GET /projects/5/members/all/42", {"access_level": 30 if may else 10})
        w.forge.on("GET /projects/5/merge_requests/12", {"state": "opened", "sha": sha, "source_branch": "fix"})
        w.forge.on(f"GET /projects/5/repository/commits/{sha}/statuses", rows)
        w.forge.on("GET /user", {"id": 1, "username": "retrybuild"})
    elif kind == "bitbucket-server":
        users = [{"name": "alice2"}] + ([{"name": "alice"}] if may else [])
        w.forge.on("GET /projects/O/repos/r/permissions/users", {"values": [{"user": {"name": "alice2"}, "permission": "REPO_ADMIN"}]}, root=DC)
        w.forge.on("GET /users", {"values": users}, root=DC)
        w.forge.on("GET /projects/O/repos/r/pull-requests/12", {"state": "OPEN", "fromRef": {"latestCommit": sha, "displayId": "fix"}}, root=DC)
        w.forge.on(f"GET /build-status/latest/commits/{sha}", {"values": [{"state": "FAILED", "name": r["name"], "key": "k", "url": r["target_url"]} for r in rows]}, root="/rest")
    elif kind == "bitbucket":
        if may:
            w.forge.on("GET /repositories/o/r/permissions-config/users/%7B42%7D", {"permission": "write"})
        w.forge.on("GET /repositories/o/r/pullrequests/12", {"state": "OPEN", "source": {"commit": {"hash": sha}, "branch": {"name": "fix"}}})
        w.forge.on(f"GET /repositories/o/r/commit/{sha}/statuses", {"values": [{"state": "FAILED", "name": r["name"], "key": "k", "url": r["target_url"]} for r in rows]})
    else:
        w.forge.on("GET /repos/o/r/collaborators/alice/permission", {"permission": may if isinstance(may, str) else "write" if may else "read"})
        w.forge.on("GET /repos/o/r/pulls/12", {"state": "open", "head": {"sha": sha, "ref": "fix"}})
        w.forge.on(f"GET /repos/o/r/commits/{sha}/status", {"statuses": [{**r, "status": "failure"} if kind != "github" else r for r in rows]})
        w.forge.on("GET /user", {"id": 1, "login": "retrybuild"})


def written(w):
    """What we have written to the host."""
    return [a for a in list(w.forge.asked) if a[0] in ("POST", "PUT")]


def reactions(w):
    words = [json.loads(a[3]) if a[3] else {"name": a[1].split("/reactions/")[1]} for a in written(w) if "/reactions" in a[1] or "/award_emoji" in a[1]]
    return sorted(x.get("content", x.get("name")) for x in words)


def on_hosts(function):
    for kind in ("github", "gitlab", "gitea", "forgejo", "bitbucket", "bitbucket-server"):
        def on(w, kind=kind):
            w.forge.asked.clear()
            sha = uuid.uuid4().hex + "00000000"
            function(w, kind, sha, w.failed_build("flaky", sourceVersion=sha))
        on.__name__ = f"{function.__name__}_on_{kind.replace('-', '_')}"
        case(on)
    return function


@on_hosts
def a_comment_retries_what_failed_there(w, kind, sha, build):
    host_knows(w, kind, sha, [build])
    answer = say(w, kind, "flaky again\n/retry --reason='node lost'\n", sha=sha)
    equal(answer["status"], "accepted", answer)
    w.audit(who="{42}" if kind == "bitbucket" else "42", name="alice", verb="retry", reason="node lost", source=kind, pull_request=12, outcome="done", retry=answer["retry"])
    r = reach(w.s, answer["retry"], "recovered")
    equal((r["build"]["id"], r["source"]["type"], len(w.effects_of(build["id"]))), (build["id"], kind, 1))
    if kind != "bitbucket":  # Bitbucket Cloud's API has no reactions
        wait_until("the rocket", lambda: reactions(w) == ["eyes", "rocket"])


@on_hosts
def what_is_no_command_of_a_person_who_may_starts_nothing(w, kind, sha, build):
    host_knows(w, kind, sha, [build])
    for text, more in (("/retry", {"type": "Bot"}), ("/retry", {"action": "edited"}), ("```\n/retry\n```", {}), ("    /retry", {}), ("> /retry", {}), ("please /retry", {}),
                       ("<!-- \n/retry\n-->", {}), ("x" * 65536, {}), ("/retry" + "\u202e", {}), ("`/retry`", {})):
        answer = say(w, kind, text, sha=sha, **more)
        equal(answer["status"] in ("ignored", "refused"), True, (text[:40], more, answer))
        equal(answer["status"] == "ignored" or "\u202e" in text, True, (text[:40], answer))
    equal(say(w, kind, "/retry", sha=sha, state="closed")["status"], "refused")
    equal(w.effects_of(build["id"]), [])


@on_hosts
def a_stranger_is_refused_and_makes_us_write_nothing(w, kind, sha, build):
    host_knows(w, kind, sha, [build], may=False)
    if kind not in ("gitlab", "bitbucket", "bitbucket-server"):
        w.forge.answers.pop("GET /api/repos/o/r/collaborators/alice/permission")  # 404: the host knows nobody of this name
    elif kind == "gitlab":
        w.forge.answers.pop("GET /api/projects/5/members/all/42")
    for text in ("/retry", "/retry --forse", "/retry help", "/retry version", "/retry @everyone", "/approve", "/retry staus"):
        answer = say(w, kind, text, sha=sha)
        equal(answer["status"] in ("refused", "ignored"), True, (text, answer))
    equal([(a[1], a[3]) for a in written(w)], [])
    answer = say(w, kind, "/retry", sha=sha)
    equal((answer["status"], "write" in answer["reason"], "retry" in answer and answer["retry"]), ("refused", True, False), answer)
    w.audit(name="alice", verb="retry", source=kind, outcome="denied")
    equal(w.effects_of(build["id"]), [])


@case
def permission_and_project_of_a_row_both_count(w):
    sha = uuid.uuid4().hex + "00000000"
    flaky, slow = w.failed_build("flaky", sourceVersion=sha), w.failed_build("slow", sourceVersion=sha)
    host_knows(w, "github", sha, [flaky, slow], may="write")
    equal(say(w, "github", "/retry", "github-admins", sha=sha)["status"], "refused")
    host_knows(w, "github", sha, [flaky, slow], may="admin")
    equal(say(w, "github", "/retry slow", "github-admins", sha=sha)["status"], "refused")
    answer = say(w, "github", "/retry", "github-admins", sha=sha)
    equal(answer["status"], "accepted", answer)
    reach(w.s, answer["retry"], "recovered")
    equal([len(w.effects_of(b["id"])) for b in (flaky, slow)], [1, 0])


@case
def a_failure_that_eventbridge_told_is_retried_by_a_comment_at_data_center(w):
    sha = uuid.uuid4().hex + "00000000"
    build = w.failed_build("broken", sourceVersion=sha)
    deliver(w.s, event_of(build), 200)
    host_knows(w, "bitbucket-server", sha, [])
    w.forge.asked.clear()
    answer = say(w, "bitbucket-server", "/retry", sha=sha)
    equal(answer["status"], "accepted", answer)
    r = reach(w.s, answer["retry"], "failed_again")
    equal((r["build"]["id"], len(w.effects_of(build["id"]))), (build["id"], 1))
    wait_until("the rocket", lambda: reactions(w) == ["eyes", "rocket"])
    equal([a[1] for a in written(w)][0], f"/rest/comment-likes/latest/projects/O/repos/r/pull-requests/12/comments/{1000 + w.n}/reactions/eyes")
    other = say(w, "bitbucket-server", "/retry", sha=uuid.uuid4().hex + "00000000")  # the host tells the head: this is not it
    equal(other["status"] in ("accepted", "duplicate"), True, other)
    host_knows(w, "bitbucket-server", uuid.uuid4().hex + "00000000", [])
    w.forge.asked.clear()
    nothing = say(w, "bitbucket-server", "/retry", sha=sha)
    equal(nothing["status"], "refused", nothing)
    told = [json.loads(a[3])["text"] for a in written(w) if a[1] == DC + "/projects/O/repos/r/pull-requests/12/comments"]
    equal(len(told), 1, written(w))


@case
def a_group_is_asked_of_the_host(w):
    sha = uuid.uuid4().hex + "00000000"
    build = w.failed_build("flaky", sourceVersion=sha)
    for kind, joined in (("bitbucket-server", [{"name": "alice2"}]), ("github", None), ("bitbucket", None)):
        host_knows(w, kind, sha, [build])
        if kind == "bitbucket-server":
            w.forge.on("GET /users", {"values": joined}, root=DC)
        elif kind == "github":
            w.forge.on("GET /orgs/o/teams/release-team/memberships/alice", {"state": "pending"})
        answer = say(w, kind, "/retry", f"{kind}-groups", sha=sha)
        equal((answer["status"], "listed group" in answer["reason"]), ("refused", True), answer)
    equal(w.effects_of(build["id"]), [])
    host_knows(w, "github", sha, [build])
    w.forge.on("GET /orgs/o/teams/release-team/memberships/alice", {"state": "active"})
    equal(say(w, "github", "/retry", "github-groups", sha=sha)["status"], "accepted")
    other = w.failed_build("flaky", sourceVersion=uuid.uuid4().hex + "00000000")
    host_knows(w, "bitbucket-server", other["sourceVersion"], [other])
    equal(say(w, "bitbucket-server", "/retry", "bitbucket-server-groups", sha=other["sourceVersion"])["status"], "accepted")
    equal([a[1].split("&group=")[1] for a in w.forge.requests("&group=")][-1], "release-team")


@case
def at_bitbucket_permission_through_a_group_is_permission(w):
    sha = uuid.uuid4().hex + "00000000"
    build = w.failed_build("flaky", sourceVersion=sha)
    host_knows(w, "bitbucket", sha, [build], may=False)
    row = {"type": "repository_permission", "user": {"uuid": "{42}"}, "permission": "read"}
    w.forge.on("GET /workspaces/o/permissions/repositories/r", {"values": [row, {**row, "user": {"uuid": "{43}"}, "permission": "admin"}]})
    equal(say(w, "bitbucket", "/retry", sha=sha)["status"], "refused")
    w.forge.on("GET /workspaces/o/permissions/repositories/r", {"values": [{**row, "permission": "write"}]})
    answer = say(w, "bitbucket", "/retry", sha=sha)
    equal(answer["status"], "accepted", answer)
    reach(w.s, answer["retry"], "recovered")


@case
def a_name_counts_where_nobody_else_can_take_it(w):
    sha = uuid.uuid4().hex + "00000000"
    build = w.failed_build("flaky", sourceVersion=sha)
    host_knows(w, "bitbucket", sha, [build])
    equal(say(w, "bitbucket", "/retry", "bitbucket-users", sha=sha)["status"], "refused")  # a nickname, which anybody may choose
    host_knows(w, "github", sha, [build])
    equal(say(w, "github", "/retry", "github-users", sha=sha, who="eve")["status"], "refused")
    equal(w.effects_of(build["id"]), [])
    equal(say(w, "github", "/retry", "github-users", sha=sha)["status"], "accepted")


@case
def a_role_at_discord_is_a_group(w):
    folder = pathlib.Path(w.s.folder.name)
    (folder / "seed").write_text(SEED)

    def interact(verb, roles):
        w.n += 1
        (folder / "body").write_text(json.dumps({"type": 2, "id": str(w.n), "application_id": "2", "token": "t", "channel_id": "11", "data": {"name": verb},
                                                 "member": {"user": {"id": "12", "username": "dana"}, "roles": roles}}))
        r = subprocess.run([w.s.binary, "send", "--source", "discord", "--url", f"http://127.0.0.1:{w.s.port}/v1/hooks/discord", "--secret-file", str(folder / "seed"),
                            str(folder / "body")], capture_output=True, text=True, check=False)
        equal((r.returncode, r.stderr.strip()), (0, "HTTP 200"), r.stdout)
        return "may not use" in r.stdout
    equal([interact("status", ["77", "5"]), interact("status", ["5"]), interact("pause", ["77"]), interact("status", [])], [False, True, True, True])


@case
def a_comment_that_is_replayed_under_another_delivery_id_is_the_same_request(w):
    sha = uuid.uuid4().hex + "00000000"
    build = w.failed_build("flaky", sourceVersion=sha)
    host_knows(w, "github", sha, [build])
    first = say(w, "github", f"/retry {build['id']} --force", sha=sha, n=4711)
    equal(first["status"], "accepted", first)
    reach(w.s, first["retry"], "recovered")
    again = say(w, "github", f"/retry {build['id']} --force", sha=sha, n=4711)
    equal((again["status"], again["retry"]), ("duplicate", first["retry"]), again)
    equal(len(w.effects_of(build["id"])), 1)


if __name__ == "__main__":
    cases.main(__doc__, Talk, Talk.close)
