"""A play's cast for the NGINX tests: the edge itself, scripted frontends behind it, and rude clients.

Edge renders the project's templates with the settings of a test and runs NGINX on free ports: this
machine's, or with TALLY_EDGE_IMAGE the one of that image, as it is meant to run there. Upstream is a
frontend that does what the test says. Raw sends bytes that no decent client sends.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading

from stagehand import free_ports, wait_for

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 10
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def settings_of_laptop(port, health_port, upstreams):
    return {
        "NGINX_LISTEN": f"listen 127.0.0.1:{port} default_server;",
        "NGINX_HEALTH_LISTEN": f"127.0.0.1:{health_port}",
        "NGINX_FRONTEND": " ".join(upstreams),
        "NGINX_RESOLVE": "off",
        "NGINX_USER": "root" if os.geteuid() == 0 else "",
        "NGINX_ACCESS_LOG": "access.log",
        "NGINX_WORKERS": "1",
        "NGINX_RATE": "0",
        "NGINX_CONNECTIONS": "0",
    }


def render(directory, settings):
    env = {"PATH": PATH, "NGINX_DIRECTORY": directory, **settings}
    subprocess.run([os.path.join(ROOT, "nginx", "render")], env=env, check=True)


def nginx_command(directory, *options):
    return ["nginx", "-p", directory + "/", "-c", "nginx.conf", "-e", "stderr", *options]


class Response:
    """An answer as it came: status, fields in order, body."""

    def __init__(self, data):
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.fields = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])]
        self.body = unchunk(rest) if self.get("transfer-encoding") == "chunked" else rest

    def all(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


def unchunk(data):
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        body, data = body + data[:length], data[length + 2:]
    return body


def read_all(sock):
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


class Raw:
    """A connection on which the test writes whatever bytes it likes."""

    def __init__(self, address, timeout=DEADLINE):
        self.sock = socket.create_connection(address, timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end(self):
        """What comes until the other side closes; b"" when it just closes."""
        return read_all(self.sock)


class LocalNginx:
    """This machine's NGINX, with the templates rendered into a folder of its own."""

    def __init__(self, settings):
        self.directory = tempfile.mkdtemp(prefix="tally-edge.")
        render(self.directory, settings)
        with open(os.path.join(self.directory, "error.log"), "wb") as log:
            self.process = subprocess.Popen(nginx_command(self.directory, "-g", "daemon off;"),
                                            env={"PATH": PATH}, stdin=subprocess.DEVNULL, stderr=log)

    def is_running(self):
        return self.process.poll() is None

    def read(self, name):
        with open(os.path.join(self.directory, name), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory)


def docker(*args):
    run = subprocess.run(["docker", *args], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"docker {' '.join(args)}: {run.stderr}"
    return run.stdout.strip()


class ContainerNginx:
    """The image as it is meant to run: root read-only, no capability, nothing to write but /tmp."""

    HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]

    def __init__(self, settings, *options):
        own = {**settings, "NGINX_ACCESS_LOG": "/dev/stdout", "NGINX_USER": ""}
        env = [part for name, value in own.items() for part in ("--env", f"{name}={value}")]
        self.id = docker("run", "--detach", *self.HARDENED, *(options or ["--network", "host"]), *env,
                         os.environ["TALLY_EDGE_IMAGE"])

    def is_running(self):
        return docker("inspect", "--format", "{{.State.Running}}", self.id) == "true"

    def read(self, name):
        logs = subprocess.run(["docker", "logs", self.id], capture_output=True, encoding="utf-8", errors="replace", check=True)
        return logs.stdout if name == "access.log" else logs.stderr

    def stop(self):
        docker("stop", "--time", str(DEADLINE), self.id)
        docker("rm", "--force", self.id)


