/* Rows that requests make beside the one they name: what an action leaves below its resource, and
 * parents that are implied. */
#ifndef PORTOLAN_STORE_MADE_H
#define PORTOLAN_STORE_MADE_H

#include "common/base/cleanup.h"

struct arena;
struct error;
struct pg_pool;
struct resource;

struct made {
    const struct resource *parent; /* stays meanwhile */
    struct resource *row;          /* with uid, id, type_key, name, body, status; the rest follows */
};

/* Inserts the row, of a type without steps. E_NOT_FOUND when the parent is gone or going, E_CONFLICT when
 * the key is taken. */
MUST_CHECK int resource_make(struct pg_pool *db, struct arena *a, const struct made *made,
                             struct error *err);
/* resource_by_key() for those who hold no connection. */
MUST_CHECK int resource_lookup(struct pg_pool *db, struct arena *a, const char *key,
                               struct resource **ret, struct error *err);

#endif
