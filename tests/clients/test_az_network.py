"""az, unmodified, on who may reach a registry: network rules, the switches of acr update, data
endpoints; and the commands of docs/network.md as they stand there."""

import os
import re
import subprocess
import uuid

import pytest

from support.instance import eventually
from support.networks import Networks, state_of

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "network.md")


@pytest.fixture(scope="module")
def home(instance, az):  # one for each az
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


def test_connections_of_private_endpoints(az, home):
    """What the registry's owner does with them, by any az; Debian's cannot make the endpoint itself."""
    net = Networks(home.instance, home.group)
    net.network(f"vn-{az.kind}")
    net.endpoint("pier", home.id, net.subnet_id(f"vn-{az.kind}", "apps"), manual=True, message="let us in")
    of = ["-r", home.name]
    (found,) = az("acr", "private-endpoint-connection", "list", *of)
    assert found["privateLinkServiceConnectionState"] == {
        "actionsRequired": "None", "description": "let us in", "status": "Pending"}
    (resource,) = az("acr", "private-link-resource", "list", "-n", home.name)
    assert resource["requiredMembers"] == ["registry", "registry_data_eastus"]
    one = [*of, "-n", found["name"]]
    for verb, status in (("approve", "Approved"), ("reject", "Rejected"), ("approve", "Approved")):
        az("acr", "private-endpoint-connection", verb, *one, "--description", f"to {verb}")
        shown = az("acr", "private-endpoint-connection", "show", *one)["privateLinkServiceConnectionState"]
        assert (shown["status"], shown["description"]) == (status, f"to {verb}")
        assert state_of(net.get("privateEndpoints/pier")) == status
    az("acr", "private-endpoint-connection", "delete", *one)
    assert az("acr", "private-endpoint-connection", "list", *of) == []
    assert state_of(net.get("privateEndpoints/pier")) == "Disconnected"
    net.delete("privateEndpoints/pier")


@pytest.mark.parametrize("az", ["debian"], indirect=True)
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
