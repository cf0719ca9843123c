"""What a registry uses: the count kept by the database equals a full recount after any history, and
a limit on storage holds to the byte however many push at once."""

import concurrent.futures
import os
import random
import time

import pytest

from support.dataplane import DataPlane, sha256


@pytest.fixture
def plane():
    it = DataPlane("--collect-delay", "0", "--walk-delay", "0")
    try:
        yield it.start()
    finally:
        it.close()


@pytest.fixture
def patient_plane():
    it = DataPlane("--collect-delay", "5")
    try:
        yield it.start()
    finally:
        it.close()


def both(plane):
    """The count kept and a full recount, in one statement, so of one moment."""
    row = plane.pg.sql("select (select coalesce(sum(bytes), 0) from registry_usage), "
                       "(select coalesce(sum(size), 0) from blobs) + "
                       "(select coalesce(sum(octet_length(payload)), 0) from manifests)")
    return tuple(int(n) for n in row.split("|"))


def set_limit(plane, limit):
    plane.pg.sql("update registries set settings = settings || '{\"storageLimitBytes\": "
                 f"{limit}}}', generation = generation + 1 where id = '{plane.id}'")


def eventually(check, timeout=20):
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.05)


def try_push(plane, repository, data):
    begun = plane.call("POST", f"/v2/{repository}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    return plane.call("PUT", begun.headers["Location"], params={"digest": sha256(data)}, data=data)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_history(plane, seed):
    """Pushes, repeated pushes, mounts, deletes of blobs, images and repositories, by eight at once,
    with collection and a database crash in between."""
    chance = random.Random(seed)
    contents = [bytes([i]) * chance.randrange(1, 90000) for i in range(40)]

    def act(number):
        own = random.Random(seed * 1000 + number)
        repository = f"use/r{own.randrange(4)}"
        for _ in range(25):
            what, data = own.randrange(6), own.choice(contents)
            try:
                if what < 2:
                    try_push(plane, repository, data)
                elif what == 2:
                    plane.call("POST", f"/v2/{repository}/blobs/uploads/",
                               params={"mount": sha256(data)})
                elif what == 3:
                    plane.call("DELETE", f"/v2/{repository}/blobs/{sha256(data)}")
                elif what == 4:
                    plane.push_image(repository, f"t{own.randrange(5)}", data)
                else:
                    plane.call("DELETE", f"/acr/v1/{repository}")
            except AssertionError:
                pass  # the collector, which has no delay here, or the database came between

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        running = [pool.submit(act, n) for n in range(8)]
        while not all(r.done() for r in running):
            kept, recount = both(plane)
            assert kept == recount
        for each in running:
            each.result()
    plane.pg.stop("immediate")
    plane.pg.start()
    kept, recount = both(plane)
    assert kept == recount
    for number in range(4):
        eventually(lambda n=number: plane.call(
            "DELETE", f"/acr/v1/use/r{n}").status_code in (202, 404))
    eventually(lambda: both(plane) == (0, 0))


def test_limit_holds_to_the_byte(patient_plane):
    """64 pushers at one limit: exactly as many blobs as fit, not one byte more; then what is freed
    can be used again."""
    plane, size, room = patient_plane, 10007, 20
    set_limit(plane, size * room + size - 1)
    blobs = [os.urandom(size) for _ in range(64)]
    eventually(lambda: plane.call("GET", "/v2/").status_code == 200)
    time.sleep(1.2)  # the projection is compared within a second
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        replies = list(pool.map(lambda d: try_push(plane, "limit/held", d), blobs))
    accepted = [d for d, r in zip(blobs, replies) if r.status_code == 201]
    refused = [r for r in replies if r.status_code != 201]
    assert len(accepted) == room, sorted(r.status_code for r in replies)
    assert all(r.status_code == 507 and r.json()["errors"][0]["code"] == "DENIED" for r in refused)
    assert all(int(r.headers["Retry-After"]) >= 1 for r in refused)
    assert both(plane) == (size * room, size * room)
    # What is stored already takes no room; the last byte may be used, and not one more.
    assert try_push(plane, "limit/again", accepted[0]).status_code == 201
    assert try_push(plane, "limit/held", os.urandom(size)).status_code == 507
    assert try_push(plane, "limit/held", os.urandom(size - 1)).status_code == 201
    assert try_push(plane, "limit/held", b"1").status_code == 507
    plane.call("DELETE", "/acr/v1/limit/held")
    for d in accepted:
        plane.call("DELETE", f"/v2/limit/held/blobs/{sha256(d)}")
        plane.call("DELETE", f"/v2/limit/again/blobs/{sha256(d)}")
    eventually(lambda: both(plane)[0] < size * room)
    assert try_push(plane, "limit/held", b"fits again").status_code == 201
