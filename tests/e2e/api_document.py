"""GET /openapi.json as tests use it: which answer it promises for a request, and does an answer keep the promise?"""
import copy
import json
import re

import jsonschema

from sim_harness import equal


def close(schema):
    """No member that is not described: the document is open for clients, an answer of this version is not."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for value in schema.values():
            close(value)
    elif isinstance(schema, list):
        for value in schema:
            close(value)


class Document:
    def __init__(self, text):
        self.raw = json.loads(text)
        self.doc = copy.deepcopy(self.raw)
        close(self.doc)
        self.seen = {}
        self.resolver = jsonschema.RefResolver("", self.doc)

    def operations(self):
        return [(path, method) for path, item in self.doc["paths"].items() for method in item]

    def template(self, method, path):
        """The template that the path of a request belongs to; one without a parameter goes first."""
        bare = path.split("?")[0]
        fits = [t for t in self.doc["paths"] if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(t)), bare)]
        fits = [t for t in sorted(fits, key=lambda t: "{" in t) if method.lower() in self.doc["paths"][t]]
        equal(bool(fits), True, f"{method} {path} is not described")
        return fits[0]

    def resolve(self, node):
        return self.resolver.resolve(node["$ref"])[1] if "$ref" in node else node

    def answer(self, template, method, status):
        answers = self.doc["paths"][template][method.lower()]["responses"]
        for key in (str(status), f"{status // 100}XX", "default"):
            if key in answers:
                return self.resolve(answers[key])
        raise AssertionError(f"{method} {template}: an answer {status} is not described, only {sorted(answers)}")

    def holds(self, method, path, status, content_type, text, headers):
        """The answer is one that the document promises."""
        template = self.template(method, path)
        promised = self.answer(template, method, status)
        self.seen.setdefault((template, method.lower()), set()).add(status)
        where = f"{method} {path} {status}"
        for name in promised.get("headers", {}):
            equal(name in headers or name == "Idempotent-Replayed", True, f"{where}: no header {name}")
        if "content" not in promised:
            return
        kind = content_type.split(";")[0]
        equal(kind in promised["content"], True, f"{where}: {content_type} is not one of {sorted(promised['content'])}")
        schema = promised["content"][kind]["schema"]
        value = json.loads(text) if kind.endswith("json") or "json-1.1" in kind else text
        self.validate(value, schema, where)

    def validate(self, value, schema, where):
        errors = list(jsonschema.Draft202012Validator(schema, resolver=self.resolver).iter_errors(value))
        told = [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in errors]
        equal(told, [], where)
