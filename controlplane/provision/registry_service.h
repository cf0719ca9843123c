/* What a registry's data plane is called, where it is reached, and how it is configured. */
#ifndef PORTOLAN_PROVISION_REGISTRY_SERVICE_H
#define PORTOLAN_PROVISION_REGISTRY_SERVICE_H

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct placement;
struct region;
struct service;

#define SERVICE_PREFIX "dataplane-"

/* "dataplane-<uid>-<region>" */
char *registry_service_name(struct arena *a, const char *uid, const char *region);
void registry_service(struct control *control, struct arena *a, const struct region *region,
                      const struct placement *at, struct service *ret);
/* The registry's tree in the region's blob store. */
char *registry_blobs(struct arena *a, const struct region *region, const char *uid);
/* Removes what the region's database holds of a registry, in bounded transactions. */
MUST_CHECK int registry_drop_published(struct arena *a, const struct region *region,
                                       const char *uid, struct error *err);

#endif
