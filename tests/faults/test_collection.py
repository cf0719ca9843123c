"""Online garbage collection against a model: workers push, mount, tag, untag and delete at random
while content is collected behind a short delay. Each worker alone writes to its repositories, so it
knows exactly what must be there; layers are shared by all, so the collector meets them in every
state. Afterwards nothing acknowledged is missing and nothing unreachable is left.

PORTOLAN_SOAK=OPERATIONS[:SEEDS] makes the run longer; `./dev soak collection` does."""

import concurrent.futures
import json
import os
import random
import time

import pytest
import requests

from support.dataplane import CONFIG, INDEX, LAYER, MANIFEST, DataPlane, descriptor, sha256

pytestmark = pytest.mark.sanitized

DELAY_S = 2
WORKERS = 12
OPERATIONS, SEEDS = (int(n) for n in (os.environ.get("PORTOLAN_SOAK", "1200:1") + ":1")
                     .split(":")[:2])
LAYERS = [b"shared layer %d " % n * (1 + n * 97) for n in range(60)]


class Worker:
    """One client with two repositories of its own, and what it was told about them."""

    def __init__(self, plane, seed, number):
        self.plane, self.number = plane, number
        self.random = random.Random(f"{seed}-{number}")
        self.session = requests.Session()
        self.session.auth = plane.admin
        self.tags = {f"soak{seed}/w{number}-{i}": {} for i in range(2)}
        self.manifests = {name: {} for name in self.tags}
        self.count = 0

    def call(self, method, path, **more):
        self.count += 1
        url = path if path.startswith("http") else self.plane.url + path
        return self.session.request(method, url, timeout=60, **more)

    def put_blob(self, repository, data):
        """By mount when anybody has it, else by upload, as clients do."""
        if self.random.random() < 0.6:
            mounted = self.call("POST", f"/v2/{repository}/blobs/uploads/",
                                params={"mount": sha256(data)})
            if mounted.status_code == 201:
                return
            assert mounted.status_code == 202, mounted.text
            location = mounted.headers["Location"]
        else:
            begun = self.call("POST", f"/v2/{repository}/blobs/uploads/")
            assert begun.status_code == 202, begun.text
            location = begun.headers["Location"]
        done = self.call("PUT", location, params={"digest": sha256(data)}, data=data)
        assert done.status_code == 201, done.text

    def put_manifest(self, repository, reference, body, media_type):
        return self.call("PUT", f"/v2/{repository}/manifests/{reference}", data=body,
                         headers={"Content-Type": media_type})

    def push(self, repository):
        tag = f"t{self.random.randrange(8)}"
        layers = self.random.sample(LAYERS, self.random.randint(1, 4))
        config = json.dumps({"by": self.number, "n": self.random.randrange(6)}).encode()
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                           "config": descriptor(config, CONFIG),
                           "layers": [descriptor(d, LAYER) for d in layers]}).encode()
        for _ in range(20):
            for data in (config, *layers):
                self.put_blob(repository, data)
            reply = self.put_manifest(repository, tag, body, MANIFEST)
            if reply.status_code == 201:
                self.tags[repository][tag] = sha256(body)
                self.manifests[repository][sha256(body)] = body
                return
            # Slower than the delay between the first blob and the manifest.
            assert "MANIFEST_BLOB_UNKNOWN" in reply.text, reply.text
        raise AssertionError("a push never got through")

    def push_index(self, repository):
        children = [d for d, body in self.manifests[repository].items() if b"layers" in body][:3]
        if not children:
            return
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": MANIFEST, "digest": d, "size": len(self.manifests[repository][d])}
            for d in children]}).encode()
        reply = self.put_manifest(repository, "index", body, INDEX)
        assert reply.status_code == 201, reply.text
        self.tags[repository]["index"] = sha256(body)
        self.manifests[repository][sha256(body)] = body

    def untag(self, repository):
        if self.tags[repository]:
            tag = self.random.choice(sorted(self.tags[repository]))
            reply = self.call("DELETE", f"/v2/{repository}/manifests/{tag}")
            assert reply.status_code == 202, reply.text
            del self.tags[repository][tag]

    def delete(self, repository):
        if self.manifests[repository]:
            digest = self.random.choice(sorted(self.manifests[repository]))
            reply = self.call("DELETE", f"/v2/{repository}/manifests/{digest}")
            assert reply.status_code == 202, reply.text
            del self.manifests[repository][digest]
            self.tags[repository] = {t: d for t, d in self.tags[repository].items() if d != digest}

    def delete_all(self, repository):
        reply = self.call("DELETE", f"/acr/v1/{repository}")
        assert reply.status_code == (202 if self.manifests[repository] else 404), reply.text
        self.tags[repository], self.manifests[repository] = {}, {}

    def loose_blob(self, repository):
        """Content that nothing will ever use."""
        self.put_blob(repository, self.random.randbytes(3000))

    def unlink(self, repository):
        """A client may take a blob away from a repository whose manifests use it not."""
        data = self.random.choice(LAYERS)
        used = b"".join(self.manifests[repository].values()).decode()
        if sha256(data) not in used:
            reply = self.call("DELETE", f"/v2/{repository}/blobs/{sha256(data)}")
            assert reply.status_code in (202, 404), reply.text

    def look(self, repository):
        if self.tags[repository]:
            tag = self.random.choice(sorted(self.tags[repository]))
            self.check(repository, tag, self.tags[repository][tag])

    def check(self, repository, reference, digest):
        reply = self.call("GET", f"/v2/{repository}/manifests/{reference}")
        assert reply.status_code == 200 and sha256(reply.content) == digest, reply.text
        body = reply.json()
        for d in ([body["config"], *body["layers"]] if "layers" in body else []):
            blob = self.call("GET", f"/v2/{repository}/blobs/{d['digest']}")
            assert blob.status_code == 200 and sha256(blob.content) == d["digest"], blob.text

    def run(self, share):
        actions = [self.push] * 5 + [self.look] * 3 + [self.untag] * 2 + [self.delete] * 3 + [
            self.push_index, self.delete_all, self.loose_blob, self.unlink, self.unlink]
        while self.count < share:
            self.random.choice(actions)(self.random.choice(sorted(self.tags)))
        return self

    def check_all(self):
        """Exactly what the model says, and every bit of it."""
        for repository, tags in self.tags.items():
            listed = self.call("GET", f"/v2/{repository}/tags/list?n=1000")
            there = listed.json()["tags"] or [] if listed.status_code == 200 else []
            assert sorted(there) == sorted(tags), repository
            for tag, digest in tags.items():
                self.check(repository, tag, digest)
            for digest in self.manifests[repository]:
                self.check(repository, digest, digest)


