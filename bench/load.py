"""Puts load on a row, checks that the work was done, and returns what it cost.

DESIGN. A round is a dictionary that goes into the JSON file as it is. Its CPU time is that of all
that was asked: what had been sent when the load ended is worked off before the servers are read.
A round whose work is not right carries the reason in "void" and is counted nowhere. On a virtual
machine whose host is busy a round may get half of the cores; it is measured again.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time

import servers
from servers import BenchError, LOAD_CORE, ROOT

MOST_STOLEN, TRIES = 0.02, 6
STILL_LOOKS = 6
PACE = os.path.join(servers.BUILD, "bench", "pace")
# Calls of Tally's services to what is behind them, as their own metrics count them.
CALLS = {"redis": ("frontend", "redis"), "backend": ("frontend", "backend"), "database": ("backend", "database")}


def total(port):
    """The visits counted so far, as the row itself says."""
    status, body = servers.get(port, "/api/v1/visits", 60)
    if status != 200:
        raise BenchError(f"port {port} does not tell its counter: {status}")
    return json.loads(body)["total"]


def settled_total(port, ask=total):
    """The counter once it stands still: for a while, since a slow server may leave a gap between two of those that it had
    let in, and would work for them in the next row's time."""
    now, looks, end = ask(port), 0, time.monotonic() + 30
    while looks < STILL_LOOKS:
        if time.monotonic() > end:
            raise BenchError(f"port {port} goes on counting without being asked")
        time.sleep(0.03)
        last, now = now, ask(port)
        looks = looks + 1 if now == last else 0
    return now


def parse_core(text, core):
    """Microseconds in which a core ran our processes, and in which the host ran something else on it: of /proc/stat."""
    user, nice, system, _, _, _, _, steal = map(int, re.search(rf"^cpu{core}((?: \d+){{8}})", text, re.M)[1].split())
    return (user + nice + system) * 1_000_000 // servers.TICK, steal * 1_000_000 // servers.TICK


class Cores:
    """What becomes of the two cores from now on."""

    def __init__(self):
        self.since, self.before = time.monotonic(), self.so_far()

    @staticmethod
    def so_far():
        with open("/proc/stat", encoding="ascii") as stat:
            text = stat.read()
        (busy, stolen), (_, stolen_from_load) = (parse_core(text, core) for core in (servers.SERVER_CORE, LOAD_CORE))
        return busy, stolen + stolen_from_load

    def shares(self, cpu):
        """Of the servers' core, what programs had that do not belong to the row, which spent CPU microseconds; of both
        cores, what the host took."""
        passed = (time.monotonic() - self.since) * 1e6
        busy, stolen = (now - before for now, before in zip(self.so_far(), self.before))
        return {"others": round(max((busy - cpu) / passed, 0), 3), "stolen": round(stolen / passed / 2, 3)}


def undisturbed(measure_once):
    """A round, once more while the host takes much of it; of all tries the one of which it took least. One whose work was not
    right ends it, whatever the host did."""
    tries = []
    while not tries or (tries[-1]["stolen"] > MOST_STOLEN and not tries[-1]["void"] and len(tries) < TRIES):
        tries.append(measure_once())
    best = tries[-1] if tries[-1]["void"] else min(tries, key=lambda one: one["stolen"])
    return {**best, "tries": len(tries)}


def calls_so_far(all_servers, row):
    """What the metrics of the row's services say, by dependency."""
    found = {}
    for service in row.servers:
        kind = service.split("-")[0].replace("counter", "frontend")
        if kind not in ("frontend", "backend"):
            continue
        _, text = servers.get(all_servers.ports[service], "/metrics")
        for dependency, value in re.findall(r'^tally_dependency_calls_total\{dependency="(\w+)"\} (\d+)', text, re.M):
            found[dependency] = int(value)
    return found


def parse_wrk(text):
    """The line that latency.lua prints, as a dictionary; "wrong" says what was not right."""
    lines = [line for line in text.splitlines() if line.startswith('{"answered"')]
    if len(lines) != 1:
        raise BenchError(f"wrk printed no result: {text}")
    result = json.loads(lines[0])
    bad, broken = result.pop("bad_status"), result.pop("broken")
    result["wrong"] = (f"{bad} answers were not 2xx" if bad else f"{broken} connections broke" if broken
                       else None if result["answered"] else "nothing was answered")
    return result


