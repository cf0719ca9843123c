/* Microsoft.ManagedIdentity/userAssignedIdentities, and federatedIdentityCredentials below them. */
#ifndef PORTOLAN_TYPES_USER_ASSIGNED_IDENTITY_H
#define PORTOLAN_TYPES_USER_ASSIGNED_IDENTITY_H

#include "controlplane/types/type.h"

extern const struct resource_type user_assigned_identity_type;
extern const struct resource_type federated_credential_type;

#endif
