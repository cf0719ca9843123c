"""The management API on a whole instance: metadata, subscriptions, providers, groups, registries,
operations, and the refusals a caller must be able to rely on."""

import base64
import json
import time
import uuid

import jwt
import pytest

from support.instance import API, GROUPS_API, PROVIDER

pytestmark = pytest.mark.sanitized


def code(reply):
    return reply.json()["error"]["code"]


# --- metadata and what surrounds a registry -------------------------------------------------------

def test_metadata_has_the_three_shapes(instance):
    old = instance.session.get(f"{instance.management}/metadata/endpoints",
                               params={"api-version": "2015-01-01"}).json()
    assert old["authentication"]["loginEndpoint"].endswith("/adfs")
    assert old["graphEndpoint"] and old["authentication"]["audiences"]
    mid = instance.session.get(f"{instance.management}/metadata/endpoints",
                               params={"api-version": "2019-05-01"}).json()
    assert isinstance(mid, list) and mid[0]["authentication"]["audiences"]
    new = instance.session.get(f"{instance.management}/metadata/endpoints",
                               params={"api-version": "2022-09-01"}).json()
    assert new["resourceManager"].rstrip("/") == instance.management
    assert new["suffixes"]["acrLoginServer"].lstrip(".") == f"cr.{instance.domain}:{instance.port}"
    for member in ("name", "microsoftGraphResourceId", "suffixes", "portal"):
        assert member in new


def test_subscriptions_tenants_locations_providers(instance):
    mine = instance.arm("GET", "/subscriptions", api="2022-12-01").json()["value"]
    assert [s["subscriptionId"] for s in mine] == [instance.subscription]
    assert mine[0]["state"] == "Enabled" and mine[0]["tenantId"] == instance.tenant
    tenants = instance.arm("GET", "/tenants", api="2022-12-01").json()["value"]
    assert [t["tenantId"] for t in tenants] == [instance.tenant]
    base = f"/subscriptions/{instance.subscription}"
    names = {x["name"] for x in instance.arm("GET", f"{base}/locations",
                                             api="2022-12-01").json()["value"]}
    assert {"eastus", "westus2", "westeurope", "northeurope", "southeastasia"} <= names
    providers = instance.arm("GET", f"{base}/providers", api="2021-04-01").json()["value"]
    acr = next(p for p in providers if p["namespace"] == "Microsoft.ContainerRegistry")
    assert acr["registrationState"] == "Registered"
    kinds = {t["resourceType"]: t for t in acr["resourceTypes"]}
    assert API in kinds["registries"]["apiVersions"]
    one = instance.arm("POST", f"{base}/providers/Microsoft.ContainerRegistry/register",
                       api="2021-04-01")
    assert one.status_code == 200 and one.json()["registrationState"] == "Registered"
    assert instance.arm("GET", f"{base}/providers/Nobody.Here",
                        api="2021-04-01").status_code == 404


def test_listed_versions_are_answered(instance):
    """Clients look up what to ask with in the provider's list: it names what each type takes."""
    base = f"/subscriptions/{instance.subscription}"
    paths = {"Microsoft.Resources": {
        "subscriptions": "/subscriptions", "tenants": "/tenants", "providers": "/providers",
        "subscriptions/locations": f"{base}/locations", "resources": f"{base}/resources",
        "subscriptions/resourceGroups": f"{base}/resourcegroups",
        "deployments": f"{base}/providers/Microsoft.Resources/deployments",
        "deploymentStacks": f"{base}/providers/Microsoft.Resources/deploymentStacks"},
        "Microsoft.Authorization": {
            kind: f"{base}/providers/Microsoft.Authorization/{kind}"
            for kind in ("locks", "roleAssignments", "roleDefinitions")},
        "Microsoft.KeyVault": {"deletedVaults": f"{base}/providers/Microsoft.KeyVault/deletedVaults"},
        "Microsoft.Insights": {"diagnosticSettings":
                               f"{base}/providers/Microsoft.Insights/diagnosticSettings"}}
    for provider, types in paths.items():
        shown = instance.arm("GET", f"{base}/providers/{provider}", api="2021-04-01").json()
        assert shown["registrationState"] == "Registered", provider
        listed = {t["resourceType"]: t["apiVersions"] for t in shown["resourceTypes"]}
        for kind, path in types.items():
            for version in (listed[kind][0], listed[kind][-1]):
                reply = instance.arm("GET", path, api=version)
                assert reply.status_code == 200, (kind, version, reply.text)


