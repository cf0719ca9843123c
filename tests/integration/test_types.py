"""The types below a registry: each created, read, changed, listed, deleted; defaults, refusals, quotas
and gates; and what their clients depend on."""

import base64
import datetime
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.instance import API, GROUPS_API, OperationFailed, eventually

pytestmark = pytest.mark.sanitized

PREVIEW = "2026-03-01-preview"
TASKS = "2019-06-01-preview"


def code(reply):
    return reply.json()["error"]["code"]


def message(reply):
    return reply.json()["error"]["message"]


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
    assert made.status_code == 200 and "Azure-AsyncOperation" not in made.headers
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


def test_token_certificates_are_described(premium):
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime(2026, 1, 1)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "device")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(7).not_valid_before(now).not_valid_after(
        datetime.datetime(2030, 1, 1)).sign(key, hashes.SHA256())
    pem = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    it = make_token(premium, [PULL_APP])
    tokens = Children(premium, "tokens")
    tokens.patch(it, {"credentials": {"certificates": [
        {"name": "certificate1", "expiry": "2040-01-01T00:00:00Z", "thumbprint": "ab" * 20,
         "encodedPemCertificate": pem}]}})
    # What the certificate says counts, and its text is not shown again.
    want = [{"name": "certificate1", "expiry": "2030-01-01T00:00:00Z",
             "thumbprint": made.fingerprint(hashes.SHA1()).hex()}]
    assert tokens.get(it)["properties"]["credentials"]["certificates"] == want
    # A patch of the list by name keeps what it does not mention.
    tokens.patch(it, {"credentials": {"certificates": [{"name": "certificate1"}]}})
    assert tokens.get(it)["properties"]["credentials"]["certificates"] == want
    reply = tokens.call("PATCH", it, {"properties": {"credentials": {"certificates": [
        {"name": "certificate2", "encodedPemCertificate": "LS0tLS1CRUdJTi"}]}}})
    assert reply.status_code == 400 and code(reply) == "InvalidParameter"
    tokens.delete(it)


# --- replications ----------------------------------------------------------------------------------

def test_replications(instance, home):
    registry = instance.make_registry(home, sku="Premium")
    replicas = Children(registry, "replications")
    assert replicas.names() == []
    made = replicas.call("PUT", "westeurope", {"location": "West Europe"})
    assert made.status_code == 201 and made.headers["Azure-AsyncOperation"], made.text
    instance.finish(made)
    body = replicas.get("westeurope")
    assert body["location"] == "westeurope" and body["tags"] == {}
    assert body["properties"]["regionEndpointEnabled"] is True
    assert body["properties"]["zoneRedundancy"] == "Disabled"
    # No data plane serves there: the record is complete and says so.
    assert body["properties"]["status"]["displayStatus"] == "NotReady"
    assert sorted(replicas.names()) == ["eastus", "westeurope"]
    own = eventually(lambda: replicas.get("eastus")["properties"].get("status") and
                     replicas.get("eastus"))
    assert own["properties"]["status"]["displayStatus"] == "Ready"
    assert own["systemData"]["createdByType"] == "Application"
    assert own["systemData"]["createdBy"] == "6a0ec4d3-30cb-4a83-91c0-ae56bc0e3d26"
    changed = replicas.patch("westeurope", {"regionEndpointEnabled": False}, tags={"a": "b"})
    assert changed["properties"]["regionEndpointEnabled"] is False and changed["tags"] == {"a": "b"}
    assert replicas.refused("another", location="westeurope").status_code == 409
    assert code(replicas.refused("another", location="mars")) == \
        "LocationNotAvailableForResourceType"
    assert code(replicas.refused("another")) == "LocationRequired"
    assert code(replicas.refused("westeurope", {"zoneRedundancy": "Enabled"},
                                 location="westeurope")) == "PropertyChangeNotAllowed"
    usage = instance.arm("GET", f"{registry.id}/listUsages").json()["value"]
    assert {"name": "Geo-replications", "limit": -1, "currentValue": 2, "unit": "Count"} in usage
    reply = instance.arm("PATCH", registry.id, {"sku": {"name": "Standard"}})
    assert code(reply) == "SkuNotSupported" and "2 replications" in message(reply)
    reply = instance.arm("PATCH", registry.id, {"properties": {"policies": {
        "softDeletePolicy": {"status": "enabled"}}}}, api=PREVIEW)
    assert code(reply) == "BadRequest" and "geo-replicated" in message(reply)
    replicas.delete("westeurope")
    replicas.delete("eastus")
    reply = instance.arm("PATCH", registry.id, {"sku": {"name": "Standard"}})
    assert reply.status_code == 200, reply.text
    instance.finish(reply)
    assert code(replicas.refused("westeurope", location="westeurope")) == "SkuNotSupported"


