"""Starts what is measured, each server pinned to its core, and says what it has cost so far.

DESIGN. A server is started when the first row needs it, after those that it needs itself; all end
together. Every store that a peer uses is the one that Tally uses: a row's cost can be told apart
because only one row is under load at a time.
"""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import namedtuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "release")
PEERS = os.path.join(ROOT, "bench", "peers")
NODE = os.path.join(PEERS, "node")
SERVER_CORE, LOAD_CORE = "0", "1"
STORES = ("redis", "redis-off", "mariadb")
GUNICORN_WORKERS = 2 * (os.cpu_count() or 1)
TICK = os.sysconf("SC_CLK_TCK")

# What a row is called, who answers, which servers work for it, and whether it counts visits.
Row = namedtuple("Row", "title front servers counts", defaults=(True,))
ROWS = {
    "bare": Row("bare libmicrohttpd", "bare", ("bare",), False),
    "durable": Row("bare, an fdatasync a batch", "durable", ("durable",), False),
    "nginx-return": Row("NGINX, return 200", "nginx-return", ("nginx-return",), False),
    "nginx-bare": Row("NGINX to the bare daemon", "nginx-bare", ("nginx-bare", "bare"), False),
    "counter": Row("Tally counter", "counter", ("counter", "redis")),
    "counter-off": Row("Tally counter, no fsync", "counter-off", ("counter-off", "redis-off")),
    "page": Row("Tally page", "frontend", ("frontend", "backend", "redis", "mariadb")),
    "page-nginx": Row("Tally page through NGINX", "nginx", ("nginx", "frontend", "backend", "redis", "mariadb")),
    "lua": Row("NGINX Lua counter", "nginx-lua", ("nginx-lua", "redis")),
    "node": Row("Node counter", "node", ("node", "redis")),
    "node-page": Row("Node page", "node-page", ("node-page", "redis", "mariadb")),
    "flask": Row("Flask counter", "flask", ("flask", "redis")),
    "flask-page": Row("Flask page", "flask-page", ("flask-page", "flask-backend", "redis", "mariadb")),
}
# What a bare daemon does without; it may use the load's core where the others have one each.
BEHIND = ("backend", "redis", "mariadb")
# Not in the table: the same page with two workers in each service; and fresh processes for thousands of connections,
# whose memory would otherwise be that of earlier rounds.
TWO_WORKERS = {"page-2": Row("Tally page, two workers", "frontend-2", ("frontend-2", "backend-2", "redis", "mariadb"))}
FRESH = {"bare": Row("bare libmicrohttpd", "bare-fresh", ("bare-fresh",), False),
         "page": Row("Tally page", "frontend-fresh", ("frontend-fresh", "backend", "redis", "mariadb"))}


class BenchError(Exception):
    """What makes all further measuring pointless."""


def free_port():
    """Below the range of outgoing connections, which might take it before the server does."""
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.randrange(20000, 32000)))
                return s.getsockname()[1]
            except OSError:
                continue