def test_unregistered_namespace_is_refused(instance, group):
    base = f"/subscriptions/{instance.subscription}/{PROVIDER}"
    assert instance.arm("POST", f"{base}/unregister", api="2021-04-01").status_code == 200
    try:
        reply = instance.arm("PUT", instance.registry_id(group, "unregistered1"),
                             {"location": "eastus", "sku": {"name": "Basic"}})
        assert reply.status_code == 409 and code(reply) == "MissingSubscriptionRegistration"
    finally:
        assert instance.arm("POST", f"{base}/register", api="2021-04-01").status_code == 200


def test_group_life(instance):
    name = f"Life_{uuid.uuid4().hex[:6]}"
    path = instance.group_id(name)
    assert instance.arm("HEAD", path, api=GROUPS_API).status_code == 404
    made = instance.arm("PUT", path, {"location": "West Europe", "tags": {"a": "1"}}, api=GROUPS_API)
    assert made.status_code == 201
    assert made.json()["id"] == path and made.json()["location"] == "westeurope"
    assert made.json()["properties"]["provisioningState"] == "Succeeded"
    assert instance.arm("PUT", path, {"location": "westeurope", "tags": {"a": "1"}},
                        api=GROUPS_API).status_code == 200
    assert instance.arm("HEAD", path.upper().replace("SUBSCRIPTIONS", "subscriptions"),
                        api=GROUPS_API).status_code == 204
    moved = instance.arm("PUT", path, {"location": "eastus"}, api=GROUPS_API)
    assert moved.status_code == 409 and code(moved) in ("InvalidResourceGroupLocation",
                                                        "InvalidResourceLocation")
    patched = instance.arm("PATCH", path, {"tags": {"b": "2"}}, api=GROUPS_API)
    assert patched.status_code == 200 and patched.json()["tags"] == {"b": "2"}
    listed = instance.arm("GET", f"/subscriptions/{instance.subscription}/resourcegroups",
                          api=GROUPS_API).json()["value"]
    assert name in [g["name"] for g in listed]
    instance.delete(path, api=GROUPS_API)
    gone = instance.arm("GET", path, api=GROUPS_API)
    assert gone.status_code == 404 and code(gone) == "ResourceGroupNotFound"


def test_nobody_works_on_a_group_that_is_there(instance):
    """Neither when it is made nor a minute later: of many groups that would be most of all work."""
    path = instance.group_id(instance.make_group())
    (row,) = instance.sql("control", f"select state, observed_generation, not_before > now() + interval "
                                     f"'1 hour' from resources where key = lower('{path}')")
    assert row == ["Succeeded", "1", "t"]
    instance.delete(path, api=GROUPS_API)


@pytest.mark.parametrize("name", ["ends.", "a" * 91, "spa ce", "per%25cent"])
def test_bad_group_names(instance, name):
    reply = instance.arm("PUT", instance.group_id(name), {"location": "eastus"}, api=GROUPS_API)
    assert reply.status_code == 400


# --- registries -----------------------------------------------------------------------------------

