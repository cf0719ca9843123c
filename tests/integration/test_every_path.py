"""What holds at every path that can be read: HEAD is GET without the body, names compare without case and come
back as they were given, a slash more changes nothing, other methods are refused by name, and every answer
has its ids. The paths come from the tables: of every type, and of every route that is no resource."""

import re
import uuid

import pytest

from support.directory import AUTHORIZATION, LOCKS_API, ROLES_API
from support.everything import KINDS, Everything
from support.instance import GROUPS_API, held_back
from support.routes import TEMPLATE, endpoint_requests
from support.vault import own_object_id

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"

# One thing: HEAD asks whether it is there.
ITEMS = re.compile(r"/(locks|roleAssignments|roleDefinitions|diagnosticSettings|deployments|deploymentStacks)/[^/]+$"
                   r"|/tags/default$")


@pytest.fixture(scope="module")
def everything(instance):
    it = Everything(instance, instance.make_group(), uuid.uuid4().hex[:10]).make()
    yield it
    instance.arm("DELETE", instance.group_id(it.group), api=GROUPS_API)


def extensions(instance, group):
    """[(path, api, body)] of one of each thing that is about another."""
    scope = instance.group_id(group)
    deny = {"mode": "none"}
    return [
        (f"{scope}/providers/Microsoft.Network/virtualNetworks/every/subnets/apps/{AUTHORIZATION}/locks/Kept",
         LOCKS_API, {"properties": {"level": "CanNotDelete"}}),
        (f"{scope}/{AUTHORIZATION}/roleAssignments/{uuid.uuid4()}", ROLES_API, {"properties": {
            "roleDefinitionId": f"{scope}/{AUTHORIZATION}/roleDefinitions/{READER}",
            "principalId": own_object_id(instance)}}),
        (f"{scope}/{AUTHORIZATION}/roleDefinitions/{uuid.uuid4()}", ROLES_API, {"properties": {
            "roleName": f"role {uuid.uuid4()}", "type": "CustomRole", "assignableScopes": [scope],
            "permissions": [{"actions": ["*/read"]}]}}),
        (f"{scope}/providers/Microsoft.Insights/diagnosticSettings/Setting", "2021-05-01-preview", {
            "properties": {"workspaceId": f"{scope}/w", "logs": [{"category": "x", "enabled": True}]}}),
        (f"{scope}/providers/Microsoft.Resources/deployments/One", GROUPS_API, TEMPLATE),
        (f"{scope}/providers/Microsoft.Resources/deploymentStacks/Stack", "2024-03-01", {"properties": {
            "template": TEMPLATE["properties"]["template"], "denySettings": deny,
            "actionOnUnmanage": {"resources": "detach"}}}),
    ]


@pytest.fixture(scope="module")
def about(instance, everything):
    made = extensions(instance, everything.group)
    for path, api, body in made:
        reply = instance.arm("PUT", path, body, api=api)
        assert reply.status_code in (200, 201), (path, reply.text)
        instance.finish(reply)
    yield made
    for path, api, _ in made:
        reply = instance.arm("DELETE", path, api=api, **{"unmanageAction.Resources": "detach"})
        instance.finish(reply)


@pytest.fixture(scope="module")
def reads(instance, everything, about):
    """[(path, api, is it an item)] of whatever is read: each is there."""
    group = instance.group_id(everything.group)
    lists = f"/subscriptions/{instance.subscription}/resourceGroups"
    found = [(group, GROUPS_API, True), (lists, GROUPS_API, False)]
    for kind in KINDS:
        path, api = everything.id(kind), everything.api(kind)
        found += [(path, api, True), (path.rsplit("/", 1)[0], api, False)]
        if kind.is_top:
            below = path.split("/providers/")[1].rsplit("/", 1)[0]
            found.append((f"/subscriptions/{instance.subscription}/providers/{below}", api, False))
    registry = everything.id("registries/{R}")
    found += [(f"{registry}/listUsages", "2025-11-01", False),
              (f"{registry}/privateLinkResources", "2025-11-01", False),
              (f"{registry}/privateLinkResources/registry", "2025-11-01", True)]
    found += [(path, api, True) for path, api, _ in about]
    for _, _, method, path, api, _ in endpoint_requests(instance, everything.group):
        if method == "GET":
            found.append((path, api, bool(ITEMS.search(path))))
    return found


