/* Imports of this registry: claimed under a lease, kept while it is extended, ended once. What the
 * holder of a lost lease says of it is not taken. */
#ifndef PORTOLAN_STORE_IMPORTS_H
#define PORTOLAN_STORE_IMPORTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct store;

#define IMPORT_LEASE_S 30

struct import_row {
    const char *id;
    const char *request;        /* JSON */
    const char *wrapped_secret; /* NULL: none */
    int64_t attempts;           /* with this one */
};

/* 1 claimed for `owner` (a uuid), 0 when none waits. */
MUST_CHECK int imports_claim(const struct store *s, struct arena *a, const char *owner,
                             struct import_row *ret, struct error *err);
/* 1 while the lease is the owner's. */
MUST_CHECK int imports_extend(const struct store *s, struct arena *a, const char *id,
                              const char *owner, struct error *err);
/* code NULL: it succeeded. 1, or 0 when the lease was lost. */
MUST_CHECK int imports_end(const struct store *s, struct arena *a, const char *id,
                           const char *owner, const char *code, const char *message,
                           struct error *err);
/* Gives it back: the next claim comes after wait_s. */
MUST_CHECK int imports_put_off(const struct store *s, struct arena *a, const char *id,
                               const char *owner, int64_t wait_s, struct error *err);
/* Milliseconds until one can be claimed; -1 in *ret_ms: none is open. */
MUST_CHECK int imports_next(const struct store *s, struct arena *a, int64_t *ret_ms,
                            struct error *err);

#endif
