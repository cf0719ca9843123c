"""What real clients do that others do not, played one by one against a data plane: each test names the
client and its habit. The clients themselves run in tests/clients."""

import json

import pytest
import requests

from support.dataplane import INDEX, LAYER, MANIFEST, NULL_USER, descriptor, running, sha256
from support.instance import eventually

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture(scope="module")
def plane():
    with running() as it:
        yield it


def code(reply):
    return reply.json()["errors"][0]["code"]


def begin(plane, repo, **more):
    return plane.call("POST", f"/v2/{repo}/blobs/uploads/", **more)


# --- docker ---------------------------------------------------------------------------------------

def test_docker_streams_a_patch_without_a_length(plane, repo):
    """HEAD, POST, one PATCH with Transfer-Encoding: chunked, PUT."""
    data = b"docker layer" * 1000
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(data)}").status_code == 404
    at = begin(plane, repo).headers["Location"]
    sent = plane.call("PATCH", at, data=iter([data[:5000], data[5000:]]))
    assert sent.status_code == 202 and sent.headers["Range"] == f"0-{len(data) - 1}"
    assert plane.call("PUT", sent.headers["Location"],
                      params={"digest": sha256(data)}).status_code == 201


def test_docker_upload_outlives_its_token(plane, repo):
    """moby#33558: the token that began an upload may end it, and only that, after its own end."""
    session = plane.bearer(f"repository:{repo}:pull,push")
    at = begin(plane, repo, headers=session).headers["Location"]
    old = {"Authorization": "Bearer " + plane.registry_token(
        [f"repository:{repo}:pull,push"], exp=1_600_000_000)}
    assert plane.call("PATCH", at, data=b"x", headers=old).status_code == 401
    assert plane.call("PATCH", at, data=b"late", headers=session).status_code == 202


def test_docker_token_reply(plane, repo):
    """Both names of the token, seconds, and a time that parses; partial and empty grants are 200."""
    for scope in (f"repository:{repo}:pull,push", "repository:BAD NAME:pull", "registry:other:*"):
        reply = plane.call("GET", "/oauth2/token", params={
            "service": plane.login_server, "scope": scope, "account": "x", "client_id": "docker",
            "offline_token": "true"})
        assert reply.status_code == 200, reply.text
        body = reply.json()
        assert body["token"] == body["access_token"] and body["expires_in"] >= 60
        assert body["issued_at"].endswith("Z") and body["issued_at"][10] == "T"


def test_docker_login_with_a_token_as_password(plane, repo):
    """The null user and a refresh token, by GET with Basic (docker) and by POST (containerd)."""
    plane.push_image(repo, "v1", b"token " + repo.encode())
    refresh = plane.call("POST", "/oauth2/exchange", auth=None, data={
        "grant_type": "access_token", "service": plane.login_server,
        "access_token": plane.directory_token()}).json()["refresh_token"]
    scope = f"repository:{repo}:pull"
    got = [plane.call("GET", "/oauth2/token", auth=(NULL_USER, refresh), params={"scope": scope}),
           plane.call("POST", "/oauth2/token", auth=None, data={
               "grant_type": "password", "username": NULL_USER, "password": refresh,
               "scope": scope, "service": plane.login_server})]
    for reply in got:
        assert reply.status_code == 200, reply.text
        headers = {"Authorization": "Bearer " + reply.json()["access_token"]}
        assert plane.call("GET", f"/v2/{repo}/manifests/v1", headers=headers).status_code == 200


def test_docker_mounts_from_repositories_it_knows(plane, repo):
    """moby: HEAD, then a mount from a repository it pushed to before; pushed on when that is refused."""
    data = b"known " + repo.encode()
    plane.push_blob(f"{repo}-known", data)
    rights = plane.bearer(f"repository:{repo}:pull,push", f"repository:{repo}-known:pull")
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(data)}", headers=rights).status_code == 404
    mounted = begin(plane, repo, headers=rights,
                    params={"mount": sha256(data), "from": f"{repo}-known"})
    assert mounted.status_code == 201 and mounted.headers["Docker-Content-Digest"] == sha256(data)
    assert mounted.headers["Location"].endswith(f"/v2/{repo}/blobs/{sha256(data)}")

