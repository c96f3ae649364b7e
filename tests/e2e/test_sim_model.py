#!/usr/bin/python3
"""codebuild-sim against CodeBuild's model: every member of every reply has a name and type of the model, in raw JSON, through
botocore's own model, and with the JavaScript client; paginators, typed exceptions and the SDKs' retry modes work.

    /usr/bin/python3 tests/e2e/test_sim_model.py --build build [--only NAME]

Prints one line a check and "N passed, N failed" at the end; exits non-zero when one failed. The JavaScript client is installed into the
build folder; where its registry cannot be reached that check says "skipped".
"""
import argparse
import json
import os
import pathlib
import sys
import traceback

import boto3
import botocore.config

import js_client
from sim_harness import KEY, SECRET, Sim, aws, equal, error_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = json.loads((ROOT / "tests/data/sim/output-shapes.json").read_text(encoding="utf-8"))

SCRIPT = """
projects:
  - name: full
    outcomes: [{status: FAILED, phase: BUILD, exit_code: 2}, {status: SUCCEEDED}]
    settings: &all
      description: everything that a project can have
      sourceVersion: main
      source:
        type: GITHUB
        location: https://github.com/example-org/full.git
        gitCloneDepth: 1
        gitSubmodulesConfig: {fetchSubmodules: true}
        buildspec: buildspec.yml
        auth: {type: CODECONNECTIONS, resource: "arn:aws:codeconnections:us-east-1:123456789012:connection/x"}
        reportBuildStatus: true
        buildStatusConfig: {context: ci, targetUrl: "https://example.com"}
        insecureSsl: false
        sourceIdentifier: main_source
      secondarySources: [{type: S3, location: "bucket/key", sourceIdentifier: second}]
      secondarySourceVersions: [{sourceIdentifier: second, sourceVersion: v1}]
      artifacts: {type: S3, location: bucket, path: out, namespaceType: BUILD_ID, name: full.zip, packaging: ZIP,
                  overrideArtifactName: true, encryptionDisabled: false, artifactIdentifier: one, bucketOwnerAccess: FULL}
      secondaryArtifacts: [{type: S3, location: bucket, name: two, artifactIdentifier: two, overrideArtifactName: false,
                            encryptionDisabled: true, bucketOwnerAccess: NONE}]
      cache: {type: LOCAL, location: none, modes: [LOCAL_SOURCE_CACHE], cacheNamespace: ns}
      environment:
        type: LINUX_CONTAINER
        image: aws/codebuild/standard:7.0
        computeType: BUILD_GENERAL1_SMALL
        computeConfiguration: {vCpu: 2, memory: 4, disk: 64, machineType: GENERAL}
        fleet: {fleetArn: "arn:aws:codebuild:us-east-1:123456789012:fleet/f"}
        environmentVariables: [{name: STAGE, value: ci, type: PLAINTEXT}]
        privilegedMode: true
        certificate: bucket/cert.pem
        registryCredential: {credential: secret, credentialProvider: SECRETS_MANAGER}
        imagePullCredentialsType: SERVICE_ROLE
      serviceRole: arn:aws:iam::123456789012:role/service-role/full
      timeoutInMinutes: 30
      queuedTimeoutInMinutes: 60
      encryptionKey: arn:aws:kms:us-east-1:123456789012:alias/aws/s3
      tags: [{key: team, value: ci}]
      vpcConfig: {vpcId: vpc-1, subnets: [subnet-1], securityGroupIds: [sg-1]}
      badgeEnabled: true
      logsConfig: {cloudWatchLogs: {status: ENABLED, groupName: own, streamName: prefix},
                   s3Logs: {status: ENABLED, location: bucket/logs, encryptionDisabled: true, bucketOwnerAccess: READ_ONLY}}
      fileSystemLocations: [{type: EFS, location: "fs-1.efs.us-east-1.amazonaws.com:/", mountPoint: /mnt, identifier: efs,
                             mountOptions: "nfsvers=4.1"}]
      buildBatchConfig: {serviceRole: "arn:aws:iam::123456789012:role/batch", combineArtifacts: true, timeoutInMins: 90,
                         batchReportMode: REPORT_AGGREGATED_BATCH,
                         restrictions: {maximumBuildsAllowed: 5, computeTypesAllowed: [BUILD_GENERAL1_SMALL], fleetsAllowed: [f]}}
      concurrentBuildLimit: 50
      autoRetryLimit: 1
    batch: [{identifier: unit}, {identifier: late, outcomes: [{status: FAILED}, {status: SUCCEEDED}]}]
  - {name: web-app, outcomes: [{status: FAILED, phase: PROVISIONING}, {status: SUCCEEDED}]}
  - {name: steady}
"""

