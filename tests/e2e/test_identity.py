#!/usr/bin/python3
"""Who calls AWS: one retry through each credential provider against codebuild-sim, refreshes, other accounts."""
import json
import os
import pathlib
import subprocess
import tempfile

import cases
from cases import case
from service import ACCOUNT, AWS_KEY, AWS_SECRET, FAST, REGION, TERMINAL, Service, failure_event, wait_until
from sim_harness import Sim, equal

OTHER = "210987654321"
FAILS_ONCE = "projects: [{name: app, outcomes: [{status: FAILED, phase: PROVISIONING, message: no capacity}, {status: SUCCEEDED}]}]"
NOTHING = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
NOW = "rules: [{name: now, when: {phase: [PROVISIONING]}, then: retry, delay: {fixed: 0s}}]"
# The simulator is one account: a sweep for another one would find the same builds as that one's.
NO_SWEEP = FAST.replace("sweep_every: 3s", "sweep_every: 1h")
BINARIES = {}


def setup(build):
    BINARIES["service"] = f"{build}/cmd/retrybuild/retrybuild"
    BINARIES["sim"] = f"{build}/cmd/codebuild-sim/codebuild-sim"
    return BINARIES


class World:
    """A simulator that checks signatures and a service whose only credentials are those of `env` and `files`."""

    def __init__(self, env=None, files=None, aws=""):
        self.sim = Sim(BINARIES["sim"], FAILS_ONCE, "--access-key", f"{AWS_KEY}:{AWS_SECRET}", "--speed", "1000")
        self.folder = tempfile.TemporaryDirectory(prefix="rb-identity-")
        places = {"dir": self.folder.name, "sim": self.sim.url}
        for name, text in (files or {}).items():
            (pathlib.Path(self.folder.name) / name).write_text(text)
        fixed = {"AWS_SHARED_CREDENTIALS_FILE": f"{self.folder.name}/credentials", "AWS_CONFIG_FILE": f"{self.folder.name}/config",
                 "AWS_ENDPOINT_URL_STS": self.sim.url}
        own = {k: v.format(**places) for k, v in (env or {}).items()}
        self.service = Service(BINARIES["service"], f"sqlite:{self.folder.name}/rb.db", self.sim.url, NOW, timing=NO_SWEEP, folder=self.folder, aws_env={**NOTHING, **fixed, **own})
        if aws:
            text = self.service.config.read_text()
            self.service.config.write_text(text.replace(f"aws: {{region: {REGION},", f"aws: {{region: {REGION}, {aws},"))
        self.service.start()

    def steer(self, **what):
        return self.sim.control("/_sim/identity", what)

    def failed(self):
        build = self.sim.client(AWS_KEY, AWS_SECRET).start_build(projectName="app")["build"]
        self.sim.advance("1s")
        return build["id"], build["buildNumber"]

    def retry(self, account=ACCOUNT, region=REGION, until=TERMINAL):
        """The retry of a new failure, once it is in one of those states."""
        build, number = self.failed()
        event = failure_event(build, number)
        text = json.dumps(event).replace(ACCOUNT, account).replace(REGION, region)
        status, _, answer = self.service.deliver(json.loads(text))
        equal(status in (200, 202), True, answer)
        retry = json.loads(answer).get("retry")
        return wait_until("the retry to end", lambda: self.ended(retry, until))

    def ended(self, retry, until):
        status, r = self.service.api("GET", f"/v1/retries/{retry}")
        equal(status, 200)
        return r if r["state"] in until else None

    def keys(self):
        return [e["access_key"] for e in self.sim.effects("RetryBuild")]

    def log(self):
        return self.service.log.read_text()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                equal(self.service.stop(), 0)
            elif self.service.proc.poll() is None:
                self.service.kill()
        finally:
            self.sim.stop()


def works(env=None, files=None, aws=""):
    """A retry recovers, signed by a session of the simulator; no secret of it is in the log."""
    with World(env, files, aws) as w:
        equal(w.retry()["state"], "recovered", w.service.tail())
        equal([k.startswith("ASIASIM") for k in w.keys()], [True])
        equal("sim+" in w.log(), False)


