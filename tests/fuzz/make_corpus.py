#!/usr/bin/python3
"""Writes the corpus of the targets: requests of tests/data as "name: value" lines, a blank line and the body; texts of what is small.

What a fuzzer found is kept beside it: files called found-*. The records are retries of tests/unit/model/some.c, encoded."""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data"
MOST_BYTES = 6000
CHATS = ("discord", "googlechat", "mattermost", "rocketchat", "slack", "teams")
ID = "web:2c4f8d20-7a3b-4d1e-9f60-1b2c3d4e5f60"
ARN = "arn:aws:codebuild:eu-central-1:123456789012:build/"
BUILD = {
    "id": ID, "arn": ARN + ID, "buildNumber": 31, "buildStatus": "FAILED", "currentPhase": "COMPLETED", "buildComplete": True,
    "projectName": "web", "sourceVersion": "pr/7", "resolvedSourceVersion": "d" * 40, "initiator": "GitHub-Hookshot/1", "startTime": 1793714000.25,
    "endTime": "2026-11-03T14:07:08Z", "logs": {"deepLink": "https://console.aws.amazon.com/x", "groupName": "/aws/codebuild/web", "streamName": "s"},
    "source": {"type": "GITHUB", "location": "https://github.com/acme/web.git", "gitCloneDepth": 1, "buildspec": "a: b"},
    "environment": {"type": "LINUX_CONTAINER", "computeType": "BUILD_GENERAL1_SMALL", "image": "aws/codebuild/standard:7.0",
                    "environmentVariables": [{"name": "A", "value": "b", "type": "PLAINTEXT"}]},
    "phases": [{"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"},
               {"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "exit status 75"}]}],
    "autoRetryConfig": {"autoRetryLimit": 2, "autoRetryNumber": 1, "nextAutoRetry": ARN + ID},
}
BATCH = {
    "id": ID, "arn": ARN.replace("build/", "build-batch/") + ID, "buildBatchNumber": 4, "buildBatchStatus": "FAILED", "projectName": "web",
    "startTime": 1793714000, "buildGroups": [
        {"identifier": "a", "dependsOn": ["b"], "ignoreFailure": True, "currentBuildSummary": {"arn": ARN + ID, "buildStatus": "FAILED"},
         "priorBuildSummaryList": [{"arn": ARN + ID.replace("2c", "3c"), "buildStatus": "TIMED_OUT"}]}]}
STS = ('<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>'
       "<SecretAccessKey>a&amp;b&#65;&#x42;</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-11-03T14:07:08Z</Expiration></Credentials>"
       "<Empty/></AssumeRoleResult></AssumeRoleResponse>\n")
TEXTS = {
    "xml": {"role": STS, "declared": '<?xml version="1.0"?>\n' + STS, "error": "<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"
            "<Message>&lt;slow&gt; &apos;down&quot;</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            "published": "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>",
            "doctype": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "twice": "<a><Error><Code>1</Code><Code>2</Code></Error></a>",
            "deep": "<a>" * 17, "cdata": "<Error><Code><![CDATA[x]]></Code></Error>"},
    "codebuild": {"build": "\0" + json.dumps(BUILD), "batch": "\1" + json.dumps(BATCH), "of-an-event": "\2" + json.dumps({**BUILD, "startTime": None}),
                  "refused": '\3{"__type":"com.amazonaws.codebuild#InvalidInputException","message":"no such build"}',
                  "throttled": '\3{"__type":"ThrottlingException:http://a/","Message":"Rate exceeded"}', "no-json": "\4<html>", "nothing": "\5",
                  "clock": '\1{"__type":"InvalidSignatureException","message":"Signature expired: 20261103T140708Z is now earlier than x"}'},
    "times": {"iso": "\x002026-11-03T14:07:08.123+01:00", "iso-day": "\x002026-11-03", "iso-leap": "\x002028-02-29T23:59:59Z", "amz": "\x0120261103T140708Z",
              "http": "\x02Tue, 03 Nov 2026 14:07:08 GMT", "us": "\x03Nov 3, 2026 2:05:11 PM", "us-narrow": "\x03Nov 3, 2026 12:05:11\u202fAM",
              "seconds": "\x04retry-after: 120\n", "moment": "\x04server: x\nretry-after: Tue, 03 Nov 2026 14:07:08 GMT\n",
              "aws": "\x05x-amz-retry-after: 1500\nretry-after: 3\n", "duration": "\x0615m", "size": "\x0664KiB", "range": "\x06!64-78", "open": "\x0610m-",
              "hours": "\x07Mon-Fri 22:00-06:00 Europe/Berlin", "hours-utc": "\x07Sat,Sun 00:00-24:00"},
    "url": {"usual": "https://example.com:8443/a/b?c=d%20e#f", "user": "redis://user:p%40ss@host:6379/3", "v6": "http://[2001:db8::1]:80/",
            "socket": "redis+unix:///run/redis.sock?db=2", "file": "sqlite:retries.db", "two": "https://a@b@c/", "zero": "http://a:0/%00", "encoded": "a%2fb+c"},
    "profiles": {"keys": "[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key=abc/+=\n# c\n[work]\nregion: eu-central-1\n",
                 "config": "[profile work]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile=default\ns3 =\n  max = 4\n[sso-session x]\na=b\n",
                 "twice": "[a]\nb=c\n[a]\n", "quoted": "[profile 'my work']\nkey=1\n", "process": "\"/opt/a b/c\" --x 'y z' \\$ \"q\\\"\"", "open": "a \"b"},
    "paths": {"usual": 'data.build\ndata.status\n{"data":{"build":"%s","status":"FAILED"}}' % ID, "item": 'jobs.1.id\nx\n{"jobs":[0,{"id":"%s"}]}' % ID,
              "number": 'a.b\nc\n{"a":{"b":7},"c":false}', "empty-part": "a..b\n\n{}", "absent": 'a\nb\n{"c":[]}', "array": 'a\nb\n[1,2]', "arn": 'a\nb\n{"a":"%s"}' % (ARN + ID)},
    "text": {"fields": "<project> on <branch>: <status>, <unknown>\nweb & <b> *bold* _i_ `c`", "mention": "<why>\n<!channel> <@U1> @everyone <users/all>",
             "link": "x\nhttps://example.com/a(b)", "bad": "<project\n\x01\x7f\r\n", "long": "<build> <took> <next>\n" + "\u00e4\U0001f600" * 80,
             "markdown": "a\n# h\n- [x](y) ![z](w) | ~~s~~ \\ >q"},
}


def write(kind, texts):
    folder = HERE / "corpus" / kind
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("found-"):
            old.unlink()
    for name, text in texts.items():
        data = text.encode()
        if len(data) <= MOST_BYTES:
            (folder / name).write_bytes(data)


def request(headers, body):
    head = "".join(f"{n}: {v}\n" for n, v in headers)
    return (head + "\n" if head else "") + body


def cases(kind):
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((DATA / "source" / kind).glob("*.json"))}


def of_source(kind):
    texts = {}
    for name, c in cases(kind).items():
        if kind == "sns" and name.startswith(("url-bad", "bad-")) and not name.endswith(("bucket", "twice", "json")):
            continue
        texts[name] = request(c["headers"].items() if kind in CHATS else c["headers"], c["body"])
    return texts


def tokens():
    texts = {}
    for name, c in cases("googlechat").items():
        value = dict(c["headers"]).get("Authorization", "")
        if value.startswith("Bearer "):
            texts[name] = value[len("Bearer "):]
    return texts


def keys():
    """Secret, signatures, time, body: a line each."""
    texts = {"base64": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nv1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n1793714830\n{}",
             "plain": "key\nv1,x v1a,y\n1793714830\n", "private": "whsk_AAAA\n\n\n", "no-base64": "whsec_%%%\nv1,\n1793714830\n",
             "public": "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\nv1a," + "A" * 86 + "==\n1793714830\nbody", "empty": "\n\n\n", "old": "key\nv1,\n1\n"}
    return texts


def requests():
    texts = {}
    lines = (DATA / "sigv4/received.jsonl").read_text(encoding="utf-8").splitlines()
    for i, line in enumerate(lines[:: max(1, len(lines) // 24)]):
        c = json.loads(line)
        target = c["path"] + ("?" + c["query"] if c.get("query") else "")
        texts[f"received-{i:02}"] = f"{target}\n" + "".join(f"{n}: {v}\n" for n, v in c["headers"]) + "\n" + (c.get("body") or "")
    return texts


def main():
    for kind in ("eventbridge", "cloudevents", "sns", "standard-webhooks", "generic", *CHATS):
        write(kind, of_source(kind))
    for kind, texts in {**TEXTS, "jwt": tokens(), "keys": keys(), "sigv4": requests()}.items():
        write(kind, texts)


if __name__ == "__main__":
    main()
