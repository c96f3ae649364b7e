"""Functions that are not used here, each with what to use instead."""
import re

import common

COPY = "struct rb_buf, or snprintf with its result checked"
NUMBER = "rb_parse_* (str.h)"
TIME = "rb_time_* (timefmt.h)"
BANNED = {
    "strcpy": COPY, "strcat": COPY, "strncpy": COPY, "strncat": COPY, "stpcpy": COPY, "sprintf": COPY, "vsprintf": COPY, "gets": COPY,
    "strtok": "struct rb_slice (str.h), or strtok_r",
    "atoi": NUMBER, "atol": NUMBER, "atoll": NUMBER, "atof": NUMBER, "strtol": NUMBER, "strtoul": NUMBER, "strtoll": NUMBER,
    "strtoull": NUMBER,
    "gmtime": TIME, "localtime": TIME, "ctime": TIME, "asctime": TIME, "mktime": TIME,
    "strerror": "rb_err_errno (err.h)",
    "system": "a library call; a process is never started through a shell", "popen": "a library call; a process is never started through a shell",
    "alloca": "struct rb_arena (mem.h) or a buffer with a named maximum",
    "rand": "rb_random_* (random.h)", "srand": "rb_random_* (random.h)", "random": "rb_random_* (random.h)", "drand48": "rb_random_* (random.h)",
    "sleep": "a condition with a deadline (thread.h)", "usleep": "a condition with a deadline (thread.h)",
    "setenv": "an argument; the environment is read once at the start", "putenv": "an argument; the environment is read once at the start",
}
# A test may prepare the environment of what it runs, and read the numbers that it wrote itself.
IN_TESTS = ("setenv", "putenv", "strtol", "strtoul", "strtoull", "strtoll")
CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")[ \t]*\(")


def check(root):
    problems = []
    for f in common.files(root, common.C_SUFFIXES):
        path = common.name(root, f)
        code = common.blank(common.text(f) or "")
        for match in CALL.finditer(code):
            function = match.group(1)
            if path.startswith("tests/") and function in IN_TESTS:
                continue
            problems.append(f"{path}:{code.count(chr(10), 0, match.start()) + 1}: {function} is banned: use {BANNED[function]}")
    return problems


CASES = [
    ("a banned call", {"lib/util/a.c": "int f(char *s)\n{\n    return atoi(s);\n}\n"}, "lib/util/a.c:3: atoi is banned"),
    ("a banned call after a cast", {"cmd/retrybuild/a.c": "    (void)strcpy (a, b);\n"}, "strcpy is banned"),
    ("the environment in a library", {"lib/aws/a.c": "setenv(\"A\", \"b\", 1);\n"}, "setenv is banned"),
    ("words in comments and strings, members, longer names", {
        "lib/util/a.c": "/* strcpy() is banned */\nconst char *s = \"system(\";\nint x = ops->system(1);\nint y = rb_random(2);\nint z = strerror_r(1);\n",
        "tests/unit/util/test_a.c": "setenv(\"A\", \"b\", 1);\n"}, None),
]

if __name__ == "__main__":
    common.main(check, CASES)
