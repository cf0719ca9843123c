"""A data plane's answers against the published description of its API: every recorded example request is
made, with content of our own in the place of theirs, and status, recorded headers, schema and the recorded
members of the answer are checked; and so is the error of a request for what is not there."""

import glob
import json
import os
import uuid

import pytest

from support import contract
from support.dataplane import CONFIG, LAYER, descriptor

if not contract.is_there():
    pytest.skip(f"the published descriptions are not at {contract.SPECS}", allow_module_level=True)

FOLDER = "specification/containerregistry/data-plane/Azure.ContainerRegistry/stable/2021-07-01"
DESCRIPTION = contract.Description(f"{FOLDER}/containerregistry.json")
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
# Recordings that no operation of the description names: ranges of a blob, and an upload that mounts nothing.
UNNAMED = {"CheckBlobChunk": "ContainerRegistryBlob_CheckBlobExists",
           "GetBlobChunk": "ContainerRegistryBlob_GetBlob",
           "StartBlobUpload": "ContainerRegistryBlob_MountBlob"}
BLOB = b"x" * 5635  # as long as the recorded one
# Recorded members that answers need not have: those of images that others made.
NOT_SHOWN = {"/manifest/architecture", "/manifest/os", "/manifests/0/architecture", "/manifests/0/os"}


def examples():
    found = [(o, name, path) for o in DESCRIPTION.operations.values() for name, path in o.examples.items()]
    folder = os.path.dirname(DESCRIPTION.path)
    found += [(DESCRIPTION.operations[operation], name, f"{folder}/examples/{name}.json")
              for name, operation in UNNAMED.items()]
    return [pytest.param(o, path, id=name) for o, name, path in
            sorted(found, key=lambda row: row[0].method == "DELETE")]


def test_every_recording_is_played():
    there = {os.path.basename(p)[:-5] for p in glob.glob(f"{os.path.dirname(DESCRIPTION.path)}/examples/*")}
    assert there == {p.id for p in examples()} and len(there) > 25


class Shelf:
    """A registry with what the recordings ask for, put there when they do."""

    def __init__(self, instance, registry):
        self.instance, self.registry = instance, registry

    def image(self, repository, tag):
        """An image with one layer; the digests of manifest and layer."""
        registry = self.registry
        layer = registry.push_blob(repository, BLOB)[1]
        config = b'{"architecture":"amd64","os":"linux"}'
        registry.push_blob(repository, config)
        manifest = json.dumps({"schemaVersion": 2, "mediaType": DOCKER,
                               "config": descriptor(config, CONFIG), "layers": [descriptor(BLOB, LAYER)]})
        reply = registry.call("PUT", f"/v2/{repository}/manifests/{tag}", data=manifest,
                              headers={"Content-Type": DOCKER})
        assert reply.status_code == 201, reply.text
        return reply.headers["Docker-Content-Digest"], layer, manifest

    def upload(self, content=b""):
        """The path of an upload that has begun."""
        begun = self.registry.call("POST", "/v2/blobland/blobs/uploads/")
        path = begun.headers["Location"].split(self.registry.host)[-1].lstrip("/")
        if content:
            reply = self.registry.call("PATCH", f"/{path}", data=content)
            path = reply.headers["Location"].split(self.registry.host)[-1].lstrip("/")
        return path

    def values(self, operation, told):
        """The recorded parameters, of what is here."""
        values = {k: v for k, v in told.items() if k != "url"}
        name, reference = values.get("name"), values.get("reference", "v1")
        tag = reference if ":" not in reference else "tagged"
        if "mount" in values:  # recorded the wrong way round
            layer = self.image("prod/bash", "v1")[1]
            return {**values, "mount": layer, "from": "prod/bash"}
        if name:
            manifest, layer, body = self.image(name, tag)
            is_blob = operation.group == "ContainerRegistryBlob"
            values.update(name=name, digest=layer if is_blob else manifest, payload=body, reference=tag)
            if operation.id.endswith("_DeleteManifest"):
                values["reference"] = manifest
        if "nextBlobUuidLink" in values:
            is_end = operation.id.endswith("_CompleteUpload")
            values.update(nextBlobUuidLink=self.upload(BLOB if is_end else b""), value="x" * 13)
            values["digest"] = descriptor(BLOB, LAYER)["digest"]
            if is_end:
                values["value"] = ""
        if operation.group == "Authentication":
            values["service"] = self.registry.host
            values["access_token"] = self.instance.token()
            if "refresh_token" in told:
                values["refresh_token"] = self.refresh_token()
            if "tenant" in told:
                values["tenant"] = self.instance.tenant
        return values

    def refresh_token(self):
        reply = self.registry.call("POST", "/oauth2/exchange", data={
            "grant_type": "access_token", "service": self.registry.host,
            "access_token": self.instance.token()}, headers={"Authorization": ""})
        assert reply.status_code == 200, reply.text
        return reply.json()["refresh_token"]

    def call(self, operation, values):
        """By the places that the description gives to parameters."""
        query, form, headers, body = {}, {}, {}, None
        for p in operation.parameters:
            value = values.get(p["name"])
            if value is None or p["in"] == "path":
                continue
            if p["in"] == "body":
                body = value if isinstance(value, str) else json.dumps(value)
            else:
                {"query": query, "formData": form, "header": headers}[p["in"]][p["name"]] = value
        if "Range" in values:
            headers["Range"] = values["Range"]
        if body is not None:
            headers["Content-Type"] = DOCKER if "manifests" in operation.path and "/v2/" in operation.path \
                else "application/octet-stream" if "Uuid" in operation.path else "application/json"
        if form:
            headers["Authorization"] = ""  # the form says who it is
        url = operation.url(values)
        joined = url + ("&" if "?" in url else "?") + "&".join(f"{k}={v}" for k, v in query.items()) \
            if query else url
        return self.registry.call(operation.method, joined, data=form or body, headers=headers,
                                  allow_redirects=False)


