"""Attacks on content: what is pushed, named, listed, locked and read. Each test is named by the
number of the past hole it comes from."""

import collections
import concurrent.futures
import gzip
import hashlib
import json
import os
import socket
import threading
import uuid
from urllib.parse import quote

import pytest
import requests

from support.dataplane import running
from support.instance import API, eventually
from support.rawhttp import (MIB, Bounded, Plane, add_token, ask, at_edge, call, head, is_clean,
                             sha256)

pytestmark = pytest.mark.sanitized

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_MAX = 4 * MIB


@pytest.fixture(scope="module")
def target(instance):
    """One registry for this file: its repositories are the tests' own."""
    group = instance.make_group()
    yield instance.make_registry(group, sku="Premium")
    instance.arm("DELETE", instance.group_id(group), api="2024-11-01")


@pytest.fixture(scope="module")
def plane(instance, target):
    return Plane(instance, target)


def errors(reply, status, code):
    """The reply is exactly this error, in ACR's form, and gives nothing private away."""
    assert reply.status_code == status, (reply.status_code, reply.text[:500])
    entries = reply.json()["errors"]
    assert [e["code"] for e in entries] == [code], reply.text
    assert all(e["message"] for e in entries)
    assert is_clean(reply.text), reply.text
    return entries[0]


def descriptor(data, media_type, **more):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


def push_blob(target, repo, data):
    reply, digest = target.push_blob(repo, data)
    assert reply.status_code == 201, reply.text
    return digest


def image(target, repo, **more):
    """A manifest that would be stored, its blobs pushed; members in `more` are put over it."""
    for data in (b"{}", b"layer"):
        push_blob(target, repo, data)
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(b"{}", CONFIG),
            "layers": [descriptor(b"layer", LAYER)], **more}


def put(target, repo, reference, manifest, media_type=MANIFEST, **options):
    data = json.dumps(manifest).encode() if isinstance(manifest, dict) else manifest
    headers = {"Content-Type": media_type, **options.pop("headers", {})}
    return target.call("PUT", f"/v2/{repo}/manifests/{reference}", data=data, headers=headers,
                       **({"auth": target.auth} | options))


# --- 18-23: sizes, documents, digests -------------------------------------------------------------

def test_18_huge_page_sizes(target, plane, repo):
    digest = target.push_image(repo, "v1")
    paths = ["/v2/_catalog", "/acr/v1/_catalog", f"/v2/{repo}/tags/list", f"/acr/v1/{repo}/_tags",
             f"/acr/v1/{repo}/_manifests"]
    for path in paths:  # so that caches and connections are there
        assert target.call("GET", path).status_code == 200
    with Bounded(plane.pid, MIB):
        for path in paths:
            for n in ("-1", "x", "1e3", "", "+1", "0x10", "1.0", str(2**64), str(10**30), "9" * 400,
                      "1 or 1=1"):
                errors(target.call("GET", path, params={"n": n}), 400, "PAGINATION_NUMBER_INVALID")
            for n in (2**31, 2**32, 2**63 - 1, 10**18, 2**64 - 1):
                reply = target.call("GET", path, params={"n": str(n)})
                assert reply.status_code == 200 and "Link" not in reply.headers, (path, n)
            none = target.call("GET", path, params={"n": "0"})
            assert none.status_code == 200 and "Link" not in none.headers
            assert next(v for v in none.json().values() if isinstance(v, list)) == []
        for n in (10**18, 0, "x"):
            reply = target.call("GET", f"/v2/{repo}/referrers/{digest}", params={"n": n})
            assert reply.status_code in (200, 400), reply.text


def test_19_manifest_too_large(target, plane, repo):
    manifest = image(target, repo)
    pad = MANIFEST_MAX - len(json.dumps({**manifest, "pad": ""}))
    fits = json.dumps({**manifest, "pad": "x" * pad}).encode()
    assert len(fits) == MANIFEST_MAX
    assert put(target, repo, "fits", fits).status_code == 201
    before = plane.rows()
    with Bounded(plane.pid, 24 * MIB):
        errors(put(target, repo, "large", fits + b" "), 413, "SIZE_INVALID")
        errors(put(target, repo, "chunked", iter([fits, b" "])), 413, "SIZE_INVALID")
    assert plane.rows() == before
    assert target.call("GET", f"/v2/{repo}/manifests/large").status_code == 404


def test_19_manifest_without_end(instance, target, plane, repo):
    """A chunked body that never ends is refused at the limit, not buffered until memory is gone."""
    before, chunk = plane.rows(), b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with Bounded(plane.pid, 24 * MIB) as memory:
        for wire in (at_edge(instance, target.host, timeout=20), plane.connect(timeout=20)):
            with wire:
                wire.send(head(target, "PUT", f"/v2/{repo}/manifests/v1",
                               f"Content-Type: {MANIFEST}", "Transfer-Encoding: chunked"))
                sent = 0
                while sent < 64 * MIB and wire.send(chunk):
                    sent += 65536
                    if sent % MIB == 0:
                        memory.look()
                assert sent < 64 * MIB, "all of it was taken"
    assert plane.rows() == before
    assert target.call("GET", "/v2/").status_code == 200