def takes_connections(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def get(port, path, seconds=5):
    """The status and body of a GET; 0 when there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError:
        return 0, ""


def raw_answer(port):
    """Header fields and body of the page, as they come over the wire."""
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        parts = list(iter(lambda: s.recv(65536), b""))
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return head.decode(), body.decode()


def family(pid):
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as children:
                    found += map(int, children.read().split())
        except OSError:
            pass
    return found


class Servers:
    """Everything that was started; ended together."""

    def __init__(self, directory, workers=1):
        self.directory, self.workers = directory, workers
        self.ports, self.processes = {}, {}

    # ---- processes ------------------------------------------------------------------------------

    def need(self, *names):
        for name in names:
            if name not in self.processes:
                self.ports.setdefault(name, free_port())
                STARTERS[name](self, name)

    def launch(self, name, argv, **env):
        with open(os.path.join(self.directory, name + ".log"), "wb") as log:
            self.processes[name] = subprocess.Popen(
                ["taskset", "-c", SERVER_CORE] + argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], **{key: str(value) for key, value in env.items()}})

    def last_line(self, name):
        """Of what the server has said."""
        with open(os.path.join(self.directory, name + ".log"), encoding="utf-8", errors="replace") as log:
            return ([""] + log.read().split("\n"))[-2]

    def wait(self, name, ready, seconds=60):
        end = time.monotonic() + seconds
        while not ready():
            if self.processes[name].poll() is not None:
                raise BenchError(f"{name} ended while it was starting: {self.last_line(name)}")
            if time.monotonic() > end:
                raise BenchError(f"{name} was not ready within {seconds} s")
            time.sleep(0.02)

    def wait_page(self, name, path="/api/v1/visits"):
        self.wait(name, lambda: get(self.ports[name], path)[0] == 200)

    def must_run(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise BenchError(f"{name} ended with {process.returncode}")

    def pin(self, names, core):
        for name in names:
            for pid in family(self.processes[name].pid):
                subprocess.run(["taskset", "-a", "-p", "-c", core, str(pid)], check=True, stdout=subprocess.DEVNULL)

    def stop(self):
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cpu_us(self, name):
        """User and system time of a server so far, its processes together, in microseconds."""
        ticks = 0
        for pid in family(self.processes[name].pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                    fields = stat.read().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks * 1_000_000 // TICK

    def memory_kib(self, name):
        """The memory of a server, pages shared by its processes counted once."""
        kib = 0
        for pid in family(self.processes[name].pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                    kib += int(re.search(r"^Pss: +(\d+)", rollup.read(), re.M)[1])
            except OSError:
                continue
        return kib

    # ---- stores ---------------------------------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def redis_url(self, name="redis"):
        return f"redis://127.0.0.1:{self.ports[name]}/0"

    def database_uri(self):
        return f"mysql://tally:tally@127.0.0.1:{self.ports['mariadb']}/tally"

    def start_redis(self, name):
        os.mkdir(self.path(name))
        self.launch(name, ["redis-server", "--port", str(self.ports[name]), "--bind", "127.0.0.1",
                           "--dir", self.path(name), "--save", "", "--appendonly", "yes", "--appendfsync",
                           "no" if name == "redis-off" else "always", "--loglevel", "warning"])
        self.wait(name, lambda: takes_connections(self.ports[name]))

    def start_mariadb(self, name):
        data, user = self.path(name), ["--user=root"] if os.geteuid() == 0 else []
        with open(self.path("init.sql"), "w", encoding="ascii") as sql:
            sql.write("CREATE DATABASE IF NOT EXISTS tally;\n"
                      "CREATE USER IF NOT EXISTS 'tally'@'127.0.0.1' IDENTIFIED BY 'tally';\n"
                      "GRANT ALL ON tally.* TO 'tally'@'127.0.0.1';\n")
        subprocess.run(["mariadb-install-db", "--no-defaults", "--datadir=" + data, "--skip-test-db",
                        "--auth-root-authentication-method=normal"] + user, check=True, stdout=subprocess.DEVNULL)
        self.launch(name, ["mariadbd", "--no-defaults", "--datadir=" + data, f"--port={self.ports[name]}",
                           "--bind-address=127.0.0.1", "--skip-name-resolve", "--socket=", "--tmpdir=" + data,
                           "--init-file=" + self.path("init.sql")] + user)
        self.wait(name, lambda: takes_connections(self.ports[name]))
        # Retries until MariaDB has run its init file.
        uri = self.database_uri()
        subprocess.run([os.path.join(BUILD, "tally-backend"), "--migrate", "--seed"], check=True,
                       env={"DATABASE_URI": uri, "MIGRATE_DATABASE_URI": uri}, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    # ---- Tally ----------------------------------------------------------------------------------

    def start_backend(self, name):
        self.need("mariadb")
        self.launch(name, [os.path.join(BUILD, "tally-backend")], PORT=self.ports[name],
                    WORKERS=2 if name.endswith("-2") else self.workers, DATABASE_URI=self.database_uri())
        self.wait_page(name, "/backend")

    def start_frontend(self, name):
        redis = "redis-off" if name == "counter-off" else "redis"
        backend = {"frontend": "backend", "frontend-fresh": "backend", "frontend-2": "backend-2"}.get(name)
        self.need(redis, *filter(None, [backend]))
        limits = {"MAX_CONNECTIONS": 10000, "MAX_WAITING": 10000} if name == "frontend-fresh" else {}
        self.launch(name, [os.path.join(BUILD, "tally-frontend")], PORT=self.ports[name],
                    WORKERS=2 if name.endswith("-2") else self.workers, **limits, REDIS_URL=self.redis_url(redis),
                    BACKEND_URL=f"http://127.0.0.1:{self.ports[backend]}/backend" if backend else "")
        self.wait_page(name)

    def start_bare(self, name):
        """The page is the frontend's own, header fields included; the journal lies where Redis has its file."""
        self.need("frontend")
        journal = [self.path("redis", "journal")] if name == "durable" else []
        with open(self.path("answer"), "w", encoding="utf-8", newline="") as file:
            file.write("\r\n\r\n".join(raw_answer(self.ports["frontend"])))
        self.launch(name, [os.path.join(BUILD, "bench", "bare"), str(self.ports[name]), self.path("answer")] + journal)
        self.wait(name, lambda: takes_connections(self.ports[name]))

    def start_edge(self, name):
        """Tally's own NGINX, its limits on requests and connections off."""
        behind = "bare" if name == "nginx-bare" else "frontend"
        self.need(behind)
        os.mkdir(self.path(name))
        render = {"NGINX_LISTEN": f"listen 127.0.0.1:{self.ports[name]} default_server;",
                  "NGINX_HEALTH_LISTEN": f"127.0.0.1:{free_port()}", "NGINX_RESOLVE": "off",
                  "NGINX_USER": "root" if os.geteuid() == 0 else "", "NGINX_WORKERS": "1",
                  "NGINX_FRONTEND": f"127.0.0.1:{self.ports[behind]}", "NGINX_DIRECTORY": self.path(name),
                  "NGINX_ACCESS_LOG": "/dev/null", "NGINX_RATE": "0", "NGINX_CONNECTIONS": "0"}
        subprocess.run([os.path.join(ROOT, "nginx", "render")], check=True, env={"PATH": os.environ["PATH"], **render})
        self.launch_nginx(name, "daemon off;")

    # ---- peers ----------------------------------------------------------------------------------

    def launch_nginx(self, name, directives="", **env):
        self.launch(name, ["nginx", "-p", self.path(name) + "/", "-c", "nginx.conf", "-e", "stderr"] +
                    (["-g", directives] if directives else []), **env)
        self.wait(name, lambda: takes_connections(self.ports[name]))

    def page_for(self, name):
        """The file of Tally's own page with marks for the number and the users."""
        self.need(name)
        path = self.path(name + ".page")
        if not os.path.exists(path):
            _, body = raw_answer(self.ports[name])
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(page_with_marks(body))
        return path

    def configure_nginx(self, name, source, **values):
        os.mkdir(self.path(name))
        with open(os.path.join(PEERS, "nginx", source), encoding="utf-8") as file:
            text = file.read()
        for key, value in {"PORT": str(self.ports[name]), "PEERS": PEERS, **values}.items():
            text = text.replace(f"@{key}@", value)
        if os.geteuid() == 0:
            text = "user root;\n" + text
        with open(self.path(name, "nginx.conf"), "w", encoding="utf-8", newline="") as file:
            file.write(text)

    def start_nginx_return(self, name):
        self.need("frontend")
        head, body = raw_answer(self.ports["frontend"])
        own = ("date", "connection", "content-length", "content-type")
        fields = [line.split(": ", 1) for line in head.split("\r\n")[1:]]
        self.configure_nginx(name, "return.conf", PAGE=nginx_text(body), FIELDS="\n".join(
            f"add_header {key} '{nginx_text(value)}';" for key, value in fields if key.lower() not in own))
        self.launch_nginx(name)

    def start_nginx_lua(self, name):
        page = self.page_for("counter")
        self.configure_nginx(name, "lua.conf")
        self.launch_nginx(name, PAGE=page, REDIS_PORT=self.ports["redis"])
        self.wait_page(name)

    def start_node(self, name):
        install_node_packages()
        counter_alone = name == "node"
        page = self.page_for("counter" if counter_alone else "frontend")
        self.need("redis", "mariadb")
        self.launch(name, ["node", os.path.join(NODE, "server.js")], PORT=self.ports[name], PAGE=page,
                    KEY="visits:" + name, REDIS_URL=self.redis_url(), NODE_ENV="production",
                    DATABASE_URI="" if counter_alone else self.database_uri())
        self.wait_page(name)

    def launch_gunicorn(self, name, module, path, **env):
        self.launch(name, ["/usr/bin/gunicorn", "--workers", str(GUNICORN_WORKERS), *GUNICORN_OPTIONS,
                           "--bind", f"127.0.0.1:{self.ports[name]}", "--chdir", os.path.join(PEERS, "flask"),
                           "--worker-tmp-dir", "/dev/shm", module + ":app"], PYTHONDONTWRITEBYTECODE=1, **env)
        self.wait_page(name, path)

    def start_flask(self, name):
        counter_alone = name == "flask"
        page = self.page_for("counter" if counter_alone else "frontend")
        self.need("redis", *[] if counter_alone else ["flask-backend"])
        backend = "" if counter_alone else f"http://127.0.0.1:{self.ports['flask-backend']}/backend"
        self.launch_gunicorn(name, "frontend", "/api/v1/visits", PAGE=page, KEY="visits:" + name,
                             REDIS_URL=self.redis_url(), BACKEND_URL=backend)

    def start_flask_backend(self, name):
        self.need("mariadb")
        self.launch_gunicorn(name, "backend", "/backend", DATABASE_URI=self.database_uri())


GUNICORN_OPTIONS = ("--worker-class", "sync", "--backlog", "4096")
STARTERS = {
    "redis": Servers.start_redis, "redis-off": Servers.start_redis, "mariadb": Servers.start_mariadb,
    "backend": Servers.start_backend, "backend-2": Servers.start_backend,
    "frontend": Servers.start_frontend, "frontend-2": Servers.start_frontend,
    "frontend-fresh": Servers.start_frontend, "bare-fresh": Servers.start_bare,
    "counter": Servers.start_frontend, "counter-off": Servers.start_frontend,
    "bare": Servers.start_bare, "durable": Servers.start_bare, "nginx": Servers.start_edge, "nginx-bare": Servers.start_edge,
    "nginx-return": Servers.start_nginx_return, "nginx-lua": Servers.start_nginx_lua,
    "node": Servers.start_node, "node-page": Servers.start_node,
    "flask": Servers.start_flask, "flask-page": Servers.start_flask, "flask-backend": Servers.start_flask_backend,
}


def page_with_marks(body):
    """Tally's page with {{number}} and {{users}} in place of what changes."""
    marked, numbers = re.subn(r'(<span id="counter">)\d+(</span>)', r"\1{{number}}\2", body)
    if numbers != 1:
        raise BenchError("Tally's page holds no number")
    return re.sub(r'(<div class="list">\n)(?:<p>[^<]*</p>\n)*(</div>)', r"\1{{users}}\2", marked)


def nginx_text(text):
    """Text between single quotes in NGINX's configuration, which has no way to write a dollar."""
    if "$" in text or len(text) > 4000:
        raise BenchError("NGINX's return cannot hold this page")
    return text.replace("\\", "\\\\").replace("'", "\\'")


def install_node_packages():
    """What the lock file names is installed once, and anew when it changes."""
    lock, mark = os.path.join(NODE, "package-lock.json"), os.path.join(NODE, "node_modules", ".installed")
    with open(lock, "rb") as file:
        wanted = file.read()
    if os.path.exists(mark):
        with open(mark, "rb") as file:
            if file.read() == wanted:
                return
    # npm trusts whom the system trusts: a proxy of one's own, for example.
    ca = "/etc/ssl/certs/ca-certificates.crt"
    env = {"NODE_EXTRA_CA_CERTS": ca, **os.environ} if os.path.exists(ca) else None
    print("installing the packages of bench/peers/node", file=sys.stderr)
    subprocess.run(["npm", "ci", "--prefix", NODE, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                   check=True, env=env, stdout=subprocess.DEVNULL)
    shutil.copyfile(lock, mark)
