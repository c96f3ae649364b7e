#!/usr/bin/python3
"""The life of `retrybuild serve`: readiness, TLS, reload, stop."""
import concurrent.futures
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import raw_http  # noqa: E402
from cases import case  # noqa: E402
from service import KEY, TOKEN, wait_until  # noqa: E402
from serving import event, logged, logged_any, make, metric, ready, setup  # noqa: E402
from sim_harness import equal  # noqa: E402


# ---- start ----

@case
def port_0_picks_one_and_the_line_says_which(binary):
    s = make(binary).start()
    equal(s.port > 0, True)
    equal(s.request("GET", "/readyz")[0], 200)
    equal(s.stop(), 0)


@case
def an_ipv6_address_is_served(binary):
    s = make(binary, listen='{address: "[::1]:0"}').start()
    with urllib.request.urlopen(f"http://[::1]:{s.port}/livez", timeout=60) as r:
        equal(r.read(), b"ok\n")
    equal(s.stop(), 0)


@case
def a_port_in_use_is_a_plain_error(binary):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        s = make(binary, listen=f'{{address: "127.0.0.1:{taken.getsockname()[1]}"}}')
        done = subprocess.run([binary, "serve", "--config", str(s.config)], capture_output=True, text=True, timeout=60, env=s.env)
    equal((done.returncode, done.stdout), (1, ""))
    equal("cannot bind" in done.stderr, True, done.stderr)


@case
def a_bad_configuration_is_78_with_every_problem(binary):
    s = make(binary, extra="mode: sometimes\nsweep: {projets: []}\n")
    done = subprocess.run([binary, "serve", "--config", str(s.config)], capture_output=True, text=True, timeout=60, env=s.env)
    equal(done.returncode, 78)
    equal("mode: 'sometimes' is none of" in done.stderr and "did you mean 'projects'" in done.stderr, True, done.stderr)


@case
def a_store_that_cannot_be_opened_is_an_error(binary):
    s = make(binary, store="sqlite:/nowhere/at/all.db")
    done = subprocess.run([binary, "serve", "--config", str(s.config)], capture_output=True, text=True, timeout=60, env=s.env)
    equal(done.returncode in (1, 78), True, done)
    equal("/nowhere/at" in done.stderr, True, done.stderr)


@case
def readiness_is_told_to_the_service_manager(binary):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"{folder}/notify")
        told.settimeout(10)
        s = make(binary)
        s.env["NOTIFY_SOCKET"] = f"{folder}/notify"
        s.start()
        equal(told.recv(500), b"READY=1")
        s.proc.send_signal(signal.SIGHUP)
        words = told.recv(500).decode().split("\n")
        equal(words[0], "RELOADING=1")
        equal(words[1].startswith("MONOTONIC_USEC=") and words[1][15:].isdigit(), True, words)
        equal(told.recv(500), b"READY=1")
        equal(s.stop(), 0)
        equal(told.recv(500), b"STOPPING=1")


@case
def few_descriptors_by_default_are_raised(binary):
    s = make(binary, listen='{address: "127.0.0.1:0", max_connections: 2000}')
    with open(s.log, "ab") as log:
        s.proc = subprocess.Popen(["prlimit", "--nofile=256:4096", s.binary, "serve", "--config", str(s.config)], stdout=subprocess.PIPE, stderr=log, text=True, env=s.env)
    s.port = int(s.proc.stdout.readline().rsplit(":", 1)[1])
    idle = [socket.create_connection(("127.0.0.1", s.port), timeout=60) for _ in range(700)]
    equal(s.deliver(event())[0], 202)
    for c in idle:
        c.close()
    equal(s.stop(), 0)


@case
def connections_beyond_the_limit_wait_until_there_is_room(binary):
    s = make(binary, listen='{address: "127.0.0.1:0", max_connections: 8}').start()
    held = [raw_http.connect(s.port) for _ in range(8)]
    for c in held:
        c.sendall(raw_http.request("GET", "/livez"))
        equal(c.recv(100)[:15], b"HTTP/1.1 200 OK")
    with raw_http.connect(s.port) as late:
        late.sendall(raw_http.request("GET", "/livez", [("Connection", "close")]))
        late.settimeout(0.2)
        try:
            raise AssertionError(f"answered beyond the limit: {late.recv(100)}")
        except socket.timeout:
            pass
        held.pop().close()
        equal(raw_http.read_all(late)[:15], b"HTTP/1.1 200 OK")
    for c in held:
        c.close()
    equal(s.stop(), 0)