@pytest.fixture(scope="module")
def shelf(instance):
    group = instance.make_group()
    yield Shelf(instance, instance.make_registry(group))
    instance.arm("DELETE", instance.group_id(group), api="2024-11-01")


def header_problems(told, operation, values, reply):
    """A range means nothing to a HEAD (RFC 9110, 14.2): it is answered as if there were none."""
    if operation.method == "HEAD" and "Range" in values:
        assert reply.headers["Content-Length"] == str(len(BLOB))
        return []
    return [name for name, value in told.items() if name not in reply.headers or
            "Range" in name and reply.headers[name] != str(value)]


@pytest.mark.parametrize("operation, path", examples())
def test_recorded_example(shelf, operation, path):
    recorded = contract.load(path)
    values = shelf.values(operation, recorded["parameters"])
    reply = shelf.call(operation, values)
    told = recorded["responses"].get(str(reply.status_code))
    assert told is not None, f"{reply.status_code} {reply.text[:300]}"
    assert header_problems(told.get("headers", {}), operation, values, reply) == []
    if operation.method == "PATCH" and "value" in values and "Uuid" not in operation.path:
        assert shelf.call(operation, {**values, "value": {"writeEnabled": True}}).status_code == 200
    schema = operation.schema(reply.status_code)
    if not schema or schema.get("type") == "file":
        return
    assert DESCRIPTION.problems(schema, reply.json()) == []
    body = told.get("body")
    if isinstance(body, dict):
        assert set(contract.missing_members(body, reply.json())) <= NOT_SHOWN


# What is no error, whatever it is asked for: what is gone already, an upload instead of a mount, a token that
# allows nothing.
NO_ERROR = {"ContainerRegistry_DeleteRepository": (202, 404), "ContainerRegistry_DeleteTag": (202, 404),
            "ContainerRegistry_DeleteManifest": (202, 404), "ContainerRegistryBlob_MountBlob": (202,),
            "Authentication_GetAcrAccessTokenFromLogin": (200,), "ContainerRegistryBlob_DeleteBlob": (202,)}


@pytest.mark.parametrize("operation", [pytest.param(o, id=o.id.split("_")[1])
                                       for o in DESCRIPTION.operations.values()])
def test_errors_are_as_described(shelf, operation):
    nothing = {"name": f"no{uuid.uuid4().hex[:8]}", "reference": "nothing", "digest": f"sha256:{'0' * 64}",
               "nextBlobUuidLink": f"v2/nothing/blobs/uploads/{uuid.uuid4()}", "n": "x", "scope": "x:y:z",
               "service": "other", "grant_type": "nothing", "value": "[", "payload": "[", "from": "a",
               "mount": "nonsense"}
    if operation.id == "ContainerRegistry_CheckDockerV2Support":
        reply = shelf.instance.session.get(f"{shelf.registry.url}/v2/")
        assert reply.status_code == 401
    else:
        reply = shelf.call(operation, nothing)
    if reply.status_code in NO_ERROR.get(operation.id, ()) or operation.method == "HEAD":
        return
    assert reply.status_code >= 400, reply.text
    body = reply.json()
    for error in body["errors"]:  # recorded as text as well as objects
        error.pop("detail", None)
    assert DESCRIPTION.problems(operation.responses["default"]["schema"], body) == []
    assert body["errors"][0]["code"] and body["errors"][0]["message"]
