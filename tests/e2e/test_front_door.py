#!/usr/bin/python3
"""The AWS front door of a real `retrybuild serve`, called by Debian's boto3 and AWS CLI, on both stores."""
import concurrent.futures
import datetime
import hashlib
import json
import pathlib
import sys
import threading
import uuid

import botocore.exceptions

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from door_harness import EYES, EYES_SECRET, KEY, OTHER, OTHER_SECRET, QUIET, SECRET, Door, World  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal, error_of  # noqa: E402


def on_both(function):
    """The case once for each store."""
    def both(world):
        for name, d in world.doors.items():
            try:
                function(world, d)
            except BaseException:
                print(f"on {name}\n{d.tail()}")
                raise
    both.__name__ = function.__name__
    return case(both)


def refused(call, code, *words):
    got, message = error_of(call)
    equal(got, code, message)
    for word in words:
        equal(word in message, True, f"{word!r} in {message!r}")


# ---- RetryBuild ----

@on_both
def a_retry_is_answered_with_the_build_that_codebuild_started(w, d):
    failed = w.failed_build("flaky")
    b = d.client().retry_build(id=failed["id"])["build"]
    effects = w.effects_of(failed["id"])
    equal([e["build"].split("build/")[-1] for e in effects], [b["id"]])
    equal(effects[0]["access_key"], service.AWS_KEY, "our credentials, not the caller's")
    whole = w.client.batch_get_builds(ids=[b["id"]])["builds"][0]
    equal(set(b) >= {"id", "arn", "buildNumber", "phases", "source", "environment", "logs", "serviceRole", "initiator"}, True, sorted(b))
    equal((b["arn"], b["buildNumber"], b["source"], b["environment"]), (whole["arn"], whole["buildNumber"], whole["source"], whole["environment"]))
    r = [r for r in d.retries() if r["build"]["id"] == failed["id"]]
    equal([(x["requested_by"], x["source"]["name"], x["source"]["type"]) for x in r], [(KEY, "front-door", "front-door")])
    life.reach(d, r[0]["id"], "recovered")


@on_both
def ten_callers_with_one_token_get_one_build(w, d):
    failed = w.failed_build("flaky")
    clients = [d.client(attempts=3) for _ in range(10)]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        got = list(pool.map(lambda c: c.retry_build(id=failed["id"], idempotencyToken="ten")["build"]["id"], clients))
    equal(len(set(got)), 1, got)
    equal(len(w.effects_of(failed["id"])), 1)
    equal(clients[0].retry_build(id=failed["id"], idempotencyToken="ten")["build"]["id"], got[0], "long after")
    equal(len(w.effects_of(failed["id"])), 1)


@on_both
def a_token_belongs_to_one_build_and_one_caller(w, d):
    one, two = w.failed_build("flaky"), w.failed_build("stubborn")
    token = f"mine-{uuid.uuid4()}"
    d.client().retry_build(id=one["id"], idempotencyToken=token)
    refused(lambda: d.client().retry_build(id=two["id"], idempotencyToken=token), "InvalidInputException", "mismatch")
    equal(len(w.effects_of(two["id"])), 0)
    d.client(OTHER, OTHER_SECRET).retry_build(id=two["id"], idempotencyToken=token)
    equal(len(w.effects_of(two["id"])), 1)


@on_both
def an_arn_names_the_build_too_unless_it_is_of_another_region(w, d):
    failed = w.failed_build("flaky")
    equal(d.client().retry_build(id=failed["arn"])["build"]["projectName"], "flaky")
    refused(lambda: d.client(region="eu-west-1").retry_build(id=failed["arn"]), "InvalidInputException", "eu-west-1")


@on_both
def without_a_token_a_second_call_after_the_end_is_a_second_retry(w, d):
    failed = w.failed_build("flaky")
    first = d.client().retry_build(id=failed["id"])["build"]["id"]
    wait_until("the first ended", lambda: [r for r in d.retries() if r["build"]["id"] == failed["id"] and r["state"] == "recovered"])
    second = d.client().retry_build(id=failed["id"])["build"]["id"]
    equal(first != second, True)
    equal(len(w.effects_of(failed["id"])), 2)


