#!/usr/bin/python3
"""The Debian package: built with dpkg-buildpackage, read by lintian, and lived with on a clean Debian 12 in a folder: installed with what it
depends on, a failed build recovered by it, upgraded, removed and purged without a trace."""
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

import boto3

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from service import ACCOUNT, AWS_KEY, AWS_SECRET, KEY, REGION, TOKEN, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITE = "bookworm"
SIM = """
projects: [{name: web-app, outcomes: [{status: FAILED, phase: PROVISIONING, message: "no capacity"}, {status: SUCCEEDED}]}]
"""
CONFIG = f"""
listen: {{address: "127.0.0.1:%d"}}
api: {{tokens: [{{name: ops, role: operator, secret_file: ops.token}}]}}
store: {{url: "sqlite:retrybuild.db"}}
aws: {{region: {REGION}, endpoint_url: "%s"}}
sources: [{{name: eventbridge, type: eventbridge, secrets: [{{file: "${{CREDENTIALS_DIRECTORY}}/eventbridge.key"}}]}}]
timing: {service.FAST}
rules: [{{name: no-host, when: {{phase: [PROVISIONING]}}, then: retry, delay: {{fixed: 0s}}}}]
"""
# What Debian's own tools write down about every package that there ever was.
RECORDS = ("var/log/", "var/cache/", "var/lib/apt/", "var/lib/dpkg/", "proc/", "tmp/")


def run(*words, timeout=900, **kwargs):
    r = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=timeout, check=False, **kwargs)
    if r.returncode != 0:
        raise AssertionError(f"{words[0]} … ended with {r.returncode}:\n{(r.stdout + r.stderr)[-3000:]}")
    return r.stdout


def mirror():
    """Where this machine has its own packages from."""
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages").splitlines()
    found = [words[0] for words in (line.split() for line in lines) if words[1:] == [SUITE, "main"]]
    if not found:
        raise AssertionError(f"no source of {SUITE} main among those of this machine: {lines}")
    return found[0]


