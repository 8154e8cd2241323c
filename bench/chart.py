"""The picture of a benchmark as SVG: bars of throughput and of CPU time, readable on white and on black."""

from html import escape

WIDTH, ROW, TITLE_ROOM, BAR_ROOM, FIGURE_ROOM = 860, 24, 190, 230, 85
STYLE = """text { font: 13px system-ui, sans-serif; fill: #1d1c1a }
.head { font-weight: 600 } .figure { font-size: 12px } .tally { fill: #2f7d5b } .peer { fill: #9a9891 }
@media (prefers-color-scheme: dark) { text { fill: #f2f0ea } .tally { fill: #5cc398 } .peer { fill: #7c7a74 } }"""


def bar(x, y, length, kind, figure):
    return (f'<rect class="{kind}" x="{x}" y="{y - 12}" width="{max(length, 1):.1f}" height="16" rx="2"/>'
            f'<text class="figure" x="{x + max(length, 1) + 5:.1f}" y="{y + 1}">{figure}</text>')


def picture(rows, date):
    """ROWS: (title, is Tally, answers a second, CPU µs an answer)."""
    left, right = TITLE_ROOM, TITLE_ROOM + BAR_ROOM + FIGURE_ROOM
    height = ROW * (len(rows) + 1) + 24
    most_rate = max((rate for _, _, rate, _ in rows), default=1)
    # A peer that costs a hundred times as much would leave nothing of the others: its bar is cut off.
    most_cpu = 6 * min((cpu for *_, cpu in rows), default=1)
    most_cpu = max([cpu for *_, cpu in rows if cpu <= 4 * most_cpu] or [1])
    parts = [f'<text class="head" x="{left}" y="18">answers a second</text>',
             f'<text class="head" x="{right}" y="18">CPU µs an answer, all servers (… does not fit)</text>']
    for number, (title, is_tally, rate, cpu) in enumerate(rows):
        y, kind = ROW * (number + 2) - 6, "tally" if is_tally else "peer"
        more = " …" if cpu > most_cpu else ""
        parts += [f'<text x="{left - 8}" y="{y + 1}" text-anchor="end">{escape(title)}</text>',
                  bar(left, y, BAR_ROOM * rate / most_rate, kind, f"{rate:,.0f}"),
                  bar(right, y, BAR_ROOM * min(cpu / most_cpu, 1), kind, f"{cpu:,.1f}{more}")]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
            f"<title>Benchmark of {escape(date)}: throughput and CPU an answer</title>\n<style>{STYLE}</style>\n" +
            "\n".join(parts) + "\n</svg>\n")
