"""One resource of every type: how each is asked for, in an order in which each finds what it names."""

import re

from support import tables
from support.instance import OperationFailed

ACR, NET = "Microsoft.ContainerRegistry", "Microsoft.Network"
ZONE = "privateDnsZones/every.test"
SECRET = "https://v.vault.example/secrets/s"


class Kind:
    """path: below the provider, with the names: {R} is the registry's. body: of a PUT, with <path> where the id
    of another is meant. settle: the operation's failure, of what is taken and not carried out."""

    def __init__(self, provider, path, body=None, patch=None, settle=None, made_by=None, kept=False):
        self.provider, self.path, self.body, self.patch = provider, path, body or {}, patch
        self.settle, self.made_by = settle, made_by
        self.kept = kept  # nobody deletes one by itself

    @property
    def type(self):
        """Without the names; a kind of package is no resource of its own."""
        return "/".join([self.provider, *self.path.split("/")[::2]])

    @property
    def is_top(self):
        return self.path.count("/") == 1

    @property
    def parent(self):
        """The path of what stands above it, as a resource."""
        above = self.path.rsplit("/", 2)[0]
        return above.rsplit("/", 2)[0] if above.endswith("packages/rpm") else above


def acr(path, body=None, **more):
    return Kind(ACR, "registries/{R}" + (f"/{path}" if path else ""), body, **more)


def net(path, body=None, **more):
    return Kind(NET, path, body, **more)


def record(kind, **properties):
    return net(f"{ZONE}/{kind}/rec", {"properties": {"ttl": 60, **properties}}, patch={"properties": {"metadata": {"a": "b"}}})


TAGS = {"tags": {"patched": "yes"}}
HERE = {"location": "eastus"}
GLOBAL = {"location": "global"}
TEMPLATE = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "resources": []}
KINDS = [
    Kind("Microsoft.ManagedIdentity", "userAssignedIdentities/every", HERE, TAGS),
    Kind("Microsoft.ManagedIdentity", "userAssignedIdentities/every/federatedIdentityCredentials/pipeline", {
        "properties": {"issuer": "https://token.example.org", "subject": "repo:a/b", "audiences": ["api://exchange"]}}),
    Kind("Microsoft.KeyVault", "vaults/{V}", {**HERE, "properties": {
        "tenantId": "<tenant>", "sku": {"family": "A", "name": "standard"}, "accessPolicies": []}}, TAGS),
    Kind("Microsoft.Resources", "templateSpecs/every", HERE, TAGS),
    Kind("Microsoft.Resources", "templateSpecs/every/versions/v1",
         {**HERE, "properties": {"mainTemplate": TEMPLATE}}, TAGS),
    acr("", {**HERE, "sku": {"name": "Premium"}, "properties": {"dataEndpointEnabled": True}}, patch=TAGS),
    acr("replications/westus2", {"location": "westus2"}, patch=TAGS),
    acr("webhooks/hook1", {**HERE, "properties": {
        "serviceUri": "https://example.org/hook", "actions": ["push"]}}, patch=TAGS),
    acr("scopeMaps/map-1", {"properties": {"actions": ["repositories/a/content/read"]}},
        patch={"properties": {"description": "x"}}),
    acr("tokens/token-1", {"properties": {"scopeMapId": "<scopeMaps/map-1>"}},
        patch={"properties": {"status": "disabled"}}),
    acr("credentialSets/set-1", {"properties": {"loginServer": "docker.io", "authCredentials": [
        {"name": "Credential1", "usernameSecretIdentifier": SECRET, "passwordSecretIdentifier": SECRET}]}},
        patch={"properties": {"authCredentials": [{
            "name": "Credential1", "usernameSecretIdentifier": f"{SECRET}2",
            "passwordSecretIdentifier": SECRET}]}}),
    acr("cacheRules/rule-1", {"properties": {
        "sourceRepository": "docker.io/library/x", "targetRepository": "x",
        "credentialSetResourceId": "<credentialSets/set-1>"}},
        patch={"properties": {"credentialSetResourceId": None}}),
    acr("connectedRegistries/below1", {"properties": {"mode": "ReadOnly", "parent": {
        "syncProperties": {"tokenId": "<tokens/token-1>", "messageTtl": "P2D"}}}},
        patch={"properties": {"logging": {"logLevel": "Debug"}}}),
    acr("agentPools/pool1", HERE, patch={"properties": {"count": 2}}),
    acr("tasks/task1", {**HERE, "properties": {"platform": {"os": "Linux"}, "step": {
        "type": "EncodedTask", "encodedTaskContent": "eA=="}}}, patch={"properties": {"timeout": 600}}),
    acr("taskRuns/run-1", {**HERE, "properties": {"runRequest": {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}}}},
        patch={"properties": {"forceUpdateTag": "x"}}, settle="OperationNotSupported"),
    acr("exportPipelines/out01", {"properties": {"target": {
        "uri": "https://acc.blob.example/c", "keyVaultUri": SECRET}}}),
    acr("importPipelines/into1", {"properties": {"source": {
        "uri": "https://acc.blob.example/c", "keyVaultUri": SECRET}}}),
    acr("pipelineRuns/run01", {"properties": {"request": {
        "pipelineResourceId": "<exportPipelines/out01>", "artifacts": ["app:v1"],
        "target": {"type": "AzureStorageBlob", "name": "b"}}}}, settle="OperationNotSupported"),
    acr("packages/rpm/archives/arch1", {"properties": {"packageSource": {
        "type": "remote", "url": "https://example.org/rpm"}}}, patch={"properties": {"publishedVersion": "v1"}}),
    acr("packages/rpm/archives/arch1/versions/vers1"),
    net("virtualNetworks/every", {**HERE, "properties": {"addressSpace": {
        "addressPrefixes": ["10.9.0.0/16"]}}}, patch=TAGS),
    net("virtualNetworks/every/subnets/apps", {"properties": {"addressPrefix": "10.9.0.0/24"}}),
    net("virtualNetworks/other", {**HERE, "properties": {"addressSpace": {
        "addressPrefixes": ["10.8.0.0/16"]}}}, patch=TAGS),
    net("virtualNetworks/every/virtualNetworkPeerings/peer", {"properties": {
        "remoteVirtualNetwork": {"id": "<virtualNetworks/other>"}}}),
    net("privateEndpoints/every", {**HERE, "properties": {
        "subnet": {"id": "<virtualNetworks/every/subnets/apps>"}, "privateLinkServiceConnections": [
            {"name": "link", "properties": {"privateLinkServiceId": "<registry>",
                                            "groupIds": ["registry"]}}]}}, patch=TAGS),
    acr("privateEndpointConnections/{C}", {"properties": {"privateLinkServiceConnectionState": {
        "status": "Approved", "description": "again"}}}, made_by="privateEndpoints/every"),
    net("networkInterfaces/{N}", made_by="privateEndpoints/every", kept=True),
    net(ZONE, GLOBAL, patch=TAGS),
    net(f"{ZONE}/virtualNetworkLinks/link", {**GLOBAL, "properties": {
        "virtualNetwork": {"id": "<virtualNetworks/every>"}, "registrationEnabled": False}}, patch=TAGS),
    net("privateEndpoints/every/privateDnsZoneGroups/default", {"properties": {
        "privateDnsZoneConfigs": [{"name": "cr", "properties": {"privateDnsZoneId": f"<{ZONE}>"}}]}}),
    net(f"{ZONE}/SOA/@", {"properties": {"ttl": 3600, "soaRecord": {"refreshTime": 4000}}},
        patch={"properties": {"metadata": {"a": "b"}}}, made_by=ZONE, kept=True),
    record("A", aRecords=[{"ipv4Address": "10.0.0.7"}]),
    record("AAAA", aaaaRecords=[{"ipv6Address": "fd00::7"}]),
    net(f"{ZONE}/CNAME/alias", {"properties": {"ttl": 60, "cnameRecord": {"cname": "x.every.test"}}},
        patch={"properties": {"metadata": {"a": "b"}}}),
    record("MX", mxRecords=[{"preference": 10, "exchange": "mail.every.test"}]),
    record("PTR", ptrRecords=[{"ptrdname": "x.every.test"}]),
    record("SRV", srvRecords=[{"priority": 1, "weight": 2, "port": 5060, "target": "sip.every.test"}]),
    record("TXT", txtRecords=[{"value": ["a", "b"]}]),
]
# Not to be asked for: the group itself, what only is read, records that the service makes, and a place that
# the host's administrator offers.
APART = {"Microsoft.Resources/resourceGroups", f"{ACR}/registries/privateLinkResources",
         f"{ACR}/registries/runs", f"{NET}/privateDnsZones/ALL", f"{NET}/virtualNetworks/attachments"}


