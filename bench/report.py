"""Makes the report of a benchmark out of its JSON file: Markdown, and a picture. Measures nothing."""

import json
import os
import re
import statistics
from collections import namedtuple

import chart
from load import MOST_STOLEN, TRIES
from servers import ROWS, STORES, TWO_WORKERS

Spread = namedtuple("Spread", "median least most")
TITLES = {name: row.title for name, row in {**ROWS, **TWO_WORKERS}.items()}
MARKS = ("<!-- bench -->\n", "<!-- end of bench -->\n")


def rate_of(one):
    return one["answered"] / one["seconds"]


def cpu_of(one):
    """Microseconds a request: of all that was asked, where the row counts it."""
    return sum(one["cpu"].values()) / max(one.get("counted", one["answered"]), 1)


def spread(values):
    return Spread(statistics.median(values), min(values), max(values))


def summary(rounds):
    """What the valid rounds of each row say; None where fewer than half are valid."""
    by_row = {}
    for one in rounds:
        by_row.setdefault(one["row"], []).append(one)
    return {name: summary_of_row(all_rounds) for name, all_rounds in by_row.items()}


def summary_of_row(all_rounds):
    valid = [one for one in all_rounds if not one["void"]]
    if 2 * len(valid) <= len(all_rounds):
        return None
    requests = [one.get("counted", one["answered"]) for one in valid]
    parts = {server: statistics.median(one["cpu"][server] / n for one, n in zip(valid, requests))
             for server in valid[0]["cpu"]}
    shared = {dependency: statistics.median(n / one["calls"][dependency] for one, n in zip(valid, requests))
              for dependency in valid[0].get("calls", {}) if all(one["calls"][dependency] for one in valid)}
    memory = [sum(kib for server, kib in one["memory"].items() if server not in STORES) for one in valid]
    return {"rate": spread(list(map(rate_of, valid))), "cpu": spread(list(map(cpu_of, valid))), "parts": parts,
            **{key: statistics.median(one[key] for one in valid) for key in ("p50", "p99", "p999")},
            "shared": shared, "memory": statistics.median(memory), "valid": len(valid), "all": len(all_rounds)}


# ---- targets ------------------------------------------------------------------------------------

class Targets:
    """A list of (what, wanted, measured, met); met is None where it was not measured."""

    def __init__(self, data):
        self.found = []
        self.rows = {int(connections): summary(rounds) for connections, rounds in data.get("rows", {}).items()}

    def figure(self, name, key, connections=64, rows=None):
        row = (rows if rows is not None else self.rows.get(connections, {})).get(name)
        return row[key].median if row else None

    def best(self, names, key, choose):
        figures = [self.figure(name, key) for name in names]
        return None if None in figures else choose(figures)

    def at_least(self, what, least, figure, other):
        ratio = figure / other if figure is not None and other else None
        self.add(what, f"≥ {least}", ratio, lambda: ratio >= least)

    def at_most(self, what, most, figure, other):
        ratio = figure / other if figure is not None and other else None
        self.add(what, f"≤ {most}", ratio, lambda: ratio <= most)

    def add(self, what, wanted, value, check):
        if value is None:
            self.found.append((what, wanted, "not measured", None))
        else:
            self.found.append((what, wanted, f"{value:.2f}", check()))


