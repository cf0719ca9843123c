"""az, unmodified: virtual networks, private endpoints, private zones; and the commands of
docs/private-network.md as they stand there. Debian's az 2.45 cannot load its own network module (its
libraries are newer than it), so these run with the newest one alone."""

import os
import re
import shutil
import subprocess
import uuid

import pytest

from support.az import Az
from support.instance import DEV
from support.namespaces import ip, why_none

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "private-network.md")
EXISTS = ["--exists", "--timeout", "9", "--interval", "1"]


@pytest.fixture(scope="module")
def published(instance, tmp_path_factory):
    return Az(instance, tmp_path_factory.mktemp("az"), "newest").register().sign_in()


@pytest.fixture(scope="module")
def home(instance):
    group = instance.make_group()
    yield instance.make_registry(group, f"az{uuid.uuid4().hex[:10]}", sku="Premium")
    instance.delete(instance.group_id(group), api="2024-11-01")


@pytest.fixture(scope="module")
def land(published, home):
    """A network with two subnets, in the registry's group."""
    group = ("-g", home.group)
    made = published("network", "vnet", "create", *group, "-n", "harbour", "--address-prefixes",
                     "10.1.0.0/16", "--subnet-name", "apps", "--subnet-prefixes", "10.1.0.0/24")
    assert made["newVNet"]["subnets"][0]["addressPrefix"] == "10.1.0.0/24"
    published("network", "vnet", "subnet", "create", *group, "--vnet-name", "harbour", "-n",
              "links", "--address-prefixes", "10.1.1.0/28")
    return group


def test_networks(published, home, land):
    published("network", "vnet", "subnet", "update", *land, "--vnet-name", "harbour", "-n", "apps",
              "--service-endpoints", "Microsoft.ContainerRegistry")
    names = [s["name"] for s in published("network", "vnet", "subnet", "list", *land,
                                          "--vnet-name", "harbour")]
    assert names == ["apps", "links"]
    wider = published("network", "vnet", "update", *land, "-n", "harbour", "--address-prefixes",
                      "10.1.0.0/16", "10.2.0.0/16")
    assert len(wider["subnets"]) == 2
    shown = published("network", "vnet", "show", *land, "-n", "harbour")
    assert shown["addressSpace"]["addressPrefixes"] == ["10.1.0.0/16", "10.2.0.0/16"]
    assert shown["subnets"][0]["serviceEndpoints"][0]["service"] == "Microsoft.ContainerRegistry"
    assert [n["name"] for n in published("network", "vnet", "list", *land)] == ["harbour"]
    refused = published("network", "vnet", "subnet", "create", *land, "--vnet-name", "harbour",
                        "-n", "twice", "--address-prefixes", "10.1.0.0/24", ok=False)
    assert "NetcfgSubnetRangesOverlap" in refused
    published("network", "vnet", "create", *land, "-n", "quay", "--address-prefixes", "10.9.0.0/16")
    for near, far in (("harbour", "quay"), ("quay", "harbour")):
        peering = published("network", "vnet", "peering", "create", *land, "--vnet-name", near,
                            "-n", "p", "--remote-vnet", far, "--allow-vnet-access")
    assert peering["peeringState"] == "Connected"
    of = [*land, "--vnet-name", "harbour"]
    assert len(published("network", "vnet", "peering", "list", *of)) == 1
    changed = published("network", "vnet", "peering", "update", *of, "-n", "p", "--set",
                        "allowForwardedTraffic=true")
    assert changed["allowForwardedTraffic"] is True
    assert published("network", "vnet", "peering", "show", *of, "-n", "p")["name"] == "p"
    published("network", "vnet", "peering", "wait", *of, "-n", "p", *EXISTS)
    published("network", "vnet", "peering", "sync", *of, "-n", "p")
    published("network", "vnet", "peering", "delete", *of, "-n", "p")
    assert published("network", "vnet", "subnet", "show", *of, "-n", "apps")["name"] == "apps"
    published("network", "vnet", "wait", *land, "-n", "harbour", *EXISTS)
    published("network", "vnet", "subnet", "wait", *of, "-n", "apps", *EXISTS)
    published("network", "vnet", "subnet", "create", *of, "-n", "spare", "--address-prefixes",
              "10.1.9.0/24")
    published("network", "vnet", "subnet", "delete", *of, "-n", "spare")
    published("network", "vnet", "delete", *land, "-n", "quay")
    ruled = published("acr", "network-rule", "add", "-n", home.name, "--vnet-name", "harbour",
                      "--subnet", "apps", *land)
    assert len(ruled["networkRuleSet"]["virtualNetworkRules"]) == 1
    published("acr", "network-rule", "remove", "-n", home.name, "--vnet-name", "harbour",
              "--subnet", "apps", *land)