def test_20_ambiguous_manifests(target, plane, repo):
    manifest = image(target, repo)
    child = target.push_image(repo, "child")
    entry = {"mediaType": MANIFEST, "digest": child, "size": 1}
    before = plane.rows()
    text = json.dumps(manifest)
    bad = {
        "layers and manifests": (json.dumps({**manifest, "manifests": [entry]}), MANIFEST),
        "the same as an index": (json.dumps({**manifest, "manifests": [entry]}), INDEX),
        "an index with layers": (json.dumps({"schemaVersion": 2, "mediaType": INDEX, "layers": [],
                                             "manifests": [entry]}), INDEX),
        "an index with config": (json.dumps({"schemaVersion": 2, "manifests": [entry],
                                             "config": manifest["config"]}), INDEX),
        "mediaType and Content-Type": (text, INDEX),
        "mediaType and Content-Type, other family": (text, DOCKER),
        "duplicate key": (text[:-1] + ', "schemaVersion": 2}', MANIFEST),
        "duplicate key, escaped": (text[:-1] + ', "l\\u0061yers": []}', MANIFEST),
        "duplicate key, deep": (text.replace('"size": 2', '"size": 2, "size": 3'), MANIFEST),
        "unknown type": (json.dumps({**manifest, "mediaType": "text/html"}), "text/html"),
        "schema 1": (json.dumps({"schemaVersion": 1, "name": repo, "tag": "x", "fsLayers": []}),
                     "application/vnd.docker.distribution.manifest.v1+json"),
        "a list": ("[]", MANIFEST), "a text": ('"x"', MANIFEST), "nothing": ("", MANIFEST),
    }
    for what, (body, media_type) in bad.items():
        reply = put(target, repo, "bad", body.encode(), media_type)
        assert reply.status_code == 400, (what, reply.text)
        errors(reply, 400, "MANIFEST_INVALID")
    assert plane.rows() == before


def test_20_bytes_come_back_as_they_went(target, repo):
    manifest = image(target, repo)
    odd = ('\n\t' + json.dumps({**manifest, "x-unknown": "\u00fc\U0001f600", "annotations":
                                {"a": "<b>"}}, indent=3) + "  \r\n").encode()
    for data, media_type in ((odd, MANIFEST), (json.dumps(
            {**manifest, "mediaType": DOCKER}, ensure_ascii=False).encode(), DOCKER)):
        assert put(target, repo, "v1", data, media_type).status_code == 201
        for reference in ("v1", sha256(data)):
            got = target.call("GET", f"/v2/{repo}/manifests/{reference}",
                              headers={"Accept": "*/*"}, auth=target.auth)
            assert got.content == data and got.headers["Content-Type"] == media_type
            assert got.headers["Docker-Content-Digest"] == sha256(data)
            assert "Content-Encoding" not in got.headers


def test_21_json_bombs(instance, target, plane, repo):
    keys = ",".join(f'"k{i}":0' for i in range(300_000))
    bombs = {
        "depth": b"[" * 100_000, "closed depth": b'{"a":' * 100_000 + b"0" + b"}" * 100_000,
        "keys": b"{" + keys.encode() + b"}",
        "1e309": b'{"schemaVersion":2,"x":1e309}', "-1e309": b'{"schemaVersion":-1e309}',
        "long number": b'{"schemaVersion":' + b"9" * 100_000 + b"}",
        "long fraction": b'{"x":0.' + b"9" * 100_000 + b"}",
        "lone high surrogate": b'{"x":"\\ud800"}', "lone low": b'{"x":"\\udc00"}',
        "swapped surrogates": b'{"x":"\\udc00\\ud800"}',
        "invalid utf-8": b'{"x":"\xff"}', "overlong": b'{"x":"\xc0\xaf"}',
        "surrogate in utf-8": b'{"x":"\xed\xa0\x80"}', "beyond unicode": b'{"x":"\xf4\x90\x80\x80"}',
        "NUL byte": b'{"x":"\0"}', "NUL escape in a key": b'{"x\\u0000y":1}',
        "NUL behind": b'{"schemaVersion":2}\0', "two documents": b"{}{}",
        "comment": b'{/**/"x":1}', "single quotes": b"{'x':1}", "NaN": b'{"x":NaN}',
        "trailing comma": b'{"x":1,}', "leading zero": b'{"x":01}', "byte order mark":
        b"\xef\xbb\xbf{}", "utf-16": '{"x":1}'.encode("utf-16"), "tab in a text": b'{"x":"\t"}',
    }
    target.push_image(repo, "v1")
    target.call("PUT", f"/v2/{repo}/manifests/warm", data=bombs["keys"],
                headers={"Content-Type": MANIFEST}, auth=target.auth)
    before = plane.rows()
    with Bounded(plane.pid, 96 * MIB) as memory:
        for what, bomb in bombs.items():
            reply = put(target, repo, "bomb", bomb)
            assert reply.status_code == 400, (what, reply.text[:300])
            errors(reply, 400, "MANIFEST_INVALID")
            memory.look()
            if len(bomb) < 60_000:
                change = target.call("PATCH", f"/acr/v1/{repo}", data=bomb, auth=target.auth,
                                     headers={"Content-Type": "application/json"})
                assert change.status_code == 400, (what, change.text[:300])
                assert is_clean(change.text), change.text
    assert plane.rows() == before
    path = instance.registry_id(target.group, f"bomb{uuid.uuid4().hex[:8]}")
    with Bounded(instance.pid("controlplane"), 160 * MIB):
        for what, bomb in bombs.items():
            reply = instance.arm("PUT", path, data=bomb)
            assert reply.status_code == 400, (what, reply.text[:300])
            assert reply.json()["error"]["code"] and is_clean(reply.text), reply.text
    assert instance.arm("GET", path).status_code == 404


BAD_DIGESTS = ["sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:" + "A" * 64, "SHA256:" + "a" * 64,
               "sha256:" + "g" * 64, "sha256:", "sha256:../../../etc/passwd", "sha512:" + "a" * 127,
               "sha512:" + "a" * 64, "md5:" + "a" * 32, "sha1:" + "a" * 40, "sha256::" + "a" * 63,
               "sha256:" + "a" * 63 + "\u0430", "sha256+b64:" + "a" * 64, ":" + "a" * 64,
               " sha256:" + "a" * 64, "sha256:" + "a" * 64 + "\n", "sha256:" + "a" * 63 + "%00"]