def targets(data):
    t = Targets(data)
    figure = t.figure
    t.at_least("Tally counter: throughput of the bare daemon's", 0.70, figure("counter", "rate"), figure("bare", "rate"))
    t.at_most("Tally counter: CPU a visit, times the bare daemon's", 1.5, figure("counter", "cpu"), figure("bare", "cpu"))
    t.at_least("Tally counter: throughput, times the faster of Node and NGINX Lua", 2,
               figure("counter", "rate"), t.best(("node", "lua"), "rate", max))
    t.at_most("Tally counter: CPU a visit of that of the cheapest peer", 1,
              figure("counter", "cpu"), t.best(("node", "lua", "flask"), "cpu", min))
    t.at_least("Tally counter: throughput, times Flask's", 15, figure("counter", "rate"), figure("flask", "rate"))
    for connections, least, most in ((64, 0.55, 2.0), (256, 0.65, 1.6)):
        page, bare = ([figure(name, key, connections) for key in ("rate", "cpu")] for name in ("page", "bare"))
        t.at_least(f"Tally page, {connections} connections: throughput of the bare daemon's", least, page[0], bare[0])
        t.at_most(f"Tally page, {connections} connections: CPU a visit, times the bare daemon's", most, page[1], bare[1])
    apart_targets(t, summary(data.get("apart", [])))
    t.at_least("Tally page: throughput, times the fastest peer's page", 3,
               figure("page", "rate"), t.best(("node-page", "flask-page"), "rate", max))
    t.at_least("Tally page: throughput, times Flask's pair", 40, figure("page", "rate"), figure("flask-page", "rate"))
    t.at_least("Through NGINX, all on one core: throughput of NGINX to the bare daemon", 0.95,
               figure("page-nginx", "rate"), figure("nginx-bare", "rate"))
    edge = summary(data.get("edge", []))
    t.at_least("Through NGINX, NGINX with a core of its own: the same", 0.95,
               figure("page-nginx", "rate", rows=edge), figure("nginx-bare", "rate", rows=edge))
    fsync_targets(t)
    latency_target(t, data.get("latency"))
    workers = summary(data.get("workers", []))
    t.at_most("Two workers: CPU a visit, times one worker's", 1.15,
              figure("page-2", "cpu", rows=workers), figure("page", "cpu", rows=workers))
    open_targets(t, data.get("open"))
    return t.found


def apart_targets(t, rows):
    """The page where the frontend has a core as the bare daemon has one."""
    page, bare, durable = ([t.figure(name, key, rows=rows) for key in ("rate", "cpu")] for name in ("page", "bare", "durable"))
    what = "Tally page, 64 connections, backend and stores on both cores"
    t.at_least(f"{what}: throughput of the bare daemon's", 0.6, page[0], bare[0])
    t.at_least(f"{what}: throughput of the bare daemon's with an fdatasync a batch", 0.8, page[0], durable[0])
    t.at_most(f"{what}: CPU a visit, times the bare daemon's", 2.5, page[1], bare[1])


def fsync_targets(t):
    kept = [t.figure("counter", "rate", n) / t.figure("counter-off", "rate", n)
            if t.figure("counter", "rate", n) and t.figure("counter-off", "rate", n) else None for n in (64, 256)]
    t.add("fsync always, 64 connections: throughput of that without", "≥ 0.5", kept[0], lambda: kept[0] >= 0.5)
    t.add("fsync always, 256 connections: throughput of that without; more than at 64",
          f"> {kept[0]:.2f}" if kept[0] else "more", kept[1] if kept[0] else None, lambda: kept[1] > kept[0])


def latency_of(latency):
    """Medians of the held rate's rounds by what was asked; None where too few are valid."""
    found = {}
    for name in ("page", "bare", "fetch", "redis"):
        rounds = [one for one in latency["rounds"] if one["row"] == name]
        valid = [one for one in rounds if not one["void"]]
        found[name] = {key: statistics.median(one[key] for one in valid)
                       for key in ("rate", "p50", "p99", "p999", "max")} if 2 * len(valid) > len(rounds) else None
    return found


def latency_target(t, latency):
    what = "Page at half load: p99 in ms, at most bare + 2 × fetch + Redis call"
    found = latency_of(latency) if latency else {"page": None}
    if None in found.values():
        t.add(what, "", None, None)
        return
    most = found["bare"]["p99"] + 2 * found["fetch"]["p99"] + found["redis"]["p99"]
    t.add(what, f"≤ {most / 1000:.2f}", found["page"]["p99"] / 1000, lambda: found["page"]["p99"] <= most)


def kib_each(opened, name):
    memory = opened["memory"][name]
    return (memory["open"] - memory["before"]) / opened["connections"]


