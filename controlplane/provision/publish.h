/* The published projection of a registry: made from its desired state, its secrets and the
 * directory, written to its region's database in one transaction. */
#ifndef PORTOLAN_PROVISION_PUBLISH_H
#define PORTOLAN_PROVISION_PUBLISH_H

#include "common/base/cleanup.h"
#include "controlplane/types/type.h"

struct region;
struct registry;

/* Names in resource_secrets beside the two passwords. */
#define REGISTRY_SIGNING_KEY "signing-key"
#define REGISTRY_DATA_KEY "data-key"

/* Makes the region's rows what they should be; the generation moves only if anything changed. A
 * projection made from a newer desired state is left alone. */
MUST_CHECK int publish_registry(struct step_run *run, const struct region *region,
                                struct error *err);
/* What data planes read as registries.settings. */
struct json_object *publish_settings(struct control *control, struct arena *a,
                                     const struct resource *r, const struct registry *desired,
                                     const struct region *region);

#endif
