"""Attack 6, revocation in one second: what is taken away on the management API is gone on running data
planes, on tokens already issued, on every process of a registry, and also when the control plane stops
right after the write."""

import os
import signal
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from support.directory import ROLES_API, Directory, assign
from support.instance import GROUPS_API, eventually
from support.networks import Networks
from support.rawhttp import Plane, bearer_of, call

ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
TOKENS_API = "2025-11-01"
MANIFEST = "/v2/team/a/manifests/v1"
TAGS = "/v2/team/a/tags/list"
MANY = 80  # registries below one scope; they are told in batches of 50
STAYS_S = 0.5
GIVEN_UP_S = 10.0


class Second:
    """One more process of the same registry, on a listener of its own."""

    def __init__(self, plane):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        config = os.path.join(plane.instance.service(plane.name), "data", "config")
        with open(config) as text:
            rows = dict(x.strip().split(" = ", 1) for x in text if " = " in x)
        binary = os.path.join(plane.instance.state, "bin", "portolan-dataplane")
        keep = ("registry-id", "region", "metadata-db", "service-key-file")
        # The content is the first one's; manifests come from the database.
        blobs = os.path.join(plane.instance.state, "second-" + plane.uid[:8])
        ready, told = os.pipe()
        user = os.stat(config)
        os.mkdir(blobs)
        os.chown(blobs, user.st_uid, user.st_gid)
        become = (lambda: (os.setgroups([]), os.setgid(user.st_gid), os.setuid(user.st_uid))) \
            if os.getuid() == 0 else None
        self.process = subprocess.Popen(
            [binary, *(word for name in keep for word in (f"--{name}", rows[name])),
             "--blobs", blobs, "--listen", f"127.0.0.1:{self.port}", "--ready-fd", str(told)],
            pass_fds=[told], preexec_fn=become, cwd="/", stderr=subprocess.DEVNULL)
        os.close(told)
        assert os.read(ready, 1) == b"\n"
        os.close(ready)

    def status(self, token):
        return requests.get(f"http://127.0.0.1:{self.port}{MANIFEST}", timeout=30,
                            headers={"Authorization": f"Bearer {token}"}).status_code

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def area(instance):
    group = instance.make_group()
    yield group
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.fixture(scope="module")
def registry(instance, area):
    it = instance.make_registry(area, sku="Premium")
    it.push_image("team/a", "v1")
    return it


@pytest.fixture(scope="module")
def second(instance, registry):
    it = Second(Plane(instance, registry))
    yield it
    it.close()


@pytest.fixture(scope="module")
def directory(instance):
    return Directory(instance)


class Stopped:
    """Sends a write; whatever comes after its answer, the control plane does not do."""

    def __init__(self, instance):
        self.pid = instance.pid("controlplane")

    def __enter__(self):
        return self

    def write(self, reply):
        os.kill(self.pid, signal.SIGSTOP)
        self.at = time.monotonic()
        assert reply.status_code < 300, reply.text

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def make_map(instance, registry, name, *actions):
    reply = instance.arm("PUT", f"{registry.id}/scopeMaps/{name}",
                         {"properties": {"actions": list(actions)}}, api=TOKENS_API)
    assert reply.status_code < 300, reply.text
    return reply.json()["id"]


def make_token(instance, registry, name, map_id):
    token_id = f"{registry.id}/tokens/{name}"
    instance.finish(instance.arm("PUT", token_id, {"properties": {"scopeMapId": map_id}},
                                 api=TOKENS_API))
    reply = instance.arm("POST", f"{registry.id}/generateCredentials", {"tokenId": token_id},
                         api=TOKENS_API)
    assert reply.status_code == 200, reply.text
    return token_id, (name, reply.json()["passwords"][0]["value"])


