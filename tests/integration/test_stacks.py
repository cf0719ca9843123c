"""Deployment stacks on a whole instance: what they manage, what happens to what they let go, what
they deny, and that a killed control plane goes on with one."""

import json
import re

import pytest

from support.deployments import SUB_SCHEMA, Deployed, acr, many, template, unique
from support.instance import GROUPS_API, eventually

V = "2024-03-01"
DELETE = {"resources": "delete", "resourceGroups": "delete", "managementGroups": "detach"}
DETACH = {"resources": "detach"}


class Stacks(Deployed):
    def __init__(self, instance, path, location=None):
        self.instance, self.location = instance, location
        self.path = f"{path}/providers/Microsoft.Resources/deploymentStacks"

    def call(self, method, name, body=None, what="", **options):
        return self.instance.arm(method, f"{self.path}/{name}{what}", body, api=V, **options)

    def body(self, template, parameters=None, unmanage=None, deny=None, **rest):
        body = {"properties": {
            "template": template, "actionOnUnmanage": unmanage or DELETE,
            "denySettings": deny or {"mode": "none"},
            "parameters": {k: {"value": v} for k, v in (parameters or {}).items()}, **rest}}
        return {**body, "location": self.location} if self.location else body

    def start(self, name, *args, **rest):
        return self.call("PUT", name, self.body(*args, **rest))

    def run(self, name, *args, **rest):
        return self.ends(name, self.start(name, *args, **rest))["properties"]

    def fail(self, name, *args, **rest):
        return self.ends(name, self.start(name, *args, **rest), well=False)["properties"]

    def delete(self, name, resources="detach", groups="detach", **rest):
        return self.call("DELETE", name, **{"unmanageAction.Resources": resources,
                                            "unmanageAction.ResourceGroups": groups, **rest})


@pytest.fixture
def stacks(instance, group):
    return Stacks(instance, instance.group_id(group))


def names(items):
    return sorted(i["id"].rsplit("/", 1)[1] for i in items)


def code(reply):
    return reply.json()["error"]["code"]


def gone(instance, group, name):
    return instance.arm("GET", instance.registry_id(group, name)).status_code == 404


def identity(name):
    return {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31",
            "name": name, "location": "eastus"}


def identity_id(instance, group, name):
    return f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/" \
        f"userAssignedIdentities/{name}"


def test_life_of_a_stack(instance, stacks, group):
    first, second = unique(), unique()
    assert stacks.call("GET", "s").status_code == 404
    assert stacks.call("DELETE", "s").status_code == 204
    reply = stacks.start("s", template([acr(first), identity(second)],
                                       outputs={"x": {"type": "string", "value": "y"}}),
                         description="two", unmanage=DELETE)
    assert reply.status_code == 201 and reply.json()["properties"]["provisioningState"] == "creating"
    assert stacks.start("s", template([])).status_code == 409
    instance.finish(reply)
    seen = stacks.get("s")
    assert seen["type"] == "Microsoft.Resources/deploymentStacks" and seen["name"] == "s"
    seen = seen["properties"]
    assert seen["provisioningState"] == "succeeded" and seen["description"] == "two"
    assert names(seen["resources"]) == sorted([first, second])
    assert {(r["status"], r["denyStatus"]) for r in seen["resources"]} == {("managed", "none")}
    assert seen["outputs"]["x"]["value"] == "y" and seen["duration"].startswith("PT")
    assert seen["actionOnUnmanage"] == DELETE and "template" not in seen
    made = instance.arm("GET", seen["deploymentId"], api="2021-04-01").json()
    assert made["properties"]["provisioningState"] == "Succeeded"
    assert [s["name"] for s in instance.arm("GET", stacks.path, api=V).json()["value"]] == ["s"]
    exported = stacks.call("POST", "s", what="/exportTemplate").json()["template"]
    assert [r["name"] for r in exported["resources"]] == [first, second]
    # What the next template does not have is deleted.
    seen = stacks.run("s", template([acr(first)]))
    assert names(seen["resources"]) == [first] and names(seen["deletedResources"]) == [second]
    assert instance.arm("GET", identity_id(instance, group, second),
                        api="2023-01-31").status_code == 404
    assert not gone(instance, group, first)
    # … or let go.
    seen = stacks.run("s", template([]), unmanage=DETACH)
    assert seen["resources"] == [] and names(seen["detachedResources"]) == [first]
    assert not gone(instance, group, first)
    # A delete of the stack with what it has.
    stacks.run("s", template([acr(first)]))
    reply = stacks.delete("s", "delete")
    assert reply.status_code == 202
    assert instance.finish(reply).status_code == 204
    assert stacks.call("GET", "s").status_code == 404 and gone(instance, group, first)


