#!/usr/bin/python3
"""The life of a failure, from the hook to the report, with the real programs: service, simulator, a receiver of webhooks; on both stores."""
import base64
import hashlib
import hmac
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, SIGNING, Sink, World, deliver, event_of, reach  # noqa: E402
from service import failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402


@both
def a_failed_build_recovers_and_is_reported(world, kind):
    sink = Sink()
    extra = f"""rules: [{FAST_RULE}]
network: {{allow: ["127.0.0.1/32"]}}
destinations: [{{name: hook, type: webhook, url: "{sink.url}", secrets: [{{value: "whsec_{SIGNING}"}}]}}]"""
    with world.serving(kind, extra) as s:
        build = world.failed_build("flaky")
        _, answer = deliver(s, event_of(build))
        equal(answer["status"], "accepted")
        r = reach(s, answer["retry"], "recovered")
        equal(r["build"]["id"], build["id"])
        equal(r["build"]["phase"], "PROVISIONING")
        equal(r["child"]["status"], "SUCCEEDED")
        equal((r["attempt"], r["limit"], r["decision"]["action"], r["decision"]["rule"]), (1, 2, "retry", "infrastructure"))
        equal(len(world.effects_of(build["id"])), 1)
        reports = wait_until("both reports", lambda: len(sink.of(r["id"])) >= 2 and sink.of(r["id"]))
        equal([b["type"] for _, _, b in reports], ["retry.running", "retry.recovered"])
        equal([x["state"] for x in wait_until("delivered", lambda: (lambda y: y if all(x["state"] == "delivered" for x in y) else None)(
            s.api("GET", f"/v1/retries/{r['id']}")[1]["reports"]))], ["delivered", "delivered"])
        for raw in [x for x in sink.got]:
            headers, body = {k.lower(): v for k, v in raw[1].items()}, raw[2]
            signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            mac = base64.b64encode(hmac.new(base64.b64decode(SIGNING), signed, hashlib.sha256).digest()).decode()
            equal(headers["webhook-signature"].split(), [f"v1,{mac}"])
    sink.stop()


