#!/usr/bin/python3
"""Builds of a batch, with the real programs: its failed builds are run again together, by one call; whether CodeBuild keeps the batch or makes another."""
import hashlib
import hmac
import json
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from cases import both, case  # noqa: E402
from life import FAST_RULE, World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

FAILED = '{status: FAILED, phase: PROVISIONING, message: "no capacity"}'
SCRIPT = f"""
projects:
  - {{name: mended, batch: [{{identifier: a, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}, {{identifier: b, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}, {{identifier: c}}]}}
  - {{name: stubborn, batch: [{{identifier: a, outcomes: [{FAILED}]}}, {{identifier: b, outcomes: [{FAILED}]}}]}}
  - {{name: slow, batch: [{{identifier: a, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}, {{identifier: b, outcomes: [{{durations: {{BUILD: 40s}}}}]}}]}}
  - {{name: endless, batch: [{{identifier: a, outcomes: [{FAILED}, {{durations: {{BUILD: 30d}}}}]}}]}}
durations: {{QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}}
"""
RULES = f"rules: [{FAST_RULE}]"


class Batches(World):
    """Two simulators: one runs a batch again, the other makes another one."""

    def __init__(self, build):
        self.build = build
        binary = str(build / "cmd/codebuild-sim/codebuild-sim")
        self.sims = {False: sim_harness.Sim(binary, SCRIPT, "--speed", "20"), True: sim_harness.Sim(binary, "retry_new_batch: true\n" + SCRIPT, "--speed", "20")}
        self.use(False)

    def use(self, new_batch):
        self.sim = self.sims[new_batch]
        self.client = self.sim.client()

    def batch(self, batch_id):
        return self.client.batch_get_build_batches(ids=[batch_id])["buildBatches"][0]

    def failed_batch(self, project):
        batch_id = self.client.start_build_batch(projectName=project)["buildBatch"]["id"]
        return wait_until(f"the batch of {project} failed", lambda: (lambda b: b if b["buildBatchStatus"] == "FAILED" else None)(self.batch(batch_id)))

    def failed_members(self, batch):
        arns = [g["currentBuildSummary"]["arn"] for g in batch["buildGroups"] if g["currentBuildSummary"]["buildStatus"] == "FAILED"]
        return [self.client.batch_get_builds(ids=[a.split("build/")[-1]])["builds"][0] for a in arns]

    def calls(self, operation="RetryBuildBatch"):
        return len(self.sim.effects(operation))

    def stop(self):
        for s in self.sims.values():
            s.stop()


def told_by_github(s, batch, sha, link, context):
    body = json.dumps({"state": "failure", "sha": sha, "context": context, "target_url": link, "repository": {"full_name": "o/r", "clone_url": "https://github.com/o/r.git"}}).encode()
    mac = hmac.new(service.KEY.encode(), body, hashlib.sha256).hexdigest()
    code, _, text = s.request("POST", "/v1/hooks/github", body, {"X-GitHub-Event": "status", "X-GitHub-Delivery": str(uuid.uuid4()), "X-Hub-Signature-256": f"sha256={mac}"})
    return code, json.loads(text)