def refuses(words, env=None, files=None, aws=""):
    """No call, and the retry's history says why, as the log does, without a secret."""
    with World(env, files, aws) as w:
        build, number = w.failed()
        status, _, answer = w.service.deliver(failure_event(build, number))
        equal(status, 202, answer)
        retry = json.loads(answer)["retry"]
        wait_until(f"{words!r} in the history", lambda: words in json.dumps(w.service.api("GET", f"/v1/retries/{retry}")[1]["history"]))
        equal((words in w.log(), AWS_SECRET in w.log(), w.keys()), (True, False, []))


BASE = f"[base]\naws_access_key_id = {AWS_KEY}\naws_secret_access_key = {AWS_SECRET}\n"
ROLE = f"role_arn = arn:aws:iam::{ACCOUNT}:role/retrybuild"


@case
def keys_of_the_credentials_file_work(_):
    with World(files={"credentials": BASE}, aws="profile: base") as w:
        equal(w.retry()["state"], "recovered", w.service.tail())
        equal(w.keys(), [AWS_KEY])


@case
def a_profile_with_a_role_works_and_an_external_id_is_sent(_):
    works({"AWS_PROFILE": "ci"}, {"credentials": BASE, "config": f"[profile ci]\n{ROLE}-ext\nsource_profile = base\nexternal_id = retrybuild-ext\n"})


