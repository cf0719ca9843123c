"""The data plane on its own, over plain HTTP: sign-in, push, pull, listings, locks, deletion, and
what happens when it or its database is killed."""

import concurrent.futures
import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import uuid

import jwt
import pytest

from support.dataplane import (CONFIG, INDEX, LAYER, MANIFEST, NULL_USER, DataPlane, descriptor,
                               running, sha256, sha512)

pytestmark = pytest.mark.sanitized

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


@pytest.fixture(scope="module")
def plane():
    it = DataPlane()
    try:
        yield it.start()
        it.stop()
    finally:
        it.close()


@pytest.fixture
def own_plane():
    with running("--collect-delay", "1") as it:
        yield it


@pytest.fixture(autouse=True)
def alive(request):
    """What a sanitizer found, or a crash, fails the test that did it."""
    name = "own_plane" if "own_plane" in request.fixturenames else "plane"
    it = request.getfixturevalue(name)
    yield
    it.check()


def code(reply):
    return reply.json()["errors"][0]["code"]


def wait_until(what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("did not happen in time")


# --- signing in -----------------------------------------------------------------------------------

def test_challenges(plane):
    reply = plane.call("GET", "/v2/", auth=None)
    server = plane.login_server
    assert reply.status_code == 401
    assert reply.headers["WWW-Authenticate"] == \
        f'Bearer realm="http://{server}/oauth2/token",service="{server}"'
    assert reply.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert uuid.UUID(reply.headers["X-Ms-Correlation-Request-Id"])
    reply = plane.call("GET", "/v2/a/b/manifests/x", auth=None)
    assert reply.headers["WWW-Authenticate"].endswith(',scope="repository:a/b:pull"')
    assert reply.json()["errors"] == [{
        "code": "UNAUTHORIZED", "message": reply.json()["errors"][0]["message"],
        "detail": [{"Type": "repository", "Name": "a/b", "Action": "pull"}]}]
    for method, path, scope in [
            ("POST", "/v2/a/blobs/uploads/", "repository:a:pull,push"),
            ("DELETE", "/v2/a/manifests/x", "repository:a:delete"),
            ("GET", "/acr/v1/a/_tags", "repository:a:metadata_read"),
            ("PATCH", "/acr/v1/a", "repository:a:metadata_write"),
            ("GET", "/v2/_catalog", "registry:catalog:*"),
            ("GET", "//v2//_catalog", "registry:catalog:*"),
            ("GET", "/v2/%5fcatalog", "registry:catalog:*")]:
        reply = plane.call(method, path, auth=None)
        assert reply.status_code == 401
        assert f'scope="{scope}"' in reply.headers["WWW-Authenticate"]


def test_host_header_is_not_echoed(plane):
    reply = plane.call("GET", "/v2/", auth=None, headers={"Host": "evil.example",
                                                          "X-Forwarded-Host": "evil.example"})
    assert "evil" not in str(reply.headers)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def test_tokens_of_the_admin(plane, repo):
    token = plane.token(f"repository:{repo}:pull,push", "registry:catalog:*", "junk:x:y")
    claims = claims_of(token)
    assert claims["iss"] == "Azure Container Registry" and claims["aud"] == plane.login_server
    assert claims["grant_type"] == "access_token" and claims["registry"] == plane.id
    assert claims["access"] == [
        {"type": "repository", "name": repo, "actions": ["pull", "push"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]}]
    bearer = {"Authorization": "Bearer " + token}
    assert plane.call("GET", "/v2/", headers=bearer).status_code == 200
    assert plane.call("GET", "/v2/_catalog", headers=bearer).status_code == 200
    reply = plane.call("DELETE", f"/v2/{repo}/manifests/x", headers=bearer)
    assert reply.status_code == 401
    assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    # One scope parameter may hold several.
    claims = claims_of(plane.token(f"repository:{repo}:pull registry:catalog:*"))
    assert len(claims["access"]) == 2
    assert claims_of(plane.token("registry:None:*"))["access"] == []


def test_token_by_post(plane, repo):
    for form in ({"grant_type": "password", "username": plane.admin[0],
                  "password": plane.admin[1]},):
        reply = plane.call("POST", "/oauth2/token", auth=None, data={
            **form, "service": plane.login_server, "scope": f"repository:{repo}:pull"})
        assert reply.status_code == 200
        body = reply.json()
        assert body["access_token"] == body["token"] and body["expires_in"] >= 60
        assert time.strptime(body["issued_at"], "%Y-%m-%dT%H:%M:%SZ")
    reply = plane.call("POST", "/oauth2/token", auth=None,
                       data={"grant_type": "client_credentials"})
    assert reply.status_code == 400


def test_bad_passwords(plane):
    for auth in [("testreg", "wrong"), ("nobody", "wrong"), (plane.admin[0], ""),
                 (NULL_USER, "not.a.token")]:
        reply = plane.call("GET", "/oauth2/token", auth=auth)
        assert reply.status_code == 401 and code(reply) == "UNAUTHORIZED"
        assert plane.call("GET", "/v2/", auth=auth).status_code == 401


def test_exchange(plane, repo):
    reply = plane.call("POST", "/oauth2/exchange?api-version=2021-07-01", auth=None, data={
        "grant_type": "access_token", "service": plane.login_server, "tenant": plane.tenant,
        "access_token": plane.directory_token()})
    assert reply.status_code == 200, reply.text
    refresh = reply.json()["refresh_token"]
    claims = claims_of(refresh)
    assert claims["sub"] == plane.principal and claims["grant_type"] == "refresh_token"
    reply = plane.call("POST", "/oauth2/token", auth=None, data={
        "grant_type": "refresh_token", "service": plane.login_server, "refresh_token": refresh,
        "scope": f"repository:{repo}:pull,push"})
    assert reply.status_code == 200 and reply.json()["refresh_token"] == refresh
    access = reply.json()["access_token"]
    # A refresh or an access token as the null user's password, by GET and by POST.
    for password in (refresh, access):
        scope = f"repository:{repo}:pull"
        token = plane.token(scope, user=(NULL_USER, password))
        assert claims_of(token)["access"][0]["actions"] == ["pull"]
        reply = plane.call("POST", "/oauth2/token", auth=None, data={
            "grant_type": "password", "username": NULL_USER, "password": password,
            "scope": scope})
        assert reply.status_code == 200
        assert plane.call("GET", "/v2/", auth=(NULL_USER, password)).status_code == 401
    # An access token gives no more than it has.
    token = plane.token(f"repository:{repo}:delete", user=(NULL_USER, access))
    assert claims_of(token)["access"] == []
    # A refresh token is not for the API.
    reply = plane.call("GET", "/v2/", headers={"Authorization": "Bearer " + refresh})
    assert reply.status_code == 401


@pytest.mark.parametrize("changes", [
    {"aud": "https://other.test"}, {"iss": "https://other.test/"}, {"tid": str(uuid.uuid4())},
    {"exp": int(time.time()) - 10}, {"oid": str(uuid.uuid4())}, {"nbf": int(time.time()) + 9999}])
def test_exchange_refuses(plane, changes):
    reply = plane.call("POST", "/oauth2/exchange", auth=None, data={
        "grant_type": "access_token", "access_token": plane.directory_token(**changes)})
    assert reply.status_code == 401, reply.text


def test_forged_tokens(plane):
    good = plane.token("registry:catalog:*")
    claims = claims_of(good)
    head, body, signature = good.split(".")
    other = jwt.encode(claims, "x" * 32, algorithm="HS256",
                       headers={"kid": jwt.get_unverified_header(good)["kid"]})
    none = jwt.encode(claims, None, algorithm="none")
    for token in [other, none, head + "." + body + ".", head + "." + body + "." + signature[::-1],
                  good + "x", "x", "a.b.c", "." * 8000]:
        reply = plane.call("GET", "/v2/_catalog", headers={"Authorization": "Bearer " + token})
        assert reply.status_code == 401, token[:50]


def test_scoped_token(plane):
    reader = ("reader", plane.secrets["reader"])
    plane.push_image("team/x", "v1", b"scoped")
    plane.push_image("teamx/x", "v1", b"scoped2")
    assert plane.call("GET", "/v2/team/x/manifests/v1", auth=reader).status_code == 200
    assert plane.call("GET", "/v2/teamx/x/manifests/v1", auth=reader).status_code == 403
    reply = plane.call("POST", "/v2/team/x/blobs/uploads/", auth=reader)
    assert reply.status_code == 403 and code(reply) == "DENIED"
    claims = claims_of(plane.token("repository:team/x:pull,push", "repository:teamx/x:pull",
                                   "registry:catalog:*", user=reader))
    assert claims["access"] == [{"type": "repository", "name": "team/x", "actions": ["pull"]}]


def test_revocation_within_a_second(plane):
    """A token goes on only while what it stands on is still published."""
    name = "t" + uuid.uuid4().hex[:8]
    plane.pg.sql(f"insert into credentials select registry_id, '{name}', password_name, kind, "
                 f"hash, null, permissions from credentials where username = 'reader'; "
                 f"update registries set generation = generation + 1")
    user = (name, plane.secrets["reader"])
    wait_until(lambda: plane.call("GET", "/v2/", auth=user).status_code == 200)
    headers = plane.bearer("repository:team/x:pull", user=user)
    assert plane.call("GET", "/v2/", headers=headers).status_code == 200
    plane.pg.sql(f"delete from credentials where username = '{name}'; "
                 f"update registries set generation = generation + 1")
    time.sleep(1.05)
    assert plane.call("GET", "/v2/", headers=headers).status_code == 401
    assert plane.call("GET", "/v2/", auth=user).status_code == 401


def test_revocation_while_an_older_change_is_read(plane):
    """What goes while the data plane is at loading an older state is seen by its next look."""
    name = "t" + uuid.uuid4().hex[:8]
    plane.pg.sql(f"insert into credentials select registry_id, '{name}', password_name, kind, "
                 f"hash, null, permissions from credentials where username = 'reader'; "
                 "update grants set permissions = permissions")  # so that the load reads them
    user = (name, plane.secrets["reader"])
    wait_until(lambda: plane.call("GET", "/v2/", auth=user).status_code == 200)
    other = subprocess.Popen(["psql", "-qAtX", "-d", plane.pg.url("region")], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        other.stdin.write("begin; lock table grants; select 1;\n")
        other.stdin.flush()
        assert other.stdout.readline() == "1\n"
        plane.pg.sql("update registries set generation = generation + 1")
        assert plane.call("GET", "/v2/", auth=user).status_code == 200
        wait_until(lambda: plane.pg.sql("select count(*) from pg_locks where not granted") == "1")
        other.stdin.write(f"delete from credentials where username = '{name}'; "
                          "update registries set generation = generation + 1; commit;\n")
    finally:
        other.communicate(timeout=30)
    time.sleep(1.05)
    assert plane.call("GET", "/v2/", auth=user).status_code == 401


def test_revocation_while_everything_changes(plane):
    """What is published changes faster than it can be read; what was read last still counts."""
    plane.pg.sql("insert into grants select r.id, gen_random_uuid(), g.permissions from registries r, "
                 "(select permissions from grants limit 1) g, generate_series(1, 5000); "
                 "update registries set generation = generation + 1, settings = settings || "
                 "'{\"anonymousPullEnabled\":true}'")
    ask = lambda: plane.call("GET", "/oauth2/token", auth=None, params={
        "scope": "repository:public/x:pull"}).status_code
    wait_until(lambda: ask() == 200)
    storm = subprocess.Popen(
        ["psql", "-qAtX", "-d", plane.pg.url("region"), "-c", "set synchronous_commit = off", "-c",
         "do $$ begin for i in 1..1000000 loop update registries set generation = generation + 1; "
         "commit; end loop; end $$"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        plane.pg.sql("update registries set generation = generation + 1, settings = settings || "
                     "'{\"anonymousPullEnabled\":false}'")
        time.sleep(1.05)
        assert storm.poll() is None
        assert [ask() for _ in range(20)] == [401] * 20
    finally:
        storm.kill()
        storm.wait()
        plane.pg.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$%'; "
                     f"delete from grants where principal_id <> '{plane.principal}'; "
                     "update registries set generation = generation + 1")


def test_what_cannot_be_read_replaces_what_could(plane):
    """The outage of the database is bridged; a publication that makes no sense is not."""
    ask = lambda: plane.call("GET", "/v2/").status_code
    wait_until(lambda: ask() == 200)
    key = plane.pg.sql("select wrapped_signing_key from registries")
    plane.pg.sql("update registries set generation = generation + 1, wrapped_signing_key = 'none'")
    try:
        time.sleep(1.05)
        assert not {ask() for _ in range(20)} & {200, 401}
    finally:
        plane.pg.sql("update registries set generation = generation + 1, "
                     f"wrapped_signing_key = '{key}'")
    wait_until(lambda: ask() == 200)


def test_anonymous_pull(plane):
    plane.push_image("public/x", "v1", b"anonymous")
    assert plane.call("GET", "/oauth2/token", auth=("", "")).status_code == 401
    plane.pg.sql("update registries set generation = generation + 1, settings = settings || "
                 "'{\"anonymousPullEnabled\":true}'")
    try:
        time.sleep(1.05)
        for reply in (plane.call("GET", "/oauth2/token", auth=("", ""),
                                 params={"scope": "repository:public/x:pull,push"}),
                      plane.call("GET", "/oauth2/token", auth=None,
                                 params={"scope": "repository:public/x:pull,push"}),
                      plane.call("POST", "/oauth2/token", auth=None, data={
                          "grant_type": "password", "refresh_token": "",
                          "scope": "repository:public/x:pull,push"})):
            assert reply.status_code == 200
            token = reply.json()["access_token"]
            assert claims_of(token)["access"][0]["actions"] == ["pull"]
            headers = {"Authorization": "Bearer " + token}
            assert plane.call("GET", "/v2/public/x/manifests/v1",
                              headers=headers).status_code == 200
            assert plane.call("POST", "/v2/public/x/blobs/uploads/",
                              headers=headers).status_code == 401
    finally:
        plane.pg.sql("update registries set generation = generation + 1, settings = settings || "
                     "'{\"anonymousPullEnabled\":false}'")


# --- blobs ----------------------------------------------------------------------------------------

def test_blob_round_trip(plane, repo):
    for size in (0, 1, 65536, 3_000_000):
        data = os.urandom(size)
        digest = plane.push_blob(repo, data)
        reply = plane.call("GET", f"/v2/{repo}/blobs/{digest}")
        assert reply.status_code == 200 and reply.content == data
        assert reply.headers["Docker-Content-Digest"] == digest
        reply = plane.call("HEAD", f"/v2/{repo}/blobs/{digest}")
        assert reply.status_code == 200 and int(reply.headers["Content-Length"]) == size
        assert reply.headers["Accept-Ranges"] == "bytes"


def test_content_is_sealed(plane, repo):
    canary = b"CANARY-" + uuid.uuid4().hex.encode()
    digest = plane.push_blob(repo, canary * 100)
    path = os.path.join(plane.blobs, "blobs", "sha256", digest[7:9], digest[7:])
    with open(path, "rb") as file:
        stored = file.read()
    assert len(stored) > len(canary) * 100 and canary not in stored


def test_sha512(plane, repo):
    data = os.urandom(100_000)
    digest = plane.push_blob(repo, data, digest=sha512(data))
    for name in (digest, sha256(data)):
        reply = plane.call("GET", f"/v2/{repo}/blobs/{name}")
        assert reply.content == data and reply.headers["Docker-Content-Digest"] == name


def test_ranges(plane, repo):
    data = os.urandom(200_000)
    digest = plane.push_blob(repo, data)
    for header, start, end in [("bytes=500-1499", 500, 1500), ("bytes=500-", 500, 200_000),
                               ("bytes=-500", 199_500, 200_000), ("bytes=0-0", 0, 1),
                               ("bytes=65530-65545", 65530, 65546),
                               ("bytes=199999-5000000", 199_999, 200_000)]:
        reply = plane.call("GET", f"/v2/{repo}/blobs/{digest}", headers={
            "Range": header, "Authorization": plane.bearer(f"repository:{repo}:pull")[
                "Authorization"]})
        assert reply.status_code == 206, header
        assert reply.content == data[start:end]
        assert reply.headers["Content-Range"] == f"bytes {start}-{end - 1}/200000"
    headers = {**plane.bearer(f"repository:{repo}:pull"), "Range": "bytes=200000-"}
    reply = plane.call("GET", f"/v2/{repo}/blobs/{digest}", headers=headers)
    assert reply.status_code == 416 and reply.headers["Content-Range"] == "bytes */200000"


def test_single_post(plane, repo):
    data = os.urandom(5000)
    reply = plane.call("POST", f"/v2/{repo}/blobs/uploads/", params={"digest": sha256(data)},
                       data=data)
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/v2/{repo}/blobs/{sha256(data)}"
    reply = plane.call("POST", f"/v2/{repo}/blobs/uploads/", params={"digest": sha256(b"other")},
                       data=data)
    assert reply.status_code == 400 and code(reply) == "DIGEST_INVALID"
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(b'other')}").status_code == 404


def begin(plane, repo):
    reply = plane.call("POST", f"/v2/{repo}/blobs/uploads/")
    assert reply.status_code == 202 and reply.headers["Range"] == "0-0"
    location = reply.headers["Location"]
    assert location.startswith(f"/v2/{repo}/blobs/uploads/")
    return location


def test_chunked_upload(plane, repo):
    data = os.urandom(30_000)
    location = begin(plane, repo)
    headers = plane.bearer(f"repository:{repo}:pull,push")

    def chunk(start, end, content=None):
        return plane.call("PATCH", location, data=content or data[start:end], headers={
            **headers, "Content-Range": f"{start}-{end - 1}"})
    assert chunk(10_000, 20_000).status_code == 416
    reply = plane.call("GET", location)
    assert reply.status_code == 204 and reply.headers["Range"] == "0-0"
    assert chunk(0, 10_000).headers["Range"] == "0-9999"
    assert chunk(0, 10_000).status_code == 416
    assert chunk(20_000, 30_000).status_code == 416
    for bad in ("bytes 10000-19999", "10000-19999/30000", "20000-10000", "x"):
        reply = plane.call("PATCH", location, data=data[:10], headers={
            **headers, "Content-Range": bad})
        assert reply.status_code == 416, bad
    reply = plane.call("PATCH", location, data=data[:10], headers={
        **headers, "Content-Range": "10000-19999"})
    assert reply.status_code == 400 and code(reply) == "SIZE_INVALID"
    assert plane.call("GET", location).headers["Range"] == "0-9999"
    assert chunk(10_000, 20_000).status_code == 202
    reply = plane.call("PUT", location, params={"digest": sha256(data)}, data=data[20_000:],
                       headers={**headers, "Content-Range": "20000-29999"})
    assert reply.status_code == 201
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(data)}").content == data
    assert plane.call("GET", location).status_code == 404


def test_streamed_upload(plane, repo):
    data = os.urandom(2_000_000)
    location = begin(plane, repo)

    def pieces():
        for at in range(0, len(data), 70_001):
            yield data[at:at + 70_001]
    reply = plane.call("PATCH", location, data=pieces())
    assert reply.status_code == 202 and reply.headers["Range"] == f"0-{len(data) - 1}"
    reply = plane.call("PUT", location, params={"digest": sha256(data)})
    assert reply.status_code == 201
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(data)}").content == data


