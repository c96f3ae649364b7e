"""Checks of codebuild-sim's faults: each kind, seen by a client on the wire."""
import http.client
import json
import threading
import time
import urllib.error
from email.utils import parsedate_to_datetime

from sim_harness import equal, error_of, failed_build


def fault_throttling_strikes_the_nth_call(sim):
    sim.faults({"operation": "StartBuild", "nth": [2], "error": "ThrottlingException"})
    c = sim.client()
    c.start_build(projectName="steady")
    equal(error_of(c.start_build, projectName="steady"), ("ThrottlingException", "Rate exceeded"))
    c.start_build(projectName="steady")
    sim.faults({"operation": "StartBuild", "times": 1, "error": "ThrottlingException"})
    sim.client(attempts=3).start_build(projectName="steady")  # botocore tries again by itself
    equal(len(sim.effects()), 3)


def fault_account_limit(sim):
    sim.faults({"operation": "RetryBuild", "times": 1, "error": "AccountLimitExceededException"})
    failed = failed_build(sim)
    equal(error_of(sim.client().retry_build, id=failed)[0], "AccountLimitExceededException")
    sim.client().retry_build(id=failed)


def fault_status_with_html_and_empty_bodies(sim):
    sim.faults({"operation": "StartBuild", "nth": 1, "status": 503, "body": "html", "retry_after": 3},
               {"operation": "StartBuild", "nth": 2, "status": 500, "body": "empty"})
    status, headers, text = sim.raw("StartBuild", {"projectName": "steady"})
    equal((status, headers["Content-Type"], headers["Retry-After"], b"<html>" in text), (503, "text/html", "3", True))
    equal(sim.raw("StartBuild", {"projectName": "steady"})[::2], (500, b""))
    equal(sim.effects(), [])


def fault_reset_has_no_effect(sim):
    sim.faults({"operation": "StartBuild", "times": 1, "reset": True})
    try:
        sim.raw("StartBuild", {"projectName": "steady"})
        raise AssertionError("an answer came")
    except (ConnectionError, http.client.RemoteDisconnected):
        pass
    equal(sim.effects(), [])


def fault_lost_reply_keeps_the_effect_and_the_token_finds_it(sim):
    sim.faults({"operation": "RetryBuild", "times": 1, "lose_reply": True})
    failed = failed_build(sim)
    try:
        sim.raw("RetryBuild", {"id": failed, "idempotencyToken": "lost"})
        raise AssertionError("an answer came")
    except (ConnectionError, http.client.RemoteDisconnected):
        pass
    found = json.loads(sim.raw("RetryBuild", {"id": failed, "idempotencyToken": "lost"})[2])["build"]["id"]
    equal([e["build"] for e in sim.effects("RetryBuild")], [found])


def fault_half_a_reply(sim):
    sim.faults({"operation": "StartBuild", "times": 1, "half_reply": True})
    try:
        sim.raw("StartBuild", {"projectName": "steady"})
        raise AssertionError("a whole answer came")
    except http.client.IncompleteRead as e:
        equal(len(e.partial) > 0, True)
    equal(len(sim.effects()), 1)


def fault_latency_after_the_effect(sim):
    sim.faults({"operation": "StartBuild", "times": 1, "latency": "20s"})
    try:
        sim.raw("StartBuild", {"projectName": "steady"}, timeout=0.5)
        raise AssertionError("an answer came")
    except TimeoutError:
        pass
    equal(len(sim.effects()), 1)
    sim.raw("StartBuild", {"projectName": "steady"})  # others do not wait


def fault_delay_before_the_effect(sim):
    sim.faults({"operation": "StartBuild", "times": 1, "delay": "700ms"})
    got = []
    t = threading.Thread(target=lambda: got.append(sim.raw("StartBuild", {"projectName": "steady"})[0]))
    t.start()
    equal(sim.effects(), [])
    t.join()
    equal((got, len(sim.effects())), ([200], 1))


def fault_date_skew_and_an_error_with_effect(sim):
    sim.faults({"operation": "ListBuilds", "date_skew": "-10m"},
               {"operation": "StartBuild", "status": 500, "error": "InternalFailure", "effect": True})
    skew = parsedate_to_datetime(sim.raw("ListBuilds", {})[1]["Date"]).timestamp() - time.time()
    equal(-660 < skew < -540, True, f"skew {skew}")
    status, headers, _ = sim.raw("StartBuild", {"projectName": "steady"})
    equal((status, headers["x-amzn-ErrorType"], len(sim.effects())), (500, "InternalFailure", 1))


def fault_by_chance_and_by_rhythm(sim):
    sim.faults({"operation": "ListBuilds", "every": 3, "error": "ThrottlingException"},
               {"operation": "ListProjects", "probability": 0.5, "error": "ThrottlingException"})
    equal([sim.raw("ListBuilds", {})[0] for _ in range(6)], [200, 200, 400, 200, 200, 400])
    hits = sum(sim.raw("ListProjects", {})[0] == 400 for _ in range(100))
    equal(25 < hits < 75, True, f"{hits} of 100")


def bad_faults_are_refused_whole(sim):
    try:
        sim.faults({"operation": "ListBuilds", "error": "ThrottlingException"}, {"operatoin": "x", "reset": True})
        raise AssertionError("taken")
    except urllib.error.HTTPError as e:
        equal(e.code, 400)
        equal("did you mean 'operation'" in json.load(e)["message"], True)
    equal(sim.raw("ListBuilds", {})[0], 200)


CHECKS = [fault_throttling_strikes_the_nth_call,
          fault_account_limit,
          fault_status_with_html_and_empty_bodies,
          fault_reset_has_no_effect,
          fault_lost_reply_keeps_the_effect_and_the_token_finds_it,
          fault_half_a_reply,
          fault_latency_after_the_effect,
          fault_delay_before_the_effect,
          fault_date_skew_and_an_error_with_effect,
          fault_by_chance_and_by_rhythm,
          bad_faults_are_refused_whole]
