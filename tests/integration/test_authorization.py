"""Who may do what: role definitions, assignments at every scope, groups, conditions, locks, managed
identities, and how fast a change reaches running data planes."""

import time
import uuid

import pytest

from support.directory import AUTHORIZATION, LOCKS_API, ROLES_API, Directory, assign
from support.instance import API, GROUPS_API, PROVIDER
from support.rawhttp import read_token

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
ACR_PUSH = "8311e382-0749-4cb8-b61a-304f252e45ec"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"
CATALOG_LISTER = "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7"
READ = "Microsoft.ContainerRegistry/registries/repositories"


@pytest.fixture(scope="module")
def directory(instance):
    return Directory(instance)


@pytest.fixture
def app(directory):
    return directory.application()


def code(reply):
    return reply.json()["error"]["code"]


def sub(instance):
    return f"/subscriptions/{instance.subscription}"


def within(seconds, check):
    """How long it took until check() held."""
    started = time.monotonic()
    while not check():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - started


# --- role definitions -----------------------------------------------------------------------------

def test_builtin_roles(instance):
    path = f"{sub(instance)}/{AUTHORIZATION}/roleDefinitions"
    listed = instance.arm("GET", path, api=ROLES_API).json()["value"]
    names = {r["properties"]["roleName"]: r["name"] for r in listed}
    assert names["AcrPull"] == ACR_PULL and names["Owner"] == OWNER and len(names) >= 25
    one = instance.arm("GET", path, api="2022-05-01-preview",
                       **{"$filter": "roleName eq 'AcrPull'"}).json()["value"]
    assert [r["name"] for r in one] == [ACR_PULL]
    assert one[0]["properties"]["type"] == "BuiltInRole"
    shown = instance.arm("GET", one[0]["id"], api=ROLES_API).json()
    assert shown == one[0]
    assert instance.arm("GET", f"/{AUTHORIZATION}/roleDefinitions/{ACR_PULL}",
                        api=ROLES_API).status_code == 200
    gone = instance.arm("GET", f"{path}/{uuid.uuid4()}", api=ROLES_API)
    assert gone.status_code == 404 and code(gone) == "RoleDefinitionDoesNotExist"
    for method in ("PUT", "DELETE"):
        reply = instance.arm(method, f"{path}/{ACR_PULL}", {"properties": {}}, api=ROLES_API)
        assert reply.status_code == 400, reply.text


def custom(instance, name, actions, scopes, **more):
    return {"properties": {"roleName": name, "description": "d", "type": "CustomRole",
                           "assignableScopes": scopes,
                           "permissions": [{"actions": actions, **more}]}}


def test_custom_role_grants_exactly_what_it_says(instance, group, app):
    name, guid = f"Role {uuid.uuid4().hex[:8]}", str(uuid.uuid4())
    path = f"{sub(instance)}/{AUTHORIZATION}/roleDefinitions/{guid}"
    scope = instance.group_id(group)
    body = custom(instance, name, ["Microsoft.ContainerRegistry/registries/*"], [scope],
                  notActions=["Microsoft.ContainerRegistry/registries/write"])
    made = instance.arm("PUT", path, body, api=ROLES_API)
    assert made.status_code == 201, made.text
    assert made.json()["properties"]["type"] == "CustomRole"
    twin = instance.arm("PUT", f"{sub(instance)}/{AUTHORIZATION}/roleDefinitions/{uuid.uuid4()}",
                        body, api=ROLES_API)
    assert twin.status_code == 409 and code(twin) == "RoleDefinitionWithSameNameExists"
    outside = assign(instance, app.object_id, guid, sub(instance))
    assert outside.status_code == 404 and code(outside) == "RoleDefinitionDoesNotExist"
    given = assign(instance, app.object_id, guid, scope)
    assert given.status_code == 201, given.text
    registries = f"{scope}/{PROVIDER}/registries"
    token = app.token()
    within(2, lambda: instance.arm("GET", registries, token=token).status_code == 200)
    refused = instance.arm("PUT", f"{registries}/x{uuid.uuid4().hex[:10]}",
                           {"location": "eastus", "sku": {"name": "Basic"}}, token=token)
    assert refused.status_code == 403 and code(refused) == "AuthorizationFailed"
    used = instance.arm("DELETE", path, api=ROLES_API)
    assert used.status_code == 400 and code(used) == "RoleDefinitionHasAssignments"
    # A change of the role is a change for everybody who has it.
    body["properties"]["permissions"] = [{"actions": ["Microsoft.Resources/nothing/read"]}]
    assert instance.arm("PUT", path, body, api=ROLES_API).status_code == 201
    within(2, lambda: instance.arm("GET", f"{registries}/nobody1", token=token).status_code == 403)
    assert instance.arm("DELETE", given.json()["id"], api=ROLES_API).status_code == 200
    assert instance.arm("DELETE", path, api=ROLES_API).status_code == 200
    assert instance.arm("DELETE", path, api=ROLES_API).status_code == 204