def test_22_digest_grammar(target, plane, repo):
    target.push_image(repo, "v1")
    before, files = plane.rows(), plane.files() + plane.files("tmp")
    for digest in BAD_DIGESTS:
        for method, path in (("GET", f"/v2/{repo}/blobs/"), ("HEAD", f"/v2/{repo}/blobs/"),
                             ("DELETE", f"/v2/{repo}/blobs/"), ("GET", f"/v2/{repo}/manifests/"),
                             ("DELETE", f"/v2/{repo}/manifests/"), ("GET", f"/v2/{repo}/referrers/")):
            reply = target.call(method, path + quote(digest, safe=":"))
            assert reply.status_code == 400 or ("/" in digest and reply.status_code in (401, 404)), \
                (method, path, digest, reply.status_code, reply.text)
            assert is_clean(reply.text)
        begun = target.call("POST", f"/v2/{repo}/blobs/uploads/")
        reply = target.call("PUT", begun.headers["Location"], params={"digest": digest}, data=b"x")
        errors(reply, 400, "DIGEST_INVALID")
        assert target.call("DELETE", begun.headers["Location"]).status_code == 204
        errors(target.call("POST", f"/v2/{repo}/blobs/uploads/", params={"digest": digest},
                           data=b"x"), 400, "DIGEST_INVALID")
        # What cannot be mounted is uploaded, whatever the reason.
        mount = target.call("POST", f"/v2/{repo}/blobs/uploads/", params={"mount": digest})
        assert mount.status_code == 202
        assert target.call("DELETE", mount.headers["Location"]).status_code == 204
        body = json.dumps(image_with(digest)).encode()
        errors(put(target, repo, "bad", body), 400, "MANIFEST_INVALID")
    assert plane.rows() == before and plane.files() + plane.files("tmp") == files