# --- containerd, BuildKit -------------------------------------------------------------------------

def test_containerd_puts_in_one_go(plane, repo):
    """?ns= everywhere, no PATCH, Location absolute or a path, HEAD with digest and length."""
    data = b"containerd"
    at = begin(plane, repo, params={"ns": "docker.io"}).headers["Location"]
    assert at.startswith("/")
    assert plane.call("PUT", at, params={"digest": sha256(data), "ns": "docker.io"},
                      data=data).status_code == 201
    image = plane.push_image(repo, "v1", b"containerd")
    head = plane.call("HEAD", f"/v2/{repo}/manifests/v1", params={"ns": "docker.io"})
    assert head.headers["Docker-Content-Digest"] == sha256(image)
    assert head.headers["Content-Length"] == str(len(image))
    assert head.headers["Content-Type"] == MANIFEST


def test_containerd_ranges_and_encodings(plane, repo):
    """Accept-Encoding: zstd, gzip and parallel ranges; nothing is encoded."""
    data = bytes(range(256)) * 100
    plane.push_blob(repo, data)
    for first, last in ((0, 9999), (10000, 19999), (20000, 99999)):
        got = plane.call("GET", f"/v2/{repo}/blobs/{sha256(data)}", headers={
            "Accept-Encoding": "zstd, gzip", "Range": f"bytes={first}-{last}",
            **plane.bearer(f"repository:{repo}:pull")})
        assert got.status_code == 206 and got.content == data[first:last + 1]
        assert "Content-Encoding" not in got.headers


def test_containerd_forbidden_mount_is_an_upload(plane, repo):
    """containerd#14086: 403 aborts a push, so a mount that may not be is 202."""
    data = b"secret " + repo.encode()
    plane.push_blob(f"{repo}-hidden", data)
    plane.pg.sql(
        f"insert into credentials select registry_id, 'p-{repo}', password_name, kind, hash, null, "
        f"'[{{\"type\":\"repository\",\"name\":\"{repo}\",\"actions\":[\"pull\",\"push\"]}}]' "
        f"from credentials where username = 'reader'; "
        f"update registries set generation = generation + 1")
    user = (f"p-{repo}", plane.secrets["reader"])
    eventually(lambda: plane.call("GET", "/v2/", auth=user).status_code == 200)
    for source in (f"{repo}-hidden", f"{repo}-none"):
        reply = begin(plane, repo, auth=user, params={"mount": sha256(data), "from": source})
        assert reply.status_code == 202 and "Docker-Upload-UUID" in reply.headers


def test_buildkit_cache_is_an_index_of_layers(plane, repo):
    """buildkit#1143: entries of an index that are blobs."""
    layer, config = b"cache layer", b'{"layers":[]}'
    for data in (layer, config):
        plane.push_blob(repo, data)
    reply, data = plane.push_manifest(repo, "cache", {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            descriptor(layer, LAYER),
            descriptor(config, "application/vnd.buildkit.cacheconfig.v0")]}, INDEX)
    assert reply.status_code == 201, reply.text
    assert plane.call("GET", f"/v2/{repo}/manifests/cache").content == data
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(layer)}").content == layer


def test_containerd_resolves_digests_as_manifests_then_blobs(plane, repo):
    """Whichever it is: the other place answers 404, and HEAD and GET alike."""
    image = plane.push_image(repo, "v1", b"resolve " + repo.encode())
    layer = sha256(b"layer resolve " + repo.encode())
    for digest, there in ((sha256(image), "manifests"), (layer, "blobs")):
        for kind in ("manifests", "blobs"):
            for method in ("HEAD", "GET"):
                got = plane.call(method, f"/v2/{repo}/{kind}/{digest}",
                                 headers=plane.bearer(f"repository:{repo}:pull"))
                assert got.status_code == (200 if kind == there else 404)
                assert got.status_code != 200 or got.headers["Docker-Content-Digest"] == digest


