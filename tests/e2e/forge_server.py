"""A small git host's API for tests: statuses of commits, permissions, pull requests, reactions, tokens of apps. Not a model of any host: it
answers what it was given and keeps what it was asked."""
import http.server
import json
import threading
import urllib.parse


class Forge:
    def __init__(self):
        self.asked = []  # (method, path, headers, body)
        self.answers = {}  # "METHOD path" (no query) -> (status, document)
        self.away = False
        self.takes = False  # whatever is posted
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                path = urllib.parse.urlsplit(self.path)
                outer.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body.decode()))
                status, document = (503, {}) if outer.away else outer.answers.get(
                    f"{self.command} {path.path}", (201, {"id": 1}) if outer.takes and self.command in ("POST", "PUT") else (404, {"message": "Not Found"}))
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def on(self, request, document, status=200, root="/api"):
        """`request` is "METHOD /path" behind the root."""
        method, path = request.split(" ", 1)
        self.answers[f"{method} {root}{path}"] = (status, document)

    def requests(self, part):
        return [a for a in list(self.asked) if part in f"{a[0]} {a[1]}"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
