"""The cast of the end-to-end test: kubectl, ci/deploy and ci/bluegreen in a copy of the tree, and visitors who keep count."""

import json
import os
import secrets
import subprocess
import sys
import unittest

import stagehand

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
# A private copy of what is deployed, made by scripts/e2e-k8s: its build/deploy is nobody else's.
HOME = os.environ["E2E_HOME"]
NAMESPACE = "tally-e2e"
SERVICES = ("backend", "frontend", "nginx")
DEADLINE = int(os.environ.get("E2E_DEADLINE", "300"))  # seconds for whatever the cluster does by itself


def run(*command, check=True, stdin="", timeout=DEADLINE * 3, **env):
    """What the command printed; the end of both streams is in the error when it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=HOME, timeout=timeout,
                          env={**os.environ, **env})
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command[:9])}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return done.stdout if check else done


def kubectl(*arguments, **options):
    return run("kubectl", *arguments, **options)


def put(text, *options):
    kubectl("apply", "--server-side", *options, "-f", "-", stdin=text)


def wait_for(condition, what, seconds=DEADLINE):
    """Each look asks the cluster."""
    return stagehand.wait_for(condition, what, seconds, pause=0.5)


def source(name):
    with open(os.path.join(HERE, name), encoding="utf-8") as file:
        return file.read()


# --- the cluster ---

def items(kind, *options):
    return json.loads(kubectl("get", kind, *options, "-o", "json"))["items"]


def pods(namespace, selector="app.kubernetes.io/part-of=tally"):
    return items("pods", "--namespace", namespace, "--selector", selector)


def schedulable_nodes():
    """The names of the nodes on which a pod of ours may be put."""
    nodes = [node for node in items("nodes") if not node["spec"].get("unschedulable")
             and not any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", []))]
    return sorted(node["metadata"]["name"] for node in nodes
                  if any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"]))


def settled(namespace):
    """Everything has rolled out, and of the pods that left none is there any more."""
    for name in kubectl("get", "deployments", "--namespace", namespace, "-o", "name").split():
        kubectl("--namespace", namespace, "rollout", "status", name, f"--timeout={DEADLINE}s")
    wait_for(lambda: not any("deletionTimestamp" in pod["metadata"] for pod in pods(namespace)), f"pods that leave {namespace}")


# --- what stands for managed stores ---

def openssl(*arguments):
    run("openssl", *arguments)


def make_certificates(host):
    """A CA (ca.pem), and a certificate of its for the host (tls.crt, tls.key)."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=Tally e2e CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *curve, "-subj", f"/CN={host}", "-keyout", "tls.key", "-out", "tls.csr")
    with open(os.path.join(HOME, "tls.ext"), "w", encoding="utf-8") as file:
        file.write(f"subjectAltName=DNS:{host}\n")
    openssl("x509", "-req", "-in", "tls.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "tls.ext",
            "-out", "tls.crt")


