"""API descriptions as schemathesis can play them against an instance: one file each, without references
to others, with names in their paths that are there (or may come and go) instead of any text."""

import json
import os

from support import contract
from support.instance import GROUPS_API
from support.networks import Networks

DOCUMENT = os.path.join(contract.ROOT, "docs", "generated", "openapi.json")
REGISTRIES = "specification/containerregistry/resource-manager/Microsoft.ContainerRegistry"
PUBLISHED = {
    "registries-2025-11-01": "derived/containerregistry-2025-11-01.derived.json",
    "registries-2023-07-01": f"{REGISTRIES}/stable/2023-07-01/containerregistry.json",
    "registries-preview": f"{REGISTRIES}/preview/2023-11-01-preview/containerregistry.json",
    "tasks": f"{REGISTRIES}/preview/2019-06-01-preview/containerregistry_build.json",
    "resources": "specification/resources/resource-manager/Microsoft.Resources/stable/2024-03-01/"
                 "resources.json",
    "locks": "specification/resources/resource-manager/Microsoft.Authorization/stable/2020-05-01/"
             "locks.json",
    "identities": "specification/msi/resource-manager/Microsoft.ManagedIdentity/stable/2023-01-31/"
                  "ManagedIdentity.json",
}
# Values that get a request past the first checks, by the member's name; all else is schemathesis's to
# choose. They hold for requests only.
ACTIONS = ["repositories/team/app/content/read", "repositories/*/content/write",
           "repositories/a/metadata/read", "gateway/first1/config/read"]
PLAUSIBLE = {
    "location": ["eastus", "westus2", "westeurope"],
    "serviceUri": ["http://127.0.0.1:9/hook", "https://hooks.example/x"],
    "sourceRepository": ["docker.io/library/*", "docker.io/library/busybox", "registry.example/a/b"],
    "targetRepository": ["cached/*", "cached/busybox"],
    "loginServer": ["docker.io", "registry.example"],
    "usernameSecretIdentifier": ["https://one.vault.azure.net/secrets/user"],
    "passwordSecretIdentifier": ["https://one.vault.azure.net/secrets/password"],
    "keyIdentifier": ["https://one.vault.azure.net/keys/key"],
    "expiry": ["2120-01-01T00:00:00Z", "2020-01-01T00:00:00Z"],
    "schedule": ["* * * * *", "0 9 * * 1"],
    "syncWindow": ["PT3H", "P1D"],
    "messageTtl": ["P2D"],
    "dockerFilePath": ["Dockerfile"],
    "contextPath": ["https://git.example/a.git"],
    "taskFilePath": ["task.yaml"],
}
NAMES = ["first1", "second2", "third3"]
LOCKS_API = "2020-05-01"
METHODS = ("get", "head", "put", "patch", "post", "delete")


