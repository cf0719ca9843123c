"""Real templates on a whole instance: those of the corpus that are made of types this service has are
found by the test itself, deployed, and looked at again by what-if, which must see no change."""

import json
import os
import re
import uuid

import pytest

from support.deployments import ACR, Scope, V, acr, template as template_of
from support.instance import GROUPS_API, OperationFailed
from support.vault import own_object_id

CORPUS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared", "templates", "corpus")
DEPLOYED_AT_LEAST = 36
BESIDE = {"microsoft.resources/deployments", "microsoft.authorization/roleassignments",
          "microsoft.authorization/roledefinitions", "microsoft.authorization/locks",
          "microsoft.insights/diagnosticsettings", "microsoft.resources/resourcegroups",
          f"{ACR}/providers/diagnosticsettings".lower()}


def network(name, prefix):
    return {"type": "Microsoft.Network/virtualNetworks", "apiVersion": "2023-09-01", "name": name,
            "location": "eastus", "properties": {
                "addressSpace": {"addressPrefixes": [prefix]},
                "subnets": [{"name": "default", "properties": {"addressPrefix": prefix}}]}}


def zone(name):
    return {"type": "Microsoft.Network/privateDnsZones", "apiVersion": "2020-06-01", "name": name,
            "location": "global", "properties": {}}


def vault(name):
    return {"type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": name,
            "location": "eastus", "properties": {
                "tenantId": "[subscription().tenantId]", "accessPolicies": [],
                "sku": {"family": "A", "name": "standard"}}}


def premium(name):
    return acr(name, sku={"name": "Premium"})


SECRET = "https://contoso.vault.portolan.localhost/secrets/"
# What the author of a template means to be there already, from the values of its parameters.
BEFORE = {
    "registry/credential-set/main.json": lambda v: [premium(v["registryName"])],
    "registry/scope-map/main.json": lambda v: [premium(v["registryName"])],
    "private-dns-zone/mx/main.json": lambda v: [zone(v["privateDnsZoneName"])],
    "private-dns-zone/txt/main.json": lambda v: [zone(v["privateDnsZoneName"])],
    "nestedtemplates/dns_record.json": lambda v: [zone(v["privateDnsZoneName"])],
    "nestedtemplates/private_dns.json": lambda v: [network(v["virtualNetworkName"], "10.1.0.0/16")],
    "nestedtemplates/private_link.json": lambda v: [premium(v["resourceName"]),
                                                    network("corpus", "10.1.0.0/16")],
    "existing-vnet-to-vnet-peering/main.json": lambda v: [
        network(v["localVnetName"], "10.1.0.0/16"), network(v["remoteVnetName"], "10.2.0.0/16")],
    "ImportPipelines/azuredeploy.json": lambda v: [premium(v["registryName"]),
                                                   vault(v["keyVaultName"])],
    "schema-confusion-keyvault.json": lambda v: [vault(v["keyVaultName"])],
}
# And values that the constraints do not tell.
MEANT = {
    "registry/credential-set/main.json": {"loginServer": "docker.io", "authCredentials": [{
        "name": "Credential1", "usernameSecretIdentifier": SECRET + "user",
        "passwordSecretIdentifier": SECRET + "password"}]},
    "ImportPipelines/azuredeploy.json": {
        "sourceUri": "https://corpus.blob.portolan.localhost/transfer", "sasTokenSecretName": "sas"},
    "registry/scope-map/main.json": {"actions": ["repositories/x/content/read"]},
    "aztraining-acr/acr.json": {"registryApiVersion": "2023-07-01", "registrySku": "Premium",
                                "zoneRedundancy": "Disabled", "publicNetworkAccess": "Enabled"},
    "nestedtemplates/dns_record.json": {"privateLinkNicIpConfig": {"properties": {
        "privateIPAddress": "10.0.0.4",
        "privateLinkConnectionProperties": {"fqdns": ["a.example", "b.example"]}}}},
    "nestedtemplates/vnet.json": {"virtualNetworkAddressRange": "10.3.0.0/16",
                                  "subnetRange": "10.3.1.0/24"},
    "nestedtemplates/private_link.json": {
        "resourceType": ACR, "groupType": "registry",
        "subnet": "[GROUP]/providers/Microsoft.Network/virtualNetworks/corpus/subnets/default"},
    "existing-vnet-to-vnet-peering/main.json": {"remoteVnetRg": "[NAME]"},
    "resourceGroupTemplates/privateDnsZones.json": {"connectivityHubResourceId": ""},
}


def of_file(table, file):
    return next((v for k, v in table.items() if file.endswith(k)), None)


def lenient(text):
    """JSON as templates have it: with comments, and line ends inside strings."""
    plain = re.sub(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or " ", text,
                   flags=re.S)
    return json.loads(plain, strict=False)


def inner(resource):
    body = resource.get("properties")
    body = body.get("template") if isinstance(body, dict) else None
    return body if isinstance(body, dict) else None


def types_of(resources, parent=""):
    """Every type that a template speaks of, nested templates' included; None for a linked one."""
    for one in list(resources.values()) if isinstance(resources, dict) else resources:
        if not isinstance(one, dict):
            continue
        name = f"{parent}{one.get('type', '')}".rstrip("/").lower()
        yield name
        yield from types_of(one.get("resources") or [], name + "/")
        if name == "microsoft.resources/deployments":
            yield from types_of(inner(one)["resources"]) if inner(one) else [None]


