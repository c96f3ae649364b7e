#!/usr/bin/python3
"""Git hosts as sources, with the real programs: service, simulator, and a stand-in for the hosts' APIs. Payloads are signed here or by
`retrybuild send`; GitHub's own examples by Octokit's signer (npm, into the build folder; skipped where it cannot be had)."""
import contextlib
import hashlib
import hmac
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from forge_server import Forge  # noqa: E402
from life import FAST_RULE, SCRIPT, World, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import Sim, equal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "hook-secret-0123456789"
SHA = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
LOST = 'outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]'
SOURCES = "".join(f"  - {{name: {name}, settings: {{source: {{{source}}}}}, {LOST}}}\n" for name, source in (
    ("of-bucket", "type: S3, location: bucket/key.zip"), ("of-another", "type: GITHUB, location: 'https://github.com/o/another.git'"),
    ("of-ours", "type: GITHUB, location: 'https://github.com/O/r'"), ("of-nothing", "type: NO_SOURCE, buildspec: 'version: 0.2'")))
PACKAGES = ["@octokit/webhooks-examples@7.6.1", "@octokit/webhooks-methods@6.0.0"]
POSTER = """
import fs from "node:fs"; import http from "node:http"; import { sign } from "@octokit/webhooks-methods";
const root = process.argv[4] + "/node_modules/@octokit/webhooks-examples/";
const files = fs.readdirSync(root, { recursive: true }).filter((f) => f.endsWith("index.json"));
const list = files.flatMap((f) => JSON.parse(fs.readFileSync(root + f)));
const agent = new http.Agent({ keepAlive: true });
let n = 0;
for (const { name, examples } of list) for (const example of examples) for (const form of [false, true]) {
  const json = JSON.stringify(example);
  const body = form ? "payload=" + encodeURIComponent(json) : json;
  const headers = { "content-type": form ? "application/x-www-form-urlencoded" : "application/json", "x-github-event": name,
    "x-github-delivery": `octokit-${n++}`, "x-hub-signature-256": await sign(process.argv[3], body) };
  const [status, text] = await new Promise((done, fail) => {
    const r = http.request(process.argv[2], { method: "POST", headers, agent }, (a) => {
      let t = ""; a.on("data", (d) => (t += d)); a.on("end", () => done([a.statusCode, t])); });
    r.on("error", fail); r.end(body); });
  console.log(JSON.stringify([name, status, text]));
}
agent.destroy();
"""


class Hosts(World):
    def __init__(self, build):
        super().__init__(build)
        self.sim.stop()
        self.sim = Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT.replace("  - {name: steady}\n", "  - {name: steady}\n" + SOURCES))
        self.client = self.sim.client()
        self.forge = Forge()

    def close(self):
        self.forge.stop()
        self.sim.stop()

    @contextlib.contextmanager
    def hosts(self, extra="", aws=""):
        """A service with a source of each type, all at the stand-in's API."""
        api = f'api: {{url: "{self.forge.url}", token: forge-token-0123456789}}'
        rows = [f"{{name: {t}, type: {t}, secrets: [{{value: {SECRET}}}], {api}}}" for t in ("github", "gitlab", "bitbucket", "bitbucket-server", "gitea", "forgejo")]
        rows.append("{name: eventbridge, type: eventbridge, secrets: [{value: " + service.KEY + "}]}")
        s = service.Service(self.build / "cmd/retrybuild/retrybuild", "sqlite:hosts.db", self.sim.url, f'rules: [{FAST_RULE}]\nnetwork: {{allow: ["127.0.0.1/32"]}}\n{extra}',
                            service.FAST.replace("sweep_every: 3s", "sweep_every: 1h"))  # it would find the failures that a case keeps for itself
        text = s.config.read_text().splitlines()
        text = [f"sources: [{', '.join(rows)}]" if line.startswith("sources:") else line for line in text]
        s.config.write_text("\n".join(text).replace("aws: {", "aws: {" + aws) + "\n")
        self.forge.asked.clear()
        self.forge.answers.clear()
        self.forge.away = False
        try:
            yield s.start()
        except BaseException:
            print(s.tail())
            raise
        finally:
            if s.proc and s.proc.poll() is None:
                s.stop()

    def failed(self, project="flaky", sha=SHA):
        return self.failed_build(project, sourceVersion=sha)


