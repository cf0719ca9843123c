"""Virtual networks, private endpoints and private DNS zones as resources: what they show, what they
refuse, and how a registry and its private endpoints keep in step."""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.directory import Directory, assign
from support.instance import GROUPS_API, eventually
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
    again = net.call("PUT", "privateEndpoints/pe", made)
    assert again.status_code == 200, again.text
    assert net.get("privateEndpoints/pe") == made
    (row,) = connections(premium)
    assert row["properties"]["privateEndpoint"]["id"] == made["id"]
    assert row["name"].startswith("pe.")
    assert shown(premium)["privateEndpointConnections"][0]["id"] == row["id"]
    net.delete("privateEndpoints/pe")
    assert connections(premium) == []
    assert shown(premium)["privateEndpointConnections"] == []


# --- what networks and subnets refuse -------------------------------------------------------------

def space(*prefixes, **more):
    return {"addressSpace": {"addressPrefixes": list(prefixes)}, **more}


@pytest.mark.parametrize("prefix, code", [
    ("10.0.0.0", "InvalidAddressPrefixFormat"),
    ("10.0.0.0/33", "InvalidAddressPrefixFormat"),
    ("10.0.0/24", "InvalidAddressPrefixFormat"),
    ("10.0.0.5/24", "InvalidCIDRNotation"),
    ("10.1.0.0/24", "NetcfgInvalidSubnet"),
    ("10.0.0.0/15", "NetcfgInvalidSubnet"),
    ("10.0.9.0/30", "NetcfgInvalidSubnet"),
    ("10.0.0.128/25", "NetcfgSubnetRangesOverlap"),
    ("10.0.0.0/16", "NetcfgSubnetRangesOverlap"),
])
def test_subnets_that_are_refused(net, prefix, code):
    net.network("vn")
    told = net.refused("virtualNetworks/vn/subnets/other", {"addressPrefix": prefix},
                       location=None)
    assert told["code"] == code, told
    listed = {"name": "other", "properties": {"addressPrefix": prefix}}
    own = {"name": "apps", "properties": {"addressPrefix": "10.0.0.0/24"}}
    told = net.refused("virtualNetworks/vn", space("10.0.0.0/16", subnets=[own, listed]))
    assert told["code"] == code, told
    assert [s["name"] for s in net.list("virtualNetworks/vn/subnets")] == ["apps"]


def test_networks_that_are_refused(net):
    for prefixes, code in ((["10.0.0.1/8"], "InvalidCIDRNotation"),
                           (["nonsense"], "InvalidAddressPrefixFormat"),
                           (["10.0.0.0/8", "10.1.0.0/16"], "InvalidParameter"), ([], "InvalidParameter")):
        assert net.refused("virtualNetworks/vn", space(*prefixes))["code"] == code, prefixes
    assert net.refused("virtualNetworks/vn", space("10.0.0.0/16"), location="nowhere")["code"] == \
        "LocationNotAvailableForResourceType"
    assert net.refused("virtualNetworks/-n", space("10.0.0.0/16"))["code"] == "InvalidResourceName"
    net.network("vn")
    assert net.refused("virtualNetworks/vn", space("10.9.0.0/16"))["code"] == "NetcfgInvalidSubnet"
    twice = [{"name": n, "properties": {"addressPrefix": p}}
             for n, p in (("x", "10.0.1.0/24"), ("X", "10.0.2.0/24"))]
    assert net.refused("virtualNetworks/vn", space("10.0.0.0/16", subnets=twice))["code"] == \
        "InvalidParameter"


def test_the_list_in_a_network_is_its_subnets(net):
    net.network("vn", subnets={"a": "10.0.0.0/24", "b": "10.0.1.0/24"})
    whole = net.get("virtualNetworks/vn")
    kept = net.put("virtualNetworks/vn", space("10.0.0.0/16", "10.5.0.0/16"))
    assert [s["name"] for s in kept["properties"]["subnets"]] == ["a", "b"]
    # A whole object sent back changes nothing.
    again = net.call("PUT", "virtualNetworks/vn", kept)
    assert again.status_code == 200, again.text
    assert net.get("virtualNetworks/vn")["properties"] == kept["properties"]
    whole["properties"]["subnets"] = [
        {"name": "b", "properties": {"addressPrefix": "10.0.8.0/24"}},
        {"name": "c", "properties": {"addressPrefixes": ["10.5.0.0/24"]}}]
    whole["properties"]["addressSpace"] = kept["properties"]["addressSpace"]
    net.instance.finish(net.call("PUT", "virtualNetworks/vn", whole))
    now = {s["name"]: s["properties"] for s in net.list("virtualNetworks/vn/subnets")}
    assert set(now) == {"b", "c"}
    assert now["b"]["addressPrefix"] == "10.0.8.0/24"
    assert now["c"]["addressPrefixes"] == ["10.5.0.0/24"]


def test_tags_are_patched(net):
    made = net.network("vn")
    reply = net.call("PATCH", "virtualNetworks/vn", {"tags": {"team": "docks"}})
    assert reply.status_code == 200, reply.text
    now = net.get("virtualNetworks/vn")
    assert now["tags"] == {"team": "docks"} and now["properties"] == made["properties"]


