"""Identities of resources: a system-assigned one is a principal for as long as its resource has it; a
user-assigned one is attached by whoever may assign it, and must be there."""

import uuid

import pytest

from support.directory import Directory, assign
from support.instance import eventually

pytestmark = pytest.mark.sanitized

IDENTITY_API = "2023-01-31"
ROLES_API = "2022-04-01"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
IDENTITY_OPERATOR = "f1a07417-d97a-45cb-824c-7a7467783830"


def principal(instance, object_id):
    return instance.sql("control", "select kind, display_name from principals "
                                   f"where object_id = '{object_id}'")


def patch(instance, registry, body):
    reply = instance.arm("PATCH", registry.id, body)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    return instance.arm("GET", registry.id).json()


def test_a_system_identity_lives_with_its_resource(instance, group):
    registry = instance.make_registry(group)
    assert "identity" not in instance.arm("GET", registry.id).json()
    shown = patch(instance, registry, {"identity": {"type": "SystemAssigned"}})["identity"]
    assert shown["tenantId"] == instance.tenant
    assert principal(instance, shown["principalId"]) == [["ManagedIdentity", registry.name]]
    # It can be given roles like any other, and they go with it.
    assignment = f"{registry.id}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}"
    role = f"/subscriptions/{instance.subscription}/providers/Microsoft.Authorization/" \
           f"roleDefinitions/{READER}"
    reply = instance.arm("PUT", assignment, {"properties": {
        "roleDefinitionId": role, "principalId": shown["principalId"],
        "principalType": "ServicePrincipal"}}, api=ROLES_API)
    assert reply.status_code == 201, reply.text
    assert patch(instance, registry, {"tags": {"a": "b"}})["identity"] == shown
    patch(instance, registry, {"identity": {"type": "None"}})
    assert principal(instance, shown["principalId"]) == []
    assert instance.arm("GET", assignment, api=ROLES_API).status_code == 404
    again = patch(instance, registry, {"identity": {"type": "SystemAssigned"}})["identity"]
    assert principal(instance, again["principalId"])
    instance.delete(registry.id)
    assert principal(instance, again["principalId"]) == []


def test_a_user_identity_is_attached(instance, group):
    registry = instance.make_registry(group)
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/" \
           "userAssignedIdentities/worker"
    missing = instance.arm("PATCH", registry.id, {"identity": {
        "type": "UserAssigned", "userAssignedIdentities": {path: {}}}})
    assert missing.status_code == 400
    assert missing.json()["error"]["code"] == "FailedIdentityOperation"
    made = instance.arm("PUT", path, {"location": "eastus"}, api=IDENTITY_API).json()
    wish = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {path: {}}}}
    shown = patch(instance, registry, wish)["identity"]["userAssignedIdentities"]
    assert shown == {path: {"principalId": made["properties"]["principalId"],
                            "clientId": made["properties"]["clientId"]}}
    # The same wish again changes nothing.
    before = instance.arm("GET", registry.id).json()["systemData"]
    patch(instance, registry, wish)
    assert instance.arm("GET", registry.id).json()["systemData"] == before
    both = patch(instance, registry, {"identity": {"type": "SystemAssigned, UserAssigned"}})
    assert both["identity"]["userAssignedIdentities"] == shown
    assert principal(instance, both["identity"]["principalId"])
    gone = patch(instance, registry, {"identity": {
        "type": "SystemAssigned", "userAssignedIdentities": {path: None}}})["identity"]
    assert path not in gone.get("userAssignedIdentities", {})
    assert gone["principalId"] == both["identity"]["principalId"]


def test_attaching_needs_the_right_to_assign(instance, group):
    registry = instance.make_registry(group)
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/" \
           "userAssignedIdentities/worker"
    assert instance.arm("PUT", path, {"location": "eastus"}, api=IDENTITY_API).status_code == 201
    app = Directory(instance).application()
    assert assign(instance, app.object_id, CONTRIBUTOR, registry.id).status_code == 201
    wish = {"identity": {"type": "UserAssigned", "userAssignedIdentities": {path: {}}}}
    eventually(lambda: instance.arm("GET", registry.id, token=app.token()).status_code == 200)
    reply = instance.arm("PATCH", registry.id, wish, token=app.token())
    assert reply.status_code == 403, reply.text
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action" in reply.text
    assert assign(instance, app.object_id, IDENTITY_OPERATOR, path).status_code == 201
    eventually(lambda: instance.arm("PATCH", registry.id, wish, token=app.token()).status_code
               in (200, 201))