def link(build_id):
    return f"https://{service.REGION}.console.aws.amazon.com/codebuild/home?region={service.REGION}#/builds/{build_id}/view/new"


def status(build_id, project="flaky", **more):
    return {"id": 1, "sha": SHA, "state": "failure", "context": f"AWS CodeBuild {service.REGION} ({project})", "target_url": link(build_id), "branches": [],
            "repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"}, "sender": {"login": "aws", "type": "User"}, **more}


def post(s, kind, body, headers, secret=SECRET, raw=None):
    data = raw if raw is not None else json.dumps(body).encode()
    mac = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    proof = {"github": {"X-Hub-Signature-256": f"sha256={mac}"}, "gitlab": {"X-Gitlab-Token": secret}, "bitbucket": {"X-Hub-Signature": f"sha256={mac}"},
             "bitbucket-server": {"X-Hub-Signature": f"sha256={mac}"}, "gitea": {"X-Gitea-Signature": mac}, "forgejo": {"X-Forgejo-Signature": mac}}[kind]
    code, got, text = s.request("POST", f"/v1/hooks/{kind}", data, {**proof, **headers})
    return code, got, json.loads(text) if text.startswith("{") else text


def github(s, event, body, expected, **more):
    code, headers, answer = post(s, "github", body, {"X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid.uuid4())}, **more)
    equal(code, expected, json.dumps(answer))
    return headers, answer


@case
def a_failed_status_retries_the_build_that_it_links_to(world):
    with world.hosts() as s:
        build = world.failed()
        _, answer = github(s, "status", status(build["id"]), 202)
        equal(answer["status"], "accepted")
        r = reach(s, answer["retry"], "recovered")
        equal((r["source"]["type"], r["account"], r["commit"], r["decision"]["rule"]), ("github", service.ACCOUNT, SHA, "infrastructure"))
        code, _, text = s.deliver(event_of(build))
        equal((code, json.loads(text)["retry"]), (200, answer["retry"]), text)
        equal(len(world.effects_of(build["id"])), 1)


@case
def what_a_status_says_must_be_so(world):
    with world.hosts() as s:
        build = world.failed()
        cases_of = {"names commit": status(build["id"], sha="a" * 40),
                    "names account": status(build["id"], target_url=f"https://{service.REGION}.console.aws.amazon.com/codesuite/codebuild/999999999999/projects/flaky/build/{build['id'].replace(':', '%3A')}")}
        for word, body in cases_of.items():
            _, answer = github(s, "status", body, 202)
            r = wait_until("it is judged", lambda i=answer["retry"]: (lambda x: x if x["finished_at"] else None)(s.api("GET", f"/v1/retries/{i}")[1]))
            equal(r["state"], "refused")
            assert word in r["history"][-1]["note"], r["history"]
        good = world.client.start_build(projectName="steady", sourceVersion=SHA)["build"]["id"]
        wait_until("it succeeded", lambda: world.ended(good))
        _, answer = github(s, "status", status(good, "steady"), 202)
        reach(s, answer["retry"], "ignored")
        _, answer = github(s, "status", status(f"flaky:{uuid.uuid4()}"), 202)
        assert "does not know" in reach(s, answer["retry"], "refused")["history"][-1]["note"]
        equal(world.effects_of(build["id"]), [])


def judged(s, answer):
    return wait_until("it is judged", lambda: (lambda x: x if x["finished_at"] else None)(s.api("GET", f"/v1/retries/{answer['retry']}")[1]))


@case
def without_a_commit_the_repository_must_be_the_builds(world):
    who = "who: [{permission: write, projects: [of-nothing]}]"
    with world.hosts() as s:
        text = s.config.read_text().replace("{name: github, type: github,", f"{{name: github, type: github, {who},")
        s.config.write_text(text)
        s.stop()
        s.start()
        for name, state, why in (("of-bucket", "refused", "has no repository (source type S3)"), ("of-another", "refused", "the build is of https://github.com/o/another"),
                                 ("of-ours", None, ""), ("of-nothing", None, "")):
            build = world.failed_build(name)
            short = build.get("resolvedSourceVersion", "a" * 40)[:12]  # a part of a commit shows nothing
            _, answer = github(s, "status", status(build["id"], name, sha=short), 202)
            r = judged(s, answer)
            equal(r["state"] == "refused", state == "refused", (name, r["history"]))
            assert why in r["history"][-1]["note"] or not why, r["history"]
            equal(bool(world.effects_of(build["id"])), state is None, name)


@case
def a_button_that_is_replayed_under_another_delivery_id_is_the_same_request(world):
    with world.hosts() as s:
        build = world.failed()
        world.forge.on("GET /repos/o/r/collaborators/alice/permission", {"permission": "write"})
        world.forge.on(f"GET /repos/o/r/commits/{SHA}/status", {"statuses": [{"state": "failure", "context": f"AWS CodeBuild {service.REGION} (flaky)", "target_url": link(build["id"])}]})
        for action in ({"action": "requested_action", "requested_action": {"identifier": "retrybuild_retry"}}, {"action": "rerequested"}):
            body = {**action, "check_run": {"external_id": build["id"], "head_sha": SHA, "name": "x", "details_url": None}, "sender": {"login": "alice", "id": 42, "type": "User"},
                    "repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"}}
            before = len(s.retries())
            _, first = github(s, "check_run", body, 202)
            wait_until("it ends", lambda i=first["retry"]: s.api("GET", f"/v1/retries/{i}")[1]["finished_at"])
            headers, again = github(s, "check_run", body, 200)
            equal((again["status"], again["retry"]), ("duplicate", first["retry"]), again)
            equal(len(s.retries()), before + 1)


@case
def a_status_that_is_replayed_under_another_delivery_id_is_a_duplicate(world):
    with world.hosts() as s:
        build = world.failed()
        body = status(build["id"], sha="c" * 40)
        _, first = github(s, "status", body, 202)
        equal(judged(s, first)["state"], "refused")
        _, again = github(s, "status", body, 200)
        equal((again["status"], again["retry"], len(s.retries())), ("duplicate", first["retry"], 1))
        for kind, names in (("bitbucket", ("X-Event-Key", "X-Request-UUID")), ("gitea", ("X-Gitea-Event-Type", "X-Gitea-Delivery"))):
            other = world.failed()
            said = {"repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"}, "sha": "c" * 40, "state": "failure", "context": "x", "target_url": link(other["id"]),
                    "commit_status": {"state": "FAILED", "name": "x", "url": link(other["id"]), "commit": {"hash": "c" * 40}}}
            answers = [post(s, kind, said, {names[0]: {"bitbucket": "repo:commit_status_updated", "gitea": "status"}[kind], names[1]: str(n)}) for n in range(2)]
            equal([a[2]["status"] for a in answers], ["accepted", "duplicate"], kind)


