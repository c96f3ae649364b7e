"""Clients in JavaScript for tests: fetched once into the build folder, by whichever script comes first."""
import fcntl
import json
import pathlib
import shutil
import subprocess

from sim_harness import equal

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = "@aws-sdk/client-codebuild@3.1142.0"


def installed(build, name="js-client", packages=(PACKAGE,), options=()):
    """The folder that has the client, or None and why not."""
    folder = pathlib.Path(build).resolve() / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return fetched(folder, packages, options)


def fetched(folder, packages, options):
    if (folder / "complete").exists():
        return folder, ""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return None, "npm or node is not installed"
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    try:
        r = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *options, *packages], cwd=folder, capture_output=True, text=True, timeout=180, check=False)
    except subprocess.TimeoutExpired:
        return None, "npm did not get the client in three minutes"
    if r.returncode != 0:
        return None, f"npm cannot install the client: {r.stderr.strip()[-200:]}"
    (folder / "complete").touch()
    return folder, ""


def told(folder, script, *args):
    """What a script of this folder printed, as JSON."""
    r = subprocess.run(["node", str(HERE / script), *args], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    equal(r.returncode, 0, r.stderr)
    return json.loads(r.stdout)
