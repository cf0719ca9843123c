"""Attacks with what belongs to another registry: its links at other doors (4), its children under other
parents (12)."""

import uuid
from urllib.parse import urlsplit

import pytest

from support.directory import Directory
from support.instance import API, GROUPS_API, eventually
from support.rawhttp import call, sha256

TASKS = "2019-06-01-preview"
HOOK = {"location": "eastus", "properties": {"serviceUri": "https://example.com/hook", "actions": ["push"]}}
TASK = {"location": "eastus", "properties": {
    "platform": {"os": "linux"}, "step": {"type": "Docker", "dockerFilePath": "Dockerfile",
                                          "contextPath": "https://github.com/a/b"}}}


@pytest.fixture(scope="module")
def area(instance):
    group = instance.make_group()
    yield group
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.fixture(scope="module")
def pair(instance, area):
    two = [instance.make_registry(area, sku="Premium", dataEndpointEnabled=True) for _ in range(2)]
    for registry in two:
        registry.push_image("team/a", "v1")
    return two


# --- 4 --------------------------------------------------------------------------------------------

def link_of(registry):
    """Path, query and host of a link to the layer."""
    moved = eventually(lambda: next((r for r in [registry.call(
        "GET", f"/v2/team/a/blobs/{sha256(b'layer')}", allow_redirects=False)] if r.status_code == 307), None))
    return urlsplit(moved.headers["Location"])


def test_04_links_at_every_door(instance, pair):
    """A link opens its data endpoint; no other token does, and it opens nothing else."""
    links = {name: link_of(registry) for name, registry in zip("AB", pair)}
    for name, link in links.items():
        for where, other in links.items():
            url = f"https://{other.netloc}{link.path}?{link.query}"
            reply = instance.session.get(url)
            assert (reply.status_code == 200) == (name == where), (name, where, reply.status_code)
            assert reply.status_code in (200, 401, 403), reply.text
    link, signed = links["A"], f"{links['A'].path}?{links['A'].query}"
    # The same link at the login servers and at the management API.
    for host in (pair[0].url, pair[1].url, instance.management):
        assert instance.session.get(host + signed).status_code in (400, 401, 403, 404), host
    for text in (link.query, signed, link.query.split("=")[-1]):
        for registry in pair:
            assert call(registry, "GET", "/v2/team/a/manifests/v1", bearer=text).status_code == 401
            assert call(registry, "POST", "/oauth2/token", data={
                "grant_type": "refresh_token", "service": registry.host, "refresh_token": text,
                "scope": "repository:team/a:pull"}).status_code == 401
            assert call(registry, "POST", "/oauth2/exchange", data={
                "grant_type": "access_token", "service": registry.host,
                "access_token": text}).status_code == 401
        assert instance.arm("GET", pair[0].id, token=text.replace("&", "")).status_code == 401
    # And every other kind of token at the data endpoint.
    app = Directory(instance).application()
    tokens = [instance.token(), app.token(), pair[0].access_token("repository:team/a:pull")]
    for token in tokens:
        reply = instance.session.get(f"https://{link.netloc}{link.path}", headers={
            "Authorization": f"Bearer {token}"})
        assert reply.status_code in (401, 403), reply.text
    reply = instance.session.get(f"https://{link.netloc}{link.path}", auth=pair[0].auth)
    assert reply.status_code in (401, 403)


# --- 12 -------------------------------------------------------------------------------------------

def make(instance, registry, kind, name, body, api=API):
    path = f"{registry.id}/{kind}/{name}"
    reply = instance.arm("PUT", path, body, api=api)
    assert reply.status_code in (200, 201), (kind, reply.text)
    instance.finish(reply)
    return path


def test_12_children_of_others(instance, area, pair):
    """What stands below one registry is not found below another, by any method, and stays."""
    mine, other = pair
    name = "x" + uuid.uuid4().hex[:8]
    map_id = make(instance, mine, "scopeMaps", name, {
        "properties": {"actions": ["repositories/a/content/read"]}})
    kinds = {"scopeMaps": ({}, API, ()),
             "tokens": ({"properties": {"scopeMapId": map_id}}, API, ()),
             "webhooks": (HOOK, API, ("ping", "getCallbackConfig", "listEvents")),
             "tasks": (TASK, TASKS, ("listDetails",))}
    elsewhere = instance.make_group()
    for kind, (body, api, actions) in kinds.items():
        if kind != "scopeMaps":
            make(instance, mine, kind, name, body, api)
        for parent in (other.id, instance.registry_id(elsewhere, mine.name),
                       instance.registry_id(area, "absent99")):
            path = f"{parent}/{kind}/{name}"
            assert instance.arm("GET", path, api=api).status_code == 404, path
            assert instance.arm("PATCH", path, {"tags": {}}, api=api).status_code == 404, path
            assert instance.arm("DELETE", path, api=api).status_code in (204, 404), path
            for action in actions:
                assert instance.arm("POST", f"{path}/{action}", {}, api=api).status_code == 404, path
        assert instance.arm("GET", f"{mine.id}/{kind}/{name}", api=api).status_code == 200, kind
        assert name not in instance.arm("GET", f"{other.id}/{kind}", api=api).text
    # A token's passwords are made by its own registry; another's map is none.
    token = f"{mine.id}/tokens/{name}"
    refused = instance.arm("POST", f"{other.id}/generateCredentials", {"tokenId": token})
    assert refused.status_code == 400, refused.text
    stolen = instance.arm("PUT", f"{other.id}/tokens/{name}", {"properties": {"scopeMapId": map_id}})
    assert stolen.status_code in (400, 404), stolen.text
    for run in ("cb1", str(uuid.uuid4())):
        for method, tail in (("GET", ""), ("PATCH", ""), ("POST", "/cancel"), ("POST", "/listLogSasUrl")):
            reply = instance.arm(method, f"{other.id}/runs/{run}{tail}", None if method == "GET" else {},
                                 api=TASKS)
            assert reply.status_code == 404, (method, tail, reply.text)
    instance.delete(instance.group_id(elsewhere), api=GROUPS_API)
