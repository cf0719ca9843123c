"""The limits of the tiers: every kind that the table of tiers counts, in every SKU, held exactly under many
clients at once, told by listUsages, and in the way of a downgrade. Up to the last few the kinds are filled
by SQL, with copies of one that the API made."""

import os
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import rows
from support.instance import API, SUPPORT
from support.networks import Networks

TASKS = "2019-06-01-preview"
PAGE = os.path.join(SUPPORT, "..", "..", "docs", "generated", "tiers.md")
SKUS = ("Basic", "Standard", "Premium")
TIB = 1 << 40
FIT, OVER = 3, 5  # creators that find room, and that do not
CLIENTS = 16  # that go on creating until nothing fits


def table():
    """{what: {"child", "usage", a SKU: limit}} of what is counted; None: no limit."""
    told = {}
    with open(PAGE, encoding="utf-8") as f:
        for line in f:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 7 and cells[1] == "Count":
                told[cells[0]] = {"child": cells[2], "usage": cells[3], **{
                    sku: None if cell == "no limit" else int(cell)
                    for sku, cell in zip(SKUS, cells[4:])}}
    return told


TABLE = table()


class Kind:
    """Children of one kind, and how one is asked for."""

    def __init__(self, what, kind, properties=None, **top):
        self.what, self.kind, self.properties, self.top = what, kind, properties, top

    def make(self, home, name):
        return home.instance.arm("PUT", home.child(self, name),
                                 {"properties": self.properties(home, name), **self.top})

    def remove(self, home, name):
        home.instance.delete(home.child(self, name))


class Endpoints(Kind):
    """Connections come from private endpoints."""

    def make(self, home, name):
        networks = home.networks
        return networks.send(f"privateEndpoints/{name}",
                             networks.endpoint_body(home.id, networks.subnet_id("net", "apps")))

    def remove(self, home, name):
        home.networks.delete(f"privateEndpoints/{name}")


def sync_body(home, name):
    return {"mode": "ReadOnly", "parent": {"syncProperties": {
        "tokenId": home.token, "messageTtl": "P2D"}}}


KINDS = [
    Kind("webhooks", "webhooks", lambda home, name: {
        "serviceUri": "https://example.org/hook", "actions": ["push"]}, location="eastus"),
    Kind("scope maps of one's own", "scopeMaps", lambda home, name: {
        "actions": ["repositories/a/content/read"]}),
    Kind("tokens", "tokens", lambda home, name: {
        "scopeMapId": f"{home.id}/scopeMaps/_repositories_pull"}),
    Kind("cache rules", "cacheRules", lambda home, name: {
        "sourceRepository": "docker.io/library/busybox", "targetRepository": f"cached/{name}"}),
    Kind("connected registries", "connectedRegistries", sync_body),
    Endpoints("private endpoints", "privateEndpointConnections"),
]
# What has tests of its own below.
OTHERS = {"regions, the home one counted", "IP rules", "virtual network rules"}


class Home:
    """A registry of one SKU."""

    def __init__(self, instance, group, sku, **properties):
        self.instance = instance
        self.id = instance.make_registry(group, sku=sku, **properties).id
        self.networks = Networks(instance, group)
        self._token = None

    def child(self, kind, name):
        return f"{self.id}/{kind.kind}/{name}"

    @property
    def token(self):
        if self._token is None:
            self._token = f"{self.id}/tokens/synced"
            self.instance.finish(self.instance.arm("PUT", self._token, {"properties": {
                "scopeMapId": f"{self.id}/scopeMaps/_repositories_pull"}}))
        return self._token

    def count(self, kind):
        return int(self.instance.sql("control", f"""select count(*) from resources
            where key like lower('{self.id}/{kind.kind}/%') and not is_system""")[0][0])

    def usage(self, what):
        rows = self.instance.arm("GET", f"{self.id}/listUsages").json()["value"]
        return next((r["currentValue"], r["limit"]) for r in rows if r["name"] == TABLE[what]["usage"])

    def fill(self, kind, count):
        """So many that were not there before."""
        if count == 0:
            return
        reply = kind.make(self, "filled")
        assert reply.status_code in (200, 201), reply.text
        self.instance.finish(reply)
        model = self.instance.sql("control", f"""select id from resources
            where key ~ lower('^{self.id}/{kind.kind}/filled(\\.[^/]*)?$')""")[0][0]
        if count > 1:
            rows.multiply(self.instance.sql, model, count - 1, "filled-")

    def empty(self, kind):
        """What was filled goes as it came."""
        rows.remove(self.instance.sql, f"{self.id}/{kind.kind}/filled-")
        if self.instance.sql("control", f"""select 1 from resources
                                            where key like lower('{self.id}/{kind.kind}/filled%')"""):
            kind.remove(self, "filled")

    def at_once(self, kind, count, clients=None):
        """The answers to so many that are made, by one client each or so many clients, and their names."""
        names = [f"c{uuid.uuid4().hex[:10]}" for _ in range(count)]
        with ThreadPoolExecutor(clients or count) as pool:
            return dict(zip(names, pool.map(lambda name: kind.make(self, name), names)))