def test_peerings_of_two_networks(net):
    for name, prefix in (("left", "10.1.0.0/16"), ("right", "10.2.0.0/16"), ("same", "10.1.0.0/16")):
        net.put(f"virtualNetworks/{name}", space(prefix))

    def peer(one, other):
        return {"remoteVirtualNetwork": {"id": net.id(f"virtualNetworks/{other}")},
                "allowVirtualNetworkAccess": True}

    def state(one):
        return net.get(f"virtualNetworks/{one}/virtualNetworkPeerings/p")[
            "properties"]["peeringState"]
    made = net.put("virtualNetworks/left/virtualNetworkPeerings/p", peer("left", "right"),
                   location=None)
    assert made["properties"]["peeringState"] == "Initiated"
    net.put("virtualNetworks/right/virtualNetworkPeerings/p", peer("right", "left"), location=None)
    assert state("left") == state("right") == "Connected"
    assert net.get("virtualNetworks/left")["properties"]["virtualNetworkPeerings"][0][
        "properties"]["peeringState"] == "Connected"
    assert net.refused("virtualNetworks/left/virtualNetworkPeerings/q", peer("left", "same"),
                       location=None)["code"] == "VnetAddressSpacesOverlap"
    assert net.refused("virtualNetworks/left/virtualNetworkPeerings/q", peer("left", "none"),
                       location=None)["code"] == "InvalidResourceReference"
    net.delete("virtualNetworks/right/virtualNetworkPeerings/p")
    assert state("left") == "Disconnected"


# --- private endpoints ----------------------------------------------------------------------------

def test_the_interface_of_an_endpoint(instance, net, premium):
    net.network("vn")
    made = net.endpoint("pe", premium.id, net.subnet_id("vn", "apps"))
    (nic,) = made["properties"]["networkInterfaces"]
    name = nic["id"].rsplit("/", 1)[1]
    shown_nic = net.get(f"networkInterfaces/{name}")
    assert shown_nic["properties"]["privateEndpoint"]["id"] == made["id"]
    members = {}
    for config in shown_nic["properties"]["ipConfigurations"]:
        p = config["properties"]
        assert p["subnet"]["id"] == net.subnet_id("vn", "apps")
        assert p["privateIPAllocationMethod"] == "Dynamic"
        link = p["privateLinkConnectionProperties"]
        assert link["groupId"] == "registry"
        members[link["requiredMemberName"]] = (p["privateIPAddress"], link["fqdns"])
    host = f"{premium.name}.cr.{instance.domain}"
    assert members == {
        "registry": ("10.0.0.5", [host]),
        "registry_data_eastus": ("10.0.0.4",
                                 [f"{premium.name}.eastus.data.cr.{instance.domain}"])}
    assert net.refused(f"networkInterfaces/{name}", method="DELETE")["code"] == "BadRequest"
    # It stands in its group beside the endpoint.
    for conditions in ({}, {"$filter": f"name eq '{name}'"}):
        listed = instance.arm("GET", f"{instance.group_id(net.group)}/resources", api=GROUPS_API,
                              **conditions).json()["value"]
        assert nic["id"].lower() in [r["id"].lower() for r in listed], conditions
    subnet = net.get("virtualNetworks/vn/subnets/apps")["properties"]
    assert subnet["privateEndpoints"] == [{"id": made["id"]}]
    assert len(subnet["ipConfigurations"]) == 2
    net.delete("privateEndpoints/pe")
    assert net.list("networkInterfaces") == []
    assert "privateEndpoints" not in net.get("virtualNetworks/vn/subnets/apps")["properties"]


def test_an_interface_of_a_chosen_name(instance, net, premium):
    net.network("vn")
    body = net.endpoint_body(premium.id, net.subnet_id("vn", "apps"))
    for name in ("a/b", "a/ipConfigurations/b", "..", "-a", "a b", "a?b"):
        wrong = {**body, "customNetworkInterfaceName": name}
        assert net.refused("privateEndpoints/pe", wrong)["code"] == "InvalidResourceName", name
    chosen = {**body, "customNetworkInterfaceName": "Chosen.nic"}
    made = net.put("privateEndpoints/pe", chosen)
    (nic,) = made["properties"]["networkInterfaces"]
    assert nic["id"] == net.id("networkInterfaces/Chosen.nic")
    taken = {**body, "customNetworkInterfaceName": "chosen.NIC"}
    assert net.refused("privateEndpoints/other", taken)["code"] == "ResourceInUse"
    assert len(net.list("privateEndpoints")) == len(net.list("networkInterfaces")) == 1
    net.put("privateEndpoints/pe", chosen)
    net.delete("privateEndpoints/pe")
    net.put("privateEndpoints/other", taken)
    net.delete("privateEndpoints/other")


