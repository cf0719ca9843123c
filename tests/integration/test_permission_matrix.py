"""Every management operation × every built-in role: the verdict of the service against one computed
here from the role's definition alone."""

import re
import uuid

import pytest

from support.directory import AUTHORIZATION, LOCKS_API, ROLES_API, Directory, assign
from support.instance import API, GROUPS_API

NAMESPACE = "Microsoft.ContainerRegistry"
METHODS = {"read": "GET", "write": "PUT", "delete": "DELETE"}
NO_ROUTE = {"InvalidResourceType", "NotFound", "MethodNotAllowed", "NoRegisteredProviderFound"}


def allows(role, action):
    """Azure's rule: some pattern of actions fits, none of notActions."""
    def fits(patterns):
        return any(re.fullmatch(re.escape(p).replace(r"\*", ".*"), action, re.I) for p in patterns)
    return any(fits(p["actions"]) and not fits(p["notActions"])
               for p in role["properties"]["permissions"])


def resource_requests(instance, group):
    """(action, method, path, api) of what the provider's operations are reached by. The registry does
    not exist: who is allowed gets another answer than 403, and nothing changes."""
    base = instance.group_id(group) + f"/providers/{NAMESPACE}/registries/nobodyhere1"
    listed = instance.arm("GET", f"/providers/{NAMESPACE}/operations").json()["value"]
    for operation in listed:
        name = operation["name"]
        if operation.get("isDataAction") or not name.startswith(f"{NAMESPACE}/registries/"):
            continue
        parts = name.removeprefix(f"{NAMESPACE}/registries/").split("/")
        if parts[-1] == "action":
            path = "".join(f"/{kind}/nobody1" for kind in parts[:-2]) + f"/{parts[-2]}"
            yield name, "POST", base + path, API
        elif parts[-1] in METHODS:
            path = "".join(f"/{kind}/nobody1" for kind in parts[:-1])
            yield name, METHODS[parts[-1]], base + path, API


def other_requests(instance, group):
    scope = instance.group_id(group)
    for verb, method in METHODS.items():
        for kind, api in (("roleAssignments", ROLES_API), ("roleDefinitions", ROLES_API),
                          ("locks", LOCKS_API)):
            yield (f"{AUTHORIZATION.removeprefix('providers/')}/{kind}/{verb}", method,
                   f"{scope}/{AUTHORIZATION}/{kind}/{uuid.uuid4()}", api)
    identity = "Microsoft.ManagedIdentity/userAssignedIdentities"
    for verb, method in METHODS.items():
        yield f"{identity}/{verb}", method, f"{scope}/providers/{identity}/nobody1", "2023-01-31"
    yield ("Microsoft.Resources/subscriptions/resourceGroups/read", "GET", scope, GROUPS_API)
    yield ("Microsoft.Resources/subscriptions/resourceGroups/write", "PATCH", scope, GROUPS_API)


def send(instance, token, method, path, api):
    return instance.arm(method, path, {} if method in ("PUT", "POST", "PATCH") else None, api=api,
                        token=token)


def code_of(reply):
    try:
        return reply.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return ""


@pytest.fixture(scope="module")
def requests_of(instance):
    group = instance.make_group()
    all_requests = [*resource_requests(instance, group), *other_requests(instance, group)]
    routed = [r for r in all_requests
              if code_of(send(instance, None, *r[1:])) not in NO_ROUTE]
    assert len(routed) >= 25, [r[0] for r in all_requests]
    yield group, routed
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


def test_every_operation_for_every_role(instance, requests_of):
    group, routed = requests_of
    directory = Directory(instance)
    roles = instance.arm("GET", f"{instance.group_id(group)}/{AUTHORIZATION}/roleDefinitions",
                         api=ROLES_API, **{"$filter": "type eq 'BuiltInRole'"}).json()["value"]
    assert len(roles) >= 25
    wrong = []
    for role in roles:
        app = directory.application()
        assert assign(instance, app.object_id, role["name"],
                      instance.group_id(group)).status_code == 201
        token = app.token()
        for action, method, path, api in routed:
            reply = send(instance, token, method, path, api)
            granted = reply.status_code != 403
            if granted != allows(role, action):
                wrong.append((role["properties"]["roleName"], method, action, reply.status_code))
    assert not wrong, wrong[:20]


def test_nobody_may_anything(instance, requests_of):
    _, routed = requests_of
    token = Directory(instance).application().token()
    for action, method, path, api in routed:
        reply = send(instance, token, method, path, api)
        assert reply.status_code == 403 and code_of(reply) == "AuthorizationFailed", action
        bare = instance.session.request(method, instance.management + path,
                                        params={"api-version": api})
        assert bare.status_code == 401, action
