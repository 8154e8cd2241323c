"""What the plays written in Python ask of the machine: to wait until something is so, and ports that are free."""

import fcntl
import os
import random
import socket
import tempfile
import time

locks = []  # never given back before the process ends


def wait_for(condition, what, seconds=180, pause=0.01):
    """What the condition returns, once it is true. The deadline ends a play that hangs, on a machine that has much else to do;
    the pause between two looks is longer where a look is expensive."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)
    return value


def lock(port):
    """Keeps other programs of the tests away from a port, also while no server listens there; as tests/support/net.c does."""
    directory = os.path.join(tempfile.gettempdir(), f"tally-ports.{os.getuid()}")
    os.makedirs(directory, mode=0o700, exist_ok=True)
    file = open(os.path.join(directory, str(port)), "a", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    locks.append(file)


def free_ports(count):
    """Below the range of outgoing connections, which might take one before its server does."""
    held = {}
    while len(held) < count:
        port = random.randrange(20000, 32000)
        try:
            lock(port)
            held[port] = socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    for s in held.values():
        s.close()
    return list(held)


def free_port():
    return free_ports(1)[0]
