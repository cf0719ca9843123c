"""ACR's own side of the data plane: its REST API operation by operation, soft delete, retention,
quarantine, key-values, and locks on every path. One data plane over plain HTTP."""

import json
import os
import threading
import uuid

import pytest

from support.dataplane import CONFIG, INDEX, LAYER, MANIFEST, descriptor, running, sha256, sha512
from support.instance import eventually

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@pytest.fixture(scope="module")
def plane():
    with running("--collect-delay", "1") as it:
        yield it


@pytest.fixture(autouse=True)
def alive(plane):
    yield
    plane.check()


def code(reply):
    return reply.json()["errors"][0]["code"]


def is_refused(reply):
    return reply.status_code == 405 and code(reply) == "REGISTRY_DISALLOWED_OPERATION"


@pytest.fixture
def policies(plane):
    """Sets the registry's policies as the control plane publishes them; off again afterwards. A
    policy holds when an answer shows that the process has read it."""
    def publish(**policies):
        issuer = f"https://{uuid.uuid4().hex}.test/"  # taken when these settings are
        text = json.dumps({"policies": policies, "issuers": ["https://issuer.test/", issuer]})
        plane.pg.sql(f"update registries set settings = settings || '{text}', "
                     f"generation = generation + 1")
        eventually(lambda: plane.call("POST", "/oauth2/exchange", auth=None, data={
            "grant_type": "access_token", "service": plane.login_server,
            "access_token": plane.directory_token(iss=issuer)}).status_code == 200)
    yield publish
    publish()


@pytest.fixture
def soft(policies):
    policies(softDeletePolicy={"status": "enabled", "retentionDays": 7})


def docker_image(plane, repo, tag, seed):
    config = json.dumps({"architecture": "arm64", "os": "linux", "seed": seed}).encode()
    layer = b"docker " + seed.encode()
    plane.push_blob(repo, config)
    plane.push_blob(repo, layer)
    reply, data = plane.push_manifest(repo, tag, {
        "schemaVersion": 2, "mediaType": DOCKER, "config": descriptor(config, DOCKER_CONFIG),
        "layers": [descriptor(layer, DOCKER_LAYER)]}, DOCKER)
    assert reply.status_code == 201, reply.text
    return data


def patch(plane, repo, path, **changes):
    reply = plane.call("PATCH", f"/acr/v1/{repo}{path}", json=changes)
    assert reply.status_code == 200, reply.text
    return reply.json()


# --- the published description of the API, operation by operation ---------------------------------

