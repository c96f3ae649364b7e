#!/usr/bin/python3
"""Writes vectors.json: requests and the signatures that botocore gives them.

Run by hand where botocore is installed (Debian: python3-botocore); the result is kept beside this
script, so that the tests need neither botocore nor a network. Every vector is deterministic.
"""
import datetime
import hashlib
import json
import pathlib

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+/=="
HOST = "codebuild.us-east-1.amazonaws.com"
TARGET = "CodeBuild_20161006.RetryBuild"
BODY = '{"id":"web-app:11111111-2222-3333-4444-555555555555","idempotencyToken":"abc"}'
JSON11 = "application/x-amz-json-1.1"


def call_headers(**more):
    headers = [["Content-Type", JSON11], ["X-Amz-Target", TARGET]]
    return headers + [[k.replace("_", "-"), v] for k, v in more.items()]


def cases():
    yield "plain call", {}
    yield "session token", {"token": TOKEN}
    yield "long session token", {"token": "A1b2/+=" * 180}
    yield "empty object as body", {"body": "{}"}
    yield "no body", {"body": ""}
    yield "python's blanks in the body", {"body": BODY.replace(":", ": ").replace(",", ", ")}
    yield "unicode body", {"body": '{"id":"größe-日本-🙂:1"}'}
    yield "body with escapes", {"body": '{"a":"\\u00e9\\n\\t\\"\\\\"}'}
    yield "large body", {"body": '{"ids":[' + ",".join(f'"p:{i:036d}"' for i in range(100)) + "]}"}
    for op in ("BatchGetBuilds", "ListBuildsForProject", "StartBuild", "RetryBuildBatch"):
        yield f"operation {op}", {"headers": [["Content-Type", JSON11], ["X-Amz-Target", f"CodeBuild_20161006.{op}"]]}
    for region, suffix in (("eu-central-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"),
                           ("us-gov-west-1", "amazonaws.com"), ("us-isob-east-1", "sc2s.sgov.gov"),
                           ("ap-southeast-4", "amazonaws.com"), ("eusc-de-east-1", "amazonaws.eu")):
        yield f"region {region}", {"region": region, "url": f"https://codebuild.{region}.{suffix}/"}
    for service in ("sts", "sns", "events", "logs"):
        yield f"service {service}", {"service": service, "url": f"https://{service}.us-east-1.amazonaws.com/"}
    for url in ("http://127.0.0.1:4570/", "http://localhost:80/", "https://localhost:443/", "https://localhost:8443/",
                "http://[::1]:4570/", "https://EXAMPLE.com/"):
        yield f"host of {url}", {"url": url}
    for path in ("/base/path", "/base/path/", "/a//b", "/a/./b", "/a/../b", "/../a", "/a/b/..", "/a/b/../", "/.", "//",
                 "/a%20b", "/a%2Fb/c", "/x%C3%A9", "/a+b", "/a:b", "/a;b=c", "/a,b", "/~user/-._", "/a@b!$&'()*",
                 "/a/b/c/d/e/f/g/h/i/j", "/...", "/..a/b..", "/%25", "/a=b", "/trailing.", "/long/" + "x" * 300):
        yield f"path {path[:40]}", {"url": f"https://{HOST}{path}"}
    for query in ("a=1", "b=2&a=1", "a=2&a=1", "a", "a=", "a&b", "=x", "A=1&a=1&B=2", "a-b=1&a=2", "a=%20x", "a=x%2Fy",
                  "Action=AssumeRole&Version=2011-06-15", "a=1&&b=2", "a=b=c", "z=%E2%82%AC&y=1"):
        yield f"query {query}", {"url": f"https://{HOST}/?{query}"}
    yield "blanks around a value", {"headers": call_headers(X_Amz_Meta="   a  ")}
    yield "blanks inside a value", {"headers": call_headers(X_Amz_Meta="a   b \t c")}
    yield "value of blanks only", {"headers": call_headers(X_Amz_Meta="   ")}
    yield "empty value", {"headers": call_headers(X_Amz_Meta="")}
    yield "quoted blanks collapse too", {"headers": call_headers(X_Amz_Meta='"a   b"')}
    yield "unicode value", {"headers": call_headers(X_Amz_Meta="grün 日本")}
    yield "a name that is the prefix of another", {"headers": call_headers(X_Amz_Date_Foo="1", X_Amz="2")}
    yield "names in mixed case", {"headers": [["CONTENT-type", JSON11], ["x-AMZ-TARGET", TARGET], ["aBc", "1"]]}
    yield "underscore and dot in names", {"headers": call_headers() + [["x_a", "1"], ["x.b", "2"], ["x-c", "3"]]}
    yield "repeated header", {"headers": call_headers() + [["X-Multi", "b"], ["X-Multi", "a"], ["x-multi", " c  d "]]}
    yield "content length signed", {"headers": call_headers(Content_Length="78")}
    yield "invocation id signed", {"headers": call_headers(amz_sdk_invocation_id="f1d2", amz_sdk_request="attempt=1; max=3")}
    yield "payload hash header", {"headers": call_headers(x_amz_content_sha256=hashlib.sha256(BODY.encode()).hexdigest())}
    yield "unsigned payload", {"headers": call_headers(x_amz_content_sha256="UNSIGNED-PAYLOAD")}
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        yield f"method {method}", {"method": method, "body": ""}
    for when in ("2015-08-30T12:36:00", "2024-02-29T23:59:59", "2026-01-01T00:00:00", "2038-01-19T03:14:08"):
        yield f"date {when}", {"when": when}
    yield "other key", {"key": "ASIAQWERTYUIOPASDFGH", "secret": "x" * 40, "token": TOKEN}
    yield "secret with odd bytes", {"secret": "é/+ =&%\"'"}
    yield "one-byte secret", {"secret": "s"}


def make(name, method="POST", url=f"https://{HOST}/", headers=None, body=BODY, region="us-east-1", service="codebuild",
         key=KEY, secret=SECRET, token=None, when="2026-11-24T02:57:59"):
    date = datetime.datetime.fromisoformat(when)
    stamp = date.strftime("%Y%m%dT%H%M%SZ")
    headers = headers if headers is not None else call_headers()
    request = AWSRequest(method=method, url=url, data=body.encode())
    for k, v in headers:
        request.headers[k] = v
    request.context["timestamp"] = stamp
    signer = SigV4Auth(Credentials(key, secret, token), service, region)
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    text = signer.string_to_sign(request, canonical)
    signer._inject_signature_to_request(request, signer.signature(text, request))
    split = botocore.auth.urlsplit(url)
    signed = [[k, v] for k, v in headers]
    signed.append(["Host", botocore.auth._host_from_url(url)])
    signed.append(["X-Amz-Date", stamp])
    if token:
        signed.append(["X-Amz-Security-Token", token])
    return {
        "name": name, "method": method, "path": split.path or "/", "query": split.query, "headers": signed,
        "payload_hash": canonical.rsplit("\n", 1)[1], "region": region, "service": service, "access_key": key,
        "secret": secret, "date_ms": int(date.replace(tzinfo=datetime.timezone.utc).timestamp()) * 1000,
        "canonical": canonical, "authorization": request.headers["Authorization"],
    }


def main():
    vectors = [make(name, **arguments) for name, arguments in cases()]
    names = [v["name"] for v in vectors]
    assert len(set(names)) == len(names), "names repeat"
    out = pathlib.Path(__file__).with_name("vectors.json")
    out.write_text(json.dumps({"made_by": f"botocore {botocore.__version__}", "vectors": vectors}, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
