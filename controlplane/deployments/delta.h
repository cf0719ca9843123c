/* How two bodies differ, as what-if tells it. */
#ifndef PORTOLAN_DEPLOYMENTS_DELTA_H
#define PORTOLAN_DEPLOYMENTS_DELTA_H

struct arena;
struct json_object;

/* [{path, propertyChangeType, before, after, children}], owned by the arena; empty when equal. Ids
 * compare without case, locations as regions; null is the same as absent. */
struct json_object *delta_of(struct arena *a, const struct json_object *before,
                             const struct json_object *after);

#endif
