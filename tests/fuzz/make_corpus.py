#!/usr/bin/python3
"""Writes the corpus of the source targets: requests of tests/data/source as "name: value" lines, a blank line and the body."""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parent / "data/source"
MOST_BYTES = 6000
CHATS = ("discord", "googlechat", "mattermost", "rocketchat", "slack", "teams")


def main():
    for kind in ("eventbridge", "cloudevents", "sns", "standard-webhooks", "generic", *CHATS):
        folder = HERE / "corpus" / kind
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for path in sorted((DATA / kind).glob("*.json")):
            c = json.loads(path.read_text(encoding="utf-8"))
            if kind == "sns" and path.stem.startswith(("url-bad", "bad-")) and not path.stem.endswith(("bucket", "twice", "json")):
                continue
            headers = c["headers"].items() if kind in CHATS else c["headers"]
            head = "".join(f"{n}: {v}\n" for n, v in headers)
            data = (head + "\n" if head else "") + c["body"]
            if len(data) <= MOST_BYTES:
                (folder / path.stem).write_text(data, encoding="utf-8")


if __name__ == "__main__":
    main()
