"""Drives the management API with the published Python libraries; each step prints a line."""

import os
import sys

from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.containerregistry import ContainerRegistryManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

management = os.environ["PORTOLAN_MANAGEMENT"]
subscription = os.environ["AZURE_SUBSCRIPTION_ID"]
group, name = sys.argv[1:3]
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)
common = {"base_url": management, "credential_scopes": [management + "/.default"],
          "polling_interval": 0.2}
resources = ResourceManagementClient(credential, subscription, **common)
acr = ContainerRegistryManagementClient(credential, subscription, **common)


def told(what, good):
    assert good, what
    print(what, flush=True)


made = resources.resource_groups.create_or_update(group, {"location": "eastus", "tags": {"a": "b"}})
told("group create", made.name == group and made.tags == {"a": "b"})
told("group exists", resources.resource_groups.check_existence(group) is True)
told("group list", group in [g.name for g in resources.resource_groups.list()])
answer = acr.registries.check_name_availability(
    {"name": name, "type": "Microsoft.ContainerRegistry/registries"})
told("name available", answer.name_available is True)

registry = acr.registries.begin_create(group, name, {
    "location": "eastus", "sku": {"name": "Premium"},
    "properties": {"adminUserEnabled": True, "dataEndpointEnabled": True}}).result()
told("registry create", registry.provisioning_state == "Succeeded"
     and registry.login_server.startswith(name))
registry = acr.registries.begin_update(group, name, {"tags": {"x": "y"}}).result()
told("registry update", registry.tags == {"x": "y"})
told("registry get", acr.registries.get(group, name).sku.name == "Premium")
told("registry list", [r.name for r in acr.registries.list_by_resource_group(group)] == [name])
told("usages", len(acr.registries.list_usages(group, name).value) > 3)
told("credentials", len(acr.registries.list_credentials(group, name).passwords) == 2)
again = acr.registries.regenerate_credential(group, name, {"name": "password2"})
told("regenerate", len(again.passwords) == 2)
told("private link resources",
     "registry" in [r.name for r in acr.registries.list_private_link_resources(group, name)])


def child(operations, kind, key, body, update, check, has_update=True):
    """Create, update, get, list and delete of one type."""
    create = getattr(operations, "begin_create", None) or operations.create
    it = create(group, name, key, body)
    it = it.result() if hasattr(it, "result") else it
    told(f"{kind} create", it.name == key and it.provisioning_state == "Succeeded")
    if has_update:
        change = getattr(operations, "begin_update", None) or operations.update
        it = change(group, name, key, update)
        it = it.result() if hasattr(it, "result") else it
        told(f"{kind} update", check(it))
    told(f"{kind} get", operations.get(group, name, key).id == it.id)
    told(f"{kind} list", key in [x.name for x in operations.list(group, name)])
    return it


def gone(operations, kind, key):
    remove = getattr(operations, "begin_delete", None) or operations.delete
    it = remove(group, name, key)
    if hasattr(it, "result"):
        it.result()
    told(f"{kind} delete", key not in [x.name for x in operations.list(group, name)])


scope_map = child(acr.scope_maps, "scope map", "mymap", {"properties": {
    "actions": ["repositories/app/content/read"]}},
    {"properties": {"description": "reads app"}}, lambda it: it.description == "reads app")
token = child(acr.tokens, "token", "mytoken", {"properties": {
    "scopeMapId": scope_map.id, "status": "enabled"}},
    {"properties": {"status": "disabled"}}, lambda it: it.status == "disabled")
secrets = acr.registries.begin_generate_credentials(group, name, {"tokenId": token.id}).result()
told("generate credentials", len(secrets.passwords) == 2 and secrets.passwords[0].value)
child(acr.webhooks, "webhook", "myhook", {
    "location": "eastus", "properties": {"serviceUri": "https://example.org/hook",
                                         "actions": ["push"], "status": "disabled"}},
    {"properties": {"scope": "app:*"}}, lambda it: it.scope == "app:*")
told("webhook callback", acr.webhooks.get_callback_config(
    group, name, "myhook").service_uri == "https://example.org/hook")
told("webhook events", list(acr.webhooks.list_events(group, name, "myhook")) == [])
child(acr.replications, "replication", "westeurope", {"location": "westeurope"},
      {"tags": {"r": "s"}}, lambda it: it.tags == {"r": "s"})
rule_set = child(acr.credential_sets, "credential set", "mycreds", {"properties": {
    "loginServer": "docker.io", "authCredentials": [{
        "name": "Credential1",
        "usernameSecretIdentifier": "https://v.vault.example.org/secrets/u",
        "passwordSecretIdentifier": "https://v.vault.example.org/secrets/p"}]},
    "identity": {"type": "SystemAssigned"}},
    {"properties": {"authCredentials": [{
        "name": "Credential1",
        "usernameSecretIdentifier": "https://v.vault.example.org/secrets/u2",
        "passwordSecretIdentifier": "https://v.vault.example.org/secrets/p"}]}},
    lambda it: it.auth_credentials[0].username_secret_identifier.endswith("u2"))
child(acr.cache_rules, "cache rule", "myrule", {"properties": {
    "sourceRepository": "docker.io/library/alpine", "targetRepository": "alpine"}},
    {"properties": {"credentialSetResourceId": rule_set.id}},
    lambda it: it.credential_set_resource_id == rule_set.id)
child(acr.connected_registries, "connected registry", "myedge", {"properties": {
    "mode": "ReadOnly", "parent": {"syncProperties": {
        "tokenId": token.id, "messageTtl": "P2D"}}}},
    {"properties": {"logging": {"logLevel": "Debug"}}},
    lambda it: it.logging.log_level == "Debug")
acr.connected_registries.begin_deactivate(group, name, "myedge").result()
told("connected registry deactivate", True)
told("private endpoint connection list",
     list(acr.private_endpoint_connections.list(group, name)) == [])
try:
    acr.registries.begin_import_image(group, name, {"source": {
        "resourceId": registry.id, "sourceImage": "no/such:image"}}).result()
    told("import", False)
except HttpResponseError as problem:
    told("import", "SourceImageNotFound" in str(problem))
for operations, kind, key in ((acr.connected_registries, "connected registry", "myedge"),
                              (acr.cache_rules, "cache rule", "myrule"),
                              (acr.credential_sets, "credential set", "mycreds"),
                              (acr.replications, "replication", "westeurope"),
                              (acr.webhooks, "webhook", "myhook"),
                              (acr.tokens, "token", "mytoken"),
                              (acr.scope_maps, "scope map", "mymap")):
    gone(operations, kind, key)

told("operations list", any(o.name.endswith("registries/read") for o in acr.operations.list()))
told("resources list", name in [r.name for r in resources.resources.list_by_resource_group(group)])
acr.registries.begin_delete(group, name).result()
told("registry delete", list(acr.registries.list_by_resource_group(group)) == [])
resources.resource_groups.begin_delete(group).result()
told("group delete", resources.resource_groups.check_existence(group) is False)
