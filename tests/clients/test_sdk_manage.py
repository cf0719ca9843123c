"""The published management libraries, unmodified: create, get, update, list, poll and delete of each type, in
whichever version of a library has the type, and the actions. What each library has to be seen doing comes
from the table of all types: what its program does not drive fails here."""

import json
import os
import subprocess
import uuid

import pytest

from support import sdk
from support.everything import ACR, KINDS, Everything

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = "github.com/Azure/azure-sdk-for-go/sdk"
GO_ACR = "resourcemanager/containerregistry/armcontainerregistry"

# Types, and actions of types, that not every version of a library has.
PIPELINES = {"exportPipelines", "importPipelines", "pipelineRuns"}
ARCHIVES = {"archives", "archiveVersions"}
TASKS = {"agentPools", "tasks", "taskRuns", "runs", "registries scheduleRun",
         "registries getBuildSourceUploadUrl"}
CONNECTED = {"connectedRegistries"}
SINCE_2020 = {"credentialSets", "cacheRules", "registries getPrivateLinkResource"}
ACTIONS = {
    "registries": ["checkNameAvailability", "listAll", "listUsages", "listCredentials",
                   "regenerateCredential", "listPrivateLinkResources", "getPrivateLinkResource",
                   "generateCredentials", "importImage", "scheduleRun", "getBuildSourceUploadUrl"],
    "operations": ["list"],
    "webhooks": ["getCallbackConfig", "ping", "listEvents"],
    "connectedRegistries": ["deactivate"],
    "agentPools": ["getQueueStatus"], "tasks": ["getDetails"], "taskRuns": ["getDetails"],
    "runs": ["get", "update", "cancel", "list"],
    "resourceGroups": ["create", "get", "update", "list", "delete"],
    "tags": ["create", "update", "get", "delete"],
}
RUN = {"type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}}


def python(*packages):
    return [sdk.python("azure-identity==1.27.0", "azure-mgmt-resource==26.0.0", *packages),
            os.path.join(HERE, "sdk", "manage.py")]


def node(*packages):
    return [sdk.node_program(), os.path.join(HERE, "sdk", "manage.mjs"),
            sdk.node("@azure/identity@4.14.1", "@azure/arm-resources@8.0.0", *packages)]


def go(*packages):
    return [sdk.go_test_program(os.path.join(HERE, "sdk", "manage.go"), *(f"{MODULES}/{p}" for p in (
        "azcore@v1.24.0", "azidentity@v1.15.0", "resourcemanager/resources/armresources@v1.2.0",
        *packages)))]


# The newest stable version for each language, and the newest ones that have what that has not: how they are
# got, and what they lack.
LIBRARIES = {
    "python": (python, ["azure-mgmt-containerregistry==15.0.0"], PIPELINES | ARCHIVES | TASKS),
    "python-preview": (python, ["azure-mgmt-containerregistry==15.1.0b3",
                                "azure-mgmt-containerregistrytasks==1.0.0b1"], set()),
    "javascript": (node, ["@azure/arm-containerregistry@12.0.0"], PIPELINES | ARCHIVES | TASKS),
    "javascript-tasks": (node, ["@azure/arm-containerregistry@11.0.0"], PIPELINES | ARCHIVES),
    "javascript-pipelines": (node, ["@azure/arm-containerregistry@8.1.1"],
                             ARCHIVES | CONNECTED | SINCE_2020),
    "go": (go, [f"{GO_ACR}@v1.2.0"], PIPELINES | ARCHIVES | CONNECTED),
    "go-preview": (go, [f"{GO_ACR}@v1.3.0-beta.3"], set()),
}
IN_NO_VERSION = {"python": set(), "javascript": ARCHIVES, "go": set()}


def name_of(kind):
    """As libraries name a type's operations; other types as they are below their provider."""
    if kind.provider != ACR:
        return kind.type.split("/", 1)[1]
    name = kind.path.split("/")[-2]
    return "archiveVersions" if name == "versions" else name


def is_read_only(kind):
    return kind.kept and not kind.body


def put_in(body, patch):
    """The body without what the patch takes away, and the patch that puts it in: not every library sends
    null."""
    if not isinstance(patch, dict):
        return body, patch
    body, patch = dict(body), dict(patch)
    for name, value in patch.items():
        if value is None:
            patch[name] = body.pop(name)
        elif name in body:
            body[name], patch[name] = put_in(body[name], value)
    return body, patch


def case(it, kind):
    body, patch = put_in(it.filled(kind.body), it.filled(kind.patch))
    return {"kind": name_of(kind), "type": kind.type, "id": it.id(kind, as_named=True), "api": it.api(kind),
            "typed": kind.provider == ACR, "names": kind.path.split("/")[3::2], "body": body, "patch": patch,
            "fails": kind.settle, "read_only": is_read_only(kind), "listed": kind.is_top, "kept": kind.kept}


def cases(instance):
    """What a program is given: each type with its names, and what to ask with."""
    it = Everything(instance, f"g{uuid.uuid4().hex[:8]}", uuid.uuid4().hex[:10])
    return {"group": it.group, "registry": it.names["R"], "run": RUN,
            "kinds": [case(it, kind) for kind in KINDS]}


def verbs(kind, is_typed):
    return ["get", *["create"] * (not is_read_only(kind)), *["update"] * bool(kind.patch),
            *["list"] * (is_typed or kind.is_top), *["delete"] * (not kind.kept)]


def wanted(lacks):
    """The lines of a library that lacks these."""
    told = {f"{kind} {action}" for kind, actions in ACTIONS.items() for action in actions}
    told = {line for line in told if line not in lacks and line.split()[0] not in lacks}
    for kind in KINDS:
        name = name_of(kind)
        is_typed = kind.provider == ACR and name not in lacks
        told |= {f"{name} {verb}" + ("" if is_typed else " by id") for verb in verbs(kind, is_typed)}
    return told


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_type(instance, library, tmp_path):
    install, packages, lacks = LIBRARIES[library]
    given = tmp_path / "cases.json"
    given.write_text(json.dumps(cases(instance)))
    done = subprocess.run([*install(*packages), given], text=True, capture_output=True, timeout=300,
                          env=sdk.environment(instance))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert sorted(set(done.stdout.splitlines()) ^ wanted(lacks)) == []


@pytest.mark.parametrize("language, nowhere", IN_NO_VERSION.items())
def test_each_language_has_each_type(language, nowhere):
    lacking = [lacks for name, (_, _, lacks) in LIBRARIES.items() if name.split("-")[0] == language]
    assert set.intersection(*lacking) == nowhere