def test_every_operation_of_the_description(plane, repo):
    """Names and statuses as in the 2021-07-01 description. The api-version the SDKs add is no
    obstacle anywhere."""
    version = {"api-version": "2021-07-01"}

    def call(status, method, path, **more):
        more["params"] = {**version, **more.pop("params", {})}
        reply = plane.call(method, path, **more)
        assert reply.status_code == status, f"{method} {path}: {reply.status_code} {reply.text}"
        return reply
    data = plane.push_image(repo, "v1", b"swagger")
    digest, layer = sha256(data), sha256(b"layer swagger")
    call(200, "GET", "/v2/")                                                # CheckDockerV2Support
    got = call(200, "GET", f"/v2/{repo}/manifests/v1", headers={"Accept": MANIFEST, **plane.bearer(
        f"repository:{repo}:pull")})                                        # GetManifest
    assert got.content == data
    made = plane.call("PUT", f"/v2/{repo}/manifests/v2", data=data, params=version,
                      headers={"Content-Type": MANIFEST, **plane.bearer(
                          f"repository:{repo}:pull,push")})                 # CreateManifest
    assert made.status_code == 201 and made.headers["Docker-Content-Digest"] == digest
    assert call(200, "GET", f"/v2/{repo}/blobs/{layer}").content == b"layer swagger"    # GetBlob
    call(200, "HEAD", f"/v2/{repo}/blobs/{layer}")                          # CheckBlobExists
    mounted = call(201, "POST", f"/v2/{repo}-b/blobs/uploads/",
                   params={"from": repo, "mount": layer})                   # MountBlob
    assert mounted.headers["Docker-Content-Digest"] == layer
    call(202, "DELETE", f"/v2/{repo}-b/blobs/{layer}")                      # DeleteBlob
    at = call(202, "POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]    # StartUpload
    assert call(204, "GET", at).headers["Range"] == "0-0"                   # GetUploadStatus
    at = call(202, "PATCH", at, data=b"chunk").headers["Location"]          # UploadChunk
    call(201, "PUT", at, params={"digest": sha256(b"chunk")})               # CompleteUpload
    at = call(202, "POST", f"/v2/{repo}/blobs/uploads/").headers["Location"]
    call(204, "DELETE", at)                                                 # CancelUpload

    assert repo in call(200, "GET", "/acr/v1/_catalog").json()["repositories"]  # GetRepositories
    shown = call(200, "GET", f"/acr/v1/{repo}").json()                      # GetProperties
    assert set(shown) == {"registry", "imageName", "createdTime", "lastUpdateTime",
                          "manifestCount", "tagCount", "changeableAttributes"}
    changed = call(200, "PATCH", f"/acr/v1/{repo}", json={"listEnabled": False}).json()
    assert changed["changeableAttributes"]["listEnabled"] is False          # UpdateProperties
    call(200, "PATCH", f"/acr/v1/{repo}", json={"listEnabled": True})
    tags = call(200, "GET", f"/acr/v1/{repo}/_tags", params={"n": "1", "orderby": "timedesc"})
    assert [t["name"] for t in tags.json()["tags"]] == ["v2"]               # GetTags
    tag = call(200, "GET", f"/acr/v1/{repo}/_tags/v1").json()["tag"]        # GetTagProperties
    assert {"name", "digest", "createdTime", "lastUpdateTime", "changeableAttributes"} <= set(tag)
    tag = call(200, "PATCH", f"/acr/v1/{repo}/_tags/v1", json={"deleteEnabled": False}).json()
    assert tag["tag"]["changeableAttributes"]["deleteEnabled"] is False     # UpdateTagAttributes
    call(200, "PATCH", f"/acr/v1/{repo}/_tags/v1", json={"deleteEnabled": True})
    listed = call(200, "GET", f"/acr/v1/{repo}/_manifests").json()["manifests"]     # GetManifests
    assert [m["digest"] for m in listed] == [digest] and listed[0]["tags"] == ["v1", "v2"]
    one = call(200, "GET", f"/acr/v1/{repo}/_manifests/{digest}").json()["manifest"]
    assert {"digest", "imageSize", "createdTime", "lastUpdateTime", "architecture", "os",
            "mediaType", "tags", "changeableAttributes"} <= set(one)        # GetManifestProperties
    one = call(200, "PATCH", f"/acr/v1/{repo}/_manifests/{digest}",
               json={"readEnabled": False}).json()["manifest"]              # UpdateManifestProperties
    assert one["changeableAttributes"]["readEnabled"] is False
    call(200, "PATCH", f"/acr/v1/{repo}/_manifests/{digest}", json={"readEnabled": True})
    call(202, "DELETE", f"/acr/v1/{repo}/_tags/v2")                         # DeleteTag
    call(404, "DELETE", f"/acr/v1/{repo}/_tags/v2")
    call(202, "DELETE", f"/v2/{repo}/manifests/{digest}")                   # DeleteManifest
    call(404, "DELETE", f"/v2/{repo}/manifests/{digest}")
    plane.push_image(repo, "v3", b"swagger again")
    gone = call(202, "DELETE", f"/acr/v1/{repo}").json()                    # DeleteRepository
    assert gone["tagsDeleted"] == ["v3"] and len(gone["manifestsDeleted"]) == 1
    call(404, "DELETE", f"/acr/v1/{repo}")

    # ExchangeAadAccessTokenForAcrRefreshToken, ExchangeAcrRefreshTokenForAcrAccessToken,
    # GetAcrAccessTokenFromLogin
    refresh = call(200, "POST", "/oauth2/exchange", auth=None, data={
        "grant_type": "access_token", "service": plane.login_server, "tenant": plane.tenant,
        "access_token": plane.directory_token()}).json()["refresh_token"]
    scope = f"repository:{repo}:pull"
    for reply in (call(200, "POST", "/oauth2/token", auth=None, data={
            "grant_type": "refresh_token", "service": plane.login_server, "scope": scope,
            "refresh_token": refresh}),
            call(200, "GET", "/oauth2/token", params={"service": plane.login_server,
                                                      "scope": scope})):
        assert reply.json()["access_token"]


# --- soft delete ----------------------------------------------------------------------------------

def deleted(plane, repo, what):
    reply = plane.call("GET", f"/acr/v1/_deleted/{repo}/{what}")
    assert reply.status_code in (200, 404), reply.text
    return reply.json()[what[1:]] if reply.status_code == 200 else []


def restore(plane, repo, digest, tag=None, **params):
    return plane.call("POST", f"/acr/v1/_deleted/{repo}/_manifests/{digest}", params=params,
                      json={"tag": tag})


def test_35_soft_deleted_and_restored(plane, repo, soft):
    data = plane.push_image(repo, "v1", b"soft")
    plane.push_manifest(repo, "also", data)
    digest = sha256(data)
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{digest}").status_code == 202
    for path in (f"/v2/{repo}/manifests/v1", f"/v2/{repo}/manifests/{digest}",
                 f"/v2/{repo}/tags/list", f"/acr/v1/{repo}", f"/acr/v1/{repo}/_tags/v1",
                 f"/acr/v1/{repo}/_manifests/{digest}"):
        assert plane.call("GET", path).status_code == 404, path
    assert repo not in plane.call("GET", "/acr/v1/_catalog?n=1000").json()["repositories"]
    assert repo in plane.call("GET", "/acr/v1/_deleted/_catalog").json()["repositories"]
    (one,) = deleted(plane, repo, "_manifests")
    assert one["digest"] == digest and one["tags"] == ["also", "v1"] and one["deletedAt"]
    tags = deleted(plane, repo, "_tags")
    assert [(t["tag"], t["digest"]) for t in tags] == [("also", digest), ("v1", digest)]
    assert all(t["deletedAt"] for t in tags)

    # The name of a bin reaches nothing through the API of the living.
    for path in (f"/v2/_deleted/{repo}/manifests/{digest}", f"/acr/v1/_deleted/{repo}",
                 f"/v2/_deleted/{repo}/tags/list"):
        assert plane.call("GET", path).status_code in (400, 401, 403, 404), path

    # It is not pushed again but restored.
    refused = plane.push_manifest(repo, "v1", data)[0]
    assert is_refused(refused) and "restore" in refused.json()["errors"][0]["message"]
    reply = restore(plane, repo, digest, "v1")
    assert reply.status_code == 200 and reply.json()["manifest"]["tags"] == ["v1"]
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == data
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(b'layer soft')}").content == b"layer soft"
    assert plane.call("GET", f"/v2/{repo}/manifests/also").status_code == 404
    assert deleted(plane, repo, "_manifests") == [] and deleted(plane, repo, "_tags") == []
    assert restore(plane, repo, digest).status_code == 404
    shown = plane.call("GET", f"/acr/v1/{repo}").json()
    assert (shown["manifestCount"], shown["tagCount"]) == (1, 1)


