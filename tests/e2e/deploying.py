"""What the tests of deploy/ share: its folders, commands, configurations held against the program, judges in JavaScript."""
import os
import pathlib
import re
import subprocess
import tempfile

import yaml

import cases
import js_client
from sim_harness import equal

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
JUDGES = ("kubernetes-models@4.5.1", "dockerfile-utils@0.16.3", "@cdktf/hcl-tools@0.21.0", "@cdktf/hcl2json@0.21.0")


class World:
    def __init__(self, build):
        self.build = build
        self.binary = str(build.resolve() / "cmd/retrybuild/retrybuild")
        self.folder = tempfile.TemporaryDirectory(prefix="rb-deploy-")

    def stop(self):
        self.folder.cleanup()

    def path(self, name, text):
        path = pathlib.Path(self.folder.name, name)
        path.write_text(text, encoding="utf-8")
        return path

    def check(self, text, folder="/nowhere", env=None):
        """check-config on it, with files of our own where @folder, a place of the container, has its secrets."""
        named = set(re.findall(re.escape(folder) + r"/([\w.-]+)", text))
        for name in named:
            self.path(name, "made-for-this-check-0123456789\n")
        config = self.path("checked.yaml", text.replace(folder, self.folder.name))
        r = subprocess.run([self.binary, "check-config", "--config", str(config)], capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
        equal(r.returncode, 0, r.stdout + r.stderr)
        return yaml.safe_load(text), named

    def judged(self, job, path):
        return js_client.told(npm_folder(self.build, "deploy-js", JUDGES), "deploy_js.mjs", job, str(path))


def npm_folder(build, name, packages, options=()):
    folder, why = js_client.installed(build, name, packages, options)
    if folder is None:
        raise cases.Skipped(why)
    return folder


def output(*words):
    r = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, env={**os.environ, "HOME": "/nonexistent"})
    equal((r.returncode, r.stderr), (0, ""))
    return r.stdout
