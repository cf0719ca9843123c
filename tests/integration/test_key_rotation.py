"""The directory's signing keys change while everybody works: the key set carries old and new, the new one is
known before it signs, and not one sign-in or request fails meanwhile, on either plane."""

import base64
import json
import threading
import time
import uuid

import jwt
import requests

from support.directory import Directory
from support.instance import GROUPS_API, eventually


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


class Load:
    """Signs in, and uses what it was given and what it was given first, without a pause."""

    def __init__(self, instance, registry):
        self.instance, self.registry = instance, registry
        self.first = instance.token(scope=f"{instance.management}/.default")
        self.graph = Directory(instance)
        self.kids, self.failures, self.rounds = [], [], 0
        self.is_over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def good(self, what, reply):
        if reply.status_code != 200:
            self.failures.append((what, reply.status_code, reply.text[:300]))

    def once(self, session):
        it = self.instance
        fresh = session.post(f"{it.login}/{it.tenant}/oauth2/v2.0/token", data={
            "grant_type": "client_credentials", "client_id": it.env["AZURE_CLIENT_ID"],
            "client_secret": it.env["AZURE_CLIENT_SECRET"], "scope": f"{it.management}/.default"})
        self.good("sign-in", fresh)
        for token in (fresh.json()["access_token"], self.first):
            self.good("management", session.get(
                it.management + it.group_id(self.registry.group), params={"api-version": GROUPS_API},
                headers={"Authorization": f"Bearer {token}"}))
            self.good("data plane", session.post(f"{self.registry.url}/oauth2/exchange", data={
                "grant_type": "access_token", "service": self.registry.host, "access_token": token}))
        self.good("graph", self.graph.call("GET", "groups"))
        self.kids.append(kid_of(fresh.json()["access_token"]))
        self.rounds += 1

    def run(self):
        with requests.Session() as session:
            session.verify, session.trust_env = self.instance.ca, False
            while not self.is_over.is_set():
                try:
                    self.once(session)
                except (requests.RequestException, ValueError, KeyError) as problem:
                    self.failures.append(("exception", 0, repr(problem)))

    def more(self):
        """Some rounds that began from now on."""
        until = self.rounds + 3 * len(self.threads)
        eventually(lambda: self.rounds > until, timeout=60)
        return self.kids[-1]

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


def key_set(instance):
    reply = instance.session.get(f"{instance.login}/{instance.tenant}/discovery/v2.0/keys")
    assert reply.status_code == 200, reply.text
    return {key["kid"]: key for key in reply.json()["keys"]}


def look_again(instance):
    """A key that nobody knows makes the control plane read its keys before their time."""
    time.sleep(1.1)
    head, body = (base64.urlsafe_b64encode(json.dumps(x).encode()).decode().rstrip("=")
                  for x in ({"alg": "ES256", "typ": "JWT", "kid": str(uuid.uuid4())}, {}))
    assert instance.arm("GET", "/subscriptions", api="2022-12-01",
                        token=f"{head}.{body}.{'A' * 86}").status_code == 401


def test_rotation_under_load(own_instance):
    it = own_instance
    registry = it.make_registry(it.make_group())
    load = Load(it, registry)
    try:
        old = load.more()
        assert list(key_set(it)) == [old]
        # A month passes: the key is about to stop signing.
        it.sql("control", "update signing_keys set signs_until = now() + interval '1 hour', "
               "verifies_until = now() + interval '2 days', created_at = now() - interval '29 days'")
        look_again(it)
        eventually(lambda: len(key_set(it)) == 2)
        known = key_set(it)  # by somebody who asks now, and not again for a while
        new, = set(known) - {old}
        assert load.more() == old
        # Data planes are told, by themselves.
        eventually(lambda: it.sql("eastus", "select count(*) from directory_keys") == [["2"]],
                   timeout=120)
        load.more()
        # Ten minutes later the successor signs.
        it.sql("control", f"update signing_keys set created_at = now() - interval '11 minutes' "
               f"where kid = '{new}'")
        look_again(it)
        eventually(lambda: load.more() == new)
        assert set(key_set(it)) == {old, new}
        token = it.token(fresh=True)
        assert kid_of(token) == new
        jwt.decode(token, jwt.algorithms.ECAlgorithm.from_jwk(json.dumps(known[new])),
                   algorithms=["ES256"], audience=it.management)
        load.more()
    finally:
        load.end()
    assert load.failures == [], load.failures[:5]
    assert set(load.kids) == {old, new} and load.rounds > 20
    # In the end the old key is nobody's any more.
    it.sql("control", f"update signing_keys set verifies_until = now() where kid = '{old}'")
    look_again(it)
    eventually(lambda: list(key_set(it)) == [new])
    refused = it.arm("GET", "/subscriptions", api="2022-12-01", token=load.first)
    assert refused.status_code == 401
