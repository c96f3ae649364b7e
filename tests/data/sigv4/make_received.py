#!/usr/bin/python3
"""Writes received.jsonl: generated requests as a server receives them, signed by botocore; one a line.

Run by hand where botocore is installed, as make.py is. The generator has a seed: the same file every time.
"""
import datetime
import hashlib
import json
import pathlib
import random

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

COUNT = 600
R = random.Random(20261124)
LETTERS = "abcXYZ019-_.~"
ODD = " %+&=,;:@!$'()*\"<>[]{}|\\^`ßé日本🙂\t"
PATH_ODD = "%+,;:@!$'()*&="


def text(alphabet, low, high):
    return "".join(R.choice(alphabet) for _ in range(R.randint(low, high)))


def host():
    name = R.choice(["localhost", "127.0.0.1", "[::1]", "retrybuild.example.org", "A.Example.COM", "xn--bcher-kva.example"])
    scheme = R.choice(["http", "https"])
    port = R.choice(["", ":80", ":443", ":8080", f":{R.randint(1024, 65535)}"])
    return f"{scheme}://{name}{port}"


def path():
    if R.random() < 0.4:
        return "/"
    segments = [R.choice(["", ".", "..", text(LETTERS + PATH_ODD, 1, 6), "%C3%9F", "a%20b"]) for _ in range(R.randint(1, 4))]
    return "/" + "/".join(segments)


def query():
    if R.random() < 0.6:
        return ""
    return "&".join(text(LETTERS, 0, 3) + R.choice(["", "=", "=" + text(LETTERS, 0, 4), "=%20", "=%C3%9F"]) for _ in range(R.randint(1, 4)))


def headers(body):
    found = [["X-Amz-Target", "CodeBuild_20161006." + text("RetryBuild", 4, 9)]]
    if R.random() < 0.9:
        found.append([R.choice(["Content-Type", "content-type", "CONTENT-TYPE"]), "application/x-amz-json-1.1"])
    if R.random() < 0.3:
        found.append(["X-Amz-Content-Sha256", hashlib.sha256(body).hexdigest()])
    for i in range(R.randint(0, 3)):
        value = R.choice([text(ODD + LETTERS, 0, 8), "  " + text(LETTERS + "  ", 0, 9) + " ", "a   b", "", "\t x \t y"])
        found.append([R.choice([f"X-Extra-{i}", f"x_odd.{i}", f"X-Amz-Meta-{i}", "X-Same"]), value])
    R.shuffle(found)
    return found


def make():
    body = R.choice([b"", b"{}", json.dumps({"id": text(LETTERS + ODD, 1, 9)}, ensure_ascii=R.random() < 0.5).encode()])
    key, secret = "AKIA" + text("ABCDEFGH234567", 4, 12), text(LETTERS + "/+=é ", 1, 40)
    token = R.choice([None, None, text(LETTERS + "/+=", 1, 60)])
    region, service = R.choice(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]), R.choice(["codebuild", "codebuild", "sts"])
    date = datetime.datetime.fromtimestamp(R.randint(1420070400, 2208988800), datetime.timezone.utc)
    where, what = path(), query()
    url = host() + where + ("?" + what if what else "")
    request = AWSRequest(method="POST", url=url, data=body)
    sent = headers(body)
    for name, value in sent:
        request.headers[name] = value
    request.context["timestamp"] = date.strftime("%Y%m%dT%H%M%SZ")
    signer = SigV4Auth(Credentials(key, secret, token), service, region)
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    sent.append(["Host", botocore.auth._host_from_url(url)])
    sent.append(["X-Amz-Date", request.context["timestamp"]])
    sent.append(["User-Agent", "not signed"])
    if token:
        sent.append(["X-Amz-Security-Token", token])
    sent.append(["Authorization", request.headers["Authorization"]])
    R.shuffle(sent) if len({n.lower() for n, _ in sent}) == len(sent) else None
    split = botocore.auth.urlsplit(url)
    return {"path": split.path or "/", "query": split.query, "headers": sent, "body": body.decode(), "key": key, "secret": secret, "region": region,
            "service": service, "date_ms": int(date.timestamp()) * 1000}


def main():
    out = pathlib.Path(__file__).with_name("received.jsonl")
    out.write_text("".join(json.dumps(make(), ensure_ascii=False) + "\n" for _ in range(COUNT)), encoding="utf-8")
    print(f"{COUNT} requests, {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
