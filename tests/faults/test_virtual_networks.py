"""Virtual networks and private endpoints, on bytes: two networks with the same addresses, a third
peered with the first, a public client and one that only pretends, each in a namespace of its own.
What each may do stands in a table. Everything made here is removed, also after a failure."""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time

import pytest

from support.deployments import Scope
from support.instance import Instance, eventually, make_image
from support.namespaces import ip, wires_or_skip
from support.rawhttp import proxy_v2

GALLERY = os.path.join(os.path.dirname(__file__), "..", "..", "templates", "gallery")
NETWORK_API, DNS_API = "2024-05-01", "2020-06-01"
PUBLIC, PUBLIC6 = "198.18.79", "fd00:79"
EDGE, EDGE6 = f"{PUBLIC}.1", f"{PUBLIC6}::1"
EDGE_MAPPED = f"::ffff:{EDGE}"
INGRESS, INGRESS6 = "10.20.0.4", "fd00:20::4"
CLOSED = {"publicNetworkAccess": "Disabled"}
MOUNT = f"?mount=sha256:{'0' * 64}&from=b"
# What is asked for with nothing but a way there: refused by the rules, or with another word.
PATHS = ["/v2/", "/v2/a/tags/list", "/acr/v1/_catalog", "/oauth2/token", "/nothing",
         "POST /v2/a/blobs/uploads/", f"POST /v2/a/blobs/uploads/{MOUNT}", "PUT /v2/a/manifests/v1",
         "POST /oauth2/exchange", "POST /oauth2/token", "PATCH /acr/v1/a", "DELETE /acr/v1/a"]


