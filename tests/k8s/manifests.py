"""Renders the Kustomizations as a fresh clone has them, and finds things in what comes out."""

import functools
import itertools
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENVIRONMENTS = ("develop", "green", "blue")
COLOURS = ("green", "blue")
PLACES = {**{name: f"k8s/overlays/{name}" for name in ENVIRONMENTS}, "edge": "k8s/edge"}
KUSTOMIZE = "v5@v5.7.1"
# Which components fit where; each combination of them is rendered.
COMPONENTS = {
    "develop": ("test-rds", "ingress", "fargate", "prometheus"),
    "green": ("external-secrets", "fargate", "prometheus"),
    "blue": ("external-secrets", "fargate", "prometheus"),
    "edge": ("ingress", "fargate"),
}


@functools.lru_cache(maxsize=None)
def renderer():
    """The command in front of a folder: kubectl's Kustomize 5, or Kustomize itself, built where it is missing."""
    version = ""
    if shutil.which("kubectl"):
        version = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False).stdout
    if re.search(r"Kustomize Version: v[5-9]", version):
        return ["kubectl", "kustomize"]
    built = os.path.join(ROOT, "build", "k8s", "kustomize")
    program = shutil.which("kustomize") or (os.path.exists(built) and built)
    if not program and shutil.which("go"):
        environment = {**os.environ, "GOBIN": os.path.dirname(built), "CGO_ENABLED": "0"}
        subprocess.run(["go", "install", "sigs.k8s.io/kustomize/kustomize/" + KUSTOMIZE], env=environment, capture_output=True, check=False)
        program = os.path.exists(built) and built
    if not program:
        raise unittest.SkipTest("there is no kubectl 1.27 or newer, no kustomize 5, and no Go to build it")
    return [program, "build"]


def kustomize(folder):
    return subprocess.run([*renderer(), folder], capture_output=True, text=True, check=False, timeout=60)


@functools.lru_cache(maxsize=None)
def clone():
    """What git would hand out, without anything that was built or is ignored."""
    directory = tempfile.mkdtemp(prefix="tally-clone.")
    files = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "k8s", "nginx"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.split("\n")
    for name in filter(None, files):
        if os.path.exists(os.path.join(ROOT, name)):
            os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), os.path.join(directory, name))
    return directory


def forget():
    shutil.rmtree(clone())
    clone.cache_clear()


def namespace_of(folder):
    return "tally-edge" if folder == PLACES["edge"] else f"tally-{folder.split('/')[2]}"


@functools.lru_cache(maxsize=None)
def text(folder, components=()):
    """The YAML of a folder with components; fails where it does not render."""
    target = os.path.join(clone(), folder)
    if components:
        target = tempfile.mkdtemp(dir=clone())
        with open(os.path.join(target, "kustomization.yaml"), "w", encoding="utf-8") as file:
            yaml.safe_dump({"namespace": namespace_of(folder), "resources": [f"../{folder}"],
                            "components": [f"../k8s/components/{name}" for name in components]}, file)
    run = kustomize(target)
    assert run.returncode == 0, f"{folder} with {components}: {run.stderr}"
    assert "deprecated" not in run.stderr, run.stderr
    return run.stdout


@functools.lru_cache(maxsize=None)
def objects(folder, components=()):
    return tuple(yaml.load_all(text(folder, components), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@functools.lru_cache(maxsize=None)
def of(place, components=()):
    """All objects of an environment or the edge: the services, and the migration, which repeats some of them word for word."""
    found = list(objects(PLACES[place], components))
    for o in () if place == "edge" else objects(f"{PLACES[place]}/migrate", components):
        twins = find(found, o["kind"], o["metadata"]["name"])
        assert twins in ([], [o]), f"{name_of(o)} is not the same in the migration"
        found += [] if twins else [o]
    return tuple(found)


def combinations(place):
    names = COMPONENTS[place]
    return [subset for count in range(len(names) + 1) for subset in itertools.combinations(names, count)]


def everything():
    """Each (place, components, objects) that can be deployed."""
    for place in PLACES:
        for components in combinations(place):
            yield place, components, of(place, components)


def find(found, kind, name=None):
    return [o for o in found if o["kind"] == kind and name in (None, o["metadata"]["name"])]


def one(found, kind, name):
    matching = find(found, kind, name)
    assert len(matching) == 1, f"{len(matching)} of {kind} {name}"
    return matching[0]


def workloads(found):
    return [o for o in found if o["kind"] in ("Deployment", "StatefulSet", "Job")]


def pod(workload):
    return workload["spec"]["template"]["spec"]


def labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def container(workload):
    containers = pod(workload)["containers"]
    assert len(containers) == 1, workload["metadata"]["name"]
    return containers[0]


def environment(workload):
    return {entry["name"]: entry.get("value") for entry in container(workload).get("env", [])}


def name_of(o):
    return f"{o['kind']}/{o['metadata']['name']}"


def matches(selector, with_labels):
    """Whether a label selector as Kubernetes has it takes these labels."""
    for key, value in selector.get("matchLabels", {}).items():
        if with_labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        if with_labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
