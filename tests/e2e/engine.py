"""A play's cast for the end-to-end tests: the whole stack by compose on the real engine, and visitors who keep count.

Each Stack is a compose project of its own on a free port; what it made is gone after `down`. Images are those of
IMAGE_TAG, and the database is DB_IMAGE; COMPOSE names the compose to use, else it is the machine's. The deadlines are for a
machine that has much else to do: they end a test that hangs, and measure nothing.
"""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

from stagehand import free_port, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 180
SERVICES = ["frontend-1", "frontend-2", "backend-1", "backend-2", "redis", "mysql", "nginx"]
ONE_SHOT = ["secrets", "migrate"]
DB_IMAGE = os.environ.get("DB_IMAGE", "mysql:8.4")
# In a shell of the database's container, whichever database it is.
DB_CLIENT = "$(command -v mysql || command -v mariadb)"
DB_ADMIN = "$(command -v mysqladmin || command -v mariadb-admin)"


def run(*command, check=True, env=None, stdin=subprocess.DEVNULL, timeout=600, binary=False):
    """What the command printed; both streams are in the error when it fails."""
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=not binary, check=False, cwd=ROOT,
                          env=env, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def docker(*command, **options):
    return run("docker", *command, **options)


def remove_network(network):
    """The engine may count an endpoint for ever that is no container's any more, when many are killed at once: that network stays,
    and scripts/e2e says so."""
    done = subprocess.run(["docker", "network", "rm", network], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        inside = docker("network", "inspect", "--format", "{{len .Containers}}", network).strip()
        assert "has active endpoints" in done.stderr and inside == "0", f"{network}, {inside} containers: {done.stderr}"


def new_name():
    """For a container, network or project of a test."""
    return f"{os.environ.get('E2E_NAME', 'tally-e2e')}-{uuid.uuid4().hex[:8]}"


def image(service):
    return f"tally-{service}:{os.environ.get('IMAGE_TAG', 'latest')}"


def passwords_of(text):
    """The random parts: 48 hexadecimal digits."""
    return [word for word in text.replace("@", " ").replace(":", " ").split() if len(word) == 48]


class Answer:
    def __init__(self, status, fields, body, seconds):
        self.status, self.fields, self.body, self.seconds = status, fields, body, seconds

    def json(self):
        return json.loads(self.body)


def ask(port, path="/", accept="application/json", timeout=10, tls=None, host="127.0.0.1"):
    """One request on a connection of its own; an OSError when there is no answer."""
    if tls:
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=tls)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    began = time.monotonic()
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read().decode(), time.monotonic() - began)
    except (http.client.HTTPException, OSError) as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def unverified():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Visitors:
    """Visits without a pause from some connections at a time, until told to stop; every answer is kept.

    degraded: how long those without users took."""

    def __init__(self, port, count=4, timeout=12):
        self.port, self.timeout = port, timeout
        self.numbers, self.failures, self.degraded = [], [], []
        self.pods, self.versions = set(), set()
        self.slowest = 0.0
        self.lock, self.leaving = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.visit, daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_for(lambda: self.numbers, "the first visit")
        return self

    def __exit__(self, *_):
        self.leaving.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)

    def visit(self):
        while not self.leaving.is_set():
            try:
                answer = ask(self.port, timeout=self.timeout)
                self.keep(answer)
            except OSError as error:
                self.fail(f"no answer: {error}")
            time.sleep(0.01)

    def keep(self, answer):
        if answer.status != 200:
            self.fail(f"{answer.status} after {answer.seconds:.1f} s: {answer.body[:200]}")
            return
        data = answer.json()
        with self.lock:
            self.numbers.append(data["visitor"])
            self.pods.add(data["served_by"])
            self.versions.add(data["version"])
            if data.get("users") is None:
                self.degraded.append(round(answer.seconds, 1))
            self.slowest = max(self.slowest, answer.seconds)

    def fail(self, why):
        with self.lock:
            self.failures.append(why)
        time.sleep(0.02)

    def await_more(self, count=20, seconds=DEADLINE):
        """Until so many more visits were answered."""
        goal = len(self.numbers) + count
        wait_for(lambda: len(self.numbers) >= goal, f"{count} more visits; failures: {self.failures[-3:]}", seconds)

    def await_healthy(self, seconds=DEADLINE):
        """Until fifty visits in a row came back whole."""
        def whole():
            failed, degraded, goal = len(self.failures), len(self.degraded), len(self.numbers) + 50
            wait_for(lambda: len(self.numbers) >= goal or len(self.failures) > failed or len(self.degraded) > degraded, "visits", seconds)
            return len(self.failures) == failed and len(self.degraded) == degraded
        wait_for(whole, f"the stack to be whole again; failures: {self.failures[-3:]}", seconds)


