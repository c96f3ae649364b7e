"""Cases of SNS: messages signed with throw-away keys by openssl, and the certificates of these keys."""
import base64
import json
import pathlib
import subprocess
import tempfile

from parts import ARN, DENIED, FAILURE, HERE, NO_BUILD, NOW, TOPIC, basic, cloud, event, save

STAMP = "2026-11-03T14:07:10.402Z"


class Signer:
    """A throw-away key with a certificate in the tree."""

    def __init__(self, folder, name, dns, days=("20200101000000Z", "21200101000000Z"), bits=2048):
        self.key, self.folder = f"{folder}/{name}.key", folder
        config = f"{folder}/{name}.cnf"
        pathlib.Path(config).write_text(f"[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nO=retrybuild test only\nCN={dns}\n[v3]\nsubjectAltName=DNS:{dns}\n"
                                        f"[ca]\ndefault_ca=c\n[c]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\npolicy=p\ndefault_md=sha256\n[p]\nO=supplied\nCN=supplied\n")
        pathlib.Path(f"{folder}/index").write_text("")
        pathlib.Path(f"{folder}/serial").write_text("01\n")
        run("openssl", "req", "-new", "-newkey", f"rsa:{bits}", "-nodes", "-keyout", self.key, "-out", f"{folder}/r.csr", "-config", config)
        run("openssl", "ca", "-selfsign", "-batch", "-notext", "-config", config, "-keyfile", self.key, "-in", f"{folder}/r.csr", "-startdate", days[0], "-enddate", days[1],
            "-extensions", "v3", "-out", str(HERE / "sns" / f"{name}.pem"))

    def sign(self, text, digest):
        p = subprocess.run(["openssl", "dgst", f"-{digest}", "-sign", self.key], input=text.encode(), capture_output=True, check=True)
        return base64.b64encode(p.stdout).decode()


def run(*command):
    subprocess.run(command, check=True, capture_output=True)


