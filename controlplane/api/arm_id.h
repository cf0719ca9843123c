/* ARM resource ids and request paths. Names compare without case; the canonical id spells fixed
 * segments and types as the tables do and keeps the casing of names; the key is the id in lower
 * case. */
#ifndef PORTOLAN_API_ARM_ID_H
#define PORTOLAN_API_ARM_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

#define ARM_ID_MAX_BYTES 2048
#define ARM_ID_DEPTH_MAX 8

/* A parsed path. names[depth - 1] is NULL when the path ends in a type segment: a collection, or an
 * action on what stands before it. Resource groups are the type Microsoft.Resources/resourceGroups
 * although no /providers/ is written. */
struct arm_id {
    const char *subscription; /* NULL: none */
    const char *group;        /* NULL: none */
    const char *provider;     /* namespace; NULL: a subscription, or one segment below it */
    size_t depth;
    const char *types[ARM_ID_DEPTH_MAX];
    const char *names[ARM_ID_DEPTH_MAX];
    const char *scope; /* of an extension resource: the path of what it extends, else NULL */
    const char *tail;  /* a segment that belongs to no provider ("locations"), else NULL */
    bool is_group;     /* the group itself, or the collection of groups */
};

/* E_NO_ROUTE for a path that is no ARM path, E_INVALID_SUBSCRIPTION for one that names no uuid. */
MUST_CHECK int arm_id_parse(struct arena *a, const char *path, struct arm_id *ret,
                            struct error *err);
bool arm_id_is_collection(const struct arm_id *id);
/* "Microsoft.X/a/b" of the first `depth` types. */
char *arm_id_type(struct arena *a, const struct arm_id *id, size_t depth);
/* The id of the first `depth` names, with provider and types as `type` spells them (NULL: as the
 * path does). */
char *arm_id_text(struct arena *a, const struct arm_id *id, const char *type, size_t depth);
char *arm_id_key(struct arena *a, const struct arm_id *id, size_t depth);
char *arm_id_subscription(struct arena *a, const struct arm_id *id);
char *arm_id_group(struct arena *a, const struct arm_id *id);
/* The group's name in a key; NULL outside groups. */
const char *arm_id_group_of(struct arena *a, const char *key);

#endif