def test_content_in_the_bin_is_kept_and_counted(plane, repo, soft):
    """Collection takes nothing that can still be restored, and storage counts it."""
    data = plane.push_image(repo, "v1", os.urandom(200000))
    layer = json.loads(data)["layers"][0]["digest"]
    held = (f"select (select count(*) from blobs where digest = '\\x01{layer[7:]}'), "
            "(select sum(bytes) from registry_usage) = (select sum(size) from blobs) + "
            "(select sum(octet_length(payload)) from manifests)")
    assert plane.call("DELETE", f"/acr/v1/{repo}").status_code == 202
    # The collector has looked: nothing waits for it, and the living lost their links.
    eventually(lambda: plane.pg.sql("select count(*) from blob_reviews") == "0", 20)
    assert plane.pg.sql(f"select count(*) from repositories where name = '{repo}'") == "0"
    assert plane.pg.sql(held) == "1|t"
    assert plane.call("GET", f"/v2/{repo}/blobs/{layer}").status_code == 404
    assert restore(plane, repo, sha256(data), "back").status_code == 200
    assert plane.call("GET", f"/v2/{repo}/manifests/back").content == data
    blob = plane.call("GET", f"/v2/{repo}/blobs/{layer}")
    assert blob.status_code == 200 and sha256(blob.content) == layer


def test_purged_after_its_days(plane, repo, policies):
    policies(softDeletePolicy={"status": "enabled", "retentionDays": 30})
    data = plane.push_image(repo, "v1", b"purge")
    young = plane.push_image(repo, "v2", b"purge, but young")
    for each in (data, young):
        assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(each)}").status_code == 202
    plane.pg.sql(f"update manifests set deleted_at = now() - interval '29 days' "
                 f"where digest = '\\x01{sha256(data)[7:]}'")
    # The days of now count: shortened, they end what was deleted before.
    policies(softDeletePolicy={"status": "enabled", "retentionDays": 28})
    lone = plane.push_image(repo + "-x", "v1", b"any deletion makes it look")
    plane.call("DELETE", f"/v2/{repo}-x/manifests/{sha256(lone)}")
    eventually(lambda: [m["digest"] for m in deleted(plane, repo, "_manifests")]
               == [sha256(young)])
    assert restore(plane, repo, sha256(data)).status_code == 404
    layer = sha256(b"layer purge")
    where = os.path.join(plane.blobs, "blobs", "sha256", layer[7:9], layer[7:])
    eventually(lambda: not os.path.exists(where), 20)
    assert restore(plane, repo, sha256(young), "v2").status_code == 200
    # Purged, it can be pushed again.
    assert plane.push_image(repo, "v1", b"purge") == data


def test_restore_and_taken_tags(plane, repo, soft):
    old = plane.push_image(repo, "v1", b"old")
    plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(old)}")
    new = plane.push_image(repo, "v1", b"new")
    reply = restore(plane, repo, sha256(old), "v1", force="False")
    assert reply.status_code == 409 and code(reply) == "TAG_EXISTS"
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == new
    patch(plane, repo, "/_tags/v1", writeEnabled=False)
    assert is_refused(restore(plane, repo, sha256(old), "v1", force="True"))
    patch(plane, repo, "/_tags/v1", writeEnabled=True)
    assert restore(plane, repo, sha256(old), "v1", force="True").status_code == 200
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == old
    # The same name deleted with two manifests: the later one is last.
    for each in (new, old):
        assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(each)}").status_code == 202
    plane.push_image(repo, "other", b"keeps the repository")
    assert [t["digest"] for t in deleted(plane, repo, "_tags")][-1] == sha256(old)
    # Without a tag it comes back by its digest alone.
    assert restore(plane, repo, sha256(new)).status_code == 200
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha256(new)}").content == new
    patch(plane, repo, "", writeEnabled=False)
    assert is_refused(restore(plane, repo, sha256(old), "v1"))
    patch(plane, repo, "", writeEnabled=True)
    assert restore(plane, repo, sha256(old), "bad tag!").status_code == 400
    assert restore(plane, repo, "sha256:short", "v1").status_code == 400