def test_wrong_digests(plane, repo):
    for digest in ("sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "x"):
        location = begin(plane, repo)
        reply = plane.call("PUT", location, params={"digest": digest}, data=b"abc")
        assert reply.status_code == 400 and code(reply) == "DIGEST_INVALID"
        assert plane.call("DELETE", location).status_code == 204
    location = begin(plane, repo)
    assert plane.call("PUT", location, data=b"abc").status_code == 400
    reply = plane.call("PUT", location, params={"digest": sha256(b"abd")}, data=b"abc")
    assert reply.status_code == 400 and code(reply) == "DIGEST_INVALID"
    for digest in (sha256(b"abc"), sha256(b"abd")):
        assert plane.call("HEAD", f"/v2/{repo}/blobs/{digest}").status_code == 404


def test_cancelled_upload(plane, repo):
    location = begin(plane, repo)
    assert plane.call("DELETE", location).status_code == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        reply = plane.call(method, location, params={"digest": sha256(b"")})
        assert reply.status_code == 404 and code(reply) == "BLOB_UPLOAD_UNKNOWN", method


def test_sessions_belong_to_their_owner(plane, repo):
    location = begin(plane, repo)
    reply = plane.call("POST", "/oauth2/exchange", auth=None, data={
        "grant_type": "access_token", "access_token": plane.directory_token()})
    other = plane.bearer(f"repository:{repo}:pull,push", f"repository:{repo}x:pull,push",
                         user=(NULL_USER, reply.json()["refresh_token"]))
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        reply = plane.call(method, location, headers=other, params={"digest": sha256(b"")})
        assert reply.status_code == 404, method
    reply = plane.call("PATCH", location.replace(repo, repo + "x"), data=b"x")
    assert reply.status_code == 404
    assert plane.call("GET", location).status_code == 204


def test_upload_outlives_its_token(plane, repo):
    scopes = [f"repository:{repo}:pull,push"]
    location = begin(plane, repo)
    began = int(time.time())
    time.sleep(3)
    outlived = {"Authorization": "Bearer " + plane.registry_token(scopes, exp=began + 2)}
    older = {"Authorization": "Bearer " + plane.registry_token(scopes, exp=began - 60)}
    stranger = {"Authorization": "Bearer " + plane.registry_token(
        scopes, exp=began + 2, sub="reader", kind="token")}
    assert plane.call("PATCH", location, data=b"abc", headers=older).status_code == 401
    assert plane.call("PATCH", location, data=b"abc", headers=stranger).status_code == 401
    assert plane.call("PATCH", location, data=b"abc", headers=outlived).status_code == 202
    reply = plane.call("PUT", location, params={"digest": sha256(b"abc")}, headers=outlived)
    assert reply.status_code == 201
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(b'abc')}",
                      headers=outlived).status_code == 401
    assert plane.call("POST", f"/v2/{repo}/blobs/uploads/", headers=outlived).status_code == 401


