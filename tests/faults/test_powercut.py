"""Power cuts in the middle of pushes, deletes and collection: the process is killed, and everything
below its blob store that it had not synced is undone. Whatever it had acknowledged is there and whole
after the next start. That the model bites is tested too: where folders count as never synced, what
was acknowledged is lost."""

import concurrent.futures
import os
import random
import threading
import time

import pytest
import requests

from support.dataplane import DataPlane, sha256
from support.powercut import PowerCut

CUTS, PUSHERS = int(os.environ.get("PORTOLAN_CUTS", "5")), 8


@pytest.fixture
def plane():
    it = DataPlane("--walk-delay", "0", "--collect-delay", "2")
    os.makedirs(it.blobs)
    os.makedirs(it.path("cut"))
    it.power = PowerCut(it.blobs, it.path("cut"))
    try:
        yield it
    finally:
        it.close()


def eventually(check, timeout=60):
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.02)


class Client:
    """Pushes images to a repository of its own and deletes some, until the power goes."""

    def __init__(self, plane, number):
        self.plane, self.random = plane, random.Random(number)
        self.repository, self.count = f"power/p{number}", 0
        self.tags = {}

    def run(self, stop):
        while not stop.is_set():
            tag = f"t{self.count}"
            self.count += 1
            try:
                body = self.plane.push_image(self.repository, tag,
                                             self.random.randbytes(self.random.randrange(200000)))
                self.tags[tag] = body
                if self.random.random() < 0.3:
                    self.delete(self.random.choice(sorted(self.tags)))
            except (AssertionError, requests.RequestException):
                pass  # the power is gone, or the collector was quicker than the push

    def delete(self, tag):
        body = self.tags.pop(tag)  # from here on either outcome is right
        self.plane.call("DELETE", f"/v2/{self.repository}/manifests/{sha256(body)}")

    def check(self):
        for tag, body in self.tags.items():
            got = self.plane.call("GET", f"/v2/{self.repository}/manifests/{tag}")
            assert got.status_code == 200 and got.content == body, (tag, got.text)
            for d in [got.json()["config"], *got.json()["layers"]]:
                blob = self.plane.call("GET", f"/v2/{self.repository}/blobs/{d['digest']}")
                assert blob.status_code == 200, (d["digest"], blob.text)
                assert sha256(blob.content) == d["digest"]


def run_until_cut(plane, clients, **environment):
    plane.environment = plane.power.environment(**environment)
    plane.start()
    before, stop = sum(len(c.tags) for c in clients), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(PUSHERS) as pool:
        running = [pool.submit(c.run, stop) for c in clients]
        try:
            eventually(lambda: sum(len(c.tags) for c in clients) > before + 10)
            time.sleep(random.random() / 5)
        finally:
            plane.kill()
            stop.set()
        for each in running:
            each.result()
    return plane.power.cut()


def test_what_is_acknowledged_is_durable(plane):
    clients = [Client(plane, n) for n in range(PUSHERS)]
    undone = 0
    for _ in range(CUTS):
        undone += run_until_cut(plane, clients)
        plane.environment = plane.power.environment()
        plane.start()
        for client in clients:
            client.check()
        plane.stop()
        plane.power.cut()
    assert undone > 0, "the power was never cut in the middle of anything"
    plane.environment = {}
    plane.start()
    named = "select encode(substr(digest, 2), 'hex') from blobs"
    eventually(lambda: {f for _, _, names in os.walk(os.path.join(plane.blobs, "blobs"))
                        for f in names} == set(plane.pg.sql(named).split()))
    assert plane.pg.sql("select count(*) from blobs where quarantined_at is not null") == "0"


def test_the_model_bites(plane):
    clients = [Client(plane, n) for n in range(PUSHERS)]
    assert run_until_cut(plane, clients, POWERCUT_FORGETS_FOLDERS="1") > 0
    plane.environment = {}
    plane.start()
    with pytest.raises(AssertionError):
        for client in clients:
            client.check()
