"""What a registry uses: the count kept by the database equals a full recount after any history, and
a limit on storage holds to the byte however many push at once."""

import concurrent.futures
import json
import os
import random
import time

import pytest
import requests

from support.dataplane import CONFIG, MANIFEST, descriptor, running, sha256


@pytest.fixture
def plane():
    with running("--collect-delay", "0", "--walk-delay", "0") as it:
        yield it


@pytest.fixture
def patient_plane():
    with running("--collect-delay", "5") as it:
        yield it


def both(plane):
    """The count kept and a full recount, in one statement, so of one moment."""
    row = plane.pg.sql("select (select coalesce(sum(bytes), 0) from registry_usage), "
                       "(select coalesce(sum(size), 0) from blobs) + "
                       "(select coalesce(sum(octet_length(payload)), 0) from manifests)")
    return tuple(int(n) for n in row.split("|"))


def recount(plane, repository):
    """What a repository uses, counted here: by its rows, and by its manifests as they are served."""
    rows = [line.split("|") for line in plane.pg.sql(
        "select r.name, l.blob_id, b.size from repository_blobs l "
        "join repositories r on r.id = l.repository_id join blobs b on b.id = l.blob_id").split()]
    elsewhere = {blob for name, blob, _ in rows if name != repository}
    own = {blob: int(size) for name, blob, size in rows if name == repository}
    listed = plane.call("GET", f"/acr/v1/{repository}/_manifests?n=1000")
    payloads = 0
    for entry in listed.json()["manifests"] or [] if listed.status_code == 200 else []:
        body = plane.call("GET", f"/v2/{repository}/manifests/{entry['digest']}")
        assert body.status_code == 200
        payloads += len(body.content)
        parts = [body.json()["config"], *body.json()["layers"]]
        assert entry["imageSize"] == sum(part["size"] for part in parts)
    return {"uniqueBytes": sum(n for blob, n in own.items() if blob not in elsewhere),
            "sharedBytes": sum(n for blob, n in own.items() if blob in elsewhere),
            "manifestBytes": payloads}


def check_shown(plane, repositories):
    """What the API says, after whatever came before, is what there is."""
    whole = plane.call("GET", "/acr/v1/_usage").json()
    assert whole == {"registry": plane.login_server, "usedBytes": both(plane)[1]}
    for repository in repositories:
        shown = plane.call("GET", f"/acr/v1/{repository}/_usage")
        expected = recount(plane, repository)
        if shown.status_code == 404:
            assert not any(expected.values()), expected
            continue
        assert shown.json() == {"registry": plane.login_server, "imageName": repository, **expected}


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


@pytest.mark.parametrize("seed", [4, 5])
def test_usage_shown(patient_plane, seed):
    """Parallel pushes, mounts and deletes over shared content; then every number shown is compared
    with a recount, unique and shared bytes of each repository and the size of each image too."""
    plane, chance = patient_plane, random.Random(seed)
    contents = [bytes([i]) * chance.randrange(1, 90000) for i in range(24)]
    repositories = [f"shown/r{n}" for n in range(5)]

    def act(number):
        own = random.Random(seed * 1000 + number)
        for _ in range(15):
            repository, data, what = own.choice(repositories), own.choice(contents), own.randrange(8)
            if what < 4:
                plane.push_image(repository, f"t{own.randrange(4)}", data)
            elif what == 4:
                plane.call("POST", f"/v2/{repository}/blobs/uploads/", params={"mount": sha256(data)})
            elif what == 5:
                plane.call("DELETE", f"/v2/{repository}/blobs/{sha256(data)}")
            elif what == 6:
                try_push(plane, repository, data)
            else:
                plane.call("DELETE", f"/v2/{repository}/manifests/t{own.randrange(4)}")

    plane.push_image(repositories[0], "first", b"first")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(act, n) for n in range(8)]:
            done.result()
    check_shown(plane, repositories)
    reader = plane.token(f"repository:{repositories[0]}:pull")
    assert plane.call("GET", f"/acr/v1/{repositories[0]}/_usage",
                      headers={"Authorization": f"Bearer {reader}"}).status_code == 401
    assert plane.call("DELETE", f"/acr/v1/{repositories[1]}").status_code in (202, 404)
    check_shown(plane, repositories)
    assert plane.call("GET", "/acr/v1/shown/nothing/_usage").status_code == 404


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