def test_restored_index_and_referrers(plane, repo, soft):
    """An index comes back without its children; a referrer only after its subject."""
    child = plane.push_image(repo, "child", b"child")
    reply, index = plane.push_manifest(repo, "all", {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(child, MANIFEST)]}, INDEX)
    assert reply.status_code == 201
    empty = b"{}"
    plane.push_blob(repo, empty)
    reply, signature = plane.push_manifest(repo, "sig", {
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.sig",
        "config": descriptor(empty, "application/vnd.oci.empty.v1+json"),
        "layers": [descriptor(empty, LAYER)], "subject": descriptor(child, MANIFEST)})
    assert reply.status_code == 201
    assert plane.call("DELETE", f"/acr/v1/{repo}").status_code == 202
    assert len(deleted(plane, repo, "_manifests")) == 3
    assert restore(plane, repo, sha256(signature)).status_code == 409
    assert restore(plane, repo, sha256(index), "all").status_code == 200
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha256(child)}").status_code == 404
    assert restore(plane, repo, sha256(child)).status_code == 200
    assert restore(plane, repo, sha256(signature)).status_code == 200
    referrers = plane.call("GET", f"/v2/{repo}/referrers/{sha256(child)}").json()["manifests"]
    assert [r["digest"] for r in referrers] == [sha256(signature)]
    shown = plane.call("GET", f"/acr/v1/{repo}/_manifests/{sha256(index)}").json()["manifest"]
    assert [r["digest"] for r in shown["references"]] == [sha256(child)]


def test_soft_delete_by_another_algorithm(plane, repo, soft):
    data = plane.push_image(repo, "v1", b"sha512")
    long = sha512(data)
    assert plane.push_manifest(repo, long, data)[0].status_code == 201
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{long}").status_code == 202
    for digest in (long, sha256(data)):
        assert plane.call("GET", f"/v2/{repo}/manifests/{digest}").status_code == 404
        assert is_refused(plane.push_manifest(repo, digest, data)[0])
    assert restore(plane, repo, long, "v1").status_code == 200
    for reference in (long, sha256(data), "v1"):
        assert plane.call("GET", f"/v2/{repo}/manifests/{reference}").content == data


def test_pages_of_the_bin(plane, soft):
    prefix = "p" + uuid.uuid4().hex[:8]
    images = {}
    for i in range(5):
        data = plane.push_image(f"{prefix}/a", f"t{i}", b"%d" % i + prefix.encode())
        plane.push_image(f"{prefix}/{i}", "t", b"%d" % i + prefix.encode())
        images[sha256(data)] = f"t{i}"
        for repo in (f"{prefix}/a", f"{prefix}/{i}"):
            assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(data)}").status_code == 202

    def walk(path, member, key):
        seen, at = [], f"{path}?n=2"
        while at:
            reply = plane.call("GET", at)
            assert reply.status_code == 200 and len(reply.json()[member]) <= 2, reply.text
            seen += [key(x) for x in reply.json()[member]]
            at = reply.links["next"]["url"] if "next" in reply.links else None
        return seen
    assert walk(f"/acr/v1/_deleted/{prefix}/a/_manifests", "manifests",
                lambda m: m["digest"]) == list(images)
    assert walk(f"/acr/v1/_deleted/{prefix}/a/_tags", "tags", lambda t: t["tag"]) == \
        sorted(images.values())
    names = [n for n in walk("/acr/v1/_deleted/_catalog", "repositories", str)
             if n.startswith(prefix)]
    assert names == sorted([f"{prefix}/a"] + [f"{prefix}/{i}" for i in range(5)])


def test_rights_to_the_bin(plane, soft):
    """deleted_read and deleted_restore are rights of their own."""
    repo = "team/" + uuid.uuid4().hex[:8]
    data = plane.push_image(repo, "v1", b"rights " + repo.encode())
    plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(data)}")
    path = f"/acr/v1/_deleted/{repo}/_manifests"
    reader = ("reader", plane.secrets["reader"])
    assert plane.call("GET", path, auth=reader).status_code == 403
    assert plane.call("GET", "/acr/v1/_deleted/_catalog", auth=reader).status_code == 403
    challenge = plane.call("GET", path, auth=None)
    assert challenge.status_code == 401
    assert f'scope="repository:{repo}:deleted_read"' in challenge.headers["WWW-Authenticate"]
    challenge = plane.call("GET", "/acr/v1/_deleted/_catalog", auth=None)
    assert 'scope="registry:deleted_catalog:*"' in challenge.headers["WWW-Authenticate"]
    read = plane.bearer(f"repository:{repo}:deleted_read")
    assert plane.call("GET", path, headers=read).status_code == 200
    assert plane.call("GET", f"/acr/v1/{repo}", headers=read).status_code == 401
    assert plane.call("POST", f"{path}/{sha256(data)}", headers=read, json={}).status_code == 401
    both = plane.bearer(f"repository:{repo}:deleted_read,deleted_restore")
    assert plane.call("POST", f"{path}/{sha256(data)}", headers=both, json={}).status_code == 200
    assert plane.call("GET", "/acr/v1/_deleted/_catalog",
                      headers=plane.bearer("registry:deleted_catalog:*")).status_code == 200