def image_with(digest):
    return {"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest, "size": 2}, "layers": []}


@pytest.mark.parametrize("ending", ["put", "put with body", "post", "sha512"])
def test_23_wrong_digest_keeps_nothing(target, plane, repo, ending):
    data, wrong = uuid.uuid4().bytes * 1000, sha256(uuid.uuid4().bytes)
    if ending == "sha512":
        wrong = "sha512:" + hashlib.sha512(uuid.uuid4().bytes).hexdigest()
    before, files = plane.rows(), plane.files() + plane.files("tmp")
    if ending == "post":
        reply = target.call("POST", f"/v2/{repo}/blobs/uploads/", params={"digest": wrong}, data=data)
    else:
        where = target.call("POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]
        if ending == "put":
            where = target.call("PATCH", where, data=data).headers["Location"]
        reply = target.call("PUT", where, params={"digest": wrong},
                            data=b"" if ending == "put" else data)
        errors(target.call("GET", where), 404, "BLOB_UPLOAD_UNKNOWN")
    errors(reply, 400, "DIGEST_INVALID")
    for digest in (wrong, sha256(data)):
        assert target.call("HEAD", f"/v2/{repo}/blobs/{digest}").status_code == 404
    assert plane.rows() == before and plane.files() + plane.files("tmp") == files


def test_23_manifest_by_wrong_digest(target, plane, repo):
    manifest = json.dumps(image(target, repo)).encode()
    before = plane.rows()
    errors(put(target, repo, sha256(b"other"), manifest), 400, "DIGEST_INVALID")
    errors(put(target, repo, sha256(manifest), manifest + b"\n"), 400, "DIGEST_INVALID")
    assert plane.rows() == before
    missing = image_with(sha256(uuid.uuid4().bytes))
    errors(put(target, repo, "v1", missing), 400, "MANIFEST_BLOB_UNKNOWN")
    assert plane.rows() == before


# --- 24-27: who may reach what --------------------------------------------------------------------

def test_24_mount_of_what_one_may_not_read(target, plane, repo):
    """Content that only an unreadable repository holds is as absent as what nobody holds."""
    secret_repo, data = repo + "/secret", uuid.uuid4().bytes
    digest, absent = push_blob(target, secret_repo, data), sha256(uuid.uuid4().bytes)
    user = add_token(plane, {f"{repo}/own": ["pull", "push"]})
    own = f"/v2/{repo}/own/blobs"

    def seen(digest):
        found = []
        for query in ({"mount": digest}, {"mount": digest, "from": secret_repo},
                      {"mount": digest, "from": f"{repo}/nobody"}):
            reply = call(target, "POST", f"{own}/uploads/", user=user, params=query)
            assert reply.status_code == 202 and reply.headers["Location"].startswith(own)
            assert "Docker-Content-Digest" not in reply.headers
            found.append((reply.status_code, sorted(h.lower() for h in reply.headers), reply.text))
            assert call(target, "DELETE", reply.headers["Location"], user=user).status_code == 204
        for method in ("HEAD", "GET"):
            reply = call(target, method, f"{own}/{digest}", user=user)
            assert reply.status_code == 404
            found.append((sorted(h.lower() for h in reply.headers), reply.text.replace(digest, "D")))
        other = call(target, "GET", f"/v2/{secret_repo}/blobs/{digest}", user=user)
        assert other.status_code == 403
        found.append(other.text)
        return found
    assert seen(digest) == seen(absent)
    manifest = image_with(digest)
    reply = call(target, "PUT", f"/v2/{repo}/own/manifests/v1", user=user, json=manifest,
                 headers={"Content-Type": MANIFEST})
    errors(reply, 400, "MANIFEST_BLOB_UNKNOWN")
    # With the right to read it, the mount is a link and no copy.
    both = add_token(plane, {f"{repo}/*": ["pull", "push"]})
    done = call(target, "POST", f"{own}/uploads/", user=both, params={"mount": digest,
                                                                      "from": secret_repo})
    assert done.status_code == 201 and done.headers["Docker-Content-Digest"] == digest
    assert call(target, "GET", f"{own}/{digest}", user=user).content == data


def test_25_deleted_here_kept_there(target, repo):
    """A read elsewhere does not bring a deleted blob back here (a stale cache would)."""
    data = uuid.uuid4().bytes
    a, b, digest = f"{repo}/a", f"{repo}/b", sha256(data)
    for where in (a, b):
        push_blob(target, where, data)
        assert target.call("GET", f"/v2/{where}/blobs/{digest}").content == data
    assert target.call("DELETE", f"/v2/{a}/blobs/{digest}").status_code == 202
    for _ in range(3):
        assert target.call("GET", f"/v2/{b}/blobs/{digest}").content == data
        assert target.call("HEAD", f"/v2/{b}/blobs/{digest}").status_code == 200
        for method in ("GET", "HEAD"):
            assert target.call(method, f"/v2/{a}/blobs/{digest}").status_code == 404
    # The same for manifests and tags.
    for where in (a, b):
        m = target.push_image(where, "v1", data)
        assert target.call("GET", f"/v2/{where}/manifests/v1").status_code == 200
    assert target.call("DELETE", f"/v2/{a}/manifests/{m}").status_code == 202
    for reference in ("v1", m):
        assert target.call("GET", f"/v2/{b}/manifests/{reference}").status_code == 200
        assert target.call("GET", f"/v2/{a}/manifests/{reference}").status_code == 404
        assert target.call("HEAD", f"/v2/{a}/manifests/{reference}").status_code == 404


def test_26_upload_sessions_of_others(instance, target, plane, repo):
    mine, other = (add_token(plane, {f"{repo}/*": ["pull", "push", "delete"]}) for _ in range(2))
    begun = call(target, "POST", f"/v2/{repo}/a/blobs/uploads/", user=mine)
    where, session = begun.headers["Location"], begun.headers["Docker-Upload-UUID"]
    assert call(target, "PATCH", where, user=mine, data=b"mine").status_code == 202
    elsewhere = instance.make_registry(target.group)

    def refused(registry, path, user):
        for method, options in (("GET", {}), ("PATCH", {"data": b"evil"}), ("DELETE", {}),
                                ("PUT", {"data": b"evil", "params": {"digest": sha256(b"mine")}})):
            reply = call(registry, method, path, user=user, **options)
            errors(reply, 404, "BLOB_UPLOAD_UNKNOWN")
    refused(target, where, other)
    refused(target, where, target.auth)
    refused(target, f"/v2/{repo}/b/blobs/uploads/{session}", mine)
    refused(elsewhere, where, elsewhere.auth)
    refused(target, f"/v2/{repo}/a/blobs/uploads/{uuid.uuid4()}", mine)
    refused(target, f"/v2/{repo}/a/blobs/uploads/{session.upper()}", mine)
    done = call(target, "PUT", where, user=mine, params={"digest": sha256(b"mine")})
    assert done.status_code == 201
    refused(target, where, mine)


def test_26_session_ids_cannot_be_guessed(target, repo):
    found = []
    for _ in range(200):
        reply = target.call("POST", f"/v2/{repo}/blobs/uploads/")
        found.append(uuid.UUID(reply.headers["Docker-Upload-UUID"]))
        assert target.call("DELETE", reply.headers["Location"]).status_code == 204
    assert len(set(found)) == 200 and {u.version for u in found} == {4}
    # 122 free bits: each of them is seen both ways (chance of a miss: 2^-199 a bit).
    ones, zeros = 0, 0
    for u in found:
        ones, zeros = ones | u.int, zeros | ~u.int
    free = ((1 << 128) - 1) & ~(0xf << 76) & ~(0x3 << 62)
    assert ones & zeros & free == free


def change(target, path, **attributes):
    reply = target.call("PATCH", f"/acr/v1/{path}", json=attributes)
    assert reply.status_code == 200, reply.text


def disallowed(reply):
    entry = errors(reply, 405, "REGISTRY_DISALLOWED_OPERATION")
    assert entry["detail"] == {} and entry["message"].startswith("The operation is disallowed")


def test_27_locks_hold_against_every_way(target, repo):
    """A locked tag, manifest or repository survives delete by tag and by digest, and overwrite."""
    first = target.push_image(repo, "v1", b"one")
    second = json.dumps(image(target, repo, annotations={"n": "2"})).encode()

    def is_whole():
        for reference in ("v1", first):
            got = target.call("GET", f"/v2/{repo}/manifests/{reference}")
            assert got.status_code == 200 and got.headers["Docker-Content-Digest"] == first

    def attack(overwrites=True):
        disallowed(target.call("DELETE", f"/v2/{repo}/manifests/{first}"))
        disallowed(target.call("DELETE", f"/v2/{repo}/manifests/v1"))
        disallowed(target.call("DELETE", f"/acr/v1/{repo}/_tags/v1"))
        if overwrites:
            disallowed(put(target, repo, "v1", second))
            disallowed(put(target, repo, sha256(second) + "?tag=v1&tag=other", second))
        is_whole()

    change(target, f"{repo}/_tags/v1", writeEnabled=False)
    attack()
    disallowed(target.call("DELETE", f"/acr/v1/{repo}"))
    change(target, f"{repo}/_tags/v1", writeEnabled=True, deleteEnabled=False)
    attack(overwrites=False)
    disallowed(target.call("DELETE", f"/acr/v1/{repo}"))
    change(target, f"{repo}/_tags/v1", deleteEnabled=True)
    for lock in ("writeEnabled", "deleteEnabled"):
        change(target, f"{repo}/_manifests/{first}", **{lock: False})
        disallowed(target.call("DELETE", f"/v2/{repo}/manifests/{first}"))
        disallowed(target.call("DELETE", f"/acr/v1/{repo}"))
        is_whole()
        change(target, f"{repo}/_manifests/{first}", **{lock: True})
    change(target, repo, writeEnabled=False)
    attack()
    disallowed(target.call("DELETE", f"/acr/v1/{repo}"))
    change(target, repo, writeEnabled=True, deleteEnabled=False)
    disallowed(target.call("DELETE", f"/acr/v1/{repo}"))
    is_whole()
    # A repository that may not be deleted still lets a single image go; afterwards nothing holds.
    change(target, repo, deleteEnabled=True)
    assert target.call("DELETE", f"/v2/{repo}/manifests/v1").status_code == 202
    assert target.call("DELETE", f"/acr/v1/{repo}").status_code == 202


def test_27_unreadable_is_denied_by_tag_and_digest(target, repo):
    digest = target.push_image(repo, "v1")
    for path in (f"{repo}/_manifests/{digest}", repo):
        assert target.call("GET", f"/v2/{repo}/manifests/v1").status_code == 200  # now cached
        change(target, path, readEnabled=False)
        for reference in ("v1", digest):
            disallowed(target.call("GET", f"/v2/{repo}/manifests/{reference}"))
            assert target.call("HEAD", f"/v2/{repo}/manifests/{reference}").status_code == 405
        change(target, path, readEnabled=True)
    blob = push_blob(target, repo, b"layer")
    change(target, repo, readEnabled=False)
    assert target.call("GET", f"/v2/{repo}/blobs/{blob}").status_code == 405
    change(target, repo, readEnabled=True)


# --- 28-31: ranges, codings, paths, hosts ---------------------------------------------------------

def test_28_ranges(target, plane, repo):
    data = bytes(range(256)) * 40
    digest = push_blob(target, repo, data)
    path, size = f"/v2/{repo}/blobs/{digest}", len(data)

    def get(text):
        return target.call("GET", path, headers={"Range": text}, auth=target.auth)
    for text, first, last in (("bytes=0-18446744073709551615", 0, size - 1), ("bytes=5-9", 5, 9),
                              ("bytes=0-0", 0, 0), ("bytes=-1", size - 1, size - 1),
                              (f"bytes=-{size + 5}", 0, size - 1), (f"bytes={size - 1}-", size - 1,
                                                                    size - 1),
                              ("bytes=1-9223372036854775807", 1, size - 1)):
        got = get(text)
        assert got.status_code == 206, (text, got.status_code)
        assert got.content == data[first:last + 1]
        assert got.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    for text in (f"bytes={size}-", "bytes=-0", f"bytes={size}-{size + 4}",
                 "bytes=18446744073709551615-", "bytes=9223372036854775807-9223372036854775807",
                 "bytes=5-4"):
        got = get(text)
        assert got.status_code == 416, (text, got.status_code)
        assert got.headers["Content-Range"] == f"bytes */{size}" and is_clean(got.text)
    many = "bytes=" + ",".join(f"{i}-{i}" for i in range(1000))
    with Bounded(plane.pid, MIB):
        for text in (many, "bytes=" + ",".join(["0-"] * 1000), "bytes=0-1,5-6", "bytes=x", "bytes=",
                     "bytes=--1", "bytes=1", "rows=1-2", "bytes=0x1-2", "bytes=99999999999999999999-",
                     "bytes=1-99999999999999999999", "bytes = 1-2", "bytes=1 - 2"):
            got = get(text)
            assert got.status_code in (200, 206, 416), (text, got.status_code)
            if got.status_code == 200:
                assert got.content == data
            if got.status_code == 206:
                assert len(got.content) <= size and "multipart" not in got.headers["Content-Type"]


def test_28_chunks_that_do_not_fit(target, repo):
    begun = target.call("POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]
    assert target.call("PATCH", begun, data=b"01234", headers={"Content-Range": "0-4"},
                       auth=target.auth).status_code == 202
    for text in ("6-7", "0-4", "4-5", "5-4", "18446744073709551615-18446744073709551616",
                 "5-18446744073709551615", "5-99999999999999999999", "-5", "5-", "x-y", "bytes 5-6",
                 "5-6/7", "+5-6", "5-+6", "5-6 7", "5--6"):
        for method, query in (("PATCH", {}), ("PUT", {"digest": sha256(b"0123456")})):
            got = target.call(method, begun, data=b"56", params=query, auth=target.auth,
                              headers={"Content-Range": text})
            assert got.status_code in (400, 416), (method, text, got.status_code)
            assert got.json()["errors"][0]["code"] in ("BLOB_UPLOAD_INVALID", "SIZE_INVALID")
            assert got.headers["Range"] == "0-4"
            state = target.call("GET", begun)
            assert state.status_code == 204 and state.headers["Range"] == "0-4"
    # A length that contradicts the range is found before or after the bytes, never believed.
    short = target.call("PATCH", begun, data=b"5", auth=target.auth, headers={"Content-Range": "5-6"})
    assert short.status_code in (400, 416)
    done = target.call("PUT", begun, data=b"56", params={"digest": sha256(b"0123456")},
                       headers={"Content-Range": "5-6"}, auth=target.auth)
    assert done.status_code == 201, done.text


def test_29_request_codings(instance, target, plane, repo):
    manifest = gzip.compress(json.dumps(image(target, repo)).encode())
    before = plane.rows()
    where = target.call("POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"):
        sent = {"Content-Encoding": coding}
        replies = [
            put(target, repo, "v1", manifest, headers=sent),
            target.call("PATCH", where, data=manifest, headers=sent, auth=target.auth),
            target.call("PUT", where, data=manifest, headers=sent, auth=target.auth,
                        params={"digest": sha256(manifest)}),
            target.call("POST", f"/v2/{repo}/blobs/uploads/", data=manifest, headers=sent,
                        auth=target.auth, params={"digest": sha256(manifest)}),
            target.call("PATCH", f"/acr/v1/{repo}", data=manifest, headers=sent, auth=target.auth),
            target.call("POST", "/oauth2/token", data=manifest, headers=sent, auth=target.auth)]
        for reply in replies:
            errors(reply, 415, "UNSUPPORTED")
        arm = instance.arm("PUT", target.id, data=manifest, headers=sent)
        assert arm.status_code == 415 and arm.json()["error"]["code"] and is_clean(arm.text)
    assert target.call("GET", where).headers["Range"] == "0-0"
    assert target.call("DELETE", where).status_code == 204
    assert plane.rows() == before
    # A bomb that is content is content: kept as it came.
    bomb = gzip.compress(b"\0" * (64 * MIB))
    with Bounded(plane.pid, 4 * MIB):
        digest = push_blob(target, repo, bomb)
        got = target.call("GET", f"/v2/{repo}/blobs/{digest}", auth=target.auth,
                          headers={"Accept-Encoding": "gzip, zstd"})
    assert got.content == bomb and "Content-Encoding" not in got.headers


ODD_PATHS = ["/v2/%2F%2F..%2F..%2Fetc/passwd/manifests/v1", "/v2/..%2f..%2fetc/passwd/tags/list",
             "/v2/../../etc/passwd", "/v2/a/../b/manifests/v1", "/v2/a/./b/manifests/v1",
             "/v2/%2e%2e/x/manifests/v1", "/v2/%252e%252e/x/manifests/v1", "/v2/a%5c..%5cb/tags/list",
             "/v2/a\\..\\b/tags/list", "/v2/a%00b/tags/list", "/v2/%c0%af/tags/list",
             "/v2/%c0%ae%c0%ae/tags/list", "/v2/%e0%80%af/tags/list", "/v2/%ff/tags/list",
             "/v2/%/tags/list", "/v2/%4/tags/list", "/v2/%zz/tags/list", "/v2/%u002f/tags/list",
             "/v2/a%0d%0ab/tags/list", "/v2/a%20b/tags/list", "/v2/A/tags/list", "/v2/a b/tags/list",
             "/v2/-a/tags/list", "/v2/a-/tags/list", "/v2/a..b/tags/list", "/v2/a___b/tags/list",
             "/v2/a/manifests/..", "/v2/a/manifests/%2e%2e%2fb", "/v2/a/manifests/.x",
             "/v2/a/manifests/" + "x" * 129, "/v2/" + "a/" * 200 + "b/tags/list",
             "/v2/" + "a" * 256 + "/tags/list", "/acr/v1/%2e%2e/_tags", "/acr/v1/a%2fb/_tags",
             "/v2/a/blobs/uploads/..%2f..%2f..%2fetc%2fpasswd", "/v2/a/blobs/uploads/%2e%2e"]


@pytest.mark.parametrize("path", ODD_PATHS, ids=lambda p: p[:40])
def test_30_odd_paths(instance, target, plane, path):
    for wire in (at_edge(instance, target.host), plane.connect()):
        with wire:
            got = ask(wire, head(target, "GET", path, "Connection: close"))
            if got is None and " " in path:
                continue  # a request line that cannot be read: closed without a word
            assert got is not None and got.status in (400, 404), (path, got)
            assert is_clean(got.body) and b"root:" not in got.body, got.body


def test_31_hosts_are_not_echoed(instance, target, plane, repo):
    evil = ["Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher",
            "X-Original-URL: /evil.example", "X-Rewrite-URL: /evil.example", "X-Host: evil.example",
            "Forwarded: host=evil.example;proto=gopher", "X-Forwarded-Server: evil.example"]
    target.push_image(repo, "v1")
    target.push_image(repo, "v2")
    asked = [("GET", "/v2/", False), ("GET", f"/v2/{repo}/manifests/v1", False),
             ("POST", f"/v2/{repo}/blobs/uploads/", True),
             ("GET", f"/v2/{repo}/tags/list?n=1", True), ("GET", "/v2/_catalog?n=1", True),
             ("GET", f"/acr/v1/{repo}/_manifests?n=1", True), ("GET", f"/acr/v1/{repo}", True),
             ("GET", f"/oauth2/token?service=evil.example&scope=repository:{repo}:pull", True),
             ("GET", "/nowhere", True)]
    for method, path, is_signed in asked:
        lines = [x for x in evil if not x.startswith("Host:")] + ["Content-Length: 0"] * (
            method == "POST")
        with at_edge(instance, target.host) as wire:
            got = ask(wire, head(target, method, path, *lines, auth=is_signed))
            check_not_echoed(got, path)
        # Past the edge nothing has looked at the host before.
        text = head(target, method, path, *lines, auth=is_signed).replace(
            f"Host: {target.host}".encode(), b"Host: evil.example")
        with plane.connect() as wire:
            got = ask(wire, text)
            check_not_echoed(got, path)
            if got.status == 401:
                assert f'realm="https://{target.host}/oauth2/token"' in got.headers["www-authenticate"]
    with at_edge(instance, target.host) as wire:
        got = ask(wire, head(target, "GET", "/v2/").replace(target.host.encode(), b"evil.example"))
        assert got.status == 404 and b"evil" not in got.body


def check_not_echoed(got, path):
    shown = json.dumps(got.headers) + got.body.decode("latin-1")
    if "service=evil" not in path:
        assert "evil.example" not in shown and "gopher" not in shown, (path, shown)
    assert got.headers.get("location", "/").startswith("/")


def test_31_management_hosts_are_not_echoed(instance):
    evil = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher",
            "Forwarded": "host=evil.example", "X-Original-Host": "evil.example"}
    group = instance.make_group()
    path = instance.registry_id(group, f"evil{uuid.uuid4().hex[:8]}")
    made = instance.arm("PUT", path, {"location": "eastus", "sku": {"name": "Basic"}}, headers=evil)
    assert made.status_code == 201
    assert made.headers["Azure-AsyncOperation"].startswith(instance.management + "/")
    instance.finish(made)
    for url in (path, f"{instance.group_id(group)}/resources?$top=1", "/metadata/endpoints"):
        reply = instance.arm("GET", url, headers=evil,
                             api=API if "/registries/" in url else "2021-04-01")
        assert "evil.example" not in reply.text + json.dumps(dict(reply.headers))
    gone = instance.arm("DELETE", path, headers=evil)
    assert "evil.example" not in json.dumps(dict(gone.headers))
    instance.finish(gone)
    for where in (instance.management, instance.login):
        found = instance.session.get(f"{where}/{instance.tenant}/.well-known/openid-configuration",
                                     headers=evil)
        assert "evil.example" not in found.text
    instance.delete(instance.group_id(group), api="2024-11-01")


# --- 33-34: many and foreign ----------------------------------------------------------------------

def fill(plane, repo, count, subject=None, annotation=100):
    """Manifests by the thousand, straight into the database; what they hold is of no matter."""
    key = f"'\\x01{subject[7:]}'::bytea" if subject else "null"
    plane.sql(f"""insert into manifests (repository_id, digest, media_type, artifact_type,
        annotations, subject, payload, image_size, clock, origin)
        select r.id, '\\x01'::bytea || sha256(p), '{MANIFEST}', 'application/x-test',
        jsonb_build_object('note', repeat('x', {annotation})), {key}, p, 1, 1, 'eastus'
        from repositories r, lateral (select convert_to('{{"of":"{repo}","n":' || i || '}}', 'UTF8')
        as p from generate_series(1, {count}) i) g
        where r.registry_id = $id and r.name = '{repo}'""")
    plane.sql("analyze manifests")


def remove(plane, repo):
    plane.sql(f"""delete from manifest_children where manifest_id in (select m.id from manifests m
        join repositories r on r.id = m.repository_id where r.registry_id = $id
        and r.name = '{repo}')""")
    plane.sql(f"""delete from repositories where registry_id = $id and name = '{repo}'""")


def test_33_many_referrers(target, plane, repo):
    subject = target.push_image(repo, "v1")
    fill(plane, repo, 10_001, subject)
    path, seen, pages = f"/v2/{repo}/referrers/{subject}", set(), 0
    with Bounded(plane.pid, 24 * MIB) as memory:
        url = path + "?n=500"
        while url and pages < 20:
            reply = target.call("GET", url)
            assert reply.status_code == 200
            assert reply.headers["Content-Type"] == INDEX
            found = [m["digest"] for m in reply.json()["manifests"]]
            assert 0 < len(found) <= 500 and not seen & set(found)
            seen |= set(found)
            url = reply.links["next"]["url"] if "next" in reply.links else None
            pages += 1
            memory.look()
        assert pages == 20 and url, "10,001 do not fit into 20 pages of 500"
        huge = target.call("GET", path, params={"n": 10**9})
        assert len(huge.content) <= 8 * MIB and "next" in huge.links
        memory.look()
        for listing in (f"/acr/v1/{repo}/_manifests", f"/acr/v1/{repo}/_tags"):
            reply = target.call("GET", listing, params={"n": 10**9, "orderby": "timedesc"})
            assert reply.status_code == 200 and len(reply.content) <= 8 * MIB
            memory.look()
    remove(plane, repo)


def test_33_fat_referrers(target, plane, repo):
    """Large annotations make pages short, not memory long."""
    subject = target.push_image(repo, "v1")
    fill(plane, repo, 8, subject, annotation=2 * MIB)
    with Bounded(plane.pid, 64 * MIB) as memory:
        url, seen = f"/v2/{repo}/referrers/{subject}?n=1000", 0
        while url:
            reply = target.call("GET", url)
            assert reply.status_code == 200 and len(reply.content) <= 8 * MIB
            assert reply.json()["manifests"]
            seen += len(reply.json()["manifests"])
            url = reply.links["next"]["url"] if "next" in reply.links else None
            memory.look()
    assert seen == 8
    remove(plane, repo)


def test_33_wide_indexes(target, plane, repo):
    target.push_image(repo, "v1")
    fill(plane, repo, 1_000)
    rows = plane.sql(f"""select encode(m.digest, 'hex'), octet_length(m.payload) from manifests m
        join repositories r on r.id = m.repository_id where r.registry_id = $id
        and r.name = '{repo}'""")
    children = [{"mediaType": MANIFEST, "digest": "sha256:" + d[2:], "size": int(n)} for d, n in rows]
    with Bounded(plane.pid, 96 * MIB) as memory:
        wide = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}).encode()
        assert put(target, repo, "wide", wide, INDEX).status_code == 201
        memory.look()
        assert target.call("GET", f"/v2/{repo}/manifests/wide").content == wide
        one = target.call("GET", f"/acr/v1/{repo}/_manifests/{sha256(wide)}")
        assert one.status_code == 200 and len(one.json()["manifest"]["references"]) == len(children)
        memory.look()
    # Many such indexes: a page of the listing must not hold all their children at once.
    plane.sql(f"""with wide as (select m.* from manifests m join repositories r
        on r.id = m.repository_id where r.registry_id = $id and r.name = '{repo}'
        and m.media_type = '{INDEX}'),
        more as (insert into manifests (repository_id, digest, media_type, payload, image_size,
        clock, origin) select repository_id, '\\x01'::bytea || sha256(convert_to('w' || i, 'UTF8')),
        media_type, convert_to('w' || i, 'UTF8'), 1, 1, 'eastus' from wide, generate_series(1, 40) i
        returning id)
        insert into manifest_children (manifest_id, child_id) select more.id, c.child_id from more,
        wide join manifest_children c on c.manifest_id = wide.id""")
    # The same for manifests with many long tags.
    plane.sql(f"""insert into tags (repository_id, name, manifest_id, clock, origin)
        select m.repository_id, repeat('t', 100) || m.nth || '-' || i, m.id, 1, 'eastus' from
        (select m.*, row_number() over () as nth from manifests m join repositories r
        on r.id = m.repository_id where r.registry_id = $id and r.name = '{repo}' limit 20) m,
        generate_series(1, 1000) i""")
    there = int(plane.sql(f"""select count(*) from manifests m join repositories r
        on r.id = m.repository_id where r.registry_id = $id and r.name = '{repo}'""")[0][0])
    with Bounded(plane.pid, 64 * MIB) as memory:
        for order in ("", "timedesc"):
            url, seen = f"/acr/v1/{repo}/_manifests?n=1000&orderby={order}", []
            while url:
                reply = target.call("GET", url)
                assert reply.status_code == 200, reply.text[:300]
                assert len(reply.content) <= 2 * MIB, f"a page of {len(reply.content) / MIB:.0f} MiB"
                assert reply.json()["manifests"]
                memory.look()
                seen += [m["digest"] for m in reply.json()["manifests"]]
                url = reply.links["next"]["url"] if "next" in reply.links else None
            assert len(seen) == len(set(seen)) == there
    remove(plane, repo)


