"""What is installed: the man page, completions, the example and the Debian package with its unit."""

import gzip
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tomllib

from cluster import PATIENCE_S, Skip, Unable, check, environment, until

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "chaos"))
from sealed import TOP, docker, need_engine  # noqa: E402

PACKAGE = TOP / "apps/p2psync/package"
BASE_IMAGE = "debian:bookworm-slim"
UNIT = "p2psync@demo.service"
EXPOSURE_MAX = 2.5
INSTALL_S = 900  # of packages, over whatever network there is


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


def make_package(world, name="package"):
    need_tool("dpkg-shlibdeps", "dpkg-dev")
    need_tool("file", "file")
    if not (built(world) / "CPackConfig.cmake").exists():
        raise Skip("the program is not in a build directory")
    directory = os.path.join(world.scratch, name)
    run("cpack", "-G", "DEB", "-B", directory, cwd=built(world), timeout=INSTALL_S)
    return next(pathlib.Path(directory).glob("*.deb"))


def test_the_debian_package(world):
    package = make_package(world)
    again = make_package(world, "again")
    check(package.read_bytes() == again.read_bytes(), "packed twice, it is not the same bytes")

    field = lambda name: run("dpkg-deb", "-f", package, name).stdout.strip()
    version = world.p2psync("--version").stdout.split()[-1].decode()
    check((field("Package"), field("Version")) == ("p2psync", version), "its name or version is wrong")
    for library in ("libc6", "libssl3", "libsqlite3-0", "libfmt9", "libmicrohttpd12"):
        check(re.search(rf"(^|, ){library} \(>= ", field("Depends")), f"no {library} in {field('Depends')}")
    world.note(f"{package.name}, {package.stat().st_size} bytes; depends on {field('Depends')}")

    tree = pathlib.Path(world.directory("tree"))
    run("dpkg-deb", "-x", package, tree)
    for file in tree.rglob("*"):
        mode = stat.S_IMODE(file.stat().st_mode)
        wanted = 0o755 if file.is_dir() or file.parent.name == "bin" else 0o644
        check(mode == wanted, f"{file.relative_to(tree)} has mode {mode:o}")
    owners = {line.split()[1] for line in run("dpkg-deb", "-c", package).stdout.splitlines()}
    check(owners == {"root/root"}, f"owners: {owners}")
    check({file.name for file in tree.iterdir()} == {"usr"}, "something is outside /usr")
    page = gzip.decompress((tree / "usr/share/man/man1/p2psync.1.gz").read_bytes())
    check(page == (built(world) / "p2psync.1").read_bytes(), "its man page is another")
    check((tree / "usr/share/doc/p2psync/copyright").read_bytes() == (TOP / "LICENSE").read_bytes(), "no licence in it")
    check((tree / "usr/share/zsh/vendor-completions/_p2psync").exists(), "no completion for zsh in it")
    check(not re.search(r"\.debug_", run("readelf", "-SW", tree / "usr/bin/p2psync").stdout), "it is not stripped")


class Container:
    """A bare Debian, in which packages can be installed."""

    def __init__(self):
        need_engine()
        self.id = docker("run", "-d", "--rm", BASE_IMAGE, "sleep", "3600").stdout.decode().strip()

    def sh(self, script, must=True, timeout=INSTALL_S):
        done = docker("exec", "-e", "DEBIAN_FRONTEND=noninteractive", self.id, "sh", "-ec", script, must=False, timeout=timeout)
        text = (done.stdout + done.stderr).decode(errors="replace")
        check(done.returncode == 0 or not must, lambda: f"{script}: exit {done.returncode}\n{text[-4000:]}")
        return text if must else (done.returncode, text)

    def install(self, *packages):
        self.sh(f"apt-get install -y -qq --no-install-recommends {' '.join(packages)}")

    def close(self):
        docker("rm", "-f", self.id, must=False)


def left(container):
    """What has the program's name, but for what dpkg remembers of every package that ever was there."""
    return container.sh("find / -xdev -name '*p2psync*' -not -path '/mnt/*' -not -path '/proc/*'")


def unit_settings():
    text = (PACKAGE / "p2psync@.service").read_text()
    return dict(re.findall(r"^(ExecStart|Environment)=(.*)$", text, re.MULTILINE))


def test_the_debian_package_on_a_bare_debian(world):
    package = make_package(world)
    container = Container()
    try:
        code, said = container.sh("apt-get update -qq", must=False)
        if code != 0 or "Failed to fetch" in said:
            raise Unable(f"containers reach no package archive here: {said[-300:]}")
        docker("cp", package, f"{container.id}:/mnt/p2psync.deb")
        steps_in_container(world, container)
    finally:
        container.close()


def steps_in_container(world, container):
    container.install("/mnt/p2psync.deb")
    world.passed("it installs on a bare Debian")

    # As the unit has it, with its key handed over by systemd in a directory of its own.
    settings = unit_settings()
    command = settings["ExecStart"].replace("%i", "demo")
    variable = settings["Environment"].replace("%d", "/run/credentials")
    container.sh("mkdir -p /etc/p2psync /run/credentials && cd /etc/p2psync"
                 " && p2psync init-cluster --out . node1=127.0.0.1:7744"
                 " && sed 's|^folder = \"[^\"]*\"|folder = \"/var/lib/p2psync/demo\"|' cluster.toml > demo.toml"
                 " && mv node1.key /run/credentials/key && rm cluster.toml")
    container.sh(f"(env {variable} {command} > /mnt/log 2>&1 & echo $! > /mnt/pid; wait $!; echo $? > /mnt/exit)"
                 " > /dev/null 2>&1 &")
    until(lambda: container.sh("p2psync status -c /etc/p2psync/demo.toml", must=False)[0] == 0,
          lambda: f"a node to answer: {container.sh('cat /mnt/log')}")
    container.sh("echo hello > /var/lib/p2psync/demo/a")
    until(lambda: "1 file" in container.sh("p2psync status -c /etc/p2psync/demo.toml"), "it to see a file")
    container.sh("kill $(cat /mnt/pid)")
    ended = lambda: container.sh("cat /mnt/exit", must=False)
    until(lambda: ended()[0] == 0 and ended()[1], "it to end")
    check(ended()[1] == "0\n", f"its exit code is {ended()[1]}")
    world.passed("the unit's command line runs a node")

    container.sh("dpkg --purge p2psync")
    check(container.sh("cat /etc/p2psync/demo.toml /var/lib/p2psync/demo/a").endswith("hello\n"), "its user's files are gone")
    container.sh("rm -r /etc/p2psync /var/lib/p2psync /run/credentials")
    check(left(container) == "", lambda: f"left after a purge: {left(container)}")
    world.passed("a purge leaves what its user made, and nothing else")

    container.install("/mnt/p2psync.deb", "systemd")
    container.sh("getent passwd p2psync && getent group p2psync")
    said = container.sh(f"systemd-analyze verify --man=no {UNIT} 2>&1")
    check(said == "", f"systemd-analyze verify says: {said}")
    said = container.sh(f"systemd-analyze security --no-pager --offline=yes {UNIT} | tail -n 1")
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", said)[1])
    check(exposure <= EXPOSURE_MAX, f"its exposure is {exposure}")
    world.note(f"systemd-analyze security: {exposure}")
    container.sh("dpkg --purge p2psync")
    check(left(container) == "", lambda: f"left after a purge: {left(container)}")
    world.passed("systemd has nothing to say against the unit")