def test_tokens_of_another_registry(plane):
    # The same name and key, made again with another id; another audience; another issuer.
    scopes = ["registry:catalog:*"]
    for changes, status in [({}, 200), ({"registry": str(uuid.uuid4())}, 401),
                            ({"aud": "other.test"}, 401), ({"iss": "x"}, 401),
                            ({"grant_type": "refresh_token"}, 401), ({"mark": "0" * 16}, 401),
                            ({"kind": "principal"}, 401)]:
        headers = {"Authorization": "Bearer " + plane.registry_token(scopes, **changes)}
        assert plane.call("GET", "/v2/_catalog", headers=headers).status_code == status, changes


def raw_connection(plane):
    return socket.create_connection(("127.0.0.1", plane.port), timeout=10)


def test_upload_cut_off(plane, repo):
    location = begin(plane, repo)
    token = plane.token(f"repository:{repo}:pull,push")
    with raw_connection(plane) as wire:
        wire.sendall((f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                      f"Content-Length: 100000\r\n\r\n").encode() + b"y" * 50_000)
        time.sleep(0.3)

    def size():
        reply = plane.call("GET", location)
        return reply.status_code == 204 and reply.headers["Range"]
    wait_until(size)
    got = int(size().split("-")[1]) + 1
    assert got in (1, 50_000)
    rest = b"y" * (100_000 - (got if got > 1 else 0))
    reply = plane.call("PUT", location, params={"digest": sha256(b"y" * 100_000)}, data=rest)
    assert reply.status_code == 201


