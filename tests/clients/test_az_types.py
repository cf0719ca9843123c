"""az, unmodified, on what is below a registry: scope maps and tokens up to signing in with them,
webhooks, replications, connected registries, private link."""

import os
import subprocess
import uuid

import pytest

from support.az import newest_only
from support.instance import eventually


@pytest.fixture(scope="module")
def home(instance, az):  # one for each az
    group = instance.make_group()
    yield instance.make_registry(group, f"az{uuid.uuid4().hex[:10]}", sku="Premium",
                                 dataEndpointEnabled=True)
    instance.delete(instance.group_id(group), api="2024-11-01")


def sign_in(instance, registry, user, password, folder):
    done = subprocess.run(
        ["skopeo", "login", "--authfile", str(folder / "auth.json"), "--cert-dir",
         os.path.dirname(instance.ca), "-u", user, "--password-stdin", registry.host],
        input=password, text=True, capture_output=True, timeout=60)
    return done.returncode == 0, done.stderr


def test_scope_maps_and_tokens(az, instance, home, tmp_path):
    at = ["-r", home.name]
    made = az("acr", "scope-map", "create", "-n", "app-map", *at, "--description", "apps",
              "--repository", "samples/app", "content/read", "content/write")
    assert sorted(made["actions"]) == ["repositories/samples/app/content/read",
                                       "repositories/samples/app/content/write"]
    changed = az("acr", "scope-map", "update", "-n", "app-map", *at, "--add-repository",
                 "samples/app", "metadata/read")
    assert "repositories/samples/app/metadata/read" in changed["actions"]
    listed = {m["name"] for m in az("acr", "scope-map", "list", *at)}
    assert {"app-map", "_repositories_pull", "_repositories_push", "_repositories_admin"} <= listed
    assert "defined by the system" in az("acr", "scope-map", "delete", "-n", "_repositories_pull",
                                         *at, "--yes", ok=False)
    made = az("acr", "token", "create", "-n", "builder", *at, "--scope-map", "app-map")
    passwords = made["credentials"]["passwords"]
    assert [p["name"] for p in passwords] == ["password1", "password2"]
    eventually(lambda: sign_in(instance, home, "builder", passwords[0]["value"], tmp_path)[0])
    assert not sign_in(instance, home, "builder", "wrong", tmp_path)[0]
    # A token with repositories of its own makes its scope map along the way.
    az("acr", "token", "create", "-n", "reader", *at, "--repository", "samples/app",
       "content/read", "--no-passwords")
    assert az("acr", "scope-map", "show", "-n", "reader-scope-map", *at)["actions"] == \
        ["repositories/samples/app/content/read"]
    fresh = az("acr", "token", "credential", "generate", "-n", "builder", *at, "--password1",
               "--expiration-in-days", "30")
    value = next(p["value"] for p in fresh["passwords"] if p["name"] == "password1")
    eventually(lambda: sign_in(instance, home, "builder", value, tmp_path)[0])
    assert not sign_in(instance, home, "builder", passwords[0]["value"], tmp_path)[0]
    left = az("acr", "token", "credential", "delete", "-n", "builder", *at, "--password1")
    assert [p["name"] for p in left["credentials"]["passwords"]] == ["password2"]
    assert az("acr", "token", "update", "-n", "builder", *at, "--status",
              "disabled")["status"] == "disabled"
    eventually(lambda: not sign_in(instance, home, "builder", passwords[1]["value"], tmp_path)[0])
    assert "in use by" in az("acr", "scope-map", "delete", "-n", "app-map", *at, "--yes", ok=False)
    az("acr", "token", "delete", "-n", "builder", *at, "--yes")
    az("acr", "scope-map", "delete", "-n", "app-map", *at, "--yes")
    assert {t["name"] for t in az("acr", "token", "list", *at)} == {"reader"}


def test_webhooks(az, home):
    at = ["-r", home.name, "-n", "hookone"]
    made = az("acr", "webhook", "create", *at, "--uri", "https://example.com/hook", "--actions",
              "push", "delete", "--headers", "Authorization=x", "--scope", "samples/app:*")
    assert made["status"] == "enabled" and made["actions"] == ["push", "delete"]
    assert az("acr", "webhook", "get-config", *at)["customHeaders"] == {"Authorization": "x"}
    assert az("acr", "webhook", "update", *at, "--status", "disabled")["status"] == "disabled"
    assert [h["name"] for h in az("acr", "webhook", "list", "-r", home.name)] == ["hookone"]
    assert az("acr", "webhook", "list-events", *at) == []
    az("acr", "webhook", "update", *at, "--uri", "https://127.0.0.1:1/hook")
    sent = az("acr", "webhook", "ping", *at)["id"]
    assert [e["id"] for e in az("acr", "webhook", "list-events", *at)] == [sent]
    az("acr", "webhook", "delete", *at)
    assert az("acr", "webhook", "list", "-r", home.name) == []


