#!/usr/bin/python3
"""GET /v1/events: each change of a retry's state reaches every reader, whatever process made it."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from service import TOKEN, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402


AT_ONCE = "rules: [{name: at-once, delay: {fixed: 0s}, limit: 2}]\n"


class Reader:
    """A connection that follows the events in a thread."""

    def __init__(self, s, token=TOKEN, **headers):
        self.http = http.client.HTTPConnection("127.0.0.1", s.port, timeout=60)
        self.http.request("GET", "/v1/events", headers={"Authorization": f"Bearer {token}", **headers})
        self.answer = self.http.getresponse()
        self.events, self.ended = [], False
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        event = {}
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                name, _, value = line.partition(": ")
                if line == "" and "data" in event:
                    self.events.append(event)
                    event = {}
                elif name in ("id", "event", "data"):
                    event[name] = value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.ended = True

    def states(self, retry_id):
        seen = [json.loads(e["data"]) for e in self.events if e["event"] == "retry"]
        return [d["state"] for d in seen if d["retry"]["id"] == retry_id]

    def close(self):
        if self.http.sock is not None:
            self.http.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.http.close()


def recovered_by(world, s, project):
    build = world.failed_build(project)
    retry_id = life.deliver(s, life.event_of(build))[1]["retry"]
    life.reach(s, retry_id, "recovered")
    return retry_id


EVERY_STATE = ["scheduled", "submitting", "running", "recovered"]


@both
def every_state_is_told_once_and_in_order(world, kind):
    with world.serving(kind, AT_ONCE) as s:
        first = Reader(s)
        equal(first.answer.status, 200)
        equal(first.answer.getheader("Content-Type"), "text/event-stream")
        retry_id = recovered_by(world, s, "flaky")
        wait_until("the last event", lambda: first.states(retry_id)[-1:] == ["recovered"])
        seen = first.states(retry_id)
        equal([x for i, x in enumerate(seen) if i == 0 or seen[i - 1] != x], EVERY_STATE)
        last = json.loads(first.events[-1]["data"])
        equal(last["retry"]["state"], "recovered")
        again = Reader(s, **{"Last-Event-ID": first.events[0]["id"]})
        wait_until("what came after", lambda: again.states(retry_id) == seen[1:])
        first.close()
        again.close()


@case
def what_another_process_did_is_told_too(world):
    redis = service.Redis()
    try:
        with world.serving(redis.url, extra="workers: {submit: 0, report: 1}\n") as front, world.serving(redis.url, AT_ONCE) as back:
            reader = Reader(front)
            retry_id = recovered_by(world, back, "flaky")
            wait_until("the last event", lambda: reader.states(retry_id)[-1:] == ["recovered"])
            reader.close()
    finally:
        redis.stop()


@case
def readers_need_a_token_and_do_not_hold_up_the_end(world):
    with world.serving("sqlite") as s:
        nobody = Reader(s, token="not-a-token-of-anybody")
        equal(nobody.answer.status, 401)
        readers = [Reader(s) for _ in range(64)]
        one_more = Reader(s)
        equal(one_more.answer.status, 429)
        started = time.monotonic()
        equal(s.stop(), 0)
        wait_until("the readers to see the end", lambda: all(r.ended for r in readers))
        assert time.monotonic() - started < 15, "the end waited for readers"


@case
def tail_prints_a_line_for_each_until_it_is_interrupted(world):
    with world.serving("sqlite", AT_ONCE) as s:
        env = {**os.environ, "RETRYBUILD_TOKEN": TOKEN, "RETRYBUILD_URL": f"http://127.0.0.1:{s.port}", "NO_COLOR": "1"}
        out = tempfile.TemporaryFile(mode="w+")
        tail = subprocess.Popen([world.build / "cmd/retrybuild/retrybuild", "tail", "--project", "flaky"], env=env, stdout=out, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            retry_id = recovered_by(world, s, "flaky")

            def printed():
                out.seek(0)
                return [line for line in out.read().splitlines() if retry_id in line]
            wait_until("the line of the end", lambda: any(" recovered " in line for line in printed()))
            assert any(" scheduled " in line for line in printed()), printed()
            tail.send_signal(signal.SIGINT)
            equal(tail.wait(10), 0)
        finally:
            tail.kill()
            tail.wait()


@case
def shells_are_told_the_words(world):
    program = world.build / "cmd/retrybuild/retrybuild"

    def run(*words, **more):
        return subprocess.run([program, *words], capture_output=True, text=True, check=False, **more)
    equal(run("list", "--complete").stdout.splitlines()[0].split("\t")[0], "--state")
    assert "tail\t" in run("--complete").stdout
    for shell in ["bash", "zsh", "fish"]:
        equal(run("completion", shell).returncode, 0)
    equal(run("completion", "tcsh").returncode, 2)
    script = run("completion", "bash").stdout + 'COMP_WORDS=(retrybuild list --st); COMP_CWORD=2; _retrybuild; echo "${COMPREPLY[*]}"\n'
    path = f"{program.parent}:{os.environ['PATH']}"
    got = subprocess.run(["bash"], input=script, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
    equal(got.stdout.strip(), "--state", got.stderr)


if __name__ == "__main__":
    cases.main(__doc__, life.World, lambda w: w.sim.stop())
