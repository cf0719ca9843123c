"""az, unmodified: groups, resources by type and their locks; identities and children of a registry,
cache rules."""

import json
import uuid

from support.az import newest_only

TYPE = "Microsoft.ContainerRegistry/registries"


def test_groups_and_locks(az, instance):
    group = f"az{uuid.uuid4().hex[:6]}"
    assert az("group", "exists", "-n", group) is False
    az("group", "create", "-n", group, "-l", "eastus", "--tags", "a=b")
    assert az("group", "exists", "-n", group) is True
    assert az("group", "list", "--tag", "a=b")[0]["name"] == group
    az("group", "wait", "-n", group, "--exists")
    az("group", "lock", "create", "-g", group, "-n", "keep", "--lock-type", "CanNotDelete")
    assert [x["name"] for x in az("group", "lock", "list", "-g", group)] == ["keep"]
    assert az("group", "lock", "show", "-g", group, "-n", "keep")["level"] == "CanNotDelete"
    assert az("lock", "show", "-g", group, "-n", "keep")["level"] == "CanNotDelete"
    assert az("lock", "update", "-g", group, "-n", "keep", "--notes", "mine")["notes"] == "mine"
    assert az("group", "lock", "update", "-g", group, "-n", "keep", "--notes",
              "ours")["notes"] == "ours"
    assert az("group", "update", "-n", group, "--set", "tags.c=d")["tags"] == {"a": "b", "c": "d"}
    assert "ScopeLocked" in az("group", "delete", "-n", group, "--yes", ok=False)
    az("group", "lock", "delete", "-g", group, "-n", "keep")
    az("group", "delete", "-n", group, "--yes")


def test_resources_by_type(az, group):
    name = f"az{uuid.uuid4().hex[:10]}"
    at = ["-g", group, "-n", name, "--resource-type", TYPE]
    made = az("resource", "create", *at, "-l", "eastus", "--is-full-object", "--properties",
              json.dumps({"location": "eastus", "sku": {"name": "Basic"},
                          "properties": {"adminUserEnabled": True}}))
    assert made["name"] == name and made["sku"]["name"] == "Basic"
    az("resource", "wait", *at, "--created")
    assert az("resource", "update", *at, "--set",
              "properties.adminUserEnabled=false")["properties"]["adminUserEnabled"] is False
    assert az("resource", "tag", *at, "--tags", "x=y")["tags"] == {"x": "y"}
    usage = az("resource", "invoke-action", *at, "--action", "checkNetworkAccess",
               "--request-body", json.dumps({"ipAddress": "192.0.2.1"}))
    usage = json.loads(usage) if isinstance(usage, str) else usage
    if az.kind == "debian":  # the newest prints nothing of what an action answers
        assert usage["access"] == "Allowed"
    else:
        patched = az("resource", "patch", *at, "--is-full-object", "--properties",
                     json.dumps({"tags": {"p": "q"}}))
        assert patched["tags"] == {"p": "q"}
    on = ["-g", group, "--resource", name, "--resource-type", TYPE]
    az("resource", "lock", "create", *on, "-n", "still", "--lock-type", "ReadOnly")
    assert [x["name"] for x in az("resource", "lock", "list", *on)] == ["still"]
    assert az("resource", "lock", "show", *on, "-n", "still")["level"] == "ReadOnly"
    assert az("resource", "lock", "update", *on, "-n", "still", "--notes", "x")["notes"] == "x"
    assert "failed to be deleted" in az("resource", "delete", *at, ok=False)
    az("resource", "lock", "delete", *on, "-n", "still")
    az("resource", "delete", *at)
    assert [r["name"] for r in az("resource", "list", "-g", group)] == []


def test_identities(az, home):
    mine = az("identity", "create", "-g", home.group, "-n", "reader", "-l", "eastus")
    at = ["-n", home.name]
    assigned = az("acr", "identity", "assign", *at, "--identities", "[system]", mine["id"])
    assert {k.lower() for k in assigned["identity"]["userAssignedIdentities"]} == \
        {mine["id"].lower()}
    assert az("acr", "identity", "show", *at)["principalId"]
    az("acr", "identity", "remove", *at, "--identities", mine["id"], "[system]")
    az("identity", "delete", "-g", home.group, "-n", "reader")


def test_what_is_shown_of_children(az, home):
    at = ["-r", home.name]
    az("acr", "webhook", "create", *at, "-n", "showhook", "--uri", "https://example.com/h",
       "--actions", "push")
    assert az("acr", "webhook", "show", *at, "-n", "showhook")["name"] == "showhook"
    az("acr", "webhook", "delete", *at, "-n", "showhook")
    az("acr", "token", "create", *at, "-n", "shown", "--scope-map", "_repositories_pull",
       "--no-passwords")
    assert az("acr", "token", "show", *at, "-n", "shown")["name"] == "shown"
    az("acr", "token", "delete", *at, "-n", "shown", "--yes")


@newest_only
def test_cache_rules(az, home):
    at = ["-r", home.name]
    secret = "https://v.vault.azure.net/secrets/s"
    made = az("acr", "credential-set", "create", *at, "-n", "hubset", "-l", "docker.io", "-u",
              secret, "-p", secret)
    assert made["loginServer"] == "docker.io"
    assert az("acr", "credential-set", "update", *at, "-n", "hubset", "-u",
              f"{secret}2")["authCredentials"][0]["usernameSecretIdentifier"] == f"{secret}2"
    assert az("acr", "credential-set", "show", *at, "-n", "hubset")["name"] == "hubset"
    made = az("acr", "cache", "create", *at, "-n", "hubrule", "-s", "docker.io/library/alpine",
              "-t", "alpine", "-c", "hubset")
    assert made["credentialSetResourceId"].endswith("/credentialSets/hubset")
    assert az("acr", "cache", "update", *at, "-n", "hubrule",
              "--remove-cred-set").get("credentialSetResourceId") is None
    assert [x["name"] for x in az("acr", "cache", "list", *at)] == ["hubrule"]
    assert az("acr", "cache", "show", *at, "-n", "hubrule")["name"] == "hubrule"
    az("acr", "cache", "delete", *at, "-n", "hubrule", "--yes")
    assert [x["name"] for x in az("acr", "credential-set", "list", *at)] == ["hubset"]
    az("acr", "credential-set", "delete", *at, "-n", "hubset", "--yes")
