#!/usr/bin/python3
"""The AWS front door as SDKs use it: their own retry modes, ten AWS CLIs at once on two replicas, and the JavaScript client."""
import concurrent.futures
import json
import pathlib
import sys

import boto3
import botocore.config
import botocore.exceptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import js_client  # noqa: E402
from cases import case  # noqa: E402
from door_harness import KEY, REGION, SECRET, Door, World  # noqa: E402
from sim_harness import equal  # noqa: E402


def client_of(d, mode, attempts):
    config = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": mode}, read_timeout=60, connect_timeout=5)
    return boto3.session.Session().client("codebuild", region_name=REGION, endpoint_url=d.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, config=config)


def child_of(w, failed):
    """The one build that was started for it."""
    effects = w.effects_of(failed["id"])
    equal(len(effects), 1, effects)
    return effects[0]["build"].split("build/")[-1]


def every_mode(function):
    """The case in each of the SDK's retry modes."""
    for mode, store in (("legacy", "sqlite"), ("standard", "redis"), ("adaptive", "sqlite")):
        def in_mode(w, mode=mode, store=store):
            try:
                function(w, client_of(w.doors[store], mode, 3), mode)
            finally:
                w.sim.faults()
        in_mode.__name__ = f"{function.__name__}_in_mode_{mode}"
        case(in_mode)
    return function


@every_mode
def what_aws_throttles_or_breaks_is_repeated_by_the_sdk(w, c, mode):
    for fault in ({"error": "ThrottlingException"}, {"status": 503, "body": "html"}, {"status": 500, "body": "empty"}):
        w.sim.faults({"operation": "ListBuilds", "nth": [1], **fault})
        equal(c.list_builds()["ResponseMetadata"]["RetryAttempts"], 1, f"{mode} {fault}")


@every_mode
def a_throttle_that_stays_arrives_after_the_last_attempt(w, c, mode):
    w.sim.faults({"operation": "ListProjects", "error": "ThrottlingException"})
    try:
        c.list_projects()
    except botocore.exceptions.ClientError as e:
        equal((e.response["Error"]["Code"], e.response["ResponseMetadata"]["RetryAttempts"]), ("ThrottlingException", 2), mode)
    else:
        raise AssertionError("throttled for ever, yet answered")


@every_mode
def a_retry_that_aws_throttles_or_whose_reply_is_lost_is_one_build(w, c, mode):
    for n, fault in enumerate(({"error": "ThrottlingException"}, {"lose_reply": True}, {"status": 503, "body": "html", "effect": True})):
        failed = w.failed_build("flaky")
        w.sim.faults({"operation": "RetryBuild", "nth": [1], **fault})
        got = c.retry_build(id=failed["id"], **({} if n == 0 else {"idempotencyToken": failed["id"]}))["build"]["id"]
        equal(got, child_of(w, failed), f"{mode} {fault}")


@case
def ten_aws_clis_with_one_token_on_two_replicas_start_one_build(w):
    second = Door(w.build / "cmd/retrybuild/retrybuild", w.redis.url, w.sim.url).start()
    try:
        failed = w.failed_build("flaky")
        doors = [w.doors["redis"], second] * 5
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda d: d.cli("retry-build", "--id", failed["id"], "--idempotency-token", "ten"), doors))
        equal([a.returncode for a in answers], [0] * 10, [a.stderr for a in answers])
        equal({json.loads(a.stdout)["build"]["id"] for a in answers}, {child_of(w, failed)})
    finally:
        equal(second.stop(), 0)


def the_javascript_client_drives_it(w):
    for _ in range(105):
        w.client.start_build(projectName="steady")
    failed, other, denied = w.failed_build("flaky"), w.failed_build("flaky"), w.failed_build("slow")
    told = js_client.told(w.js, "door_clients_js.mjs", w.doors["redis"].url, KEY, SECRET, failed["id"], other["id"], denied["id"], w.sim.url)
    repeated = [2, 2, ["ThrottlingException", 3]]
    equal(told, {"ten": 1, "whole": [True, True, failed["source"]["type"]], "read": ["flaky:none"], "missing": [True, "ResourceNotFoundException", 1],
                 "invalid": [True, "InvalidInputException", 1], "mismatch": [True, "InvalidInputException", 1], "denied": ["AccessDeniedException", 1],
                 "unknown": ["UnknownOperationException", 1], "unsigned": ["InvalidSignatureException"], "pages": [100, 5],
                 "standard": repeated, "adaptive": repeated})
    child_of(w, failed)
    equal((w.effects_of(other["id"]), w.effects_of(denied["id"])), ([], []))


def setup(build):
    w = World(build)
    w.js, why = js_client.installed(build)
    if w.js:
        case(the_javascript_client_drives_it)
    else:
        print(f"skipped {the_javascript_client_drives_it.__name__}: {why}", flush=True)
    return w


if __name__ == "__main__":
    cases.main(__doc__, setup, World.stop)
