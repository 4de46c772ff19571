#!/usr/bin/env python3
"""A stranger on the LAN who knows the protocol and no key: says what he likes about where members are.

    lan_stranger.py ADDRESS CLUSTER ID [flood]

From ADDRESS he says that the member with this id is with him, ten times a second; whoever dials him there waits for
an answer that never comes. Prints `begins`, and `dialled` whenever somebody does. With `flood` he does so without a
pause, and says garbage in between.
"""

import hashlib
import os
import socket
import sys
import time

GROUP = ("239.255.77.44", 7744)


def announcement(cluster, identity, port, asks):
    member = hashlib.sha256(b"p2psync lan 1\0" + cluster.encode() + b"\0" + bytes.fromhex(identity)).digest()[:16]
    return b"p2ps\1" + bytes([asks]) + port.to_bytes(2, "big") + member


def main():
    address, cluster, identity, *flood = sys.argv[1:]
    trap = socket.create_server((address, 0), backlog=100)
    say = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    say.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    false = announcement(cluster, identity, trap.getsockname()[1], asks=True)
    trap.setblocking(False)
    print("begins", flush=True)
    held = []
    while True:
        try:
            held.append(trap.accept())
            print("dialled", flush=True)
        except BlockingIOError:
            pass
        say.sendto(false, GROUP)
        if flood:
            say.sendto(os.urandom(24), GROUP)
            say.sendto(false[:8] + os.urandom(16), GROUP)
            say.sendto(false + false, GROUP)
        else:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
