#!/usr/bin/python3
"""check-config on broken rules, budgets and the like: each message names the line, the key and what to write instead."""
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402

MINIMUM = 60


def when(text):
    return f"rules:\n  - name: own\n    when: {{{text}}}\n"


def rule(text):
    return f"rules:\n  - {{{text}}}\n"


def top(text):
    return f"mode: auto\n{text}\n"


# (file, line, key, what the message must say to do)
BROKEN = [
    (when("projects: [web]"), 3, "rules[0].when.projects", "did you mean 'project'"),
    (when("brnch: [main]"), 3, "rules[0].when.brnch", "did you mean 'branch'"),
    (when("exit: [1]"), 3, "rules[0].when.exit", "known here are"),
    (when("exitcode: [1]"), 3, "rules[0].when.exitcode", "did you mean 'exit_code'"),
    (when("hour: [Mon]"), 3, "rules[0].when.hour", "did you mean 'hours'"),
    (when("autor: [ann]"), 3, "rules[0].when.autor", "did you mean 'author'"),
    (when("flaki: true"), 3, "rules[0].when.flaki", "did you mean 'flaky'"),
    (when("logs: x"), 3, "rules[0].when.logs", "did you mean 'log'"),
    (when("status: [FAIL]"), 3, "rules[0].when.status", "did you mean 'FAILED'"),
    (when("status: [failed]"), 3, "rules[0].when.status", "did you mean"),
    (when("phase: [BUILDING]"), 3, "rules[0].when.phase", "did you mean"),
    (when("phase: [PREBUILD]"), 3, "rules[0].when.phase", "did you mean 'PRE_BUILD'"),
    (when("phase_status: [TIMEOUT]"), 3, "rules[0].when.phase_status", "did you mean 'TIMED_OUT'"),
    (when("phase: {BUILD: yes}"), 3, "rules[0].when.phase", "expected a list of texts"),
    (when("project: [null]"), 3, "rules[0].when.project", "expected a text"),
    (when("exit_code: [one]"), 3, "rules[0].when.exit_code", 'write 75, "64-78"'),
    (when('exit_code: ["78-64"]'), 3, "rules[0].when.exit_code", 'write "64-78"'),
    (when('exit_code: ["-"]'), 3, "rules[0].when.exit_code", 'write 75, "64-78"'),
    (when("exit_code: [1.5]"), 3, "rules[0].when.exit_code", 'write 75, "64-78"'),
    (when('exit_code: [">1"]'), 3, "rules[0].when.exit_code", 'write 75, "64-78"'),
    (when('exit_code: ["!"]'), 3, "rules[0].when.exit_code", 'write 75, "64-78"'),
    (when("attempt: [first]"), 3, "rules[0].when.attempt", 'write 75, "64-78"'),
    (when("attempt: [0]"), 3, "rules[0].when.attempt", "the first retry of a chain is 1"),
    (when('duration: ["10-20"]'), 3, "rules[0].when.duration", 'write "5m-20m"'),
    (when('duration: ["20m-5m"]'), 3, "rules[0].when.duration", 'write "5m-20m"'),
    (when('duration: ["1h30m"]'), 3, "rules[0].when.duration", 'write "5m-20m"'),
    (when("duration: [600]"), 3, "rules[0].when.duration", 'write "5m-20m"'),
    (when('hours: "8-18"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when('hours: "Mon-Fri 8:00-18:00"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when('hours: "Mon-Fri 08:00-25:00"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when('hours: "Mon-Fri 08:00-18:00 Europe/Berln"'), 3, "rules[0].when.hours", "write one such as Europe/Berlin"),
    (when('hours: "Mon-Fri 08:00-18:00 CEST+"'), 3, "rules[0].when.hours", "write one such as Europe/Berlin"),
    (when('hours: "Monday 08:00-18:00"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when('hours: "Europe/Berlin"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when('hours: "Mon 08:00-08:00"'), 3, "rules[0].when.hours", 'write "Mon-Fri 08:00-18:00 Europe/Berlin"'),
    (when("flaky: yes"), 3, "rules[0].when.flaky", "none of true, false"),
    (when("message: 'a(b'"), 3, "rules[0].when.message", "the expression is wrong at character 4"),
    (when("message: '[a-'"), 3, "rules[0].when.message", "the expression is wrong at character"),
    (when("message: 'exit status 1'"), 3, "rules[0].when.message", "name what is special"),
    (when("message: '.*'"), 3, "rules[0].when.message", "name what is special"),
    (when("message: ''"), 3, "rules[0].when.message", "name what is special"),
    (when("log: 'a)b'"), 3, "rules[0].when.log", "the expression is wrong at character"),
    (when("log: 'exit status [0-9]'"), 3, "rules[0].when.log", "name what is special"),
    (when("log: 'Phase complete'"), 3, "rules[0].when.log", "name what is special"),
    (when("log: '(?i)failed'"), 3, "rules[0].when.log", "name what is special"),
    (when("message: [a, b]"), 3, "rules[0].when.message", "expected a text"),
    (rule("name: own, then: again"), 2, "rules[0].then", "retry, ask, ignore"),
    (rule("name: own, then: retyr"), 2, "rules[0].then", "did you mean 'retry'"),
    (rule("name: own, limit: -1"), 2, "rules[0].limit", "0 to 100 are possible"),
    (rule("name: own, limit: many"), 2, "rules[0].limit", "expected a whole number"),
    (rule("name: own, limit: 101"), 2, "rules[0].limit", "0 to 100 are possible"),
    (rule("name: own, delay: 30s"), 2, "rules[0].delay", "{base: 30s, cap: 15m}"),
    (rule("name: own, delay: {fixd: 0s}"), 2, "rules[0].delay", "known here are base, cap, fixed, list"),
    (rule("name: own, delay: {base: 30}"), 2, "rules[0].delay", "a duration such as 500ms"),
    (rule("name: own, delay: {fixed: 0s, base: 1s}"), 2, "rules[0].delay", "exclude each other"),
    (rule("name: own, delay: {list: []}"), 2, "rules[0].delay", "1 to 16 durations"),
    (rule("name: own, how: restart"), 2, "rules[0].how", "did you mean 'start'"),
    (rule("name: My Rule"), 2, "rules[0].name", "must be 1 to 63 of a-z"),
    (rule("name: own, whn: {}"), 2, "rules[0].whn", "did you mean 'when'"),
    ("rules:\n  - {name: own}\n  - {name: own}\n", 3, "rules[1].name", "take another"),
    ("rules:\n  name: own\n", 2, "rules", "expected a list of maps"),
    ("rules:\n  - own\n", 2, "rules[0]", "expected a map of keys"),
    (top("budgets: {per_build: 1}"), 2, "budgets.per_build", "known here are|did you mean"),
    (top("budgets: {per_chain: two}"), 2, "budgets.per_chain", "expected a whole number"),
    (top("budgets: {per_project: 5}"), 2, "budgets.per_project", "expected a map of keys"),
    (top("budgets: {per_project: {ratio: -0.5}}"), 2, "budgets.per_project.ratio", "0 to 100 are possible"),
    (top("budgets: {per_project: {floor: 5}}"), 2, "budgets.per_project.floor", "known here are|did you mean"),
    (top("budgets: {minutes_per_day: 1h}"), 2, "budgets.minutes_per_day", "expected a whole number"),
    (top("breaker: {failed: 70}"), 2, "breaker.failed", "0 to 1 are possible"),
    (top("breaker: {open: 10}"), 2, "breaker.open", "a duration such as"),
    (top("incident: {projects: 100}"), 2, "incident.projects", "0 to 32 are possible"),
    (top("incident: {holdd: 1m}"), 2, "incident.holdd", "did you mean 'hold'"),
    (rule("name: own, mode: dry"), 2, "rules[0].mode", "auto, ask, shadow"),
    (rule("name: own, mode: shadwo"), 2, "rules[0].mode", "did you mean 'shadow'"),
    (top("projects: {shadows: [x]}"), 2, "projects.shadows", "did you mean 'shadow'"),
    (top("budgets: {prices: [{per_minute: 2}]}"), 2, "budgets.prices[0].compute_type", "a glob such as"),
    (top("budgets: {prices: [{compute_type: x, per_minute: -1}]}"), 2, "budgets.prices[0].per_minute", "0 to 100000 are possible"),
    (top("budgets: {prices: {LARGE: 4}}"), 2, "budgets.prices", "expected a list of maps"),
    (top("stale: keep"), 2, "stale", "none of skip, retry"),
    (top("builtin_rules: off"), 2, "builtin_rules", "expected true or false"),
    (top("projects: {asked: [x]}"), 2, "projects.asked", "did you mean 'ask'"),
]


@case
def each_broken_file_gets_line_key_and_remedy(build):
    broken = [b for b in BROKEN if b[1] is not None]
    assert len(broken) >= MINIMUM, len(broken)
    wrong = []
    with tempfile.TemporaryDirectory(prefix="rb-rules-") as folder:
        path = pathlib.Path(folder) / "broken.yaml"
        for text, line, key, remedy in broken:
            path.write_text(text)
            done = subprocess.run([str(build / "cmd/retrybuild/retrybuild"), "check-config", "--config", str(path)], capture_output=True, text=True, check=False,
                                  timeout=60)
            said = re.search(rf"^{re.escape(str(path))}:{line}:\d+: {re.escape(key)}: (.*)$", done.stderr, re.M)
            if done.returncode != 78 or not said or not any(r in said.group(1) for r in remedy.split("|")):
                wrong.append((text, done.returncode, done.stderr))
    for w in wrong:
        print(*w, sep="\n")
    assert not wrong, f"{len(wrong)} of {len(broken)}"


@case
def good_rules_pass(build):
    good = when("exit_code: [75, '!1', '64-78'], attempt: ['1-2'], duration: ['5m-', '-90s'], hours: ['Mon-Fri 08:00-18:00 Europe/Berlin', 'Sat,Sun'], flaky: false,"
                " author: ['!dependabot*'], message: 'reset', log: 'ECONNREFUSED'")
    with tempfile.TemporaryDirectory(prefix="rb-rules-") as folder:
        path = pathlib.Path(folder) / "good.yaml"
        path.write_text(good)
        done = subprocess.run([str(build / "cmd/retrybuild/retrybuild"), "check-config", "--config", str(path)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    cases.main(__doc__)
