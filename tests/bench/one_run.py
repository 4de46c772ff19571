"""One workload with one program, once: from empty directories to figures, and nothing of it left behind."""

import os
import shutil
import tempfile
import time

from cluster import Failure
from network import Network
import measure
from programs import Cp, P2psync, Rsync, RsyncFsync
from syncthing import Syncthing

PROGRAMS = {program.name: program for program in (P2psync, Rsync, RsyncFsync, Syncthing, Cp)}
REST_S = 2  # between the start of the programs and the change; and after the end, for what is still told


class Run:
    def __init__(self, workload, world, directory, patience_s):
        self.workload, self.world, self.patience_s = workload, world, patience_s
        self.directory = directory
        self.network = self.place = self.sockets = None

    def home(self, name):
        """Beside the folders: no program looks here for contents."""
        return os.path.join(self.place, name)

    def watch(self):
        self.workload.watch(self)

    def perform(self, kind):
        """The figures; what the trees differ in is a Failure."""
        workload = self.workload
        self.place = tempfile.mkdtemp(prefix="p2psync-bench.", dir=self.directory)
        self.sockets = tempfile.mkdtemp(prefix="p2psync-bench.", dir="/tmp")
        self.folders = [self.home(f"node{number}") for number in range(1, workload.nodes + 1)]
        self.staging = self.home("staging")
        for folder in [*self.folders, self.staging]:
            os.mkdir(folder)
        self.network = Network(workload.nodes, workload.mbit, workload.halves)
        workload.base(self)
        workload.stage(self)
        os.sync()  # nobody waits for what was written to prepare this
        program = kind(self)
        try:
            workload.start(self, program)
            time.sleep(REST_S)
            os.sync()
            program.forget()
            sent_before = self.network.sent()
            took = workload.act(self, program)
            peaks, cpu = program.usage()
            time.sleep(REST_S)
            sent = {number: after - sent_before[number] for number, after in self.network.sent().items()}
        finally:
            problems = program.stop()
        if problems:
            raise Failure("; ".join(problems))
        wrong = [line for folder in self.folders[1:] for line in measure.differences(
            self.folders[0], folder, workload.unread)]
        if wrong:
            raise Failure("the trees differ:\n" + "\n".join(wrong[:20]) + f"\n{len(wrong)} in all")
        measured = {"time": took, "wire": sum(sent.values()), "source sent": sent[1],
                    "peak": max(peaks), "peaks": peaks, "cpu": cpu}
        return measured | workload.figures(self, measured)

    def close(self):
        """May be called again when it was interrupted."""
        if self.network:
            self.network.close()
        for directory in filter(None, (self.place, self.sockets)):
            shutil.rmtree(directory, ignore_errors=True)
        os.sync()