# Words that CodeBuild itself sends though its model's enum lacks them.
OPEN_ENUMS = {"phaseStatus": {"CLIENT_ERROR", "RETRY"}}

# Members that no call here can bring about: features outside what is simulated.
NOT_SIMULATED = {
    "Project.webhook", "Project.publicProjectAlias", "Project.resourceAccessRole", "ProjectBadge.badgeRequestUrl",
    "ProjectEnvironment.dockerServer", "ProjectEnvironment.hostKernel", "ComputeConfiguration.instanceType",
    "ResolvedArtifact.identifier", "ExportedEnvironmentVariable.name", "ExportedEnvironmentVariable.value",
}


# --- the walk ------------------------------------------------------------------------------------------

def type_fits(shape, value):
    kind = shape["type"]
    if kind == "string":
        return isinstance(value, str)
    if kind in ("integer", "long"):
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "timestamp":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value * 1000 - round(value * 1000)) < 1e-3
    return isinstance(value, dict if kind == "structure" else list)


def walk(name, value, seen, member=""):
    """Each member of `value` against the shape `name`; what was met goes into `seen`."""
    shape = MODEL["shapes"][name]
    if not type_fits(shape, value):
        raise AssertionError(f"{member}: {value!r} is no {shape['type']} ({name})")
    if "enum" in shape and value not in shape["enum"] and value not in OPEN_ENUMS.get(member, ()):
        raise AssertionError(f"{member}: {value!r} is not in {shape['enum']}")
    if shape["type"] == "list":
        for one in value:
            walk(shape["member"], one, seen, member)
    if shape["type"] == "structure":
        for key, one in value.items():
            if key not in shape["members"]:
                raise AssertionError(f"{name} has no member {key!r}")
            seen.add(f"{name}.{key}")
            walk(shape["members"][key], one, seen, key)


def ask(sim, seen, operation, body):
    status, _, text = sim.raw(operation, body)
    reply = json.loads(text)
    equal(status, 200, f"{operation}: {reply}")
    walk(MODEL["operations"][operation]["output"], reply, seen)
    return reply


