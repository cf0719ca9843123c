"""Writers that cross: every kind of write at once over a handful of repositories, tags, manifests and
blobs that all share, with the collector in between. The database never has to break a deadlock, no
request fails for contention, and what the counters say in the end is what there is."""

import concurrent.futures
import itertools
import json
import random
import time

import pytest

from support.dataplane import CONFIG, INDEX, LAYER, MANIFEST, DataPlane, descriptor, sha256

WORKERS, ROUNDS = 16, 90
REPOSITORIES = ["cross/a", "cross/b"]
TAGS = ["t0", "t1", "t2"]
LAYERS = [b"crossing layer %d " % n * 50 for n in range(6)]
CONFIGS = [json.dumps({"n": n}).encode() for n in range(4)]
MANIFESTS = [json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                         "config": descriptor(CONFIGS[n % 4], CONFIG),
                         "layers": [descriptor(layer, LAYER) for layer in pair]}).encode()
             for n, pair in enumerate(itertools.combinations(LAYERS, 2))]
INDEXES = [json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
    {"mediaType": MANIFEST, "digest": sha256(child), "size": len(child)} for child in group]}).encode()
    for group in itertools.combinations(MANIFESTS[:5], 3)]


@pytest.fixture
def plane():
    it = DataPlane("--collect-delay", "0", "--walk-delay", "0", "--walk-interval", "1",
                   "--scrub-interval", "1")
    try:
        it.pg.sql("alter system set deadlock_timeout = '20ms'")
        it.pg.sql("select pg_reload_conf()")
        yield it.start()
    finally:
        it.close()


def eventually(check, timeout=30):
    deadline = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < deadline, check
        time.sleep(0.05)


class Worker:
    def __init__(self, plane, number):
        self.plane, self.random = plane, random.Random(number)

    def put_blob(self, repository, data):
        begun = self.plane.call("POST", f"/v2/{repository}/blobs/uploads/",
                                params={"mount": sha256(data)} if self.random.random() < 0.5 else {})
        if begun.status_code == 202:
            begun = self.plane.call("PUT", begun.headers["Location"],
                                    params={"digest": sha256(data)}, data=data)
        return begun

    def put_manifest(self, repository, reference, body, media_type):
        return self.plane.call("PUT", f"/v2/{repository}/manifests/{reference}", data=body,
                               headers={"Content-Type": media_type})

    def push(self, repository):
        body = self.random.choice(MANIFESTS)
        said = json.loads(body)
        for data in CONFIGS + LAYERS:
            if sha256(data) in (said["config"]["digest"], *(d["digest"] for d in said["layers"])):
                yield self.put_blob(repository, data)
        yield self.put_manifest(repository, self.random.choice([*TAGS, sha256(body)]), body, MANIFEST)

    def push_index(self, repository):
        body = self.random.choice(INDEXES)
        yield self.put_manifest(repository, self.random.choice([*TAGS, sha256(body)]), body, INDEX)

    def untag(self, repository):
        yield self.plane.call("DELETE", f"/v2/{repository}/manifests/{self.random.choice(TAGS)}")

    def delete(self, repository):
        digest = sha256(self.random.choice(MANIFESTS + INDEXES))
        yield self.plane.call("DELETE", f"/v2/{repository}/manifests/{digest}")

    def delete_all(self, repository):
        yield self.plane.call("DELETE", f"/acr/v1/{repository}")

    def unlink(self, repository):
        yield self.plane.call("DELETE",
                              f"/v2/{repository}/blobs/{sha256(self.random.choice(LAYERS))}")

    def lock(self, repository):
        yield self.plane.call("PATCH", f"/acr/v1/{repository}", json={"listEnabled": True})

    def run(self):
        actions = [self.push] * 6 + [self.push_index] * 3 + [self.untag] * 2 + [self.delete] * 4 + [
            self.delete_all, self.unlink, self.lock]
        replies = []
        for _ in range(ROUNDS):
            replies += self.random.choice(actions)(self.random.choice(REPOSITORIES))
        return replies


COUNTED = "select coalesce(sum(bytes), 0) from registry_usage"
RECOUNT = ("select (select coalesce(sum(size), 0) from blobs) + "
           "(select coalesce(sum(octet_length(payload)), 0) from manifests)")
MISCOUNTED = """
select r.name from repositories r
left join lateral (select coalesce(sum(manifests), 0) as manifests, coalesce(sum(tags), 0) as tags
                   from repository_counts where repository_id = r.id) c on true
where c.manifests <> (select count(*) from manifests where repository_id = r.id)
or c.tags <> (select count(*) from tags where repository_id = r.id)
or r.has_manifests < exists (select from manifests where repository_id = r.id)"""


def test_crossing_writers(plane):
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(Worker(plane, n).run) for n in range(WORKERS)]
        replies = [reply for each in running for reply in each.result()]
    failed = [r.text for r in replies if r.status_code >= 500]
    assert not failed, failed[:3]
    assert sum(r.status_code in (201, 202) for r in replies) > len(replies) / 3
    eventually(lambda: plane.pg.sql(
        "select count(*) from pg_stat_activity where application_name = 'portolan-dataplane' "
        "and state <> 'idle'") == "0")
    # In one statement, as the collector goes on.
    counted, recount = plane.pg.sql(f"select ({COUNTED}), ({RECOUNT})").split("|")
    assert counted == recount
    assert plane.pg.sql(MISCOUNTED) == ""
    plane.stop()  # its sessions report what they saw as they end
    eventually(lambda: plane.pg.sql("select count(*) from pg_stat_activity "
                                    "where application_name = 'portolan-dataplane'") == "0")
    assert plane.pg.sql("select deadlocks from pg_stat_database where datname = 'region'") == "0"
    with open(f"{plane.pg.data}/log") as log:
        assert "deadlock detected" not in log.read()
