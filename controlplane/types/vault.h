/* Microsoft.KeyVault/vaults: the resource. What a vault holds is served by keyvault/. */
#ifndef PORTOLAN_TYPES_VAULT_H
#define PORTOLAN_TYPES_VAULT_H

#include "controlplane/types/type.h"

extern const struct resource_type vault_type;
extern const char *const vault_versions[];
/* The policies of a vault: rows of properties.accessPolicies. */
extern const struct field vault_policy_fields[];

#define VAULT_POLICIES_MAX 1024

/* "https://name.vault.portolan.localhost:8443/" */
char *vault_uri(struct arena *a, const struct control *control, const char *name);
/* Every vault of the installation: the resource that tokens for vaults are for, without a slash at
 * the end. */
char *vault_resource(struct arena *a, const struct control *control);

#endif