def plain(reply):
    """Its body, without what is new each time, and where a page goes on, which is spelled as it was asked."""
    return re.sub(r'"(\w*[tT]imestamp|duration|nextLink)":\s*"[^"]*"', "", reply.text)


def test_head_is_get_without_a_body(instance, reads):
    wrong = []
    for path, api, is_item in reads:
        get, head = instance.arm("GET", path, api=api), instance.arm("HEAD", path, api=api)
        expected = 204 if is_item and get.status_code == 200 else get.status_code
        if head.status_code != expected or head.content or "x-ms-request-id" not in head.headers:
            wrong.append((path, get.status_code, head.status_code))
    assert not wrong, "\n".join(map(str, wrong))


def test_head_of_what_is_not_there(instance, everything):
    for kind in KINDS:
        if kind.kept:
            continue
        path = everything.id(kind).rsplit("/", 1)[0] + "/nobody12"
        head = instance.arm("HEAD", path, api=everything.api(kind))
        assert (head.status_code, head.content) == (404, b""), path


def shouted(path):
    """All in capitals but for what is no name: what comes back shows whether names were kept."""
    return "/".join(part if re.fullmatch(r"[0-9a-f-]{36}", part) else part.upper() for part in path.split("/"))


def doubled(path):
    return path.replace("/", "//")


@pytest.mark.parametrize("written", [shouted, str.lower, doubled], ids=lambda f: f.__name__)
def test_one_thing_has_many_spellings(instance, reads, written):
    wrong = []
    for path, api, _ in reads:
        for _ in range(5):  # lists may change between the two: of the activity log at any moment
            get, other = instance.arm("GET", path, api=api), instance.arm("GET", written(path), api=api)
            same = plain(get) == plain(other) if get.status_code == 200 else True
            if same:
                break
        if get.status_code != other.status_code or not same:
            wrong.append((written(path), get.status_code, other.status_code, get.text[:300], other.text[:300]))
    assert not wrong, "\n".join(map(str, wrong))


def test_other_methods_are_refused_by_name(instance, reads):
    """What a path does not answer is 405, and Allow tells what it does."""
    wrong = []
    for path, api, _ in reads:
        reply = instance.arm("POST", path, api=api)
        if reply.status_code == 404 and "/providers/" not in path:
            continue  # an action that there is not
        allow = reply.headers.get("Allow", "").split(", ")
        if reply.status_code != 405 or reply.json()["error"]["code"] != "MethodNotAllowed" or \
                not {"GET", "HEAD"} <= set(allow) or "POST" in allow:
            wrong.append((path, reply.status_code, allow, reply.text[:200]))
    assert not wrong, "\n".join(map(str, wrong))


# --- bodies, deletes, ids ---------------------------------------------------------------------------

BODIES = [("text/plain", 415, "text/plain"), ("application/x-www-form-urlencoded", 415, None),
          ("application/xml; charset=utf-8", 415, "application/xml"), (None, 415, "<null>"),
          ("application/json", 200, None), ("Application/JSON; charset=utf-8", 200, None),
          ("text/json", 200, None), ("application/merge-patch+json", 200, None)]


@pytest.mark.parametrize("media, status, told", BODIES)
def test_bodies_are_json_by_name(instance, everything, media, status, told):
    group = instance.group_id(everything.group)
    for method, path, body in (("PATCH", group, b'{"tags": {}}'),
                               ("PATCH", f"{group}/providers/Microsoft.Resources/tags/default",
                                b'{"operation": "Merge", "properties": {"tags": {}}}')):
        reply = instance.session.request(
            method, instance.management + path, params={"api-version": GROUPS_API}, data=body,
            headers={"Authorization": f"Bearer {instance.token()}", "Content-Type": media})
        assert reply.status_code == status, reply.text
        if status == 415:
            error = reply.json()["error"]
            assert error["code"] == "UnsupportedMediaType"
            if told:
                assert error["message"] == (f"The content media type '{told}' is not supported. Only "
                                            "'application/json' is supported.")


