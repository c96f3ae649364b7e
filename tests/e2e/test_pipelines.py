#!/usr/bin/python3
"""Builds of CodePipeline, with the real programs: refused, or, where a rule says `how: pipeline`, their stage is retried once and the new build followed."""
import pathlib
import sys

import boto3
import botocore.config

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import sim_harness  # noqa: E402
from cases import both, case  # noqa: E402
from life import World, deliver, event_of, reach  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import KEY, SECRET, equal, error_of  # noqa: E402

FAILED = '{status: FAILED, phase: PROVISIONING, message: "no capacity"}'
SCRIPT = f"""
projects:
  - {{name: flaky, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}
  - {{name: other, outcomes: [{FAILED}, {{status: SUCCEEDED}}]}}
  - {{name: stubborn, outcomes: [{FAILED}]}}
  - {{name: slow, outcomes: [{{durations: {{BUILD: 2s}}}}]}}
  - {{name: steady}}
pipelines:
  - {{name: release, stages: [{{name: Build, actions: [{{name: Compile, project: flaky}}]}}, {{name: Deploy, actions: [{{name: Ship, project: steady}}]}}]}}
  - {{name: wide, stages: [{{name: Build, actions: [{{name: Compile, project: flaky}}, {{name: Test, project: other}}, {{name: Lint, project: slow}}]}}]}}
  - {{name: broken, stages: [{{name: Build, actions: [{{name: Compile, project: stubborn}}]}}]}}
durations: {{QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 20ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}}
"""
RULE = "rules: [{name: stage, when: {phase: [PROVISIONING]}, then: retry, how: pipeline, limit: 2, delay: {fixed: 0s}}]"


class Pipelines(World):
    def __init__(self, build):
        self.build = build
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        self.client = self.sim.client()
        self.pipelines = boto3.session.Session().client(
            "codepipeline", region_name="us-east-1", endpoint_url=self.sim.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
            config=botocore.config.Config(retries={"total_max_attempts": 1}))

    def stage(self, pipeline, n=0):
        return self.pipelines.get_pipeline_state(name=pipeline)["stageStates"][n]

    def failed_stage(self, pipeline):
        """Start an execution; (its id, the builds of its first stage that have failed)."""
        execution = self.pipelines.start_pipeline_execution(name=pipeline)["pipelineExecutionId"]
        ids = wait_until("an action failed", lambda: [a["latestExecution"]["externalExecutionId"] for a in self.stage(pipeline)["actionStates"]
                                                      if a["latestExecution"]["status"] == "Failed"])
        return execution, self.client.batch_get_builds(ids=ids)["builds"]

    def calls(self, execution):
        return len([e for e in self.sim.effects("RetryStageExecution") if e["build"] == execution])


def event_in(build):
    event = event_of(build)
    event["detail"]["additional-information"]["initiator"] = build["initiator"]
    event["detail"]["additional-information"]["source"] = {"type": "CODEPIPELINE"}
    return event


@case
def without_such_a_rule_a_build_of_a_pipeline_is_refused(world):
    with world.serving(extra=RULE.replace("pipeline", "retry")) as s:
        execution, builds = world.failed_stage("release")
        _, _, text = s.deliver(event_in(builds[0]))
        assert "how: pipeline" in text, text
        equal(world.calls(execution), 0)


@both
def a_failed_stage_is_retried_and_the_pipeline_moves_on(world, kind):
    with world.serving(kind, RULE) as s:
        execution, builds = world.failed_stage("release")
        equal(builds[0]["initiator"], "codepipeline/release")
        _, answer = deliver(s, event_in(builds[0]))
        r = reach(s, answer["retry"], "recovered")
        equal(r["child"]["id"], world.stage("release")["actionStates"][0]["latestExecution"]["externalExecutionId"])
        assert "retries stage Build of pipeline release" in " ".join(h["note"] or "" for h in r["history"]), r["history"]
        wait_until("the next stage", lambda: world.stage("release", 1).get("latestExecution", {}).get("status") == "Succeeded")
        equal((world.calls(execution), world.effects_of(builds[0]["id"])), (1, []))


@both
def failed_actions_of_one_stage_are_one_retry_when_it_has_ended(world, kind):
    with world.serving(kind, RULE) as s:
        execution, _ = world.failed_stage("wide")
        ids = [a["latestExecution"]["externalExecutionId"] for a in world.stage("wide")["actionStates"]][:2]
        builds = [wait_until("it failed", lambda b=b: world.ended(b)) for b in ids]
        retries = [deliver(s, event_in(b))[1]["retry"] for b in builds]

        def ended():
            found = [s.api("GET", f"/v1/retries/{i}")[1] for i in retries]
            return found if all(r["state"] in ("recovered", "superseded") for r in found) else None
        found = wait_until("both have ended", ended)
        equal(sorted(r["state"] for r in found), ["recovered", "superseded"])
        equal(world.calls(execution), 1)
        wait_until("the stage", lambda: world.stage("wide")["latestExecution"]["status"] == "Succeeded")