def test_deleting_pushing_and_restoring_at_once(plane, repo, soft):
    """Whatever the order, the image is at one place, whole, and the counts are right."""
    data = plane.push_image(repo, "v1", b"at once")
    digest = sha256(data)
    bad = []

    def work(calls):
        for _ in range(25):
            for call in calls:
                status = call().status_code
                if status >= 500:
                    bad.append(status)
    threads = [threading.Thread(target=work, args=(calls,)) for calls in (
        [lambda: plane.call("DELETE", f"/v2/{repo}/manifests/{digest}")],
        [lambda: plane.call("DELETE", f"/acr/v1/{repo}")],
        [lambda: restore(plane, repo, digest, "v1")],
        [lambda: plane.push_manifest(repo, "v1", data)[0]])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not bad
    restore(plane, repo, digest, "v1")
    if plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404:
        plane.push_image(repo, "v1", b"at once")
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == data
    shown = plane.call("GET", f"/acr/v1/{repo}").json()
    assert (shown["manifestCount"], shown["tagCount"]) == (1, 1)
    assert plane.pg.sql(
        "select count(*) from repositories r where (select count(*) from manifests m where "
        "m.repository_id = r.id) <> (select coalesce(sum(manifests), 0) from repository_counts c "
        "where c.repository_id = r.id)") == "0"


def test_without_the_policy_deletion_is_for_good(plane, repo, policies):
    policies()
    data = plane.push_image(repo, "v1", b"for good")
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(data)}").status_code == 202
    assert deleted(plane, repo, "_manifests") == []
    assert plane.push_manifest(repo, "v1", data)[0].status_code == 201


# --- retention of untagged manifests --------------------------------------------------------------

def age(plane, data, days):
    plane.pg.sql(f"update untagged_manifests u set untagged_at = now() - interval '{days} days' "
                 f"from manifests m where m.id = u.manifest_id and m.digest = "
                 f"'\\x01{sha256(data)[7:]}'")


def nudge(plane, repo):
    """Makes the process look at its policies soon: any lost tag does."""
    plane.push_image(repo + "-nudge", "x", uuid.uuid4().bytes)
    assert plane.call("DELETE", f"/acr/v1/{repo}-nudge/_tags/x").status_code == 202


def test_retention(plane, repo, policies):
    before = docker_image(plane, repo, "before", f"{repo} before")
    policies()
    assert plane.call("DELETE", f"/v2/{repo}/manifests/before").status_code == 202
    policies(retentionPolicy={"status": "enabled", "days": 7})
    made = {name: docker_image(plane, repo, name, f"{repo} {name}")
            for name in ("untagged", "moved", "retagged", "locked", "young", "child", "tagged")}
    oci = plane.push_image(repo, "oci", repo.encode())
    reply, _ = plane.push_manifest(repo, "index", {
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(made["child"], DOCKER)]}, INDEX)
    assert reply.status_code == 201
    for name in ("untagged", "retagged", "locked", "young", "child"):
        assert plane.call("DELETE", f"/v2/{repo}/manifests/{name}").status_code == 202
    assert plane.call("DELETE", f"/acr/v1/{repo}/_tags/oci").status_code == 202
    assert plane.push_manifest(repo, "moved", made["tagged"], DOCKER)[0].status_code == 201
    assert plane.push_manifest(repo, "again", made["retagged"], DOCKER)[0].status_code == 201
    patch(plane, repo, f"/_manifests/{sha256(made['locked'])}", deleteEnabled=False)

    def status(data):
        return plane.call("HEAD", f"/v2/{repo}/manifests/{sha256(data)}").status_code
    assert status(made["untagged"]) == 200  # a pull remembers it
    for name, data in made.items():
        age(plane, data, 6 if name == "young" else 8)
    nudge(plane, repo)
    eventually(lambda: status(made["untagged"]) == 404 and status(made["moved"]) == 404, 20)
    # Nothing is due any more, so everything else was looked at and stays: what has a tag again, is
    # locked, is young, belongs to an index, is of another type, or lost its tag before the policy.
    eventually(lambda: plane.pg.sql(
        "select count(*) from untagged_manifests where untagged_at < now() - interval '7 days'")
        == "0", 20)
    for data in (*(made[n] for n in ("retagged", "locked", "young", "child", "tagged")), oci,
                 before):
        assert status(data) == 200
    # Cancelled by the lock, it does not come back when the lock goes.
    patch(plane, repo, f"/_manifests/{sha256(made['locked'])}", deleteEnabled=True)
    assert plane.pg.sql(f"select count(*) from untagged_manifests u join manifests m "
                        f"on m.id = u.manifest_id where m.digest = "
                        f"'\\x01{sha256(made['locked'])[7:]}'") == "0"
    # The policy off, nobody is watched.
    policies(retentionPolicy={"status": "disabled", "days": 7})
    age(plane, made["young"], 8)
    nudge(plane, repo)
    eventually(lambda: plane.pg.sql("select count(*) from untagged_manifests") == "0", 20)
    assert status(made["young"]) == 200