def everything(sim, seen):
    """Calls of every operation, in states that bring out as many members as there are."""
    made = ask(sim, seen, "BatchGetProjects", {"names": ["full", "steady", "none"]})["projects"][0]
    new = {k: v for k, v in made.items() if k not in ("arn", "badge", "created", "lastModified", "projectVisibility")}
    ask(sim, seen, "CreateProject", {**new, "name": "made", "badgeEnabled": True})
    ask(sim, seen, "DeleteProject", {"name": "made"})
    first = ask(sim, seen, "StartBuild", {"projectName": "full", "debugSessionEnabled": True, "sourceVersion": "a" * 40})["build"]["id"]
    sim.advance("10m")  # it fails, CodeBuild retries it, and that one succeeds
    ask(sim, seen, "BatchGetBuilds", {"ids": [first, "full:none"]})
    retried = ask(sim, seen, "RetryBuild", {"id": first})["build"]["id"]
    ask(sim, seen, "StopBuild", {"id": retried})
    pair = ask(sim, seen, "ListBuildsForProject", {"projectName": "full"})["ids"]
    ask(sim, seen, "BatchGetBuilds", {"ids": pair})
    batch = ask(sim, seen, "StartBuildBatch", {"projectName": "full", "debugSessionEnabled": True})["buildBatch"]["id"]
    sim.advance("10m")
    ask(sim, seen, "BatchGetBuildBatches", {"ids": [batch, "full:none"]})
    ask(sim, seen, "RetryBuildBatch", {"id": batch, "retryType": "RETRY_FAILED_BUILDS"})
    sim.advance("10m")
    done = ask(sim, seen, "BatchGetBuildBatches", {"ids": [batch]})["buildBatches"][0]
    equal((done["buildBatchStatus"], done["phases"][-2]["phaseType"]), ("SUCCEEDED", "COMBINE_ARTIFACTS"))
    members = [g["currentBuildSummary"]["arn"] for g in done["buildGroups"]]
    ask(sim, seen, "BatchGetBuilds", {"ids": members})
    ask(sim, seen, "StopBuildBatch", {"id": batch})
    for _ in range(101):
        sim.raw("StartBuildBatch", {"projectName": "steady"})
        sim.raw("StartBuild", {"projectName": "steady"})
    for operation, body in (("ListBuilds", {}), ("ListBuildsForProject", {"projectName": "steady"}), ("ListBuildBatches", {}),
                            ("ListBuildBatchesForProject", {"projectName": "steady"})):
        equal("nextToken" in ask(sim, seen, operation, body), True, operation)
    for i in range(101):
        sim.raw("CreateProject", {**new, "name": f"more-{i}"})
    equal("nextToken" in ask(sim, seen, "ListProjects", {}), True, "ListProjects")


# --- the checks ----------------------------------------------------------------------------------------

def every_member_of_every_reply_is_the_models(sim):
    seen = set()
    everything(sim, seen)
    reachable, todo = set(), [o["output"] for o in MODEL["operations"].values()]
    while todo:
        name = todo.pop()
        shape = MODEL["shapes"][name]
        for key, inner in shape.get("members", {}).items():
            member = f"{name}.{key}"
            if member not in reachable:
                reachable.add(member)
                if member not in NOT_SIMULATED:
                    todo.append(inner)
        if "member" in shape:
            todo.append(shape["member"])
    never = sorted(reachable - seen - NOT_SIMULATED)
    equal(never, [], "members of the model that no reply had")
    equal(sorted(seen & NOT_SIMULATED), [], "members that are simulated after all")
    equal(len(seen) > 200, True, f"only {len(seen)} members seen")


def the_data_agrees_with_botocores_own_model(_sim):
    model = boto3.client("codebuild", region_name="us-east-1").meta.service_model
    compared = 0
    for name, shape in MODEL["shapes"].items():
        if name not in model.shape_names or shape["type"] != "structure":
            continue
        theirs = model.shape_for(name)
        equal(set(theirs.members) <= set(shape["members"]), True, f"{name} lacks {set(theirs.members) - set(shape['members'])}")
        compared += len(theirs.members)
    for name, operation in MODEL["operations"].items():
        equal(sorted(e.name for e in model.operation_model(name).error_shapes), sorted(operation["errors"]), name)
    equal(compared > 200, True, f"only {compared} members compared")


def client_of(sim, mode="standard", attempts=3):
    config = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": mode})
    return boto3.session.Session().client("codebuild", region_name="us-east-1", endpoint_url=sim.url, aws_access_key_id=KEY,
                                          aws_secret_access_key=SECRET, config=config)


