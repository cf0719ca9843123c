"""Networks of an instance for tests: virtual networks, private endpoints, private DNS zones."""

NETWORK_API = "2023-11-01"
DNS_API = "2020-06-01"
PROVIDER = "providers/Microsoft.Network"


class Networks:
    """The Microsoft.Network resources of one group."""

    def __init__(self, instance, group):
        self.instance, self.group = instance, group
        self.base = f"{instance.group_id(group)}/{PROVIDER}"

    def api(self, path):
        return DNS_API if "privateDnsZones/" in path and "privateEndpoints/" not in path \
            else NETWORK_API

    def id(self, path):
        return f"{self.base}/{path}"

    def call(self, method, path, body=None, **options):
        return self.instance.arm(method, self.id(path), body,
                                 **{"api": self.api(path), **options})

    def put(self, path, properties=None, location="eastus", **top):
        """Creates or changes one; returns what a GET then shows."""
        reply = self.send(path, properties, location, **top)
        assert reply.status_code in (200, 201), reply.text
        self.instance.finish(reply)
        return self.get(path)

    def send(self, path, properties=None, location="eastus", **top):
        body = {"properties": properties or {}, **top}
        if location:
            body["location"] = location
        return self.call("PUT", path, body)

    def get(self, path):
        reply = self.call("GET", path)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def list(self, path):
        return self.instance.items(self.id(path), api=self.api(path))

    def delete(self, path):
        return self.instance.delete(self.id(path), api=self.api(path))

    def refused(self, path, properties=None, location="eastus", method="PUT", **top):
        """The error of a request that fails."""
        body = None if method == "DELETE" else {"properties": properties or {}, **top}
        if body is not None and location:
            body["location"] = location
        reply = self.call(method, path, body)
        assert reply.status_code >= 400, reply.text
        return reply.json()["error"]

    # --- short ways ------------------------------------------------------------------------------

    def network(self, name, space="10.0.0.0/16", subnets=None):
        """A network with subnets {name: prefix}."""
        return self.put(f"virtualNetworks/{name}", {
            "addressSpace": {"addressPrefixes": [space]},
            "subnets": [{"name": n, "properties": {"addressPrefix": p}}
                        for n, p in (subnets or {"apps": "10.0.0.0/24"}).items()]})

    def subnet_id(self, network, subnet):
        return self.id(f"virtualNetworks/{network}/subnets/{subnet}")

    def endpoint_body(self, registry_id, subnet_id, manual=False, configs=None, message=None):
        connection = {"name": "link", "properties": {
            "privateLinkServiceId": registry_id, "groupIds": ["registry"]}}
        if message:
            connection["properties"]["requestMessage"] = message
        body = {"subnet": {"id": subnet_id}}
        body["manualPrivateLinkServiceConnections" if manual
             else "privateLinkServiceConnections"] = [connection]
        if configs:
            body["ipConfigurations"] = [
                {"name": member.replace("_", "-"), "properties": {
                    "groupId": "registry", "memberName": member, "privateIPAddress": address}}
                for member, address in configs.items()]
        return body

    def endpoint(self, name, registry_id, subnet_id, **options):
        return self.put(f"privateEndpoints/{name}",
                        self.endpoint_body(registry_id, subnet_id, **options))

    def zone(self, name, network=None):
        self.put(f"privateDnsZones/{name}", location="global")
        if network:
            self.put(f"privateDnsZones/{name}/virtualNetworkLinks/{network}",
                     {"virtualNetwork": {"id": self.id(f"virtualNetworks/{network}")},
                      "registrationEnabled": False}, location="global")


def state_of(endpoint):
    """Of the one connection an endpoint has."""
    p = endpoint["properties"]
    connections = p["privateLinkServiceConnections"] + p["manualPrivateLinkServiceConnections"]
    assert len(connections) == 1
    return connections[0]["properties"]["privateLinkServiceConnectionState"]["status"]


def addresses_of(endpoint):
    """Names to addresses, as the endpoint shows them."""
    return {c["fqdn"]: c["ipAddresses"][0] for c in endpoint["properties"]["customDnsConfigs"]}
