#!/usr/bin/python3
"""The ten-minute guides, followed word for word: the blocks of each in one bash, in their order, until the first build has recovered. Only the values of
the first blocks are others; around it are the real programs, the AWS CLI, curl, and an internet of this machine. The one line that is not in the guides
tells retrybuild the way out of here: network.proxy and network.ca_file."""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from internet import Internet  # noqa: E402
from service import wait_until  # noqa: E402
from sim_harness import AWS, Sim, equal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = """
projects: [{name: "web-app", outcomes: &twice [{status: FAILED, phase: BUILD, exit_code: 75}, {status: SUCCEEDED}]}, {name: "retrybuild-*", outcomes: *twice}]
durations: {QUEUED: 10ms, PROVISIONING: 20ms, DOWNLOAD_SOURCE: 0s, INSTALL: 0s, PRE_BUILD: 0s, BUILD: 200ms, POST_BUILD: 0s, UPLOAD_ARTIFACTS: 0s, FINALIZING: 0s}
"""


def blocks(path, *without):
    """[(language, text)] of the section "In ten minutes", less the parts whose headings start with these words."""
    text = path.read_text(encoding="utf-8")
    section = re.search(r"^## In ten minutes\n(.*?)(?=^## )", text, re.S | re.M).group(1)
    parts = re.split(r"^### ", section, flags=re.M)
    kept = [p for p in parts if not p.startswith(without)] if without else parts
    equal(len(parts) - len(kept), len(without))
    return re.findall(r"^```(\w+)\n(.*?)^```$", "".join(kept), re.S | re.M)


class Reader:
    """Somebody with a bash in the root of a clone, who reads a guide."""

    def __init__(self, build):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-guide-")
        self.root = pathlib.Path(self.folder.name, "clone")
        tools = pathlib.Path(self.folder.name, "tools")
        for path in (self.root, tools):
            path.mkdir()
        (self.root / "deploy").symlink_to(ROOT / "deploy")
        (tools / "aws").symlink_to(AWS)
        (tools / "retrybuild").symlink_to(build.resolve() / "cmd/retrybuild/retrybuild")
        self.net = Internet(self.folder.name)
        self.sim = Sim(str(build / "cmd/codebuild-sim/codebuild-sim"), SCRIPT, "--events", f"{self.net.url}/")
        self.net.sim = self.sim.url.split("//")[1]
        with socket.create_server(("127.0.0.1", 0)) as probe:  # the guide's configuration names its port before it listens
            self.net.port = probe.getsockname()[1]
        self.log = open(f"{self.folder.name}/bash.log", "wb")
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": self.folder.name, "HTTPS_PROXY": self.net.url, "no_proxy": "127.0.0.1",
                       "CURL_CA_BUNDLE": f"{self.folder.name}/ca.pem", "AWS_CA_BUNDLE": f"{self.folder.name}/ca.pem", "AWS_PAGER": "",
                       "AWS_ACCESS_KEY_ID": "AKIAREADER", "AWS_SECRET_ACCESS_KEY": "reader-secret", "AWS_EC2_METADATA_DISABLED": "true"}
        self.bash = subprocess.Popen(["bash", "--norc"], cwd=self.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment)
        self.said, self.times = "", []

    def do(self, script, n):
        """One block: what it printed; the shell ends at the first command that fails."""
        script = re.sub(r"(?m)^export PORT=8080\b", f"export PORT={self.net.port}", script)
        path = pathlib.Path(self.folder.name, f"block-{n}")
        path.write_text(script, encoding="utf-8")
        started, printed = time.monotonic(), ""
        self.bash.stdin.write(f"set -eo pipefail; . {path}; echo; echo '<<done {n}>>'\n")
        self.bash.stdin.flush()
        for line in self.bash.stdout:
            if line == f"<<done {n}>>\n":
                self.times.append(time.monotonic() - started)
                self.tell_the_way_out()
                return printed
            printed += line
        raise AssertionError(f"block {n} failed:\n{script}\n--- printed\n{printed}\n{self.last_words()}")

    def tell_the_way_out(self):
        for path in self.root.glob("*/retrybuild.yaml"):
            if "network:" not in path.read_text():
                with open(path, "a", encoding="utf-8") as file:
                    file.write(f"network: {{proxy: '{self.net.url}', ca_file: {self.folder.name}/ca.pem}}\n")

    def last_words(self):
        logs = [pathlib.Path(self.log.name), *self.root.glob("*/retrybuild.log")]
        return "".join(f"--- {p.name}\n{p.read_text(errors='replace')[-4000:]}" for p in logs) + f"--- the net\n{self.net.wrong}"

    def follow(self, found, typed=None, before_the_end=lambda: None):
        started = time.monotonic()
        for n, (language, text) in enumerate(found):
            if text.startswith("kill "):
                before_the_end()
            if language == "sh":
                self.said += self.do(text, n)
            else:
                typed(language, text.strip(), n)
        equal(sorted(set(self.net.wrong)), [])
        print(f"  {len(found)} blocks in {time.monotonic() - started:.1f} s, the longest {max(self.times):.1f} s", flush=True)

    def stop(self):
        self.bash.stdin.write("kill $(jobs -p)\n")
        self.bash.stdin.close()
        self.bash.wait(timeout=30)
        self.bash.stdout.close()
        self.net.stop()
        self.sim.stop()
        self.log.close()
        self.folder.cleanup()