def boto3_reads_back_each_member_it_knows(sim):
    c = client_of(sim)
    build = c.start_build(projectName="full", debugSessionEnabled=True)["build"]["id"]
    batch = c.start_build_batch(projectName="full")["buildBatch"]["id"]
    sim.advance("20m")
    for operation, method, body in (("BatchGetBuilds", c.batch_get_builds, {"ids": [build]}),
                                    ("BatchGetBuildBatches", c.batch_get_build_batches, {"ids": [batch]}),
                                    ("BatchGetProjects", c.batch_get_projects, {"names": ["full"]})):
        raw = json.loads(sim.raw(operation, body)[2])
        parsed = method(**body)
        parsed.pop("ResponseMetadata")
        same(c.meta.service_model.operation_model(operation).output_shape, raw, parsed, operation)


def same(shape, raw, parsed, where):
    """`parsed` is what botocore made of `raw`: all members that its model has, each with the value sent."""
    if shape.type_name == "structure":
        equal(set(parsed), set(raw) & set(shape.members), where)
        for key, value in parsed.items():
            same(shape.members[key], raw[key], value, f"{where}.{key}")
    elif shape.type_name == "list":
        equal(len(parsed), len(raw), where)
        for one, other in zip(raw, parsed):
            same(shape.member, one, other, where)
    elif shape.type_name == "timestamp":
        equal(abs(parsed.timestamp() - raw) < 0.001, True, where)
    else:
        equal(parsed, raw, where)


def errors_arrive_as_typed_exceptions(sim):
    c = client_of(sim, attempts=1)
    e = c.exceptions
    for call, kind, arguments in ((c.retry_build, e.ResourceNotFoundException, {"id": "full:none"}),
                                  (c.retry_build, e.InvalidInputException, {}),
                                  (c.retry_build_batch, e.ResourceNotFoundException, {"id": "full:none"}),
                                  (c.stop_build_batch, e.InvalidInputException, {"id": "none"}),
                                  (c.start_build_batch, e.ResourceNotFoundException, {"projectName": "none"}),
                                  (c.list_build_batches_for_project, e.InvalidInputException, {}),
                                  (c.list_builds_for_project, e.ResourceNotFoundException, {"projectName": "none"})):
        try:
            call(**arguments)
        except kind as got:
            equal(got.response["ResponseMetadata"]["HTTPStatusCode"], 400)
        else:
            raise AssertionError(f"{arguments} was accepted")
    names = sorted({n for o in MODEL["operations"].values() for n in o["errors"]})
    equal(len(names), 4)
    for name in names:
        sim.faults({"operation": "ListBuilds", "error": name})
        try:
            c.list_builds()
        except getattr(e, name) as got:
            equal(got.response["Error"]["Code"], name)
        else:
            raise AssertionError(f"{name} did not arrive")


def paginators_give_each_item_once(sim):
    c = client_of(sim)
    ids = [c.start_build_batch(projectName="steady")["buildBatch"]["id"] for _ in range(105)]
    for name, more in (("list_build_batches", {}), ("list_build_batches_for_project", {"projectName": "steady"})):
        for size in (None, 40):
            config = {} if size is None else {"PaginationConfig": {"PageSize": size}}
            pages = [p["ids"] for p in c.get_paginator(name).paginate(**more, **config)]
            equal([len(p) for p in pages], [100, 5] if size is None else [40, 40, 25], name)
            equal(sum(pages, []), ids[::-1], name)
    sim.advance("10m")
    for _ in range(3):
        c.start_build_batch(projectName="steady")
    got = c.list_build_batches(filter={"status": "IN_PROGRESS"}, sortOrder="ASCENDING")["ids"]
    equal((len(got), set(got) & set(ids)), (3, set()))