def test_deletes_of_what_is_not_there(instance, everything):
    """204, as often as it is asked; in a group that is not there 404."""
    for kind in KINDS:
        if kind.kept:
            continue
        name = str(uuid.uuid4()) if kind.path.endswith("@") else "nobody12"
        path = everything.id(kind).rsplit("/", 1)[0] + "/" + name
        for _ in range(2):
            reply = instance.arm("DELETE", path, api=everything.api(kind))
            assert (reply.status_code, reply.content) == (204, b""), (path, reply.text)
        reply = instance.arm("DELETE", path.replace(everything.group, "nogroup12"), api=everything.api(kind))
        assert reply.status_code == 404, path
        assert reply.json()["error"] == {"code": "ResourceGroupNotFound",
                                         "message": "Resource group 'nogroup12' could not be found."}
    for path, api, _ in extensions(instance, everything.group):
        if "Stack" in path or "deployments" in path:
            path = path.replace("/One", "/Two").replace("/Stack", "/Two")
        path = path.replace("/Kept", "/Free").replace("/Setting", "/Free")
        assert instance.arm("DELETE", path, api=api).status_code == 204, path


FIXED = {"cache-control": "no-cache", "pragma": "no-cache", "expires": "-1",
         "x-content-type-options": "nosniff",
         "strict-transport-security": "max-age=31536000; includeSubDomains"}


def test_every_answer_has_its_ids(instance, everything):
    group = instance.group_id(everything.group)
    registry, vnet = everything.id("registries/{R}"), everything.id("virtualNetworks/every")
    made = f"{group}/providers/Microsoft.ContainerRegistry/registries/ids{uuid.uuid4().hex[:10]}"
    basic = {"location": "eastus", "sku": {"name": "Basic"}}
    asked = [("GET", registry, None, {}, 200), ("PUT", made, basic, {}, 201), ("HEAD", group, None, {}, 204),
             ("DELETE", made, None, {}, 202), ("DELETE", f"{made}x", None, {}, 204),
             ("GET", f"{made}x", None, {}, 404), ("GET", "/nowhere", None, {}, 404),
             ("POST", group, None, {}, 405), ("PUT", registry, {**basic, "location": "westus2"}, {}, 409),
             ("PUT", vnet, {"location": "eastus"}, {"If-Match": "other"}, 412),
             ("PUT", registry, basic, {"Content-Type": "text/plain"}, 415),
             ("PUT", registry, {"location": "eastus"}, {}, 400),
             ("GET", registry, None, {"Authorization": "Bearer x"}, 401)]
    seen = set()
    for method, path, body, headers, status in asked:
        mine = str(uuid.uuid4())
        api = "2023-11-01" if path == vnet else GROUPS_API if path == group else "2025-11-01"
        reply = instance.arm(method, path, body, api=api, headers={
            "x-ms-client-request-id": mine, "x-ms-return-client-request-id": "true", **headers})
        assert reply.status_code == status, (method, path, reply.text)
        told = reply.headers
        for name, value in FIXED.items():
            assert told[name] == value, (path, name)
        uuid.UUID(told["x-ms-request-id"])
        uuid.UUID(told["x-ms-correlation-request-id"])
        assert told["x-ms-client-request-id"] == mine
        assert re.fullmatch(r"[A-Z0-9]+:\d{4}-\d\d-\d\dT[0-9:.]+Z:" + told["x-ms-request-id"],
                            told["x-ms-routing-request-id"])
        assert told["x-ms-request-id"] not in seen
        seen.add(told["x-ms-request-id"])
        if status == 401:
            assert told["WWW-Authenticate"].startswith("Bearer authorization_uri=")
        if path.startswith("/subscriptions") and status not in (401, 405, 415):
            kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
            assert int(told[f"x-ms-ratelimit-remaining-subscription-{kind}"]) >= 0
        if reply.content:
            assert told["Content-Type"] == "application/json; charset=utf-8"
