"""Every route × every built-in role, on both planes: the verdict of the service against one computed here
from the role's definition and from what the tables of routes and operations say is needed."""

import http.client
import json
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import pytest

from support.directory import AUTHORIZATION, ROLES_API, Directory, assign
from support.instance import API, GROUPS_API, eventually
from support.rawhttp import call
from support.routes import data_routes, endpoint_requests, table

NO_ROUTE = {"InvalidResourceType", "NotFound", "MethodNotAllowed", "NoRegisteredProviderFound"}
METHODS = {"read": "GET", "write": "PUT", "delete": "DELETE"}


def allows(role, action, kind="actions"):
    """Azure's rule: some pattern of actions fits, none of notActions."""
    def fits(patterns):
        return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), action, re.I) for p in patterns)
    return any(fits(p[kind]) and not fits(p[f"not{kind[0].upper()}{kind[1:]}"])
               for p in role["properties"]["permissions"])


class Wire:
    """One kept connection of one identity."""

    def __init__(self, instance, token):
        parts = urlsplit(instance.management)
        context = ssl.create_default_context(cafile=instance.ca)
        self.wire = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def ask(self, method, path, api, body):
        text = None if method in ("GET", "HEAD", "DELETE") else json.dumps(body)
        self.wire.request(method, f"{quote(path, safe='/$')}?api-version={api}", text, self.headers)
        reply = self.wire.getresponse()
        content = reply.read()
        try:
            return reply.status, json.loads(content)["error"]["code"]
        except (ValueError, KeyError, TypeError):
            return reply.status, ""


def newest_versions(instance):
    listed = instance.arm("GET", "/providers", api="2021-04-01").json()["value"]
    return {f"{p['namespace']}/{t['resourceType']}".lower(): t["apiVersions"][0]
            for p in listed for t in p["resourceTypes"]}


def resource_requests(instance, group):
    """The same of each operation on resources, which the pipeline serves. None of them exists: who is
    allowed gets another answer than 403, and nothing changes."""
    versions = newest_versions(instance)
    for operation, plane, _ in table("operations.md"):
        namespace, *parts = operation.split("/")
        if plane != "management" or namespace == "Microsoft.Resources":
            continue
        is_action = parts[-1] == "action"
        if not is_action and parts[-1] not in METHODS:
            continue
        kinds = parts[:-2] if is_action else parts[:-1]
        api = versions.get(f"{namespace}/{'/'.join(kinds)}".lower(), API)
        path = instance.group_id(group) + f"/providers/{namespace}" + "".join(
            f"/{kind}/nobodyhere1" for kind in kinds) + (f"/{parts[-2]}" if is_action else "")
        yield operation, False, "POST" if is_action else METHODS[parts[-1]], path, api, {}
    scope = instance.group_id(group)
    yield "Microsoft.Resources/subscriptions/resourceGroups/read", False, "GET", scope, GROUPS_API, {}
    yield "Microsoft.Resources/subscriptions/resourceGroups/write", False, "PATCH", scope, GROUPS_API, {}


def builtin_roles(instance):
    roles = instance.arm("GET", f"/subscriptions/{instance.subscription}/{AUTHORIZATION}/roleDefinitions",
                         api=ROLES_API, **{"$filter": "type eq 'BuiltInRole'"}).json()["value"]
    assert len(roles) >= 30
    return roles


@pytest.fixture(scope="module")
def area(instance):
    group = instance.make_group()
    yield group
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.fixture(scope="module")
def requests_of(instance, area):
    """All that has a route; what is only an operation's name (of a data plane, of another provider) has
    none."""
    endpoints = list(endpoint_requests(instance, area))
    wire = Wire(instance, instance.token())
    resources = [r for r in resource_requests(instance, area) if wire.ask(*r[2:])[1] not in NO_ROUTE]
    assert len(endpoints) > 80 and len(resources) > 80, (len(endpoints), len(resources))
    return endpoints + resources


