"""The regional database fails over: a synchronous streaming standby takes over from a primary that is
killed while sixteen clients push. Pulls go on from what is known, pushes get 503 with a time to come
back, nothing acknowledged is lost, nothing torn is visible, and it recovers by itself."""

import concurrent.futures
import json
import os
import subprocess
import threading
import time

import pytest
import requests

from support.dataplane import INDEX, DataPlane, Postgres, sha256

STANDBY = "standby"
NOTHING = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()


class Standby(Postgres):
    """A streaming copy of another cluster on this machine, in a directory beside it."""

    def __init__(self, primary, base):
        self.data, self.run = os.path.join(base, "pg2"), os.path.join(base, "run2")
        self.as_user = primary.as_user
        for path in (self.data, self.run):
            subprocess.run([*self.as_user, "mkdir", "-m", "700", path], check=True)
        link = f"host={primary.run} user=portolan application_name={STANDBY}"
        self.tool("pg_basebackup", "-d", link, "-D", self.data, "-c", "fast", "-X", "stream", "-R")
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.write(f"unix_socket_directories = '{self.run}'\n")
        os.chmod(self.run, 0o755)
        self.start()

    def promote(self):
        # The name in synchronous_standby_names is nobody's here any more.
        self.sql("alter system set synchronous_standby_names = ''", "postgres")
        self.tool("pg_ctl", "-D", self.data, "-w", "-s", "promote")


def eventually(check, timeout=30):
    deadline = time.monotonic() + timeout
    while not (got := check()):
        assert time.monotonic() < deadline, check
        time.sleep(0.05)
    return got


@pytest.fixture
def plane():
    it = DataPlane("--walk-delay", "0")
    standby = None
    try:
        os.chmod(it.base, 0o777)  # the database's user makes directories of its own here
        standby = Standby(it.pg, it.base)
        it.pg.sql(f"alter system set synchronous_standby_names = '{STANDBY}'", "postgres")
        it.pg.sql("select pg_reload_conf()", "postgres")
        eventually(lambda: it.pg.sql("select sync_state from pg_stat_replication") == "sync")
        it.standby = standby
        first, second = it.pg.run, standby.run
        it.pg.url = lambda name: (f"postgresql:///{name}?host={first},{second}&user=portolan"
                                  "&target_session_attrs=read-write&connect_timeout=2")
        yield it.start()
    finally:
        if it.process and it.process.poll() is None:
            it.stop()
        if standby:
            standby.stop("immediate")
        if not os.path.exists(os.path.join(it.pg.data, "postmaster.pid")):
            it.pg.start()
        it.close()


def is_whole(plane, repository, tag):
    manifest = plane.call("GET", f"/v2/{repository}/manifests/{tag}")
    assert manifest.status_code == 200, (repository, tag, manifest.text)
    assert sha256(manifest.content) == manifest.headers["Docker-Content-Digest"]
    body = manifest.json()
    for d in [body["config"], *body["layers"]]:
        blob = plane.call("GET", f"/v2/{repository}/blobs/{d['digest']}")
        assert blob.status_code == 200 and sha256(blob.content) == d["digest"]
    return True


class Pushers:
    """Clients that push until they are told to stop, and what they were told."""

    def __init__(self, plane):
        self.plane, self.stop = plane, threading.Event()
        self.acknowledged, self.refused = [], []

    def push(self, worker):
        count = 0
        while not self.stop.is_set():
            repository, tag = f"over/w{worker}", f"t{count}"
            count += 1
            try:
                self.plane.push_image(repository, tag, f"{repository}:{tag}".encode())
                self.acknowledged.append((repository, tag))
            except (AssertionError, requests.RequestException) as e:
                self.refused.append(str(e))
                time.sleep(0.05)


def test_failover(plane):
    plane.push_image("over/before", "v1", b"before")
    assert is_whole(plane, "over/before", "v1")  # known from here on
    pushers = Pushers(plane)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        running = [pool.submit(pushers.push, n) for n in range(16)]
        try:
            eventually(lambda: len(pushers.acknowledged) >= 30, 60)
            plane.pg.stop("immediate")  # in the middle of whatever is under way
            assert is_whole(plane, "over/before", "v1")
            told = eventually(lambda: (r := plane.call(
                "PUT", "/v2/over/before/manifests/refused", data=NOTHING,
                headers={"Content-Type": INDEX})).status_code == 503 and r.headers)
            assert int(told["Retry-After"]) >= 1
            before = len(pushers.acknowledged)
            plane.standby.promote()
            eventually(lambda: len(pushers.acknowledged) >= before + 30, 60)
        finally:
            pushers.stop.set()
        for each in running:
            each.result()
    assert pushers.refused, "nobody noticed"
    for repository, tag in pushers.acknowledged:
        assert is_whole(plane, repository, tag)
    for repository in {r for r, _ in pushers.acknowledged}:
        for tag in plane.call("GET", f"/v2/{repository}/tags/list?n=1000").json()["tags"]:
            assert is_whole(plane, repository, tag)
    counted = plane.standby.sql(
        "select (select coalesce(sum(bytes), 0) from registry_usage) = "
        "(select coalesce(sum(size), 0) from blobs) + "
        "(select coalesce(sum(octet_length(payload)), 0) from manifests)")
    assert counted == "t"
    plane.stop()
    plane.start()  # walks at once
    folder = os.path.join(plane.blobs, "blobs")
    eventually(lambda: {f for _, _, names in os.walk(folder) for f in names} == set(
        plane.standby.sql("select encode(substr(digest, 2), 'hex') from blobs").split()))