class Stack:
    """The whole stack as a compose project of its own."""

    def __init__(self, *files, **settings):
        self.name = new_name()
        self.port = free_port()
        self.command = ["scripts/compose"] + [part for file in files for part in ("-f", file)]
        self.env = {**os.environ, "COMPOSE_PROJECT_NAME": self.name, "HTTP_PORT": str(self.port),
                    "HTTP_ADDRESS": "127.0.0.1", "NGINX_RATE": "0", "NGINX_CONNECTIONS": "0",
                    "DRAIN_DELAY_MS": "1000", **settings}
        self.helpers = []

    def compose(self, *command, **options):
        return run(*self.command, *command, **{"env": self.env, **options})

    def up(self, *services, **settings):
        """With these settings beside the stack's own."""
        self.compose("up", "-d", "--no-build", *services, env={**self.env, **settings})

    def down(self, volumes=True):
        """With its volumes there is nothing to save: then what runs is killed, which is quicker."""
        mine = self.made("ps", "-a") if volumes else []
        if mine + self.helpers:
            docker("rm", "-f", "-v", *mine, *self.helpers, check=False)
        self.helpers = []
        if not volumes:
            self.compose("down", "--remove-orphans", "-t", "20")
            return
        for network in self.made("network", "ls"):
            remove_network(network)
        if left := self.made("volume", "ls"):
            docker("volume", "rm", *left)

    def made(self, *listing):
        """The ids of what compose made for this stack."""
        return docker(*listing, "-q", "--filter", f"label=com.docker.compose.project={self.name}").split()

    def logs(self):
        return self.compose("logs", "--no-color", check=False)

    def id(self, service):
        ids = docker("ps", "-aq", "--no-trunc", "--filter", f"label=com.docker.compose.project={self.name}",
                     "--filter", f"label=com.docker.compose.service={service}",
                     "--filter", "label=com.docker.compose.oneoff=False").split()
        return ids[0] if ids else None

    def inspect(self, service):
        return json.loads(docker("inspect", self.id(service)))[0]

    def addresses(self, service):
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return {name.removeprefix(self.name + "_"): n["IPAddress"] for name, n in networks.items()}

    def status(self, service):
        state = self.inspect(service)["State"]
        return state.get("Health", {}).get("Status") or state["Status"]

    def await_status(self, service, wanted, seconds=DEADLINE):
        wait_for(lambda: self.id(service) and self.status(service) == wanted, f"{service} to be {wanted}", seconds, pause=0.5)

    def freeze(self, service):
        """Asked again where the engine gave up: with cgroups of version 1 it may not catch a process that syncs or starts just then."""
        def frozen():
            done = subprocess.run(["docker", "pause", self.id(service)], capture_output=True, text=True, check=False)
            assert done.returncode == 0 or "unable to freeze" in done.stderr, done.stderr
            return done.returncode == 0
        wait_for(frozen, f"{service} to be frozen", pause=0.2)

    def thaw(self, service):
        docker("unpause", self.id(service))

    def visit(self, **options):
        return ask(self.port, **options)

    def total(self):
        """The counter, once Redis answers."""
        def read():
            try:
                answer = ask(self.port, "/api/v1/visits")
            except OSError:
                return None
            return answer if answer.status == 200 else None
        return wait_for(read, "the counter").json()["total"]

    def is_whole(self):
        try:
            answer = self.visit(timeout=5)
        except OSError:
            return False
        return answer.status == 200 and answer.json()["users"] is not None

    def await_whole(self):
        """Both frontends and both backends answer: a dozen whole visits in a row."""
        wait_for(lambda: all(self.is_whole() for _ in range(12)), "visits with number and users")

    def await_first_answer(self):
        """The first answer there is, whatever it says."""
        def first():
            try:
                return self.visit()
            except OSError:
                return None
        return wait_for(first, "an answer")

    def recreate_elsewhere(self, service):
        """Puts a new container in the place of one, which gets another address: a helper sits on the old one until remove_helpers."""
        before = self.addresses(service)
        docker("rm", "-f", "-v", self.id(service))
        for network, address in before.items():
            helper = docker("run", "-d", "--name", new_name(), "--network", f"{self.name}_{network}", "--ip", address, "--entrypoint", "sleep",
                            image("nginx"), "3600", check=False).strip()
            if helper:
                self.helpers.append(helper)
        self.up("--no-deps", service)
        return before, self.addresses(service)

    def remove_helpers(self):
        if self.helpers:
            docker("rm", "-f", *self.helpers)
        self.helpers = []

    def secrets(self):
        """Every secret there is, by the volume that holds it."""
        volumes = docker("volume", "ls", "-q", "--filter", f"label=com.docker.compose.project={self.name}").split()
        names = [v.removeprefix(self.name + "_") for v in volumes if v.startswith(self.name + "_secret-")]
        mounts = [part for name in names for part in ("-v", f"{self.name}_{name}:/{name}:ro")]
        said = docker("run", "--rm", "--network", "none", *mounts, "--user", "0", "--entrypoint", "sh", "redis:8", "-c",
                      'for name; do cat "/$name"/*; printf "\\0"; done', "sh", *names)
        return dict(zip(names, said.split("\0")))

    def sql(self, text):
        """What root sees; the password stays in the container."""
        return docker("exec", self.id("mysql"), "sh", "-c", 'MYSQL_PWD="$(cat /run/secrets/database-root/password)" '
                      f'{DB_CLIENT} -h 127.0.0.1 -u root --default-character-set=utf8mb4 tally -Ne "$0" 2>/dev/null', text)

    def users(self):
        return [user["userName"] for user in self.visit().json()["users"]]


