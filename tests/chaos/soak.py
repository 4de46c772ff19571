"""What a container's process takes, sampled from outside while it runs; whether that grows; and a picture of it.

Compared are the medians of the last third of the time and of the one before it: the first third is for what a node that has
just started still has to see. A process that has grown by one part in twenty within a third is one that will not stop.
"""

import os
import statistics
import threading
import time

from cluster import Skip, check

EVERY_S = 3
MEMORY_PART, MEMORY_BYTES = 0.05, 2 << 20
HANDLES = 2  # connections come and go; a leak in hundreds of them is no matter of two
KINDS = {  # what is sampled -> its title and what one unit of it is in the picture
    "rss": ("resident memory of the process, MiB", 1 << 20),
    "cgroup": ("anonymous memory of its cgroup, MiB", 1 << 20),
    "descriptors": ("open descriptors", 1),
    "threads": ("threads", 1),
}


def sample(pid):
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return {
        "rss": int(status["VmRSS"].split()[0]) << 10,
        "cgroup": anonymous_bytes(pid),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(status["Threads"]),
    }


def anonymous_bytes(pid):
    """Of its cgroup, without the page cache, which takes what nobody else wants. Version 2, else version 1."""
    with open(f"/proc/{pid}/cgroup") as file:
        groups = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in groups:
        for place, key in ((f"/sys/fs/cgroup{path}", "anon"), (f"/sys/fs/cgroup/memory{path}", "total_rss")):
            if controllers == ("" if key == "anon" else "memory") and os.path.exists(f"{place}/memory.stat"):
                with open(f"{place}/memory.stat") as file:
                    return int(dict(line.split() for line in file)[key])
    raise Skip("no memory.stat of a container's cgroup can be read here")


class Sampler(threading.Thread):
    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes
        self.samples = {node.name: [] for node in nodes}  # name -> [(seconds, sample)]
        self.ending = threading.Event()
        self.error = None

    def run(self):
        started = time.monotonic()
        try:
            while not self.ending.wait(EVERY_S):
                for node in self.nodes:
                    self.samples[node.name].append((time.monotonic() - started, sample(node.process.pid)))
        except Exception as error:  # shown by the test
            self.error = error

    def stop(self):
        self.ending.set()
        self.join()
        if self.error:
            raise self.error


def thirds(series, kind):
    """The medians of the second and of the last third of the time."""
    end = series[-1][0]
    parts = ([values[kind] for at, values in series if end * low <= at * 3 <= end * high] for low, high in ((1, 2), (2, 3)))
    return tuple(statistics.median_low(part) for part in parts)


def grown(samples):
    """Returns what has grown, and a line for each node."""
    check(all(len(series) >= 9 for series in samples.values()), "too few samples to judge by")
    found, lines = [], []
    for name, series in samples.items():
        told = []
        for kind, (title, unit) in KINDS.items():
            before, after = thirds(series, kind)
            allowed = before * (1 + MEMORY_PART) + MEMORY_BYTES if unit > 1 else before + HANDLES
            told.append(f"{kind} {before / unit:.4g} to {after / unit:.4g}")
            if after > allowed:
                found.append(f"GROWN: {name}, {title}: {before / unit:.4g}, then {after / unit:.4g}")
        lines.append(f"{name}, last third to the one before: {', '.join(told)}")
    return found, lines


# The picture, in the manner of p2psync-sim --scale.

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 620, 50, 46, 230
POINTS = 120
COLOURS = ["#1f5fa8", "#d2691e", "#2e8b57", "#8b3a8b", "#777"]


class Panel:
    def __init__(self, number, kind, samples):
        self.left, self.top = LEFT + 450 * (number % 2), TOP + 300 * (number // 2)
        self.kind, (self.title, self.unit) = kind, KINDS[kind]
        self.samples = samples
        self.minutes = max(at for series in samples.values() for at, _ in series) / 60
        most = max(values[kind] for series in samples.values() for _, values in series) / self.unit
        self.step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if most / step <= 8)
        self.most = self.step * (int(most / self.step) + 1)

    def x(self, minutes):
        return self.left + 330 * minutes / self.minutes

    def y(self, value):
        return self.top + (BOTTOM - TOP) * (1 - value / self.most)

    def drawn(self):
        bottom = self.y(0)
        svg = [f"<text x='{self.left}' y='{self.top - 16}' class='title'>{self.title}</text>"]
        for mark in range(0, self.most + 1, self.step):
            svg.append(f"<path d='M{self.left} {self.y(mark):.1f}h330' class='grid'/>"
                       f"<text x='{self.left - 6}' y='{self.y(mark) + 4:.1f}' class='end'>{mark}</text>")
        for part in range(4):
            minutes = self.minutes * part / 3
            svg.append(f"<text x='{self.x(minutes):.1f}' y='{bottom + 16:.1f}' class='mid'>{minutes:.3g}</text>")
            if 0 < part < 3:
                svg.append(f"<path d='M{self.x(minutes):.1f} {self.top}V{bottom:.1f}' class='grid' stroke-dasharray='3 3'/>")
        svg.append(f"<path d='M{self.left} {self.top}V{bottom:.1f}h330' class='axis'/>"
                   f"<text x='{self.left + 165}' y='{bottom + 34:.1f}' class='mid'>minutes; dashed: the thirds that are compared</text>")
        for number, series in enumerate(self.samples.values()):
            points = "L".join(f"{self.x(minutes):.1f} {self.y(most / self.unit):.1f}" for minutes, most in self.peaks(series))
            svg.append(f"<path d='M{points}' fill='none' stroke='{COLOURS[number % len(COLOURS)]}' stroke-width='1.2'/>")
        return svg

    def peaks(self, series):
        """The highest of the samples that share a point."""
        together = -(-len(series) // POINTS)
        for first in range(0, len(series), together):
            part = series[first:first + together]
            yield part[-1][0] / 60, max(values[self.kind] for _, values in part)


def write_plot(file, samples):
    svg = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='11'>",
           "<style>.title{font-size:13px;font-weight:bold}.mid{text-anchor:middle}.end{text-anchor:end}.grid{stroke:#ddd}"
           ".axis{stroke:#333;fill:none}</style>",
           "<rect width='100%' height='100%' fill='white'/>"]
    for number, kind in enumerate(KINDS):
        svg += Panel(number, kind, samples).drawn()
    for number, name in enumerate(samples):
        svg.append(f"<path d='M{LEFT + 90 * number} {HEIGHT - 44}h22' stroke='{COLOURS[number % len(COLOURS)]}' stroke-width='2'/>"
                   f"<text x='{LEFT + 28 + 90 * number}' y='{HEIGHT - 40}'>{name}</text>")
    with open(file, "w") as out:
        out.write("\n".join(svg) + "\n</svg>\n")
