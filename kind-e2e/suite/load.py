#!/usr/bin/env python3
"""Clients of the Laravel example that never send anything twice: load.py ADDRESS

Some make a new connection for each request, some keep theirs, one dispatches jobs. TERM ends them; then one line of JSON says
what was sent and what failed. A request has failed when its answer was not whole, with the status and the JSON that belong
to it. A client that keeps a connection looks, before it sends, whether the other side has closed it, as every client does.

To be run where the address of a Service is reachable: in the network namespace of a node.
"""

import http.client
import json
import random
import select
import signal
import sys
import threading
import time

FRESH, KEPT = 4, 4
PAUSE = 0.03  # between two requests of a client
REQUESTS = {"/": "hits", "/up": "sqlite", "/slow?ms=20": "slept_ms", "/slow?ms=300": "slept_ms"}
EVERY = 0.5  # a job
JOBS = [1.0, 2.0, 3.0]  # how long it takes


class Load:
    def __init__(self, host, port):
        self.address = (host, port)
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.told = {"sent": 0, "dispatched": 0, "closed_by_answer": 0, "closed_between": 0, "failures": []}

    def connection(self):
        return http.client.HTTPConnection(*self.address, timeout=30)

    def count(self, what):
        with self.lock:
            self.told[what] += 1

    def exchange(self, connection, method, path, status, key, close):
        """One request and its answer. Whether the connection may be used again."""
        sent = time.time()
        try:
            body = b"x" * 512 if method == "POST" else None
            connection.request(method, path, body, {"Connection": "close"} if close else {})
            response = connection.getresponse()
            text = response.read()
            good = response.status == status and key in json.loads(text)
            problem = None if good else f"{response.status} {text[:200]!r}"
            kept = not response.will_close
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem, kept = f"{type(error).__name__}: {error}", False
        with self.lock:
            self.told["sent"] += 1
            if problem:
                self.told["failures"].append(f"{sent:.3f} {method} {path} after {time.time() - sent:.3f} s: {problem}")
            elif method == "POST":
                self.told["dispatched"] += 1
        return kept and not problem

    def fresh(self):
        while not self.over.wait(PAUSE * random.uniform(0.5, 1.5)):
            path, key = random.choice(list(REQUESTS.items()))
            connection = self.connection()
            self.exchange(connection, "GET", path, 200, key, close=True)
            connection.close()

    def kept(self):
        connection = self.connection()
        while not self.over.wait(PAUSE * random.uniform(0.5, 1.5)):
            path, key = random.choice(list(REQUESTS.items()))
            if connection.sock and select.select([connection.sock], [], [], 0)[0]:
                # Nothing was asked, so this is its end.
                self.count("closed_between")
                connection.close()
            was_open = connection.sock is not None
            if not self.exchange(connection, "GET", path, 200, key, close=False):
                if was_open and connection.sock is None:
                    self.count("closed_by_answer")
                connection.close()
        connection.close()

    def dispatch(self):
        turn = 0
        while not self.over.wait(EVERY):
            turn += 1
            connection = self.connection()
            self.exchange(connection, "POST", f"/jobs?seconds={JOBS[turn % len(JOBS)]}", 202, "dispatched", close=True)
            connection.close()

    def run(self):
        work = [self.fresh] * FRESH + [self.kept] * KEPT + [self.dispatch]
        threads = [threading.Thread(target=one) for one in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main():
    host, _, port = sys.argv[1].partition(":")
    load = Load(host, int(port or 80))
    signal.signal(signal.SIGTERM, lambda *_: load.over.set())
    load.run()
    print(json.dumps(load.told), flush=True)


if __name__ == "__main__":
    main()