def test_delete_that_detaches(instance, stacks, group):
    name = unique()
    stacks.run("d", template([identity(name)]))
    assert instance.finish(stacks.delete("d")).status_code == 204
    assert instance.arm("GET", identity_id(instance, group, name),
                        api="2023-01-31").status_code == 200


def test_failures_lose_nothing(instance, stacks, group):
    first, second = unique(), unique()
    stacks.run("f", template([identity(first)]))
    taken = unique()
    broken = {"type": "Microsoft.ContainerRegistry/registries/webhooks", "apiVersion": "2023-07-01",
              "name": f"{taken}/hook1", "location": "eastus",
              "properties": {"serviceUri": "https://hooks.example.com", "actions": ["push"]}}
    seen = stacks.fail("f", template([identity(second), broken]))
    assert seen["provisioningState"] == "failed" and seen["error"]["code"] == "DeploymentFailed"
    assert names(seen["resources"]) == sorted([first, second])
    assert names(seen["failedResources"]) == ["hook1"]
    # The next one deletes what is over.
    seen = stacks.run("f", template([identity(second)]))
    assert names(seen["deletedResources"]) == [first]
    # What cannot be deleted stays managed, and is told.
    lock = f"{identity_id(instance, group, second)}/providers/Microsoft.Authorization/locks/keep"
    assert instance.arm("PUT", lock, {"properties": {"level": "CanNotDelete"}},
                        api="2020-05-01").status_code == 201
    seen = stacks.fail("f", template([]))
    assert seen["error"]["code"] == "DeploymentStackDeleteResourcesFailed"
    assert seen["resources"][0]["status"] == "deleteFailed"
    assert seen["failedResources"][0]["error"]["code"] == "ScopeLocked"
    with pytest.raises(AssertionError, match="DeploymentStackDeleteResourcesFailed"):
        instance.finish(stacks.delete("f", "delete"))
    assert stacks.get("f")["properties"]["provisioningState"] == "failed"
    assert instance.arm("DELETE", lock, api="2020-05-01").status_code == 200
    assert instance.finish(stacks.delete("f", "delete")).status_code == 204


def test_refusals(stacks, instance):
    for change, target in [({"actionOnUnmanage": {}}, "properties.actionOnUnmanage"),
                           ({"actionOnUnmanage": {"resources": "burn"}},
                            "properties.actionOnUnmanage.resources"),
                           ({"denySettings": {"mode": "denyAll"}}, "properties.denySettings.mode")]:
        body = stacks.body(template([]))
        body["properties"].update(change)
        reply = stacks.call("PUT", "r", body)
        assert reply.status_code == 400 and reply.json()["error"]["target"] == target, reply.text
    assert code(stacks.start("r", template([{"type": "Microsoft.Compute/virtualMachines",
                                             "apiVersion": "2023-03-01", "name": "vm"}]))) \
        == "InvalidTemplateDeployment"
    assert stacks.start("r" * 91, template([])).status_code == 400
    assert stacks.call("GET", "r").status_code == 404
    other = "/subscriptions/11111111-1111-1111-1111-111111111111"
    assert stacks.start("r", template([]), deploymentScope=other).status_code == 400


def test_validate(stacks, instance, group):
    name = unique()
    reply = stacks.call("POST", "v", stacks.body(template([acr(name)])), what="/validate")
    assert reply.status_code == 200, reply.text
    assert names(reply.json()["properties"]["validatedResources"]) == [name]
    assert stacks.call("GET", "v").status_code == 404 and gone(instance, group, name)


@pytest.mark.parametrize("mode", ["denyDelete", "denyWriteAndDelete"])
def test_denials(instance, stacks, group, mode):
    name = unique()
    target = identity_id(instance, group, name)
    stacks.run("n", template([identity(name)]), deny={"mode": mode})
    assert stacks.get("n")["properties"]["resources"][0]["denyStatus"] == mode
    reply = instance.arm("DELETE", target, api="2023-01-31")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (403, "DenyAssignmentAuthorizationFailed")
    reply = instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)
    assert (reply.status_code, code(reply)) == (403, "DenyAssignmentAuthorizationFailed")
    changed = {"location": "eastus", "tags": {"a": "b"}}
    reply = instance.arm("PUT", target, changed, api="2023-01-31")
    assert reply.status_code == (200 if mode == "denyDelete" else 403), reply.text
    # The stack itself may; and who is left out.
    me = re.search(r"object id '([0-9a-f-]+)'", error["message"]).group(1)
    stacks.run("n", template([identity(name)]), deny={"mode": mode, "excludedPrincipals": [me]})
    assert instance.arm("PUT", target, changed, api="2023-01-31").status_code == 200
    stacks.run("n", template([{**identity(name), "tags": {"c": "d"}}]),
               deny={"mode": mode, "excludedActions":
                     ["Microsoft.ManagedIdentity/userAssignedIdentities/*"]})
    assert instance.arm("PUT", target, changed, api="2023-01-31").status_code == 200
    stacks.run("n", template([identity(name)]), deny={"mode": mode})
    assert instance.arm("DELETE", target, api="2023-01-31").status_code == 403
    assert instance.finish(stacks.delete("n", "delete")).status_code == 204
    assert instance.arm("GET", target, api="2023-01-31").status_code == 404