def open_targets(t, opened):
    rows = summary(opened["rounds"]) if opened else {}
    each = kib_each(opened, "page") if opened else None
    t.add("8,000 open connections: the frontend's memory each, KiB", "≤ 12", each, lambda: each <= 12)
    t.at_least("8,000 open connections: throughput of the bare daemon's", 0.65,
               t.figure("page", "rate", rows=rows), t.figure("bare", "rate", rows=rows))


# ---- Markdown -----------------------------------------------------------------------------------

def table(head, rows):
    """Text in the first column, figures in the others."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def targets_table(data):
    verdict = {True: "met", False: "**missed**", None: "–"}
    return table(("target", "wanted", "measured", ""),
                 [(what, wanted, measured, verdict[met]) for what, wanted, measured, met in targets(data)])


def milliseconds(us):
    return f"{us / 1000:.2f}" if us < 100_000 else f"{us / 1000:,.0f}"


def shown_spread(values, digits):
    return f"{values.median:,.{digits}f} ({values.least:,.{digits}f}–{values.most:,.{digits}f})"


def rows_table(rounds):
    rows = []
    for name, row in summary(rounds).items():
        if row is None:
            rows.append((TITLES[name], "void") + ("",) * 7)
            continue
        parts = ", ".join(f"{server} {us:,.1f}" for server, us in row["parts"].items()) if len(row["parts"]) > 1 else ""
        rows.append((TITLES[name], shown_spread(row["rate"], 0), shown_spread(row["cpu"], 1), parts,
                     *[milliseconds(row[key]) for key in ("p50", "p99", "p999")], f"{row['memory'] / 1024:,.0f}",
                     f"{row['valid']}/{row['all']}"))
    return table(("", "answers/s", "CPU µs each", "of that", "p50 ms", "p99 ms", "p99.9 ms", "MiB", "rounds"), rows)


def shared_table(rounds):
    """How many visits share a call; empty where no row of Tally was measured."""
    rows = [(TITLES[name], *[f"{row['shared'][key]:.1f}" if key in row["shared"] else "" for key in
                             ("redis", "backend", "database")])
            for name, row in summary(rounds).items() if row and row["shared"]]
    return table(("visits a call", "Redis", "backend", "MariaDB"), rows) if rows else ""


def capacity_table(data):
    """What the page asks of each server, and how many visits a second a whole core of it would carry."""
    rows = []
    for connections, rounds in sorted(data.get("rows", {}).items(), key=lambda item: int(item[0])):
        page = summary(rounds).get("page")
        if page and len(page["shared"]) == 3:
            calls = [f"{page['rate'].median / page['shared'][key]:,.0f}" for key in ("redis", "backend", "database")]
            cores = [f"{1e6 / page['parts'][server]:,.0f}" if page["parts"][server] else "" for server in
                     ("frontend", "backend", "redis", "mariadb")]
            rows.append((f"{int(connections):,}", f"{page['rate'].median:,.0f}", *calls, *cores))
    return table(("connections", "visits/s", "Redis calls/s", "fetches/s", "queries/s", "visits/s a frontend's core",
                  "a backend's", "Redis's", "MariaDB's"), rows) if rows else ""


def latency_part(latency):
    titles = {"page": "Tally page", "bare": "bare libmicrohttpd", "fetch": "the backend, as often as the page asked it",
              "redis": "a Redis script call, as often as the page made one"}
    rows = [(titles[name], f"{row['rate']:,.0f}", *[milliseconds(row[key]) for key in ("p50", "p99", "p999", "max")])
            if row else (titles[name], "void", "", "", "", "") for name, row in latency_of(latency).items()]
    return (f"The page's most was {latency['most']:,}/s with 64 connections; half of that is held, in an open loop: `pace` sends "
            "each request when it is due and counts its time from then on. What a page waits for is measured by itself "
            "at the rate at which the page has asked for it.\n\n" +
            table(("", "rate/s", "p50 ms", "p99 ms", "p99.9 ms", "longest ms"), rows))


def open_part(opened):
    memory = [(TITLES[name], f"{one['before'] / 1024:.1f}", f"{one['open'] / 1024:.1f}", f"{kib_each(opened, name):.1f}")
              for name, one in opened["memory"].items()]
    return (rows_table(opened["rounds"]) + "\n" +
            table(("", "MiB before", f"MiB with {opened['connections']:,} open", "KiB each"), memory))


def calls_part(calls):
    rows = []
    for server, one in calls.items():
        if one["void"]:
            rows.append((server, f"void: {one['void']}", ""))
            continue
        often = sorted(one["calls"].items(), key=lambda item: -item[1])
        shown = ", ".join(f"{name} {n / one['visits']:.3f}" for name, n in often if n / one["visits"] >= 0.001)
        rows.append((server, shown, f"{sum(one['calls'].values()) / one['visits']:.2f}"))
    return ("Under `strace -c -f`, one server after the other, 64 connections. It slows the traced server down, so the "
            "times mean nothing, and what is shared by a batch is shared by more or fewer visits than usual.\n\n" +
            table(("server", "system calls a visit", "together"), rows))


def all_rounds(data):
    """(where, round) of every round of the file."""
    for connections, rounds in data.get("rows", {}).items():
        yield from ((f"{connections} connections", one) for one in rounds)
    for part in ("apart", "edge", "workers"):
        yield from ((part, one) for one in data.get(part, []))
    for part in ("open", "latency"):
        yield from ((part, one) for one in data.get(part, {}).get("rounds", []))


def void_part(data):
    void = [f"- {where}, {TITLES.get(one['row'], one['row'])}: {one['void']}" for where, one in all_rounds(data) if one["void"]]
    count = sum(1 for _ in all_rounds(data))
    return "\n".join(void or [f"None of {count}: every answer was 2xx, and the counter moved by the answered requests, those "
                              "open at a round's end apart."]) + "\n"


def disturbed_part(data):
    """What other programs and the machine's host took from the rounds; empty where no round says so."""
    others = [100 * one["others"] for where, one in all_rounds(data) if "others" in one and where not in ("apart", "edge")]
    stolen = [100 * one["stolen"] for _, one in all_rounds(data) if "stolen" in one]
    again = sum(one.get("tries", 1) - 1 for _, one in all_rounds(data))
    said = []
    if others:
        said.append(f"Other programs had {statistics.median(others):.0f} % of the servers' core in the median of the rounds, "
                    f"{max(others):.0f} % at most.")
    if stolen:
        said.append(f"The host of this virtual machine took {statistics.median(stolen):.1f} % of both cores in the median of the "
                    f"rounds, {max(stolen):.1f} % at most; {again} were measured again because it took more than "
                    f"{100 * MOST_STOLEN:.0f} %, and of {TRIES} tries at most the least disturbed counts.")
    return " ".join(said) + "\n" if said else ""


