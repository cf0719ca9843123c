/* What the management API knows of key vaults beyond the resource: deleted ones, and changes of single
 * access policies. */
#ifndef PORTOLAN_API_VAULTS_H
#define PORTOLAN_API_VAULTS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint deleted_vaults_list;
extern const struct endpoint deleted_vault_show;
extern const struct endpoint deleted_vault_remove; /* purge */
extern const struct endpoint hsm_list;             /* managed HSMs: there are none */
extern const struct endpoint vault_policies_put;   /* accessPolicies/add, replace, remove */

#endif
