"""Images from other registries: a data plane carries out what the control plane asks it for in the
region's database. Two data planes, one reading from the other; registries that lie; and what a push
may not do, an import may not do either."""

import base64
import hashlib
import http.server
import json
import os
import threading
import uuid

import pytest

from support.dataplane import (CONFIG, INDEX, LAYER, MANIFEST, DataPlane, descriptor, running,
                               sha256, sha512)
from support.directory import Directory, assign
from support.imports import ALLOW, ask, bring, end, same, signed_in, wrapped
from support.instance import eventually

pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module")
def source():
    with running() as it:
        yield it


@pytest.fixture(scope="module")
def plane():
    with running("--collect-delay", "3600", *ALLOW) as it:
        yield it


@pytest.fixture(autouse=True)
def alive(plane):
    yield
    plane.check()


# --- what is brought ------------------------------------------------------------------------------

def test_an_image_with_all_it_has(plane, source, repo):
    data = source.push_image(f"{repo}/src", "v1", os.urandom(500_000))
    assert bring(plane, source, f"{repo}/src:v1",
                 [f"{repo}/a:one", f"{repo}/a:two", f"{repo}/b:v1", f"{repo}/bare"]) is None
    for name, tags in ((f"{repo}/a", ["one", "two"]), (f"{repo}/b", ["v1"]), (f"{repo}/bare", [])):
        listed = plane.call("GET", f"/v2/{name}/tags/list")
        assert (listed.json()["tags"] or []) == tags
        assert same(plane, source, f"{repo}/src", "v1", name, sha256(data))
    shown = plane.call("GET", f"/acr/v1/{repo}/a/_manifests/{sha256(data)}").json()["manifest"]
    assert (shown["architecture"], shown["os"]) == ("amd64", "linux")
    # By digest, and again: what is there stays.
    assert bring(plane, source, f"{repo}/src@{sha256(data)}", [f"{repo}/c:v1"]) is None
    assert same(plane, source, f"{repo}/src", "v1", f"{repo}/c", "v1")
    used = plane.call("GET", "/acr/v1/_usage").json()["usedBytes"]
    assert bring(plane, source, f"{repo}/src:v1", [f"{repo}/c:v1"], force=True) is None
    assert plane.call("GET", "/acr/v1/_usage").json()["usedBytes"] == used


def test_an_index_for_several_platforms(plane, source, repo):
    children = [source.push_image(repo, f"p{n}", b"%d" % n + repo.encode()) for n in range(3)]
    cache = b"a layer in an index " + repo.encode()
    source.push_blob(repo, cache)
    reply, data = source.push_manifest(repo, "all", {
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            *(descriptor(c, MANIFEST, platform={"architecture": a, "os": "linux"})
              for c, a in zip(children, ("amd64", "arm64", "s390x"))), descriptor(cache, LAYER)]},
        INDEX)
    assert reply.status_code == 201, reply.text
    assert bring(plane, source, f"{repo}:all", [f"{repo}-x:all"]) is None
    for child in children:
        assert same(plane, source, repo, sha256(child), f"{repo}-x", sha256(child))
    assert plane.call("GET", f"/v2/{repo}-x/manifests/all").content == data
    assert plane.call("GET", f"/v2/{repo}-x/blobs/{sha256(cache)}").content == cache
    assert plane.call("GET", f"/v2/{repo}-x/tags/list").json()["tags"] == ["all"]


def test_sha512(plane, source, repo):
    layer, config = b"long digest " + repo.encode(), b"{}"
    source.push_blob(repo, layer, sha512(layer))
    source.push_blob(repo, config)
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                       "config": descriptor(config, CONFIG), "layers": [
                           {"mediaType": LAYER, "digest": sha512(layer), "size": len(layer)}]})
    reply, data = source.push_manifest(repo, sha512(body.encode()), body.encode())
    assert reply.status_code == 201, reply.text
    assert bring(plane, source, f"{repo}@{sha512(data)}", [f"{repo}:long"]) is None
    assert plane.call("GET", f"/v2/{repo}/manifests/{sha512(data)}").content == data
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha512(layer)}").content == layer


