#!/usr/bin/python3
"""The command line at work on many retries, on terminals of any width, and completed by bash, zsh and fish."""
import fcntl
import os
import pathlib
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
import serving  # noqa: E402
from cases import case  # noqa: E402
from service import KEY, TOKEN, failure_event  # noqa: E402
from sim_harness import equal  # noqa: E402

EXTRA = serving.QUIET + "rules: [{name: ask-first-whoever-it-is, when: {project: [held-*]}, then: ask}, {name: later, delay: {fixed: 1h}}]\n"


class World:
    def __init__(self, build):
        self.binary = str((build / "cmd/retrybuild/retrybuild").resolve())
        self.service = serving.make(self.binary, EXTRA).start()
        self.bin = tempfile.TemporaryDirectory(prefix="rb-bin-")
        os.symlink(self.binary, f"{self.bin.name}/retrybuild")
        self.env = {**os.environ, "RETRYBUILD_URL": f"http://127.0.0.1:{self.service.port}", "RETRYBUILD_TOKEN": TOKEN, "NO_COLOR": "1",
                    "PATH": f"{self.bin.name}:{os.environ['PATH']}", "HOME": self.bin.name}

    def run(self, *words, code=0):
        r = subprocess.run([self.binary, *words], capture_output=True, text=True, env=self.env, timeout=60, check=False)
        equal(r.returncode, code, f"{words}: {r.stdout[-300:]} {r.stderr[-300:]}")
        return r.stdout, r.stderr

    def new(self, project):
        status, _, text = self.service.request("POST", "/v1/hooks/eventbridge", failure_event(f"{project}:{service.uuid.uuid4()}"), {"x-retrybuild-key": KEY})
        equal(status, 202, text)
        return re.search(r"rty_\w+", text).group(0)

    def state(self, retry_id):
        return self.service.api("GET", f"/v1/retries/{retry_id}")[1]["state"]

    def shell(self, *words):
        r = subprocess.run(words, capture_output=True, text=True, env=self.env, timeout=60, check=False)
        equal(r.returncode, 0, r.stderr)
        return r.stdout

    def stop(self):
        self.bin.cleanup()
        equal(self.service.stop(), 0)


# ---- many at once ----

