/* What a region knows of a registry's tokens and scope maps. A token's rows name its map; what the map
 * allows stands once. Writers hold the registry's row against removal (published_hold), take turns by
 * token, and end with published_accounts_bump when anything changed: data planes watch it. */
#ifndef PORTOLAN_STORE_PUBLISHED_TOKENS_H
#define PORTOLAN_STORE_PUBLISHED_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

/* 1: published, and stays so until the transaction ends; 0: not published. */
MUST_CHECK int published_hold(struct pg_conn *conn, struct arena *a, const char *registry_id,
                              struct error *err);
/* Until the transaction ends nobody else publishes what has this id. */
MUST_CHECK int published_turn(struct pg_conn *conn, struct arena *a, const char *uid,
                              struct error *err);
MUST_CHECK int published_accounts_bump(struct pg_conn *conn, struct arena *a,
                                       const char *registry_id, struct error *err);

struct published_password {
    const char *name;
    const char *hash;
    const char *expires_at;   /* RFC 3339; NULL: never */
    int64_t expires_us;       /* the same; 0: never */
    const char *scope_map_id; /* NULL: allows nothing */
};
/* Makes the token's credentials exactly these. 1 when anything changed, 0 when nothing did. */
MUST_CHECK int published_token_sync(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                    const char *username,
                                    const struct published_password *passwords, size_t count,
                                    struct error *err);

struct published_map {
    const char *id;
    int64_t resource_generation; /* of the desired state it was made from */
};
/* Those that are published; at most one row of `only` when that is not NULL. */
MUST_CHECK int published_maps(struct pg_conn *conn, struct arena *a, const char *registry_id,
                              const char *only, struct published_map **ret, size_t *ret_count,
                              struct error *err);
/* Unless a newer state is published. 1 written, 0 not. */
MUST_CHECK int published_map_put(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                 const struct published_map *map,
                                 const struct json_object *permissions, struct error *err);
MUST_CHECK int published_map_remove(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                    const char *id, struct error *err);

#endif
