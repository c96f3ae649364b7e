#!/usr/bin/python3
"""The commands of `retrybuild`: exit codes, messages, JSON, and nothing but text in a pipe."""
import json
import os
import pathlib
import pty
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
import sim_harness  # noqa: E402
from cases import case  # noqa: E402
from service import ACCOUNT, KEY, TOKEN, failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

DONE, FAILED, USAGE, UNREACHABLE, NOT_ALLOWED, CONFIG = 0, 1, 2, 69, 77, 78
VIEWER = f"viewer-{TOKEN}"
COMMANDS = ["approve", "cancel", "check-config", "deny", "list", "pause", "requeue", "resume", "retry", "send", "serve", "show", "version"]
SCRIPT = "projects: [{name: lost, outcomes: [{status: FAILED, phase: PROVISIONING}]}]\n"


class World:
    def __init__(self, build):
        self.binary = build / "cmd/retrybuild/retrybuild"
        self.folder = tempfile.TemporaryDirectory(prefix="rb-cli-")
        self.sim = sim_harness.Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT)
        extra = "rules: [{name: ask-first, when: {project: [held-*]}, then: ask}]\nworkers: {submit: 1, report: 1}\n"
        self.service = service.Service(self.binary, "sqlite:cli.db", self.sim.url, extra=extra, timing="{}").start()
        self.url = f"http://127.0.0.1:{self.service.port}"
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("RETRYBUILD_")}, "RETRYBUILD_URL": self.url, "RETRYBUILD_TOKEN": TOKEN}

    def run(self, *words, code=DONE, data=None, env=None):
        """(stdout, stderr) of a command that must end with @code."""
        done = subprocess.run([self.binary, *words], capture_output=True, text=True, input=data, timeout=40, env={**self.env, **(env or {})})
        equal(done.returncode, code, (words, done.stdout, done.stderr))
        equal("\x1b" in done.stdout + done.stderr, False, "colour in a pipe")
        return done.stdout, done.stderr

    def file(self, name, text):
        path = pathlib.Path(self.folder.name, name)
        path.write_text(text)
        return str(path)

    def held(self):
        status, _, text = self.service.deliver(failure_event(f"held-app:{service.uuid.uuid4()}"))
        equal(status, 202, text)
        return json.loads(text)["retry"]

    def stop(self):
        try:
            equal(self.service.stop(), 0)
        finally:
            self.sim.stop()
            self.folder.cleanup()


def build_id(project="app"):
    return f"{project}:{service.uuid.uuid4()}"


# ---- words ----

@case
def without_a_command_the_list_of_them_is_shown(w):
    out, err = w.run(code=USAGE)
    equal((out, [c for c in COMMANDS if f"  {c} " not in err]), ("", []))
    for word in ("-h", "--help", "help"):
        out, err = w.run(word)
        equal(([c for c in COMMANDS if f"  {c} " not in out], err), ([], ""))


@case
def every_command_explains_itself(w):
    for c in COMMANDS:
        for word in ("-h", "--help"):
            out, err = w.run(c, word)
            equal((out.startswith(f"usage: retrybuild {c}"), err), (True, ""), c)
            equal(max(len(line) for line in out.splitlines()) <= 160, True, out)


@case
def help_with_a_command_is_its_own(w):
    equal(w.run("help", "list"), w.run("list", "-h"))
    equal("did you mean 'list'?" in w.run("help", "lst", code=USAGE)[1], True)


@case
def a_wrong_word_suggests_the_nearest(w):
    for wrong, right in (("lst", "list"), ("Show", "show"), ("chek-config", "check-config"), ("requue", "requeue"), ("sevre", "serve")):
        equal(f"did you mean '{right}'?" in w.run(wrong, code=USAGE)[1], True, wrong)
    equal("did you mean" in w.run("xyzzyplugh", code=USAGE)[1], False)
    equal("did you mean '--state'?" in w.run("list", "--stat", "held", code=USAGE)[1], True)
    equal("did you mean '--dry-run'?" in w.run("requeue", "--dryrun", "x", code=USAGE)[1], True)
    equal("-h lists them" in w.run("show", "--zzzzzzzz", "x", code=USAGE)[1], True)