def test_too_many_manifests(plane, source, repo):
    children = []
    for n in range(51):
        body = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": {"n": str(n)}}
        reply, data = source.push_manifest(repo, f"c{n}", body, INDEX)
        assert reply.status_code == 201
        children.append(descriptor(data, INDEX))
    reply, _ = source.push_manifest(repo, "all", {"schemaVersion": 2, "mediaType": INDEX,
                                                  "manifests": children}, INDEX)
    assert reply.status_code == 201
    assert bring(plane, source, f"{repo}:all", [f"{repo}:all"])["code"] == "TooManyManifests"
    assert plane.call("GET", f"/v2/{repo}/manifests/all").status_code == 404


def test_without_sign_in(plane, source, repo):
    """A source that lets everybody pull gives a token to nobody in particular."""
    source.push_image(repo, "v1", b"open " + repo.encode())
    assert end(plane, ask(plane, source.url, f"{repo}:v1", [f"{repo}:v1"]))["code"] == \
        "SourceAccessDenied"
    source.pg.sql("update registries set generation = generation + 1, settings = settings || "
                  "'{\"anonymousPullEnabled\":true}'")
    try:
        eventually(lambda: source.call("GET", "/oauth2/token", auth=None).status_code == 200)
        assert end(plane, ask(plane, source.url, f"{repo}:v1", [f"{repo}:v1"])) is None
    finally:
        source.pg.sql("update registries set generation = generation + 1, settings = settings || "
                      "'{\"anonymousPullEnabled\":false}'")


def test_a_directory_token_is_traded(plane, source, repo):
    """What the control plane gives along for registries of the installation: the caller's own rights."""
    source.push_image(repo, "v1", b"traded " + repo.encode())
    secret = {"directoryToken": source.directory_token()}
    assert end(plane, ask(plane, source.url, f"{repo}:v1", [f"{repo}:v1"], secret=secret,
                          registry_id=source.id)) is None
    other = {"directoryToken": source.directory_token(oid=str(uuid.uuid4()))}
    assert end(plane, ask(plane, source.url, f"{repo}:v1", [f"{repo}:v2"], secret=other,
                          registry_id=source.id))["code"] == "SourceAccessDenied"


def test_from_the_registry_itself(plane, repo):
    """Content that it has is linked, not fetched."""
    data = plane.push_image(f"{repo}/a", "v1", os.urandom(100_000))
    used = plane.call("GET", "/acr/v1/_usage").json()["usedBytes"]
    assert end(plane, ask(plane, plane.url, f"{repo}/a:v1", [f"{repo}/b:v1"],
                          secret=signed_in(plane), registry_id=plane.id)) is None
    assert plane.call("GET", f"/v2/{repo}/b/manifests/v1").content == data
    assert plane.call("GET", "/acr/v1/_usage").json()["usedBytes"] == used + len(data)


@pytest.mark.parametrize("what", ["image", "repository", "tag"])
def test_what_is_not_there(plane, source, repo, what):
    source.push_image(repo, "v1", b"x")
    image = {"image": f"{repo}@{sha256(b'nothing')}", "repository": f"{repo}-no:v1",
             "tag": f"{repo}:v2"}[what]
    failure = bring(plane, source, image, [f"{repo}:v1"])
    assert failure["code"] == "SourceImageNotFound" and repo in failure["message"]
    assert plane.call("GET", f"/v2/{repo}/tags/list").status_code == 404


# --- what an import may not do --------------------------------------------------------------------

def test_a_tag_moves_only_by_force(plane, source, repo):
    data = source.push_image(repo, "v1", b"new " + repo.encode())
    kept = plane.push_image(repo, "v1", b"old " + repo.encode())
    assert bring(plane, source, f"{repo}:v1", [f"{repo}-b:v1", f"{repo}:v1"])["code"] == "TAG_EXISTS"
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == kept
    assert plane.call("GET", f"/v2/{repo}-b/manifests/v1").status_code == 404  # nothing was copied
    assert bring(plane, source, f"{repo}:v1", [f"{repo}:v1"], force=True) is None
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == data


@pytest.mark.parametrize("where,lock,is_refused", [
    ("tag", "writeEnabled", True), ("tag", "deleteEnabled", False),
    ("repository", "writeEnabled", True), ("repository", "deleteEnabled", False)])