class Edge:
    """NGINX with the project's configuration in front of the given addresses."""

    def __init__(self, upstreams, **settings):
        self.port, self.health_port = free_ports(2)
        self.nginx = (ContainerNginx if "TALLY_EDGE_IMAGE" in os.environ else LocalNginx)(
            {**settings_of_laptop(self.port, self.health_port, upstreams), **settings})
        try:
            wait_for(self.answers, "NGINX starts")
        except AssertionError as error:
            log = self.read("error.log")
            self.stop()
            raise AssertionError(f"{error}\n{log}") from error

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.health_port), 1).close()
            return True
        except OSError:
            assert self.nginx.is_running(), "NGINX ended"
            return False

    def read(self, name):
        return self.nginx.read(name)

    def stop(self):
        self.nginx.stop()

    def raw(self, timeout=DEADLINE):
        return Raw(("127.0.0.1", self.port), timeout)

    def ask(self, path="/", method="GET", body="", port=None, **fields):
        """One request on a connection of its own; fields: x_request_id="…"."""
        lines = [f"{method} {path} HTTP/1.1"]
        fields = {"host": "tally.test", "connection": "close", **fields}
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        with Raw(("127.0.0.1", port or self.port)) as client:
            client.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1"))
            data = client.end()
        assert data, "the edge closed without an answer"
        return Response(data)

    def log_of(self, request_id):
        """The log line of a request, which NGINX writes after the answer."""
        def find():
            texts = self.read("access.log").splitlines()
            # The entrypoint of an image tells of its progress.
            lines = [json.loads(text) for text in texts if not text.startswith("/docker-entrypoint")]
            return [line for line in lines if line["request_id"] == request_id]
        found = wait_for(find, f"a log line of {request_id}")
        assert len(found) == 1, found
        return found[0]


def answer(body="hello", status="200 OK", content_type="text/html; charset=utf-8", **fields):
    """The bytes of a frontend's answer; fields: x_request_id="…"."""
    body = body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Request:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [(k.lower(), v.strip()) for k, _, v in (line.partition(":") for line in lines[1:])]
        self.body = body

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None


class Upstream:
    """A frontend whose `play(request)` returns the bytes to answer, HANG_UP, or SILENCE."""

    HANG_UP, SILENCE = "hang up", "silence"

    def __init__(self, play=lambda request: answer(), port=0, host="127.0.0.1"):
        self.play, self.requests, self.connections = play, [], []
        self.busy, self.lock = 0, threading.Lock()  # how many requests are being answered
        self.listener = socket.create_server((host, port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self.stopping = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            if self.stopping:
                connection.close()
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while request := self.read(stream):
                    self.requests.append(request)
                    act = self.perform(request)
                    if act == self.SILENCE:
                        connection.recv(1)
                    if act in (self.SILENCE, self.HANG_UP):
                        return
                    connection.sendall(act if request.method != "HEAD" else act.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            except (OSError, ValueError):
                return

    def perform(self, request):
        with self.lock:
            self.busy += 1
        try:
            return self.play(request)
        finally:
            with self.lock:
                self.busy -= 1

    @staticmethod
    def read(stream):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return None
            head += line
        request = Request(head[:-4], b"")
        request.body = stream.read(int(request.get("content-length") or 0))
        return request

    def stop(self):
        """Nobody listens at the address any more; open connections are cut."""
        self.stopping = True
        for sock in [self.listener, *self.connections]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()


class NameServer:
    """Answers for the names in `addresses` and `aliases`, which the test may change at any time; knows no other."""

    def __init__(self, **addresses):
        self.addresses, self.aliases = addresses, {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            query, client = self.sock.recvfrom(512)
            if query == b"end":
                self.sock.close()
                return
            self.sock.sendto(self.reply(query), client)

    def reply(self, query):
        end, labels = 12, []
        while length := query[end]:
            labels.append(query[end + 1:end + 1 + length].decode())
            end += 1 + length
        question, kind = query[12:end + 5], query[end + 2]
        name, records, owner = ".".join(labels), [], b"\xc0\x0c"
        if name in self.aliases:
            # As a cluster answers for an ExternalName: a CNAME, and the address of what it names beside it.
            name = self.aliases[name]
            owner_of_alias, owner = owner, b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
            records.append(owner_of_alias + b"\0\5\0\1\0\0\x0e\x10" + len(owner).to_bytes(2, "big") + owner)
        found = self.addresses.get(name)
        # 0x8180: an answer, recursion; 3: no such name. Kind 1 is A; AAAA gets no address.
        records += [owner + b"\0\1\0\1\0\0\x0e\x10\0\4" + socket.inet_aton(a) for a in found or [] if kind == 1]
        flags = 0x8180 if found else 0x8183
        return query[:2] + flags.to_bytes(2, "big") + b"\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0" + \
            question + b"".join(records)

    def stop(self):
        self.sock.sendto(b"end", self.sock.getsockname())
