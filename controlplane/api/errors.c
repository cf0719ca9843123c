/* ARM's error codes as data. */
#include "controlplane/api/errors.h"

const struct error_code E_API_VERSION_MISSING = { "MissingApiVersionParameter", 400 };
const struct error_code E_API_VERSION_INVALID = { "InvalidApiVersionParameter", 400 };
const struct error_code E_NO_PROVIDER = { "NoRegisteredProviderFound", 400 };
const struct error_code E_INVALID_NAMESPACE = { "InvalidResourceNamespace", 404 };
const struct error_code E_INVALID_TYPE = { "InvalidResourceType", 404 };
const struct error_code E_INVALID_CONTENT = { "InvalidRequestContent", 400 };
const struct error_code E_INVALID_PARAMETER = { "InvalidParameter", 400 };
const struct error_code E_INVALID_FILTER = { "InvalidFilterInQueryString", 400 };
const struct error_code E_INVALID_TOP = { "InvalidTopInQueryString", 400 };
const struct error_code E_INVALID_SKIP_TOKEN = { "InvalidSkipToken", 400 };
const struct error_code E_METHOD = { "MethodNotAllowed", 405 };
const struct error_code E_NO_ROUTE = { "NotFound", 404 };
const struct error_code E_MEDIA_TYPE = { "UnsupportedMediaType", 415 };
const struct error_code E_BODY_TOO_LARGE = { "RequestContentTooLarge", 413 };
const struct error_code E_INVALID_NAME = { "InvalidResourceName", 400 };
const struct error_code E_INVALID_SUBSCRIPTION = { "InvalidSubscriptionId", 400 };
const struct error_code E_SUBSCRIPTION_NOT_FOUND = { "SubscriptionNotFound", 404 };
const struct error_code E_GROUP_NOT_FOUND = { "ResourceGroupNotFound", 404 };
const struct error_code E_RESOURCE_NOT_FOUND = { "ResourceNotFound", 404 };
const struct error_code E_PARENT_NOT_FOUND = { "ParentResourceNotFound", 404 };
const struct error_code E_OPERATION_NOT_FOUND = { "OperationNotFound", 404 };
const struct error_code E_NOT_REGISTERED = { "MissingSubscriptionRegistration", 409 };
const struct error_code E_LOCATION_REQUIRED = { "LocationRequired", 400 };
const struct error_code E_LOCATION_NOT_AVAILABLE = { "LocationNotAvailableForResourceType", 400 };
const struct error_code E_LOCATION_CHANGED = { "InvalidResourceLocation", 409 };
const struct error_code E_INVALID_TAGS = { "InvalidTags", 400 };
const struct error_code E_CHANGE_NOT_ALLOWED = { "PropertyChangeNotAllowed", 400 };
const struct error_code E_SKU_NOT_SUPPORTED = { "SkuNotSupported", 400 };
const struct error_code E_CLASSIC_SKU = { "ClassicSkuDeprecated", 400 };
const struct error_code E_BAD_REQUEST = { "BadRequest", 400 };
const struct error_code E_NO_PRIVATE_ACCESS = { "DisablingPublicNetworkAccessNotSupported", 400 };
const struct error_code E_NO_DATA_ENDPOINT = { "DataEndpointNotSupported", 400 };
const struct error_code E_BAD_IDENTITY = { "FailedIdentityOperation", 400 };
const struct error_code E_NO_CREDENTIALS = { "UnAuthorizedForCredentialOperations", 400 };
const struct error_code E_NAME_IN_USE = { "RegistryNameAlreadyInUse", 409 };
const struct error_code E_GROUP_BEING_DELETED = { "ResourceGroupBeingDeleted", 409 };
const struct error_code E_BEING_DELETED = { "ResourceBeingDeleted", 409 };
const struct error_code E_IN_USE = { "ResourceInUse", 409 };
const struct error_code E_NOT_SUPPORTED = { "OperationNotSupported", 400 };
const struct error_code E_QUOTA = { "QuotaExceeded", 409 };
const struct error_code E_BUSY = { "Conflict", 409 };
const struct error_code E_LINKED_AUTHORIZATION = { "LinkedAuthorizationFailed", 403 };
const struct error_code E_BAD_REFERENCE = { "InvalidResourceReference", 400 };
const struct error_code E_BAD_PREFIX = { "InvalidAddressPrefixFormat", 400 };
const struct error_code E_PREFIX_HOST_BITS = { "InvalidCIDRNotation", 400 };
const struct error_code E_BAD_SUBNET = { "NetcfgInvalidSubnet", 400 };
const struct error_code E_SUBNETS_OVERLAP = { "NetcfgSubnetRangesOverlap", 400 };
const struct error_code E_SUBNET_IN_USE = { "InUseSubnetCannotBeDeleted", 400 };
const struct error_code E_SUBNET_FIXED = { "InUseSubnetCannotBeUpdated", 400 };
const struct error_code E_SUBNET_FULL = { "SubnetIsFull", 400 };
const struct error_code E_ADDRESS_TAKEN = { "PrivateIPAddressIsAllocated", 400 };
const struct error_code E_ADDRESS_OUTSIDE = { "PrivateIPAddressNotInSubnet", 400 };
const struct error_code E_ADDRESS_NOWHERE = { "PrivateIPAddressNotInAnySubnet", 400 };
const struct error_code E_ADDRESS_RESERVED = { "PrivateIPAddressInReservedRange", 400 };
const struct error_code E_PEERINGS_OVERLAP = { "VnetAddressSpacesOverlap", 400 };
const struct error_code E_NO_SERVICE_ENDPOINT = { "SubnetsHaveNoServiceEndpointsConfigured", 400 };
const struct error_code E_EXPORT_DISABLED = { "ExportPolicyDisabled", 403 };
const struct error_code E_NO_BYPASS = { "TrustedServicesNotAllowed", 403 };
const struct error_code E_NESTED = { "CannotDeleteResource", 409 };

const char *error_status_name(int status)
{
    static const struct {
        int status;
        const char *name;
    } names[] = {
        { 200, "OK" },         { 201, "Created" },        { 202, "Accepted" },
        { 204, "NoContent" },  { 400, "BadRequest" },     { 401, "Unauthorized" },
        { 403, "Forbidden" },  { 404, "NotFound" },       { 405, "MethodNotAllowed" },
        { 409, "Conflict" },   { 412, "PreconditionFailed" }, { 429, "TooManyRequests" },
        { 500, "InternalServerError" }, { 503, "ServiceUnavailable" },
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].status == status)
            return names[i].name;
    return "BadRequest";
}
