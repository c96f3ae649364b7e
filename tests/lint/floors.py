"""Imports go one way: a file includes public headers of lower floors or of its own area, private headers of its own area only.

A new area or public header is one row in these tables. Only WIRING may name a concrete store backend or a wrapped library.
"""
import re
from pathlib import Path

import common

AREAS = {
    "util": 0, "codec": 1, "model": 2, "config": 3, "source": 3, "store": 3, "httpc": 3, "aws": 4, "destination": 4, "telemetry": 4,
    "engine": 5, "httpd": 6, "sim": 6, "cmd": 7,
}
HEADERS = {
    "util": "cleanup err mem buf str clock random log secret counters thread",
    "codec": "certificate json digest url timefmt tracecontext jwt range zone",
    "model": "model record settings",
    "config": "config",
    "source": "source command console",
    "store": "store",
    "httpc": "httpc",
    "aws": "aws examine sigv4 codebuild codepipeline publish",
    "destination": "destination forge",
    "telemetry": "telemetry",
    "engine": "command_run engine explain policy",
    "httpd": "httpd",
    "sim": "sim",
}
# A library's header belongs to the areas that wrap it; everybody else goes through them.
FOREIGN = {
    "microhttpd.h": ("httpd", "sim"),
    "curl/": ("httpc", "sim"),
    "hiredis/": ("store",),
    "sqlite3.h": ("store",),
    "yaml.h": ("config", "sim"),
}
WIRING = ("cmd/retrybuild/serve.c", "cmd/retrybuild/version.c")  # what is put together, and what versions it has
BACKEND = re.compile(r"\b(rb_\w*(?:sqlite|redis)\w*|sqlite3_\w+|redis[A-Z]\w*)\b")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.M)
AREA_OF = {f"retrybuild/{h}.h": area for area, names in HEADERS.items() for h in names.split()}


def area_of(path):
    """The area a file of the tree belongs to; None for a public header that no row names; "tests" for what may see all."""
    parts = path.split("/")
    if parts[0] == "include":
        return AREA_OF.get("/".join(parts[1:]))
    if parts[0] == "lib":
        return parts[1] if parts[1] in AREAS else None
    return "tests" if parts[0] == "tests" else "cmd"


def public(area, header):
    target = AREA_OF.get(header)
    if target is None:
        return f"<{header}> is not in the table of tests/lint/floors.py: add it to its area"
    if area == "tests" or area == target or AREAS[target] < AREAS[area]:
        return None
    return f"{area} (floor {AREAS[area]}) may not include <{header}> of {target} (floor {AREAS[target]})"


def private(root, path, area, header):
    """A "quoted" header must be found in the includer's own area; a generated one is named by the area's meson.build."""
    own = {"cmd": ["cmd"], "tests": ["tests"]}.get(area, [f"lib/{area}"])
    parts = path.split("/")
    if area == "tests" and parts[1] == "unit" and len(parts) > 3 and parts[2] in AREAS:
        own.append(f"lib/{parts[2]}")
    elif area == "tests" and parts[1] == "fuzz":
        own.append("lib")  # parsers are the inside of their areas
    if header.startswith("retrybuild/"):
        return f'public headers are included as <{header}>, not "{header}"'
    for folder in [str(Path(path).parent)] + own + (["tests/unit/common"] if area == "tests" else []):
        target = (Path(root, folder, header)).resolve()
        if target.is_file():
            inside = any(target.is_relative_to(Path(root, o).resolve()) for o in own)
            return None if inside else f'"{header}" is private to another area'
    for o in own:
        for build in Path(root, o).rglob("meson.build"):
            if Path(header).name in build.read_text(encoding="utf-8"):
                return None
    return f'"{header}" is no header of {own[0]}'


def foreign(area, header):
    for prefix, areas in FOREIGN.items():
        if header.startswith(prefix) and area not in areas and area != "tests":
            return f"<{header}> is wrapped by {' and '.join(areas)}; {area} goes through {'them' if len(areas) > 1 else 'it'}"
    return None


