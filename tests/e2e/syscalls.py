"""What a process asked of the kernel, as strace saw it: which paths it named, and whether they can lead out of a folder."""

import re
from typing import NamedTuple

STRACE = ["strace", "-D", "-f", "-q", "-y", "-s", "8192", "-e", "signal=none", "-e", "trace=%file,bind,connect"]

# Besides the folder's own path and what the command line names, all that may be named by a path from "/".
SYSTEM = re.compile(r"/(etc|usr|lib|lib32|lib64|proc|sys|dev|run/(systemd/resolve|resolvconf|NetworkManager|nscd)|nix/store|gnu/store)(/|$)")
# What leads to a descriptor that is open: the socket, and what only a path can be said of.
OPEN = re.compile(r"/proc/self/fd/\d+(/control\.sock)?$")
READS = {"access", "execve", "faccessat", "getcwd", "newfstatat", "openat", "open", "readlink", "stat", "statfs", "statx"}

QUOTED = r'"((?:[^"\\]|\\.)*)"'
DIRECTORY = r"(?:(AT_FDCWD|\d+)(?:<((?:[^>\\]|\\.)*)>(?:\(deleted\))?)?, )"
AT = re.compile(DIRECTORY + QUOTED)
# A text, and a result, which are no paths.
TEXT_FIRST = {"symlinkat", "symlink"}
RESULT_LAST = {"readlinkat", "readlink", "getcwd"}


class Named(NamedTuple):
    call: str
    directory: str  # of the descriptor; "" for a path from the root, or from the working directory
    path: str
    arguments: str


def calls(trace):
    """Name and arguments of each, those that other threads interrupted in one piece."""
    begun = {}
    for line in trace.splitlines():
        match = re.match(r"(\d+) +(.*)", line)
        thread, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>")
            continue
        if text.startswith("<... "):
            text = begun.pop(thread) + text.partition(" resumed>")[2]
        call = re.match(r"(\w+)\((.*)", text)
        if call:
            yield call.groups()


def named(trace):
    for call, arguments in calls(trace):
        if call in ("bind", "connect"):
            for path in re.findall("sun_path=" + QUOTED, arguments):  # with an @ it is no file
                yield Named(call, "", path, arguments)
            continue
        rest = re.sub("^" + QUOTED + ", ", "", arguments) if call in TEXT_FIRST else arguments
        if call.endswith(("at", "at2", "statx")):
            found = [Named(call, "" if number == "AT_FDCWD" else directory, path, arguments) for number, directory, path in AT.findall(rest)]
            found = found[:1] if call in RESULT_LAST else found
        else:
            found = [Named(call, "", path, arguments) for path in re.findall(QUOTED, rest)[:1]]
        # NULL: the descriptor itself.
        assert found or call in RESULT_LAST or ", NULL, " in arguments, f"{call}({arguments} names nothing that is understood"
        yield from found


def problem(name, folder, given):
    """Why this name could lead outside, or None. `given`: paths that are on the command line or follow from it."""
    call, directory, path, arguments = name
    if not directory:
        if OPEN.fullmatch(path):
            return None
        reads = call in READS and not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", arguments)
        return None if reads and (path in given or SYSTEM.match(path)) else "a path that is none of those few"
    if not path:
        return None  # the descriptor itself
    if directory != folder and not directory.startswith(folder + "/"):
        return "a descriptor outside the folder"
    names = path.split("/")
    if ".." in names or "" in names:
        return "names that lead up, or to the root"
    if call == "openat2":
        held = {"RESOLVE_BENEATH", "RESOLVE_NO_SYMLINKS", "RESOLVE_NO_MAGICLINKS"}
        return None if held <= set(re.findall(r"\w+", arguments)) else "openat2 without its promises"
    if len(names) > 1:
        return "a chain of names that the kernel resolves without promises"
    follows = {"openat": "O_NOFOLLOW", "newfstatat": "AT_SYMLINK_NOFOLLOW", "statx": "AT_SYMLINK_NOFOLLOW",
               "utimensat": "AT_SYMLINK_NOFOLLOW", "fchownat": "AT_SYMLINK_NOFOLLOW"}
    if call in follows and follows[call] not in arguments:
        return "a call that would follow a link"
    if call == "linkat" and "AT_SYMLINK_FOLLOW" in arguments:
        return "a call that follows a link"
    never = {"mkdirat", "unlinkat", "renameat", "renameat2", "linkat", "symlinkat", "readlinkat"}
    return None if call in follows or call in never else "a call that nobody thought of"