class Bundle:
    """A description with what it refers to in other files taken in."""

    def __init__(self, path):
        self.text = json.loads(json.dumps(contract.load(path)))
        self.is_swagger = "swagger" in self.text
        self.root, self.names, self.schemas = path, {}, {}
        self.prefix = "#/definitions/" if self.is_swagger else "#/components/schemas/"
        home = self.text if self.is_swagger else self.text["components"]
        part = "definitions" if self.is_swagger else "schemas"
        for name, schema in home.get(part, {}).items():
            self.schemas[name] = self.taken(schema, path)
        self.text["paths"] = self.taken(self.text["paths"], path)
        # What has no content has no type, which a description cannot say.
        for methods in self.text["paths"].values():
            methods.get("delete", {}).pop("produces", None)
            for method in METHODS:  # some tell of success only
                methods.get(method, {}).get("responses", {}).setdefault(
                    "default", {"description": "Why not."})
        self.text.pop("produces", None)
        self.text.pop("parameters", None)  # each stands where it was referred to
        home[part] = self.schemas

    def taken(self, node, base):
        """The node with every reference into another file led to a copy of what stands there."""
        if isinstance(node, list):
            return [self.taken(item, base) for item in node]
        if not isinstance(node, dict):
            return node
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return {k: self.taken(v, base) for k, v in node.items() if k != "x-ms-examples"}
        file, _, pointer = reference.partition("#")
        path = os.path.realpath(os.path.join(os.path.dirname(base), file)) if file else base
        if path == self.root and not pointer.startswith("/parameters/"):
            return {"$ref": "#" + pointer}
        target = contract.load(path)
        for part in pointer.strip("/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        if pointer.startswith("/parameters/"):
            return self.taken(target, path)
        name = self.names.get((path, pointer))
        if name is None:
            name = f"taken{len(self.names)}-{pointer.rsplit('/', 1)[-1]}"
            self.names[path, pointer] = name
            self.schemas[name] = {}
            self.schemas[name] = self.taken(target, path)
        return {"$ref": self.prefix + name}

    def parameters(self):
        """(method, path, parameter) of every operation; those that a path shares belong to each."""
        for path, methods in self.text["paths"].items():
            shared = methods.pop("parameters", [])
            for method in METHODS:
                if method in methods:
                    told = methods[method].setdefault("parameters", [])
                    told += json.loads(json.dumps(shared))
                    for parameter in told:
                        yield method, path, parameter

    def keep(self, is_around):
        """Of our own description: what is around resources, which has no schemas, or all else."""
        for url, methods in list(self.text["paths"].items()):
            if any("2XX" in methods[m]["responses"] for m in METHODS if m in methods) != is_around:
                del self.text["paths"][url]

    def place(self, mark, path):
        """Puts a path of several segments in the place of a parameter."""
        self.text["paths"] = {url.replace(mark, path): methods for url, methods in self.text["paths"].items()}
        for url, methods in self.text["paths"].items():
            for operation in methods.values():
                if isinstance(operation, dict) and path in url:
                    operation["parameters"] = [p for p in operation.get("parameters", [])
                                               if "{" + p.get("name", "") + "}" != mark]

    def let_send(self, sent):
        """Gives the bodies of requests schemas of their own."""
        for methods in self.text["paths"].values():
            for method in METHODS:
                for parameter in methods.get(method, {}).get("parameters", []):
                    if parameter["in"] == "body":
                        parameter["schema"] = sent.copy(parameter["schema"])
                for media in methods.get(method, {}).get("requestBody", {}).get("content", {}).values():
                    media["schema"] = sent.copy(media["schema"])

    def fix(self, values):
        """Lets parameters have only these values: values(method, path, name) is a list, or None."""
        for method, path, parameter in self.parameters():
            if parameter["in"] not in ("path", "query"):
                continue
            wanted = values(method, path, parameter["name"])
            if parameter["name"] == "api-version" and self.is_swagger:
                wanted = [self.text["info"]["version"]]
            if wanted is None:
                continue
            schema = parameter if self.is_swagger else parameter["schema"]
            for key in ("pattern", "minLength", "maxLength", "format"):
                schema.pop(key, None)
            schema["enum"] = wanted


class Sent:
    """Copies of what request bodies refer to, in which some members have values that are plausible."""

    def __init__(self, bundle, plausible):
        self.bundle, self.plausible = bundle, plausible

    def copy(self, node, name=None):
        if isinstance(node, list):
            return [self.copy(item) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return {"$ref": self.named(node["$ref"].removeprefix(self.bundle.prefix))}
        out = {k: self.copy(v, k) for k, v in node.items() if k != "properties"}
        for key, schema in node.get("properties", {}).items():
            out.setdefault("properties", {})[key] = self.member(key, schema)
        return out

    def member(self, key, schema):
        values = self.plausible.get(key)
        if values and schema.get("type") == "string":
            return {"type": "string", "enum": values}
        if values and schema.get("type") == "array" and schema["items"].get("type") == "string":
            return {"type": "array", "maxItems": 5, "items": {"type": "string", "enum": values}}
        return self.copy(schema)

    def named(self, name):
        sent = f"sent-{name}"
        if sent not in self.bundle.schemas:
            self.bundle.schemas[sent] = {}
            self.bundle.schemas[sent] = self.copy(self.bundle.schemas[name])
        return self.bundle.prefix + sent


class Playground:
    """What the operations find: one group and registry that stay, others that come and go."""

    def __init__(self, instance):
        self.instance = instance
        self.group = instance.make_group()
        self.registry = instance.make_registry(self.group, sku="Premium",
                                               dataEndpointEnabled=True).name
        self.parents = self.make_parents()
        # What extends any resource is tried on one that nothing else needs.
        self.scope = f"{self.instance.group_id(self.group)}/providers/Microsoft.Network/" \
                     f"virtualNetworks/{self.parents['virtualNetworksName']}"
        self.plausible = {**PLAUSIBLE, **self.made()}

    def remove(self):
        for lock in self.instance.arm("GET", f"{self.scope}/providers/Microsoft.Authorization/locks",
                                      api=LOCKS_API).json()["value"]:
            self.instance.arm("DELETE", lock["id"], api=LOCKS_API)
        self.instance.arm("DELETE", self.instance.group_id(self.group), api=GROUPS_API)

    def make_parents(self):
        """What stands above others, by the name of its parameter in our own description."""
        networks = Networks(self.instance, self.group)
        networks.network("apart")
        networks.endpoint("private", self.instance.registry_id(self.group, self.registry),
                          networks.subnet_id("apart", "apps"))
        for path, api in (("Microsoft.Network/privateDnsZones/zone.example", "2020-06-01"),
                          ("Microsoft.Resources/templateSpecs/spec", "2022-02-01")):
            where = "global" if "Zones" in path else "eastus"
            reply = self.instance.arm("PUT", f"{self.instance.group_id(self.group)}/providers/{path}",
                                      {"location": where}, api=api)
            assert reply.status_code in (200, 201, 202), reply.text
            self.instance.finish(reply)
        return {"virtualNetworksName": "apart", "privateEndpointsName": "private",
                "privateDnsZonesName": "zone.example", "templateSpecsName": "spec"}

    def made(self):
        """Ids that bodies may name."""
        below = self.instance.registry_id(self.group, self.registry)
        ids = {kind: [f"{below}/{kind}/{name}" for name in NAMES]
               for kind in ("scopeMaps", "tokens", "credentialSets", "importPipelines")}
        return {"scopeMapId": ids["scopeMaps"], "tokenId": ids["tokens"], "syncTokenId": ids["tokens"],
                "clientTokenIds": ids["tokens"], "actions": ACTIONS,
                "credentialSetResourceId": ids["credentialSets"],
                "pipelineResourceId": ids["importPipelines"]}

    def values(self, method, path, name):
        last = path.endswith(f"{{{name}}}")
        if name == "subscriptionId":
            return [self.instance.subscription]
        if name in ("resourceGroupName", "resourceGroup"):
            return ["comesandgoes"] if last and method != "get" else [self.group]
        if name in ("registryName", "registriesName"):
            return ["comesandgoes1", "comesandgoes2"] if last and method != "get" else [self.registry]
        if name in self.parents and not last:
            return [self.parents[name]]
        if name == "privateEndpointConnectionName":
            rows = self.instance.arm("GET", self.instance.registry_id(self.group, self.registry) +
                                     "/privateEndpointConnections").json()["value"]
            return [*NAMES, *(row["name"] for row in rows)]
        if name == "provider":
            return ["Microsoft.ContainerRegistry", "Microsoft.Network", "Microsoft.Nowhere"]
        if (name.endswith("Name") or name in ("name", "deployment", "stack")) and "{" + name + "}" in path:
            return NAMES
        return None

    def written(self, path, folder, name):
        bundle = Bundle(path)
        # schemathesis follows ids in answers, and would take away what everything else stands on.
        for url, methods in bundle.text["paths"].items():
            if url.endswith(("{resourceGroupName}", "{registryName}", "{registriesName}")):
                methods.pop("delete", None)
            # So would a provider that is unregistered.
            if url.endswith("/unregister"):
                methods.pop("post")
        if path == DOCUMENT:
            bundle.keep(is_around=name == "around")
        bundle.place("{scope}", self.scope.strip("/"))
        bundle.place("{resource}", f"resourceGroups/{self.group}")
        bundle.fix(self.values)
        bundle.let_send(Sent(bundle, self.plausible))
        out = os.path.join(folder, f"{name}.json")
        with open(out, "w", encoding="utf-8") as f:
            json.dump(bundle.text, f)
        return out