def test_containerd_reads_why_by_get(plane, repo):
    """A refused HEAD has no body; the GET that follows it tells, under the same status."""
    plane.push_image(repo, "v1", b"why " + repo.encode())
    assert plane.call("PATCH", f"/acr/v1/{repo}", json={"readEnabled": False}).status_code == 200
    head = plane.call("HEAD", f"/v2/{repo}/manifests/v1")
    got = plane.call("GET", f"/v2/{repo}/manifests/v1")
    assert head.content == b"" and head.status_code == got.status_code >= 400
    assert code(got) == "REGISTRY_DISALLOWED_OPERATION" and got.json()["errors"][0]["message"]

# --- containers/image: skopeo, podman, buildah -----------------------------------------------------

def test_containers_image_statuses(plane, repo):
    """POST is exactly 202, PUT exactly 201; after a mount that became a session it deletes the session
    with the right to push alone."""
    push = plane.bearer(f"repository:{repo}:pull,push")
    session = begin(plane, repo, headers=push, params={"mount": sha256(b"?"), "from": "none"})
    assert session.status_code == 202
    assert plane.call("DELETE", session.headers["Location"], headers=push).status_code == 204
    at = begin(plane, repo, headers=push)
    assert at.status_code == 202
    assert plane.call("PUT", at.headers["Location"], headers=push, data=b"ci",
                      params={"digest": sha256(b"ci")}).status_code == 201
    head = plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(b'ci')}", headers=push)
    assert head.headers["Content-Length"] == "2"


def test_containers_image_several_ranges(plane, repo):
    """One request for several ranges: all of it, or all parts."""
    data = b"0123456789" * 100
    plane.push_blob(repo, data)
    got = plane.call("GET", f"/v2/{repo}/blobs/{sha256(data)}", headers={
        "Range": "bytes=0-9,50-59", **plane.bearer(f"repository:{repo}:pull")})
    assert got.status_code == 200 and got.content == data or (
        got.status_code == 206 and "multipart/byteranges" in got.headers["Content-Type"])


def test_containers_image_retries_with_more_scope(plane, repo):
    """It asks for another token only where the challenge says insufficient_scope."""
    plane.push_image(repo, "v1", b"scope " + repo.encode())
    narrow = plane.bearer(f"repository:{repo}:pull")
    challenge = plane.call("POST", f"/v2/{repo}/blobs/uploads/", headers=narrow)
    assert challenge.status_code == 401
    assert 'error="insufficient_scope"' in challenge.headers["WWW-Authenticate"]
    assert f'scope="repository:{repo}:pull,push"' in challenge.headers["WWW-Authenticate"]


def test_containers_image_waits_as_long_as_it_is_told(plane, repo):
    """429 says when to come again; then the right password is let in."""
    name = f"w-{repo}"  # wrong passwords count by name
    tries = [plane.call("GET", "/v2/", auth=(name, "wrong")) for _ in range(40)]
    told = [reply for reply in tries if reply.status_code == 429]
    assert {reply.status_code for reply in tries} == {401, 429} and told
    assert all(int(reply.headers["Retry-After"]) >= 1 for reply in told)
    assert code(told[0]) == "TOOMANYREQUESTS"
    assert plane.call("GET", "/v2/").status_code == 200

# --- oras-go: oras, notation, helm ----------------------------------------------------------------

def test_oras_new_repository_is_404(plane, repo):
    """helm#30987: HEAD of a manifest in a repository that is not there, with a token for it."""
    headers = plane.bearer(f"repository:{repo}:pull,push")
    assert plane.call("HEAD", f"/v2/{repo}/manifests/v1", headers=headers).status_code == 404
    assert plane.call("GET", f"/v2/{repo}/tags/list", headers=headers).status_code == 404


def test_oras_locations_and_seeking(plane, repo):
    """oras#1282: no Location on another host; seeks only where ranges are offered."""
    at = begin(plane, repo).headers["Location"]
    assert at.startswith("/v2/")
    done = plane.call("PUT", at, params={"digest": sha256(b"o")}, data=b"o")
    assert done.headers["Location"].startswith("/v2/")
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(b'o')}").headers["Accept-Ranges"] == "bytes"


