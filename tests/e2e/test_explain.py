#!/usr/bin/python3
"""explain: the API's and the command's word on payloads, builds and past retries is what serve decides, and changes nothing."""
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import TOKEN, failure_event  # noqa: E402
from sim_harness import equal  # noqa: E402

RULES = """rules:
  - {name: of-another, when: {project: [other]}, then: ignore}
  - {name: long-ones, when: {duration: ["10h-"]}, then: ask}
  - {name: log-one, when: {phase: [BUILD], log: "ECONNREFUSED .*:5432"}, then: retry, delay: {fixed: 0s}}
"""


def explained(s, event, source="eventbridge", **query):
    extra = "".join(f"&{k}={v}" for k, v in query.items())
    return s.api("POST", f"/v1/explain?source={source}{extra}", event, token=f"viewer-{TOKEN}")


def command(s, *words, stdin=None):
    env = {**s.env, "RETRYBUILD_URL": f"http://127.0.0.1:{s.port}", "RETRYBUILD_TOKEN": TOKEN}
    return subprocess.run([s.binary, "explain", *words], capture_output=True, text=True, input=stdin, env=env, check=False, timeout=60)


@case
def the_api_names_each_rule_and_the_condition_that_failed(world):
    with world.serving(extra=RULES) as s:
        status, x = explained(s, failure_event("flaky:1-1", phase="PROVISIONING"))
        equal(status, 200)
        equal((x["decision"]["action"], x["decision"]["rule"]), ("retry", "platform-fault"))
        equal([(r["name"], r["matched"], r["failed"]) for r in x["rules"]][:7],
              [("of-another", False, "project"), ("long-ones", False, "duration"), ("log-one", False, "phase"), ("stopped", False, "status"),
               ("client-error", False, "phase_status"), ("platform-fault", True, None), ("transient-download", None, None)])
        equal((x["limit"], x["delay"]), (2, {"base": "30s", "cap": "15m"}))
        equal(x["budgets"]["chain"], {"used": 0, "limit": 2, "left": 2})
        equal(s.retries(), [])


@case
def the_word_of_explain_is_the_word_of_serve(world):
    with world.serving(extra=RULES) as s:
        for number, (phase, status, message) in enumerate([("PROVISIONING", "FAULT", ""), ("BUILD", "FAILED", "exit status 1"), ("DOWNLOAD_SOURCE", "FAILED", "i/o timeout"),
                                                           ("BUILD", "TIMED_OUT", ""), ("INSTALL", "FAILED", "connection reset by peer")]):
            event = failure_event(f"flaky:2-{number}", phase=phase, status=status, message=message)
            x = explained(s, event)[1]
            answer = json.loads(s.deliver(event)[2])
            r = s.api("GET", f"/v1/retries/{answer['retry']}")[1]
            if x["note"] is None:
                equal({k: x["decision"][k] for k in ("action", "rule", "reason")}, r["decision"])
                equal(x["limit"], r["limit"])
            again = s.api("POST", f"/v1/explain?retry={r['id']}", token=f"viewer-{TOKEN}")[1]
            if x["note"] is None:
                equal(again["decision"], x["decision"])


@case
def wrong_questions_are_answered_with_what_to_do(world):
    with world.serving() as s:
        for path, status in [("/v1/explain", 400), ("/v1/explain?source=nobody", 404), ("/v1/explain?source=eventbridge&retry=x", 400), ("/v1/explain?retry=rty_x", 404),
                             ("/v1/explain?source=eventbridge&x=1", 400)]:
            answer = s.api("POST", path, {})
            equal(answer[0], status, path)
            assert len(answer[1]["detail"]) > 10, answer
        equal(s.request("POST", "/v1/explain?source=eventbridge", b"no json", {"Authorization": f"Bearer {TOKEN}"})[0], 400)
        equal(s.request("POST", "/v1/explain?source=eventbridge", b"{}")[0], 401)
        equal(explained(s, {"detail-type": "CodeBuild Build Phase Change", "source": "aws.codebuild", "detail": {}})[1]["decision"]["rule"], "no-failure")


@case
def the_command_explains_a_payload_a_build_and_a_past_retry(world):
    with world.serving(extra=f"rules: [{FAST_RULE}]") as s:
        build = world.failed_build("flaky")
        event = event_of(build)
        with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
            json.dump(event, f, default=str)
            f.flush()
            done = command(s, "--config", str(s.config), f.name)
        equal(done.returncode, 0, done.stderr)
        assert "decision: retry by 'infrastructure'" in done.stdout, done.stdout
        done = command(s, "--config", str(s.config), "--json", "-", stdin=json.dumps(event, default=str))
        equal(json.loads(done.stdout)["decision"]["rule"], "infrastructure")
        done = command(s, "--config", str(s.config), "--json", build["id"])
        equal(done.returncode, 0, done.stderr)
        equal(json.loads(done.stdout)["decision"]["rule"], "infrastructure")
        equal(world.effects_of(build["id"]), [])
        retry = reach(s, deliver(s, event)[1]["retry"], "recovered")["id"]
        done = command(s, retry)
        assert done.returncode == 0 and "matches" in done.stdout, done
        done = command(s, "--config", str(s.config), "flaky:00000000-0000-0000-0000-000000000000")
        assert done.returncode == 2 and "does not know" in done.stderr, done
        equal(len(world.effects_of(build["id"])), 1)


@case
def a_rule_on_the_log_is_decided_with_the_log(world):
    with world.serving(extra=RULES) as s:
        build = world.failed_build("refused-database")
        x = explained(s, event_of(build))[1]
        assert "log" in x["note"], x
        done = command(s, "--config", str(s.config), "--json", build["id"])
        equal(json.loads(done.stdout)["decision"]["rule"], "log-one", done.stderr)
        r = reach(s, deliver(s, event_of(build))[1]["retry"], "recovered")
        equal(r["decision"]["rule"], "log-one")
        assert "ECONNREFUSED" not in json.dumps(r)


if __name__ == "__main__":
    cases.main(__doc__, World, lambda world: world.sim.stop())
