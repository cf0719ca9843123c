"""The types below a registry: each created, read, changed, listed, deleted; defaults, refusals, quotas
and gates; and what their clients depend on."""

import datetime
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.instance import API, GROUPS_API, OperationFailed, eventually

pytestmark = pytest.mark.sanitized

PREVIEW = "2026-03-01-preview"
TASKS = "2019-06-01-preview"


def code(reply):
    return reply.json()["error"]["code"]


def message(reply):
    return reply.json()["error"]["message"]


@pytest.fixture(scope="module")
def home(instance):
    """A group that this file's registries share."""
    name = instance.make_group()
    yield name
    instance.arm("DELETE", instance.group_id(name), api=GROUPS_API)


@pytest.fixture(scope="module")
def premium(instance, home):
    return instance.make_registry(home, sku="Premium", dataEndpointEnabled=True)


@pytest.fixture(scope="module")
def basic(instance, home):
    return instance.make_registry(home, sku="Basic")


class Children:
    """The children of one type of a registry."""

    def __init__(self, registry, kind, api=API):
        self.instance, self.registry, self.kind, self.api = registry.instance, registry, kind, api

    def id(self, name):
        return f"{self.registry.id}/{self.kind}/{name}"

    def call(self, method, name, body=None, tail="", **params):
        return self.instance.arm(method, self.id(name) + tail, body, api=self.api, **params)

    def put(self, name, properties=None, **top):
        body = dict(top)
        if properties is not None:
            body["properties"] = properties
        reply = self.call("PUT", name, body)
        assert reply.status_code in (200, 201), reply.text
        self.instance.finish(reply)
        return self.get(name)

    def get(self, name):
        reply = self.call("GET", name)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def patch(self, name, properties=None, **top):
        body = dict(top)
        if properties is not None:
            body["properties"] = properties
        reply = self.call("PATCH", name, body)
        assert reply.status_code in (200, 201), reply.text
        self.instance.finish(reply)
        return self.get(name)

    def refused(self, name, properties=None, method="PUT", **top):
        body = dict(top)
        if properties is not None:
            body["properties"] = properties
        reply = self.call(method, name, body)
        assert 400 <= reply.status_code < 500, reply.text
        return reply

    def names(self):
        reply = self.instance.arm("GET", f"{self.registry.id}/{self.kind}", api=self.api)
        assert reply.status_code == 200, reply.text
        return [item["name"] for item in reply.json()["value"]]

    def delete(self, name):
        reply = self.call("DELETE", name)
        assert reply.status_code in (200, 202), reply.text
        self.instance.finish(reply)
        assert self.call("GET", name).status_code == 404
        assert self.call("DELETE", name).status_code == 204


def name(prefix="x"):
    return f"{prefix}{uuid.uuid4().hex[:10]}"


# --- scope maps ------------------------------------------------------------------------------------

SYSTEM_MAPS = ["_repositories_admin", "_repositories_pull", "_repositories_pull_metadata_read",
               "_repositories_push", "_repositories_push_metadata_write"]
PULL_APP = "repositories/app/content/read"


def test_scope_map_life(premium):
    maps, it = Children(premium, "scopeMaps"), name()
    made = maps.call("PUT", it, {"properties": {"actions": [PULL_APP], "description": "d"}})
    assert made.status_code == 201 and "Azure-AsyncOperation" not in made.headers
    body = made.json()
    assert body["properties"]["type"] == "UserDefined"
    assert body["properties"]["provisioningState"] == "Succeeded"
    assert body["properties"]["creationDate"].endswith("Z")
    assert body["type"] == "Microsoft.ContainerRegistry/registries/scopeMaps"
    assert body["id"] == maps.id(it) and body["systemData"]["createdByType"] == "Application"
    changed = maps.patch(it, {"actions": ["repositories/app/*/metadata/read"]})
    assert changed["properties"]["actions"] == ["repositories/app/*/metadata/read"]
    assert changed["properties"]["description"] == "d"
    assert maps.call("PUT", it, {"properties": {"actions": [PULL_APP]}}).status_code == 200
    assert "description" not in maps.get(it)["properties"]
    assert it in maps.names()
    maps.delete(it)