def gone_in_time(stopped, ask):
    """All processes that ask() asks refuse, though all were kept busy, and go on refusing. Returns how long
    after the write the last request that was still granted began, as a sentence."""
    granted = 0.0
    refused_since = None
    while refused_since is None or time.monotonic() < refused_since + STAYS_S:
        began = time.monotonic()
        verdicts = ask()
        if set(verdicts) != {401}:
            assert refused_since is None, f"granted again: {verdicts}"
            granted = began - stopped.at
            assert granted < GIVEN_UP_S, f"still granted after {granted:.1f} s: {verdicts}"
        elif refused_since is None:
            refused_since = began
    return f"the last request that was granted began {granted * 1000:.0f} ms after the write"


def both(registry, second, token):
    return call(registry, "GET", MANIFEST, bearer=token).status_code, second.status(token)


def warm(registry, second, token):
    eventually(lambda: both(registry, second, token) == (200, 200))


@pytest.mark.parametrize("how", ["disable", "regenerate", "shrink", "unmap", "delete"])
def test_06_token(instance, registry, second, how, tell):
    map_id = make_map(instance, registry, f"map-{how}", "repositories/team/*/content/read")
    token_id, user = make_token(instance, registry, f"token-{how}", map_id)
    eventually(lambda: call(registry, "GET", "/v2/", user=user).status_code == 200)
    token = bearer_of(registry, user, "repository:team/a:pull")
    warm(registry, second, token)
    with Stopped(instance) as stopped:
        if how == "disable":
            stopped.write(instance.arm("PATCH", token_id, {"properties": {"status": "disabled"}},
                                       api=TOKENS_API))
        elif how == "regenerate":
            stopped.write(instance.arm("POST", f"{registry.id}/generateCredentials", {
                "tokenId": token_id, "name": "password1"}, api=TOKENS_API))
        elif how == "shrink":
            stopped.write(instance.arm("PATCH", map_id, {"properties": {
                "actions": ["repositories/team/b/content/read"]}}, api=TOKENS_API))
        elif how == "unmap":
            narrow = make_map(instance, registry, "map-narrow", "repositories/x/content/read")
            stopped.write(instance.arm("PATCH", token_id, {"properties": {"scopeMapId": narrow}},
                                       api=TOKENS_API))
        else:
            stopped.write(instance.arm("DELETE", token_id, api=TOKENS_API))
        tell(gone_in_time(stopped, lambda: both(registry, second, token)))


def refresh_token(registry, app):
    reply = call(registry, "POST", "/oauth2/exchange", data={
        "grant_type": "access_token", "service": registry.host, "access_token": app.token()})
    return reply.json().get("refresh_token") if reply.status_code == 200 else None


def pull_token(registry, refresh):
    reply = call(registry, "POST", "/oauth2/token", data={
        "grant_type": "refresh_token", "service": registry.host, "refresh_token": refresh,
        "scope": "repository:team/a:pull"})
    assert reply.status_code == 200, reply.text
    return reply.json()["access_token"]


@pytest.mark.parametrize("how", ["role", "identity", "membership"])
def test_06_principal(instance, registry, second, directory, how, tell):
    app = directory.application()
    if how == "membership":
        group = directory.group(app.object_id)
        given = assign(instance, group["id"], ACR_PULL, registry.id)
    else:
        given = assign(instance, app.object_id, ACR_PULL, registry.id)
    assert given.status_code == 201, given.text

    token = pull_token(registry, eventually(lambda: refresh_token(registry, app)))
    warm(registry, second, token)
    with Stopped(instance) as stopped:
        if how == "role":
            stopped.write(instance.arm("DELETE", given.json()["id"], api=ROLES_API))
        elif how == "identity":
            stopped.write(directory.call("DELETE", f"servicePrincipals/{app.object_id}"))
        else:
            stopped.write(directory.call(
                "DELETE", f"groups/{group['id']}/members/{app.object_id}/$ref"))
        tell(gone_in_time(stopped, lambda: both(registry, second, token)))