def test_two_requests_at_one_session(plane, repo):
    location = begin(plane, repo)
    token = plane.token(f"repository:{repo}:pull,push")
    with raw_connection(plane) as wire:
        wire.sendall((f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
                      f"Content-Length: 100000\r\n\r\n").encode() + b"y" * 70_000)
        time.sleep(0.3)
        reply = plane.call("PUT", location, params={"digest": sha256(b"z")}, data=b"z")
        assert reply.status_code == 409
        wire.sendall(b"y" * 30_000)
        assert wire.recv(100).startswith(b"HTTP/1.1 202")
    reply = plane.call("PUT", location, params={"digest": sha256(b"y" * 100_000)})
    assert reply.status_code == 201
    # Two at once: one gets it, the other a clean refusal.
    location = begin(plane, repo)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: plane.call(
            "PUT", location, params={"digest": sha256(b"q")}, data=b"q").status_code, range(2)))
    assert sorted(done) in ([201, 404], [201, 409]), done


def test_mounts(plane, repo):
    data = os.urandom(1000)
    digest = plane.push_blob(repo, data)
    target = repo + "/mounted"
    for params in ({"mount": digest, "from": repo}, {"mount": digest},
                   {"mount": digest, "from": repo, "origin": "x"}):
        reply = plane.call("POST", f"/v2/{target}/blobs/uploads/", params=params)
        assert reply.status_code == 201 and reply.headers["Docker-Content-Digest"] == digest
        assert plane.call("GET", f"/v2/{target}/blobs/{digest}").content == data
        assert plane.call("DELETE", f"/v2/{target}/blobs/{digest}").status_code == 202
        assert plane.call("HEAD", f"/v2/{target}/blobs/{digest}").status_code == 404
        assert plane.call("HEAD", f"/v2/{repo}/blobs/{digest}").status_code == 200
    for params in ({"mount": sha256(b"nowhere")}, {"mount": digest, "from": "no/such"},
                   {"mount": "junk"}, {"mount": digest, "from": "../x"}):
        reply = plane.call("POST", f"/v2/{target}/blobs/uploads/", params=params)
        assert reply.status_code == 202, params


def test_mount_does_not_reveal(plane):
    """A digest that lives only where the caller may not read is like one that is not there."""
    secret = plane.push_blob("hidden/x", os.urandom(100))
    plane.pg.sql("update credentials set permissions = '[{\"type\":\"repository\",\"name\":"
                 "\"team/*\",\"actions\":[\"pull\",\"push\",\"metadata_read\"]}]' where username = "
                 "'reader'; update registries set generation = generation + 1")
    time.sleep(1.05)
    reader = ("reader", plane.secrets["reader"])
    for params in ({"mount": secret}, {"mount": secret, "from": "hidden/x"}):
        reply = plane.call("POST", "/v2/team/y/blobs/uploads/", params=params, auth=reader)
        assert reply.status_code == 202
    assert plane.call("HEAD", f"/v2/team/y/blobs/{secret}", auth=reader).status_code == 404


def test_deleted_here_kept_there(plane, repo):
    data = os.urandom(100)
    digest = plane.push_blob(repo + "/a", data)
    plane.push_blob(repo + "/b", data)
    assert plane.call("DELETE", f"/v2/{repo}/a/blobs/{digest}").status_code == 202
    assert plane.call("GET", f"/v2/{repo}/b/blobs/{digest}").content == data
    assert plane.call("GET", f"/v2/{repo}/a/blobs/{digest}").status_code == 404
    assert plane.call("DELETE", f"/v2/{repo}/a/blobs/{digest}").status_code == 404


# --- manifests ------------------------------------------------------------------------------------