class StackCase(unittest.TestCase):
    """Tests that share one stack; each finds it whole and leaves it so."""

    files, settings = (), {}

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(*cls.files, **cls.settings)
        cls.addClassCleanup(cls.stack.down)
        cls.start()

    @classmethod
    def start(cls):
        cls.stack.up()
        cls.stack.await_whole()

    def backup(self):
        """The folder of a new one."""
        directory = os.path.join(tempfile.mkdtemp(prefix="tally-e2e."), "backup")
        self.addCleanup(shutil.rmtree, os.path.dirname(directory))
        run("scripts/backup", directory, env=self.stack.env)
        return directory


class PlayCase(StackCase):
    """Plays that happen while visits go on; settle is the verdict of each."""

    files = ("docker-compose.yml", "tests/e2e/patient.yml")
    VISITORS = 4
    # What a visitor may wait at most: the longest deadline of a service, and as long again on a busy machine.
    PATIENCE = 10

    def setUp(self):
        self.before = self.stack.total()
        self.visitors = Visitors(self.stack.port, self.VISITORS)

    def settle(self):
        """No number twice, none that was not counted, nobody kept waiting."""
        numbers = self.visitors.numbers
        self.assertEqual(len(set(numbers)), len(numbers), "a number came twice")
        self.assertGreater(min(numbers), self.before)
        self.assertLessEqual(max(numbers), self.stack.total())
        self.assertLess(self.visitors.slowest, self.PATIENCE)
