"""Drives a registry's data plane with the published Python library; each step prints a line.

    registry.py ENDPOINT REPOSITORY [anonymous]"""

import io
import json
import os
import sys

from azure.containerregistry import (ArtifactManifestOrder, ArtifactTagOrder,
                                     ContainerRegistryClient)
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential

endpoint, repository = sys.argv[1:3]
AUDIENCE = "https://containerregistry.azure.net"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def told(what, good):
    assert good, what
    print(what, flush=True)


def refused(call, kind=HttpResponseError, status=None):
    try:
        call()
    except kind as problem:
        return status is None or problem.status_code == status
    return False


def anonymous():
    client = ContainerRegistryClient(endpoint, audience=AUDIENCE)
    told("anonymous tags", [t.name for t in client.list_tag_properties(repository)])
    found = client.get_manifest(repository, client.get_tag_properties(repository, "one").digest)
    told("anonymous manifest", found.manifest["schemaVersion"] == 2)
    layer = found.manifest["layers"][0]["digest"]
    told("anonymous blob", b"".join(client.download_blob(repository, layer)))
    told("anonymous catalog is refused", refused(lambda: list(client.list_repository_names()),
                                                 ClientAuthenticationError))
    told("anonymous push is refused", refused(
        lambda: client.upload_blob(repository, io.BytesIO(b"no")), ClientAuthenticationError))
    told("anonymous delete is refused", refused(
        lambda: client.delete_tag(repository, "one"), ClientAuthenticationError))
    print("anonymous end")


if sys.argv[3:] == ["anonymous"]:
    anonymous()
    sys.exit(0)

credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"], os.environ["AZURE_CLIENT_ID"], os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)
client = ContainerRegistryClient(endpoint, credential, audience=AUDIENCE)


def push(name, tag, seed):
    blobs = [json.dumps({"architecture": "amd64", "os": "linux", "seed": seed}).encode(),
             seed.encode() * 1000]
    made = [client.upload_blob(name, io.BytesIO(data)) for data in blobs]
    assert [size for _, size in made] == [len(data) for data in blobs]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": made[0][0], "size": made[0][1]},
                "layers": [{"mediaType": LAYER, "digest": made[1][0], "size": made[1][1]}]}
    return client.set_manifest(name, manifest, tag=tag), manifest


digests = {tag: push(repository, tag, tag)[0] for tag in ("one", "two", "three", "four", "five")}
told("push", len(set(digests.values())) == 5)
big = os.urandom(9 * 1024 * 1024)  # goes in chunks of 4 MiB
digest, size = client.upload_blob(repository, io.BytesIO(big))
told("upload in chunks", size == len(big))
told("download in chunks", b"".join(client.download_blob(repository, digest)) == big)
found = client.get_manifest(repository, "one")
told("get manifest by tag", found.digest == digests["one"] and found.media_type == MANIFEST)
told("get manifest by digest",
     client.get_manifest(repository, digests["two"]).manifest["layers"][0]["size"] == 3000)
index = client.set_manifest(repository, {
    "schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": MANIFEST, "digest": digests[t], "size": 1,
         "platform": {"architecture": a, "os": "linux"}}
        for t, a in (("one", "amd64"), ("two", "arm64"))]}, tag="all", media_type=INDEX)
told("index", client.get_manifest_properties(repository, index).digest == index)

for other in ("a", "b", "c"):
    push(f"{repository}-{other}", "x", other)
names = [n for n in client.list_repository_names(results_per_page=2) if n.startswith(repository)]
told("list repositories in pages",
     names == [repository, *(f"{repository}-{o}" for o in ("a", "b", "c"))])
shown = client.get_repository_properties(repository)
told("repository properties", (shown.manifest_count, shown.tag_count) == (6, 6)
     and shown.can_delete and shown.created_on <= shown.last_updated_on)
shown = client.update_repository_properties(repository, can_delete=False, can_list=False)
told("update repository", not shown.can_delete and not shown.can_list and shown.can_read)
told("locked repository stays", refused(lambda: client.delete_repository(repository), status=405))
client.update_repository_properties(repository, can_delete=True, can_list=True)

order = ["one", "two", "three", "four", "five", "all"]
newest = ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING
oldest = ArtifactTagOrder.LAST_UPDATED_ON_ASCENDING
told("tags, newest first", [t.name for t in client.list_tag_properties(
    repository, order_by=newest, results_per_page=2)] == order[::-1])
told("tags, oldest first", [t.name for t in client.list_tag_properties(
    repository, order_by=oldest, results_per_page=4)] == order)
told("tags, by name", [t.name for t in client.list_tag_properties(
    repository, results_per_page=1)] == sorted(order))
told("manifests, newest first", [m.digest for m in client.list_manifest_properties(
    repository, order_by=ArtifactManifestOrder.LAST_UPDATED_ON_DESCENDING,
    results_per_page=2)] == [index, *list(digests.values())[::-1]])
manifest = client.get_manifest_properties(repository, "one")
told("manifest properties", manifest.digest == digests["one"] and manifest.tags == ["one"]
     and str(manifest.architecture) in ("amd64", "ArtifactArchitecture.AMD64")
     and manifest.size_in_bytes > 3000)

tag = client.update_tag_properties(repository, "one", can_write=False, can_delete=False)
told("update tag", not tag.can_write and not tag.can_delete)
told("locked tag stays", refused(lambda: push(repository, "one", "other"), status=405)
     and refused(lambda: client.delete_tag(repository, "one"), status=405))
client.update_tag_properties(repository, "one", can_write=True, can_delete=True)
shown = client.update_manifest_properties(repository, digests["two"], can_read=False)
told("update manifest", not shown.can_read)
told("locked manifest is not read",
     refused(lambda: client.get_manifest(repository, digests["two"]), status=405))
client.update_manifest_properties(repository, digests["two"], can_read=True)

client.delete_tag(repository, "two")
told("delete tag", refused(lambda: client.get_tag_properties(repository, "two"),
                           ResourceNotFoundError))
told("its manifest stays", client.get_manifest(repository, digests["two"]).digest == digests["two"])
client.delete_manifest(repository, digests["three"])
told("delete manifest", refused(lambda: client.get_manifest(repository, digests["three"]),
                                ResourceNotFoundError))
client.delete_blob(repository, digest)
told("delete blob", refused(lambda: b"".join(client.download_blob(repository, digest)),
                            ResourceNotFoundError))
client.delete_tag(repository, "never there")
client.delete_repository(f"{repository}-a")
client.delete_repository("never/there")
told("delete repository", f"{repository}-a" not in list(client.list_repository_names()))
told("unknown repository", refused(lambda: client.get_repository_properties("never/there"),
                                   ResourceNotFoundError))
print("end")
