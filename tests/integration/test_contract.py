"""Our answers against the published descriptions of the management API: every recorded example request
is made, and status, required members, enums, types and the recorded members of the answer are checked;
members that only the service writes are tampered with and stay as they were."""

import glob
import os

import pytest

from support import contract, recorded
from support.recorded import DESCRIPTIONS, FOLDER, NEWEST, NOT_CARRIED_OUT, order


def test_every_recording_is_played():
    folder = os.path.join(contract.SPECS, FOLDER)
    there = {os.path.realpath(path) for path in glob.glob(f"{folder}/**/examples/**/*.json", recursive=True)}
    played = {os.path.realpath(path) for description in DESCRIPTIONS
              for operation in description.operations.values() for path in operation.examples.values()}
    assert sorted(there - played) == [] and len(there) > 150


def examples():
    for description in DESCRIPTIONS:
        groups = {}
        for operation in description.operations.values():
            groups.setdefault(operation.group, []).append(operation)
        for group in groups.values():
            for operation in sorted(group, key=order):
                for name, path in operation.examples.items():
                    yield pytest.param(operation, path, id=f"{description.version}-{name}")


@pytest.fixture(scope="module")
def places(instance):
    with recorded.places(instance) as place:
        yield place


@pytest.mark.parametrize("operation,path", examples())
def test_recorded_example(places, operation, path):
    key = (operation.description.version, operation.group, operation.verb == "Create")
    if operation.group == "Registries" or "ZoneRedundant" in path:
        key += (path,)
    place = places(key)
    reply, expected = place.play(operation, path)
    if expected is not None and reply.content:
        missing = contract.missing_members(place.ours(expected), reply.json())
        assert set(missing) <= recorded.not_shown(operation)


def tampered(body, path):
    """Another value for a member that only the service writes; None where it has none."""
    for name in path[:-1]:
        body = body.get(name) if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(body.get(path[-1]), (str, bool, int)):
        return None
    was = body[path[-1]]
    if isinstance(was, bool):
        body[path[-1]] = not was
    elif isinstance(was, int):
        body[path[-1]] = was + 1
    elif was in ("", None) or "T" in was and was[:4].isdigit():
        body[path[-1]] = "2001-02-03T04:05:06Z"
    else:
        body[path[-1]] = "00000000-0000-0000-0000-00000000beef"
    return was


def overlaid(body, request):
    """A body with the members of a request laid over it."""
    if isinstance(body, dict) and isinstance(request, dict):
        return {**body, **{k: overlaid(body.get(k), v) for k, v in request.items()}}
    return request


def at(body, path):
    for name in path:
        body = body[name]
    return body


CREATES = [pytest.param(description, operation, id=f"{description.version}-{operation.group}")
           for description in DESCRIPTIONS for operation in description.operations.values()
           if operation.verb == "Create" and operation.examples and operation.method == "PUT"
           and operation.group not in NOT_CARRIED_OUT]


@pytest.mark.parametrize("description,operation", CREATES)
def test_members_of_the_service_cannot_be_written(instance, places, description, operation):
    place = places((description.version, operation.group, "own"))
    values = place.values(next(iter(operation.examples.values())))
    if operation.group == "Registries":
        reply = place.get(operation, values)
    else:
        place.ensure(description, operation.group,
                     {k: v for k, v in values.items() if f"{{{k}}}" in operation.path})
        reply = place.get(operation, values)
    assert reply.status_code == 200, reply.text
    body, wanted = reply.json(), {}
    for path in set(description.read_only(operation.schema(200))):
        was = tampered(body, path)
        if was is not None:
            wanted[path] = was
    assert ("id",) in wanted and ("name",) in wanted and ("type",) in wanted
    name = operation.body_name()
    if name is None:
        return
    if operation.group != "Registries":
        values[name] = overlaid(body, values[name])  # brings what an answer never shows
    else:
        values[name] = body
    reply = place.call(operation, values)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    now = place.get(operation, values).json()
    changes = {"lastModifiedDate", "lastModifiedTimeStamp", "lastUpdatedTime", "lastModifiedAt"}
    for path, was in wanted.items():
        if path[-1] not in changes:
            assert at(now, path) == was, path


def test_every_operation_of_the_newest_version_is_answered(instance, places):
    """No operation of the newest stable version is without a route."""
    place = places(("newest",))
    lacking = []
    for operation in NEWEST.operations.values():
        values = {p["name"]: "registry" if p["name"] == "groupName" else "nosuchthing"
                  for p in operation.parameters if p["in"] == "path"}
        values.update(subscriptionId=instance.subscription, resourceGroupName=place.group,
                      registryName=place.registry)
        if operation.group == "Registries" and operation.method in ("PUT", "PATCH", "DELETE"):
            values["registryName"] = "x"  # refused as a name, once the route is found
        reply = instance.arm(operation.method, operation.url(values),
                             {} if operation.body_name() else None, api=NEWEST.version)
        known = reply.status_code < 500 and "InvalidResourceType" not in reply.text \
            and reply.status_code != 405
        if not known:
            lacking.append((operation.id, reply.status_code, reply.text[:200]))
    assert lacking == []