def test_27_locks_hold_against_imports(plane, source, repo, where, lock, is_refused):
    """Force moves tags, not locked ones; into a locked repository nothing comes at all."""
    data = source.push_image(repo, "v1", b"attack " + repo.encode())
    kept = plane.push_image(repo, "v1", b"locked " + repo.encode())
    path = f"/acr/v1/{repo}" + ("/_tags/v1" if where == "tag" else "")
    assert plane.call("PATCH", path, json={lock: False}).status_code == 200
    failure = bring(plane, source, f"{repo}:v1", [f"{repo}:v1"], force=True)
    now = plane.call("GET", f"/v2/{repo}/manifests/v1").content
    if not is_refused:
        assert failure is None and now == data
        return
    assert failure["code"] == "REGISTRY_DISALLOWED_OPERATION" and now == kept
    fresh = bring(plane, source, f"{repo}:v1", [f"{repo}:fresh"])
    assert (fresh is None) is (where == "tag")
    assert plane.call("GET", f"/v2/{repo}/manifests/fresh").status_code == \
        (200 if where == "tag" else 404)


def test_27_a_locked_source_is_not_read(plane, source, repo):
    source.push_image(repo, "v1", b"closed " + repo.encode())
    assert source.call("PATCH", f"/acr/v1/{repo}", json={"readEnabled": False}).status_code == 200
    assert bring(plane, source, f"{repo}:v1", [f"{repo}:v1"]) is not None
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404


def test_35_quarantine_holds_imports(plane, source, repo):
    source.push_image(repo, "v1", b"sick " + repo.encode())
    plane.pg.sql("update registries set settings = settings || '{\"policies\": {\"quarantinePolicy\": "
                 "{\"status\": \"enabled\"}}}', generation = generation + 1")
    try:
        assert bring(plane, source, f"{repo}:v1", [f"team/{repo}:v1"]) is None
        reader = ("reader", plane.secrets["reader"])
        assert plane.call("GET", f"/v2/team/{repo}/manifests/v1", auth=reader).status_code == 404
        shown = plane.call("GET", f"/acr/v1/team/{repo}/_manifests").json()["manifests"][0]
        assert shown["changeableAttributes"]["quarantineState"] == "Quarantined"
    finally:
        plane.pg.sql("update registries set settings = settings - 'policies', "
                     "generation = generation + 1")


def test_45_the_storage_limit_holds(plane, source, repo):
    source.push_image(repo, "v1", os.urandom(200_000))
    used = plane.call("GET", "/acr/v1/_usage").json()["usedBytes"]
    plane.pg.sql(f"update registries set settings = settings || '{{\"storageLimitBytes\": "
                 f"{used + 100_000}}}', generation = generation + 1")
    try:
        assert bring(plane, source, f"{repo}:v1", [f"{repo}:v1"])["code"] == "DENIED"
        assert plane.call("GET", "/acr/v1/_usage").json()["usedBytes"] <= used + 100_000
    finally:
        plane.pg.sql("update registries set settings = settings - 'storageLimitBytes', "
                     "generation = generation + 1")


# --- sources that lie -----------------------------------------------------------------------------

class Liar:
    """A registry whose answers a test makes up; notes what it was asked and with what credentials."""

    def __init__(self, answer):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                seen.append((self.path, self.headers.get("Authorization")))
                status, headers, body = answer(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if not any(n.lower() in ("content-length", "transfer-encoding") for n in headers):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    for piece in body if not isinstance(body, bytes) else [body]:
                        self.wfile.write(piece)
                except OSError:
                    self.close_connection = True
            do_POST = do_GET
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def endless():
    while True:
        yield b"x" * 65536


LAYER_DATA = b"honest layer" * 1000
CONFIG_DATA = b"{}"
IMAGE = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": descriptor(CONFIG_DATA, CONFIG),
                    "layers": [descriptor(LAYER_DATA, LAYER)]}).encode()
