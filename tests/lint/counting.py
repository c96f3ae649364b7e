"""What tests/units.py counts: a test function that did not report has failed, whatever its program said at the end."""
import importlib.util
import json
import sys
from pathlib import Path

import common

RUN = "[==========] Running {} test(s).\n"
OK = "[       OK ] a\n"
BAD = "[  FAILED  ] b\n"
EXPECTED = [  # result, output, passed, failed
    ("OK", RUN.format(2) + OK + OK, 2, 0),
    ("OK", "[==========] store: Running 1 test(s).\n" + OK + RUN.format(1) + OK, 2, 0),
    ("FAIL", RUN.format(2) + OK + BAD, 1, 1),
    ("FAIL", RUN.format(3) + OK, 1, 2),
    ("TIMEOUT", RUN.format(2) + OK, 1, 1),
    ("FAIL", RUN.format(1) + OK, 1, 1),
    ("OK", RUN.format(2) + OK, 1, 1),
    ("OK", "", 1, 0),
    ("FAIL", "", 0, 1),
    ("SKIP", "", 0, 1),
]


def load(root):
    spec = importlib.util.spec_from_file_location("units", Path(root, "tests", "units.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(root):
    if not Path(root, "tests", "units.py").is_file():
        return []
    units = load(root)
    problems = []
    for result, output, passed, failed in EXPECTED:
        found = units.count({"name": "x", "result": result, "stdout": output})
        if found != (passed, failed):
            problems.append(f"tests/units.py: {result} {json.dumps(output)} counts as {found}, not {(passed, failed)}")
    return problems


CASES = [
    ("a count that believes the program", {"tests/units.py": "def count(entry):\n    return (2, 0)\n"}, "counts as (2, 0), not (1, 1)"),
]

if __name__ == "__main__":
    sys.dont_write_bytecode = True
    common.main(check, CASES)