def test_what_is_in_use_stays(instance, net, premium):
    net.network("vn", subnets={"a": "10.0.0.0/24", "b": "10.0.1.0/24"})
    net.endpoint("pe", premium.id, net.subnet_id("vn", "a"))
    for path in ("virtualNetworks/vn/subnets/a", "virtualNetworks/vn"):
        told = net.refused(path, method="DELETE")
        assert told["code"] == "InUseSubnetCannotBeDeleted", path
        assert told["message"].startswith(f"Subnet a is in use by {net.id('privateEndpoints/pe')} "), told
    assert net.refused("virtualNetworks/vn", space("10.0.0.0/16", subnets=[]))["code"] == \
        "InUseSubnetCannotBeDeleted"
    assert net.refused("virtualNetworks/vn/subnets/a", {"addressPrefix": "10.0.7.0/24"},
                       location=None)["code"] == "InUseSubnetCannotBeUpdated"
    # A zone link to the network stands in the way only after what has addresses in it.
    net.zone("in-use.test", "vn")
    assert net.refused("virtualNetworks/vn", method="DELETE")["code"] == "InUseSubnetCannotBeDeleted"
    # What the addresses lie in may grow.
    net.put("virtualNetworks/vn", space("10.0.0.0/16", "10.7.0.0/16"))
    net.delete("virtualNetworks/vn/subnets/b")
    net.delete("privateEndpoints/pe")
    told = net.refused("virtualNetworks/vn", method="DELETE")
    link = net.id("privateDnsZones/in-use.test/virtualNetworkLinks/vn")
    assert told["code"] == "ResourceInUse" and link in told["message"], told
    net.delete("privateDnsZones/in-use.test/virtualNetworkLinks/vn")
    net.delete("virtualNetworks/vn")


def test_static_addresses(instance, net, premium):
    net.network("vn", subnets={"apps": "10.0.0.0/28"})
    subnet = net.subnet_id("vn", "apps")
    for address, code in (("10.0.1.4", "PrivateIPAddressNotInSubnet"),
                          ("10.0.0.3", "PrivateIPAddressInReservedRange"),
                          ("10.0.0.15", "PrivateIPAddressInReservedRange"),
                          ("ten", "PrivateIPAddressNotInSubnet")):
        body = net.endpoint_body(premium.id, subnet, configs={"registry": address})
        assert net.refused("privateEndpoints/pe", body)["code"] == code, address
    assert connections(premium) == []
    made = net.endpoint("pe", premium.id, subnet, configs={
        "registry": "10.0.0.9", "registry_data_eastus": "10.0.0.4"})
    assert set(addresses_of(made).values()) == {"10.0.0.9", "10.0.0.4"}
    body = net.endpoint_body(premium.id, subnet, configs={"registry": "10.0.0.9"})
    assert net.refused("privateEndpoints/other", body)["code"] == "PrivateIPAddressIsAllocated"
    other = net.endpoint("other", premium.id, subnet)
    assert set(addresses_of(other).values()) == {"10.0.0.5", "10.0.0.6"}
    net.delete("privateEndpoints/pe")
    third = net.endpoint("third", premium.id, subnet)
    assert set(addresses_of(third).values()) == {"10.0.0.4", "10.0.0.7"}
    for name in ("other", "third"):
        net.delete(f"privateEndpoints/{name}")


def test_free_addresses(instance, net, premium):
    net.network("vn", subnets={"a": "10.0.0.0/28", "b": "10.0.1.0/24"})

    def ask(address):
        reply = instance.arm("GET", f"{net.id('virtualNetworks/vn')}/CheckIPAddressAvailability"
                             f"?ipAddress={address}", api=NETWORK_API)
        return reply.status_code, reply.json()
    assert ask("10.0.0.7") == (200, {"available": True, "availableIPAddresses": [], "isPlatformReserved": False})
    assert ask("10.0.0.3") == (200, {"available": False, "isPlatformReserved": True, "availableIPAddresses": [
        f"10.0.0.{i}" for i in (4, 5, 6, 7, 8)]})
    net.endpoint("pe", premium.id, net.subnet_id("vn", "a"), configs={
        "registry": "10.0.0.9", "registry_data_eastus": "10.0.0.13"})
    assert ask("10.0.0.9") == (200, {"available": False, "isPlatformReserved": False, "availableIPAddresses": [
        f"10.0.0.{i}" for i in (10, 11, 12, 14, 4)]})
    assert ask("10.0.1.255")[1]["availableIPAddresses"] == [f"10.0.1.{i}" for i in (4, 5, 6, 7, 8)]
    for wrong, code in (("10.0.2.4", "PrivateIPAddressNotInAnySubnet"), ("ten", "InvalidParameter"),
                        ("fd00::1", "InvalidParameter"), ("", "InvalidParameter")):
        status, body = ask(wrong)
        assert (status, body["error"]["code"]) == (400, code), wrong
    net.delete("privateEndpoints/pe")
    assert ask("10.0.0.9")[1]["available"] is True


def test_what_a_location_offers(instance):
    base = f"/subscriptions/{instance.subscription}/providers/Microsoft.Network/locations"
    for kind, names in (("virtualNetworkAvailableEndpointServices",
                         ["Microsoft.ContainerRegistry", "Microsoft.KeyVault"]),
                        ("availablePrivateEndpointTypes", ["Microsoft.ContainerRegistry.registries"]),
                        ("availableDelegations", [])):
        for location in ("eastus", "East US"):
            reply = instance.arm("GET", f"{base}/{location}/{kind}", api=NETWORK_API)
            assert [x["name"] for x in reply.json()["value"]] == names
        assert instance.arm("GET", f"{base}/nowhere/{kind}", api=NETWORK_API).json()["error"]["code"] == \
            "LocationNotAvailableForResourceType"


