"""What holds of every type: the activity log tells of its writes, locks at every place above hold it, a name
that comes back brings nothing of the old, nothing is made below what goes, what others name stays, and all of
it is exported and moved. The types come from the tables: one without a case fails here."""

import uuid

import pytest

from support.directory import locked
from support.everything import APART, KINDS, Everything, types
from support.instance import GROUPS_API, held_back
from support.tables import actions

MADE = [kind for kind in KINDS if kind.made_by is None]
PARENTS = [k for k in MADE if any(c.parent == k.path for c in MADE)]


def code(reply):
    return reply.json()["error"]["code"]


def ids(kind):
    return kind.type.split("/", 1)[1]


@pytest.fixture(scope="module")
def everything(instance):
    group = instance.make_group()
    yield Everything(instance, group, uuid.uuid4().hex[:10]).make()
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


def events(instance, resource_id):
    """What came to an end, and how: what goes on has one more entry when it begins."""
    rows = instance.sql("control", "select operation_name, status from events where resource_key = "
                        f"lower('{resource_id}') and status <> 'Accepted' order by at")
    return [tuple(row) for row in rows]


def test_every_type_has_a_case():
    assert {kind.type for kind in KINDS} | APART == set(types())


# --- locks ----------------------------------------------------------------------------------------

# Actions with versions of their own.
VERSIONS = {"scheduleRun": "2019-06-01-preview", "listBuildSourceUploadUrl": "2019-06-01-preview",
            "listAssociatedResources": "2021-09-30-preview"}


def refusals(instance, everything, kind, level):
    """(what, its reply) of each change that a lock above or on a resource stops."""
    if not kind.kept:
        yield "DELETE", everything.call("DELETE", kind)
    if level == "CanNotDelete":
        return
    if not kind.path.startswith("networkInterfaces"):
        yield "PUT", everything.put(kind)
    if kind.patch:
        yield "PATCH", everything.call("PATCH", kind, everything.filled(kind.patch))
    for type_, action in actions():
        if type_ == kind.type:
            api = VERSIONS.get(action) or everything.api(kind)
            yield action, instance.arm("POST", f"{everything.id(kind)}/{action}", {}, api=api)


@pytest.mark.parametrize("level", ["CanNotDelete", "ReadOnly"])
@pytest.mark.parametrize("where", ["subscription", "group", "parent", "self"])
def test_locks_hold_everything(instance, everything, where, level):
    scopes = {"subscription": lambda kind: f"/subscriptions/{instance.subscription}",
              "group": lambda kind: instance.group_id(everything.group),
              "parent": everything.above, "self": everything.id}
    kinds = [k for k in KINDS if where != "parent" or not k.is_top]
    by_scope = {}
    for kind in kinds:
        by_scope.setdefault(scopes[where](kind), []).append(kind)
    for scope, held in by_scope.items():
        with locked(instance, scope, level):
            for kind in held:
                for what, reply in refusals(instance, everything, kind, level):
                    if what in ("PUT", "PATCH", "DELETE"):
                        done = "delete" if what == "DELETE" else "write"
                        told = events(instance, everything.id(kind))[-1]
                        assert told == (f"{kind.type}/{done}", "Failed"), (kind.path, what)
                    assert reply.status_code == 409, (kind.path, what, reply.text)
                    assert code(reply) == "ScopeLocked", (kind.path, what, reply.text)
                    assert f"'{scope}'" in reply.json()["error"]["message"], reply.text
                assert everything.call("GET", kind).status_code == 200
            if where == "self":  # nobody deletes what holds it
                for above in {scopes["parent"](k) for k in held if not k.is_top}:
                    kind = next(k for k in PARENTS if everything.id(k) == above)
                    assert code(everything.call("DELETE", kind)) == "ScopeLocked", kind.path
                reply = instance.arm("DELETE", instance.group_id(everything.group), api=GROUPS_API)
                assert code(reply) == "ScopeLocked", reply.text


def test_deletes_only_are_stopped_by_the_smaller_lock(instance, everything):
    with locked(instance, instance.group_id(everything.group), "CanNotDelete"):
        for kind in KINDS:
            if kind.patch:
                reply = everything.call("PATCH", kind, everything.filled(kind.patch))
                everything.finish(kind, reply)
            if kind.made_by is None:
                everything.finish(kind, everything.put(kind))


# --- order ----------------------------------------------------------------------------------------

NAMED = [  # what is named or used, and by what
    ("scopeMaps/map-1", "tokens/token-1"), ("tokens/token-1", "connectedRegistries/below1"),
    ("credentialSets/set-1", "cacheRules/rule-1"),
    ("virtualNetworks/every", "privateEndpoints/every"),
    ("virtualNetworks/every/subnets/apps", "privateEndpoints/every"),
    ("privateDnsZones/every.test", "privateDnsZones/every.test/virtualNetworkLinks/link"),
    ("networkInterfaces/{N}", "privateEndpoints/every"),
]