# --- webhooks --------------------------------------------------------------------------------------

HOOK = {"serviceUri": "https://example.com/hook", "actions": ["push"]}


def test_webhook_life(instance, premium):
    hooks, it = Children(premium, "webhooks"), name()
    body = hooks.put(it, {**HOOK, "customHeaders": {"X-Key": "geheim"}, "scope": "app:*"},
                     location="eastus", tags={"a": "b"})
    assert body["properties"] == {"status": "enabled", "scope": "app:*", "actions": ["push"],
                                  "provisioningState": "Succeeded"}
    assert body["location"] == "eastus" and body["tags"] == {"a": "b"}
    secret = hooks.call("POST", it, tail="/getCallbackConfig").json()
    assert secret == {"serviceUri": HOOK["serviceUri"], "customHeaders": {"X-Key": "geheim"}}
    changed = hooks.patch(it, {"status": "disabled", "actions": ["push", "delete"]})
    assert changed["properties"]["status"] == "disabled"
    assert changed["properties"]["actions"] == ["push", "delete"]
    assert hooks.call("POST", it, tail="/getCallbackConfig").json() == secret
    assert it in hooks.names()
    hooks.delete(it)


@pytest.mark.parametrize("change", [
    {"serviceUri": None}, {"serviceUri": "ftp://x"}, {"serviceUri": "https://a b"},
    {"actions": []}, {"actions": ["pull"]}, {"actions": None}, {"status": "on"},
    {"customHeaders": {"a b": "c"}}, {"customHeaders": {"A": "x\r\nB: y"}},
    {"customHeaders": {"A": 1}}, {"scope": "Upper Case"}])
def test_webhook_refusals(premium, change):
    body = {k: v for k, v in {**HOOK, **change}.items() if v is not None}
    reply = Children(premium, "webhooks").refused(name(), body, location="eastus")
    assert reply.status_code == 400 and "geheim" not in reply.text


def test_webhook_ping_and_events(instance, premium):
    hooks, it = Children(premium, "webhooks"), name()
    # A service at an address that is not of the public internet is never dialled.
    hooks.put(it, {**HOOK, "serviceUri": f"https://127.0.0.1:{instance.port}/hook",
                   "customHeaders": {"Authorization": "geheim"}}, location="eastus")
    assert hooks.call("POST", it, tail="/listEvents").json() == {"value": []}
    reply = hooks.call("POST", it, tail="/ping")
    assert reply.status_code == 200, reply.text
    events = hooks.call("POST", it, tail="/listEvents")
    assert "geheim" not in events.text
    event = events.json()["value"][0]
    assert event["id"] == reply.json()["id"]
    assert event["eventRequestMessage"]["content"]["action"] == "ping"
    assert event["eventRequestMessage"]["headers"] == {"Authorization": "******",
                                                       "Content-Type": "application/json"}
    assert event["eventRequestMessage"]["method"] == "POST"
    assert event["eventResponseMessage"]["statusCode"] == "502"
    assert "path=/hook" not in instance.log_text()
    for _ in range(2):
        hooks.call("POST", it, tail="/ping")
    seen = [e["id"] for e in hooks.call("POST", it, tail="/listEvents").json()["value"]]
    assert len(seen) == 3 and seen[-1] == event["id"]
    hooks.delete(it)
    assert instance.sql("control", "select id from webhook_events") == []


def test_webhook_location(premium):
    reply = Children(premium, "webhooks").refused(name(), HOOK, location="westus2")
    assert code(reply) == "BadRequest" and "replication" in message(reply)


# --- cache rules and credential sets ---------------------------------------------------------------

def secrets(vault="https://v.vault.example"):
    return {"loginServer": "docker.io", "authCredentials": [
        {"name": "Credential1", "usernameSecretIdentifier": f"{vault}/secrets/u",
         "passwordSecretIdentifier": f"{vault}/secrets/p"}]}