def retry_modes_of_the_sdk_work(sim):
    for mode, tries in (("legacy", 5), ("standard", 3), ("adaptive", 3)):
        c = client_of(sim, mode, tries)
        for fault in ({"error": "ThrottlingException"}, {"status": 503, "body": "html"}, {"status": 500, "body": "empty"}):
            sim.faults({"operation": "ListBuilds", "nth": [1], **fault})
            equal(c.list_builds()["ResponseMetadata"]["RetryAttempts"], 1, f"{mode} {fault}")
        sim.faults({"operation": "RetryBuild", "nth": [1], "lose_reply": True})
        failed = c.start_build(projectName="web-app")["build"]["id"]
        sim.advance("10m")
        before = len(sim.effects("RetryBuild"))
        c.retry_build(id=failed, idempotencyToken=mode)
        equal(len(sim.effects("RetryBuild")) - before, 1, f"{mode}: a lost reply, asked again with its token")
    sim.faults({"operation": "ListBuilds", "error": "ThrottlingException"})
    try:
        client_of(sim, "standard", 2).list_builds()
    except c.exceptions.ClientError as e:
        equal((e.response["Error"]["Code"], e.response["ResponseMetadata"]["RetryAttempts"]), ("ThrottlingException", 1))
    else:
        raise AssertionError("throttled for ever, yet answered")
    sim.faults({"operation": "ListBuilds", "error": "AccountLimitExceededException"})
    equal(error_of(client_of(sim).list_builds)[0], "AccountLimitExceededException")


def the_aws_cli_drives_batches(sim):
    first = aws(sim, "start-build-batch", "--project-name", "full", "--idempotency-token", "t")["buildBatch"]
    equal(aws(sim, "start-build-batch", "--project-name", "full", "--idempotency-token", "t")["buildBatch"]["id"], first["id"])
    sim.advance("10m")
    got = aws(sim, "batch-get-build-batches", "--ids", first["id"], "none:none")
    equal((got["buildBatches"][0]["buildBatchStatus"], got["buildBatchesNotFound"]), ("FAILED", ["none:none"]))
    aws(sim, "retry-build-batch", "--id", first["id"], "--retry-type", "RETRY_FAILED_BUILDS")
    equal(aws(sim, "stop-build-batch", "--id", first["id"])["buildBatch"]["buildBatchStatus"], "STOPPED")
    equal(aws(sim, "list-build-batches", "--filter", "status=STOPPED")["ids"], [first["id"]])
    equal(aws(sim, "list-build-batches-for-project", "--project-name", "full")["ids"], [first["id"]])


def the_javascript_client_drives_it(sim, folder):
    told = js_client.told(folder, "sim_clients_js.mjs", sim.url)
    equal(told, {"fresh": ["IN_PROGRESS", True, 2], "failed": "FAILED", "once": True,
                 "missing": [True, "ResourceNotFoundException", 1], "mismatch": [True, "InvalidInputException", 1],
                 "unknown": ["UnknownOperationException", 1], "batch": "SUCCEEDED", "pages": [100, 11],
                 "throttled": 2, "unavailable": 2, "exhausted": ["ThrottlingException", 3]})
    equal(len(sim.effects("RetryBuild")), 1)


CHECKS = [every_member_of_every_reply_is_the_models, the_data_agrees_with_botocores_own_model, boto3_reads_back_each_member_it_knows,
          errors_arrive_as_typed_exceptions, paginators_give_each_item_once, retry_modes_of_the_sdk_work, the_aws_cli_drives_batches,
          the_javascript_client_drives_it]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, help="the build folder")
    parser.add_argument("--only", default="", help="run checks whose name holds this")
    args = parser.parse_args()
    binary = os.path.abspath(os.path.join(args.build, "cmd", "codebuild-sim", "codebuild-sim"))
    passed = failed = 0
    for check in CHECKS:
        if args.only not in check.__name__:
            continue
        more = []
        if check is the_javascript_client_drives_it:
            folder, why = js_client.installed(args.build)
            if folder is None:
                print(f"skipped {check.__name__}: {why}", flush=True)
                continue
            more = [folder]
        sim = Sim(binary, SCRIPT, *(["--speed", "1000"] if more else []))
        try:
            check(sim, *more)
            passed += 1
            print(f"ok      {check.__name__}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
        finally:
            equal(sim.stop(), 0, "exit status of the simulator")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
