#!/usr/bin/python3
"""The model of the once-only call, searched to its end by spin: with all rules no state has a second build, and each rule that is dropped has
one. usage: test_once_only.py [--build DIR] [--only NAME] [--wide]

--wide adds the larger bounds (minutes, and some gigabytes).
"""
import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "once_only.pml"

# name, macros, whether a second build must be found
CASES = [
    ("all_rules_hold", "", False),
    ("one_copy_holds_where_signatures_outlive_tokens", "ONE_COPY SIGNATURE=9 LEASES=3 END=14", False),
    ("the_quarantine_holds_when_the_store_forgets", "FORGETS QUARANTINE LEASES=2 END=11", False),
    ("signing_each_copy_anew_is_found", "RESIGN", True),
    ("no_look_before_a_new_attempt_is_found", "BLIND", True),
    ("concluding_too_early_is_found", "HASTY", True),
    ("unfenced_writes_are_found", "UNFENCED ATTEMPTS=3 LEASES=5 END=16", True),
    ("a_store_that_forgets_without_quarantine_is_found", "FORGETS LEASES=2 END=11", True),
    ("signatures_that_outlive_tokens_are_found", "SIGNATURE=9 LEASES=3 END=12", True),
]
WIDE = [
    ("all_rules_hold_with_more_leases_and_attempts", "RESEND=3 ATTEMPTS=3 LEASES=4 END=16", False),
    ("the_quarantine_holds_with_more_leases", "FORGETS QUARANTINE LEASES=3 END=13", False),
]


def run(argv, cwd):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
    return done.stdout


def search(macros):
    """(second build found, states) of one search; a search that did not reach its end is an error."""
    with tempfile.TemporaryDirectory(prefix="once-only-") as d:
        run(["spin", *[f"-D{m}" for m in macros.split()], "-a", str(MODEL)], d)
        run(["gcc", "-O2", "-w", "-DCOLLAPSE", "-DSAFETY", "-DVECTORSZ=512", "-o", "pan", "pan.c"], d)
        out = run(["./pan", "-E", "-m400000", "-w24"], d)
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"([\d.e+]+) states, stored", out)
    if errors is None or states is None or "max search depth too small" in out or "out of memory" in out:
        raise RuntimeError("the search did not end by itself: " + out[-400:])
    return int(errors.group(1)) > 0, int(float(states.group(1)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", help="ignored: the model has no build")
    p.add_argument("--only", default="")
    p.add_argument("--wide", action="store_true")
    args = p.parse_args()
    passed = failed = 0
    for name, macros, expected in CASES + (WIDE if args.wide else []):
        if args.only and args.only != name:
            continue
        started = time.monotonic()
        try:
            found, states = search(macros)
            good = found == expected
            what = f"{states} states, " + ("a second build" if found else "no second build")
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
            good, what = False, str(e)
        passed += good
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name} ({what}; {time.monotonic() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
