"""az, unmodified: roles, locks, identities, and the directory behind `az ad`."""

import json
import os
import uuid

import pytest

from support.az import KINDS, Az, newest_only
from support.directory import Directory


@pytest.fixture(scope="module", params=KINDS)
def az(instance, tmp_path_factory, request):
    return Az(instance, tmp_path_factory.mktemp("az"), request.param).register_whole().sign_in()


@pytest.fixture
def stranger(az, instance, tmp_path):
    """az with a configuration of its own, signed in as nobody."""
    return Az(instance, tmp_path, az.kind).register_whole()


@newest_only
def test_roles(az, instance, group):
    assert az("role", "definition", "list", "--name", "AcrPull")[0]["name"] == \
        "7f951dda-4ed3-4680-a7ca-43fe172d538d"
    app = az("ad", "sp", "create-for-rbac", "-n", f"sp-{uuid.uuid4().hex[:6]}")
    assert app["tenant"] == instance.tenant and app["password"]
    scope = instance.group_id(group)
    made = az("role", "assignment", "create", "--assignee", app["appId"], "--role", "AcrPull",
              "--scope", scope)
    assert made["scope"] == scope
    listed = az("role", "assignment", "list", "--assignee", app["appId"], "--scope", scope)
    assert [x["id"] for x in listed] == [made["id"]]
    assert listed[0]["roleDefinitionName"] == "AcrPull"
    az("role", "assignment", "delete", "--assignee", app["appId"], "--role", "AcrPull", "--scope",
       scope)
    assert az("role", "assignment", "list", "--assignee", app["appId"], "--scope", scope) == []


@newest_only
def test_custom_role(az, instance, group):
    name = f"Custom {uuid.uuid4().hex[:6]}"
    made = az("role", "definition", "create", "--role-definition", json.dumps(
        {"Name": name, "Description": "d", "Actions": ["Microsoft.ContainerRegistry/*/read"],
         "AssignableScopes": [f"/subscriptions/{instance.subscription}"]}))
    assert made["roleName"] == name
    assert [r["roleName"] for r in az("role", "definition", "list", "--custom-role-only",
                                      "--name", name)] == [name]
    made["description"] = "changed"
    changed = az("role", "definition", "update", "--role-definition", json.dumps(made))
    assert changed["description"] == "changed"
    assert az("role", "definition", "show", "--id", made["id"])["description"] == "changed"
    az("role", "definition", "delete", "--name", name)


@newest_only
def test_assignments_change(az, instance, group):
    who = az("identity", "create", "-g", group, "-n", "holder")["principalId"]
    scope = instance.group_id(group)
    made = az("role", "assignment", "create", "--assignee-object-id", who,
              "--assignee-principal-type", "ServicePrincipal", "--role", "AcrPull", "--scope", scope)
    made["description"] = "changed"
    changed = az("role", "assignment", "update", "--role-assignment", json.dumps(made))
    assert changed["description"] == "changed"
    assert az("role", "assignment", "list-changelogs") == []
    az("role", "assignment", "delete", "--ids", made["id"])


def test_create_for_rbac_signs_in_with_its_role(az, stranger, instance, group):
    app = az("ad", "sp", "create-for-rbac", "-n", f"sp-{uuid.uuid4().hex[:6]}")
    assert app["tenant"] == instance.tenant and app["password"]
    shown = az("ad", "sp", "show", "--id", app["appId"])
    reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
    az("rest", "--method", "put", "--url",
       f"{instance.group_id(group)}/providers/Microsoft.Authorization/roleAssignments"
       f"/{uuid.uuid4()}?api-version=2022-04-01", "--body", json.dumps({"properties": {
           "roleDefinitionId": reader, "principalId": shown["id"]}}))
    stranger("login", "--service-principal", "-u", app["appId"], "-p", app["password"], "--tenant",
             instance.tenant)
    assert stranger("group", "show", "-n", group)["name"] == group
    assert "AuthorizationFailed" in stranger("group", "update", "-n", group, "--set", "tags.a=b",
                                             ok=False)
    renewed = az("ad", "sp", "credential", "reset", "--id", app["appId"])
    assert renewed["password"] != app["password"]
    az("ad", "sp", "delete", "--id", app["appId"])