def test_06_role_above_many_registries(instance, directory, tell):
    """One assignment above more registries than are told at a time, in two regions."""
    group, app, mark = instance.make_group(), directory.application(), uuid.uuid4().hex[:8]
    given = assign(instance, app.object_id, ACR_PULL, instance.group_id(group))
    assert given.status_code == 201, given.text
    try:
        with ThreadPoolExecutor(8) as pool:
            registries = list(pool.map(
                lambda n: instance.make_registry(group, f"many{n:03d}{mark}", location=(
                    "eastus", "westus2")[n % 2]), range(MANY)))
        some = [registries[n] for n in (0, 1, MANY // 2, MANY - 2, MANY - 1)]
        tokens = [pull_token(r, eventually(lambda r=r: refresh_token(r, app))) for r in some]

        def ask():
            return [call(r, "GET", TAGS, bearer=t).status_code for r, t in zip(some, tokens)]
        # There is no such repository, which only those are told who may pull from it.
        eventually(lambda: set(ask()) == {404})
        with Stopped(instance) as stopped:
            began = time.monotonic()
            stopped.write(instance.arm("DELETE", given.json()["id"], api=ROLES_API))
            tell(f"{MANY} registries: {gone_in_time(stopped, ask)}, which took "
                 f"{(stopped.at - began) * 1000:.0f} ms")
    finally:
        instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.mark.parametrize("how", ["endpoint", "network"])
def test_06_subnet_of_many_registries(instance, tell, how):
    """A subnet that more registries admit than are told at a time, in two regions, is out of all of them."""
    group, mark = instance.make_group(), uuid.uuid4().hex[:8]
    net = Networks(instance, group)
    endpoints = [{"service": "Microsoft.ContainerRegistry"}]
    try:
        net.network("vn")
        net.put("virtualNetworks/vn/subnets/clients", {
            "addressPrefix": "10.0.1.0/24", "serviceEndpoints": endpoints}, location=None)
        rules = {"defaultAction": "Deny", "ipRules": [], "virtualNetworkRules": [
            {"action": "Allow", "id": net.subnet_id("vn", "clients")}]}
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: instance.make_registry(
                group, f"sub{n:03d}{mark}", sku="Premium", networkRuleSet=rules,
                location=("eastus", "westus2")[n % 2]), range(MANY)))

        def admitting():
            return sum(int(instance.sql(region, f"""select count(*) from registries
                where name like 'sub%{mark}' and settings #>> '{{networkRuleSet,virtualNetworkRules,0,identity}}'
                like 'subnet:%'""")[0][0]) for region in ("eastus", "westus2"))
        eventually(lambda: admitting() == MANY)
        with Stopped(instance) as stopped:
            began = time.monotonic()
            if how == "endpoint":
                body = {"properties": {"addressPrefix": "10.0.1.0/24", "serviceEndpoints": []}}
                stopped.write(net.call("PUT", "virtualNetworks/vn/subnets/clients", body))
            else:
                stopped.write(net.call("DELETE", "virtualNetworks/vn"))
            assert admitting() == 0
            tell(f"{MANY} registries: none admits the subnet, after {(stopped.at - began) * 1000:.0f} ms")
    finally:
        instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


def test_one_map_for_many_tokens(instance, registry):
    """What a map allows stands once, whoever uses it; tokens name it."""
    map_id = make_map(instance, registry, "map-shared", "repositories/team/*/content/read")
    users = [make_token(instance, registry, f"shared-{n}", map_id)[1] for n in range(4)]
    tokens = []
    for user in users:
        eventually(lambda u=user: call(registry, "GET", "/v2/", user=u).status_code == 200)
        tokens.append(bearer_of(registry, user, "repository:team/a:pull"))
    plane = Plane(instance, registry)
    names = ",".join(f"'{u[0]}'" for u in users)
    rows = plane.sql(f"select distinct scope_map_id, permissions::text from credentials "
                     f"where registry_id = $id and username in ({names})")
    assert len(rows) == 1 and rows[0][1] == "[]", rows
    make_map(instance, registry, "map-shared", "repositories/team/*/content/read",
             "repositories/other/content/read")
    assert all(call(registry, "GET", MANIFEST, bearer=t).status_code == 200 for t in tokens)
    make_map(instance, registry, "map-shared", "repositories/other/content/read")
    eventually(lambda: {call(registry, "GET", MANIFEST, bearer=t).status_code for t in tokens} == {401})
