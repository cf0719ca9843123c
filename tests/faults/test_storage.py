"""Disks that fill up or fail, and a database that goes away: pulls go on, pushes are refused with a
time to come back, nothing acknowledged is lost, and it recovers by itself."""

import concurrent.futures
import os
import shutil
import subprocess
import threading
import time

import pytest
import requests

from support.dataplane import DataPlane, sha256

MOUNT_BYTES = 8 * 1024 * 1024


@pytest.fixture
def plane():
    it = DataPlane("--walk-delay", "0")
    try:
        yield it
    finally:
        it.close()


def eventually(check, timeout=20):
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.05)


def try_push(plane, repository, data):
    """The reply that ended the push: 201, or the refusal."""
    begun = plane.call("POST", f"/v2/{repository}/blobs/uploads/")
    if begun.status_code != 202:
        return begun
    return plane.call("PUT", begun.headers["Location"], params={"digest": sha256(data)}, data=data)


def is_whole(plane, repository, tag):
    manifest = plane.call("GET", f"/v2/{repository}/manifests/{tag}")
    assert manifest.status_code == 200, manifest.text
    assert sha256(manifest.content) == manifest.headers["Docker-Content-Digest"]
    body = manifest.json()
    for d in [body["config"], *body["layers"]]:
        blob = plane.call("GET", f"/v2/{repository}/blobs/{d['digest']}")
        assert blob.status_code == 200 and sha256(blob.content) == d["digest"]
    return True


def files_below(path):
    return [os.path.join(d, f) for d, _, names in os.walk(path) for f in names]


# --- the disk ------------------------------------------------------------------------------------

@pytest.fixture
def small_disk(plane):
    """The blob store on a file system of 8 MiB of its own."""
    os.makedirs(plane.blobs)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MOUNT_BYTES},mode=0700", "tmpfs",
                           plane.blobs], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        yield plane.start()
    finally:
        if plane.process.poll() is None:
            plane.stop()
        subprocess.run(["umount", plane.blobs], check=True)