# --- assignments ----------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["tenant", "subscription", "group", "registry", "child"])
def test_assignment_at_every_scope(instance, directory, app, where, registry):
    assert instance.arm("PUT", f"{registry.id}/scopeMaps/mapped",
                        {"properties": {"actions": ["repositories/a/content/read"]}},
                        api="2025-11-01").status_code in (200, 201)
    scopes = {"tenant": "", "subscription": sub(instance),
              "group": instance.group_id(registry.group), "registry": registry.id,
              "child": f"{registry.id}/scopeMaps/mapped"}
    order = list(scopes)
    paths = {"group": (instance.group_id(registry.group), GROUPS_API),
             "registry": (registry.id, API), "child": (f"{registry.id}/scopeMaps/mapped", API)}
    token = app.token()
    for path, api in paths.values():
        assert instance.arm("GET", path, api=api, token=token).status_code == 403
    given = assign(instance, app.object_id, READER, scopes[where])
    assert given.status_code == 201, given.text
    assert given.json()["properties"]["scope"] == (scopes[where] or "/")
    assert given.json()["properties"]["principalType"] == "ServicePrincipal"
    for name, (path, api) in paths.items():
        allowed = order.index(name) >= order.index(where)
        within(2, lambda: instance.arm("GET", path, api=api, token=token).status_code ==
               (200 if allowed else 403))
    again = assign(instance, app.object_id, READER, scopes[where])
    assert again.status_code == 409 and code(again) == "RoleAssignmentExists"
    same = assign(instance, app.object_id, READER, scopes[where], name=given.json()["name"],
                  description="why")
    assert same.status_code == 200 and same.json()["properties"]["description"] == "why"
    other = assign(instance, app.object_id, CONTRIBUTOR, scopes[where], name=given.json()["name"])
    assert other.status_code == 400 and code(other) == "RoleAssignmentUpdateNotPermitted"
    path = f"{scopes[where]}/{AUTHORIZATION}/roleAssignments"
    mine = instance.arm("GET", path, api=ROLES_API,
                        **{"$filter": f"principalId eq '{app.object_id}'"}).json()["value"]
    assert [a["id"] for a in mine] == [given.json()["id"]]
    above = instance.arm("GET", f"{registry.id}/scopeMaps/mapped/{AUTHORIZATION}/roleAssignments",
                         api=ROLES_API, **{"$filter": "atScope()"}).json()["value"]
    assert given.json()["id"] in [a["id"] for a in above]
    assert instance.arm("DELETE", given.json()["id"], api=ROLES_API).status_code == 200
    assert instance.arm("DELETE", given.json()["id"], api=ROLES_API).status_code == 204
    within(2, lambda: instance.arm("GET", f"{registry.id}/scopeMaps/mapped",
                                   token=token).status_code == 403)