def envelope(signer, message, kind="Notification", version="2", change=None, last_newline=True, **more):
    m = {"Type": kind, "MessageId": "b3f1e0d2-1111-5222-8333-444455556666", "TopicArn": TOPIC, "Message": message, "Timestamp": STAMP, **more}
    if kind != "Notification":
        m = {"Token": "2336412f37fb687f5d51e6e2425a8a58", "SubscribeURL": f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=23", **m}
    names = sorted({"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Token", "SubscribeURL"} & set(m))
    text = "".join(f"{n}\n{m[n]}\n" for n in names)
    m |= {"SignatureVersion": version, "Signature": signer.sign(text if last_newline else text[:-1], "sha1" if version == "1" else "sha256"),
          "SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem"}
    if kind == "Notification":
        m["UnsubscribeURL"] = f"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={TOPIC}:1"
        m["MessageAttributes"] = {"a": {"Type": "String", "Value": "unsigned"}}
    return m | (change or {})


def codestar():
    e = event()
    e["detail"]["additional-information"]["build-number"] = 42.0
    return {"account": e["account"], "detailType": e["detail-type"], "region": e["region"], "source": e["source"], "time": e["time"],
            "notificationRuleArn": "arn:aws:codestar-notifications:us-east-1:123456789012:notificationrule/7c1b9e0f", "detail": e["detail"], "resources": [ARN],
            "additionalAttributes": {}}


def sns():
    with tempfile.TemporaryDirectory() as folder:
        s = Signer(folder, "signer", "sns.amazonaws.com")
        other = Signer(folder, "other", "sns.amazonaws.com")
        expired = Signer(folder, "expired", "sns.amazonaws.com", ("20200101000000Z", "20250101000000Z"))
        id = "b3f1e0d2-1111-5222-8333-444455556666"
        good = {"proof": "good", "says": [FAILURE], "delivery": id}
        text = json.dumps(event())
        url = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0f1e2d3c.pem"

        def one(name, m, signer="signer.pem", headers=(), now=NOW, setting=None, **expect):
            save("sns", name, setting={"topics": [TOPIC], **(setting or {})}, now=now, headers=[list(h) for h in headers],
                 body=m if isinstance(m, str) else json.dumps(m, ensure_ascii=False), **({"signer": signer} if signer else {}), **expect)

        for v in "12":
            one(f"notification-version-{v}", envelope(s, text, version=v), **good)
            one(f"notification-with-a-subject-{v}", envelope(s, text, version=v, Subject="Größe\t\"quoted\" 🚀"), **good)
        one("notification-codestar", envelope(s, json.dumps(codestar()), version="1"), **good)
        one("notification-cloud-event", envelope(s, json.dumps(cloud())), **good)
        one("notification-of-the-transformer", envelope(s, json.dumps({"build": ARN, "status": "FAILED"})), **good)
        one("notification-plain-text", envelope(s, "hello"), proof="good", says=["none: the message is not JSON: no usable build"], delivery=id)
        one("notification-other-json", envelope(s, "{}"), proof="good", says=[NO_BUILD], delivery=id)
        one("notification-empty-message", envelope(s, ""), proof="good", says=["none: the message is not JSON: no usable build"], delivery=id)
        one("notification-topic-by-glob", envelope(s, text), setting={"topics": ["arn:aws:sns:eu-*", "arn:aws:sns:us-east-1:123456789012:*"]}, **good)
        one("notification-pinned-needs-no-url", {k: v for k, v in envelope(s, text).items() if k != "SigningCertURL"}, setting={"pinned": True}, **good)
        one("notification-pinned-and-another-url", envelope(s, text, change={"SigningCertURL": "http://localhost:4566/cert.pem"}), setting={"pinned": True}, **good)
        one("unsubscribe", envelope(s, "You have chosen to deactivate", kind="UnsubscribeConfirmation"), proof="good", says=[], ignored="the subscription was removed",
            notice=f"the subscription of topic {TOPIC} was removed: its failures do not come here any more")
        one("subscription-is-shown", envelope(s, "You have chosen", kind="SubscriptionConfirmation"), proof="good", says=[],
            ignored="the subscription waits for its confirmation",
            notice=f"topic {TOPIC} asks to confirm its subscription: confirm it in SNS, or set confirm: true and let SNS ask again")
        arn = TOPIC.replace(":", "%3A")
        one("subscription-is-confirmed-by-topic-and-token", envelope(s, "You have chosen", kind="SubscriptionConfirmation", SubscribeURL="http://169.254.169.254/latest"),
            setting={"confirm": True}, proof="good", says=[], confirm=f"us-east-1 Action=ConfirmSubscription&TopicArn={arn}&Token=2336412f37fb687f5d51e6e2425a8a58")
        one("subscription-token-is-encoded", envelope(s, "You have chosen", kind="SubscriptionConfirmation", Token="a&b=c d"), setting={"confirm": True}, proof="good", says=[],
            confirm=f"us-east-1 Action=ConfirmSubscription&TopicArn={arn}&Token=a%26b%3Dc%20d")

        # the proof is wrong
        one("bad-message-changed", envelope(s, text, change={"Message": text + " "}), **DENIED)
        one("bad-subject-added", envelope(s, text, change={"Subject": "x"}), **DENIED)
        one("bad-time-changed", envelope(s, text, change={"Timestamp": "2026-11-03T14:07:10.403Z"}), **DENIED)
        one("bad-type-changed", envelope(s, text, change={"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": "https://x"}), **DENIED)
        one("bad-other-key", envelope(other, text), **DENIED)
        one("bad-without-the-last-line-end", envelope(s, text, last_newline=False), **DENIED)
        one("bad-version-3", envelope(s, text, change={"SignatureVersion": "3"}), **DENIED)
        one("bad-version-1-says-2", envelope(s, text, version="1", change={"SignatureVersion": "2"}), **DENIED)
        one("bad-version-not-listed", envelope(s, text, version="1"), setting={"signature_versions": ["2"]}, **DENIED)
        one("bad-signature-empty", envelope(s, text, change={"Signature": ""}), **DENIED)
        one("bad-signature-no-base64", envelope(s, text, change={"Signature": "%"}), **DENIED)
        one("bad-signature-short", envelope(s, text, change={"Signature": "AAAA"}), **DENIED)
        one("bad-topic-not-listed", envelope(s, text, TopicArn=TOPIC + "-2"), **DENIED)
        one("bad-topic-of-another-account", envelope(s, text, TopicArn=TOPIC.replace("123456789012", "210987654321")), **DENIED)
        one("bad-topic-no-arn", envelope(s, text, TopicArn="builds"), setting={"topics": ["*"]}, **DENIED)
        one("bad-too-old", envelope(s, text), now=NOW + 65 * 60000 + 1000, **DENIED)
        one("still-young-enough", envelope(s, text), now=NOW + 64 * 60000, **good)
        one("bad-in-the-future", envelope(s, text), now=NOW - 5 * 60000, **DENIED)
        one("bad-time-no-time", envelope(s, text, Timestamp="yesterday"), **DENIED)
        one("bad-certificate-expired", envelope(expired, text), signer="expired.pem", **DENIED)
        one("bad-pinned-expired", envelope(expired, text), signer="expired.pem", setting={"pinned": True}, **DENIED)
        one("bad-pinned-cannot-be-read", envelope(s, text), signer=None, setting={"pinned": True}, **DENIED)
        one("bad-not-json", "hello", **DENIED)
        one("bad-a-type-of-its-own", envelope(s, text, kind="Other"), **DENIED)
        one("bad-member-twice", json.dumps(envelope(s, text))[:-1] + ', "TopicArn": "x"}', **DENIED)
        one("bad-event-alone", text, **DENIED)
        one("bad-no-message-id", {k: v for k, v in envelope(s, text).items() if k != "MessageId"}, **DENIED)

        # where the certificate may be
        one("url-is-asked", envelope(s, text), signer=None, proof=url)
        one("url-in-its-one-spelling", envelope(s, text, change={"SigningCertURL": url.replace("https://sns", "HTTPS://SNS").replace(".com/", ".com:443/")}), signer=None, proof=url)
        one("url-without-a-name", envelope(s, text, change={"SigningCertURL": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService.pem"}), signer=None,
            proof="https://sns.us-east-1.amazonaws.com/SimpleNotificationService.pem")
        china = "arn:aws-cn:sns:cn-north-1:123456789012:b"
        one("url-in-china", envelope(s, text, TopicArn=china, change={"SigningCertURL": "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem"}), signer=None,
            setting={"topics": [china]}, proof="https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-1.pem")
        for name, bad in {
                "a-bucket": "https://sns.s3.amazonaws.com/SimpleNotificationService-1.pem",
                "a-bucket-in-a-region": "https://sns.s3-us-west-2.amazonaws.com/SimpleNotificationService-1.pem",
                "another-region": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-1.pem",
                "a-longer-host": "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-1.pem",
                "a-host-before": "https://x.sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
                "china-for-a-topic-that-is-not": "https://sns.us-east-1.amazonaws.com.cn/SimpleNotificationService-1.pem",
                "a-port": "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-1.pem",
                "userinfo": "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-1.pem",
                "userinfo-before": "https://a@sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
                "no-tls": "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
                "a-query": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem?x",
                "a-fragment": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem#x",
                "another-path": "https://sns.us-east-1.amazonaws.com/x/SimpleNotificationService-1.pem",
                "a-path-back": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1/../x.pem",
                "an-escape": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1%2Epem",
                "a-file": "file:///etc/ssl/SimpleNotificationService-1.pem",
                "an-empty-name": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-.pem",
                "nothing": ""}.items():
            one(f"url-bad-{name}", envelope(s, text, change={"SigningCertURL": bad}), signer=None, **DENIED)
            one(f"url-bad-{name}-though-signed", envelope(s, text, change={"SigningCertURL": bad}), **DENIED)

        # raw delivery
        raw = [("x-amz-sns-rawdelivery", "true"), ("x-amz-sns-topic-arn", TOPIC), ("x-amz-sns-message-id", "m-1")]
        with_secret = {"secrets": [{"value": "own"}]}
        one("raw-with-its-secret", text, signer=None, headers=raw + [("x-retrybuild-key", "own")], setting=with_secret, proof="good", says=[FAILURE], delivery="m-1")
        one("raw-with-basic", text, signer=None, headers=raw + [("authorization", basic("sns", "own"))], setting=with_secret, proof="good", says=[FAILURE], delivery="m-1")
        one("raw-without-a-secret-configured", text, signer=None, headers=raw, **DENIED)
        one("raw-without-the-secret", text, signer=None, headers=raw, setting=with_secret, **DENIED)
        one("raw-with-another-secret", text, signer=None, headers=raw + [("x-retrybuild-key", "other")], setting=with_secret, **DENIED)
        one("raw-of-another-topic", text, signer=None, headers=[raw[0], ("x-amz-sns-topic-arn", TOPIC + "-2"), ("x-retrybuild-key", "own")], setting=with_secret, **DENIED)
        one("raw-without-a-topic", text, signer=None, headers=[raw[0], ("x-retrybuild-key", "own")], setting=with_secret, **DENIED)
        one("raw-unsaid", text, signer=None, headers=raw[1:] + [("x-retrybuild-key", "own")], setting=with_secret, **DENIED)
