"""A list of cases that run one after another: functions registered by @case, each with a sentence for a name."""
import argparse
import pathlib
import sys
import time
import traceback

CASES = []


class Skipped(Exception):
    """Raised by a case that cannot run here, with the reason: it is told and not counted as passed."""


def case(function):
    CASES.append(function)
    return function


def both(function):
    """The case on each store."""
    for kind in ["sqlite", "redis"]:
        def on(world, kind=kind):
            function(world, kind)
        on.__name__ = f"{function.__name__}_on_{kind}"
        case(on)
    return function


def main(description, setup=None, teardown=None):
    """Run every case with what `setup(build)` gave; print the verdicts and the closing line."""
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--build", required=True, type=pathlib.Path)
    p.add_argument("--only", default="", help="run only cases whose name holds this")
    args = p.parse_args()
    passed = failed = skipped = 0
    world = setup(args.build) if setup else args.build
    try:
        for c in CASES:
            if args.only not in c.__name__:
                continue
            started = time.monotonic()
            try:
                c(world)
                passed += 1
                print(f"ok   {c.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except Skipped as why:
                skipped += 1
                print(f"skip {c.__name__}: {why}", flush=True)
            except Exception:
                failed += 1
                print(f"FAIL {c.__name__}", flush=True)
                traceback.print_exc(file=sys.stdout)
    finally:
        if teardown:
            teardown(world)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or passed + skipped == 0 else 0)
