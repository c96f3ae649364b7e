#!/usr/bin/python3
"""Keys of Google Chat: fetched through a proxy that is good, silent or slow; made-up keys cost nothing that SNS or known keys need."""
import base64
import concurrent.futures
import datetime
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from sim_harness import equal  # noqa: E402
from tls_proxy import TlsProxy  # noqa: E402

GOOGLE, SNS = "www.googleapis.com", "sns.us-east-1.amazonaws.com"
ACCOUNT = "chat@system.gserviceaccount.com"
HOOK = "https://ci.example.com/v1/hooks/gurl"
TOPIC = f"arn:aws:sns:us-east-1:{service.ACCOUNT}:builds"
BUDGET = 20  # calls a minute


def run(*command, **args):
    return subprocess.run(command, check=True, capture_output=True, **args).stdout


class Proxy(TlsProxy):
    """`google` says how Google is: good, silent (behind CONNECT) or slow (a byte now and then)."""

    def __init__(self, folder, pages):
        self.google, self.pages, self.asked, self.connects = "good", pages, [], []
        self.done = threading.Event()
        super().__init__(folder)

    def target(self, conn):
        words = self.head(conn)
        if not words:
            raise OSError("gone")
        return words[1]

    def one(self, conn):
        try:
            host = self.target(conn).removesuffix(":443")
            self.connects.append(host)
            if host == GOOGLE and self.google == "silent":
                self.done.wait(30)
                return
            conn.sendall(b"HTTP/1.1 200 ok\r\n\r\n")
            conn = self.context.wrap_socket(conn, server_side=True)
            url = f"https://{host}{self.target(conn)}"
            self.asked.append(url)
            body = self.pages.get(url, b"")
            conn.sendall(f"HTTP/1.1 {200 if body else 404} x\r\nContent-Length: {len(body) or 0}\r\nConnection: close\r\n\r\n".encode())
            if host == GOOGLE and self.google == "slow":
                for i in range(len(body)):
                    conn.sendall(body[i:i + 1])
                    if self.done.wait(0.2):
                        return
            conn.sendall(body)
        except OSError:
            pass
        finally:
            conn.close()

    def stop(self):
        self.done.set()
        super().stop()


