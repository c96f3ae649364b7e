#!/usr/bin/python3
"""Writes the cases of googlechat: tokens signed by the openssl program with throw-away keys. tests/unit/source/test_chat.c says what a case holds."""
import base64
import json
import pathlib
import subprocess
import tempfile

from parts import HERE

NUMBER, URL, ACCOUNT = "1234567890", "https://rb.example/v1/hooks/gchat", "chat@system.gserviceaccount.com"
RETRY, BUILD = "rty_01ARZ3NDEKTSV4RRFFQ69G5FAV", "my-project:12345678-1234-1234-1234-123456789012"
AT = 1900000000  # within the life of certificates made before 2030


def coded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Signer:
    """A throw-away key and its certificate."""

    def __init__(self, folder, name):
        self.key = f"{folder}/{name}.key"
        pem = f"{folder}/{name}.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", pem, "-subj", f"/CN={name}", "-days", "36500"],
                       check=True, capture_output=True)
        self.certificate = pathlib.Path(pem).read_text(encoding="utf-8")

    def token(self, claims, head=None):
        text = coded(json.dumps({"alg": "RS256", "kid": "0123456789abcdef", "typ": "JWT"} | (head or {})).encode()) + "." + coded(json.dumps(claims).encode())
        p = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), capture_output=True, check=True)
        return f"{text}.{coded(p.stdout)}"