class World:
    """The wires, an instance, its registries and networks."""

    def __init__(self, wires):
        self.wires = wires
        self.it = Instance()

    def build(self):
        wires, it = self.wires, self.it
        public = wires.bridge("pub", f"{EDGE}/24", f"{EDGE6}/64")
        self.spaces = {
            "public": wires.space("public", public, f"{PUBLIC}.10/24", f"{PUBLIC6}::10/64"),
            # Comes to the public edge with an address of the networks.
            "rogue": wires.space("rogue", public, f"{PUBLIC}.11/24", "10.20.1.10/32",
                                 routes=[f"{PUBLIC}.1/32 dev eth src 10.20.1.10"]),
        }
        ip("route", "add", "10.20.1.10/32", "dev", public)
        for net in "ab":
            bridge = wires.bridge(net)
            back = ["10.30.0.0/16 dev eth"] if net == "a" else []
            self.spaces[f"ingress-{net}"] = wires.space(f"ingress-{net}", bridge, f"{INGRESS}/16",
                                                        f"{INGRESS6}/48", routes=back)
            self.spaces[net] = wires.space(net, bridge, "10.20.1.10/16", "fd00:20:0:1::10/48", dns=INGRESS)
            if net == "a":
                self.spaces["a2"] = wires.space("a2", bridge, "10.20.2.10/16", dns=INGRESS)
                self.spaces["stranger"] = wires.space("stranger", bridge, "10.20.9.10/16")
                self.spaces["peer"] = wires.space("peer", bridge, "10.30.1.10/16",
                                                  routes=["10.20.0.0/16 dev eth"])
        it.up("--listen", EDGE, "--listen", EDGE6)
        self.group = it.make_group()
        self.linked = it.make_registry(self.group, sku="Premium")
        self.other = it.make_registry(self.group, sku="Premium")
        self.plain = it.make_registry(self.group, sku="Premium")
        for registry in (self.linked, self.other, self.plain):
            change(registry, {"dataEndpointEnabled": True})
            registry.password  # asked for while everything is open
            registry.push_image("team/app", "v0")
        self.certs = os.path.join(it.base, "certs")
        os.makedirs(self.certs)
        shutil.copy(it.ca, os.path.join(self.certs, "ca.crt"))
        self.data_doors = {}  # private address of a registry → of its data endpoint
        self.make_networks()

    def network_id(self, kind, name):
        name = f"net-{name}" if kind == "virtualNetworks" else name
        return f"{self.it.group_id(self.group)}/providers/Microsoft.Network/{kind}/{name}"

    def put(self, path, body, api=NETWORK_API):
        reply = self.it.arm("PUT", path, body, api=api)
        assert reply.status_code in (200, 201, 202), reply.text
        self.it.finish(reply)
        return self.it.arm("GET", path, api=api).json()

    def make_networks(self):
        endpoint = [{"service": "Microsoft.ContainerRegistry"}]
        subnets = [("s1", ["10.20.1.0/24", "fd00:20:0:1::/64"], endpoint), ("s2", ["10.20.2.0/24"], []),
                   ("links", ["10.20.3.0/24"], [])]
        for net in "ab":
            self.put(self.network_id("virtualNetworks", net), {
                "location": "eastus", "properties": {
                    "addressSpace": {"addressPrefixes": ["10.20.0.0/16", "fd00:20::/48"]},
                    "subnets": [{"name": n, "properties": {"addressPrefixes": p,
                                                           "serviceEndpoints": e}}
                                for n, p, e in subnets]}})
            self.it.dev("attach", "--network", self.network_id("virtualNetworks", net),
                        "--namespace", self.spaces[f"ingress-{net}"])

    def subnet(self, net, name):
        return f"{self.network_id('virtualNetworks', net)}/subnets/{name}"

    def make_endpoint(self, name, net, registry, manual=False):
        kind = "manualPrivateLinkServiceConnections" if manual else "privateLinkServiceConnections"
        return self.put(self.network_id("privateEndpoints", name), {
            "location": "eastus", "properties": {
                "subnet": {"id": self.subnet(net, "links")},
                kind: [{"name": name, "properties": {
                    "privateLinkServiceId": registry.id, "groupIds": ["registry"],
                    "requestMessage": "please"}}]}})

    @staticmethod
    def addresses(endpoint):
        """Host → address."""
        return {c["fqdn"]: c["ipAddresses"][0] for c in endpoint["properties"]["customDnsConfigs"]}

    def private_zone(self, net):
        """The id of the zone of private registries, which that network is linked to from now on."""
        zone = self.network_id("privateDnsZones", f"privatelink.cr.{self.it.domain}")
        self.put(zone, {"location": "global", "properties": {}}, api=DNS_API)
        self.put(f"{zone}/virtualNetworkLinks/{net}", {"location": "global", "properties": {
            "registrationEnabled": False,
            "virtualNetwork": {"id": self.network_id("virtualNetworks", net)}}}, api=DNS_API)
        return zone

    def connection(self, registry):
        """The one private endpoint connection."""
        listed = self.it.arm("GET", f"{registry.id}/privateEndpointConnections").json()["value"]
        assert len(listed) == 1, listed
        return listed[0]

    def judge(self, registry, status):
        """Approves or rejects the one connection."""
        found = self.connection(registry)
        reply = self.it.arm("PUT", found["id"], {"properties": {
            **found["properties"], "privateLinkServiceConnectionState": {
                "status": status, "description": "by the test"}}})
        assert reply.status_code in (200, 201), reply.text
        return reply

    def hosts(self, registry, door):
        """Host → address that is dialled for it, of the login server and the data endpoint."""
        return {registry.host.split(":")[0]: door, self.data_host(registry):
                self.data_doors.get(door, door)}

    def data_host(self, registry):
        return f"{registry.name}.eastus.data.cr.{self.it.domain}".lower()

    def data_link(self, registry):
        """Where a layer is fetched, made while the registry is open: a link says nothing of where its
        holder may be."""
        change(registry, rules(action="Allow"))
        made = eventually(lambda: self.ask_for_link(registry))
        assert made.startswith(f"https://{self.data_host(registry)}:")
        return made

    @staticmethod
    def ask_for_link(registry):
        manifest = registry.call("GET", "/v2/team/app/manifests/v0", headers={
            "Accept": "application/vnd.oci.image.manifest.v1+json"}, auth=registry.auth)
        if manifest.status_code != 200:
            return None
        digest = manifest.json()["layers"][0]["digest"]
        reply = registry.call("GET", f"/v2/team/app/blobs/{digest}", allow_redirects=False)
        return reply.headers.get("Location")

    def curl(self, client, registry, door, *paths):
        """The statuses, on one connection for each host; None when there is no answer at all. A path
        may be a whole URL, or have a method before it."""
        it = self.it
        resolve = [part for host, address in self.hosts(registry, door).items() for part in (
            "--resolve", f"{host}:{it.port}:{f'[{address}]' if ':' in address else address}")]
        words = []
        for path in paths:
            method, _, path = path.rpartition(" ")
            words += ["--next"] * bool(words) + [
                "-sS", "--max-time", "10", "--connect-timeout", "3", "--cacert", it.ca, *resolve,
                "-w", "%{http_code}\n", "-o", "/dev/null",
                *(["-X", method, "-d", ""] if method else []),
                path if path.startswith("https:") else registry.url + path]
        done = self.wires.run(self.spaces[client], "curl", *words)
        return [int(x) for x in done.stdout.split()] if done.returncode == 0 else None

    def skopeo_verdict(self, client, registry, door):
        """What an unmodified client finds that knows the door by the names in its /etc/hosts."""
        files = {"hosts": "".join(f"{a} {h}\n" for h, a in self.hosts(registry, door).items()),
                 "nsswitch.conf": "hosts: files\n"}
        for name, text in files.items():
            with open(os.path.join(self.it.base, name), "w") as f:
                f.write(text)
        lay = "".join(f"mount --bind {self.it.base}/{name} /etc/{name} && " for name in files)
        done = self.wires.run(
            self.spaces[client], "sh", "-c", lay + 'exec "$@"', "sh", "skopeo", "list-tags",
            "--creds", f"{registry.name}:{registry.password}", "--cert-dir", self.certs,
            f"docker://{registry.host}/team/app")
        if done.returncode == 0:
            return "in" if "v0" in done.stdout else done.stdout
        if "is not allowed access" in done.stderr or "403" in done.stderr:
            return "out"
        return "none" if any(x in done.stderr for x in (
            "EOF", "reset by peer", "refused", "unreachable", "timeout")) else done.stderr

    def verdict(self, client, registry, door, *paths):
        """in, out or none, on every path; else what came."""
        statuses = self.curl(client, registry, door, *(paths or ["/v2/"]))
        if statuses is None:
            return "none"
        are_out = {status == 403 for status in statuses}
        return str(statuses) if len(are_out) > 1 else "out" if are_out == {True} else "in"

    def resolve(self, client, host):
        """What a program inside finds; the whole answer of the name server is behind it."""
        done = self.wires.run(
            self.spaces[client], "/usr/bin/python3", "-c",
            "import socket, sys; print(socket.gethostbyname(sys.argv[1]))", host)
        return done.stdout.strip() or None

    def remove(self):
        try:
            self.it.down()
        finally:
            self.wires.remove()


@pytest.fixture(scope="module")
def world():
    it = World(wires_or_skip())
    try:
        it.build()
        yield it
    finally:
        it.remove()


