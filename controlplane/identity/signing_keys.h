/* The keys that sign directory tokens. They live in the database, wrapped with the service key, and
 * are shared by every copy of the control plane; a process works from a snapshot of them.
 *
 * A key signs for 30 days and verifies for two more, longer than any token lives. Its successor is
 * made a day before it stops signing and is not used in its first ten minutes (unless it is the
 * only one), so that data planes know a key before they meet its tokens. */
#ifndef PORTOLAN_IDENTITY_SIGNING_KEYS_H
#define PORTOLAN_IDENTITY_SIGNING_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct json_object;
struct token_key;

/* An immutable set of keys; holders count. */
struct key_set {
    unsigned holders; /* guarded by the ring */
    size_t count;
    struct key_entry {
        struct token_key *key; /* with its private half */
        int64_t created_us;
        int64_t signs_until_us;
        int64_t verifies_until_us;
    } entries[]; /* newest first */
};

struct key_ring;
struct key_ring *key_ring_new(struct control *control);
void key_ring_free(struct key_ring *ring); /* NULL is accepted */

/* The keys, re-read when the snapshot is older than 30 s, or than 1 s and wanted_kid (may be NULL)
 * is not among them. Any copy that notices makes the successor of a key that is about to stop
 * signing. If the database is away the last snapshot serves on. May block. */
MUST_CHECK int key_ring_get(struct key_ring *ring, struct arena *a, const char *wanted_kid,
                            struct key_set **ret, struct error *err);
void key_ring_put(struct key_ring *ring, struct key_set *set); /* NULL is accepted */

/* The key to sign with now, or NULL. Pure. */
const struct token_key *key_set_signer(const struct key_set *set, int64_t now_us);
/* The keys that verify now, for a token_policy; the array is the arena's. */
size_t key_set_verifiers(const struct key_set *set, struct arena *a, int64_t now_us,
                         const struct token_key ***ret);
/* {"keys": […]}, RFC 7517. The caller owns it. */
struct json_object *key_set_jwks(const struct key_set *set, const char *issuer, int64_t now_us);

#endif
