"""Around every resource: tags on their own, the activity log, diagnostic settings, and identities that
live as long as their resource."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.directory import LOCKS_API, Directory, assign, locked
from support.instance import GROUPS_API, OperationFailed, eventually
from support.vault import VAULTS_API, Vault

pytestmark = pytest.mark.sanitized

TAGS = "providers/Microsoft.Resources/tags/default"
DIAGNOSTICS = "providers/Microsoft.Insights/diagnosticSettings"
DIAGNOSTICS_API = "2021-05-01-preview"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"


def tags(instance, scope, method="GET", body=None, **options):
    reply = instance.arm(method, f"{scope}/{TAGS}", body, api=GROUPS_API, **options)
    assert reply.status_code == 200, reply.text
    return reply.json()["properties"]["tags"] if reply.content else None


def body(operation=None, **values):
    out = {"properties": {"tags": values}}
    return {"operation": operation, **out} if operation else out


def error(reply):
    return reply.json()["error"]["code"]


@pytest.fixture(params=["resource", "group", "subscription"])
def scope(request, instance, home):
    if request.param == "resource":
        return Vault(instance, home).make().id
    if request.param == "group":
        return instance.group_id(instance.make_group())
    return f"/subscriptions/{instance.subscription}"


def test_tags_at_every_scope(instance, scope):
    assert tags(instance, scope, "PUT", body(a="1", b="2")) == {"a": "1", "b": "2"}
    assert tags(instance, scope, "PATCH", body("Merge", B="3", c="x.y")) == \
        {"a": "1", "B": "3", "c": "x.y"}
    assert tags(instance, scope, "PATCH", body("Delete", a="other", c="x.y")) == {"a": "1", "B": "3"}
    assert tags(instance, scope) == {"a": "1", "B": "3"}
    assert tags(instance, scope, "PATCH", body("Replace", z="")) == {"z": ""}
    assert error(instance.arm("PATCH", f"{scope}/{TAGS}", body("Add", a="1"), api=GROUPS_API)) == \
        "InvalidRequestContent"
    assert error(instance.arm("PUT", f"{scope}/{TAGS}", body(**{f"t{i}": "" for i in range(51)}),
                              api=GROUPS_API)) == "InvalidTags"
    tags(instance, scope, "DELETE")
    assert tags(instance, scope) == {}


def test_tags_are_the_resource_s_own(instance, home):
    v = Vault(instance, home).make()
    tags(instance, v.id, "PUT", body(a="1"))
    assert v.get()["tags"] == {"a": "1"}
    assert instance.arm("PATCH", v.id, {"tags": {"b": "2"}}, api=VAULTS_API).status_code == 200
    assert tags(instance, v.id) == {"b": "2"}
    v.delete()
    assert error(instance.arm("GET", f"{v.id}/{TAGS}", api=GROUPS_API)) == "ResourceNotFound"


def test_tags_of_a_registry_that_is_worked_on(instance, home):
    r = instance.make_registry(home, wait=False)
    tags(instance, r.id, "PUT", body(a="1"))
    shown = eventually(lambda: (x := instance.arm("GET", r.id).json())["properties"]
                       ["provisioningState"] == "Succeeded" and x, timeout=60)
    assert shown["tags"] == {"a": "1"}
    tags(instance, r.id, "PUT", body(a="2"))
    assert instance.arm("GET", r.id).json()["properties"]["provisioningState"] == "Succeeded"


def test_tags_from_many_sides_at_once(instance, home):
    v = Vault(instance, home).make()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: tags(instance, v.id, "PATCH", body("Merge", **{f"t{i}": "x"})),
                      range(24)))
    assert tags(instance, v.id) == {f"t{i}": "x" for i in range(24)}


def test_tags_under_locks_and_rights(instance, home):
    v = Vault(instance, home).make()
    lock = f"{v.id}/providers/Microsoft.Authorization/locks/keep"
    instance.arm("PUT", lock, {"properties": {"level": "ReadOnly"}}, api=LOCKS_API)
    assert error(instance.arm("PUT", f"{v.id}/{TAGS}", body(a="1"), api=GROUPS_API)) == "ScopeLocked"
    instance.arm("DELETE", lock, api=LOCKS_API)
    app = Directory(instance).application()
    assign(instance, app.object_id, READER, v.id)
    assert tags(instance, v.id, token=app.token()) == {}
    assert error(instance.arm("PUT", f"{v.id}/{TAGS}", body(a="1"), api=GROUPS_API,
                              token=app.token())) == "AuthorizationFailed"


def test_tag_names(instance, home):
    name = f"n{uuid.uuid4().hex[:8]}"
    base = f"/subscriptions/{instance.subscription}/tagNames"

    def known():
        listed = instance.arm("GET", base, api=GROUPS_API).json()["value"]
        return {x["tagName"]: {v["tagValue"]: v["count"]["value"] for v in x["values"]}
                for x in listed}

    assert instance.arm("PUT", f"{base}/{name}", api=GROUPS_API).status_code == 201
    assert instance.arm("PUT", f"{base}/{name}", api=GROUPS_API).status_code == 200
    assert instance.arm("PUT", f"{base}/{name}/tagValues/v", api=GROUPS_API).status_code == 201
    v = Vault(instance, home).make()
    tags(instance, v.id, "PUT", body(**{name: "used"}))
    assert known()[name] == {"v": 0, "used": 1}
    tags(instance, v.id, "DELETE")
    assert instance.arm("DELETE", f"{base}/{name}/tagValues/v", api=GROUPS_API).status_code == 200
    assert known()[name] == {}
    assert instance.arm("DELETE", f"{base}/{name}", api=GROUPS_API).status_code == 200
    assert name not in known()
    assert instance.arm("DELETE", f"{base}/{name}", api=GROUPS_API).status_code == 204


# --- the activity log -----------------------------------------------------------------------------

def log(instance, filter_, token=None, **params):
    params["$filter"] = filter_
    return instance.items(f"/subscriptions/{instance.subscription}/providers/Microsoft.Insights"
                          "/eventtypes/management/values", api="2015-04-01", token=token, **params)


def names(events):
    return [x["operationName"]["value"] for x in reversed(events)]


def test_every_write_is_told_of(instance):
    group = instance.make_group()
    v = Vault(instance, group).make()
    tags(instance, v.id, "PUT", body(a="1"))
    v.delete()
    told = log(instance, f"eventTimestamp ge '2020-01-01T00:00:00Z' and resourceGroupName eq '{group}'")
    assert names(told) == ["Microsoft.Resources/subscriptions/resourceGroups/write",
                           "Microsoft.KeyVault/vaults/write", "Microsoft.Resources/tags/write",
                           "Microsoft.KeyVault/vaults/delete"]
    last = told[0]
    assert last["resourceId"] == v.id and last["status"]["value"] == "Succeeded"
    assert last["resourceProviderName"]["value"] == "Microsoft.KeyVault"
    assert last["authorization"]["action"] == "Microsoft.KeyVault/vaults/delete"
    assert last["caller"] == instance.env["AZURE_CLIENT_ID"]
    assert names(log(instance, f"resourceUri eq '{v.id}'"))[0] == "Microsoft.KeyVault/vaults/write"
    assert [x["eventDataId"] for x in log(instance, f"correlationId eq '{last['correlationId']}'")] \
        == [last["eventDataId"]]
    assert log(instance, f"resourceGroupName eq '{group}' and eventTimestamp ge "
               "'2999-01-01T00:00:00'") == []
    assert log(instance, f"resourceGroupName eq '{group}' and status eq 'Failed'") == []


REGISTRIES = "Microsoft.ContainerRegistry/registries"
BASIC = {"location": "eastus", "sku": {"name": "Basic"}}
# method, what is below the provider, body, status, its name, code: each is refused, and told of.
REFUSED = [
    ("PUT", "registries/refused123", {**BASIC, "location": "atlantis"}, 400, "BadRequest",
     "LocationNotAvailableForResourceType"),
    ("PATCH", "registries/nobody1234", {"tags": {}}, 404, "NotFound", "ResourceNotFound"),
    ("POST", "registries/nobody1234/listCredentials", {}, 404, "NotFound", "ResourceNotFound"),
    ("PUT", "registries/nobody1234/scopeMaps/mymap", {"properties": {"actions": []}}, 404, "NotFound",
     "ParentResourceNotFound"),
    ("PUT", "registries/{taken}", BASIC, 409, "Conflict", "RegistryNameAlreadyInUse"),
]


def test_what_is_refused_is_told_of(instance, home):
    group = instance.make_group()
    taken = instance.make_registry(home, wait=False).name
    base = f"{instance.group_id(group)}/providers/Microsoft.ContainerRegistry"
    for method, path, body_, status, _, error_code in REFUSED:
        reply = instance.arm(method, f"{base}/{path.format(taken=taken)}", body_)
        assert (reply.status_code, error(reply)) == (status, error_code), reply.text
    stranger = Directory(instance).application()
    reply = instance.arm("DELETE", instance.group_id(group), api=GROUPS_API, token=stranger.token())
    assert error(reply) == "AuthorizationFailed"
    with locked(instance, instance.group_id(group), "ReadOnly"):
        reply = instance.arm("PUT", f"{instance.group_id(group)}/{TAGS}", body(a="1"), api=GROUPS_API)
        assert error(reply) == "ScopeLocked"
    told = log(instance, f"resourceGroupName eq '{group}' and status eq 'Failed'")[::-1]
    rows = [(method, path.format(taken=taken), *rest) for method, path, _, *rest in REFUSED]
    groups = "Microsoft.Resources/subscriptions/resourceGroups/delete"
    assert names(told[::-1]) == [f"{REGISTRIES}/write", f"{REGISTRIES}/write",
                                 f"{REGISTRIES}/listCredentials/action", f"{REGISTRIES}/scopeMaps/write",
                                 f"{REGISTRIES}/write", groups, "Microsoft.Resources/tags/write"]
    for event, (_, path, status, word, error_code) in zip(told, rows):
        assert event["resourceId"] == f"{base}/{path}".removesuffix("/listCredentials"), path
        assert event["level"] == "Error" and event["eventName"]["value"] == "EndRequest"
        assert event["subStatus"]["value"] == event["properties"]["statusCode"] == word
        assert json.loads(event["properties"]["statusMessage"])["error"]["code"] == error_code
    assert told[5]["caller"] == stranger.app_id and told[5]["subStatus"]["value"] == "Forbidden"
    assert "locked" in told[6]["properties"]["statusMessage"]


def test_what_asks_or_is_not_known_leaves_no_entry(instance):
    group = instance.make_group()
    base = instance.group_id(group)
    registry = f"{base}/providers/{REGISTRIES}/nobody1234"
    assert instance.arm("GET", registry).status_code == 404
    assert instance.arm("DELETE", registry).status_code == 204
    assert instance.arm("PUT", registry, BASIC, token="nonsense").status_code == 401
    assert instance.arm("PUT", registry, BASIC, api="1999-01-01").status_code == 400
    deployment = f"{base}/providers/Microsoft.Resources/deployments/d"
    assert instance.arm("POST", f"{deployment}/validate", {}, api=GROUPS_API).status_code == 400
    assert len(log(instance, f"resourceGroupName eq '{group}'")) == 1  # that it was made
    assert instance.arm("PUT", deployment, {"properties": {}}, api=GROUPS_API).status_code == 400
    last = log(instance, f"resourceGroupName eq '{group}'")[0]
    assert last["operationName"]["value"] == "Microsoft.Resources/deployments/write"
    assert last["status"]["value"] == "Failed"


def test_how_it_ended_is_told(instance):
    """What goes on has an entry for its beginning and one for its end, which says why it failed."""
    group = instance.make_group()
    registry = instance.make_registry(group)
    run = f"{registry.id}/taskRuns/run-1"
    reply = instance.arm("PUT", run, {"properties": {"runRequest": {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}}}},
        api="2019-06-01-preview")
    with pytest.raises(OperationFailed):
        instance.finish(reply)
    told = [(x["status"]["value"], x["properties"].get("statusMessage", ""))
            for x in log(instance, f"resourceUri eq '{run}'")]
    assert [status for status, _ in told] == ["Failed", "Accepted"]
    assert "OperationNotSupported" in told[0][1]
    instance.delete(registry.id)
    ends = [(x["operationName"]["value"].rsplit("/", 1)[1], x["status"]["value"], x["operationId"])
            for x in log(instance, f"resourceUri eq '{registry.id}'")
            if x["resourceId"] == registry.id][::-1]
    assert [x[:2] for x in ends] == [("write", "Accepted"), ("write", "Succeeded"),
                                     ("delete", "Accepted"), ("delete", "Succeeded")]
    assert ends[0][2] == ends[1][2] != ends[2][2] == ends[3][2]


def test_writes_of_a_deployment_are_told_of(instance):
    group = instance.make_group()
    identity = "Microsoft.ManagedIdentity/userAssignedIdentities"
    path = f"{instance.group_id(group)}/providers/Microsoft.Resources/deployments/d"
    template = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                "deploymentTemplate.json#", "contentVersion": "1.0.0.0", "resources": [
                    {"type": identity, "apiVersion": "2023-01-31", "name": "one",
                     "location": "eastus"}]}
    reply = instance.arm("PUT", path, {"properties": {"mode": "Incremental", "template": template}},
                         api="2021-04-01")
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    assert f"{identity}/write" in names(log(instance, f"resourceGroupName eq '{group}'"))


def test_pages_of_the_log(instance):
    group = instance.make_group()
    for i in range(205):
        tags(instance, instance.group_id(group), "PUT", body(a=str(i)))
    told = log(instance, f"resourceGroupName eq '{group}'")
    assert len(told) == 206 and len({x["eventDataId"] for x in told}) == 206


def test_who_may_read_the_log(instance):
    group = instance.make_group()
    app = Directory(instance).application()
    assign(instance, app.object_id, READER, instance.group_id(group))
    assert names(log(instance, f"resourceGroupName eq '{group}'", token=app.token()))
    reply = instance.arm("GET", f"/subscriptions/{instance.subscription}/providers"
                         "/Microsoft.Insights/eventtypes/management/values", api="2015-04-01",
                         token=app.token())
    assert error(reply) == "AuthorizationFailed"
    for bad in ("eventTimestamp ge 'soon'", "correlationId eq 'x'"):
        reply = instance.arm("GET", f"/subscriptions/{instance.subscription}/providers"
                             "/Microsoft.Insights/eventtypes/management/values", api="2015-04-01",
                             **{"$filter": bad})
        assert error(reply) == "InvalidFilterInQueryString"


# --- diagnostic settings --------------------------------------------------------------------------

def test_diagnostic_settings(instance, home):
    v = Vault(instance, home).make()
    path = f"{v.id}/{DIAGNOSTICS}"
    wanted = {"properties": {"workspaceId": f"{instance.group_id(home)}/providers/"
                             "Microsoft.OperationalInsights/workspaces/w",
                             "logs": [{"category": "AuditEvent", "enabled": True}]}}
    made = instance.arm("PUT", f"{path}/d", wanted, api=DIAGNOSTICS_API)
    assert made.status_code == 200, made.text
    assert made.json()["id"] == f"{v.id}/{DIAGNOSTICS}/d"
    assert made.json()["properties"]["logs"] == wanted["properties"]["logs"]
    assert made.json()["properties"]["metrics"] == []
    assert instance.arm("GET", f"{path}/D", api=DIAGNOSTICS_API).json() == made.json()
    assert [x["name"] for x in instance.arm("GET", path, api=DIAGNOSTICS_API).json()["value"]] == ["d"]
    assert error(instance.arm("PUT", f"{path}/e", {"properties": {"logs": []}},
                              api=DIAGNOSTICS_API)) == "BadRequest"
    for i in range(4):
        assert instance.arm("PUT", f"{path}/d{i}", wanted, api=DIAGNOSTICS_API).status_code == 200
    assert error(instance.arm("PUT", f"{path}/e", wanted, api=DIAGNOSTICS_API)) == "QuotaExceeded"
    assert instance.arm("DELETE", f"{path}/d", api=DIAGNOSTICS_API).status_code == 200
    assert instance.arm("DELETE", f"{path}/d", api=DIAGNOSTICS_API).status_code == 204
    assert error(instance.arm("GET", f"{path}/d", api=DIAGNOSTICS_API)) == "ResourceNotFound"
    kinds = instance.arm("GET", f"{v.id}/providers/Microsoft.Insights/diagnosticSettingsCategories",
                         api="2021-05-01-preview").json()["value"]
    assert {x["name"] for x in kinds} == {"AuditEvent", "AllMetrics"}
    v.delete()
    assert instance.sql("control", "select count(*) from diagnostic_settings where scope_key = "
                        f"lower('{v.id}')") == [["0"]]


# --- system-assigned identities -------------------------------------------------------------------

def principal(instance, object_id):
    directory = Directory(instance)
    return directory.call("GET", f"servicePrincipals/{object_id}")


def test_an_identity_lives_with_its_registry(instance, home):
    other = instance.make_registry(home)
    r = instance.make_registry(home)
    assert "identity" not in instance.arm("GET", r.id).json()

    def switch(kind):
        instance.finish(instance.arm("PATCH", r.id, {"identity": {"type": kind}}))
        return instance.arm("GET", r.id).json().get("identity")

    identity = switch("SystemAssigned")
    assert identity["tenantId"] == instance.tenant
    found = principal(instance, identity["principalId"])
    assert found.status_code == 200 and found.json()["servicePrincipalType"] == "ManagedIdentity"
    assert assign(instance, identity["principalId"], ACR_PULL, other.id).status_code == 201
    switch("None")
    assert principal(instance, identity["principalId"]).status_code == 404
    again = switch("SystemAssigned")
    assert principal(instance, again["principalId"]).status_code == 200
    assert instance.sql("control", "select count(*) from role_assignments where principal_id = "
                        f"'{identity['principalId']}'") == [["0"]]
    instance.delete(r.id)
    assert principal(instance, again["principalId"]).status_code == 404


# --- moves ------------------------------------------------------------------------------------------

def move(instance, source, target, *ids, check=False, **options):
    what = "validateMoveResources" if check else "moveResources"
    return instance.arm("POST", f"{instance.group_id(source)}/{what}", {
        "resources": list(ids), "targetResourceGroup": instance.group_id(target)},
        api=GROUPS_API, **options)


def test_a_registry_moves_with_all_below_it(instance):
    source, target = instance.make_group(), instance.make_group()
    r = instance.make_registry(source)
    scope_map = f"{r.id}/scopeMaps/reads"
    instance.finish(instance.arm("PUT", scope_map, {"properties": {
        "actions": ["repositories/a/content/read"]}}))
    instance.finish(instance.arm("PUT", f"{r.id}/tokens/reader", {"properties": {
        "scopeMapId": scope_map.replace("resourceGroups", "resourcegroups"), "status": "enabled"}}))
    digest = r.push_image("a", "v1")
    assert move(instance, source, target, r.id, check=True).status_code == 204
    assert instance.arm("GET", r.id).status_code == 200
    moved = move(instance, source, target, r.id)
    assert moved.status_code == 204, moved.text
    assert error(instance.arm("GET", r.id)) == "ResourceNotFound"
    now = instance.registry_id(target, r.name)
    shown = instance.arm("GET", now).json()
    assert shown["id"] == now and shown["properties"]["provisioningState"] == "Succeeded"
    token = instance.arm("GET", f"{now}/tokens/reader").json()
    assert token["id"] == f"{now}/tokens/reader"
    assert token["properties"]["scopeMapId"].lower() == f"{now}/scopeMaps/reads".lower()
    assert r.call("GET", f"/v2/a/manifests/{digest}").status_code == 200
    instance.finish(instance.arm("PATCH", now, {"tags": {"a": "b"}}))
    assert f"{now}" in [x["id"] for x in instance.arm(
        "GET", f"{instance.group_id(target)}/resources", api=GROUPS_API).json()["value"]]
    assert names(log(instance, f"resourceUri eq '{now}'"))[0] == \
        "Microsoft.Resources/subscriptions/resourceGroups/moveResources/action"
    instance.delete(instance.group_id(source), api=GROUPS_API)
    assert instance.arm("GET", now).status_code == 200
    instance.delete(instance.group_id(target), api=GROUPS_API)


def test_moves_that_are_refused(instance):
    source, target = instance.make_group(), instance.make_group()
    v, other = Vault(instance, source).make(), Vault(instance, source).make()
    child = f"{instance.registry_id(source, 'nobody12')}/webhooks/hook12"
    assert error(move(instance, source, target, child)) == "InvalidResourceMoveRequest"
    assert error(move(instance, source, source, v.id)) == "InvalidResourceMoveRequest"
    assert error(move(instance, target, source, v.id)) == "InvalidResourceMoveRequest"
    assert error(move(instance, source, "nowhere", v.id)) == "ResourceGroupNotFound"
    assert error(move(instance, source, target)) == "InvalidResourceMoveRequest"
    missing = Vault(instance, source)
    assert error(move(instance, source, target, v.id, missing.id)) == "ResourceNotFound"
    assert v.get()["id"] == v.id
    lock = f"{other.id}/providers/Microsoft.Authorization/locks/keep"
    instance.arm("PUT", lock, {"properties": {"level": "CanNotDelete"}}, api=LOCKS_API)
    assert error(move(instance, source, target, v.id, other.id)) == "ScopeLocked"
    instance.arm("DELETE", lock, api=LOCKS_API)
    app = Directory(instance).application()
    assign(instance, app.object_id, READER, instance.group_id(source))
    assert error(move(instance, source, target, v.id, token=app.token())) == "AuthorizationFailed"
    identity = "providers/Microsoft.ManagedIdentity/userAssignedIdentities/same"
    for group in (source, target):
        assert instance.arm("PUT", f"{instance.group_id(group)}/{identity}",
                            {"location": "eastus"}, api="2023-01-31").status_code == 201
    taken = move(instance, source, target, f"{instance.group_id(source)}/{identity}")
    assert error(taken) == "ResourceMoveTargetExists"
    assert move(instance, source, target, v.id, other.id).status_code == 204
    v.good("GET", "/secrets")


def test_what_was_allowed_at_the_old_place_stays_there(instance):
    source, target = instance.make_group(), instance.make_group()
    v = Vault(instance, source).make()
    app = Directory(instance).application()
    assert assign(instance, app.object_id, READER, v.id).status_code == 201
    assert instance.arm("GET", v.id, api=VAULTS_API, token=app.token()).status_code == 200
    assert move(instance, source, target, v.id).status_code == 204
    v.id = v.id.replace(source, target)
    reply = instance.arm("GET", v.id, api=VAULTS_API, token=app.token())
    assert error(reply) == "AuthorizationFailed"
    assert v.get()["id"] == v.id
