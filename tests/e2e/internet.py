"""Everything outside of one machine, as the guides need it: a proxy that ends the TLS of every name itself and answers as it. AWS's EventBridge, IAM
and SNS hold what they were given and deliver the simulator's events by it; CodeBuild and STS are the simulator; GitHub and Slack keep what they are told."""
import http.client
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import urllib.parse
import uuid

from service import ACCOUNT, REGION
from stand_ins import GitHub, Slack, signed_by_sns

NAMES = ["retrybuild.example.org", f"*.{REGION}.amazonaws.com", "*.amazonaws.com", "api.github.com", "slack.com"]
SNS_PAGE = f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-1.pem"


def openssl(*words, **more):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **more).stdout


def certificate(folder, name, dns, ca=None, days="30"):
    """NAME.key and NAME.pem of these names, its own or signed by @ca."""
    names = [dns] if isinstance(dns, str) else dns
    extension = pathlib.Path(folder, f"{name}.ext")
    extension.write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n")
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr", "-subj", f"/CN={names[0]}")
    by = ["-CA", f"{folder}/{ca}.pem", "-CAkey", f"{folder}/{ca}.key", "-CAcreateserial"] if ca else ["-signkey", f"{folder}/{name}.key"]
    openssl("x509", "-req", "-in", f"{folder}/{name}.csr", "-days", days, "-extfile", extension, "-out", f"{folder}/{name}.pem", *by)


def fits(pattern, event):
    """An event pattern of EventBridge, of lists of values alone."""
    return all(fits(p, event.get(k, {})) if isinstance(p, dict) else event.get(k) in p for k, p in pattern.items())


class Amazon:
    """EventBridge, IAM and SNS of one account and region."""

    def __init__(self, net, folder):
        self.net, self.folder = net, folder
        self.connections, self.destinations, self.roles, self.policies, self.rules, self.targets, self.topics, self.subscriptions = {}, {}, {}, {}, {}, {}, {}, {}
        self.tokens, self.sent = {}, []

    # ---- EventBridge ----

    def events(self, operation, given):
        arn = f"arn:aws:events:{REGION}:{ACCOUNT}"
        if operation == "CreateConnection":
            made = f"{arn}:connection/{given['Name']}/{uuid.uuid4()}"
            self.connections[made] = given
            return {"ConnectionArn": made, "ConnectionState": "AUTHORIZED"}
        if operation == "CreateApiDestination":
            made = f"{arn}:api-destination/{given['Name']}/{uuid.uuid4()}"
            self.destinations[made] = {**given, "connection": self.connections[given["ConnectionArn"]]}
            return {"ApiDestinationArn": made, "ApiDestinationState": "ACTIVE"}
        if operation == "PutRule":
            self.rules[given["Name"]] = json.loads(given["EventPattern"])
            return {"RuleArn": f"{arn}:rule/{given['Name']}"}
        if operation == "PutTargets":
            self.targets.setdefault(given["Rule"], []).extend(given["Targets"])
            return {"FailedEntryCount": 0, "FailedEntries": []}
        raise ValueError(f"events: no {operation}")

    def happened(self, event):
        """An event of CodeBuild comes onto the bus."""
        for rule, pattern in self.rules.items():
            for target in self.targets.get(rule, []) if fits(pattern, event) else []:
                if target["Arn"] in self.destinations:
                    self.invoke(self.destinations[target["Arn"]], target, event)
                else:
                    self.publish(target["Arn"], json.dumps(event))

    def invoke(self, destination, target, event):
        role = self.roles[target["RoleArn"]]
        if not role_allows(role, self.policies.get(role["name"], []), "events.amazonaws.com", "events:InvokeApiDestination", target["Arn"]):
            raise ValueError(f"role {role['name']} may not invoke {target['Arn']}")
        key = destination["connection"]["AuthParameters"]["ApiKeyAuthParameters"]
        self.sent.append(self.net.post(destination["InvocationEndpoint"], json.dumps(event), {key["ApiKeyName"]: key["ApiKeyValue"], "Content-Type": "application/json"})[0])

    # ---- IAM ----

    def iam(self, given):
        action = given["Action"]
        if action == "CreateRole":
            arn = f"arn:aws:iam::{ACCOUNT}:role/{given['RoleName']}"
            self.roles[arn] = {"name": given["RoleName"], "trust": json.loads(given["AssumeRolePolicyDocument"])}
            return (f"<Role><Path>/</Path><RoleName>{given['RoleName']}</RoleName><RoleId>AROAEXAMPLE</RoleId><Arn>{arn}</Arn>"
                    "<CreateDate>2026-01-01T00:00:00Z</CreateDate></Role>")
        if action == "PutRolePolicy":
            self.policies.setdefault(given["RoleName"], []).append(json.loads(given["PolicyDocument"]))
        elif action == "DeleteRolePolicy":
            del self.policies[given["RoleName"]]
        elif action == "DeleteRole":
            del self.roles[f"arn:aws:iam::{ACCOUNT}:role/{given['RoleName']}"]
        else:
            raise ValueError(f"iam: no {action}")
        return ""

    # ---- SNS ----

    def sns(self, given):
        action = given["Action"]
        if action == "CreateTopic":
            arn = f"arn:aws:sns:{REGION}:{ACCOUNT}:{given['Name']}"
            self.topics[arn] = {given[k]: given[k.replace("key", "value")] for k in given if k.endswith(".key")}
            return f"<TopicArn>{arn}</TopicArn>"
        if action == "SetTopicAttributes":
            self.topics[given["TopicArn"]][given["AttributeName"]] = given["AttributeValue"]
            return ""
        if action == "Subscribe":
            self.tokens[token := uuid.uuid4().hex] = given["Endpoint"]
            link = f"https://sns.{REGION}.amazonaws.com/?Action=ConfirmSubscription&TopicArn={given['TopicArn']}&Token={token}"
            self.push(given["TopicArn"], given["Endpoint"], "SubscriptionConfirmation", "You have chosen to subscribe", Token=token, SubscribeURL=link)
            return "<SubscriptionArn>pending confirmation</SubscriptionArn>"
        if action == "ConfirmSubscription":
            self.subscriptions.setdefault(given["TopicArn"], []).append(self.tokens[given["Token"]])
            return f"<SubscriptionArn>{given['TopicArn']}:{uuid.uuid4()}</SubscriptionArn>"
        raise ValueError(f"sns: no {action}")

    def publish(self, topic, text):
        policy = json.loads(self.topics[topic]["Policy"])
        if not role_allows({"trust": policy}, [policy], "events.amazonaws.com", "sns:Publish", topic):
            raise ValueError(f"EventBridge may not publish to {topic}")
        for endpoint in self.subscriptions.get(topic, []):
            self.push(topic, endpoint, "Notification", text)

    def push(self, topic, endpoint, kind, text, **more):
        message = signed_by_sns(f"{self.folder}/sns.key", topic, kind, text, SNS_PAGE, self.topics[topic].get("SignatureVersion", "1"), **more)
        headers = {"x-amz-sns-message-type": kind, "Content-Type": "text/plain; charset=UTF-8"}
        self.sent.append(self.net.post(endpoint, json.dumps(message), headers)[0])