def test_33_deep_nesting(target, repo):
    digest, size = target.push_image(repo, "v1"), 500
    for _ in range(60):
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests":
                           [{"mediaType": INDEX, "digest": digest, "size": size}]}).encode()
        assert put(target, repo, "deep", body, INDEX).status_code == 201
        digest, size = sha256(body), len(body)
    assert target.call("GET", f"/v2/{repo}/manifests/deep").status_code == 200
    assert target.call("GET", f"/acr/v1/{repo}/_manifests/{digest}").status_code == 200
    assert target.call("DELETE", f"/acr/v1/{repo}").status_code == 202


def test_34_urls_of_foreign_layers_are_not_fetched(target, repo):
    push_blob(target, repo, b"{}")
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        def listen():
            try:
                server.accept()[0].close()
                asked.set()
            except OSError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/secret"
        digest = sha256(uuid.uuid4().bytes)
        manifest = {"schemaVersion": 2, "mediaType": DOCKER, "config": descriptor(
            b"{}", "application/vnd.docker.container.image.v1+json"), "layers": [
                {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                 "digest": digest, "size": 10, "urls": [url, "file:///etc/passwd"]}]}
        assert put(target, repo, "v1", manifest, DOCKER).status_code == 201
        assert target.call("GET", f"/v2/{repo}/manifests/v1").json() == manifest
        for method in ("HEAD", "GET"):
            assert target.call(method, f"/v2/{repo}/blobs/{digest}").status_code == 404
        for path in (f"/acr/v1/{repo}/_manifests", f"/acr/v1/{repo}/_tags/v1"):
            assert target.call("GET", path).status_code == 200
        # Every reply above came after whatever the server did for it.
        assert not asked.is_set()
        server.shutdown(socket.SHUT_RDWR)
    # Only these types may be absent: an ordinary layer with urls must be there.
    manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    errors(put(target, repo, "v2", manifest, DOCKER), 400, "MANIFEST_BLOB_UNKNOWN")


