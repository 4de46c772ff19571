"""Files that are not synchronised, by rules in `.p2pignore`."""

import json
import os
import shutil

from cluster import check, until


def files(node):
    """What stands in the folder: bytes by name, None for a directory."""
    found = {}
    for place, directories, names in os.walk(node.folder):
        directories[:] = [name for name in directories if name != ".p2psync"]
        for name in directories + names:
            path = os.path.join(place, name)
            with open(path, "rb") if name in names else open(os.devnull, "rb") as file:
                found[os.path.relpath(path, node.folder)] = file.read().decode() if name in names else None
    return found


def come_to_rest(cluster):
    for node in cluster.nodes:
        said = node.p2psync("status", "--wait", "60", timeout=120)
        check(said.returncode == 0, lambda: f"{node.name} is not in sync: {said.stdout.decode()}{said.stderr.decode()}")


def holds(cluster, *expected):
    """What each node's folder holds, but for the files of rules."""
    come_to_rest(cluster)
    for node, those in zip(cluster.nodes, expected, strict=True):
        found = {name: text for name, text in files(node).items() if not name.endswith(".p2pignore")}
        check(found == those, f"{node.name} holds {found}, not {those}")


def asked(node, *arguments):
    said = node.p2psync("check-ignore", *arguments, "--json")
    return said.returncode, json.loads(said.stdout)


def test_what_is_ignored_stays_where_it_is_and_the_rules_travel(world):
    cluster = world.cluster(2)
    one, two = cluster.nodes
    one.write(".p2pignore", "*.log\nbuild/\n!keep.log\n/only-here\n")
    one.write("sub/.p2pignore", "*.tmp\n!*.log\n")
    for name in ("a", "a.log", "keep.log", "build/object", "only-here", "sub/only-here", "sub/x.tmp", "sub/y.log", "x.tmp"):
        one.write(name, name)
    cluster.start()
    there = {name: name for name in ("a", "keep.log", "sub/only-here", "sub/y.log", "x.tmp")} | {"sub": None}
    kept = {name: name for name in ("a.log", "build/object", "only-here", "sub/x.tmp")} | {"build": None}
    holds(cluster, there | kept, there)
    # The other way round the same rules hold, and for what comes while the nodes run.
    for name in ("b", "b.log", "build/of two", "deep/down/build/z", "sub/z.tmp"):
        two.write(name, "of two")
    new = {"b": "of two", "deep": None, "deep/down": None}
    own = {"b.log": "of two", "build": None, "build/of two": "of two", "deep/down/build": None,
           "deep/down/build/z": "of two", "sub/z.tmp": "of two"}
    until(lambda: one.exists("b"), "b to arrive")
    holds(cluster, there | kept | new, there | new | own)
    # A restart looks at everything, and finds nothing new.
    for node in cluster.nodes:
        node.stop()
        node.start()
    holds(cluster, there | kept | new, there | new | own)


def test_what_comes_to_be_ignored_is_deleted_nowhere(world):
    cluster = world.cluster(2).start()
    one, two = cluster.nodes
    for name in ("a.log", "b.log", "c.log", "d/e.log", "plain"):
        one.write(name, "first")
    cluster.agree()
    one.write(".p2pignore", "*.log\n")
    until(lambda: two.exists(".p2pignore"), "the rules to arrive")
    come_to_rest(cluster)
    until(lambda: asked(two, "a.log")[0] == 0, "the rules to be taken in")
    os.unlink(one.path("a.log"))
    one.write("b.log", "edited by one")
    two.write("c.log", "edited by two")
    shutil.rmtree(two.path("d"))
    one.write("plain", "second")
    until(lambda: two.exists("plain") and two.read("plain") == b"second", "what is not ignored to arrive")
    come_to_rest(cluster)  # the directory may come back, and until then nobody can say whether it will
    same = {"plain": "second"}
    holds(cluster, same | {"b.log": "edited by one", "c.log": "first", "d": None, "d/e.log": "first"},
          same | {"a.log": "first", "b.log": "first", "c.log": "edited by two"} | ({"d": None} if two.exists("d") else {}))
    # It is remembered over a restart.
    for node in cluster.nodes:
        node.stop()
        node.start()
    come_to_rest(cluster)
    check(one.read("c.log") == b"first" and not two.exists("d/e.log"), "a start has told what is ignored")
    # Ignored no longer: an edit is one of what was there before, and what is gone was not deleted.
    os.unlink(two.path(".p2pignore"))
    until(lambda: not one.exists(".p2pignore"), "the rules to go")
    until(lambda: one.exists("a.log") and two.exists("d/e.log"), "what was deleted meanwhile to come back")
    all_of_it = {"plain": "second", "a.log": "first", "b.log": "edited by one", "c.log": "edited by two", "d": None,
                 "d/e.log": "first"}
    until(lambda: two.read("b.log") == b"edited by one" and one.read("c.log") == b"edited by two", "the edits to arrive")
    holds(cluster, all_of_it, all_of_it)


