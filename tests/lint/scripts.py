"""Scripts: shellcheck has nothing to say, Python compiles, and what is meant to be started is executable and strict."""
import os
import subprocess

import common

STRICT = "set -euo pipefail"


def shell(root, paths):
    if not paths:
        return []
    done = subprocess.run(["shellcheck", "--format=gcc", "--external-sources", "--source-path=SCRIPTDIR"] + paths, cwd=root, capture_output=True,
                          text=True, check=False)
    lines = done.stdout.splitlines()
    return lines if lines or not done.returncode else [f"shellcheck: {done.stderr.strip()[:400]}"]


def python(path, source):
    try:
        compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as problem:
        yield f"{path}: {problem}"


def check(root):
    problems = []
    shells = []
    for f in common.files(root):
        kind = common.script_kind(f)
        if kind is None or common.name(root, f).startswith("tests/data/"):
            continue
        path = common.name(root, f)
        source = common.text(f)
        if source is None:
            problems.append(f"{path}: is not UTF-8 text")
            continue
        if kind == "python":
            problems += list(python(path, source))
        else:
            shells.append(path)
            if STRICT not in source:
                problems.append(f"{path}: does not say '{STRICT}'")
        if source.startswith("#!") and not os.access(f, os.X_OK):
            problems.append(f"{path}: has a first line for starting it but is not executable")
    return problems + shell(root, shells)


CASES = [
    ("a script that shellcheck refuses", {"deploy/a": f"#!/bin/bash\n{STRICT}\nrm -rf $1/\n"}, "deploy/a:3"),
    ("a script that goes on after an error", {"deploy/a": "#!/bin/bash\necho a\n"}, "does not say"),
    ("Python that does not compile", {"tests/e2e/test_a.py": "def f(:\n"}, "tests/e2e/test_a.py"),
    ("a script that cannot be started", {"deploy/a": f"#!/bin/bash\n{STRICT}\n"}, "is not executable"),
    ("clean scripts", {"deploy/a.sh": f"# shellcheck shell=bash\n{STRICT}\necho \"$1\"\n", "tests/a.py": "x = 1\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