def save(name, **case):
    (HERE / "googlechat" / f"{name}.json").write_text(json.dumps(case, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def event(text="@rb retry last", argument=" retry last", **more):
    message = {"name": "spaces/S1/messages/m1.m1", "text": text, "argumentText": argument, "sender": {"name": "users/42", "type": "HUMAN"}} | more.pop("message", {})
    return {"type": "MESSAGE", "eventTime": "2026-11-03T14:07:09Z", "user": {"name": "users/42", "displayName": "Ann", "type": "HUMAN"},
            "space": {"name": "spaces/S1", "type": "ROOM"}, "message": message} | more


def proofs(good, other):
    plain = {"iss": ACCOUNT, "aud": NUMBER, "iat": AT - 5, "exp": AT + 3595}
    identity = {"iss": "https://accounts.google.com", "aud": URL, "email": ACCOUNT, "email_verified": True, "iat": AT - 5, "exp": AT + 3595}
    body = json.dumps(event())
    last = {"command": "retry last", "actor": "users/42", "delivery": "spaces/S1/messages/m1.m1"}

    def one(name, token, audience=NUMBER, verified=False, **more):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        save(name, audience=audience, certificate=good.certificate, now=AT, headers=headers, body=body, verified=verified, **(last if verified else {}), **more)

    one("number", good.token(plain), verified=True)
    one("identity", good.token(identity), audience=URL, verified=True)
    one("number-with-both-proofs", good.token(plain), secret="legacy")
    one("number-other-key", other.token(plain))
    one("number-other-audience", good.token(plain | {"aud": "1234567891"}))
    one("number-audience-a-list", good.token(plain | {"aud": [NUMBER]}))
    one("number-other-issuer", good.token(plain | {"iss": "mail@system.gserviceaccount.com"}))
    one("number-expired", good.token(plain | {"exp": AT - 61}))
    one("number-expired-within-drift", good.token(plain | {"exp": AT - 59}), verified=True)
    one("number-of-the-future", good.token(plain | {"iat": AT + 61}))
    one("number-without-an-end", good.token({k: v for k, v in plain.items() if k != "exp"}))
    one("number-end-a-text", good.token(plain | {"exp": str(AT + 3595)}))
    one("identity-for-a-number", good.token(identity | {"aud": NUMBER}))
    one("identity-other-person", good.token(identity | {"email": "eve@example.com"}), audience=URL)
    one("identity-not-verified", good.token(identity | {"email_verified": False}), audience=URL)
    one("identity-verified-a-text", good.token(identity | {"email_verified": "true"}), audience=URL)
    one("algorithm-none", good.token(plain, {"alg": "none"}))
    one("algorithm-hmac", good.token(plain, {"alg": "HS256"}))
    one("extension-to-be-understood", good.token(plain, {"crit": ["b64"]}))
    head, claims, signature = good.token(plain).split(".")
    one("changed-claims", f"{head}.{coded(json.dumps(plain | {'exp': AT + 9}).encode())}.{signature}")
    one("no-signature", f"{head}.{claims}.")
    one("two-parts", f"{head}.{claims}")
    one("four-parts", f"{head}.{claims}.{signature}.{signature}")
    one("standard-base64", f"{head}.{claims}.{signature.replace('_', '/').replace('-', '+')}==")
    one("too-long", f"{head}.{'A' * 9000}.{signature}")
    one("no-token", None)


def events():
    def one(name, body, verified=True, **more):
        body = body if isinstance(body, str) else json.dumps({"token": "legacy", **body})
        save(name, secret="legacy", now=AT, headers={"Content-Type": "application/json"}, body=body, verified=verified, **more)

    slash = {"slashCommand": {"commandId": "1"}}
    one("legacy-token", event(), command="retry last", actor="users/42")
    one("legacy-token-wrong", event() | {"token": "legac"}, verified=False)
    one("legacy-token-no-text", event() | {"token": None}, verified=False)
    one("legacy-body-is-none", "legacy", verified=False)
    one("slash-retry", event("/retry web", " web", message=slash), command="retry project", target="web")
    one("slash-named-by-its-verb", event("/status last", " last", message=slash), command="status last")
    one("slash-general", event("/rb status last", " status last", message=slash), command="status last")
    one("slash-retest", event("/retest", "", message=slash), command="retry failed")
    one("mention-alone", event("@rb", ""), command="retry last")
    one("mention-unknown-flag", event("@rb retry last --forse", " retry last --forse"), command="trouble")
    one("added-with-a-message", event("@rb help", " help", type="ADDED_TO_SPACE"), command="help none")
    added = event(type="ADDED_TO_SPACE")
    del added["message"]
    one("added", added, answer="{}")
    one("removed", {"type": "REMOVED_FROM_SPACE", "space": {"name": "spaces/S1"}}, answer="{}")
    one("card-clicked", event(type="CARD_CLICKED", action={"actionMethodName": "x"}), answer="{}")
    pressed = {"actionMethodName": "retrybuild_approve", "parameters": [{"key": "other", "value": "x"}, {"key": "value", "value": RETRY}]}
    one("card-clicked-approve", event(type="CARD_CLICKED", action=pressed), command="approve retry", target=RETRY, actor="users/42",
        delivery="spaces/S1/messages/m1.m1/2026-11-03T14:07:09Z/retrybuild_approve")
    one("card-clicked-in-common", event(type="CARD_CLICKED", common={"invokedFunction": "retrybuild_retry", "parameters": {"value": BUILD}}), command="retry build", target=BUILD)
    one("card-clicked-without-value", event(type="CARD_CLICKED", action={"actionMethodName": "retrybuild_deny"}), code="invalid")
    one("card-clicked-value-no-text", event(type="CARD_CLICKED", common={"invokedFunction": "retrybuild_retry", "parameters": {"value": 7}}), code="invalid")
    one("card-clicked-by-a-bot", event(type="CARD_CLICKED", action=pressed, user={"name": "users/7", "type": "BOT"}), answer="{}")
    one("card-clicked-by-nobody", event(type="CARD_CLICKED", action=pressed, user={}), code="invalid")
    one("said-by-a-bot", event(user={"name": "users/7", "type": "BOT"}), answer="{}")
    one("no-type", {"message": {"text": "retry"}}, code="invalid")
    one("no-user", event(user={}), code="invalid")
    one("text-too-long", event("@rb " + "x" * 70000, " retry " + "x" * 70000), command="trouble")


def main():
    for old in (HERE / "googlechat").glob("*.json"):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        proofs(Signer(folder, "google-test-only"), Signer(folder, "another-test-only"))
    events()


if __name__ == "__main__":
    main()