def test_endpoints_that_are_refused(instance, net, premium):
    net.network("vn")
    subnet = net.subnet_id("vn", "apps")
    basic = instance.make_registry(net.group)
    assert net.refused("privateEndpoints/pe", net.endpoint_body(basic.id, subnet))["code"] == \
        "SkuNotSupported"
    for registry, place in ((premium.id + "x", subnet), (premium.id, subnet + "x"),
                            (premium.id, "nonsense"), (subnet, subnet)):
        assert net.refused("privateEndpoints/pe", net.endpoint_body(registry, place))["code"] == \
            "InvalidResourceReference", (registry, place)
    assert net.refused("privateEndpoints/pe", net.endpoint_body(premium.id, subnet),
                       location="westeurope")["code"] == "InvalidResourceReference"
    body = net.endpoint_body(premium.id, subnet)
    body["privateLinkServiceConnections"][0]["properties"]["groupIds"] = ["vault"]
    assert net.refused("privateEndpoints/pe", body)["code"] == "InvalidParameter"
    body["privateLinkServiceConnections"] = []
    assert net.refused("privateEndpoints/pe", body)["code"] == "InvalidParameter"
    assert connections(premium) == [] and net.list("networkInterfaces") == []
    net.endpoint("pe", premium.id, subnet)
    net.put("virtualNetworks/vn/subnets/more", {"addressPrefix": "10.0.1.0/24"}, location=None)
    moved = net.endpoint_body(premium.id, net.subnet_id("vn", "more"))
    assert net.refused("privateEndpoints/pe", moved)["code"] == "PropertyChangeNotAllowed"
    net.delete("privateEndpoints/pe")


def test_approval_and_rejection(instance, net, premium):
    net.network("vn")
    made = net.endpoint("pe", premium.id, net.subnet_id("vn", "apps"), manual=True,
                        message="let us in")
    assert state_of(made) == "Pending"
    (row,) = connections(premium)
    asked = row["properties"]["privateLinkServiceConnectionState"]
    assert asked["status"] == "Pending" and asked["description"] == "let us in"
    for status in ("Approved", "Rejected", "Approved"):
        body = {"properties": {"privateLinkServiceConnectionState": {
            "status": status, "description": f"now {status}"}}}
        reply = instance.arm("PUT", row["id"], body)
        assert reply.status_code in (200, 201), reply.text
        instance.finish(reply)
        assert state_of(net.get("privateEndpoints/pe")) == status
        (now,) = shown(premium)["privateEndpointConnections"]
        assert now["properties"]["privateLinkServiceConnectionState"]["status"] == status
    link = row["name"].rsplit(".", 1)[1]
    assert instance.sql("control", f"select state from private_links where link = '{link}'") == [
        ["Approved"]]
    instance.delete(row["id"])
    assert connections(premium) == []
    assert state_of(net.get("privateEndpoints/pe")) == "Disconnected"
    net.delete("privateEndpoints/pe")
    assert instance.sql("control", f"select 1 from private_links where link = '{link}'") == []


def test_a_registry_that_goes_leaves_its_endpoints_disconnected(instance, net):
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn")
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"))
    instance.delete(registry.id)
    left = net.get("privateEndpoints/pe")
    assert state_of(left) == "Disconnected"
    assert len(addresses_of(left)) == 2
    # One of the same name is another registry.
    again = instance.make_registry(net.group, registry.name, sku="Premium")
    assert connections(again) == []
    assert state_of(net.get("privateEndpoints/pe")) == "Disconnected"


def test_addresses_follow_the_registrys_regions(instance, net):
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn")
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"))

    def hosts():
        return {h.removeprefix(f"{registry.name}.").split(".")[0]
                for h in addresses_of(net.get("privateEndpoints/pe"))}
    assert hosts() == {"cr", "eastus"}
    reply = instance.arm("PUT", f"{registry.id}/replications/westus2", {"location": "westus2"})
    assert reply.status_code in (200, 201), reply.text
    assert hosts() == {"cr", "eastus", "westus2"}
    instance.finish(reply)
    (resource,) = instance.arm("GET", f"{registry.id}/privateLinkResources").json()["value"]
    assert resource["properties"]["requiredMembers"] == [
        "registry", "registry_data_eastus", "registry_data_westus2"]
    assert resource["properties"]["requiredZoneNames"] == [f"privatelink.cr.{instance.domain}"]
    instance.delete(f"{registry.id}/replications/westus2")
    assert hosts() == {"cr", "eastus"}
    for wanted, has in ((False, {"cr"}), (True, {"cr", "eastus"})):
        reply = instance.arm("PATCH", registry.id, {"properties": {"dataEndpointEnabled": wanted}})
        assert reply.status_code in (200, 201), reply.text
        instance.finish(reply)
        assert hosts() == has
    net.delete("privateEndpoints/pe")


