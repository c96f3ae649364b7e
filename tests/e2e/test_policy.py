#!/usr/bin/python3
"""Budgets, breakers, incidents and the ledger, as operators meet them, with the real programs on both stores."""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, Sink, World, deliver, event_of, reach  # noqa: E402
from service import ACCOUNT, FAST, REGION, TOKEN, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

ALONE = FAST.replace("sweep_every: 3s", "sweep_every: 10m")  # what other cases left behind stays there
OFF = {"budgets": "{per_commit: 0, per_project: {ratio: 0, floor_per_hour: 0}}", "breaker": "{minimum: 0}", "incident": "{projects: 0}"}


def settings(**on):
    return f"rules: [{FAST_RULE}]\n" + "".join(f"{k}: {on.get(k, v)}\n" for k, v in OFF.items())


def deliver_failure(world, s, project="flaky", branch="main"):
    build = world.failed_build(project, sourceVersion=f"refs/heads/{branch}")
    return deliver(s, event_of(build))[1]["retry"]


def noted(s, retry, note):
    return wait_until(note, lambda: (lambda r: r if any((h["note"] or "").startswith(note) for h in r["history"]) else None)(
        s.api("GET", f"/v1/retries/{retry}")[1]))


def stats(s):
    status, x = s.api("GET", "/v1/stats", token=f"viewer-{TOKEN}")
    equal(status, 200)
    equal(sorted(x), ["breakers", "budgets", "incident", "mode", "projects", "rules", "totals"])
    return x


@both
def a_spent_budget_refuses_and_force_passes(world, kind):
    with world.serving(kind, settings(budgets="{per_project: {ratio: 0, floor_per_hour: 1}}"), ALONE) as s:
        reach(s, deliver_failure(world, s, branch=f"one-{kind}"), "recovered")
        build = world.failed_build("flaky", sourceVersion=f"refs/heads/two-{kind}")
        refused = reach(s, deliver(s, event_of(build))[1]["retry"], "refused")
        equal(refused["decision"]["reason"], "budget:project")
        equal(world.effects_of(build["id"]), [])
        forced = s.api("POST", "/v1/retries", {"id": build["id"], "account": ACCOUNT, "region": REGION, "force": True})[1]["id"]
        r = reach(s, forced, "recovered")
        assert any("passes budget:project" in (h["note"] or "") for h in r["history"]), r["history"]
        hour = [p["hour"] for p in stats(s)["budgets"]["projects"] if p["project"] == "flaky"]
        equal(hour, [{"used": 2, "limit": 1, "left": 0}])


@both
def a_breaker_opens_waits_and_closes(world, kind):
    with world.serving(kind, settings(breaker="{minimum: 2, window: 60m, open: 3s}", budgets="{per_chain: 1, per_commit: 0, per_project: {ratio: 0, floor_per_hour: 0}}"), ALONE) as s:
        for n in range(2):
            reach(s, deliver_failure(world, s, "stubborn", f"b{n}-{kind}"), "failed_again")
        waiting = deliver_failure(world, s, "stubborn", f"b2-{kind}")
        r = noted(s, waiting, "breaker:project:stubborn")
        equal(r["state"], "scheduled")
        equal([b["state"] for b in stats(s)["breakers"] if b["scope"] == "project:stubborn"], ["open"])
        reach(s, waiting, "failed_again")  # the one that goes to see
        text = subprocess.run([s.binary, "stats"], capture_output=True, text=True, check=True, timeout=60,
                              env={**s.env, "RETRYBUILD_URL": f"http://127.0.0.1:{s.port}", "RETRYBUILD_TOKEN": TOKEN}).stdout
        assert "breaker project:stubborn is" in text and "0 of 3" in text, text


@both
def an_incident_holds_until_resume(world, kind):
    sink = Sink()
    told = f"destinations: [{{name: ops, type: webhook, url: \"{sink.url}\", stages: [held]}}]\nnetwork: {{allow: [\"127.0.0.1/32\"]}}\n"
    with world.serving(kind, settings(incident="{projects: 2, window: 5m, hold: 40s}") + told, ALONE) as s:
        reach(s, deliver_failure(world, s, "endless", f"i-{kind}"), "running")
        reach(s, deliver_failure(world, s, "stubborn", f"i-{kind}"), "failed_again")  # the second project
        wait_until("a hold", lambda: stats(s)["incident"])
        seeing = deliver_failure(world, s, "endless", f"j-{kind}")  # goes to see, and does not come back, unless another one did already
        wait_until("it runs or waits", lambda: (lambda r: r["state"] == "running" or "incident" in json.dumps(r["history"]))(s.api("GET", f"/v1/retries/{seeing}")[1]))
        held = deliver_failure(world, s, "flaky", f"i-{kind}")
        noted(s, held, "incident:PROVISIONING")
        equal(stats(s)["incident"]["phase"], "PROVISIONING")
        notice = json.loads(wait_until("the notice", lambda: sink.got)[0][2])
        equal((notice["type"], notice["data"]["history"][-1]["note"]), ("retry.scheduled", "incident:PROVISIONING"))
        equal(s.api("POST", "/v1/resume")[0], 200)
        equal(stats(s)["incident"], None)
        wait_until("it goes on", lambda: s.api("GET", f"/v1/retries/{held}")[1]["state"] != "scheduled", timeout=60)
        equal(len(sink.got), 1)
    sink.stop()


@both
def the_ledger_knows_what_is_flaky_and_what_each_rule_brought(world, kind):
    with world.serving(kind, settings(), ALONE) as s:
        reach(s, deliver_failure(world, s, branch=f"l-{kind}"), "recovered")
        x = stats(s)
        equal([(r["rule"], r["retries"], r["recovered"]) for r in x["rules"]], [("infrastructure", 1, 1)])
        flakes = [p["flakes"] for p in x["projects"] if p["project"] == "flaky"][0]
        equal([(f["phase"], round(f["count"]), f["rate"]) for f in flakes], [("PROVISIONING", 1, 1.0)])
        equal((x["mode"], x["totals"]["recovered"]), ("auto", 1))


@case
def shadow_mode_counts_what_recovered_when_somebody_retried_it(world):
    with world.serving("sqlite", settings() + "mode: shadow\n", ALONE) as s:
        build = world.failed_build("flaky", sourceVersion="refs/heads/shadow")
        _, answer = deliver(s, event_of(build), 200)
        equal(answer["status"], "ignored")
        again = world.client.retry_build(id=build["id"])["build"]["id"]
        child = wait_until("the hand's retry", lambda: world.ended(again))
        event = json.loads(json.dumps(event_of(child), default=str))
        equal(s.deliver(event)[0], 200)
        totals = wait_until("counted", lambda: (lambda t: t if t["shadow_recovered"] else None)(stats(s)["totals"]), timeout=30)
        equal((totals["shadowed"], totals["shadow_recovered"]), (1, 1))


if __name__ == "__main__":
    cases.main(__doc__, World, lambda world: world.sim.stop())
