#!/usr/bin/python3
"""Writes the NAME.json cases of eventbridge, cloudevents, sns, standard-webhooks and generic, and the certificates of sns.

Signatures are made by Python's hmac and the openssl program, which share no code with the product; the keys of the certificates are
thrown away. tests/unit/source/test_machines.c says what a case holds.
"""
import base64
import hashlib
import hmac
import json

from make_sns import sns
from parts import ARN, BUILD, DENIED, FAILURE, HERE, NO_BUILD, NOW, WRITTEN, basic, cloud, cut, event, save

# ---- eventbridge ----

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def eventbridge():
    keys = [{"value": "old", "not_after": NOW - 1}, {"value": "right: key"}]
    good = {"proof": "good", "says": [FAILURE], "delivery": event()["id"]}

    def one(name, headers, expect, **setting):
        save("eventbridge", name, setting={"secrets": keys, **setting}, now=NOW, headers=headers, body=json.dumps(event()), **expect)

    one("proof-header", [["x-retrybuild-key", "right: key"]], good)
    one("proof-basic", [["Authorization", basic("anybody", "right: key")]], good)
    one("proof-basic-without-a-user", [["Authorization", basic("", "right: key")]], good)
    one("proof-bearer", [["Authorization", "bearer  right: key"]], good)
    one("proof-own-header", [["X-Own", "right: key"]], good, header="x-own")
    one("proof-bearer-beside-an-own-header", [["Authorization", "Bearer right: key"]], good, header="x-own")
    one("proof-basic-user-is-not-the-password", [["Authorization", basic("right: key", "x")]], DENIED)
    one("proof-basic-without-a-colon", [["Authorization", "Basic " + base64.b64encode(b"rightkey").decode()]], DENIED)
    one("proof-basic-not-base64", [["Authorization", "Basic right: key"]], DENIED)
    one("proof-expired-bearer", [["Authorization", "Bearer old"]], DENIED)
    one("proof-other-scheme", [["Authorization", "Digest right: key"]], DENIED)
    one("proof-two-headers", [["x-retrybuild-key", "right: key"], ["x-retrybuild-key", "right: key"]], DENIED)
    one("proof-two-authorizations", [["Authorization", "Bearer right: key"], ["Authorization", "Bearer right: key"]], DENIED)
    one("proof-none", [], DENIED)

    def body(name, text, **expect):
        save("eventbridge", name, setting={"secrets": keys}, now=NOW, headers=[["x-retrybuild-key", "right: key"], *expect.pop("headers", [])],
             body=text if isinstance(text, str) else json.dumps(text), proof="good", **expect)

    flat = {"project": "checkout-api", "build": ARN, "status": "FAILED", "id": "e-1"}
    body("body-a-string-of-the-event", json.dumps(json.dumps(event())), says=[FAILURE], delivery=event()["id"])
    body("body-a-string-in-a-string", json.dumps(json.dumps(json.dumps(event()))), says=[NO_BUILD])
    body("body-a-string-of-half-an-event", json.dumps(json.dumps(event())[:-3]), code="invalid",
         why=cut(json.dumps(event())[:-3]))
    body("body-of-the-recommended-transformer", flat, says=[FAILURE], delivery="e-1")
    body("body-of-the-transformer-as-a-string", json.dumps(json.dumps(flat)), says=[FAILURE], delivery="e-1")
    body("body-flat-with-a-uuid", {"project-name": "checkout-api", "build-id": BUILD.split(":")[1], "build-status": "TIMED_OUT"},
         says=[f"failure {BUILD} TIMED_OUT inspect"])
    body("body-flat-succeeded", {**flat, "status": "SUCCEEDED"}, says=[f"ended {ARN} SUCCEEDED"], delivery="e-1")
    body("body-flat-in-progress", {**flat, "status": "IN_PROGRESS"}, says=["none: the build is in progress"], delivery="e-1")
    body("body-flat-without-a-status", {"build": ARN}, says=["none: the event has no build-status"])
    body("body-flat-of-another-source", {**flat, "source": "aws.ec2"}, says=["none: the event's source is not aws.codebuild"], delivery="e-1")
    body("body-flat-with-an-idempotency-key", {"build": ARN, "status": "FAULT"}, headers=[["Idempotency-Key", "k-1"]],
         says=[f"failure {ARN} FAULT inspect"], delivery="k-1")
    body("body-the-detail-alone", event()["detail"], says=[FAILURE])
    body("body-a-cloud-event", cloud(), says=[FAILURE], delivery="aws.codebuild ce-1")
    body("body-a-cloud-event-that-lacks-its-id", {**cloud(), "id": None}, code="invalid",
         why="a CloudEvent needs the attribute 'id', a text that is not empty")


