"""az, unmodified, on who may reach a registry: network rules, the switches of acr update, data
endpoints, virtual networks, private endpoints, private zones; and the commands of docs/network.md and
docs/private-network.md as they stand there."""

import os
import re
import shutil
import subprocess
import uuid

import pytest

from support.az import Az, newest
from support.instance import eventually

pytestmark = pytest.mark.skipif(shutil.which("az") is None, reason="az is not installed")

DOCS = os.path.join(os.path.dirname(__file__), "..", "..", "docs")
PAGE = os.path.join(DOCS, "network.md")
PRIVATE_PAGE = os.path.join(DOCS, "private-network.md")


@pytest.fixture(scope="module")
def az(instance, tmp_path_factory):
    return Az(instance, tmp_path_factory.mktemp("az")).register().sign_in()


@pytest.fixture(scope="module")
def home(instance):
    group = instance.make_group()
    registry = instance.make_registry(group, f"az{uuid.uuid4().hex[:10]}", sku="Premium")
    registry.password  # asked for while everything is open
    yield registry
    instance.delete(instance.group_id(group), api="2024-11-01")


@pytest.fixture(autouse=True)
def open_again(home):
    yield
    reply = home.instance.arm("PATCH", home.id, {"properties": {
        "publicNetworkAccess": "Enabled", "networkRuleSet": {"defaultAction": "Allow",
                                                             "ipRules": []}}})
    assert reply.status_code in (200, 201), reply.text
    home.instance.finish(reply)


def status(registry):
    return registry.call("GET", "/v2/").status_code


def test_rules(az, home):
    added = az("acr", "network-rule", "add", "-n", home.name, "--ip-address", "192.0.2.0/24")
    assert added["networkRuleSet"]["ipRules"] == [
        {"action": "Allow", "ipAddressOrRange": "192.0.2.0/24"}]
    updated = az("acr", "update", "-n", home.name, "--default-action", "Deny")
    assert updated["networkRuleSet"]["defaultAction"] == "Deny"
    eventually(lambda: status(home) == 403, timeout=10)
    for loopback in ("127.0.0.1", "127.0.0.0/8"):
        az("acr", "network-rule", "add", "-n", home.name, "--ip-address", loopback)
    listed = az("acr", "network-rule", "list", "-n", home.name)
    assert [r["ipAddressOrRange"] for r in listed["ipRules"]] == [
        "192.0.2.0/24", "127.0.0.1", "127.0.0.0/8"]
    removed = az("acr", "network-rule", "remove", "-n", home.name, "--ip-address", "192.0.2.0/24")
    assert len(removed["networkRuleSet"]["ipRules"]) == 2
    refused = az("acr", "network-rule", "add", "-n", home.name, "--ip-address", "nobody.example",
                 ok=False)
    assert "nobody.example" in refused and "Traceback" not in refused
    az("acr", "update", "-n", home.name, "--default-action", "Allow")
    eventually(lambda: status(home) == 200, timeout=10)


def test_public_access_and_data_endpoint(az, home):
    off = az("acr", "update", "-n", home.name, "--public-network-enabled", "false")
    assert off["publicNetworkAccess"] == "Disabled"
    eventually(lambda: status(home) == 403, timeout=10)
    # az denies by default when it closes the public endpoint, and leaves it so when it opens it.
    assert off["networkRuleSet"]["defaultAction"] == "Deny"
    on = az("acr", "update", "-n", home.name, "--public-network-enabled", "true",
            "--default-action", "Allow", "--data-endpoint-enabled", "true")
    assert on["publicNetworkAccess"] == "Enabled" and on["dataEndpointEnabled"] is True
    assert on["dataEndpointHostNames"] == [f"{home.name}.eastus.data.cr.{home.instance.domain}"]
    eventually(lambda: status(home) == 200, timeout=10)
    assert az("acr", "update", "-n", home.name, "--data-endpoint-enabled",
              "false")["dataEndpointHostNames"] == []


def test_the_page_does_what_it_says(az, home):
    with open(PAGE) as page:
        blocks = re.findall(r"```sh\n(.*?)```", page.read(), re.S)
    assert len(blocks) == 5
    # The question is asked while the page's first rules stand.
    order = [blocks[0]] + [b for b in blocks[1:] if "checkNetworkAccess" in b] + [
        b for b in blocks[1:] if "checkNetworkAccess" not in b]
    done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + "\n".join(order)], text=True,
                          capture_output=True, timeout=300,
                          env={**az.env, "REGISTRY": home.name, "REGISTRY_ID": home.id})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"decidedBy": "ipRule"' in done.stdout and '"rule": "192.0.2.0/24"' in done.stdout
    assert f"{home.name}.eastus.data.cr.{home.instance.domain}" in done.stdout


# --- networks, private endpoints, private zones ---------------------------------------------------
# Debian's az 2.45 cannot load its own network module (its libraries are newer than it), so these run
# with the published one.

@pytest.fixture(scope="module")
def published(az):
    return az.other(os.path.join(newest(), "az"))


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
    published("network", "vnet", "delete", *land, "-n", "quay")
    ruled = published("acr", "network-rule", "add", "-n", home.name, "--vnet-name", "harbour",
                      "--subnet", "apps", *land)
    assert len(ruled["networkRuleSet"]["virtualNetworkRules"]) == 1
    published("acr", "network-rule", "remove", "-n", home.name, "--vnet-name", "harbour",
              "--subnet", "apps", *land)


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


def test_records_of_a_zone(published, land):
    zone = ("-g", land[1], "-z", "docks.test")
    published("network", "private-dns", "zone", "create", *land, "-n", "docks.test")
    records = ("network", "private-dns", "record-set")
    published(*records, "a", "add-record", *zone, "-n", "www", "-a", "10.1.0.9")
    published(*records, "a", "add-record", *zone, "-n", "www", "-a", "10.1.0.10")
    shown = published(*records, "a", "show", *zone, "-n", "www")
    assert [a["ipv4Address"] for a in shown["aRecords"]] == ["10.1.0.9", "10.1.0.10"]
    published(*records, "a", "remove-record", *zone, "-n", "www", "-a", "10.1.0.9")
    published(*records, "txt", "add-record", *zone, "-n", "@", "-v", "hello")
    published(*records, "cname", "set-record", *zone, "-n", "alias", "-c", "www.docks.test")
    published(*records, "soa", "update", *zone, "-e", "master.docks.test")
    kinds = {r["type"].rsplit("/", 1)[1] for r in published(*records, "list", *zone)}
    assert kinds == {"A", "TXT", "CNAME", "SOA"}
    published("network", "private-dns", "zone", "delete", *land, "-n", "docks.test", "--yes")
    assert "docks.test" not in [z["name"] for z in published(
        "network", "private-dns", "zone", "list", *land)]


def test_the_page_of_private_networks(az, instance):
    with open(PRIVATE_PAGE) as page:
        blocks = re.findall(r"```sh\n(.*?)```", page.read(), re.S)
    assert len(blocks) == 5
    group = instance.make_group()
    registry = instance.make_registry(group, sku="Premium")
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(blocks)], text=True, capture_output=True,
        timeout=580, env={**az.env, "PATH": f"{newest()}:{az.env['PATH']}", "GROUP": group,
                          "REGISTRY": registry.name, "REGISTRY_ID": registry.id,
                          "DOMAIN": instance.domain})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert f"{registry.name}.cr.{instance.domain}" in done.stdout
    assert '"status": "Approved"' in done.stdout and '"10.1.1.5"' in done.stdout
    instance.delete(instance.group_id(group), api="2024-11-01")