@both
def one_failure_through_many_deliveries_is_one_retry(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        build = world.failed_build("flaky")
        _, first = deliver(s, event_of(build))
        for _ in range(4):
            headers, again = deliver(s, event_of(build), 200)
            equal((again["status"], again["retry"], headers["Idempotent-Replayed"]), ("duplicate", first["retry"], "true"))
        r = reach(s, first["retry"], "recovered")
        equal(r["duplicates"], 4)
        equal(len(r["deliveries"]), 5)
        equal(len(world.effects_of(build["id"])), 1)
        _, late = deliver(s, event_of(build), 200)
        equal(late["retry"], first["retry"])


@both
def a_child_that_fails_again_is_the_next_attempt_of_its_chain(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        build = world.failed_build("stubborn")
        _, answer = deliver(s, event_of(build))
        first = reach(s, answer["retry"], "failed_again")
        chain = wait_until("two attempts", lambda: (lambda c: c if len(c) == 2 and all(r["state"] == "failed_again" for r in c) else None)(
            sorted((r for r in s.retries() if r["chain"] == first["chain"]), key=lambda r: r["attempt"])))
        equal([r["attempt"] for r in chain], [1, 2])
        equal(chain[1]["build"]["id"], chain[0]["child"]["id"])
        for r in chain:  # the events of the children come late: nothing new may start
            child = world.client.batch_get_builds(ids=[r["child"]["id"]])["builds"][0]
            _, answer = deliver(s, event_of(child), 200)
            assert answer["status"] == "duplicate" and answer["retry"] in {c["id"] for c in chain}, answer
        time.sleep(0.5)
        ours = {build["id"], *(r["child"]["id"] for r in chain)}  # a sweep may find those of the other store
        equal(len([r for r in s.retries() if r["build"]["id"] in ours]), 2)
        equal(len(world.effects_of(build["id"])) + len(world.effects_of(chain[0]["child"]["id"])) + len(world.effects_of(chain[1]["child"]["id"])), 2)


@case
def a_real_failure_is_stored_with_its_reason_and_left_alone(world):
    with world.serving() as s:
        build = world.failed_build("broken")
        _, answer = deliver(s, event_of(build), 200)
        equal(answer["status"], "ignored")
        _, r = s.api("GET", f"/v1/retries/{answer['retry']}")
        equal(r["state"], "ignored")
        assert r["decision"]["rule"] and r["decision"]["reason"], r
        equal(world.effects_of(build["id"]), [])


@both
def a_person_is_asked_and_approves_or_denies(world, kind):
    with world.serving(kind) as s:
        one, two = (world.failed_build("slow", sourceVersion=f"refs/heads/{b}-{kind}") for b in ("one", "two"))
        held = [deliver(s, event_of(b))[1]["retry"] for b in (one, two)]
        for h in held:
            reach(s, h, "held")
        equal(s.api("POST", f"/v1/retries/{held[0]}/approve")[0], 200)
        reach(s, held[0], "recovered")
        equal(s.api("POST", f"/v1/retries/{held[1]}/deny")[1]["state"], "cancelled")
        equal(s.api("POST", f"/v1/retries/{held[1]}/approve")[0], 409)
        equal((len(world.effects_of(one["id"])), len(world.effects_of(two["id"]))), (1, 0))


@both
def a_rest_call_retries_a_build_once_for_one_token(world, kind):
    with world.serving(kind) as s:
        build = world.failed_build("broken")
        ask = {"id": build["id"], "idempotencyToken": "once", "account": service.ACCOUNT, "reason": "please"}
        status, r = s.api("POST", "/v1/retries", ask)
        equal((status, r["source"]["name"], r["requested_by"]), (202, "api", "ops"))
        equal(s.api("POST", "/v1/retries", ask)[0], 200)
        equal(s.api("POST", "/v1/retries", {**ask, "id": world.failed_build("broken")["id"]})[0], 422)
        reach(s, r["id"], "failed_again")
        equal(len(world.effects_of(build["id"])), 1)
        status, again = s.api("POST", "/v1/retries", {"id": build["id"], "account": service.ACCOUNT})
        equal(status, 202)
        assert again["id"] != r["id"]
        equal(s.api("POST", "/v1/retries", ask)[1]["id"], r["id"])


@both
def what_a_person_asked_for_by_its_id_alone_is_known_when_its_event_comes(world, kind):
    """The event tells the account, the person did not."""
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        failed = world.failed_build("flaky")
        _, asked = s.api("POST", "/v1/retries", {"id": failed["id"]})
        reach(s, asked["id"], "recovered")
        _, answer = deliver(s, event_of(failed), 200)
        equal((answer["status"], answer["retry"]), ("duplicate", asked["id"]))
        equal(len(world.effects_of(failed["id"])), 1)


@both
def a_person_continues_a_chain_that_has_ended(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        build = world.failed_build("stubborn")
        _, answer = deliver(s, event_of(build))
        first = reach(s, answer["retry"], "failed_again")
        last = wait_until("the chain has ended", lambda: next((r for r in s.retries() if r["chain"] == first["chain"] and r["attempt"] == 2 and r["state"] == "failed_again"), None))
        status, r = s.api("POST", "/v1/retries", {"id": last["child"]["id"], "account": service.ACCOUNT})
        equal((status, r["chain"], r["attempt"]), (202, first["chain"], 3))
        reach(s, r["id"], "failed_again")
        equal(len(world.effects_of(last["child"]["id"])), 1)


@case
def a_build_that_aws_does_not_know_is_refused_with_a_sentence(world):
    with world.serving(extra=f"rules: [{FAST_RULE}]") as s:
        _, answer = deliver(s, failure_event("nowhere:11111111-2222-4333-8444-555555555555"))
        r = reach(s, answer["retry"], "refused")
        assert "not exist" in r["history"][-1]["note"], r["history"]


@case
def a_foreign_account_is_refused(world):
    with world.serving(extra="") as s:
        s.stop()
        text = s.config.read_text().replace("aws: {region", f'aws: {{account: "{"9" * 12}", region')
        s.config.write_text(text)
        s.start()
        build = world.failed_build("flaky")
        _, answer = deliver(s, event_of(build), 200)
        equal(answer["status"], "refused")
        equal(world.effects_of(build["id"]), [])


@both
def failures_that_nobody_delivered_are_swept_up(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]\nsweep: {{projects: [flaky]}}") as s:
        build = world.failed_build("flaky")
        r = wait_until("the sweep found it", lambda: next((r for r in s.retries() if r["build"]["id"] == build["id"] and r["state"] == "recovered"), None), 40, 0.3)
        equal(r["source"]["type"], "sweep")
        equal(len(world.effects_of(build["id"])), 1)


@both
def a_pause_holds_back_and_a_resume_lets_go(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        equal(s.api("POST", "/v1/pause", {"project": "flaky"})[0], 200)
        build = world.failed_build("flaky")
        _, answer = deliver(s, event_of(build))
        time.sleep(1)
        equal(s.api("GET", f"/v1/retries/{answer['retry']}")[1]["state"], "scheduled")
        equal(world.effects_of(build["id"]), [])
        equal(s.api("POST", "/v1/resume", {"project": "flaky"})[0], 200)
        reach(s, answer["retry"], "recovered")


@both
def a_scheduled_retry_can_be_cancelled_and_then_never_starts(world, kind):
    with world.serving(kind, "rules: [{name: later, when: {project: [flaky]}, then: retry, limit: 2, delay: {fixed: 2s}}]") as s:
        build = world.failed_build("flaky")
        _, answer = deliver(s, event_of(build))
        status, r = s.api("POST", f"/v1/retries/{answer['retry']}/cancel")
        equal((status, r["state"]), (200, "cancelled"))
        time.sleep(3)
        equal(world.effects_of(build["id"]), [])
        equal(s.api("POST", f"/v1/retries/{answer['retry']}/cancel")[0], 409)


@case
def shadow_mode_decides_and_touches_nothing(world):
    with world.serving(extra="mode: shadow") as s:
        build = world.failed_build("flaky")
        _, answer = deliver(s, event_of(build), 200)
        equal(answer["status"], "ignored")
        assert "shadow" in answer["reason"], answer
        time.sleep(0.5)
        equal(world.effects_of(build["id"]), [])


@both
def a_receiver_that_fails_is_tried_again_with_the_same_id_and_one_that_is_gone_is_left(world, kind):
    sink = Sink()
    sink.answers = [(500, {}), (503, {"Retry-After": "1"}), (200, {})]
    gone = Sink()
    gone.answers = [(410, {})] * 50
    extra = f"""rules: [{FAST_RULE}]
network: {{allow: ["127.0.0.1"]}}
destinations:
  - {{name: shaky, type: webhook, url: "{sink.url}", stages: [finished], schedule: [100ms]}}
  - {{name: gone, type: webhook, url: "{gone.url}", stages: [finished], schedule: [100ms]}}
  - {{name: inside, type: webhook, url: "http://169.254.169.254/latest/meta-data/", stages: [finished], schedule: [100ms]}}"""
    with world.serving(kind, extra) as s:
        _, answer = deliver(s, event_of(world.failed_build("flaky")))
        reach(s, answer["retry"], "recovered")
        found = wait_until("every report ended", lambda: (lambda y: y if len(y) == 3 and all(x["state"] != "pending" for x in y) else None)(
            s.api("GET", f"/v1/retries/{answer['retry']}")[1]["reports"]), 30)
        equal({x["destination"]: x["state"] for x in found}, {"shaky": "delivered", "gone": "dead", "inside": "dead"})
        ids = {{k.lower(): v for k, v in h.items()}["webhook-id"] for _, h, _ in sink.of(answer["retry"])}
        equal((len(sink.got), len(ids)), (3, 1))
        equal(len(gone.got), 1)
        text = s.log.read_text() + json.dumps(found) + s.request("GET", "/metrics")[2]
        assert "secret-path" not in text, "a receiver's URL was shown"
        status, r = s.api("POST", f"/v1/retries/{answer['retry']}/requeue")
        equal(status, 200)
        wait_until("asked again", lambda: len(gone.got) >= 2)
    sink.stop()
    gone.stop()


@both
def a_restart_goes_on_where_it_was(world, kind):
    with world.serving(kind, f"rules: [{FAST_RULE}]") as s:
        _, answer = deliver(s, event_of(world.failed_build("endless")))
        running = reach(s, answer["retry"], "running")
        equal(s.stop(), 0)
        s.start()
        equal(s.api("GET", f"/v1/retries/{answer['retry']}")[1]["state"], "running")
        world.client.stop_build(id=running["child"]["id"])
        reach(s, answer["retry"], "failed_again")


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