@pytest.mark.parametrize("used, by", NAMED)
def test_what_is_named_stays(everything, used, by):
    kind = next(k for k in KINDS if k.path in (used, "registries/{R}/" + used))
    reply = everything.call("DELETE", kind)
    assert 400 <= reply.status_code < 500, reply.text
    assert everything.call("GET", kind).status_code == 200


GOING = {"ResourceBeingDeleted", "ResourceGroupBeingDeleted"}


ZONED = ("privateEndpoints/every/privateDnsZoneGroups/default",
         "privateDnsZones/every.test/virtualNetworkLinks/link")
BELOW = {  # a parent, and what stands in the way of its end
    "virtualNetworks/every": (*ZONED, "privateEndpoints/every"),
    "privateDnsZones/every.test": ZONED, "privateEndpoints/every": (), "templateSpecs/every": (),
    "userAssignedIdentities/every": (),
    "registries/{R}": (), "registries/{R}/packages/rpm/archives/arch1": (),
}


def test_every_parent_has_a_case():
    assert {k.path for k in PARENTS} == set(BELOW)


def puts(it, kinds):
    """What each kind is asked for with, while all of it is there."""
    return {kind: (it.id(kind), it.filled(kind.body), it.api(kind)) for kind in kinds}


def refused(instance, asked):
    for kind, (path, body, api) in asked.items():
        reply = instance.arm("PUT", path, body, api=api)
        assert reply.status_code == 409 and code(reply) in GOING, (kind.path, reply.text)


@pytest.mark.parametrize("path", BELOW)
def test_nothing_is_made_below_what_goes(instance, path):
    it = Everything(instance, instance.make_group(), uuid.uuid4().hex[:10]).make()
    parent = next(k for k in PARENTS if k.path == path)
    asked = puts(it, [k for k in MADE if k.path.startswith(path)])
    for used in BELOW[path]:
        instance.finish(it.call("DELETE", next(k for k in MADE if k.path == used)))
    with held_back(instance, it.group):
        gone = it.call("DELETE", parent)
        assert gone.status_code in (200, 202), gone.text
        is_gone = it.call("GET", parent).status_code == 404  # nobody has to work on it
        if not is_gone:
            refused(instance, asked)
    if is_gone:
        del asked[parent]
        for kind, (where, body, api) in asked.items():
            reply = instance.arm("PUT", where, body, api=api)
            assert (reply.status_code, code(reply)) == (404, "ParentResourceNotFound"), kind.path
    instance.finish(gone)
    assert it.call("GET", parent).status_code == 404
    instance.arm("DELETE", instance.group_id(it.group), api=GROUPS_API)


def test_nothing_is_made_in_a_group_that_goes(instance):
    it = Everything(instance, instance.make_group(), uuid.uuid4().hex[:10]).make()
    asked = puts(it, MADE)
    with held_back(instance, it.group):
        gone = instance.arm("DELETE", instance.group_id(it.group), api=GROUPS_API)
        assert gone.status_code == 202, gone.text
        refused(instance, asked)
    instance.finish(gone)
    for kind, (path, _, api) in asked.items():
        assert instance.arm("GET", path, api=api).status_code == 404, kind.path


# --- the activity log, and names that come back ---------------------------------------------------

def marks(instance, it):
    """The rows behind everything, by id."""
    return dict(instance.sql("control", f"select key, uid from resources where group_key = '{it.group}'"))