def test_registry_life(instance, group):
    name = f"Life{uuid.uuid4().hex[:8]}"
    path = instance.registry_id(group, name)
    made = instance.arm("PUT", path, {"location": "eastus", "sku": {"name": "premium"},
                                      "tags": {"team": "a"}})
    assert made.status_code == 201
    assert made.headers["Azure-AsyncOperation"].startswith(instance.management)
    assert int(made.headers["Retry-After"]) >= 1
    assert made.json()["properties"]["provisioningState"] == "Creating"
    instance.finish(made)
    body = instance.arm("GET", path).json()
    assert body["name"] == name and body["type"] == "Microsoft.ContainerRegistry/registries"
    assert body["sku"] == {"name": "Premium", "tier": "Premium"}
    assert body["tags"] == {"team": "a"} and body["systemData"]["createdByType"] == "Application"
    seen = body["properties"]
    assert seen["provisioningState"] == "Succeeded"
    assert seen["loginServer"] == f"{name.lower()}.cr.{instance.domain}:{instance.port}"
    assert seen["adminUserEnabled"] is False and seen["publicNetworkAccess"] == "Enabled"
    assert seen["networkRuleSet"]["defaultAction"] == "Allow"
    assert seen["policies"]["retentionPolicy"]["days"] == 7
    assert seen["encryption"]["status"] == "disabled"
    assert seen["zoneRedundancy"] == "Disabled" and seen["dataEndpointEnabled"] is False
    assert seen["privateEndpointConnections"] == [] and seen["dataEndpointHostNames"] == []

    patched = instance.arm("PATCH", path, {"properties": {"adminUserEnabled": True}})
    assert patched.status_code in (200, 201)
    instance.finish(patched)
    assert instance.arm("GET", path).json()["properties"]["adminUserEnabled"] is True
    whole = instance.arm("GET", path).json()
    again = instance.arm("PATCH", path, whole)  # as az does: the whole object comes back
    assert again.status_code in (200, 201), again.text
    instance.finish(again)

    gone = instance.arm("DELETE", path)
    assert gone.status_code == 202 and gone.headers["Location"].startswith(instance.management)
    instance.finish(gone)
    assert code(instance.arm("GET", path)) == "ResourceNotFound"
    assert instance.arm("DELETE", path).status_code == 204