def test_assignments_that_cannot_be(instance, group, app):
    scope = instance.group_id(group)
    reply = assign(instance, str(uuid.uuid4()), READER, scope)
    assert reply.status_code == 400 and code(reply) == "PrincipalNotFound"
    reply = assign(instance, app.object_id, str(uuid.uuid4()), scope)
    assert reply.status_code == 404 and code(reply) == "RoleDefinitionDoesNotExist"
    reply = assign(instance, app.object_id, READER, scope, principalType="User")
    assert reply.status_code == 400 and code(reply) == "UnmatchedPrincipalType"
    reply = assign(instance, app.object_id, READER, scope, name="not-a-guid")
    assert reply.status_code == 400
    reply = assign(instance, app.object_id, READER, instance.group_id("nobody-here"))
    assert reply.status_code == 404 and code(reply) == "ResourceGroupNotFound"
    reply = assign(instance, app.object_id, READER, instance.registry_id(group, "nobody123"))
    assert reply.status_code == 404 and code(reply) == "ResourceNotFound"
    reply = assign(instance, app.object_id, READER, scope, condition="(true)")
    assert reply.status_code == 400 and code(reply) == "InvalidRoleAssignmentCondition"


def test_nobody_raises_himself(instance, group, app):
    assert assign(instance, app.object_id, CONTRIBUTOR, instance.group_id(group)).status_code == 201
    token = app.token()
    body = {"properties": {"roleDefinitionId": OWNER, "principalId": app.object_id}}
    path = f"{instance.group_id(group)}/{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}"
    within(2, lambda: instance.arm("GET", instance.group_id(group), api=GROUPS_API,
                                   token=token).status_code == 200)
    reply = instance.arm("PUT", path, body, api=ROLES_API, token=token)
    assert reply.status_code == 403 and code(reply) == "AuthorizationFailed"
    role = custom(instance, f"Mine {uuid.uuid4().hex[:6]}", ["*"], [instance.group_id(group)])
    reply = instance.arm("PUT", f"{instance.group_id(group)}/{AUTHORIZATION}/roleDefinitions/"
                         f"{uuid.uuid4()}", role, api=ROLES_API, token=token)
    assert reply.status_code == 403


def test_rights_go_with_the_resource(instance, group, app):
    """A group of the same name starts with nobody's rights."""
    name = instance.make_group()
    assert assign(instance, app.object_id, READER, instance.group_id(name)).status_code == 201
    instance.delete(instance.group_id(name), api=GROUPS_API)
    instance.make_group(name)
    left = instance.arm("GET", f"{instance.group_id(name)}/{AUTHORIZATION}/roleAssignments",
                        api=ROLES_API, **{"$filter": f"principalId eq '{app.object_id}'"})
    assert left.json()["value"] == []
    instance.delete(instance.group_id(name), api=GROUPS_API)


# --- groups ---------------------------------------------------------------------------------------

def test_group_membership_counts_and_ends(instance, directory, group, app):
    inner = directory.group(app.object_id)
    outer = directory.group(inner["id"])
    assert assign(instance, outer["id"], READER, instance.group_id(group)).status_code == 201
    token, path = app.token(), instance.group_id(group)
    within(2, lambda: instance.arm("GET", path, api=GROUPS_API, token=token).status_code == 200)
    assigned = instance.arm("GET", f"{path}/{AUTHORIZATION}/roleAssignments", api=ROLES_API,
                            **{"$filter": f"assignedTo('{app.object_id}')"}).json()["value"]
    assert [a["properties"]["principalId"] for a in assigned] == [outer["id"]]
    directory.leave(outer["id"], inner["id"])
    within(2, lambda: instance.arm("GET", path, api=GROUPS_API, token=token).status_code == 403)


# --- data planes ----------------------------------------------------------------------------------

def exchange(instance, registry, token):
    """A directory token becomes a registry's refresh token."""
    return instance.session.post(f"{registry.url}/oauth2/exchange", data={
        "grant_type": "access_token", "service": registry.host, "tenant": instance.tenant,
        "access_token": token})


