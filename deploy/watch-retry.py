#!/usr/bin/python3
"""Print the life of the retry of one build as it happens; status 0 when it recovered, 1 for any other end or none in time."""
import argparse
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TERMINAL = {"recovered", "failed_again", "ignored", "refused", "superseded", "deferred", "cancelled", "dead"}
POLL_SECONDS = 0.25
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(server, token, path):
    request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
    with DIRECT.open(request, timeout=5) as answer:
        return json.load(answer)


def find(server, token, build):
    """The newest retry of the build, or None."""
    project = urllib.parse.quote(build.split(":")[0], safe="")
    page = fetch(server, token, f"/v1/retries?project={project}&limit=50")
    return next((r for r in page["retries"] if r["build"]["id"] == build), None)


def clock(at):
    """The time of day of an RFC 3339 time, as it stands."""
    return at.split("T")[-1].rstrip("Z")


def introduce(retry):
    build = retry["build"]
    print(f"retry {retry['id']} of {build['id']}")
    print(f"  failure   {build.get('status')} in {build.get('phase')}: {build.get('message')}")


def decide(retry):
    decision = retry["decision"]
    print(f"  decision  {decision['action']}, rule '{decision['rule']}': {decision['reason']}", flush=True)


def watch(server, token, build, deadline):
    """Prints what is new at every look; returns the retry's state at the end, or None without a retry in time."""
    retry = None
    shown = 0
    decided = False
    while time.monotonic() < deadline:
        seen = find(server, token, build) if retry is None else fetch(server, token, f"/v1/retries/{retry['id']}")
        if seen:
            if retry is None:
                introduce(seen)
            retry = seen
            if not decided and (retry.get("decision") or {}).get("rule"):
                decided = True
                decide(retry)
            for entry in retry["history"][shown:]:
                child = retry.get("child") if entry["state"] == "running" else None
                note = entry.get("note") or (f"build {child['id']}" if child else "")
                print(f"  {clock(entry['at'])}  {entry['state']:<12} {note}".rstrip(), flush=True)
            shown = len(retry["history"])
            if retry["state"] in TERMINAL:
                return retry["state"]
        time.sleep(POLL_SECONDS)
    return retry["state"] if retry else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--build", required=True, help="id of the failed build, project:uuid")
    parser.add_argument("--timeout", type=float, default=90, help="seconds")
    args = parser.parse_args()
    token = args.token_file.read_text(encoding="utf-8").strip()
    try:
        state = watch(args.server, token, args.build, time.monotonic() + args.timeout)
    except urllib.error.HTTPError as problem:
        sys.exit(f"{args.server} answered {problem.code}: {problem.read(400).decode(errors='replace')}")
    except OSError as problem:
        sys.exit(f"{args.server}: {problem}")
    if state != "recovered":
        sys.exit(f"no recovery within {args.timeout:.0f} s: " + (f"the retry is {state}" if state else "no retry was made"))


if __name__ == "__main__":
    main()