@case
def a_build_that_is_not_there_is_ignored_while_its_account_is_unknown(world):
    with world.hosts() as s:
        _, answer = github(s, "status", status(f"flaky:{uuid.uuid4()}"), 200)
        equal(answer["status"], "ignored")
        assert "does not show build" in answer["reason"], answer


@case
def without_a_link_the_build_is_found_by_its_commit(world):
    sha = uuid.uuid4().hex + "00000000"
    with world.hosts() as s:
        build = world.failed(sha=sha)
        world.failed(sha="b" * 40)
        _, answer = github(s, "status", status("", target_url=None, sha=sha), 202)
        r = reach(s, answer["retry"], "recovered")
        equal(r["build"]["id"], build["id"])
        _, answer = github(s, "status", status("", target_url="https://ci.example.net/1", sha="c" * 40), 200)
        equal(answer["status"], "ignored")
        _, answer = github(s, "status", status("", "no-such-project", target_url=None), 200)
        equal(answer["status"], "ignored")


@case
def a_failed_pipeline_asks_gitlab_for_the_statuses_of_its_commit(world):
    with world.hosts() as s:
        build = world.failed()
        hook = {"object_kind": "pipeline", "object_attributes": {"id": 1, "sha": SHA, "source": "external", "status": "failed", "stages": ["external"]},
                "project": {"id": 5, "git_http_url": "https://gitlab.example.com/g/p.git"}}
        path = f"/projects/5/repository/commits/{SHA}/statuses"
        world.forge.on(f"GET {path}", [{"id": 2, "name": f"AWS CodeBuild {service.REGION} (flaky)", "status": "failed", "target_url": link(build["id"])},
                                       {"id": 1, "name": "lint", "status": "failed", "target_url": "https://example.com"}])
        world.forge.away = True
        code, headers, answer = post(s, "gitlab", hook, {"X-Gitlab-Event": "Pipeline Hook", "Idempotency-Key": "one"})
        equal((code, headers["Retry-After"] is not None), (503, True), answer)
        world.forge.away = False
        code, _, answer = post(s, "gitlab", hook, {"X-Gitlab-Event": "Pipeline Hook", "Idempotency-Key": "one"})
        equal(code, 202, answer)
        r = reach(s, answer["retry"], "recovered")
        equal((r["build"]["id"], r["source"]["type"]), (build["id"], "gitlab"))
        equal(world.forge.requests(path)[0][2]["private-token"], "forge-token-0123456789")
        world.forge.on(f"GET {path}", [])
        code, _, answer = post(s, "gitlab", hook, {"X-Gitlab-Event": "Pipeline Hook", "Idempotency-Key": "two"})
        equal((code, answer["status"]), (200, "ignored"))
        world.forge.on(f"GET {path}", {"message": "401 Unauthorized"}, 401)
        code, _, answer = post(s, "gitlab", hook, {"X-Gitlab-Event": "Pipeline Hook", "Idempotency-Key": "three"})
        equal((code, answer["status"]), (200, "ignored"), "a wrong token is the operator's to mend, no reason for the host to switch off the hook")