def files_below(path):
    return {f for _, _, names in os.walk(path) for f in names}


UNREACHABLE = ("select count(*) from blobs b where not exists (select from manifest_blobs "
               "where blob_id = b.id)")
DANGLING = """
select count(*) from manifest_blobs mb join manifests m on m.id = mb.manifest_id
where not exists (select from repository_blobs l where l.blob_id = mb.blob_id
                  and l.repository_id = m.repository_id)"""


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_random_history(seed, tell):
    plane = DataPlane("--collect-delay", str(DELAY_S), "--log-level", "warn", "--walk-delay", "1",
                      "--walk-interval", "2", "--scrub-interval", "2", "--scrub-rate", "8388608")
    try:
        plane.start()
        workers = [Worker(plane, seed, n) for n in range(WORKERS)]
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for done in [pool.submit(w.run, OPERATIONS // WORKERS) for w in workers]:
                done.result()
        for worker in workers:
            worker.check_all()
        assert plane.pg.sql(DANGLING) == "0"
        deadline = time.monotonic() + 60
        while plane.pg.sql(UNREACHABLE) != "0":
            assert time.monotonic() < deadline, "unreachable content is left"
            time.sleep(0.2)
        rows = set(plane.pg.sql("select encode(substr(digest, 2), 'hex') from blobs").split())
        assert files_below(os.path.join(plane.blobs, "blobs")) == rows
        assert plane.pg.sql("select count(*) from blobs where quarantined_at is not null") == "0"
        assert plane.pg.sql("select coalesce(sum(bytes), 0) from registry_usage") == \
            plane.pg.sql("select (select coalesce(sum(size), 0) from blobs) + "
                         "(select coalesce(sum(octet_length(payload)), 0) from manifests)")
        for worker in workers:
            worker.check_all()
        assert plane.stop() == 0
        tell(f"{sum(w.count for w in workers)} requests")
    finally:
        plane.close()