def test_a_rule_counts_before_what_is_done_after_it(world):
    """Whoever writes a rule and then deletes has deleted nothing, in whatever order that is noticed."""
    cluster = world.cluster(2).start()
    one, two = cluster.nodes
    for name in ("a.log", "z.log", "-first.log", "sub/b.log"):
        one.write(name, name)
    cluster.agree()
    one.stop()
    one.write(".p2pignore", "*.log\n")
    for name in ("a.log", "-first.log"):
        os.unlink(one.path(name))
    one.write("new.log", "new")
    one.start()
    until(lambda: two.exists(".p2pignore"), "the rules to arrive")
    kept = {"sub": None, "sub/b.log": "sub/b.log", "z.log": "z.log"}
    holds(cluster, kept | {"new.log": "new"}, kept | {"a.log": "a.log", "-first.log": "-first.log"})
    # The same on a node that runs, all at once.
    two.write("sub/.p2pignore", "c\n")
    os.unlink(two.path("sub/b.log"))
    two.write("sub/c", "c")
    two.write("sub/d", "d")
    until(lambda: one.exists("sub/d"), "what is not ignored to arrive")
    check(not one.exists("sub/c"), "what was written behind its rule was told")
    check(one.exists("sub/b.log"), "what was deleted while it was ignored is gone elsewhere")


def test_a_directory_with_ignored_files_goes_when_they_do(world):
    cluster = world.cluster(2).start()
    one, two = cluster.nodes
    one.write(".p2pignore", "*.o\n")
    one.write("d/e/source", "text")
    cluster.agree()
    one.write("d/e/source.o", "code")
    shutil.rmtree(two.path("d"))
    until(lambda: not one.exists("d/e/source"), "the deletion to arrive")
    holds(cluster, {"d": None, "d/e": None, "d/e/source.o": "code"}, {})
    check(one.status()["errors"] == [], f"{one.status()['errors']}")
    os.unlink(one.path("d/e/source.o"))
    until(lambda: not one.exists("d"), "the directory to follow")
    holds(cluster, {}, {})


def test_check_ignore_names_the_rule(world):
    cluster = world.cluster(1)
    node = cluster[1]
    node.write(".p2pignore", "# what is made here\nbuild/\n*.log\n!keep.log\n")
    node.write("sub/.p2pignore", "keep.log\n")
    node.write("build/x", "")
    node.write("file", "")
    cluster.start()
    come_to_rest(cluster)
    for path, ignored, file, line, rule in [
            ("build/x", True, ".p2pignore", 2, "build/"), ("build", True, ".p2pignore", 2, "build/"),
            ("a.log", True, ".p2pignore", 3, "*.log"), ("keep.log", False, ".p2pignore", 4, "!keep.log"),
            ("sub/keep.log", True, "sub/.p2pignore", 1, "keep.log"),
            ("a.log.conflict-node2", True, ".p2pignore", 3, "*.log")]:
        expected = {"path": path, "ignored": ignored, "by": {"file": file, "line": line, "rule": rule}}
        check(asked(node, path) == (0 if ignored else 1, expected), lambda: f"{path}: {asked(node, path)}, not {expected}")
    check(asked(node, "file") == (1, {"path": "file", "ignored": False, "by": None}), lambda: f"{asked(node, 'file')}")
    # Of what is not there the command line says what it would be.
    check(asked(node, "other/build")[0] == 1 and asked(node, "other/build", "--directory")[0] == 0, "a rule for directories")
    said = node.p2psync("check-ignore", "a.log")
    check((said.returncode, said.stdout) == (0, b".p2pignore:3: *.log\n"), f"{said}")
    said = node.p2psync("restore", "a.log", "--version", "x")
    check(said.returncode == 1 and b"a.log is ignored" in said.stderr, f"{said}")
    said = node.p2psync("check-ignore", "file")
    check((said.returncode, said.stdout) == (1, b"no rule is about file\n"), f"{said}")
    check(node.p2psync("check-ignore", "../x").returncode == 2, "a path outside was taken")


def test_rules_that_cannot_be_read_keep_everything_back(world):
    cluster = world.cluster(2).start()
    one, two = cluster.nodes
    one.write("d/before", "x")
    cluster.agree()
    one.write("d/.p2pignore", "#" * (64 * 1024 + 1))
    until(lambda: [error for error in one.status()["errors"] if error["path"] == "d/.p2pignore"],
          lambda: f"status to name it: {one.status()['errors']}")
    one.write("d/secret", "x")
    one.write("outside", "x")
    until(lambda: two.exists("outside"), "what is elsewhere to arrive")
    check(not two.exists("d/secret"), "it was told though nobody could say whether it is ignored")
    one.save("d/.p2pignore", "secret\n")  # an empty one, be it for an instant, would ignore nothing
    one.write("d/after", "x")
    until(lambda: two.exists("d/after"), "what is not ignored to arrive")
    until(lambda: not one.status()["errors"], lambda: f"the error to end: {one.status()['errors']}")
    check(not two.exists("d/secret") and two.exists("d/before"), "the rule is not followed")
