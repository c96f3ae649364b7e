#!/usr/bin/python3
"""Writes vectors.json: signatures of Standard Webhooks 1.0.0, version v1.

The first ones are published or known from other senders and are only copied; the rest is computed here by Python's
hmac, which shares no code with the product.
"""
import base64
import hashlib
import hmac
import json
import pathlib

PUBLISHED = [
    {"name": "official test layout", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
     "timestamp": 1614265330, "body": '{"test": 2432232314}', "signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    {"name": "empty body", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
     "timestamp": 1614265330, "body": "", "signature": "v1,v48jdbgvh29KJz2Qc+ghw8G6vG3nAKnujWBg8oM/62A="},
]

KEYS = {
    "24 bytes": "whsec_" + base64.b64encode(bytes(range(24))).decode(),
    "32 bytes": "whsec_" + base64.b64encode(bytes(range(32))).decode(),
    "64 bytes": "whsec_" + base64.b64encode(bytes(range(64, 128))).decode(),
    "with zero bytes": "whsec_" + base64.b64encode(b"\0" * 32).decode(),
    "plain text": "correct horse battery staple",
    "plain text that is base64 too": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "unicode text": "schlüssel-日本",
    "longer than a block": "k" * 100,
}
BODIES = {
    "small": '{"type":"retry.recovered","data":{}}',
    "unicode": '{"m":"größe 日本 🙂"}',
    "large": '{"m":"' + "x" * 20000 + '"}',
}


def key_of(secret):
    return base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()


def signature(secret, message_id, timestamp, body):
    mac = hmac.new(key_of(secret), f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def main():
    vectors = list(PUBLISHED)
    for v in PUBLISHED:
        assert v["signature"] == signature(v["secret"], v["id"], v["timestamp"], v["body"]), v["name"]
    for key_name, secret in KEYS.items():
        for body_name, body in BODIES.items():
            v = {"name": f"key of {key_name}, {body_name} body", "secret": secret, "id": "msg_01JD3V5T9QK8YB6W2E4R7XCZ5M",
                 "timestamp": 1795000000, "body": body}
            vectors.append(v | {"signature": signature(secret, v["id"], v["timestamp"], body)})
    out = pathlib.Path(__file__).with_name("vectors.json")
    out.write_text(json.dumps({"vectors": vectors}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(vectors)} vectors")


if __name__ == "__main__":
    main()