@case
def words_too_many_or_too_few_are_usage(w):
    for words in (("show",), ("show", "a", "b"), ("cancel",), ("approve",), ("deny",), ("retry",), ("retry", "a", "b"), ("pause", "a", "b"), ("list", "x"), ("version", "x"),
                  ("check-config", "x"), ("send",), ("requeue",), ("requeue", "--all", "x"), ("requeue", "--state", "dead"), ("requeue", "--state", "held", "--all"),
                  ("list", "--state"), ("list", "--json=yes"), ("serve", "--log-level", "loud"), ("serve", "x")):
        out, err = w.run(*words, code=USAGE)
        equal((out, bool(err)), ("", True), words)


@case
def version_names_itself_and_the_libraries(w):
    for words in (("version",), ("--version",)):
        out, err = w.run(*words)
        equal((out.startswith("retrybuild 0."), "libmicrohttpd" in out and "SQLite" in out, err), (True, True, ""), out)


@case
def version_is_json_too(w):
    answer = json.loads(w.run("version", "--json")[0])
    equal((answer["version"] in w.run("version")[0], "sqlite" in answer["libraries"]), (True, True), answer)


# ---- reaching the service ----

@case
def a_server_that_is_not_there_is_69(w):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{s.getsockname()[1]}"
    for words in (("list",), ("show", "rty_x"), ("retry", build_id()), ("cancel", "rty_x"), ("pause",), ("requeue", "--state", "dead", "--all")):
        out, err = w.run(*words, "--server", nobody, code=UNREACHABLE)
        equal((out, bool(err)), ("", True), words)
    w.run("list", code=UNREACHABLE, env={"RETRYBUILD_URL": nobody})
    w.run("list", "--server", "http://name.invalid", code=UNREACHABLE)


@case
def a_server_url_that_is_none_is_usage(w):
    for url in ("nonsense", "ftp://127.0.0.1/", "", "http://", "http://127.0.0.1:99999"):
        w.run("list", f"--server={url}", code=USAGE)


@case
def no_token_or_too_little_of_one_is_77(w):
    for env in ({"RETRYBUILD_TOKEN": ""}, {"RETRYBUILD_TOKEN": "wrong"}):
        out, err = w.run("list", code=NOT_ALLOWED, env=env)
        equal((out, "token" in err), ("", True), err)
    _, err = w.run("pause", code=NOT_ALLOWED, env={"RETRYBUILD_TOKEN": VIEWER})
    equal("operator" in err, True, err)
    w.run("list", env={"RETRYBUILD_TOKEN": VIEWER})


@case
def the_token_may_stand_in_a_file(w):
    w.run("list", "--token-file", w.file("token", TOKEN + "\n"), env={"RETRYBUILD_TOKEN": ""})
    w.run("list", "--token-file", w.file("token", "wrong\n"), code=NOT_ALLOWED)
    out, err = w.run("list", "--token-file", "/nowhere/token", code=USAGE)
    equal((out, "/nowhere/token" in err), ("", True), err)


@case
def something_else_at_the_other_end_is_a_plain_error(w):
    _, err = w.run("list", "--server", w.url + "/livez/x", code=FAILED)
    equal("404" in err, True, err)


# ---- retries ----

@case
def a_retry_is_asked_for_shown_listed_and_cancelled(w):
    build = build_id("held-cli")
    out, _ = w.run("retry", build, "--account", ACCOUNT, "--reason", "try again", "--json")
    r = json.loads(out)
    equal((r["build"]["id"], r["requested_by"]), (build, "ops"))
    out, _ = w.run("retry", build, "--account", ACCOUNT)
    equal("known already as " + r["id"] in out, True, out)
    out, _ = w.run("show", r["id"])
    equal([label for label in ("retry", "state", "chain", "attempt", "project", "build", "asked by", "history") if label not in out], [], out)
    equal(json.loads(w.run("show", r["id"], "--json")[0])["id"], r["id"])
    out, _ = w.run("list", "--project", "held-cli")
    equal((out.splitlines()[0].split()[:3], r["id"] in out), (["ID", "STATE", "PROJECT"], True), out)
    page = json.loads(w.run("list", "--project=held-cli", "--json", "--limit", "1")[0])
    equal([x["id"] for x in page["retries"]], [r["id"]])