def test_full_disk(small_disk):
    plane = small_disk
    plane.push_image("full/disk", "before", b"before")
    kept = os.urandom(1024 * 1024)
    plane.push_blob("full/disk", kept)
    refused = try_push(plane, "full/disk", os.urandom(MOUNT_BYTES))
    assert refused.status_code == 507 and int(refused.headers["Retry-After"]) >= 1
    assert refused.json()["errors"][0]["code"] == "NO_SPACE"
    assert "/" not in refused.json()["errors"][0]["message"], "no path for clients"
    eventually(lambda: not os.listdir(os.path.join(plane.blobs, "tmp")))

    # Full to the last page by somebody else: pulls and deletes go on.
    hog = os.path.join(plane.blobs, "hog")
    with open(hog, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass
    assert is_whole(plane, "full/disk", "before")
    assert plane.call("GET", f"/v2/full/disk/blobs/{sha256(kept)}").content == kept
    small = try_push(plane, "full/disk", os.urandom(200000))
    assert small.status_code == 507
    assert plane.call("DELETE", f"/v2/full/disk/blobs/{sha256(kept)}").status_code == 202
    os.unlink(hog)
    data = os.urandom(200000)
    assert try_push(plane, "full/disk", data).status_code == 201
    assert plane.call("GET", f"/v2/full/disk/blobs/{sha256(data)}").content == data


def new_folder(plane):
    """Content whose digest begins as that of nothing stored yet."""
    while True:
        data = os.urandom(300000)
        if not os.path.exists(os.path.dirname(content_file(plane, sha256(data)))):
            return data


# The file, the folder of folders when a folder is new, the folder.
@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_fsync_fails(plane, which):
    """The upload whose fsync failed fails and its file is dropped; no fsync of it is tried again,
    because a second one may succeed without the bytes being there."""
    plane.start()
    plane.push_image("bad/disk", "before", b"before")
    trace = plane.path("trace")
    tracer = subprocess.Popen(["strace", "-f", "-q", "-e", "trace=fsync", "-e",
                               f"inject=fsync:error=EIO:when={which}", "-o", trace, "-p",
                               str(plane.process.pid)], stderr=subprocess.PIPE)
    try:
        eventually(lambda: "TracerPid:\t0" not in open(f"/proc/{plane.process.pid}/status").read())
        time.sleep(0.3)  # threads are attached one by one
        data = new_folder(plane)
        refused = try_push(plane, "bad/disk", data)
        assert refused.status_code == 503, refused.text
        assert int(refused.headers["Retry-After"]) >= 1
        assert is_whole(plane, "bad/disk", "before")
        assert plane.call("HEAD", f"/v2/bad/disk/blobs/{sha256(data)}").status_code == 404
        assert not os.listdir(os.path.join(plane.blobs, "tmp"))
        with open(trace) as lines:
            syncs = [line for line in lines if "fsync(" in line]
        assert len(syncs) == which and "EIO" in syncs[-1], syncs
    finally:
        tracer.terminate()
        tracer.wait()
    assert is_whole(plane, "bad/disk", "before")
    assert try_push(plane, "bad/disk", data).status_code == 201
    assert plane.call("GET", f"/v2/bad/disk/blobs/{sha256(data)}").content == data


# --- the database --------------------------------------------------------------------------------

def test_database_stopped_and_started(plane):
    plane.start()
    plane.push_image("db/away", "v1", b"v1")
    assert is_whole(plane, "db/away", "v1")  # known from here on
    begun = plane.call("POST", "/v2/db/away/blobs/uploads/")
    plane.pg.stop("immediate")
    try:
        assert is_whole(plane, "db/away", "v1")
        data = os.urandom(100000)
        refused = plane.call("PUT", begun.headers["Location"], params={"digest": sha256(data)},
                             data=data)
        assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
        unknown = plane.call("GET", "/v2/db/away/manifests/never-asked-for")
        assert unknown.status_code == 503 and int(unknown.headers["Retry-After"]) >= 1
    finally:
        plane.pg.start()
    eventually(lambda: try_push(plane, "db/away", data).status_code == 201)
    plane.push_image("db/away", "v2", b"v2")
    assert is_whole(plane, "db/away", "v1") and is_whole(plane, "db/away", "v2")


def test_database_crashes_under_pushes(plane):
    """Sixteen pushers while the database crashes and comes back: whatever was acknowledged is
    there, whatever is there is whole, and no file is left without its row."""
    plane.start()
    acknowledged, stop = [], threading.Event()

    def push(worker):
        count = 0
        while not stop.is_set():
            tag = f"w{worker}-{count}"
            try:
                plane.push_image(f"crash/w{worker}", tag, tag.encode())
                acknowledged.append((f"crash/w{worker}", tag))
            except (AssertionError, requests.RequestException):
                time.sleep(0.05)
            count += 1

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        running = [pool.submit(push, i) for i in range(16)]
        try:
            for _ in range(3):
                before = len(acknowledged)
                eventually(lambda: len(acknowledged) >= before + 20, 60)
                plane.pg.stop("immediate")
                plane.pg.start()
            before = len(acknowledged)
            eventually(lambda: len(acknowledged) > before, 60)
        finally:
            stop.set()
        for each in running:
            each.result()
    for repository, tag in acknowledged:
        assert is_whole(plane, repository, tag)
    for repository in {r for r, _ in acknowledged}:
        for tag in plane.call("GET", f"/v2/{repository}/tags/list?n=1000").json()["tags"]:
            assert is_whole(plane, repository, tag)
    plane.stop()
    plane.start()  # walks at once
    named = set(plane.pg.sql("select encode(substr(digest, 2), 'hex') from blobs").split())
    eventually(lambda: {os.path.basename(f) for f in files_below(
        os.path.join(plane.blobs, "blobs"))} == named)


def test_commit_of_unknown_outcome(plane):
    """The connection breaks while COMMIT is under way: no 201 is given for what is not there."""
    plane.start()
    plane.push_image("tx/cut", "v1", b"v1")
    plane.pg.sql("create function slow() returns trigger language plpgsql as $$ begin "
                 "perform pg_sleep(1); return null; end $$; create constraint trigger slow after "
                 "insert on tags deferrable initially deferred for each row execute function slow()")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(lambda: plane.push_image("tx/cut", "v2", b"v2"))
        eventually(lambda: plane.pg.sql(
            "select count(*) from pg_stat_activity where query = 'COMMIT' and state = 'active' "
            "and application_name = 'portolan-dataplane'") == "1")
        plane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                     "where application_name = 'portolan-dataplane'")
        with pytest.raises(AssertionError, match="UNAVAILABLE"):
            pushed.result()
    plane.pg.sql("drop trigger slow on tags")
    there = plane.call("GET", "/v2/tx/cut/manifests/v2").status_code
    assert there == 404
    plane.push_image("tx/cut", "v2", b"v2")
    assert is_whole(plane, "tx/cut", "v2") and is_whole(plane, "tx/cut", "v1")


# --- damage --------------------------------------------------------------------------------------

def content_file(plane, digest):
    return os.path.join(plane.blobs, "blobs", "sha256", digest[7:9], digest[7:])


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 4]))


