/* What is known of a principal, shared by authenticate.c and access.c: one look at the database a
 * second and principal at most. */
#ifndef PORTOLAN_IDENTITY_ACCESS_H
#define PORTOLAN_IDENTITY_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/refresh.h"
#include "controlplane/store/identity.h"

struct access_cache;
struct arena;
struct condition;
struct control;
struct error;

#define ACCESS_FRESH_MS 1000 /* a change of rights holds after this long */

/* Immutable once made, but for what the cache counts. */
struct principal_view {
    unsigned holders; /* atomic */
    struct refresh refresh; /* the cache's own */
    struct arena *arena;
    bool exists;
    struct principal_row principal;
    struct assignment_row *assignments; /* of the principal's own tenant */
    struct condition **conditions;      /* beside them; NULL: none, or one nobody can read */
    size_t assignment_count;
    const char **subscriptions; /* the tenant's; read only when an assignment is at the root */
    size_t subscription_count;
    char object_id[37];
};

/* The view lives as long as the request's arena. object_id must be a uuid. */
MUST_CHECK int access_view(struct control *control, struct arena *a, const char *object_id,
                           const struct principal_view **ret, struct error *err);

/* The scope in lower case without trailing slashes. */
char *access_scope_key(struct arena *a, const char *scope);

#endif
