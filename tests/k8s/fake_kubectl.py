"""Stands for kubectl: records what it is asked, keeps a small cluster in a file, and fails where the test says.

FAKE_HOME holds calls (one JSON line each: arguments and what came on standard input), state.json (what is there)
and plan.json: {"fail": [[pattern, from, count], …], "pages": {"namespace": {…}}, "nodes": {"name": "CPUs"}}. A call that matches a pattern
(a regular expression on the arguments in one line) fails, from its n-th time on, `count` times. Real rendering is
kubectl's own: FAKE_RENDERER is the command for it, and FAKE_CACHE a folder for what it said of the same question.

A deployment asks kubectl thirty times, and then its start is what takes the time: what few calls need is imported by them.
"""

import fcntl
import json
import os
import re
import sys
import time

HOME = os.environ["FAKE_HOME"]
ARGUMENTS = [a for a in sys.argv[1:] if not a.startswith("--request-timeout")]
LINE = " ".join(ARGUMENTS)


def path(name):
    return os.path.join(HOME, name)


def load(name, default):
    try:
        with open(path(name), encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return default


class Cluster:
    """The state, locked while it is looked at or changed."""

    def __enter__(self):
        self.lock = open(path("lock"), "w", encoding="utf-8")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.state = load("state.json", {"objects": {}, "calls": {}})
        return self.state

    def __exit__(self, *_):
        with open(path("state.json"), "w", encoding="utf-8") as file:
            json.dump(self.state, file)
        self.lock.close()


def option(name, default=""):
    for i, argument in enumerate(ARGUMENTS):
        if argument == name:
            return ARGUMENTS[i + 1]
        if argument.startswith(name + "="):
            return argument.partition("=")[2]
    return default


def key(kind, namespace, name):
    return f"{kind.lower()}/{namespace}/{name}"


def fail(why, status=1):
    print(why, file=sys.stderr)
    sys.exit(status)


def record(stdin):
    with open(path("calls"), "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps({"arguments": LINE, "stdin": stdin}) + "\n")


def planned_failure():
    plan = load("plan.json", {})
    with Cluster() as state:
        for pattern, first, count in plan.get("fail", []):
            if re.search(pattern, LINE):
                seen = state["calls"][pattern] = state["calls"].get(pattern, 0) + 1
                if first <= seen < first + count:
                    return True
    return False


def words():
    """The arguments without options: kubectl get KIND NAME."""
    found, skip = [], False
    for argument in ARGUMENTS:
        if skip:
            skip = False
        elif argument in ("--namespace", "-n", "-o", "-f", "--type", "-p", "--selector", "--field-selector", "--address"):
            skip = True
        elif not argument.startswith("-"):
            found.append(argument)
    return found


def documents(text):
    """Objects of YAML; those of one line are JSON, and the library need not be loaded."""
    if text.startswith("{"):
        return [json.loads(text)]
    import yaml
    return list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def apply(texts, create=False):
    with Cluster() as state:
        for text in texts:
            for o in documents(text):
                where = key(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"])
                if create and where in state["objects"]:
                    fail("AlreadyExists")
                if o["kind"] == "Job":
                    o["status"] = {"conditions": load("plan.json", {}).get("job", ["Complete"])}
                state["objects"][where] = o
                print(f"{where} applied")


def read(o, wanted):
    """The few paths that the scripts ask for."""
    if wanted == "name":
        return f"{o['kind'].lower()}/{o['metadata']['name']}"
    data = re.fullmatch(r"jsonpath=\{\.data(?:\['([^']+)'\]|\.(.+))\}", wanted)
    if data:
        return o["data"].get((data[1] or data[2]).replace("\\.", "."), "")
    container = o.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])[0]
    parts = {
        ".spec.template.spec.containers[0].image": container.get("image", ""),
        ".spec.externalName": o.get("spec", {}).get("externalName", ""),
        ".metadata.annotations.tally/before": o["metadata"].get("annotations", {}).get("tally/before", ""),
        ".spec.minReplicas": o.get("spec", {}).get("minReplicas", ""),
        ".status.replicas": o.get("status", {}).get("replicas", 3),
        ".status.readyReplicas": o.get("status", {}).get("readyReplicas", o.get("status", {}).get("replicas", 3)),
    }
    if ".status.conditions" in wanted:
        return " ".join(o.get("status", {}).get("conditions", []))
    text = wanted.removeprefix("jsonpath=")
    assert all(part in parts for part in re.findall(r"\{([^}]*)\}", text)), wanted
    return re.sub(r"\{([^}]*)\}", lambda match: str(parts[match[1]]), text)


def get():
    """By name; of pods, nodes and namespaces all."""
    _, kind, *names = words()
    if kind == "pods":
        print("\n".join(load("plan.json", {}).get("edge_pods", ["pod/edge-1", "pod/edge-2"])))
        return
    if kind == "nodes":
        nodes = load("plan.json", {}).get("nodes", {"node-1": "8"})
        print("\n".join(nodes.values() if ".cpu" in option("-o") else nodes))
        return
    with Cluster() as state:
        objects = state["objects"]
    if kind == "namespaces":
        kind, names = "namespace", [where.split("/")[2] for where in objects if where.startswith("namespace/")]
    for name in names:
        o = objects.get(key({"hpa": "horizontalpodautoscaler"}.get(kind, kind), option("--namespace"), name))
        if o:
            print(read(o, option("-o")), end="\n" if option("-o") == "name" else "")
        elif "--ignore-not-found" not in ARGUMENTS:
            fail(f'Error from server (NotFound): {kind} "{name}" not found')


def merge(into, patch):
    for name, value in patch.items():
        if isinstance(value, dict):
            merge(into.setdefault(name, {}), value)
        else:
            into[name] = value


def patch():
    _, kind, name = words()
    with Cluster() as state:
        where = key({"hpa": "horizontalpodautoscaler"}.get(kind, kind), option("--namespace"), name)
        merge(state["objects"][where], json.loads(option("-p")))
        if kind == "hpa":  # the autoscaler follows at once
            deployment = state["objects"].get(key("deployment", option("--namespace"), name), {})
            minimum = state["objects"][where]["spec"]["minReplicas"]
            deployment.setdefault("status", {}).update(replicas=minimum, readyReplicas=minimum)


def delete():
    """A namespace with all that is in it."""
    _, kind, *names = words()
    with Cluster() as state:
        for name in names:
            state["objects"].pop(key(kind, option("--namespace"), name), None)
        if kind == "namespace":
            state["objects"] = {where: o for where, o in state["objects"].items() if where.split("/")[1] not in names}


def create(stdin):
    """A manifest with --dry-run, an object of standard input without."""
    if "--dry-run=client" not in ARGUMENTS:
        return apply([stdin], create=True)
    import base64
    _, kind, *rest = words()
    name = rest[-1]
    data = {}
    for argument in ARGUMENTS:
        if argument.startswith("--from-env-file="):
            with open(argument.partition("=")[2], encoding="utf-8") as file:
                data.update(line.split("=", 1) for line in file.read().splitlines())
        if argument.startswith("--from-file="):
            member, _, source = argument.partition("=")[2].partition("=")
            with open(source, encoding="utf-8") as file:
                data[member] = file.read()
    if kind == "secret":
        data = {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}
    print(json.dumps({"apiVersion": "v1", "kind": {"secret": "Secret", "configmap": "ConfigMap"}[kind],
                      "metadata": {"name": name, "namespace": option("--namespace")}, "data": data}))


def page_of(namespace):
    """What a namespace's page says now: the plan's word, else what the objects say. The edge shows the colour that is live."""
    plan = load("plan.json", {}).get("pages", {})
    with Cluster() as state:
        live = state["objects"].get(key("service", "tally-edge", "live"), {}).get("spec", {}).get("externalName", "")
        if namespace == "tally-edge" and namespace not in plan:
            namespace = live.split(".")[1] if live else namespace
        frontend = state["objects"].get(key("deployment", namespace, "frontend"), {})
        state["visits"] = visitor = state.get("visits", 0) + 1
    env = frontend.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])[0].get("env", [])
    values = {entry["name"]: entry.get("value") for entry in env}
    page = {"visitor": visitor, "served_by": "pod", "environment": values.get("ENVIRONMENT", "develop"),
            "version": values.get("RELEASE", "0123456789ab"), "users": [{"userName": "Bob"}]}
    return {**page, **plan.get(namespace, {})}