@pytest.fixture(scope="module")
def links(world):
    """Private endpoints: of `linked` in network a, of `other` in network b. Each network's own."""
    mine = world.make_endpoint("mine", "a", world.linked)
    theirs = world.make_endpoint("theirs", "b", world.other)
    host = world.linked.host.split(":")[0]
    assert world.connection(world.linked)["properties"]["privateLinkServiceConnectionState"][
        "status"] == "Approved"
    world.data_doors = {world.addresses(mine)[host]: world.addresses(mine)[
        world.data_host(world.linked)]}
    found = {"mine": world.addresses(mine)[host],
             "theirs": world.addresses(theirs)[world.other.host.split(":")[0]]}
    # The same subnet in another network gives the same addresses.
    assert found["mine"] == found["theirs"]
    eventually(lambda: world.verdict("a", world.linked, found["mine"]) == "in")
    eventually(lambda: world.verdict("b", world.other, found["theirs"]) == "in")
    return found


def change(registry, properties):
    """By the version that shows rules for subnets: others leave them as they are."""
    it = registry.instance
    reply = it.arm("PATCH", registry.id, {"properties": properties}, api="2026-03-01-preview")
    assert reply.status_code in (200, 201), reply.text
    it.finish(reply)


def rules(*values, action="Deny", subnets=()):
    return {"publicNetworkAccess": "Enabled", "networkRuleSet": {
        "defaultAction": action,
        "ipRules": [{"action": "Allow", "value": v} for v in values],
        "virtualNetworkRules": [{"action": "Allow", "virtualNetworkSubnetResourceId": s}
                                for s in subnets]}}


# Where a client stands, and the address it dials there.
LINK = "the link"
DOORS = [("public", EDGE), ("public", EDGE_MAPPED), ("public", EDGE6), ("rogue", EDGE), ("a", LINK),
         ("a", INGRESS), ("a", INGRESS6), ("a2", LINK), ("a2", INGRESS), ("stranger", INGRESS),
         ("peer", LINK), ("peer", INGRESS), ("b", LINK), ("b", INGRESS), ("b", INGRESS6),
         ("public", LINK)]
# Rules of the registry that network a has a link to → verdict at each door, in their order. A link
# of another registry (b's, at the same address) leads nowhere; who is in none of a network's subnets
# has no door but the links. No rule for addresses lets anybody in by IPv6.
#    public         | rogue | a's link, ingress | a2     | stranger | peer    | b             | public
#    4    mapped 6  |       |          4    6   |        |          |         |         4   6 | (link)
LINKED = [
    ("open", rules(action="Allow"),
     "in   in   in    in      in   in   in        in  in   none       in   none out  in  in    none"),
    ("nobody", rules(),
     "out  out  out   out     in   out  out       in  out  none       in   none out  out out   none"),
    ("the public client", rules(f"{PUBLIC}.10"),
     "in   in   out   out     in   out  out       in  out  none       in   none out  out out   none"),
    # Rules for addresses bind who comes by the public edge: the rogue has that address there.
    ("the networks' addresses", rules("10.20.0.0/16", "10.30.0.0/16"),
     "out  out  out   in      in   out  out       in  out  none       in   none out  out out   none"),
    ("closed", CLOSED,
     "out  out  out   out     in   out  out       in  out  none       in   none out  out out   none"),
]


def question(world, client, door):
    """Who comes by a door, in the words of the call that tells which rule decides."""
    net = {"a2": "a", "peer": "a"}.get(client, client)
    if door == LINK:
        return {"link": world.network_id("privateEndpoints", {"a": "mine", "b": "theirs"}[net])}
    if net in ("a", "b"):
        return {"ipAddress": "fd00:20:0:1::10" if door == INGRESS6 else "10.20.1.10",
                "link": world.subnet(net, "s2" if client == "a2" else "s1")}
    return {"ipAddress": {EDGE: f"{PUBLIC}.10", EDGE_MAPPED: f"::ffff:{PUBLIC}.10",
                          EDGE6: f"{PUBLIC6}::10"}[door] if client == "public" else "10.20.1.10"}


def judge_all(world, registry, link, settings, want):
    """Every path of the registry, its data endpoint too, by curl; and skopeo, at each door. The call that
    tells which rule decides says the same of whoever finds the door open."""
    paths = [*PATHS, world.data_link(registry)]
    change(registry, settings)
    for (client, door), verdict in zip(DOORS, want.split(), strict=True):
        at = (client, registry, link if door == LINK else door)
        eventually(lambda: world.verdict(*at, *paths) == verdict)
        assert world.skopeo_verdict(*at) == verdict, (client, door)
        if verdict != "none":
            told = world.it.arm("POST", f"{registry.id}/checkNetworkAccess", question(world, client, door))
            access = {"in": "Allowed", "out": "Denied"}[verdict]
            assert told.json()["access"] == access, (client, door, told.text)


@pytest.mark.parametrize("name,settings,want", LINKED, ids=[row[0] for row in LINKED])
def test_who_reaches_a_registry_with_a_link(world, links, name, settings, want):
    judge_all(world, world.linked, links["mine"], settings, want)
    asked = world.it.arm("POST", f"{world.linked.id}/checkNetworkAccess", {
        "ipAddress": "10.20.1.10", "link": world.network_id("privateEndpoints", "mine")}).json()
    assert (asked["access"], asked["decidedBy"]) == ("Allowed", "privateLink"), asked
    by_uuid = {"link": world.connection(world.linked)["name"].rsplit(".", 1)[1]}
    assert world.it.arm("POST", f"{world.linked.id}/checkNetworkAccess", by_uuid).json() == asked
    asked = world.it.arm("POST", f"{world.linked.id}/checkNetworkAccess", {
        "link": world.network_id("privateEndpoints", "theirs")}).json()
    assert (asked["access"], asked["decidedBy"]) == ("Denied", "privateLink"), asked