def write(name, *lines):
    with open(os.path.join(HOME, name), "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("\n".join(lines) + "\n")


def make_secret(name, *options):
    kubectl("create", "secret", "generic", name, "--namespace", NAMESPACE, *options)


def set_up_stores():
    """Redis and MySQL in a namespace of their own, and the file of secrets that names them."""
    redis, mysql, root = (secrets.token_hex(16) for _ in range(3))
    at = f"{NAMESPACE}.svc.cluster.local"
    make_certificates(f"mysql.{at}")
    write("redis.env", f"password={redis}", f"redis.conf=requirepass {redis}")
    write("mysql.env", f"root-password={root}", f"password={mysql}")
    write("secrets.env", f"REDIS_URL=redis://:{redis}@redis.{at}:6379/0", f"DATABASE_URI=mysql://tally:{mysql}@mysql.{at}:3306/tally",
          f"MIGRATE_DATABASE_URI=mysql://root:{root}@mysql.{at}:3306/tally")
    kubectl("apply", "-k", "tests/k8s/cluster/stores")
    make_secret("redis", "--from-env-file=redis.env")
    make_secret("mysql", "--from-env-file=mysql.env")
    make_secret("tls", "--from-file=ca.pem", "--from-file=tls.crt", "--from-file=tls.key")


# --- visitors ---

def set_up_visitors():
    kubectl("apply", "-k", "tests/k8s/cluster/visitors")


class Answer:
    """One line of visitors/ask."""

    def __init__(self, line):
        self.line = line
        self.status, self.number, self.colour, self.version, *_ = [*line.split(" "), "", "", ""]


class Visitors:
    """Ask a page from inside the cluster from the beginning of the block to its end; `answers` is what they got."""

    count = 0

    def __init__(self, url, avoid="none"):
        Visitors.count += 1
        part = os.path.basename(sys.argv[0]).removeprefix("test_")
        self.job, self.url, self.avoid, self.answers = f"visitors-{part}-{Visitors.count}", url, avoid, []

    def said(self):
        """What each of them has written so far."""
        names = kubectl("get", "pods", "--namespace", NAMESPACE, "--selector", f"job-name={self.job}", "-o", "name").split()
        return {name: kubectl("logs", "--namespace", NAMESPACE, name, "--tail=-1", check=False).stdout for name in names}

    def __enter__(self):
        text = source("visitors/job.yaml")
        for name, value in (("name", self.job), ("avoid", self.avoid), ("image", os.environ["VISITOR_IMAGE"]), ("url", self.url)):
            text = text.replace("{%s}" % name, value)
        put(text)
        wait_for(lambda: len(said := self.said()) == 2 and all(len(text.splitlines()) > 3 for text in said.values()), "visitors that begin")
        return self

    def __exit__(self, *_):
        for name in self.said():
            kubectl("exec", "--namespace", NAMESPACE, name, "--", "touch", "/tmp/stop")
        kubectl("wait", "--namespace", NAMESPACE, "--for=condition=Complete", f"job/{self.job}", "--timeout=90s")
        lines = [line for text in self.said().values() for line in text.splitlines()]
        self.answers = [Answer(line) for line in lines if line != "end"]
        assert lines.count("end") == 2, "the visitors' words were cut off"
        kubectl("delete", "job", self.job, "--namespace", NAMESPACE, "--wait=false")
        say(f"{len(self.answers)} visits to {self.url}, {sum(a.status != '200' for a in self.answers)} failed")

    def last(self):
        """The answers of the highest numbers."""
        return sorted((a for a in self.answers if a.number.isdigit()), key=lambda a: int(a.number))[-10:]


def say(text):
    print(f"# {text}", flush=True)


class Play(unittest.TestCase):
    """The acts are played in the order of their names; one that needs what an earlier one did not reach fails at once."""

    maxDiff = None
    stands = set()

    def needs(self, *what):
        for thing in what:
            if thing not in self.stands:
                self.fail(f"not tried, since {thing} does not stand")

    def deploy(self, place, check=True, **env):
        return run("ci/deploy", place, check=check, SECRETS_FILE="" if place == "develop" else "secrets.env",
                   CA_FILE="" if place in ("develop", "edge") else "ca.pem", ROLLOUT_TIMEOUT=env.pop("ROLLOUT_TIMEOUT", str(DEADLINE)), **env)

    @staticmethod
    def bluegreen(*arguments, **env):
        return run("ci/bluegreen", *arguments, SECRETS_FILE="secrets.env", CA_FILE="ca.pem", ROLLOUT_TIMEOUT=str(DEADLINE), **env)

    def nobody_was_turned_away(self, visitors):
        self.assertEqual([a.line for a in visitors.answers if a.status != "200"], [])
        self.assertGreater(len(visitors.answers), 50)

    def each_was_counted_once(self, visitors, alone=True):
        """No number twice; where nobody else came, none is missing."""
        numbers = sorted(int(a.number) if a.number.isdigit() else -1 for a in visitors.answers)
        self.assertGreater(numbers[0], 0, "a visit was not counted")
        self.assertEqual(len(set(numbers)), len(numbers), "a number was given twice")
        if alone:
            self.assertEqual(numbers[-1] - numbers[0] + 1, len(numbers), "numbers are missing")