def test_cache_rules_and_credential_sets(instance, basic):
    sets, rules = Children(basic, "credentialSets"), Children(basic, "cacheRules")
    one, it = name("s"), name("c")
    made = sets.put(one, secrets(), identity={"type": "SystemAssigned"})
    assert made["identity"]["type"] == "SystemAssigned"
    assert made["properties"]["authCredentials"] == secrets()["authCredentials"]
    made = rules.call("PUT", it, {"properties": {
        "sourceRepository": "docker.io/library/alpine", "targetRepository": "cache/alpine",
        "credentialSetResourceId": None}})
    assert made.status_code == 201, made.text
    instance.finish(made)
    assert "credentialSetResourceId" not in rules.get(it)["properties"]
    assert rules.patch(it, {"credentialSetResourceId": sets.id(one)})["properties"][
        "credentialSetResourceId"] == sets.id(one)
    assert code(sets.call("DELETE", one)) == "ResourceInUse"
    assert code(rules.refused(it, {"sourceRepository": "docker.io/library/other",
                                   "targetRepository": "cache/alpine"})) == \
        "PropertyChangeNotAllowed"
    assert code(rules.refused(it, {"credentialSetResourceId": sets.id("missing1")},
                              method="PATCH")) == "BadRequest"
    # az sends null to take it away.
    assert "credentialSetResourceId" not in rules.patch(
        it, {"credentialSetResourceId": None})["properties"]
    gone = rules.call("DELETE", it)
    assert gone.status_code == 202 and gone.headers["Location"]
    instance.finish(gone)
    gone = sets.call("DELETE", one)
    assert gone.status_code == 202
    instance.finish(gone)
    assert one not in sets.names() and it not in rules.names()


@pytest.mark.parametrize("there, target, fits", [
    ("a/b", "a/b", False), ("a/*", "a/b", False), ("a/b", "a/*", False), ("a/*", "a/b/*", False),
    ("*", "a", False), ("a/b", "a/bc", True), ("a/*", "ab", True), ("a/b/*", "a/c/*", True)])
def test_cache_rules_do_not_overlap(instance, basic, there, target, fits):
    rules = Children(basic, "cacheRules")
    first, second = name("c"), name("c")
    rules.put(first, {"sourceRepository": "docker.io/x/*" if "*" in there else "docker.io/x",
                      "targetRepository": there})
    reply = rules.call("PUT", second, {"properties": {
        "sourceRepository": "docker.io/y/*" if "*" in target else "docker.io/y",
        "targetRepository": target}})
    if fits:
        assert reply.status_code == 201, reply.text
        instance.finish(reply)
        rules.delete(second)
    else:
        assert code(reply) == "BadRequest" and first in message(reply)
    rules.delete(first)


@pytest.mark.parametrize("source, target", [
    ("docker.io/x/*", "a"), ("docker.io/x", "a/*"), ("docker.io/x", "A"), ("nodot/x", "a"),
    ("docker.io/*/x", "a"), (None, "a"), ("docker.io/x", None)])
def test_cache_rule_refusals(basic, source, target):
    body = {"sourceRepository": source, "targetRepository": target}
    reply = Children(basic, "cacheRules").refused(
        name("c"), {k: v for k, v in body.items() if v is not None})
    assert reply.status_code == 400


@pytest.mark.parametrize("change", [
    {"loginServer": None}, {"authCredentials": []}, {"authCredentials": None},
    {"authCredentials": [{"name": "Credential2"}]},
    {"authCredentials": secrets()["authCredentials"] * 2},
    {"authCredentials": [{"name": "Credential1", "usernameSecretIdentifier": "u"}]}])
def test_credential_set_refusals(basic, change):
    body = {k: v for k, v in {**secrets(), **change}.items() if v is not None}
    assert Children(basic, "credentialSets").refused(name("s"), body).status_code == 400


# --- private link ----------------------------------------------------------------------------------

