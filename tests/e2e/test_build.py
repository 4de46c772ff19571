"""What a build leaves."""

import json
import os
import pathlib
import subprocess
import sys

from cluster import check


def package_of(library):
    """The Debian package that a shared library is from; nothing where there is no dpkg."""
    for path in (library, os.path.realpath(library), "/usr" + library):
        try:
            said = subprocess.run(["dpkg-query", "-S", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        except FileNotFoundError:
            return None
        if said.returncode == 0:
            return said.stdout.split(":")[0]
    return None


def test_the_bill_of_materials_names_every_library_that_is_loaded(world):
    with open(os.path.join(os.path.dirname(world.binary), "p2psync.cdx.json")) as file:
        bill = json.load(file)
    check(bill["bomFormat"] == "CycloneDX", "not CycloneDX")
    version = world.p2psync("--version").stdout.split()[-1].decode()
    check(bill["metadata"]["component"]["version"] == version, f"it is of another version than {version}")
    listed = {component["bom-ref"]: component for component in bill["components"]}
    check(set(bill["dependencies"][0]["dependsOn"]) == set(listed), "dependencies and components differ")
    loaded = subprocess.run(["ldd", world.binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    libraries = [line.split()[2] for line in loaded.splitlines() if "=> /" in line]
    check(len(libraries) >= 4, f"ldd lists {libraries}")
    for library in libraries:
        package = package_of(library)
        if package is None:
            world.note(f"{library} is from no package here")
            continue
        check(package in listed, f"{library}, from {package}, is not in the bill of materials")
        component = listed[package]
        check(component["licenses"] and component["purl"].startswith(f"pkg:deb/debian/{package.replace('+', '%2B')}@"),
              f"{component} lacks its licence or its origin")


def test_the_program_is_hardened(world):
    said = subprocess.run(["readelf", "-hldW", world.binary], stdout=subprocess.PIPE, text=True, check=True).stdout
    check("Type:" in said and "DYN (Position-Independent Executable file)" in said, "it has a fixed place in memory")
    check("GNU_RELRO" in said and "BIND_NOW" in said, "its tables of addresses stay writable")
    stack = next(line for line in said.splitlines() if "GNU_STACK" in line)
    check("RWE" not in stack, "its stack is executable")


def test_every_planted_bug_has_its_place(world):
    """Who changes a line that a bug is planted in learns it at once, and not when the bugs are planted, which takes hours."""
    mutants = pathlib.Path(__file__).resolve().parents[1] / "mutants" / "run"
    said = subprocess.run([sys.executable, mutants, "--list"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check(said.returncode == 0, said.stdout)