LIES = {
    "another layer": lambda: ({}, LAYER_DATA[:-1] + b"!"),
    "a shorter one": lambda: ({}, LAYER_DATA[:-1]),
    "a longer one": lambda: ({}, LAYER_DATA + b"!"),
    "one without end": lambda: ({"Connection": "close", "Transfer-Encoding": "identity"}, endless()),
    "a length and no bytes": lambda: ({"Content-Length": str(len(LAYER_DATA)),
                                       "Connection": "close"}, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_38_what_is_not_true_is_not_kept(plane, repo, lie):
    def answer(request):
        if "/manifests/" in request.path:
            return 200, {"Content-Type": MANIFEST}, IMAGE
        if sha256(CONFIG_DATA) in request.path:
            return 200, {}, CONFIG_DATA
        headers, body = LIES[lie]()
        if "Connection" in headers:
            request.close_connection = True
        return 200, headers, body
    with Liar(answer) as liar:
        import_id = ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"])
        if lie == "a length and no bytes":  # may have been an outage: it is tried again
            eventually(lambda: plane.pg.sql(f"select attempts > 0 and lease_owner is null from "
                                            f"imports where id = '{import_id}'") == "t", 30)
            plane.pg.sql(f"delete from imports where id = '{import_id}'")
        else:
            assert end(plane, import_id)["code"] in ("SourceContentInvalid",
                                                     "RequestEntityTooLarge")
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").status_code == 404
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(LAYER_DATA)}").status_code == 404
    eventually(lambda: not os.listdir(os.path.join(plane.blobs, "tmp")))


def test_38_a_manifest_that_is_another(plane, repo):
    with Liar(lambda _: (200, {"Content-Type": MANIFEST}, IMAGE)) as liar:
        assert end(plane, ask(plane, liar.url, f"{repo}@{sha256(b'other')}",
                              [f"{repo}:v1"]))["code"] == "SourceContentInvalid"
    for body in (b"", b"{}", b"[]", b"not json", IMAGE[:-1], b'{"schemaVersion":1}'):
        with Liar(lambda _, b=body: (200, {"Content-Type": MANIFEST}, b)) as liar:
            failure = end(plane, ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"]))
            assert failure["code"] == "MANIFEST_INVALID", (body, failure)
    assert plane.call("GET", f"/v2/{repo}/tags/list").status_code == 404


def test_37_credentials_stay_at_home(plane, repo):
    """A challenge that names another host's token endpoint, and a redirect to another host: neither
    sees the password."""
    def bait(request):
        if "/token" in request.path:
            return 200, {"Content-Type": "application/json"}, b'{"token":"t"}'
        return 200, {}, LAYER_DATA
    with Liar(bait) as other:
        def answer(request):
            if "/blobs/" in request.path and sha256(LAYER_DATA) in request.path:
                return 307, {"Location": f"{other.url}/elsewhere"}, b""
            if request.headers.get("Authorization") != "Bearer t":
                return 401, {"WWW-Authenticate":
                             f'Bearer realm="{other.url}/token",service="s"'}, b""
            if "/manifests/" in request.path:
                return 200, {"Content-Type": MANIFEST}, IMAGE
            return 200, {}, CONFIG_DATA
        with Liar(answer) as liar:
            assert end(plane, ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"],
                                  secret={"username": "u", "password": "secret"})) is None
        assert [credentials for _, credentials in other.seen] == [None, None]
        secret = base64.b64encode(b"u:secret").decode()
        assert not any(secret in (credentials or "") for _, credentials in liar.seen)
    assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(LAYER_DATA)}").content == LAYER_DATA


def test_basic_where_that_is_asked_for(plane, repo):
    def answer(request):
        if request.headers.get("Authorization") != "Basic " + base64.b64encode(b"u:p").decode():
            return 401, {"WWW-Authenticate": 'Basic realm="here"'}, b""
        if "/manifests/" in request.path:
            return 200, {"Content-Type": MANIFEST}, IMAGE
        return 200, {}, LAYER_DATA if sha256(LAYER_DATA) in request.path else CONFIG_DATA
    with Liar(answer) as liar:
        assert end(plane, ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"],
                              secret={"username": "u", "password": "p"})) is None
        assert end(plane, ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v2"],
                              secret={"username": "u", "password": "x"}))["code"] == \
            "SourceAccessDenied"


def test_24_listing_a_digest_gives_nothing_away(plane, repo):
    """A source whose manifest names content that only a closed repository of ours has."""
    hidden = b"hidden " + repo.encode()
    plane.push_blob(f"{repo}-closed", hidden)
    image = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                        "config": descriptor(CONFIG_DATA, CONFIG),
                        "layers": [descriptor(hidden, LAYER)]}).encode()

    def answer(request):
        if "/manifests/" in request.path:
            return 200, {"Content-Type": MANIFEST}, image
        return (200, {}, CONFIG_DATA) if sha256(CONFIG_DATA) in request.path else (404, {}, b"")
    with Liar(answer) as liar:
        assert end(plane, ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"]))["code"] == \
            "SourceImageNotFound"
    assert plane.call("HEAD", f"/v2/{repo}/blobs/{sha256(hidden)}").status_code == 404


@pytest.fixture(scope="module")
def strict():
    with running() as it:
        yield it


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1",
                                  "[::ffff:7f00:1]", "0x7f.1"])