def check_file(root, path, source):
    area = area_of(path)
    if area is None:
        yield 1, "belongs to no area of the table in tests/lint/floors.py: add it"
        return
    code = common.blank(source, strings=False)
    for match in INCLUDE.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        header = match.group(2)
        if match.group(1) == '"':
            problem = private(root, path, area, header)
        elif header.startswith("retrybuild/"):
            problem = public(area, header)
        else:
            problem = None if path in WIRING else foreign(area, header)
        if problem:
            yield line, problem
    if area in ("store", "tests") or path in WIRING:
        return
    for match in BACKEND.finditer(common.blank(source)):
        yield common.blank(source).count("\n", 0, match.start()) + 1, f"{match.group(1)} names a store backend outside lib/store and cmd's wiring"


def check_links(path, source):
    """lib/<area>/meson.build links lower areas only."""
    area = path.split("/")[1]
    if area not in AREAS:
        return
    for match in re.finditer(r"\brb_(\w+)\b", re.sub(r"#[^\n]*|'[^'\n]*'", "", source)):
        other = match.group(1)
        if other in AREAS and other != area and AREAS[other] >= AREAS[area]:
            yield source.count("\n", 0, match.start()) + 1, f"{area} may not link {other}: it is not on a lower floor"


def check(root):
    problems = []
    for f in common.files(root, common.C_SUFFIXES):
        path = common.name(root, f)
        problems += [f"{path}:{line}: {what}" for line, what in check_file(root, path, common.text(f) or "")]
    for f in sorted(Path(root, "lib").glob("*/meson.build")):
        path = common.name(root, f)
        problems += [f"{path}:{line}: {what}" for line, what in check_links(path, common.text(f) or "")]
    return problems


CASES = [
    ("a clean tree", {
        "lib/store/a.c": "#include <retrybuild/store.h>\n#include <retrybuild/err.h>\n#include \"sqlite/x.h\"\n",
        "lib/store/sqlite/x.h": "#include <sqlite3.h>\nvoid rb_sqlite_go(void);\n",
        "lib/store/sqlite/y.c": "#include \"x.h\"\n#include \"schema.h\"\n",
        "lib/store/meson.build": "schema = 'schema.h'\nrb_store = static_library('rb_store', link_with: [rb_util])\n",
        "cmd/retrybuild/serve.c": "#include <retrybuild/store.h>\nint x = rb_sqlite_ops;\n",
        "cmd/retrybuild/version.c": "#include <sqlite3.h>\n",
        "tests/unit/store/test_a.c": "#include \"sqlite/x.h\"\n#include \"helper.h\"\n", "tests/unit/common/helper.h": "\n",
        "lib/config/s.c": "/* rb_redis_open */ const char *s = \"rb_redis_open\";\n"}, None),
    ("a header of a higher floor", {"lib/util/a.c": "#include <retrybuild/engine.h>\n"}, "may not include <retrybuild/engine.h>"),
    ("a neighbour on the same floor", {"lib/source/a.c": "#include <retrybuild/store.h>\n"}, "may not include <retrybuild/store.h>"),
    ("a public header that looks up", {"include/retrybuild/err.h": "#include <retrybuild/json.h>\n"}, "may not include <retrybuild/json.h>"),
    ("a header that no row names", {"lib/httpd/a.c": "#include <retrybuild/other.h>\n"}, "add it to its area"),
    ("a public header of no area", {"include/retrybuild/other.h": "\n"}, "belongs to no area"),
    ("an area of no floor", {"lib/attic/a.c": "\n"}, "belongs to no area"),
    ("a private header of another area", {"lib/aws/a.c": '#include "../store/x.h"\n', "lib/store/x.h": "\n"}, "private to another area"),
    ("a private header that is not there", {"lib/aws/a.c": '#include "x.h"\n', "lib/store/x.h": "\n"}, "is no header of lib/aws"),
    ("a public header in quotes", {"lib/aws/a.c": '#include "retrybuild/err.h"\n'}, "are included as <retrybuild/err.h>"),
    ("a library that another area wraps", {"lib/engine/a.c": "#include <curl/curl.h>\n"}, "is wrapped by httpc"),
    ("a backend named by the engine", {"lib/engine/a.c": "int x = rb_store_redis_open(1);\n"}, "names a store backend"),
    ("a backend named by another file of cmd", {"cmd/retrybuild/list.c": "int x = rb_sqlite_ops;\n"}, "names a store backend"),
    ("a link upwards", {"lib/util/meson.build": "rb_util = static_library('rb_util', link_with: [rb_codec])\n"}, "may not link codec"),
]

if __name__ == "__main__":
    common.main(check, CASES)
