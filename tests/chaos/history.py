"""What happened to one path: what users did there and what every node's log says of it, in the order of time.

The logs are the program's at level debug: a line for every step (engine/brief.h), below it the records that it
changed. Of a line about many paths only the parts about this one are shown.
"""

import heapq
import os
import re

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}")


def history(story, logs, lineage, hashes):
    """`story`: the file of a Ledger; `logs`: name -> file; `hashes`: event -> the first digits of its content's."""
    path = os.fsdecode(lineage)
    about = re.compile(rf"(?<![\w/]){re.escape(path)}(?!\w)")
    events = {shown: event for event, shown in hashes.items()}
    lines = [_lines(story, "user", about, {})]
    lines += [_lines(file, name, about, events) for name, file in logs.items() if os.path.exists(file)]
    return [f"{time} {text}" for time, _, text in heapq.merge(*lines, key=lambda line: line[0])]


def _lines(file, name, about, events):
    found = []
    with open(file, errors="replace") as lines:
        for number, line in enumerate(lines):
            time = _TIME.match(line)
            if not time:
                continue
            text = line[time.end():].rstrip("\n")
            if about.search(text):
                found.append((time[0], number, f"{name}: {_named(_cut(text, about), events)}"))
            elif " KILLED" in text or " STARTED" in text or "CABLE" in text:
                found.append((time[0], number, f"{name}: {text}"))
    return sorted(found, key=lambda line: line[:2])


def _cut(text, about):
    """Without what is about other paths."""
    what, arrow, outputs = text.partition(" ->")
    if arrow:
        parts = [part for part in outputs.split(";") if about.search(part) or "apply" not in part]
        return _words(what, about) + arrow + ";".join(_words(part, about) for part in parts)
    return "; ".join(part for part in text.split("; ") if about.search(part))


def _words(text, about):
    words = text.split(" ")
    if len(words) < 12:
        return text
    return " ".join(words[:3] + [word for word in words[3:] if about.search(word)] + ["..."])


def _named(text, events):
    """Events in place of hashes."""
    return re.sub(r"\b[0-9a-f]{8}\b", lambda shown: f"event{events[shown[0]]}" if shown[0] in events else shown[0], text)
