#!/usr/bin/python3
"""deploy/aws: the CloudFormation templates and Terraform modules can be read, refer to what is there, say the same as each other, grant no more
than the program calls, and carry a configuration that `retrybuild check-config` reads."""
import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import sys

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from deploying import DEPLOY, World, npm_folder  # noqa: E402
from service import failure_event  # noqa: E402
from sim_harness import equal  # noqa: E402

TEMPLATES, MODULES = DEPLOY / "aws/cloudformation", DEPLOY / "aws/terraform"
ENV = {"OPS_TOKEN": "token-of-this-test-0123456789", "EVENTBRIDGE_KEY": "key-of-this-test-0123456789", "REDIS_PASSWORD": "password-of-this-test-01"}
ALLOWED = {"codebuild:RetryBuild", "codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject", "codebuild:StopBuild", "logs:GetLogEvents"}
ENDS = {"FAILED", "FAULT", "TIMED_OUT", "STOPPED", "SUCCEEDED"}


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    else:
        value = loader.construct_sequence(node, True) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node, True)
    return {"Ref" if suffix == "Ref" else f"Fn::{suffix}": value}


Template.add_multi_constructor("!", short_form)


def template(name):
    return yaml.load((TEMPLATES / f"{name}.yaml").read_text(), Loader=Template)


def walk(value, key=None):
    yield key, value
    for k, v in value.items() if isinstance(value, dict) else [(key, v) for v in value] if isinstance(value, list) else []:
        yield from walk(v, k)


def of_type(told, kind):
    return {name: r["Properties"] for name, r in told["Resources"].items() if r["Type"] == kind}


def references(told):
    for key, value in walk(told):
        if key == "Ref":
            yield value
        elif key == "Fn::GetAtt":
            yield value.split(".")[0]
        elif key == "Fn::Sub":
            yield from (name.split(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", value))
        elif key == "Condition" and isinstance(value, str) or key == "DependsOn":
            yield value


def module(world, name):
    found = world.judged("terraform", MODULES / name / "main.tf")
    equal(found["formatted"], True, f"{name}: not as terraform fmt lays it out")
    return found["told"]


def the_pattern_takes_the_ends_of_builds(pattern):
    equal((pattern["source"], pattern["detail-type"]), (["aws.codebuild"], ["CodeBuild Build State Change"]))
    for status in sorted(ENDS):
        event = failure_event("web:8a0e7a5c-0000-4000-8000-000000000000", status=status)
        equal((event["source"] in pattern["source"], event["detail-type"] in pattern["detail-type"]), (True, True))
        equal(event["detail"]["build-status"] in pattern.get("detail", {}).get("build-status", ENDS), True)
    equal("IN_PROGRESS" in pattern.get("detail", {}).get("build-status", []), False)


@case
def the_templates_refer_only_to_what_they_have(_world):
    for name in ("deliveries", "service"):
        told = template(name)
        known = set(told["Parameters"]) | set(told["Resources"]) | set(told.get("Conditions", {})) | {f"AWS::{n}" for n in ("Region", "AccountId", "Partition")}
        used = set(references(told))
        equal(len(used) > 5, True)
        equal(sorted(used - known), [])
        equal(sorted(set(told["Parameters"]) - used), [])


def judge_properties(specification, kind, told, known, path):
    """What @told gives beyond or short of the properties @known of @kind, the types of its lists and maps."""
    if "Fn::If" in told or "Ref" in told:
        return []
    found = [f"{path}.{k}: no such property" for k in set(told) - set(known)] + [f"{path}.{k} is missing" for k, s in known.items() if s.get("Required") and k not in told]
    for key, value in told.items():
        shape = known.get(key, {})
        listed = shape.get("Type") == "List"
        if listed != isinstance(value, list) and not (isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))):
            found.append(f"{path}.{key}: {'a list' if listed else 'no list'} was expected")
            continue
        inner = shape.get("ItemType") if listed else shape.get("Type")
        type_name = "Tag" if inner == "Tag" else f"{kind}.{inner}"
        if inner and type_name in specification["PropertyTypes"]:
            for n, v in enumerate(value if listed else [value]):
                if isinstance(v, dict):
                    found += judge_properties(specification, kind, v, specification["PropertyTypes"][type_name].get("Properties", {}), f"{path}.{key}[{n}]")
                else:
                    found.append(f"{path}.{key}: a map was expected")
    return found


def judge_template(specification, told):
    found = []
    for name, resource in told["Resources"].items():
        known = specification["ResourceTypes"].get(resource["Type"])
        found += [f"{name}: no type {resource['Type']}"] if known is None else judge_properties(specification, resource["Type"], resource.get("Properties", {}), known["Properties"], name)
        for key, value in walk(resource):
            if key == "Fn::GetAtt" and isinstance(value, str):
                of, attribute = value.split(".", 1)
                if attribute not in specification["ResourceTypes"].get(told["Resources"][of]["Type"], {}).get("Attributes", {}):
                    found.append(f"{name}: {of} has no attribute {attribute}")
    return found


