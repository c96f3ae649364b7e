#!/usr/bin/python3
"""W3C trace context: into the retry, through its life and restarts, and out to who is told."""
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, Sink, World, event_of, reach  # noqa: E402
from service import KEY, TOKEN, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
W3C = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[01]")


def told(sink, form="standard"):
    rule = f'rules: [{FAST_RULE}]\nnetwork: {{allow: ["127.0.0.1/32"]}}\n'
    return rule + f'destinations: [{{name: hook, type: webhook, url: "{sink.url}", format: {form}}}]\n'


def deliver(s, event, expected=202, **headers):
    status, _, text = s.request("POST", "/v1/hooks/eventbridge", event, {"x-retrybuild-key": KEY, **headers})
    equal(status, expected, text)
    return json.loads(text)["retry"]


def reports(sink, retry_id, n):
    return wait_until("the reports", lambda: [x for x in [sink.of(retry_id)] if len(x) >= n])[0]


@both
def a_trace_that_came_goes_on_to_the_webhook(world, kind):
    sink = Sink()
    with world.serving(kind, told(sink)) as s:
        retry = deliver(s, event_of(world.failed_build("flaky")), traceparent=PARENT, tracestate="rojo=1, congo=2")
        r = reach(s, retry, "recovered")
        equal(r["trace_id"], TRACE)
        for _, headers, _ in reports(sink, retry, 2):
            equal(W3C.fullmatch(headers["traceparent"]).group(1), TRACE)
            equal(headers["traceparent"][-2:], "01")
            equal(headers["tracestate"], "rojo=1,congo=2")
    sink.stop()


@case
def the_next_attempt_is_of_the_same_trace(world):
    sink = Sink()
    with world.serving("sqlite", told(sink)) as s:
        first = deliver(s, event_of(world.failed_build("stubborn")), traceparent=UNSAMPLED)
        r = reach(s, first, "failed_again")
        later = wait_until("the next attempt", lambda: [x for x in s.retries() if x["chain"] == r["chain"] and x["id"] != first])
        equal(later[0]["trace_id"], TRACE)
        reach(s, later[0]["id"], "failed_again")
        for _, headers, _ in reports(sink, later[0]["id"], 2):
            equal(headers["traceparent"], UNSAMPLED)  # no span of ours is in between
            equal(headers.get("tracestate"), None)
    sink.stop()


@case
def without_one_the_chain_has_a_trace_of_its_own(world):
    sink = Sink()
    with world.serving("sqlite", told(sink)) as s:
        ids = set()
        for bad in ("", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-x"):
            retry = deliver(s, event_of(world.failed_build("flaky")), **({"traceparent": bad, "tracestate": "a=b"} if bad else {}))
            r = reach(s, retry, "recovered")
            _, headers, _ = reports(sink, retry, 2)[-1]
            equal(W3C.fullmatch(headers["traceparent"]).group(1), r["trace_id"])
            equal(headers.get("tracestate"), None)
            ids.add(r["trace_id"])
        equal(len(ids - {TRACE}), 5)
    sink.stop()


@case
def a_person_and_a_cloud_event_bring_theirs(world):
    sink = Sink()
    with world.serving("sqlite", told(sink, "cloudevents")) as s:
        build = world.failed_build("flaky")
        status, _, text = s.request("POST", "/v1/retries", {"id": build["arn"]}, {"Authorization": f"Bearer {TOKEN}", "traceparent": PARENT})
        equal(status, 202, text)
        retry = json.loads(text)
        equal(retry["trace_id"], TRACE)
        reach(s, retry["id"], "recovered")
        _, headers, body = reports(sink, retry["id"], 2)[-1]
        equal(headers["Content-Type"].split(";")[0], "application/cloudevents+json")
        equal(W3C.fullmatch(body["traceparent"]).group(1), TRACE)
        cloud = {"specversion": "1.0", "id": "e-1", "source": "tests", "type": "t", "traceparent": PARENT.replace("4bf9", "5bf9"),
                 "tracestate": "congo=2", "data": event_of(world.failed_build("flaky"))}
        retry = deliver(s, cloud, traceparent=PARENT, tracestate="rojo=1", **{"Content-Type": "application/cloudevents+json"})
        equal(reach(s, retry, "recovered")["trace_id"], TRACE.replace("4bf9", "5bf9"))
        _, _, body = reports(sink, retry, 2)[-1]
        equal(body["tracestate"], "congo=2")
    sink.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