def test_what_a_location_offers(published):
    at = ("-l", "eastus")
    assert [s["name"] for s in published("network", "vnet", "list-endpoint-services", *at)] == [
        "Microsoft.ContainerRegistry", "Microsoft.KeyVault"]
    (kind,) = published("network", "private-endpoint", "list-types", *at)
    assert kind["resourceName"] == "Microsoft.ContainerRegistry/registries"
    assert published("network", "vnet", "subnet", "list-available-delegations", *at) == []


def test_a_private_endpoint(published, home, land):
    zone = f"privatelink.cr.{home.instance.domain}"
    (resource,) = published("acr", "private-link-resource", "list", "-n", home.name)
    assert resource["requiredZoneNames"] == [zone]
    endpoint = published("network", "private-endpoint", "create", *land, "-n", "pier",
                         "--vnet-name", "harbour", "--subnet", "links",
                         "--private-connection-resource-id", home.id, "--group-id", "registry",
                         "--connection-name", "pier")
    addresses = {c["fqdn"]: c["ipAddresses"] for c in endpoint["customDnsConfigs"]}
    assert addresses[f"{home.name}.cr.{home.instance.domain}"] == ["10.1.1.5"]
    (nic,) = endpoint["networkInterfaces"]
    members = published("network", "nic", "show", "--ids", nic["id"], "--query",
                        "ipConfigurations[].privateLinkConnectionProperties.requiredMemberName")
    assert sorted(members) == ["registry", "registry_data_eastus"]

    published("network", "private-dns", "zone", "create", *land, "-n", zone)
    published("network", "private-dns", "link", "vnet", "create", *land, "-z", zone, "-n",
              "harbour", "-v", "harbour", "-e", "false")
    published("network", "private-endpoint", "dns-zone-group", "create", *land, "--endpoint-name",
              "pier", "-n", "default", "--private-dns-zone", zone, "--zone-name", "registry")
    records = published("network", "private-dns", "record-set", "a", "list", *land, "-z", zone)
    assert {r["name"] for r in records} == {home.name, f"{home.name}.eastus.data"}

    (connection,) = published("acr", "private-endpoint-connection", "list", "-r", home.name)
    for verb, status in (("reject", "Rejected"), ("approve", "Approved")):
        published("acr", "private-endpoint-connection", verb, "-r", home.name, "-n",
                  connection["name"], "--description", "by hand")
        assert published("network", "private-endpoint", "show", *land, "-n", "pier", "--query",
                         "privateLinkServiceConnections[0].properties || "
                         "privateLinkServiceConnections[0]")[
            "privateLinkServiceConnectionState"]["status"] == status
    shown = published("acr", "private-endpoint-connection", "show", "-r", home.name, "-n",
                      connection["name"])
    assert shown["privateLinkServiceConnectionState"]["description"] == "by hand"
    published("acr", "private-endpoint-connection", "delete", "-r", home.name, "-n",
              connection["name"])
    assert published("acr", "private-endpoint-connection", "list", "-r", home.name) == []
    published("network", "private-endpoint", "delete", *land, "-n", "pier")
    assert published("network", "private-endpoint", "list", *land) == []