def test_36_inner_addresses_are_not_read(strict, source, host):
    port = "" if host in ("169.254.169.254", "10.0.0.1") else f":{source.port}"
    failure = end(strict, ask(strict, f"http://{host}{port}", "x/y:v1", ["x/y:v1"]), 120)
    assert failure["code"] == "Forbidden", failure


# --- what goes wrong on the way -------------------------------------------------------------------

def test_killed_in_the_middle(repo):
    """Whatever line a data plane dies at, the next one goes on, once the lease is over."""
    held, reached = threading.Event(), threading.Event()
    layer = hashlib.sha256(repo.encode()).digest() * 30000
    image = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST,
                        "config": descriptor(CONFIG_DATA, CONFIG),
                        "layers": [descriptor(layer, LAYER)]}).encode()

    def answer(request):
        if "/manifests/" in request.path:
            return 200, {"Content-Type": MANIFEST}, image
        if sha256(layer) not in request.path:
            return 200, {}, CONFIG_DATA

        def slow():
            yield layer[:400_000]
            reached.set()
            held.wait(60)
            yield layer[400_000:]
        return 200, {"Content-Length": str(len(layer))}, slow()
    plane = DataPlane(*ALLOW)
    try:
        plane.start()
        with Liar(answer) as liar:
            import_id = ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"])
            assert reached.wait(60)
            plane.kill()
            held.set()
            assert plane.pg.sql(f"select ended_at is null and lease_until > now() from imports "
                                f"where id = '{import_id}'") == "t"
            # The lease of the dead, sooner over than its 30 seconds.
            plane.pg.sql("update imports set lease_until = now()")
            plane.start()
            assert end(plane, import_id) is None
        assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == image
        assert plane.call("GET", f"/v2/{repo}/blobs/{sha256(layer)}").content == layer
        assert plane.pg.sql(f"select attempts from imports where id = '{import_id}'") == "2"
    finally:
        plane.close()


def test_a_source_that_comes_back(plane, repo):
    """A refusal for the moment is not the end of it."""
    refused = []

    def answer(request):
        if len(refused) < 2:
            refused.append(request.path)
            return 503, {"Retry-After": "1"}, b""
        if "/manifests/" in request.path:
            return 200, {"Content-Type": MANIFEST}, IMAGE
        return 200, {}, LAYER_DATA if sha256(LAYER_DATA) in request.path else CONFIG_DATA
    with Liar(answer) as liar:
        import_id = ask(plane, liar.url, f"{repo}:v1", [f"{repo}:v1"])
        for attempt in (1, 2):  # without the wait
            eventually(lambda n=attempt: plane.pg.sql(
                f"select attempts = {n} and lease_owner is null from imports "
                f"where id = '{import_id}'") == "t", 30)
            plane.pg.sql("update imports set lease_until = now() where ended_at is null; "
                         "update registries set generation = generation + 1")
            plane.call("GET", "/v2/")
        assert end(plane, import_id) is None
    assert plane.call("GET", f"/v2/{repo}/manifests/v1").content == IMAGE


# --- as the management API asks for it ------------------------------------------------------------

@pytest.fixture(scope="module")
def registries(instance):
    """One to read from, one to write to."""
    group = instance.make_group()
    yield [instance.make_registry(group, sku="Premium") for _ in range(2)]
    instance.arm("DELETE", instance.group_id(group), api="2024-11-01")


def order(instance, registry, body, **more):
    return instance.arm("POST", f"{registry.id}/importImage", body, **more)


def outcome(instance, reply):
    """Follows the operation as its Location says; its last answer."""
    assert reply.status_code == 202 and reply.text == "null", reply.text
    assert int(reply.headers["Retry-After"]) >= 1
    place = reply.headers["Location"]
    assert "/locations/EASTUS/operationResults/registries-" in place

    def over():
        poll = instance.arm("GET", place, api=None)
        return poll.status_code != 202 and [poll]  # a reply that tells of a failure counts as false
    return eventually(over, 90)[0]