def port_forward():
    import http.server

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            page = page_of(ARGUMENTS[ARGUMENTS.index("--namespace") + 1])
            body = json.dumps(page, separators=(",", ":")).encode()
            self.send_response(page.get("status", 200))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    print(f"Forwarding from 127.0.0.1:{server.server_port} -> 8080", flush=True)
    server.serve_forever()


def render(folder):
    """The same kustomization beside the same manifests renders the same."""
    import hashlib
    import subprocess
    with open(os.path.join(folder, "kustomization.yaml"), "rb") as file:
        cached = os.path.join(os.environ["FAKE_CACHE"], hashlib.sha256(folder.encode() + file.read()).hexdigest())
    if not os.path.exists(cached):
        run = subprocess.run([*os.environ["FAKE_RENDERER"].split(), folder], stdout=subprocess.PIPE, check=False)
        if run.returncode:
            sys.exit(run.returncode)
        with open(f"{cached}.{os.getpid()}", "wb") as file:
            file.write(run.stdout)
        os.rename(f"{cached}.{os.getpid()}", cached)
    with open(cached, encoding="utf-8") as file:
        print(file.read(), end="")


def main():
    if words()[:1] == ["kustomize"]:
        return render(words()[1])
    stdin = sys.stdin.read() if option("-f") == "-" else ""
    record(stdin)
    if planned_failure():
        fail("Error from server: the test says so")
    if load("plan.json", {}).get("hang") and re.search(load("plan.json", {})["hang"], LINE):
        with open(path("hanging"), "w", encoding="utf-8") as file:
            file.write(str(os.getpid()))
        time.sleep(300)
    verb = next(word for word in words() if word in ("apply", "get", "patch", "delete", "create", "rollout", "logs", "port-forward", "describe",
                                                     "uncordon"))
    if verb == "apply":
        source = option("-f")
        if source != "-":
            with open(source, encoding="utf-8") as file, open(path(f"applied-{os.path.basename(source)}"), "w", encoding="utf-8") as copy:
                stdin = file.read()
                copy.write(stdin)
        apply([stdin])
    elif verb == "create":
        create(stdin)
    elif verb == "port-forward":
        port_forward()
    elif verb in ("get", "patch", "delete"):
        {"get": get, "patch": patch, "delete": delete}[verb]()
