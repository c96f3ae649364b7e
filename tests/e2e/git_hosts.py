"""GitHub, GitLab, Bitbucket Cloud and Gitea as far as a destination sees them: statuses of commits, comments of pull requests, tokens of apps.
Each refuses what the real one refuses, and keeps what is wrong with a request, so that a test can say that nothing was. GitHub counts requests
too: what comes faster than its secondary limit allows is answered as GitHub answers it."""
import base64
import datetime
import http.server
import json
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse

STATES = {"github": ("pending", "success", "failure", "error"), "gitlab": ("pending", "running", "success", "failed", "canceled", "skipped"),
          "bitbucket": ("INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"), "gitea": ("pending", "success", "error", "failure")}
FIELDS = {"github": {"state", "target_url", "description", "context"}, "gitlab": {"state", "name", "ref", "target_url", "description", "coverage", "pipeline_id"},
          "bitbucket": {"key", "state", "url", "name", "description", "refname"}, "gitea": {"state", "target_url", "description", "context"}}
BAD = ("failure", "error", "failed", "canceled", "FAILED", "STOPPED")
WAITING = ("pending", "running", "INPROGRESS")
PATHS = {
    "github": r"/repos/(?P<repo>[^/]+/[^/]+)/statuses/(?P<sha>[0-9a-f]{40})", "gitea": r"/repos/(?P<repo>[^/]+/[^/]+)/statuses/(?P<sha>[0-9a-f]{40})",
    "gitlab": r"/projects/(?P<repo>[^/]+)/statuses/(?P<sha>[0-9a-f]{40})",
    "bitbucket": r"/repositories/(?P<repo>[^/]+/[^/]+)/commit/(?P<sha>[0-9a-f]{40})/statuses/build"}
TOKEN = "host-canary-0123456789"
PROOF = {"github": ("authorization", f"Bearer {TOKEN}"), "gitlab": ("private-token", TOKEN), "bitbucket": ("authorization", f"Bearer {TOKEN}"),
         "gitea": ("authorization", f"token {TOKEN}")}


class App:
    """The key of a GitHub App, the tokens that it was given, and openssl's word on each proof."""

    def __init__(self, life_s=3600):
        self.folder = tempfile.TemporaryDirectory(prefix="rb-app-")
        self.key = pathlib.Path(self.folder.name, "app.pem")
        self.public = pathlib.Path(self.folder.name, "public.pem")
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout", "-out", self.public], check=True, capture_output=True)
        self.life_s, self.given, self.refuse = life_s, {}, set()

    def wrong_with(self, proof):
        """None, or what is wrong with a JWT."""
        try:
            head, claims, signature = proof.removeprefix("Bearer ").split(".")
            read = [base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)) for x in (head, claims, signature)]
            told = json.loads(read[1])
            if "=" in proof.removeprefix("Bearer ") or json.loads(read[0]) != {"alg": "RS256", "typ": "JWT"} or str(told["iss"]) != "4711":
                return "head or issuer"
            if not told["iat"] <= time.time() <= told["exp"] or told["exp"] - told["iat"] > 660 or told["exp"] > time.time() + 600:
                return "times"
        except (ValueError, KeyError) as e:
            return repr(e)
        mark = pathlib.Path(self.folder.name, "signature")
        mark.write_bytes(read[2])
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.public, "-signature", mark], input=f"{head}.{claims}".encode(), capture_output=True, check=False)
        return None if done.returncode == 0 else "signature"

    def give(self, installation):
        """A token in the long form."""
        token = f"ghs_4711_{len(self.given)}_" + "x" * 900
        self.given[token] = (installation, time.time() + self.life_s)
        until = datetime.datetime.fromtimestamp(time.time() + self.life_s, datetime.timezone.utc)
        return {"token": token, "expires_at": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "permissions": {"statuses": "write"}, "repository_selection": "all"}

    def good(self, authorization):
        token = authorization.removeprefix("Bearer ")
        return token in self.given and token not in self.refuse and self.given[token][1] > time.time()


