"""What happens in which order: changes while something goes, names that come back, groups that hold
something locked, pages while rows come and go."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.directory import LOCKS_API
from support.instance import GROUPS_API, eventually, held_back

pytestmark = pytest.mark.sanitized

PULL = {"properties": {"actions": ["repositories/a/content/read"]}}


def code(reply, status=409):
    assert reply.status_code == status, reply.text
    return reply.json()["error"]["code"]


def test_nothing_is_made_in_a_group_that_goes(instance):
    group = instance.make_group()
    registry = instance.make_registry(group)
    with held_back(instance, group):
        gone = instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)
        assert gone.status_code == 202
        made = instance.arm("PUT", instance.registry_id(group, f"r{uuid.uuid4().hex[:10]}"),
                            {"location": "eastus", "sku": {"name": "Basic"}})
        assert code(made) == "ResourceGroupBeingDeleted"
        assert code(instance.arm("PUT", instance.group_id(group), {"location": "eastus"},
                                 api=GROUPS_API)) == "ResourceGroupBeingDeleted"
        child = instance.arm("PUT", f"{registry.id}/scopeMaps/mymap", PULL)
        assert code(child) in ("ResourceGroupBeingDeleted", "ResourceBeingDeleted")
    instance.finish(gone)
    assert instance.arm("HEAD", instance.group_id(group), api=GROUPS_API).status_code == 404
    assert instance.make_group(group) == group
    instance.delete(instance.group_id(group), api=GROUPS_API)


def test_a_name_comes_back_with_nothing_of_the_old(instance, group):
    old = instance.make_registry(group, sku="Standard", anonymousPullEnabled=True)
    old.push_image("a/b", "v1")
    password = old.password
    instance.finish(instance.arm("PUT", f"{old.id}/scopeMaps/mymap", PULL))
    body = {"location": "eastus", "sku": {"name": "Basic"}, "properties": {"adminUserEnabled": True}}
    with held_back(instance, group):
        gone = instance.arm("DELETE", old.id)
        assert gone.status_code == 202
        assert code(instance.arm("PUT", old.id, body)) == "ResourceBeingDeleted"
        assert code(instance.arm("PATCH", old.id, {"tags": {}})) == "ResourceBeingDeleted"
        assert code(instance.arm("POST", f"{old.id}/listCredentials")) == "ResourceBeingDeleted"
        # The name is taken until it is gone, in other groups as well.
        elsewhere = instance.registry_id(instance.make_group(), old.name)
        assert code(instance.arm("PUT", elsewhere, body)) == "RegistryNameAlreadyInUse"
        again = instance.arm("DELETE", old.id)
        assert again.status_code == 202
    instance.finish(gone)
    instance.finish(again)
    new = instance.make_registry(group, old.name)
    assert new.password != password
    assert eventually(lambda: new.call("GET", "/v2/_catalog").json()) == {"repositories": []}
    assert instance.session.get(f"{new.url}/v2/_catalog",
                                auth=(old.name, password)).status_code == 401
    assert instance.arm("GET", f"{new.id}/scopeMaps/mymap").status_code == 404
    shown = instance.arm("GET", new.id).json()
    assert shown["sku"]["name"] == "Basic" and not shown["properties"]["anonymousPullEnabled"]


@pytest.mark.parametrize("level", ["CanNotDelete", "ReadOnly"])
def test_a_lock_inside_keeps_the_whole_group(instance, level):
    group = instance.make_group()
    free, kept = instance.make_registry(group), instance.make_registry(group)
    scope_map = f"{kept.id}/scopeMaps/mymap"
    instance.finish(instance.arm("PUT", scope_map, PULL))
    lock = f"{scope_map}/providers/Microsoft.Authorization/locks/keep"
    assert instance.arm("PUT", lock, {"properties": {"level": level}},
                        api=LOCKS_API).status_code == 201
    for path, api in ((instance.group_id(group), GROUPS_API), (kept.id, "2025-11-01"),
                      (scope_map, "2025-11-01")):
        assert code(instance.arm("DELETE", path, api=api)) == "ScopeLocked"
    for it in (free, kept):
        state = instance.arm("GET", it.id).json()["properties"]["provisioningState"]
        assert state == "Succeeded"
    assert instance.arm("PATCH", kept.id, {"tags": {"a": "b"}}).status_code in (200, 201)
    changed = instance.arm("PATCH", scope_map, {"properties": {"description": "x"}})
    assert changed.status_code == (409 if level == "ReadOnly" else 200)
    assert instance.arm("DELETE", lock, api=LOCKS_API).status_code == 200
    instance.delete(instance.group_id(group), api=GROUPS_API)


ACTIONS = [("", "listCredentials", None), ("", "regenerateCredential", {"name": "password"}),
           ("", "generateCredentials", {"tokenId": "x"}), ("", "importImage", {"source": {}}),
           ("", "scheduleRun", {"type": "x"}), ("", "listBuildSourceUploadUrl", None),
           ("/webhooks/myhook", "ping", None), ("/webhooks/myhook", "getCallbackConfig", None)]


def test_read_only_stops_every_action(instance, group):
    registry = instance.make_registry(group)
    hook = instance.arm("PUT", f"{registry.id}/webhooks/myhook", {
        "location": "eastus", "properties": {"serviceUri": "https://example.org",
                                             "actions": ["push"]}})
    instance.finish(hook)
    lock = f"{instance.group_id(group)}/providers/Microsoft.Authorization/locks/still"
    instance.arm("PUT", lock, {"properties": {"level": "ReadOnly"}}, api=LOCKS_API)
    for below, action, body in ACTIONS:
        api = "2019-06-01-preview" if action in ("scheduleRun", "listBuildSourceUploadUrl") \
            else "2025-11-01"
        reply = instance.arm("POST", f"{registry.id}{below}/{action}", body or {}, api=api)
        assert code(reply) == "ScopeLocked", action
    assert instance.arm("GET", f"{registry.id}/listUsages").status_code == 200
    instance.arm("DELETE", lock, api=LOCKS_API)
    told = instance.arm("POST", f"{registry.id}/webhooks/myhook/getCallbackConfig")
    assert told.status_code == 200


def test_pages_while_rows_come_and_go(instance, group):
    registry = instance.make_registry(group, sku="Standard")
    base = f"{registry.id}/scopeMaps"

    def put(name):
        assert instance.arm("PUT", f"{base}/{name}", PULL).status_code == 200
    stay = [f"stay{i:03}" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, stay + [f"stay{i:03}b" for i in range(40)]))
    seen, pages = [], 0
    for page in instance.pages(base, **{"$top": "7"}):
        seen += [x["name"] for x in page]
        # Rows before and after the page go, others come.
        instance.arm("DELETE", f"{base}/stay{pages:03}b")
        instance.arm("DELETE", f"{base}/stay{39 - pages:03}b")
        put(f"stay{pages:03}c")
        pages += 1
    assert pages > 8 and len(seen) == len(set(seen))
    assert [x for x in seen if len(x) == 7 and x.startswith("stay")] == stay


def test_pages_of_locks_while_some_come_and_go(instance):
    """More than a page holds, at a group and at what is in it; others are set and taken away meanwhile."""
    group = instance.make_group()
    base = f"{instance.group_id(group)}/providers/Microsoft.Authorization/locks"

    def put(name):
        reply = instance.arm("PUT", f"{base}/{name}", {"properties": {"level": "CanNotDelete"}}, api=LOCKS_API)
        assert reply.status_code == 201, reply.text
    stay = [f"stay{i:03}" for i in range(210)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, stay + ["stay000b", "stay209b"]))
    url, seen, sizes = base, [], []
    while url:
        reply = instance.arm("GET", url, api=None if "?" in url else LOCKS_API)
        assert reply.status_code == 200, reply.text
        seen += [x["name"] for x in reply.json()["value"]]
        sizes.append(len(reply.json()["value"]))
        url = reply.json().get("nextLink")
        for name in ("stay000b", "stay209b"):
            instance.delete(f"{base}/{name}", api=LOCKS_API)
        put(f"stay{len(sizes):03}c")
    assert len(sizes) == 2 and sizes[0] == 200
    assert len(seen) == len(set(seen)) and [x for x in seen if x in stay] == stay
    bad = instance.arm("GET", base, api=LOCKS_API, **{"$skipToken": "nonsense"})
    assert code(bad, 400) == "InvalidSkipToken"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: instance.delete(f"{base}/{name}", api=LOCKS_API),
                      stay + ["stay001c", "stay002c"]))
    instance.delete(instance.group_id(group), api=GROUPS_API)
