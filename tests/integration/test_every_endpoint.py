"""What holds of every route that is no resource: locks above stop what changes something, and the activity
log tells of it. The routes come from the tables."""

import uuid

import pytest

from support.deployments import Scope, many, template, unique
from support.directory import AUTHORIZATION, LOCKS_API, ROLES_API, assign, locked
from support.instance import GROUPS_API
from support.routes import endpoint_requests
from support.vault import VAULTS_API, Vault, own_object_id

# What a POST asks and does not change. exportTemplate of a group has the right to write it.
ASKS = ("/validate/action", "/whatIf/action", "/exportTemplate/action", "/validateMoveResources/action", "/read")
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
DIAGNOSTICS, DIAGNOSTICS_API = "providers/Microsoft.Insights/diagnosticSettings", "2021-05-01-preview"


def changing(instance, group):
    return [(right, method, path, api, body) for right, _, method, path, api, body
            in endpoint_requests(instance, group)
            if method not in ("GET", "HEAD") and not right.endswith(ASKS)
            and not path.endswith("/exportTemplate")]


@pytest.mark.parametrize("level", ["ReadOnly", "CanNotDelete"])
@pytest.mark.parametrize("scope", ["", "/subscriptions/{}"])
def test_a_lock_stops_every_change(instance, group, scope, level):
    scope = scope.format(instance.subscription)
    moves = {"resources": [f"{instance.group_id(group)}/providers/Microsoft.KeyVault/vaults/nobody12"],
             "targetResourceGroup": instance.group_id(instance.make_group())}
    for _, method, path, api, body in changing(instance, group):
        if method == "PUT" and "/deployments/" in path:  # only what is there is canceled
            instance.finish(instance.arm(method, path, body, api=api))
    wrong = []
    with locked(instance, scope, level):
        for _, method, path, api, body in changing(instance, group):
            if "/locks/" in path or not path.startswith(scope) or \
                    level == "CanNotDelete" and method != "DELETE":
                continue
            if path.endswith("/tags/default") and method == "DELETE" and level == "CanNotDelete":
                continue  # tags are written, whichever way
            body = moves if path.endswith("/moveResources") else body
            reply = instance.arm(method, path, body if method != "DELETE" else None, api=api)
            if reply.status_code != 409 or reply.json()["error"]["code"] != "ScopeLocked":
                wrong.append((method, path, reply.status_code, reply.text[:200]))
    assert not wrong, "\n".join(map(str, wrong))


def good(reply):
    assert reply.status_code in (200, 201, 202, 204), reply.text
    return reply


class Walk:
    """Changes something by every route there is."""

    def __init__(self, instance):
        self.instance = instance
        self.group, self.other = instance.make_group(), instance.make_group()
        self.base = f"/subscriptions/{instance.subscription}"

    def put_and_drop(self, path, body, api):
        good(self.instance.arm("PUT", path, body, api=api))
        good(self.instance.arm("DELETE", path, api=api))

    def deployments(self):
        scope = Scope(self.instance, self.instance.group_id(self.group))
        scope.run(template([]), name="one")
        good(scope.call("DELETE", "one"))
        good(scope.start("two", many(unique())))
        good(scope.call("POST", "two", what="/cancel"))
        path = f"{self.instance.group_id(self.other)}/providers/Microsoft.Resources/deploymentStacks/s"
        reply = good(self.instance.arm("PUT", path, {"properties": {
            "template": template([]), "actionOnUnmanage": {"resources": "detach"},
            "denySettings": {"mode": "none"}}}, api="2024-03-01"))
        self.instance.finish(reply)
        good(self.instance.arm("DELETE", path, api="2024-03-01", **{"unmanageAction.Resources": "detach"}))

    def resources(self):
        vault = Vault(self.instance, self.group).make()
        good(self.instance.arm("PUT", f"{vault.id}/accessPolicies/add", {
            "properties": {"accessPolicies": []}}, api=VAULTS_API))
        self.put_and_drop(f"{vault.id}/{DIAGNOSTICS}/d", {"properties": {
            "workspaceId": f"{vault.id}/w", "logs": [{"category": "AuditEvent", "enabled": True}]}},
            DIAGNOSTICS_API)
        tags = f"{vault.id}/providers/Microsoft.Resources/tags/default"
        self.put_and_drop(tags, {"properties": {"tags": {"a": "b"}}}, GROUPS_API)
        good(self.instance.arm("POST", f"{self.instance.group_id(self.group)}/moveResources", {
            "resources": [vault.id], "targetResourceGroup": self.instance.group_id(self.other)},
            api=GROUPS_API))
        vault.id = vault.id.replace(self.group, self.other)
        vault.delete()
        good(vault.purge())

    def rights(self):
        scope = self.instance.group_id(self.group)
        definition = f"{scope}/{AUTHORIZATION}/roleDefinitions/{uuid.uuid4()}"
        self.put_and_drop(definition, {"properties": {
            "roleName": unique("role"), "type": "CustomRole", "assignableScopes": [scope],
            "permissions": [{"actions": ["*/read"]}]}}, ROLES_API)
        given = good(assign(self.instance, own_object_id(self.instance), READER, scope))
        good(self.instance.arm("DELETE", given.json()["id"], api=ROLES_API))
        self.put_and_drop(f"{scope}/{AUTHORIZATION}/locks/l", {"properties": {"level": "ReadOnly"}}, LOCKS_API)

    def subscription(self):
        name = f"{self.base}/tagNames/{unique('tag')}"
        good(self.instance.arm("PUT", name, api=GROUPS_API))
        self.put_and_drop(f"{name}/tagValues/v", None, GROUPS_API)
        good(self.instance.arm("DELETE", name, api=GROUPS_API))
        for what in ("unregister", "register"):
            good(self.instance.arm("POST", f"{self.base}/providers/Microsoft.KeyVault/{what}",
                                   api=GROUPS_API))

    def end(self):
        for group in (self.group, self.other):
            self.instance.arm("DELETE", self.instance.group_id(group), api=GROUPS_API)


def test_the_log_tells_of_every_change(instance, group):
    began = instance.sql("control", "select now()")[0][0]
    walk = Walk(instance)
    walk.deployments()
    walk.resources()
    walk.rights()
    walk.subscription()
    told = {row[0] for row in instance.sql(
        "control", f"select distinct operation_name from events where at >= '{began}'")}
    wanted = {right for right, *_ in changing(instance, group)}
    generic = {w for w in wanted if w.startswith("Microsoft.Resources/") and w.endswith("register/action")}
    assert {f"Microsoft.KeyVault/{what}/action" for what in ("register", "unregister")} <= told
    assert wanted - generic - told == set()
    walk.end()
