"""What is installed: the man page, completions and the example."""

import os
import pathlib
import re
import shutil
import subprocess
import tomllib

from cluster import PATIENCE_S, Skip, check, environment

TOP = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = TOP / "apps/p2psync/package"


def run(*command, env=None, cwd=None, timeout=PATIENCE_S):
    done = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd,
                          timeout=timeout, env=environment(env or {}))
    check(done.returncode == 0, lambda: f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done


def need_tool(program, package):
    if not shutil.which(program):
        raise Skip(f"{program} is missing (Debian package {package})")


def built(world):
    return pathlib.Path(world.binary).parent


def beside(world):
    """An environment in which `p2psync` is the program under test."""
    return {"PATH": f"{built(world)}:{os.environ['PATH']}"}


def help_texts(world):
    """For each command, and "" for none, what its help text lists: the options, and all else by its first word."""
    def listed(*command):
        text = world.p2psync(*command, "--help").stdout.decode()
        return re.findall(r"^  ([^\s]+)", text, re.MULTILINE)
    overview = listed()
    commands = [entry for entry in overview if not entry.startswith("-")]
    check("run" in commands and "status" in commands, f"--help lists {commands}")
    return {"": overview} | {command: listed(command) for command in commands}


def options_of(entries):
    return sorted(name for entry in entries if entry.startswith("-") for name in entry.split(","))


def test_the_man_page_has_every_command_and_option(world):
    text = (built(world) / "p2psync.1").read_text().replace("\\-", "-")
    version = world.p2psync("--version").stdout.decode().strip()
    check(f'"{version}"' in text, f"it is not of {version}")
    sections = dict(re.findall(r'^\.SS "p2psync ([a-z-]+).*"\n((?:(?!\.S[SH]).*\n)*)', text, re.MULTILINE))
    helps = help_texts(world)
    check(list(sections) == [command for command in helps if command],
          f"commands of the man page: {list(sections)}; of --help: {list(helps)}")
    for command, section in sections.items():
        said = world.p2psync(command, "--help").stdout.decode()
        names = re.findall(r'^\.TP\n\.B "([^"]*)"\n.', section, re.MULTILINE)
        options = sorted(name for entry in names for name in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", entry))
        wanted = [name for name in options_of(helps[command]) if name not in ("-h", "--help")]
        check(options == wanted, f"{command}: options of the man page: {options}; of --help: {wanted}")
        for line in section.splitlines():
            if not line.startswith("."):
                words = re.sub(r"\.$| \(required\)$| \(\S+ without it\)$", "", line)
                check(words in said, f"{command}: the man page says what --help does not: {line}")


def test_the_man_page_renders(world):
    need_tool("groff", "groff-base")
    said = run("groff", "-man", "-ww", "-Tutf8", built(world) / "p2psync.1")
    check(not said.stderr, lambda: f"groff warns: {said.stderr}")
    shown = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", said.stdout)  # bold and underlined
    for words in ("p2psync init-cluster [OPTIONS] members...", "--wait SECONDS", "EXIT STATUS"):
        check(words in shown, f"the page does not show {words!r}:\n{shown}")


BASH = """
source "$1"; shift
compopt() { :; }
COMP_WORDS=(p2psync "$@") COMP_CWORD=$#
_p2psync
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_completion_for_bash(world):
    folder = world.directory("files")
    pathlib.Path(folder, "plain").touch()
    pathlib.Path(folder, "directory").mkdir()
    def bash(*words):
        said = run("bash", "-c", BASH, "bash", PACKAGE / "completion.bash", *words, env=beside(world), cwd=folder)
        check(not said.stderr, said.stderr)
        return sorted(said.stdout.split())
    helps = help_texts(world)
    commands = sorted(command for command in helps if command)
    check(bash("") == sorted(options_of(helps[""]) + commands), f"for nothing: {bash('')}")
    check(bash("re") == [command for command in commands if command.startswith("re")], f"for re: {bash('re')}")
    for command in commands:
        check(bash(command, "-") == options_of(helps[command]), f"for {command}: {bash(command, '-')}")
    for words, offered in ((("keygen", ""), ["directory", "plain"]), (("run", "-c", "pl"), ["plain"]),
                           (("run", "--key", ""), ["directory", "plain"]), (("run", "--folder", ""), ["directory"]),
                           (("run", "--listen", ""), []), (("resolve", "plain", "--keep", ""), [])):
        check(bash(*words) == offered, f"for {words}: {bash(*words)}")


ZSH = """
file=$1; shift
words=(p2psync "$@") CURRENT=$(($# + 1))
_describe() { print -rl -- ${(P)@[-1]}; }
_files() { print files "$@"; }
_message() { print message; }
source $file
"""


def test_completion_for_zsh(world):
    need_tool("zsh", "zsh")
    def zsh(*words):
        said = run("zsh", "-f", "-c", ZSH, "zsh", PACKAGE / "completion.zsh", *words, env=beside(world))
        check(not said.stderr, said.stderr)
        return sorted(line.split(":")[0] for line in said.stdout.splitlines())
    helps = help_texts(world)
    commands = [command for command in helps if command]
    check(zsh("") == sorted(options_of(helps[""]) + commands), f"for nothing: {zsh('')}")
    for command in commands:
        check(zsh(command, "-") == options_of(helps[command]), f"for {command}: {zsh(command, '-')}")
    for words, offered in ((("keygen", ""), "files"), (("run", "-c", ""), "files"), (("run", "--key", ""), "files"),
                           (("run", "--folder", ""), "files -/"), (("run", "--listen", ""), "message")):
        check(zsh(*words) == [offered], f"for {words}: {zsh(*words)}")


def test_completion_for_fish(world):
    need_tool("fish", "fish")
    def fish(line):
        said = run("fish", "--no-config", "-c", f"source {PACKAGE}/completion.fish; complete -C '{line}'",
                   env=beside(world) | {"HOME": world.scratch})
        check(not said.stderr, said.stderr)
        return sorted(entry.split("\t")[0] for entry in said.stdout.splitlines())
    helps = help_texts(world)
    commands = sorted(command for command in helps if command)
    check(fish("p2psync ") == commands, f"for nothing: {fish('p2psync ')}")
    for command in commands:
        wanted = [name for name in options_of(helps[command]) if name.startswith("--")]
        check(fish(f"p2psync {command} -") == wanted, f"for {command}: {fish(f'p2psync {command} -')}")


def test_the_example_configuration_is_right_and_has_the_defaults(world):
    text = (TOP / "examples/cluster.toml").read_text()
    for name in ("node1", "node2"):
        key = os.path.join(world.scratch, f"{name}.key")
        id = world.p2psync("keygen", key).stdout.decode().strip()
        text = text.replace(f"ID-OF-{name.upper()}", id)
    file = os.path.join(world.scratch, "cluster.toml")
    pathlib.Path(file).write_text(text)
    said = world.p2psync("check", "-c", file, "--key", key)
    check(said.returncode == 0, lambda: said.stderr.decode())

    out = os.path.join(world.scratch, "made")
    said = world.p2psync("init-cluster", "--out", out, "node1=alpha:7744", "node2=beta:7744")
    check(said.returncode == 0, lambda: said.stderr.decode())
    def all_set(text):
        """Also what stands in comments."""
        return tomllib.loads(re.sub(r"^# (\[\w+\]|\w+ *= )", r"\1", text, flags=re.MULTILINE))
    ours, made = all_set(text), all_set(pathlib.Path(out, "cluster.toml").read_text())
    check(set(ours) == set(made), f"sections {set(ours)} and {set(made)}")
    for section in set(made) - {"cluster", "member", "node"}:
        check(ours[section] == made[section], f"[{section}] {ours[section]}; init-cluster writes {made[section]}")
    check(set(ours["node"]) == set(made["node"]), f"[node] {ours['node']} and {made['node']}")


def test_install_lays_everything_below_destdir(world):
    if not (built(world) / "cmake_install.cmake").exists():
        raise Skip("the program is not in a build directory")
    run("cmake", "--install", built(world), "--prefix", "/opt/p", env={"DESTDIR": world.scratch})
    top = pathlib.Path(world.scratch)
    files = {str(file.relative_to(top)) for file in top.rglob("*") if not file.is_dir()}
    check(files == {"opt/p/" + file for file in (
        "bin/p2psync", "lib/systemd/system/p2psync@.service", "lib/sysusers.d/p2psync.conf",
        "share/bash-completion/completions/p2psync", "share/zsh/site-functions/_p2psync",
        "share/fish/vendor_completions.d/p2psync.fish", "share/man/man1/p2psync.1", "share/doc/p2psync/LICENSE",
        "share/doc/p2psync/README.md", "share/doc/p2psync/p2psync.cdx.json",
        "share/doc/p2psync/examples/cluster.toml")}, f"installed: {sorted(files)}")
