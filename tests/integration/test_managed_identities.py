"""Identities of resources: a system-assigned one is a principal for as long as its resource has it; a
user-assigned one is attached by whoever may assign it, and must be there."""

import uuid
from concurrent.futures import ThreadPoolExecutor

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


def test_who_has_an_identity(instance, group):
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared"
    assert instance.arm("PUT", path, {"location": "eastus"}, api=IDENTITY_API).status_code == 201

    def users(api="2022-01-31-preview"):
        return instance.arm("POST", f"{path}/listAssociatedResources", api=api)
    assert users().json() == {"value": [], "totalCount": 0}
    registry, other = instance.make_registry(group), instance.make_registry(group)
    patch(instance, registry, {"identity": {"type": "UserAssigned", "userAssignedIdentities": {path.upper(): {}}}})
    patch(instance, other, {"identity": {"type": "SystemAssigned"}})
    told = users().json()
    assert told["totalCount"] == 1
    assert told["value"] == [{
        "id": registry.id, "name": registry.name, "type": "microsoft.containerregistry/registries",
        "resourceGroup": group, "subscriptionId": instance.subscription,
        "subscriptionDisplayName": told["value"][0]["subscriptionDisplayName"]}]
    assert users(api=IDENTITY_API).status_code == 400
    patch(instance, registry, {"identity": {"type": "None"}})
    assert users().json()["totalCount"] == 0


# --- what may sign in as one -----------------------------------------------------------------------

def trusting(instance, group, name="worker"):
    """A managed identity's federated credentials."""
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    assert instance.arm("PUT", path, {"location": "eastus"}, api=IDENTITY_API).status_code == 201
    return path, f"{path}/federatedIdentityCredentials"


def put_credential(instance, path, subject="repo:a/b", **properties):
    return instance.arm("PUT", path, {"properties": {
        "issuer": "https://token.example.org", "subject": subject,
        "audiences": ["api://AzureADTokenExchange"], **properties}}, api=IDENTITY_API)


def trusted(instance, identity):
    """What the directory has for it."""
    uid = instance.arm("GET", identity, api=IDENTITY_API).json()["properties"]["principalId"]
    return sorted(instance.sql("control", "select name, subject from federated_credentials "
                                          f"where owner_id = '{uid}'"))


def test_federated_credentials(instance, group):
    identity, path = trusting(instance, group)
    made = put_credential(instance, f"{path}/main")
    assert made.status_code == 201, made.text
    shown = made.json()
    assert shown["type"] == "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    assert shown["properties"] == {"issuer": "https://token.example.org", "subject": "repo:a/b",
                                   "audiences": ["api://AzureADTokenExchange"]}
    assert instance.arm("GET", f"{path}/MAIN", api=IDENTITY_API).json() == shown
    # The same again changes nothing; another subject changes the directory.
    assert put_credential(instance, f"{path}/main").status_code == 200
    assert put_credential(instance, f"{path}/main", "repo:a/c").status_code == 200
    assert trusted(instance, identity) == [["main", "repo:a/c"]]
    again = put_credential(instance, f"{path}/other", "repo:a/c")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Conflict")
    assert put_credential(instance, f"{path}/other").status_code == 201
    listed = instance.arm("GET", path, api=IDENTITY_API).json()["value"]
    assert [x["name"] for x in listed] == ["main", "other"]
    for refused in ({"issuer": "http://token.example.org"}, {"issuer": None}, {"subject": ""},
                    {"subject": "x" * 601}, {"audiences": []}, {"audiences": ["a", "b"]},
                    {"audiences": ["x" * 601]}):
        assert put_credential(instance, f"{path}/bad", **refused).status_code == 400, refused
    assert put_credential(instance, f"{path}/-ad", "s").status_code == 400
    assert instance.arm("DELETE", f"{path}/main", api=IDENTITY_API).status_code == 200
    assert trusted(instance, identity) == [["other", "repo:a/b"]]
    uid = instance.arm("GET", identity, api=IDENTITY_API).json()["properties"]["principalId"]
    instance.arm("DELETE", identity, api=IDENTITY_API)
    assert instance.sql("control", f"select 1 from federated_credentials where owner_id = '{uid}'") == []


def test_an_identity_has_twenty_federated_credentials(instance, group):
    identity, path = trusting(instance, group)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda i: put_credential(instance, f"{path}/number-{i}", f"s{i}"), range(24)))
    assert sorted(x.status_code for x in done) == [201] * 20 + [400] * 4
    assert len(trusted(instance, identity)) == 20
