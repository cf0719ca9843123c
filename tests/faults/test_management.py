"""Random management against a model: clients change resources of their own below a shared registry and in
groups of their own, all of them one resource that they share, and one the registry's tier, while the
control plane is killed and the database restarted. They create, change, tag, lock, move, list and delete. A
write whose answer was lost has happened or not: which of the two is read, and nothing else is accepted. In
the end model and service agree: each resource, what is listed, the counters of the quotas, and what the
region was told.

PORTOLAN_SOAK=OPERATIONS[:SEEDS] makes the run longer; `./dev soak management` does."""

import collections
import concurrent.futures
import json
import os
import random
import signal
import threading
import time

import pytest
import requests

from support.instance import API, GROUPS_API, eventually

CLIENTS = 6
OPERATIONS, SEEDS = (int(n) for n in (os.environ.get("PORTOLAN_SOAK", "4000:1") + ":1").split(":")[:2])
IDENTITY_API, LOCKS_API = "2023-01-31", "2020-05-01"
WEBHOOKS_MAX = 10  # of a Standard registry; the clients want more
LEVELS = (None, "CanNotDelete", "ReadOnly")
LOCK = "providers/Microsoft.Authorization/locks/keep"
TAGS = "providers/Microsoft.Resources/tags/default"
LOST = (500, 502, 503, 504)  # 500 is not accepted: see call()


def at(body, path):
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


class Thing:
    """A resource as the model knows it: what it is made of, and what of that is shown."""

    def __init__(self, kind, path, api):
        self.kind, self.path, self.api = kind, path, api
        self.state = None  # members by path; None: it is not there
        self.lock = None  # its own, by level

    def is_shown_by(self, reply, state):
        if state is None:
            return reply.status_code == 404
        return reply.status_code == 200 and shows(reply.json(), state)


def shows(body, state):
    """Whether a resource is as the model says; no tags are none at all."""
    return all((at(body, k) or None) == (v or None) for k, v in state.items())


def body_of(state):
    body = {}
    for path, value in state.items():
        *above, last = path.split(".")
        node = body
        for name in above:
            node = node.setdefault(name, {})
        node[last] = value
    return body


