"""Why may, or may not, an identity do something? checkAccess names the rule that decides; refused requests
name theirs in the log."""

import re
import uuid

import pytest

from support.directory import Directory, assign
from support.instance import API, GROUPS_API, eventually
from support.rawhttp import call

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
REPOSITORY_READER = "b93aa761-3e63-49ed-ac28-beffa264f7ac"


@pytest.fixture(scope="module")
def directory(instance):
    return Directory(instance)


def why(registry, repository, action="pull", token=None, **who):
    reply = registry.instance.arm("POST", f"{registry.id}/checkAccess", {
        "repository": repository, "action": action, **who}, token=token)
    assert reply.status_code == 200, reply.text
    got = reply.json()
    return got["access"], got["decidedBy"], got.get("rule")


def test_why(instance, directory, group):
    registry = instance.make_registry(group, sku="Premium")
    app = directory.application()
    assert why(registry, "team/a", principalId=app.object_id) == ("Denied", "noRoleAssignment", None)
    assert assign(instance, app.object_id, READER, registry.id).status_code == 201
    members = directory.group(app.object_id)
    scope = instance.group_id(group)
    assert assign(instance, members["id"], ACR_PULL, scope).status_code == 201
    got = why(registry, "team/a", principalId=app.object_id)
    assert got[:2] == ("Allowed", "roleAssignment")
    assert got[2] in (f"AcrPull at {scope.lower()}", f"Reader at {registry.id.lower()}"), got
    assert why(registry, "team/a", "push", principalId=app.object_id) == (
        "Denied", "roleAssignmentsLackAction", None)
    # The admin user, and nobody at all.
    assert why(registry, "x", "delete", userName=registry.name) == ("Allowed", "adminUser", None)
    assert why(registry, "x") == ("Denied", "anonymousPullDisabled", None)
    # A token and its map.
    made = instance.arm("PUT", f"{registry.id}/scopeMaps/of-team", {"properties": {"actions": [
        "repositories/team/*/content/read", "repositories/tools/content/write"]}}, api=API)
    assert made.status_code < 300, made.text
    path = f"{registry.id}/tokens/device-1"
    assert why(registry, "team/a", userName="device-1") == ("Denied", "unknownUserName", None)
    instance.finish(instance.arm("PUT", path, {"properties": {"scopeMapId": made.json()["id"]}}))
    assert why(registry, "team/a", userName="device-1") == ("Denied", "tokenWithoutPassword", None)
    secret = instance.arm("POST", f"{registry.id}/generateCredentials", {"tokenId": path})
    user = ("device-1", secret.json()["passwords"][0]["value"])
    assert why(registry, "team/a", userName="device-1") == (
        "Allowed", "scopeMap", "of-team: repositories/team/*/content/read")
    for repository, action in (("team", "pull"), ("teamx/a", "pull"), ("team/a", "push"),
                               ("tools", "pull")):
        assert why(registry, repository, action, userName="device-1") == (
            "Denied", "scopeMapLacksAction", "of-team")
    # What it says is what happens.
    eventually(lambda: call(registry, "GET", "/v2/", user=user).status_code == 200)
    assert call(registry, "GET", "/v2/team/a/manifests/v1", user=user).status_code == 404
    assert call(registry, "GET", "/v2/teamx/a/manifests/v1", user=user).status_code == 403
    instance.finish(instance.arm("PATCH", path, {"properties": {"status": "disabled"}}))
    assert why(registry, "team/a", userName="device-1") == ("Denied", "tokenDisabled", None)
    # Asking is a right of its own.
    asker = app.token()
    refused = instance.arm("POST", f"{registry.id}/checkAccess", {"repository": "a", "action": "pull"},
                           token=asker)
    assert refused.status_code == 403 and "checkAccess/action" in refused.json()["error"]["message"]
    for body in ({"action": "pull"}, {"repository": "a", "action": "fly"},
                 {"repository": "a", "action": "pull", "principalId": "me"},
                 {"repository": "a", "action": "pull", "principalId": str(uuid.uuid4()),
                  "userName": "device-1"}):
        assert instance.arm("POST", f"{registry.id}/checkAccess", body).status_code == 400, body


def test_why_by_repository(instance, directory, group):
    registry = instance.make_registry(group, sku="Premium")
    instance.finish(instance.arm("PATCH", registry.id, {"properties": {
        "roleAssignmentMode": "AbacRepositoryPermissions"}}))
    app = directory.application()
    condition = (
        "((!(ActionMatches{'Microsoft.ContainerRegistry/registries/repositories/content/read'})) OR "
        "(@Request[Microsoft.ContainerRegistry/registries/repositories:name] "
        "StringStartsWithIgnoreCase 'team/'))")
    given = assign(instance, app.object_id, REPOSITORY_READER, registry.id, condition=condition,
                   conditionVersion="2.0")
    assert given.status_code == 201, given.text
    rule = f"Container Registry Repository Reader at {registry.id.lower()}"
    assert why(registry, "team/a", principalId=app.object_id) == ("Allowed", "roleAssignment", rule)
    assert why(registry, "other", principalId=app.object_id) == (
        "Denied", "roleAssignmentsLackAction", None)


def test_refusals_name_their_rule(instance, registry, directory):
    """Every 401 and 403 in the log of both planes says which rule it was."""
    path = f"/v2/named-{uuid.uuid4().hex[:8]}/manifests/v1"
    assert call(registry, "GET", path).status_code == 401
    assert call(registry, "GET", path, user=("nobody", "x")).status_code == 401
    assert call(registry, "GET", path, bearer="x.y.z").status_code == 401
    other = registry.access_token("repository:other:pull")
    assert call(registry, "GET", path, bearer=other).status_code == 401
    app = directory.application()
    mine = f"/subscriptions/{instance.subscription}/resourceGroups/no-{uuid.uuid4().hex[:8]}"
    assert instance.arm("GET", mine, api=GROUPS_API, token=app.token()).status_code == 403
    assert instance.arm("GET", mine, api=GROUPS_API, token="x").status_code == 401
    refused = directory.call("POST", "users", {}, token=app.token(f"{directory.url}/.default"))
    assert refused.status_code == 403

    def lines():
        return [x for x in instance.log_text().splitlines() if re.search(r"\bstatus=40[13]\b", x)]
    eventually(lambda: any("AuthorizationFailed" in x and mine.split("/")[-1] in x for x in lines()))
    eventually(lambda: sum(path in x for x in lines()) == 4)
    rules = [re.search(r"\brule=(\S+)", x)[1] for x in lines() if path in x]
    assert rules == ["anonymous", "password", "token", "scope"], rules
    assert [x for x in lines() if not re.search(r"\brule=", x)] == []
