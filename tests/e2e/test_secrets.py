#!/usr/bin/python3
"""Where secrets must never be: logs, metrics, answers, command lines; and what the log looks like."""
import json
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases  # noqa: E402
import service  # noqa: E402
from cases import case  # noqa: E402
from service import KEY, TOKEN, wait_until  # noqa: E402
from serving import QUICK, QUIET, event, logged_any, make, setup, start_with_log_level  # noqa: E402
from sim_harness import equal  # noqa: E402


@case
def no_secret_shows_anywhere(binary):
    redis = service.Redis("no")
    redis.cli("CONFIG", "SET", "requirepass", "CANARY-redis-password")
    redis_url = f"redis+unix://:CANARY-redis-password@{redis.socket}"
    extra = QUIET + ('destinations: [{name: ci, type: webhook, url: "http://127.0.0.1:9/CANARY-path?t=CANARY-query", secrets: [{value: CANARY-signing}]}]\n'
                     'network: {allow: ["127.0.0.1"]}\nrules: [{name: all, then: ask}]\n')
    s = service.Service(binary, redis_url, "http://127.0.0.1:9/", extra=extra, timing=QUICK,
                        aws_env={"AWS_ACCESS_KEY_ID": "CANARYACCESSKEY", "AWS_SECRET_ACCESS_KEY": "CANARY-aws-secret", "AWS_SESSION_TOKEN": "CANARY-session"})
    text = s.config.read_text().replace(KEY, "CANARY-source-secret").replace(f"viewer-{TOKEN}", "CANARY-viewer-token").replace(TOKEN, "CANARY-ops-token-1")
    s.config.write_text(text)
    seen = []
    try:
        start_with_log_level(s, "debug")
        token = "CANARY-ops-token-1"
        seen.append(str(s.deliver(event(), key="CANARY-source-secret")))
        seen.append(str(s.deliver(event(), key="CANARY-wrong-secret")))
        seen.append(str(s.request("GET", "/v1/retries?cursor=x", None, {"Authorization": "Bearer CANARY-wrong-token"})))
        e = event()
        e["detail"]["additional-information"]["environment"] = {"environment-variables": [{"name": "PASSWORD", "type": "PLAINTEXT", "value": "CANARY-env-of-build"}]}
        e["detail"]["CANARY-member"] = "CANARY-value"
        seen.append(str(s.deliver(e, key="CANARY-source-secret")))
        seen.append(str(s.request("POST", "/v1/hooks/eventbridge", '{"CANARY-body": ', {"x-retrybuild-key": "CANARY-source-secret"})))
        seen.append(str(s.request("POST", "/v1/hooks/eventbridge", "CANARY not json", {"x-retrybuild-key": "CANARY-source-secret"})))
        seen.append(str(s.api("GET", "/v1/retries", token=token)))
        for r in s.api("GET", "/v1/retries", token=token)[1]["retries"]:
            seen.append(str(s.api("GET", f"/v1/retries/{r['id']}", token=token)))
            seen.append(str(s.api("POST", f"/v1/retries/{r['id']}/deny", token=token)))
        tried = wait_until("a report that failed", lambda: [p for r in s.api("GET", "/v1/retries", token=token)[1]["retries"] for p in r["reports"] if p["last_error"]], 15)
        seen.append(str(tried))
        seen += [str(s.api("GET", "/v1/retries", token=token)), s.request("GET", "/metrics")[2]]
        s.config.write_text(text.replace("CANARY", "CANARY2"))
        s.proc.send_signal(signal.SIGHUP)
        wait_until("the reload", lambda: logged_any(s, "config.reloaded"), 10)
        s.config.write_text(text + "CANARY key: [CANARY\n")
        s.proc.send_signal(signal.SIGHUP)
        wait_until("the refusal", lambda: logged_any(s, "config.reload_failed"), 10)
        redis.cli("-a", "CANARY-redis-password", "CONFIG", "SET", "requirepass", "other")
        redis.kill()
        seen.append(str(s.deliver(event(), key="CANARY2-source-secret")))
        seen.append(pathlib.Path(f"/proc/{s.proc.pid}/cmdline").read_text())
        equal(s.stop(), 0)
        seen.append(s.log.read_text(errors="replace").replace(str(s.config), ""))
        found = [line for text in seen for line in text.splitlines() if "CANARY" in line]
        equal(found, [], "secrets shown")
    finally:
        redis.stop()


@case
def the_environment_of_the_process_is_closed_to_others(binary):
    s = make(binary).start()
    status = pathlib.Path(f"/proc/{s.proc.pid}/status").read_text()
    equal("NoNewPrivs:\t1" in status, True)
    equal(pathlib.Path(f"/proc/{s.proc.pid}/limits").read_text().split("Max core file size")[1].split()[0], "0")
    equal(s.stop(), 0)


@case
def every_log_line_is_json_with_an_event(binary):
    s = make(binary).start()
    s.deliver(event())
    s.api("POST", "/v1/pause", {"project": "a\nb\x1b[31m"})
    equal(s.stop(), 0)
    lines = s.log.read_text().splitlines()
    equal(len(lines) >= 3, True, lines)
    for line in lines:
        row = json.loads(line)
        equal(bool(row["event"]) and bool(row["level"]) and bool(row["time"]), True, line)


if __name__ == "__main__":
    cases.main(__doc__, setup)
