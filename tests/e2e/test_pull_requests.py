#!/usr/bin/python3
"""A pull request's life at four git hosts: red by CodeBuild, pending by us, green after a recovery, red with the reason when it failed again; one
comment a chain, edited in place; and a GitHub App's tokens."""
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import git_hosts  # noqa: E402
import life  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

REPOSITORIES = {"github": "https://github.com/acme/web", "gitlab": "https://gitlab.com/acme/web", "bitbucket": "https://bitbucket.org/acme/web",
                "gitea": "https://tea.example/acme/web"}
TYPES = {"github": "GITHUB", "gitlab": "GITLAB", "bitbucket": "BITBUCKET", "gitea": "GITHUB_ENTERPRISE"}
ORIGINAL = "AWS CodeBuild us-east-1 (patient)"
SLOW = "{QUEUED: 10ms, PROVISIONING: 20ms, BUILD: 3s}"
FAILURE = '{status: FAILED, phase: PROVISIONING, message: "no capacity"}'
SCRIPT_PROJECTS = f"""
  - {{name: patient, outcomes: [{FAILURE}, {{durations: {SLOW}}}]}}
  - {{name: unlucky, outcomes: [{FAILURE}, {{status: FAILED, phase: BUILD, exit_code: 2, message: "tests failed", durations: {SLOW}}}, {{durations: {SLOW}}}]}}"""
# The first retry of a chain is a person's decision, what follows is not.
ASK_FIRST = """rules:
  - {name: first, when: {phase: [PROVISIONING]}, then: ask, limit: 2, delay: {fixed: 0s}}
  - {name: then, when: {phase: [BUILD]}, then: retry, limit: 2, delay: {fixed: 3s}}
"""
ALLOW = 'network: {allow: ["127.0.0.1/32"]}'


class Hosting(World):
    """A world with builds that take their time."""

    def __init__(self, build):
        life.SCRIPT = life.SCRIPT.replace("\nprojects:", "\nprojects:" + SCRIPT_PROJECTS, 1)
        super().__init__(build)

    def red(self, hosts, host, project, sha):
        """A failed build of a commit at this host, as CodeBuild leaves it: (build, event); the commit is red in its context."""
        build = self.failed_build(project, sourceVersion=sha, sourceTypeOverride=TYPES[host], sourceLocationOverride=f"{REPOSITORIES[host]}.git")
        event = event_of(build)
        event["detail"]["additional-information"]["source"] = {"type": TYPES[host], "location": f"{REPOSITORIES[host]}.git"}
        hosts.statuses[(host, sha)] = {f"AWS CodeBuild us-east-1 ({project})": word(host, "bad")}
        return build, event


def destination(hosts, name, kind, more=""):
    return f'  - {{name: {name}, type: {kind}, api: {{url: "{hosts.url}/{kind.split("-")[0]}", token: {git_hosts.TOKEN}}}{more}}}\n'


def sha_of(n):
    return f"{n:x}".rjust(40, "a")


def word(host, what):
    """The host's own name of a state."""
    return {"running": {"bitbucket": "INPROGRESS", "gitlab": "running"}.get(host, "pending"), "good": {"bitbucket": "SUCCESSFUL"}.get(host, "success"),
            "bad": {"bitbucket": "FAILED", "gitlab": "failed"}.get(host, "failure")}[what]


def reported(s, retry_id):
    return wait_until("every report delivered", lambda: (lambda r: r if all(x["state"] in ("delivered", "superseded") for x in r) else None)(
        s.api("GET", f"/v1/retries/{retry_id}")[1]["reports"]))


@both
def a_pull_request_is_red_then_pending_then_green_in_the_context_that_was_chosen(world, kind):
    hosts = git_hosts.Hosts()
    extra = f"rules: [{FAST_RULE}]\n{ALLOW}\ndestinations:\n"
    for host in REPOSITORIES:
        extra += destination(hosts, f"{host}-own", f"{host}-status") + destination(hosts, f"{host}-original", f"{host}-status", ", context: original")
    with world.serving(kind, extra) as s:
        lives = {}
        for n, host in enumerate(REPOSITORIES):
            _, event = world.red(hosts, host, "patient", sha_of(n))
            equal(hosts.looks(host, sha_of(n)), "red")
            lives[host] = (sha_of(n), deliver(s, event)[1]["retry"])
        for host, (sha, _) in lives.items():
            wait_until(f"{host} is pending", lambda h=host, c=sha: hosts.statuses[(h, c)][ORIGINAL] in git_hosts.WAITING)
            equal(hosts.looks(host, sha), "pending")
        for host, (sha, retry) in lives.items():
            reach(s, retry, "recovered")
            reported(s, retry)
            equal(hosts.looks(host, sha), "green", host)
            equal(set(hosts.statuses[(host, sha)]), {ORIGINAL, "retrybuild/patient"})
            for context in (ORIGINAL, "retrybuild/patient"):
                told = [t for t in hosts.told[(host, sha)] if t[0] == context]
                equal([t[1] for t in told], [word(host, "running"), word(host, "good")], told)
                assert told[1][2].startswith("Recovered on retry 1 of 2 (rule infrastructure: "), told
        equal(hosts.wrong, [])
        assert git_hosts.TOKEN not in s.log.read_text()
    hosts.stop()