@case
def cancel_approve_and_deny_say_the_new_state(w):
    first, second, third = w.held(), w.held(), w.held()
    equal(w.run("cancel", first)[0], f"{first} is cancelled\n")
    equal(w.run("deny", second)[0], f"{second} is cancelled\n")
    equal(json.loads(w.run("approve", third, "--json")[0])["id"], third)
    for verb in ("cancel", "approve", "deny"):
        out, err = w.run(verb, first, code=FAILED)
        equal((out, "409" in err), ("", True), err)
    for i in ("rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense", "../../x", "a b", ""):
        out, err = w.run("cancel", i, code=FAILED)
        equal((out, "404" in err), ("", True), (i, err))


@case
def a_bad_filter_is_the_servers_sentence(w):
    _, err = w.run("list", "--state", "broken", code=FAILED)
    equal("'broken' is not a state" in err, True, err)
    out, err = w.run("list", "--limit", "0", "--json", code=FAILED)
    equal(json.loads(out)["status"], 400)


@case
def a_list_says_how_to_go_on(w):
    for _ in range(3):
        w.held()
    out, err = w.run("list", "--limit", "2")
    equal((len(out.splitlines()), err.startswith("more: --cursor ")), (3, True), err)
    again, _ = w.run("list", "--limit", "2", "--cursor", err.split()[-1])
    equal(set(out.splitlines()[1:]) & set(again.splitlines()[1:]), set())


@case
def the_same_token_with_another_build_is_a_failure(w):
    token = str(service.uuid.uuid4())
    w.run("retry", build_id("held-a"), "--account", ACCOUNT, "--token", token)
    _, err = w.run("retry", build_id("held-b"), "--account", ACCOUNT, "--token", token, code=FAILED)
    equal("422" in err, True, err)
    _, err = w.run("retry", "nonsense", code=FAILED)
    equal("'id'" in err, True, err)


@case
def pause_and_resume(w):
    equal(w.run("pause", "held-app")[0], "held-app is paused\n")
    equal(w.run("resume", "held-app")[0], "held-app goes on\n")
    equal(w.run("pause")[0], "everything is paused\n")
    equal(json.loads(w.run("resume", "--json")[0]), {"paused": False, "project": None})


@case
def requeue_dry_run_changes_nothing(w):
    held = w.held()
    out, _ = w.run("requeue", held, "--dry-run")
    equal(out, f"would requeue {held}\n")
    equal(json.loads(w.run("requeue", held, "--dry-run", "--json")[0]), {"would": "requeue", "id": held})
    out, err = w.run("requeue", held, code=FAILED)
    equal((out, "409" in err), ("", True), err)
    out, err = w.run("requeue", "--state", "dead", "--all", "--dry-run")
    equal(err, f"{len(out.splitlines())} would be requeued\n")
    _, err = w.run("requeue", "--state", "dead", "--all", "--project", "none-of-this-name")
    equal(err, "0 requeued\n")


# ---- terminals ----

def on_a_terminal(w, *words, env=None):
    mine, theirs = pty.openpty()
    with subprocess.Popen([w.binary, *words], stdout=theirs, stderr=theirs, stdin=theirs, env={**w.env, **(env or {})}) as p:
        os.close(theirs)
        got = b""
        while True:
            try:
                piece = os.read(mine, 65536)
            except OSError:
                break
            if not piece:
                break
            got += piece
        p.wait(timeout=30)
    os.close(mine)
    return got.decode()


@case
def colour_is_for_terminals_without_no_color(w):
    w.held()
    env = {"NO_COLOR": ""}
    equal("\x1b[33m" in on_a_terminal(w, "list", env=env), True)
    equal("\x1b" in on_a_terminal(w, "list", env={"NO_COLOR": "1"}), False)


@case
def what_a_build_wrote_cannot_steer_the_terminal(w):
    evil = "red \x1b[31m\x07 \u009b2J del\x7f\nnext"
    status, _, text = w.service.deliver(failure_event(f"held-app:{service.uuid.uuid4()}", message=evil))
    equal(status, 202, text)
    i = json.loads(text)["retry"]
    for words in (("show", i), ("show", i, "--json"), ("list",)):
        for shown in (on_a_terminal(w, *words, env={"NO_COLOR": "1"}), subprocess.run([w.binary, *words], capture_output=True, text=True, env=w.env).stdout):
            equal([c for c in shown if c in "\x1b\x07\x7f\u009b"], [], (words, shown))


# ---- send and check-config ----