# --- quarantine -----------------------------------------------------------------------------------

def test_35_quarantine(plane, policies):
    """What is pushed under the policy is pulled by those with the right until it has passed."""
    repo = "team/" + uuid.uuid4().hex[:8]
    earlier = plane.push_image(repo, "earlier", b"earlier " + repo.encode())
    policies(quarantinePolicy={"status": "enabled"})
    reader = ("reader", plane.secrets["reader"])
    pulls = plane.bearer(f"repository:{repo}:pull", user=reader)
    data = plane.push_image(repo, "v1", b"quarantine " + repo.encode())
    digest = sha256(data)

    def pull(reference, **who):
        return plane.call("GET", f"/v2/{repo}/manifests/{reference}", **who)
    assert pull("earlier", auth=reader).content == earlier
    for who in ({"auth": reader}, {"headers": pulls}):
        hidden = pull("v1", **who)
        assert hidden.status_code == 404 and code(hidden) == "MANIFEST_UNKNOWN"
        assert is_refused(pull(digest, **who))
    assert pull("v1").content == data and pull(digest).content == data  # may; is not remembered
    assert pull("v1", auth=reader).status_code == 404

    # Whoever may only describe images does not judge them.
    plane.pg.sql(
        f"insert into credentials select registry_id, 'writer-{digest[7:15]}', password_name, kind,"
        f" hash, null, '[{{\"type\":\"repository\",\"name\":\"team/*\",\"actions\":"
        f"[\"pull\",\"metadata_read\",\"metadata_write\"]}}]' from credentials "
        f"where username = 'reader'; update registries set generation = generation + 1")
    writer = (f"writer-{digest[7:15]}", plane.secrets["reader"])
    path = f"/acr/v1/{repo}/_manifests/{digest}"
    eventually(lambda: plane.call("PATCH", path, auth=writer,
                                  json={"listEnabled": True}).status_code == 200)
    assert plane.call("PATCH", path, auth=writer,
                      json={"quarantineState": "Passed"}).status_code == 403
    shown = plane.call("GET", path, auth=reader).json()["manifest"]["changeableAttributes"]
    assert shown["quarantineState"] == "Quarantined"

    details = json.dumps({"state": "scan", "result": {"summary": []}})
    shown = patch(plane, repo, f"/_manifests/{digest}", quarantineState="Passed",
                  quarantineDetails=details)["manifest"]["changeableAttributes"]
    assert shown["quarantineState"] == "Passed" and shown["quarantineDetails"] == details
    assert pull("v1", auth=reader).content == data and pull(digest, headers=pulls).content == data
    patch(plane, repo, f"/_manifests/{digest}", quarantineState="Failed")
    assert is_refused(pull(digest, auth=reader)) and pull("v1", auth=reader).status_code == 404
    assert plane.call("PATCH", path, json={"quarantineState": "Maybe"}).status_code == 400
    policies(quarantinePolicy={"status": "disabled"})
    assert pull("v1", auth=reader).content == data


# --- key-values -----------------------------------------------------------------------------------