def test_addresses_of_an_endpoint_and_groups_of_zones(published, home, land):
    at, of = [*land, "-n", "berth"], [*land, "--endpoint-name", "berth"]
    chosen = [word for name, member, address in
              (("a", "registry", "10.1.1.8"), ("b", "registry_data_eastus", "10.1.1.9"))
              for word in ("--ip-config", f"name={name}", "group-id=registry", f"member-name={member}",
                           f"private-ip-address={address}")]
    published("network", "private-endpoint", "create", *at, "--vnet-name", "harbour", "--subnet",
              "links", "--private-connection-resource-id", home.id, "--group-id", "registry",
              "--connection-name", "berth", *chosen)
    assert [c["name"] for c in published("network", "private-endpoint", "ip-config", "list",
                                         *of)] == ["a", "b"]
    published("network", "private-endpoint", "ip-config", "remove", *of, "-n", "b")
    published("network", "private-endpoint", "ip-config", "add", *of, "-n", "b", "--group-id",
              "registry", "--member-name", "registry_data_eastus", "--private-ip-address", "10.1.1.9")
    published("network", "private-endpoint", "ip-config", "wait", *of, *EXISTS)
    subnet = [*land, "--vnet-name", "harbour", "-n", "links"]
    assert published("network", "vnet", "subnet", "list-available-ips", *subnet) == [
        f"10.1.1.{i}" for i in (4, 5, 6, 7, 10)]
    network = [*land, "-n", "harbour"]
    assert published("network", "vnet", "list-available-ips", *network)[0] == "10.1.0.4"
    told = published("network", "vnet", "check-ip-address", *network, "--ip-address", "10.1.1.9")
    assert told["available"] is False and "10.1.1.10" in told["availableIPAddresses"]
    assert published("network", "vnet", "check-ip-address", *network, "--ip-address", "10.1.1.7")["available"]
    assert published("network", "private-endpoint", "update", *at, "--tags",
                     "a=b")["tags"] == {"a": "b"}
    published("network", "private-endpoint", "wait", *at, *EXISTS)
    for zone in ("one.test", "two.test"):
        published("network", "private-dns", "zone", "create", *land, "-n", zone)
    group = [*of, "-n", "default"]
    published("network", "private-endpoint", "dns-zone-group", "create", *group,
              "--private-dns-zone", "one.test", "--zone-name", "one")
    published("network", "private-endpoint", "dns-zone-group", "add", *group,
              "--private-dns-zone", "two.test", "--zone-name", "two")
    assert len(published("network", "private-endpoint", "dns-zone-group", "list", *of)) == 1
    shown = published("network", "private-endpoint", "dns-zone-group", "show", *group)
    assert [c["name"] for c in shown["privateDnsZoneConfigs"]] == ["one", "two"]
    published("network", "private-endpoint", "dns-zone-group", "wait", *group, *EXISTS)
    published("network", "private-endpoint", "dns-zone-group", "remove", *group, "--zone-name", "two")
    published("network", "private-endpoint", "dns-zone-group", "delete", *group)
    published("network", "private-endpoint", "delete", *at)


def test_zones(published, land, tmp_path):
    at, link = [*land, "-n", "moles.test"], [*land, "-z", "moles.test", "-n", "harbour"]
    published("network", "private-dns", "zone", "create", *at)
    assert published("network", "private-dns", "zone", "update", *at, "--tags",
                     "a=b")["tags"] == {"a": "b"}
    assert published("network", "private-dns", "zone", "show", *at)["tags"] == {"a": "b"}
    published("network", "private-dns", "zone", "wait", *at, *EXISTS)
    published("network", "private-dns", "link", "vnet", "create", *link, "-v", "harbour", "-e",
              "false")
    links = published("network", "private-dns", "link", "vnet", "list", *land, "-z", "moles.test")
    assert [x["name"] for x in links] == ["harbour"]
    assert published("network", "private-dns", "link", "vnet", "update", *link, "--tags",
                     "a=b")["tags"] == {"a": "b"}
    assert published("network", "private-dns", "link", "vnet", "show", *link)["tags"] == {"a": "b"}
    published("network", "private-dns", "link", "vnet", "wait", *link, *EXISTS)
    published("network", "private-dns", "link", "vnet", "delete", *link, "--yes")
    published("network", "private-dns", "record-set", "a", "add-record", *land, "-z", "moles.test",
              "-n", "www", "-a", "10.1.0.9")
    file = str(tmp_path / "zone")
    published("network", "private-dns", "zone", "export", *at, "-f", file)
    published("network", "private-dns", "zone", "import", *land, "-n", "moles2.test", "-f", file)
    (record,) = published("network", "private-dns", "record-set", "a", "list", *land, "-z",
                          "moles2.test")
    assert record["aRecords"][0]["ipv4Address"] == "10.1.0.9"


RECORDS = {"a": ["-a", "10.1.0.9"], "aaaa": ["-a", "fd00::9"], "ptr": ["-d", "a.docks.test"],
           "txt": ["-v", "hello"], "mx": ["-e", "mail.docks.test", "-p", "5"],
           "srv": ["-t", "s.docks.test", "-r", "80", "-p", "1", "-w", "2"]}