@case
def the_status_of_a_batch_means_the_builds_that_made_it_fail(world):
    world.use(False)
    sha = uuid.uuid4().hex + "00000000"
    batch_id = world.client.start_build_batch(projectName="mended", sourceVersion=sha)["buildBatch"]["id"]
    batch = wait_until("the batch failed", lambda: (lambda b: b if b["buildBatchStatus"] == "FAILED" else None)(world.batch(batch_id)))
    page = f"https://{service.REGION}.console.aws.amazon.com/codesuite/codebuild/projects/mended/batch/{batch_id.replace(':', '%3A')}"
    name = f"AWS CodeBuild BuildBatch {service.REGION} (mended)"
    with world.serving(extra=RULES) as s:
        text = s.config.read_text()
        s.config.write_text(text.replace("sources: [", f"sources: [{{name: github, type: github, secrets: [{{value: {service.KEY}}}]}}, "))
        s.stop()
        s.start()
        for link, context, says in ((page.replace(batch_id[-6:], "000000"), name, "does not show batch"), (page.replace("aws.amazon.com", "aws.evil.example"), "x", "not a status of CodeBuild")):
            code, answer = told_by_github(s, batch, sha, link, context)
            equal((code, answer["status"], says in answer["reason"]), (200, "ignored", True), answer)
        code, answer = told_by_github(s, batch, "b" * 40, page, "lies")
        equal(code, 202, answer)
        lies = answer["retries"]
        wait_until("the lie is judged", lambda: all(s.api("GET", f"/v1/retries/{r['retry']}")[1]["state"] == "refused" for r in lies))
        code, answer = told_by_github(s, batch, sha, page, name)
        equal((code, len({r["retry"] for r in answer["retries"]})), (202, 2), answer)
        for link, context in ((None, name), (page, f"AWS CodeBuild {service.REGION} (mended)"), (batch["arn"], "x")):
            code, again = told_by_github(s, batch, sha, link, context)
            equal((code, sorted(r["retry"] for r in again["retries"])), (200, sorted(r["retry"] for r in answer["retries"])), (link, context, again))
        members = {b["id"] for b in world.failed_members(batch)}
        before = world.calls()
        ended = settled(s, [r["retry"] for r in answer["retries"]])
        equal({"recovered"} <= {r["state"] for r in ended} <= {"recovered", "superseded"}, True, ended)  # one leads for both
        equal({r["build"]["id"] for r in ended}, members)
        equal(world.calls() - before <= 1, True)


def deliver_all(world, s, batch):
    """The retry of each failed build of the batch."""
    return [deliver(s, event_of(b))[1]["retry"] for b in world.failed_members(batch)]


def settled(s, ids):
    """All of them, once each has ended."""
    def look():
        found = [s.api("GET", f"/v1/retries/{i}")[1] for i in ids]
        return found if all(r["state"] in ("recovered", "failed_again", "superseded") for r in found) else None
    return wait_until("all have ended", look, 40)


def one_leads(found):
    lead = [r for r in found if r["state"] == "recovered"]
    equal(len(lead), 1, [(r["state"], r["history"]) for r in found])
    for r in found:
        if r is not lead[0]:
            equal(r["state"], "superseded")
            assert lead[0]["id"] in r["history"][-1]["note"], r["history"]
    return lead[0]


@both
def failed_builds_of_a_batch_are_one_retry(world, kind):
    with world.serving(kind, RULES) as s:
        before, alone = world.calls(), len(world.sim.effects("RetryBuild"))
        batch = world.failed_batch("mended")
        ids = deliver_all(world, s, batch)
        equal(len(ids), 2)
        r = one_leads(settled(s, ids))
        equal((world.calls() - before, len(world.sim.effects("RetryBuild")) - alone), (1, 0))
        equal((r["child"]["id"], r["child"]["arn"], r["child"]["number"], r["child"]["status"]), (batch["id"], batch["arn"], batch["buildBatchNumber"], "SUCCEEDED"))
        equal((r["attempt"], r["duplicates"], len(r["deliveries"])), (1, 1, 2))
        for b in world.failed_members(batch):  # late redeliveries start nothing
            deliver(s, event_of(b), 200)
        equal(world.calls() - before, 1)


@case
def another_batch_may_be_made_of_it(world):
    world.use(True)
    try:
        with world.serving(extra=RULES) as s:
            batch = world.failed_batch("mended")
            first = deliver(s, event_of(world.failed_members(batch)[0]))[1]["retry"]
            r = reach(s, first, "recovered")
            assert r["child"]["id"] != batch["id"], r["child"]
            late = deliver(s, event_of(world.failed_members(batch)[1]))[1]["retry"]
            assert first in reach(s, late, "superseded")["history"][-1]["note"]
            equal(world.calls(), 1)
            world.sim.faults({"operation": "RetryBuildBatch", "times": 2, "lose_reply": True})
            r = one_leads(settled(s, deliver_all(world, s, world.failed_batch("mended"))))
            equal(world.calls(), 2)
            world.sim.faults()
    finally:
        world.use(False)