class Client:
    def __init__(self, world, number):
        self.world, self.number = world, number
        self.random = random.Random(f"{world.seed}-{number}")
        self.session = requests.Session()
        self.session.verify, self.session.trust_env = world.instance.ca, False
        below, mine = world.registry.id, f"c{number}"
        self.group = Thing("group", world.instance.group_id(f"random-{world.seed}-{number}"), GROUPS_API)
        self.annex = world.instance.group_id(f"annex-{world.seed}-{number}")  # nobody deletes it
        self.maps = [Thing("map", f"{below}/scopeMaps/{mine}-map{i}", API) for i in range(3)]
        self.tokens = [Thing("token", f"{below}/tokens/{mine}-token{i}", API) for i in range(3)]
        self.hooks = [Thing("hook", f"{below}/webhooks/{mine}hook{i}", API) for i in range(3)]
        self.identities = [Thing("identity", f"{self.group.path}/providers/Microsoft.ManagedIdentity/"
                                 f"userAssignedIdentities/{mine}-id{i}", IDENTITY_API)
                           for i in range(3)]
        self.count = self.lost = self.refused = 0
        self.tried = collections.Counter()

    @property
    def things(self):
        return [self.group, *self.maps, *self.tokens, *self.hooks, *self.identities]

    # --- asking ----------------------------------------------------------------------------------

    def call(self, method, path, body=None, api=API):
        """The answer, or None when it was lost. While parts are down nothing else is excused."""
        self.count += 1
        try:
            reply = self.session.request(
                method, self.world.instance.management + path, params={"api-version": api}, json=body,
                headers={"Authorization": f"Bearer {self.world.token}"}, timeout=60)
        except requests.RequestException:
            reply = None
        if reply is not None and reply.status_code not in LOST:
            return reply
        assert reply is None or reply.status_code != 500, (method, path, reply.text)
        self.lost += 1
        return None

    def read(self, thing):
        """An answer, however long it takes to get one."""
        got = []

        def has_answer():
            got.append(self.call("GET", thing.path, api=thing.api))
            return got[-1] is not None
        eventually(has_answer, timeout=120, every=0.2)
        return got[-1]

    def gone(self, thing):
        reply = self.call("GET", thing.path, api=thing.api)
        assert reply is None or reply.status_code in (200, 404), reply.text
        return reply is not None and reply.status_code == 404

    def check(self, thing):
        reply = self.read(thing)
        assert thing.is_shown_by(reply, thing.state), (thing.path, thing.state, reply.text)

    def settle(self, thing, wanted):
        """After a lost answer: what was, or what was wanted. A delete that has begun is waited for."""
        reply = self.read(thing)
        if wanted is None and thing.state is not None and reply.status_code == 200 and \
                at(reply.json(), "properties.provisioningState") == "Deleting":
            eventually(lambda: self.gone(thing), timeout=120)
            return None
        for state in (wanted, thing.state):
            if thing.is_shown_by(reply, state):
                return state
        raise AssertionError((thing.path, thing.state, wanted, reply.text))

    # --- changing --------------------------------------------------------------------------------

    def state_for(self, thing):
        choose = self.random.choice
        if thing.kind == "map":
            return {"properties.description": f"n{self.random.randrange(1000)}",
                    "properties.actions": [f"repositories/app{self.random.randrange(20)}/"
                                           f"{choose(['content/read', 'content/write'])}"]}
        if thing.kind == "token":
            maps = [m.path for m in self.maps if m.state] + [f"{self.world.registry.id}/scopeMaps/"
                                                             "_repositories_pull"]
            return {"properties.scopeMapId": choose(maps),
                    "properties.status": choose(["enabled", "enabled", "disabled"])}
        if thing.kind == "hook":
            return {"properties.scope": f"app{self.random.randrange(20)}:*",
                    "properties.status": choose(["enabled", "disabled"]),
                    "properties.actions": choose([["push"], ["delete"], ["push", "delete"]])}
        return {"tags": {f"t{self.random.randrange(5)}": str(self.random.randrange(100))}}

    def sent(self, thing, state):
        body = body_of(state)
        if thing.kind in ("hook", "group", "identity"):
            body["location"] = "eastus"
        if thing.kind == "hook":
            body["properties"]["serviceUri"] = "http://127.0.0.1:9/hook"
        return body

    def holder(self, thing):
        """What a client must find around it before it can be written."""
        return self.group if thing.path.startswith(f"{self.group.path}/") else None

    def level(self, thing):
        """The stronger lock of its own and its group's."""
        above = self.holder(thing)
        return max(thing.lock, above.lock if above else None, key=LEVELS.index)

    def is_refused(self, reply, thing):
        """Of a lock. Only what is there is sure to be found locked."""
        if reply.status_code != 409 or "ScopeLocked" not in reply.text:
            return False
        self.refused += 1
        return self.level(thing) is not None

    def users(self, thing):
        return [t for t in self.tokens if thing.kind == "map" and t.state
                and t.state["properties.scopeMapId"] == thing.path]

    def wish(self, thing, method, state):
        """PUT or PATCH; the model follows the answer."""
        reply = self.call(method, thing.path, self.sent(thing, state) if method == "PUT" else
                          body_of(state), thing.api)
        now = {**(thing.state or {}), **state}
        if reply is None:
            thing.state = self.settle(thing, now)
            return
        above = self.holder(thing)
        if self.level(thing) == "ReadOnly" and (thing.state is not None or method == "PUT"):
            assert self.is_refused(reply, thing), (thing.path, thing.lock, reply.status_code, reply.text)
        elif above is not None and above.state is None or method == "PATCH" and thing.state is None:
            assert reply.status_code == 404 or self.is_refused(reply, thing), (thing.path, reply.text)
        elif reply.status_code not in (200, 201):
            self.refused += 1
            full = thing.kind == "hook" and thing.state is None and reply.status_code in (400, 403, 409)
            assert full and "uota" in reply.text, (thing.path, thing.state, reply.status_code, reply.text)
        else:
            thing.state = now
            assert shows(reply.json(), now), (now, reply.text)

    def put(self, thing):
        self.wish(thing, "PUT", self.state_for(thing))

    def patch(self, thing):
        state = self.state_for(thing)
        key = self.random.choice(sorted(state))
        self.wish(thing, "PATCH", {key: state[key]})

    def remove(self, thing):
        reply = self.call("DELETE", thing.path, api=thing.api)
        if reply is None:
            thing.state = self.settle(thing, None)
        elif self.level(thing) and thing.state:
            assert self.is_refused(reply, thing), (thing.path, thing.lock, reply.status_code, reply.text)
        elif self.users(thing):
            assert reply.status_code in (400, 409), (thing.path, reply.status_code, reply.text)
            self.refused += 1
        elif self.is_refused(reply, thing):
            pass
        else:
            absent = (404,) if thing.kind == "group" else (204, 404)
            wanted = (200, 202, 204) if thing.state else absent
            assert reply.status_code in wanted, (thing.path, thing.state, reply.status_code, reply.text)
            thing.state = None
            eventually(lambda: self.gone(thing), timeout=120)

    def inside(self):
        """The identities that are in the group, and not moved out of it."""
        return [i for i in self.identities if self.holder(i)]

    def remove_group(self, thing):
        """With everything in it, unless it or something there is locked."""
        del thing
        locked = self.group.lock or any(i.lock for i in self.inside())
        reply = self.call("DELETE", self.group.path, api=GROUPS_API)
        if reply is None:
            self.group.state = self.settle(self.group, None)
        elif locked:
            assert reply.status_code == 409 and "ScopeLocked" in reply.text, reply.text
            self.refused += 1
        elif self.group.state is None:
            assert reply.status_code == 404, reply.text
        else:
            assert reply.status_code == 202, reply.text
            eventually(lambda: self.gone(self.group), timeout=120)
            self.group.state = None
        if self.group.state is None:
            assert not locked
            for identity in self.inside():
                identity.state = None
            self.put(self.group)

    def lock(self, thing):
        """Puts a lock on something, another one, or takes it away."""
        if not thing.state:
            return
        lock = Thing("lock", f"{thing.path}/{LOCK}", LOCKS_API)
        lock.state = thing.lock and {"properties.level": thing.lock}
        level = self.random.choice([None, None, *LEVELS])
        wanted = level and {"properties.level": level}
        reply = self.call("PUT" if wanted else "DELETE", lock.path, wanted and body_of(wanted), LOCKS_API)
        if reply is None:
            wanted = self.settle(lock, wanted)
        else:
            assert reply.status_code in (200, 201, 204), reply.text
        thing.lock = wanted and wanted["properties.level"]

    def tag(self, thing):
        """Changes the tags by themselves."""
        if thing.kind not in ("group", "identity"):
            return
        old, new = (thing.state or {}).get("tags") or {}, self.state_for(thing)["tags"]
        operation = self.random.choice(["Merge", "Replace", "Delete"])
        now = {"Merge": {**old, **new}, "Replace": new,
               "Delete": {k: v for k, v in old.items() if new.get(k) != v}}[operation]
        reply = self.call("PATCH", f"{thing.path}/{TAGS}",
                          {"operation": operation, "properties": {"tags": new}}, GROUPS_API)
        wanted = thing.state and {**thing.state, "tags": now}
        if reply is None:
            thing.state = self.settle(thing, wanted)
        elif thing.state is None:
            assert reply.status_code == 404 or self.is_refused(reply, thing), reply.text
        elif self.level(thing) == "ReadOnly":
            assert self.is_refused(reply, thing), reply.text
        else:
            assert reply.status_code == 200, reply.text
            thing.state = wanted

    def move(self, thing):
        """An identity goes to the other group. It is there and not here, or here and not there."""
        if thing.kind != "identity":
            return
        groups = [self.group.path, self.annex]
        source, target = groups if self.holder(thing) else groups[::-1]
        moved = Thing(thing.kind, target + thing.path[len(source):], thing.api)
        reply = self.call("POST", f"{source}/moveResources",
                          {"resources": [thing.path], "targetResourceGroup": target}, GROUPS_API)
        if reply is None:
            is_moved = thing.state is not None and moved.is_shown_by(self.read(moved), thing.state)
        elif thing.state is None or self.group.state is None:
            is_moved = False
            assert reply.status_code in (400, 404, 409), reply.text
        elif self.level(thing) or target == self.group.path and self.group.lock == "ReadOnly":
            is_moved = False
            assert reply.status_code == 409 and "ScopeLocked" in reply.text, reply.text
            self.refused += 1
        else:
            is_moved = True
            assert reply.status_code == 204, (thing.path, reply.status_code, reply.text)
        other = Thing(thing.kind, thing.path if is_moved else moved.path, thing.api)
        self.check(other)
        if is_moved:
            thing.path = moved.path
        self.check(thing)

    def share(self, thing):
        """Writes what all clients write, and remembers when: who was last is decided in the end."""
        del thing
        mark, began = f"c{self.number}-{self.count}", time.monotonic()
        reply = self.call("PUT", self.world.shared.path, {"properties": {
            "description": mark, "actions": ["repositories/shared/content/read"]}})
        assert reply is None or reply.status_code in (200, 201), reply.text
        self.world.writes[mark] = (began, time.monotonic() if reply is not None else None)

    def change_tier(self, thing):
        """Up, or down where what is there still fits."""
        del thing
        if self.number:
            return
        wanted, registry = self.random.choice(["Standard", "Premium"]), self.world.registry.id
        reply = self.call("PATCH", registry, {"sku": {"name": wanted}})
        if reply is not None and reply.status_code not in (200, 201, 202):
            self.refused += 1
            assert reply.status_code in (400, 403, 409) and "ebhook" in reply.text, reply.text
            assert (self.world.sku, wanted) == ("Premium", "Standard"), reply.text
            wanted = self.world.sku
        now = eventually(lambda: self.settled(registry), timeout=120)
        assert now == wanted or reply is None and now == self.world.sku, (now, wanted)
        self.world.sku = now

    def settled(self, registry):
        reply = self.call("GET", registry)
        state = reply is not None and at(reply.json(), "properties.provisioningState")
        return state == "Succeeded" and at(reply.json(), "sku.name")

    def act(self, thing):
        """Actions change nothing here, but answer as the model says."""
        if thing.kind == "hook":
            reply = self.call("POST", f"{thing.path}/getCallbackConfig")
            if reply is not None and not self.is_refused(reply, thing):
                assert reply.status_code == (200 if thing.state else 404), reply.text
        elif thing.kind == "token" and thing.state:
            reply = self.call("POST", f"{self.world.registry.id}/generateCredentials",
                              {"tokenId": thing.path, "name": "password1"})
            assert reply is None or reply.status_code in (200, 202), reply.text

    def list_mine(self, thing):
        """A list holds what the model says, of what is this client's."""
        if thing.kind in ("group", "identity") and self.group.state is None:
            return
        group = self.annex if thing.kind == "identity" and not self.holder(thing) else self.group.path
        collection = group + "/resources" if thing.kind in ("group", "identity") else \
            thing.path.rsplit("/", 1)[0]
        api = GROUPS_API if thing.kind in ("group", "identity") else API
        reply = self.call("GET", collection, api=api)
        if reply is None:
            return
        listed = {row["id"]: row for row in reply.json()["value"]}
        for other in self.things:
            if other.kind == thing.kind != "group" and self.holder(other) is self.holder(thing):
                assert (other.path in listed) == (other.state is not None), (other.path, other.state)

    def step(self):
        thing = self.random.choice(self.things)
        actions = [self.put] * 5 + [self.patch] * 3 + [self.check] * 2 + [self.remove] * 2 + [
            self.lock, self.act, self.list_mine, self.tag, self.move, self.share, self.change_tier]
        if thing.kind == "group":
            actions = [self.put, self.patch, self.check, self.list_mine, self.tag] * 3 + [
                self.lock, self.remove_group]
        # A client that finds its group gone makes it anew, or sees that nothing can be made in it.
        action, before = self.random.choice(actions), self.count
        action(thing)
        self.tried[action.__name__] += self.count > before

    def run(self, share):
        self.put(self.group)
        annex = Thing("group", self.annex, GROUPS_API)
        while annex.state is None:
            self.put(annex)
        while self.count < share and not self.world.is_over.is_set():
            self.step()
        return self