@case
def every_resource_fits_the_specification_of_cloudformation(world):
    folder = npm_folder(world.build, "cfnspec", ("@aws-cdk/cfnspec@2.72.1",))
    specification = json.loads((folder / "node_modules/@aws-cdk/cfnspec/spec/specification.json").read_text())
    for name in ("deliveries", "service"):
        equal(judge_template(specification, template(name)), [], name)
    wrong = template("deliveries")
    wrong["Resources"]["Connection"]["Properties"]["AuthParameter"] = wrong["Resources"]["Connection"]["Properties"].pop("AuthParameters")
    wrong["Resources"]["BuildsToTopic"]["Properties"]["Targets"][0].pop("Id")
    wrong["Resources"]["DestinationRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"] = {"Fn::GetAtt": "Destination.Name"}
    equal(len(judge_template(specification, wrong)) in (3, 4), True)


@case
def cfn_lint_has_nothing_to_say_where_it_is_installed(_world):
    if shutil.which("cfn-lint") is None:
        raise cases.Skipped("cfn-lint is not installed; the case before this one holds the templates to CloudFormation's own specification")
    r = subprocess.run(["cfn-lint", *map(str, sorted(TEMPLATES.glob("*.yaml")))], capture_output=True, text=True, check=False)
    equal((r.returncode, r.stdout), (0, ""))


@case
def deliveries_are_retried_for_six_hours_and_then_kept(_world):
    told = template("deliveries")
    rules = of_type(told, "AWS::Events::Rule")
    equal(len(rules), 2)
    for rule in rules.values():
        the_pattern_takes_the_ends_of_builds({**rule["EventPattern"]})
        target = rule["Targets"][0]
        equal(target["RetryPolicy"], {"MaximumEventAgeInSeconds": 6 * 3600, "MaximumRetryAttempts": 185})
        equal(target["DeadLetterConfig"], {"Arn": {"Fn::GetAtt": "DeadLetters.Arn"}})
    destination = of_type(told, "AWS::Events::ApiDestination")["Destination"]
    equal(destination["InvocationEndpoint"], {"Fn::Sub": "${Endpoint}/v1/hooks/eventbridge"})
    key = of_type(told, "AWS::Events::Connection")["Connection"]["AuthParameters"]["ApiKeyAuthParameters"]
    equal((key, told["Parameters"]["Key"]["NoEcho"]), ({"ApiKeyName": "x-retrybuild-key", "ApiKeyValue": {"Ref": "Key"}}, True))
    subscription = of_type(told, "AWS::SNS::Subscription")["Subscription"]
    equal((subscription["FilterPolicyScope"], set(subscription["FilterPolicy"]["detail"]["build-status"])), ("MessageBody", ENDS))
    policy = subscription["DeliveryPolicy"]["healthyRetryPolicy"]
    equal((policy["numRetries"] <= 100, policy["numNoDelayRetries"] + policy["numMinDelayRetries"] + policy["numMaxDelayRetries"] <= policy["numRetries"]), (True, True))
    equal(policy["numRetries"] * policy["maxDelayTarget"] <= 3600, True)