def test_private_link_resources(instance, premium):
    them = Children(premium, "privateLinkResources")
    assert them.names() == ["registry"]
    one = them.get("registry")
    assert one["properties"]["groupId"] == "registry"
    assert one["properties"]["requiredMembers"] == ["registry", "registry_data_eastus"]
    assert one["id"] == them.id("registry")
    assert them.call("GET", "other").status_code == 404
    assert them.call("HEAD", "registry").status_code in (200, 204)
    for method in ("PUT", "PATCH", "DELETE"):
        reply = them.call(method, "registry", {} if method != "DELETE" else None)
        assert reply.status_code == 405 and "GET" in reply.headers["Allow"]
    missing = instance.arm("GET", f"{premium.id}x/privateLinkResources")
    assert missing.status_code == 404


def make_row(instance, registry, kind, it, body="{}", status="{}"):
    """What another part of the service makes: private endpoints, runs."""
    key = f"{registry.id}/{kind}/{it}"
    instance.sql("control", f"""
        insert into resources (uid, key, id, type_key, name, subscription_id, group_key, parent_uid,
                               state, observed_generation, body, status)
        select gen_random_uuid(), lower('{key}'), '{key}',
               lower('Microsoft.ContainerRegistry/registries/{kind}'), '{it}', subscription_id,
               group_key, uid, 'Succeeded', 1, '{body}', '{status}'
        from resources where key = lower('{registry.id}')""")


def test_private_endpoint_connections(instance, premium):
    them, it = Children(premium, "privateEndpointConnections"), name("pe.")
    state = "privateLinkServiceConnectionState"
    assert them.names() == []
    # Connections come from private endpoints: nobody makes one here.
    assert them.refused(it, {state: {"status": "Approved"}}).status_code == 404
    make_row(instance, premium, "privateEndpointConnections", it,
             '{"properties": {"privateEndpoint": {"id": "/subscriptions/x/pe"}}}')
    assert them.get(it)["properties"][state] == {"status": "Pending", "description": "",
                                                 "actionsRequired": "None"}
    body = them.put(it, {state: {"status": "Approved", "description": "ok"}})
    assert body["properties"][state]["status"] == "Approved"
    assert body["properties"]["privateEndpoint"]["id"] == "/subscriptions/x/pe"
    assert them.call("PATCH", it, {}).status_code == 405
    assert code(them.refused(it, {state: {"status": "Disconnected"}})) == "BadRequest"
    assert code(them.refused(it, {"privateEndpoint": {"id": "/other"}})) == \
        "PropertyChangeNotAllowed"
    assert them.put(it, {state: {"status": "Rejected"}})["properties"][state]["status"] == "Rejected"
    reply = instance.arm("PATCH", premium.id, {"sku": {"name": "Basic"},
                                               "properties": {"dataEndpointEnabled": False}})
    assert "1 privateEndpointConnections (not available)" in message(reply)
    them.delete(it)


# --- connected registries --------------------------------------------------------------------------

def test_connected_registries(instance, premium, home):
    them, it, below = Children(premium, "connectedRegistries"), name("r"), name("r")
    sync, client = (make_token(premium, [PULL_APP]) for _ in range(2))
    tokens = Children(premium, "tokens")
    wish = {"mode": "ReadOnly", "parent": {"syncProperties": {
        "tokenId": tokens.id(sync), "messageTtl": "P2D", "schedule": "0 9 * * *",
        "syncWindow": "PT3H"}}, "clientTokenIds": [tokens.id(client)]}
    body = them.put(it, wish)["properties"]
    assert body["connectionState"] == "Offline" and body["activation"] == {"status": "Inactive"}
    assert body["logging"] == {"logLevel": "Information", "auditLogStatus": "Disabled"}
    assert body["statusDetails"] == [] and body["notificationsList"] == []
    assert body["parent"]["syncProperties"]["messageTtl"] == "P2D"
    # A PATCH spells sync properties on their own.
    body = them.patch(it, {"syncProperties": {"messageTtl": "P3D"},
                           "logging": {"logLevel": "Debug"}})["properties"]
    assert body["parent"]["syncProperties"]["messageTtl"] == "P3D"
    assert body["parent"]["syncProperties"]["schedule"] == "0 9 * * *"
    assert body["logging"]["logLevel"] == "Debug" and "syncProperties" not in body
    assert code(tokens.call("DELETE", sync)) == "ResourceInUse"
    assert code(tokens.call("DELETE", client)) == "ResourceInUse"
    reply = them.refused(below, {**wish, "mode": "ReadWrite", "parent": {
        **wish["parent"], "id": them.id(it)}})
    assert code(reply) == "BadRequest" and "parent" in message(reply)
    for change in ({"mode": None}, {"mode": "Both"}, {"parent": {}},
                   {"parent": {"syncProperties": {"tokenId": tokens.id("missing1"),
                                                  "messageTtl": "P2D"}}},
                   {"parent": {"syncProperties": {"tokenId": tokens.id(sync), "messageTtl": "2"}}},
                   {"clientTokenIds": [tokens.id(client)] * 51}):
        bad = {k: v for k, v in {**wish, **change}.items() if v is not None}
        assert them.refused(below, bad).status_code == 400
    assert them.call("POST", it, tail="/deactivate").status_code == 200
    them.delete(it)
    tokens.delete(sync)
    tokens.delete(client)
    bare = instance.make_registry(home, sku="Premium")
    token = make_token(bare, [PULL_APP])
    reply = Children(bare, "connectedRegistries").refused(it, {
        "mode": "ReadOnly", "parent": {"syncProperties": {
            "tokenId": Children(bare, "tokens").id(token), "messageTtl": "P2D"}}})
    assert "dataEndpointEnabled" in message(reply)