def test_a_replica_needs_room_in_every_subnet(instance, net):
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn", subnets={"apps": "10.0.0.0/29"})
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"))
    for region, ok in (("westus2", True), ("westeurope", False)):
        reply = instance.arm("PUT", f"{registry.id}/replications/{region}", {"location": region})
        if ok:
            instance.finish(reply)
        else:
            assert reply.json()["error"]["code"] == "SubnetIsFull", reply.text
    names = [r["location"] for r in instance.arm(
        "GET", f"{registry.id}/replications").json()["value"]]
    assert sorted(names) == ["eastus", "westus2"]


def test_a_replica_takes_no_address_that_nobody_chose(instance, net):
    """An endpoint with static addresses has one for every region, or the registry does not come there."""
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn", subnets={"apps": "10.0.0.0/28"})
    chosen = {"registry": "10.0.0.9", "registry_data_eastus": "10.0.0.8"}
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"), configs=chosen)
    path, body = f"{registry.id}/replications/westus2", {"location": "westus2"}
    reply = instance.arm("PUT", path, body)
    assert reply.status_code == 400, reply.text
    told = reply.json()["error"]
    assert told["target"] == "location" and "'registry_data_westus2'" in told["message"], told
    assert instance.arm("GET", f"{registry.id}/replications").json()["value"] == []
    # The home region's own replication needs no other address.
    instance.finish(instance.arm("PUT", f"{registry.id}/replications/eastus", {"location": "eastus"}))
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"),
                 configs={**chosen, "registry_data_westus2": "10.0.0.7"})
    reply = instance.arm("PUT", path, body)
    assert reply.status_code in (200, 201), reply.text
    instance.finish(reply)
    assert addresses_of(net.get("privateEndpoints/pe"))[
        f"{registry.name}.westus2.data.cr.{instance.domain}"] == "10.0.0.7"


def test_rules_for_subnets_and_endpoints_exclude_each_other(instance, net):
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn")
    net.put("virtualNetworks/vn/subnets/clients", {
        "addressPrefix": "10.0.1.0/24",
        "serviceEndpoints": [{"service": "Microsoft.ContainerRegistry"}]}, location=None)

    def rule(subnet):
        return {"properties": {"networkRuleSet": {"defaultAction": "Deny", "virtualNetworkRules": [
            {"action": "Allow", "id": net.subnet_id("vn", subnet)}]}}}

    def refusal(body):
        reply = instance.arm("PATCH", registry.id, body, api="2019-05-01")
        return reply.json()["error"]["code"]
    assert refusal(rule("apps")) == "SubnetsHaveNoServiceEndpointsConfigured"
    assert refusal(rule("none")) == "InvalidResourceReference"
    reply = instance.arm("PATCH", registry.id, rule("clients"), api="2019-05-01")
    assert reply.status_code == 200, reply.text
    instance.finish(reply)
    endpoint = net.endpoint_body(registry.id, net.subnet_id("vn", "apps"))
    assert net.refused("privateEndpoints/pe", endpoint)["code"] == "BadRequest"
    reply = instance.arm("PATCH", registry.id, {"properties": {"networkRuleSet": {
        "defaultAction": "Allow", "virtualNetworkRules": []}}}, api="2019-05-01")
    instance.finish(reply)
    net.endpoint("pe", registry.id, net.subnet_id("vn", "apps"))
    assert refusal(rule("clients")) == "BadRequest"


def test_64_creates_at_once_in_a_small_subnet(instance, net):
    """A model of the addresses: 11 of a /28 are there to take, every endpoint takes two."""
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn", subnets={"apps": "10.0.0.0/28"})
    body = net.endpoint_body(registry.id, net.subnet_id("vn", "apps"))
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda i: net.call(
            "PUT", f"privateEndpoints/pe{i}", {"location": "eastus", "properties": body}),
            range(64)))
    made = [r.json() for r in replies if r.status_code < 300]
    refused = [r.json()["error"]["code"] for r in replies if r.status_code >= 300]
    assert len(made) == 5 and refused == ["SubnetIsFull"] * 59, refused
    taken = [a for e in made for a in addresses_of(e).values()]
    assert len(taken) == 10 and len(set(taken)) == 10
    free = {f"10.0.0.{i}" for i in range(4, 15)}
    assert set(taken) < free
    assert sorted(e["name"] for e in net.list("privateEndpoints")) == sorted(
        e["name"] for e in made)
    assert len(net.list("networkInterfaces")) == 5
    assert len(connections(registry)) == 5
    # What is given back is taken again, by as many as fit.
    for e in made[:2]:
        net.delete(f"privateEndpoints/{e['name']}")
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: net.call(
            "PUT", f"privateEndpoints/again{i}", {"location": "eastus", "properties": body}),
            range(8)))
    assert sum(r.status_code < 300 for r in replies) == 2
    now = [a for e in net.list("privateEndpoints") for a in addresses_of(e).values()]
    assert len(now) == 10 and set(now) < free


def usage(registry, name):
    told = registry.instance.arm("GET", f"{registry.id}/listUsages").json()["value"]
    (of,) = [u for u in told if u["name"] == name]
    return of["currentValue"], of["limit"]


