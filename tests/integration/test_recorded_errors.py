"""The refusals that were recorded of the real service, each provoked: status, code and text."""

import re
import uuid

import pytest

from support.instance import GROUPS_API



class World:
    """One registry of each tier that a row needs, made when it is first asked for."""

    def __init__(self, instance):
        self.instance, self.group, self.made = instance, instance.make_group(), {}

    def registry(self, sku, **properties):
        key = (sku, *sorted(properties))
        if key not in self.made:
            self.made[key] = self.instance.make_registry(self.group, sku=sku, **properties)
        return self.made[key]

    def path(self, text):
        """With {group}, {missing}, {Basic}, {Standard}, {Premium} in it."""
        for sku in ("Basic", "Standard", "Premium"):
            if "{" + sku + "}" in text:
                text = text.replace("{" + sku + "}", self.registry(sku).id)
        group = self.instance.group_id(self.group)
        return text.replace("{missing}", f"{group}/providers/Microsoft.ContainerRegistry/registries/"
                            "nothing12345").replace("{group}", group)


@pytest.fixture(scope="module")
def world(instance):
    it = World(instance)
    yield it
    instance.arm("DELETE", instance.group_id(it.group), api=GROUPS_API)


PATCH = "PATCH"
SKU = {"location": "eastus", "sku": {"name": "Basic"}}
HOOK = {"location": "eastus", "properties": {"serviceUri": "https://h.example/", "actions": ["push"]}}
NO_TOKEN, BAD_TOKEN = {"Authorization": ""}, {"Authorization": "Bearer nonsense"}  # for a body
# what, method, path, body, api-version (None: none), status, code, text as a pattern
ROWS = (
    ("no api-version", "GET", "{Basic}", None, None, 400, "MissingApiVersionParameter",
     r"The api-version query parameter \(\?api-version=\) is required for all requests\."),
    ("unknown api-version of ARM", "GET", "{group}", None, "1999-01-01", 400,
     "InvalidApiVersionParameter",
     r"The api-version '1999-01-01' is invalid\. The supported versions are '.+'\."),
    ("unknown api-version of a type", "GET", "{Basic}", None, "1999-01-01", 400,
     "NoRegisteredProviderFound",
     r"No registered resource provider found for location '.*' and API version '1999-01-01' for type "
     r"'registries'\. The supported api-versions are '.+'\. The supported locations are '.+'\."),
    ("missing registry", "GET", "{missing}", None, "2025-11-01", 404, "ResourceNotFound",
     r"The resource nothing12345 could not be found\."),
    ("missing parent", "PUT", "{missing}/webhooks/hook1", HOOK, "2025-11-01", 404,
     "ParentResourceNotFound", r"Failed to perform 'write' on resource\(s\) of type 'registries/webhooks', "
     r"because the parent resource '.+' could not be found\."),
    ("missing group", "GET", "/subscriptions/{subscription}/resourceGroups/none12", None, GROUPS_API,
     404, "ResourceGroupNotFound", r".*none12.*could not be found.*"),
    ("missing subscription", "GET", f"/subscriptions/{uuid.uuid4()}/resourceGroups", None, GROUPS_API,
     404, "SubscriptionNotFound", r".+"),
    ("body that is none", "PUT", "{missing}", "{nonsense", "2025-11-01", 400, "InvalidRequestContent",
     r".+"),
    ("no location", "PUT", "{missing}", {"sku": {"name": "Basic"}}, "2025-11-01", 400,
     "LocationRequired", r".+"),
    ("no such location", "PUT", "{missing}", {**SKU, "location": "atlantis"}, "2025-11-01", 400,
     "LocationNotAvailableForResourceType", r".*atlantis.*"),
    ("another location", "PUT", "{Basic}", {**SKU, "location": "westus2"}, "2025-11-01", 409,
     "InvalidResourceLocation", r".+"),
    ("no sku", "PUT", "{missing}", {"location": "eastus"}, "2025-11-01", 400, "ClassicSkuDeprecated",
     r".+"),
    ("Classic", "PUT", "{missing}", {**SKU, "sku": {"name": "Classic"}}, "2025-11-01", 400,
     "ClassicSkuDeprecated", r".+"),
    ("quarantine", PATCH, "{Basic}", {"properties": {"policies": {"quarantinePolicy": {
        "status": "enabled"}}}}, "2025-11-01", 400, "SkuNotSupported",
     r"The SKU Basic is not supported.*"),
    ("public access", PATCH, "{Basic}", {"properties": {"publicNetworkAccess": "Disabled"}},
     "2025-11-01", 400, "DisablingPublicNetworkAccessNotSupported",
     r"Disabling public network access is not supported for the SKU Basic\..*"),
    ("data endpoint", PATCH, "{Standard}", {"properties": {"dataEndpointEnabled": True}}, "2025-11-01",
     400, r".*NotSupported", r".+SKU Standard.*"),
    ("exports off, access on", PATCH, "{Premium}", {"properties": {"policies": {"exportPolicy": {
        "status": "disabled"}}}}, "2025-11-01", 400, "BadRequest", r".*exports? disabled.*|.*export.*"),
    ("no admin user", "POST", "{no admin}/listCredentials", None, "2025-11-01", (400, 403),
     "UnAuthorizedForCredentialOperations", r".+"),
    ("too many webhooks", "PUT", "{Basic}/webhooks/hookthree", HOOK, "2025-11-01", 409,
     "QuotaExceeded", r"Quota exceeded for resource type webhooks for the registry SKU Basic\..*tiers.*"),
    ("locked", "DELETE", "{locked}", None, GROUPS_API, 409, "ScopeLocked", r".+"),
    ("unregistered provider", "PUT", "{unregistered}", {"location": "eastus"}, "2023-01-31", 409,
     "MissingSubscriptionRegistration",
     r"The subscription is not registered to use namespace 'Microsoft\.ManagedIdentity'\..*"),
    ("no token", "GET", "{Basic}", NO_TOKEN, "2025-11-01", 401, "AuthenticationFailed", r".+"),
    ("no good token", "GET", "{Basic}", BAD_TOKEN, "2025-11-01", 401, "InvalidAuthenticationToken", r".+"),
    ("taken name", "PUT", "{taken}", SKU, "2025-11-01", 409, "RegistryNameAlreadyInUse",
     r"The registry name \w+ is already in use\. You can check .*"),
    ("ETag", "DELETE", "{group}/providers/Microsoft.Network/virtualNetworks/etagged", None, "2025-05-01",
     412, "PreconditionFailed", r".*If-Match.*"),
)