def may_pull(instance, registry, refresh, repository):
    reply = instance.session.post(f"{registry.url}/oauth2/token", data={
        "grant_type": "refresh_token", "service": registry.host, "refresh_token": refresh,
        "scope": f"repository:{repository}:pull"})
    if reply.status_code != 200:
        return False
    token = reply.json()["access_token"]
    got = instance.session.get(f"{registry.url}/v2/{repository}/tags/list",
                               headers={"Authorization": f"Bearer {token}"})
    return got.status_code == 200


def test_data_planes_see_a_change_within_a_second(instance, directory, registry, app):
    registry.push_image("team/web", "v1")
    group = directory.group(app.object_id)
    aad = app.token()
    given = assign(instance, app.object_id, ACR_PULL, registry.id)
    assert given.status_code == 201
    within(2, lambda: exchange(instance, registry, aad).status_code == 200)
    refresh = exchange(instance, registry, aad).json()["refresh_token"]
    within(1.5, lambda: may_pull(instance, registry, refresh, "team/web"))
    assert instance.arm("DELETE", given.json()["id"], api=ROLES_API).status_code == 200
    within(1.5, lambda: not may_pull(instance, registry, refresh, "team/web"))
    # The same by membership.
    assert assign(instance, group["id"], ACR_PULL, registry.id).status_code == 201
    within(1.5, lambda: may_pull(instance, registry, refresh, "team/web"))
    directory.leave(group["id"], app.object_id)
    within(1.5, lambda: not may_pull(instance, registry, refresh, "team/web"))


def condition_for(*comparisons):
    tests = " OR ".join(f"@Request[Microsoft.ContainerRegistry/registries/repositories:name] {c}"
                        for c in comparisons)
    return (f"((!(ActionMatches{{'{READ}/content/read'}}) AND "
            f"!(ActionMatches{{'{READ}/metadata/read'}})) OR ({tests}))")


@pytest.mark.parametrize("mode", ["AbacRepositoryPermissions", "LegacyRegistryPermissions"])
def test_role_assignment_mode(instance, group, app, mode):
    registry = instance.make_registry(group, roleAssignmentMode=mode)
    for name in ("team/web", "team/api/v2", "other/x"):
        registry.push_image(name, "v1")
    abac = mode.startswith("Abac")
    aad = app.token()
    role = REPOSITORY_READER if abac else ACR_PULL
    ignored = ACR_PULL if abac else REPOSITORY_READER
    assert assign(instance, app.object_id, ignored, registry.id).status_code == 201
    kept = {}
    if abac:
        kept["condition"] = condition_for("StringStartsWithIgnoreCase 'team/'")
        kept["conditionVersion"] = "2.0"
    given = assign(instance, app.object_id, role, registry.id, **kept)
    assert given.status_code == 201, given.text
    within(2, lambda: exchange(instance, registry, aad).status_code == 200)
    refresh = exchange(instance, registry, aad).json()["refresh_token"]
    # By this acr-cli knows that it has to name repositories.
    assert read_token(refresh)[1].get("aad_identity") == (app.object_id if abac else None)
    within(1.5, lambda: may_pull(instance, registry, refresh, "team/web"))
    assert may_pull(instance, registry, refresh, "team/api/v2")
    assert may_pull(instance, registry, refresh, "other/x") == (not abac)
    if not abac:
        return
    changed = assign(instance, app.object_id, role, registry.id, name=given.json()["name"],
                     condition=condition_for("StringEqualsIgnoreCase 'other/x'"),
                     conditionVersion="2.0")
    assert changed.status_code == 200, changed.text
    within(1.5, lambda: may_pull(instance, registry, refresh, "other/x"))
    assert not may_pull(instance, registry, refresh, "team/web")


# --- locks ----------------------------------------------------------------------------------------

def lock(instance, scope, level, name="stop"):
    return instance.arm("PUT", f"{scope}/{AUTHORIZATION}/locks/{name}",
                        {"properties": {"level": level, "notes": "n"}}, api=LOCKS_API)