def types():
    """{type: its newest version}, of the tables."""
    return {kind: listed[0] for kind, listed in tables.versions().items()}


class Everything:
    """All of them, or some, in one group."""

    def __init__(self, instance, group, tag):
        self.instance, self.group, self.versions = instance, group, types()
        self.names = {"R": f"every{tag}", "V": f"v{tag}"}
        self.base = f"{instance.group_id(group)}/providers"

    def id(self, path, as_named=False):
        """Of a kind or a path of one; as_named: with {C} and {N} for names that the service gives."""
        kind = path if isinstance(path, Kind) else next(
            (k for k in KINDS if k.path == path), None) or next(
            k for k in KINDS if k.path == "registries/{R}/" + path)
        return f"{self.base}/{kind.provider}/" + re.sub(
            r"\{([RV])\}" if as_named else r"\{(\w)\}", lambda m: self.named(m[1]), kind.path)

    def named(self, letter):
        if letter == "C":
            listed = self.instance.arm(
                "GET", f"{self.base}/{ACR}/registries/{self.names['R']}/privateEndpointConnections")
            return listed.json()["value"][0]["name"]
        if letter == "N":
            listed = self.instance.arm("GET", f"{self.base}/{NET}/networkInterfaces", api="2023-11-01")
            return listed.json()["value"][0]["name"]
        return self.names[letter]

    def above(self, kind):
        """The id of what stands above it."""
        return self.id(next(k for k in KINDS if k.path == kind.parent))

    def api(self, kind):
        return self.versions[kind.type]

    def filled(self, value):
        if isinstance(value, dict):
            return {k: self.filled(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.filled(v) for v in value]
        if value == "<tenant>":
            return self.instance.tenant
        if value == "<registry>":
            return self.id("registries/{R}")
        if isinstance(value, str) and value.startswith("<"):
            return self.id(value[1:-1])
        return value

    def call(self, method, kind, body=None, tail="", **options):
        return self.instance.arm(method, self.id(kind) + tail, body, api=self.api(kind), **options)

    def put(self, kind):
        return self.call("PUT", kind, self.filled(kind.body))

    def finish(self, kind, reply):
        assert reply.status_code in (200, 201, 202), (kind.path, reply.text)
        try:
            self.instance.finish(reply)
        except OperationFailed as failure:
            if kind.settle is None or kind.settle not in str(failure):
                raise
        return self.call("GET", kind)

    def make(self, kinds=None):
        for kind in KINDS if kinds is None else kinds:
            if kind.made_by is None:
                self.finish(kind, self.put(kind))
        return self