def test_sign_in_by_certificate(az, stranger, instance):
    app = az("ad", "sp", "create-for-rbac", "-n", f"sp-{uuid.uuid4().hex[:6]}", "--create-cert")
    by = "-p" if az.kind == "debian" else "--certificate"
    stranger("login", "--service-principal", "-u", app["appId"], by,
             app["fileWithCertAndPrivateKey"], "--tenant", instance.tenant, "--allow-no-subscriptions")
    os.unlink(app["fileWithCertAndPrivateKey"])


def test_sign_in_by_password(stranger, instance):
    directory = Directory(instance)
    user = directory.user()
    stranger("login", "-u", user["userPrincipalName"], "-p", "Correct-horse-9", "--tenant",
             instance.tenant, "--allow-no-subscriptions")
    assert stranger("ad", "signed-in-user", "show")["id"] == user["id"]


def test_users_and_groups(az, instance):
    name = f"u{uuid.uuid4().hex[:6]}"
    user = az("ad", "user", "create", "--display-name", name, "--user-principal-name",
              f"{name}@{instance.domain}", "--password", "Correct-horse-9")
    assert az("ad", "user", "show", "--id", f"{name}@{instance.domain}")["id"] == user["id"]
    team = az("ad", "group", "create", "--display-name", f"g-{name}", "--mail-nickname", name)
    az("ad", "group", "member", "add", "-g", team["id"], "--member-id", user["id"])
    assert [m["id"] for m in az("ad", "group", "member", "list", "-g", team["id"])] == [user["id"]]
    assert az("ad", "group", "member", "check", "-g", team["id"], "--member-id",
              user["id"])["value"] is True
    az("ad", "group", "member", "remove", "-g", team["id"], "--member-id", user["id"])
    az("ad", "group", "delete", "-g", team["id"])
    az("ad", "user", "delete", "--id", user["id"])


def test_identity_and_lock(az, group):
    made = az("identity", "create", "-g", group, "-n", "builder")
    assert made["clientId"] and made["principalId"]
    assert [x["name"] for x in az("identity", "list", "-g", group)] == ["builder"]
    assert az("identity", "show", "-g", group, "-n", "builder")["clientId"] == made["clientId"]
    registry = f"az{uuid.uuid4().hex[:10]}"
    az("acr", "create", "-g", group, "-n", registry, "--sku", "Basic")
    az("acr", "identity", "assign", "-n", registry, "--identities", made["id"])
    assert [x["name"] for x in az("identity", "list-resources", "-g", group, "-n", "builder")] == [registry]
    az("acr", "delete", "-g", group, "-n", registry, "--yes")
    if az.kind == "newest":
        assert az("identity", "update", "-g", group, "-n", "builder", "--tags",
                  "a=b")["tags"] == {"a": "b"}
    assert "Microsoft.ManagedIdentity/userAssignedIdentities/read" in [
        o["name"] for o in az("identity", "list-operations")]
    az("lock", "create", "-g", group, "-n", "keep", "--lock-type", "CanNotDelete")
    assert "ScopeLocked" in az("identity", "delete", "-g", group, "-n", "builder", ok=False)
    assert [x["level"] for x in az("lock", "list", "-g", group)] == ["CanNotDelete"]
    az("lock", "delete", "-g", group, "-n", "keep")
    az("identity", "delete", "-g", group, "-n", "builder")


def test_federated_credentials(az, group):
    made = az("identity", "create", "-g", group, "-n", "worker")
    of, at = ["-g", group, "--identity-name", "worker"], ["-n", "pipeline"]
    say = [*of, *at, "--issuer", "https://token.example.org", "--audiences", "api://AzureADTokenExchange"]
    trust = az("identity", "federated-credential", "create", *say, "--subject", "repo:a/b:ref:refs/heads/main")
    assert trust["id"] == f"{made['id']}/federatedIdentityCredentials/pipeline"
    assert trust["audiences"] == ["api://AzureADTokenExchange"]
    assert az("identity", "federated-credential", "update", *say, "--subject", "repo:a/c")["subject"] == "repo:a/c"
    assert az("identity", "federated-credential", "show", *of, *at)["subject"] == "repo:a/c"
    assert [x["name"] for x in az("identity", "federated-credential", "list", *of)] == ["pipeline"]
    az("identity", "federated-credential", "delete", *of, *at, "--yes")
    assert az("identity", "federated-credential", "list", *of) == []