# ---- cloudevents ----

def cloudevents():
    def one(name, headers, text, **expect):
        save("cloudevents", name, setting={"secrets": [{"value": "key"}]}, now=NOW, headers=[["x-retrybuild-key", "key"], *headers],
             body=text if isinstance(text, str) else json.dumps(text), **({"proof": "good"} | expect))

    structured = [["Content-Type", "application/cloudevents+json; charset=utf-8"]]
    batch = [["Content-Type", "application/cloudevents-batch+json"]]
    good = {"says": [FAILURE], "delivery": "aws.codebuild ce-1"}

    def lacks(a):
        return {"code": "invalid", "why": f"a CloudEvent needs the attribute '{a}', a text that is not empty"}

    one("structured", structured, cloud(), **good)
    one("structured-as-plain-json", [["Content-Type", "application/json"]], cloud(), **good)
    one("structured-data-is-a-string", structured, cloud(json.dumps(event())), **good)
    one("structured-data-base64", structured, {k: v for k, v in cloud().items() if k != "data"} | {"data_base64": base64.b64encode(json.dumps(event()).encode()).decode()},
        **good)
    one("structured-data-base64-is-none", structured, {k: v for k, v in cloud().items() if k != "data"} | {"data_base64": "%%%"},
        code="invalid", why="data_base64 is not base64")
    one("structured-both-kinds-of-data", structured, cloud(data_base64="e30="), code="invalid", why="a CloudEvent has data or data_base64, not both")
    one("structured-without-data", structured, {k: v for k, v in cloud().items() if k != "data"},
        says=["none: the CloudEvent has no data: no usable build"], delivery="aws.codebuild ce-1")
    one("structured-data-null", structured, cloud() | {"data": None}, says=["none: the CloudEvent has no data: no usable build"], delivery="aws.codebuild ce-1")
    one("structured-data-a-number", structured, cloud(7), says=[NO_BUILD], delivery="aws.codebuild ce-1")
    one("structured-data-a-sentence", structured, cloud("the build failed"), says=[NO_BUILD], delivery="aws.codebuild ce-1")
    one("structured-data-true", structured, cloud(True), says=["none: its data is not JSON: no usable build"], delivery="aws.codebuild ce-1")
    one("structured-data-of-the-transformer", structured, cloud({"build": ARN, "status": "FAILED"}), **good)
    one("structured-data-in-a-cloud-event", structured, cloud(cloud()), says=[NO_BUILD], delivery="aws.codebuild ce-1")
    one("structured-extensions-are-skipped", structured, cloud(traceparent="00-x", sampled=True), **good)
    traced = f"{FAILURE} trace={TRACE}"
    one("structured-with-its-trace", structured, cloud(traceparent=TRACE, tracestate="a=b"), says=[f"{traced} state=a=b"], delivery="aws.codebuild ce-1")
    one("structured-trace-is-a-number", structured, cloud(traceparent=7, tracestate="a=b"), **good)
    one("structured-long-name-is-hashed", structured, cloud(id="i" * 300), says=[FAILURE], delivery=hashlib.sha256(f"aws.codebuild {'i' * 300}".encode()).hexdigest())
    one("structured-name-too-long", structured, cloud(source="s" * 3000), code="invalid", why="the attribute 'source' has more than 2048 bytes")
    for a in ("id", "source", "type", "specversion"):
        one(f"structured-without-{a}", structured, {k: v for k, v in cloud().items() if k != a}, **lacks(a))
    one("structured-empty-id", structured, cloud(id=""), **lacks("id"))
    one("structured-id-a-number", structured, cloud(id=5), **lacks("id"))
    one("structured-version-0.3", structured, cloud(specversion="0.3"), code="invalid", why="specversion '0.3' is not read here; 1.0 is")
    one("structured-an-array", structured, [cloud()], code="invalid", why="a CloudEvent is a JSON object")
    one("structured-an-event-without-wrapping", structured, event(), **lacks("specversion"))

    ce = [["ce-id", "ce-1"], ["ce-source", "aws.codebuild"], ["ce-specversion", "1.0"], ["ce-type", "build.failed"], ["Content-Type", "application/json"]]

    def but(name, *values):
        return [h for h in ce if h[0] != name] + [[name, v] for v in values]

    one("binary", ce, event(), **good)
    one("binary-quoted-and-encoded", but("ce-id", '"ce%20\\"1"'), event(), says=[FAILURE], delivery='aws.codebuild ce "1')
    one("binary-encoded-utf-8", but("ce-id", "%C3%A9%F0%9F%9A%80"), event(), says=[FAILURE], delivery="aws.codebuild é🚀")
    one("binary-invalid-utf-8", but("ce-id", "%FF"), event(), code="invalid", why="a ce- header is there twice, or is not percent-encoded UTF-8")
    one("binary-nul", but("ce-id", "%00"), event(), code="invalid", why="a ce- header is there twice, or is not percent-encoded UTF-8")
    one("binary-id-twice", but("ce-id", "1", "2"), event(), code="invalid", why="a ce- header is there twice, or is not percent-encoded UTF-8")
    one("binary-with-its-trace", [*ce, ["ce-traceparent", TRACE], ["ce-tracestate", "a=b%2Cc=d"]], event(), says=[f"{traced} state=a=b,c=d"], delivery="aws.codebuild ce-1")
    one("binary-trace-twice", [*ce, ["ce-traceparent", TRACE], ["ce-traceparent", TRACE]], event(), **good)
    one("binary-trace-is-none", [*ce, ["ce-traceparent", "%FF"], ["ce-tracestate", "a=b"]], event(), **good)
    one("binary-without-type", but("ce-type"), event(), **lacks("type"))
    one("binary-without-id", but("ce-id"), event(), **lacks("id"))
    one("binary-body-is-text", ce, "hello", says=["none: its data is not JSON: no usable build"], delivery="aws.codebuild ce-1")

    second = cloud(event("SUCCEEDED"), id="ce-2")
    one("batch", batch, [cloud(), second], says=[FAILURE, f"ended {ARN} SUCCEEDED"], delivery=["aws.codebuild ce-1", "aws.codebuild ce-2"])
    one("batch-as-plain-json", [["Content-Type", "application/json"]], [cloud()], says=[FAILURE], delivery=["aws.codebuild ce-1"])
    one("batch-with-bad-events", batch, [cloud(), {"id": "x"}, 7, "text", second, [cloud()]],
        says=[FAILURE, "bad: event 2 of 6: a CloudEvent needs the attribute 'specversion', a text that is not empty", "bad: event 3 of 6: a CloudEvent is a JSON object",
              "bad: event 4 of 6: a CloudEvent is a JSON object", f"ended {ARN} SUCCEEDED", "bad: event 6 of 6: a CloudEvent is a JSON object"],
        delivery=["aws.codebuild ce-1", None, None, None, "aws.codebuild ce-2", None])
    one("batch-of-bad-events", batch, [{}, 1], code="invalid",
        why="no event of the batch can be read: event 1 of 2: a CloudEvent needs the attribute 'specversion', a text that is not empty")
    one("batch-of-two-traces", batch, [cloud(traceparent=TRACE), cloud(id="ce-2", traceparent=TRACE.replace("4b", "5b"))],
        says=[traced, traced.replace("4b", "5b")], delivery=["aws.codebuild ce-1", "aws.codebuild ce-2"])
    one("batch-empty", batch, [], says=[], delivery=[], ignored="the batch is empty")
    one("batch-an-object", batch, cloud(), code="invalid", why="a batch of CloudEvents is a JSON array")
    one("batch-cut", batch, json.dumps([cloud()])[:-1], code="invalid", why=cut(json.dumps([cloud()])[:-1]))
    one("batch-too-many", batch, "[" + ",".join(["{}"] * 1001) + "]", code="too_large", why="a batch may have 1000 events at most; send it in parts")
    one("proof-bearer", [["Authorization", "Bearer other"]], cloud(), **good)
    save("cloudevents", "proof-wrong", setting={"secrets": [{"value": "key"}]}, now=NOW, headers=[["x-retrybuild-key", "other"]], body=json.dumps(cloud()), **DENIED)