# --- pipelines -------------------------------------------------------------------------------------

def test_pipelines(instance, premium):
    exports = Children(premium, "exportPipelines", PREVIEW)
    imports = Children(premium, "importPipelines", PREVIEW)
    runs = Children(premium, "pipelineRuns", PREVIEW)
    out, back, run = name(), name(), name()
    end = {"uri": "https://acc.blob.example/c", "keyVaultUri": "https://v.example/secrets/s"}
    body = exports.put(out, {"target": end, "options": ["OverwriteBlobs"]}, location="eastus",
                       identity={"type": "SystemAssigned"})
    assert body["properties"]["target"]["type"] == "AzureStorageBlobContainer"
    assert body["location"] == "eastus" and body["properties"]["options"] == ["OverwriteBlobs"]
    body = imports.put(back, {"source": end})
    assert body["properties"]["trigger"] == {"sourceTrigger": {"status": "Enabled"}}
    assert exports.call("PATCH", out, {}).status_code == 405
    assert exports.refused(name(), {"target": {"uri": "https://acc.blob.example/c"}}).status_code == \
        400
    assert exports.refused(name(), {"target": {}}).status_code == 400
    stable = instance.arm("GET", exports.id(out))
    assert stable.status_code == 400 and code(stable) == "NoRegisteredProviderFound"
    # A run is not carried out here, and says so.
    made = runs.call("PUT", run, {"properties": {"request": {
        "pipelineResourceId": exports.id(out), "artifacts": ["app:v1"],
        "target": {"type": "AzureStorageBlob", "name": "b"}}}})
    assert made.status_code == 201
    with pytest.raises(OperationFailed, match="OperationNotSupported"):
        instance.finish(made)
    shown = runs.get(run)["properties"]
    assert shown["provisioningState"] == "Failed" and shown["response"]["status"] == "Failed"
    assert code(runs.refused(name(), {"request": {"pipelineResourceId": exports.id("missing1")}})) \
        == "BadRequest"
    reply = instance.arm("PATCH", premium.id, {"properties": {
        "publicNetworkAccess": "Disabled", "policies": {"exportPolicy": {"status": "disabled"}}}})
    assert "export pipelines" in message(reply)
    runs.delete(run)
    exports.delete(out)
    imports.delete(back)


# --- agent pools, tasks, runs ----------------------------------------------------------------------