def test_every_route_for_every_role(instance, requests_of):
    directory = Directory(instance)
    roles = builtin_roles(instance)

    def walk(role):
        app = directory.application()
        assert assign(instance, app.object_id, role["name"], "").status_code == 201
        wire, wrong = Wire(instance, app.token()), []
        for right, is_any, *request in requests_of:
            status, code = wire.ask(*request)
            is_granted = not (status == 403 and code in ("AuthorizationFailed", ""))
            if is_granted != (allows(role, right) or is_any):
                wrong.append((role["properties"]["roleName"], right, *request[:2], status, code))
        reply = instance.arm("GET", f"/{AUTHORIZATION}/roleAssignments", api=ROLES_API,
                             **{"$filter": f"principalId eq '{app.object_id}'"})
        for given in reply.json()["value"]:
            instance.arm("DELETE", given["id"], api=ROLES_API)
        return wrong
    with ThreadPoolExecutor(4) as pool:
        wrong = [x for found in pool.map(walk, roles) for x in found]
    assert not wrong, (len(wrong), wrong[:20])


def test_nobody_may_anything(instance, requests_of):
    wire = Wire(instance, Directory(instance).application().token())
    bare = Wire(instance, "")
    del bare.headers["Authorization"]
    for right, _, *request in requests_of:
        status, code = wire.ask(*request)
        assert status == 403 and code in ("AuthorizationFailed", ""), (right, request, status, code)
        assert bare.ask(*request)[0] == 401, right


# --- data planes ----------------------------------------------------------------------------------

# What gives a right on a repository, and the catalogs: actions in one mode, dataActions in the other.
GIVEN_BY = {
    "LegacyRegistryPermissions": ("actions", {
        "PULL": ("pull/read", "quarantine/read"), "PUSH": ("push/write",),
        "DELETE": ("artifacts/delete",), "METADATA_READ": ("pull/read", "quarantine/read"),
        "METADATA_WRITE": ("push/write", "quarantine/write"), "DELETED_READ": ("deleted/read",),
        "DELETED_RESTORE": ("deleted/restore/action",), "CATALOG": ("pull/read",),
        "DELETED_CATALOG": ("deleted/read",)}),
    "AbacRepositoryPermissions": ("dataActions", {
        "PULL": ("repositories/content/read", "quarantinedArtifacts/read"),
        "PUSH": ("repositories/content/write",), "DELETE": ("repositories/content/delete",),
        "METADATA_READ": ("repositories/metadata/read", "quarantinedArtifacts/read"),
        "METADATA_WRITE": ("repositories/metadata/write", "quarantinedArtifacts/write"),
        "DELETED_READ": (), "DELETED_RESTORE": (), "CATALOG": ("catalog/read",),
        "DELETED_CATALOG": ()}),
}


SCOPES = "registry:catalog:* registry:deleted_catalog:* repository:matrix/nobody:*," + ",".join(
    ("pull", "push", "delete", "metadata_read", "metadata_write", "deleted_read", "deleted_restore"))


@pytest.mark.parametrize("mode", GIVEN_BY)
def test_every_data_route_for_every_role(instance, area, mode):
    registry = instance.make_registry(area, sku="Premium", roleAssignmentMode=mode)
    directory = Directory(instance)
    routes = [row[1:] for row in data_routes() if row[0] not in ("OPEN", "ANY", "LINK")]
    assert len(routes) >= 40, routes
    kind, given_by = GIVEN_BY[mode]
    apps = [(role, directory.application()) for role in builtin_roles(instance)]
    for role, app in apps:
        assert assign(instance, app.object_id, role["name"], registry.id).status_code == 201

    def may(role, right):
        return any(allows(role, f"Microsoft.ContainerRegistry/registries/{action}", kind)
                   for action in given_by[right])

    def exchanged(app):
        return call(registry, "POST", "/oauth2/exchange", data={
            "grant_type": "access_token", "service": registry.host, "access_token": app.token()})
    wrong = []
    for role, app in apps:
        is_anybody = any(may(role, right) for right in given_by)
        if not is_anybody:
            assert exchanged(app).status_code == 401, role["properties"]["roleName"]
            continue
        eventually(lambda a=app: exchanged(a).status_code == 200)
        reply = call(registry, "POST", "/oauth2/token", data={
            "grant_type": "refresh_token", "service": registry.host, "scope": SCOPES,
            "refresh_token": exchanged(app).json()["refresh_token"]})
        token = reply.json()["access_token"]
        for rights, method, path in routes:
            # A refused upload ends its connection.
            status = call(registry, method, path, bearer=token, headers={"Connection": "close"}).status_code
            if (status not in (401, 403)) != all(may(role, right) for right in rights):
                wrong.append((role["properties"]["roleName"], method, path, rights, status))
    assert not wrong, (len(wrong), wrong[:20])
