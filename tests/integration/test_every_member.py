"""What holds of every member of every type, by its row in the table: api-versions show what is not newer than
they are, and take nothing that is; PUT takes back what it leaves out, PATCH keeps it; null means the default."""

import copy
import re
import uuid

import pytest

from support.everything import KINDS, Everything
from support.instance import GROUPS_API
from support.tables import is_shown, sections, versions as published

MADE = [kind for kind in KINDS if kind.made_by is None and not kind.settle]
# What goes with other members, so that it is not changed on its own: a rule of its type stands in the way.
TOGETHER = {
    "properties.publicNetworkAccess", "properties.policies.exportPolicy.status", "properties.endpointProtocol",
    "properties.policies.softDeletePolicy.status", "properties.policies.retentionPolicy.status",
    "properties.dataEndpointEnabled", "properties.allowForwardedTraffic", "properties.useRemoteGateways",
    "properties.enableSoftDelete",
}


class Member:
    def __init__(self, path, kind, access, default, values, gate, since):
        self.path, self.kind, self.access = path.strip("`"), kind, access
        self.default = default.strip("`") or None
        self.values, self.gate, self.since = values, gate, since

    def is_shown(self, version):
        return is_shown(self.since, version)

    @property
    def is_settable(self):
        return self.access == "read, write" and self.default is not None and "[]" not in self.path and \
            self.path not in TOGETHER

    def other(self):
        """A value that is not the default; None: the table knows none."""
        if self.kind == "boolean":
            return self.default != "true"
        if self.kind == "integer":
            least = int(self.values.split(" … ")[0]) if " … " in self.values else 1
            return next(n for n in (least, least + 1) if str(n) != self.default)
        if self.kind == "text" and self.values and " … " not in self.values:
            return next((v for v in self.values.split(", ") if f'"{v}"' != self.default), None)
        return None


def tables():
    """{type: (versions, [member])}"""
    found = {}
    for name, section in sections().items():
        rows = re.findall(r"^\| (`[^`]+`) \|(.*)\|$", section, re.M)
        found[name] = published()[name], [Member(path, *[c.strip() for c in rest.split("|")])
                                          for path, rest in rows if rest.count("|") == 5]
    return found


TABLES = tables()


def at(body, path):
    for name in path.split("."):
        if not isinstance(body, dict) or name not in body:
            return None
        body = body[name]
    return body


def put_at(body, path, value):
    *above, last = path.split(".")
    for name in above:
        body = body.setdefault(name, {})
    body[last] = value
    return body


def ids(kind):
    return kind.type.split("/", 1)[1]


@pytest.fixture(scope="module")
def everything(instance):
    it = Everything(instance, instance.make_group(), uuid.uuid4().hex[:10]).make()
    yield it
    instance.arm("DELETE", instance.group_id(it.group), api=GROUPS_API)


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_versions_show_what_they_know(instance, everything, kind):
    versions, members = TABLES[kind.type]
    shown, listed = {}, {}
    above = everything.id(kind).rsplit("/", 1)[0]
    for version in versions:
        reply = instance.arm("GET", everything.id(kind), api=version)
        assert reply.status_code == 200, (version, reply.text)
        shown[version] = {m.path for m in members if at(reply.json(), m.path) is not None}
        rows = instance.arm("GET", above, api=version).json()["value"]
        row = next(r for r in rows if r["id"].lower() == everything.id(kind).lower())
        listed[version] = {m.path for m in members if at(row, m.path) is not None}
    union = set().union(*shown.values())
    for version in versions:
        wanted = {m.path for m in members if m.path in union and m.is_shown(version)}
        assert shown[version] == wanted, (version, shown[version] ^ wanted)
        assert listed[version] == wanted, (version, listed[version] ^ wanted)


@pytest.mark.parametrize("kind", MADE, ids=ids)
def test_versions_take_nothing_newer(instance, everything, kind):
    """It is an unknown member to them: named in a warning, and left as it is by PUT and by PATCH."""
    versions, members = TABLES[kind.type]
    newer = [(m, next((v for v in versions if not m.is_shown(v)), None)) for m in members
             if m.since and m.is_settable and m.other() is not None]
    for member, old in newer:
        if old is None:
            continue
        before = at(everything.call("GET", kind).json(), member.path)
        for method in ("PUT", "PATCH") if kind.patch else ("PUT",):
            body = copy.deepcopy(everything.filled(kind.body)) if method == "PUT" else {}
            put_at(body, member.path, member.other())
            reply = instance.arm(method, everything.id(kind), body, api=old)
            assert reply.status_code in (200, 201), (member.path, old, reply.text)
            assert member.path in reply.headers.get("Warning", ""), (member.path, old)
            instance.finish(reply)
            assert at(everything.call("GET", kind).json(), member.path) == before, (member.path, old)


@pytest.mark.parametrize("kind", MADE, ids=ids)
def test_put_replaces_and_patch_merges(everything, kind):
    body = everything.filled(kind.body)
    members = [m for m in TABLES[kind.type][1]
               if m.is_settable and m.other() is not None and at(body, m.path) is None
               and m.is_shown(everything.api(kind))]
    for member in members:
        default = at(everything.call("GET", kind).json(), member.path)
        wished = put_at_copy(body, member.path, member.other())
        shown = everything.finish(kind, everything.call("PUT", kind, wished)).json()
        assert at(shown, member.path) == member.other(), member.path
        if kind.patch:  # what a patch leaves out stays
            shown = everything.finish(kind, everything.call("PATCH", kind, {})).json()
            assert at(shown, member.path) == member.other(), member.path
            nothing = put_at_copy({}, member.path, None)
            shown = everything.finish(kind, everything.call("PATCH", kind, nothing)).json()
            assert at(shown, member.path) == default, member.path
            again = put_at_copy({}, member.path, member.other())
            shown = everything.finish(kind, everything.call("PATCH", kind, again)).json()
            assert at(shown, member.path) == member.other(), member.path
        # What a PUT leaves out is the default, and so is null.
        shown = everything.finish(kind, everything.put(kind)).json()
        assert at(shown, member.path) == default, member.path
        shown = everything.finish(kind, everything.call(
            "PUT", kind, put_at_copy(body, member.path, None))).json()
        assert at(shown, member.path) == default, member.path


def put_at_copy(body, path, value):
    made = copy.deepcopy(body)
    put_at(made, path, value)
    return made


@pytest.mark.parametrize("kind", [k for k in MADE if "location" in k.body], ids=ids)
def test_tags_are_replaced(everything, kind):
    """By PUT and by PATCH alike: a map as a whole; left out by PATCH they stay, by PUT they go."""
    def tags(method, body):
        reply = everything.call(method, kind, body)
        if reply.status_code == 405:
            return None
        return everything.finish(kind, reply).json().get("tags")
    body = everything.filled(kind.body)
    assert tags("PUT", {**body, "tags": {"a": "1", "B": "2"}}) == {"a": "1", "B": "2"}
    patched = tags("PATCH", {"tags": {"c": "3"}})
    if patched is not None:
        assert patched == {"c": "3"}
        assert tags("PATCH", {}) == {"c": "3"}
        assert tags("PATCH", {"tags": None}) == {}
    assert tags("PUT", {**body, "tags": {"d": "4"}}) == {"d": "4"}
    assert tags("PUT", body) == {}