@case
def a_bulk_verb_needs_ids_or_a_filter_or_all(w):
    for verb in ("approve", "deny", "cancel", "requeue"):
        _, err = w.run(verb, code=2)
        equal("--all" in err, True, err)
        w.run(verb, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--all", code=2)
        w.run(verb, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--project", "x", code=2)
        w.run(verb, "--state", "held" if verb != "requeue" else "dead", code=2)
        _, err = w.run(verb, "--state", "recovered", "--all", code=2)
        equal("recovered" in err, True, err)


@case
def a_filter_takes_what_it_says_and_no_more(w):
    mine = [w.new("held-a") for _ in range(3)]
    other = w.new("held-b")
    out, err = w.run("approve", "--project", "held-a", "--dry-run")
    equal((sorted(out.split("\n")[:-1]), err), (sorted(f"would approve {i}" for i in mine), "3 would be approved\n"))
    equal({w.state(i) for i in mine}, {"held"})
    out, err = w.run("approve", "--project", "held-a")
    equal((len(out.splitlines()), err), (3, "3 approved\n"))
    equal(({w.state(i) for i in mine}, w.state(other)), ({"scheduled"}, "held"))
    equal(w.run("deny", "--all")[1], "1 denied\n")
    equal(w.state(other), "cancelled")


@case
def cancel_of_all_takes_every_state_that_waits(w):
    w.run("cancel", "--all")
    ids = [w.new("held-c"), w.new("plain-c"), w.new("plain-c")]
    out, err = w.run("cancel", "--all", "--dry-run")
    equal((len(out.splitlines()), err), (3, "3 would be cancelled\n"))
    equal(w.run("cancel", "--state", "held", "--all")[1], "1 cancelled\n")
    equal(w.run("cancel", "--since", "1h", "--source", "eventbridge")[1], "2 cancelled\n")
    equal({w.state(i) for i in ids}, {"cancelled"})
    equal(w.run("cancel", "--project", "plain-c")[1], "0 cancelled\n")


@case
def more_than_a_page_is_taken_to_its_end(w):
    for _ in range(205):
        w.new("held-many")
    equal(w.run("deny", "--project", "held-many", "--dry-run")[1], "205 would be denied\n")
    equal(w.run("deny", "--project", "held-many")[1], "205 denied\n")
    equal(w.run("deny", "--project", "held-many")[1], "0 denied\n")


@case
def one_that_cannot_does_not_stop_the_others(w):
    first, second = w.new("held-d"), w.new("held-d")
    out, err = w.run("approve", first, "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", second, code=1)
    equal((len(out.splitlines()), "404" in err), (2, True), err)


@case
def without_the_right_nothing_is_done(w):
    held = w.new("held-e")
    env = {**w.env, "RETRYBUILD_TOKEN": f"viewer-{TOKEN}"}
    r = subprocess.run([w.binary, "deny", "--all"], capture_output=True, text=True, env=env, timeout=60, check=False)
    equal((r.returncode, r.stderr.count("403"), w.state(held)), (77, 1, "held"), r.stderr)


# ---- terminals ----

def on_a_terminal(w, columns, *words):
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([w.binary, *words], stdout=theirs, stderr=subprocess.DEVNULL, stdin=theirs, env=w.env) as p:
        os.close(theirs)
        got = b""
        while piece := read(mine):
            got += piece
        equal(p.wait(timeout=30), 0)
    os.close(mine)
    return got.decode().replace("\r\n", "\n").splitlines()


def read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


@case
def a_table_fits_the_terminal(w):
    w.new("held-" + "long-name-" * 5)
    for columns in (74, 80, 90, 100, 120, 200):
        lines = on_a_terminal(w, columns, "list", "--limit", "5")
        equal(len(lines) >= 2, True, lines)
        equal([line for line in lines if len(line) > columns], [], columns)
        equal("RULE" in lines[0], columns >= 90, lines[0])
    equal(len(w.run("list", "--limit", "5")[0].splitlines()[0]) > 100, True)


@case
def statistics_fit_eighty_columns(w):
    for line in on_a_terminal(w, 80, "stats"):
        equal(len(line) <= 80, True, line)


# ---- completion ----

def script(w, shell):
    file = pathlib.Path(w.bin.name) / f"completion.{shell}"
    file.write_text(w.run("completion", shell)[0])
    return str(file)


@case
def bash_completes_commands_options_and_shells(w):
    file = script(w, "bash")
    w.shell("bash", "-n", file)
    ask = f'source {file}; COMP_WORDS=($0 "$@"); COMP_CWORD=$(($#)); _retrybuild; printf "%s\\n" "${{COMPREPLY[@]}}"'
    equal(w.shell("bash", "-c", ask, "retrybuild", "app").split(), ["approve"])
    equal(w.shell("bash", "-c", ask, "retrybuild", "re").split(), ["requeue", "resume", "retry"])
    equal(w.shell("bash", "-c", ask, "retrybuild", "cancel", "--dr").split(), ["--dry-run"])
    equal(w.shell("bash", "-c", ask, "retrybuild", "completion", "f").split(), ["fish"])


@case
def fish_completes_commands_and_options(w):
    equal(shutil.which("fish") is not None, True, "fish is not installed")
    file = script(w, "fish")
    w.shell("fish", "-n", file)
    told = w.shell("fish", "-c", f"source {file}; complete -C 'retrybuild app'")
    equal([line.split("\t")[0] for line in told.splitlines()], ["approve"])
    told = w.shell("fish", "-c", f"source {file}; complete -C 'retrybuild cancel --dr'")
    equal([line.split("\t")[0] for line in told.splitlines()], ["--dry-run"])


@case
def zsh_completes_commands_and_options(w):
    equal(shutil.which("zsh") is not None, True, "zsh is not installed")
    file = script(w, "zsh")
    w.shell("zsh", "-n", file)
    ask = ("compdef() {{ bound=\"$*\" }}; _describe() {{ print -l -- \"${{(@P)2}}\" }}; compadd() {{ print -l -- \"$@\" }}; _files() {{ print files }}; source {}; "
           "words=({}); CURRENT={}; _retrybuild; print -- \"bound $bound\"")
    told = w.shell("zsh", "-fc", ask.format(file, "retrybuild ''", 2)).splitlines()
    equal(("bound _retrybuild retrybuild" in told, len(told) >= 18), (True, True), told)
    equal([line for line in told if line.startswith("approve:")], ["approve:let a held retry go ahead"])
    told = w.shell("zsh", "-fc", ask.format(file, "retrybuild cancel --", 3))
    equal("--dry-run:only say what would be done" in told, True, told)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
