"""The tail stays short: no file over 450 lines, no function over 80.

sizes.allow may list an exception ("path" or "path:function", then a blank and the reason); an entry that is no longer needed is
itself a problem.
"""
import re
from pathlib import Path

import common

MAX_FILE = 450
MAX_FUNCTION = 80
ALLOW = "tests/lint/sizes.allow"


def functions(source):
    """(name, first line, lines) of each function; clang-format puts its braces alone at the first column."""
    lines = common.blank(source).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            head = "\n".join(lines[max(0, start - 12):start - 1])
            names = re.findall(r"\b(\w+)\s*\(", head[max(head.rfind("\n}"), head.rfind(";"), 0):])
            yield (names[0] if names else "?"), start, number - start + 1
            start = None


def check(root):
    allow_file = Path(root, ALLOW)
    allowed = {}
    if allow_file.is_file():
        for line in allow_file.read_text(encoding="utf-8").splitlines():
            if line.strip() and not line.startswith("#"):
                allowed[line.split()[0]] = len(line.split()) > 1
    problems = [f"{ALLOW}: '{key}' gives no reason" for key, reason in allowed.items() if not reason]
    grown = {}
    for f in common.files(root):
        kind = common.script_kind(f)
        if f.suffix not in common.C_SUFFIXES and kind is None:
            continue
        source = common.text(f) or ""
        path = common.name(root, f)
        count = source.count("\n")
        if count > MAX_FILE:
            grown[path] = f"{path}: {count} lines, more than {MAX_FILE}: split it by job"
        if f.suffix in common.C_SUFFIXES:
            for function, line, length in functions(source):
                if length > MAX_FUNCTION:
                    grown[f"{path}:{function}"] = f"{path}:{line}: {function} has {length} lines, more than {MAX_FUNCTION}"
    problems += [what for key, what in grown.items() if key not in allowed]
    problems += [f"{ALLOW}: '{key}' is not needed any more" for key in allowed if key not in grown]
    return problems


LONG = "int f(void)\n{\n" + "    x();\n" * 79 + "}\n"
CASES = [
    ("a long function", {"lib/util/a.c": LONG}, "lib/util/a.c:2: f has 81 lines"),
    ("a long file", {"tests/e2e/test_a.py": "x = 1\n" * 451}, "451 lines"),
    ("a long script", {"deploy/go": "#!/bin/bash\n" + ":\n" * 450}, "451 lines"),
    ("an exception without a reason", {"lib/util/a.c": LONG, ALLOW: "lib/util/a.c:f\n"}, "gives no reason"),
    ("an exception that nothing needs", {"lib/util/a.c": "int x;\n", ALLOW: "lib/util/a.c:f a table\n"}, "is not needed any more"),
    ("just short enough, and one with a reason", {
        "lib/util/a.c": LONG.replace("    x();\n", "", 1), "lib/util/b.c": "int x;\n" * 450, "lib/util/c.c": LONG,
        "tests/data/long.json": "[]\n" * 500, ALLOW: "# reasons\nlib/util/c.c:f one step of a parser a line\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
