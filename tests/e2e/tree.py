"""What a user sees of a synchronised directory, as values that can be compared.

Read with descriptors and byte strings only: names are any bytes. `.p2psync` at the root is left out.
"""

import hashlib
import os
import stat
from typing import NamedTuple

OWN = b".p2psync"


class Entry(NamedTuple):
    kind: str  # "file", "dir", "link", or what else stat says
    mode: int  # the nine bits; 0 for a link
    mtime_ns: int  # 0 for a directory: its time is not synchronised
    content: bytes  # SHA-256 of a file, target of a link


def read_entry(path: bytes) -> Entry:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", 0, status.st_mtime_ns, os.readlink(path))
    mode = stat.S_IMODE(status.st_mode) & 0o777
    if stat.S_ISDIR(status.st_mode):
        return Entry("dir", mode, 0, b"")
    if not stat.S_ISREG(status.st_mode):
        return Entry(f"special {stat.S_IFMT(status.st_mode):o}", mode, 0, b"")
    with open(path, "rb") as file:
        return Entry("file", mode, status.st_mtime_ns, hashlib.file_digest(file, "sha256").digest())


def paths_of(folder) -> list[bytes]:
    """Every path below the folder, relative to it."""
    found = []
    pending = [b""]
    top = os.fsencode(folder)
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(os.path.join(top, directory)) as entries:
                for entry in entries:
                    path = os.path.join(directory, entry.name)
                    if path == OWN:
                        continue
                    found.append(path)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(path)
        except FileNotFoundError:
            pass  # it went while we looked; who compares, looks again
    return found


def read_tree(folder) -> dict[bytes, Entry]:
    top = os.fsencode(folder)
    tree = {}
    for path in paths_of(folder):
        try:
            tree[path] = read_entry(os.path.join(top, path))
        except FileNotFoundError:
            pass
    return tree


def differences(name_a, a: dict, name_b, b: dict, limit=20) -> list[str]:
    """One line for each path that is not the same in both."""
    lines = []
    for path in sorted(a.keys() | b.keys()):
        if path not in a:
            lines.append(f"{path!r}: only on {name_b}: {describe(b[path])}")
        elif path not in b:
            lines.append(f"{path!r}: only on {name_a}: {describe(a[path])}")
        elif a[path] != b[path]:
            lines.append(f"{path!r}: {name_a} {describe(a[path])}, {name_b} {describe(b[path])}")
    if len(lines) > limit:
        lines[limit:] = [f"... and {len(lines) - limit} more"]
    return lines


def describe(entry: Entry) -> str:
    content = entry.content.hex()[:12] if entry.kind == "file" else repr(entry.content)
    return f"{entry.kind} {entry.mode:o} {entry.mtime_ns} {content}"
