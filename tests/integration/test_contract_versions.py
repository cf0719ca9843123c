"""The api-versions that nothing was recorded with: with each, every type is asked by the recorded requests
of the version nearest to it. Statuses and answers are as recorded, and no answer shows a member that came
later."""

import pytest

from support import contract, recorded, tables
from support.everything import ACR

# Actions of registries that came with another type, and have its versions.
CAME_WITH = {"Registries_GenerateCredentials": f"{ACR}/registries/tokens",
             "Registries_ScheduleRun": f"{ACR}/registries/tasks",
             "Registries_GetBuildSourceUploadUrl": f"{ACR}/registries/tasks"}
VERSIONS = tables.versions()
APART = {"Operations_List", "Registries_CheckNameAvailability"}  # of the provider, and of a subscription


def type_of(operation):
    """The type that an operation reads or writes, and whether it is an action on one."""
    parts = operation.path.split("/providers/")[-1].strip("/").split("/")
    name = "/".join([parts[0], *parts[1::2]])
    is_action = name not in VERSIONS
    if is_action:
        name = name.rsplit("/", 1)[0]
    return CAME_WITH.get(operation.id, name), is_action


def distance(description, version):
    """How far a recorded version is: a stable one is nearer to a stable one, what came before is nearer to what
    came later."""
    days = [int(v[:4]) * 372 + int(v[5:7]) * 31 + int(v[8:10]) for v in (description.version, version)]
    is_preview = [v.endswith("-preview") for v in (description.version, version)]
    return is_preview[0] != is_preview[1], days[0] > days[1], abs(days[0] - days[1])


def played(group, version):
    """The operations of a group that a version has, each of the nearest version that recorded it."""
    found = {}
    for description in sorted(recorded.DESCRIPTIONS, key=lambda d: distance(d, version)):
        for operation in description.operations.values():
            if operation.group == group and operation.examples and operation.id not in APART and \
                    version in VERSIONS.get(type_of(operation)[0], ()):
                found.setdefault(operation.id, operation)
    return sorted(found.values(), key=recorded.order)


GROUPS = sorted({o.group for d in recorded.DESCRIPTIONS for o in d.operations.values()})
ALL = sorted({v for listed in VERSIONS.values() for v in listed}, reverse=True)


def was_recorded(group, version):
    return any(d.version == version and o.group == group
               for d in recorded.DESCRIPTIONS for o in d.operations.values())


CASES = [(group, version) for group in GROUPS for version in ALL
         if played(group, version) and not was_recorded(group, version)]


def test_every_version_of_every_type_is_played():
    seen = {(type_of(o)[0], version) for group, version in CASES for o in played(group, version)}
    seen |= {(type_of(o)[0], d.version) for d in recorded.DESCRIPTIONS for o in d.operations.values()}
    wanted = {(kind, version) for kind, listed in VERSIONS.items() if kind.startswith(ACR)
              for version in listed}
    assert sorted(wanted - seen) == [] and len(CASES) > 200


@pytest.fixture(scope="module")
def places(instance):
    with recorded.places(instance) as place:
        yield place


def shown(body, path):
    """Whether a member is there; of lists, in any element."""
    name, _, rest = path.partition(".")
    if name.endswith("[]"):
        return any(shown(item, rest) for item in (body or {}).get(name[:-2]) or [])
    if not isinstance(body, dict) or name not in body:
        return False
    return shown(body[name], rest) if rest else True


def hidden_of(kind, version):
    """With the members of lists that are."""
    members = tables.members(kind)
    hidden = {path for path, since in members.items() if since and not tables.is_shown(since, version)}
    return hidden | {path for path in members if path.split("[]")[0] in hidden}


def excused(missing, kind, hidden):
    """Of members that are missing, those that this version hides, with all that is below them."""
    paths = {path.replace("[]", ".0") for path in tables.members(kind)}
    hidden = {path.replace("[]", ".0") for path in hidden}
    for member in missing:
        path = member.strip("/").replace("/", ".")
        below = {p for p in paths if p == path or p.startswith(path + ".")}
        above = {p for p in hidden if path.startswith(p + ".")}
        if above or below and below <= hidden:
            yield member


@pytest.mark.parametrize("group, version", CASES)
def test_version(places, group, version):
    for operation in played(group, version):
        place = places((group, operation.id == "Registries_Update"))  # which makes the registry a smaller one
        place.version = version
        kind, is_action = type_of(operation)
        reply, expected = place.play(operation, next(iter(operation.examples.values())))
        if reply is None or not reply.content or is_action:
            continue
        hidden, rows, wanted = hidden_of(kind, version), [reply.json()], [place.ours(expected or {})]
        if operation.verb.startswith("List"):  # of all there are, one is as recorded
            rows, wanted = rows[0]["value"], wanted[0].get("value", [])[:1]
        for row in rows:
            assert [path for path in sorted(hidden) if shown(row, path)] == [], (operation.id, row)
        for want in wanted:
            missing = [set(contract.missing_members(want, row)) for row in rows]
            excuses = recorded.not_shown(operation) | set(excused(set().union(*missing), kind, hidden))
            assert min((m - excuses for m in missing), key=len) == set(), operation.id