@case
def a_role_with_keys_of_the_environment_works(_):
    works({"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET},
          {"config": f"[profile ci]\n{ROLE}\ncredential_source = Environment\n"}, aws="profile: ci")


@case
def a_web_identity_works(_):
    works({"AWS_WEB_IDENTITY_TOKEN_FILE": "{dir}/jwt", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/web"}, {"jwt": "header.claims.signature"})


@case
def a_credential_process_works(_):
    with World() as w:
        said = {"Version": 1, "AccessKeyId": AWS_KEY, "SecretAccessKey": AWS_SECRET}
        folder = pathlib.Path(w.folder.name)
        (folder / "said").write_text(json.dumps(said))
        (folder / "config").write_text(f"[default]\ncredential_process = /bin/cat \"{folder}/said\"\n")
        equal(w.retry()["state"], "recovered", w.service.tail())
        equal(w.keys(), [AWS_KEY])


@case
def a_container_works(_):
    works({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{sim}/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "sim-container-token"})


@case
def an_instance_works(_):
    works({"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{sim}"})


@case
def why_there_are_no_credentials_stands_in_the_retry(_):
    refuses("AWS_ACCESS_KEY_ID is not set")
    refuses("leads back in a circle", files={"config": f"[default]\n{ROLE}\nsource_profile = default\n"})


JWT = {"AWS_WEB_IDENTITY_TOKEN_FILE": "{dir}/jwt", "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/web"}
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{sim}/container"}
CI = {"AWS_PROFILE": "ci"}


def config(text):
    return {"config": f"[profile ci]\n{text}\n", "credentials": BASE}


# What must be said, the environment, the files.
REFUSALS = [
    ("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not", {"AWS_ACCESS_KEY_ID": AWS_KEY}, {}),
    ("AWS_CREDENTIAL_EXPIRATION is not a time", {"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_CREDENTIAL_EXPIRATION": "soon"}, {}),
    ("have expired", {"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z"}, {}),
    ("profile 'nobody' is in neither", {"AWS_PROFILE": "nobody"}, {}),
    ("config, line 2: expected [section] or key = value", {}, {"config": "[default]\nnonsense\n"}),
    ("needs either source_profile or credential_source", CI, config(ROLE)),
    ("not both", CI, config(f"{ROLE}\nsource_profile = base\ncredential_source = Environment")),
    ("its source_profile 'gone' is missing", CI, config(f"{ROLE}\nsource_profile = gone")),
    ("leads back in a circle", CI, config(f"{ROLE}\nsource_profile = ci")),
    ("'Elsewhere' is none of Environment, Ec2InstanceMetadata, EcsContainer", CI, config(f"{ROLE}\ncredential_source = Elsewhere")),
    ("a service cannot type an MFA code", CI, config(f"{ROLE}\nsource_profile = base\nmfa_serial = arn:aws:iam::{ACCOUNT}:mfa/ann")),
    ("AccessDenied", CI, config(f"{ROLE}-ext\nsource_profile = base")),
    ("AccessDenied", CI, config(f"{ROLE}-ext\nsource_profile = base\nexternal_id = wrong")),
    ("InvalidClientTokenId", CI, {"config": f"[profile ci]\n{ROLE}\nsource_profile = other\n",
                                  "credentials": f"[other]\naws_access_key_id = AKIAUNKNOWN\naws_secret_access_key = {AWS_SECRET}\n"}),
    ("signs in by SSO, which needs a person", CI, config("sso_session = corp\nsso_account_id = 1")),
    ("set AWS_ROLE_ARN", {"AWS_WEB_IDENTITY_TOKEN_FILE": "{dir}/jwt"}, {"jwt": "a.b.c"}),
    ("web identity token", JWT, {}),
    ("Token expired", JWT, {"jwt": "expired.token"}),
    ("ended with status 1", CI, config("credential_process = /bin/false")),
    ("did not print a JSON object", CI, config("credential_process = /bin/echo canary")),
    ('must print "Version": 1', CI, config('credential_process = /bin/echo "{\\"Version\\": 2}"')),
    ("is not allowed by plain http", {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.169.254/x"}, {}),
    ("must begin with a slash", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "x"}, {}),
    ("answered 401", {**CONTAINER, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "wrong"}, {}),
    ("holds a line break (also a last one in its file counts)", {**CONTAINER, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "{dir}/token"}, {"token": "sim-container-token\n"}),
    ("instance metadata", {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9"}, {}),
    ("is not a plain http(s) URL", {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "ftp://x"}, {}),
]


def refusal(sim, words, env, files):
    """What `doctor` says of these credentials: the same providers as the service's, without a service."""
    with tempfile.TemporaryDirectory(prefix="rb-refusal-") as folder:
        for name, text in files.items():
            (pathlib.Path(folder) / name).write_text(text)
        path = pathlib.Path(folder) / "rb.yaml"
        path.write_text(f'store: {{url: "sqlite:rb.db"}}\naws: {{region: {REGION}, endpoint_url: "{sim.url}"}}\n')
        fixed = {"AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials", "AWS_CONFIG_FILE": f"{folder}/config", "AWS_ENDPOINT_URL_STS": sim.url}
        own = {k: v.format(dir=folder, sim=sim.url) for k, v in env.items()}
        done = subprocess.run([BINARIES["service"], "doctor", "--json", "--config", str(path)], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, **NOTHING, **fixed, **own})
        equal((done.returncode, AWS_SECRET in done.stdout, "canary" in done.stdout), (1, False, False), done.stdout)
        said = [r["detail"] for r in json.loads(done.stdout)["checks"] if r["status"] == "attention" and r["area"] in ("credentials", "identity")]
        equal(any(words in s for s in said), True, f"{words!r} in {said}")


@case
def each_refusal_says_what_to_do(_):
    sim = Sim(BINARIES["sim"], FAILS_ONCE, "--access-key", f"{AWS_KEY}:{AWS_SECRET}")
    try:
        for words, env, files in REFUSALS:
            refusal(sim, words, env, files)
        equal(sim.effects(), [])
    finally:
        sim.stop()


@case
def version_1_of_the_metadata_service_needs_leave(_):
    env = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{sim}"}
    for leave in (False, True):
        with World(env, aws=f"imds_v1: {str(leave).lower()}") as w:
            w.steer(metadata_v1_only=True)
            if leave:
                equal(w.retry()["state"], "recovered", w.service.tail())
            else:
                w.retry(until={"scheduled"})
                wait_until("the reason", lambda: "aws.imds_v1" in w.log())


@case
def short_sessions_are_renewed_between_and_during_retries(_):
    with World({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{sim}/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "sim-container-token"}) as w:
        w.steer(life="9m")  # always within the last ten minutes: every request wants a new set
        equal([w.retry()["state"], w.retry()["state"]], ["recovered", "recovered"], w.service.tail())
        equal(len(set(w.keys())), 2)


@case
def a_session_that_aws_no_longer_takes_is_renewed_at_once(_):
    with World({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "{sim}/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "sim-container-token"}) as w:
        equal(w.retry()["state"], "recovered", w.service.tail())
        w.sim.faults({"operation": "BatchGetBuilds", "nth": [1], "error": "ExpiredTokenException"})
        equal(w.retry()["state"], "recovered", w.service.tail())
        equal(len(set(w.keys())), 2)


@case
def an_instance_goes_on_with_its_set_while_the_metadata_service_is_away(_):
    with World({"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "{sim}"}) as w:
        w.steer(life="11m")
        equal(w.retry()["state"], "recovered", w.service.tail())
        w.steer(metadata_away=True)
        equal(w.retry()["state"], "recovered", w.service.tail())


@case
def builds_of_a_configured_account_are_called_with_its_role(_):
    rows = f'accounts: [{{id: "{OTHER}", role_arn: "arn:aws:iam::{OTHER}:role/there-ext", external_id: there-ext, regions: [{REGION}]}}]'
    with World({"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET}, aws=rows) as w:
        equal(w.retry()["state"], "recovered", w.service.tail())
        equal(w.retry(OTHER)["state"], "recovered", w.service.tail())
        equal(w.retry(OTHER)["state"], "recovered", w.service.tail())
        own, first, second = w.keys()
        equal((own, first.startswith("ASIASIM"), first == second), (AWS_KEY, True, True))
        r = w.retry("333333333333")
        equal((r["state"], 'add {id: "333333333333"' in json.dumps(r, ensure_ascii=False).replace('\\"', '"')), ("refused", True), r)
        r = w.retry(OTHER, "eu-west-1")
        equal((r["state"], "add it to regions of aws.accounts[0]" in json.dumps(r)), ("refused", True), r)
        equal(len(w.keys()), 3)


@case
def an_exact_account_s_builds_name_their_retry_and_are_found_by_it(_):
    rows = f'accounts: [{{id: "{OTHER}", role_arn: "arn:aws:iam::{OTHER}:role/ci/there", exact: true}}]'
    with World({"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET}, aws=rows) as w:
        r = w.retry(OTHER)
        equal(r["state"], "recovered", w.service.tail())
        client = w.sim.client(AWS_KEY, AWS_SECRET)
        equal(client.batch_get_builds(ids=[r["child"]["id"]])["builds"][0]["initiator"], f"there/{r['id']}")

        # The answer is lost, every later copy refused, and somebody else retries the same build: only the name tells the two.
        w.sim.faults({"operation": "RetryBuild", "nth": [1], "lose_reply": True}, {"operation": "RetryBuild", "nth": [3, 4, 5, 6, 7, 8], "error": "ThrottlingException"},
                     {"operation": "ListBuildsForProject", "nth": [2, 3], "status": 503})
        build, number = w.failed()
        event = json.loads(json.dumps(failure_event(build, number)).replace(ACCOUNT, OTHER))
        retry = json.loads(w.service.deliver(event)[2])["retry"]
        wait_until("the call", lambda: len(w.sim.effects("RetryBuild")) == 2)
        theirs = client.retry_build(id=build)["build"]["id"]
        r = wait_until("the retry to end", lambda: w.ended(retry, TERMINAL))
        equal((r["state"], r["child"]["id"] != theirs), ("recovered", True), w.service.tail())
        equal([e["build"] for e in w.sim.effects("RetryBuild") if e["parent"].endswith(build.split(":")[1])].count(r["child"]["id"]), 1)


if __name__ == "__main__":
    cases.main(__doc__, setup)
