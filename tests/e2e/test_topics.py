#!/usr/bin/python3
"""Reports to SNS topics and EventBridge buses, with the real service and a server that speaks both protocols."""
import http.server
import json
import pathlib
import subprocess
import sys
import threading
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

TOPIC = "arn:aws:sns:eu-west-1:123456789012:retries"
XML = '<{0}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{0}Result><MessageId>m-1</MessageId></{0}Result></{0}Response>'
THROTTLED = '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>'


class Amazon:
    """Keeps what came; answers from a list, then well."""

    def __init__(self):
        self.got, self.answers = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                target = self.headers.get("X-Amz-Target", "")
                outer.got.append((target, dict(self.headers), body))
                good = (200, '{"FailedEntryCount":0,"Entries":[{"EventId":"e-1"}]}' if target else XML.format("Publish"))
                status, text = outer.answers.pop(0) if outer.answers else good
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def messages(self):
        return [dict(urllib.parse.parse_qsl(b)) for t, _, b in self.got if not t]

    def events(self):
        return [json.loads(b)["Entries"][0] for t, _, b in self.got if t == "AWSEvents.PutEvents"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def reported(s, retry, state="delivered"):
    return wait_until("reported", lambda: (lambda r: r if r["reports"] and all(x["state"] == state for x in r["reports"]) else None)(s.api("GET", f"/v1/retries/{retry}")[1]))


def recovered(world, s):
    return reach(s, deliver(s, event_of(world.failed_build("flaky")))[1]["retry"], "recovered")


def destinations(amazon, *rows):
    return f"rules: [{FAST_RULE}]\ndestinations: [" + ", ".join("{" + r + f", endpoint_url: \"{amazon.url}\", schedule: [100ms], stages: [finished]" + "}" for r in rows) + "]"


@case
def a_topic_gets_the_retry_as_a_webhook_would(world):
    amazon = Amazon()
    with world.serving(extra=destinations(amazon, f"name: topic, type: sns, topic_arn: \"{TOPIC}\"")) as s:
        r = recovered(world, s)
        reported(s, r["id"])
        message = amazon.messages()[0]
        equal((message["Action"], message["Version"], message["TopicArn"]), ("Publish", "2010-03-31", TOPIC))
        body = json.loads(message["Message"])
        equal((body["type"], body["data"]["id"], body["data"]["state"]), ("retry.recovered", r["id"], "recovered"))
        assert "/eu-west-1/sns/aws4_request" in amazon.got[0][1]["Authorization"], amazon.got[0][1]
    amazon.stop()


@case
def amazon_q_developer_gets_its_notification(world):
    amazon = Amazon()
    with world.serving(extra=destinations(amazon, f"name: chat, type: sns, topic_arn: \"{TOPIC}\", format: q-developer")) as s:
        r = recovered(world, s)
        reported(s, r["id"])
        body = json.loads(amazon.messages()[0]["Message"])
        equal((body["version"], body["source"], body["content"]["textType"], body["content"]["title"]), ("1.0", "custom", "client-markdown", "flaky: recovered"))
        assert r["build"]["id"] in body["content"]["description"] and "PROVISIONING" in body["content"]["description"], body
        equal((body["metadata"]["threadId"], body["metadata"]["eventType"], body["metadata"]["relatedResources"]), (r["chain"], "retry.recovered", [r["build"]["arn"]]))
    amazon.stop()


@case
def a_bus_gets_an_event(world):
    amazon = Amazon()
    with world.serving(extra=destinations(amazon, "name: bus, type: eventbridge, bus: ci, source: acme.retries")) as s:
        amazon.answers = [(200, '{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"Rate exceeded"}]}'), (503, "")]
        r = recovered(world, s)
        reported(s, r["id"])
        equal(len(amazon.events()), 3)
        event = amazon.events()[-1]
        equal((event["Source"], event["DetailType"], event["EventBusName"], event["Resources"]), ("acme.retries", "retry.recovered", "ci", [r["build"]["arn"]]))
        equal((json.loads(event["Detail"])["id"], json.loads(event["Detail"])["state"]), (r["id"], "recovered"))
    amazon.stop()


@case
def doctor_sends_a_test_to_a_topic_and_a_bus(world):
    amazon = Amazon()
    rows = (f"name: topic, type: sns, topic_arn: \"{TOPIC}\"", "name: bus, type: eventbridge")
    with world.serving(extra=destinations(amazon, *rows)) as s:
        for name, told in (("topic", amazon.messages), ("bus", amazon.events)):
            done = subprocess.run([s.binary, "doctor", "--config", s.config, "--send", name], capture_output=True, text=True, env=s.env, check=False)
            equal((done.returncode, done.stdout), (0, f"{name}: delivered\n"), done.stderr)
            equal("This is a test" in json.dumps(told()[0]), True)
        amazon.answers = [(403, "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>")]
        done = subprocess.run([s.binary, "doctor", "--config", s.config, "--send", "topic"], capture_output=True, text=True, env=s.env, check=False)
        equal((done.returncode, "AuthorizationError" in done.stdout or "AuthorizationError" in done.stderr), (1, True), done.stdout + done.stderr)
    amazon.stop()


@case
def what_is_throttled_comes_again_and_what_is_refused_is_dead(world):
    amazon = Amazon()
    with world.serving(extra=destinations(amazon, f"name: topic, type: sns, topic_arn: \"{TOPIC}\"")) as s:
        amazon.answers = [(400, THROTTLED), (500, "")]
        reported(s, recovered(world, s)["id"])
        equal(len(amazon.messages()), 3)
        amazon.answers = [(403, THROTTLED.replace("Throttling", "AuthorizationError").replace("Rate exceeded", "not authorized to perform: SNS:Publish"))]
        r = reported(s, recovered(world, s)["id"], "dead")
        assert "AuthorizationError: not authorized" in r["reports"][0]["last_error"], r["reports"]
        equal(len(amazon.messages()), 4)
    amazon.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
