"""GitHub and Slack as a guide meets them, and SNS's signature."""
import base64
import datetime
import hashlib
import hmac
import json
import subprocess
import time
import urllib.parse
import uuid

SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def signed_by_sns(key_file, topic, kind, text, page, version="2", at=0, **more):
    """A message as SNS posts it, its signature made by openssl."""
    stamp = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=at)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    m = {"Type": kind, "MessageId": str(uuid.uuid4()), "TopicArn": topic, "Message": text, "Timestamp": stamp, **more}
    signed = "".join(f"{n}\n{m[n]}\n" for n in SIGNED if n in m).encode()
    signature = subprocess.run(["openssl", "dgst", {"1": "-sha1", "2": "-sha256"}[version], "-sign", key_file], input=signed, check=True, capture_output=True).stdout
    return m | {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode(), "SigningCertURL": page}


def hmac_of(secret, text):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class GitHub:
    """One repository, whose builds report to it, and its hooks."""
    TOKEN, REPOSITORY, USER = "github_pat_example", "example-org/web-app", {"login": "ann", "id": 42, "type": "User"}

    def __init__(self, net):
        self.net, self.hooks, self.statuses, self.reactions, self.delivered, self.muted, self.sha = net, [], {}, [], [], False, None

    def call(self, method, path, headers, body):
        if headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return 401, {"message": "Bad credentials"}
        root = f"/repos/{self.REPOSITORY}"
        if (method, path) == ("POST", f"{root}/hooks"):
            self.hooks.append(body)
            self.deliver("ping", {"zen": "Keep it logically awesome.", "hook_id": 1, "hook": body})
            return 201, {"id": 1, **body}
        if method == "POST" and path.startswith(f"{root}/statuses/"):
            self.statuses[body["context"]] = body
            return 201, {"id": 1, **body}
        if method == "POST" and path.endswith("/reactions"):
            self.reactions.append(body["content"])
            return 201, {"id": 1}
        answers = {"/user": {"id": 1, "login": "retrybuild"}, f"{root}/collaborators/ann/permission": {"permission": "write"},
                   f"{root}/pulls/12": {"state": "open", "head": {"sha": self.sha, "ref": "fix"}},
                   f"{root}/commits/{self.sha}/status": {"statuses": list(self.statuses.values())}}
        return answers.get(path.split("?")[0], (404, {"message": "Not Found"}))

    def deliver(self, event, payload):
        for hook in self.hooks if event in ("ping", *(e for h in self.hooks for e in h["events"])) and not (self.muted and event == "status") else []:
            text = json.dumps({**payload, "repository": {"full_name": self.REPOSITORY, "clone_url": f"https://github.com/{self.REPOSITORY}.git"}, "sender": self.USER})
            headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": str(uuid.uuid4()),
                       "X-Hub-Signature-256": "sha256=" + hmac_of(hook["config"]["secret"], text)}
            self.delivered.append((event, *self.net.post(hook["config"]["url"], text, headers)))

    def happened(self, event):
        """CodeBuild reports the end of a build to the commit, GitHub to its hooks."""
        detail, told = event["detail"], event["detail"].get("additional-information", {})
        if event["detail-type"] != "CodeBuild Build State Change" or detail["build-status"] == "IN_PROGRESS" or not told.get("source-version"):
            return
        self.sha = told["source-version"]
        context, build = f"AWS CodeBuild {event['region']} ({detail['project-name']})", detail["build-id"].split("build/")[1]
        link = f"https://{event['region']}.console.aws.amazon.com/codebuild/home?region={event['region']}#/builds/{build}/view/new"
        state = "success" if detail["build-status"] == "SUCCEEDED" else "failure"
        self.statuses[context] = {"id": 3, "context": context, "state": state, "target_url": link}
        self.deliver("status", {"id": 3, "sha": self.sha, "state": state, "context": context, "target_url": link, "branches": []})

    def comment(self, text):
        self.deliver("issue_comment", {"action": "created", "issue": {"number": 12, "state": "open", "pull_request": {"url": "x"}},
                                       "comment": {"id": 777, "body": text, "user": self.USER}})
        return self.delivered[-1]


class Slack:
    TOKEN, CHANNEL, SECRET = "xoxb-example", "C012AB3CD", "8f742231b10e8888abcd99yyyzzz85a5"

    def __init__(self):
        self.messages = []

    def call(self, path, headers, body):
        if headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return {"ok": False, "error": "invalid_auth"}
        if path not in ("/api/chat.postMessage", "/api/chat.update") or body["channel"] != self.CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        self.messages.append((path.rsplit(".", 1)[1], body))
        return {"ok": True, "channel": body["channel"], "ts": body.get("ts", f"{time.time():.6f}")}

    def typed(self, net, manifest, line):
        """Somebody types @line in the channel: (status, answer)."""
        word, text = line.split(" ", 1)
        command = next(c for c in manifest["features"]["slash_commands"] if c["command"] == word)
        form = urllib.parse.urlencode({"team_id": "T1", "channel_id": self.CHANNEL, "user_id": "UANN", "user_name": "ann", "command": word, "text": text,
                                       "trigger_id": uuid.uuid4().hex})
        stamp = str(int(time.time()))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Slack-Request-Timestamp": stamp,
                   "X-Slack-Signature": "v0=" + hmac_of(self.SECRET, f"v0:{stamp}:{form}")}
        status, answer = net.post(command["url"], form, headers)
        return status, json.loads(answer)
