/* Signing keys: made under the directory's lock, so that copies agree, kept wrapped, served from a
 * snapshot that is replaced whole. */
#include "controlplane/identity/signing_keys.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/token.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/store/identity.h"

#define DAY_S             (24 * 3600)
#define SIGNS_S           (30 * DAY_S)
#define VERIFIES_S        (32 * DAY_S)
#define SUCCESSOR_AHEAD_S DAY_S
#define KNOWN_AFTER_US    (600 * 1000000LL)
#define FRESH_MS          30000
#define UNKNOWN_KID_MS    1000 /* strangers invent kids; they cost one statement a second at most */

struct key_ring {
    struct control *control;
    pthread_mutex_t lock;
    struct key_set *set; /* held by the ring itself; NULL before the first load */
    int64_t loaded_ms;   /* monotonic, of the last try */
    bool is_loading;     /* one thread at a time re-reads; the others serve the snapshot */
};

struct key_ring *key_ring_new(struct control *control)
{
    struct key_ring *ring = calloc(1, sizeof(*ring));
    if (!ring || pthread_mutex_init(&ring->lock, NULL) != 0)
        abort();
    ring->control = control;
    return ring;
}

static void set_free(struct key_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        token_key_free(set->entries[i].key);
    free(set);
}

void key_ring_free(struct key_ring *ring)
{
    if (!ring)
        return;
    if (ring->set)
        set_free(ring->set);
    (void)pthread_mutex_destroy(&ring->lock);
    free(ring);
}

static char *key_context(struct arena *a, const char *kid)
{
    return arena_printf(a, "signing-key/%s", kid);
}

static int add_key(struct key_ring *ring, struct pg_conn *conn, struct arena *a, struct error *err)
{
    struct token_key *key = token_key_new();
    const char *kid = arena_strdup(a, token_key_id(key));
    char *pem = token_key_pem(a, key);
    const char *public_pem = token_key_public_pem(a, key);
    const char *wrapped =
        secret_wrap(a, &ring->control->service_key, key_context(a, kid), pem, strlen(pem));
    secret_cleanse(pem, strlen(pem));
    token_key_free(key);
    return identity_add_key(conn, a, kid, wrapped, public_pem, SIGNS_S, VERIFIES_S, err);
}

/* Makes the next key when the newest is about to stop signing. Looks again under the lock: another
 * copy may have been faster. */
static int succeed(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    if (identity_lock(conn, a, err) != 0)
        return -1;
    int found = identity_has_key_for(conn, a, SUCCESSOR_AHEAD_S, err);
    if (found != 0)
        return found < 0 ? -1 : 0;
    if (add_key(ctx, conn, a, err) != 0)
        return -1;
    return identity_prune_keys(conn, a, err);
}

struct loading {
    struct signing_key_row *rows;
    size_t count;
    int has_successor;
};

static int read_rows(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct loading *l = ctx;
    l->has_successor = identity_has_key_for(conn, a, SUCCESSOR_AHEAD_S, err);
    return l->has_successor < 0 ? -1 : identity_keys(conn, a, &l->rows, &l->count, err);
}

static int read_key(const struct key_ring *ring, struct arena *a, const struct signing_key_row *row,
                    struct key_entry *ret, struct error *err)
{
    uint8_t *pem = NULL;
    size_t len = 0;
    if (secret_unwrap(a, &ring->control->service_key, key_context(a, row->kid),
                      row->wrapped_private, &pem, &len, err) != 0)
        return wrap(err, "signing key %s", row->kid);
    int rc = token_key_parse((const char *)pem, &ret->key, err);
    secret_cleanse(pem, len);
    if (rc != 0)
        return wrap(err, "signing key %s", row->kid);
    if (!text_eq(token_key_id(ret->key), row->kid)) {
        token_key_free(ret->key);
        ret->key = NULL;
        return fail_cause(err, &E_INTERNAL, "signing key %s is another key", row->kid);
    }
    ret->created_us = row->created_us;
    ret->signs_until_us = row->signs_until_us;
    ret->verifies_until_us = row->verifies_until_us;
    return 0;
}