# Of the registry that has no links: rules for subnets.
PLAIN = [
    ("open", lambda w: rules(action="Allow"),
     "in   in   in    in      out  in   in        out in   none       out  none out  in  in    none"),
    ("a's first subnet", lambda w: rules(subnets=[w.subnet("a", "s1")]),
     "out  out  out   out     out  in   in        out out  none       out  none out  out out   none"),
    ("b's first subnet", lambda w: rules(subnets=[w.subnet("b", "s1")]),
     "out  out  out   out     out  out  out       out out  none       out  none out  in  in    none"),
    ("both, and an address", lambda w: rules(f"{PUBLIC}.10", subnets=[w.subnet("a", "s1"),
                                                                    w.subnet("b", "s1")]),
     "in   in   out   out     out  in   in        out out  none       out  none out  in  in    none"),
    ("closed", lambda w: CLOSED,
     "out  out  out   out     out  out  out       out out  none       out  none out  out out   none"),
]


@pytest.mark.parametrize("name,settings,want", PLAIN, ids=[row[0] for row in PLAIN])
def test_who_reaches_a_registry_by_a_subnet(world, links, name, settings, want):
    judge_all(world, world.plain, links["mine"], settings(world), want)


def test_a_subnet_counts_while_it_has_the_service_endpoint(world):
    change(world.plain, rules(subnets=[world.subnet("a", "s1")]))
    eventually(lambda: world.verdict("a", world.plain, INGRESS) == "in")
    for endpoints, verdict in (([], "out"), ([{"service": "Microsoft.ContainerRegistry"}], "in")):
        world.put(world.subnet("a", "s1"), {"properties": {
            "addressPrefixes": ["10.20.1.0/24", "fd00:20:0:1::/64"], "serviceEndpoints": endpoints}})
        eventually(lambda: world.verdict("a", world.plain, INGRESS) == verdict)


@pytest.mark.parametrize("whole_network", [False, True])
def test_a_dead_control_plane_gives_no_service_endpoint_back(world, whole_network):
    """A subnet that loses it is out at once, also when it was written with its network."""
    change(world.plain, rules(subnets=[world.subnet("a", "s1")]))
    eventually(lambda: world.verdict("a", world.plain, INGRESS) == "in")
    path = world.network_id("virtualNetworks", "a") if whole_network else world.subnet("a", "s1")
    was = world.it.arm("GET", path, api=NETWORK_API).json()
    now = json.loads(json.dumps(was))
    (of,) = [s for s in now["properties"]["subnets"] if s["name"] == "s1"] \
        if whole_network else [now]
    of["properties"]["serviceEndpoints"] = []
    reply = world.it.arm("PUT", path, now, api=NETWORK_API)
    assert reply.status_code in (200, 201), reply.text
    world.it.kill("controlplane")
    world.it.stop("controlplane")
    try:
        eventually(lambda: world.verdict("a", world.plain, INGRESS) == "out")
    finally:
        world.it.start("controlplane")
    eventually(lambda: world.it.arm("GET", path, api=NETWORK_API).status_code == 200)
    world.put(path, was)
    eventually(lambda: world.verdict("a", world.plain, INGRESS) == "in")


# Bytes before TLS that claim to have come by network a's link or first subnet.
CLAIM = r"""
import socket, ssl, sys
address, port, host, ca, claim = sys.argv[1:]
plain = socket.create_connection((address, int(port)), timeout=10)
answer = b""
try:
    plain.sendall(bytes.fromhex(claim))
    tls = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host)
    tls.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    while chunk := tls.recv(4096):
        answer += chunk
except OSError:
    pass
print(answer.split(b"\r\n")[0].decode())
"""


def test_43_claims_inside_a_network_change_nothing(world, links):
    """Who is in another network says to have come by the link, with the header that ingresses use."""
    it, registry = world.it, world.linked
    change(registry, CLOSED)
    eventually(lambda: world.verdict("a", registry, links["mine"]) == "in")
    link = it.sql("control", "select link from private_links l join resources r on "
                             f"r.uid = l.registry_uid where r.key = lower('{registry.id}')")[0][0]
    secret = open(os.path.join(it.state, "keys", "edge.secret"), "rb").read()
    for claim in (link.encode(), secret + link.encode()):
        head = proxy_v2(claim, "10.20.1.10").hex()
        for client, door in (("b", links["theirs"]), ("b", INGRESS), ("public", EDGE)):
            for bytes_before, want in ((head, ""), ("", " 403")):
                done = world.wires.run(
                    world.spaces[client], "/usr/bin/python3", "-c", CLAIM, door, it.port,
                    registry.host.split(":")[0], it.ca, bytes_before)
                assert done.returncode == 0, done.stderr
                assert want in done.stdout and " 200" not in done.stdout and \
                    " 401" not in done.stdout, (client, door, done.stdout)


def test_a_link_leads_to_registries_alone(world, links):
    """The management API, the directory, the vaults are not behind a private address; who may use the
    network's ingress reaches them as from anywhere."""
    it = world.it
    path = "/metadata/endpoints?api-version=2022-09-01"
    for door, want in ((links["mine"], "404"), (INGRESS, "200")):
        for host in ("management", "login", "graph", "any.vault"):
            name = f"{host}.{it.domain}"
            done = world.wires.run(
                world.spaces["a"], "curl", "-sS", "--max-time", "10", "--cacert", it.ca, "--resolve",
                f"{name}:{it.port}:{door}", "-o", "/dev/null", "-w", "%{http_code}",
                f"https://{name}:{it.port}{path if host == 'management' else '/'}")
            assert done.returncode == 0, done.stderr
            if host == "management" or door != INGRESS:
                assert done.stdout == want, (host, door, done.stdout)


