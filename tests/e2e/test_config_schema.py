#!/usr/bin/python3
"""`check-config --schema` and the manual pages: what loads fits the schema, what the schema refuses is refused, every key has its entry."""
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import jsonschema  # noqa: E402
import yaml  # noqa: E402
from cases import case  # noqa: E402
from sim_harness import equal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data/config"
# What no schema of a single key can tell starts so in NAME.txt: bytes, files, what several keys say together.
TOLD_BY_SCHEMA = ("key-unknown-top", "key-unknown-nested", "key-unknown-far", "key-unknown-in-list", "key-unknown-in-delay", "key-unknown-in-secrets",
                  "bool-yes", "bool-number", "how-unknown", "duration-negative", "duration-without-unit", "duration-fraction", "duration-list-empty",
                  "duration-list-too-long", "delay-forms-mixed", "delay-empty", "delay-text", "int-text", "int-too-large", "int-zero-connections")


class World:
    def __init__(self, build):
        self.build = build
        binary = build / "cmd/retrybuild/retrybuild"
        r = subprocess.run([binary, "check-config", "--schema"], capture_output=True, text=True, timeout=30, check=False)
        equal((r.returncode, r.stderr), (0, ""))
        self.schema = json.loads(r.stdout)
        jsonschema.Draft202012Validator.check_schema(self.schema)
        self.validator = jsonschema.Draft202012Validator(self.schema)

    def wrong(self, text):
        """What the schema says against a document, as sentences; None = it is no YAML that Python reads."""
        try:
            document = yaml.load(text, Loader=yaml.BaseLoader if "!!" in text else Dated)
        except yaml.YAMLError:
            return None
        return [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in self.validator.iter_errors(document)]


class Dated(yaml.SafeLoader):
    """YAML 1.2 as editors read it: a date is text, and so are yes and no."""


Dated.yaml_implicit_resolvers = {first: [(tag, e) for tag, e in rows if not tag.endswith((":timestamp", ":bool", ":int"))]
                                 for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Dated.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Dated.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))


@case
def what_loads_fits_the_schema(w):
    files = sorted((DATA / "good").glob("*.yaml"))
    equal(len(files) >= 12, True)
    for f in [*files, ROOT / "configs/retrybuild.yaml"]:
        equal(w.wrong(f.read_text(encoding="utf-8-sig")), [], f.name)


@case
def configurations_of_the_documents_fit_the_schema(w):
    found = 0
    for document in (ROOT / "README.md", *(ROOT / "deploy").rglob("*.md")):
        for block in re.findall(r"```yaml\n(.*?)```", document.read_text(encoding="utf-8"), re.S):
            content = yaml.load(block, Loader=Dated)
            if isinstance(content, dict) and set(content) <= set(w.schema["properties"]):
                found += 1
                equal(w.wrong(block), [], f"{document.name}: {block[:60]}")
    equal(found >= 3, True, found)


@case
def every_example_behind_a_comment_fits_the_schema(w):
    lines = (ROOT / "configs/retrybuild.yaml").read_text(encoding="utf-8").splitlines()
    keys = {re.match(r"#? ?(\w+):", line).group(1) for line in lines if re.match(r"#? ?\w+:", line)}
    equal(set(w.schema["properties"]) - keys, set())


@case
def what_the_schema_can_tell_it_refuses(w):
    for name in TOLD_BY_SCHEMA:
        told = w.wrong((DATA / f"bad/{name}.yaml").read_text(encoding="utf-8"))
        equal(told != [], True, name)


@case
def secrets_have_their_three_forms(w):
    for text, good in (("api: {tokens: [{name: a, role: viewer, secret_file: f}]}", True), ("api: {tokens: [{name: a, role: viewer, secret_env: F}]}", True),
                       ("api: {tokens: [{name: a, role: admin, secret: s}]}", False), ("sources: [{name: a, type: eventbridge, secrets: [{file: f, env: E}]}]", False),
                       ("sources: [{name: a, type: eventbridge, secrets: [{file: f, not_after: 2027-01-31}]}]", True), ("store: {url_file: f}", True),
                       ("store: {retention_file: f}", False)):
        equal(w.wrong(text) == [], good, text)


def keys_of(properties, path=""):
    """(path, row) of each key; the forms of secrets are no keys of their own."""
    for name, row in properties.items():
        base = re.sub(r"_(file|env)$", "", name)
        if base != name and base in properties:
            continue
        below = row.get("items", row).get("properties")
        if below is not None and "x-reloadable" not in next(iter(below.values())):
            below = None  # a secret's forms
        here = f"{path}{name}" + ("[]" if below is not None and "items" in row else "")
        yield here, row
        if below is not None:
            yield from keys_of(below, f"{here}.")


def page(build, name):
    subprocess.run(["ninja", "-C", str(build), f"deploy/man/{name}"], capture_output=True, timeout=120, check=True)  # of this very source
    data = (build / "deploy/man" / name).read_bytes()
    text = data.decode()
    return text.replace("\\&", "").replace("\\", "")


@case
def the_manual_page_of_the_file_has_every_key(w):
    flat = page(w.build, "retrybuild.yaml.5")
    keys = list(keys_of(w.schema["properties"]))
    equal(len(keys) >= 150, True, len(keys))
    for path, row in keys:
        equal(re.search(rf"^fB{re.escape(path)}fR", flat, re.M) is not None, True, path)
        if "x-default" in row:
            equal(f"default {row['x-default']}" in re.sub(r"\s+", " ", flat).replace(" .br ", " "), True, path)


@case
def the_manual_page_of_the_command_has_every_subcommand_and_option(w):
    source = page(w.build, "retrybuild.1")
    binary = w.build / "cmd/retrybuild/retrybuild"
    usage = subprocess.run([binary, "-h"], capture_output=True, text=True, timeout=30, check=False).stdout
    commands = re.findall(r"^  ([a-z-]+) ", usage, re.M)
    equal(len(commands) >= 17, True, usage)
    for command in commands:
        equal(f"fB{command}fR" in source, True, command)
        told = subprocess.run([binary, command, "-h"], capture_output=True, text=True, timeout=30, check=False).stdout
        for option in re.findall(r"^  (--[a-z-]+)", told, re.M):
            equal(option in source, True, f"{command} {option}")


if __name__ == "__main__":
    cases.main(__doc__, World)
