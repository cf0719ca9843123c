/* Provider namespaces: what they offer, registration, operations. All of it read off the types'
 * tables. */
#ifndef PORTOLAN_API_PROVIDERS_H
#define PORTOLAN_API_PROVIDERS_H

#include "controlplane/api/endpoint.h"

struct arena;
struct control;
struct json_object;

/* [{namespace, resourceTypes}] of all there are, as the lists below show them; the caller's
 * reference. */
struct json_object *providers_catalogue(struct arena *a, const struct control *control);

extern const struct endpoint tenant_providers_list;
extern const struct endpoint tenant_provider_show;
extern const struct endpoint providers_list;
extern const struct endpoint provider_show;
extern const struct endpoint provider_register;
extern const struct endpoint provider_unregister;
extern const struct endpoint provider_operations; /* /providers/{ns}/operations */

#endif