def role_allows(role, policies, service, action, resource):
    trusts = any(s["Effect"] == "Allow" and s["Principal"] == {"Service": service} for s in role["trust"]["Statement"])
    return trusts and any(s["Effect"] == "Allow" and s["Action"] == action and s["Resource"] == resource for p in policies for s in p["Statement"])


class Internet:
    def __init__(self, folder):
        self.folder, self.sim, self.port, self.wrong = folder, "", 0, []  # sim and port: whoever starts them says
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-subj", "/CN=root of this test", "-days", "30")
        certificate(folder, "net", NAMES, ca="ca")
        certificate(folder, "sns", "sns.amazonaws.com", ca="ca")
        self.amazon, self.github, self.slack = Amazon(self, folder), GitHub(self), Slack()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/net.pem", f"{folder}/net.key")
        self.server = Server(self)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def post(self, url, body, headers):
        """To our own public name, as one of these senders does: (status, text)."""
        to = urllib.parse.urlsplit(url)
        if (to.scheme, to.hostname) != ("https", "retrybuild.example.org"):
            raise ValueError(f"nobody is at {url}")
        status, _, text = forward(f"127.0.0.1:{self.port}", "POST", to.path, headers, body.encode())
        return status, text.decode()

    def answer(self, host, method, path, headers, body):
        """(status, headers, body)."""
        if host == "retrybuild.example.org":
            return forward(f"127.0.0.1:{self.port}", method, path, headers, body)
        if host.startswith(("codebuild.", "sts.")):
            return forward(self.sim, method, path, headers, body)
        if host == f"events.{REGION}.amazonaws.com":
            return as_json(self.amazon.events(headers["X-Amz-Target"].split(".")[1], json.loads(body)), "application/x-amz-json-1.1")
        if host in ("iam.amazonaws.com", f"sns.{REGION}.amazonaws.com"):
            if path == urllib.parse.urlsplit(SNS_PAGE).path:
                return 200, {}, pathlib.Path(self.folder, "sns.pem").read_bytes()
            given = dict(urllib.parse.parse_qsl(body.decode() or urllib.parse.urlsplit(path).query))
            result = (self.amazon.iam if host.startswith("iam") else self.amazon.sns)(given)
            action = given["Action"]
            return 200, {"Content-Type": "text/xml"}, f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>".encode()
        if host == "api.github.com":
            return as_json(self.github.call(method, path, headers, json.loads(body) if body else None))
        if host == "slack.com":
            return as_json(self.slack.call(path, headers, json.loads(body)))
        raise ValueError(f"no such host: {host}")

    def event(self, event):
        self.amazon.happened(event)
        self.github.happened(event)


def as_json(document, kind="application/json"):
    status, document = document if isinstance(document, tuple) else (200, document)
    return status, {"Content-Type": kind}, json.dumps(document).encode()


def forward(to, method, path, headers, body):
    conn = http.client.HTTPConnection(to, timeout=60)
    try:
        conn.request(method, path, body, {k: v for k, v in headers.items() if k.lower() not in ("content-length", "connection", "transfer-encoding")})
        r = conn.getresponse()
        return r.status, {"Content-Type": r.getheader("Content-Type", "text/plain")}, r.read()
    except ConnectionRefusedError:
        return 502, {}, b"nobody listens behind this name"
    finally:
        conn.close()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, net):
        self.net = net
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_):
        """A client that went away."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = ""

    def do_CONNECT(self):
        self.host = self.path.split(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.net.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            if not self.host:  # the simulator, which has no proxy
                self.server.net.event(json.loads(body))
                status, headers, data = 200, {}, b""
            else:
                status, headers, data = self.server.net.answer(self.host, self.command, self.path, dict(self.headers), body)
        except Exception as problem:  # told by the test at its end
            self.server.net.wrong.append(f"{self.command} {self.host}{self.path}: {problem!r}")
            status, headers, data = 500, {}, repr(problem).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def finish(self):
        super().finish()
        self.connection.close()

    def log_message(self, *_):
        pass