def read_all(plane, url):
    """What a reader gets, broken off or not."""
    got = b""
    try:
        with plane.call("GET", url, stream=True) as reply:
            if reply.status_code == 200:
                for piece in reply.iter_content(8192):
                    got += piece
            return reply.status_code, got
    except requests.RequestException:
        return 0, got


DAMAGES = {"flipped": lambda path: flip(path, 150000),
           "cut": lambda path: os.truncate(path, 100000),
           "emptied": lambda path: os.truncate(path, 0),
           "lost": os.unlink}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_reader_finds_damage(plane, damage):
    """What cannot be given to a reader as it is is unknown to the next one, for every repository,
    without waiting for the scrubber; a push heals it."""
    plane.options += ["--scrub-interval", "0"]
    plane.start()
    data = os.urandom(300000)
    digest = sha256(data)
    for repository in ("rot/read", "rot/also"):
        plane.push_blob(repository, data)
        assert plane.call("GET", f"/v2/{repository}/blobs/{digest}").content == data
    plane.stop()  # nothing of it is known from before
    DAMAGES[damage](content_file(plane, digest))
    plane.start()
    status, got = read_all(plane, f"/v2/rot/read/blobs/{digest}")
    assert got != data and data.startswith(got) and status in (0, 200, 500)
    for repository in ("rot/read", "rot/also"):
        eventually(lambda r=repository: plane.call(
            "HEAD", f"/v2/{r}/blobs/{digest}").status_code == 404)
    aside = os.path.join(plane.blobs, "aside")
    assert bool(os.path.isdir(aside) and os.listdir(aside)) == (damage != "lost")
    plane.push_blob("rot/also", data)
    for repository in ("rot/read", "rot/also"):
        assert plane.call("GET", f"/v2/{repository}/blobs/{digest}").content == data


def test_what_was_set_aside_ends(plane):
    plane.options += ["--scrub-interval", "1", "--walk-interval", "1", "--aside-keep", "3600"]
    plane.start()
    data = os.urandom(5000)
    plane.push_blob("rot/kept", data)
    flip(content_file(plane, sha256(data)), 1000)
    aside = os.path.join(plane.blobs, "aside")
    eventually(lambda: os.path.isdir(aside) and os.listdir(aside))
    plane.stop()
    plane.start()
    time.sleep(1.5)  # a walk has passed, and left it
    assert os.listdir(aside)
    plane.stop()
    plane.options += ["--aside-keep", "0"]
    plane.start()
    eventually(lambda: not os.listdir(aside))
    plane.push_blob("rot/kept", data)
    assert plane.call("GET", f"/v2/rot/kept/blobs/{sha256(data)}").content == data


@pytest.mark.parametrize("encryption", ["true", "false"])
def test_scrubber_finds_a_flipped_bit(plane, encryption):
    plane.options += ["--scrub-interval", "1", "--scrub-rate", "4194304",
                      "--encryption", encryption]
    plane.start()
    plane.push_image("rot/here", "v1", b"v1")
    data = {n: os.urandom(n) for n in (1, 70000, 3000000)}
    for blob in data.values():
        plane.push_blob("rot/here", blob)
        plane.push_blob("rot/there", blob)
    damaged = data[3000000]
    digest = sha256(damaged)
    flip(content_file(plane, digest), 2000000)
    eventually(lambda: plane.call("HEAD", f"/v2/rot/here/blobs/{digest}").status_code == 404, 30)
    for repository in ("rot/here", "rot/there"):
        assert plane.call("GET", f"/v2/{repository}/blobs/{digest}").status_code == 404
    assert [f for f in os.listdir(os.path.join(plane.blobs, "aside")) if f.startswith(digest[7:])]
    assert not os.path.exists(content_file(plane, digest))
    mounted = plane.call("POST", "/v2/rot/new/blobs/uploads/",
                         params={"mount": digest, "from": "rot/here"})
    assert mounted.status_code == 202, "what is damaged is not mounted"
    for n in (1, 70000):
        assert plane.call("GET", f"/v2/rot/here/blobs/{sha256(data[n])}").content == data[n]
    assert is_whole(plane, "rot/here", "v1")
    plane.push_blob("rot/here", damaged)  # heals it for both
    for repository in ("rot/here", "rot/there"):
        assert plane.call("GET", f"/v2/{repository}/blobs/{digest}").content == damaged
    assert plane.pg.sql("select count(*) from blobs where quarantined_at is not null") == "0"


def test_scrubber_finds_a_lost_file(plane):
    plane.options += ["--scrub-interval", "1"]
    plane.start()
    data = os.urandom(5000)
    plane.push_blob("lost/file", data)
    os.unlink(content_file(plane, sha256(data)))
    eventually(lambda: plane.call("HEAD", f"/v2/lost/file/blobs/{sha256(data)}").status_code == 404)
    plane.push_blob("lost/file", data)
    assert plane.call("GET", f"/v2/lost/file/blobs/{sha256(data)}").content == data


