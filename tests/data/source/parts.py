"""What the makers of cases share."""
import base64
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1793714830000  # 2026-11-03T14:07:10Z
BUILD = "checkout-api:5f3c1a2e-7b64-4d1e-9a0b-2c8d6e4f1a77"
ARN = f"arn:aws:codebuild:us-east-1:123456789012:build/{BUILD}"
TOPIC = "arn:aws:sns:us-east-1:123456789012:build-events"
DENIED = {"proof": "bad"}
FAILURE = f"failure {ARN} FAILED inspect"
NO_BUILD = "none: the body is JSON, but not an event: no usable build"


WRITTEN = []


def save(kind, name, **case):
    path = HERE / kind / f"{name}.json"
    assert path not in WRITTEN, path
    WRITTEN.append(path)
    path.write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def event(status="FAILED", **more):
    return {"version": "0", "id": "9f0c2b34-5d6e-4f70-8192-a3b4c5d6e7f8", "detail-type": "CodeBuild Build State Change", "source": "aws.codebuild",
            "account": "123456789012", "time": "2026-11-03T14:07:08Z", "region": "us-east-1", "resources": [ARN],
            "detail": {"build-status": status, "project-name": "checkout-api", "build-id": ARN, "additional-information": {"build-number": 42}}, **more}


def cut(text):
    return f"JSON line 1 column {len(text) + 1}: document ends too early"


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def cloud(data=None, **more):
    return {"specversion": "1.0", "id": "ce-1", "source": "aws.codebuild", "type": "build.failed", "time": "2026-11-03T14:07:09Z",
            "datacontenttype": "application/json", "data": event() if data is None else data, **more}
