"""A data plane killed at every named point of its writing paths: what it acknowledged is there and
hashes right, nothing torn can be seen, what a dead process left is swept, and the same content can
be pushed again. Needs a build with -DFAILPOINTS=ON."""

import hashlib
import json
import os
import subprocess
import time

import pytest
import requests

from support.dataplane import (BUILD, CONFIG, INDEX, LAYER, MANIFEST, DataPlane, descriptor, running,
                               sha256)
from support.imports import ALLOW, ask, end, same, signed_in

PROGRAM = os.path.join(BUILD, "dataplane", "portolan-dataplane")


def every_point():
    """The points of the program; none when it was built without them."""
    if not os.path.exists(PROGRAM):
        return []
    try:
        shown = subprocess.run([PROGRAM], env={**os.environ, "PORTOLAN_FAILPOINTS": "list"},
                               capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return []
    return sorted(set(shown.stdout.split())) if shown.returncode == 0 else []


EVERY = every_point()
# Those of imports have a workload of their own; an import also passes those of the store.
POINTS = [p for p in EVERY if not p.startswith("import.")]
IMPORTING = [p for p in EVERY if p.startswith(("import.", "blob.", "publish.", "mount.", "manifest."))
             and p not in ("blob.after_shard", "blob.before_remove", "blob.after_remove")]
pytestmark = pytest.mark.skipif(not POINTS, reason="the data plane is built without failpoints")


@pytest.fixture(scope="module")
def plane():
    it = DataPlane()
    try:
        yield it
    finally:
        it.close()


class Died(Exception):
    pass


class History:
    """What a client was told, and whether that still holds."""

    def __init__(self, plane, repository):
        self.plane, self.repository = plane, repository
        self.blobs, self.tags, self.manifests = {}, {}, {}
        self.session = self.damaged = None
        self.unknown = set()  # references whose last request got no answer

    def call(self, method, path, **more):
        try:
            return self.plane.call(method, f"/v2/{self.repository}/{path}", **more)
        except requests.RequestException as e:
            raise Died from e

    def done(self, reply, status):
        if reply.status_code >= 500:
            raise Died(reply.text)
        assert reply.status_code == status, reply.text
        return reply

    def push_blob(self, data):
        location = self.done(self.call("POST", "blobs/uploads/"), 202).headers["Location"]
        self.session = location
        try:
            self.done(self.plane.call("PATCH", location, data=data[:len(data) // 2]), 202)
            self.done(self.plane.call("PUT", location, data=data[len(data) // 2:],
                                      params={"digest": sha256(data)}), 201)
        except requests.RequestException as e:
            raise Died from e
        self.blobs[sha256(data)] = data

    def push_image(self, tag, seed):
        config = json.dumps({"architecture": "amd64", "os": "linux", "seed": seed}).encode()
        layer = seed.encode() * 20000
        for data in (config, layer):
            self.push_blob(data)
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                           "config": descriptor(config, CONFIG),
                           "layers": [descriptor(layer, LAYER)]}).encode()
        self.unknown.add(tag)
        self.done(self.call("PUT", f"manifests/{tag}", data=body,
                            headers={"Content-Type": MANIFEST}), 201)
        self.unknown.discard(tag)
        self.manifests[sha256(body)] = self.tags[tag] = body
        return sha256(body)

    def delete(self, reference, status=202):
        gone = [t for t, body in self.tags.items() if reference in (t, sha256(body))]
        self.unknown.update([reference, *gone])
        for tag in gone:
            del self.tags[tag]
        self.manifests.pop(reference, None)
        self.done(self.call("DELETE", f"manifests/{reference}"), status)
        self.unknown -= {reference, *gone}

    def forget_unused(self):
        used = b"".join(self.manifests.values()).decode()
        self.blobs = {d: data for d, data in self.blobs.items() if d in used}

    def check(self):
        """Everything acknowledged is there; whatever is there is whole."""
        for digest, data in self.blobs.items():
            got = self.call("GET", f"blobs/{digest}")
            assert got.status_code == 200 and got.content == data, (digest, got.status_code)
        for tag, body in self.tags.items():
            got = self.call("GET", f"manifests/{tag}")
            if tag not in self.unknown:
                assert got.status_code == 200 and got.content == body, (tag, got.text)
        for digest, body in self.manifests.items():
            assert self.call("GET", f"manifests/{digest}").content == body
        listed = self.call("GET", "tags/list")
        for tag in (listed.json()["tags"] or []) if listed.status_code == 200 else []:
            self.check_whole(tag)

    def check_whole(self, reference):
        got = self.call("GET", f"manifests/{reference}")
        assert got.status_code == 200, got.text
        assert sha256(got.content) == got.headers["Docker-Content-Digest"]
        for d in [got.json()["config"], *got.json()["layers"]]:
            blob = self.call("GET", f"blobs/{d['digest']}")
            assert blob.status_code == 200 and len(blob.content) == d["size"]
            assert sha256(blob.content) == d["digest"]


def files_below(path):
    return sorted(f for _, _, names in os.walk(path) for f in names)


def stored_is_named(plane):
    """Every content file has its row, and every row that a repository has its file. A kill in the
    collector may leave a row without either, which its next review takes."""
    rows = plane.pg.sql("select encode(substr(digest, 2), 'hex') from blobs").split()
    linked = plane.pg.sql("select distinct encode(substr(digest, 2), 'hex') from blobs b join "
                          "repository_blobs on blob_id = b.id where quarantined_at is null").split()
    files = set(files_below(os.path.join(plane.blobs, "blobs")))
    return set(linked) <= files <= set(rows)


def eventually(check, timeout=20):
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.05)


def workload(plane, history, other, seed):
    """Every writing path once, small."""
    first = history.push_image("one", seed + "one")
    second = history.push_image("two", seed + "two")
    blob = next(iter(history.blobs))
    try:
        mounted = plane.call("POST", f"/v2/{other}/blobs/uploads/",
                             params={"mount": blob, "from": history.repository})
    except requests.RequestException as e:
        raise Died from e
    history.done(mounted, 201)
    history.push_image("two", seed + "three")  # the tag moves
    history.delete("one")                      # untag
    lost = {k: v for k, v in history.blobs.items() if v in (
        (seed + "one").encode() * 20000,)}
    for digest in lost:
        del history.blobs[digest]
    history.blobs = {k: v for k, v in history.blobs.items() if b"one" not in v}
    history.delete(first)
    loose = (seed + "loose").encode()
    history.push_blob(loose)
    del history.blobs[sha256(loose)]
    history.done(history.call("DELETE", f"blobs/{sha256(loose)}"), 202)
    gone = History(plane, other)
    gone.push_image("whole", seed + "gone")
    try:
        history.done(plane.call("DELETE", f"/acr/v1/{other}"), 202)
    except requests.RequestException as e:
        raise Died from e
    return second


COLLECTING = ("collect.", "blob.before_remove", "blob.after_remove")


def start(plane, armed=None):
    """Collection comes soon only where it is what is tested: it takes what a workload that was cut
    short had not come to use."""
    plane.environment = {"PORTOLAN_FAILPOINTS": armed} if armed else {}
    soon = armed and armed.startswith(COLLECTING)
    plane.options = ["--walk-delay", "0", "--collect-delay", "2" if soon else "3600",
                     "--aside-keep", "0" if armed and armed.startswith("walk.") else "3600", *ALLOW]
    plane.start()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(plane, point):
    """The process dies at the point; the next one serves all that was acknowledged."""
    number = POINTS.index(point)
    seed = f"{number}-{point}-"
    if point.startswith("sweep."):
        # Something to sweep: an upload that a kill leaves behind.
        start(plane)
        begun = plane.call("POST", "/v2/sweep/me/blobs/uploads/")
        plane.call("PATCH", begun.headers["Location"], data=b"left behind")
        plane.kill()
        with pytest.raises(AssertionError):
            start(plane, f"{point}=crash")
        assert plane.process.wait(20) == -9
        history = None
    elif point.startswith(("walk.", "scrub.")):
        history = background(plane, point, seed)
    else:
        start(plane, f"{point}=crash")
        history = History(plane, f"kill/p{number}")
        try:
            workload(plane, history, f"kill/other{number}", seed)
        except Died:
            pass
        assert plane.process.wait(20) == -9, f"{point} was never reached"
    start(plane)
    try:
        if history and history.damaged:
            # Quarantined, then healed by a push.
            eventually(lambda: history.call("GET", f"blobs/{sha256(history.damaged)}")
                       .status_code == 404)
            history.push_blob(history.damaged)
            assert os.listdir(os.path.join(plane.blobs, "aside"))
        if history:
            if point.startswith(COLLECTING):
                history.forget_unused()
            history.check()
            assert not history.session or history.damaged or \
                plane.call("GET", history.session).status_code == 404
        eventually(lambda: not os.listdir(os.path.join(plane.blobs, "tmp")))
        eventually(lambda: stored_is_named(plane))
        again = History(plane, f"kill/p{number}")
        workload(plane, again, f"kill/other{number}", seed)
        again.check()
    finally:
        plane.stop()


def background(plane, point, seed):
    """Points of background checks: an orphan for the walk, a damaged file for the scrubber."""
    start(plane)
    history = History(plane, "kill/" + point.replace(".", "-").replace("_", "-"))
    history.push_image("kept", seed + "kept")
    damaged = (seed + "kept").encode() * 20000
    plane.stop()
    path = os.path.join(plane.blobs, "blobs", "sha256", sha256(damaged)[7:9], sha256(damaged)[7:])
    if point.startswith("walk."):
        orphan = hashlib.sha256(seed.encode()).hexdigest()
        folder = os.path.join(plane.blobs, "blobs", "sha256", orphan[:2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, orphan), "wb") as f:
            f.write(b"nobody names this")
        os.makedirs(os.path.join(plane.blobs, "aside"), exist_ok=True)
        with open(os.path.join(plane.blobs, "aside", f"{orphan}.old"), "wb") as f:
            f.write(b"found damaged long ago")
    else:
        history.damaged = damaged
        with open(path, "r+b") as f:
            f.seek(5000)
            byte = f.read(1)
            f.seek(5000)
            f.write(bytes([byte[0] ^ 1]))
        plane.pg.sql("delete from registry_upkeep")
    try:
        start(plane, f"{point}=crash")
    except AssertionError:
        pass  # it may die before it is ready
    assert plane.process.wait(30) == -9, f"{point} was never reached"
    return history


@pytest.mark.parametrize("point", [p for p in POINTS if not p.startswith(
    ("sweep.", "walk.", "scrub.", *COLLECTING))])
def test_failing_at(plane, point):
    """A step fails once: the request says so, nothing is lost, the next try succeeds."""
    number = POINTS.index(point)
    start(plane, f"{point}=error:times=1:errno=28")
    try:
        history = History(plane, f"fail/p{number}")
        try:
            workload(plane, history, f"fail/other{number}", f"e{number}-{point}-")
            failed = False
        except Died as e:
            failed = "NO_SPACE" in str(e)
        assert failed, f"{point} did not fail a request"
        history.check()
        again = History(plane, f"fail/p{number}")
        workload(plane, again, f"fail/other{number}", f"e{number}-{point}-")
        again.check()
    finally:
        plane.stop()


def test_two_pushers_at_one_digest(plane):
    """The same content twice at once, held up between its steps."""
    import concurrent.futures
    start(plane, "blob.after_rename=delay:ms=200,publish.before_commit=delay:ms=200")
    try:
        data = os.urandom(100000)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for pushed in [pool.submit(plane.push_blob, f"two/n{i}", data) for i in range(8)]:
                pushed.result()
        for i in range(8):
            assert plane.call("GET", f"/v2/two/n{i}/blobs/{sha256(data)}").content == data
        assert plane.pg.sql("select count(*) from blobs where digest = '\\x01" +
                            sha256(data)[7:] + "'") == "1"
    finally:
        plane.stop()


# --- imports --------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def source():
    with running() as it:
        yield it


def ask_for(plane, source, number, kind):
    """An index of two images into two repositories. Returns the import, and what it is to make."""
    repository = f"src/{kind}{number}"
    children = [source.push_image(repository, f"p{n}", f"{kind}{number}-{n}".encode() * 9000)
                for n in range(2)]
    reply, _ = source.push_manifest(repository, "all", {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            descriptor(c, MANIFEST, platform={"architecture": a, "os": "linux"})
            for c, a in zip(children, ("amd64", "arm64"))]}, INDEX)
    assert reply.status_code == 201, reply.text
    targets = [f"in/{kind}{number}", f"also/{kind}{number}"]
    try:
        made = ask(plane, source.url, f"{repository}:all", [f"{t}:v1" for t in targets],
                   secret=signed_in(source), force=True)
    except requests.RequestException:  # it was asked for before the process died
        made = plane.pg.sql("select id from imports order by created_at desc limit 1")
    return made, repository, targets


def only_whole_images(plane, targets):
    """A tag that is there leads to an image with all its parts."""
    for target in targets:
        got = plane.call("GET", f"/v2/{target}/manifests/v1")
        for child in got.json()["manifests"] if got.status_code == 200 else []:
            there = plane.call("GET", f"/v2/{target}/manifests/{child['digest']}")
            assert there.status_code == 200 and sha256(there.content) == child["digest"]
            for part in [there.json()["config"], *there.json()["layers"]]:
                blob = plane.call("GET", f"/v2/{target}/blobs/{part['digest']}")
                assert sha256(blob.content) == part["digest"]


@pytest.mark.parametrize("point", IMPORTING)
def test_killed_at_while_importing(plane, source, point):
    """The next process takes the import up where the lease ends, and carries it out as a whole."""
    number = IMPORTING.index(point)
    start(plane, f"{point}=crash")
    made, repository, targets = ask_for(plane, source, number, "kill")
    assert plane.process.wait(30) == -9, f"{point} was never reached"
    start(plane)
    try:
        only_whole_images(plane, targets)
        plane.pg.sql("update imports set lease_until = now() where ended_at is null; "
                     "update registries set generation = generation + 1")
        plane.call("GET", "/v2/")
        assert end(plane, made) is None
        for target in targets:
            assert same(plane, source, repository, "all", target, "v1")
        eventually(lambda: not os.listdir(os.path.join(plane.blobs, "tmp")))
        eventually(lambda: stored_is_named(plane))
    finally:
        plane.stop()


@pytest.mark.parametrize("point", IMPORTING)
def test_failing_at_while_importing(plane, source, point):
    """A step fails once: the import tells so, or is done all the same by another try."""
    number = IMPORTING.index(point)
    start(plane, f"{point}=error:times=1:errno=28")
    try:
        made, repository, targets = ask_for(plane, source, number, "fail")
        if point == "import.after_claim" or point == "import.before_end":  # the lease runs out
            eventually(lambda: plane.pg.sql(f"select attempts from imports where id = '{made}' and "
                                            "lease_owner is not null and ended_at is null") == "1")
            time.sleep(0.5)
            plane.pg.sql("update imports set lease_until = now() where ended_at is null")
        failure = end(plane, made)
        assert failure is None or failure["code"] == "InsufficientStorage", failure
        only_whole_images(plane, targets)
        if failure:
            made = ask(plane, source.url, f"{repository}:all", [f"{t}:v1" for t in targets],
                       secret=signed_in(source), force=True)
            assert end(plane, made) is None
        for target in targets:
            assert same(plane, source, repository, "all", target, "v1")
        eventually(lambda: not os.listdir(os.path.join(plane.blobs, "tmp")))
        eventually(lambda: stored_is_named(plane))
    finally:
        plane.stop()
