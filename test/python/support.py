"""What every test needs: the proxy's address, the simulators behind it, and how to tell them what to do."""

import json
import os
import time
import unittest
import urllib.request

URL = os.environ["MODELROUTE_URL"]
KEY = "sk-of-the-caller"


def until(condition, what):
    """Waits for a condition, never for time."""
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited 5 s in vain: {what}")
        time.sleep(0.01)


class Upstream:
    """A simulator, by its remote control (simulator/control.ts)."""

    def __init__(self, origin):
        self.origin = origin

    def _call(self, method, path="", body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.origin}/control{path}", data, method=method)
        ) as answer:
            return json.load(answer)

    def behave(self, do, **fields):
        """All requests from now on, or the next `times`, get this (simulator/behaviour.ts)."""
        self._call("POST", "/behaviour", {"do": do, **fields})

    def say(self, *tokens):
        self.behave("answer", text=list(tokens))

    def reset(self):
        self._call("DELETE", "/behaviour")
        self._call("DELETE", "/requests")

    def requests(self):
        return self._call("GET", "/requests")["requests"]

    def active(self):
        return self._call("GET")["activeRequests"]

    def received(self):
        """The only request that came."""
        requests = self.requests()
        assert len(requests) == 1, f"{len(requests)} requests came, not one: {[each['path'] for each in requests]}"
        return requests[0]

    def until_left(self):
        """The caller of the only request has left before its end."""
        until(lambda: self.received()["callerLeft"], "the backend has stopped")


UPSTREAMS = {name: Upstream(origin) for name, origin in json.loads(os.environ["UPSTREAMS"]).items()}


class ClientTest(unittest.TestCase):
    """Each test starts with simulators that answer properly and were asked nothing, and leaves nothing running."""

    def setUp(self):
        for upstream in UPSTREAMS.values():
            upstream.reset()
        self.addCleanup(self.nothing_runs)

    def nothing_runs(self):
        for name, upstream in UPSTREAMS.items():
            until(lambda: upstream.active() == 0, f"nothing runs at {name}")

    def assert_body(self, upstream, **expected):
        """The only request that came had these fields, among others."""
        body = upstream.received()["body"]
        self.assertEqual({name: body.get(name) for name in expected}, expected)

    def assert_no_credential(self, upstream):
        for request in upstream.requests():
            self.assertNotIn(KEY, json.dumps(request))