def test_agent_pools(instance, premium, basic):
    pools, it, other = Children(premium, "agentPools", TASKS), name("p")[:12], name("q")[:12]
    body = pools.put(it, {"count": 3, "tier": "s2"}, location="eastus")
    assert body["properties"] == {"count": 3, "tier": "S2", "os": "Linux",
                                  "provisioningState": "Succeeded"}
    assert pools.call("POST", it, tail="/listQueueStatus").json() == {"count": 0}
    make_row(instance, premium, "runs", "ab1", "{}",
             f'{{"properties": {{"status": "Queued", "agentPoolName": "{it}"}}}}')
    assert pools.call("POST", it, tail="/listQueueStatus").json() == {"count": 1}
    instance.sql("control", "delete from resources where name = 'ab1'")
    reply = pools.refused(other, {"count": 3, "tier": "S1"}, location="eastus")
    assert code(reply) == "QuotaExceeded" and "18 processors" in message(reply)
    pools.put(other, {"count": 2, "tier": "S1"}, location="eastus")
    assert code(pools.refused(it, {"count": 4}, method="PATCH")) == "QuotaExceeded"
    assert pools.patch(it, {"count": 0})["properties"]["count"] == 0
    assert code(pools.refused(it, {"tier": "S1"}, location="eastus")) == "PropertyChangeNotAllowed"
    pools.delete(it)
    pools.delete(other)
    assert code(Children(basic, "agentPools", TASKS).refused(it, {}, location="eastus")) == \
        "SkuNotSupported"


DOCKER = {"type": "Docker", "dockerFilePath": "Dockerfile", "imageNames": ["app:{{.Run.ID}}"],
          "contextPath": "https://github.com/a/b", "contextAccessToken": "pat-geheim",
          "arguments": [{"name": "A", "value": "open"},
                        {"name": "B", "value": "arg-geheim", "isSecret": True}]}


def test_tasks(instance, basic):
    tasks, it = Children(basic, "tasks", TASKS), name("t")
    wish = {"platform": {"os": "linux"}, "step": DOCKER, "trigger": {
        "timerTriggers": [{"name": "t1", "schedule": "0 1 * * *"}],
        "sourceTriggers": [{"name": "s1", "sourceTriggerEvents": ["commit"], "sourceRepository": {
            "sourceControlType": "Github", "repositoryUrl": "https://github.com/a/b",
            "sourceControlAuthProperties": {"tokenType": "PAT", "token": "src-geheim"}}}]},
        "credentials": {"customRegistries": {"x.example": {"password": {
            "type": "Opaque", "value": "reg-geheim"}}}}}
    assert tasks.call("PUT", it, {"location": "eastus", "properties": wish}).status_code == 200
    body = tasks.get(it)
    assert "geheim" not in str(body)
    shown = body["properties"]
    assert shown["status"] == "Enabled" and shown["timeout"] == 3600
    assert shown["platform"] == {"os": "Linux", "architecture": "amd64"}
    assert shown["step"]["isPushEnabled"] is True and shown["step"]["noCache"] is False
    assert shown["step"]["arguments"] == [{"name": "A", "value": "open", "isSecret": False},
                                          {"name": "B", "isSecret": True}]
    assert shown["trigger"]["timerTriggers"][0]["status"] == "Enabled"
    full = tasks.call("POST", it, tail="/listDetails")
    assert full.status_code == 200
    for secret in ("pat-geheim", "arg-geheim", "src-geheim", "reg-geheim"):
        assert secret in full.text
    assert full.json()["properties"]["step"]["dockerFilePath"] == "Dockerfile"
    assert full.json()["id"] == tasks.id(it) and full.json()["location"] == "eastus"
    changed = tasks.patch(it, {"status": "Disabled", "timeout": 600})["properties"]
    assert changed["status"] == "Disabled" and changed["timeout"] == 600
    # A patch adds triggers and changes them, and takes none away.
    for patch in ({"name": "t2", "schedule": "0 2 * * *"}, {"name": "T1", "status": "disabled"}):
        changed = tasks.patch(it, {"trigger": {"timerTriggers": [patch]}})["properties"]["trigger"]
    assert sorted((t["schedule"], t["status"]) for t in changed["timerTriggers"]) == [
        ("0 1 * * *", "Disabled"), ("0 2 * * *", "Enabled")]
    assert [t["name"] for t in changed["sourceTriggers"]] == ["s1"]
    # Another kind of step leaves nothing of the former.
    other = tasks.patch(it, {"step": {"type": "EncodedTask", "encodedTaskContent": "eA=="}})
    assert "dockerFilePath" not in other["properties"]["step"]
    assert other["properties"]["step"]["values"] == []
    for bad in ({"step": {"type": "Docker"}}, {"step": {"type": "Magic"}}, {"step": {}},
                {"timeout": 1}, {"platform": {"os": "BeOS"}}, {"platform": None}, {"step": None}):
        tried = {k: v for k, v in {"platform": {"os": "Linux"}, "step": DOCKER, **bad}.items()
                 if v is not None}
        reply = tasks.refused(name("t"), tried, location="eastus")
        assert reply.status_code == 400 and "geheim" not in reply.text
    assert it in tasks.names()
    tasks.delete(it)


