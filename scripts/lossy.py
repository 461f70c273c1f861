#!/usr/bin/env python3
"""A UDP proxy that loses, delays and cuts off what passes, for kernels without netem. Ends at Ctrl-C with what it has done.

    scripts/lossy.py 127.0.0.1:4434 127.0.0.1:4433 --loss 10 --delay-ms 5 --jitter-ms 2 --seed 1

Devices connect to the first address, the edge listens on the second. Loss (in per cent) and delay hold in each direction. What is lost
is a function of the seed and the order of datagrams. SIGUSR1 begins a black-out, SIGUSR2 ends it. Needs nothing but Python 3.
"""

import argparse
import heapq
import random
import selectors
import signal
import socket
import sys
import time


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


class Proxy:
    def __init__(self, args):
        self.target = address(args.target)
        self.args = args
        self.random = random.Random(args.seed)
        self.selector = selectors.DefaultSelector()
        self.front = self.open()
        self.front.bind(address(args.listen))
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.upstream = {}
        self.waiting = []
        self.number = 0
        self.dark = self.over = False
        self.counts = {"passed": 0, "lost": 0, "dark": 0}

    @staticmethod
    def open():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.setblocking(False)
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            one.setsockopt(socket.SOL_SOCKET, buffer, 1 << 20)
        return one

    def towards_edge(self, client):
        if client not in self.upstream:
            self.upstream[client] = self.open()
            self.selector.register(self.upstream[client], selectors.EVENT_READ, client)
        return self.upstream[client]

    def take(self, sender, to, datagram):
        if self.dark:
            self.counts["dark"] += 1
            return
        if self.random.random() * 100 < self.args.loss:
            self.counts["lost"] += 1
            return
        delay = self.args.delay_ms + self.random.random() * self.args.jitter_ms
        self.number += 1
        heapq.heappush(self.waiting, (time.monotonic() + delay / 1e3, self.number, sender, to, datagram))

    def run(self):
        while not self.over:
            wait = max(0.0, self.waiting[0][0] - time.monotonic()) if self.waiting else 0.2
            for key, _ in self.selector.select(wait):
                for _ in range(64):
                    try:
                        datagram, source = key.fileobj.recvfrom(65535)
                    except (BlockingIOError, ConnectionError):
                        break
                    if key.data is None:
                        self.take(self.towards_edge(source), self.target, datagram)
                    else:
                        self.take(self.front, key.data, datagram)
            while self.waiting and self.waiting[0][0] <= time.monotonic():
                _, _, sender, to, datagram = heapq.heappop(self.waiting)
                try:
                    sender.sendto(datagram, to)
                    self.counts["passed"] += 1
                except OSError:
                    self.counts["lost"] += 1
        passed, lost, dark = self.counts.values()
        print(f"proxy: {passed} datagrams passed, {lost} lost ({100 * lost / max(1, passed + lost):.1f} %), {dark} in black-outs",
              file=sys.stderr)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("listen")
    parser.add_argument("target")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    proxy = Proxy(parser.parse_args())
    signal.signal(signal.SIGUSR1, lambda *_: setattr(proxy, "dark", True))
    signal.signal(signal.SIGUSR2, lambda *_: setattr(proxy, "dark", False))
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: setattr(proxy, "over", True))
    proxy.run()


if __name__ == "__main__":
    main()