@on_both
def attempts_of_one_call_without_a_token_are_one_retry(w, d):
    failed = w.failed_build("flaky")
    call = {"amz-sdk-invocation-id": str(uuid.uuid4())}
    first = d.signed("RetryBuild", {"id": failed["id"]}, headers=call)
    equal(first[0], 200, first)
    wait_until("the first ended", lambda: [r for r in d.retries() if r["build"]["id"] == failed["id"] and r["state"] == "recovered"])
    again = d.signed("RetryBuild", {"id": failed["id"]}, headers=call)
    equal(again[2]["build"]["id"], first[2]["build"]["id"])
    equal(len(w.effects_of(failed["id"])), 1)


@on_both
def the_child_of_a_retry_is_the_next_attempt_of_its_chain(w, d):
    failed = w.failed_build("broken")
    first = d.client().retry_build(id=failed["id"])["build"]["id"]
    wait_until("the child failed", lambda: w.ended(first))
    second = d.client().retry_build(id=first)["build"]["id"]
    chain = {r["build"]["id"]: r for r in d.retries() if r["build"]["id"] in (failed["id"], first)}
    equal(chain[first]["chain"], chain[failed["id"]]["chain"])
    equal((chain[failed["id"]]["attempt"], chain[first]["attempt"]), (1, 2))
    equal([e["build"].split("build/")[-1] for e in w.effects_of(first)], [second])


@on_both
def a_build_that_runs_is_not_retried(w, d):
    running = w.client.start_build(projectName="endless", sourceVersion=str(uuid.uuid4()))["build"]["id"]
    failed = wait_until("it failed", lambda: w.ended(running))
    child = d.client().retry_build(id=failed["id"])["build"]["id"]
    refused(lambda: d.client().retry_build(id=child), "InvalidInputException", "still running")
    equal(len(w.effects_of(child)), 0)


@on_both
def what_codebuild_refuses_comes_back_as_its_own_error(w, d):
    failed = w.failed_build("flaky")
    w.sim.faults({"operation": "RetryBuild", "nth": [1], "error": "AccessDeniedException", "message": "User: x is not authorized to perform: codebuild:RetryBuild"})
    try:
        refused(lambda: d.client().retry_build(id=failed["id"]), "AccessDeniedException", "not authorized to perform: codebuild:RetryBuild")
    finally:
        w.sim.faults()
    refused(lambda: d.client().retry_build(id=f"flaky:{uuid.uuid4()}"), "ResourceNotFoundException", "does not exist")


@on_both
def typed_exceptions_are_those_of_the_sdk(w, d):
    c = d.client()
    for bad in ("", "no colon", "flaky:", "a b:1"):
        try:
            c.retry_build(id=bad)
        except (c.exceptions.InvalidInputException, botocore.exceptions.ParamValidationError):
            continue
        raise AssertionError(f"{bad!r} was taken")
    try:
        c.retry_build(id=f"flaky:{uuid.uuid4()}")
    except c.exceptions.ResourceNotFoundException as e:
        equal(bool(uuid.UUID(e.response["ResponseMetadata"]["RequestId"])), True)
    else:
        raise AssertionError("no error")


@on_both
def a_denied_project_is_access_denied(w, d):
    failed = w.failed_build("slow")
    refused(lambda: d.client().retry_build(id=failed["id"]), "AccessDeniedException", "projects.deny")
    equal(len(w.effects_of(failed["id"])), 0)


@on_both
def rules_are_not_asked(w, d):
    failed = w.failed_build("broken")
    equal(d.client().retry_build(id=failed["id"])["build"]["projectName"], "broken")


def paused_by_now(w, d):
    """Has a retry been set aside by the pause? Each try with a build of its own."""
    status, r = d.api("POST", "/v1/retries", {"id": w.failed_build("flaky")["arn"]})
    equal(status, 202)

    def judged():
        seen = d.api("GET", f"/v1/retries/{r['id']}")[1]
        return seen if seen["state"] in ("running", "recovered") or "paused" in (seen["history"][-1]["note"] or "") else None
    return wait_until("it ran or was set aside", judged)["state"] == "scheduled"


@on_both
def a_paused_project_is_throttled_and_its_retry_found_again(w, d):
    failed = w.failed_build("flaky")
    equal(d.api("POST", "/v1/pause", {"project": "flaky"})[0], 200)
    try:
        wait_until("the workers know", lambda: paused_by_now(w, d))
        refused(lambda: d.client().retry_build(id=failed["id"], idempotencyToken=failed["id"]), "ThrottlingException", "paused")
        equal(len(w.effects_of(failed["id"])), 0)
    finally:
        equal(d.api("POST", "/v1/resume", {"project": "flaky"})[0], 200)
    b = d.client().retry_build(id=failed["id"], idempotencyToken=failed["id"])["build"]["id"]
    equal([e["build"].split("build/")[-1] for e in w.effects_of(failed["id"])], [b])