def put_types(plane, repo):
    config, layer = json.dumps({"architecture": "arm64", "os": "linux"}).encode(), b"layer"
    plane.push_blob(repo, config)
    plane.push_blob(repo, layer)
    image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
             "layers": [descriptor(layer, LAYER)]}
    docker = {**image, "mediaType": DOCKER}
    yield MANIFEST, json.dumps(image, indent=3).encode()
    yield DOCKER, json.dumps(docker).encode()
    children = [descriptor(json.dumps(image, indent=3).encode(), MANIFEST)]
    yield INDEX, json.dumps({"schemaVersion": 2, "manifests": children}).encode()
    yield DOCKER_LIST, json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST,
                                   "manifests": children}).encode()
    yield INDEX, json.dumps({"schemaVersion": 2, "manifests": [],
                             "annotations": {"empty": "yes"}}).encode()
    # As build caches have it: an index of layers.
    yield INDEX, json.dumps({"schemaVersion": 2, "manifests": [descriptor(layer, LAYER)]}).encode()


def test_every_manifest_type(plane, repo):
    for number, (media_type, data) in enumerate(put_types(plane, repo)):
        reply, _ = plane.push_manifest(repo, f"t{number}", data, media_type)
        assert reply.status_code == 201, reply.text
        assert reply.headers["Docker-Content-Digest"] == sha256(data)
        for reference in (f"t{number}", sha256(data)):
            for _ in range(2):
                reply = plane.call("GET", f"/v2/{repo}/manifests/{reference}")
                assert reply.status_code == 200 and reply.content == data
                assert reply.headers["Content-Type"] == media_type
                head = plane.call("HEAD", f"/v2/{repo}/manifests/{reference}")
                assert head.status_code == 200 and not head.content
                assert int(head.headers["Content-Length"]) == len(data)
                assert head.headers["Docker-Content-Digest"] == sha256(data)
    headers = {**plane.bearer(f"repository:{repo}:pull"), "If-None-Match": f'"{sha256(data)}"'}
    assert plane.call("GET", f"/v2/{repo}/manifests/{reference}", headers=headers).status_code == 304


def test_refused_manifests(plane, repo):
    config = b"{}"
    plane.push_blob(repo, config)
    good = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG),
            "layers": []}
    for data, media_type, status, name in [
            (b"", MANIFEST, 400, "MANIFEST_INVALID"),
            (b"{", MANIFEST, 400, "MANIFEST_INVALID"),
            (b'{"schemaVersion":2,"schemaVersion":2}', MANIFEST, 400, "MANIFEST_INVALID"),
            (json.dumps(good).encode(), DOCKER, 400, "MANIFEST_INVALID"),
            (json.dumps({**good, "manifests": [descriptor(config, CONFIG)]}).encode(), MANIFEST,
             400, "MANIFEST_INVALID"),
            (json.dumps({**good, "layers": [descriptor(b"absent", LAYER)]}).encode(), MANIFEST,
             400, "MANIFEST_BLOB_UNKNOWN"),
            (b"[" * 100_000, MANIFEST, 400, "MANIFEST_INVALID"),
            (b" " * (4 * 1024 * 1024 + 1), MANIFEST, 413, "SIZE_INVALID")]:
        reply, _ = plane.push_manifest(repo, "t", data, media_type)
        assert (reply.status_code, code(reply)) == (status, name), data[:60]
    absent = [b"one", b"two", b"three"]
    reply, _ = plane.push_manifest(repo, "t", {**good, "layers": [
        descriptor(x, LAYER) for x in absent]})
    assert [e["detail"] for e in reply.json()["errors"]] == [sha256(x) for x in absent]
    assert plane.call("GET", f"/v2/{repo}/manifests/t").status_code == 404
    data = json.dumps(good).encode()
    for reference, status in [(sha256(b"other"), 400), (sha256(data).upper(), 400),
                              ("sha256:bad", 400), ("-x", 400), ("x" * 129, 400)]:
        reply, _ = plane.push_manifest(repo, reference, data)
        assert reply.status_code == status, reference
    # Whitespace changes the digest, so it is no longer that manifest.
    reply, _ = plane.push_manifest(repo, sha256(data), data + b" ")
    assert reply.status_code == 400 and code(reply) == "DIGEST_INVALID"
    reply, _ = plane.push_manifest("Bad", "t", data)
    assert reply.status_code == 400 and code(reply) == "NAME_INVALID"


def test_manifest_without_length(plane, repo):
    data = plane.push_image(repo, "v1", b"chunked")

    def pieces():
        yield data[:100]
        yield data[100:]
    reply = plane.call("PUT", f"/v2/{repo}/manifests/v2", data=pieces(), headers={
        **plane.bearer(f"repository:{repo}:pull,push"), "Content-Type": MANIFEST})
    assert reply.status_code == 201
    assert plane.call("GET", f"/v2/{repo}/manifests/v2").content == data


def test_tag_parameters(plane, repo):
    data = plane.push_image(repo, "first", b"tags")
    tags = [f"t{i}" for i in range(12)]
    reply = plane.call("PUT", f"/v2/{repo}/manifests/{sha256(data)}", data=data,
                       params=[("tag", t) for t in tags + ["t0"]],
                       headers={**plane.bearer(f"repository:{repo}:pull,push"),
                                "Content-Type": MANIFEST})
    assert reply.status_code == 201 and reply.headers["OCI-Tag"] == ", ".join(tags)
    for tag in tags:
        assert plane.call("GET", f"/v2/{repo}/manifests/{tag}").content == data


def test_tags_list(plane, repo):
    data = plane.push_image(repo, "b", b"list")
    for tag in ("a", "c", "B", "d.1", "_x"):
        plane.push_manifest(repo, tag, data)
    everything = sorted(["a", "b", "c", "B", "d.1", "_x"])
    path = f"/v2/{repo}/tags/list"
    assert plane.call("GET", path).json() == {"name": repo, "tags": everything}
    got, url = [], path + "?n=4"
    while url:
        reply = plane.call("GET", url)
        got += reply.json()["tags"]
        link = reply.headers.get("Link")
        if link:
            assert link.endswith('; rel="next"') and all("=" in part for part in link.split("&"))
        url = link and link[1:link.index(">")]
    assert got == everything
    assert plane.call("GET", path + "?last=b").json()["tags"] == ["c", "d.1"]
    reply = plane.call("GET", path + "?n=0")
    assert reply.json()["tags"] == [] and "Link" not in reply.headers
    for bad in ("-1", "x", "99999999999999999999"):
        assert plane.call("GET", path + "?n=" + bad).status_code == 400
    assert plane.call("GET", path + "?n=2147483648").status_code == 200
    assert plane.call("GET", "/v2/no/such/tags/list").json()["errors"] == [{
        "code": "NAME_UNKNOWN", "message": "repository name not known to registry",
        "detail": {"name": "no/such"}}]