def test_replications(az, home):
    at = ["-r", home.name]
    made = az("acr", "replication", "create", *at, "-l", "westeurope")
    assert made["name"] == "westeurope" and made["provisioningState"] == "Succeeded"
    assert {r["name"] for r in az("acr", "replication", "list", *at)} == {"eastus", "westeurope"}
    assert az("acr", "replication", "show", *at, "-n", "westeurope")["location"] == "westeurope"
    option = {"debian": "--region-endpoint-enabled", "newest": "--global-endpoint-routing"}[az.kind]
    assert az("acr", "replication", "update", *at, "-n", "westeurope", option,
              "false")["regionEndpointEnabled"] is False
    az("acr", "replication", "delete", *at, "-n", "westeurope")
    az("acr", "replication", "delete", *at, "-n", "eastus")


def test_connected_registries(az, home):
    at = ["-r", home.name, "-n", "onpremises"]
    made = az("acr", "connected-registry", "create", *at, "--repository", "samples/app", "--mode",
              "ReadWrite")
    assert made["mode"] == "ReadWrite" and made["provisioningState"] == "Succeeded"
    below = ["-r", home.name, "-n", "branchoffice"]
    az("acr", "connected-registry", "create", *below, "--repository", "samples/app", "--mode",
       "ReadOnly", "--parent", "onpremises")
    listed = az("acr", "connected-registry", "list", "-r", home.name)
    assert {c["name"] for c in listed} == {"onpremises", "branchoffice"}
    assert az("acr", "connected-registry", "list-client-tokens", *at) == []
    az("acr", "connected-registry", "permissions", "update", *at, "--add", "samples/other")
    az("acr", "connected-registry", "repo", *at, "--add", "samples/third")
    actions = az("acr", "connected-registry", "permissions", "show", *at)["actions"]
    assert {f"repositories/samples/{x}/content/read" for x in ("app", "other", "third")} <= \
        set(actions)
    changed = az("acr", "connected-registry", "update", *at, "--log-level", "debug")
    assert changed["logging"]["logLevel"] == "Debug"
    assert az("acr", "connected-registry", "show", *at)["logging"]["logLevel"] == "Debug"
    settings = ["--parent-protocol", "https"]
    told = az("acr", "connected-registry", "get-settings", *at, *settings, "--yes",
              "--generate-password", "1")
    assert "onpremises" in told["ACR_REGISTRY_CONNECTION_STRING"]
    az("acr", "connected-registry", "install", "info", *at, *settings)
    az("acr", "connected-registry", "install", "renew-credentials", *at, *settings, "--yes")
    az("acr", "connected-registry", "delete", *below, "--yes", "--cleanup")
    az("acr", "connected-registry", "deactivate", *at, "--yes")
    az("acr", "connected-registry", "delete", *at, "--yes", "--cleanup")
    assert az("acr", "connected-registry", "list", "-r", home.name) == []


def test_private_link(az, home):
    assert az("acr", "private-endpoint-connection", "list", "-r", home.name) == []


@newest_only
def test_a_host_name_with_a_hash(az, instance, group):
    name = f"az{uuid.uuid4().hex[:10]}"
    scope = ["--dnl-scope", "TenantReuse"]
    free = az("acr", "check-name", "-n", name, *scope)
    made = az("acr", "create", "-n", name, "-g", group, "--sku", "Basic", "--admin-enabled", *scope)
    assert made["loginServer"] == free["availableLoginServerName"] != f"{name}.cr.{instance.domain}"
    assert made["autoGeneratedDomainNameLabelScope"] == "TenantReuse"
    assert az("acr", "check-name", "-n", name, *scope)["nameAvailable"] is False
    user = ["--username", name, "--password",
            az("acr", "credential", "show", "-n", name)["passwords"][0]["value"]]
    assert az("acr", "repository", "list", "-n", name, *user) == []
    # A PATCH of the whole registry brings the scope along.
    assert az("acr", "update", "-n", name, "--tags", "a=b")["loginServer"] == made["loginServer"]
