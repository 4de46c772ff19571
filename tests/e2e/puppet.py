"""A member that is played by tests/e2e/puppet.cpp: with a real key, and none of the manners."""

import os
import subprocess

from cluster import Skip


class Puppet:
    """Plays `as_member` towards the node `victim`, who has it in its list, until it is closed."""

    def __init__(self, world, victim, as_member, says, reads="all", pace=None):
        program = os.path.join(os.path.dirname(world.binary), "tests", "puppet")
        if not os.access(program, os.X_OK):
            raise Skip(f"no {program} here (target puppet)")
        identity = world.p2psync("id", victim.key).stdout.decode().strip()
        self.log = os.path.join(world.scratch, f"puppet of {as_member.name}.log")
        command = [program, as_member.key, identity, victim.address, "p2psync", says, str(reads)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command + ([] if pace is None else [str(pace)]),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self):
        with open(self.log) as log:
            return log.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