def test_oras_subject_is_acknowledged(plane, repo):
    """Without OCI-Subject it keeps an index under a tag of its own; a probe is never 404."""
    image = plane.push_image(repo, "v1", b"subject " + repo.encode())
    plane.push_blob(repo, b"{}")
    for reference in ("sig", None):
        body = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.sig",
            "config": descriptor(b"{}", "application/vnd.oci.empty.v1+json"), "layers": [],
            "subject": descriptor(image, MANIFEST), "annotations": {"r": str(reference)}}).encode()
        reply, _ = plane.push_manifest(repo, reference or sha256(body), body)
        assert reply.headers["OCI-Subject"] == sha256(image)
    assert len(plane.call("GET", f"/v2/{repo}/referrers/{sha256(image)}").json()["manifests"]) == 2
    probe = plane.call("GET", f"/v2/{repo}-none/referrers/{sha256(b'')}")
    assert probe.status_code == 200 and probe.json()["manifests"] == []
    assert probe.headers["Content-Type"] == INDEX


def test_oras_compares_lengths_with_descriptors(plane, repo):
    """What a descriptor says and what comes is one number, of manifests and of blobs."""
    image = plane.push_image(repo, "v1", b"size " + repo.encode())
    parts = json.loads(image)
    rights = plane.bearer(f"repository:{repo}:pull")
    paths = [(f"blobs/{d['digest']}", d["size"]) for d in [parts["config"], *parts["layers"]]]
    for path, size in [*paths, (f"manifests/{sha256(image)}", len(image))]:
        for method in ("HEAD", "GET"):
            got = plane.call(method, f"/v2/{repo}/{path}", headers=rights)
            assert got.headers["Content-Length"] == str(size)


def test_referrers_in_fallback_tags(plane, repo):
    """cosign#4641: indexes under sha256-… tags, without artifactType, kept by clients of registries that
    know no referrers, are taken as they are; and what they list is found by its subject all the same."""
    image = plane.push_image(repo, "v1", b"fallback " + repo.encode())
    plane.push_blob(repo, b"{}")
    body = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(b"{}", "application/vnd.dev.cosign.simplesigning.v1+json"),
        "layers": [], "subject": descriptor(image, MANIFEST)}).encode()
    assert plane.push_manifest(repo, sha256(body), body)[0].status_code == 201
    tag = sha256(image).replace(":", "-")
    reply, index = plane.push_manifest(repo, tag, {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(body, MANIFEST)]}, INDEX)
    assert reply.status_code == 201, reply.text
    assert plane.call("GET", f"/v2/{repo}/manifests/{tag}").content == index
    listed = plane.call("GET", f"/v2/{repo}/referrers/{sha256(image)}").json()["manifests"]
    assert [d["digest"] for d in listed] == [sha256(body)]
    assert listed[0]["artifactType"] == "application/vnd.dev.cosign.simplesigning.v1+json"

# --- ggcr: crane, ko, kaniko, cosign --------------------------------------------------------------

def test_ggcr_posts_json_and_names_an_origin(plane, repo):
    """POST with a JSON content type; mounts with from and origin; PATCH stream, PUT."""
    data = b"ggcr " + repo.encode()
    plane.push_blob(f"{repo}-from", data)
    headers = {"Content-Type": "application/json", **plane.bearer(
        f"repository:{repo}:pull,push", f"repository:{repo}-from:pull")}
    mounted = begin(plane, repo, headers=headers, params={
        "mount": sha256(data), "from": f"{repo}-from", "origin": "registry.example"})
    assert mounted.status_code == 201
    assert begin(plane, repo, headers=headers).status_code == 202


def test_kaniko_checks_its_right_to_push(plane, repo):
    """POST, then DELETE of the session; nothing stays, and no repository is shown."""
    at = begin(plane, repo)
    assert plane.call("DELETE", at.headers["Location"]).status_code == 204
    assert repo not in plane.call("GET", "/v2/_catalog?n=1000").json()["repositories"]


