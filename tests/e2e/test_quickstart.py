#!/usr/bin/python3
"""deploy/quickstart: the real programs bring a failed build back; a program that dies is told; nothing stays behind."""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 150


class Failure(Exception):
    pass


def expect(condition, what):
    if not condition:
        raise Failure(what)


class Run:
    """One quickstart in its own process group and temporary folder."""

    def __init__(self, *words):
        self.folder = tempfile.TemporaryDirectory(prefix="qs-")
        environment = dict(os.environ, TMPDIR=self.folder.name)
        self.process = subprocess.Popen([ROOT / "deploy" / "quickstart", *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True)
        self.output = ""

    def read_until(self, text):
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        raise Failure(f"'{text}' never came:\n{self.output}")

    def end(self):
        """Wait for the end; check that neither files nor processes are left."""
        try:
            rest, _ = self.process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired as problem:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise Failure(f"did not end within {LIMIT_SECONDS} s:\n{self.output}") from problem
        self.output += rest
        left = os.listdir(self.folder.name)
        expect(not left, f"left behind: {left}\n{self.output}")
        deadline = time.monotonic() + 5
        while alive(self.process.pid):
            expect(time.monotonic() < deadline, f"a process was left running\n{self.output}")
            time.sleep(0.05)
        self.folder.cleanup()
        return self.process.returncode


def alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def stand_in(folder, sim, server):
    """A build folder whose two programs are these shell scripts."""
    for name, script in (("codebuild-sim", sim), ("retrybuild", server)):
        path = Path(folder, "cmd", name, name)
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n" + script, encoding="utf-8")
        path.chmod(0o755)
    return folder


def a_failed_build_recovers_and_the_script_ends_with_0(build):
    run = Run("--once", "--build", build)
    status = run.end()
    expect(status == 0, f"status {status}\n{run.output}")
    states = re.findall(r"^  \d\d:\d\d:\d\d\.\d{3}  (\w+)", run.output, re.M)
    steps = [s for s in states if s in ("scheduled", "submitting", "running", "recovered")]
    expect(list(dict.fromkeys(steps)) == ["scheduled", "submitting", "running", "recovered"], f"states {states}\n{run.output}")
    expect("decision  retry, rule 'host-did-not-come-up'" in run.output, run.output)
    expect("FAILED in PROVISIONING" in run.output, run.output)


def without_once_it_stays_until_it_is_told_to_end(build):
    run = Run("--build", build)
    run.read_until("Ctrl-C ends everything")
    expect("retrybuild list" in run.output, f"no commands to try\n{run.output}")
    expect(run.process.poll() is None, f"did not stay\n{run.output}")
    os.kill(run.process.pid, signal.SIGTERM)
    status = run.end()
    expect(status == 0, f"status {status}\n{run.output}")


def a_simulator_that_does_not_start_is_told_with_its_log(_):
    with tempfile.TemporaryDirectory() as folder:
        run = Run("--once", "--build", stand_in(folder, "echo no address left >&2; exit 3\n", "exit 0\n"))
        status = run.end()
    expect(status == 1, f"status {status}\n{run.output}")
    expect("no address left" in run.output and "codebuild-sim did not start" in run.output, run.output)


def a_service_that_does_not_start_is_told_with_its_log(_):
    sim = "echo listening on http://127.0.0.1:9\nexec sleep 60\n"
    with tempfile.TemporaryDirectory() as folder:
        run = Run("--once", "--build", stand_in(folder, sim, "echo the file has no key >&2; exit 78\n"))
        status = run.end()
    expect(status == 1, f"status {status}\n{run.output}")
    expect("the file has no key" in run.output and "retrybuild did not start" in run.output, run.output)


def a_simulator_that_does_not_answer_is_told(_):
    sim = "echo listening on http://127.0.0.1:9\nexec sleep 60\n"
    server = "echo listening on http://127.0.0.1:9\nexec sleep 60\n"
    with tempfile.TemporaryDirectory() as folder:
        run = Run("--once", "--build", stand_in(folder, sim, server))
        status = run.end()
    expect(status == 1, f"status {status}\n{run.output}")
    expect("refused StartBuild" in run.output, run.output)


def a_wrong_word_is_a_usage_error(_):
    run = Run("--twice")
    expect(run.end() == 2, run.output)
    expect("usage: deploy/quickstart" in run.output, run.output)


TESTS = [
    a_failed_build_recovers_and_the_script_ends_with_0,
    without_once_it_stays_until_it_is_told_to_end,
    a_simulator_that_does_not_start_is_told_with_its_log,
    a_service_that_does_not_start_is_told_with_its_log,
    a_simulator_that_does_not_answer_is_told,
    a_wrong_word_is_a_usage_error,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    failed = 0
    for test in TESTS:
        try:
            test(build)
            print(f"ok     {test.__name__}", flush=True)
        except Failure as problem:
            failed += 1
            print(f"FAILED {test.__name__}: {problem}", flush=True)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
