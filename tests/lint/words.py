"""Words that have no place in a finished tree: notes to self, stand-ins for work, and talk about how the project came about."""
import re

import common

ITSELF = "tests/lint/words.py"
UNDONE = "say what is true, or do it"
ALONE = "the project speaks of itself alone"
WORDS = [
    (r"\b(?:TODO|FIXME|XXX|TBD|HACK)\b", 0, UNDONE),
    (r"\bfor now\b(?!\s*[+,)])", re.I, UNDONE),
    (r"\b(?:placeholder|dummy|stub(?:s|bed)?|lorem ipsum|not (?:yet )?implemented|unimplemented|coming soon)\b", re.I, UNDONE),
    (r"\b(?:issue|ticket|milestone) #?\d+\b", re.I, ALONE),
    (r"(?<![\w.])/root/|/home/\w+/", 0, "no path of one machine"),
    (r"^(?:<{7}|>{7}|={7})(?:\s|$)", 0, "an unfinished merge"),
]
RULES = [(re.compile(pattern, flags), why) for pattern, flags, why in WORDS]
# The names of HTTP itself.
PROTOCOL = re.compile(r"\b501\b.*Not Implemented")


def check(root):
    problems = []
    for f in common.files(root):
        path = common.name(root, f)
        content = common.text(f)
        if path == ITSELF or content is None:
            continue
        for number, line in enumerate(content.split("\n"), 1):
            for rule, why in RULES:
                match = rule.search(line)
                if match and not PROTOCOL.search(line):
                    problems.append(f"{path}:{number}: '{match.group(0).strip()}': {why}")
    return problems


CASES = [
    ("a note to self", {"lib/util/a.c": "int x; /* TODO: y */\n"}, "lib/util/a.c:1: 'TODO'"),
    ("a stand-in", {"lib/util/a.c": "\n/* a Stub of it */\n"}, "lib/util/a.c:2: 'Stub'"),
    ("a postponement", {"README.md": "We skip this for now.\n"}, "'for now'"),
    ("work that is not there", {"configs/a.yaml": "# not implemented\n"}, "'not implemented'"),
    ("a number of a tracker", {"tests/run": "# see issue 12\n"}, "'issue 12'"),
    ("a path of one machine", {"deploy/a": "cd /home/ann/retrybuild\n"}, "no path of one machine"),
    ("an unfinished merge", {"lib/a.c": "<<<<<<< HEAD\n"}, "an unfinished merge"),
    ("ordinary words", {
        "lib/util/a.c": "/* mkdtemp(\"XXXXXX\"); wait for nowhere; a session name ROLE/SESSION; 501 Not Implemented */\n",
        "tests/data/bad.json": b"\xff TODO"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
