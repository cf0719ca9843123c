/* Types that have endpoints of their own, beside the types' tables: assignments, locks, tags and the
 * like. Templates deploy them as any other. */
#ifndef PORTOLAN_DEPLOYMENTS_ROUTED_H
#define PORTOLAN_DEPLOYMENTS_ROUTED_H

#include <stdbool.h>

#include "common/base/cleanup.h"

struct arena;
struct arm_call;
struct error;
struct json_object;
struct plan_node;

/* What a node is, as its id has it: its type may be written through what it is attached to
 * ("…/registries/providers/locks"). */
const char *routed_node_type(struct arena *a, const struct plan_node *n);
bool routed_has(const char *type);
bool routed_has_namespace(const char *type);
/* The id that rights on the node are about. */
const char *routed_scope(struct arena *a, const struct plan_node *n);
/* Reads what is there, by a call that has everything but method and path, as far as `wanted` speaks
 * of it: *ret, owned by the arena, NULL when nothing is. x->status says what the answer was. */
MUST_CHECK int routed_read(struct arm_call *x, const struct plan_node *n,
                           const struct json_object *wanted, struct json_object **ret,
                           struct error *err);

#endif