@pytest.mark.parametrize("where", ["group", "registry"])
def test_locks(instance, registry, where):
    scope = instance.group_id(registry.group) if where == "group" else registry.id
    other = instance.make_registry(registry.group, wait=False) if where == "registry" else None
    made = lock(instance, scope, "CanNotDelete")
    assert made.status_code == 201, made.text
    for path, api in ((registry.id, API), (instance.group_id(registry.group), GROUPS_API)):
        reply = instance.arm("DELETE", path, api=api)
        assert reply.status_code == 409 and code(reply) == "ScopeLocked", reply.text
    assert instance.arm("PATCH", registry.id, {"tags": {"a": "b"}}).status_code in (200, 202)
    assert lock(instance, scope, "ReadOnly").status_code == 200
    patched = instance.arm("PATCH", registry.id, {"tags": {"a": "c"}})
    assert patched.status_code == 409 and code(patched) == "ScopeLocked"
    listed = instance.arm("POST", f"{registry.id}/listCredentials")
    assert listed.status_code == 409 and code(listed) == "ScopeLocked"
    assert instance.arm("GET", registry.id).status_code == 200
    if other:
        assert instance.arm("PATCH", other.id, {"tags": {"a": "c"}}).status_code in (200, 202)
    seen = instance.arm("GET", f"{registry.id}/{AUTHORIZATION}/locks", api=LOCKS_API)
    assert [x["properties"]["level"] for x in seen.json()["value"]] == ["ReadOnly"]
    assert instance.arm("GET", made.json()["id"], api=LOCKS_API).status_code == 200
    assert instance.arm("DELETE", made.json()["id"], api=LOCKS_API).status_code == 200
    assert instance.arm("DELETE", made.json()["id"], api=LOCKS_API).status_code == 204
    assert instance.arm("PATCH", registry.id, {"tags": {"a": "c"}}).status_code in (200, 202)


def test_only_access_administrators_lock(instance, group, app):
    assert assign(instance, app.object_id, CONTRIBUTOR, instance.group_id(group)).status_code == 201
    token = app.token()
    within(2, lambda: instance.arm("GET", instance.group_id(group), api=GROUPS_API,
                                   token=token).status_code == 200)
    reply = instance.arm("PUT", f"{instance.group_id(group)}/{AUTHORIZATION}/locks/x",
                         {"properties": {"level": "ReadOnly"}}, api=LOCKS_API, token=token)
    assert reply.status_code == 403


# --- managed identities ---------------------------------------------------------------------------

def test_user_assigned_identity(instance, directory, group):
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity" \
           f"/userAssignedIdentities/builder"
    made = instance.arm("PUT", path, {"location": "eastus", "tags": {"a": "b"}}, api="2023-01-31")
    assert made.status_code == 201, made.text
    ids = made.json()["properties"]
    assert set(ids) == {"tenantId", "principalId", "clientId"}
    assert ids["tenantId"] == instance.tenant
    sp = directory.call("GET", f"servicePrincipals/{ids['principalId']}").json()
    assert sp["appId"] == ids["clientId"] and sp["servicePrincipalType"] == "ManagedIdentity"
    assert assign(instance, ids["principalId"], READER, instance.group_id(group),
                  principalType="ServicePrincipal").status_code == 201
    refused = directory.call("POST", f"servicePrincipals/{ids['principalId']}/addPassword", {})
    assert refused.status_code == 400
    again = instance.arm("PUT", path, {"location": "eastus"}, api="2023-01-31")
    assert again.status_code == 200 and again.json()["properties"] == ids
    assert instance.arm("DELETE", path, api="2023-01-31").status_code == 200
    assert directory.call("GET",
                          f"servicePrincipals/{ids['principalId']}").status_code == 404
    # Made again, it is somebody else.
    fresh = instance.arm("PUT", path, {"location": "eastus"}, api="2023-01-31").json()
    assert fresh["properties"]["principalId"] != ids["principalId"]