def test_children_are_denied_when_asked(instance, stacks, group):
    name = unique()
    hook = f"{instance.registry_id(group, name)}/webhooks/hook12"
    body = {"location": "eastus", "properties": {"serviceUri": "https://hooks.example.com",
                                                 "actions": ["push"]}}
    stacks.run("c", template([acr(name)]),
               deny={"mode": "denyWriteAndDelete", "applyToChildScopes": True})
    assert instance.arm("PUT", hook, body).status_code == 403
    stacks.run("c", template([acr(name)]), deny={"mode": "denyWriteAndDelete"})
    assert instance.arm("PUT", hook, body).status_code in (200, 201)
    assert instance.finish(stacks.delete("c", "delete")).status_code == 204


def test_subscription_stack_deletes_its_groups(instance):
    path = f"/subscriptions/{instance.subscription}"
    stacks, group, name, stack = Stacks(instance, path, "eastus"), unique("g"), unique(), unique("s")
    inner = {"type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": "inner",
             "resourceGroup": group, "dependsOn": [f"[resourceId('Microsoft.Resources/"
                                                   f"resourceGroups', '{group}')]"],
             "properties": {"mode": "Incremental",
                            "expressionEvaluationOptions": {"scope": "inner"},
                            "template": template([identity(name)])}}
    body = template([{"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2021-04-01",
                      "name": group, "location": "eastus", "properties": {}}, inner],
                    schema=SUB_SCHEMA)
    seen = stacks.run(stack, body)
    assert names(seen["resources"]) == sorted([group, name])
    assert instance.finish(stacks.delete(stack, "delete", "delete")).status_code == 204
    eventually(lambda: instance.arm("GET", instance.group_id(group),
                                    api=GROUPS_API).status_code == 404)


def test_management_group_stack(instance):
    path = f"/providers/Microsoft.Management/managementGroups/{instance.tenant}"
    stacks, name = Stacks(instance, path, "eastus"), unique("s")
    group = unique("g")
    body = template([{"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2021-04-01",
                      "name": group, "location": "eastus", "properties": {}}], schema=SUB_SCHEMA)
    seen = stacks.run(name, body, deploymentScope=f"/subscriptions/{instance.subscription}")
    assert names(seen["resources"]) == [group]
    assert instance.finish(stacks.delete(name, "delete", "delete")).status_code == 204
    eventually(lambda: instance.arm("GET", instance.group_id(group),
                                    api=GROUPS_API).status_code == 404)


def test_cancel_leaves_it_out_of_sync(instance, stacks, group):
    name = unique()
    body = many(name)
    reply = stacks.start("o", body)
    assert reply.status_code == 201
    deployment = reply.json()["properties"]["deploymentId"]
    cancelled = instance.arm("POST", f"{deployment}/cancel", api="2021-04-01")
    assert cancelled.status_code == 204, cancelled.text
    assert stacks.get("o")["properties"]["provisioningState"] == "canceled"
    eventually(lambda: code(stacks.start("o", template([]))) == "DeploymentStackOutOfSync")
    assert code(stacks.delete("o", "delete")) == "DeploymentStackOutOfSync"
    reply = stacks.delete("o", "delete", bypassStackOutOfSyncError="true")
    assert instance.finish(reply).status_code == 204


def test_killed_control_plane_goes_on(own_instance):
    instance = own_instance
    group = instance.make_group()
    stacks = Stacks(instance, instance.group_id(group))
    items = [unique() for _ in range(12)]
    stacks.run("k", template([identity(i) for i in items[:6]]))
    reply = stacks.start("k", template([identity(i) for i in items[6:]]))
    assert reply.status_code == 200
    instance.kill("controlplane")
    seen = eventually(lambda: _over(stacks, "k"), timeout=60)
    assert seen["provisioningState"] == "succeeded", json.dumps(seen, indent=1)
    assert names(seen["resources"]) == sorted(items[6:])
    assert names(seen["deletedResources"]) == sorted(items[:6])


def _over(stacks, name):
    try:
        seen = stacks.get(name)["properties"]
    except Exception:  # the control plane is not back yet
        return None
    return seen if seen["provisioningState"] in ("succeeded", "failed", "canceled") else None
