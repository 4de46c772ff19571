#!/usr/bin/env python3
"""A process that reads every visible file again and again, and reports those that are not whole.

    watcher.py BOARD REPORT FOLDER...

BOARD is a file of 64-bit words shared with the test (class Board). Every content that is not whole becomes a line
of JSON in REPORT, unless the folder's user was editing in place meanwhile. Ends with its parent.
"""

import contextlib
import json
import mmap
import os
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

from contents import event_in, read_file  # noqa: E402
from tree import paths_of  # noqa: E402

_ENDING, _LOOKS, _HOLD, _HELD, _EDITS = range(5)  # words; one word of edits for each node from the last on


class Board:
    """Words that both processes see; each is written by one of them."""

    def __init__(self, path, nodes):
        size = 8 * (_EDITS + nodes)
        with open(path, "a+b") as file:
            file.truncate(size)
            self.memory = mmap.mmap(file.fileno(), size)

    def get(self, word):
        return struct.unpack_from("Q", self.memory, 8 * word)[0]

    def set(self, word, value):
        struct.pack_into("Q", self.memory, 8 * word, value)

    @contextlib.contextmanager
    def editing(self, node):
        """Odd while its user writes in place."""
        word = _EDITS + node.cluster.nodes.index(node)
        self.set(word, self.get(word) + 1)
        yield
        self.set(word, self.get(word) + 1)


class Watcher:
    """The process, from the side of the test."""

    def __init__(self, directory, nodes):
        self.report = os.path.join(directory, "watcher.json")
        place = os.path.join(directory, "watcher.board")
        self.board = Board(place, len(nodes))
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), place, self.report, *(node.folder for node in nodes)],
            stdin=subprocess.DEVNULL)

    @property
    def looks(self):
        return self.board.get(_LOOKS)

    @contextlib.contextmanager
    def held(self):
        """It has no file open meanwhile."""
        self.board.set(_HOLD, 1)
        while not self.board.get(_HELD) and self.process.poll() is None:
            time.sleep(0.0005)
        yield
        self.board.set(_HOLD, 0)

    def torn(self):
        """(folder, path, digest, clock) of every content that was not whole."""
        if not os.path.exists(self.report):
            return []
        with open(self.report) as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def stop(self):
        self.board.set(_ENDING, 1)
        return self.process.wait(timeout=60)


def look(folder, board, word, report):
    from ledger import digest
    for path in paths_of(folder):
        if board.get(_HOLD):
            return
        before = board.get(word)
        content = read_file(os.path.join(os.fsencode(folder), path))
        if content is None:
            continue
        board.set(_LOOKS, board.get(_LOOKS) + 1)
        if event_in(content) is None and before % 2 == 0 and before == board.get(word):
            line = [folder, os.fsdecode(path), digest(content), len(content), time.time()]
            report.write(json.dumps(line) + "\n")
            report.flush()


def main():
    place, report, *folders = sys.argv[1:]
    board = Board(place, len(folders))
    parent = os.getppid()
    with open(report, "a") as file:
        while not board.get(_ENDING) and os.getppid() == parent:
            for number, folder in enumerate(folders):
                while board.get(_HOLD) and not board.get(_ENDING) and os.getppid() == parent:
                    board.set(_HELD, 1)
                    time.sleep(0.0005)
                board.set(_HELD, 0)
                look(folder, board, _EDITS + number, file)
                time.sleep(0.01)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