# ---- standard-webhooks ----

SW_KEY, SW_ID, SW_NOW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
SW_NONE = ["none: there is no text at 'data.build': no usable build"]


def sw_sign(key, id, stamp, body):
    raw = base64.b64decode(key[6:]) if key.startswith("whsec_") else key.encode()
    return "v1," + base64.b64encode(hmac.new(raw, f"{id}.{stamp}.{body}".encode(), hashlib.sha256).digest()).decode()


def standard_webhooks():
    body = '{"test": 2432232314}'
    right = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # published by the libraries
    wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
    assert sw_sign(SW_KEY, SW_ID, SW_NOW, body) == right
    valid = {"proof": "good", "says": SW_NONE, "delivery": SW_ID}

    def one(name, headers, expect, now=SW_NOW, text=body, keys=None, **setting):
        save("standard-webhooks", name, setting={"secrets": keys or [{"value": SW_KEY}], **setting}, now=now * 1000 if now < 10**11 else now,
             headers=headers, body=text, **expect)

    def three(signature, id=SW_ID, stamp=SW_NOW, prefix="webhook"):
        return [[f"{prefix}-id", id], [f"{prefix}-timestamp", str(stamp)], [f"{prefix}-signature", signature]]

    one("published", three(right), valid)
    one("rotation-of-four-signatures", three(f"{wrong} {wrong.replace('v1', 'v2')} {right} {wrong}"), valid)
    one("empty-body", three("v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="),
        {"proof": "good", "code": "invalid", "why": cut("")}, text="")
    one("svix-names", three(right, prefix="svix"), valid)
    one("second-key", three(right), valid, keys=[{"value": "whsec_AAAA"}, {"value": SW_KEY}])
    one("key-as-plain-text", three(sw_sign("a plain key", SW_ID, SW_NOW, body)), valid, keys=[{"value": "a plain key"}])
    one("oldest", three(right), valid, now=SW_NOW + 300)
    one("newest", three(right), valid, now=SW_NOW - 300)
    for name, headers, args in [
            ("bad-old", three(right), {"now": SW_NOW + 301}), ("bad-future", three(right), {"now": SW_NOW - 301}),
            ("bad-version-2-alone", three(right.replace("v1", "v2")), {}), ("bad-other-signature", three(wrong), {}),
            ("bad-no-id", three(right)[1:], {}), ("bad-no-time", three(right)[::2], {}), ("bad-no-signature", three(right)[:2], {}),
            ("bad-empty-signature", three(""), {}), ("bad-empty-digest", three("v1,"), {}), ("bad-digest-alone", three(right[3:]), {}),
            ("bad-commas-between", three(f"{wrong},{right}"), {}), ("bad-upper-case-version", three(right.replace("v1", "V1")), {}),
            ("bad-other-body", three(right), {"text": body + " "}), ("bad-other-id", three(right, id="msg_2"), {}),
            ("bad-other-time", three(right, stamp=SW_NOW + 1), {}), ("bad-time-with-a-sign", three(right, stamp=f"+{SW_NOW}"), {}),
            ("bad-time-in-ms", three(right, stamp=SW_NOW * 1000), {}), ("bad-two-signature-headers", three(right) + [["webhook-signature", wrong]], {}),
            ("bad-half-a-set-of-each", three(right)[:2] + three(right, prefix="svix")[2:], {}),
            ("bad-key-expired", three(right), {"keys": [{"value": SW_KEY, "not_after": SW_NOW * 1000 - 1}]}),
            ("bad-key-text-of-whsec", three("v1," + base64.b64encode(hmac.new(SW_KEY.encode(), f"{SW_ID}.{SW_NOW}.{body}".encode(), hashlib.sha256).digest()).decode()), {})]:
        one(name, headers, DENIED, **args)

    # v1a: of the seed 20 21 … 3f, made by openssl
    public, signed = "whpk_Kay64UG8yvCyLhqU000LxzYeUm0L/hLIl5S8kyKWbdc=", "v1a,V8EXERgKyJkqshfo9YHaq0jb2UfIPx862+hfyqxd7Hra3PNUNE5rt1tmiD/Fccfe7flg3r0KbYt+RNUU6ovmBw=="
    other = "whpk_" + base64.b64encode(bytes(range(32))).decode()
    ours = [{"value": public}]
    one("v1a", three(signed), valid, keys=ours)
    one("v1a-second-key", three(signed), valid, keys=[{"value": other}, {"value": public}])
    one("v1a-beside-v1-of-another-key", three(f"{wrong} {signed}"), valid, keys=ours)
    one("v1a-and-v1-keys-by-v1", three(right), valid, keys=[*ours, {"value": SW_KEY}])
    one("v1a-and-v1-keys-by-v1a", three(signed), valid, keys=[{"value": SW_KEY}, *ours])
    by_public = {"text of it": public.encode(), "bytes of it": base64.b64decode(public[5:])}
    for name, headers, args in [
            ("v1", three(right), {}), ("signature-as-v1", three("v1" + signed[3:]), {}), ("other-body", three(signed), {"text": body + " "}),
            ("other-time", three(signed, stamp=SW_NOW + 1), {}), ("old", three(signed), {"now": SW_NOW + 301}), ("empty", three("v1a,"), {}),
            ("cut", three(signed[:-4]), {}), ("one-bit", three(signed.replace("V8EX", "V8EW")), {}), ("other-key", three(signed), {"keys": [{"value": other}]}),
            ("key-expired", three(signed), {"keys": [{"value": public, "not_after": SW_NOW * 1000 - 1}]}),
            ("key-of-v1-alone", three(signed), {"keys": [{"value": SW_KEY}]}), ("private-key", three(signed), {"keys": [{"value": "whsk_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="}]}),
            *((f"hmac-by-the-{n.replace(' ', '-')}", three("v1," + base64.b64encode(hmac.new(k, f"{SW_ID}.{SW_NOW}.{body}".encode(), hashlib.sha256).digest()).decode()), {})
              for n, k in by_public.items())]:
        one(f"bad-v1a-{name}", headers, DENIED, **({"keys": ours} | args))

    def says(name, data, lines, paths=None):
        text = data if isinstance(data, str) else json.dumps(data)
        one(name, three(sw_sign(SW_KEY, SW_ID, SW_NOW, text)), {"proof": "good", "says": lines, "delivery": SW_ID}, text=text, **({"paths": paths} if paths else {}))

    says("build-by-arn", {"type": "x", "data": {"build": ARN}}, [f"failure {ARN} inspect"])
    says("build-by-id", {"data": {"build": BUILD}}, [f"failure {BUILD} inspect"])
    says("report-of-our-own-is-no-build", {"type": "retry.recovered", "data": {"build": {"arn": ARN}}}, SW_NONE)
    says("build-by-paths", {"run": {"b": ARN, "s": "Failure", "t": "tok"}}, [f"{FAILURE} token=tok"], {"build": "run.b", "status": "run.s", "token": "run.t"})