def test_deletes(plane, repo):
    data = plane.push_image(repo, "v1", b"delete")
    plane.push_manifest(repo, "v2", data)
    assert plane.call("DELETE", f"/v2/{repo}/manifests/v1").status_code == 202
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404
    assert plane.call("GET", f"/v2/{repo}/manifests/v2").status_code == 200
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(data)}").status_code == 202
    for reference, message, detail in (
            ("v2", 'manifest tagged by "v2" is not found', {"Tag": "v2"}),
            (sha256(data), f"manifest {sha256(data)} is not found",
             {"Name": repo, "Revision": sha256(data)})):
        for method in ("GET", "DELETE"):
            reply = plane.call(method, f"/v2/{repo}/manifests/{reference}")
            assert reply.status_code == 404 and reply.json()["errors"] == [
                {"code": "MANIFEST_UNKNOWN", "message": message, "detail": detail}]
    # With its last manifest the repository is gone from the listings.
    assert repo not in plane.call("GET", "/v2/_catalog").json()["repositories"]
    assert plane.call("GET", f"/v2/{repo}/tags/list").status_code == 404


def test_referrers(plane, repo):
    subject = plane.push_image(repo, "v1", b"subject")
    empty = b"{}"
    plane.push_blob(repo, empty)
    pushed = {}
    for number, artifact in enumerate(["a/sig", "a/sbom", None]):
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
                    "config": descriptor(empty, "x/config"),
                    "subject": descriptor(subject, MANIFEST),
                    "annotations": {"number": str(number), "text": "ä\n\""}}
        if artifact:
            manifest["artifactType"] = artifact
        data = json.dumps(manifest).encode()
        reply, _ = plane.push_manifest(repo, sha256(data) if number else "tagged", data)
        assert reply.status_code == 201 and reply.headers["OCI-Subject"] == sha256(subject)
        pushed[sha256(data)] = manifest
    path = f"/v2/{repo}/referrers/{sha256(subject)}"
    reply = plane.call("GET", path)
    body = reply.json()
    assert reply.headers["Content-Type"] == INDEX and body["mediaType"] == INDEX
    assert {d["digest"] for d in body["manifests"]} == set(pushed)
    for one in body["manifests"]:
        manifest = pushed[one["digest"]]
        assert one["annotations"] == manifest["annotations"]
        assert one["artifactType"] == manifest.get("artifactType", "x/config")
        assert one["size"] == len(json.dumps(manifest)) and one["mediaType"] == MANIFEST
    reply = plane.call("GET", path, params={"artifactType": "a/sig"})
    assert reply.headers["OCI-Filters-Applied"] == "artifactType"
    assert [d["artifactType"] for d in reply.json()["manifests"]] == ["a/sig"]
    got, url = [], path + "?n=1"
    while url:
        reply = plane.call("GET", url)
        got += [d["digest"] for d in reply.json()["manifests"]]
        link = reply.headers.get("Link")
        url = link and link[1:link.index(">")]
    assert got == sorted(pushed)
    reply = plane.call("GET", f"/v2/no/such/referrers/{sha256(b'x')}")
    assert reply.status_code == 200 and reply.json()["manifests"] == []
    assert plane.call("GET", f"/v2/{repo}/referrers/sha256:x").status_code == 400


# --- ACR ------------------------------------------------------------------------------------------

def test_acr_listings(plane, repo):
    first = plane.push_image(repo, "v1", b"acr1")
    second = plane.push_image(repo, "v2", b"acr2")
    shown = plane.call("GET", f"/acr/v1/{repo}").json()
    assert shown["imageName"] == repo and shown["registry"] == plane.login_server
    assert shown["manifestCount"] == 2 and shown["tagCount"] == 2
    tags = plane.call("GET", f"/acr/v1/{repo}/_tags").json()["tags"]
    assert [t["name"] for t in tags] == ["v1", "v2"]
    assert tags[0]["digest"] == sha256(first) and tags[0]["signed"] is False
    newest = plane.call("GET", f"/acr/v1/{repo}/_tags?orderby=timedesc&n=1")
    assert [t["name"] for t in newest.json()["tags"]] == ["v2"]
    link = newest.headers["Link"]
    assert "orderby=timedesc" in link
    rest = plane.call("GET", link[1:link.index(">")])
    assert [t["name"] for t in rest.json()["tags"]] == ["v1"] and "Link" not in rest.headers
    only = plane.call("GET", f"/acr/v1/{repo}/_tags", params={"digest": sha256(second)})
    assert [t["name"] for t in only.json()["tags"]] == ["v2"]
    manifests = plane.call("GET", f"/acr/v1/{repo}/_manifests?orderby=timeasc").json()["manifests"]
    assert [m["digest"] for m in manifests] == [sha256(first), sha256(second)]
    assert manifests[0]["architecture"] == "amd64" and manifests[0]["os"] == "linux"
    assert manifests[0]["tags"] == ["v1"] and manifests[0]["mediaType"] == MANIFEST
    assert plane.call("GET", f"/acr/v1/{repo}/_tags/v1").json()["tag"]["name"] == "v1"
    one = plane.call("GET", f"/acr/v1/{repo}/_manifests/{sha256(first)}").json()["manifest"]
    assert one == manifests[0]
    index = {"schemaVersion": 2, "manifests": [descriptor(first, MANIFEST)]}
    _, data = plane.push_manifest(repo, "all", index, INDEX)
    one = plane.call("GET", f"/acr/v1/{repo}/_manifests/{sha256(data)}").json()["manifest"]
    assert one["references"] == [{"digest": sha256(first), "architecture": "amd64", "os": "linux"}]
    for path in (f"/acr/v1/{repo}/_tags/none", "/acr/v1/no/such", "/acr/v1/no/such/_tags",
                 "/acr/v1/no/such/_manifests", f"/acr/v1/{repo}/_manifests/{sha256(b'none')}"):
        assert plane.call("GET", path).status_code == 404, path


def test_untag_and_delete(plane, repo):
    data = plane.push_image(repo, "v1", b"untag")
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 200
    assert plane.call("DELETE", f"/acr/v1/{repo}/_tags/v1").status_code == 202
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha256(data)}").status_code == 200
    plane.push_manifest(repo, "v2", data)
    reply = plane.call("DELETE", f"/acr/v1/{repo}")
    assert reply.status_code == 202
    assert reply.json() == {"manifestsDeleted": [sha256(data)], "tagsDeleted": ["v2"]}
    assert plane.call("DELETE", f"/acr/v1/{repo}").status_code == 404
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha256(data)}").status_code == 404


