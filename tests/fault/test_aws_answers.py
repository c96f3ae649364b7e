#!/usr/bin/python3
"""Whatever CodeBuild answers, or does not: every failure ends as it must, and no build is started twice."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from sim_harness import equal  # noqa: E402
from life import FAST_RULE, deliver, event_of, reach  # noqa: E402


def one_with_faults(world, rows, state="recovered", timeout=40, extra=""):
    with world.serving(extra=f"rules: [{FAST_RULE}]\n{extra}") as s:
        build = world.failed_build("flaky")
        world.sim.faults(*rows)
        _, answer = deliver(s, event_of(build))
        return build, reach(s, answer["retry"], state, timeout)


def fault(operation, times=1, **what):
    return {"operation": operation, "times": times, **what}


@case
def throttling_is_waited_out(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 2, error="ThrottlingException", message="Rate exceeded")])
    equal(len(world.effects_of(build["id"])), 1)


@case
def too_many_requests_without_a_body_is_waited_out(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 2, status=429, body="empty")])
    equal(len(world.effects_of(build["id"])), 1)


@case
def an_internal_error_is_tried_again_with_the_same_token(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 2, status=500, body="empty")])
    equal(len(world.effects_of(build["id"])), 1)


@case
def an_internal_error_after_the_effect_starts_nothing_twice(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 1, status=500, body="empty", effect=True)])
    effects = world.effects_of(build["id"])
    equal([e["build"].split("build/")[-1] for e in effects], [r["child"]["id"]])


@case
def html_instead_of_an_answer_is_survived(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 1, status=503, body="html")])
    equal(len(world.effects_of(build["id"])), 1)


@case
def a_lost_reply_starts_nothing_twice(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 2, lose_reply=True)])
    equal([e["build"].split("build/")[-1] for e in world.effects_of(build["id"])], [r["child"]["id"]])


@case
def half_an_answer_starts_nothing_twice(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 1, half_reply=True)])
    equal([e["build"].split("build/")[-1] for e in world.effects_of(build["id"])], [r["child"]["id"]])


@case
def a_reset_is_tried_again(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 1, reset=True)])
    equal(len(world.effects_of(build["id"])), 1)


@case
def an_answer_later_than_the_timeout_starts_nothing_twice(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 1, latency="2s")])
    equal([e["build"].split("build/")[-1] for e in world.effects_of(build["id"])], [r["child"]["id"]])


@case
def a_reply_lost_until_the_token_is_dead_is_found_by_looking(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 1, lose_reply=True), fault("RetryBuild", 100, status=503, body="html")], timeout=60)
    equal([e["build"].split("build/")[-1] for e in world.effects_of(build["id"])], [r["child"]["id"]])


@case
def access_denied_is_refused_with_what_aws_said(world):
    build, r = one_with_faults(world, [fault("RetryBuild", 1, error="AccessDeniedException", message="User is not authorized to perform: codebuild:RetryBuild")], "refused")
    assert "not authorized" in r["history"][-1]["note"], r["history"]
    equal(world.effects_of(build["id"]), [])


@case
def invalid_input_is_refused(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 1, error="InvalidInputException", message="Invalid build ID provided")], "refused")
    equal(world.effects_of(build["id"]), [])


@case
def expired_credentials_are_asked_for_again(world):
    build, _ = one_with_faults(world, [fault("RetryBuild", 1, error="ExpiredTokenException", message="The security token included in the request is expired")], timeout=60)
    equal(len(world.effects_of(build["id"])), 1)


@case
def an_account_limit_means_later(world):
    with world.serving(extra=f"rules: [{FAST_RULE}]") as s:
        build = world.failed_build("flaky")
        world.sim.faults(fault("RetryBuild", 1, error="AccountLimitExceededException", message="Cannot have more than 5 builds in queue for the account"))
        _, answer = deliver(s, event_of(build))

        def waiting():
            r = s.api("GET", f"/v1/retries/{answer['retry']}")[1]
            return r if r["state"] == "scheduled" and any("Cannot have more than 5 builds" in (h["note"] or "") for h in r["history"]) else None
        service.wait_until("it waits for the limit to clear", waiting)
        equal(world.effects_of(build["id"]), [])


@case
def a_clock_five_minutes_off_is_corrected(world):
    sim = world.sim
    sim.advance("5m")  # the simulator's clock is AWS's: ours is now five minutes behind
    build, _ = one_with_faults(world, [])
    equal(len(world.effects_of(build["id"])), 1)


if __name__ == "__main__":
    cases.main(__doc__, life.World, lambda w: w.sim.stop())
