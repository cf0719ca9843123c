"""Recorded requests of the management API as they are played here: in a registry and group of their own, with
names and values that are there; what else a request needs is made first."""

import contextlib

import pytest

from support import contract
from support.instance import OperationFailed
from support.networks import Networks

if not contract.is_there():
    pytest.skip(f"the published descriptions are not at {contract.SPECS}", allow_module_level=True)

FOLDER = "specification/containerregistry/resource-manager/Microsoft.ContainerRegistry"
DESCRIPTIONS = [contract.Description(f"{FOLDER}/{name}") for name in (
    "stable/2023-07-01/containerregistry.json",
    "preview/2023-11-01-preview/containerregistry.json",
    "preview/2019-06-01-preview/containerregistry_build.json")]
# The newest stable version has no recordings of its own: those of the versions before it are played.
NEWEST = contract.Description("derived/containerregistry-2025-11-01.derived.json", DESCRIPTIONS[:2])
DESCRIPTIONS.append(NEWEST)

# The order in which the operations of one type make sense.
VERBS = ["CheckNameAvailability", "Create", "CreateOrUpdate", "Get", "GetDetails", "List", "Update"]
LAST = ["Deactivate", "Cancel", "Delete"]

# What else a type's requests need to be there: (type, names of the resources).
NEEDS = {
    "Tokens": [("ScopeMaps", {"scopeMapName": "myScopeMap"}),
               ("ScopeMaps", {"scopeMapName": "myNewScopeMap"})],
    "CacheRules": [("CredentialSets", {"credentialSetName": "myCredentialSet"}),
                   ("CredentialSets", {"credentialSetName": "myCredentialSet2"})],
    "ConnectedRegistries": [("Tokens", {"tokenName": name})
                            for name in ("syncToken", "client1Token", "client2Token")],
    "Registries": [("Tokens", {"tokenName": "myToken"})],
    "PipelineRuns": [("ImportPipelines", {"importPipelineName": "myImportPipeline"}),
                     ("ExportPipelines", {"exportPipelineName": "myExportPipeline"})],
    "ArchiveVersions": [("Archives", {"packageType": "rpm", "archiveName": "myArchiveName"})],
}
# Recorded values that would not do: names that no request of the recordings creates, regions that are not
# here, permissions that never were, a time that is past.
REPLACED = {
    "myPackageType": "rpm", "mytTask": "myTask", "westus": "westus2", "WESTUS": "WESTUS2",
    "repositories/myrepository/contentWrite": "repositories/myrepository/content/write",
    "repositories/myrepository/contentRead": "repositories/myrepository/content/read",
    "repositories/myrepository/delete": "repositories/myrepository/content/delete",
    "2020-12-31T15:59:59.0707808Z": "2120-12-31T15:59:59.0707808Z",
    "sourceRepository:sourceTag": "source/app:v1", "targetRepository:targetTag": "target/app:v1",
    "targetRepository1": "target/app1",
}
SOURCE = "sourceRegistry"
RUN_ID = "0accec26-d6de-4757-8e74-d080f38eaaab"
# Recorded members that the service's live answers do not have, and so ours have not.
NOT_SHOWN = {
    "Registries_Create": ["/properties/networkRuleSet"],  # only Premium registries show it
    "Registries_Update": ["/properties/networkRuleSet"],
    "Tasks": ["/properties/credentials"],  # the recorded task is not the one that was created
    "Tasks_Update": ["/properties/trigger/baseImageTrigger/updateTriggerEndpoint"],  # a secret
    "Tokens_Update": ["/properties/credentials/certificates/0/encodedPemCertificate"],
    # The event there is a ping, which has no image.
    "Webhooks_ListEvents": [f"/value/0/eventRequestMessage/content/{member}"
                            for member in ("actor", "request", "source", "target")] +
                           [f"/value/0/event{side}Message/headers/Content-Length"
                            for side in ("Request", "Response")],
    # Nobody has tried the credentials.
    "CredentialSets": ["/properties/authCredentials/0/credentialHealth"],
    # Transfers and tasks are not carried out, so there is nothing to tell of them.
    "PipelineRuns": [f"/properties/response/{member}" for member in (
        "catalogDigest", "progress", "startTime", "finishTime", "target", "source",
        "importedArtifacts")],
    "TaskRuns": ["/properties/runResult"],
    # All of them are on one page, and nothing was wrong with one.
    "Archives_List": ["/nextLink"], "ArchiveVersions_List": ["/nextLink"],
    "ArchiveVersions": ["/properties/archiveVersionErrorMessage"],
    "Runs": [f"/properties/{member}" for member in (
        "startTime", "outputImages", "imageUpdateTrigger", "logArtifact", "task", "sourceTrigger",
        "timerTrigger")],
}
# What this installation says it does not carry out: the operation is taken, and fails with this code.
NOT_CARRIED_OUT = {"PipelineRuns": "OperationNotSupported", "TaskRuns": "OperationNotSupported"}