def test_crane_lists_by_the_thousand(plane, repo):
    plane.push_image(repo, "v1", b"thousand " + repo.encode())
    assert repo in plane.call("GET", "/v2/_catalog?n=1000").json()["repositories"]
    assert plane.call("GET", f"/v2/{repo}/tags/list?n=1000").json()["tags"] == ["v1"]


def test_ggcr_needs_lengths_on_head(plane, repo):
    """ggcr#1061"""
    image = plane.push_image(repo, "v1", b"length " + repo.encode())
    layer = b"layer length " + repo.encode()
    for path, size in (("manifests/v1", len(image)), (f"blobs/{sha256(layer)}", len(layer))):
        head = plane.call("HEAD", f"/v2/{repo}/{path}", headers={
            "Accept-Encoding": "gzip", **plane.bearer(f"repository:{repo}:pull")})
        assert head.headers["Content-Length"] == str(size) and "Content-Encoding" not in head.headers


# --- regclient ------------------------------------------------------------------------------------

def test_regclient_mounts_from_anywhere_and_resumes(plane, repo):
    """An anonymous mount first; after a refused chunk it goes on from Location and Range."""
    data = b"regclient " + repo.encode()
    plane.push_blob(f"{repo}-x", data)
    assert begin(plane, repo, params={"mount": sha256(data)}).status_code == 201
    session = plane.bearer(f"repository:{repo}:pull,push")
    at = begin(plane, repo, headers=session).headers["Location"]
    sent = plane.call("PATCH", at, data=b"a" * 2000,
                      headers={"Content-Range": "0-1999", **session})
    bad = plane.call("PATCH", sent.headers["Location"], data=b"c" * 10,
                     headers={"Content-Range": "5000-5009", **session})
    assert bad.status_code == 416 and bad.headers["Range"] == "0-1999"
    good = plane.call("PATCH", bad.headers["Location"], data=b"b" * 2000,
                      headers={"Content-Range": "2000-3999", **session})
    assert good.status_code == 202
    assert plane.call("PUT", good.headers["Location"], headers=session, params={
        "digest": sha256(b"a" * 2000 + b"b" * 2000)}).status_code == 201


def test_regclient_deletes_one_tag(plane, repo):
    image = plane.push_image(repo, "v1", b"tag " + repo.encode())
    plane.push_manifest(repo, "v2", image)
    assert plane.call("DELETE", f"/v2/{repo}/manifests/v2").status_code == 202
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == image


def test_regclient_deletes_a_tag_the_old_way(plane, repo):
    """Where tags cannot be deleted it puts an image of its own under the tag and deletes that: the other
    tags of the image that was there stay."""
    image = plane.push_image(repo, "keep", b"kept " + repo.encode())
    plane.push_manifest(repo, "drop", image)
    dummy = plane.push_image(repo, "drop", b"dummy " + repo.encode())
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(dummy)}").status_code == 202
    assert plane.call("GET", f"/v2/{repo}/tags/list").json()["tags"] == ["keep"]
    assert plane.call("GET", f"/v2/{repo}/manifests/keep").content == image

# --- az and the published SDKs --------------------------------------------------------------------

def test_az_reads_challenges_and_links(plane, repo):
    """It splits a challenge at the first space and then at commas, and every part of a Link's query at
    "="."""
    header = plane.call("GET", "/v2/", auth=None).headers["WWW-Authenticate"]
    parts = dict(x.split("=", 1) for x in header.split(" ", 1)[1].split(","))
    assert set(parts) == {"realm", "service"} and " " not in header.split(" ", 1)[1]
    for tag in ("a", "b", "c"):
        plane.push_image(repo, tag, tag.encode())
    link = plane.call("GET", f"/acr/v1/{repo}/_tags?n=1&orderby=timedesc").headers["Link"]
    query = link[link.index("?") + 1:link.index(">")]
    assert {p.split("=")[0] for p in query.split("&")} == {"last", "n", "orderby"}
    assert all(p.split("=")[1] for p in query.split("&"))