@case
def bitbucket_and_gitea_tell_failures_too(world):
    with world.hosts() as s:
        one, two = world.failed(), world.failed()
        context = f"AWS CodeBuild {service.REGION} (flaky)"
        bitbucket = {"repository": {"full_name": "w/r"}, "commit_status": {"state": "FAILED", "key": "k", "name": context, "url": link(one["id"]),
                     "links": {"commit": {"href": f"https://api.bitbucket.org/2.0/repositories/w/r/commit/{SHA}"}}}}
        code, _, answer = post(s, "bitbucket", bitbucket, {"X-Event-Key": "repo:commit_status_updated", "X-Request-UUID": "1"})
        equal(code, 202, answer)
        reach(s, answer["retry"], "recovered")
        gitea = {"sha": SHA, "state": "failure", "context": context, "target_url": link(two["id"]), "repository": {"full_name": "o/r"}}
        code, _, answer = post(s, "gitea", gitea, {"X-Gitea-Event": "", "X-Gitea-Event-Type": "status", "X-Gitea-Delivery": "1"})
        equal(code, 202, answer)
        reach(s, answer["retry"], "recovered")
        equal([len(world.effects_of(b["id"])) for b in (one, two)], [1, 1])


def comment(text, **more):
    return {"action": "created", "issue": {"number": 12, "state": "open", "pull_request": {"url": "x"}}, "repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"},
            "comment": {"id": 777, "body": text, "user": {"login": "alice", "id": 42, "type": "User", **more}}}


def pull_request(world, sha, statuses, permission="write"):
    """What the host says of pull request 12 and of alice."""
    world.forge.on("GET /user", {"id": 1, "login": "retrybuild"})
    world.forge.on("GET /repos/o/r/collaborators/alice/permission", {"permission": permission})
    world.forge.on("GET /repos/o/r/pulls/12", {"state": "open", "head": {"sha": sha, "ref": "fix"}})
    world.forge.on(f"GET /repos/o/r/commits/{sha}/status", {"statuses": statuses})
    world.forge.on("POST /repos/o/r/issues/comments/777/reactions", {"id": 1}, 201)
    world.forge.on("POST /repos/o/r/issues/12/comments", {"id": 2}, 201)


def reactions(world):
    return [json.loads(a[3])["content"] for a in world.forge.requests("/issues/comments/777/reactions")]


@case
def a_comment_on_a_pull_request_retries_what_failed_there(world):
    sha = uuid.uuid4().hex + "11111111"
    with world.hosts() as s:
        build = world.failed(sha=sha)
        context = f"AWS CodeBuild {service.REGION} (flaky)"
        pull_request(world, sha, [{"state": "failure", "context": context, "target_url": link(build["id"])},
                                  {"state": "success", "context": f"AWS CodeBuild {service.REGION} (steady)", "target_url": None}])
        _, answer = github(s, "issue_comment", comment("flaky again\n/retest"), 202)
        r = reach(s, answer["retry"], "recovered")
        equal((r["build"]["id"], len(world.effects_of(build["id"]))), (build["id"], 1))
        wait_until("the rocket", lambda: sorted(reactions(world)) == ["eyes", "rocket"])
        equal([x["destination"] for x in r["reports"]][:1], ["reply"])
        equal(world.forge.requests("POST /api/repos/o/r/issues/12/comments"), [])