def value_for(template, schema, depth=0):
    """Some value within the constraints of a parameter."""
    if "$ref" in schema and depth < 12:
        wanted = schema["$ref"].rsplit("/", 1)[1]
        return value_for(template, template.get("definitions", {}).get(wanted, {}), depth + 1)
    kind = schema.get("type", "string").lower()
    if schema.get("allowedValues") and kind != "array":
        return schema["allowedValues"][0]
    if kind == "int":
        return schema.get("minValue", 1)
    if kind == "bool":
        return True
    if kind == "array":
        return [value_for(template, schema.get("items") or {}, depth + 1)
                for _ in range(schema.get("minLength", 0))]
    if kind in ("object", "secureobject"):
        return {k: value_for(template, v, depth + 1)
                for k, v in schema.get("properties", {}).items() if not v.get("nullable")}
    length = min(schema.get("maxLength", 24), max(schema.get("minLength", 0), 8))
    return ("corpus" + uuid.uuid4().hex * 4)[:length]


def values_for(template, me):
    """Of what has no default; and places this instance has, a principal it knows."""
    values = {}
    for name, schema in template.get("parameters", {}).items():
        is_text = schema.get("type", "").lower() == "string" and "allowedValues" not in schema
        if is_text and name.lower().endswith("location"):
            values[name] = {"value": "eastus"}
        elif is_text and name.lower() in ("principalid", "principleid", "objectid"):
            values[name] = {"value": me}
        elif is_text and name.lower() == "privatednszonename":
            values[name] = {"value": f"{uuid.uuid4().hex[:8]}.example"}
        elif "defaultValue" not in schema and not schema.get("nullable"):
            values[name] = {"value": value_for(template, schema)}
    return values


def candidates(instance):
    """(file, template, scope) of what this service could deploy."""
    known = set(BESIDE)
    for provider in instance.arm("GET", f"/subscriptions/{instance.subscription}/providers",
                                 api=GROUPS_API).json()["value"]:
        known |= {f"{provider['namespace']}/{t['resourceType']}".lower()
                  for t in provider["resourceTypes"]}
    with open(os.path.join(CORPUS, "INDEX.json"), encoding="utf-8") as f:
        entries = json.load(f)
    for entry in entries:
        try:
            with open(os.path.join(CORPUS, entry["file"]), encoding="utf-8-sig") as f:
                template = lenient(f.read())
        except ValueError:
            continue  # wrong on purpose
        found = set(types_of(template.get("resources") or []))
        if found and found <= known:
            yield entry["file"], template, entry["scope"]


def deploy(instance, scope, template, values):
    """None, or why it cannot be deployed here."""
    name = f"c{uuid.uuid4().hex[:8]}"
    body = {"properties": {"mode": "Incremental", "template": template, "parameters": values}}
    reply = scope.call("PUT", name, body)
    if reply.status_code not in (200, 201):
        return reply.json()["error"]
    try:
        instance.finish(reply, timeout=120)
    except OperationFailed as e:
        return json.loads(str(e))["error"]
    return None


def changes(instance, scope, template, values):
    body = {"properties": {"mode": "Incremental", "template": template, "parameters": values}}
    reply = instance.finish(scope.call("POST", "look", body, what="/whatIf"))
    return [c for c in reply.json()["properties"]["changes"]
            if c["changeType"] not in ("NoChange", "Ignore")]


def made_groups(instance, scope):
    """The groups that deployments of the scope made."""
    for one in instance.arm("GET", scope.path, api=V).json()["value"]:
        for made in one["properties"].get("outputResources", []):
            if made["id"].count("/") == 4:
                yield made["id"]


@pytest.mark.skipif(not os.path.isdir(CORPUS), reason="there is no corpus beside the checkout")
def test_a_second_what_if_sees_no_change(instance, tell):
    deployed, noisy, left_out = [], {}, {}
    me = own_object_id(instance)
    for file, template, level in candidates(instance):
        group = instance.make_group()
        subscription = f"/subscriptions/{instance.subscription}"
        scope = Scope(instance, subscription, "eastus") if level == "subscription" else \
            Scope(instance, instance.group_id(group))
        values = values_for(template, me)
        for name, value in (of_file(MEANT, file) or {}).items():
            text = json.dumps(value).replace("[GROUP]", instance.group_id(group))
            text = text.replace("[NAME]", group)
            values[name] = {"value": json.loads(text)}
        before = of_file(BEFORE, file)
        if before:
            there = template_of(before({k: v["value"] for k, v in values.items()}))
            assert deploy(instance, scope, there, {}) is None, file
        why = deploy(instance, scope, template, values)
        if why:
            left_out[file] = why
        else:
            deployed.append(file)
            changed = changes(instance, scope, template, values)
            if changed:
                noisy[file] = changed
        gone = {instance.group_id(group), *(made_groups(instance, scope)
                                            if level == "subscription" else [])}
        for one in gone:
            instance.arm("DELETE", one, api=GROUPS_API)
    tell(f"{len(deployed)} deployed: {', '.join(deployed)}")
    for file, why in left_out.items():
        tell(f"left out: {file}: {json.dumps(why)[:200]}")
    assert noisy == {}, json.dumps(noisy, indent=1)[:6000]
    assert len(deployed) >= DEPLOYED_AT_LEAST, deployed