def test_task_runs_say_that_nothing_runs(instance, basic):
    them, it = Children(basic, "taskRuns", TASKS), name("t")
    made = them.call("PUT", it, {"properties": {"runRequest": {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==",
        "platform": {"os": "Linux"}}}})
    assert made.status_code == 201, made.text
    with pytest.raises(OperationFailed, match="OperationNotSupported"):
        instance.finish(made)
    assert them.get(it)["properties"]["provisioningState"] == "Failed"
    assert them.call("POST", it, tail="/listDetails").json()["name"] == it
    assert them.refused(name("t"), {"runRequest": {"type": "TaskRunRequest"}}).status_code == 400
    them.delete(it)


def test_runs_are_records(instance, basic):
    runs = Children(basic, "runs", TASKS)
    assert runs.names() == []
    assert runs.call("PUT", "ca1", {"properties": {}}).status_code == 405
    assert runs.call("PATCH", "ca1", {"properties": {}}).status_code == 404
    make_row(instance, basic, "runs", "ca1", "{}",
             '{"properties": {"runId": "ca1", "status": "Running"}}')
    assert runs.get("ca1")["properties"] == {
        "runId": "ca1", "status": "Running", "provisioningState": "Succeeded",
        "isArchiveEnabled": False}
    assert runs.patch("ca1", {"isArchiveEnabled": True})["properties"]["isArchiveEnabled"] is True
    # As the libraries send it.
    reply = runs.call("PATCH", "ca1", {"isArchiveEnabled": False})
    assert reply.json()["properties"]["isArchiveEnabled"] is False
    assert runs.call("PATCH", "ca1", {"isArchiveEnabled": True}).status_code == 200
    assert runs.get("ca1")["properties"]["status"] == "Running"
    assert runs.call("DELETE", "ca1").status_code == 405
    reply = runs.call("POST", "ca1", tail="/listLogSasUrl")
    assert reply.status_code == 200 and reply.json()["logLink"].startswith("https://tasks.blob.")
    assert runs.call("POST", "ca1", tail="/cancel").status_code == 200
    ended = runs.get("ca1")["properties"]
    assert ended["status"] == "Canceled" and ended["finishTime"]
    assert runs.call("POST", "ca1", tail="/cancel").status_code == 200
    assert runs.get("ca1")["properties"] == ended


# --- quotas, tiers, and the end of a registry ------------------------------------------------------

def test_quota_is_exact_under_concurrency(instance, home):
    registry = instance.make_registry(home, sku="Basic")
    hooks = Children(registry, "webhooks")

    def make(i):
        return hooks.call("PUT", f"hook{i:04}", {"location": "eastus", "properties": HOOK})
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(make, range(12)))
    assert sorted(r.status_code for r in replies) == [201] * 2 + [409] * 10
    refused = next(r for r in replies if r.status_code == 409)
    assert code(refused) == "QuotaExceeded"
    assert "webhooks for the registry SKU Basic" in message(refused)
    assert len(hooks.names()) == 2
    usage = {u["name"]: u for u in instance.arm("GET", f"{registry.id}/listUsages").json()["value"]}
    assert (usage["Webhooks"]["currentValue"], usage["Webhooks"]["limit"]) == (2, 2)
    # System scope maps count for nothing.
    assert usage["ScopeMaps"]["currentValue"] == 0
    hooks.delete(hooks.names()[0])
    assert make(99).status_code == 201
    assert make(98).status_code == 409
    # What is there may still be changed.
    assert hooks.patch("hook0099", {"status": "disabled"})["properties"]["status"] == "disabled"