@case
def a_strangers_comment_starts_nothing_and_makes_us_write_nothing(world):
    sha = uuid.uuid4().hex + "22222222"
    with world.hosts() as s:
        build = world.failed(sha=sha)
        failed = [{"state": "failure", "context": f"AWS CodeBuild {service.REGION} (flaky)", "target_url": link(build["id"])}]
        pull_request(world, sha, failed, permission="none")
        _, answer = github(s, "issue_comment", comment("/retry"), 200)
        equal(answer["status"], "refused")
        assert "write" in answer["reason"], answer
        for body in (comment("/retry", type="Bot"), {**comment("/retry"), "action": "edited"}, comment("```\n/retry\n```"), comment("x" * 65536)):
            equal(github(s, "issue_comment", body, 200)[1]["status"], "ignored")
        pull_request(world, sha, failed)
        equal(github(s, "issue_comment", comment("/retry", login="retrybuild", id=1), 200)[1]["status"], "ignored")
        world.forge.on("GET /repos/o/r/pulls/12", {"state": "closed", "head": {"sha": sha, "ref": "fix"}})
        equal(github(s, "issue_comment", comment("/retry"), 200)[1]["status"], "refused")
        world.forge.away = True
        equal(github(s, "issue_comment", comment("/retry"), 200)[1]["status"], "refused")
        equal(world.effects_of(build["id"]), [])
        equal([r for r in reactions(world) if r == "rocket"], [])


@case
def send_signs_as_each_host_does(world):
    with world.hosts() as s, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "secret").write_text(SECRET + "\n")
        (folder / "wrong").write_text("other\n")
        bodies = {"github": status("x", state="success"), "gitlab": {"object_kind": "push"}, "bitbucket": {"push": {}}, "bitbucket-server": {"actor": {}},
                  "gitea": {"sha": SHA, "state": "success"}, "forgejo": {"action": "edited", "comment": {"id": 1}}}
        for kind, body in bodies.items():
            (folder / "body").write_text(json.dumps(body))
            for secret, wanted in (("secret", 0), ("wrong", 77)):
                r = subprocess.run([s.binary, "send", "--source", kind, "--url", f"http://127.0.0.1:{s.port}/v1/hooks/{kind}", "--secret-file", str(folder / secret),
                                    str(folder / "body")], capture_output=True, text=True, check=False)
                equal(r.returncode, wanted, f"{kind}: {r.stdout} {r.stderr}")
                assert wanted or json.loads(r.stdout)["status"] == "ignored", r.stdout


@case
def a_delivery_beyond_the_limit_is_refused_and_the_service_stays_up(world):
    with world.hosts() as s:
        # GitHub sends up to 25 MB; the length alone is answered, so that nothing is written into a connection that closes
        code, _, answer = s.request("POST", "/v1/hooks/github", b"", {"X-GitHub-Event": "push", "Content-Length": str(25 * 1000 * 1000)})
        equal(code, 413, answer)
        equal(github(s, "ping", {"zen": "Keep it logically awesome.", "hook_id": 1}, 200)[1]["status"], "ignored")


@case
def the_examples_of_github_are_answered_and_start_nothing(world):
    folder = world.build / "octokit"
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules/@octokit/webhooks-methods").exists():
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise cases.Skipped("npm or node is not installed")
        (folder / "package.json").write_text("{}")
        r = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES], cwd=folder, capture_output=True, text=True, timeout=180, check=False)
        if r.returncode != 0:
            raise cases.Skipped(f"npm cannot install the examples: {r.stderr.strip()[-200:]}")
    (folder / "post.mjs").write_text(POSTER)
    with world.hosts() as s:
        r = subprocess.run(["node", str(folder / "post.mjs"), f"http://127.0.0.1:{s.port}/v1/hooks/github", SECRET, str(folder.resolve())], capture_output=True,
                           text=True, timeout=120, check=False)
        equal(r.returncode, 0, r.stderr)
        answers = [json.loads(line) for line in r.stdout.splitlines()]
        assert len(answers) >= 1400, len(answers)  # each as JSON and as a form
        equal([a for a in answers if a[1] != 200], [])
        equal({json.loads(a[2])["status"] for a in answers}, {"ignored"})
        equal(s.retries(), [])


if __name__ == "__main__":
    cases.main(__doc__, setup=Hosts, teardown=lambda w: w.close())
