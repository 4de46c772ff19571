"""What the tests of weather share: a small cluster with files that must not be lost, and what its nodes say is wrong."""

import subprocess

from cluster import check, environment, until

NOBODY = 65534


def errors_of(node):
    return [f"{error['path']}: {error['message']}" for error in node.status()["errors"]]


def wait_for_error(node, *words):
    """Until one of the node's errors has all these words; the state and the table are told too."""
    def look():
        found = [e for e in errors_of(node) if all(word in e for word in words)]
        return found[0] if found else None
    error = until(look, lambda: f"{node.name} to say {words}: {node.status()}")
    check(words[-1].encode() in node.p2psync("status").stdout, f"the table does not say {words}")
    return error


def no_errors(node):
    until(lambda: not errors_of(node), lambda: f"{node.name} to have no errors: {errors_of(node)}")


def broken(node, why):
    """It has stopped, and says why; it leaves the others alone."""
    until(lambda: node.status()["state"] == "error", lambda: f"{node.name} to notice: {node.status()}")
    wait_for_error(node, why)
    check(node.p2psync("status").returncode == 1, "an error, and status exits 0")


def spawn_as(node, user, **more):
    """As an ordinary user, whatever this test runs as."""
    with open(node.log, "ab") as log:
        node.process = subprocess.Popen(
            [*node.command, node.world.binary, "run", *node.place()], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=environment(node.cluster.settings), user=user, group=user, extra_groups=[], **more)
    node.wait_until_it_answers()


def three_with_files(world, **options):
    made = world.cluster(3, **options)
    made[1].write("dir/file", "precious")
    made[1].write("top", "precious too")
    made.start()
    made.agree()
    return made


def nothing_lost(made, *nodes):
    for number in nodes:
        check(made[number].read("dir/file") == b"precious" and made[number].read("top") == b"precious too",
              f"node{number} lost a file")