def test_downgrade_names_what_is_in_the_way(instance, home):
    registry = instance.make_registry(home, sku="Premium", dataEndpointEnabled=True)
    hooks = Children(registry, "webhooks")
    for i in range(3):
        hooks.put(f"hook{i:04}", HOOK, location="eastus")
    Children(registry, "agentPools", TASKS).put("pool1", {}, location="eastus")
    reply = instance.arm("PATCH", registry.id, {"sku": {"name": "Basic"},
                                                "properties": {"dataEndpointEnabled": False}})
    assert reply.status_code == 400 and code(reply) == "SkuNotSupported"
    assert "3 webhooks (at most 2)" in message(reply)
    assert "1 agentPools (not available)" in message(reply)
    assert instance.arm("GET", registry.id).json()["sku"]["name"] == "Premium"
    Children(registry, "agentPools", TASKS).delete("pool1")
    hooks.delete("hook0000")
    reply = instance.arm("PATCH", registry.id, {"sku": {"name": "Basic"},
                                                "properties": {"dataEndpointEnabled": False}})
    assert reply.status_code == 200, reply.text
    instance.finish(reply)
    assert hooks.call("PUT", "hook0009", {"location": "eastus", "properties": HOOK}).status_code \
        == 409


def test_downgrade_and_create_at_once(instance, home):
    """Whichever comes first, the registry never has more than its SKU allows."""
    registry = instance.make_registry(home, sku="Standard")
    hooks = Children(registry, "webhooks")
    hooks.put("hook0000", HOOK, location="eastus")
    hooks.put("hook0001", HOOK, location="eastus")
    with ThreadPoolExecutor(4) as pool:
        down = pool.submit(instance.arm, "PATCH", registry.id, {"sku": {"name": "Basic"}})
        made = [pool.submit(hooks.call, "PUT", f"hook1{i:03}",
                            {"location": "eastus", "properties": HOOK}) for i in range(3)]
        down, made = down.result(), [m.result() for m in made]
    count = len(hooks.names())
    if down.status_code == 200:
        assert count == 2 and all(m.status_code == 409 for m in made)
    else:
        assert code(down) == "SkuNotSupported" and count > 2
        assert any(m.status_code == 201 for m in made)


def test_children_go_with_their_registry(instance, home):
    registry = instance.make_registry(home, sku="Premium", dataEndpointEnabled=True)
    token = make_token(registry, [PULL_APP])
    generate(registry, token)
    Children(registry, "webhooks").put("hook0000", HOOK, location="eastus")
    Children(registry, "replications").put("westus2", location="westus2")
    sets, rules = Children(registry, "credentialSets"), Children(registry, "cacheRules")
    sets.put("set-one", secrets())
    rules.put("rule-one", {"sourceRepository": "docker.io/x", "targetRepository": "x",
                           "credentialSetResourceId": sets.id("set-one")})
    uid = instance.sql("control", f"select uid from resources where key = lower('{registry.id}')")
    instance.delete(registry.id)
    assert instance.sql("control", f"select name from resources where parent_uid = '{uid[0][0]}'") \
        == []
    assert instance.sql("eastus", f"select 1 from credentials where username = '{token}'") == []
    assert Children(registry, "webhooks").call("GET", "hook0000").status_code == 404


def test_children_go_with_their_group(instance):
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Premium")
    make_token(registry, [PULL_APP])
    Children(registry, "replications").put("westus2", location="westus2")
    Children(registry, "webhooks").put("hook0000", HOOK, location="eastus")
    instance.delete(instance.group_id(group), api=GROUPS_API)
    assert instance.sql("control", f"select name from resources where group_key = '{group}'") == []


def test_rights_of_children(instance, premium):
    """/operations names what roles can be made of."""
    told = {o["name"] for o in instance.arm(
        "GET", "/providers/Microsoft.ContainerRegistry/operations").json()["value"]}
    stem = "Microsoft.ContainerRegistry/registries"
    assert {f"{stem}/{kind}/{verb}" for kind in ("webhooks", "tokens", "scopeMaps", "replications",
                                                 "cacheRules", "credentialSets", "tasks")
            for verb in ("read", "write", "delete")} <= told
    assert f"{stem}/webhooks/getCallbackConfig/action" in told
    assert f"{stem}/generateCredentials/action" in told


def test_parents_must_be_there(instance, home):
    missing = instance.registry_id(home, "missing12345")
    reply = instance.arm("PUT", f"{missing}/webhooks/hook0000",
                         {"location": "eastus", "properties": HOOK})
    assert reply.status_code == 404 and code(reply) == "ParentResourceNotFound"
    reply = instance.arm("GET", f"{missing}/webhooks")
    assert reply.status_code == 404
