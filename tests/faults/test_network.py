"""Real networks: clients in network namespaces of their own reach a real edge over a bridge. What each
may do, over IPv4 and IPv6, stands in a table; whatever a client claims about itself changes nothing.

Everything made here is removed, also after a failure. Where the machine allows no namespaces the tests
are skipped and say so."""

import os
import shutil
import subprocess
import uuid

import pytest

from support.instance import Instance, eventually

NET4, NET6 = "198.18.77", "fd00:77"
EDGE4, EDGE6 = f"{NET4}.1", f"{NET6}::1"
CLIENTS = {"in": 10, "out": 11}
MAPPED = "mapped"  # IPv4, from a socket for IPv6

# A client's PROXY header before TLS, and a first line of it within TLS.
SPOOF = r"""
import socket, ssl, sys
address, port, host, claimed, ca, where = sys.argv[1:]
line = f"PROXY TCP4 {claimed} {address} 40000 443\r\n".encode()
plain = socket.create_connection((address, int(port)), timeout=10)
answer = b""
try:
    if where == "outside":
        plain.sendall(line)
    tls = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host)
    if where == "inside":
        tls.sendall(line)
    tls.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    while chunk := tls.recv(4096):
        answer += chunk
except OSError:
    pass
print(answer.split(b"\r\n")[0].decode())
"""


def ip(*arguments, check=True):
    return subprocess.run(["ip", *arguments], check=check, text=True, capture_output=True,
                          timeout=30)


