"""A play with ci/deploy, ci/bluegreen or scripts/e2e-k8s on one side and the recording kubectl on the other."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import yaml

import manifests
from stagehand import wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
DIGESTS = {name: f"sha256:{digit * 64}" for name, digit in (("frontend", "1"), ("backend", "2"), ("nginx", "3"))}
IMAGES = {f"{name.upper()}_IMAGE": f"registry.example:5000/tally-{name}@{digest}" for name, digest in DIGESTS.items()}
SERVICES = ("backend", "frontend", "nginx")


def other_images(digit):
    return {name: re.sub("sha256:.*", "sha256:" + digit * 64, image) for name, image in IMAGES.items()}


def written_secrets(home):
    path = os.path.join(home, "secrets")
    with open(path, "w", encoding="utf-8") as file:
        file.write("REDIS_URL=rediss://tally:pw@redis.example:6379/0\nDATABASE_URI=mysql://tally:a=b$c@db.example:3306/tally\n"
                   "MIGRATE_DATABASE_URI=mysql://admin:root-word@db.example:3306/tally\n")
    return path


def renderer():
    """What renders, by its path: another kubectl stands before it."""
    program, *arguments = manifests.renderer()
    return " ".join([program if "/" in program else shutil.which(program), *arguments])


class Stage(unittest.TestCase):
    """Each test has a cluster and a kubectl of its own, its class a clone."""

    folder, copied = "ci", ("k8s", "nginx", "ci")

    @classmethod
    def setUpClass(cls):
        cls.clone = tempfile.mkdtemp(prefix="tally-deploy.")
        for name in cls.copied:
            shutil.copytree(os.path.join(manifests.ROOT, name), os.path.join(cls.clone, name))
        os.mkdir(os.path.join(cls.clone, "cache"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.clone)

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="tally-cluster.")
        self.addCleanup(shutil.rmtree, self.home)
        os.mkdir(os.path.join(self.home, "bin"))
        self.install_kubectl(os.path.join(self.home, "bin", "kubectl"))
        self.env = {"PATH": f"{self.home}/bin:{os.environ['PATH']}", "HOME": os.environ.get("HOME", "/"), "FAKE_HOME": self.home,
                    "FAKE_CACHE": os.path.join(self.clone, "cache"), "SMOKE_TIMEOUT": "1", "SWITCH_TIMEOUT": "1",
                    "SECRETS_TIMEOUT": "0", "MIGRATE_TIMEOUT": "1", "WARM_TIMEOUT": "1", **IMAGES}

    @staticmethod
    def install_kubectl(path):
        """A program of this very Python that looks for no packages and is compiled once: it starts a hundred times."""
        folders = [HERE, os.path.dirname(os.path.dirname(yaml.__file__))]
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!{sys.executable} -IS\nimport sys\nsys.path += {folders}\nimport fake_kubectl\nfake_kubectl.main()\n")
        os.chmod(path, 0o755)

    def plan(self, **plan):
        with open(os.path.join(self.home, "plan.json"), "w", encoding="utf-8") as file:
            json.dump(plan, file)

    def start(self, script, *arguments, **env):
        return subprocess.Popen([os.path.join(self.clone, self.folder, script), *arguments], env={**self.env, **env}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run_script(self, script, *arguments, **env):
        process = self.start(script, *arguments, **env)
        try:
            self.out, self.err = process.communicate(timeout=90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode

    def refuses(self, reason, script, *arguments, **env):
        """Fails, and the last line says why."""
        self.assertNotEqual(self.run_script(script, *arguments, **env), 0, self.err)
        self.assertRegex(self.err.strip().splitlines()[-1], reason)

    def hanging(self):
        """Waits for the call that hangs, as planned; its process id."""
        path = os.path.join(self.home, "hanging")
        wait_for(lambda: os.path.exists(path) and os.path.getsize(path), "a call that hangs")
        with open(path, encoding="utf-8") as file:
            return int(file.read())

    def calls(self):
        try:
            with open(os.path.join(self.home, "calls"), encoding="utf-8") as file:
                return [json.loads(line) for line in file]
        except FileNotFoundError:
            return []

    def forget_calls(self):
        os.unlink(os.path.join(self.home, "calls"))

    def forget_counts(self):
        """Planned failures begin anew."""
        path = os.path.join(self.home, "state.json")
        with open(path, encoding="utf-8") as file:
            state = json.load(file)
        state["calls"] = {}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(state, file)

    def changes(self):
        """What changed the cluster, in order: applied files by name, patches and deletions."""
        words = []
        for call in self.calls():
            line = call["arguments"]
            if "--dry-run" in line:
                continue
            if match := re.search(r"apply .*-f (?:\S*/)?(\w+)\.yaml", line):
                words.append(match[1])
            elif re.search(r"(apply|create) .*-f -", line):
                o = json.loads(call["stdin"])
                words.append(f"{o['kind'].lower()} {o['metadata']['name']}")
            elif " patch " in f" {line} ":
                words.append(line)
            elif line.startswith("delete"):
                words.append("delete " + line.split()[4])
        return words

    def state(self):
        with open(os.path.join(self.home, "state.json"), encoding="utf-8") as file:
            return json.load(file)["objects"]


class Play(Stage):
    """What is deployed is really rendered."""

    @classmethod
    def setUpClass(cls):
        cls.renderer = renderer()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.env["FAKE_RENDERER"] = self.renderer
        with open(os.path.join(self.home, "ca.pem"), "w", encoding="utf-8") as file:
            file.write("-----BEGIN CERTIFICATE-----\n")

    def production(self):
        """What green and blue need besides images."""
        return {"SECRETS_FILE": written_secrets(self.home), "CA_FILE": os.path.join(self.home, "ca.pem")}

    def deploys(self, *arguments, **env):
        self.assertEqual(self.run_script("deploy", *arguments, **env), 0, self.err)

    def images(self, place):
        return {name: self.state()[f"deployment/tally-{place}/{name}"]["spec"]["template"]["spec"]["containers"][0]["image"]
                for name in SERVICES if f"deployment/tally-{place}/{name}" in self.state()}

    def live(self):
        return self.state()["service/tally-edge/live"]["spec"]["externalName"].split(".")[1].removeprefix("tally-")

    def colours_and_edge(self):
        """Green and blue run the images, and the edge sends to blue."""
        self.deploys("green", **self.production())
        self.deploys("blue", **self.production())
        self.deploys("edge")
        self.forget_calls()