@pytest.fixture(scope="module")
def ground(instance, world):
    """What some rows need to be there."""
    basic = world.registry("Basic")
    for name in ("hookone", "hooktwo"):
        reply = instance.arm("PUT", f"{basic.id}/webhooks/{name}", HOOK)
        assert reply.status_code in (200, 201), reply.text
    net = world.path("{group}/providers/Microsoft.Network/virtualNetworks/etagged")
    assert instance.arm("PUT", net, {"location": "eastus", "properties": {"addressSpace": {
        "addressPrefixes": ["10.0.0.0/16"]}}}, api="2025-05-01").status_code in (200, 201)
    other = instance.make_group()
    plain = instance.make_registry(world.group, admin=False)
    lock = f"{instance.group_id(other)}/providers/Microsoft.Authorization/locks/keep"
    assert instance.arm("PUT", lock, {"properties": {"level": "CanNotDelete"}},
                        api="2020-05-01").status_code == 201
    provider = f"/subscriptions/{instance.subscription}/providers/Microsoft.ManagedIdentity"
    instance.arm("POST", f"{provider}/unregister", api=GROUPS_API)
    yield {"{taken}": instance.registry_id(other, basic.name), "{no admin}": plain.id,
           "{subscription}": instance.subscription, "{locked}": instance.group_id(other),
           "{unregistered}": f"{instance.group_id(world.group)}/providers/Microsoft.ManagedIdentity/"
                             "userAssignedIdentities/one"}
    instance.arm("POST", f"{provider}/register", api=GROUPS_API)
    instance.delete(lock, api="2020-05-01")
    instance.arm("DELETE", instance.group_id(other), api=GROUPS_API)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_recorded(instance, world, ground, row):
    _, method, path, body, api, status, code, text = row
    for word, value in ground.items():
        path = path.replace(word, value)
    headers = {"If-Match": '"other"'} if status == 412 else None
    if body in (NO_TOKEN, BAD_TOKEN):
        headers, body = body, None
    data = {"data": body} if isinstance(body, str) else {"body": body}
    reply = instance.arm(method, world.path(path), api=api, headers=headers, **data)
    assert reply.status_code in (status if isinstance(status, tuple) else (status,)), reply.text
    error = reply.json()["error"]
    assert re.fullmatch(code, error["code"]), error
    assert re.fullmatch(text, error["message"], re.S), error