@case
def send_proves_itself_and_says_the_answer(w):
    secret = w.file("secret", KEY + "\n")
    payload = w.file("event.json", json.dumps(failure_event(f"held-app:{service.uuid.uuid4()}")))
    hook = f"{w.url}/v1/hooks/eventbridge"
    out, err = w.run("send", "--source", "eventbridge", "--url", hook, "--secret-file", secret, payload)
    equal((json.loads(out)["status"], err), ("accepted", "HTTP 202\n"))
    out, err = w.run("send", "--source", "eventbridge", "--url", hook, "--secret-file", secret, "-", data=pathlib.Path(payload).read_text())
    equal((json.loads(out)["status"], err), ("duplicate", "HTTP 200\n"))
    w.run("send", "--source", "eventbridge", "--url", hook, payload, code=NOT_ALLOWED)
    w.run("send", "--source", "eventbridge", "--url", hook, "--header", f"x-retrybuild-key: {KEY}", payload)
    w.run("send", "--source", "eventbridge", "--url", hook, "--secret-file", secret, w.file("bad.json", "{"), code=FAILED)
    w.run("send", "--source", "eventbridge", "--url", f"{w.url}/v1/hooks/none", "--secret-file", secret, payload, code=FAILED)


@case
def send_with_wrong_words_is_usage(w):
    payload = w.file("event.json", "{}")
    equal("did you mean 'eventbridge'" in w.run("send", "--source", "eventbrige", "--url", w.url, payload, code=USAGE)[1], True)
    w.run("send", "--source", "eventbridge", payload, code=USAGE)
    w.run("send", "--url", w.url, payload, code=USAGE)
    w.run("send", "--source", "eventbridge", "--url", w.url, "--secret-file", "/nowhere/x", payload, code=USAGE)
    w.run("send", "--source", "eventbridge", "--url", "nonsense", payload, code=USAGE)
    equal("/nowhere/y" in w.run("send", "--source", "eventbridge", "--url", w.url, "/nowhere/y", code=FAILED)[1], True)
    w.run("send", "--source", "eventbridge", "--url", w.url, *(x for i in range(17) for x in ("--header", f"a{i}: b")), payload, code=USAGE)


@case
def check_config_finds_everything_at_once(w):
    path = w.file("bad.yaml", "\n".join([
        "mode: sometimes", "lisen: {}", "timing: {lease: 30}", "rules: [{name: a, delay: {fixd: 1s}}]", ""]))
    out, err = w.run("check-config", "--config", path, code=CONFIG)
    equal((out, [line.split(": ")[0] for line in err.splitlines()]), ("", [f"{path}:1:7", f"{path}:2:1", f"{path}:3:17", f"{path}:4:27"]))
    path = w.file("bad.yaml", "\n".join([
        "network: {allow: [10.0.0.0/8, 300.1.1.1]}", "sources:", "  - {name: a, type: eventbrigde, secrets: [{value: x}]}",
        "rules: [{name: a, when: {message: 'a(b'}}, {name: b, when: {message: 'exit status 1'}}]", "destinations: [{name: a, type: pigeon, url: 'https://a/'}]", ""]))
    out, err = w.run("check-config", "--config", path, code=CONFIG)
    for words in (":3:15: sources[0].type: there is no type 'eventbrigde'; did you mean 'eventbridge'?", ":5:26: destinations[0].type: there is no type 'pigeon'; known are ",
                  ":1:31: network.allow[1]: '300.1.1.1'", ":4:26: rules[0].when.message: ", ":4:61: rules[1].when.message: "):
        equal(path + words in err, True, (words, err))
    equal(len(err.splitlines()), 5, err)


@case
def check_config_tells_what_adapters_and_expressions_lack_beside_wrong_keys(w):
    path = w.file("bad.yaml", "\n".join([
        "bogus: 1", "sources:", "  - {name: a, type: eventbrigde}", "  - {name: b, type: sns}", "  - {name: c, type: sns, topics: [builds]}",
        "rules: [{name: a, when: {mesage: x}}, {name: b, when: {message: 'a(b'}}]",
        "destinations: [{name: a, type: slak}, {name: b, type: slack}, {name: c, type: slack, url_file: nowhere}]", ""]))
    out, err = w.run("check-config", "--config", path, code=CONFIG)
    for words in (":1:1: bogus: ", ":3:15: sources[0].type: there is no type 'eventbrigde'", ":3:5: sources[0].secrets: ", ":4:5: sources[1].topics: is missing",
                  ":5:26: sources[2].topics: 'builds' is not", ":6:26: rules[0].when.mesage: ", ":6:56: rules[1].when.message: ", ":7:26: destinations[0].type: there is no type 'slak'",
                  ":7:39: destinations[1].url: slack needs", "destinations[2].url_file: "):
        equal(path + words in err or (words[0] != ":" and words in err), True, (words, err))
    equal((out, len(err.splitlines())), ("", 10), err)


