"""What the checks share: the tree they look at, C without comments and strings, one way to report.

A check is a function from a root folder to a list of problems ("file:line: what is wrong"). Beside it stand cases: small
trees, each with the words the check must say about it (or None for a clean one). Every run tries the cases first, so that a
check that can no longer fail is found before it is believed.
"""
import os
import re
import sys
import tempfile
from pathlib import Path

TOP = ("cmd", "lib", "include", "deploy", "tests", "configs", ".ci")
TOP_FILES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "meson.build", "meson_options.txt")
C_SUFFIXES = (".c", ".h")


def files(root, suffixes=None):
    """Every file of the project under @root, sorted; build folders and caches are no part of it."""
    found = [Path(root, name) for name in TOP_FILES if Path(root, name).is_file()]
    for top in TOP:
        for folder, folders, names in os.walk(Path(root, top)):
            folders[:] = sorted(d for d in folders if d not in ("__pycache__", "node_modules") and not d.startswith("build"))
            found += [Path(folder, n) for n in sorted(names) if not n.endswith((".pyc", ".db"))]
    return [f for f in found if suffixes is None or f.suffix in suffixes]


def text(path):
    """The file's text, or None for one that is not UTF-8 text (a sample of bad bytes, an image)."""
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in content else content


def name(root, path):
    return Path(path).relative_to(root).as_posix()


_TOKENS = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


def blank(source, strings=True):
    """C with comments (and strings) blanked, line numbers kept."""
    def gap(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + token[0] if strings else token
        return "\n" * token.count("\n") or " "
    return _TOKENS.sub(gap, source)


def script_kind(path):
    """'sh' or 'python' for a script, by suffix or first line; None for anything else."""
    if path.suffix in (".py", ".sh"):
        return "python" if path.suffix == ".py" else "sh"
    if path.suffix:
        return None
    with path.open("rb") as f:
        first = f.readline(120)
    if first.startswith(b"#!") and b"python" in first:
        return "python"
    return "sh" if re.match(rb"#!.*\b(ba|da)?sh\b", first) else None


def _try(check, case):
    """None when the check says about the case's tree what it must, else the complaint."""
    title, tree, expected = case
    with tempfile.TemporaryDirectory(prefix="lint-") as folder:
        for path, content in tree.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        problems = check(folder)
    if expected is None:
        return f"'{title}' must be clean: {problems}" if problems else None
    return None if any(expected in p for p in problems) else f"'{title}' was not found: {problems}"


def main(check, cases):
    """Try the cases, check the tree (argument, else the project), print problems and the count."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    complaints = [c for c in (_try(check, case) for case in cases) if c]
    if not any(expected for _, _, expected in cases):
        complaints.append("the check has no case that it must find")
    for complaint in complaints:
        print(f"self-test: {complaint}")
    problems = check(str(root))
    for problem in problems:
        print(problem)
    failed = len(complaints) + len(problems)
    passed = len(cases) - len(complaints) + (0 if problems else 1)
    print(f"{max(passed, 0)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