@pytest.fixture(scope="module")
def group(instance):
    name = instance.make_group()
    Networks(instance, name).network("net", subnets={"apps": "10.0.0.0/24"})
    yield name
    instance.arm("DELETE", instance.group_id(name), api="2024-11-01")


@pytest.fixture(scope="module")
def homes(instance, group):
    return {sku: Home(instance, group, sku, dataEndpointEnabled=sku == "Premium") for sku in SKUS}


def code(reply):
    return reply.json()["error"]["code"]


def message(reply):
    return reply.json()["error"]["message"]


def test_every_counted_kind_is_tested():
    assert {kind.what for kind in KINDS} | OTHERS == set(TABLE)


def quota_text(kind, sku):
    return (f"Quota exceeded for resource type {kind.kind} for the registry SKU {sku}. Learn more about "
            "SKU features and limits at https://aka.ms/acr/tiers")


@pytest.mark.parametrize("sku", SKUS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_limit_is_exact(homes, kind, sku):
    home, limit = homes[sku], TABLE[kind.what][sku]
    if limit == 0:
        replies = home.at_once(kind, OVER)
        assert {(r.status_code, code(r)) for r in replies.values()} == {(400, "SkuNotSupported")}
        assert all(sku in message(r) and "Premium" in message(r) for r in replies.values())
        return
    there = home.count(kind)
    fit = min(FIT, limit - there)
    home.fill(kind, limit - fit - there)
    try:
        replies = home.at_once(kind, fit + OVER)
        made = [name for name, r in replies.items() if r.status_code in (200, 201)]
        refused = [r for r in replies.values() if r.status_code == 409]
        assert (len(made), len(refused)) == (fit, OVER), [r.text for r in replies.values()]
        assert {(code(r), message(r)) for r in refused} == {("QuotaExceeded", quota_text(kind, sku))}
        assert home.count(kind) == limit
        if TABLE[kind.what]["usage"]:
            assert home.usage(kind.what) == (limit, limit)
        # One goes, one may come.
        kind.remove(home, made.pop())
        again = home.at_once(kind, 2)
        assert sorted(r.status_code in (200, 201) for r in again.values()) == [False, True]
        made += [name for name, r in again.items() if r.status_code in (200, 201)]
        for name in made:
            kind.remove(home, name)
    finally:
        home.empty(kind)
    assert home.count(kind) == there
    if TABLE[kind.what]["usage"]:
        assert home.usage(kind.what) == (there, limit)


def test_a_far_limit_is_exact(instance, homes):
    """Creators that begin where nobody waits for another, and go on until nothing fits: their count is
    taken in turns once as many as the server has connections could pass the limit together."""
    home, kind = homes["Premium"], next(kind for kind in KINDS if kind.kind == "scopeMaps")
    there, limit = home.count(kind), TABLE[kind.what]["Premium"]
    assert limit > 1000
    fit = int(instance.sql("control", "show max_connections")[0][0]) + 4 * CLIENTS
    home.fill(kind, limit - fit - there)
    try:
        replies = home.at_once(kind, fit + 2 * CLIENTS, CLIENTS)
        made = [name for name, r in replies.items() if r.status_code in (200, 201)]
        refused = [r for r in replies.values() if r.status_code == 409]
        assert (len(made), len(refused)) == (fit, 2 * CLIENTS)
        assert {(code(r), message(r)) for r in refused} == {("QuotaExceeded",
                                                             quota_text(kind, "Premium"))}
        assert home.count(kind) == limit
        assert home.usage(kind.what) == (limit, limit)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda name: kind.remove(home, name), made))
    finally:
        home.empty(kind)
    assert home.count(kind) == there
    assert home.usage(kind.what) == (there, limit)


