#!/usr/bin/python3
"""The calls beside RetryBuild, with the real programs: the child of a cancelled retry is stopped; a rule may start a build anew."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402


def both(function):
    """The case on each store."""
    for kind in ["sqlite", "redis"]:
        def on(world, kind=kind):
            function(world, kind)
        on.__name__ = f"{function.__name__}_on_{kind}"
        case(on)
    return function


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


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