def test_import_by_resource_id(instance, registries):
    """In the caller's name, without a password; the activity log tells both ends of it."""
    source, target = registries
    digest = source.push_image("team/app", "v1", os.urandom(500_000))
    body = {"source": {"resourceId": source.id, "sourceImage": "team/app:v1"},
            "targetTags": ["Copied/App:v1", "copied/plain"],
            "untaggedTargetRepositories": ["copied/bare"]}
    done = outcome(instance, order(instance, target, body))
    assert done.status_code == 200, done.text
    for path in ("copied/app/manifests/v1", "copied/plain/manifests/v1",
                 f"copied/bare/manifests/{digest}"):
        got = target.call("GET", f"/v2/{path}")
        assert got.status_code == 200 and got.headers["Docker-Content-Digest"] == digest
    layer = got.json()["layers"][0]["digest"]
    assert sha256(target.call("GET", f"/v2/copied/bare/blobs/{layer}").content) == layer
    told = eventually(lambda: len(seen := instance.arm(
        "GET", f"/subscriptions/{instance.subscription}/providers/Microsoft.Insights/eventtypes/"
        "management/values", api="2015-04-01",
        **{"$filter": "eventTimestamp ge '2020-01-01T00:00:00Z' and resourceUri eq "
                      f"'{target.id}'"}).json()["value"]) and [
        e["status"]["value"] for e in seen
        if e["operationName"]["value"].lower().endswith("/importimage/action")])
    assert sorted(told) == ["Accepted", "Succeeded"]

    again = outcome(instance, order(instance, target, body))
    assert again.status_code == 409 and again.json()["error"]["code"] == "TAG_EXISTS"
    assert outcome(instance, order(instance, target, {**body, "mode": "Force"})).status_code == 200


def test_27_import_by_force_moves_no_locked_tag(instance, registries):
    source, target = registries
    source.push_image("lock/app", "v1", b"other")
    kept = target.push_image("lock/app", "v1", b"kept")
    assert target.call("PATCH", "/acr/v1/lock/app/_tags/v1",
                       json={"writeEnabled": False}).status_code == 200
    failed = outcome(instance, order(instance, target, {
        "source": {"resourceId": source.id, "sourceImage": "lock/app:v1"}, "mode": "Force"}))
    assert failed.status_code == 409
    assert failed.json()["error"]["code"] == "REGISTRY_DISALLOWED_OPERATION"
    assert target.call("GET", "/v2/lock/app/manifests/v1").headers["Docker-Content-Digest"] == kept


def test_36_import_from_an_inner_address(instance, registries):
    """Another registry's host is an address of this machine: by its name alone it is not read."""
    source, target = registries
    source.push_image("inner/app", "v1", b"inner")
    failed = outcome(instance, order(instance, target, {
        "source": {"registryUri": source.host, "sourceImage": "inner/app:v1",
                   "credentials": {"username": source.name, "password": source.password}}}))
    assert failed.status_code == 409 and failed.json()["error"]["code"] == "Forbidden"
    assert source.password not in failed.text


@pytest.mark.parametrize("source", [
    {}, {"sourceImage": "a:v1"}, {"sourceImage": "a:v1", "registryUri": "http://x.test"},
    {"sourceImage": "a:v1", "registryUri": "x.test/y"},
    {"sourceImage": "a:v1", "registryUri": "u:p@x.test"},
    {"sourceImage": "a b:v1", "registryUri": "x.test"},
    {"sourceImage": "../a:v1", "registryUri": "x.test"},
    {"sourceImage": "a@sha256:xyz", "registryUri": "x.test"},
    {"sourceImage": "a:v1", "registryUri": "x.test", "resourceId": "/subscriptions/x"},
    {"sourceImage": "a:v1", "registryUri": "x.test", "credentials": {"username": "u"}}])
def test_malformed_imports(instance, registries, source):
    reply = order(instance, registries[1], {"source": source})
    assert reply.status_code == 400, reply.text


def test_52_what_may_not_be_exported(instance, registries):
    """exportPolicy of the source, and what the caller may do there."""
    source, target = registries
    body = {"source": {"resourceId": source.id + "x", "sourceImage": "a:v1"}}
    assert order(instance, target, body).status_code == 404
    group = instance.make_group()
    closed = instance.make_registry(group, sku="Premium", publicNetworkAccess="Disabled",
                                    policies={"exportPolicy": {"status": "disabled"}})
    reply = order(instance, target, {"source": {"resourceId": closed.id, "sourceImage": "a:v1"}})
    assert reply.status_code == 403 and reply.json()["error"]["code"] == "ExportPolicyDisabled"
    instance.arm("DELETE", instance.group_id(group), api="2024-11-01")