# ---- TLS ----

@case
def https_is_served_with_the_configured_certificate(binary):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/key.pem", "-out",
                        f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       check=True, capture_output=True)
        s = make(binary, listen=f'{{address: "127.0.0.1:0", request_timeout: 1s, tls: {{certificate_file: {folder}/cert.pem, key_file: {folder}/key.pem}}}}').start()
        trust = ssl.create_default_context(cafile=f"{folder}/cert.pem")
        body = json.dumps(event()).encode()
        for status in (202, 200):
            req = urllib.request.Request(f"https://127.0.0.1:{s.port}/v1/hooks/eventbridge", body, {"Content-Type": "application/json", "x-retrybuild-key": KEY})
            with urllib.request.urlopen(req, timeout=10, context=trust) as r:
                equal(r.status, status)
        # plain text, silence and half a handshake are cut
        for first in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"\x16\x03\x01\x02\x00\x01"):
            with raw_http.connect(s.port) as c:
                c.sendall(first)
                equal(raw_http.closed_after(c, 60) < 30, True, first)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
        try:
            with socket.create_connection(("127.0.0.1", s.port), timeout=60) as c, old.wrap_socket(c):
                raise AssertionError("TLS 1.0 was accepted")
        except (ssl.SSLError, OSError):
            pass
        with socket.create_connection(("127.0.0.1", s.port), timeout=60) as c, trust.wrap_socket(c, server_hostname="localhost") as t:
            equal(t.version() in ("TLSv1.2", "TLSv1.3"), True, t.version())
        equal(s.stop(), 0)


@case
def a_certificate_that_is_none_is_said(binary):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cert.pem", "key.pem"):
            pathlib.Path(folder, name).write_text("nothing\n")
        s = make(binary, listen=f'{{address: "127.0.0.1:0", tls: {{certificate_file: {folder}/cert.pem, key_file: {folder}/key.pem}}}}')
        done = subprocess.run([binary, "serve", "--config", str(s.config)], capture_output=True, text=True, timeout=60, env=s.env)
        equal(done.returncode, 78, done)
        equal("no PEM block" in done.stderr, True, done.stderr)


# ---- reload ----

@case
def a_good_file_is_taken_over_by_sighup(binary):
    s = make(binary).start()
    old = s.config.read_text()
    s.config.write_text(old.replace(KEY, "another-secret-0123456789").replace(TOKEN, "rotated-token-0123456789") + "mode: shadow\n")
    s.proc.send_signal(signal.SIGHUP)
    wait_until("the reload", lambda: logged(s, "config.reloaded"), 10)
    wait_until("the new secret", lambda: s.deliver(event(), key="another-secret-0123456789")[0] != 401, 10)
    equal(s.deliver(event())[0], 401, "the old secret")
    equal(s.api("GET", "/v1/retries")[0], 401, "the old token")
    equal(s.api("GET", "/v1/retries", token="rotated-token-0123456789")[0], 200)
    changes = [json.loads(line)["what"] for line in logged(s, "config.changed")]
    equal("mode: auto -> shadow" in changes and "sources[0].secrets: changed" in changes, True, changes)
    equal(metric(s, "config_last_reload_successful"), 1.0)
    s.config.write_text(s.config.read_text().replace("workers: {submit: 0,", "workers: {submit: 1,"))
    s.proc.send_signal(signal.SIGHUP)
    wait_until("the warning", lambda: any('"warn"' in line and "workers.submit: 0 -> 1 (needs a restart)" in line for line in logged(s, "config.changed")), 10)
    equal(s.stop(), 0)


