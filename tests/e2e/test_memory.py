"""A node that gets no more memory: it ends at once and says why, loses nothing, and goes on when it is started again."""

import resource

from cluster import check, until
from weather import no_errors, nothing_lost, three_with_files

KIB = 1024
FILES = 2000  # what a node needs for so many, it has not lying about
STARTS_MAX = 20


def allow(node, more_bytes):
    """So much more than it has now."""
    with open(f"/proc/{node.process.pid}/status") as file:
        has = next(int(line.split()[1]) * KIB for line in file if line.startswith("VmData:"))
    resource.prlimit(node.process.pid, resource.RLIMIT_DATA, (has + more_bytes, has + more_bytes))


def test_a_node_that_runs_out_of_memory(world):
    made = three_with_files(world)
    one, two, three = made.nodes
    two.write("of two", "precious")
    made.agree()
    more_bytes = 256 * KIB
    allow(two, more_bytes)
    names = [f"many/{number % 50}/{number}" for number in range(FILES)]
    for name in names:
        one.write(name, f"precious, as {name}")
    caught_up = lambda: all(two.exists(name) for name in names)
    deaths = 0
    # A supervisor starts it anew, and gives it a little more each time.
    while until(lambda: two.process.poll() is not None or caught_up(), "node2 to catch up, or to end"):
        if two.process.poll() is None:
            break
        check(two.process.returncode == 1, lambda: f"node2 ended with {two.process.returncode}: {two.last_words()}")
        check("out of memory" in two.last_words(1), lambda: f"it does not say why: {two.last_words()}")
        two.process = None
        until(lambda: not one.peer("node2")["connected"], "node1 to notice")
        check(one.peer("node2")["trouble"], "node1 does not say that node2 is away")
        deaths += 1
        check(deaths < STARTS_MAX, "it is out of memory, however much it gets")
        more_bytes *= 2
        two.start()
        allow(two, more_bytes)
    world.note(f"out of memory {deaths} times, then enough with {more_bytes // KIB} KiB more than at the start")
    check(deaths > 0, "it was never out of memory")
    after = made.agree()
    check(len(after) == FILES + 50 + 5, f"there are {len(after)}")
    check(all(two.read(name) == f"precious, as {name}".encode() for name in names), "node2 has other bytes")
    nothing_lost(made, 1, 2, 3)
    for node in made.nodes:
        no_errors(node)