def test_a_registry_has_200_endpoints(instance, net):
    """Exactly, however many are asked for at once; one that goes makes room."""
    registry = instance.make_registry(net.group, sku="Premium", dataEndpointEnabled=True)
    net.network("vn", subnets={"apps": "10.0.0.0/22"})
    body = {"location": "eastus", "properties": net.endpoint_body(registry.id, net.subnet_id("vn", "apps"))}
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: net.call("PUT", f"privateEndpoints/pe{i}", body), range(204)))
    refused = [r.json()["error"] for r in replies if r.status_code >= 300]
    assert [e["code"] for e in refused] == ["QuotaExceeded"] * 4, refused
    assert "privateEndpointConnections" in refused[0]["message"]
    assert usage(registry, "PrivateEndpointConnections") == (200, 200)
    taken = [a for e in net.list("privateEndpoints") for a in addresses_of(e).values()]
    assert len(taken) == len(set(taken)) == 400
    first = next(i for i, r in enumerate(replies) if r.status_code < 300)
    net.delete(f"privateEndpoints/pe{first}")
    assert net.call("PUT", "privateEndpoints/late", body).status_code == 201


def test_a_registry_has_100_rules_for_subnets(instance, net):
    registry = instance.make_registry(net.group, sku="Premium")
    endpoint = [{"service": "Microsoft.ContainerRegistry"}]
    net.put("virtualNetworks/vn", space("10.0.0.0/16", subnets=[
        {"name": f"s{i}", "properties": {"addressPrefix": f"10.0.{i}.0/24", "serviceEndpoints": endpoint}}
        for i in range(101)]))

    def rule(count):
        return instance.arm("PATCH", registry.id, {"properties": {"networkRuleSet": {
            "defaultAction": "Deny", "virtualNetworkRules": [
                {"action": "Allow", "id": net.subnet_id("vn", f"s{i}")} for i in range(count)]}}},
            api="2019-05-01")
    assert rule(101).status_code == 400
    assert usage(registry, "VNetRules") == (0, 100)
    reply = rule(100)
    assert reply.status_code == 200, reply.text
    instance.finish(reply)
    assert usage(registry, "VNetRules") == (100, 100)


# --- private DNS ----------------------------------------------------------------------------------

def test_zones_links_and_records(instance, net):
    net.network("vn")
    made = net.put("privateDnsZones/example.test", location="global")
    assert made["location"] == "global"
    assert made["properties"]["numberOfRecordSets"] == 1
    assert net.refused("privateDnsZones/example.test", location="eastus")["code"] == \
        "LocationNotAvailableForResourceType"
    base = "privateDnsZones/example.test"
    link = net.put(f"{base}/virtualNetworkLinks/vn", {
        "virtualNetwork": {"id": net.id("virtualNetworks/vn")}, "registrationEnabled": True},
        location="global")
    assert link["properties"]["virtualNetworkLinkState"] == "Completed"
    records = {
        "A/www": {"aRecords": [{"ipv4Address": "10.0.0.7"}]},
        "AAAA/www": {"aaaaRecords": [{"ipv6Address": "fd00::7"}]},
        "CNAME/alias": {"cnameRecord": {"cname": "www.example.test"}},
        "MX/@": {"mxRecords": [{"preference": 10, "exchange": "mail.example.test"}]},
        "PTR/4": {"ptrRecords": [{"ptrdname": "www.example.test"}]},
        "SRV/_sip._tcp": {"srvRecords": [
            {"priority": 1, "weight": 2, "port": 5060, "target": "sip.example.test"}]},
        "TXT/@": {"txtRecords": [{"value": ["v=1", "more"]}]},
    }
    for name, properties in records.items():
        shown_set = net.put(f"{base}/{name}", {"ttl": 60, **properties}, location=None)
        assert shown_set["properties"].items() >= {"ttl": 60, **properties}.items()
        assert "provisioningState" not in shown_set["properties"]
    assert net.get(f"{base}/A/www")["properties"]["fqdn"] == "www.example.test."
    assert net.get(f"{base}/TXT/@")["properties"]["fqdn"] == "example.test."
    everything = net.list(f"{base}/ALL")
    assert {r["type"].rsplit("/", 1)[1] + "/" + r["name"] for r in everything} == \
        set(records) | {"SOA/@"}
    zone = net.get(base)["properties"]
    assert zone["numberOfRecordSets"] == 8
    assert zone["numberOfVirtualNetworkLinks"] == 1
    assert zone["numberOfVirtualNetworkLinksWithRegistration"] == 1
    assert net.refused(f"{base}/A/alias", {"aRecords": []}, location=None)["code"] == "Conflict"
    assert net.refused(f"{base}/A/bad", {"aRecords": [{"ipv4Address": "10.0.0.256"}]},
                       location=None)["code"] == "InvalidParameter"
    assert net.refused(f"{base}/CNAME/@", {"cnameRecord": {"cname": "x"}},
                       location=None)["code"] == "BadRequest"
    assert net.call("DELETE", f"{base}/SOA/@").status_code == 405
    assert net.refused(base, method="DELETE")["code"] == "CannotDeleteResource"
    other = Networks(instance, instance.make_group())
    other.put(base, location="global")
    assert other.refused(f"{base}/virtualNetworkLinks/vn", {
        "virtualNetwork": {"id": net.id("virtualNetworks/vn")}}, location="global")["code"] == \
        "Conflict"
    instance.arm("DELETE", instance.group_id(other.group), api=GROUPS_API)
    net.delete(f"{base}/virtualNetworkLinks/vn")
    net.delete(base)
    assert net.call("GET", f"{base}/A/www").status_code == 404


