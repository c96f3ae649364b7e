#!/usr/bin/python3
"""Run the unit tests of a build folder and count test functions, not programs: units.py BUILD [--multiplier N].

A cmocka program says how many tests it runs and which came through; what it did not report (it crashed, it ran out of time) has failed.
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

RUNNING = re.compile(r"^\[=+\] (?:\w[\w .:-]*: )?Running (\d+) test", re.M)
PASSED = re.compile(r"^\[ +OK +\] ", re.M)
SKIPPED = re.compile(r"^\[ +SKIPPED +\] (?!\d)", re.M)
SHOWN_LINES = 60


def count(entry):
    """(passed, failed) of one line of meson's test log."""
    output = (entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")
    good = entry["result"] in ("OK", "EXPECTEDFAIL")
    announced = sum(int(n) for n in RUNNING.findall(output))
    if entry["result"] == "SKIP":
        return 0, 1
    if not announced:
        return (1, 0) if good else (0, 1)
    passed = len(PASSED.findall(output))
    failed = max(announced - passed - len(SKIPPED.findall(output)), 0)
    return passed, failed if good else max(failed, 1)


def report(entry):
    output = ((entry.get("stdout") or "") + "\n" + (entry.get("stderr") or "")).strip().splitlines()
    lines = [line for line in output if not re.match(r"\[ +(?:RUN|OK) +\]", line)]
    print(f"--- {entry['name']}: {entry['result']}")
    print("\n".join(lines[-SHOWN_LINES:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--multiplier", default="1", help="of every test's time limit")
    args = parser.parse_args()
    log = args.build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    command = ["meson", "test", "-C", str(args.build), "--no-rebuild", "--num-processes", "2", "--timeout-multiplier", args.multiplier]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []
    passed = failed = 0
    for entry in entries:
        good, bad = count(entry)
        passed += good
        failed += bad
        if bad:
            report(entry)
    if not entries or (done.returncode and not failed):
        print(done.stdout[-4000:])
        failed += 1
    slowest = sorted(entries, key=lambda e: -e["duration"])[:3]
    print(f"{len(entries)} programs; slowest: " + ", ".join(f"{e['name']} {e['duration']:.1f} s" for e in slowest))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
