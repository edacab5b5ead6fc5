#!/usr/bin/env python3
"""The clients of tests/zero_loss for the Laravel example in a cluster: load.py ADDRESS [--no-jobs]

Some make a new connection for each request, some keep theirs, one dispatches jobs. They begin when the address takes
connections, which a line says. TERM ends them; then one line of JSON says what was sent and what failed. To be run where the
address of a Service is reachable: in the network namespace of a node.
"""

import json
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests/zero_loss"))

from clients import Clients  # noqa: E402

FRESH, KEPT = 4, 4
PAUSE = 0.03  # between two requests of a client
REQUESTS = {"/": "hits", "/up": "sqlite", "/slow?ms=20": "slept_ms", "/slow?ms=300": "slept_ms"}
EVERY = 0.5  # a job
JOBS = [1.0, 2.0, 3.0]  # how long it takes


class Load(Clients):
    def __init__(self, host, port):
        super().__init__(host, port, 30, REQUESTS)
        self.over = threading.Event()

    def goes_on(self):
        return not self.over.wait(PAUSE * random.uniform(0.5, 1.5))

    def dispatch_all(self):
        turn = 0
        while not self.over.wait(EVERY):
            turn += 1
            self.dispatch(JOBS[turn % len(JOBS)])

    def run(self, jobs):
        work = [lambda: self.fresh(self.goes_on)] * FRESH + [lambda: self.kept(self.goes_on)] * KEPT
        if jobs:
            work.append(self.dispatch_all)
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def told(self):
        return {
            "sent": len(self.sent),
            "dispatched": self.dispatched,
            "closed_by_answer": self.closed_by_answer,
            "closed_between": self.closed_between,
            "failures": [f"{sent:.3f} {what}" for sent, what in self.failures],
        }


def wait_open(address, seconds):
    """Pods are ready a moment before the proxy of the node knows of them."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(address, timeout=seconds).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                sys.exit(f"{address} takes no connections within {seconds} s: {error}")
            time.sleep(0.1)


def main():
    host, _, port = sys.argv[1].partition(":")
    load = Load(host, int(port or 80))
    signal.signal(signal.SIGTERM, lambda *_: load.over.set())
    wait_open(load.address, 30)
    print("begun", flush=True)
    load.run(jobs=sys.argv[2:] != ["--no-jobs"])
    print(json.dumps(load.told()), flush=True)


if __name__ == "__main__":
    main()
