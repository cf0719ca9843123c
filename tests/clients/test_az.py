"""az, unmodified: cloud register, login, group, acr, and what it reads from the data plane."""

import uuid

from support.instance import Registry, eventually


def test_the_main_job(az, instance):
    group, name = f"az{uuid.uuid4().hex[:6]}", f"az{uuid.uuid4().hex[:10]}"
    assert az("account", "show")["id"] == instance.subscription
    az("group", "create", "-n", group, "-l", "eastus")
    assert az("acr", "check-name", "-n", name)["nameAvailable"] is True
    made = az("acr", "create", "-g", group, "-n", name, "--sku", "Standard", "--admin-enabled",
              "true")
    assert made["provisioningState"] == "Succeeded"
    assert made["loginServer"] == f"{name}.cr.{instance.domain}:{instance.port}"
    assert [r["name"] for r in az("acr", "list", "-g", group)] == [name]
    assert az("acr", "show", "-n", name)["sku"]["name"] == "Standard"
    Registry(instance, group, name).push_image("samples/hello", "v1")
    Registry(instance, group, name).push_image("samples/hello", "v2", b"other")
    token = az("acr", "login", "-n", name, "--expose-token")
    assert token["loginServer"] == made["loginServer"] and token["accessToken"].count(".") == 2
    assert az("acr", "repository", "list", "-n", name) == ["samples/hello"]
    assert az("acr", "repository", "show-tags", "-n", name, "--repository",
              "samples/hello") == ["v1", "v2"]
    az("acr", "import", "-n", name, "--source", "samples/hello:v1", "-r", made["id"], "-t",
       "copied/hello:v1", "-t", "copied/hello:again")
    assert az("acr", "repository", "show-tags", "-n", name, "--repository",
              "copied/hello") == ["again", "v1"]
    message = az("acr", "import", "-n", name, "--source", "samples/hello:v2", "-r", made["id"], "-t",
                 "copied/hello:v1", ok=False)
    assert "TAG_EXISTS" in message and "Force" in message
    shown = az("acr", "credential", "show", "-n", name)
    assert shown["username"] == name and len(shown["passwords"]) == 2
    renewed = az("acr", "credential", "renew", "-n", name, "--password-name", "password")
    assert renewed["passwords"][0]["value"] != shown["passwords"][0]["value"]
    updated = az("acr", "update", "-n", name, "--admin-enabled", "false", "--tags", "a=b")
    assert updated["adminUserEnabled"] is False and updated["tags"] == {"a": "b"}
    assert {u["name"] for u in az("acr", "show-usage", "-n", name)["value"]} >= {"Size", "Webhooks"}
    az("acr", "delete", "-n", name, "--yes")
    assert az("acr", "list", "-g", group) == []
    az("group", "delete", "-n", group, "--yes")
    assert "ResourceGroupNotFound" in az("group", "show", "-n", group, ok=False)


def is_kept(registry):
    """Whether what is deleted goes to the bin already: the data plane hears of the policy."""
    digest = registry.push_image("samples/probe", "v1", uuid.uuid4().bytes)
    assert registry.call("DELETE", f"/v2/samples/probe/manifests/{digest}").status_code == 202
    token = registry.access_token("registry:deleted_catalog:*")
    reply = registry.call("GET", "/acr/v1/_deleted/_catalog",
                          headers={"Authorization": f"Bearer {token}"})
    return "samples/probe" in (reply.json().get("repositories") or [])