def test_locks(plane, repo):
    data = plane.push_image(repo, "v1", b"lock")
    other = plane.push_image(repo, "v2", b"other")
    digest = sha256(data)

    def patch(path, **changes):
        reply = plane.call("PATCH", f"/acr/v1/{repo}{path}", json=changes)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def is_refused(reply):
        return reply.status_code == 405 and code(reply) == "REGISTRY_DISALLOWED_OPERATION"
    shown = patch("/_tags/v1", writeEnabled=False)
    assert shown["tag"]["changeableAttributes"] == {
        "writeEnabled": False, "deleteEnabled": True, "readEnabled": True, "listEnabled": True}
    assert is_refused(plane.push_manifest(repo, "v1", other)[0])
    assert is_refused(plane.call("DELETE", f"/v2/{repo}/manifests/v1"))
    assert is_refused(plane.call("DELETE", f"/acr/v1/{repo}/_tags/v1"))
    assert is_refused(plane.call("DELETE", f"/v2/{repo}/manifests/{digest}"))
    assert is_refused(plane.call("DELETE", f"/acr/v1/{repo}"))
    patch("/_tags/v1", writeEnabled=True)
    patch(f"/_manifests/{digest}", deleteEnabled=False)
    assert is_refused(plane.call("DELETE", f"/v2/{repo}/manifests/{digest}"))
    patch(f"/_manifests/{digest}", deleteEnabled=True, readEnabled=False)
    for reference in (digest, "v1"):
        assert is_refused(plane.call("GET", f"/v2/{repo}/manifests/{reference}"))
    patch(f"/_manifests/{digest}", readEnabled=True)
    patch("", writeEnabled=False)
    assert is_refused(plane.push_manifest(repo, "new", other)[0])
    assert is_refused(plane.call("POST", f"/v2/{repo}/blobs/uploads/",
                                 params={"digest": sha256(b"n")}, data=b"n"))
    assert is_refused(plane.call("DELETE", f"/v2/{repo}/manifests/{digest}"))
    assert is_refused(plane.call("DELETE", f"/v2/{repo}/blobs/{sha256(b'layer lock')}"))
    patch("", writeEnabled=True, deleteEnabled=False)
    assert is_refused(plane.call("DELETE", f"/acr/v1/{repo}"))
    assert plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(other)}").status_code == 202
    patch("", deleteEnabled=True, listEnabled=False)
    assert repo not in plane.call("GET", "/v2/_catalog").json()["repositories"]
    patch("", listEnabled=True, readEnabled=False)
    assert is_refused(plane.call("GET", f"/v2/{repo}/manifests/v1"))
    assert is_refused(plane.call("GET", f"/v2/{repo}/blobs/{sha256(b'layer lock')}"))
    patch("", readEnabled=True)
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == data
    for bad in ({"writeEnabled": "no"}, {"quarantineState": "x"}):
        assert plane.call("PATCH", f"/acr/v1/{repo}", json=bad).status_code == 400


# --- the edges of HTTP ----------------------------------------------------------------------------

def test_odd_paths(plane):
    token = plane.token("registry:catalog:*")
    for path, status in [("/v2/../etc/passwd", 400), ("/v2/a/%2e%2e/b/tags/list", 400),
                         ("/v2/%2F%2F..%2F..%2Fetc/passwd/manifests/x", 400),
                         ("/v2/a%00/tags/list", 400), ("/nothing", 404), ("/v2/a/b/c", 404)]:
        connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=10)
        connection.putrequest("GET", path, skip_host=False)
        connection.putheader("Authorization", "Bearer " + token)
        connection.endheaders()
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == status, (path, reply.status)
        assert json.loads(body)["errors"][0]["code"]
        assert reply.getheader("Docker-Distribution-Api-Version") == "registry/2.0"
        connection.close()
    reply = plane.call("PUT", "/v2/_catalog")
    assert reply.status_code == 405 and code(reply) == "UNSUPPORTED"
    reply = plane.call("PATCH", "/v2/a/blobs/uploads/x", data=b"x", headers={
        **plane.bearer("repository:a:pull,push"), "Content-Encoding": "gzip"})
    assert reply.status_code == 415


# --- caching --------------------------------------------------------------------------------------

def test_hot_pull_asks_no_database(plane, repo):
    """The statements the server saw are counted on the server."""
    plane.push_image(repo, "v1", b"hot")
    headers = plane.bearer(f"repository:{repo}:pull")
    layer = sha256(b"layer hot")

    def pull():
        for method, path in [("GET", f"manifests/v1"), ("HEAD", "manifests/v1"),
                             ("GET", f"blobs/{layer}"), ("HEAD", f"blobs/{layer}")]:
            assert plane.call(method, f"/v2/{repo}/{path}", headers=headers).status_code == 200

    def content_statements():
        # A server process tells what it did when it ends at the latest.
        wait_until(lambda: plane.pg.sql("select count(*) from pg_stat_activity where "
                                        "application_name = 'portolan-dataplane'") == "0", 20)
        return int(plane.pg.sql("select seq_scan + idx_scan from pg_stat_user_tables "
                                "where relname = 'repositories'"))
    pull()
    before = content_statements()
    assert before > 0
    for _ in range(50):
        pull()
    assert content_statements() == before


def test_hot_replies_follow_the_content(plane, repo):
    """Answers that are asked for again and again are kept with their headers: each has an id of its
    own, and none outlives what it tells."""
    headers = plane.bearer(f"repository:{repo}:pull")
    ids = set()

    def look(method, path, digest, content=None):
        heads = []
        for _ in range(4):
            reply = plane.call(method, f"/v2/{repo}/{path}", headers=headers)
            assert reply.status_code == 200
            assert reply.headers["Docker-Content-Digest"] == digest
            assert reply.headers["ETag"] == f'"{digest}"'
            if method == "GET":
                assert reply.content == content
            ids.add(reply.headers["X-Ms-Correlation-Request-Id"])
            heads.append({k: v for k, v in reply.headers.items()
                          if k not in ("X-Ms-Correlation-Request-Id", "Date")})
        assert all(head == heads[0] for head in heads)
        return heads[0]

    first = plane.push_image(repo, "v1", b"kept")
    layer = sha256(b"layer kept")
    for reference in ("v1", sha256(first)):
        head = look("HEAD", f"manifests/{reference}", sha256(first))
        assert head == look("GET", f"manifests/{reference}", sha256(first), first)
        assert int(head["Content-Length"]) == len(first)
    head = look("HEAD", f"blobs/{layer}", layer)
    assert int(head["Content-Length"]) == len(b"layer kept")
    assert len(ids) == 20
    reply = plane.call("GET", f"/v2/{repo}/manifests/v1",
                       headers={**headers, "If-None-Match": f'"{sha256(first)}"'})
    assert reply.status_code == 304
    second = plane.push_image(repo, "v1", b"kept later")
    look("HEAD", "manifests/v1", sha256(second))
    look("GET", "manifests/v1", sha256(second), second)
    look("GET", f"manifests/{sha256(first)}", sha256(first), first)
    for path in (f"manifests/{sha256(first)}", f"blobs/{layer}"):
        assert plane.call("DELETE", f"/v2/{repo}/{path}").status_code == 202
        for method in ("HEAD", "GET"):
            reply = plane.call(method, f"/v2/{repo}/{path}", headers=headers)
            assert reply.status_code == 404


# --- faults ---------------------------------------------------------------------------------------

def test_killed_in_the_middle_of_a_push(own_plane):
    plane = own_plane
    kept = plane.push_image("a/b", "v1", b"kept")
    location = begin(plane, "a/b")
    plane.call("PATCH", location, data=b"z" * 300_000)
    assert os.listdir(os.path.join(plane.blobs, "tmp"))
    plane.kill()
    plane.start()
    assert os.listdir(os.path.join(plane.blobs, "tmp")) == []
    reply = plane.call("PATCH", location, data=b"z")
    assert reply.status_code == 404 and code(reply) == "BLOB_UPLOAD_UNKNOWN"
    assert plane.call("GET", "/v2/a/b/manifests/v1").content == kept
    assert plane.call("GET", f"/v2/a/b/blobs/{sha256(b'layer kept')}").content == b"layer kept"


