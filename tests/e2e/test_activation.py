#!/usr/bin/python3
"""Socket activation and credentials as a service manager gives them to `retrybuild serve`: descriptor 3, LISTEN_PID, CREDENTIALS_DIRECTORY."""
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
from cases import case  # noqa: E402
from serving import NOWHERE  # noqa: E402
from service import PATIENCE, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

TOKEN = "credential-of-the-test-0123456789"


class World:
    def __init__(self, build):
        self.binary = str(build.resolve() / "cmd/retrybuild/retrybuild")
        self.folder = tempfile.TemporaryDirectory(prefix="rb-passed-")
        self.dir = pathlib.Path(self.folder.name)
        self.made = 0
        (self.dir / "credentials").mkdir()
        (self.dir / "credentials/ops.token").write_text(TOKEN + "\n")

    def config(self, address="127.0.0.1:0"):
        self.made += 1
        path = self.dir / f"{self.made}.yaml"
        path.write_text(f"""listen: {{address: "{address}"}}
api: {{tokens: [{{name: ops, role: operator, secret_file: "${{CREDENTIALS_DIRECTORY}}/ops.token"}}]}}
store: {{url: "sqlite:{self.made}.db"}}
aws: {{endpoint_url: "{NOWHERE}", region: us-east-1}}
workers: {{submit: 0, report: 1}}
timing: {{shutdown: 3s}}
""")
        return path

    def start(self, config, passed=(), count=None, pid="$$"):
        """serve with the sockets as descriptors 3, 4, …; the shell is the process that becomes it, so $$ is its id."""
        env = {**os.environ, "LISTEN_FDS": str(len(passed) if count is None else count), "CREDENTIALS_DIRECTORY": str(self.dir / "credentials"),
               "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        moved = " ".join(f"{3 + i}<&{s.fileno()}" for i, s in enumerate(passed))
        return subprocess.Popen(["/bin/bash", "-c", f'exec env LISTEN_PID={pid} "$0" serve --config "$1" {moved}', self.binary, str(config)], env=env,
                                pass_fds=[s.fileno() for s in passed], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def refused(self, *args, **kwargs):
        proc = self.start(*args, **kwargs)
        out, said = proc.communicate(timeout=30 * PATIENCE)
        equal((proc.returncode, out), (78, ""), said)
        return said


def port_of(ready):
    if not ready.startswith("listening on http://"):
        raise AssertionError(f"no ready line but {ready!r}")
    return int(ready.strip().rsplit(":", 1)[1])


def listening():
    # Far from 3, as the shell puts it where the program looks for it.
    s = socket.create_server(("127.0.0.1", 0))
    return socket.socket(fileno=os.dup2(s.detach(), 40))


def status_of(port, path="/livez", token=None):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    conn.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = conn.getresponse()
    answer.read()
    conn.close()
    return answer.status


def end(proc):
    proc.send_signal(signal.SIGTERM)
    equal(proc.wait(timeout=30 * PATIENCE), 0)
    proc.stdout.close()
    proc.stderr.close()


@case
def a_passed_socket_is_served_instead_of_the_configured_address(world):
    with socket.create_server(("127.0.0.1", 0)) as taken, listening() as passed:
        port = passed.getsockname()[1]
        proc = world.start(world.config(f"127.0.0.1:{taken.getsockname()[1]}"), [passed])
        equal(port_of(proc.stdout.readline()), port)
        equal(status_of(port), 200)
        end(proc)


@case
def a_connection_made_while_nobody_runs_is_answered_by_the_next_process(world):
    with listening() as passed:
        port = passed.getsockname()[1]
        config = world.config()
        proc = world.start(config, [passed])
        port_of(proc.stdout.readline())
        end(proc)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as early:
            early.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            proc = world.start(config, [passed])
            equal(early.recv(65536).split(b"\r\n")[0], b"HTTP/1.1 200 OK")
        end(proc)


@case
def a_socket_meant_for_another_process_is_left_alone(world):
    with listening() as passed:
        proc = world.start(world.config(), [passed], pid="1")
        port = port_of(proc.stdout.readline())
        equal(port != passed.getsockname()[1], True)
        equal(status_of(port), 200)
        end(proc)


@case
def what_cannot_be_served_is_refused_with_what_to_do(world):
    with listening() as one, tempfile.TemporaryDirectory(prefix="rb-unix-") as folder:
        equal("2 sockets were passed (LISTEN_FDS), one is wanted" in world.refused(world.config(), [one, one]), True)
        equal("LISTEN_FDS gives no socket" in world.refused(world.config(), [one], count=0), True)
        equal("LISTEN_FDS gives no socket" in world.refused(world.config(), [one], count="many"), True)
        with socket.socket(socket.AF_UNIX) as local, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as mute:
            local.bind(f"{folder}/s")
            local.listen()
            datagrams.bind(("127.0.0.1", 0))
            mute.bind(("127.0.0.1", 0))
            for wrong in (local, datagrams, mute):
                said = world.refused(world.config(), [wrong])
                equal("is not a listening TCP socket: ListenStream=" in said, True, said)


@case
def systemd_starts_it_with_the_first_connection_and_passes_credentials(world):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = world.config()
    env = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "CREDENTIALS_DIRECTORY": str(world.dir / "credentials")}
    passed_on = [f"--setenv={name}={value}" for name, value in env.items()]
    proc = subprocess.Popen(["systemd-socket-activate", f"--listen=127.0.0.1:{port}", *passed_on, world.binary, "serve", "--config", str(config)],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def answered():
        try:
            return status_of(port, "/v1/retries", TOKEN)
        except ConnectionRefusedError:
            return None  # it does not listen for us yet
    equal(wait_until("an answer through systemd's socket", answered), 200)
    equal(port_of(proc.stdout.readline()), port)
    equal(status_of(port, "/v1/retries", "another-token-0123456789"), 401)
    proc.send_signal(signal.SIGTERM)
    equal(proc.wait(timeout=30 * PATIENCE), 0)
    proc.stdout.close()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda world: world.folder.cleanup())