def test_repositories_and_manifests(az, instance, group):
    registry = instance.make_registry(group, sku="Premium")
    for tag in ("v1", "v2"):
        registry.push_image("samples/app", tag, tag.encode())
    at, whole = ["-n", registry.name], ["-n", registry.name, "--repository", "samples/app"]
    one, own = ["-r", registry.name, "-n", "samples/app:v1"], ["-r", registry.name, "-n", "samples/app"]
    assert az("acr", "repository", "show", *whole)["tagCount"] == 2
    shown = az("acr", "repository", "update", *at, "--image", "samples/app:v1", "--write-enabled",
               "false")
    assert shown["changeableAttributes"]["writeEnabled"] is False
    az("acr", "repository", "update", *at, "--image", "samples/app:v1", "--write-enabled", "true")
    assert len(az("acr", "repository", "show-manifests", *whole)) == 2
    assert len(az("acr", "manifest", "list", *own)) == 2
    assert az("acr", "manifest", "show", *one)["schemaVersion"] == 2
    digest = az("acr", "manifest", "show-metadata", *one)["digest"]
    assert az("acr", "manifest", "metadata", "show", *one)["digest"] == digest
    assert digest in [m["digest"] for m in az("acr", "manifest", "list-metadata", *own)]
    assert len(az("acr", "manifest", "metadata", "list", *own)) == 2
    az("acr", "manifest", "metadata", "update", *one, "--delete-enabled", "false")
    assert "disallowed" in az("acr", "manifest", "delete", *one, "--yes", ok=False)
    az("acr", "manifest", "update-metadata", *one, "--delete-enabled", "true")
    assert az("acr", "manifest", "list-referrers", *one)["manifests"] == []
    az("acr", "config", "soft-delete", "update", "-r", registry.name, "--status", "enabled",
       "--days", "5", "--yes")
    eventually(lambda: is_kept(registry))
    az("acr", "manifest", "delete", *one, "--yes")
    assert "samples/app" in az("acr", "repository", "list-deleted", *at)
    assert [m["digest"] for m in az("acr", "manifest", "list-deleted", *own)] == [digest]
    assert [t["tag"] for t in az("acr", "manifest", "list-deleted-tags", *own)] == ["v1"]
    az("acr", "manifest", "restore", *one, "-d", digest, "--yes")
    assert az("acr", "repository", "show", *at, "--image", "samples/app:v1")["digest"] == digest
    az("acr", "repository", "untag", *at, "--image", "samples/app:v1")
    az("acr", "repository", "delete", *at, "--image", "samples/app:v2", "--yes")
    az("acr", "repository", "delete", *whole, "--yes")
    assert "samples/app" not in az("acr", "repository", "list", *at)


def test_refusals_are_readable(az, instance, group):
    message = az("acr", "create", "-g", group, "-n", "ab", "--sku", "Basic", ok=False)
    assert "5" in message and "Traceback" not in message
    message = az("acr", "create", "-g", "missinggroup1", "-n", "missing123", "--sku", "Basic",
                 "-l", "eastus", ok=False)
    assert "missinggroup1" in message and "Traceback" not in message


def test_provider_and_resource_commands(az, registry):
    shown = az("provider", "show", "-n", "Microsoft.ContainerRegistry")
    assert shown["registrationState"] == "Registered"
    assert "Microsoft.ContainerRegistry" in [p["namespace"] for p in az("provider", "list")]
    az("provider", "unregister", "-n", "Microsoft.ManagedIdentity", "--wait")
    assert az("provider", "show", "-n", "Microsoft.ManagedIdentity")["registrationState"] == \
        "Unregistered"
    az("provider", "register", "-n", "Microsoft.ManagedIdentity", "--wait")
    assert az("provider", "permission", "list", "-n", "Microsoft.ContainerRegistry")["value"] == []
    told = az("provider", "operation", "show", "-n", "Microsoft.ContainerRegistry")
    names = {o["name"] for t in told["resourceTypes"] for o in t["operations"]}
    assert "Microsoft.ContainerRegistry/registries/read" in names
    assert told["name"] in [p["name"] for p in az("provider", "operation", "list")]
    found = az("resource", "list", "--resource-type", "Microsoft.ContainerRegistry/registries")
    assert registry.name in [r["name"] for r in found]
    assert az("resource", "show", "--ids", registry.id)["name"] == registry.name