def test_life_is_told_of_and_comes_back_new(instance):
    group = instance.make_group()
    it = Everything(instance, group, uuid.uuid4().hex[:10]).make()
    first = marks(instance, it)
    told = {}
    for kind in KINDS:
        if kind.patch:
            it.finish(kind, it.call("PATCH", kind, it.filled(kind.patch)))
        if kind.made_by and not kind.path.startswith("networkInterfaces"):
            it.finish(kind, it.put(kind))
        told[kind] = it.id(kind)
    for kind in reversed(MADE):
        reply = it.call("DELETE", kind)
        assert reply.status_code in (200, 202), (kind.path, reply.text)
        instance.finish(reply)
        assert it.call("GET", kind).status_code == 404, kind.path
        if kind.type == "Microsoft.KeyVault/vaults":  # its name waits with it otherwise
            it.names["V"] = f"v{uuid.uuid4().hex[:10]}"
    for kind, resource_id in told.items():
        if kind.path.startswith("networkInterfaces"):
            continue
        got = [x for x in events(instance, resource_id) if x[0].startswith(f"{kind.type}/")]
        write = (f"{kind.type}/write", "Failed" if kind.settle else "Succeeded")
        delete = (f"{kind.type}/delete", "Succeeded")
        assert got.count(write) == 1 + bool(kind.patch), (kind.path, got)
        if kind.made_by is None:
            assert got[-1] == delete and got.count(delete) == 1, (kind.path, got)
    it.make()
    second = marks(instance, it)
    both = set(first) & set(second) - {instance.group_id(group).lower()}
    assert len(both) > len(MADE) - 5
    assert [key for key in both if first[key] == second[key]] == []
    for kind in MADE:
        if kind.patch and "tags" in kind.patch:
            assert not it.call("GET", kind).json().get("tags"), kind.path
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.mark.parametrize("kind", [k for k in MADE if not k.settle], ids=ids)
def test_what_changes_nothing_is_told_of(instance, everything, kind):
    """By its line in the activity log alone: the row stays as it was, etag and systemData with it. (What
    failed is another try: that changes something.)"""
    def look():
        told = events(instance, everything.id(kind)).count((f"{kind.type}/write", "Succeeded"))
        return told, instance.sql("control", f"""select uid, generation, state, tags, body, system_data
            from resources where key = lower('{everything.id(kind)}')""")
    everything.finish(kind, everything.put(kind))
    told, row = look()
    asked = [everything.put] + [lambda k: everything.call("PATCH", k, {})] * bool(kind.patch)
    for count, ask in enumerate(asked, 1):
        reply = ask(kind)
        assert reply.status_code == 200, reply.text
        assert look() == (told + count, row)


# --- export and move ------------------------------------------------------------------------------

def test_a_group_is_exported_whole(instance, everything):
    base = instance.group_id(everything.group)
    reply = instance.arm("POST", f"{base}/exportTemplate", {"resources": ["*"]}, api="2021-04-01")
    assert reply.status_code == 200
    resources = reply.json()["template"]["resources"]
    exported = {(r["type"], r["name"]) for r in resources}
    left_out = {d["target"].lower() for d in reply.json().get("error", {}).get("details", [])}
    assert len(exported) == len(resources)
    for kind in KINDS:
        if kind.path.startswith("networkInterfaces"):
            continue
        below = everything.id(kind).split("/providers/")[1].split("/")
        key = (kind.type, "/".join(below[2::2]))
        assert key in exported or everything.id(kind).lower() in left_out, kind.path
    # What has a secret that nobody is shown cannot be made again from what is shown.
    assert {x.rsplit("/", 2)[1] for x in left_out} == {"webhooks"}
    assert reply.json()["error"]["code"] == "ExportTemplateCompletedWithErrors"
    for r in resources:
        assert not {"id", "systemData", "etag"} & set(r), r["type"]


def move(instance, source, target, resources, what="moveResources"):
    return instance.arm("POST", f"{instance.group_id(source)}/{what}", {
        "resources": resources, "targetResourceGroup": instance.group_id(target)}, api=GROUPS_API)


def test_a_group_moves_whole(instance):
    source, target = instance.make_group(), instance.make_group()
    it = Everything(instance, source, uuid.uuid4().hex[:10]).make()
    before = marks(instance, it)
    tops = [it.id(k) for k in KINDS if k.is_top]
    alone = next(i for i in tops if "/networkInterfaces/" in i)
    reply = move(instance, source, target, [alone])
    assert code(reply) == "InvalidResourceMoveRequest", reply.text
    for what in ("validateMoveResources", "moveResources"):
        reply = move(instance, source, target, tops, what)
        assert reply.status_code == 204, reply.text
    base = instance.group_id(source)
    old = {kind: it.id(kind) for kind in MADE}
    it.group, it.base = target, it.base.replace(source, target)
    after = marks(instance, it)
    moved = {key.replace(f"/{target}/", f"/{source}/"): uid for key, uid in after.items()}
    for key, uid in before.items():
        if key != base.lower():
            assert moved.get(key) == uid, key
    for kind in KINDS:
        shown = it.call("GET", kind)
        assert shown.status_code == 200, (kind.path, shown.text)
        assert shown.json()["id"] == it.id(kind)
        assert f"/{source}/" not in shown.text, (kind.path, shown.text)
    for kind, path in old.items():
        assert instance.arm("GET", path, api=it.api(kind)).status_code == 404, kind.path
    # All of it still works, and goes.
    for kind in KINDS:
        if kind.patch:
            it.finish(kind, it.call("PATCH", kind, it.filled(kind.patch)))
    for group in (source, target):
        instance.delete(instance.group_id(group), api=GROUPS_API)