def wrk(port, seconds, connections, meanwhile=lambda: None):
    """Load without pause; MEANWHILE is called when three quarters of the time are over."""
    process = subprocess.Popen(
        ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s",
         "-s", os.path.join(ROOT, "bench", "latency.lua"), f"http://127.0.0.1:{port}/"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(seconds * 0.75)
    meanwhile()
    return parse_wrk(process.communicate(timeout=seconds + 120)[0])


def void_reason(result, connections):
    """Why a round does not count; None when it does."""
    if result["wrong"]:
        return result["wrong"]
    counted, answered = result.get("counted"), result["answered"]
    if counted is not None and not answered <= counted <= answered + connections:
        return f"{answered} visits were answered and {counted} counted"
    return None


def measure(all_servers, name, row, seconds, connections):
    """One round of one row."""
    port, memory = all_servers.ports[row.front], {}
    before = settled_total(port) if row.counts else None
    calls = calls_so_far(all_servers, row)
    cpu = {server: all_servers.cpu_us(server) for server in row.servers}
    cores = Cores()
    result = wrk(port, seconds, connections,
                 lambda: memory.update((server, all_servers.memory_kib(server)) for server in row.servers))
    if row.counts:
        result["counted"] = settled_total(port) - before
    result["cpu"] = {server: all_servers.cpu_us(server) - spent for server, spent in cpu.items()}
    result.update(cores.shares(sum(result["cpu"].values())))
    result["calls"] = {key: value - calls.get(key, 0) for key, value in calls_so_far(all_servers, row).items()}
    result["memory"] = memory
    result["void"] = void_reason(result, connections)
    del result["wrong"]
    return {"row": name, **result}


def check_page(all_servers, name, row):
    """Asks once by hand: the page holds the number that was counted. Its sizes."""
    port = all_servers.ports[row.front]
    before = total(port) if row.counts else 0
    head, body = servers.raw_answer(port)
    if not head.startswith("HTTP/1.1 200"):
        raise BenchError(f"{name} answers {head.splitlines()[0]}")
    if row.counts and f'<span id="counter">{before + 1}</span>' not in body:
        raise BenchError(f"{name} does not show the number {before + 1}")
    if row.counts and "mariadb" in row.servers and "<p>Bob</p>" not in body:
        raise BenchError(f"{name} does not show the users")
    return {"head": len(head) + 4, "body": len(body.encode())}


def pace(port, connections, rate, seconds, request, directory):
    """Load at a held rate; latencies in microseconds."""
    path = os.path.join(directory, "request")
    with open(path, "wb") as file:
        file.write(request)
    cores = Cores()
    done = subprocess.run(["taskset", "-c", LOAD_CORE, PACE, str(port), str(connections), str(rate), str(seconds), path],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(done.stderr.strip())
    result = {**json.loads(done.stdout), "stolen": cores.shares(0)["stolen"]}
    wrong = result.pop("wrong")
    lost = result["wanted"] - result["answered"]
    result["void"] = (f"{wrong} answers were wrong" if wrong else f"{lost} requests were not answered" if lost else None)
    return result


GET_PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET_USERS = b"GET /backend HTTP/1.1\r\nHost: localhost\r\n\r\n"


def redis_call(visits):
    """A script call that counts as many visits, the size of a batch of Tally's."""
    parts = [b"EVAL", b"return redis.call('INCRBY', KEYS[1], ARGV[1])", b"1", b"bench:calls", str(visits).encode()]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def hold_open(port, count):
    """Connections that have each been answered once and stay open."""
    held = []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", port), 10)
        s.sendall(GET_PAGE)
        held.append(s)
        if len(held) % 100 == 0:
            for answered in held[-100:]:
                read_answer(answered)
    return held


def read_answer(s):
    data = b""
    while b"</html>" not in data:
        part = s.recv(65536)
        if not part:
            raise BenchError("a connection was closed")
        data += part


def parse_strace(text):
    """Calls by name, of the table that strace -c prints."""
    return {found[2]: int(found[1]) for found in
            re.finditer(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+)(?: +\d+)? +(\w+)$", text, re.M) if found[2] != "total"}


def trace(all_servers, row, server, seconds):
    """The system calls of one server of a row under load, and how many visits there were."""
    port, path = all_servers.ports[row.front], os.path.join(all_servers.directory, "strace")
    before = settled_total(port)
    strace = subprocess.Popen(["strace", "-f", "-c", "-o", path,
                               "-p", str(all_servers.processes[server].pid)], stderr=subprocess.PIPE, text=True)
    strace.stderr.readline()  # "Process N attached"
    result = wrk(port, seconds, 64)
    counted = settled_total(port) - before
    strace.send_signal(signal.SIGINT)
    said = strace.communicate(timeout=30)[0] or ""
    with open(path, encoding="utf-8") as file:
        calls = parse_strace(file.read())
    return {"visits": counted, "calls": calls,
            "void": result["wrong"] or (None if calls else f"strace saw nothing: {said}")}
