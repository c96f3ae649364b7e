#!/usr/bin/python3
"""Two neighbouring releases: this one and retrybuild-next (tests/unit/store/next_release.c), which adds fields to records, has other scripts in Redis, another form of
waiting records if it is told to, and one more schema of the SQLite file. Side by side on one Redis, and one after the other on one file."""
import contextlib
import pathlib
import shutil
import sqlite3
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "e2e")]
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from fire import CUT, REFUSED, RULES, Senders, World, deliver_all, try_deliver  # noqa: E402
from service import failure_event, wait_until  # noqa: E402
from sim_harness import equal  # noqa: E402

FAILURES = 240
COUNT = """
local out = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
    local value = redis.call('TYPE', key).ok == 'string' and redis.call('GET', key) or ''
    if #value > 100 then
        out[#out + 1] = select(2, string.gsub(value, 'next%-mark', ''))
    end
end
return out
"""
IDLE = "\nworkers: {submit: 0, report: 1}\n"


def next_one(world):
    return world.binary.resolve().parents[2] / "tests/fault/retrybuild-next"


def make(world, redis, binary=None, extra=RULES, **more):
    return service.Service(binary or world.binary, redis.url, world.sim.url, extra, **more)


def marks(redis):
    """How many records there are, and how often the field of the next release stands in each."""
    told = subprocess.run(["redis-cli", "-s", redis.socket, "EVAL", COUNT, "0"], capture_output=True, text=True, check=True).stdout
    return [int(n) for n in told.split()]


@case
def what_the_next_release_wrote_goes_through_this_one_whole(world):
    redis, services = service.Redis(), []
    try:
        newer = make(world, redis, next_one(world), RULES + IDLE).start()
        services.append(newer)
        ids = world.failed_builds(20)
        deliver_all(newer, ids)
        services.append(make(world, redis).start())
        world.settled(services[1], ids)
        equal(services[1].stop(), 0)
        found = marks(redis)
        equal((len(found), set(found)), (len(ids), {1}), "the field of the next release in each record")
    finally:
        end(services, redis)


@case
def two_releases_work_side_by_side_while_one_replaces_the_other_and_back(world):
    redis, services = service.Redis(), []
    try:
        services += [make(world, redis).start(), make(world, redis, next_one(world)).start()]
        ids = world.failed_builds(FAILURES)
        senders = Senders(services, ids)
        for n, binary in ((0, next_one(world)), (1, None), (0, None), (1, next_one(world))):
            equal(services[n].stop(timeout=30), 0)
            services[n] = make(world, redis, binary).start()
        senders.join(90)
        equal(set(senders.answers) <= {REFUSED, CUT, 200, 202}, True, senders.answers)
        equal(len(senders.accepted), FAILURES, senders.answers)
        world.settled(services[0], list(senders.accepted), 90)
        equal(all(s.request("GET", "/readyz")[0] == 200 for s in services), True)
    finally:
        end(services, redis)


@case
def records_that_only_the_next_release_can_read_are_left_to_it(world):
    redis, services = service.Redis(), []
    env = {"RB_NEXT_FORMAT": "1"}
    try:
        newer = make(world, redis, next_one(world), RULES + IDLE, aws_env=env).start()
        services.append(newer)
        ids = world.failed_builds(4)
        deliver_all(newer, ids)
        equal(newer.stop(), 0)
        present = make(world, redis).start()
        services.append(present)
        wait_until("the present one says that it leaves them alone", lambda: present.log.read_text().count('"store.newer_record"') >= len(ids))
        line = next(entry for entry in present.log.read_text().splitlines() if "store.newer_record" in entry)
        equal("version 2, of a newer release; this one knows 1" in line and '"retry":"rty_' in line, True, line)
        equal([len(e) for e in world.effects(ids).values()], [0] * len(ids))
        services.append(make(world, redis, next_one(world), aws_env=env).start())
        world.settled(services[-1], ids)
    finally:
        end(services, redis)


@case
def a_file_goes_to_the_next_release_and_back_with_its_backup(world):
    s = make_on_file(world, world.binary)
    folder = pathlib.Path(s.folder.name)
    try:
        s.start()
        first = world.failed_builds(6)
        deliver_all(s, first)
        world.settled(s, first)
        equal(s.stop(), 0)
        shutil.copytree(folder, folder.parent / f"{folder.name}-backup")

        s.binary = str(next_one(world))
        s.start()
        second = world.failed_builds(6)
        events = {b: failure_event(b) for b in second}
        equal({try_deliver(s, b, event=e) for b, e in events.items()}, {202})
        world.settled(s, first + second)
        equal(s.stop(), 0)

        s.binary = str(world.binary)
        told = subprocess.run([s.binary, "serve", "--config", s.config], capture_output=True, text=True, timeout=60, check=False, env=s.env)
        equal(told.returncode != 0, True)
        for part in ("skew.db", "schema 4, this one knows 3", "start that one again, or put the backup"):
            equal(part in told.stderr, True, told.stderr)

        s.binary = str(next_one(world))
        s.start()
        world.settled(s, first + second)
        equal(s.stop(), 0)

        for path in folder.glob("skew.db*"):
            path.unlink()
        for path in (folder.parent / f"{folder.name}-backup").glob("skew.db*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(folder / "skew.db")) as db:  # the backup is of yesterday
            db.execute("UPDATE meta SET value = value - 86400000 WHERE name = 'beat'")
            db.commit()
        s.binary = str(world.binary)
        s.start()
        world.settled(s, first)
        # What the backup does not know comes again and is looked at: it was retried by the other release.
        equal({try_deliver(s, b, event=e) for b, e in events.items()} <= {200, 202}, True)
        ended = wait_until("the second ones have ended", lambda: [r for r in s.retries() if r["build"]["id"] in second and r["state"] in service.TERMINAL] if
                           len([r for r in s.retries() if r["build"]["id"] in second and r["state"] in service.TERMINAL]) == len(second) else None, 60)
        equal({r["state"] for r in ended} <= {"recovered", "superseded"}, True, [(r["state"], r["history"][-1]["note"]) for r in ended])
        equal([len(e) for e in world.effects(first + second).values()], [1] * 12)
    finally:
        end([s], None)
        shutil.rmtree(folder.parent / f"{folder.name}-backup", ignore_errors=True)


def make_on_file(world, binary):
    return service.Service(binary, "sqlite:skew.db", world.sim.url, RULES)


def end(services, redis):
    for s in services:
        if s.proc and s.proc.poll() is None:
            s.kill()
    if redis:
        redis.stop()


if __name__ == "__main__":
    cases.main(__doc__, World, lambda w: w.sim.stop())
