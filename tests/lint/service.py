"""The systemd units: systemd reads them without a complaint and scores the sandbox of a service as safe (1.5 of 10 at most)."""
import re
import subprocess
import tempfile
from pathlib import Path

import common

MAX_EXPOSURE = 15  # tenths


def analyze(unit, *words):
    return subprocess.run(["systemd-analyze", *words, str(unit)], capture_output=True, text=True, check=False)


def unit_problems(path, source):
    """The program is not installed where the check runs, so that the unit is verified with one that is there."""
    with tempfile.TemporaryDirectory(prefix="unit-") as folder:
        unit = Path(folder, Path(path).name)
        unit.write_text(re.sub(r"(?m)^(Exec\w+=\S*?)/\S*/retrybuild\b", r"\1/bin/true", source), encoding="utf-8")
        verified = analyze(unit, "verify", "--man=no")
        said = [line for line in (verified.stdout + verified.stderr).splitlines() if unit.name in line]
        yield from (f"{path}: {line}" for line in said)
        if verified.returncode and not said:
            yield f"{path}: systemd-analyze verify: {verified.stderr.strip()[:300]}"
        scored = analyze(unit, "security", "--offline=true", f"--threshold={MAX_EXPOSURE}")
        if scored.returncode:
            worst = [line for line in scored.stdout.splitlines() if "Overall exposure" in line] or [scored.stderr.strip()[:300]]
            yield f"{path}: {worst[0].strip()}, more than {MAX_EXPOSURE / 10}"


def socket_problems(path, source):
    """Beside a service of its name, without which systemd refuses it."""
    with tempfile.TemporaryDirectory(prefix="unit-") as folder:
        unit = Path(folder, Path(path).name)
        unit.write_text(source, encoding="utf-8")
        unit.with_suffix(".service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
        verified = analyze(unit, "verify", "--man=no")
        said = [line for line in (verified.stdout + verified.stderr).splitlines() if unit.name in line]
        yield from (f"{path}: {line}" for line in said)
        if verified.returncode and not said:
            yield f"{path}: systemd-analyze verify: {verified.stderr.strip()[:300]}"


def check(root):
    problems = [p for f in common.files(root, (".service",)) for p in unit_problems(common.name(root, f), common.text(f) or "")]
    return problems + [p for f in common.files(root, (".socket",)) for p in socket_problems(common.name(root, f), common.text(f) or "")]


OPEN = "[Unit]\nDescription=a\n\n[Service]\nType=notify\nExecStart=/usr/bin/retrybuild serve\n"
CASES = [
    ("a unit without a sandbox", {"deploy/a.service": OPEN}, "Overall exposure"),
    ("a unit with an unknown setting", {"deploy/a.service": OPEN + "ProtectEverything=yes\n"}, "ProtectEverything"),
    ("a socket with an unknown setting", {"deploy/a.socket": "[Socket]\nListenStream=80\nListenTwice=yes\n"}, "ListenTwice"),
    ("a clean socket", {"deploy/a.socket": "[Socket]\nListenStream=127.0.0.1:80\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
