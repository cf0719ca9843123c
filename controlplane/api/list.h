/* Pages of resources: collections of a type, and the lists of all types with $filter. */
#ifndef PORTOLAN_API_LIST_H
#define PORTOLAN_API_LIST_H

#include "controlplane/api/endpoint.h"

extern const struct endpoint subscription_resources; /* /subscriptions/{s}/resources */
extern const struct endpoint group_resources;        /* …/resourceGroups/{g}/resources */

#endif
