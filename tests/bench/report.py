"""Figures as tables in Markdown: what was measured, and what was required."""

import datetime
import os
import platform
import statistics
import subprocess

from measure import filesystem_of

FIRST_LINES = {
    "rsync": ["rsync", "--version"],
    "rsync-fsync": ["rsync", "--version"],
    "syncthing": ["syncthing", "--version"],
    "cp": ["cp", "--version"],
}
COLUMNS = ("wire", "source sent", "peak", "cpu")


def seconds(value):
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def size(value):
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value < 1000 * factor else f"{value / factor:.0f} {unit}"
    return f"{value:.0f} B"


def mebibytes(value):
    return f"{value / 2**20:.0f} MiB"


def times(value):
    return f"{value:.2f} x"


SHOWN = {
    "time": seconds,
    "cpu": seconds,
    "wire": size,
    "source sent": size,
    "allocated": size,
    "peak": mebibytes,
    "peaks": lambda values: " ".join(map(mebibytes, values)),
    "additional disk": lambda value: f"{value:.2f} %",
    "time per size/rate": times,
    "source sent per size": times,
    "copies": lambda value: f"{value:g}",
    "lost": lambda value: f"{value:g}",
    "resurrected": lambda value: f"{value:g}",
    "p95": seconds,
    "worst": seconds,
    "large file": seconds,
    "cpu a node": lambda value: f"{1000 * value:.1f} ms",
    "sent a second": size,
    "written": size,
    "wake-ups a second": lambda value: f"{value:.2f}",
    "bytes a file": size,
    "answers": seconds,
    "scan": seconds,
    "scan per find": times,
    "first index": seconds,
    "index per sha256sum": times,
}


def median(runs, figure):
    return statistics.median(run[figure] for run in runs)


def machine(options, binary):
    """What the figures depend on, for the reader and for the JSON document."""
    kind, device, place = filesystem_of(options.dir)
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 2**20
    versions = {"p2psync": first_line([binary, "--version"])}
    versions |= {command[0]: first_line(command) for peer, command in FIRST_LINES.items() if peer in options.peers}
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "kernel": platform.release(),
        "cpu": f"{os.cpu_count()} cores, {model}",
        "memory": f"{memory:.0f} GiB",
        "filesystem": f"{kind} on {device}, mounted at {place}",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "scale": options.scale,
        "runs": options.runs,
        "versions": versions,
    }


def first_line(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stdout.partition("\n")[0]


def heading(about):
    lines = [f"- {name}: {value}" for name, value in about.items() if name != "versions"]
    lines += [f"- {name}: {version}" for name, version in about["versions"].items()]
    if about["scale"] != 1:
        lines.append(f"- sizes are {about['scale']} of what they should be: only good for trying this out")
    return "\n".join(lines) + "\n"


def figures(name, workload, results):
    """`results`: for each program its runs that succeeded."""
    usual = {"time", "peaks", *COLUMNS}
    extra = sorted({figure for runs in results.values() for run in runs for figure in run} - usual)
    lines = [
        f"### {name}: {workload.title}", "",
        " | ".join(["| program", "time", "from - to", "p2psync's / its", "on the wire", "source sent",
                    "peak memory", "CPU", *extra]) + " |",
        "| --- " * (8 + len(extra)) + "|",
    ]
    ours = results.get("p2psync")
    for program, runs in results.items():
        if not runs:
            lines.append(f"| {program} | failed |" + " |" * (6 + len(extra)))
            continue
        took = [run["time"] for run in runs]
        ratio = times(median(ours, "time") / median(runs, "time")) if ours and program != "p2psync" else ""
        cells = [program, seconds(statistics.median(took)), f"{min(took):.2f} - {max(took):.2f}", ratio]
        cells += [SHOWN[figure](median(runs, figure)) for figure in [*COLUMNS, *extra]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


class Verdict:
    """A requirement, beside what p2psync and the peer that it names have reached."""

    def __init__(self, requirement, results):
        self.requirement = requirement
        figure, limit, peer, exactly = requirement
        show = SHOWN[figure]
        ours, theirs = results.get("p2psync"), results.get(peer)
        self.ours = self.theirs = self.ratio = "-"
        self.met = None  # not measured
        if ours:
            value = median(ours, figure)
            self.ours = show(value)
        if ours and theirs:
            other = median(theirs, figure)
            self.theirs = f"{peer} {show(other)}"
            ratio = value / other if other else float("inf")
            self.ratio = f"{ratio:.3f} x"
            self.met = ratio <= limit
        elif ours and not peer:
            self.met = value == limit if exactly else value <= limit
        bound = f"{limit:g} x {peer}'s" if peer else show(limit)
        self.text = f"{figure} {'exactly' if exactly else 'at most'} {bound}"

    def row(self, name):
        outcome = {True: "met", False: "missed", None: "not measured"}[self.met]
        return f"| {name} | {self.text} | {self.ours} | {self.theirs} | {self.ratio} | {outcome} |"


def summary(verdicts):
    """`verdicts`: (name of the workload, Verdict)"""
    return "\n".join([
        "### What is required", "",
        "| workload | must reach | p2psync | peer | ratio | |", "| --- | --- | --- | --- | --- | --- |",
        *(verdict.row(name) for name, verdict in verdicts),
    ]) + "\n"