@case
def a_second_failure_ends_red_with_the_reason(world):
    hosts = git_hosts.Hosts()
    extra = f"rules: [{FAST_RULE}]\n{ALLOW}\ndestinations:\n" + "".join(destination(hosts, h, f"{h}-status", ", context: original") for h in REPOSITORIES)
    with world.serving(extra=extra) as s:
        lives = {}
        for n, host in enumerate(REPOSITORIES):
            _, event = world.red(hosts, host, "unlucky", sha_of(16 + n))
            lives[host] = (sha_of(16 + n), deliver(s, event)[1]["retry"])
        for host, (sha, retry) in lives.items():
            reach(s, retry, "failed_again")
            reported(s, retry)
            last = hosts.told[(host, sha)][-1]
            equal((hosts.looks(host, sha), last[0], last[1]), ("red", ORIGINAL.replace("patient", "unlucky"), word(host, "bad")))
            assert last[2].startswith("Failed again on retry 1 of 2: "), last
        equal(hosts.wrong, [])
    hosts.stop()


@case
def one_comment_is_made_and_edited_four_times(world):
    """Asked, approved, failed again, on its second retry, recovered; the request is found by the commit."""
    hosts = git_hosts.Hosts()
    shas = {"github": sha_of(32), "gitlab": sha_of(33)}
    hosts.pulls[("github", shas["github"])] = [{"number": 11, "state": "closed", "head": {"ref": "x"}}, {"number": 12, "state": "open", "head": {"ref": "fix"}}]
    hosts.pulls[("gitlab", shas["gitlab"])] = [{"iid": 7, "state": "merged", "source_branch": "x"}, {"iid": 12, "state": "opened", "source_branch": "fix"}]
    extra = f"{ASK_FIRST}{ALLOW}\ndestinations:\n" + "".join(destination(hosts, h, f"{h}-comment") for h in shas)
    with world.serving(extra=extra) as s:
        firsts = {}
        for host, sha in shas.items():
            _, event = world.red(hosts, host, "unlucky", sha)
            firsts[host] = deliver(s, event)[1]["retry"]
            reach(s, firsts[host], "held")
            reported(s, firsts[host])
        for host in shas:
            equal(s.api("POST", f"/v1/retries/{firsts[host]}/approve")[0], 200)
        for host, sha in shas.items():
            chain = reach(s, firsts[host], "failed_again")["chain"]
            last = wait_until("the second retry", lambda c=chain: [r for r in s.retries() if r["chain"] == c and r["attempt"] == 2])[0]
            reach(s, last["id"], "recovered")
            reported(s, last["id"])
            comments = hosts.comments[(host, "12")]
            equal(len(comments), 1)
            bodies = hosts.edits[next(iter(comments))]
            for body, words in zip(bodies, ("waits for a person", "retry 1 of 2 is running", "failed again on retry 1 of 2", "retry 2 of 2 is running", "recovered on retry 2 of 2")):
                assert words in body, (words, bodies)
            equal(len(bodies), 5)
            assert "| 1 of 2 | failed again | " in bodies[-1] and "| 2 of 2 | recovered | " in bodies[-1], bodies[-1]
        equal(len(hosts.requests(f"/commits/{shas['github']}/pulls")), 1)  # asked once a chain
        equal(hosts.wrong, [])
    hosts.stop()


@case
def an_app_gets_one_token_for_all_and_another_when_it_ends(world):
    app = git_hosts.App(life_s=64)  # a token counts until a minute before its end
    hosts = git_hosts.Hosts(app)
    api = f'api: {{url: "{hosts.url}/github", app: {{id: "4711", private_key_file: "{app.key}"}}}}'
    extra = f"rules: [{FAST_RULE}]\n{ALLOW}\ndestinations:\n" + "".join(f"  - {{name: app{i}, type: github-status, context: 'c{i}', when: {{repository: ['https://github.com/acme/web']}}, {api}}}\n" for i in range(3))
    with world.serving(extra=extra) as s:
        def round_of(n):
            _, event = world.red(hosts, "github", "flaky", sha_of(48 + n))
            r = reach(s, deliver(s, event)[1]["retry"], "recovered")
            reported(s, r["id"])
            equal(hosts.looks("github", sha_of(48 + n)), "red")  # CodeBuild's own context is another
        round_of(0)
        equal((len(app.given), len(hosts.requests("/installation"))), (1, 2))  # of three destinations and eight workers
        time.sleep(4.2)
        round_of(1)
        equal(len(app.given), 2)
        app.refuse.update(app.given)  # somebody took it back
        round_of(2)
        equal(len(app.given), 3)
        done = subprocess.run([s.binary, "doctor", "--config", s.config, "--send", "app1", "--json"], capture_output=True, text=True, env=s.env, check=False)
        equal((done.returncode, json.loads(done.stdout)["status"], len(app.given)), (0, 201, 4), done.stdout + done.stderr)
        text = s.log.read_text() + done.stdout + done.stderr
        assert "ghs_" not in text and "PRIVATE KEY" not in text
        equal([w for w in hosts.wrong if w[0] != 401], [])
    hosts.stop()


if __name__ == "__main__":
    cases.main(__doc__, Hosting, lambda world: world.sim.stop())