def test_sdks_encode_slashes(plane, repo):
    """Both published libraries send a repository's slashes as %2F, and an api-version."""
    name = f"{repo}/with/parts"
    image = plane.push_image(name, "v1", b"encoded " + repo.encode())
    path = name.replace("/", "%2F")
    for kind, tail in (("acr/v1", "/_tags"), ("acr/v1", ""), ("v2", "/manifests/v1"),
                       ("acr/v1", f"/_manifests/{sha256(image)}")):
        reply = requests.get(f"{plane.url}/{kind}/{path}{tail}?api-version=2021-07-01",
                             auth=plane.admin, timeout=30)
        assert reply.status_code == 200, f"{kind} {tail}: {reply.text}"
    at = requests.post(f"{plane.url}/v2/{path}/blobs/uploads/", auth=plane.admin, timeout=30)
    assert at.status_code == 202 and at.headers["Location"].startswith(f"/v2/{name}/blobs/uploads/")
    for odd in (f"{repo}%2F..%2F{repo}", f"{repo}%2F%2E%2E%2Fx", f"..%2F{repo}"):
        assert requests.get(f"{plane.url}/v2/{odd}/tags/list", auth=plane.admin,
                            timeout=30).status_code == 400


def test_anonymous_token_of_the_sdks(plane):
    """grant_type=password without a name and with an empty refresh token asks for an anonymous one."""
    reply = plane.call("POST", "/oauth2/token", auth=None, data={
        "grant_type": "password", "service": plane.login_server, "refresh_token": "",
        "scope": "repository:x:pull"})
    assert reply.status_code == 401 and code(reply) == "UNAUTHORIZED"  # it is off here


# --- Docker Registry v2 ---------------------------------------------------------------------------

def test_docker_registry_v2(plane, repo):
    """schema2, a manifest list, foreign layers that nobody has, and a catalog in pages."""
    config, layer = b'{"architecture":"amd64","os":"windows"}', b"docker v2"
    for data in (config, layer):
        plane.push_blob(repo, data)
    foreign = {"mediaType": FOREIGN, "digest": sha256(b"elsewhere"), "size": 9,
               "urls": ["https://layers.example/9"]}
    reply, image = plane.push_manifest(repo, "win", {
        "schemaVersion": 2, "mediaType": DOCKER, "config": descriptor(config, DOCKER_CONFIG),
        "layers": [foreign, descriptor(layer, DOCKER_LAYER)]}, DOCKER)
    assert reply.status_code == 201, reply.text
    reply, both = plane.push_manifest(repo, "list", {
        "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [descriptor(
            image, DOCKER, platform={"architecture": "amd64", "os": "windows"})]}, DOCKER_LIST)
    assert reply.status_code == 201, reply.text
    for reference, data, kind in (("win", image, DOCKER), ("list", both, DOCKER_LIST)):
        for accept in (kind, "*/*", f"{MANIFEST}, {kind};q=0.5"):
            got = plane.call("GET", f"/v2/{repo}/manifests/{reference}", headers={
                "Accept": accept, **plane.bearer(f"repository:{repo}:pull")})
            assert got.content == data and got.headers["Content-Type"] == kind
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(b'elsewhere')}").status_code == 404
    missing, _ = plane.push_manifest(repo, "bad", {
        "schemaVersion": 2, "mediaType": DOCKER, "config": descriptor(config, DOCKER_CONFIG),
        "layers": [descriptor(b"nobody has it", DOCKER_LAYER)]}, DOCKER)
    assert missing.status_code == 400 and code(missing) == "MANIFEST_BLOB_UNKNOWN"

    prefix = f"{repo}-cat"
    for i in range(5):
        plane.push_image(f"{prefix}/{i}", "v1", b"%d" % i + repo.encode())
    seen, at = [], f"/v2/_catalog?n=2&last={prefix}"
    while at and len(seen) < 5:
        page = plane.call("GET", at)
        assert len(page.json()["repositories"]) <= 2
        seen += page.json()["repositories"]
        at = page.links["next"]["url"] if "next" in page.links else None
    assert seen[:5] == [f"{prefix}/{i}" for i in range(5)]
    assert plane.call("GET", "/v2/_catalog?n=0").json() == {"repositories": []}
    assert plane.call("GET", "/v2/_catalog?n=x").status_code == 400
