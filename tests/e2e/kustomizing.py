"""The kustomization folders of deploy/kubernetes as `kubectl kustomize` renders them, whichever kubectl there is.

They are written in today's fields. The kustomize in Debian 12's own kubectl (1.20) is of 2019: it takes folders as `bases` only, patches of one list
as `patchesJson6902` in files of their own, and knows no `labels`. For it a copy is written in the words of its time, and the labels are added behind."""
import json
import pathlib
import shutil
import tempfile

import yaml

from deploying import output

FIRST_OF_TODAY = 22  # the minor version of kubectl whose kustomize (4) takes all fields in use
GROUPS = {"Deployment": ("apps", "v1"), "ServiceAccount": ("", "v1")}
KNOWN = {"apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator", "patches", "labels"}


def rendered(kubernetes, name):
    """The documents of one folder of deploy/kubernetes."""
    return rendered_by_an_old_one(kubernetes, name) if is_old() else documents(kubernetes / name)


def is_old():
    version = json.loads(output("kubectl", "version", "--client", "-o", "json"))["clientVersion"]
    return int(version["minor"].rstrip("+")) < FIRST_OF_TODAY


def documents(folder):
    return [d for d in yaml.safe_load_all(output("kubectl", "kustomize", folder)) if d]


def rendered_by_an_old_one(kubernetes, name):
    with tempfile.TemporaryDirectory(prefix="rb-kustomize-") as folder:
        copy = pathlib.Path(folder, "kubernetes")
        shutil.copytree(kubernetes, copy)
        labels = {}
        for path in copy.rglob("kustomization.yaml"):
            labels[path.parent] = put_into_old_words(path)
        found = documents(copy / name)
        theirs = labels.pop(copy / "base")
        if any(labels.values()):
            raise AssertionError("labels of an overlay: here only those of the base are added, to what the base has")
        names = {(d["kind"], d["metadata"]["name"]) for d in documents(copy / "base")}
        for d in found:
            if (d["kind"], d["metadata"]["name"]) in names or d["kind"] == "ConfigMap":
                d["metadata"]["labels"] = {**d["metadata"].get("labels", {}), **theirs}
        return found


def put_into_old_words(path):
    """Rewrite one kustomization; the labels that it would give."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    if set(told) - KNOWN:
        raise AssertionError(f"{path}: no translation for {sorted(set(told) - KNOWN)}")
    folders = [r for r in told["resources"] if (path.parent / r).is_dir()]
    told["resources"] = [r for r in told["resources"] if r not in folders]
    told["bases"] = folders
    told["patchesJson6902"] = [old_patch(path.parent, n, p) for n, p in enumerate(told.pop("patches", []))]
    labels = {}
    for entry in told.pop("labels", []):
        if set(entry) != {"pairs"}:
            raise AssertionError(f"{path}: labels that go into selectors or templates have no translation")
        labels.update(entry["pairs"])
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return labels


def old_patch(folder, n, patch):
    kind, name = patch["target"]["kind"], patch["target"]["name"]
    group, version = GROUPS[kind]
    (folder / f"patch-{n}.json").write_text(json.dumps(yaml.safe_load(patch["patch"])), encoding="utf-8")
    return {"target": {"group": group, "version": version, "kind": kind, "name": name}, "path": f"patch-{n}.json"}