@pytest.mark.parametrize("sku", SKUS)
def test_one_replica_a_region(instance, homes, sku):
    home = homes[sku]

    def make(i):
        return instance.arm("PUT", f"{home.id}/replications/replica{i}", {"location": "westeurope"})
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(make, range(6)))
    if TABLE["regions, the home one counted"][sku] == 0:
        assert {(r.status_code, code(r)) for r in replies} == {(400, "SkuNotSupported")}
        return
    made = [r for r in replies if r.status_code == 201]
    assert len(made) == 1 and {r.status_code for r in replies if r not in made} == {409}
    instance.finish(made[0])
    assert home.usage("regions, the home one counted") == (2, -1)
    for name in (made[0].json()["name"], "eastus"):
        instance.delete(f"{home.id}/replications/{name}")
    assert home.usage("regions, the home one counted") == (1, -1)


def ip_rules(count):
    return [{"value": f"20.0.{i // 250}.{i % 250}"} for i in range(count)]


def subnet_rules(networks, count):
    return [{"id": networks.subnet_id("many", f"s{i}")} for i in range(count)]


@pytest.mark.parametrize("what, member", [("IP rules", "ipRules"),
                                          ("virtual network rules", "virtualNetworkRules")])
def test_rules_of_networks(instance, group, what, member):
    """They come as a list: every client sends a whole one, of which only those that fit are taken."""
    limits = TABLE[what]
    networks = Networks(instance, group)
    home = Home(instance, group, "Premium")
    if member == "virtualNetworkRules":
        networks.put("virtualNetworks/many", {
            "addressSpace": {"addressPrefixes": ["10.8.0.0/16"]},
            "subnets": [{"name": f"s{i}", "properties": {
                "addressPrefix": f"10.8.{i}.0/24",
                "serviceEndpoints": [{"service": "Microsoft.ContainerRegistry"}]}}
                for i in range(limits["Premium"] + 1)]})

    def patch(count, **more):
        rules = ip_rules(count) if member == "ipRules" else subnet_rules(networks, count)
        return instance.arm("PATCH", home.id, {"properties": {"networkRuleSet": {
            "defaultAction": "Deny", member: rules}}, **more})
    counts = [limits["Premium"] + n % 2 for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(patch, counts))
    for count, reply in zip(counts, replies):
        if count > limits["Premium"]:
            assert (reply.status_code, code(reply)) == (400, "InvalidParameter"), reply.text
            assert reply.json()["error"]["target"] == f"properties.networkRuleSet.{member}"
        else:
            assert reply.status_code in (200, 201), reply.text
            instance.finish(reply)
    assert home.usage(what) == (limits["Premium"], limits["Premium"])
    for sku in ("Standard", "Basic"):
        reply = patch(1, sku={"name": sku})
        assert (reply.status_code, code(reply)) == (400, "SkuNotSupported")
        assert f"'properties.networkRuleSet.{member}' (Premium)" in message(reply)
        refused = instance.arm("PUT", f"{instance.registry_id(group, 'tobe' + uuid.uuid4().hex[:8])}", {
            "location": "eastus", "sku": {"name": sku}, "properties": {"networkRuleSet": {
                member: ip_rules(1) if member == "ipRules" else subnet_rules(networks, 1)}}})
        assert (refused.status_code, code(refused)) == (400, "SkuNotSupported")
    instance.delete(home.id)


def test_processors_of_agent_pools(instance, homes):
    """Not children but what they take is counted: 16 processors."""
    home = homes["Premium"]

    def make(i):
        return instance.arm("PUT", f"{home.id}/agentPools/pool{i}", {
            "location": "eastus", "properties": {"count": 1 + i % 2, "tier": "S2"}}, api=TASKS)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(make, range(8)))
    taken = sum(4 * (1 + i % 2) for i, r in enumerate(replies) if r.status_code == 201)
    assert {r.status_code for r in replies} == {201, 409}
    assert {code(r) for r in replies if r.status_code == 409} == {"QuotaExceeded"}
    # Nobody is refused what there was room for.
    assert taken == 16 or taken == 12 and all(
        r.status_code == 201 for i, r in enumerate(replies) if i % 2 == 0)
    for i, reply in enumerate(replies):
        if reply.status_code == 201:
            instance.delete(f"{home.id}/agentPools/pool{i}", api=TASKS)