def order(operation):
    if operation.verb in VERBS:
        return VERBS.index(operation.verb)
    return len(VERBS) + (1 + LAST.index(operation.verb) if operation.verb in LAST else 0)


class Place:
    """Where the examples of one type and version are played: a registry of their own. They are played with
    the version that is set here, or else with the one they were recorded with."""

    def __init__(self, instance, group, registry):
        self.instance, self.group, self.registry = instance, group, registry
        self.version, self.new, self.endpoints = None, None, 0

    def ours(self, value):
        """A recorded value with our subscription, group, registry and regions in the places of theirs."""
        if isinstance(value, dict):
            return {self.ours(k): self.ours(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.ours(v) for v in value]
        if not isinstance(value, str):
            return value
        if value in REPLACED:
            return REPLACED[value]
        if value.startswith("/subscriptions/"):
            parts = value.split("/")
            parts[2], parts[4] = self.instance.subscription, self.group
            value = "/".join(parts)
        return value.replace("myRegistry", self.registry).replace(SOURCE, f"{self.registry}src")

    def image(self):
        """An image in a registry to import from; its digest."""
        source = self.instance.make_registry(self.group, f"{self.registry}src", location="westus2")
        return source.push_image("source/app", "v1")

    def run(self):
        """The name of a run."""
        reply = self.instance.arm(
            "POST", f"{self.instance.registry_id(self.group, self.registry)}/scheduleRun",
            {"type": "DockerBuildRequest", "dockerFilePath": "Dockerfile", "agentConfiguration":
             {"cpu": 2}, "platform": {"os": "Linux", "architecture": "amd64"}},
            api="2019-06-01-preview")
        assert reply.status_code == 200, reply.text
        return reply.json()["name"]

    def values(self, path):
        told = {k: self.ours(v) for k, v in contract.load(path)["parameters"].items()}
        told.update(subscriptionId=self.instance.subscription, resourceGroupName=self.group)
        if "registryName" in told:
            told["registryName"] = self.registry
        return told

    def call(self, operation, values, api=None):
        name = operation.body_name()
        body = values.get(name)
        query = {p["name"]: values[p["name"]] for p in operation.parameters
                 if p["in"] == "query" and values.get(p["name"]) not in (None, "")}
        return self.instance.arm(operation.method, operation.url(values), body, api=None,
                                 **{**query, "api-version": api or self.api(operation)})

    def get(self, operation, values, api=None):
        return self.instance.arm("GET", operation.url(values), api=api or self.api(operation))

    def api(self, operation):
        return self.version or operation.description.version

    def connection(self):
        """The name of a private endpoint connection of the registry, made with its endpoint."""
        base = f"{self.instance.registry_id(self.group, self.registry)}/privateEndpointConnections"
        for _ in range(2):
            rows = self.instance.arm("GET", base).json()["value"]
            if rows:
                return rows[0]["name"]
            networks = Networks(self.instance, self.group)
            networks.network("vn")
            self.endpoints += 1  # one whose connection was deleted makes no other
            networks.endpoint(f"pe{self.endpoints}", self.instance.registry_id(self.group, self.registry),
                              networks.subnet_id("vn", "apps"))
        raise AssertionError("a private endpoint made no connection")

    def ensure_identities(self, value):
        """Makes the user-assigned identities that a request names."""
        if not isinstance(value, dict):
            return
        for key, member in value.items():
            if key == "userAssignedIdentities":
                for identity in member or {}:
                    reply = self.instance.arm("PUT", identity, {"location": "westus2"},
                                              api="2023-01-31")
                    assert reply.status_code in (200, 201), reply.text
            else:
                self.ensure_identities(member)

    def ensure(self, description, group, names):
        """Makes a resource of a type as it was recorded, unless it is there."""
        create = description.operations.get(f"{group}_Create")
        if create is None or group == "Registries":
            return
        path = next(iter(create.examples.values()))
        values = {**self.values(path), **names}
        if self.get(create, values, description.version).status_code == 200:
            return
        for need in NEEDS.get(group, []):
            self.ensure(description, *need)
        self.ensure_identities(values)
        reply = self.call(create, values, description.version)
        assert reply.status_code in (200, 201), reply.text
        finish(self.instance, create, reply)

    def ready(self, operation, path):
        """What a recorded request is asked with; what it needs is made."""
        values = self.values(path)
        if operation.group == "PrivateEndpointConnections":
            values["privateEndpointConnectionName"] = self.connection()
        if values.get("runId") == RUN_ID or operation.id == "Runs_List":
            values["runId"] = self.run()
        if "taskId" in values.get("runRequest", {}):
            self.ensure(operation.description, "Tasks",
                         {"taskName": values["runRequest"]["taskId"].rsplit("/", 1)[-1]})
        if operation.id == "Registries_ImportImage" and "Public" not in path:
            digest = self.image()
            if "Digest" in path:
                values["parameters"]["source"]["sourceImage"] = f"source/app@{digest}"
        if operation.id == "Registries_Create":
            self.new = f"{self.registry}new"
        if operation.id in ("Registries_Create", "Registries_Delete") and self.new:
            values["registryName"] = self.new
        if operation.id == "Registries_Update":  # goes down to Standard, which has no data endpoints
            reply = self.instance.arm("PATCH", self.instance.registry_id(self.group, self.registry),
                                 {"properties": {"dataEndpointEnabled": False}})
            assert reply.status_code in (200, 201), reply.text
            self.instance.finish(reply)
        for need in NEEDS.get(operation.group, []):
            self.ensure(operation.description, *need)
        if operation.verb not in ("Create", "List") and "Name}" in operation.path:
            self.ensure(operation.description, operation.group,
                         {k: v for k, v in values.items() if f"{{{k}}}" in operation.path})
        self.ensure_identities(values)
        return values

    def play(self, operation, path):
        """Makes a recorded request. Returns the answer (of a write that takes time, the resource at its end),
        and what was recorded for it; nothing where it is out of reach."""
        values = self.ready(operation, path)
        recorded = contract.load(path)["responses"]
        reply = self.call(operation, values)
        assert str(reply.status_code) in recorded, f"{reply.status_code} {reply.text}"
        if operation.id == "Registries_ImportImage" and "Public" in path:
            return None, None
        assert answer_problems(operation, reply) == []
        expected = recorded[str(reply.status_code)].get("body")
        if operation.is_long_running:
            finish(self.instance, operation, reply)
            if operation.method in ("PUT", "PATCH"):
                reply = self.get(operation, values)
                assert reply.status_code == 200, reply.text
                expected = (recorded.get("200") or recorded[str(reply.status_code)]).get("body")
        return reply, expected


@contextlib.contextmanager
def places(instance):
    """Places by key, made when first asked for."""
    made = {}

    def place(key):
        if key not in made:
            group = instance.make_group(location="westus2")
            registry = instance.make_registry(group, sku="Premium", location="westus2",
                                              dataEndpointEnabled=True)
            reply = instance.arm("PATCH", registry.id, {"tags": {"key": "value"}})
            assert reply.status_code in (200, 201), reply.text
            instance.finish(reply)
            made[key] = Place(instance, group, registry.name)
        return made[key]
    yield place
    for it in made.values():
        instance.arm("DELETE", instance.group_id(it.group), api="2024-11-01")


def answer_problems(operation, reply):
    """What the description says is wrong with an answer."""
    if str(reply.status_code) not in operation.responses:
        return [f"status {reply.status_code} is not described: {reply.text[:300]}"]
    schema = operation.schema(reply.status_code)
    if schema is None:
        return []
    if not reply.content:
        return [] if reply.status_code in (202, 204) else ["no body"]
    return operation.description.problems(schema, reply.json())


def not_shown(operation):
    """Recorded members our answer need not have."""
    told = NOT_SHOWN.get(operation.id, []) + NOT_SHOWN.get(operation.group, [])
    return {prefix + path for path in told for prefix in ("", "/value/0")}


def finish(instance, operation, reply):
    code = NOT_CARRIED_OUT.get(operation.group)
    if code is None or operation.method not in ("PUT", "PATCH"):
        instance.finish(reply)
        return
    with pytest.raises(OperationFailed, match=code):
        instance.finish(reply)