def test_put_that_changes_nothing_starts_nothing(instance, registry):
    body = {"location": "eastus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
    reply = instance.arm("PUT", registry.id, body)
    assert reply.status_code == 200 and "Azure-AsyncOperation" not in reply.headers
    assert reply.json()["properties"]["provisioningState"] == "Succeeded"


def test_basic_registry_has_no_network_rules(instance, registry):
    assert "networkRuleSet" not in instance.arm("GET", registry.id).json()["properties"]


def test_every_property_comes_back(instance, group):
    wanted = {
        "adminUserEnabled": True, "anonymousPullEnabled": True, "dataEndpointEnabled": True,
        "publicNetworkAccess": "Enabled", "networkRuleBypassOptions": "None",
        "zoneRedundancy": "Enabled", "roleAssignmentMode": "AbacRepositoryPermissions",
        "networkRuleBypassAllowedForTasks": True,
        "networkRuleSet": {"defaultAction": "Deny",
                           "ipRules": [{"action": "Allow", "value": "10.0.0.0/8"}]},
        "policies": {"retentionPolicy": {"status": "enabled", "days": 30},
                     "trustPolicy": {"status": "disabled", "type": "Notary"}},
    }
    it = instance.make_registry(group, sku="Premium", admin=True,
                                **{k: v for k, v in wanted.items() if k != "adminUserEnabled"})
    seen = instance.arm("GET", it.id).json()["properties"]
    for key, value in wanted.items():
        if key == "policies":
            assert seen[key]["retentionPolicy"]["days"] == 30
            assert seen[key]["retentionPolicy"]["status"] == "enabled"
        elif key == "networkRuleSet":
            assert seen[key]["ipRules"] == value["ipRules"] and seen[key]["defaultAction"] == "Deny"
        else:
            assert seen[key] == value, key


def test_newer_members_are_hidden_from_older_versions(instance, registry):
    old = instance.arm("GET", registry.id, api="2019-05-01").json()["properties"]
    assert "roleAssignmentMode" not in old and "publicNetworkAccess" not in old
    assert "adminUserEnabled" in old


def test_names_are_global(instance, group, registry):
    other = instance.make_group()
    taken = instance.arm("PUT", instance.registry_id(other, registry.name.upper()),
                         {"location": "eastus", "sku": {"name": "Basic"}})
    assert taken.status_code == 409 and code(taken) == "RegistryNameAlreadyInUse"
    path = f"/subscriptions/{instance.subscription}/{PROVIDER}/checkNameAvailability"
    kind = "Microsoft.ContainerRegistry/registries"
    asked = instance.arm("POST", path, {"name": registry.name, "type": kind}).json()
    assert asked["nameAvailable"] is False and asked["reason"] == "AlreadyExists"
    assert instance.arm("POST", path, {"name": "surelyfree123", "type": kind}
                        ).json()["nameAvailable"] is True
    assert instance.arm("POST", path, {"name": "no", "type": kind}).json()["reason"] == "Invalid"


def test_credentials(instance, group):
    it = instance.make_registry(group, admin=False)
    refused = instance.arm("POST", f"{it.id}/listCredentials")
    assert refused.status_code in (400, 403, 409)
    assert code(refused) == "UnAuthorizedForCredentialOperations"
    instance.finish(instance.arm("PATCH", it.id, {"properties": {"adminUserEnabled": True}}))
    first = instance.arm("POST", f"{it.id}/listCredentials").json()
    assert first["username"] == it.name
    assert [p["name"] for p in first["passwords"]] == ["password", "password2"]
    renewed = instance.arm("POST", f"{it.id}/regenerateCredential", {"name": "password2"}).json()
    assert renewed["passwords"][0] == first["passwords"][0]
    assert renewed["passwords"][1] != first["passwords"][1]
    assert instance.arm("POST", f"{it.id}/regenerateCredential", {"name": "pass3"}).status_code == 400

    def works(value):
        return instance.session.get(f"{it.url}/v2/", auth=(it.name, value)).status_code
    deadline = time.monotonic() + 5
    while works(renewed["passwords"][1]["value"]) != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert works(renewed["passwords"][1]["value"]) == 200
    assert works(first["passwords"][0]["value"]) == 200
    assert works(first["passwords"][1]["value"]) == 401


def test_usages_are_counted(instance, registry):
    usages = {u["name"]: u for u in instance.arm("GET", f"{registry.id}/listUsages").json()["value"]}
    assert usages["Size"]["limit"] == 10 * 2**30 and usages["Size"]["unit"] == "Bytes"
    assert usages["Webhooks"]["limit"] == 2
    before = usages["Size"]["currentValue"]
    registry.push_image("sized", "v1", b"x" * 100_000)
    after = {u["name"]: u["currentValue"]
             for u in instance.arm("GET", f"{registry.id}/listUsages").json()["value"]}["Size"]
    assert after - before >= 100_000


def test_lists_and_filters(instance, group):
    names = sorted(instance.make_registry(group, wait=False).name for _ in range(3))
    at_group = instance.arm("GET", f"{instance.group_id(group)}/{PROVIDER}/registries").json()
    assert sorted(r["name"] for r in at_group["value"]) == names
    at_sub = instance.items(f"/subscriptions/{instance.subscription}/{PROVIDER}/registries")
    assert set(names) <= {r["name"] for r in at_sub}
    found = instance.items(
        f"/subscriptions/{instance.subscription}/resources", api="2021-04-01",
        **{"$filter": "resourceType eq 'Microsoft.ContainerRegistry/registries'"})
    mine = [r for r in found if r["name"] in names]
    assert len(mine) == 3 and "properties" not in mine[0]
    pages = list(instance.pages(f"{instance.group_id(group)}/resources", api="2021-04-01",
                                **{"$top": "2"}))
    assert [len(page) for page in pages] == [2, 1]
    assert sorted(r["name"] for page in pages for r in page) == names
    bad = instance.arm("GET", f"/subscriptions/{instance.subscription}/resources", api="2021-04-01",
                       **{"$filter": "body eq 'x' or 1=1"})
    assert bad.status_code == 400


# --- refusals -------------------------------------------------------------------------------------

@pytest.mark.parametrize("body, status", [
    (b'{"location":"eastus","location":"westus2","sku":{"name":"Basic"}}', 400),
    (b'{"location":"eastus","sku":{"name":NaN}}', 400),
    (b"{'location':'eastus'}", 400),
    (b'{"location":"eastus","sku":{"name":"\xff\xfe"}}', 400),
    (b'{"location":"eastus","x":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
    (b'{"location":"eastus","sku":{"name":"Basic"}', 400),
    (b'[]', 400), (b'null', 400), (b'', 400),
    (b'{"location":"eastus","pad":"' + b"x" * (5 << 20) + b'"}', 413),
])
def test_malformed_bodies(instance, group, body, status):
    path = instance.registry_id(group, "malformed1")
    reply = instance.arm("PUT", path, data=body)
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["message"]
    assert instance.arm("GET", path).status_code == 404


@pytest.mark.parametrize("change, expected", [
    ({"sku": {"name": "Gold"}}, {"InvalidSku", "SkuNotSupported", "InvalidRequestContent", "InvalidParameter"}),
    ({"sku": {"name": "Classic"}}, {"ClassicSkuDeprecated"}),
    ({"sku": None}, {"ClassicSkuDeprecated"}),
    ({"location": "mars"}, {"LocationNotAvailableForResourceType"}),
    ({"location": None}, {"LocationRequired"}),
    ({"properties": {"adminUserEnabled": "yes"}}, {"InvalidRequestContent", "InvalidParameter"}),
    ({"properties": {"publicNetworkAccess": "Disabled"}}, {"DisablingPublicNetworkAccessNotSupported"}),
    ({"tags": {"k" * 513: "v"}}, {"InvalidTagName", "InvalidTags", "InvalidRequestContent", "InvalidTagNameSize"}),
])
def test_bad_values(instance, group, change, expected):
    body = {"location": "eastus", "sku": {"name": "Basic"}, **change}
    body = {k: v for k, v in body.items() if v is not None}
    path = instance.registry_id(group, "badvalues1")
    reply = instance.arm("PUT", path, body)
    assert reply.status_code == 400, reply.text
    assert code(reply) in expected
    assert instance.arm("GET", path).status_code == 404


@pytest.mark.parametrize("name", ["abcd", "a" * 51, "has-dash", "under_score", "b%C3%A4d12"])
def test_bad_registry_names(instance, group, name):
    reply = instance.arm("PUT", instance.registry_id(group, name),
                         {"location": "eastus", "sku": {"name": "Basic"}})
    assert reply.status_code == 400, reply.text


def test_api_versions(instance, registry):
    missing = instance.arm("GET", registry.id, api=None)
    assert missing.status_code == 400 and code(missing) == "MissingApiVersionParameter"
    unknown = instance.arm("GET", registry.id, api="1999-01-01")
    assert unknown.status_code == 400
    assert code(unknown) in ("NoRegisteredProviderFound", "InvalidApiVersionParameter",
                             "InvalidResourceType")
    assert API in unknown.json()["error"]["message"]
    assert code(instance.arm("GET", instance.group_id(registry.group), api="x")) == \
        "InvalidApiVersionParameter"
    for version in ("2017-03-01", "2019-05-01", "2021-09-01", "2022-12-01", "2023-07-01",
                    "2025-04-01", "2025-11-01", "2022-02-01-preview", "2026-01-01-preview"):
        assert instance.arm("GET", registry.id, api=version).status_code == 200, version


def test_missing_things(instance, group):
    other = str(uuid.uuid4())
    assert code(instance.arm("GET", f"/subscriptions/{other}/resourcegroups", api=GROUPS_API)) == \
        "SubscriptionNotFound"
    absent = instance.arm("PUT", instance.registry_id("nogroup", "absent123"),
                          {"location": "eastus", "sku": {"name": "Basic"}})
    assert absent.status_code == 404 and code(absent) == "ResourceGroupNotFound"
    assert instance.arm("GET", instance.registry_id(group, "absent123")).status_code == 404
    assert instance.arm("POST", f"{instance.registry_id(group, 'absent123')}/listCredentials"
                        ).status_code == 404


def test_paths_are_read_one_way(instance, registry):
    twice = registry.id.replace("/registries/", "//registries/")
    assert instance.arm("GET", twice).status_code == 200
    lower = instance.arm("GET", registry.id.lower())
    assert lower.status_code == 200 and lower.json()["name"] == registry.name
    for path in (registry.id.replace("/registries", "/%2e%2e/registries"),
                 registry.id + "%00", registry.id.replace("/registries/", "/registries%2f"),
                 registry.id.replace("/registries/", "/registries\\")):
        assert instance.arm("GET", path).status_code in (400, 404), path


def test_unknown_members_are_named(instance, group):
    reply = instance.arm("PUT", instance.registry_id(group, "unknownmember1"),
                         {"location": "eastus", "sku": {"name": "Basic"},
                          "properties": {"adminUserEnabeld": True}})
    assert reply.status_code == 201
    assert "adminUserEnabeld" in reply.headers["Warning"]
    instance.finish(reply)


def test_read_only_members_are_ignored(instance, registry):
    body = instance.arm("GET", registry.id).json()
    body["properties"].update(loginServer="evil.example", provisioningState="Failed",
                              creationDate="2000-01-01T00:00:00Z", status={"displayStatus": "x"})
    body["id"] = "/subscriptions/other"
    reply = instance.arm("PUT", registry.id, body)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    seen = instance.arm("GET", registry.id).json()
    assert "evil" not in json.dumps(seen) and seen["properties"]["provisioningState"] == "Succeeded"


def test_immutable_members(instance, registry):
    moved = instance.arm("PUT", registry.id, {"location": "westus2", "sku": {"name": "Basic"}})
    assert moved.status_code == 409 and code(moved) == "InvalidResourceLocation"


def test_headers(instance, registry):
    mine = str(uuid.uuid4())
    reply = instance.arm("GET", registry.id, headers={
        "x-ms-correlation-request-id": mine, "x-ms-client-request-id": mine,
        "x-ms-return-client-request-id": "true", "Host": registry.host.replace(
            f"{registry.name}.cr", "management")})
    assert reply.headers["x-ms-correlation-request-id"] == mine
    assert reply.headers["x-ms-client-request-id"] == mine
    uuid.UUID(reply.headers["x-ms-request-id"])
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"
    assert reply.headers["Cache-Control"] == "no-cache"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    quiet = instance.arm("GET", registry.id, headers={"x-ms-client-request-id": mine})
    assert "x-ms-client-request-id" not in quiet.headers


# --- identity -------------------------------------------------------------------------------------

@pytest.mark.parametrize("style", ["/{t}", "/adfs", "/dstsv2/{t}", "/adfs/{t}"])
def test_openid_configuration(instance, style):
    base = instance.login + style.format(t=instance.tenant)
    for tail in ("/.well-known/openid-configuration", "/v2.0/.well-known/openid-configuration"):
        reply = instance.session.get(base + tail)
        assert reply.status_code == 200, base + tail
        found = reply.json()
        assert found["issuer"].startswith(instance.login)
        keys = instance.session.get(found["jwks_uri"]).json()["keys"]
        assert all(k["kty"] == "EC" and "d" not in k for k in keys)
        token = instance.session.post(found["token_endpoint"], data={
            "grant_type": "client_credentials", "client_id": instance.env["AZURE_CLIENT_ID"],
            "client_secret": instance.env["AZURE_CLIENT_SECRET"],
            "scope": f"{instance.management}/.default", "client_info": "1"}).json()
        assert token["token_type"] == "Bearer" and isinstance(token["expires_in"], int)
        header = jwt.get_unverified_header(token["access_token"])
        key = next(k for k in keys if k["kid"] == header["kid"])
        claims = jwt.decode(token["access_token"], jwt.PyJWK(key).key, algorithms=["ES256"],
                            options={"verify_aud": False})
        assert claims["tid"] == instance.tenant and claims["appid"] == instance.env["AZURE_CLIENT_ID"]


@pytest.mark.parametrize("change, error", [
    ({"client_secret": "wrong"}, "invalid_client"),
    ({"client_id": str(uuid.uuid4())}, "unauthorized_client|invalid_client"),
    ({"grant_type": "magic"}, "unsupported_grant_type"),
    ({"scope": "https://evil.example/.default"}, "invalid_resource|invalid_scope"),
    ({"client_secret": None}, "invalid_client|invalid_request"),
])
def test_token_refusals(instance, change, error):
    form = {"grant_type": "client_credentials", "client_id": instance.env["AZURE_CLIENT_ID"],
            "client_secret": instance.env["AZURE_CLIENT_SECRET"],
            "scope": f"{instance.management}/.default", **change}
    reply = instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token",
                                  data={k: v for k, v in form.items() if v is not None})
    assert reply.status_code in (400, 401), reply.text
    assert reply.json()["error"] in error.split("|")
    assert all(isinstance(n, int) for n in reply.json()["error_codes"])


def test_bad_management_tokens(instance, registry):
    from cryptography.hazmat.primitives.asymmetric import ec
    good = instance.token()
    claims = jwt.decode(good, options={"verify_signature": False})
    kid = jwt.get_unverified_header(good)["kid"]
    stranger = ec.generate_private_key(ec.SECP256R1())
    head, body, signature = good.split(".")

    def b64(obj):
        return base64.urlsafe_b64encode(json.dumps(obj).encode()).rstrip(b"=").decode()
    flipped = signature[:-4] + ("AAAA" if signature[-4:] != "AAAA" else "BBBB")
    tokens = {
        "none": f"{b64({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{body}.",
        "unsigned": f"{head}.{body}.",
        "tampered": f"{head}.{b64({**claims, 'oid': str(uuid.uuid4())})}.{signature}",
        "flipped": f"{head}.{body}.{flipped}",
        "stranger": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": kid}),
        "hs256": jwt.encode(claims, "secret", algorithm="HS256", headers={"kid": kid}),
        "crit": jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": kid, "crit": ["x"]}),
        "dots": "." * 100, "empty": "", "garbage": "a.b.c",
        "audience": instance.token(scope="https://containerregistry.azure.net/.default"),
    }
    for what, token in tokens.items():
        reply = instance.session.get(f"{instance.management}{registry.id}",
                                     params={"api-version": API},
                                     headers={"Authorization": f"Bearer {token}"})
        assert reply.status_code == 401, (what, reply.text)
        assert "WWW-Authenticate" in reply.headers
        assert code(reply) in ("InvalidAuthenticationToken", "AuthenticationFailed",
                               "ExpiredAuthenticationToken", "InvalidAuthenticationTokenAudience")
    bare = instance.session.get(f"{instance.management}{registry.id}", params={"api-version": API})
    assert bare.status_code == 401 and code(bare) == "AuthenticationFailed"


def test_nothing_private_leaks(instance, registry):
    """Errors of every kind name no path, SQL text or secret."""
    texts = []
    for method, path, body in (("PUT", registry.id, {"location": 5}), ("GET", "/nowhere", None),
                               ("POST", f"{registry.id}/unknownAction", {}),
                               ("PATCH", registry.id, {"sku": []}),
                               ("GET", f"{registry.id}/operationStatuses/registries-{uuid.uuid4()}",
                                None)):
        reply = instance.arm(method, path, body)
        assert reply.status_code >= 400
        texts.append(reply.text)
    joined = "\n".join(texts).lower()
    for word in ("select ", "insert ", instance.state, "pg_", "libpq", "password", "/var/", "/tmp/"):
        assert word.lower() not in joined, word


def test_secrets_are_not_in_logs_or_the_database(instance, registry):
    secret = registry.password
    client = instance.env["AZURE_CLIENT_SECRET"]
    text = instance.log_text()
    assert secret not in text and client not in text and instance.token() not in text
    rows = json.dumps(instance.sql("control", "select wrapped from resource_secrets")) + \
        json.dumps(instance.sql("control", "select hash from principal_secrets")) + \
        json.dumps(instance.sql("eastus", "select hash, permissions from credentials")) + \
        json.dumps(instance.sql("eastus", "select settings from registries"))
    assert secret not in rows and client not in rows