def test_metadata(plane, repo):
    data = plane.push_image(repo, "v1", b"metadata")
    digest = sha256(data)
    for owner in ("", "/_tags/v1", f"/_manifests/{digest}"):
        base = f"/acr/v1/{repo}{owner}/_metadata"

        def call(status, method, key="", **more):
            reply = plane.call(method, base + key, **more)
            assert reply.status_code == status, f"{method} {base}{key}: {reply.text}"
            return reply

        def put(status, key, value, media_type=None):
            headers = {"Content-Type": media_type} if media_type else {}
            return plane.call("PUT", f"{base}/{key}", data=value, headers={
                **headers, **plane.bearer(f"repository:{repo}:metadata_write")}).status_code == status
        assert call(200, "GET").json()["metadata"] == []
        assert put(201, "owner", "team é".encode(), "text/plain; charset=utf-8")
        assert put(201, "build", b'{"number": 7}', "application/json")
        assert put(201, "build", b'{"number": 8}', "application/json")
        one = call(200, "GET", "/build")
        assert one.json() == {"number": 8} and one.headers["Content-Type"] == "application/json"
        assert call(200, "GET", "/owner").content.decode() == "team é"
        listed = call(200, "GET").json()["metadata"]
        assert [(m["name"], m["value"]) for m in listed] == [("build", {"number": 8}),
                                                             ("owner", "team é")]
        for bad in (b"{", b"\xff"):
            assert put(400, "bad", bad, "application/json")
        assert put(400, "bad", b"\xff", "text/plain") and put(400, "bad%20key", b"x")
        assert put(415, "bad", b"x", "image/png") and put(413, "big", b"x" * 70000)
        call(202, "DELETE", "/owner")
        call(404, "DELETE", "/owner")
        call(404, "GET", "/owner")
        shown = call(200, "GET").json()
        assert shown["imageName"] == repo and len(shown["metadata"]) == 1
    for path in ("/acr/v1/no/such", f"/acr/v1/{repo}/_tags/none",
                 f"/acr/v1/{repo}/_manifests/{sha256(b'none')}"):
        assert plane.call("GET", f"{path}/_metadata").status_code == 404
        assert plane.call("PUT", f"{path}/_metadata/k", data=b"v").status_code == 404
    # They go with what they are attached to.
    assert plane.call("DELETE", f"/acr/v1/{repo}/_tags/v1").status_code == 202
    plane.push_manifest(repo, "v1", data)
    assert plane.call("GET", f"/acr/v1/{repo}/_tags/v1/_metadata").json()["metadata"] == []
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{digest}").status_code == 202
    plane.push_image(repo, "v1", b"metadata")
    for owner in ("", f"/_manifests/{digest}"):
        assert plane.call("GET", f"/acr/v1/{repo}{owner}/_metadata").json()["metadata"] == []


