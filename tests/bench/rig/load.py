"""Content of the pull benchmark, and the programs that ask for it."""

import hashlib
import http.client
import json
import os
import subprocess
import threading
import time
import urllib.parse

from rig.servers import BUILD, MANIFEST_TYPE

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MEDIA = "application/vnd.oci.image"
MIB = 1 << 20


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def header_pair(line):
    name, _, value = line.partition(": ")
    return {name: value} if value else {}


class Client:
    """One keep-alive connection."""

    def __init__(self, server, scope):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self.connection.connect()
        self.headers = header_pair(server.header(scope))

    def call(self, method, path, body=None, status=200, **headers):
        send = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        self.connection.request(method, path, body=body, headers=send)
        reply = self.connection.getresponse()
        content = reply.read()
        assert reply.status == status, (method, path, reply.status, content[:400])
        return reply, content

    def begin(self, repository):
        reply, _ = self.call("POST", f"/v2/{repository}/blobs/uploads/", b"", 202)
        return self.place(reply)

    @staticmethod
    def place(reply):
        at = urllib.parse.urlsplit(reply.getheader("Location"))
        return at.path + ("?" + at.query if at.query else "")

    def put_blob(self, repository, content, digest):
        """As docker pushes: POST, PATCH with the bytes, PUT with the digest."""
        reply, _ = self.call("PATCH", self.begin(repository), content, 202,
                             Content_Type="application/octet-stream")
        place = self.place(reply)
        self.call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", b"", 201)

    def put_image(self, repository, tag, blobs):
        """The first blob is the config. Returns the paths of the manifest and the blobs."""
        entries = []
        for content in blobs:
            digest = digest_of(content)
            self.put_blob(repository, content, digest)
            entries.append((digest, len(content)))
        manifest = manifest_of(entries)
        self.call("PUT", f"/v2/{repository}/manifests/{tag}", manifest, 201,
                  Content_Type=MANIFEST_TYPE)
        return manifest


def manifest_of(entries):
    config, *layers = ({"mediaType": f"{MEDIA}.{'layer.v1.tar' if i else 'config.v1+json'}",
                        "digest": d, "size": n} for i, (d, n) in enumerate(entries))
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config,
                       "layers": layers}).encode()


class Image:
    """An image of random blobs, put into every server; the paths to ask for."""

    def __init__(self, repository, tag, sizes):
        self.repository = repository
        self.blobs = [os.urandom(n) for n in sizes]
        self.manifest_path = f"/v2/{repository}/manifests/{tag}"
        self.blob_paths = [f"/v2/{repository}/blobs/{digest_of(b)}" for b in self.blobs]
        self.tag = tag
        self.manifest = manifest_of([(digest_of(b), len(b)) for b in self.blobs])

    @property
    def scope(self):
        return f"repository:{self.repository}:pull,push"

    def put_into(self, server):
        if hasattr(server, "put"):
            server.put(self.manifest_path, self.manifest)
            for path, content in zip(self.blob_paths, self.blobs):
                server.put(path, content)
        else:
            put = Client(server, self.scope).put_image(self.repository, self.tag, self.blobs)
            assert put == self.manifest
        # Every server gives the very bytes, once, before anything is measured.
        client = Client(server, self.scope)
        for path, content in zip([self.manifest_path, *self.blob_paths],
                                 [self.manifest, *self.blobs]):
            _, got = client.call("GET", path, Accept=MANIFEST_TYPE)
            assert got == content, (server.name, path)


def run_json(*argv):
    done = subprocess.run(argv, text=True, capture_output=True, check=False)
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise AssertionError(f"{argv[0]} {argv[1:3]}: {done.stdout}{done.stderr}") from None
    assert not result.get("errors"), (argv[0], result, done.stderr)
    return result


def wrk(url, header, connections, seconds):
    """GETs round and round."""
    more = ["-H", header] if header else []
    return run_json("wrk", "-t2", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s",
                    os.path.join(HERE, "pull.lua"), "-H", f"Accept: {MANIFEST_TYPE}", *more, url)


def load(server, connections, how, amount, method, header, *paths):
    return run_json(os.path.join(BUILD, "tests", "bench_load"), str(server.port), str(connections),
                    how, str(amount), method, header, *paths)


def push_small(url, repository, clients, seconds, header, ca=None):
    return run_json(os.path.join(BUILD, "tests", "bench_images"), url, repository, str(clients),
                    str(seconds), header, *([ca] if ca else []))


class Sampler(threading.Thread):
    """The peak of a number, looked at every 20 ms while the block runs."""

    def __init__(self, look):
        super().__init__(daemon=True)
        self.look, self.peak = look, look()
        self.is_over = threading.Event()

    def run(self):
        while not self.is_over.wait(0.02):
            self.peak = max(self.peak, self.look())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.join()


def timed(act):
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