# ---- generic ----

def generic():
    key = "generic secret"

    def mac(text, digest="sha256", secret=key):
        return hmac.new(secret.encode(), text.encode(), digest)

    def one(name, data, expect, header=None, signature=None, extra=(), keys=None, now=NOW, own=None, **setting):
        setting |= {"header": own} if own else {}
        text = data if isinstance(data, str) else json.dumps(data)
        signature = mac(text).hexdigest() if signature is None else signature(text)
        headers = [] if signature == "" and header == "none" else [[header or "x-retrybuild-key", signature]]
        save("generic", name, setting={"secrets": keys or [{"value": key}], **setting}, now=now, headers=headers + [list(h) for h in extra], body=text, **expect)

    plain = {"data": {"build": ARN}}

    def says(*lines, **more):
        return {"proof": "good", "says": list(lines), **more}

    good = says(f"failure {ARN} inspect")
    one("proof-sha256-hex", plain, good)
    one("proof-own-header-and-prefix", plain, good, header="x-sig", signature=lambda t: "sha256=" + mac(t).hexdigest(), own="x-sig", prefix="sha256=")
    one("proof-sha1", plain, good, signature=lambda t: mac(t, "sha1").hexdigest(), algorithm="sha1")
    one("proof-sha512-base64", plain, good, signature=lambda t: base64.b64encode(mac(t, "sha512").digest()).decode(), algorithm="sha512", encoding="base64")
    one("proof-second-key", plain, good, keys=[{"value": "old"}, {"value": key}])
    one("bad-other-key", plain, DENIED, signature=lambda t: mac(t, secret="x").hexdigest())
    one("bad-other-body", plain, DENIED, signature=lambda t: mac(t + " ").hexdigest())
    one("bad-upper-case", plain, DENIED, signature=lambda t: mac(t).hexdigest().upper())
    one("bad-empty-digest", plain, DENIED, signature=lambda t: "")
    one("bad-prefix-missing", plain, DENIED, prefix="sha256=")
    one("bad-prefix-not-wanted", plain, DENIED, signature=lambda t: "sha256=" + mac(t).hexdigest())
    one("bad-prefix-alone", plain, DENIED, signature=lambda t: "sha256=", prefix="sha256=")
    one("bad-short", plain, DENIED, signature=lambda t: mac(t).hexdigest()[:-2])
    one("bad-long", plain, DENIED, signature=lambda t: mac(t).hexdigest() + "00")
    one("bad-none", plain, DENIED, header="none", signature=lambda t: "")
    one("bad-two-headers", plain, DENIED, extra=[["x-retrybuild-key", mac(json.dumps(plain)).hexdigest()]])
    one("bad-key-expired", plain, DENIED, keys=[{"value": key, "not_after": NOW - 1}])
    one("bad-the-secret-itself", plain, DENIED, signature=lambda t: key)
    one("bad-base64-for-hex", plain, DENIED, signature=lambda t: base64.b64encode(mac(t).digest()).decode())

    uuid = BUILD.split(":")[1]
    one("path-uuid-and-project", {"p": "checkout-api", "b": uuid}, says(f"failure {BUILD} inspect"), paths={"build": "b", "project": "p"})
    one("path-account-and-region", {"b": BUILD, "a": "123456789012", "r": "eu-west-1"}, says(f"failure {BUILD} inspect"), paths={"build": "b", "account": "a", "region": "r"})
    one("path-account-a-number", {"b": BUILD, "a": 123456789012}, says(f"failure {BUILD} inspect"), paths={"build": "b", "account": "a"})
    one("path-account-no-account", {"b": BUILD, "a": "12"}, says("none: what stands at the path of the account is not 12 digits"), paths={"build": "b", "account": "a"})
    one("path-region-no-region", {"b": BUILD, "r": "US/x"}, says("none: what stands at the path of the region is no region"), paths={"build": "b", "region": "r"})
    one("path-through-an-array", {"jobs": [{"x": 1}, {"build": ARN}]}, good, paths={"build": "jobs.1.build"})
    one("path-past-an-array", {"jobs": []}, says("none: there is no text at 'jobs.0': no usable build"), paths={"build": "jobs.0"})
    one("path-no-number-in-an-array", {"jobs": [ARN]}, says("none: there is no text at 'jobs.x': no usable build"), paths={"build": "jobs.x"})
    one("path-with-an-escaped-name", '{"d\\u0061ta":{"build":"%s"}}' % ARN, good)
    one("path-to-an-object", {"data": {"build": {}}}, says("none: there is no text at 'data.build': no usable build"))
    one("path-through-a-text", {"data": "x"}, says("none: there is no text at 'data.build': no usable build"))
    one("path-in-a-text-alone", '"x"', says("none: there is no text at 'data.build': no usable build"))
    one("build-no-build", {"data": {"build": "../../x"}}, says("none: what stands at the path of the build is no build id or ARN"))
    for said, line in {"FAILED": FAILURE, "failure": FAILURE, "FAULT": f"failure {ARN} FAULT inspect", "timed-out": f"failure {ARN} TIMED_OUT inspect",
                       "SUCCEEDED": f"ended {ARN} SUCCEEDED", "cancelled": f"ended {ARN} STOPPED", "running": "none: the build is in progress",
                       "odd": "none: status 'odd' is not known"}.items():
        one(f"status-{said}", {"b": ARN, "s": said}, says(line), paths={"build": "b", "status": "s"})
    one("status-missing-is-asked", {"b": ARN}, good, paths={"build": "b", "status": "s"})
    one("token", {"b": ARN, "t": "once"}, says(f"failure {ARN} inspect token=once"), paths={"build": "b", "token": "t"})
    one("token-too-long", {"b": ARN, "t": "t" * 257}, {"proof": "good", "code": "invalid", "why": "the token at 't' has more than 256 bytes"}, paths={"build": "b", "token": "t"})
    one("idempotency-key", plain, says(f"failure {ARN} inspect", delivery="k-1"), extra=[["Idempotency-Key", "k-1"]])
    one("invalid-json-behind-the-build", json.dumps(plain)[:-1], {"proof": "good", "code": "invalid", "why": cut(json.dumps(plain)[:-1])})
    one("invalid-member-twice", '{"data":{"build":"%s"},"data":1}' % ARN,
        {"proof": "good", "code": "invalid", "why": "JSON line 1 column 124: duplicate key"})


def main():
    for kind in ("eventbridge", "cloudevents", "sns", "standard-webhooks", "generic"):
        for old in (HERE / kind).glob("*.json"):
            old.unlink()
    eventbridge()
    cloudevents()
    sns()
    standard_webhooks()
    generic()
    print(f"{len(WRITTEN)} cases")


if __name__ == "__main__":
    main()
