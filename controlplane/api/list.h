/* Pages of resources: collections of a type, and the lists of all types with $filter. */
#ifndef PORTOLAN_API_LIST_H
#define PORTOLAN_API_LIST_H

#include "controlplane/api/endpoint.h"

/* Whether the caller may list at scope: everything, or some rows (c->is_partial), or the refusal. */
MUST_CHECK int list_access(struct call *c, const char *action, const char *scope,
                           struct error *err);

extern const struct endpoint subscription_resources; /* /subscriptions/{s}/resources */
extern const struct endpoint group_resources;        /* …/resourceGroups/{g}/resources */

#endif