def setting_part(data):
    about = data["about"]
    settings, on = about["settings"], about["machine"]
    commands = "\n".join(data["commands"])
    sizes = [(TITLES[name], str(size["head"]), str(size["body"])) for name, size in data.get("answers", {}).items()]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about["versions"].items()))
    return (f"Revision {about['revision']}. {on['cpu']}, {on['cores']} cores, {on['kernel']}. Servers on one core, the load on "
            f"another. {settings['rounds']} rounds of {settings['seconds']} s of each row, in turns, after a second of "
            "warming up; medians, in brackets the least and the most. CPU: user and system time of all server processes "
            "of the row, stores included. Memory: proportional set size under load, stores left out. Latencies of the tables: "
            f"as wrk sees them, without pause between requests. Tally: {settings['workers']} worker in each service, Redis with "
            "`appendfsync always` (for the peers too), the rest by default, but for `MAX_CONNECTIONS` and `MAX_WAITING` with 8,000 "
            "connections. NGINX: one worker, limits off, its access log written to /dev/null. gunicorn: "
            f"{settings['gunicorn_workers']} workers in each service, `{settings['gunicorn_options']}`. Node: one process, which "
            "asks MariaDB itself. Flask: two services, as its predecessors were.\n\n"
            f"```\n{commands}\n```\n\n{versions}.\n\n" + table(("answer, bytes", "header", "body"), sizes))


