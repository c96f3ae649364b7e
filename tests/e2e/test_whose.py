#!/usr/bin/python3
"""Whose build it is: the account is part of what must not happen twice, and who asks by an id alone does not say it."""
import contextlib
import hashlib
import hmac
import json
import pathlib
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

OTHER, SECRET = "999999999999", "hook-secret-0123456789"
LATE_RULE = FAST_RULE.replace("fixed: 0s", "fixed: 1h")
SLACK = f"{{name: slack, type: slack, secrets: [{{value: {SECRET}}}], who: [{{users: [UANN]}}]}}"
OURS = f'account: "{service.ACCOUNT}", '
BOTH = OURS + f'accounts: [{{id: "{OTHER}", role_arn: "arn:aws:iam::{OTHER}:role/retrybuild"}}], '


@contextlib.contextmanager
def serving(world, kind, rule=FAST_RULE, aws=""):
    """A service with a chat, whose configuration says of the accounts what `aws` does."""
    def edit(text):
        return text.replace("aws: {", f"aws: {{{aws}").replace("sources: [", f"sources: [{SLACK}, ")
    try:
        with world.serving(kind, f"rules: [{rule}]", service.FAST.replace("sweep_every: 3s", "sweep_every: 1h"), edit) as s:
            yield s
    finally:
        world.sim.faults()


def of_account(event, account):
    return {**json.loads(json.dumps(event).replace(service.ACCOUNT, account)), "id": str(uuid.uuid4())}


def ask(s, build, expected, **more):
    status, r = s.api("POST", "/v1/retries", {"id": build["id"], **more})
    equal(status, expected, r)
    return r


def slack(s, text):
    form = urllib.parse.urlencode({"command": "/retry", "text": text, "user_id": "UANN", "user_name": "ann", "channel_id": "C1", "trigger_id": uuid.uuid4().hex})
    stamp = str(int(time.time()))
    proof = hmac.new(SECRET.encode(), f"v0:{stamp}:{form}".encode(), hashlib.sha256).hexdigest()
    status, _, answer = s.request("POST", "/v1/hooks/slack", form.encode(), {"Content-Type": "application/x-www-form-urlencoded",
                                                                            "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": "v0=" + proof})
    equal(status, 200, answer)
    return json.loads(answer)["text"]


def retries_of(s, build):
    return [r for r in s.retries() if r["build"]["id"] == build["id"]]


@both
def a_delivery_of_a_foreign_account_is_in_no_failure_s_way(world, kind):
    with serving(world, kind, aws=OURS) as s:
        failed = world.failed_build("flaky")
        _, forged = deliver(s, of_account(event_of(failed), OTHER), 200)
        equal(forged["status"], "refused")
        _, told = deliver(s, event_of(failed))
        equal((told["status"], told["retry"] == forged["retry"]), ("accepted", False))
        reach(s, told["retry"], "recovered")
        equal(len(world.effects_of(failed["id"])), 1)


@both
def one_id_in_two_accounts_is_two_failures(world, kind):
    with serving(world, kind, LATE_RULE, BOTH) as s:
        failed = world.failed_build("flaky")
        ours, theirs = (deliver(s, of_account(event_of(failed), a))[1]["retry"] for a in (service.ACCOUNT, OTHER))
        equal(sorted((r["id"], r["account"]) for r in retries_of(s, failed)), sorted([(ours, service.ACCOUNT), (theirs, OTHER)]))
        equal([deliver(s, of_account(event_of(failed), a), 200)[1]["retry"] for a in (service.ACCOUNT, OTHER)], [ours, theirs])


@both
def a_build_of_which_its_event_told_is_known_to_who_asks_by_its_id_alone(world, kind):
    with serving(world, kind, LATE_RULE) as s:
        one, two = world.failed_build("flaky"), world.failed_build("flaky")
        told = [deliver(s, event_of(b))[1]["retry"] for b in (one, two)]
        equal([ask(s, b, 200)["id"] for b in (one, two)], told)
        text = slack(s, two["id"])
        assert "Already retrying" in text and told[1] in text, text
        equal(len(s.retries()), 2)


@case
def with_several_accounts_each_is_asked_whose_build_it_is(world):
    with serving(world, "sqlite", LATE_RULE, BOTH) as s:
        failed, said = world.failed_build("flaky"), world.failed_build("flaky")
        told = deliver(s, event_of(failed))[1]["retry"]
        equal(ask(s, failed, 200)["id"], told)
        equal(ask(s, said, 202)["account"], service.ACCOUNT)


@both
def what_was_asked_for_while_codebuild_is_away_and_told_of_then_is_run_once(world, kind):
    """Nobody can say whose build it is, and the request is taken all the same."""
    with serving(world, kind) as s:
        failed = world.failed_build("flaky")
        world.sim.faults({"operation": "BatchGetBuilds", "probability": 1, "status": 503})
        started = time.monotonic()
        asked = ask(s, failed, 202)
        assert time.monotonic() - started < 2 + 2 * service.PATIENCE
        equal(asked["account"], None)
        _, told = deliver(s, event_of(failed))
        equal((told["status"], told["retry"] == asked["id"]), ("accepted", False))
        world.sim.faults()
        reach(s, told["retry"], "recovered", 40)
        r = reach(s, asked["id"], "superseded")
        assert told["retry"] in r["history"][-1]["note"], r["history"]
        equal(len(world.effects_of(failed["id"])), 1)


@both
def who_asks_again_with_the_same_token_once_codebuild_is_back_gets_the_same_retry(world, kind):
    with serving(world, kind) as s:
        failed = world.failed_build("flaky")
        world.sim.faults({"operation": "BatchGetBuilds", "probability": 1, "status": 503})
        asked = ask(s, failed, 202, idempotencyToken="once")
        world.sim.faults()
        equal(ask(s, failed, 200, idempotencyToken="once")["id"], asked["id"])
        reach(s, asked["id"], "recovered", 40)
        equal(deliver(s, event_of(failed), 200)[1]["retry"], asked["id"])
        equal(len(world.effects_of(failed["id"])), 1)


@case
def a_chat_that_asks_while_codebuild_is_away_is_answered_in_time(world):
    with serving(world, "sqlite") as s:
        failed = world.failed_build("flaky")
        world.sim.faults({"operation": "BatchGetBuilds", "probability": 1, "latency": "20s"})
        started = time.monotonic()
        text = slack(s, failed["id"])
        assert time.monotonic() - started < 1 + service.PATIENCE, text
        (asked,) = wait_until("it was taken", lambda: retries_of(s, failed))
        equal(deliver(s, event_of(failed))[1]["status"], "accepted")
        world.sim.faults()
        wait_until("one of two is left", lambda: {r["state"] for r in retries_of(s, failed)} == {"superseded", "recovered"}, 60)
        equal(s.api("GET", f"/v1/retries/{asked['id']}")[1]["state"], "superseded")
        equal(len(world.effects_of(failed["id"])), 1)


if __name__ == "__main__":
    cases.main("Whose build it is.", World, lambda w: w.sim.stop())