@case
def the_task_may_do_what_the_program_calls_and_no_more(_world):
    told = template("service")
    statements = of_type(told, "AWS::IAM::Role")["TaskRole"]["Policies"][0]["PolicyDocument"]["Statement"]
    granted = set()
    for s in statements:
        granted |= set(s["Action"] if isinstance(s["Action"], list) else [s["Action"]])
        equal(s["Resource"] != "*" and "${Projects}" in s["Resource"]["Fn::Sub"], True)
    equal(granted, ALLOWED)
    for _, role in of_type(told, "AWS::IAM::Role").items():
        for s in [s for p in role["Policies"] for s in p["PolicyDocument"]["Statement"]]:
            equal([a for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"]) if fnmatch.fnmatch(a, "*[*]*")], [])


def hold_the_container_against_the_program(world, container, configuration, secrets, image=DEPLOY / "docker/Dockerfile"):
    settings, _ = world.check(configuration, env=ENV)
    equal(secrets, set(ENV))
    equal({e for e in ENV if e in configuration}, set(ENV))
    equal(container["portMappings"][0]["containerPort"], int(settings["listen"]["address"].rsplit(":", 1)[1]))
    equal((f"USER {container['user']}\n" in image.read_text(), f"VOLUME [\"{container['mountPoints'][0]['containerPath']}\"]\n" in image.read_text()), (True, True))
    equal((settings["store"]["url"].startswith("rediss://"), container["stopTimeout"] > 25), (True, True))
    script = container["command"][0].replace("exec retrybuild", f"exec {world.binary}").replace("serve --config", "check-config --config")
    r = subprocess.run([*container["entryPoint"], script], capture_output=True, text=True, check=False,
                       env={**ENV, "STATE_DIRECTORY": world.folder.name, "RETRYBUILD_YAML": configuration})
    equal(r.returncode, 0, r.stdout + r.stderr)


@case
def the_task_starts_with_a_configuration_that_the_program_reads(world):
    told = template("service")
    container = of_type(told, "AWS::ECS::TaskDefinition")["Task"]["ContainerDefinitions"][0]
    values = {"Redis.PrimaryEndPoint.Address": "redis.example.com", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012", "Projects": "web-*"}
    configuration = re.sub(r"\$\{([^!}]+)\}", lambda m: values[m.group(1)], container["Environment"][0]["Value"]["Fn::Sub"])
    lower = {k[0].lower() + k[1:]: v for k, v in container.items()}
    lower["portMappings"] = [{"containerPort": p["ContainerPort"]} for p in container["PortMappings"]]
    lower["mountPoints"] = [{"containerPath": p["ContainerPath"]} for p in container["MountPoints"]]
    hold_the_container_against_the_program(world, lower, configuration, {s["Name"] for s in container["Secrets"]})
    equal(of_type(told, "AWS::ElasticLoadBalancingV2::TargetGroup")["TaskTargets"]["HealthCheckPath"], "/readyz")
    equal(of_type(told, "AWS::ElastiCache::ParameterGroup")["RedisParameters"]["Properties"], {"maxmemory-policy": "noeviction"})


@case
def terraform_says_what_cloudformation_says(world):
    resources = module(world, "deliveries")["resource"]
    source = (MODULES / "deliveries/main.tf").read_text()
    equal(set(re.search(r"statuses = (\[.*\])", source).group(1).strip("[]").replace('"', "").split(", ")), ENDS)
    target = resources["aws_cloudwatch_event_target"]["builds"][0]
    equal(target["retry_policy"], [{"maximum_event_age_in_seconds": 21600, "maximum_retry_attempts": 185}])
    equal(resources["aws_cloudwatch_event_connection"]["service"][0]["auth_parameters"][0]["api_key"][0]["key"], "x-retrybuild-key")
    equal(resources["aws_cloudwatch_event_api_destination"]["service"][0]["invocation_endpoint"], "${var.endpoint}/v1/hooks/eventbridge")

    told = module(world, "service")
    source = (MODULES / "service/main.tf").read_text()
    policy = re.search(r'resource "aws_iam_role_policy" "task".*?\n}\n', source, re.S).group(0)
    equal(set(re.findall(r'"((?:codebuild|logs):[A-Za-z]+)"', policy)), ALLOWED)
    equal('Resource = "*"' in source, False)
    values = {"aws_elasticache_replication_group.redis.primary_endpoint_address": "redis.example.com", "data.aws_region.own.name": "us-east-1",
              "data.aws_caller_identity.own.account_id": "123456789012", "var.projects": "web-*"}
    configuration = re.sub(r"\$\{([^}]+)\}", lambda m: values[m.group(1)], told["locals"][0]["configuration"])
    command = json.loads(re.search(r"(?m)^\s*command\s+= (\[.*\])$", source).group(1))
    container = {"entryPoint": ["/bin/sh", "-c"], "command": command, "portMappings": [{"containerPort": int(re.search(r"containerPort = (\d+)", source).group(1))}],
                 "user": re.search(r'user\s+= "(.*)"', source).group(1), "mountPoints": [{"containerPath": re.search(r'containerPath = "(.*?)"', source).group(1)}],
                 "stopTimeout": int(re.search(r"stopTimeout\s+= (\d+)", source).group(1))}
    hold_the_container_against_the_program(world, container, configuration, set(told["locals"][0]["secrets"]))


@case
def terraform_refers_only_to_what_it_has(_world):
    for name in ("deliveries", "service"):
        source = re.sub(r"(?m)#.*$", "", (MODULES / name / "main.tf").read_text())
        resources = set(re.findall(r'resource "(\w+)" "(\w+)"', source))
        data = set(re.findall(r'data "(\w+)" "(\w+)"', source))
        variables = set(re.findall(r'variable "(\w+)"', source))
        equal(sorted(set(re.findall(r"\bvar\.(\w+)", source)) ^ variables), [])
        equal(sorted(set(re.findall(r"\bdata\.(aws_\w+)\.(\w+)", source)) - data), [])
        used = {(t, n) for t, n in re.findall(r"(?<![\w.\"])((?:aws|random)_\w+)\.(\w+)", source)}
        equal((len(used) > 3, sorted(used - resources)), (True, []))


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