def test_45_limit_holds_to_the_byte(patient_plane):
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


@pytest.mark.parametrize("how", ["refused", "connection", "process"])
def test_45_failed_pushes_give_their_room_back(patient_plane, how):
    """Room for two blobs, and pushes that fail at their very end: by their digest, with the database's
    connection, with the process. Two blobs fit afterwards, and not a third."""
    plane, size = patient_plane, 10007
    set_limit(plane, 2 * size)
    eventually(lambda: "limitBytes" in plane.call("GET", "/acr/v1/_usage").json())
    slow = ("create function slow() returns trigger language plpgsql as $$ begin perform "
            "pg_sleep(2); return null; end $$; create constraint trigger slow after insert on blobs "
            "deferrable initially deferred for each row execute function slow()")
    at_commit = ("select count(*) from pg_stat_activity where query = 'COMMIT' and state = 'active' "
                 "and application_name = 'portolan-dataplane'")
    if how == "refused":
        for _ in range(3):
            begun = plane.call("POST", "/v2/limit/back/blobs/uploads/")
            assert plane.call("PUT", begun.headers["Location"], params={"digest": sha256(b"other")},
                              data=os.urandom(size)).status_code == 400
    else:
        plane.pg.sql(slow)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            pushed = [pool.submit(try_push, plane, f"limit/back{n}", os.urandom(size))
                      for n in range(2)]
            eventually(lambda: plane.pg.sql(at_commit) == "2")
            if how == "process":
                plane.kill()
            plane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                         "where application_name = 'portolan-dataplane'")
            for each in pushed:
                if how == "process":
                    assert isinstance(each.exception(), requests.RequestException)
                else:
                    assert each.result().status_code == 503
        plane.pg.sql("drop trigger slow on blobs")
        if how == "process":
            plane.start()
    assert both(plane) == (0, 0)
    assert [try_push(plane, "limit/back", os.urandom(size)).status_code for _ in range(3)] == [
        201, 201, 507]
    assert both(plane) == (2 * size, 2 * size)


def test_manifests_count_against_the_limit(patient_plane):
    """Small manifests by 32 clients at a limit that lets some of them in: what is used ends at most
    one manifest below it, never above."""
    plane, room = patient_plane, 10
    config = b"{}"
    plane.push_blob("limit/small", config)
    bodies = [json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                          "config": descriptor(config, CONFIG), "layers": [],
                          "annotations": {"n": f"{n:03}"}}).encode() for n in range(32)]
    size = len(bodies[0])
    set_limit(plane, len(config) + size * room + size - 1)
    eventually(lambda: "limitBytes" in plane.call("GET", "/acr/v1/_usage").json())
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        replies = list(pool.map(lambda b: plane.push_manifest("limit/small", f"t{bodies.index(b)}",
                                                              b)[0].status_code, bodies))
    assert sorted(set(replies)) == [201, 507] and replies.count(201) == room
    assert both(plane) == (len(config) + size * room,) * 2
    # Again, or under another tag, it takes no room; what is deleted gives its room back.
    kept = bodies[replies.index(201)]
    assert plane.push_manifest("limit/small", "again", kept)[0].status_code == 201
    assert plane.call("DELETE", f"/v2/limit/small/manifests/{sha256(kept)}").status_code == 202
    refused = bodies[replies.index(507)]
    assert plane.push_manifest("limit/small", "now", refused)[0].status_code == 201
    assert plane.push_manifest("limit/small", "more", kept)[0].status_code == 507
