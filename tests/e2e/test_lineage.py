#!/usr/bin/python3
"""Builds that somebody else started, with the real programs: CodeBuild's own auto-retry, a hand in the console."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import forge_server  # noqa: E402
import life  # noqa: E402
import sim_harness  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, deliver, event_of, reach  # noqa: E402
from service import FAST, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

ALONE = FAST.replace("sweep_every: 3s", "sweep_every: 10m")
RULES = f"rules: [{FAST_RULE}]\n"
PROJECTS = """
  - {name: twice, settings: {autoRetryLimit: 2}, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}]}
  - {name: once, settings: {autoRetryLimit: 1}, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]}
"""
SCRIPT = life.SCRIPT.replace("projects:\n", "projects:" + PROJECTS, 1)


class World(life.World):
    def __init__(self, build, script=SCRIPT):
        self.build = build
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), script, "--access-key", f"{sim_harness.KEY}:{sim_harness.SECRET}",
                                   "--access-key", "AKIACONSOLEEXAMPLE:console/secret+example")
        self.client = self.sim.client()

    def ended_build(self, build_id):
        return wait_until(f"{build_id} ended", lambda: self.ended(build_id))

    def next_of(self, build):
        def started():  # Debian's botocore drops autoRetryConfig; the ledger has it too
            return [e["build"] for e in self.sim.effects("AutoRetry") if e["parent"].endswith(build["id"])]
        return self.ended_build(wait_until("CodeBuild's own retry", started)[0].split("build/")[-1])


@both
def codebuilds_own_retries_are_links_of_the_chain_and_count(world, kind):
    with world.serving(kind, RULES, ALONE) as s:
        first = world.failed_build("twice")
        second = world.next_of(first)
        third = world.next_of(second)
        a = reach(s, deliver(s, event_of(first))[1]["retry"], "deferred")
        equal((a["decision"]["action"], a["child"]["id"]), ("retry", second["id"]))
        b = reach(s, deliver(s, event_of(second))[1]["retry"], "deferred")
        c = reach(s, deliver(s, event_of(third))[1]["retry"], "refused")
        equal([(r["chain"], r["attempt"]) for r in (a, b, c)], [(a["chain"], n) for n in (1, 2, 3)])
        equal(c["decision"]["reason"], "budget:chain")
        for build in (first, second, third):
            equal(world.effects_of(build["id"]), [])


@both
def what_codebuild_does_not_retry_itself_is_ours(world, kind):
    idle = World(world.build, SCRIPT + "auto_retry: false\n")
    try:
        with idle.serving(kind, RULES, ALONE) as s:
            build = idle.failed_build("once")
            r = reach(s, deliver(s, event_of(build))[1]["retry"], "recovered")
            notes = [h["note"] or "" for h in r["history"]]
            assert any("did not run this build again" in n for n in notes), notes
            equal(len(idle.effects_of(build["id"])), 1)
    finally:
        idle.sim.stop()


@both
def a_hand_in_the_console_is_the_next_link(world, kind):
    commit = f"{1 if kind == 'redis' else 2:040x}"
    hand = world.sim.client(key="AKIACONSOLEEXAMPLE", secret="console/secret+example")
    with world.serving(kind, RULES, ALONE) as s:
        build = world.failed_build("stubborn", sourceVersion=commit)
        again = world.ended_build(hand.retry_build(id=build["id"])["build"]["id"])
        a = reach(s, deliver(s, event_of(build))[1]["retry"], "superseded")
        equal(a["child"]["id"], again["id"])
        b = reach(s, deliver(s, event_of(again))[1]["retry"], "failed_again")
        equal((b["chain"], b["attempt"]), (a["chain"], 2))
        equal(len(world.effects_of(again["id"])), 1)
        assert "no further attempt" in b["history"][-1]["note"], b["history"]


@case
def a_retry_whose_head_moved_at_the_git_host_is_superseded(world):
    forge = forge_server.Forge()
    api = f"api: {{url: \"{forge.url}\", token: head-canary-0123456789}}"
    extra = f"{RULES}network: {{allow: [\"127.0.0.1/32\"]}}\ndestinations:\n  - {{name: hub, type: github-status, {api}}}\n"
    where = {"sourceTypeOverride": "GITHUB", "sourceLocationOverride": "https://github.com/example-org/app.git"}
    ref, pull = "/repos/example-org/app/git/ref/heads/", "/repos/example-org/app/pulls/12"
    old = {}
    try:
        with world.serving("sqlite", extra, ALONE) as s:
            def failure(version):
                build = world.failed_build("flaky", sourceVersion=version, **where)
                old[version] = build["resolvedSourceVersion"]
                return build

            moved, pulled, still, gone = (failure(v) for v in ("refs/heads/moved", "pr/12", "refs/heads/still", "refs/heads/gone"))
            forge.on(f"GET {ref}moved", {"object": {"sha": "b" * 40}})
            forge.on(f"GET {pull}", {"state": "open", "head": {"sha": "c" * 40, "ref": "topic"}})
            forge.on(f"GET {ref}still", {"object": {"sha": old["refs/heads/still"]}})
            for build, what, head in ((moved, "moved", "b" * 7), (pulled, "pull request 12", "c" * 7)):
                r = reach(s, deliver(s, event_of(build))[1]["retry"], "superseded")
                equal(r["history"][-1]["note"], f"the head of {what} moved from {build['resolvedSourceVersion'][:7]} to {head}")
                equal(world.effects_of(build["id"]), [])
            for build, path in ((still, f"{ref}still"), (gone, f"{ref}gone")):
                state = wait_until("its call", lambda retry=deliver(s, event_of(build))[1]["retry"]: (
                    lambda r: r["state"] if r["state"] in ("running", "recovered", "failed_again", "superseded") else None)(s.api("GET", f"/v1/retries/{retry}")[1]))
                assert state != "superseded", state
                equal(len(world.effects_of(build["id"])), 1)
                equal(len(forge.requests(path)), 1)
            equal({a[2]["authorization"] for a in forge.requests("GET")}, {"Bearer head-canary-0123456789"})
    finally:
        forge.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda world: world.sim.stop())