def test_every_kind_of_record(published, land):
    zone = [*land, "-z", "kinds.test"]
    published("network", "private-dns", "zone", "create", *land, "-n", "kinds.test")
    for kind in ("a", "aaaa", "ptr", "txt", "mx", "srv"):
        at, value = [*zone, "-n", f"r{kind}"], RECORDS[kind]
        published("network", "private-dns", "record-set", kind, "create", *at)
        published("network", "private-dns", "record-set", kind, "add-record", *at, *value)
        published("network", "private-dns", "record-set", kind, "update", *at, "--set", "ttl=60")
        assert published("network", "private-dns", "record-set", kind, "show", *at)["ttl"] == 60
        assert len(published("network", "private-dns", "record-set", kind, "list", *zone)) == 1
        published("network", "private-dns", "record-set", kind, "remove-record", *at, *value,
                  "--keep-empty-record-set")
        published("network", "private-dns", "record-set", kind, "delete", *at, "--yes")
    at, value = [*zone, "-n", "alias"], ["-c", "www.docks.test"]
    published("network", "private-dns", "record-set", "cname", "create", *at)
    published("network", "private-dns", "record-set", "cname", "set-record", *at, *value)
    published("network", "private-dns", "record-set", "cname", "update", *at, "--set", "ttl=60")
    assert published("network", "private-dns", "record-set", "cname", "show", *at)["ttl"] == 60
    assert len(published("network", "private-dns", "record-set", "cname", "list", *zone)) == 1
    published("network", "private-dns", "record-set", "cname", "remove-record", *at, *value,
              "--keep-empty-record-set")
    published("network", "private-dns", "record-set", "cname", "delete", *at, "--yes")
    assert published("network", "private-dns", "record-set", "soa", "show", *zone)["soaRecord"]
    assert [r["name"] for r in published("network", "private-dns", "record-set", "list",
                                         *zone)] == ["@"]


def test_records_of_a_zone(published, land):
    zone = ("-g", land[1], "-z", "docks.test")
    published("network", "private-dns", "zone", "create", *land, "-n", "docks.test")
    published("network", "private-dns", "record-set", "a", "add-record",
              *zone, "-n", "www", "-a", "10.1.0.9")
    published("network", "private-dns", "record-set", "a", "add-record",
              *zone, "-n", "www", "-a", "10.1.0.10")
    shown = published("network", "private-dns", "record-set", "a", "show", *zone, "-n", "www")
    assert [a["ipv4Address"] for a in shown["aRecords"]] == ["10.1.0.9", "10.1.0.10"]
    published("network", "private-dns", "record-set", "a", "remove-record",
              *zone, "-n", "www", "-a", "10.1.0.9")
    published("network", "private-dns", "record-set", "txt", "add-record",
              *zone, "-n", "@", "-v", "hello")
    published("network", "private-dns", "record-set", "cname", "set-record",
              *zone, "-n", "alias", "-c", "www.docks.test")
    published("network", "private-dns", "record-set", "soa", "update", *zone, "-e", "master.docks.test")
    kinds = {r["type"].rsplit("/", 1)[1] for r in published("network", "private-dns", "record-set", "list",
                                                            *zone)}
    assert kinds == {"A", "TXT", "CNAME", "SOA"}
    published("network", "private-dns", "zone", "delete", *land, "-n", "docks.test", "--yes")
    assert "docks.test" not in [z["name"] for z in published(
        "network", "private-dns", "zone", "list", *land)]


def blocks(text):
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def without_the_pages_network():
    """Whatever is left of it, also of a run that was killed."""
    for space in ("harbour-ingress", "harbour-client"):
        ip("netns", "del", space, check=False)
    ip("link", "del", "harbour", check=False)
    shutil.rmtree("/etc/netns/harbour-client", ignore_errors=True)


def test_the_page_of_private_networks(published, instance):
    """All of it where there may be namespaces, with a client that pushes and pulls inside; else all but
    that."""
    with open(PAGE) as page:
        before, _, rest = page.read().partition("## From inside")
    inside, _, after = rest.partition("\n## ")
    parts = [blocks(text) for text in (before, inside, after)]
    assert [len(p) for p in parts] == [4, 4, 1]
    reason = why_none()
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Premium")
    words = "\n".join(parts[0] + parts[1] * (not reason) + parts[2])
    without_the_pages_network()
    try:
        done = subprocess.run(
            ["bash", "-c", "set -euo pipefail\n" + words], text=True, capture_output=True, timeout=580,
            cwd=os.path.dirname(os.path.abspath(DEV)),
            env={**published.env, "GROUP": group, "REGISTRY": registry.name, "REGISTRY_ID": registry.id,
                 "DOMAIN": instance.domain, "PORTOLAN_STATE": instance.state})
    finally:
        without_the_pages_network()
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{registry.name}.cr.{instance.domain}" in done.stdout
    assert '"status": "Approved"' in done.stdout and '"10.1.1.5"' in done.stdout
    instance.delete(instance.group_id(group), api="2024-11-01")
    if reason:
        pytest.skip(reason)
    assert re.search(r"at 10\.1\.0\.4 \(namespace harbour-ingress\)", done.stdout)
    assert re.search(rf"^10\.1\.1\.5 .*{registry.name}\.privatelink", done.stdout, re.M)
    assert "403 (Forbidden)" in done.stderr  # of the one who is outside
    log = instance.log_text()
    assert "path=/data/samples/busybox/blobs/" in log
    assert re.search(r"path=/v2/samples/busybox/manifests/v1 status=201 .*link=", log)