def test_system_scope_maps(instance, premium, basic):
    for registry in (premium, basic):
        maps = Children(registry, "scopeMaps")
        found = maps.names()
        assert [n for n in found if n.startswith("_")] == SYSTEM_MAPS
        admin = maps.get("_repositories_admin")["properties"]
        assert admin["type"] == "SystemDefined" and len(admin["actions"]) == 5
        for method, body in (("PUT", {"properties": {"actions": [PULL_APP]}}),
                             ("PATCH", {"properties": {"actions": [PULL_APP]}}),
                             ("DELETE", None)):
            reply = maps.call(method, "_repositories_pull", body)
            assert reply.status_code == 400 and "defined by the system" in message(reply)
        assert maps.get("_repositories_pull")["properties"]["actions"] == \
            ["repositories/*/content/read"]


@pytest.mark.parametrize("action", [
    "repositories/app/metadata/delete", "repositories/App/content/read", "repositories//content/read",
    "repositories/a*/content/read", "repositories/*/x/content/read", "content/read",
    "repositories/app/content/read ", "gateway/x/other/read", ""])
def test_scope_map_grammar(premium, action):
    reply = Children(premium, "scopeMaps").refused(name(), {"actions": [action]})
    assert reply.status_code == 400 and code(reply) == "InvalidParameter"


def test_scope_map_limits(premium):
    maps = Children(premium, "scopeMaps")
    many = [f"repositories/r{i}/content/read" for i in range(501)]
    assert maps.refused(name(), {"actions": many}).status_code == 400
    it = name()
    assert len(maps.put(it, {"actions": many[:500]})["properties"]["actions"]) == 500
    assert maps.refused(name(), {"actions": []}).status_code == 400
    assert maps.refused(name(), {}).status_code == 400
    assert maps.refused("abc", {"actions": [PULL_APP]}).status_code == 400
    maps.delete(it)


# --- tokens ----------------------------------------------------------------------------------------

def make_token(registry, actions, token=None):
    maps, tokens = Children(registry, "scopeMaps"), Children(registry, "tokens")
    token = token or name("t")
    maps.put(f"{token}-map", {"actions": actions})
    tokens.put(token, {"scopeMapId": maps.id(f"{token}-map")})
    return token