class Hosts:
    """All four behind one port: /github, /gitlab, /bitbucket, /gitea are the roots of their APIs."""

    def __init__(self, app=None):
        self.app, self.lock = app, threading.Lock()
        self.asked, self.wrong, self.limited = [], [], 0
        self.statuses, self.told = {}, {}  # (host, sha) -> {context: state}, [(context, state, description)]
        self.comments, self.edits, self.pulls = {}, {}, {}  # (host, number) -> {id: body}; id -> bodies; (host, sha) -> answer
        self.per_minute = None  # of GitHub's secondary limit, for content
        self.spent = []
        self.host = threading.local()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {k.lower(): v for k, v in self.headers.items()}
                url = urllib.parse.urlsplit(self.path)
                with outer.lock:
                    outer.asked.append((time.time(), self.command, self.path, headers, raw.decode()))
                    _, host, rest = url.path.split("/", 2)
                    status, more, answer = outer.answer_to(host, self.command, "/" + rest, headers, json.loads(raw) if raw else None)
                body = json.dumps(answer).encode()
                self.send_response(status)
                for k, v in {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(body)), **more}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuse(self, status, why, more=None):
        if status not in (403, 404, 429):
            self.wrong.append((status, why, self.asked[-1][1:3]))
        return status, more or {}, {"message": why}

    # ---- who asks ----

    def answer_to(self, host, method, path, headers, body):
        if host == "github" and (path.endswith("/installation") or path.startswith("/app/")):
            return self.app_call(method, path, headers)
        name, value = PROOF[host]
        proof = headers.get(name, "")
        if proof != value and not (self.app and host == "github" and self.app.good(proof)):
            return self.refuse(401, "Bad credentials") if not self.app else (401, {}, {"message": "Bad credentials"})
        if host == "github" and (headers.get("accept") != "application/vnd.github+json" or headers.get("x-github-api-version") != "2022-11-28" or not headers.get("user-agent")):
            return self.refuse(400, "headers")
        limited = self.limit(host, method)
        if limited:
            return limited
        found = re.fullmatch(PATHS[host], path)
        if found and method == "POST":
            return self.status(host, urllib.parse.unquote(found["repo"]), found["sha"], body)
        return self.comment_or_pull(host, method, path, body)

    def app_call(self, method, path, headers):
        why = "no app" if not self.app else self.app.wrong_with(headers.get("authorization", ""))
        if why:
            return self.refuse(401, why)
        if method == "GET" and re.fullmatch(r"/repos/[^/]+/[^/]+/installation", path):
            return 200, {}, {"id": 99, "app_id": 4711}
        if method == "POST" and path == "/app/installations/99/access_tokens":
            return 201, {}, self.app.give(99)
        return self.refuse(404, "Not Found")

    def limit(self, host, method):
        """GitHub's secondary limit: so many requests that make something in a minute."""
        if host != "github" or method == "GET" or not self.per_minute:
            return None
        now = time.time()
        self.spent = [t for t in self.spent if t > now - 60]
        if len(self.spent) >= self.per_minute:
            self.limited += 1
            wait = int(self.spent[0] + 60 - now) + 1
            return self.refuse(403, "You have exceeded a secondary rate limit", {"Retry-After": str(wait)})
        self.spent.append(now)
        return None

    # ---- statuses ----

    def status(self, host, repo, sha, body):
        key = {"bitbucket": "key", "gitlab": "name"}.get(host, "context")
        context, state = body.get(key, "default"), body.get("state")
        before = self.statuses.setdefault((host, sha), {}).get(context)
        if repo != "acme/web" or set(body) - FIELDS[host] or state not in STATES[host]:
            return self.refuse(422, f"repository {repo}, fields {sorted(body)} or state {state}")
        if any(not isinstance(v, str) and not (k == "target_url" and v is None) for k, v in body.items()):
            return self.refuse(422, "a field is no text")
        if len(body.get("description", "")) > (140 if host == "github" else 255):
            return self.refuse(422, "description is too long (maximum is 140 characters)")
        if host == "bitbucket" and (not body.get("url") or re.search("[{}]", body["url"]) or len(context) > 40):
            return self.refuse(400, "url or key")
        if host == "gitlab" and before == state:
            return 400, {}, {"message": f"Cannot transition status via :run from :{state} (Reason(s): Status cannot transition via \"run\")"}
        self.statuses[(host, sha)][context] = state
        self.told.setdefault((host, sha), []).append((context, state, body.get("description")))
        return 201, {}, {"id": len(self.asked), **body}

    def looks(self, host, sha):
        """What the pull request shows of this commit: red, pending or green."""
        states = self.statuses.get((host, sha), {}).values()
        return "red" if any(s in BAD for s in states) else "pending" if any(s in WAITING for s in states) else "green"

    # ---- comments ----

    def comment_or_pull(self, host, method, path, body):
        """Of a GitHub pull request or a GitLab merge request."""
        one = re.fullmatch(r"/repos/acme/web/issues/comments/(\d+)|/projects/acme%2Fweb/merge_requests/\d+/notes/(\d+)", path)
        many = re.fullmatch(r"/repos/acme/web/issues/(\d+)/comments|/projects/acme%2Fweb/merge_requests/(\d+)/notes", path)
        of = re.fullmatch(r"/repos/acme/web/commits/([0-9a-f]{40})/pulls|/projects/acme%2Fweb/repository/commits/([0-9a-f]{40})/merge_requests", path)
        if of and method == "GET":
            return 200, {}, self.pulls.get((host, of[1] or of[2]), [])
        if many and method == "GET":
            return 200, {}, [{"id": k, "body": v} for k, v in self.comments.get((host, many[1] or many[2]), {}).items()]
        if many and method == "POST" and set(body) == {"body"}:
            key = len(self.edits) + 1
            self.comments.setdefault((host, many[1] or many[2]), {})[key] = body["body"]
            self.edits[key] = [body["body"]]
            return 201, {}, {"id": key, **body}
        key = int(one[1] or one[2]) if one else 0
        if one and method == ("PUT" if host == "gitlab" else "PATCH") and set(body) == {"body"} and key in self.edits:
            self.edits[key].append(body["body"])
            next(c for c in self.comments.values() if key in c)[key] = body["body"]
            return 200, {}, {"id": key, **body}
        return self.refuse(404, "Not Found")

    def requests(self, part):
        with self.lock:
            return [a for a in self.asked if part in f"{a[1]} {a[2]}"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
