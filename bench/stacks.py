"""Sums up what `perf script` prints: which process ran, in which system call or library of its own."""

import collections
import re

SYSTEM_CALL = re.compile(r"^(?:__x64_sys_|__arm64_sys_|__sys_)(\w+)$")
LIBRARY = re.compile(r"^lib([a-z]+)")
FRAME = re.compile(r"\s*[0-9a-f]+ (.*) \(([^()]*)(?: \(deleted\))?\)$")
# Tells the receiver of a packet that there is something to read; most of its time is that of waking one who sleeps.
WAKING = "sock_def_readable"


def samples(text):
    """(process, [(symbol, file)...], innermost first) of each sample."""
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        if lines:
            frames = (FRAME.match(line) for line in lines[1:])
            yield lines[0].strip(), [(frame[1], frame[2].rsplit("/", 1)[-1]) for frame in frames if frame]


def place_of(process, frames):
    """Where a sample was taken: the system call, or the library."""
    if not frames or "kernel" in frames[0][1]:
        calls = [found[1] for found in (SYSTEM_CALL.match(symbol) for symbol, _ in frames) if found]
        return f"kernel: {calls[-1]}" if calls else "kernel: interrupts, page faults, switches"
    library = LIBRARY.match(frames[0][1])
    return library[0] if library else "own code" if frames[0][1] else "unknown"


def count(text):
    """Samples by (process, place), and those of them that were waking a receiver."""
    found, waking = collections.Counter(), collections.Counter()
    for process, frames in samples(text):
        place = place_of(process, frames)
        found[process, place] += 1
        if any(symbol == WAKING for symbol, _ in frames):
            waking[process, place] += 1
    return found, waking


def folded(text):
    """One line a stack, outermost frame first, for programs that draw flame graphs."""
    stacks = collections.Counter(";".join([process, *(symbol for symbol, _ in reversed(frames))]) for process, frames in samples(text))
    return "".join(f"{stack} {n}\n" for stack, n in sorted(stacks.items()))
