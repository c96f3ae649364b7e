"""The top level holds what the design names, and documents refer to files that are there."""
import re
from pathlib import Path

import common

FOLDERS = {"cmd", "lib", "include", "deploy", "tests", "configs"}
FILES = {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "meson.build", "meson_options.txt"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
MENTION = re.compile(r"`((?:deploy|tests|configs|lib|include|cmd)/[\w./-]+)`")


def check(root):
    problems = []
    for entry in sorted(Path(root).iterdir()):
        if entry.name.startswith((".", "build")) or entry.suffix in (".db", ".db-wal", ".db-shm"):
            continue
        if entry.name not in (FOLDERS if entry.is_dir() else FILES):
            problems.append(f"{entry.name}: the top level has no place for it")
    for f in common.files(root, (".md",)):
        path = common.name(root, f)
        for number, line in enumerate((common.text(f) or "").split("\n"), 1):
            links = [(f.parent / link, link) for link in LINK.findall(line) if "://" not in link and not link.startswith("mailto:")]
            for target, written in links + [(Path(root, m), m) for m in MENTION.findall(line)]:
                if not target.exists():
                    problems.append(f"{path}:{number}: {written} is not there")
    return problems


CASES = [
    ("a further folder", {"attic/a.c": "\n"}, "attic: the top level"),
    ("a further file", {"notes.txt": "\n"}, "notes.txt: the top level"),
    ("a link to nothing", {"README.md": "see [a](deploy/a.md)\n"}, "README.md:1: deploy/a.md is not there"),
    ("a file that is not there", {"README.md": "\nrun `deploy/go` first\n"}, "README.md:2: deploy/go"),
    ("a clean tree", {
        "README.md": "[a](deploy/a.md#b) [b](https://example.org/x) `deploy/a.md` `lib/<area>`\n", "deploy/a.md": "a\n", "build-gcc/x": "\n",
        ".gitignore": "\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
