"""Clients of the Laravel example that never send anything twice.

A request has failed when it was not answered with the status and the JSON that belong to it, whole. A client that keeps its
connection looks, before it sends, whether the other side has closed it, and takes a new one then, as every HTTP client does.
"""

import http.client
import json
import random
import select
import threading
import time


class Clients:
    """What all clients of one server saw. Each method is a client's work, to be run in a thread of its own."""

    def __init__(self, host, port, timeout, requests):
        self.address = (host, port)
        self.timeout = timeout
        self.requests = requests  # path -> a key of the JSON that belongs to it
        self.lock = threading.Lock()
        self.sent = []  # when each request was sent
        self.failures = []  # (when it was sent, what it was)
        self.dispatched = 0
        self.closed_by_answer = 0
        self.closed_between = 0

    def connection(self):
        return http.client.HTTPConnection(*self.address, timeout=self.timeout)

    def exchange(self, connection, method, path, status, key, close):
        """One request and its answer. Whether the connection may be used again."""
        sent = time.time()
        headers = {"Connection": "close"} if close else {}
        try:
            # With a body where it may have one: it must survive nginx's way through another location.
            body = b"x" * 512 if method == "POST" else None
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            text = response.read()
            good = response.status == status and key in json.loads(text)
            problem = None if good else f"{response.status} {text[:200]!r}"
            kept = not response.will_close
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem, kept = f"{type(error).__name__}: {error}", False
        with self.lock:
            self.sent.append(sent)
            if problem:
                self.failures.append((sent, f"{method} {path} after {time.time() - sent:.3f} s: {problem}"))
            elif method == "POST":
                self.dispatched += 1
        return kept and not problem

    def once(self, method, path, status, key):
        """A request over a connection of its own."""
        connection = self.connection()
        self.exchange(connection, method, path, status, key, close=True)
        connection.close()

    def dispatch(self, seconds):
        """A job that takes so long."""
        self.once("POST", f"/jobs?seconds={seconds}", 202, "dispatched")

    def fresh(self, goes_on):
        """A new connection for each request, as long as `goes_on()`, which waits in between."""
        while goes_on():
            path, key = random.choice(list(self.requests.items()))
            self.once("GET", path, 200, key)

    def kept(self, goes_on, left_open=lambda sent: None):
        """The same over a connection that is kept; `left_open` is told when a request was sent whose answer kept it open."""
        connection = self.connection()
        while goes_on():
            path, key = random.choice(list(self.requests.items()))
            if connection.sock and select.select([connection.sock], [], [], 0)[0]:
                # Nothing was asked, so this is its end.
                with self.lock:
                    self.closed_between += 1
                connection.close()
            was_open = connection.sock is not None
            sent = time.time()
            if self.exchange(connection, "GET", path, 200, key, close=False):
                left_open(sent)
            else:
                with self.lock:
                    self.closed_by_answer += was_open and connection.sock is None
                connection.close()
        connection.close()
