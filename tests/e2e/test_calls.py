#!/usr/bin/python3
"""The calls beside RetryBuild, with the real programs: the child of a cancelled retry is stopped; a rule may start a build anew."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402


def running(world, s):
    build = world.failed_build("endless")
    _, answer = deliver(s, event_of(build))
    return reach(s, answer["retry"], "running")


def stops_of(world, r):
    return [e for e in world.sim.effects("StopBuild") if e["build"].split("build/")[-1] == r["child"]["id"]]


@both
def the_child_of_a_cancelled_retry_is_stopped(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        r = running(world, s)
        status, after = s.api("POST", f"/v1/retries/{r['id']}/cancel")
        equal((status, after["state"]), (200, "running"), after)
        assert "by ops" in after["history"][-1]["note"], after["history"]
        ended = reach(s, r["id"], "cancelled")
        equal(ended["child"]["status"], "STOPPED")
        equal(world.ended(r["child"]["id"])["buildStatus"], "STOPPED")
        equal(len(stops_of(world, r)), 1)
        assert "stopped for ops" in ended["history"][-1]["note"], ended["history"]
        equal(s.api("POST", f"/v1/retries/{r['id']}/cancel")[0], 409)


@case
def a_stop_that_is_throttled_and_broken_is_asked_for_again(world):
    with world.serving(extra=f"rules: [{FAST_RULE}]") as s:
        r = running(world, s)
        world.sim.faults({"operation": "StopBuild", "times": 4, "error": "ThrottlingException", "message": "Rate exceeded"},
                         {"operation": "StopBuild", "times": 2, "status": 503, "body": "html"})
        s.api("POST", f"/v1/retries/{r['id']}/cancel")
        reach(s, r["id"], "cancelled", 40)
        equal(len(stops_of(world, r)), 1)


@case
def a_cancel_survives_the_death_of_the_process(world):
    with world.serving("redis", f"rules: [{FAST_RULE}]") as s:
        r = running(world, s)
        world.sim.faults({"operation": "StopBuild", "times": 1, "latency": "30s"})
        s.api("POST", f"/v1/retries/{r['id']}/cancel")
        s.kill()
        s.start()
        reach(s, r["id"], "cancelled")
        equal(len(stops_of(world, r)), 1)


@case
def a_stop_that_is_not_allowed_is_said_and_the_retry_goes_on(world):
    with world.serving(extra=f"rules: [{FAST_RULE}]") as s:
        r = running(world, s)
        world.sim.faults({"operation": "StopBuild", "times": 1, "error": "AccessDeniedException", "message": "not authorized to perform: codebuild:StopBuild"})
        s.api("POST", f"/v1/retries/{r['id']}/cancel")

        def told():
            now = s.api("GET", f"/v1/retries/{r['id']}")[1]
            return now if any("could not be stopped" in (h["note"] or "") for h in now["history"]) else None
        now = wait_until("it is told", told)
        equal(now["state"], "running")
        assert "codebuild:StopBuild" in now["history"][-1]["note"], now["history"]
        s.api("POST", f"/v1/retries/{r['id']}/cancel")  # the permission has been given meanwhile
        reach(s, r["id"], "cancelled")


VARIABLES = [{"name": "CODEBUILD_WEBHOOK_HEAD_REF", "value": "refs/heads/feature", "type": "PLAINTEXT"}, {"name": "FLAVOUR", "value": "canary-of-a-variable", "type": "PLAINTEXT"},
             {"name": "KEY", "value": "name-of-a-parameter", "type": "PARAMETER_STORE"}]
START_RULE = "{name: anew, when: {phase: [PROVISIONING]}, then: retry, how: start, limit: 1, delay: {fixed: 0s}}"


def started_anew(world, build):
    """The builds that StartBuild made of this one; its source version is its own."""
    effects = [e["build"].split("build/")[-1] for e in world.sim.effects("StartBuild")]
    builds = [b for at in range(0, len(effects), 100) for b in world.client.batch_get_builds(ids=effects[at:at + 100])["builds"]]
    return [b for b in builds if b["id"] != build["id"] and b.get("sourceVersion") == build["sourceVersion"]]


def anew(world, version, **more):
    return world.failed_build("stubborn", sourceVersion=version, environmentVariablesOverride=VARIABLES, imageOverride="example/special:2", **more)


@both
def a_build_started_anew_has_the_variables_of_the_original_and_none_is_kept(world, kind):
    with world.serving(kind, f"rules: [{START_RULE}]") as s:
        build = anew(world, f"branch-of-{kind}")
        _, answer = deliver(s, event_of(build))
        r = reach(s, answer["retry"], "failed_again")
        made = started_anew(world, build)
        equal([b["id"] for b in made], [r["child"]["id"]])
        equal(world.effects_of(build["id"]), [])
        environment = made[0]["environment"]
        equal(environment["image"], "example/special:2")
        equal(sorted((v["name"], v["value"], v["type"]) for v in environment["environmentVariables"]), sorted((v["name"], v["value"], v["type"]) for v in VARIABLES))
        assert "starts the build anew" in r["decision"]["reason"], r["decision"]
        assert "anew, with the settings of the original" in " ".join(h["note"] or "" for h in r["history"]), r["history"]
        kept = s.log.read_bytes() + str(r).encode()
        for f in pathlib.Path(s.folder.name).iterdir():
            kept += f.read_bytes()
        assert build["id"].encode() in kept and b"canary-of-a-variable" not in kept


@case
def a_start_whose_reply_is_lost_makes_one_build(world):
    with world.serving(extra=f"rules: [{START_RULE}]") as s:
        build = anew(world, "lost-reply")
        world.sim.faults({"operation": "StartBuild", "times": 2, "lose_reply": True})
        _, answer = deliver(s, event_of(build))
        r = reach(s, answer["retry"], "failed_again", 40)
        equal([b["id"] for b in started_anew(world, build)], [r["child"]["id"]])
        world.sim.faults()  # what was not needed of them


@both
def a_process_killed_in_the_middle_of_a_start_makes_one_build(world, kind):
    with world.serving(kind, f"rules: [{START_RULE}]") as s:
        for n in range(4):
            build = anew(world, f"killed-{n}-{kind}")
            if n % 2 == 0:
                world.sim.faults({"operation": "StartBuild", "times": 1, "latency": "900ms"})
            _, answer = deliver(s, event_of(build))
            if n % 2 == 0:
                wait_until("the call is out", lambda: s.api("GET", f"/v1/retries/{answer['retry']}")[1]["state"] == "submitting" or started_anew(world, build))
            s.kill()
            world.sim.faults()
            s.start()
            r = reach(s, answer["retry"], "failed_again", 40)
            equal([b["id"] for b in started_anew(world, build)], [r["child"]["id"]], f"round {n}")


@case
def a_build_of_a_pipeline_is_refused_with_what_to_do(world):
    with world.serving(extra=f"rules: [{START_RULE}]") as s:
        build = anew(world, "pipeline")
        event = event_of(build)
        event["detail"]["additional-information"]["initiator"] = "codepipeline/release"
        _, _, text = s.deliver(event)
        assert "retry the failed stage in CodePipeline" in text, text
        equal(started_anew(world, build), [])


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