class World:
    """The instance, the registry that all clients share, and what befalls them."""

    def __init__(self, instance, seed):
        self.instance, self.seed = instance, seed
        self.sku = "Standard"
        self.registry = instance.make_registry(instance.make_group(), sku=self.sku)
        self.shared = Thing("shared", f"{self.registry.id}/scopeMaps/shared", API)
        self.writes = {}  # what was written: from when to when; None: its answer was lost
        self.token = instance.token(fresh=True)
        self.clients = [Client(self, n) for n in range(CLIENTS)]
        self.is_over = threading.Event()
        self.faults = 0

    def answers(self):
        """The whole way down to the database."""
        reply = requests.get(self.instance.management + self.registry.id, params={"api-version": API},
                             headers={"Authorization": f"Bearer {self.token}"},
                             verify=self.instance.ca, timeout=10)
        return reply.status_code == 200

    def trouble(self):
        chance = random.Random(f"{self.seed}-faults")
        while not self.is_over.wait(chance.uniform(1, 4)):
            if chance.random() < 0.6:
                self.instance.kill("controlplane")
            else:
                self.instance.kill("postgres", signal.SIGINT)
            self.faults += 1
            eventually(self.answers, timeout=120, every=0.2)

    def guarded(self, client):
        """One that finds something wrong ends the run of all."""
        try:
            return client.run(OPERATIONS // CLIENTS)
        finally:
            if client.count < OPERATIONS // CLIENTS:
                self.is_over.set()

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
            trouble = pool.submit(self.trouble)
            try:
                for done in [pool.submit(self.guarded, c) for c in self.clients]:
                    done.result()
            finally:
                self.is_over.set()
            trouble.result()

    # --- in the end ------------------------------------------------------------------------------

    def listed(self, collection):
        return {row["id"]: row for row in self.instance.items(f"{self.registry.id}/{collection}")}

    def all(self, kind):
        return [t for c in self.clients for t in c.things if t.kind == kind and t.state is not None]

    def check_lists(self):
        for kind, collection in (("map", "scopeMaps"), ("token", "tokens"), ("hook", "webhooks")):
            rows = {i: r for i, r in self.listed(collection).items()
                    if not r["name"].startswith("_") and i != self.shared.path}
            assert sorted(rows) == sorted(t.path for t in self.all(kind)), kind
            for thing in self.all(kind):
                row = rows[thing.path]
                assert shows(row, thing.state), (thing.state, row)
                assert at(row, "properties.provisioningState") == "Succeeded", row
        return True

    def check_counters(self):
        rows = dict(self.instance.sql("control", f"""select u.kind, sum(u.used)
            from usage_counters u join resources r on r.uid = u.owner_uid
            where r.key = lower('{self.registry.id}') group by u.kind"""))
        for kind, name in (("map", "scopemaps"), ("token", "tokens"), ("hook", "webhooks")):
            used = rows.get(f"microsoft.containerregistry/registries/{name}", 0)
            shared = 1 if kind == "map" and self.writes else 0
            assert int(used) == len(self.all(kind)) + shared, (kind, rows)
        usage = self.instance.arm("GET", f"{self.registry.id}/listUsages").json()["value"]
        assert next(u for u in usage if u["name"] == "Webhooks")["currentValue"] == len(self.all("hook"))
        return True

    def check_region(self):
        """Tokens that are enabled and have a password are published, by the map as it is now."""
        wanted = set()
        for token in self.all("token"):
            reply = self.instance.arm("GET", token.path)
            passwords = at(reply.json(), "properties.credentials.passwords") or []
            if token.state["properties.status"] == "enabled" and passwords:
                wanted.add(token.path.rsplit("/", 1)[1])
        uid = f"(select id from registries where name = '{self.registry.name}')"
        published = {row[0]: row[1] for row in self.instance.sql("eastus", f"""
            select username, scope_map_id from credentials where registry_id = {uid} and kind = 'token'""")}
        assert set(published) == wanted
        maps = {row[0]: json.loads(row[1]) for row in self.instance.sql(
            "eastus", f"select id, permissions from scope_maps where registry_id = {uid}")}
        by_path = {t.path: t for t in self.all("map")}
        for token in self.all("token"):
            target = by_path.get(token.state["properties.scopeMapId"])
            name = token.path.rsplit("/", 1)[1]
            if name not in wanted or target is None:
                continue
            action, = target.state["properties.actions"]
            _, repository, _, right = action.split("/")
            assert maps[published[name]] == [{"type": "repository", "name": repository, "actions": [
                {"read": "pull", "write": "push"}[right]]}], (token.path, target.state)
        return True

    def check_shared(self):
        """What all wrote is what one wrote last: nobody began after that one's answer."""
        reply = self.clients[0].read(self.shared)
        began, ended = self.writes[at(reply.json(), "properties.description")]
        later = [w for w in self.writes.values() if w[1] is not None and ended is not None and w[0] > ended]
        assert began and not later, (reply.text, later)

    def check_limit(self):
        """As many webhooks as the tier allows, and not one more; and no smaller tier while there are more."""
        made = len(self.all("hook"))
        client = self.clients[0]
        if self.sku == "Premium":
            reply = client.call("PATCH", self.registry.id, {"sku": {"name": "Standard"}})
            assert (reply.status_code in (200, 201, 202)) == (made <= WEBHOOKS_MAX), reply.text
            eventually(lambda: client.settled(self.registry.id), timeout=120)
        if made > WEBHOOKS_MAX:
            assert self.sku == "Premium"
            return
        for n in range(WEBHOOKS_MAX + 1 - made):
            extra = Thing("hook", f"{self.registry.id}/webhooks/extrahook{n}", API)
            client.put(extra)
            assert (extra.state is not None) == (made + n < WEBHOOKS_MAX)


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_random_management(own_instance, seed, tell):
    world = World(own_instance, seed)
    world.run()
    for client in world.clients:
        for thing in client.things:
            client.check(thing)
    eventually(world.check_lists, timeout=120)
    eventually(world.check_counters, timeout=30)
    eventually(world.check_region, timeout=90)
    world.check_shared()
    world.check_limit()
    requests_made = sum(c.count for c in world.clients)
    lost = sum(c.lost for c in world.clients)
    assert world.faults > 0
    tried = sum((c.tried for c in world.clients), collections.Counter())
    tell(f"{requests_made} requests, {lost} answers lost, "
         f"{sum(c.refused for c in world.clients)} refused, {world.faults} faults; "
         + " ".join(f"{name} {count}" for name, count in sorted(tried.items())))


