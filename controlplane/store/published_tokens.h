/* What a region knows of one token: its passwords' hashes and what they allow. The registry's row is
 * locked by the caller (published_lock). */
#ifndef PORTOLAN_STORE_PUBLISHED_TOKENS_H
#define PORTOLAN_STORE_PUBLISHED_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;

struct published_password {
    const char *name;
    const char *hash;
    const char *expires_at; /* RFC 3339; NULL: never */
    int64_t expires_us;     /* the same; 0: never */
    struct json_object *permissions;
};
/* Makes the token's credentials exactly these. 1 when anything changed, 0 when nothing did. */
MUST_CHECK int published_token_sync(struct pg_conn *conn, struct arena *a, const char *registry_id,
                                    const char *username,
                                    const struct published_password *passwords, size_t count,
                                    struct error *err);

#endif