@case
def check_config_warns_of_what_could_be_guessed(w):
    path = w.file("weak.yaml", "api: {tokens: [{name: a, role: viewer, secret: CANARY}]}\n")
    out, err = w.run("check-config", "--config", path)
    equal((f"{path}:1:40: warning: api.tokens[0].secret: is shorter than 16 bytes" in err, "CANARY" in out + err), (True, False), err)


@case
def check_config_names_what_the_address_guard_will_refuse(w):
    lines = ["network: {allow: [10.0.0.0/8]}", "sources: [{name: a, type: github, secrets: [{value: x}], api: {url: 'http://8.8.8.8/api/v3'}}]", "destinations:",
             "  - {name: b, type: webhook, url: 'http://93.184.216.34/CANARY'}", "  - {name: c, type: webhook, url: 'https://0x7f.1/CANARY'}",
             "  - {name: d, type: webhook, url: 'http://10.1.2.3/CANARY'}", "  - {name: e, type: webhook, url: 'http://ci.example.org/CANARY'}",
             "  - {name: f, type: webhook, url: 'https://93.184.216.34/CANARY'}", ""]
    path = w.file("reach.yaml", "\n".join(lines))
    out, err = w.run("check-config", "--config", path, code=CONFIG)
    equal((out, [line.split(": ")[0] for line in err.splitlines()]), ("", [f"{path}:2:64", f"{path}:4:30", f"{path}:5:30"]), err)
    for words in ("sources[0].api.url: '8.8.8.8' has the address 8.8.8.8, which is not listed: without TLS only addresses of network.allow are called",
                  "destinations[0].url: '93.184.216.34' has", "destinations[1].url: '0x7f.1' has the address 127.0.0.1, which is not a public one and not in network.allow"):
        equal(words in err, True, (words, err))
    path = w.file("reach.yaml", "destinations: [{name: e, type: webhook, url: 'http://ci.example.org/CANARY'}]\n")
    err += w.run("check-config", "--config", path, code=CONFIG)[1]
    equal(":1:41: destinations[0].url: without TLS only addresses of network.allow are called, and it is empty" in err, True, err)
    equal("CANARY" in err, False)


@case
def check_config_of_good_files(w):
    root = pathlib.Path(__file__).resolve().parents[2]
    equal(": good" in w.run("check-config", "--config", str(root / "configs/retrybuild.yaml"))[0], True)
    equal(w.run("check-config", "--config", str(w.service.config))[0], f"{w.service.config}: good (1 sources, 1 rules, 0 destinations)\n")
    w.run("check-config", env={"RETRYBUILD_CONFIG": str(w.service.config)})
    out, err = w.run("check-config", "--config", "/nowhere/x.yaml", code=CONFIG)
    equal((out, "/nowhere/x.yaml" in err), ("", True), err)


@case
def a_closed_pipe_is_no_crash(w):
    for words in (("list",), ("-h",)):
        done = subprocess.run(f"'{w.binary}' {' '.join(words)} | head -c 0; exit ${{PIPESTATUS[0]}}", shell=True, executable="/bin/bash", env=w.env, capture_output=True, text=True)
        equal(done.returncode in (DONE, FAILED, 141), True, (words, done))
    done = subprocess.run([w.binary, "list"], stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, env=w.env, text=True)
    equal(done.returncode, FAILED, "a full disk")


@case
def what_codebuild_refused_for_good_is_not_requeued(w):
    r = json.loads(w.run("retry", build_id("unknown-project"), "--account", ACCOUNT, "--json")[0])
    wait_until("the refusal", lambda: w.service.api("GET", f"/v1/retries/{r['id']}")[1]["state"] == "refused", 30)
    equal("409" in w.run("requeue", r["id"], code=FAILED)[1], True)


if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
