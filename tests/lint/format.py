"""Layout: clang-format leaves every C file as it is; every text file ends with one newline, without tabs in C or blanks at line ends."""
import subprocess
from pathlib import Path

import common

STYLE = Path(__file__).parents[2] / ".clang-format"
RAW = ("tests/data/", "tests/fuzz/", "tests/bench/payload")  # cases are what they are, byte for byte


def layout(path, content):
    if content and not content.endswith("\n"):
        yield f"{path}: the last line does not end"
    if content.endswith("\n\n"):
        yield f"{path}: blank lines at the end"
    for number, line in enumerate(content.split("\n"), 1):
        if line != line.rstrip():
            yield f"{path}:{number}: blanks at the end of the line"
        elif "\t" in line and path.endswith(common.C_SUFFIXES):
            yield f"{path}:{number}: a tab"


def clang_format(root, paths):
    if not paths:
        return []
    command = ["clang-format", f"--style=file:{STYLE}", "--dry-run", "-Werror", "--ferror-limit=3"] + paths
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    places = [line.split(": ")[0] for line in done.stderr.splitlines() if ": error:" in line or ": warning:" in line]
    first = {place.split(":")[0]: place for place in reversed(places)}
    lines = [f"{place}: run clang-format -i {path}" for path, place in sorted(first.items())]
    if done.returncode and not lines:
        lines = [f"clang-format: {done.stderr.strip()[:400]}"]
    return lines


def check(root):
    problems = []
    c_files = []
    for f in common.files(root):
        path = common.name(root, f)
        content = common.text(f)
        if content is None or path.startswith(RAW):
            continue
        problems += list(layout(path, content))
        if f.suffix in common.C_SUFFIXES:
            c_files.append(path)
    return problems + clang_format(root, c_files)


CASES = [
    ("a C file that clang-format would change", {"lib/util/a.c": "int f(void) { return 1; }\n"}, "lib/util/a.c:1"),
    ("a header that clang-format would change", {"include/retrybuild/a.h": "int  f(void);\n"}, "include/retrybuild/a.h:1"),
    ("blanks at the end of a line", {"README.md": "a \n"}, "README.md:1: blanks"),
    ("a file without its last newline", {"configs/a.yaml": "a: 1"}, "does not end"),
    ("a clean tree", {
        "lib/util/a.c": "int f(void)\n{\n    return 1;\n}\n", "tests/data/a.json": "{} ", "README.md": "a\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