@case
def a_lost_reply_is_found_and_never_sent_again(world):
    with world.serving(extra=RULE) as s:
        world.sim.faults({"operation": "RetryStageExecution", "times": 5, "lose_reply": True})
        execution, builds = world.failed_stage("release")
        r = reach(s, deliver(s, event_in(builds[0]))[1]["retry"], "recovered", 40)
        assert "found the build" in " ".join(h["note"] or "" for h in r["history"]), r["history"]
        equal(world.calls(execution), 1)
        world.sim.faults()


@both
def a_process_killed_in_the_middle_retries_the_stage_once(world, kind):
    with world.serving(kind, RULE) as s:
        world.sim.faults({"operation": "RetryStageExecution", "times": 1, "latency": "900ms"})
        execution, builds = world.failed_stage("release")
        _, answer = deliver(s, event_in(builds[0]))
        wait_until("the call is out", lambda: world.calls(execution))
        s.kill()
        world.sim.faults()
        s.start()
        reach(s, answer["retry"], "recovered", 40)
        equal(world.calls(execution), 1)


@case
def the_limit_of_the_rule_counts(world):
    with world.serving(extra=RULE) as s:
        execution, builds = world.failed_stage("broken")
        first = reach(s, deliver(s, event_in(builds[0]))[1]["retry"], "failed_again")
        wait_until("two attempts", lambda: [r for r in s.retries("state=failed_again") if r["chain"] == first["chain"] and r["attempt"] == 2])
        equal(world.calls(execution), 2)


@case
def another_execution_of_the_pipeline_supersedes(world):
    with world.serving(extra=RULE) as s:
        execution, builds = world.failed_stage("broken")
        newer, _ = world.failed_stage("broken")
        reach(s, deliver(s, event_in(builds[0]))[1]["retry"], "superseded")
        equal((world.calls(execution), world.calls(newer)), (0, 0))


@case
def what_is_not_allowed_is_said(world):
    with world.serving(extra=RULE) as s:
        world.sim.faults({"operation": "GetPipelineState", "times": 9, "error": "AccessDeniedException", "message": "not authorized to perform: codepipeline:GetPipelineState"})
        execution = world.pipelines.start_pipeline_execution(name="release")["pipelineExecutionId"]
        listed = wait_until("it failed", lambda: [d for d in world.pipelines.list_action_executions(
            pipelineName="release", filter={"pipelineExecutionId": execution})["actionExecutionDetails"] if d["status"] == "Failed"])
        build = world.ended(listed[0]["output"]["executionResult"]["externalExecutionId"])
        r = reach(s, deliver(s, event_in(build))[1]["retry"], "refused")
        assert "codepipeline:GetPipelineState" in r["history"][-1]["note"], r["history"]
        world.sim.faults()


@case
def the_simulator_answers_as_codepipeline_does(world):
    p = world.pipelines
    execution, _ = world.failed_stage("release")
    stage = {"pipelineName": "release", "stageName": "Build", "pipelineExecutionId": execution, "retryMode": "FAILED_ACTIONS"}
    equal(error_of(p.get_pipeline_state, name="none")[0], "PipelineNotFoundException")
    equal(error_of(p.retry_stage_execution, **{**stage, "stageName": "None"})[0], "StageNotFoundException")
    equal(error_of(p.retry_stage_execution, **{**stage, "pipelineExecutionId": "0" * 8 + "-0000-0000-0000-" + "0" * 12})[0], "NotLatestPipelineExecutionException")
    equal(p.retry_stage_execution(**stage)["pipelineExecutionId"], execution)
    equal(error_of(p.retry_stage_execution, **stage)[0], "StageNotRetryableException")
    pages = p.get_paginator("list_action_executions").paginate(pipelineName="release", PaginationConfig={"PageSize": 2})
    runs = [d for page in pages for d in page["actionExecutionDetails"]]
    equal(len(runs), len({d["actionExecutionId"] for d in runs}))
    mine = [d for d in runs if d["pipelineExecutionId"] == execution and d["stageName"] == "Build"]
    equal([d["input"]["configuration"]["ProjectName"] for d in mine], ["flaky", "flaky"])


if __name__ == "__main__":
    cases.main(__doc__, Pipelines, lambda w: w.sim.stop())