@both
def the_limit_counts_for_the_chain_of_the_batch(world, kind):
    with world.serving(kind, RULES) as s:
        before = world.calls()
        batch = world.failed_batch("stubborn")
        ids = deliver_all(world, s, batch)
        second = wait_until("two attempts have failed", lambda: [r for r in s.retries("state=failed_again") if r["attempt"] == 2], 40)[0]
        first = [r for r in s.retries("state=failed_again") if r["attempt"] == 1][0]
        equal((first["chain"], first["id"] in ids, second["build"]["id"]), (second["chain"], True, batch["id"]))
        equal((second["build"]["phase"], "no capacity" in second["build"]["message"]), ("PROVISIONING", True))
        for b in world.failed_members(world.batch(batch["id"])):  # the events of the last run come late
            reach(s, deliver(s, event_of(b))[1]["retry"], "superseded")
        equal(world.calls() - before, 2)


@case
def a_lost_reply_makes_one_run(world):
    with world.serving(extra=RULES) as s:
        before = world.calls()
        world.sim.faults({"operation": "RetryBuildBatch", "times": 2, "lose_reply": True})
        one_leads(settled(s, deliver_all(world, s, world.failed_batch("mended"))))
        equal(world.calls() - before, 1)
        world.sim.faults()


@both
def a_process_killed_in_the_middle_makes_one_run(world, kind):
    with world.serving(kind, RULES) as s:
        before = world.calls()
        batch = world.failed_batch("mended")
        world.sim.faults({"operation": "RetryBuildBatch", "times": 1, "latency": "900ms"})
        ids = deliver_all(world, s, batch)
        wait_until("the call is out", lambda: any(s.api("GET", f"/v1/retries/{i}")[1]["state"] == "submitting" for i in ids) or world.calls() > before)
        s.kill()
        world.sim.faults()
        s.start()
        one_leads(settled(s, ids))
        equal(world.calls() - before, 1)


@case
def the_call_waits_for_the_end_of_the_batch(world):
    with world.serving(extra=RULES) as s:
        before = world.calls()
        batch_id = world.client.start_build_batch(projectName="slow")["buildBatch"]["id"]

        def first_failed():
            groups = world.batch(batch_id)["buildGroups"]
            return "currentBuildSummary" in groups[0] and world.failed_members({"buildGroups": groups[:1]})
        member = wait_until("the first build failed", first_failed)[0]
        retry = deliver(s, event_of(member))[1]["retry"]
        wait_until("it is told", lambda: any("still runs" in (h["note"] or "") for h in s.api("GET", f"/v1/retries/{retry}")[1]["history"]))
        equal(world.batch(batch_id)["buildBatchStatus"], "IN_PROGRESS")
        reach(s, retry, "recovered", 40)
        equal(world.calls() - before, 1)


@case
def cancel_stops_the_batch(world):
    with world.serving(extra=RULES) as s:
        before = world.calls()
        batch = world.failed_batch("endless")
        r = reach(s, deliver(s, event_of(world.failed_members(batch)[0]))[1]["retry"], "running")
        member = wait_until("its build runs", lambda: world.batch(batch["id"])["buildGroups"][0]["currentBuildSummary"]["buildStatus"] == "IN_PROGRESS")
        assert member
        equal(s.api("POST", f"/v1/retries/{r['id']}/cancel")[0], 200)
        ended = reach(s, r["id"], "cancelled")
        equal((ended["child"]["status"], world.batch(batch["id"])["buildBatchStatus"]), ("STOPPED", "STOPPED"))
        equal((world.calls() - before, world.calls("StopBuildBatch")), (1, 1))


@case
def a_person_asks_for_one_build_of_a_batch(world):
    with world.serving() as s:
        batch = world.failed_batch("mended")
        status, r = s.api("POST", "/v1/retries", {"id": world.failed_members(batch)[0]["id"], "account": "123456789012"})
        equal(status, 202)
        equal(reach(s, r["id"], "recovered")["child"]["id"], batch["id"])


if __name__ == "__main__":
    cases.main(__doc__, Batches, lambda w: w.stop())
