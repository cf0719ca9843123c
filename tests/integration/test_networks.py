"""Virtual networks, private endpoints and private DNS zones as resources: what they show, what they
refuse, and how a registry and its private endpoints keep in step."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.instance import API, GROUPS_API
from support.networks import NETWORK_API, Networks, addresses_of, state_of

pytestmark = pytest.mark.sanitized


@pytest.fixture
def net(instance, group):
    return Networks(instance, group)


@pytest.fixture(scope="module")
def premium(instance):
    group = instance.make_group()
    yield instance.make_registry(group, sku="Premium")
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


def connections(registry):
    reply = registry.instance.arm("GET", f"{registry.id}/privateEndpointConnections")
    assert reply.status_code == 200, reply.text
    return reply.json()["value"]


def shown(registry):
    return registry.instance.arm("GET", registry.id).json()["properties"]


# --- virtual networks -----------------------------------------------------------------------------

def test_a_network_with_its_subnets(net):
    made = net.network("vn", subnets={"a": "10.0.0.0/24", "b": "10.0.1.0/28"})
    assert [s["name"] for s in made["properties"]["subnets"]] == ["a", "b"]
    assert made["properties"]["addressSpace"] == {"addressPrefixes": ["10.0.0.0/16"]}
    assert made["properties"]["provisioningState"] == "Succeeded"
    a = net.get("virtualNetworks/vn/subnets/a")
    assert a["properties"]["addressPrefix"] == "10.0.0.0/24"
    assert made["properties"]["subnets"][0]["properties"] == a["properties"]
    assert made["properties"]["subnets"][0]["id"] == a["id"]
    c = net.put("virtualNetworks/vn/subnets/c", {
        "addressPrefix": "10.0.2.0/24",
        "serviceEndpoints": [{"service": "Microsoft.ContainerRegistry"}]}, location=None)
    assert c["properties"]["serviceEndpoints"][0]["service"] == "Microsoft.ContainerRegistry"
    now = net.get("virtualNetworks/vn")
    assert [s["name"] for s in now["properties"]["subnets"]] == ["a", "b", "c"]
    assert now["etag"] != made["etag"]
    net.delete("virtualNetworks/vn/subnets/b")
    assert [s["name"] for s in net.list("virtualNetworks/vn/subnets")] == ["a", "c"]
    assert [n["name"] for n in net.list("virtualNetworks")] == ["vn"]
    everywhere = net.instance.arm(
        "GET", f"/subscriptions/{net.instance.subscription}/providers/Microsoft.Network/"
        "virtualNetworks", api=NETWORK_API).json()["value"]
    assert now["id"] in [n["id"] for n in everywhere]


def test_a_private_endpoint_from_birth_to_end(instance, net, premium):
    net.network("vn")
    made = net.endpoint("pe", premium.id, net.subnet_id("vn", "apps"))
    assert state_of(made) == "Approved"
    assert addresses_of(made) == {
        f"{premium.name}.cr.{instance.domain}": "10.0.0.5",
        f"{premium.name}.eastus.data.cr.{instance.domain}": "10.0.0.4"}
    (row,) = connections(premium)
    assert row["properties"]["privateEndpoint"]["id"] == made["id"]
    assert row["name"].startswith("pe.")
    assert shown(premium)["privateEndpointConnections"][0]["id"] == row["id"]
    net.delete("privateEndpoints/pe")
    assert connections(premium) == []
    assert shown(premium)["privateEndpointConnections"] == []