def test_conditional_writes_of_records(net):
    net.put("privateDnsZones/example.test", location="global")
    path = "privateDnsZones/example.test/A/www"
    made = net.put(path, {"aRecords": [{"ipv4Address": "10.0.0.7"}]}, location=None)
    body = {"properties": {"aRecords": [{"ipv4Address": "10.0.0.8"}]}}
    for headers, status in (({"If-None-Match": "*"}, 412), ({"If-Match": 'W/"other"'}, 412),
                            ({"If-Match": made["etag"]}, 200), ({"If-Match": made["etag"]}, 412),
                            ({"If-Match": "*"}, 200)):
        reply = net.call("PUT", path, body, headers=headers)
        assert reply.status_code == status, (headers, reply.text)
    assert net.call("DELETE", path, headers={"If-Match": made["etag"]}).status_code == 412
    assert net.get(path)["etag"] != made["etag"]


def test_a_zone_group_keeps_the_records(instance, net, premium):
    zone = f"privatelink.cr.{instance.domain}"
    net.network("vn")
    net.zone(zone, "vn")
    net.endpoint("pe", premium.id, net.subnet_id("vn", "apps"))
    configs = [{"name": "cr", "properties": {"privateDnsZoneId": net.id(f"privateDnsZones/{zone}")}}]
    group = net.put("privateEndpoints/pe/privateDnsZoneGroups/default",
                    {"privateDnsZoneConfigs": configs}, location=None)
    sets = group["properties"]["privateDnsZoneConfigs"][0]["properties"]["recordSets"]
    assert {s["fqdn"]: s["ipAddresses"] for s in sets} == {
        f"{premium.name}.{zone}": ["10.0.0.5"],
        f"{premium.name}.eastus.data.{zone}": ["10.0.0.4"]}

    def addresses():
        return {r["name"]: [a["ipv4Address"] for a in r["properties"]["aRecords"]]
                for r in net.list(f"privateDnsZones/{zone}/A")}
    assert addresses() == {premium.name: ["10.0.0.5"], f"{premium.name}.eastus.data": ["10.0.0.4"]}
    assert net.refused("privateEndpoints/pe/privateDnsZoneGroups/other",
                       {"privateDnsZoneConfigs": configs}, location=None)["code"] == "BadRequest"
    assert net.refused(f"privateDnsZones/{zone}", method="DELETE")["code"] in (
        "CannotDeleteResource", "ResourceInUse")
    # A second endpoint of the registry adds its addresses to the names.
    net.endpoint("pe2", premium.id, net.subnet_id("vn", "apps"))
    net.put("privateEndpoints/pe2/privateDnsZoneGroups/default",
            {"privateDnsZoneConfigs": configs}, location=None)
    assert sorted(addresses()[premium.name]) == ["10.0.0.5", "10.0.0.7"]
    net.delete("privateEndpoints/pe2")
    assert addresses()[premium.name] == ["10.0.0.5"]
    net.delete("privateEndpoints/pe/privateDnsZoneGroups/default")
    assert addresses() == {}
    net.put("privateEndpoints/pe/privateDnsZoneGroups/default",
            {"privateDnsZoneConfigs": configs}, location=None)
    assert len(addresses()) == 2
    net.delete("privateEndpoints/pe")
    assert addresses() == {}


# --- rights, locks, groups ------------------------------------------------------------------------

def test_a_group_goes_with_all_its_networks(instance, premium):
    net = Networks(instance, instance.make_group())
    zone = f"privatelink.cr.{instance.domain}"
    net.network("vn")
    net.zone(zone, "vn")
    net.endpoint("pe", premium.id, net.subnet_id("vn", "apps"))
    net.put("privateEndpoints/pe/privateDnsZoneGroups/default", {"privateDnsZoneConfigs": [
        {"name": "cr", "properties": {"privateDnsZoneId": net.id(f"privateDnsZones/{zone}")}}]},
        location=None)
    assert len(connections(premium)) == 1
    instance.delete(instance.group_id(net.group), api=GROUPS_API)
    assert connections(premium) == []
    assert instance.sql("control", "select 1 from resources where group_key = lower('"
                        f"{net.group}') and type_key like 'microsoft.network/%'") == []


def role(instance, name, *actions):
    """The id of a custom role with these actions."""
    guid = str(uuid.uuid4())
    path = f"/subscriptions/{instance.subscription}/providers/Microsoft.Authorization"
    reply = instance.arm("PUT", f"{path}/roleDefinitions/{guid}", {"properties": {
        "roleName": f"{name} {guid[:8]}", "description": "d", "type": "CustomRole",
        "permissions": [{"actions": list(actions), "notActions": []}],
        "assignableScopes": [f"/subscriptions/{instance.subscription}"]}}, api="2022-04-01")
    assert reply.status_code == 201, reply.text
    return guid


