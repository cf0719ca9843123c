"""Imports as the control plane asks for them, in the region's database."""

import base64
import json
import os
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from support.dataplane import sha256
from support.instance import eventually

ALLOW = ("--import-allow", "127.0.0.0/8")


def wrapped(plane, import_id, secret):
    """As the control plane wraps it: under the service key, bound to the import."""
    with open(plane.path("service.key"), encoding="ascii") as f:
        key = bytes.fromhex(f.read().strip())
    nonce = os.urandom(12)
    box = AESGCM(key).encrypt(nonce, json.dumps(secret).encode(),
                              b"\x01" + f"import/{import_id}".encode())
    return base64.urlsafe_b64encode(b"\x01" + nonce + box).decode().rstrip("=")


def ask(plane, url, image, targets, force=False, secret=None, registry_id=None):
    """Asks for an import; `targets` are repository:tag, or a repository alone."""
    import_id = str(uuid.uuid4())
    repository, reference = image.split("@") if "@" in image else image.rsplit(":", 1)
    request = {"source": {"url": url, "repository": repository, "reference": reference},
               "targets": [dict(zip(("repository", "tag"), t.split(":"))) for t in targets],
               "force": force}
    if registry_id:
        request["source"]["registryId"] = registry_id
    box = f"'{wrapped(plane, import_id, secret)}'" if secret else "null"
    plane.pg.sql(f"insert into imports (id, registry_id, request, wrapped_secret) values "
                 f"('{import_id}', '{plane.id}', '{json.dumps(request)}', {box}); "
                 f"update registries set generation = generation + 1")
    plane.call("GET", "/v2/")  # an idle process looks when a request comes
    return import_id


def end(plane, import_id, timeout=60):
    """How it ended: None, or the failure."""
    row = eventually(lambda: plane.pg.sql(
        "select ended_at is not null, coalesce(failure::text, ''), wrapped_secret is null "
        f"from imports where id = '{import_id}' and ended_at is not null"), timeout)
    _, failure, is_secret_gone = row.split("|")
    assert is_secret_gone == "t"
    return json.loads(failure) if failure else None


def signed_in(plane):
    return {"username": plane.admin[0], "password": plane.admin[1]}


def bring(plane, source, image, targets, **more):
    return end(plane, ask(plane, source.url, image, targets, secret=signed_in(source), **more))


def same(plane, source, repository, reference, other, other_reference):
    """The image, and every part of it."""
    there = source.call("GET", f"/v2/{repository}/manifests/{reference}")
    here = plane.call("GET", f"/v2/{other}/manifests/{other_reference}")
    assert here.status_code == 200, here.text
    assert here.content == there.content
    assert here.headers["Content-Type"] == there.headers["Content-Type"]
    body = here.json()
    for child in body.get("manifests", []):
        same(plane, source, repository, child["digest"], other, child["digest"])
    for part in [body[k] for k in ("config",) if k in body] + body.get("layers", []):
        blob = plane.call("GET", f"/v2/{other}/blobs/{part['digest']}")
        assert blob.status_code == 200 and sha256(blob.content) == part["digest"]
    return True