STEPS = [("Standard", "Basic"), ("Premium", "Standard"), ("Premium", "Basic")]
# More than a smaller SKU has, by the SKU that has it.
SETTINGS = {
    "Premium": {"networkRuleSet": {"defaultAction": "Deny", "ipRules": ip_rules(2)},
                "policies": {"quarantinePolicy": {"status": "enabled"},
                             "trustPolicy": {"status": "enabled"},
                             "retentionPolicy": {"status": "enabled"}}},
    "Standard": {"anonymousPullEnabled": True},
}


class Downgrade:
    """A registry with one more of each kind than a smaller SKU has room for."""

    def __init__(self, instance, group, sku, lower):
        self.instance, self.sku, self.lower = instance, sku, lower
        self.home = Home(instance, group, sku, dataEndpointEnabled=sku == "Premium")
        self.limits = {kind: TABLE[kind.what][lower] for kind in KINDS
                       if TABLE[kind.what][lower] < TABLE[kind.what][sku]}
        for kind, limit in self.limits.items():
            self.home.fill(kind, limit + 1)
        if sku == "Premium":
            instance.finish(self.change(sku, dataEndpointEnabled=False))
            self.make_others()

    def make_others(self):
        """What is not counted by the table, and storage."""
        put, home = self.instance.arm, self.home
        self.instance.finish(put("PUT", f"{home.id}/replications/other", {"location": "westus2"}))
        self.instance.finish(put("PUT", f"{home.id}/agentPools/pool1", {"location": "eastus"}, api=TASKS))
        uid = self.instance.sql("control",
                                f"select uid from resources where key = lower('{home.id}')")[0][0]
        self.add = lambda count: self.instance.sql("eastus", f"select add_to_usage('{uid}', {count})")
        self.add(40 * TIB + 1)

    def take_others(self):
        for path, api in (("replications/other", API), ("replications/eastus", API),
                          ("agentPools/pool1", TASKS)):
            self.instance.delete(f"{self.home.id}/{path}", api=api)
        self.add(-1)

    def change(self, name, **properties):
        return self.instance.arm("PATCH", self.home.id, {"sku": {"name": name},
                                                         "properties": properties})

    def refused(self, **properties):
        reply = self.change(self.lower, **properties)
        assert (reply.status_code, code(reply)) == (400, "SkuNotSupported"), reply.text
        return message(reply)

    def reasons(self):
        told = {f"{self.home.count(kind)} {kind.kind} " +
                (f"(at most {limit})" if limit else "(not available)")
                for kind, limit in self.limits.items() if self.home.count(kind)}
        if self.sku == "Premium":
            told |= {"2 replications (not available)", "1 agentPools (not available)",
                     f"{40 * TIB + 1} bytes of storage (at most {40 * TIB})"}
        return told


@pytest.mark.parametrize("sku, lower", STEPS)
def test_a_downgrade_names_all_that_is_in_the_way(instance, group, sku, lower):
    it = Downgrade(instance, group, sku, lower)
    told = it.refused()
    for reason in it.reasons():
        assert reason in told, reason
    assert told.count("(at most") + told.count("(not available)") == len(it.reasons())
    # Settings that the smaller one does not have are named as well, all of them.
    settings = {k: v for name in SKUS[SKUS.index(lower) + 1:SKUS.index(sku) + 1]
                for k, v in SETTINGS[name].items()}
    told = it.refused(**settings)
    for name in settings:
        assert f"'properties.{name}" in told, name
    # What fits is in nobody's way.
    if sku == "Premium":
        it.take_others()
    for kind in it.limits:
        it.home.empty(kind)
    for kind, limit in it.limits.items():
        it.home.fill(kind, limit - it.home.count(kind))
    reply = it.change(lower)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    assert instance.arm("GET", it.home.id).json()["sku"]["name"] == lower
    for kind, limit in it.limits.items():
        refused = next(iter(it.home.at_once(kind, 1).values()))
        assert code(refused) == ("QuotaExceeded" if limit else "SkuNotSupported"), refused.text
        it.home.empty(kind)
    # And up again.
    instance.finish(it.change(sku))
    assert instance.arm("GET", it.home.id).json()["sku"]["name"] == sku
    instance.delete(it.home.id)
