/* The ARM error codes of the control plane, each with its HTTP status. Codes of signing in are in
 * identity/identity.h; neutral rows of common/base/error.h are translated by the edge. */
#ifndef PORTOLAN_API_ERRORS_H
#define PORTOLAN_API_ERRORS_H

#include "common/base/error.h"

/* The request itself. */
extern const struct error_code E_API_VERSION_MISSING;    /* MissingApiVersionParameter */
extern const struct error_code E_API_VERSION_INVALID;    /* InvalidApiVersionParameter */
extern const struct error_code E_NO_PROVIDER;            /* NoRegisteredProviderFound */
extern const struct error_code E_INVALID_NAMESPACE;      /* InvalidResourceNamespace 404 */
extern const struct error_code E_INVALID_TYPE;           /* InvalidResourceType 404 */
extern const struct error_code E_INVALID_CONTENT;        /* InvalidRequestContent */
extern const struct error_code E_INVALID_PARAMETER;      /* InvalidParameter: a member's value */
extern const struct error_code E_INVALID_FILTER;         /* InvalidFilterInQueryString */
extern const struct error_code E_INVALID_TOP;            /* InvalidTopInQueryString */
extern const struct error_code E_INVALID_SKIP_TOKEN;     /* InvalidSkipToken */
extern const struct error_code E_METHOD;                 /* MethodNotAllowed 405 */
extern const struct error_code E_NO_ROUTE;               /* NotFound 404 */
extern const struct error_code E_MEDIA_TYPE;             /* UnsupportedMediaType 415 */
extern const struct error_code E_BODY_TOO_LARGE;         /* RequestContentTooLarge 413 */
/* What it names. */
extern const struct error_code E_INVALID_NAME;           /* InvalidResourceName */
extern const struct error_code E_INVALID_SUBSCRIPTION;   /* InvalidSubscriptionId */
extern const struct error_code E_SUBSCRIPTION_NOT_FOUND;
extern const struct error_code E_GROUP_NOT_FOUND;
extern const struct error_code E_RESOURCE_NOT_FOUND;
extern const struct error_code E_PARENT_NOT_FOUND;
extern const struct error_code E_OPERATION_NOT_FOUND;    /* OperationNotFound 404 */
extern const struct error_code E_NOT_REGISTERED;         /* MissingSubscriptionRegistration 409 */
/* What it asks for. */
extern const struct error_code E_LOCATION_REQUIRED;
extern const struct error_code E_LOCATION_NOT_AVAILABLE; /* LocationNotAvailableForResourceType */
extern const struct error_code E_LOCATION_CHANGED;       /* InvalidResourceLocation 409 */
extern const struct error_code E_INVALID_TAGS;           /* InvalidTags */
extern const struct error_code E_CHANGE_NOT_ALLOWED;     /* PropertyChangeNotAllowed */
extern const struct error_code E_SKU_NOT_SUPPORTED;
extern const struct error_code E_CLASSIC_SKU;            /* ClassicSkuDeprecated */
extern const struct error_code E_BAD_REQUEST;            /* BadRequest */
extern const struct error_code E_NO_PRIVATE_ACCESS;      /* DisablingPublicNetworkAccessNotSupported */
extern const struct error_code E_NO_DATA_ENDPOINT;       /* DataEndpointNotSupported */
extern const struct error_code E_BAD_IDENTITY;           /* FailedIdentityOperation */
extern const struct error_code E_NO_CREDENTIALS;         /* UnAuthorizedForCredentialOperations */
/* What is in its way. */
extern const struct error_code E_NAME_IN_USE;            /* RegistryNameAlreadyInUse 409 */
extern const struct error_code E_GROUP_BEING_DELETED;    /* ResourceGroupBeingDeleted 409 */
extern const struct error_code E_BEING_DELETED;          /* ResourceBeingDeleted 409 */
extern const struct error_code E_IN_USE;                 /* ResourceInUse 409 */
extern const struct error_code E_NOT_SUPPORTED;          /* OperationNotSupported */
extern const struct error_code E_QUOTA;                  /* QuotaExceeded 409 */
extern const struct error_code E_BUSY;                   /* Conflict 409: changed again and again */
/* Networks. */
/* LinkedAuthorizationFailed 403: what a body names is not the caller's to use */
extern const struct error_code E_LINKED_AUTHORIZATION;
extern const struct error_code E_BAD_REFERENCE; /* InvalidResourceReference: what a body names is not there */
extern const struct error_code E_BAD_PREFIX; /* InvalidAddressPrefixFormat: no CIDR notation */
extern const struct error_code E_PREFIX_HOST_BITS; /* InvalidCIDRNotation: bits beyond the prefix */
/* NetcfgInvalidSubnet: not inside its network's address space, or too small */
extern const struct error_code E_BAD_SUBNET;
extern const struct error_code E_SUBNETS_OVERLAP; /* NetcfgSubnetRangesOverlap */
extern const struct error_code E_SUBNET_IN_USE; /* InUseSubnetCannotBeDeleted */
/* InUseSubnetCannotBeUpdated: the range of a subnet with addresses */
extern const struct error_code E_SUBNET_FIXED;
extern const struct error_code E_SUBNET_FULL; /* SubnetIsFull */
extern const struct error_code E_ADDRESS_TAKEN; /* PrivateIPAddressIsAllocated */
extern const struct error_code E_ADDRESS_OUTSIDE; /* PrivateIPAddressNotInSubnet */
extern const struct error_code E_ADDRESS_NOWHERE; /* PrivateIPAddressNotInAnySubnet */
extern const struct error_code E_ADDRESS_RESERVED; /* PrivateIPAddressInReservedRange */
/* VnetAddressSpacesOverlap: of two networks that would be peers */
extern const struct error_code E_PEERINGS_OVERLAP;
extern const struct error_code E_NO_SERVICE_ENDPOINT; /* SubnetsHaveNoServiceEndpointsConfigured */
extern const struct error_code E_EXPORT_DISABLED;
extern const struct error_code E_NO_BYPASS; /* TrustedServicesNotAllowed 403 */
extern const struct error_code E_NESTED; /* CannotDeleteResource 409: something below stands in the way */

/* "Conflict" of 409, as clients are told in words. */
const char *error_status_name(int status);

#endif
