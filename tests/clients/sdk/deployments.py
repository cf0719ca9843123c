"""Drives deployments, stacks and template specs with azure-mgmt-resource; each step prints a line."""

import json
import os
import sys

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.resource import ResourceManagementClient
from azure.mgmt.resource.deploymentstacks import DeploymentStacksClient
from azure.mgmt.resource.templatespecs import TemplateSpecsClient

management = os.environ["PORTOLAN_MANAGEMENT"]
subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
group, name, file = sys.argv[1:4]
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)
common = {"base_url": management, "credential_scopes": [management + "/.default"],
          "polling_interval": 0.2}
resources = ResourceManagementClient(credential, subscription, **common)
stacks = DeploymentStacksClient(credential, subscription, **common).deployment_stacks
specs = TemplateSpecsClient(credential, subscription, **common)
deployments = resources.deployments
with open(file, encoding="utf-8") as f:
    template = json.load(f)
parameters = {"acrName": {"value": name}}
wanted = {"properties": {"mode": "Incremental", "template": template, "parameters": parameters}}


def told(what, good):
    assert good, what
    print(what, flush=True)


resources.resource_groups.create_or_update(group, {"location": "eastus"})
checked = deployments.begin_validate(group, "one", wanted).result()
told("validate", checked.error is None and checked.properties.provisioning_state == "Succeeded")
seen = deployments.begin_what_if(group, "one", wanted).result()
told("what if", [c.change_type for c in seen.changes] == ["Create"])
made = deployments.begin_create_or_update(group, "one", wanted).result()
told("create", made.properties.provisioning_state == "Succeeded"
     and made.properties.outputs["acrLoginServer"]["value"].startswith(name))
seen = deployments.begin_what_if(group, "one", wanted).result()
told("what if again", [c.change_type for c in seen.changes] == ["NoChange"])
told("get", deployments.get(group, "one").properties.mode == "Incremental")
told("exists", deployments.check_existence(group, "one") is True)
told("list", [d.name for d in deployments.list_by_resource_group(group)] == ["one"])
told("export", deployments.export_template(group, "one").template["parameters"].keys()
     == template["parameters"].keys())
told("operations", len(list(resources.deployment_operations.list(group, "one"))) == 2)
told("hash", deployments.calculate_template_hash(template).template_hash
     == made.properties.template_hash)
try:
    deployments.cancel(group, "one")
    told("cancel", False)
except HttpResponseError as e:
    told("cancel", e.error.code == "DeploymentCannotBeCancelled")
deployments.begin_delete(group, "one").result()
told("delete", deployments.check_existence(group, "one") is False)

stack = {"properties": {"template": template, "parameters": parameters,
                        "actionOnUnmanage": {"resources": "delete"},
                        "denySettings": {"mode": "none"}}}
checked = stacks.begin_validate_stack_at_resource_group(group, "s", stack).result()
told("stack validate", len(checked.properties.validated_resources) == 1)
made = stacks.begin_create_or_update_at_resource_group(group, "s", stack).result()
told("stack create", made.provisioning_state == "succeeded"
     and len(made.resources) == 1)
told("stack list", [s.name for s in stacks.list_at_resource_group(group)] == ["s"])
told("stack export", stacks.export_template_at_resource_group(group, "s").template["resources"])
stacks.begin_delete_at_resource_group(group, "s", unmanage_action_resources="delete").result()
told("stack delete", list(stacks.list_at_resource_group(group)) == []
     and list(resources.resources.list_by_resource_group(group)) == [])

specs.template_specs.create_or_update(group, "spec", {"location": "eastus"})
version = specs.template_spec_versions.create_or_update(
    group, "spec", "1.0", {"location": "eastus", "main_template": template})
told("template spec", specs.template_spec_versions.get(group, "spec", "1.0").main_template
     == template)
made = deployments.begin_create_or_update(group, "spec", {"properties": {
    "mode": "Incremental", "templateLink": {"id": version.id}, "parameters": parameters}}).result()
told("from a spec", made.properties.template_link.id == version.id)
resources.resource_groups.begin_delete(group).result()
told("group delete", resources.resource_groups.check_existence(group) is False)
