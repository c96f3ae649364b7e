"""Each public header compiles alone with gcc and clang, is guarded by its own name, and opens with its contract."""
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common

FLAGS = ["-x", "c", "-std=gnu11", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wstrict-prototypes",
         "-Wmissing-prototypes", "-Wundef", "-Werror"]
COMPILERS = ("gcc", "clang")
CONTRACT = re.compile(r"\b(?:Threads|Blocks|threads?)\b")


def compiles(root, header, compiler):
    """Nothing, or one problem: the first error that the compiler names."""
    source = f"#include <retrybuild/{header}>\n#include <retrybuild/{header}>\nextern int alone;\n"
    done = subprocess.run([compiler, *FLAGS, "-I", str(Path(root, "include")), "-"], input=source, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    errors = [line for line in done.stderr.splitlines() if "error:" in line] or [done.stderr.strip()[:300]]
    return [f"include/retrybuild/{header}: alone with {compiler}: {errors[0]}"]


def contract(header, source):
    path = f"include/retrybuild/{header}"
    guard = "RETRYBUILD_" + re.sub(r"\W", "_", header).upper()
    if f"#ifndef {guard}\n#define {guard}\n" not in source:
        yield f"{path}: is not guarded by {guard}"
    if not source.startswith(f"/* {header} - "):
        yield f"{path}: does not open with '/* {header} - its job'"
    comments = " ".join(re.findall(r"/\*.*?\*/", source, re.S))
    if not CONTRACT.search(comments):
        yield f"{path}: the contract does not say which threads may call and what blocks (Threads: … Blocks: …)"


def check(root):
    folder = Path(root, "include", "retrybuild")
    headers = sorted(folder.glob("*.h"))
    problems = [p for h in headers for p in contract(h.name, common.text(h) or "")]
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda pair: compiles(root, *pair), [(h.name, c) for h in headers for c in COMPILERS])
        problems += [p for found in results for p in found]
    stray = [common.name(root, f) for f in common.files(root, (".h",)) if common.name(root, f).startswith("include/") and f.parent != folder]
    return problems + [f"{s}: public headers stand in include/retrybuild" for s in stray]


GOOD = "/* a.h - a thing. Threads: any. Blocks: never. */\n#ifndef RETRYBUILD_A_H\n#define RETRYBUILD_A_H\n\n#include <stdint.h>\n\nuint8_t rb_a(void);\n\n#endif\n"
CASES = [
    ("a clean header", {"include/retrybuild/a.h": GOOD}, None),
    ("a header that needs another first", {"include/retrybuild/a.h": GOOD.replace("#include <stdint.h>\n", "")}, "alone with gcc"),
    ("a header that clang refuses", {"include/retrybuild/a.h": GOOD.replace("uint8_t rb_a(void);", "uint8_t rb_a();")}, "alone with clang"),
    ("a header of another guard", {"include/retrybuild/a.h": GOOD.replace("BUILD_A_H", "BUILD_B_H")}, "is not guarded by RETRYBUILD_A_H"),
    ("a header without its job", {"include/retrybuild/a.h": GOOD.replace("a.h - ", "")}, "does not open with"),
    ("a header without a contract", {"include/retrybuild/a.h": GOOD.replace("Threads: any. Blocks: never.", "")}, "which threads may call"),
    ("a header in another folder", {"include/other/a.h": GOOD}, "stand in include/retrybuild"),
]

if __name__ == "__main__":
    common.main(check, CASES)
