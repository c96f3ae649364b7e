"""Receivers that keep what was posted, as it was."""
import http.server
import threading


class Receiver:
    """A server on a free port; @take(handler, body) keeps what came and tells the (status, headers) of the answer."""

    def __init__(self, take):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                status, headers = take(self, self.rfile.read(int(self.headers.get("Content-Length", "0"))))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            do_PATCH = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Catcher(Receiver):
    def __init__(self):
        self.got = []
        super().__init__(self.take)
        self.url = f"{self.root}/"

    def take(self, request, body):
        self.got.append({"body": body.decode(), "headers": dict(request.headers)})
        return 200, {}