def reading(function):
    """The case with a new reader."""
    def with_one(build):
        reader = Reader(build)
        try:
            function(reader)
        except BaseException:
            print(reader.last_words(), flush=True)
            raise
        finally:
            reader.stop()
    with_one.__name__ = function.__name__
    case(with_one)
    return with_one


def recovered_once(reader):
    equal("recovered" in reader.said, True, reader.said)
    equal(len(reader.sim.effects("RetryBuild")), 1)


@reading
def from_nothing_to_the_first_recovered_build_by_eventbridge(reader):
    reader.follow(blocks(ROOT / "deploy/aws/README.md", "2. Or by SNS"))
    recovered_once(reader)
    equal((len(reader.net.amazon.sent) >= 2, {s // 100 for s in reader.net.amazon.sent}), (True, {2}))
    equal(list(reader.net.amazon.policies), ["retrybuild-deliveries"])


@reading
def from_nothing_to_the_first_recovered_build_by_sns(reader):
    reader.follow(blocks(ROOT / "deploy/aws/README.md", "2. Its deliveries, by EventBridge"))
    recovered_once(reader)
    equal([len(endpoints) for endpoints in reader.net.amazon.subscriptions.values()], [1])
    equal({s // 100 for s in reader.net.amazon.sent}, {2})


@reading
def from_nothing_to_the_first_recovered_build_from_github(reader):
    github = reader.net.github

    def commented(language, text, _n):
        equal(language, "comment")
        recovered_once(reader)
        wait_until("the commit is green", lambda: github.statuses["retrybuild/web-app"]["state"] == "success")
        github.muted = True  # a second failure, whose status no delivery brings
        client = reader.sim.client()
        build = client.start_build(projectName="web-app", sourceVersion=github.sha)["build"]["id"]
        wait_until("the second build failed", lambda: any(s["state"] == "failure" and build in s.get("target_url", "") for s in github.statuses.values()))
        equal(github.comment(text)[:2], ("issue_comment", 202), github.delivered[-1])
        wait_until("the second build was retried", lambda: len(reader.sim.effects("RetryBuild")) == 2)
        wait_until("the comment has its reactions", lambda: github.reactions == ["eyes", "rocket"])
    reader.follow(blocks(ROOT / "deploy/github/README.md"), commented)
    equal(github.delivered[0][:2], ("ping", 200), github.delivered)
    equal({status // 100 for _, status, _ in github.delivered}, {2}, github.delivered)


@reading
def from_nothing_to_the_first_recovered_build_from_slack(reader):
    slack = reader.net.slack

    def typed(language, text, n):
        equal((language, text), ("slack", "/retrybuild retry BUILD"))
        line = reader.said.strip().splitlines()[-1]
        equal(line.startswith(text.replace("BUILD", "web-app:")), True, line)
        status, answer = slack.typed(reader.net, yaml.safe_load((reader.root / "slack-manifest.yaml").read_text()), line)
        equal((status, answer["response_type"]), (200, "in_channel"), (answer, n))

    def told():
        wait_until("the channel is told", lambda: any("recovered" in str(m) for _, m in slack.messages[1:]))
    reader.follow(blocks(ROOT / "deploy/slack/README.md"), typed, told)
    recovered_once(reader)
    equal([verb for verb, _ in slack.messages][:2], ["postMessage", "postMessage"])


if __name__ == "__main__":
    cases.main(__doc__)
