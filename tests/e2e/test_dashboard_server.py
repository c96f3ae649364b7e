#!/usr/bin/python3
"""What the dashboard is served and asks for: its files and their policy, who a token is, the overview, a chain, the search."""
import hashlib
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import life  # noqa: E402
import service  # noqa: E402
from cases import both, case  # noqa: E402
from sim_harness import equal  # noqa: E402

ASSETS = pathlib.Path(__file__).resolve().parents[2] / "lib/httpd/assets"
RULES = f"rules: [{life.FAST_RULE}]\n"


def policy_of(headers):
    return dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))


@case
def every_file_is_served_with_its_type_and_a_strict_policy(world):
    with world.serving() as s:
        files = sorted(p for p in ASSETS.iterdir())
        assert len(files) >= 10, files
        for file in files:
            status, headers, text = s.request("GET", f"/assets/{file.name}")
            equal((status, text), (200, file.read_text()), file.name)
            equal(headers["Content-Type"].split(";")[0], {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}[file.suffix])
            equal(headers["X-Content-Type-Options"], "nosniff")
        _, headers, page = s.request("GET", "/")
        policy = policy_of(headers)
        equal(policy["default-src"], "'none'")
        for kind in ("script-src", "style-src", "connect-src"):
            equal(policy[kind], "'self'")
        for kind in ("base-uri", "form-action", "frame-ancestors"):
            equal(policy[kind], "'none'")
        equal(headers["Referrer-Policy"], "no-referrer")
        equal(re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|style=", page), [])
        equal(("<nav" in page, 'type="password"' in page), (True, True))


@case
def what_is_known_is_not_sent_again(world):
    with world.serving() as s:
        _, headers, text = s.request("GET", "/")
        tag = headers["ETag"]
        equal(tag, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
        equal(headers["Cache-Control"], "no-cache")
        status, headers, text = s.request("GET", "/", headers={"If-None-Match": f'W/"x", {tag}'})
        equal((status, text, headers["ETag"]), (304, "", tag))
        status, headers, text = s.request("HEAD", "/")
        equal((status, text), (200, ""))
        equal(s.request("GET", "/assets/nothing.js")[0], 404)
        equal(s.request("GET", "/assets/..%2fapp.js")[0], 404)


@case
def a_token_says_who_it_is(world):
    with world.serving() as s:
        status, me = s.api("GET", "/v1/session")
        equal((status, me["name"], me["role"], me["mode"]), (200, "ops", "operator", "auto"))
        equal(s.api("GET", "/v1/session", token=f"viewer-{service.TOKEN}")[1]["role"], "viewer")
        for path in ("/v1/session", "/v1/overview", "/v1/retries/rty_01ARZ3NDEKTSV4RRFFQ69G5FAV/chain"):
            equal(s.api("GET", path, token="nobody")[0], 401)
        equal(s.api("GET", "/v1/retries/rty_01ARZ3NDEKTSV4RRFFQ69G5FAV/chain")[0], 404)
        equal(s.api("GET", "/v1/retries/nothing/chain")[0], 404)


@both
def a_chain_is_found_from_each_of_its_attempts(world, kind):
    with world.serving(kind, RULES) as s:
        other = life.deliver(s, life.event_of(world.failed_build("stubborn")))[1]["retry"]
        first = life.deliver(s, life.event_of(world.failed_build("stubborn")))[1]["retry"]
        life.reach(s, first, "failed_again")
        life.reach(s, other, "failed_again")
        whole = service.wait_until("both attempts", lambda: two_ended(s, first))
        equal([r["id"] for r in whole][0], first)
        equal([r["attempt"] for r in whole], [1, 2])
        equal(whole[0]["child"]["id"], whole[1]["build"]["id"])
        for r in whole:
            _, again = s.api("GET", f"/v1/retries/{r['id']}/chain")
            equal(([x["id"] for x in again["retries"]], again["chain"]), ([x["id"] for x in whole], r["chain"]))


def two_ended(s, first):
    chain = s.api("GET", f"/v1/retries/{first}/chain")[1]["retries"]
    return chain if len(chain) == 2 and all(r["state"] in service.TERMINAL for r in chain) else None


@both
def words_are_found_in_all_that_a_person_may_remember(world, kind):
    with world.serving(kind) as s:
        ids = [life.deliver(s, service.failure_event(f"broken:0000000{i}-1111-2222-3333-444444444444", i, phase="BUILD", message=f"Gewebe-{i}- of wool",
                                                     source_version=f"refs/heads/topic-{i}"), 200)[1]["retry"] for i in range(1, 8)]
        found = s.api("GET", "/v1/retries?q=GEWEBE-5-")[1]
        equal(([r["id"] for r in found["retries"]], found["next"]), ([ids[4]], None))
        equal([r["id"] for r in s.api("GET", "/v1/retries?q=topic-3%20wool")[1]["retries"]], [ids[2]])
        equal(s.api("GET", "/v1/retries?q=silk")[1], {"retries": [], "next": None})
        pages, cursor = [], ""
        while cursor is not None:
            page = s.api("GET", f"/v1/retries?q=wool&limit=3{cursor and '&cursor=' + cursor}")[1]
            pages.append([r["id"] for r in page["retries"]])
            cursor = page["next"]
        equal([len(p) for p in pages], [3, 3, 1])
        equal(sum(pages, []), ids[::-1])
        states = s.api("GET", "/v1/overview")[1]["states"]
        equal((states["ignored"], states["running"]), (7, 0))


@both
def the_overview_counts_and_names_what_is_paused(world, kind):
    with world.serving(kind) as s:
        s.api("POST", "/v1/pause", {"project": "web"})
        _, o = s.api("GET", "/v1/overview")
        equal(o["paused"], ["web"])
        equal(sorted(t["kind"] for t in o["tasks"]), ["follow", "inspect", "report", "submit"])
        equal({t["oldest_due_at"] for t in o["tasks"]}, {None})
        equal(set(o["states"]) >= {"held", "dead", "recovered"}, True)


if __name__ == "__main__":
    cases.main(__doc__, life.World, lambda w: w.sim.stop())
