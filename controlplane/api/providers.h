/* Provider namespaces: what they offer, registration, operations. All of it read off the types'
 * tables. */
#ifndef PORTOLAN_API_PROVIDERS_H
#define PORTOLAN_API_PROVIDERS_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint tenant_providers_list;
extern const struct endpoint tenant_provider_show;
extern const struct endpoint providers_list;
extern const struct endpoint provider_show;
extern const struct endpoint provider_register;
extern const struct endpoint provider_unregister;
extern const struct endpoint provider_operations; /* /providers/{ns}/operations */

#endif