class World:
    def __init__(self, build):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-keys-")
        f = self.folder.name
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{f}/ca.key", "-out", f"{f}/ca.pem", "-subj", "/CN=test root", "-days", "30")
        for name, dns in (("net", f"DNS:{GOOGLE},DNS:{SNS}"), ("google", "DNS:chat"), ("sns", "DNS:sns.amazonaws.com")):
            pathlib.Path(f"{f}/{name}.ext").write_text(f"subjectAltName={dns}\n")
            run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{f}/{name}.key", "-out", f"{f}/{name}.csr", "-subj", f"/CN={name}")
            run("openssl", "x509", "-req", "-in", f"{f}/{name}.csr", "-days", "30", "-extfile", f"{f}/{name}.ext", "-out", f"{f}/{name}.pem", "-CA", f"{f}/ca.pem",
                "-CAkey", f"{f}/ca.key", "-CAcreateserial")
        self.keys = f"https://{GOOGLE}/service_accounts/v1/metadata/x509/{ACCOUNT}"
        pem = pathlib.Path(f"{f}/google.pem").read_text()
        pages = {self.keys: json.dumps({"k1": pem, "k2": pem}).encode(), f"https://{GOOGLE}/oauth2/v1/certs": json.dumps({"k1": pem}).encode()}
        for page in ("a", "b", "c"):
            pages[f"https://{SNS}/SimpleNotificationService-{page}.pem"] = pathlib.Path(f"{f}/sns.pem").read_bytes()
        self.net = Proxy(f, pages)
        self.s = service.Service(build / "cmd/retrybuild/retrybuild", "sqlite:keys.db", "http://127.0.0.1:9", timing="{shutdown: 3s}",
                                 extra=f"workers: {{submit: 0, report: 1}}\nnetwork: {{proxy: '{self.net.url}', ca_file: {f}/ca.pem}}\n")
        more = (f'{{name: gchat, type: googlechat, audience: "4711", who: [{{anyone: true}}]}}, {{name: gurl, type: googlechat, audience: "{HOOK}", who: [{{anyone: true}}]}}, '
                f'{{name: sns, type: sns, topics: ["{TOPIC}"]}}, ')
        self.s.config.write_text(self.s.config.read_text().replace("sources: [", "sources: [" + more).replace("aws: {", f'aws: {{account: "{service.ACCOUNT}", '))
        self.s.start()

    def stop(self):
        self.net.stop()
        equal(self.s.stop(), 0, "exit status")
        self.folder.cleanup()

    def post(self, source, body, headers):
        """(status, seconds)"""
        started = time.monotonic()
        conn = http.client.HTTPConnection("127.0.0.1", self.s.port, timeout=30)
        try:
            conn.request("POST", f"/v1/hooks/{source}", json.dumps(body).encode(), headers)
            r = conn.getresponse()
            r.read()
            return r.status, time.monotonic() - started
        finally:
            conn.close()

    def sign(self, key, text):
        return run("openssl", "dgst", "-sha256", "-sign", f"{self.folder.name}/{key}.key", input=text.encode())

    def chat(self, kid, source="gchat", signed=True):
        """What Google Chat posts, signed by the key that is called @kid; signed False: by nobody."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
        now = int(time.time())
        who = {"iss": ACCOUNT, "aud": "4711"} if source == "gchat" else {"iss": "https://accounts.google.com", "aud": HOOK, "email": ACCOUNT, "email_verified": True}
        text = part(json.dumps({"alg": "RS256", "kid": kid, "typ": "JWT"}).encode()) + "." + part(json.dumps({**who, "iat": now, "exp": now + 3600}).encode())
        token = text + "." + part(self.sign("google", text) if signed else b"x" * 256)
        event = {"type": "MESSAGE", "user": {"name": "users/42", "type": "HUMAN"}, "space": {"name": "spaces/S", "type": "ROOM"},
                 "message": {"name": f"spaces/S/messages/{uuid.uuid4()}", "text": "@rb help", "argumentText": " help"}}
        return self.post(source, event, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})

    def topic(self, page):
        """A message of SNS whose certificate is at @page."""
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        m = {"Message": json.dumps(service.failure_event(f"app:{uuid.uuid4()}")), "MessageId": str(uuid.uuid4()), "Timestamp": stamp, "TopicArn": TOPIC, "Type": "Notification"}
        signature = base64.b64encode(self.sign("sns", "".join(f"{n}\n{m[n]}\n" for n in sorted(m)))).decode()
        m |= {"SignatureVersion": "2", "Signature": signature, "SigningCertURL": f"https://{SNS}/SimpleNotificationService-{page}.pem"}
        return self.post("sns", m, {"Content-Type": "text/plain; charset=UTF-8"})

    def others_go_on(self, page):
        """Known keys are taken, and SNS has its certificate fetched."""
        status, seconds = self.chat("k1")
        equal((status, seconds < 2), (200, True), ("a known key", status, seconds))
        status, seconds = self.topic(page)
        equal((status in (200, 202), seconds < 2.5), (True, True), ("SNS", status, seconds))


@case
def keys_that_nobody_has_are_looked_for_once_a_minute(w):
    equal(w.chat("k1")[0], 200)
    equal(w.net.asked, [w.keys])
    equal([w.chat(f"none-{i}", signed=False)[0] for i in range(2 * BUDGET)], [401] * 2 * BUDGET)
    equal(w.chat("k1", signed=False)[0], 401)
    equal(w.chat("k2")[0], 200)  # another of the same document
    equal(w.net.asked, [w.keys])


@case
def a_google_that_is_silent_or_slow_ends_in_time(w):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        before = len(w.net.asked)
        w.net.google = "slow"
        slow = pool.submit(w.chat, "k1", "gurl")
        service.wait_until("the slow one is asked", lambda: len(w.net.asked) > before, 5)
        w.net.google = "silent"
        silent = pool.submit(w.chat, "k9", "gurl")
        w.others_go_on("a")
        for name, answer in (("slow", slow.result()), ("silent", silent.result())):
            equal((answer[0], answer[1] < 12), (503, True), (name, answer))


@case
def a_flood_of_unknown_keys_costs_its_budget_and_nobody_else_s(w):
    w.net.google = "silent"
    before = w.net.connects.count(GOOGLE)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        flood = [pool.submit(w.chat, f"flood-{i}", "gurl", False) for i in range(60)]
        w.others_go_on("b")
        equal({f.result()[0] for f in flood}, {503})
    called = w.net.connects.count(GOOGLE) - before
    equal(0 < called <= BUDGET, True, called)
    w.others_go_on("c")


if __name__ == "__main__":
    sys.exit(cases.main(__doc__, World, World.stop))