def markdown(data, picture):
    parts = [f"# Benchmark of {data['date']}\n", f"![Throughput and CPU]({picture})\n", "## Targets\n", targets_table(data)]
    for connections, rounds in sorted(data.get("rows", {}).items(), key=lambda item: int(item[0])):
        parts += [f"## {int(connections):,} connection{'s' if connections != '1' else ''}\n", rows_table(rounds),
                  shared_table(rounds)]
    if capacity := capacity_table(data):
        parts += ["## The page's calls, and what a core of each server carries\n", capacity]
    for key, title, make in (("edge", "NGINX with a core of its own, 64 connections", rows_table),
                             ("apart", "Backend and stores on both cores, 64 connections", rows_table),
                             ("latency", "Latency at half load", latency_part),
                             ("workers", "Two workers, 64 connections", rows_table),
                             ("open", "8,000 connections", open_part), ("calls", "System calls", calls_part)):
        if key in data:
            parts += [f"## {title}\n", make(data[key])]
    parts += ["## Void and disturbed rounds\n", void_part(data), disturbed_part(data), "## How\n", setting_part(data)]
    return "\n".join(part for part in parts if part)


def docs_part(data, results):
    """What stands between the marks of docs/performance.md."""
    parts = [f"From [the report of {data['date']}]({results}), revision {data['about']['revision']}.\n", targets_table(data)]
    for connections in ("64", "256"):
        if connections in data.get("rows", {}):
            rounds = data["rows"][connections]
            parts += [f"With {connections} connections:\n", rows_table(rounds), shared_table(rounds)]
    if capacity := capacity_table(data):
        parts += ["The page's calls, and the visits a second that a whole core of each server would carry:\n", capacity]
    if "calls" in data:
        parts += [calls_part(data["calls"])]
    return "\n".join(part for part in parts if part)


# ---- files --------------------------------------------------------------------------------------

def compact(data):
    """JSON with a line a round."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    flat = re.compile(r"\{[^{}\[\]]*\}")
    for _ in range(2):
        text = flat.sub(lambda found: re.sub(r"\s*\n\s*", " ", found[0]), text)
        flat = re.compile(r"\{(?:[^{}\[\]]|\{[^{}\[\]\n]*\})*\}")
    return text + "\n"


def opened(path, about, date):
    """(the file's content where it is of the same code and settings, else a new beginning; where the other file went)"""
    new, aside = {"date": date, "about": about, "commands": []}, None
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = json.load(file)
        if old["about"] == about:
            return old, None
        stem = f"{path[:-len('.json')]}-{old['about']['revision']}"
        names = (f"{stem}{end}.json" for end in ["", *(f"-{n}" for n in range(2, 1001))])
        aside = next(name for name in names if not os.path.exists(name))
        os.rename(path, aside)
    return new, aside


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def publish(path, docs=None):
    """Writes FILE.md and FILE.svg beside FILE.json, and between the marks of DOCS."""
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    stem = path[:-len(".json")]
    write(stem + ".md", markdown(data, os.path.basename(stem) + ".svg"))
    write(stem + ".svg", chart.picture(chart_rows(data), data["date"]))
    if docs:
        with open(docs, encoding="utf-8") as file:
            text = file.read()
        before, _, rest = text.partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        link = os.path.relpath(stem + ".md", os.path.dirname(docs))
        write(docs, before + MARKS[0] + "\n" + docs_part(data, link) + "\n" + MARKS[1] + after)


def chart_rows(data):
    """(title, is Tally, answers a second, CPU µs) of each row, with 64 connections or what there is."""
    rows = data.get("rows", {})
    rounds = rows.get("64") or next(iter(rows.values()), [])
    return [(TITLES[name], name in ("counter", "counter-off", "page", "page-nginx"), row["rate"].median, row["cpu"].median)
            for name, row in summary(rounds).items() if row]
