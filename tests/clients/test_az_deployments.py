"""az, unmodified: deployments at every scope, what-if, operations, group export, stacks."""

import json
import os
import uuid

import pytest

from support.az import newest_only
from support.deployments import GALLERY, SUB_SCHEMA, many, template, unique
from support.instance import eventually


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
        checked = az("deployment", "sub", "validate", *common)
        assert checked["properties"]["provisioningState"] == "Succeeded" and not checked["error"]
        made = az("deployment", "sub", "create", *common, "-n", name)
        assert made["properties"]["provisioningState"] == "Succeeded"
        assert az("group", "show", "-n", group)["location"] == "westus2"
        assert name in [d["name"] for d in az("deployment", "sub", "list")]
        assert az("deployment", "sub", "show", "-n", name)["location"] == "eastus"
        exported = az("deployment", "sub", "export", "-n", name)
        assert exported["parameters"]["group"]["type"] == "string"
        operations = az("deployment", "operation", "sub", "list", "-n", name)
        one = az("deployment", "operation", "sub", "show", "-n", name, "--operation-ids",
                 operations[0]["operationId"])
        assert one[0]["operationId"] == operations[0]["operationId"]
        assert "Succeeded" in az("deployment", "sub", "cancel", "-n", name, ok=False)
    finally:
        az("group", "delete", "-n", group, "--yes")
        az("deployment", "sub", "delete", "-n", name)


def test_a_running_deployment_is_cancelled(az, group, tmp_path):
    file = tmp_path / "slow.json"
    file.write_text(json.dumps(many(unique(), 40), indent=2))
    az("deployment", "group", "create", "-g", group, "-n", "slow", "--template-file", str(file),
       "--no-wait")
    az("deployment", "group", "cancel", "-g", group, "-n", "slow")
    assert az("deployment", "group", "show", "-g", group,
              "-n", "slow")["properties"]["provisioningState"] == "Canceled"


def test_group_deployments_by_their_old_names(az, group, tmp_path):
    file = tmp_path / "identity.json"
    file.write_text(json.dumps(template([{
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31",
        "name": "worker", "location": "eastus"}])))
    within, at = ["-g", group], ["-g", group, "-n", "old"]
    checked = az("group", "deployment", "validate", *within, "--template-file", str(file))
    assert checked["properties"]["provisioningState"] == "Succeeded"
    made = az("group", "deployment", "create", *at, "--template-file", str(file))
    assert made["properties"]["provisioningState"] == "Succeeded"
    az("group", "deployment", "wait", *at, "--exists", "--timeout", "9", "--interval", "1")
    assert az("group", "deployment", "show", *at)["id"] == made["id"]
    assert [d["name"] for d in az("group", "deployment", "list", *within)] == ["old"]
    assert az("group", "deployment", "export", *at)["resources"][0]["name"] == "worker"
    operations = [o["operationId"] for o in az("group", "deployment", "operation", "list", *within, "--name", "old")]
    shown = az("group", "deployment", "operation", "show", *at, "--operation-ids", *operations)
    assert [o["operationId"] for o in shown] == operations
    az("group", "deployment", "delete", *at)
    assert az("group", "deployment", "list", *within) == []
    file.write_text(json.dumps(many(unique(), 40), indent=2))
    az("group", "deployment", "create", *at, "--template-file", str(file), "--no-wait")
    az("group", "deployment", "cancel", *at)
    assert az("group", "deployment", "show", *at)["properties"]["provisioningState"] == "Canceled"


def test_mistakes_are_told_with_the_lines_of_the_file(az, group, tmp_path):
    file = tmp_path / "wrong.json"
    text = json.dumps(template([], parameters={"p": {"type": "string", "allowedValues": ["a"]}}),
                      indent=2)
    file.write_text(text)
    line = next(i for i, row in enumerate(text.split("\n"), 1) if '"p": {' in row)
    message = az("deployment", "group", "validate", "-g", group, "--template-file", str(file),
                 "--parameters", "p=b", ok=False)
    assert f"at line '{line}' and column '10'" in message, message


@pytest.mark.parametrize("scope", ["mg", "tenant"])
def test_deployments_above_subscriptions(az, instance, tmp_path, scope):
    kind = {"mg": "managementGroup", "tenant": "tenant"}[scope]
    at = ["-m", instance.tenant] if scope == "mg" else []
    file, name = tmp_path / "above.json", unique("d")
    file.write_text(json.dumps(template([], schema="https://schema.management.azure.com/schemas/"
                                        f"2019-08-01/{kind}DeploymentTemplate.json#",
                                        outputs={"where": {"type": "string", "value":
                                                           "[deployment().location]"}})))
    common = [*at, "-l", "eastus", "--template-file", str(file)]
    checked = az("deployment", scope, "validate", *common)
    assert checked["properties"]["provisioningState"] == "Succeeded"
    assert az("deployment", scope, "what-if", *common, "--no-pretty-print")["changes"] == []
    made = az("deployment", scope, "create", *common, "-n", name)
    assert made["properties"]["outputs"]["where"]["value"] == "eastus"
    assert name in [d["name"] for d in az("deployment", scope, "list", *at)]
    assert az("deployment", scope, "show", *at, "-n", name)["name"] == name
    assert az("deployment", "operation", scope, "list", *at, "-n", name)
    assert "Succeeded" in az("deployment", scope, "cancel", *at, "-n", name, ok=False)
    az("deployment", scope, "delete", *at, "-n", name)


@newest_only
def test_stacks(az, instance, group):
    name = unique("az")
    common = ["-g", group, "-n", "s", "--template-file", os.path.join(GALLERY, "registry.json"),
              "--parameters", f"acrName={name}", "--action-on-unmanage", "deleteAll",
              "--deny-settings-mode", "none"]
    assert az("stack", "group", "validate", *common)["properties"]["validatedResources"]
    made = az("stack", "group", "create", *common, "--yes")
    assert made["provisioningState"] == "succeeded"
    assert [r["id"] for r in made["resources"]] == [instance.registry_id(group, name)]
    assert [s["name"] for s in az("stack", "group", "list", "-g", group)] == ["s"]
    assert az("stack", "group", "show", "-g", group, "-n", "s")["name"] == "s"
    exported = az("stack", "group", "export", "-g", group, "-n", "s")
    assert "resources" in exported["template"]
    az("stack", "group", "delete", "-g", group, "-n", "s", "--action-on-unmanage", "deleteAll",
           "--yes")
    eventually(lambda: instance.arm("GET", instance.registry_id(group, name)).status_code == 404)