def test_names_inside_and_outside(world, links):
    """Inside a network that is linked to the private zone the registry's name leads to the private
    address; in others to their ingress; outside to the public one."""
    it, host = world.it, world.linked.host.split(":")[0]
    eventually(lambda: world.resolve("a", host) == INGRESS)
    zone = world.private_zone("a")
    # Linked, and no record yet: the private zone has the last word.
    eventually(lambda: world.resolve("a", host) is None)
    group = f"{world.network_id('privateEndpoints', 'mine')}/privateDnsZoneGroups/default"
    world.put(group, {"properties": {"privateDnsZoneConfigs": [
        {"name": "acr", "properties": {"privateDnsZoneId": zone}}]}})
    eventually(lambda: world.resolve("a", host) == links["mine"])
    data = world.data_host(world.linked)
    eventually(lambda: world.resolve("a", data) == world.data_doors[links["mine"]])
    assert world.resolve("b", host) == world.resolve("b", data) == INGRESS
    assert world.resolve("a", f"management.{it.domain}") == INGRESS
    # A registry without a private endpoint is where everything else is, also in a linked network.
    assert world.resolve("a", world.plain.host.split(":")[0]) == INGRESS
    assert subprocess.run(["getent", "ahostsv4", host], text=True,
                          capture_output=True).stdout.startswith("127.0.0.1")
    extra = f"{zone}/TXT/hello"
    world.put(extra, {"properties": {"ttl": 5, "txtRecords": [{"value": ['say "x"; \\']}]}},
              api=DNS_API)

    def texts():
        return world.wires.run(world.spaces["a"], "kdig", "+short", f"@{INGRESS}", "TXT",
                               f"hello.privatelink.cr.{it.domain}").stdout.strip()
    eventually(lambda: texts() == '"say \\"x\\"; \\\\"')
    it.delete(extra, api=DNS_API)
    eventually(lambda: texts() == "")


def skopeo(world, client, *arguments):
    return world.wires.run(world.spaces[client], "skopeo", "--insecure-policy", *arguments,
                           timeout=120)


def test_skopeo_by_name_inside(world, links, tmp_path):
    """After test_names_inside_and_outside: unmodified clients, names and all, uploads and data
    endpoint; the registry is closed to everybody else."""
    it, registry = world.it, world.linked
    change(registry, CLOSED)
    host = registry.host.split(":")[0]
    eventually(lambda: world.resolve("a", host) == links["mine"])
    eventually(lambda: world.verdict("a", registry, links["mine"]) == "in")
    make_image(tmp_path / "layout", "v1", 3000000)
    target, login = f"docker://{registry.host}/team/app:v1", f"{registry.name}:{registry.password}"
    pushed = skopeo(world, "a", "copy", "--dest-creds", login, "--dest-cert-dir",
                    world.certs, f"oci:{tmp_path}/layout:v1", target)
    assert pushed.returncode == 0, pushed.stderr + it.log_tail()
    pull = ("copy", "--src-creds", login, "--src-cert-dir", world.certs, target)
    pulled = skopeo(world, "a2", *pull, f"oci:{tmp_path}/back:v1")
    assert pulled.returncode == 0, pulled.stderr + it.log_tail()
    outside = skopeo(world, "b", *pull, f"oci:{tmp_path}/none:v1")
    assert outside.returncode != 0 and "Forbidden" in outside.stderr, outside.stderr
    assert "path=/data/team/app/blobs/" in it.log_text()


def slow_pull(world, client, registry, door, path):
    """A download that is under way, and what became of it."""
    it, host = world.it, registry.host.split(":")[0]
    data = world.data_host(registry)
    return subprocess.Popen(
        ["ip", "netns", "exec", world.spaces[client], "curl", "-sSL", "--limit-rate", "1M",
         "--max-time", "60", "--cacert", it.ca, "-u", f"{registry.name}:{registry.password}",
         "--resolve", f"{host}:{it.port}:{door}", "--resolve", f"{data}:{it.port}:{door}", "-o",
         "/dev/null", registry.url + path], stderr=subprocess.PIPE, text=True)


@pytest.fixture()
def pending(world):
    """A link that its registry's owner has to approve."""
    change(world.plain, rules(action="Allow"))  # rules for subnets exclude links
    endpoint = world.make_endpoint("asked", "a", world.plain, manual=True)
    change(world.plain, CLOSED)
    at = world.addresses(endpoint)[world.plain.host.split(":")[0]]
    yield at
    path = world.network_id("privateEndpoints", "asked")
    if world.it.arm("GET", path, api=NETWORK_API).status_code == 200:
        world.it.delete(path, api=NETWORK_API)


def test_53_a_link_is_as_good_as_its_state(world, pending):
    """Pending and rejected links lead nowhere, approved ones do; a connection that was open before is
    cut, and so is a download that is under way."""
    registry = world.plain
    at = ("a", registry, pending)
    eventually(lambda: world.verdict(*at) == "out")
    world.it.finish(world.judge(registry, "Approved"))
    eventually(lambda: world.verdict(*at) == "in")
    change(registry, rules(action="Allow"))
    eventually(lambda: registry.call("GET", "/v2/").status_code == 200)
    reply, digest = registry.push_blob("big/one", os.urandom(1 << 16) * 512)
    assert reply.status_code == 201, reply.text
    change(registry, CLOSED)
    moved = world.it.log_text().count("status=307")
    pull = slow_pull(world, *at, f"/v2/big/one/blobs/{digest}")
    try:
        eventually(lambda: world.it.log_text().count("status=307") > moved)
        assert pull.poll() is None, pull.stderr.read()
        world.it.finish(world.judge(registry, "Rejected"))
        eventually(lambda: world.verdict(*at) == "out")
        assert pull.wait(timeout=40) in (18, 56, 92), pull.stderr.read()
    finally:
        pull.kill()
        pull.wait()
    assert "rule=network:privateLink" in world.it.log_text()
    world.it.finish(world.judge(registry, "Approved"))
    eventually(lambda: world.verdict(*at) == "in")
    world.it.delete(world.network_id("privateEndpoints", "asked"), api=NETWORK_API)
    eventually(lambda: world.verdict(*at) != "in")


