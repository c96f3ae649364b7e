"""HTTP by hand: bytes out, bytes in, and a strict reader of what came."""
import json
import socket
import time


class Answer:
    """One response of a raw exchange."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def connect(port, timeout=60):
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def read_all(sock, timeout=60):
    """Everything until the server closes; raises when it does not within @timeout seconds."""
    sock.settimeout(timeout)
    got = b""
    while True:
        try:
            piece = sock.recv(65536)
        except ConnectionResetError:
            return got
        if not piece:
            return got
        got += piece


def parse(data, head=False):
    """The responses in @data, one after another; anything else raises."""
    found = []
    while data:
        top, blank, data = data.partition(b"\r\n\r\n")
        if not blank:
            raise ValueError(f"no end of headers in {top!r}")
        lines = top.split(b"\r\n")
        version, status = lines[0].split(b" ")[:2]
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise ValueError(f"no response but {lines[0]!r}")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or name.strip() != name:
                raise ValueError(f"bad header line {line!r}")
            headers[name.decode().lower()] = value.strip().decode()
        if status == b"100":
            found.append(Answer(100, headers, b""))
            continue
        length = 0 if head else int(headers["content-length"])
        if len(data) < length:
            raise ValueError(f"body cut: {len(data)} of {length}")
        found.append(Answer(int(status), headers, data[:length]))
        data = data[length:]
    return found


def exchange(port, data, timeout=60, head=False):
    """Send @data, read until the server closes; the responses."""
    with connect(port, timeout) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server answered before the end
        return parse(read_all(s, timeout), head)


def request(method, path, headers=(), body=b"", version="HTTP/1.1", host=True):
    lines = [f"{method} {path} {version}"]
    if host:
        lines.append("Host: 127.0.0.1")
    lines += [f"{k}: {v}" for k, v in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def closed_after(sock, limit):
    """Seconds until the server closes; raises after @limit."""
    started = time.monotonic()
    read_all(sock, limit)
    return time.monotonic() - started
