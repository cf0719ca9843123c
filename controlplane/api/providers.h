/* Provider namespaces: what they offer, and registration. All of it read off the types'
 * tables. */
#ifndef PORTOLAN_API_PROVIDERS_H
#define PORTOLAN_API_PROVIDERS_H

#include "controlplane/api/endpoint.h"

struct arena;
struct call;
struct control;
struct error;
struct json_object;
struct resource_type;

/* The namespace of a type. */
const char *provider_of(struct arena *a, const struct resource_type *t);

/* The n-th namespace, in the order of the types; NULL past the last. */
const char *provider_at(struct arena *a, size_t n);

/* Canonical spelling; NULL for an unknown one, and *err says so. */
const char *provider_find(struct call *c, const char *name, struct error *err);

/* [{namespace, resourceTypes}] of all there are, as the lists below show them; the caller's
 * reference. */
struct json_object *providers_catalogue(struct arena *a, const struct control *control);

extern const struct endpoint tenant_providers_list;
extern const struct endpoint tenant_provider_show;
extern const struct endpoint providers_list;
extern const struct endpoint provider_show;
extern const struct endpoint provider_permissions;
extern const struct endpoint provider_register;
extern const struct endpoint provider_unregister;

#endif