def rules(instance, registry, bypass, action="Deny", access="Enabled"):
    reply = instance.arm("PATCH", registry.id, {"properties": {
        "networkRuleBypassOptions": bypass, "publicNetworkAccess": access,
        "networkRuleSet": {"defaultAction": action, "ipRules": []}}})
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)


@pytest.mark.parametrize("closed", [{}, {"access": "Disabled"}], ids=["rules", "no public access"])
def test_51_an_import_is_a_trusted_service(instance, registries, closed):
    """Registries with rules that refuse this machine are read and written where they let trusted services
    in, layers from the data endpoint too, and not otherwise. Who ordered it gets in as little as before."""
    source, target = registries
    repo = f"closed/{uuid.uuid4().hex[:8]}"
    digest = source.push_image(repo, "v1", os.urandom(300_000))
    traded = instance.session.post(f"{source.url}/oauth2/exchange", data={
        "grant_type": "access_token", "service": source.host, "access_token": instance.token()})
    refresh = traded.json()["refresh_token"]  # of who orders it
    reply = instance.arm("PATCH", source.id, {"properties": {"dataEndpointEnabled": True}})
    instance.finish(reply)
    body = {"source": {"resourceId": source.id, "sourceImage": f"{repo}:v1"}, "mode": "Force"}

    def outside(registry):
        return instance.session.get(registry.url + "/v2/", auth=registry.auth).status_code
    try:
        rules(instance, source, "AzureServices", **closed)
        eventually(lambda: outside(source) == 403)
        done = outcome(instance, order(instance, target, body))
        assert done.status_code == 200, done.text
        got = target.call("GET", f"/v2/{repo}/manifests/v1")
        assert got.headers["Docker-Content-Digest"] == digest
        layer = got.json()["layers"][0]["digest"]
        assert sha256(target.call("GET", f"/v2/{repo}/blobs/{layer}").content) == layer
        for form in ({"grant_type": "access_token", "access_token": instance.token()},
                     {"grant_type": "refresh_token", "refresh_token": refresh}):
            path = "exchange" if "access_token" in form else "token"
            told = instance.session.post(f"{source.url}/oauth2/{path}",
                                         data={"service": source.host, **form})
            assert told.status_code == 403, told.text
        rules(instance, source, "None", **closed)
        refused = outcome(instance, order(instance, target, body))
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "SourceAccessDenied", refused.text
        # What is written obeys the same switch, by the rules of the target.
        rules(instance, source, "AzureServices", "Allow")
        eventually(lambda: outside(source) == 200)
        rules(instance, target, "None", **closed)
        told = order(instance, target, body)
        assert told.status_code == 403
        assert told.json()["error"]["code"] == "TrustedServicesNotAllowed", told.text
        rules(instance, target, "AzureServices", **closed)
        assert outcome(instance, order(instance, target, body)).status_code == 200
    finally:
        for registry in registries:
            rules(instance, registry, "AzureServices", "Allow")
    eventually(lambda: outside(source) == 200 and outside(target) == 200)


CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
CONFIGURATION_READER = "69b07be0-09bf-439a-b9a6-e73de851bd59"  # sees registries, pulls nothing
PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


def test_an_import_has_the_rights_of_its_caller(instance, registries):
    source, target = registries
    source.push_image("rights/app", "v1", b"rights")
    app = Directory(instance).application()
    body = {"source": {"resourceId": source.id, "sourceImage": "rights/app:v1"},
            "targetTags": ["rights/app:v1"]}

    def asked():
        return order(instance, target, body, token=app.token())
    assert asked().status_code == 403
    assert assign(instance, app.object_id, CONTRIBUTOR, target.id).status_code == 201
    # It may write here and see nothing there; then see it, and not pull; then pull.
    eventually(lambda: "registries/read" in asked().text)
    assert assign(instance, app.object_id, CONFIGURATION_READER, source.id).status_code == 201
    begun = eventually(lambda: (reply := asked()).status_code == 202 and reply)
    failed = outcome(instance, begun)
    assert failed.status_code == 409
    assert failed.json()["error"]["code"] == "SourceAccessDenied", failed.text
    assert assign(instance, app.object_id, PULL, source.id).status_code == 201
    # A data plane knows of it within a second.
    eventually(lambda: outcome(instance, asked()).status_code == 200, 60)