class Network:
    """A bridge on this machine, which the edge listens on, and a namespace for each client."""

    def __init__(self):
        self.tag = uuid.uuid4().hex[:6]
        self.bridge = f"ptb{self.tag}"

    def space(self, client):
        return f"pt-{self.tag}-{client}"

    def build(self):
        ip("link", "add", self.bridge, "type", "bridge")
        ip("addr", "add", f"{EDGE4}/24", "dev", self.bridge)
        ip("-6", "addr", "add", f"{EDGE6}/64", "dev", self.bridge, "nodad")
        ip("link", "set", self.bridge, "up")
        for client, number in CLIENTS.items():
            space, near, far = self.space(client), f"ptn{self.tag}{number}", f"ptf{self.tag}{number}"
            ip("netns", "add", space)
            ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
            ip("link", "set", near, "master", self.bridge, "up")
            ip("-n", space, "addr", "add", f"{NET4}.{number}/24", "dev", far)
            ip("-n", space, "-6", "addr", "add", f"{NET6}::{number}/64", "dev", far, "nodad")
            ip("-n", space, "link", "set", "lo", "up")
            ip("-n", space, "link", "set", far, "up")

    def remove(self):
        for client in CLIENTS:
            ip("netns", "del", self.space(client), check=False)
        ip("link", "del", self.bridge, check=False)

    def run(self, client, *command):
        return subprocess.run(["ip", "netns", "exec", self.space(client), *command], text=True,
                              capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def network():
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    net = Network()
    try:
        try:
            net.build()
        except subprocess.CalledProcessError as refused:
            pytest.skip(f"this machine allows no namespaces with bridges: {refused.stderr.strip()}")
        yield net
    finally:
        net.remove()


@pytest.fixture(scope="module")
def registry(network):
    it = Instance()
    try:
        it.up("--listen", EDGE4, "--listen", EDGE6)
        yield it.make_registry(it.make_group(), sku="Premium")
    finally:
        it.down()


def change(registry, **properties):
    it = registry.instance
    reply = it.arm("PATCH", registry.id, {"properties": properties})
    assert reply.status_code in (200, 201), reply.text
    it.finish(reply)


def rules(*values, action="Deny"):
    return {"networkRuleSet": {"defaultAction": action, "ipRules": [
        {"action": "Allow", "value": v} for v in values]}}


def curl(network, registry, client, path="/v2/", family=4, *options):
    """Status and body as a client of that namespace gets them. A path may have a method before it."""
    it = registry.instance
    edge = {4: EDGE4, 6: f"[{EDGE6}]", MAPPED: f"[::ffff:{EDGE4}]"}[family]
    method, _, path = path.rpartition(" ")
    if method:
        options = ("-X", method, "-d", "", *options)
    host = registry.host.split(":")[0]
    done = network.run(client, "curl", "-sS", "--max-time", "20", "--cacert", it.ca, "--resolve",
                       f"{host}:{it.port}:{edge}", "-w", "\n%{http_code}", *options,
                       registry.url + path)
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


# settings → who gets in over (IPv4, IPv6)
TABLE = [
    ("open", rules(action="Allow"), {"in": (True, True), "out": (True, True)}),
    ("one address", rules(f"{NET4}.10"), {"in": (True, False), "out": (False, False)}),
    ("a range", rules(f"{NET4}.0/24"), {"in": (True, False), "out": (True, False)}),
    ("a range beside", rules(f"{NET4}.8/30", "192.0.2.0/24"),
     {"in": (True, False), "out": (True, False)}),
    ("another address", rules("192.0.2.1"), {"in": (False, False), "out": (False, False)}),
    ("nobody", rules(), {"in": (False, False), "out": (False, False)}),
    ("closed", {"publicNetworkAccess": "Disabled", **rules(f"{NET4}.0/24")},
     {"in": (False, False), "out": (False, False)}),
]
PATHS = ["/v2/", "/v2/a/tags/list", "/acr/v1/_catalog", "/oauth2/token", "/nothing",
         "POST /v2/a/blobs/uploads/", "PUT /v2/a/manifests/v1", "POST /oauth2/exchange", "POST /oauth2/token"]


@pytest.mark.parametrize("name,settings,want", TABLE, ids=[row[0] for row in TABLE])
def test_who_gets_in(network, registry, name, settings, want):
    change(registry, **{"publicNetworkAccess": "Enabled", **settings})
    for client, (by4, by6) in want.items():
        for family, is_in in ((4, by4), (MAPPED, by4), (6, by6)):
            number = CLIENTS[client]
            address = f"{NET6}::{number}" if family == 6 else f"{NET4}.{number}"
            eventually(lambda: (curl(network, registry, client, "/v2/", family)[0] != 403) is is_in,
                       timeout=10)
            for path in PATHS:
                status, body = curl(network, registry, client, path, family)
                if is_in:
                    assert status != 403, (client, family, path)
                else:
                    assert status == 403 and f"client with IP '{address}' is not allowed" in body, \
                        (client, family, path, body)


def test_43_claims_of_the_client_change_nothing(network, registry):
    change(registry, publicNetworkAccess="Enabled", **rules(f"{NET4}.10"))
    # Both verdicts: whatever rules stood before, one of them was different then.
    eventually(lambda: curl(network, registry, "out")[0] == 403
               and curl(network, registry, "in")[0] == 401, timeout=10)
    for header in (f"X-Forwarded-For: {NET4}.10", f"Forwarded: for={NET4}.10",
                   f"X-Real-IP: {NET4}.10", f"X-Azure-ClientIP: {NET4}.10"):
        assert curl(network, registry, "out", "/v2/", 4, "-H", header)[0] == 403, header
        # Nor does a claim lock out who is let in.
        harmless = header.replace(f"{NET4}.10", "192.0.2.66")
        assert curl(network, registry, "in", "/v2/", 4, "-H", harmless)[0] == 401, harmless
    it = registry.instance
    host = registry.host.split(":")[0]
    for where in ("outside", "inside"):
        done = network.run("out", "/usr/bin/python3", "-c", SPOOF, EDGE4, it.port, host,
                           f"{NET4}.10", it.ca, where)
        assert done.returncode == 0, done.stderr
        assert not any(code in done.stdout for code in (" 200", " 401")), (where, done.stdout)
    # Without the claim the same words get the firewall's answer, so the words are right.
    plain = network.run("out", "/usr/bin/python3", "-c", SPOOF, EDGE4, it.port, host,
                        f"{NET4}.10", it.ca, "nowhere")
    assert " 403" in plain.stdout, plain.stdout + plain.stderr


def test_the_call_and_the_edge_agree(network, registry):
    change(registry, publicNetworkAccess="Enabled", **rules(f"{NET4}.10"))
    for client, number in CLIENTS.items():
        answer = registry.instance.arm("POST", f"{registry.id}/checkNetworkAccess",
                                       {"ipAddress": f"{NET4}.{number}"}).json()
        eventually(lambda: (curl(network, registry, client)[0] != 403)
                   is (answer["access"] == "Allowed"), timeout=10)


def test_listening_is_remembered(network, registry):
    registry.instance.dev("up")
    with open(os.path.join(registry.instance.state, "instance")) as f:
        assert f"listen={EDGE4} {EDGE6}\n" in f.read()
    assert curl(network, registry, "in")[0] in (401, 403)