ENDS = {
    "rejection": lambda world: world.judge(world.plain, "Rejected"),
    "removal of the connection": lambda world: world.it.arm(
        "DELETE", world.connection(world.plain)["id"]),
    "removal of the endpoint": lambda world: world.it.arm(
        "DELETE", world.network_id("privateEndpoints", "asked"), api=NETWORK_API),
}


# A kept-alive connection: says what it got, then what became of it without asking again.
IDLE = r"""
import socket, ssl, sys
address, port, host, ca = sys.argv[1:]
plain = socket.create_connection((address, int(port)), timeout=60)
tls = ssl.create_default_context(cafile=ca).wrap_socket(plain, server_hostname=host)
tls.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
print(tls.recv(4096).split(b"\r\n")[0].decode(), flush=True)
try:
    while tls.recv(4096):
        pass
    print("closed")
except ConnectionError:
    print("closed")
"""


@contextlib.contextmanager
def idle_pair(world, client, *ends):
    """Connections to two registries, each at an address, that wait for nothing."""
    both = [idle(world, client, registry, at) for registry, at in ends]
    try:
        assert all(" 401" in one.stdout.readline() for one in both)
        yield both
    finally:
        for one in both:
            one.kill()
            one.wait()
            one.stdout.close()


def idle(world, client, registry, at):
    """client None: this machine."""
    it = world.it
    where = ["ip", "netns", "exec", world.spaces[client]] if client else []
    return subprocess.Popen(
        [*where, "/usr/bin/python3", "-c", IDLE, at, it.port, registry.host.split(":")[0], it.ca],
        stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("end", ENDS)
def test_53_open_connections_are_cut(world, links, pending, end):
    """Connections that wait for nothing, too; those of other links go on."""
    registry, it = world.plain, world.it
    it.finish(world.judge(registry, "Approved"))
    eventually(lambda: world.verdict("a", registry, pending) == "in")

    with idle_pair(world, "a", (registry, pending), (world.linked, links["mine"])) as (mine, others):
        reply = ENDS[end](world)
        assert reply.status_code in (200, 201, 202), reply.text
        assert mine.wait(timeout=30) == 0 and mine.stdout.read() == "closed\n"
        assert others.poll() is None


def test_53_a_registry_that_is_deleted_takes_its_link_along(world, links):
    """The open connections are cut, and its name made again is another registry: the endpoint that is left
    leads nowhere until it is made anew."""
    it = world.it
    registry = it.make_registry(world.group, sku="Premium", **CLOSED)  # but by its link
    endpoint = world.make_endpoint("orphan", "a", registry)
    door = world.addresses(endpoint)[registry.host.split(":")[0]]
    eventually(lambda: world.verdict("a", registry, door) == "in")
    with idle_pair(world, "a", (registry, door), (world.linked, links["mine"])) as (mine, others):
        it.delete(registry.id)
        assert mine.wait(timeout=30) == 0 and mine.stdout.read() == "closed\n"
        assert others.poll() is None
    again = it.make_registry(world.group, registry.name, sku="Premium", **CLOSED)
    eventually(lambda: world.verdict("public", again, EDGE) == "out")
    assert world.verdict("a", again, door) == "out"
    it.delete(world.network_id("privateEndpoints", "orphan"), api=NETWORK_API)
    world.make_endpoint("orphan", "a", again)
    eventually(lambda: world.verdict("a", again, door) == "in")
    it.delete(world.network_id("privateEndpoints", "orphan"), api=NETWORK_API)
    it.delete(again.id)


def test_53_an_upload_under_way_is_cut(world, pending):
    """Not only what is read: a body that is being sent by a link ends with it, and nothing is left of it
    but the session, which whoever is let in again may go on with."""
    registry, it = world.plain, world.it
    it.finish(world.judge(registry, "Approved"))
    eventually(lambda: world.verdict("a", registry, pending) == "in")
    host = registry.host.split(":")[0]

    def curl(*words):
        return ["curl", "-sS", "--max-time", "60", "--cacert", it.ca, "-u",
                f"{registry.name}:{registry.password}", "--resolve", f"{host}:{it.port}:{pending}", *words]
    begun = world.wires.run(world.spaces["a"], *curl("-X", "POST", "-d", "", "-D", "-", "-o", "/dev/null",
                                                     registry.url + "/v2/late/one/blobs/uploads/"))
    place = next(line.split(": ", 1)[1].strip() for line in begun.stdout.splitlines()
                 if line.lower().startswith("location:"))
    place = place if place.startswith("https:") else registry.url + place
    body = os.path.join(it.base, "late")
    with open(body, "wb") as f:
        f.write(os.urandom(1 << 16) * 512)
    sender = subprocess.Popen(
        ["ip", "netns", "exec", world.spaces["a"], *curl(
            "--limit-rate", "1M", "-T", body, "-X", "PATCH", "-w", "%{http_code}", "-o", "/dev/null",
            place)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        assert sender.poll() is None, sender.communicate()
        it.finish(world.judge(registry, "Rejected"))
        said, why = sender.communicate(timeout=25)
        assert sender.returncode != 0 or said == "403", (sender.returncode, said, why)
    finally:
        sender.kill()
        sender.wait()
    it.finish(world.judge(registry, "Approved"))
    eventually(lambda: world.verdict("a", registry, pending) == "in")
    left = world.wires.run(world.spaces["a"], *curl("-D", "-", "-o", "/dev/null", place))
    assert left.returncode == 0 and " 204" in left.stdout.splitlines()[0], left.stdout + left.stderr
    assert f"0-{os.path.getsize(body) - 1}" not in left.stdout


def test_53_removal_by_the_owner(world, pending):
    registry = world.plain
    world.it.finish(world.judge(registry, "Approved"))
    at = ("a", registry, pending)
    eventually(lambda: world.verdict(*at) == "in")
    world.it.delete(world.connection(registry)["id"])
    eventually(lambda: world.verdict(*at) == "out")


@pytest.mark.parametrize("end", ENDS)
def test_53_a_dead_control_plane_takes_no_end_back(world, pending, end):
    registry = world.plain
    world.it.finish(world.judge(registry, "Approved"))
    at = ("a", registry, pending)
    eventually(lambda: world.verdict(*at) == "in")
    reply = ENDS[end](world)
    assert reply.status_code in (200, 201, 202), reply.text
    world.it.kill("controlplane")
    world.it.stop("controlplane")
    try:
        eventually(lambda: world.verdict(*at) != "in")
        # A data plane that starts anew knows it as well; ingress and names go on.
        name = world.it.dataplane_of(registry.id)
        world.it.stop(name)
        world.it.start(name)
        eventually(lambda: world.verdict(*at) != "in")
        assert world.resolve("a", world.linked.host.split(":")[0]) is not None
    finally:
        world.it.start("controlplane")
    eventually(lambda: world.it.arm("GET", registry.id).status_code == 200)


def test_the_gallerys_private_registry(world):
    """What the template makes, attached as it is: the registry answers inside by its name, and nowhere
    else."""
    it, wires = world.it, world.wires
    bridge = wires.bridge("g")
    space = wires.space("ingress-g", bridge, "10.0.0.40/24")
    world.spaces["g"] = wires.space("g", bridge, "10.0.0.50/24", dns="10.0.0.40")
    group = it.make_group()
    with open(os.path.join(GALLERY, "registry-private-endpoint.json")) as f:
        deployed = Scope(it, it.group_id(group)).run(json.load(f), {
            "privateZone": f"privatelink.cr.{it.domain}"})
    done = deployed["properties"]["outputs"]
    host = done["acrLoginServer"]["value"].split(":")[0]
    registry = it.registry(group, host.split(".")[0])
    addresses = {c["fqdn"]: c["ipAddresses"][0] for c in done["addresses"]["value"]}
    assert set(addresses) == {host, world.data_host(registry)}
    network = f"{it.group_id(group)}/providers/Microsoft.Network/virtualNetworks/registry-network"
    it.dev("attach", "--network", network, "--namespace", space)
    try:
        for name, address in addresses.items():
            eventually(lambda: world.resolve("g", name) == address)
        eventually(lambda: world.verdict("g", registry, addresses[host], *PATHS) == "in")
        assert world.verdict("g", registry, "10.0.0.40") == "none"  # it stands in no subnet
        assert world.verdict("public", registry, EDGE, *PATHS) == "out"
    finally:
        it.dev("detach", "--network", network)


def test_an_ingress_comes_back(world, links):
    """Whatever dies is started again with what it worked from."""
    change(world.linked, rules(action="Allow"))
    for net in os.listdir(os.path.join(world.it.state, "net")):
        for program in ("ingress", "dns", "addresses"):
            # By its supervisor: a service that is down has no process to name.
            service = os.path.join(world.it.state, "net", net, "scan", program)
            world.it.s6("s6-svc", "-k", service)
    at = ("a", world.linked, links["mine"])
    eventually(lambda: world.verdict(*at) == "in" and world.resolve(
        "a", f"management.{world.it.domain}") == INGRESS)


def test_many_at_once(world, links):
    """Clients of both networks at one moment keep their identities apart on shared connections of the
    edge to a data plane."""
    change(world.plain, rules(subnets=[world.subnet("a", "s1")]))
    eventually(lambda: world.verdict("a", world.plain, INGRESS) == "in")
    eventually(lambda: world.verdict("b", world.plain, INGRESS) == "out")
    wrong, until = [], time.monotonic() + 3

    def ask(client, door, want):
        while time.monotonic() < until:
            got = world.verdict(client, world.plain, door, "/v2/")
            if got != want:
                wrong.append((client, got))
    threads = [threading.Thread(target=ask, args=a) for a in
               (("a", INGRESS, "in"), ("b", INGRESS, "out"), ("a2", INGRESS, "out"),
                ("public", EDGE, "out"))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong, wrong[:3]


def test_an_address_stands_for_a_network_without_a_namespace(world):
    """Attached by an address of this machine, one door serves all links: the name that is asked for
    in the TLS handshake says which."""
    it = world.it
    path = world.network_id("virtualNetworks", "c")
    world.put(path, {"location": "eastus", "properties": {
        "addressSpace": {"addressPrefixes": [f"{PUBLIC}.0/24"]},
        "subnets": [{"name": "links", "properties": {"addressPrefix": f"{PUBLIC}.0/28"}}]}})
    it.dev("attach", "--network", path, "--address", "127.0.0.9")
    try:
        world.make_endpoint("third", "c", world.linked)
        change(world.linked, CLOSED)

        def verdict(registry):
            host = registry.host.split(":")[0]
            done = subprocess.run(
                ["curl", "-sS", "--max-time", "5", "--cacert", it.ca, "--resolve",
                 f"{host}:{it.port}:127.0.0.9", "-o", "/dev/null", "-w", "%{http_code}",
                 registry.url + "/v2/"], text=True, capture_output=True)
            return done.stdout
        eventually(lambda: verdict(world.linked) == "401")
        # The network's name server leads there, too: nothing answers at the private addresses.
        zone = world.private_zone("c")
        world.put(f"{world.network_id('privateEndpoints', 'third')}/privateDnsZoneGroups/default", {
            "properties": {"privateDnsZoneConfigs": [{"name": "acr", "properties": {
                "privateDnsZoneId": zone}}]}})

        def found(name):
            return subprocess.run(["kdig", "+short", "@127.0.0.9", name], text=True,
                                  capture_output=True).stdout.split()
        for name in (world.linked.host.split(":")[0], world.data_host(world.linked)):
            eventually(lambda: "127.0.0.9" in found(name))
            assert not [x for x in found(name) if x.startswith(PUBLIC)]
        assert verdict(world.plain) == "000"  # no link of this network, no subnet of it

        # A link that ends takes its own connections along, not those of another one.
        change(world.plain, rules(action="Allow"))  # rules for subnets exclude links
        world.make_endpoint("fourth", "c", world.plain)
        eventually(lambda: verdict(world.plain) == "401")
        with idle_pair(world, None, (world.plain, "127.0.0.9"), (world.linked, "127.0.0.9")) as (ends, stays):
            it.delete(world.network_id("privateEndpoints", "fourth"), api=NETWORK_API)
            assert ends.wait(timeout=30) == 0 and ends.stdout.read() == "closed\n"
            assert stays.poll() is None
    finally:
        it.dev("detach", "--network", path)


def test_attached_through_the_api(world, tmp_path):
    """An interface is offered by the host to one group; a network of that group is attached to it
    through the API, and no other one. Detached, the interface is the host's again."""
    it, wires = world.it, world.wires
    port, far = f"pt{wires.tag}dp", wires.space("d", wires.bridge("d"), "10.40.1.10/16",
                                                dns="10.40.0.4")
    world.spaces["d"] = far
    ip("link", "add", port, "type", "veth", "peer", "name", f"{port}b")
    ip("link", "set", f"{port}b", "master", wires.bridges[-1], "up")
    ip("addr", "add", "10.40.0.4/16", "dev", port)
    ip("link", "set", port, "up")
    path = world.network_id("virtualNetworks", "d")
    world.put(path, {"location": "eastus", "properties": {
        "addressSpace": {"addressPrefixes": ["10.40.0.0/16"]},
        "subnets": [{"name": "links", "properties": {"addressPrefix": "10.40.3.0/24"}},
                    {"name": "apps", "properties": {"addressPrefix": "10.40.1.0/24"}}]}})
    endpoint = world.put(world.network_id("privateEndpoints", "api"), {
        "location": "eastus", "properties": {
            "subnet": {"id": f"{path}/subnets/links"},
            "privateLinkServiceConnections": [{"name": "api", "properties": {
                "privateLinkServiceId": world.linked.id, "groupIds": ["registry"]}}]}})
    door = world.addresses(endpoint)[world.linked.host.split(":")[0]]
    change(world.linked, CLOSED)
    attachment, place = f"{path}/attachments/default", {"properties": {"interface": port}}

    def refused(at, properties=None, part="offered"):
        reply = it.arm("PUT", at, {"properties": properties or place["properties"]},
                       api=NETWORK_API)
        assert reply.status_code == 400 and part in reply.text, reply.text
    refused(attachment)
    it.dev("attach", "--for", it.group_id(world.group), "--interface", port)
    try:
        assert world.verdict("d", world.linked, door) == "none"
        stranger = it.make_group()
        away = f"{it.group_id(stranger)}/providers/Microsoft.Network/virtualNetworks/net-d"
        world.put(away, {"location": "eastus", "properties": {
            "addressSpace": {"addressPrefixes": ["10.40.0.0/16"]}}})
        refused(f"{away}/attachments/default")
        refused(attachment, {"namespace": world.spaces["a"]})
        refused(attachment, {"interface": port, "address": "127.0.0.1"}, "exactly one")
        refused(attachment, {"address": "nowhere"}, "no IP address")
        refused(attachment, {"interface": "../x"}, "interface")
        made = world.put(attachment, place)
        assert made["properties"]["ingressAddress"] == "10.40.0.4", made
        eventually(lambda: world.verdict("d", world.linked, door) == "in")
        eventually(lambda: world.resolve("d", f"management.{it.domain}") == "10.40.0.4")
        refused(f"{world.network_id('virtualNetworks', 'a')}/attachments/default",
                part="Another virtual network")
        # It is remembered, and comes back.
        it.dev("up")
        eventually(lambda: world.verdict("d", world.linked, door) == "in")
        inside = idle(world, "d", world.linked, "10.40.0.4")
        assert " 403" in inside.stdout.readline()  # by a subnet without a rule
        it.delete(attachment, api=NETWORK_API)
        eventually(lambda: world.verdict("d", world.linked, door) == "none")
        assert inside.communicate(timeout=30)[0] == "closed\n"
        assert it.arm("GET", attachment, api=NETWORK_API).status_code == 404
    finally:
        it.dev("detach", "--interface", port)
    assert "10.40.0.4/16" in ip("-o", "addr", "show", "dev", port).stdout
    ip("link", "del", port)
    it.delete(world.network_id("privateEndpoints", "api"), api=NETWORK_API)