static int load(struct key_ring *ring, struct arena *a, struct key_set **ret, struct error *err)
{
    struct loading l = { 0 };
    if (pg_with(ring->control->db, a, read_rows, &l, err) != 0)
        return -1;
    if (l.has_successor == 0) {
        if (pg_transact(ring->control->db, a, succeed, ring, err) != 0 ||
            pg_with(ring->control->db, a, read_rows, &l, err) != 0)
            return -1;
    }
    struct key_set *set = calloc(1, sizeof(*set) + l.count * sizeof(set->entries[0]));
    if (!set)
        abort();
    set->holders = 1;
    for (size_t i = 0; i < l.count; i++) {
        if (read_key(ring, a, &l.rows[i], &set->entries[i], err) != 0) {
            set_free(set);
            return -1;
        }
        set->count++;
    }
    *ret = set;
    return 0;
}

static bool knows(const struct key_set *set, const char *kid)
{
    for (size_t i = 0; i < set->count; i++) {
        if (text_eq(token_key_id(set->entries[i].key), kid))
            return true;
    }
    return false;
}

/* Called with the lock held. */
static bool must_load(const struct key_ring *ring, const char *wanted_kid)
{
    if (!ring->set)
        return true;
    if (ring->is_loading)
        return false;
    int64_t age_ms = clock_mono_ms() - ring->loaded_ms;
    return age_ms > FRESH_MS ||
           (wanted_kid && age_ms > UNKNOWN_KID_MS && !knows(ring->set, wanted_kid));
}

static void unhold(struct key_set *set)
{
    if (set && --set->holders == 0)
        set_free(set);
}

int key_ring_get(struct key_ring *ring, struct arena *a, const char *wanted_kid,
                 struct key_set **ret, struct error *err)
{
    (void)pthread_mutex_lock(&ring->lock);
    bool is_due = must_load(ring, wanted_kid);
    if (is_due)
        ring->is_loading = true;
    (void)pthread_mutex_unlock(&ring->lock);

    struct key_set *fresh = NULL;
    struct error failure = { 0 };
    int rc = is_due ? load(ring, a, &fresh, &failure) : 0;

    (void)pthread_mutex_lock(&ring->lock);
    if (is_due) {
        ring->is_loading = false;
        ring->loaded_ms =
            clock_mono_ms(); /* of failures too: no storm on a database that is away */
    }
    if (fresh) {
        unhold(ring->set);
        ring->set = fresh;
    }
    *ret = ring->set;
    if (*ret)
        (*ret)->holders++;
    (void)pthread_mutex_unlock(&ring->lock);

    if (*ret) {
        if (rc != 0)
            log_failure(LOG_WARN, "signing-keys.reload", &failure);
        return 0;
    }
    *err = failure; /* without a set it was due, and loading failed */
    return -1;
}

void key_ring_put(struct key_ring *ring, struct key_set *set)
{
    (void)pthread_mutex_lock(&ring->lock);
    unhold(set);
    (void)pthread_mutex_unlock(&ring->lock);
}

const struct token_key *key_set_signer(const struct key_set *set, int64_t now_us)
{
    const struct token_key *oldest_new = NULL;
    for (size_t i = 0; i < set->count; i++) { /* newest first */
        const struct key_entry *e = &set->entries[i];
        if (e->signs_until_us <= now_us)
            continue;
        if (e->created_us + KNOWN_AFTER_US <= now_us)
            return e->key;
        oldest_new = e->key;
    }
    return oldest_new;
}

size_t key_set_verifiers(const struct key_set *set, struct arena *a, int64_t now_us,
                         const struct token_key ***ret)
{
    const struct token_key **keys = arena_array(a, set->count + 1, sizeof(struct token_key *));
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->entries[i].verifies_until_us > now_us)
            keys[count++] = set->entries[i].key;
    }
    *ret = keys;
    return count;
}

struct json_object *key_set_jwks(const struct key_set *set, const char *issuer, int64_t now_us)
{
    struct json_object *jwks = json_new_object(), *keys = json_new_array();
    for (size_t i = 0; i < set->count; i++) {
        if (set->entries[i].verifies_until_us <= now_us)
            continue;
        struct json_object *jwk = token_key_jwk(set->entries[i].key);
        json_set_text(jwk, "issuer", issuer);
        json_add(keys, jwk);
    }
    json_set(jwks, "keys", keys);
    return jwks;
}
