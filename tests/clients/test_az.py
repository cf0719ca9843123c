"""az, unmodified: cloud register, login, group, acr, and what it reads from the data plane."""

import shutil
import uuid

import pytest

from support.az import Az

pytestmark = pytest.mark.skipif(shutil.which("az") is None, reason="az is not installed")


@pytest.fixture(scope="module")
def az(instance, tmp_path_factory):
    return Az(instance, tmp_path_factory.mktemp("az")).register().sign_in()


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
    from support.instance import Registry
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


def test_refusals_are_readable(az, instance, group):
    message = az("acr", "create", "-g", group, "-n", "ab", "--sku", "Basic", ok=False)
    assert "5" in message and "Traceback" not in message
    message = az("acr", "create", "-g", "missinggroup1", "-n", "missing123", "--sku", "Basic",
                 "-l", "eastus", ok=False)
    assert "missinggroup1" in message and "Traceback" not in message


def test_provider_and_resource_commands(az, registry):
    shown = az("provider", "show", "-n", "Microsoft.ContainerRegistry")
    assert shown["registrationState"] == "Registered"
    found = az("resource", "list", "--resource-type", "Microsoft.ContainerRegistry/registries")
    assert registry.name in [r["name"] for r in found]
    assert az("resource", "show", "--ids", registry.id)["name"] == registry.name