def test_healed_for_those_who_knew_the_lost_file(plane):
    """A repository whose reads go by what was known before a push elsewhere replaced the file."""
    plane.options += ["--scrub-interval", "0"]
    plane.start()
    data = os.urandom(5000)
    url = f"/v2/lost/one/blobs/{sha256(data)}"
    for repository in ("lost/one", "lost/two"):
        plane.push_blob(repository, data)
    assert plane.call("GET", url).content == data
    os.unlink(content_file(plane, sha256(data)))
    plane.push_blob("lost/two", data)
    assert plane.call("GET", f"/v2/lost/two/blobs/{sha256(data)}").content == data
    first = plane.call("GET", url)
    assert first.status_code == 500 or first.content == data
    assert plane.call("GET", url).content == data


def test_scrubbing_is_bounded(plane):
    """Eight mebibytes at one a second are not read at once."""
    plane.options += ["--scrub-interval", "3600", "--scrub-rate", "1048576"]
    plane.start()
    for i in range(32):
        plane.push_blob("slow/scrub", bytes([i]) * 262144)
    plane.stop()
    plane.pg.sql("delete from registry_upkeep")
    started = time.monotonic()
    plane.start()
    eventually(lambda: plane.pg.sql("select scrubbed_at > '-infinity' from registry_upkeep") == "t")
    assert time.monotonic() - started > 6


# --- encryption at rest --------------------------------------------------------------------------

def test_canary_is_nowhere(plane):
    canary = b"CANARY-7d1f2b0e-in-clear"
    plane.start()
    plane.push_image("secret/things", "v1", canary)
    plane.push_blob("secret/things", canary * 20000)
    begun = plane.call("POST", "/v2/secret/things/blobs/uploads/")
    plane.call("PATCH", begun.headers["Location"], data=canary * 20000)  # stays under way
    for path in files_below(plane.blobs):
        with open(path, "rb") as f:
            assert b"CANARY" not in f.read(), path
    dump = subprocess.run(["pg_dump", "-d", plane.pg.url("region")], capture_output=True)
    assert dump.returncode == 0, dump.stderr
    assert b"repositories" in dump.stdout
    for form in (canary, canary.hex().encode()):
        assert form not in dump.stdout
    assert canary.decode() not in plane.log()


def test_moved_chunks_never_yield_wrong_bytes(plane):
    """Files swapped, cut, reordered, spliced and repeated: a reader gets an error or a broken
    connection, never other bytes."""
    plane.start()
    chunk = 65536 + 16
    a, b = os.urandom(3 * 65536 + 1000), os.urandom(3 * 65536 + 1000)
    for blob in (a, b):
        plane.push_blob("moved/chunks", blob)
    path_a, path_b = content_file(plane, sha256(a)), content_file(plane, sha256(b))
    with open(path_b, "rb") as f:
        two = f.read()
    header = len(two) - (3 * chunk + 1000 + 16)
    first, second = slice(header, header + chunk), slice(header + chunk, header + 2 * chunk)
    rest = slice(header + 2 * chunk, None)
    changes = {
        "swapped": lambda one: two,
        "cut": lambda one: one[:-1],
        "cut by a chunk": lambda one: one[:rest.start],
        "reordered": lambda one: one[:header] + one[second] + one[first] + one[rest],
        "spliced": lambda one: one[:header] + one[first] + two[second] + one[rest],
        "spliced header": lambda one: two[:header] + one[header:],
        "repeated": lambda one: one[:header] + one[first] + one[first] + one[rest],
        "longer": lambda one: one + one[first],
        "empty": lambda one: b"",
    }
    url = f"/v2/moved/chunks/blobs/{sha256(a)}"
    for what, change in changes.items():
        with open(path_a, "rb") as f:
            one = f.read()
        with open(path_a, "wb") as f:
            f.write(change(one))
        for headers, right in (({}, a), ({"Range": "bytes=70000-150000"}, a[70000:150001])):
            got = b""
            try:
                with plane.call("GET", url, headers=headers, stream=True) as reply:
                    if reply.status_code < 300:
                        for piece in reply.iter_content(8192):
                            got += piece
            except requests.RequestException:
                pass
            assert got != right, what
            assert right.startswith(got), f"{what}: wrong bytes"
        eventually(lambda: plane.call("HEAD", url).status_code == 404)
        plane.push_blob("moved/chunks", a)
        assert plane.call("GET", url).content == a
