#!/usr/bin/python3
"""retrybuild doctor: what an installation depends on, looked at without an effect, against codebuild-sim and real stores."""
import datetime
import json
import os
import pathlib
import subprocess
import tempfile

import cases
from cases import case
from service import ACCOUNT, AWS_KEY, AWS_SECRET, KEY, REGION, Redis, Service
from sim_harness import Receiver, Sim, equal

OTHER = "210987654321"
SCRIPT = "projects: [{name: app}]"
BINARIES = {}


def setup(build):
    BINARIES["service"] = str(build.resolve() / "cmd/retrybuild/retrybuild")
    BINARIES["sim"] = str(build.resolve() / "cmd/codebuild-sim/codebuild-sim")


class Place:
    """A configuration in a folder of its own, and a simulator that checks signatures."""

    def __init__(self, extra="", aws="", store="sqlite:rb.db", env=None, script=SCRIPT, sim=()):
        self.sim = Sim(BINARIES["sim"], script, "--access-key", f"{AWS_KEY}:{AWS_SECRET}", *sim)
        self.folder = tempfile.TemporaryDirectory(prefix="rb-doctor-")
        self.config = pathlib.Path(self.folder.name) / "rb.yaml"
        self.config.write_text(f'store: {{url: "{store}"}}\naws: {{region: {REGION}, endpoint_url: "{self.sim.url}", rate: {{per_second: 1000, burst: 1000}}{aws}}}\n'
                               f"sources: [{{name: eventbridge, type: eventbridge, secrets: [{{value: {KEY}}}]}}]\n{extra}\n")
        own = {"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_EC2_METADATA_DISABLED": "true", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
               "AWS_CONFIG_FILE": f"{self.folder.name}/config", **(env or {})}
        self.env = {**os.environ, **{k: v.format(dir=self.folder.name, sim=self.sim.url) for k, v in own.items()}}

    def run(self, *words):
        p = subprocess.run([BINARIES["service"], "doctor", "--config", str(self.config), *words], capture_output=True, text=True, env=self.env, timeout=60,
                           cwd=self.folder.name, check=False)
        equal(AWS_SECRET in p.stdout + p.stderr or KEY in p.stdout + p.stderr or "sim+" in p.stdout + p.stderr, False, "a secret is shown")
        return p

    def look(self, status, *words):
        """Rows by (area, name), the last one of each; the exit status is checked."""
        p = self.run("--json", *words)
        equal(p.returncode, status, p.stdout + p.stderr)
        said = json.loads(p.stdout)
        equal(said["ok"], status == 0)
        equal([e["operation"] for e in self.sim.effects()], [], "looking has no effect")
        return {(r["area"], r["name"]): r for r in said["checks"]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sim.stop()
        self.folder.cleanup()


def holds(row, *words, status=None):
    for w in words:
        equal(w in row["detail"], True, f"{w!r} in {row}")
    if status:
        equal(row["status"], status, row)
    return row


@case
def all_is_well_and_nothing_was_changed(_):
    with Place() as p:
        rows = p.look(0, "--project", "app")
        holds(rows["credentials", "environment"], "gave", status="ok")
        equal(rows["credentials", "container"]["outcome"], "not asked")
        who = holds(rows["identity", "own account"], AWS_KEY, "environment", "AWS_ACCESS_KEY_ID and its companions")
        equal((who["account"], who["arn"], who["access_key"], who["expires_at"]), (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/{AWS_KEY}", AWS_KEY, None))
        for name in ["codebuild:RetryBuild", "codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StopBuild", "codebuild:RetryBuildBatch",
                     "codebuild:BatchGetBuildBatches", "codebuild:ListBuildBatchesForProject", "codebuild:StopBuildBatch",
                     "codebuild:BatchGetProjects", "logs:GetLogEvents"]:
            equal((rows["permissions", name]["answer"], rows["permissions", name]["project"]), ("allowed", "app"), rows)
        equal(("permissions", "codebuild:StartBuild") in rows, False)
        equal(abs(rows["clock", "offset"]["offset_ms"]) <= 2000, True)
        equal(rows["endpoints", "codebuild"]["url"], p.sim.url)
        holds(rows["store", "sqlite"], "not there yet")
        holds(rows["sources", "eventbridge"], "1 secret")
        equal(sorted(os.listdir(p.folder.name)), ["rb.yaml"], "doctor makes no file")


@case
def people_see_a_table_with_what_to_do(_):
    with Place() as p:
        p.sim.faults({"operation": "RetryBuild", "every": 1, "error": "AccessDeniedException", "message": "User is not authorized\u001b[31m"})
        out = p.run("--project", "app")
        equal(out.returncode, 1)
        equal("\u001b" in out.stdout, False)
        line = next(x for x in out.stdout.splitlines() if "codebuild:RetryBuild " in x)
        equal(line.split()[0], "WRONG", line)
        equal(f"-> allow codebuild:RetryBuild on that project to arn:aws:iam::{ACCOUNT}:user/{AWS_KEY}" in out.stdout, True, out.stdout)
        equal("something needs attention" in out.stdout, True)


@case
def a_refusal_counts_when_it_is_certain_and_the_service_needs_the_call(_):
    with Place() as p:
        p.sim.faults({"operation": "StopBuild", "every": 1, "error": "AccessDeniedException"})
        holds(p.look(0)["permissions", "codebuild:StopBuild"], "named projects", status="notice")
        holds(p.look(1, "--project", "app")["permissions", "codebuild:StopBuild"], "not allowed", status="attention")
        p.sim.control("/_sim/faults", {"faults": []})
        p.sim.faults({"operation": "RetryBuildBatch", "every": 1, "error": "AccessDeniedException"})
        holds(p.look(0, "--project", "app")["permissions", "codebuild:RetryBuildBatch"], "batch builds", status="notice")


@case
def projects_of_the_sweep_are_tried_and_start_build_never_with_a_real_one(_):
    with Place("sweep: {projects: [app]}\nrules: [{name: anew, then: retry, how: start}]") as p:
        rows = p.look(0)
        equal(rows["permissions", "codebuild:RetryBuild"]["project"], "app")
        equal((rows["permissions", "codebuild:StartBuild"]["project"], rows["permissions", "codebuild:StartBuild"]["answer"]), (None, "allowed"))
        p.sim.faults({"operation": "StartBuild", "every": 1, "error": "AccessDeniedException"})
        holds(p.look(0)["permissions", "codebuild:StartBuild"], "without its effect", status="notice")
    with Place("rules: [{name: stage, when: {initiator: [\"codepipeline/*\"]}, then: retry, how: pipeline}]") as p:
        rows = p.look(0)
        for name in ["GetPipelineState", "ListActionExecutions", "RetryStageExecution"]:
            equal(rows["permissions", f"codepipeline:{name}"]["answer"], "allowed", rows)


@case
def a_provider_that_fails_says_so_and_those_before_it_why_they_were_passed_over(_):
    with Place(env={"AWS_ACCESS_KEY_ID": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nowhere", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/web"}) as p:
        rows = p.look(1)
        holds(rows["credentials", "environment"], "passed over: AWS_ACCESS_KEY_ID is not set", status="ok")
        holds(rows["credentials", "web-identity"], "failed", "/nowhere", status="attention")
        equal(rows["credentials", "shared-credentials-file"]["outcome"], "not asked")
        holds(rows["permissions", "own account"], "no credentials")
    with Place(env={"AWS_ACCESS_KEY_ID": ""}) as p:
        holds(p.look(1)["credentials", "none"], "no provider", status="attention")


@case
def each_provider_tells_its_source(_):
    given = {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "{sim}/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "sim-container-token"}
    with Place(env=given) as p:
        who = p.look(0)["identity", "own account"]
        equal((who["provider"], who["source"], who["expires_at"] is None), ("container", f"{p.sim.url}/container", False), who)
        equal(who["arn"].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/"), True, who)
    with Place(env={"AWS_ACCESS_KEY_ID": "", "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{sim}"}) as p:
        equal(p.look(0)["identity", "own account"]["source"], f"role 'sim-instance-role' of {p.sim.url}")
    with Place(env={"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "ci"}) as p:
        text = f"[profile ci]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\n"
        (pathlib.Path(p.folder.name) / "config").write_text(text)
        who = p.look(0)["identity", "own account"]
        equal((who["provider"], who["source"]), ("config-file", f"profile 'ci' of {p.folder.name}/config"))


@case
def the_region_is_the_profile_s_or_the_instance_s_when_nothing_else_says_one(_):
    env = {"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}
    with Place(env=env) as p:
        p.config.write_text(p.config.read_text().replace(f"region: {REGION}, ", ""))
        row = holds(p.look(0)["endpoints", "region"], "us-east-1", "nobody says one", status="notice")
        (pathlib.Path(p.folder.name) / "config").write_text("[default]\nregion = eu-central-1\n")
        row = p.look(0)["endpoints", "region"]
        equal((row["region"], row["from"]), ("eu-central-1", "the profile"))
        p.env["AWS_REGION"] = "eu-west-3"
        row = p.look(0)["endpoints", "region"]
        equal((row["region"], row["from"]), ("eu-west-3", "AWS_REGION"))
    with Place(env={**env, "AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{sim}"}, sim=["--region", "ap-south-1"]) as p:
        p.config.write_text(p.config.read_text().replace(f"region: {REGION}, ", ""))
        row = p.look(0)["endpoints", "region"]
        equal((row["region"], row["from"]), ("ap-south-1", "the instance"))


@case
def each_account_shows_its_role_and_one_that_refuses_us_is_named(_):
    rows = (f', accounts: [{{id: "{OTHER}", role_arn: "arn:aws:iam::{OTHER}:role/there", regions: [{REGION}, eu-west-1]}}, '
            '{id: "333333333333", role_arn: "arn:aws:iam::333333333333:role/it-denied"}]')
    with Place(aws=rows) as p:
        found = p.look(1)
        there = found["identity", f"account {OTHER}"]
        equal((there["account"], there["provider"], there["source"]), (OTHER, "aws.accounts", f"arn:aws:iam::{OTHER}:role/there"))
        holds(there, f"assumed-role/there/retrybuild", status="ok")
        holds(found["identity", "account 333333333333"], "AccessDenied", status="attention")
        holds(found["permissions", "account 333333333333"], "cannot be assumed")
        equal((found["permissions", "codebuild:RetryBuild"]["account"], found["permissions", "codebuild:RetryBuild"]["region"]), (OTHER, "eu-west-1"))


@case
def a_clock_that_is_off_and_an_endpoint_that_is_away_are_found(_):
    with Place(script=SCRIPT + "\nclock_offset: 90s") as p:
        row = holds(p.look(1)["clock", "offset"], status="attention")
        equal(85000 < row["offset_ms"] < 95000, True, row)
    with Place() as p:
        p.config.write_text(p.config.read_text().replace(p.sim.url, "http://127.0.0.1:9"))
        found = p.look(1)
        holds(found["identity", "own account"], "GetCallerIdentity", status="attention")


@case
def a_file_that_a_service_holds_is_left_alone_and_one_at_rest_is_looked_into(_):
    with Place() as p:
        s = Service(BINARIES["service"], "sqlite:rb.db", p.sim.url, folder=p.folder)
        s.start()
        row = holds(p.look(0)["store", "sqlite"], "held by a running service", status="ok")
        equal(row["held"], True)
        equal(s.stop(), 0)
        before = {f: os.stat(f"{p.folder.name}/{f}").st_mtime_ns for f in os.listdir(p.folder.name)}
        found = p.look(0)
        holds(found["store", "sqlite"], "SQLite 3", ", schema ", status="ok")
        equal(found["store", "epoch"]["epoch"] is None, False)
        equal({f: os.stat(f"{p.folder.name}/{f}").st_mtime_ns for f in os.listdir(p.folder.name)}, before)
        pathlib.Path(p.folder.name, "rb.db").write_bytes(b"no database" * 1000)
        holds(p.look(1)["store", "sqlite"], "rb.db", status="attention")


@case
def redis_tells_version_policy_replicas_and_round_trip(_):
    redis = Redis()
    try:
        with Place(store=redis.url) as p:
            found = p.look(0)
            row = holds(found["store", "redis"], "Redis 7", status="ok")
            equal((row["maxmemory_policy"], row["replicas"], row["round_trip_ms"] > 0, row["epoch"]), ("noeviction", 0, True, None), row)
            equal(redis.cli("DBSIZE"), "0", "doctor writes nothing")
            redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            holds(p.look(1)["store", "redis"], "noeviction", status="attention")
            redis.kill()
            holds(p.look(1)["store", "redis"], redis.socket, status="attention")
    finally:
        redis.stop()


@case
def secrets_that_end_soon_or_have_ended_are_named(_):
    with Place() as p:
        p.config.write_text(p.config.read_text().replace(f"[{{value: {KEY}}}]", f"[{{value: {KEY}, not_after: 2020-01-01}}]"))
        row = holds(p.look(1)["sources", "eventbridge"], "every delivery is refused", status="attention")
        equal((row["secrets"], row["past"]), (1, 1))
        p.config.write_text(p.config.read_text().replace("not_after: 2020-01-01}", f"not_after: 2020-01-01}}, {{value: next-{KEY}}}"))
        holds(p.look(0)["sources", "eventbridge"], "can be taken out", status="ok")
        soon = (datetime.date.today() + datetime.timedelta(days=3)).isoformat()
        p.config.write_text(p.config.read_text().replace("not_after: 2020-01-01", f"not_after: {soon}"))
        row = holds(p.look(0)["sources", "eventbridge"], "one of which ends", status="notice")
        equal(row["next_not_after"][:10] >= soon, True, row)
        p.config.write_text(p.config.read_text().replace(f", {{value: next-{KEY}}}", ""))
        holds(p.look(1)["sources", "eventbridge"], "the last of which ends", status="attention")


@case
def a_destination_that_the_guard_refuses_is_named_and_send_posts_a_test(_):
    receiver = Receiver([200, 503])
    try:
        with Place(f'destinations: [{{name: hook, type: webhook, url: "{receiver.url}/secret-path"}}]') as p:
            row = holds(p.look(1)["destinations", "hook"], "network.allow", status="attention")
            equal((row["host"], row["refused"]), (receiver.url.split("/")[2], True))
            equal(p.run("--send", "hook").returncode, 1)
            p.config.write_text(p.config.read_text() + 'network: {allow: ["127.0.0.1/32"]}\n')
            equal(p.look(0)["destinations", "hook"]["refused"], False)
            equal(receiver.got.empty(), True, "looking sends nothing")
            sent = p.run("--send", "hook")
            equal((sent.returncode, sent.stdout.strip()), (0, "hook: delivered"), sent.stderr)
            _, headers, body = receiver.got.get(timeout=10)
            equal(("This is a test" in json.dumps(body), headers["webhook-id"].startswith("msg_test_")), (True, True), body)
            sent = p.run("--send", "hook", "--json")
            said = json.loads(sent.stdout)
            equal((sent.returncode, said["delivered"], said["error"]), (1, False, "the receiver answered 503"))
            equal("secret-path" in sent.stdout, False)
            equal(p.run("--send", "nobody").returncode, 2)
    finally:
        receiver.stop()


@case
def a_configuration_with_problems_is_told_with_its_places(_):
    with Place() as p:
        p.config.write_text("stores: {}\nmode: maybe\n")
        out = p.run("--json")
        rows = [r for r in json.loads(out.stdout)["checks"] if r["name"] == "problem"]
        equal((out.returncode, [r["line"] for r in rows]), (1, [1, 2]), out.stdout)
        p.config.unlink()
        equal(p.run().returncode, 1)


if __name__ == "__main__":
    cases.main(__doc__, setup)