@pytest.fixture
def collecting():
    """A data plane of its own that collects at once what nobody uses."""
    with running("--collect-delay", "0") as it:
        yield it


class Crowd:
    """Pushes, mounts, names, reads and deletes the same blob in a few repositories."""

    def __init__(self, plane):
        self.plane, self.data = plane, uuid.uuid4().bytes * 64
        self.digest = sha256(self.data)
        self.counts = collections.Counter()
        self.problems = []

    def work(self, worker, rounds=30):
        session = requests.Session()
        session.trust_env, session.auth = False, self.plane.admin
        for n in range(rounds):
            self.round(session, f"r{worker}", f"r{(worker + 1) % 6}", n)

    def go(self, session, name, allowed, method, path, **options):
        reply = session.request(method, self.plane.url + path, timeout=60, **options)
        self.counts[name, reply.status_code] += 1
        if reply.status_code not in allowed:
            self.problems.append((name, reply.status_code, reply.text[:300]))
        return reply

    def round(self, session, repo, other, n):
        for data in (self.data, b"{}"):
            self.go(session, "push", {201}, "POST", f"/v2/{repo}/blobs/uploads/", data=data,
                    params={"digest": sha256(data)})
        mounted = self.go(session, "mount", {201, 202}, "POST", f"/v2/{other}/blobs/uploads/",
                          params={"mount": self.digest, "from": repo})
        if mounted.status_code == 202:
            self.go(session, "cancel", {204}, "DELETE", mounted.headers["Location"])
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                           "config": descriptor(b"{}", CONFIG),
                           "layers": [descriptor(self.data, LAYER)],
                           "annotations": {"n": f"{repo}-{n}"}}).encode()
        # A neighbour or the collector may have taken a blob meanwhile: then the push is refused.
        self.go(session, "tag", {201, 400}, "PUT", f"/v2/{repo}/manifests/v{n}", data=body,
                headers={"Content-Type": MANIFEST})
        read = self.go(session, "read", {200, 404}, "GET", f"/v2/{repo}/blobs/{self.digest}")
        if read.status_code == 200 and read.content != self.data:
            self.problems.append(("read", 200, "other bytes"))
        if n % 3:
            self.go(session, "delete", {202, 404}, "DELETE", f"/v2/{repo}/manifests/{sha256(body)}")
        self.go(session, "unlink", {202, 404, 405}, "DELETE", f"/v2/{repo}/blobs/{self.digest}")