def test_database_away(own_plane):
    plane = own_plane
    data = plane.push_image("a/b", "v1", b"away")
    headers = plane.bearer("repository:a/b:pull,push")
    for path in ("manifests/v1", f"blobs/{sha256(b'layer away')}"):
        assert plane.call("GET", f"/v2/a/b/{path}", headers=headers).status_code == 200
    plane.pg.stop("immediate")
    time.sleep(2)
    assert plane.call("GET", "/v2/a/b/manifests/v1", headers=headers).content == data
    assert plane.call("GET", f"/v2/a/b/blobs/{sha256(b'layer away')}",
                      headers=headers).content == b"layer away"
    for method, path, body in [("GET", "manifests/other", None),
                               ("POST", f"blobs/uploads/?digest={sha256(b'x')}", b"x"),
                               ("PUT", "manifests/v2", data)]:
        reply = plane.call(method, f"/v2/a/b/{path}", headers=headers, data=body)
        assert reply.status_code == 503 and reply.headers["Retry-After"], reply.text
        assert "postgres" not in reply.text.lower() and plane.base not in reply.text
    plane.pg.start()
    wait_until(lambda: plane.push_manifest("a/b", "v2", data)[0].status_code == 201)
    assert plane.call("GET", "/v2/a/b/manifests/v2").content == data
    assert plane.log().count("event=projection_away") <= 1


def test_start_waits_for_the_database(own_plane):
    plane = own_plane
    plane.stop()
    plane.pg.stop()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        started = pool.submit(plane.start)
        time.sleep(0.5)
        assert not started.done()
        plane.pg.start()
        started.result(timeout=10)
    assert plane.call("GET", "/v2/").status_code == 200


def test_collection(own_plane):
    """Unused content goes after the delay; used content stays."""
    plane = own_plane
    data = plane.push_image("a/b", "v1", b"used")
    lone = plane.push_blob("a/b", b"never used")
    shared = plane.push_blob("c/d", b"layer used")

    def path(digest):
        return os.path.join(plane.blobs, "blobs", "sha256", digest[7:9], digest[7:])
    assert os.path.exists(path(lone))
    wait_until(lambda: not os.path.exists(path(lone)))
    assert plane.call("HEAD", f"/v2/a/b/blobs/{lone}").status_code == 404
    wait_until(lambda: plane.call("HEAD", f"/v2/c/d/blobs/{shared}").status_code == 404)
    assert plane.call("GET", f"/v2/a/b/blobs/{shared}").content == b"layer used"
    assert plane.call("DELETE", f"/v2/a/b/manifests/{sha256(data)}").status_code == 202
    wait_until(lambda: not os.path.exists(path(shared)), 15)
    assert plane.pg.sql("select count(*) from blobs") == "0"
    assert plane.pg.sql("select count(*) from repositories") == "0"
    # What was collected can be pushed again.
    again = plane.push_image("a/b", "v1", b"used")
    assert again == data and plane.call("GET", "/v2/a/b/manifests/v1").content == data


def test_pushes_and_collection_at_once(own_plane):
    """No acknowledged manifest ever lacks a blob, whatever runs beside it."""
    plane = own_plane

    def work(number):
        for turn in range(12):
            seed = b"%d" % (turn % 3)
            repo = "p/%d" % (number % 2)
            config = json.dumps({"seed": turn % 3}).encode()
            layer = b"layer" + seed
            manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                        "config": descriptor(config, CONFIG),
                        "layers": [descriptor(layer, LAYER)]}
            for _ in range(5):
                plane.push_blob(repo, config)
                plane.push_blob(repo, layer)
                reply, data = plane.push_manifest(repo, f"t{number}", manifest)
                if reply.status_code != 400:
                    break
            assert reply.status_code == 201, reply.text
            if turn % 4 == 3:
                status = plane.call("DELETE", f"/v2/{repo}/manifests/{sha256(data)}").status_code
                assert status in (202, 404)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    time.sleep(3)
    for repo in plane.call("GET", "/v2/_catalog").json()["repositories"]:
        for tag in plane.call("GET", f"/v2/{repo}/tags/list").json()["tags"]:
            manifest = plane.call("GET", f"/v2/{repo}/manifests/{tag}").json()
            for one in [manifest["config"], *manifest["layers"]]:
                reply = plane.call("GET", f"/v2/{repo}/blobs/{one['digest']}")
                assert reply.status_code == 200 and sha256(reply.content) == one["digest"]
    assert "level=error" not in plane.log()


# --- a client -------------------------------------------------------------------------------------

def make_layout(path):
    """A small image with busybox, as an OCI layout."""
    os.makedirs(os.path.join(path, "blobs", "sha256"))

    def add(data):
        with open(os.path.join(path, "blobs", "sha256", hashlib.sha256(data).hexdigest()),
                  "wb") as file:
            file.write(data)
        return data
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        tar.add("/bin/busybox" if os.path.exists("/bin/busybox") else "/bin/true", "bin/busybox")
    layer = add(gzip.compress(raw.getvalue(), mtime=0))
    config = add(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/busybox"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(raw.getvalue())]}}).encode())
    manifest = add(json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                               "config": descriptor(config, CONFIG),
                               "layers": [descriptor(layer, LAYER)]}).encode())
    with open(os.path.join(path, "oci-layout"), "w") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(path, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [descriptor(manifest, MANIFEST, annotations={
            "org.opencontainers.image.ref.name": "v1"})]}, file)
    return sha256(manifest)


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo(plane, repo, tmp_path):
    digest = make_layout(str(tmp_path / "image"))
    creds = ":".join(plane.admin)
    there = f"docker://{plane.login_server}/{repo}"

    def skopeo(*args):
        done = subprocess.run(["skopeo", "--insecure-policy", *args], text=True,
                              capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout
    skopeo("copy", "--dest-tls-verify=false", "--dest-creds", creds,
           f"oci:{tmp_path / 'image'}:v1", there + ":v1")
    shown = json.loads(skopeo("inspect", "--tls-verify=false", "--creds", creds, there + ":v1"))
    assert shown["Digest"] == digest and shown["Architecture"] == "amd64"
    skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", creds,
           "--dest-creds", creds, there + ":v1", f"docker://{plane.login_server}/{repo}/copy:v2")
    skopeo("copy", "--src-tls-verify=false", "--src-creds", creds,
           f"docker://{plane.login_server}/{repo}/copy:v2", f"oci:{tmp_path / 'back'}:v2")
    with open(tmp_path / "back" / "index.json") as file:
        assert json.load(file)["manifests"][0]["digest"] == digest
    skopeo("delete", "--tls-verify=false", "--creds", creds, there + ":v1")
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404
