#!/usr/bin/python3
"""codebuild-sim against real AWS clients: Debian's boto3 and AWS CLI, and raw HTTP for faults.

    /usr/bin/python3 tests/e2e/test_sim_clients.py --build build

Prints one line a check and "N passed, N failed" at the end; exits non-zero when one failed.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import boto3

import sim_fault_checks
from sim_harness import KEY, SCRIPT, SECRET, Receiver, Sim, aws, equal, error_of, failed_build


# --- the checks: each gets a fresh simulator without keys, or starts its own ---------------------------

def boto3_creates_starts_fails_retries_and_reads(sim):
    c = sim.client()
    made = c.create_project(name="made-1", source={"type": "GITHUB", "location": "https://github.com/example/x.git"},
                            artifacts={"type": "NO_ARTIFACTS"}, serviceRole="arn:aws:iam::123456789012:role/r",
                            environment={"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0",
                                         "computeType": "BUILD_GENERAL1_SMALL"})["project"]
    equal(made["arn"], "arn:aws:codebuild:us-east-1:123456789012:project/made-1")
    equal(made["timeoutInMinutes"], 60)
    got = c.batch_get_projects(names=["made-1", made["arn"], "missing"])
    equal([p["name"] for p in got["projects"]], ["made-1", "made-1"])
    equal(got["projectsNotFound"], ["missing"])
    equal(c.list_projects()["projects"], ["endless", "made-1", "steady", "web-app"])
    first = c.start_build(projectName="made-1", sourceVersion="main", idempotencyToken="s1")["build"]
    equal((first["buildStatus"], first["currentPhase"], first["buildComplete"]), ("IN_PROGRESS", "QUEUED", False))
    equal([p["phaseType"] for p in first["phases"]], ["SUBMITTED", "QUEUED"])
    equal(error_of(c.retry_build, id=first["id"])[0], "InvalidInputException", "retry of a running build")
    sim.advance("10m")
    ended = c.batch_get_builds(ids=[first["id"], "made-1:none"])
    equal(ended["buildsNotFound"], ["made-1:none"])
    ended = ended["builds"][0]
    equal((ended["buildStatus"], ended["currentPhase"], ended["buildComplete"]), ("FAILED", "COMPLETED", True))
    bad = [p for p in ended["phases"] if p.get("phaseStatus") == "FAILED"]
    equal([(p["phaseType"], p["contexts"][0]["message"]) for p in bad], [("BUILD", "tests failed")])
    second = c.retry_build(id=first["id"], idempotencyToken="r1")["build"]
    equal((second["buildNumber"], second["sourceVersion"]), (2, "main"))
    sim.advance("10m")
    equal(c.batch_get_builds(ids=[second["id"]])["builds"][0]["buildStatus"], "SUCCEEDED")
    equal(c.list_builds_for_project(projectName="made-1")["ids"], [second["id"], first["id"]])
    equal(c.list_builds_for_project(projectName="made-1", sortOrder="ASCENDING")["ids"], [first["id"], second["id"]])
    equal(c.delete_project(name="made-1")["ResponseMetadata"]["HTTPStatusCode"], 200)
    equal(error_of(c.start_build, projectName="made-1")[0], "ResourceNotFoundException")
    equal(error_of(c.retry_build, id=first["id"])[0], "ResourceNotFoundException")


def the_aws_cli_starts_fails_retries_and_reads(sim):
    aws(sim, "create-project", "--name", "made-cli", "--source", "type=NO_SOURCE,buildspec=b", "--artifacts",
        "type=NO_ARTIFACTS", "--environment",
        "type=LINUX_CONTAINER,image=aws/codebuild/standard:7.0,computeType=BUILD_GENERAL1_SMALL", "--service-role",
        "arn:aws:iam::123456789012:role/r")
    equal(aws(sim, "batch-get-projects", "--names", "made-cli")["projects"][0]["name"], "made-cli")
    first = aws(sim, "start-build", "--project-name", "made-cli")["build"]["id"]
    sim.advance("10m")
    equal(aws(sim, "batch-get-builds", "--ids", first)["builds"][0]["buildStatus"], "FAILED")
    second = aws(sim, "retry-build", "--id", first, "--idempotency-token", "cli")["build"]["id"]
    equal(aws(sim, "retry-build", "--id", first, "--idempotency-token", "cli")["build"]["id"], second)
    r = aws(sim, "retry-build", "--id", second, "--idempotency-token", "cli", check=False)
    equal(r.returncode != 0 and "InvalidInputException" in r.stderr and "mismatch" in r.stderr, True, r.stderr)
    equal(aws(sim, "stop-build", "--id", second)["build"]["buildStatus"], "STOPPED")
    equal(sorted(aws(sim, "list-builds")["ids"]), sorted([first, second]))


def the_chain_position_chooses_the_outcome(sim):
    c = sim.client()
    ids = [failed_build(sim)]
    for _ in range(3):
        ids.append(c.retry_build(id=ids[-1])["build"]["id"])
        sim.advance("10m")
    by_id = {b["id"]: b for b in c.batch_get_builds(ids=ids)["builds"]}
    equal([by_id[i]["buildStatus"] for i in ids], ["FAILED", "FAILED", "SUCCEEDED", "SUCCEEDED"])
    context = [p for p in by_id[ids[1]]["phases"] if p["phaseType"] == "BUILD"][0]["contexts"][0]
    equal(context["statusCode"], "COMMAND_EXECUTION_ERROR")
    equal("exit status 75" in context["message"], True, context["message"])


def the_same_token_within_five_minutes_gives_one_build(sim):
    c = sim.client()
    failed = failed_build(sim)
    first = c.retry_build(id=failed, idempotencyToken="same")["build"]
    sim.advance("299s")
    equal(c.retry_build(id=failed, idempotencyToken="same")["build"]["id"], first["id"])
    equal(len(sim.effects("RetryBuild")), 1)


def the_same_token_with_another_id_is_a_mismatch(sim):
    c = sim.client()
    one, two = failed_build(sim), failed_build(sim)
    c.retry_build(id=one, idempotencyToken="same")
    code, message = error_of(c.retry_build, id=two, idempotencyToken="same")
    equal(code, "InvalidInputException")
    equal("mismatch" in message, True, message)
    equal(len(sim.effects("RetryBuild")), 1)
    c.start_build(projectName="steady", idempotencyToken="same")  # another operation: its own tokens
    other = sim.client(key="AKIAOTHEREXAMPLE")
    other.retry_build(id=two, idempotencyToken="same")  # another caller: its own tokens
    equal([e["access_key"] for e in sim.effects("RetryBuild")], [KEY, "AKIAOTHEREXAMPLE"])


def after_five_minutes_the_token_starts_a_second_build(sim):
    c = sim.client()
    failed = failed_build(sim)
    first = c.retry_build(id=failed, idempotencyToken="same")["build"]
    sim.advance("5m")
    second = c.retry_build(id=failed, idempotencyToken="same")["build"]
    equal(first["id"] != second["id"], True)
    equal(len(sim.effects("RetryBuild")), 2)


def the_ledger_lists_effects_in_order_in_memory_and_file(sim):
    c = sim.client()
    failed = failed_build(sim, idempotencyToken="t0")
    child = c.retry_build(id=failed, idempotencyToken="t1")["build"]["id"]
    c.stop_build(id=child)
    c.stop_build(id=child)  # stopped already: no effect
    error_of(c.retry_build, id="web-app:none")
    rows = sim.effects()
    equal([(r["operation"], r["build"], r["parent"], r["token"], r["access_key"]) for r in rows],
          [("StartBuild", failed, None, "t0", KEY), ("RetryBuild", child, failed, "t1", KEY),
           ("StopBuild", child, failed, None, KEY)])
    with open(sim.ledger_path, encoding="utf-8") as f:
        equal([json.loads(line) for line in f], rows)


def lists_page_by_a_hundred(sim):
    c = sim.client()
    ids = [c.start_build(projectName="steady")["build"]["id"] for _ in range(205)]
    for page, want in ((c.get_paginator("list_builds").paginate(), sorted(ids, reverse=True)),
                       (c.get_paginator("list_builds_for_project").paginate(projectName="steady"), ids[::-1])):
        pages = [p["ids"] for p in page]
        equal([len(p) for p in pages], [100, 100, 5])
        equal(sum(pages, []), want)
    first = c.list_builds_for_project(projectName="steady")
    equal(error_of(c.list_builds, nextToken=first["nextToken"])[0], "InvalidInputException", "a token of another list")
    c.start_build(projectName="steady")
    again = c.list_builds_for_project(projectName="steady", nextToken=first["nextToken"])
    equal(again["ids"], ids[104:4:-1], "a new build shifts nothing")


def errors_come_in_body_and_header(sim):
    for operation, body, want in (("StartBuild", {"projectName": "nope"}, "ResourceNotFoundException"),
                                  ("RetryBuild", {}, "InvalidInputException"),
                                  ("RetryBuild", {"id": "no-colon"}, "InvalidInputException"),
                                  ("BatchGetBuilds", {"ids": []}, "InvalidInputException"),
                                  ("BatchGetBuilds", {"ids": ["a:b"] * 101}, "InvalidInputException"),
                                  ("StartBuild", {"projectName": "steady", "computeTypeOverride": "HUGE"},
                                   "InvalidInputException"),
                                  ("StartBuild", {"projectName": 7}, "SerializationException"),
                                  ("CreateFleet", {}, "UnknownOperationException")):
        status, headers, text = sim.raw(operation, body)
        equal((status, headers["x-amzn-ErrorType"], json.loads(text)["__type"]), (400, want, want), operation)
        equal(len(headers["x-amzn-RequestId"]), 36)
    equal(sim.raw("StartBuild", [1])[1]["x-amzn-ErrorType"], "SerializationException")
    equal(sim.effects(), [])


def times_are_numbers_with_milliseconds(sim):
    _, headers, text = sim.raw("StartBuild", {"projectName": "steady"})
    equal(headers["Content-Type"], "application/x-amz-json-1.1")
    build = json.loads(text)["build"]
    equal(abs(build["startTime"] - time.time()) < 60, True)
    equal(len(text.decode().split('"startTime":')[1].split(",")[0].split(".")[1]) <= 3, True)
    for member in ("secondarySources", "secondarySourceVersions", "secondaryArtifacts"):
        equal(build[member], [], member)


def signatures_are_checked_when_keys_are_given(binary):
    sim = Sim(binary, SCRIPT, "--access-key", f"{KEY}:{SECRET}")
    try:
        sim.client().start_build(projectName="steady", idempotencyToken="ü and blanks")
        aws(sim, "start-build", "--project-name", "steady")
        equal(error_of(sim.client(secret="wrong").start_build, projectName="steady")[0], "InvalidSignatureException")
        equal(error_of(sim.client(key="AKIAUNKNOWN").start_build, projectName="steady")[0],
              "UnrecognizedClientException")
        equal(sim.raw("StartBuild", {"projectName": "steady"})[1]["x-amzn-ErrorType"],
              "MissingAuthenticationTokenException")
        other = boto3.client("codebuild", region_name="eu-west-1", endpoint_url=sim.url, aws_access_key_id=KEY,
                             aws_secret_access_key=SECRET, aws_session_token="session")
        other.list_builds()
        sim.advance("6m")
        code, message = error_of(sim.client().start_build, projectName="steady")
        equal((code, message.startswith("Signature expired: ")), ("InvalidSignatureException", True), message)
        equal(len(sim.effects()), 2)
    finally:
        sim.stop()


def a_reset_brings_back_the_beginning(sim):
    sim.faults({"operation": "*", "error": "ThrottlingException"})
    sim.control("/_sim/reset", {})
    sim.client().start_build(projectName="steady", idempotencyToken="t")
    sim.control("/_sim/reset", {})
    equal((sim.effects(), sim.client().list_builds()["ids"]), ([], []))
    sim.client().start_build(projectName="steady", idempotencyToken="t", sourceVersion="other")
    with open(sim.ledger_path, encoding="utf-8") as f:
        equal(len(f.readlines()), 2, "the file keeps what was")


def events_arrive_as_eventbridge_sends_them(binary):
    receiver = Receiver(answers=[503, 429])
    sim = Sim(binary, SCRIPT, "--events", receiver.url, "--events-header", "x-retrybuild-key: s3cret")
    try:
        build = sim.client().start_build(projectName="web-app", environmentVariablesOverride=[
            {"name": "STAGE", "value": "ci", "type": "PLAINTEXT"}])["build"]
        sim.advance("10m")
        events, tries = {}, 0
        while not any(e["detail"].get("build-status") == "FAILED" for e in events.values()) or len(events) < 5:
            status, headers, event = receiver.next()
            tries += 1
            if status == 200:
                events[event["id"]] = event
        equal(tries >= len(events) + 2, True, "503 and 429 are repeated")
        equal((headers["x-retrybuild-key"], headers["User-Agent"], headers["Content-Type"], headers["Range"]),
              ("s3cret", "Amazon/EventBridge/ApiDestinations", "application/json; charset=utf-8", "bytes=0-1048575"))
        kinds = sorted((e["detail-type"], e["detail"].get("build-status") or e["detail"]["completed-phase"])
                       for e in events.values())
        equal(kinds, [("CodeBuild Build Phase Change", "PROVISIONING"), ("CodeBuild Build Phase Change", "QUEUED"),
                      ("CodeBuild Build Phase Change", "SUBMITTED"), ("CodeBuild Build State Change", "FAILED"),
                      ("CodeBuild Build State Change", "IN_PROGRESS")])
        last = [e for e in events.values() if e["detail"].get("build-status") == "FAILED"][0]
        equal((last["resources"], last["detail"]["build-id"]), ([build["arn"]], build["arn"]))
        info = last["detail"]["additional-information"]
        equal(info["environment"]["environment-variables"], [{"name": "STAGE", "value": "ci", "type": "PLAINTEXT"}])
        equal(info["phases"][2]["phase-context"], ["INTERNAL_SERVICE_ERROR: no capacity"])
    finally:
        sim.stop()
        receiver.stop()


def an_unreachable_receiver_holds_nobody(binary):
    sim = Sim(binary, SCRIPT, "--events", "http://127.0.0.1:9/hook")
    try:
        begun = time.monotonic()
        for _ in range(20):
            sim.raw("StartBuild", {"projectName": "steady"})
        equal(time.monotonic() - begun < 30, True)
    finally:
        equal(sim.stop(), 0, "exit status")


def speed_scales_phases_alone(binary):
    sim = Sim(binary, SCRIPT, "--speed", "400")
    try:
        build = sim.client().start_build(projectName="web-app", idempotencyToken="t")["build"]["id"]
        end = time.monotonic() + 60
        while not sim.client().batch_get_builds(ids=[build])["builds"][0]["buildComplete"]:
            equal(time.monotonic() < end, True, "it ends by itself")
        equal(sim.client().start_build(projectName="web-app", idempotencyToken="t")["build"]["id"], build)
    finally:
        sim.stop()


def visibility_lags_when_told(binary):
    sim = Sim(binary, SCRIPT + "lag: 2m\nretry_running: true\nretry_arn: false\n"
              "initiator: {default: 'r/x', keys: {AKIAOTHER: 'ci-role/rty_1'}}\n")
    try:
        c = sim.client()
        build = c.start_build(projectName="endless")["build"]
        equal(c.list_builds()["ids"], [])
        equal(c.batch_get_builds(ids=[build["id"]])["builds"][0]["initiator"], "r/x")
        sim.advance("2m")
        equal(c.list_builds()["ids"], [build["id"]])
        equal(sim.client(key="AKIAOTHER").retry_build(id=build["id"])["build"]["initiator"], "ci-role/rty_1")
        equal(error_of(c.retry_build, id=build["arn"])[0], "InvalidInputException")
    finally:
        sim.stop()


def logs_can_be_read(sim):
    c = sim.client()
    failed = failed_build(sim)
    second = c.retry_build(id=failed)["build"]["id"]
    sim.advance("10m")
    logs = boto3.client("logs", region_name="us-east-1", endpoint_url=sim.url, aws_access_key_id=KEY,
                        aws_secret_access_key=SECRET)
    where = c.batch_get_builds(ids=[second])["builds"][0]["logs"]
    got = logs.get_log_events(logGroupName=where["groupName"], logStreamName=where["streamName"], startFromHead=True)
    equal("registry answered 503" in [e["message"] for e in got["events"]], True)


def a_hundred_threads_and_one_token_make_one_build(sim):
    failed = failed_build(sim)
    got = []

    def one():
        got.append(json.loads(sim.raw("RetryBuild", {"id": failed, "idempotencyToken": "x"})[2])["build"]["id"])

    threads = [threading.Thread(target=one) for _ in range(100)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal((len(got), len(set(got)), len(sim.effects("RetryBuild"))), (100, 1, 1))


def bad_arguments_and_scripts_are_named(binary):
    def run(*args):
        r = subprocess.run([binary, *args], capture_output=True, text=True, timeout=10, check=False)
        return r.returncode, r.stderr

    code, text = run("--lisen", "x")
    equal((code, "did you mean '--listen'" in text), (2, True), text)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        f.write("projects:\n  - {name: ok, outcomes: [{stauts: FAILED}]}\n")
        f.flush()
        code, text = run("--listen", "127.0.0.1:0", "--script", f.name)
        equal((code, "projects[0].outcomes[0].stauts" in text, "did you mean 'status'" in text), (78, True, True), text)
    code, text = run("--script", "/nonexistent.yaml")
    equal((code, "/nonexistent.yaml" in text), (78, True), text)


WITH_SIM = [boto3_creates_starts_fails_retries_and_reads, the_aws_cli_starts_fails_retries_and_reads,
            the_chain_position_chooses_the_outcome, the_same_token_within_five_minutes_gives_one_build,
            the_same_token_with_another_id_is_a_mismatch, after_five_minutes_the_token_starts_a_second_build,
            the_ledger_lists_effects_in_order_in_memory_and_file, lists_page_by_a_hundred,
            errors_come_in_body_and_header, times_are_numbers_with_milliseconds,
            a_reset_brings_back_the_beginning,
            logs_can_be_read, a_hundred_threads_and_one_token_make_one_build] + sim_fault_checks.CHECKS
WITH_BINARY = [signatures_are_checked_when_keys_are_given, events_arrive_as_eventbridge_sends_them,
               an_unreachable_receiver_holds_nobody, speed_scales_phases_alone, visibility_lags_when_told,
               bad_arguments_and_scripts_are_named]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, help="the build folder")
    parser.add_argument("--only", default="", help="run checks whose name holds this")
    args = parser.parse_args()
    binary = os.path.abspath(os.path.join(args.build, "cmd", "codebuild-sim", "codebuild-sim"))
    passed = failed = 0
    for check in WITH_SIM + WITH_BINARY:
        if args.only not in check.__name__:
            continue
        sim = None
        try:
            if check in WITH_SIM:
                sim = Sim(binary)
                check(sim)
                equal(sim.stop(), 0, "exit status of the simulator")
                sim = None
            else:
                check(binary)
            passed += 1
            print(f"ok      {check.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
            if sim is not None:
                sim.proc.kill()
                sim.proc.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
