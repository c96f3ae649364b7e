#!/usr/bin/python3
"""The man pages and the README against the programs: every command and option of the help is explained, and none that is not there."""
import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIN_COMMANDS = 10
EVERYWHERE = {"--help", "--version"}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def output(*command):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - EVERYWHERE


def commands(program):
    return re.findall(r"^  ([a-z][a-z-]*) ", output(program, "-h"), re.M)


def compare(left, right, what):
    return [f"{what}: {', '.join(sorted(left - right))}"] if left - right else []


def man_page_names_every_command(build):
    there = set(commands(build / "cmd/retrybuild/retrybuild"))
    page = read("deploy/man/retrybuild.1.scd")
    told = set(re.findall(r"\*([a-z][a-z-]*)\*", page.split("# COMMANDS")[1].split("# OPTIONS")[0]))
    problems = [] if len(there) >= MIN_COMMANDS else [f"the help lists {len(there)} commands, at least {MIN_COMMANDS} were expected"]
    return problems + compare(there, told, "not in the man page")


def man_page_names_every_option_and_no_other(build):
    program = build / "cmd/retrybuild/retrybuild"
    there = set()
    for command in commands(program):
        there |= options(output(program, command, "-h"))
    told = options(read("deploy/man/retrybuild.1.scd"))
    return compare(there, told, "not in the man page") + compare(told, there, "no option of the program")


def simulator_page_names_every_option_and_no_other(build):
    there = options(output(build / "cmd/codebuild-sim/codebuild-sim", "-h"))
    told = options(read("deploy/man/codebuild-sim.1.scd")) - {"--endpoint-url", "--project-name"}  # these two are the AWS CLI's
    return compare(there, told, "not in the man page") + compare(told, there, "no option of the program")


def simulator_script_documents_every_key(_build):
    told = read("configs/sim.yaml")
    keys = set()
    for name in ("faults", "knobs", "script"):
        for table in re.findall(r"known\[\] = \{(.*?)\}", read(f"lib/sim/{name}.c"), re.S):
            keys |= set(re.findall(r'"([a-z_]+)"', table))
    missing = sorted(k for k in keys if not re.search(rf"(?<![a-z_]){k}(?![a-z_])", told))
    problems = [f"not in configs/sim.yaml: {', '.join(missing)}"] if missing else []
    return problems + ([] if len(keys) >= 60 else [f"only {len(keys)} keys were found"])


def simulator_starts_with_every_shown_default(build):
    """The keys that stand there as comments, taken out of them, are real ones with values that fit."""
    text = read("configs/sim.yaml")
    shown = re.findall(r"^# ([a-z_]+: [^#\n]*)", text.split("What is not known for certain")[1].split("Who starts a build")[0], re.M)
    path = build / "shown-defaults.yaml"
    path.write_text("\n".join(shown) + "\n", encoding="utf-8")
    program = subprocess.Popen([build / "cmd/codebuild-sim/codebuild-sim", "--listen", "127.0.0.1:0", "--script", path],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ready = program.stdout.readline()
    program.terminate()
    _, said = program.communicate(timeout=60)
    problems = [] if ready.startswith("listening on ") else [said]
    return problems + ([] if len(shown) >= 15 else [f"only {len(shown)} keys are shown"])


def readme_shows_commands_that_are_there(build):
    there = set(commands(build / "cmd/retrybuild/retrybuild"))
    shown = set(re.findall(r"(?:^|`)retrybuild ([a-z-]+)", read("README.md"), re.M))
    return compare(shown, there, "shown, but no command") + ([] if len(shown) >= 5 else [f"only {sorted(shown)} are shown"])


def readme_configuration_passes_check_config(build):
    blocks = re.findall(r"```yaml\n(.*?)```", read("README.md"), re.S)
    folder = build / "readme-config"
    folder.mkdir(exist_ok=True)
    contents = {".url": "https://ci.example.org/hook", ".whsec": "whsec_" + "A" * 43 + "="}
    for name in set(re.findall(r"file: *([A-Za-z0-9._-]+)", "".join(blocks))):
        (folder / name).write_text(contents.get(Path(name).suffix, "k" * 40) + "\n", encoding="utf-8")
        (folder / name).chmod(0o600)
    problems = [] if blocks else ["the README shows no configuration"]
    for number, block in enumerate(blocks, 1):
        path = folder / f"readme-{number}.yaml"
        path.write_text(block, encoding="utf-8")
        done = subprocess.run([build / "cmd/retrybuild/retrybuild", "check-config", "--config", path], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            problems.append(f"configuration {number}: status {done.returncode}: {done.stdout}{done.stderr}")
    return problems


def slug(heading):
    """The anchor of a heading, as git hosts make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def every_link_between_the_documents_leads_somewhere(_build):
    problems, seen = [], 0
    for path in [*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md")]:
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            seen += 1
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.exists():
                problems.append(f"{path.relative_to(ROOT)}: {target}: no such file")
            elif anchor and anchor not in {slug(h) for h in re.findall(r"^#+ (.+)$", there.read_text(encoding="utf-8"), re.M)}:
                problems.append(f"{path.relative_to(ROOT)}: {target}: no such heading")
    return problems + ([] if seen >= 15 else [f"only {seen} links were found"])


def every_path_that_the_documents_name_is_there(_build):
    problems, seen = [], 0
    for path in [*ROOT.glob("*.md"), *(ROOT / "deploy").rglob("*.md")]:
        for name in re.findall(r"`((?:deploy|configs|tests|lib|include|cmd)/[\w./-]+)`", path.read_text(encoding="utf-8")):
            seen += 1
            if not (ROOT / name.rstrip("/")).exists():
                problems.append(f"{path.relative_to(ROOT)} names {name}, which is not there")
    return problems + ([] if seen >= 30 else [f"only {seen} paths were found"])


TESTS = [
    every_link_between_the_documents_leads_somewhere,
    every_path_that_the_documents_name_is_there,
    man_page_names_every_command,
    man_page_names_every_option_and_no_other,
    simulator_page_names_every_option_and_no_other,
    simulator_script_documents_every_key,
    simulator_starts_with_every_shown_default,
    readme_shows_commands_that_are_there,
    readme_configuration_passes_check_config,
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    failed = 0
    for test in TESTS:
        problems = test(build)
        failed += 1 if problems else 0
        print(f"{'FAILED' if problems else 'ok':<6} {test.__name__}" + "".join(f"\n    {p}" for p in problems), flush=True)
    print(f"{len(TESTS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