def test_whose_registry_it_is_decides_about_approval(instance, net, premium):
    directory = Directory(instance)
    app = directory.application()
    net.network("vn", subnets={"open": "10.0.0.0/24", "closed": "10.0.1.0/24"})
    endpoints = role(instance, "endpoints", "Microsoft.Network/privateEndpoints/*")
    join = role(instance, "join", "Microsoft.Network/virtualNetworks/subnets/join/action")
    assign(instance, app.object_id, endpoints, instance.group_id(net.group))
    assign(instance, app.object_id, join, net.subnet_id("vn", "open"))

    def create(name, subnet):
        return net.call("PUT", f"privateEndpoints/{name}", {
            "location": "eastus",
            "properties": net.endpoint_body(premium.id, net.subnet_id("vn", subnet))},
            token=app.token())
    reply = create("closed", "closed")
    assert reply.status_code == 403, reply.text
    assert reply.json()["error"]["code"] == "LinkedAuthorizationFailed"
    assert connections(premium) == []
    reply = create("waits", "open")
    assert reply.status_code == 201, reply.text
    assert state_of(reply.json()) == "Pending"
    approve = role(instance, "approve", "Microsoft.ContainerRegistry/registries/"
                   "privateEndpointConnectionsApproval/action")
    assign(instance, app.object_id, approve, premium.id)
    eventually(lambda: state_of(create(f"own{uuid.uuid4().hex[:6]}", "open").json()) == "Approved")
    for endpoint in net.list("privateEndpoints"):
        net.delete(f"privateEndpoints/{endpoint['name']}")
    assert connections(premium) == []


def test_locks_hold_networks(instance, net):
    net.network("vn")
    lock = f"{net.id('virtualNetworks/vn')}/providers/Microsoft.Authorization/locks/keep"
    reply = instance.arm("PUT", lock, {"properties": {"level": "CanNotDelete"}}, api="2020-05-01")
    assert reply.status_code == 201, reply.text
    for path in ("virtualNetworks/vn", "virtualNetworks/vn/subnets/apps"):
        assert net.refused(path, method="DELETE")["code"] == "ScopeLocked", path
    net.put("virtualNetworks/vn/subnets/more", {"addressPrefix": "10.0.1.0/24"}, location=None)
    instance.arm("DELETE", lock, api="2020-05-01")
    net.delete("virtualNetworks/vn")


def test_providers_tell_of_networks(instance):
    told = instance.arm("GET", f"/subscriptions/{instance.subscription}/providers/"
                        "Microsoft.Network", api="2021-04-01").json()
    types = {t["resourceType"]: t for t in told["resourceTypes"]}
    assert "eastus" in [x.lower().replace(" ", "") for x in types["privateEndpoints"]["locations"]]
    assert types["privateDnsZones"]["locations"] == ["global"]
    assert NETWORK_API in types["virtualNetworks"]["apiVersions"]


def test_states_of_many_endpoints_agree(instance, net):
    """Endpoints come, go, are approved and rejected at once; both sides agree in the end."""
    registry = instance.make_registry(net.group, sku="Premium")
    net.network("vn", subnets={"apps": "10.0.0.0/24"})
    chance = random.Random(11)
    plans = [[chance.choice(("put", "delete", "Approved", "Rejected")) for _ in range(6)]
             for _ in range(8)]

    def live(i):
        body = net.endpoint_body(registry.id, net.subnet_id("vn", "apps"), manual=i % 2 == 0)
        for step in plans[i]:
            if step == "put":
                reply = net.call("PUT", f"privateEndpoints/pe{i}",
                                 {"location": "eastus", "properties": body})
            elif step == "delete":
                reply = net.call("DELETE", f"privateEndpoints/pe{i}")
            else:
                mine = [c for c in connections(registry) if c["name"].startswith(f"pe{i}.")]
                if not mine:
                    continue
                reply = instance.arm("PUT", mine[0]["id"], {"properties": {
                    "privateLinkServiceConnectionState": {"status": step}}})
            assert reply.status_code < 300, (step, reply.text)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(live, range(8)))
    wanted = {i for i in range(8)
              if "put" in plans[i] and "delete" not in
              plans[i][len(plans[i]) - 1 - plans[i][::-1].index("put"):]}
    endpoints = {e["name"]: state_of(e) for e in net.list("privateEndpoints")}
    assert set(endpoints) == {f"pe{i}" for i in wanted}
    rows = {c["name"].split(".")[0]: c["properties"]["privateLinkServiceConnectionState"]["status"]
            for c in connections(registry)}
    assert rows == endpoints
    listed = shown(registry)["privateEndpointConnections"]
    assert sorted(c["name"] for c in listed) == sorted(c["name"] for c in connections(registry))
    taken = [a for e in net.list("privateEndpoints") for a in addresses_of(e).values()]
    assert len(taken) == 2 * len(wanted) == len(set(taken))
