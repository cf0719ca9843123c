"""az, unmodified: deployment group and sub, what-if, operations, group export."""

import json
import os
import shutil
import subprocess
import uuid

import pytest

pytestmark = pytest.mark.skipif(shutil.which("az") is None, reason="az is not installed")
GALLERY = os.path.join(os.path.dirname(__file__), "..", "..", "templates", "gallery")
SUB_SCHEMA = ("https://schema.management.azure.com/schemas/2018-05-01/"
              "subscriptionDeploymentTemplate.json#")


@pytest.fixture(scope="module")
def az(instance, tmp_path_factory):
    env = {**os.environ, **instance.env, "AZURE_CONFIG_DIR": str(tmp_path_factory.mktemp("az")),
           "REQUESTS_CA_BUNDLE": instance.ca, "AZURE_CORE_COLLECT_TELEMETRY": "no",
           "AZURE_CORE_NO_COLOR": "yes", "AZURE_CORE_ONLY_SHOW_ERRORS": "yes"}

    def run(*arguments, ok=True):
        done = subprocess.run(["az", *arguments], env=env, text=True, capture_output=True,
                              timeout=180)
        if ok:
            assert done.returncode == 0, f"az {' '.join(arguments[:3])}: {done.stderr}\n" \
                f"{instance.log_tail(20)}"
            return json.loads(done.stdout) if done.stdout.strip() else None
        assert done.returncode != 0
        return done.stderr
    run("cloud", "register", "-n", "portolan", "--endpoint-resource-manager", instance.management,
        "--suffix-acr-login-server-endpoint", f".cr.{instance.domain}:{instance.port}")
    run("cloud", "set", "-n", "portolan")
    run("login", "--service-principal", "-u", instance.env["AZURE_CLIENT_ID"],
        "-p", instance.env["AZURE_CLIENT_SECRET"], "--tenant", instance.tenant)
    return run


def test_group_deployments(az, instance, group, tmp_path):
    name = f"az{uuid.uuid4().hex[:10]}"
    file = os.path.join(GALLERY, "registry.json")
    parameters = tmp_path / "parameters.json"
    parameters.write_text(json.dumps({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                   "deploymentParameters.json#",
        "contentVersion": "1.0.0.0", "parameters": {"acrName": {"value": name}}}))
    common = ["-g", group, "--template-file", file, "--parameters", f"@{parameters}",
              "acrAdminUserEnabled=true"]
    checked = az("deployment", "group", "validate", *common)
    assert checked["properties"]["provisioningState"] == "Succeeded" and not checked["error"]
    changes = az("deployment", "group", "what-if", *common, "--no-pretty-print")["changes"]
    assert [c["changeType"] for c in changes] == ["Create"]
    made = az("deployment", "group", "create", *common, "-n", "first")
    assert made["properties"]["provisioningState"] == "Succeeded"
    server = made["properties"]["outputs"]["acrLoginServer"]["value"]
    assert server == f"{name}.cr.{instance.domain}:{instance.port}"
    changes = az("deployment", "group", "what-if", *common, "--no-pretty-print")["changes"]
    assert [c["changeType"] for c in changes] == ["NoChange"]
    assert az("deployment", "group", "show", "-g", group, "-n", "first")["name"] == "first"
    assert [d["name"] for d in az("deployment", "group", "list", "-g", group)] == ["first"]
    operations = az("deployment", "operation", "group", "list", "-g", group, "-n", "first")
    assert {o["properties"]["provisioningState"] for o in operations} == {"Succeeded"}
    exported = az("deployment", "group", "export", "-g", group, "-n", "first")
    assert exported["parameters"]["acrName"]["type"] == "string"
    live = az("group", "export", "-n", group)
    assert [r["type"] for r in live["resources"]] == ["Microsoft.ContainerRegistry/registries"]
    message = az("deployment", "group", "cancel", "-g", group, "-n", "first", ok=False)
    assert "Succeeded" in message and "Traceback" not in message
    az("deployment", "group", "delete", "-g", group, "-n", "first")
    assert az("deployment", "group", "list", "-g", group) == []


def test_refusals_are_readable(az, group, tmp_path):
    file = tmp_path / "bad.json"
    body = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
                       "deploymentTemplate.json#", "contentVersion": "1.0.0.0",
            "resources": [{"type": "Microsoft.Compute/virtualMachines", "apiVersion": "2023-03-01",
                           "name": "vm", "location": "eastus", "properties": {}}]}
    file.write_text(json.dumps(body))
    message = az("deployment", "group", "create", "-g", group, "--template-file", str(file),
                 ok=False)
    assert "NoRegisteredProviderFound" in message and "Traceback" not in message
    body["resources"][0]["name"] = "[nope()]"
    file.write_text(json.dumps(body))
    message = az("deployment", "group", "create", "-g", group, "--template-file", str(file),
                 ok=False)
    assert "nope" in message and "Traceback" not in message


def test_subscription_deployments(az, tmp_path):
    group, name = f"azs{uuid.uuid4().hex[:6]}", f"d{uuid.uuid4().hex[:6]}"
    file = tmp_path / "sub.json"
    file.write_text("// a comment\n" + json.dumps({
        "$schema": SUB_SCHEMA, "contentVersion": "1.0.0.0",
        "parameters": {"group": {"type": "string"}},
        "resources": [{"type": "Microsoft.Resources/resourceGroups", "apiVersion": "2021-04-01",
                       "name": "[parameters('group')]", "location": "westus2",
                       "properties": {}}]}))
    common = ["-l", "eastus", "--template-file", str(file), "--parameters", f"group={group}"]
    try:
        assert az("deployment", "sub", "what-if", *common,
                  "--no-pretty-print")["changes"][0]["changeType"] == "Create"
        made = az("deployment", "sub", "create", *common, "-n", name)
        assert made["properties"]["provisioningState"] == "Succeeded"
        assert az("group", "show", "-n", group)["location"] == "westus2"
        assert name in [d["name"] for d in az("deployment", "sub", "list")]
        assert az("deployment", "operation", "sub", "list", "-n", name)
    finally:
        az("group", "delete", "-n", group, "--yes")
        az("deployment", "sub", "delete", "-n", name)