def test_metadata_has_an_end(plane, repo):
    plane.push_image(repo, "v1", b"many")
    full = []

    def fill(part):
        for i in range(30):
            reply = plane.call("PUT", f"/acr/v1/{repo}/_metadata/k{part}-{i}", data=b"v")
            if reply.status_code != 201:
                full.append(reply)
    threads = [threading.Thread(target=fill, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(full) == 20 and {r.status_code for r in full} == {409}
    assert len(plane.call("GET", f"/acr/v1/{repo}/_metadata").json()["metadata"]) == 100
    assert plane.call("PUT", f"/acr/v1/{repo}/_metadata/k0-0", data=b"w").status_code == 201


# --- locks ----------------------------------------------------------------------------------------

# What is done to the image v1, by every path that could change, remove or show it.
def actions(plane, repo, data, other):
    digest, layer = sha256(data), json.loads(data)["layers"][0]["digest"]
    return {
        "overwrite": lambda: plane.push_manifest(repo, "v1", other)[0],
        "push by digest with the tag": lambda: plane.push_manifest(
            repo, f"{sha256(other)}?tag=v1", other)[0],
        "delete by tag": lambda: plane.call("DELETE", f"/v2/{repo}/manifests/v1"),
        "untag": lambda: plane.call("DELETE", f"/acr/v1/{repo}/_tags/v1"),
        "delete by digest": lambda: plane.call("DELETE", f"/v2/{repo}/manifests/{digest}"),
        "delete repository": lambda: plane.call("DELETE", f"/acr/v1/{repo}"),
        "push blob": lambda: plane.call("POST", f"/v2/{repo}/blobs/uploads/",
                                        params={"digest": sha256(b"n")}, data=b"n"),
        "mount into": lambda: plane.call("POST", f"/v2/{repo}/blobs/uploads/", params={
            "mount": sha256(b"layer elsewhere " + repo.encode()), "from": repo + "-elsewhere"}),
        "delete blob": lambda: plane.call("DELETE", f"/v2/{repo}/blobs/{layer}"),
        "pull by tag": lambda: plane.call("GET", f"/v2/{repo}/manifests/v1"),
        "pull by digest": lambda: plane.call("GET", f"/v2/{repo}/manifests/{digest}"),
        "pull blob": lambda: plane.call("GET", f"/v2/{repo}/blobs/{layer}"),
    }


CHANGES = {"overwrite", "push by digest with the tag"}
REMOVALS = {"delete by tag", "untag", "delete by digest", "delete repository", "delete blob"}
LOCKS = [
    ("tag", "writeEnabled", CHANGES | REMOVALS),
    ("tag", "deleteEnabled", REMOVALS),
    ("tag", "readEnabled", {"pull by tag"}),
    ("tag", "listEnabled", set()),
    ("manifest", "writeEnabled", {"delete by digest", "delete repository", "delete blob"}),
    ("manifest", "deleteEnabled", {"delete by digest", "delete repository", "delete blob"}),
    ("manifest", "readEnabled", {"pull by tag", "pull by digest"}),
    ("manifest", "listEnabled", set()),
    ("repository", "writeEnabled", CHANGES | REMOVALS | {"push blob", "mount into"}),
    ("repository", "deleteEnabled", {"delete repository"}),
    ("repository", "readEnabled", {"pull by tag", "pull by digest", "pull blob"}),
    ("repository", "listEnabled", set()),
]


@pytest.mark.parametrize("is_soft", [False, True], ids=["for good", "into the bin"])
@pytest.mark.parametrize("where,lock,refused", LOCKS, ids=[f"{w} {x}" for w, x, _ in LOCKS])
def test_locks_on_every_path(plane, policies, where, lock, refused, is_soft):
    policies(**({"softDeletePolicy": {"status": "enabled", "retentionDays": 7}} if is_soft else {}))
    base = "l" + uuid.uuid4().hex[:10]
    found = set()
    for number, name in enumerate(actions(plane, base, b'{"layers":[{"digest":"x"}]}', b"")):
        repo = f"{base}-{number}"  # each on an image of its own
        if name == "mount into":
            plane.push_image(repo + "-elsewhere", "v1", b"elsewhere " + repo.encode())
        data = plane.push_image(repo, "v1", b"one " + repo.encode())
        other = plane.push_image(repo, "v2", b"two " + repo.encode())
        path = {"tag": "/_tags/v1", "manifest": f"/_manifests/{sha256(data)}", "repository": ""}
        patch(plane, repo, path[where], **{lock: False})
        reply = actions(plane, repo, data, other)[name]()
        if reply.status_code == 405:
            assert is_refused(reply)
            found.add(name)
            if "pull" not in name:  # and nothing happened
                patch(plane, repo, path[where], **{lock: True})
                assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == data
                layer = json.loads(data)["layers"][0]["digest"]
                assert plane.call("GET", f"/v2/{repo}/blobs/{layer}").status_code == 200
        else:
            assert reply.status_code < 300, f"{name}: {reply.status_code} {reply.text}"
    assert found == refused


@pytest.mark.parametrize("is_soft", [False, True], ids=["for good", "into the bin"])
@pytest.mark.parametrize("where,lock", [("tag", "deleteEnabled"), ("manifest", "writeEnabled")])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_locked_index_keeps_what_it_lists(plane, repo, policies, depth, where, lock, is_soft):
    policies(**({"softDeletePolicy": {"status": "enabled", "retentionDays": 7}} if is_soft else {}))
    child, loose = (plane.push_image(repo, tag, tag.encode() + repo.encode()) for tag in ("in", "out"))
    chain, listed = [child], descriptor(child, MANIFEST)
    for _ in range(depth):
        reply, index = plane.push_manifest(repo, "all", {
            "schemaVersion": 2, "mediaType": INDEX, "manifests": [listed]}, INDEX)
        assert reply.status_code == 201, reply.text
        chain.append(index)
        listed = descriptor(index, INDEX)
    layer = json.loads(child)["layers"][0]["digest"]
    at = {"tag": "/_tags/all", "manifest": f"/_manifests/{sha256(index)}"}[where]
    part = [f"/v2/{repo}/manifests/{sha256(data)}" for data in chain[:-1]] + [f"/v2/{repo}/blobs/{layer}"]
    patch(plane, repo, at, **{lock: False})
    for path in part:
        assert is_refused(plane.call("DELETE", path)), path
        assert plane.call("GET", path).status_code == 200
    # Its own tag goes, and what the index does not list.
    assert plane.call("DELETE", f"/acr/v1/{repo}/_tags/in").status_code == 202
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(loose)}").status_code == 202
    patch(plane, repo, at, **{lock: True})
    assert plane.call("DELETE", part[0]).status_code == 202


def test_mount_from_a_locked_repository_tells_nothing(plane, repo):
    """readEnabled=false closes a repository as a source, too: the answer is an upload session."""
    plane.push_image(repo, "v1", b"closed " + repo.encode())
    patch(plane, repo, "", readEnabled=False)
    digest = sha256(b"layer closed " + repo.encode())
    for params in ({"mount": digest, "from": repo}, {"mount": digest}):
        reply = plane.call("POST", f"/v2/{repo}-b/blobs/uploads/", params=params)
        assert reply.status_code == 202 and "Docker-Upload-UUID" in reply.headers


@pytest.mark.parametrize("where", ["manifest", "repository"])
def test_retention_keeps_locked_images(plane, repo, policies, where):
    policies(retentionPolicy={"status": "enabled", "days": 7})
    images = {name: docker_image(plane, name, "v1", name) for name in (repo, repo + "-gone")}
    for name in images:
        assert plane.call("DELETE", f"/v2/{name}/manifests/v1").status_code == 202
    kept = images[repo]
    patch(plane, repo, "" if where == "repository" else f"/_manifests/{sha256(kept)}",
          writeEnabled=False)
    for data in images.values():
        age(plane, data, 8)
    nudge(plane, repo)
    gone = f"/v2/{repo}-gone/manifests/{sha256(images[repo + '-gone'])}"
    eventually(lambda: plane.call("HEAD", gone).status_code == 404, 20)
    eventually(lambda: plane.pg.sql(
        "select count(*) from untagged_manifests where untagged_at < now() - interval '7 days'")
        == "0", 20)
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha256(kept)}").content == kept