def test_46_delete_mount_and_collect_at_once(collecting):
    """One blob pushed, mounted, named by manifests, deleted and collected from many sides at once:
    a row is never without its file nor a manifest without its rows, and all is collected in the
    end."""
    crowd = Crowd(collecting)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(crowd.work, range(6)))
    assert not crowd.problems, crowd.problems[:5]
    for event in (("push", 201), ("mount", 201), ("tag", 201), ("unlink", 202), ("delete", 202)):
        assert crowd.counts[event] > 0, crowd.counts

    def stored():
        rows = set(collecting.pg.sql("select encode(digest, 'hex') from blobs").split())
        files = {"01" + name for _, _, names in os.walk(os.path.join(collecting.blobs, "blobs"))
                 for name in names}
        return rows, files

    def agree():
        rows, files = stored()
        return rows == files
    eventually(agree)
    assert collecting.pg.sql("select count(*) from manifest_blobs mb left join blobs b "
                             "on b.id = mb.blob_id where b.id is null") == "0"
    for worker in range(6):
        tags = collecting.call("GET", f"/v2/r{worker}/tags/list")
        for tag in (tags.json()["tags"] if tags.status_code == 200 else []):
            assert collecting.call("GET", f"/v2/r{worker}/manifests/{tag}").status_code == 200
        assert collecting.call("DELETE", f"/acr/v1/r{worker}").status_code in (202, 404)
    eventually(lambda: stored() == (set(), set()), timeout=30)
