"""The refusals that were recorded of the real service, each provoked: status, code and text."""

import re
import uuid

import pytest

from support.directory import AUTHORIZATION, LOCKS_API, Directory, assign
from support.instance import GROUPS_API, held_back


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
KEY = {"status": "enabled", "keyVaultProperties": {"keyIdentifier": "https://v.vault.example/keys/k",
                                                   "identity": "system"}}
NO_TOKEN, BAD_TOKEN = {"Authorization": ""}, {"Authorization": "Bearer nonsense"}  # for a body
NOBODY = uuid.uuid4()
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
# Bodies that tell how it is asked: by somebody without rights, as text, with the principal filled in.
STRANGER, TEXT, GIVEN = object(), object(), object()
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
     404, "ResourceGroupNotFound", r"Resource group 'none12' could not be found\."),
    ("group of a write is missing", "PUT", "/subscriptions/{subscription}/resourceGroups/none12/providers/"
     "Microsoft.ContainerRegistry/registries/nobody1234", SKU, "2025-11-01", 404, "ResourceGroupNotFound",
     r"Resource group 'none12' could not be found\."),
    ("missing subscription", "GET", f"/subscriptions/{NOBODY}/resourceGroups", None, GROUPS_API,
     404, "SubscriptionNotFound", rf"The subscription '{NOBODY}' could not be found\."),
    ("no subscription's id", "GET", "/subscriptions/nobody/resourceGroups", None, GROUPS_API, 400,
     "InvalidSubscriptionId", r"The provided subscription identifier 'nobody' is malformed or invalid\."),
    ("no such type", "GET", "{group}/providers/Microsoft.ContainerRegistry/boats/b", None, "2025-11-01", 404,
     "InvalidResourceType", r"The resource type 'boats' could not be found in the namespace "
     r"'Microsoft\.ContainerRegistry'\."),
    ("no such namespace", "GET", "{group}/providers/Microsoft.Boats/boats/b", None, "2025-11-01", 404,
     "InvalidResourceNamespace", r"The resource namespace 'Microsoft\.Boats' is invalid\."),
    ("body that is none", "PUT", "{missing}", "{nonsense", "2025-11-01", 400, "InvalidRequestContent",
     r"The request content was invalid and could not be deserialized: '.+'\."),
    ("body of text", "PUT", "{missing}", TEXT, "2025-11-01", 415, "UnsupportedMediaType",
     r"The content media type 'text/plain' is not supported\. Only 'application/json' is supported\."),
    ("no location", "PUT", "{missing}", {"sku": {"name": "Basic"}}, "2025-11-01", 400,
     "LocationRequired", r"The location property is required for this definition\."),
    ("no such location", "PUT", "{missing}", {**SKU, "location": "atlantis"}, "2025-11-01", 400,
     "LocationNotAvailableForResourceType", r"The provided location 'atlantis' is not available for resource type "
     r"'Microsoft\.ContainerRegistry/registries'\. List of available regions for the resource type is "
     r"'eastus,[a-z0-9,]+'\."),
    ("another location", "PUT", "{Basic}", {**SKU, "location": "westus2"}, "2025-11-01", 409,
     "InvalidResourceLocation", r"The resource '\w+' already exists in location 'eastus' in resource group '\w+'\. "
     r"A resource with the same name cannot be created in location 'westus2'\. Please select a new resource "
     r"name\."),
    ("another location of a group", "PUT", "{group}", {"location": "westus2"}, GROUPS_API, 409,
     "InvalidResource(Group)?Location", r"The resource '\w+' already exists in location 'eastus'\. A resource with "
     r"the same name cannot be created in location 'westus2'\. Please select a new resource name\."),
    ("no sku", "PUT", "{missing}", {"location": "eastus"}, "2025-11-01", 400, "ClassicSkuDeprecated",
     r"The Classic SKU is no longer offered; choose the SKU Basic, Standard or Premium\."),
    ("Classic", "PUT", "{missing}", {**SKU, "sku": {"name": "Classic"}}, "2025-11-01", 400,
     "ClassicSkuDeprecated", r"The Classic SKU is no longer offered; choose the SKU Basic, Standard or Premium\."),
    ("quarantine", PATCH, "{Basic}", {"properties": {"policies": {"quarantinePolicy": {
        "status": "enabled"}}}}, "2025-11-01", 400, "SkuNotSupported",
     r"The SKU Basic is not supported\. A higher one is needed for "
     r"'properties\.policies\.quarantinePolicy\.status' \(Premium\)\."),
    ("public access", PATCH, "{Basic}", {"properties": {"publicNetworkAccess": "Disabled"}},
     "2025-11-01", 400, "DisablingPublicNetworkAccessNotSupported",
     r"Disabling public network access is not supported for the SKU Basic\. For more information see "
     r"https://aka\.ms/acr/private-link"),
    ("data endpoint", PATCH, "{Standard}", {"properties": {"dataEndpointEnabled": True}}, "2025-11-01",
     400, "DataEndpointNotSupported", r"Data endpoint is not supported for the SKU Standard\. For more information "
     r"see https://aka\.ms/acr/dataendpoints"),
    ("exports off, access on", PATCH, "{Premium}", {"properties": {"policies": {"exportPolicy": {
        "status": "disabled"}}}}, "2025-11-01", 400, "BadRequest",
     r"Enabling public network access is not supported because the registry has exports disabled\."),
    ("no admin user", "POST", "{no admin}/listCredentials", None, "2025-11-01", 400,
     "UnAuthorizedForCredentialOperations", r"Cannot perform credential operations for /subscriptions/\S+ as admin "
     r"user is disabled\. Enable the admin user first: https://aka\.ms/acr/authentication#admin-account"),
    ("too many webhooks", "PUT", "{Basic}/webhooks/hookthree", HOOK, "2025-11-01", 409,
     "QuotaExceeded", r"Quota exceeded for resource type webhooks for the registry SKU Basic\. Learn more about SKU "
     r"features and limits at https://aka\.ms/acr/tiers"),
    ("locked", "DELETE", "{locked}", None, GROUPS_API, 409, "ScopeLocked",
     r"The scope '(\S+)' cannot perform delete operation because following scope\(s\) are locked: '\1'\. Please "
     r"remove the lock and try again\."),
    ("locked for writes", "PUT", "{still}/providers/Microsoft.ContainerRegistry/registries/nobody1234", SKU,
     "2025-11-01", 409, "ScopeLocked", r"The scope '(\S+)/providers/\S+' cannot perform write operation because "
     r"following scope\(s\) are locked: '\1'\. Please remove the lock and try again\."),
    ("unregistered provider", "PUT", "{unregistered}", {"location": "eastus"}, "2023-01-31", 409,
     "MissingSubscriptionRegistration",
     r"The subscription is not registered to use namespace 'Microsoft\.ManagedIdentity'\. See "
     r"https://aka\.ms/rps-not-found for how to register subscriptions\."),
    ("no form of a token", "GET", "{Basic}", NO_TOKEN, "2025-11-01", 401, "AuthenticationFailed",
     r"Authentication failed\. The 'Authorization' header is provided in an invalid format\."),
    ("no good token", "GET", "{Basic}", BAD_TOKEN, "2025-11-01", 401, "InvalidAuthenticationToken",
     r"The access token is invalid\."),
    ("no right", "DELETE", "{Basic}", STRANGER, "2025-11-01", 403, "AuthorizationFailed",
     r"The client '[0-9a-f-]{36}' with object id '[0-9a-f-]{36}' does not have authorization to perform action "
     r"'Microsoft\.ContainerRegistry/registries/delete' over scope '/subscriptions/\S+' or the scope is invalid\. "
     r"If access was recently granted, please refresh your credentials\."),
    ("role given twice", "PUT", "{role}", GIVEN, "2022-04-01", 409, "RoleAssignmentExists",
     r"The role assignment already exists\."),
    ("taken name", "PUT", "{taken}", SKU, "2025-11-01", 409, "RegistryNameAlreadyInUse",
     r"The registry name \w+ is already in use\. You can check if the name is already claimed using following "
     r"API: https://aka\.ms/acr/check-name-availability"),
    ("ETag", "DELETE", "{group}/providers/Microsoft.Network/virtualNetworks/etagged", None, "2025-05-01",
     412, "PreconditionFailed", r"The condition '\"other\"' in the If-Match header was not satisfied\."),
    ("method", "POST", "{Basic}", {}, "2025-11-01", 405, "MethodNotAllowed",
     r"The method POST is not allowed here\."),
    ("key and no identity", "PUT", "{missing}", {**SKU, "sku": {"name": "Premium"}, "properties": {"encryption": KEY}},
     "2025-11-01", 400, "BadRequest",
     r"A registry with a customer-managed key is created with a user-assigned identity\."),
    ("key without encryption", PATCH, "{Premium}", {"properties": {"encryption": {"keyVaultProperties": {
        "keyIdentifier": "https://v.vault.example/keys/k"}}}}, "2025-11-01", 400, "BadRequest",
     r"A customer-managed key needs encryption\.status 'enabled', which can only be chosen when the registry "
     r"is created\."),
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
    still = instance.group_id(instance.make_group())
    locks = {f"{scope}/{AUTHORIZATION}/locks/keep": level
             for scope, level in ((instance.group_id(other), "CanNotDelete"), (still, "ReadOnly"))}
    for lock, level in locks.items():
        assert instance.arm("PUT", lock, {"properties": {"level": level}}, api=LOCKS_API).status_code == 201
    stranger = Directory(instance).application()
    given = assign(instance, stranger.object_id, READER, instance.group_id(instance.make_group()))
    assert given.status_code == 201
    provider = f"/subscriptions/{instance.subscription}/providers/Microsoft.ManagedIdentity"
    instance.arm("POST", f"{provider}/unregister", api=GROUPS_API)
    yield {"{taken}": instance.registry_id(other, basic.name), "{no admin}": plain.id,
           "{subscription}": instance.subscription, "{locked}": instance.group_id(other), "{still}": still,
           "{role}": given.json()["id"].rsplit("/", 1)[0] + f"/{uuid.uuid4()}",
           STRANGER: {"Authorization": f"Bearer {stranger.token()}"},
           GIVEN: {"properties": {k: given.json()["properties"][k] for k in ("roleDefinitionId", "principalId")}},
           "{unregistered}": f"{instance.group_id(world.group)}/providers/Microsoft.ManagedIdentity/"
                             "userAssignedIdentities/one"}
    instance.arm("POST", f"{provider}/register", api=GROUPS_API)
    for lock in locks:
        instance.delete(lock, api=LOCKS_API)
    instance.arm("DELETE", instance.group_id(other), api=GROUPS_API)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_recorded(instance, world, ground, row):
    _, method, path, body, api, status, code, text = row
    for word, value in ground.items():
        path = path.replace(word, value) if isinstance(word, str) else path
    headers = {"If-Match": '"other"'} if status == 412 else None
    if body in (NO_TOKEN, BAD_TOKEN, STRANGER):
        headers, body = ground.get(body) if body is STRANGER else body, None
    elif body is TEXT:
        headers, body = {"Content-Type": "text/plain"}, "{}"
    elif body is GIVEN:
        body = ground[GIVEN]
    data = {"data": body} if isinstance(body, str) else {"body": body}
    reply = instance.arm(method, world.path(path), api=api, headers=headers, **data)
    assert reply.status_code == status, reply.text
    error = reply.json()["error"]
    assert re.fullmatch(code, error["code"]), error
    assert re.fullmatch(text, error["message"], re.S), error


def test_a_group_that_goes(instance):
    """Recorded of a write into it."""
    group = instance.make_group()
    instance.make_registry(group)
    with held_back(instance, group):
        gone = instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)
        assert gone.status_code == 202
        reply = instance.arm("PUT", instance.registry_id(group, "nobody1234"), SKU)
        assert reply.status_code == 409
        assert reply.json() == {"error": {
            "code": "ResourceGroupBeingDeleted", "message": f"The resource group '{group}' is in deprovisioning "
            "state and cannot perform this operation."}, "status": "Failed"}
    instance.finish(gone)
