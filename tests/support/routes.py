"""Requests on what the tables of routes name, for tests that try all of them."""

import os
import re
import uuid

from support.directory import AUTHORIZATION, ROLES_API
from support.networks import NETWORK_API
from support.rawhttp import sha256

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")
# The newest version each family of routes takes; resources take their type's newest.
VERSIONS = (("/locks", "2020-05-01"), ("/roleAssignments", ROLES_API), ("/roleDefinitions", ROLES_API),
            ("Microsoft.Resources/deploymentStacks", "2024-03-01"), ("/tagNames", "2021-04-01"),
            ("/deployments", "2024-11-01"), ("eventtypes", "2015-04-01"),
            ("Microsoft.Insights/", "2021-05-01-preview"), ("Microsoft.KeyVault/", "2023-07-01"),
            ("Microsoft.Network/", NETWORK_API),
            ("", "2021-04-01"))
TEMPLATE = {"location": "eastus", "properties": {"mode": "Incremental", "template": {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0", "resources": []}}}
STAYS = "Microsoft.Resources"  # a provider that cannot be unregistered, by whoever may


def table(name):
    """Rows of the first table of a generated page."""
    with open(os.path.join(ROOT, "docs", "generated", name), encoding="utf-8") as text:
        found = next(part for part in text.read().split("\n\n") if part.startswith("|"))
        for line in found.splitlines()[2:]:
            yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def endpoint_requests(instance, group):
    """(permission, is it any right that will do, method, path, api, body) of each route with a row."""
    names = {"subscription": instance.subscription, "group": group, "scope*": instance.group_id(group)[1:],
             "management": instance.tenant, "provider": STAYS, "location": "eastus", "kind": "add",
             "name": "nobody1", "value": "nobody1", "deployment": "matrix", "stack": "nobody1",
             "vault": "nobody1", "operation": str(uuid.uuid4()), "resource*": "resourceGroups/nobody1"}
    for method, pattern, _, needs in table("routes.md"):
        right = re.match(r"[\w.]+/[\w/]+|\{provider\}/[\w/]+", needs.strip("`"))
        if not right:
            assert needs in ("nothing", "a token", "the type's permission") or "{type}" in needs, needs
            continue
        if AUTHORIZATION in pattern and "Lock" not in pattern:
            names["name"] = str(uuid.uuid4())
        path = re.sub(r"\{([^}]+)\}", lambda m: names[m[1]], pattern)
        api = next(version for part, version in VERSIONS if part in pattern)
        yield (right[0].replace("{provider}", STAYS), "any right" in needs, method, path, api,
               TEMPLATE if "deployments" in pattern else {})


def data_routes():
    """(who may, rights, method, path) of each route of a data plane, on content that is not there."""
    with open(os.path.join(ROOT, "dataplane", "routes.c"), encoding="utf-8") as text:
        source = text.read()
    for name, body in re.findall(r"^#define (REPOSITORY|SESSION)\s+(.*)$", source, re.M):
        source = re.sub(rf"(ROW\(\w+, ){name}\b", lambda m, b=body: m[1] + b, source)
    rows = dict(re.findall(r"^ROW\((\w+),\s*(.*?)\);$", source, re.M | re.S))
    kinds = re.findall(r'METADATA\("([^"]+)",\s*(\w*)\)', source)
    routes = re.findall(r'(?:PLAIN|BODY|STREAM)\("(\w+)",\s*"([^"]+)",\s*(\w+)', source)
    for base, kind in kinds:
        routes += [("GET", base + "/_metadata", f"{kind}metadata_list"),
                   *((m, base + "/_metadata/{key}", f"{kind}metadata_{m.lower()}")
                     for m in ("GET", "PUT", "DELETE"))]
    names = {"name*": "matrix/nobody", "digest": sha256(b"nobody"), "reference": "v1", "tag": "v1",
             "session": str(uuid.uuid4()), "key": "k"}
    for method, pattern, row in routes:
        access = re.search(r"\.access = ACCESS_(\w+)", rows[row])[1]
        rights = [access] if access.endswith("CATALOG") else re.findall(r"ACT_(\w+)", rows[row])
        yield access, rights, method, re.sub(r"\{([^}]+)\}", lambda m: names[m[1]], pattern)