@case
def a_held_retry_waits_for_its_person(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:held.db", w.sim.url, extra="mode: ask\n").start()
    try:
        failed = w.failed_build("flaky")
        _, answer = life.deliver(d, life.event_of(failed))
        life.reach(d, answer["retry"], "held")
        refused(lambda: d.client().retry_build(id=failed["id"]), "InvalidInputException", answer["retry"], "approve")
        equal(len(w.effects_of(failed["id"])), 0)
        equal(d.api("POST", f"/v1/retries/{answer['retry']}/approve")[0], 200)
        b = d.client().retry_build(id=failed["id"])["build"]["id"]
        equal([e["build"].split("build/")[-1] for e in w.effects_of(failed["id"])], [b])
        other = w.failed_build("flaky")
        equal(d.client().retry_build(id=other["id"])["build"]["projectName"], "flaky", "a person's request is not asked about")
    finally:
        equal(d.stop(), 0)


@case
def what_takes_longer_is_asked_again_by_the_sdk(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:late.db", w.sim.url, wait="400ms").start()
    failed = w.failed_build("flaky")
    w.sim.faults({"operation": "RetryBuild", "latency": "900ms"})
    try:
        refused(lambda: d.client().retry_build(id=failed["id"], idempotencyToken="late"), "ServiceUnavailableException", "again")
        b = d.client(attempts=10).retry_build(id=failed["id"], idempotencyToken="late")["build"]["id"]
        equal([e["build"].split("build/")[-1] for e in w.effects_of(failed["id"])], [b])
    finally:
        w.sim.faults()
        equal(d.stop(), 0)


@case
def while_a_call_waits_the_listener_serves_others_and_its_deadline_does_not_cut_it(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:slow.db", w.sim.url, timing=QUIET.replace("call_timeout: 1s", "call_timeout: 8s").replace("lease: 2s", "lease: 30s"))
    d.config.write_text(d.config.read_text().replace('listen: {address: "127.0.0.1:0"}', 'listen: {address: "127.0.0.1:0", request_timeout: 500ms}'))
    d.start()
    failed = w.failed_build("flaky")
    w.sim.faults({"operation": "RetryBuild", "latency": "2s"}, {"operation": "ListProjects", "latency": "2s"})
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            build = pool.submit(lambda: d.client().retry_build(id=failed["id"])["build"]["projectName"])
            projects = pool.submit(lambda: d.client().list_projects()["projects"])
            served = 0
            while not (build.done() and projects.done()):
                equal(d.request("GET", "/livez", timeout=1 * service.PATIENCE)[0], 200)
                equal(d.api("GET", "/v1/retries?limit=1")[0], 200)
                served += 1
            equal(build.result(), "flaky")
            equal("flaky" in projects.result(), True)
            equal(served > 10, True, served)
    finally:
        w.sim.faults()
        equal(d.stop(), 0)


@case
def stopping_tells_those_who_wait_to_ask_again(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:stop.db", w.sim.url, extra="workers: {submit: 0}\n").start()
    failed = w.failed_build("flaky")
    got = []
    asking = threading.Thread(target=lambda: got.append(error_of(lambda: d.client().retry_build(id=failed["id"]))))
    asking.start()
    wait_until("it was accepted", lambda: [r for r in d.retries() if r["build"]["id"] == failed["id"]])
    equal(d.stop(), 0)
    asking.join(timeout=30)
    equal([code for code, _ in got], ["ServiceUnavailableException"], got)


@case
def aws_away_is_a_retryable_error(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:away.db", "http://127.0.0.1:9", wait="500ms").start()
    try:
        refused(lambda: d.client().retry_build(id=f"flaky:{uuid.uuid4()}"), "ServiceUnavailableException", "again")
        refused(lambda: d.client().list_projects(), "ServiceUnavailableException")
    finally:
        equal(d.stop(), 0)


@case
def an_old_build_is_retried_when_somebody_asks(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:old.db", w.sim.url, timing=QUIET[:-1] + ", max_event_age: 1s}").start()
    try:
        failed = w.failed_build("broken")
        old = failed["endTime"] + datetime.timedelta(seconds=2)
        wait_until("the build is older than max_event_age", lambda: datetime.datetime.now(datetime.timezone.utc) > old)
        equal(d.client().retry_build(id=failed["id"])["build"]["projectName"], "broken")
    finally:
        equal(d.stop(), 0)


# ---- look-ups ----

@on_both
def look_ups_are_aws_s_own_answers_byte_for_byte(w, d):
    ids = [w.failed_build("flaky")["id"], f"flaky:{uuid.uuid4()}"]
    for operation, body in (("BatchGetBuilds", {"ids": ids}), ("ListBuildsForProject", {"projectName": "flaky"}), ("ListBuilds", {}), ("BatchGetProjects", {"names": ["flaky", "none"]}),
                            ("ListProjects", {"sortBy": "NAME"}), ("ListBuildsForProject", {"projectName": "none"}), ("BatchGetBuilds", {}), ("ListBuilds", {"nextToken": "x"})):
        status, headers, direct = w.sim.raw(operation, body)
        through = d.signed_raw(operation, body)
        equal(through[0], status, operation)
        equal(through[2], json.loads(direct), operation)
        equal(through[1]["x-amzn-ErrorType"], headers["x-amzn-ErrorType"], operation)
        equal(through[3].encode(), direct, operation)


@on_both
def pages_pass_through_the_paginator(w, d):
    for _ in range(105):
        w.client.start_build(projectName="steady")
    direct = w.client.get_paginator("list_builds_for_project").paginate(projectName="steady").build_full_result()["ids"]
    pages = [p["ids"] for p in d.client(EYES, EYES_SECRET).get_paginator("list_builds_for_project").paginate(projectName="steady")]
    equal(len(pages) > 1, True)
    equal(sum(pages, []), direct)


@on_both
def the_aws_cli_retries_and_looks(w, d):
    failed = w.failed_build("flaky")
    r = d.cli("retry-build", "--id", failed["id"], "--idempotency-token", failed["id"])
    equal(r.returncode, 0, r.stderr)
    child = json.loads(r.stdout)["build"]["id"]
    r = d.cli("batch-get-builds", "--ids", child)
    equal(json.loads(r.stdout)["builds"][0]["id"], child, r.stderr)
    r = d.cli("retry-build", "--id", failed["id"], "--idempotency-token", failed["id"])
    equal(json.loads(r.stdout)["build"]["id"], child, r.stderr)
    r = d.cli("retry-build", "--id", failed["id"], key=EYES, secret=EYES_SECRET)
    equal(r.returncode != 0 and "AccessDeniedException" in r.stderr, True, r.stderr)
    r = d.cli("retry-build", "--id", failed["id"], secret="wrong")
    equal(r.returncode != 0 and "InvalidSignatureException" in r.stderr, True, r.stderr)
    equal(len(w.effects_of(failed["id"])), 1)


# ---- who may ----

@on_both
def a_viewer_looks_and_does_not_retry(w, d):
    c = d.client(EYES, EYES_SECRET)
    failed = w.failed_build("flaky")
    equal("flaky" in c.list_projects()["projects"], True)
    refused(lambda: c.retry_build(id=failed["id"]), "AccessDeniedException", EYES, "codebuild:RetryBuild")
    equal(len(w.effects_of(failed["id"])), 0)


@on_both
def proofs_that_do_not_hold_are_told_apart_as_aws_does(w, d):
    body = {"id": w.failed_build("flaky")["id"]}

    def ask(code, **how):
        status, _, answer = d.signed("RetryBuild", body, **how)
        equal((status, answer["__type"]), (400, code), (how, answer))
        return answer["message"]

    ask("UnrecognizedClientException", key="AKIANOBODY")
    ask("InvalidSignatureException", secret="wrong")
    equal("Signature expired" in ask("InvalidSignatureException", age=310), True)
    equal("not yet current" in ask("InvalidSignatureException", age=-310), True)
    equal("codebuild" in ask("InvalidSignatureException", name="s3"), True)
    ask("InvalidSignatureException", change={"X-Amz-Target": "CodeBuild_20161006.ListProjects"})
    ask("InvalidSignatureException", change={"X-Amz-Security-Token": "unsigned"})
    ask("InvalidSignatureException", change={"Host": "elsewhere"})
    ask("InvalidSignatureException", headers={"X-Amz-Content-Sha256": hashlib.sha256(b"{}").hexdigest()})
    ask("InvalidSignatureException", headers={"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"})
    ask("IncompleteSignatureException", change={"X-Amz-Date": None})
    ask("IncompleteSignatureException", change={"X-Amz-Date": "yesterday"})
    ask("IncompleteSignatureException", change={"Authorization": f"Bearer {service.TOKEN}"})
    ask("IncompleteSignatureException", change={"Authorization": "AWS4-HMAC-SHA256 Credential=a"})
    ask("MissingAuthenticationTokenException", change={"Authorization": None})
    equal(len(w.effects_of(body["id"])), 0)
    status, _, answer, _ = d.post(json.dumps(body).encode(), {"X-Amz-Target": "CodeBuild_20161006.RetryBuild"},
                               "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b")
    equal((status, answer["__type"]), (400, "MissingAuthenticationTokenException"), answer)


@on_both
def a_date_within_five_minutes_and_a_signed_hash_are_good(_, d):
    for how in ({"age": 290}, {"age": -290}, {"headers": {"X-Amz-Content-Sha256": hashlib.sha256(b"{}").hexdigest()}}, {"headers": {"X-Extra": "  a   b  "}},
                {"headers": {"X-Amz-Meta": "  two   blanks "}}):
        equal(d.signed("ListProjects", b"{}", **how)[0], 200, how)
    equal("flaky" in d.client(token="session/token+==").list_projects()["projects"], True)


@on_both
def other_operations_are_unknown_and_say_what_is_served(_, d):
    for operation in ("StartBuild", "DeleteProject", "Nonsense", "retrybuild", ""):
        status, _, answer = d.signed(operation, {"projectName": "flaky"})
        equal((status, answer["__type"]), (400, "UnknownOperationException"), operation)
        equal("BatchGetBuilds" in answer["message"], True, answer)
    status, _, answer = d.signed("x", {}, headers={"X-Amz-Target": "Logs_20140328.GetLogEvents"})
    equal(answer["__type"], "UnknownOperationException")


@on_both
def bodies_that_cannot_be_read_are_serialization_errors(_, d):
    for body in (b"", b"{", b"[]", b"null", b'{"id": 1}', b'{"id": ["a:b"]}', b'{"id":"a:1","id":"a:2"}', b'{"id":"a:1","idempotencyToken":{}}', b"\xff"):
        status, _, answer = d.signed("RetryBuild", body)
        equal((status, answer["__type"]), (400, "SerializationException"), body)
    long = json.dumps({"id": f"flaky:{uuid.uuid4()}", "idempotencyToken": "t" * 1025}).encode()
    for body in (long, b"{}", b'{"id":null}', b'{"id":""}', b'{"id":"a b:1"}', '{"id":"größe:1"}'.encode()):
        status, _, answer = d.signed("RetryBuild", body)
        equal((status, answer["__type"]), (400, "InvalidInputException"), body)
    status, _, answer = d.signed("RetryBuild", b'{"id":"' + b"a" * 300000 + b'"}')
    equal((status, answer["__type"]), (413, "RequestEntityTooLargeException"), answer)


@on_both
def no_secret_of_the_door_is_in_the_log_or_the_metrics(_, d):
    metrics = d.request("GET", "/metrics")[2]
    equal('retrybuild_deliveries_total{source="front-door",result="accepted"}' in metrics, True)
    equal('retrybuild_signature_failures_total{source="front-door"}' in metrics, True)
    for secret in (SECRET, OTHER_SECRET, EYES_SECRET, "Signature="):
        equal(secret in metrics or secret in d.log.read_text(errors="replace"), False, secret)


@case
def without_keys_the_door_is_closed(w):
    with w.serving() as s:
        for method, expected in (("POST", 404), ("PUT", 404), ("GET", 200)):
            status, headers, text = s.request(method, "/", "{}" if method == "POST" else None, {"X-Amz-Target": "CodeBuild_20161006.ListProjects"})
            equal(status, expected)
            equal(headers["x-amzn-RequestId"], None)
            equal("<nav" in text, method == "GET", "the dashboard is no part of the door")


@case
def keys_come_and_go_with_a_reload(w):
    d = Door(w.build / "cmd/retrybuild/retrybuild", "sqlite:reload.db", w.sim.url).start()
    try:
        equal(d.signed("ListProjects", {})[0], 200)
        d.config.write_text(d.config.read_text().replace(SECRET, "the-secret-that-replaced-it"))
        d.proc.send_signal(service.signal.SIGHUP)
        wait_until("the old secret is no longer taken", lambda: d.signed("ListProjects", {})[0] == 400)
        equal(d.signed("ListProjects", {}, secret="the-secret-that-replaced-it")[0], 200)
    finally:
        equal(d.stop(), 0)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