@case
def a_bad_file_leaves_the_old_one_in_force(binary):
    s = make(binary).start()
    good = s.config.read_text()
    for bad in ("mode: [", good + "mode: never\n", "sources: []\nrules: [{name: a, when: {message: '('}}]\n", "\xff"):
        s.config.write_text(bad, encoding="latin-1")
        before = len(logged_any(s, "config.reload_failed"))
        s.proc.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda n=before: len(logged_any(s, "config.reload_failed")) > n, 10)
        equal(s.deliver(event())[0], 202)
        equal(metric(s, "config_last_reload_successful"), 0.0)
    told = [json.loads(line) for line in s.log.read_text(encoding="latin-1").splitlines()]  # every line is JSON
    equal([t["line"] > 0 for t in told if t["event"] == "config.problem" and "rules[0].when.message" in t["what"]], [True])
    s.config.unlink()
    s.proc.send_signal(signal.SIGHUP)
    wait_until("the missing file", lambda: len(logged_any(s, "config.reload_failed")) == 5, 10)
    s.config.write_text(good)
    s.proc.send_signal(signal.SIGHUP)
    wait_until("good again", lambda: metric(s, "config_last_reload_successful") == 1.0, 10)
    equal(s.stop(), 0)


@case
def reloads_under_load_lose_nothing(binary):
    s = make(binary).start()
    end = time.monotonic() + 2

    def load(_):
        statuses = set()
        while time.monotonic() < end:
            statuses.add(s.deliver(event())[0])
        return statuses
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(load, i) for i in range(8)]
        while time.monotonic() < end:
            s.proc.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        equal(set().union(*(r.result() for r in runs)), {202})
    equal(s.stop(), 0)


# ---- stop ----

@case
def sigterm_during_requests_answers_them_and_ends_with_0(binary):
    s = make(binary).start()
    stopped = threading.Event()

    def load(_):
        accepted = []
        while not stopped.is_set():
            e = event()
            try:
                status, _, text = s.deliver(e)
            except OSError:
                break  # no connection any more
            equal(status, 202, text)
            accepted.append(json.loads(text)["retry"])
        return accepted
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(load, i) for i in range(8)]
        time.sleep(0.3)
        started = time.monotonic()
        equal(s.stop(), 0)
        equal(time.monotonic() - started < 30, True)
        stopped.set()
        accepted = {i for r in runs for i in r.result()}
    equal(len(accepted) > 10, True)
    s.start()
    equal(accepted - {r["id"] for r in s.retries()}, set(), "accepted and gone")
    equal(s.stop(), 0)


@case
def readiness_goes_off_before_the_listener(binary):
    s = make(binary).start()
    with raw_http.connect(s.port) as c:
        c.sendall(raw_http.request("GET", "/readyz"))
        equal(c.recv(15), b"HTTP/1.1 200 OK")
        s.proc.send_signal(signal.SIGTERM)
        wait_until("not ready", lambda: ready(s) == 503, 10, 0.005)
    equal(s.proc.wait(timeout=60), 0)
    s.proc.stdout.close()


@case
def a_client_that_hangs_does_not_keep_the_service_alive(binary):
    s = make(binary, listen='{address: "127.0.0.1:0", request_timeout: 2m}').start()
    with raw_http.connect(s.port) as c:
        c.sendall(raw_http.request("POST", "/v1/hooks/eventbridge", [("x-retrybuild-key", KEY), ("Content-Length", 100)], b"{"))
        started = time.monotonic()
        equal(s.stop(), 0)
        equal(time.monotonic() - started < 30, True, "long before the client gives up")


@case
def a_second_signal_ends_at_once(binary):
    s = make(binary, timing="{shutdown: 5m}").start()
    with raw_http.connect(s.port) as c:
        c.sendall(raw_http.request("POST", "/v1/hooks/eventbridge", [("x-retrybuild-key", KEY), ("Content-Length", 100)], b"{"))
        time.sleep(0.2)
        s.proc.send_signal(signal.SIGTERM)
        wait_until("stopping", lambda: logged_any(s, "service.stopping"), 5)
        time.sleep(0.1)
        started = time.monotonic()
        s.proc.send_signal(signal.SIGTERM)
        equal(s.proc.wait(timeout=60), 1)
        equal(time.monotonic() - started < 30, True, "long before the five minutes that the client could take")
    s.proc.stdout.close()


@case
def sigint_ends_like_sigterm(binary):
    s = make(binary).start()
    s.proc.send_signal(signal.SIGINT)
    equal(s.proc.wait(timeout=60), 0)
    s.proc.stdout.close()


if __name__ == "__main__":
    cases.main(__doc__, setup)