class World:
    """The package, and a machine of its own if we may make one."""

    def __init__(self, build):
        self.dir = build.resolve() / "deb"
        self.dir.mkdir(exist_ok=True)
        for old in self.dir.glob("*.deb"):
            old.unlink()
        env = {**os.environ, "PATH": f"/usr/lib/ccache:{os.environ['PATH']}"}
        self.package = pathlib.Path(run(ROOT / "deploy/build-deb", "--output", self.dir, "--work", self.dir / "work", env=env).split()[-1])
        self.folder = tempfile.TemporaryDirectory(prefix="rb-root-", dir=self.dir)
        self.root = pathlib.Path(self.folder.name) / "root"
        self.running = []

    def stop(self):
        for proc in self.running:
            proc.kill()
            proc.wait()
            proc.stdout.close()
        if (self.root / "proc/self").exists():
            subprocess.run(["umount", self.root / "proc"], check=False)
        self.folder.cleanup()

    def lay_root(self):
        """A fresh Debian; its archive is kept in the build folder."""
        base = self.dir / "base.tar"
        if not base.exists():
            run("debootstrap", "--variant=minbase", SUITE, self.root, mirror())
            run("tar", "--create", "--file", f"{base}.part", "--directory", self.root, ".")
            os.replace(f"{base}.part", base)
        else:
            self.root.mkdir()
            run("tar", "--extract", "--file", base, "--directory", self.root)
        for name in ("etc/resolv.conf", "etc/hosts"):
            shutil.copyfile("/" + name, self.root / name)
        for conf in pathlib.Path("/etc/apt/apt.conf.d").glob("*proxy*"):
            shutil.copyfile(conf, self.root / "etc/apt/apt.conf.d" / conf.name)
        run("mount", "-t", "proc", "proc", self.root / "proc")

    def within(self, *words):
        return run("chroot", self.root, "env", "DEBIAN_FRONTEND=noninteractive", *words)

    def apt(self, *words):
        return self.within("apt-get", "-qq", "-y", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0", *words)

    def install(self, package):
        shutil.copyfile(package, self.root / "tmp/retrybuild.deb")
        self.apt("install", "/tmp/retrybuild.deb")

    def start(self, *words, **env):
        """A program of the package, as its user; its address."""
        state = self.root / "var/lib/retrybuild"
        if not state.exists():  # as the unit's StateDirectory= does
            self.within("install", "-d", "-o", "retrybuild", "-g", "retrybuild", "-m", "0700", "/var/lib/retrybuild")
        proc = subprocess.Popen(["chroot", "--userspec=retrybuild:retrybuild", self.root, "env", *(f"{k}={v}" for k, v in env.items()), *words],
                                stdout=subprocess.PIPE, text=True)
        self.running.append(proc)
        line = proc.stdout.readline()
        if not line.startswith("listening on http://"):
            raise AssertionError(f"no ready line of {words[0]} but {line!r}")
        return proc, line.split()[-1]

    def end(self, proc):
        proc.terminate()
        equal(proc.wait(timeout=60), 0)
        self.running.remove(proc)
        proc.stdout.close()


class Client(service.Service):
    """The harness's client of a service that it did not start."""

    def __init__(self, url):
        self.port = int(url.rsplit(":", 1)[1])


def serve(world):
    return world.start("/usr/bin/retrybuild", "serve", STATE_DIRECTORY="/var/lib/retrybuild", CREDENTIALS_DIRECTORY="/run/credentials",
                       AWS_ACCESS_KEY_ID=AWS_KEY, AWS_SECRET_ACCESS_KEY=AWS_SECRET)


def newer(world):
    """The package as its next version, and with another default configuration."""
    tree = pathlib.Path(world.folder.name) / "next"
    run("dpkg-deb", "--raw-extract", world.package, tree)
    control = tree / "DEBIAN/control"
    version = next(line for line in control.read_text().splitlines() if line.startswith("Version: "))
    control.write_text(control.read_text().replace(version, version + "+1"))
    with open(tree / "etc/retrybuild/retrybuild.yaml", "a", encoding="utf-8") as f:
        f.write("# of the next version\n")
    package = pathlib.Path(world.folder.name) / "next.deb"
    run("dpkg-deb", "--root-owner-group", "--build", tree, package)
    return package, version.split()[1] + "+1"


def tree_of(root):
    found = set()
    for folder, folders, files in os.walk(root):
        found |= {str(pathlib.Path(folder, n).relative_to(root)) for n in folders + files}
    return {f for f in found if not f.startswith(RECORDS)}


@case
def the_package_holds_what_it_promises(world):
    files = run("dpkg-deb", "--contents", world.package)
    for path in ("/usr/bin/retrybuild", "/usr/bin/codebuild-sim", "/lib/systemd/system/retrybuild.service", "/lib/systemd/system/retrybuild.socket",
                 "/usr/lib/sysusers.d/retrybuild.conf", "/etc/retrybuild/retrybuild.yaml", "/usr/share/man/man1/retrybuild.1.gz",
                 "/usr/share/man/man1/codebuild-sim.1.gz", "/usr/share/bash-completion/completions/retrybuild", "/usr/share/zsh/vendor-completions/_retrybuild",
                 "/usr/share/fish/vendor_completions.d/retrybuild.fish"):
        equal(f" .{path}\n" in files, True, path)
    equal(run("dpkg-deb", "--info", world.package, "conffiles").split(), ["/etc/retrybuild/retrybuild.yaml"])


@case
def lintian_finds_no_error(world):
    r = subprocess.run(["lintian", "--allow-root", "--fail-on=error", str(world.package)], capture_output=True, text=True, check=False)
    equal(r.returncode, 0, r.stdout + r.stderr)


def it_installs_recovers_a_build_upgrades_and_leaves_nothing(world):
    world.lay_root()
    world.apt("update")
    # What it depends on stays when it is purged, so that it is there before we look.
    world.apt("install", *[d.split()[0] for d in run("dpkg-deb", "--field", world.package, "Depends").replace("|", ",").split(",")
                           if "sysusers" not in d], "systemd")
    before = tree_of(world.root)
    world.install(world.package)
    equal(world.within("stat", "--format=%U:%G %a", "/etc/retrybuild").split(), ["root:retrybuild", "750"])

    sim_file = world.root / "tmp/sim.yaml"
    sim_file.write_text(SIM)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (world.root / "etc/retrybuild/ops.token").write_text(TOKEN + "\n")
    (world.root / "run/credentials").mkdir()
    (world.root / "run/credentials/eventbridge.key").write_text(KEY + "\n")
    sim, sim_url = world.start("/usr/bin/codebuild-sim", "--listen", "127.0.0.1:0", "--account", ACCOUNT, "--region", REGION, "--script", "/tmp/sim.yaml", "--speed",
                               "100", "--access-key", f"{AWS_KEY}:{AWS_SECRET}", "--events", f"http://127.0.0.1:{port}/v1/hooks/eventbridge", "--events-header",
                               f"x-retrybuild-key: {KEY}")
    config = world.root / "etc/retrybuild/retrybuild.yaml"
    config.write_text(CONFIG % (port, sim_url))
    server, url = serve(world)
    codebuild = boto3.session.Session().client("codebuild", region_name=REGION, endpoint_url=sim_url, aws_access_key_id=AWS_KEY, aws_secret_access_key=AWS_SECRET)
    build = codebuild.start_build(projectName="web-app")["build"]["id"]
    found = wait_until("the build recovers", lambda: [r for r in Client(url).retries() if r["state"] == "recovered"])
    equal((found[0]["build"]["id"], found[0]["decision"]["rule"]), (build, "no-host"))
    world.end(server)

    package, version = newer(world)
    shutil.copyfile(package, world.root / "tmp/retrybuild.deb")
    world.apt("-o", "Dpkg::Options::=--force-confold", "install", "/tmp/retrybuild.deb")
    equal(world.within("dpkg-query", "-W", "-f", "${Version}", "retrybuild"), version)
    equal(config.read_text(), CONFIG % (port, sim_url))
    server, url = serve(world)
    equal([r["id"] for r in Client(url).retries()], [found[0]["id"]])
    world.end(server)
    world.end(sim)

    world.apt("remove", "retrybuild")
    equal(((world.root / "usr/bin/retrybuild").exists(), config.exists(), (world.root / "var/lib/retrybuild/retrybuild.db").exists()), (False, True, True))
    world.apt("purge", "retrybuild")
    shutil.rmtree(world.root / "run/credentials")
    equal(sorted(tree_of(world.root) - before - {"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"}), [])
    equal("retrybuild" in (world.root / "etc/passwd").read_text(), False)


if os.geteuid() == 0:
    case(it_installs_recovers_a_build_upgrades_and_leaves_nothing)
else:
    print("skipped: life of the package on a clean Debian, which only root may lay out")

if __name__ == "__main__":
    cases.main(__doc__, World, World.stop)