def generate(registry, token, **more):
    reply = registry.instance.arm("POST", f"{registry.id}/generateCredentials",
                                  {"tokenId": f"{registry.id}/tokens/{token}", **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def sign_in(registry, user, password, scope="repository:app:pull,push,delete"):
    """What the access token says one may do; None when sign-in is refused."""
    import jwt
    reply = registry.instance.session.get(f"{registry.url}/oauth2/token", auth=(user, password),
                                          params={"service": registry.host, "scope": scope})
    if reply.status_code == 401:
        return None
    assert reply.status_code == 200, reply.text
    claims = jwt.decode(reply.json()["access_token"], options={"verify_signature": False})
    return {a["name"]: sorted(a["actions"]) for a in claims.get("access", [])}


def test_token_life(instance, premium):
    maps, tokens, it = Children(premium, "scopeMaps"), Children(premium, "tokens"), name("t")
    maps.put(f"{it}-map", {"actions": [PULL_APP]})
    made = tokens.call("PUT", it, {"properties": {"scopeMapId": maps.id(f"{it}-map")}})
    assert made.status_code == 201 and made.headers["Azure-AsyncOperation"]
    assert made.json()["properties"]["credentials"] == {"certificates": [], "passwords": []}
    instance.finish(made)
    body = tokens.get(it)["properties"]
    assert body["status"] == "enabled" and body["provisioningState"] == "Succeeded"
    made = generate(premium, it)
    assert made["username"] == it
    assert [p["name"] for p in made["passwords"]] == ["password1", "password2"]
    assert all(len(p["value"]) >= 40 and p["creationTime"] for p in made["passwords"])
    kept = tokens.get(it)["properties"]["credentials"]["passwords"]
    assert [p["name"] for p in kept] == ["password1", "password2"]
    assert all("value" not in p for p in kept)
    for text in (str(instance.sql("control", "select wrapped from resource_secrets")),
                 str(instance.sql("control", "select body from resources")),
                 str(instance.sql("eastus", "select hash from credentials")), instance.log_text()):
        assert not any(p["value"] in text for p in made["passwords"])
    # A PUT without credentials keeps them, a list says which stay.
    tokens.put(it, {"scopeMapId": maps.id(f"{it}-map")})
    assert len(tokens.get(it)["properties"]["credentials"]["passwords"]) == 2
    tokens.patch(it, {"credentials": {"passwords": [{"name": "password2"}]}})
    assert [p["name"] for p in tokens.get(it)["properties"]["credentials"]["passwords"]] == \
        ["password2"]
    eventually(lambda: sign_in(premium, it, made["passwords"][1]["value"]) == {"app": ["pull"]})
    eventually(lambda: sign_in(premium, it, made["passwords"][0]["value"]) is None)
    tokens.delete(it)
    eventually(lambda: sign_in(premium, it, made["passwords"][1]["value"]) is None)
    assert instance.sql("eastus", f"select 1 from credentials where username = '{it}'") == []
    maps.delete(f"{it}-map")


def test_token_signs_in_and_follows_its_scope_map(instance, premium):
    it = make_token(premium, [PULL_APP, "repositories/app/content/write"])
    maps, tokens = Children(premium, "scopeMaps"), Children(premium, "tokens")
    first = generate(premium, it, name="password1")["passwords"]
    assert [p["name"] for p in first] == ["password1"]
    password = first[0]["value"]
    eventually(lambda: sign_in(premium, it, password) == {"app": ["pull", "push"]})
    maps.patch(f"{it}-map", {"actions": [PULL_APP]})
    eventually(lambda: sign_in(premium, it, password) == {"app": ["pull"]})
    tokens.patch(it, {"status": "disabled"})
    eventually(lambda: sign_in(premium, it, password) is None)
    tokens.patch(it, {"status": "enabled"})
    eventually(lambda: sign_in(premium, it, password) == {"app": ["pull"]})
    again = generate(premium, it, name="password1")["passwords"][0]["value"]
    eventually(lambda: sign_in(premium, it, again) == {"app": ["pull"]})
    assert sign_in(premium, it, password) is None
    assert sign_in(premium, it, "wrong" * 10) is None
    # A map of the system serves as well as one's own.
    tokens.patch(it, {"scopeMapId": maps.id("_repositories_push")})
    eventually(lambda: sign_in(premium, it, again) == {"app": ["pull", "push"]})
    maps.delete(f"{it}-map")
    tokens.delete(it)


def test_token_password_expires(premium):
    it = make_token(premium, [PULL_APP])
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)
    made = generate(premium, it, expiry=soon.isoformat())["passwords"][0]
    assert made["expiry"][:19] == soon.isoformat()[:19]
    eventually(lambda: sign_in(premium, it, made["value"]) == {"app": ["pull"]}, timeout=3.5)
    eventually(lambda: sign_in(premium, it, made["value"]) is None)
    Children(premium, "tokens").delete(it)


def test_token_refusals(instance, premium, basic):
    tokens, maps = Children(premium, "tokens"), Children(premium, "scopeMaps")
    for bad in (maps.id("missing1"), Children(basic, "scopeMaps").id("_repositories_pull"), "x",
                premium.id, maps.id("_repositories_pull") + "/x"):
        reply = tokens.refused(name(), {"scopeMapId": bad})
        assert code(reply) == "BadRequest" and reply.json()["error"]["target"] == \
            "properties.scopeMapId"
    it = make_token(premium, [PULL_APP])
    reply = maps.call("DELETE", f"{it}-map")
    assert reply.status_code == 409 and code(reply) == "ResourceInUse" and it in message(reply)
    past = "2020-01-01T00:00:00Z"
    for body, status in (({}, 400), ({"tokenId": premium.id}, 400),
                         ({"tokenId": tokens.id("missing1")}, 404),
                         ({"tokenId": tokens.id(it), "expiry": past}, 400),
                         ({"tokenId": tokens.id(it), "expiry": "soon"}, 400),
                         ({"tokenId": tokens.id(it), "name": "password3"}, 400)):
        reply = instance.arm("POST", f"{premium.id}/generateCredentials", body)
        assert reply.status_code == status, reply.text
    assert tokens.get(it)["properties"]["credentials"]["passwords"] == []
    tokens.delete(it)


def test_token_certificates_are_stored(premium):
    it = make_token(premium, [PULL_APP])
    tokens = Children(premium, "tokens")
    tokens.patch(it, {"credentials": {"certificates": [
        {"name": "certificate1", "expiry": "2030-01-01T00:00:00Z", "thumbprint": "ab" * 20,
         "encodedPemCertificate": "LS0tLS1CRUdJTi"}]}})
    shown = tokens.get(it)["properties"]["credentials"]["certificates"]
    assert shown == [{"name": "certificate1", "expiry": "2030-01-01T00:00:00Z",
                      "thumbprint": "ab" * 20}]
    tokens.delete(it)
