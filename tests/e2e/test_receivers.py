#!/usr/bin/python3
"""What receivers get, judged by their makers' own libraries, types and descriptions; and the stand-in for GitHub by GitHub's own client."""
import base64
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import git_hosts  # noqa: E402
import js_client  # noqa: E402
import life  # noqa: E402
import test_destinations  # noqa: E402
from life import deliver, reach  # noqa: E402
from sim_harness import equal  # noqa: E402
from test_pull_requests import ALLOW, REPOSITORIES, Hosting, destination, reported, sha_of  # noqa: E402

cases.CASES.clear()  # those of the modules above
LIBRARIES = ("@octokit/openapi@23.0.2", "@octokit/core@7", "@octokit/auth-app@8.3.1", "ajv@8", "ajv-formats@3", "standardwebhooks@1.1.1", "cloudevents@10.0.0", "adaptivecards@3",
             "typescript@5", "@types/node@22", "@slack/web-api@8.2.0", "discord-api-types@0.38.57", "gitea-js@1.23.0")
SECRETS = [f"whsec_{life.SIGNING}", "whsec_" + base64.b64encode(b"the older key of the receiver, 32").decode()]
HOOKS = ("slack", "discord", "teams", "mattermost", "rocketchat", "googlechat")


def everybody(hosts, sinks, recorder):
    """One destination of each type that is told by HTTP."""
    keys = ", ".join(f'{{value: "{s}"}}' for s in SECRETS)
    text = "".join(f'  - {{name: {kind}, type: {kind}, url: "{sinks[kind].url}"}}\n' for kind in HOOKS)
    text += f'  - {{name: standard, type: webhook, url: "{sinks["webhook"].url}", secrets: [{keys}]}}\n'
    text += f'  - {{name: events, type: webhook, url: "{sinks["cloudevents"].url}", format: cloudevents}}\n'
    text += f'  - {{name: bot, type: slack, api: {{url: "{recorder.url}/slack", token: canary}}, channel: C123}}\n'
    return text + "".join(destination(hosts, kind, kind) for kind in ("github-status", "github-check", "github-comment", "gitlab-comment", *(f"{h}-status" for h in list(REPOSITORIES)[1:])))


def raw(sink):
    return [{"headers": {k.lower(): v for k, v in headers.items()}, "text": body.decode(), "body": json.loads(body)} for _, headers, body in list(sink.got)]


def told_by_hosts(hosts, host):
    return [{"method": method, "path": path.removeprefix(f"/{host}"), "body": json.loads(body) if body else None} for _, method, path, _, body in hosts.requests(f"/{host}/")]


def live(world, s, hosts):
    """At each host: held, approved, recovered; at GitHub one that is denied as well."""
    retries = []
    for n, host in enumerate([*REPOSITORIES, "github"]):
        _, event = world.red(hosts, host, "flaky", sha_of(64 + n))
        retries.append(deliver(s, event)[1]["retry"])
    for retry in retries:
        reach(s, retry, "held")
        reported(s, retry)
    for retry in retries:
        equal(s.api("POST", f"/v1/retries/{retry}/{'deny' if retry == retries[-1] else 'approve'}")[0], 200)
    for retry in retries:
        reach(s, retry, "cancelled" if retry == retries[-1] else "recovered")
        equal({r["state"] for r in reported(s, retry)} <= {"delivered", "superseded"}, True)


@cases.case
def every_request_is_what_its_receivers_makers_say_it_is(world):
    folder, why = js_client.installed(world.build, "js-receivers", LIBRARIES)
    hosts, recorder = git_hosts.Hosts(), test_destinations.Recorder()
    sinks = {kind: life.Sink() for kind in (*HOOKS, "webhook", "cloudevents")}
    for host in ("github", "gitlab"):
        for n in (64, 65, 68):
            hosts.pulls[(host, sha_of(n))] = [{"number": 12, "iid": 12, "state": "opened" if host == "gitlab" else "open", "head": {"ref": "fix"}, "source_branch": "fix"}]
    with world.serving(extra=f"mode: ask\nrules: [{life.FAST_RULE}]\n{ALLOW}\ndestinations:\n{everybody(hosts, sinks, recorder)}") as s:
        live(world, s, hosts)
    equal(hosts.wrong, [])
    told = {kind: raw(sink) for kind, sink in sinks.items()}
    told |= {"slackhook": told.pop("slack"), "secrets": SECRETS, "github": told_by_hosts(hosts, "github"), "gitea": told_by_hosts(hosts, "gitea")}
    told |= {m: [{"body": g[3]} for g in recorder.of(m)] for m in ("chat.postMessage", "chat.update")}
    for sink in (*sinks.values(), recorder, hosts):
        sink.stop()
    if folder is None:
        raise cases.Skipped(why)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(told, file)
        file.flush()
        said = js_client.told(folder, "receivers_js.mjs", "check", file.name)
    print(f"  {said['checked']}", flush=True)
    equal(said["wrong"], [])
    for kind in ("repos/create-commit-status", "checks/create", "checks/update", "issues/create-comment", "issues/update-comment", "issues/list-comments",
                 "repos/list-pull-requests-associated-with-commit", "standardwebhooks", "forgeries refused", "cloudevents", "adaptivecards", "retrybuild_approve", "retrybuild_deny",
                 "retrybuild_retry", "types", "mattermost", "rocketchat", "googlechat"):
        equal(said["checked"].get(kind, 0) > 0, True, kind)


@cases.case
def octokit_takes_the_stand_in_for_github(world):
    folder, why = js_client.installed(world.build, "js-receivers", LIBRARIES)
    if folder is None:
        raise cases.Skipped(why)
    app = git_hosts.App()
    hosts = git_hosts.Hosts(app)
    said = js_client.told(folder, "receivers_js.mjs", "octokit", f"{hosts.url}/github", str(app.key), sha_of(1))
    equal(said, {"good": 201, "long": 422, "made": 201, "body": "hello again"})
    equal(([w[0] for w in hosts.wrong], len(app.given)), ([422], 1))
    hosts.stop()


if __name__ == "__main__":
    cases.main(__doc__, Hosting, lambda world: world.sim.stop())
