/* Secrets of a key vault for the control plane's own use, on behalf of a caller. */
#ifndef PORTOLAN_KEYVAULT_SECRETS_H
#define PORTOLAN_KEYVAULT_SECRETS_H

#include "common/base/cleanup.h"

struct arena;
struct caller;
struct control;
struct error;

/* The value of a secret, for a template's parameter: vault_id is the vault's resource id, version 32
 * hex digits or NULL for the newest. The caller needs Microsoft.KeyVault/vaults/deploy/action on the
 * vault, and the vault enabledForTemplateDeployment and, where its firewall is closed, the bypass for
 * AzureServices. Fails with E_AUTHORIZATION_FAILED, E_VAULT_REFUSES, E_RESOURCE_NOT_FOUND (no such
 * vault) or E_SECRET_NOT_FOUND. */
MUST_CHECK int vault_secret_fetch(struct control *control, struct arena *a,
                                  const struct caller *caller, const char *vault_id,
                                  const char *name, const char *version, const char **ret_value,
                                  struct error *err);

extern const struct error_code E_VAULT_REFUSES;    /* 403 Forbidden: the vault does not allow it */
extern const struct error_code E_SECRET_NOT_FOUND; /* 404 SecretNotFound */

#endif
