/* The registry's own tokens seen before. One that was checked is known by its text until it expires,
 * the snapshot it was checked against is replaced, or its account changes; until then a check costs a
 * hash and a comparison. Thread-safe, bounded; entries are counted, so one may be used while it is
 * dropped. */
#ifndef PORTOLAN_AUTH_BEARER_H
#define PORTOLAN_AUTH_BEARER_H

#include <stddef.h>

#include "common/base/cleanup.h"
#include "dataplane/auth/identity.h"

struct snapshot;

struct bearer {
    struct token_facts facts;
    const struct scopes *allowed; /* the identity's permissions when it was checked */
    const struct account *account; /* whose they are; NULL: the snapshot's */
    struct snapshot *snapshot;
};

struct bearer_cache;
struct bearer_cache *bearer_cache_new(void);
void bearer_cache_free(struct bearer_cache *cache);
/* NULL when the token is not known under this snapshot. The caller releases it. */
struct bearer *bearer_find(struct bearer_cache *cache, const struct snapshot *snapshot,
                           const char *token);
/* Checks the token in full, whatever its kind, and remembers it. E_UNAUTHENTICATED, E_TOKEN_EXPIRED;
 * E_UNAVAILABLE when the database has to be asked and cannot be, or not by this authority. */
MUST_CHECK int bearer_check(struct bearer_cache *cache, const struct authority *who,
                            const char *registry_id, const char *token, struct bearer **ret,
                            struct error *err);
void bearer_unref(struct bearer *bearer); /* NULL is accepted */
/* Drops every entry, for idle times. */
void bearer_cache_clear(struct bearer_cache *cache);

#endif
