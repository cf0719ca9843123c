/* Role assignments on their way to data planes: one may stand above thousands of registries. After their
 * publishing all of those are due: the loop makes up for what failed, and for what follows from rights. */
#include "controlplane/provision/publish_grants.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/grants.h"
#include "controlplane/provision/publish_many.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/published.h"
#include "controlplane/store/published_many.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"

#define REGISTRY_TYPE_KEY "microsoft.containerregistry/registries"

/* Those of a batch that still are what it took them for, by uid. */
struct found {
    const struct publish_batch *batch;
    struct resource *items;
    size_t count;
};

static int wake(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const char *scope_key = ctx;
    int64_t count;

    return lease_wake(conn, a, REGISTRY_TYPE_KEY, scope_key, &count, err);
}

static int next(struct pg_conn *conn, struct arena *a, const void *ctx, const char *after_key,
                int64_t limit, struct resource **ret, size_t *ret_count, struct error *err)
{
    const char *scope_key = ctx;

    return resource_at_or_below(conn, a, REGISTRY_TYPE_KEY, scope_key, after_key, limit, ret,
                                ret_count, err);
}

static int find(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct found *f = ctx;

    return resource_still_in(conn, a, f->batch->subscription_id, f->batch->uids, f->batch->count,
                             &f->items, &f->count, err);
}

static int by_key(const void *x, const void *y)
{
    const struct resource *const *one = x, *const *other = y;

    return strcmp((*one)->key, (*other)->key);
}

static bool is_abac(const struct published_holder *holders, size_t count, const char *uid,
                    bool *ret_is_published)
{
    *ret_is_published = true;
    for (size_t i = 0; i < count; i++) {
        if (text_eq(holders[i].id, uid))
            return holders[i].is_abac;
    }
    *ret_is_published = false;
    return false;
}

struct texts {
    const char **uids, **grants;
    size_t count;
};

/* Neighbours by key mostly have the same assignments, and so the same text. */
static void print_grants(struct arena *a, const struct resource *const *sorted, size_t count,
                         const struct published_holder *holders, size_t holder_count,
                         struct json_object *const *entries, struct texts *ret)
{
    const struct json_object *last = NULL;
    bool was_abac = false;

    for (size_t i = 0; i < count; i++) {
        bool is_published, abac = is_abac(holders, holder_count, sorted[i]->uid, &is_published);

        if (!is_published)
            continue;
        ret->uids[ret->count] = sorted[i]->uid;
        ret->grants[ret->count] = entries[i] == last && abac == was_abac
                                      ? ret->grants[ret->count - 1]
                                      : json_print(a, grants_reduce(a, entries[i], abac));
        ret->count++;
        last = entries[i];
        was_abac = abac;
    }
}

static int read_grants(const struct publish_batch *b, struct arena *a,
                       const struct published_holder *holders, size_t holder_count,
                       struct texts *ret, struct error *err)
{
    struct found found = { .batch = b };
    const struct resource **sorted;
    struct json_object **entries;
    const char **keys;

    if (pg_with(b->control->db, a, find, &found, err))
        return -1;
    sorted = arena_array(a, found.count + 1, sizeof(*sorted));
    entries = arena_array(a, found.count + 1, sizeof(struct json_object *));
    keys = arena_array(a, found.count + 1, sizeof(*keys));
    for (size_t i = 0; i < found.count; i++)
        sorted[i] = &found.items[i];
    qsort(sorted, found.count, sizeof(*sorted), by_key);
    for (size_t i = 0; i < found.count; i++)
        keys[i] = sorted[i]->key;
    if (access_grants(b->control, a, keys, found.count, entries, err))
        return wrap(err, "grants");
    *ret = (struct texts){ .uids = arena_array(a, found.count + 1, sizeof(char *)),
                           .grants = arena_array(a, found.count + 1, sizeof(char *)) };
    print_grants(a, sorted, found.count, holders, holder_count, entries, ret);
    return 0;
}

static int write_grants(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct publish_batch *b = ctx;
    struct published_holder *holders = NULL;
    const char **changed = NULL;
    size_t holder_count = 0, changed_count = 0;
    struct texts texts = { .count = 0 };

    if (published_many_lock(conn, a, b->uids, b->count, &holders, &holder_count, err) ||
        read_grants(b, a, holders, holder_count, &texts, err) ||
        published_grants_put(conn, a, texts.uids, texts.grants, texts.count, &changed,
                             &changed_count, err))
        return -1;
    return changed_count > 0 ? published_bump(conn, a, changed, changed_count, err) : 0;
}

int publish_grants_changed(struct control *control, struct arena *a, const char *scope,
                           struct error *err)
{
    char *key = text_lower(a, scope);
    const struct publish_many many = { "publish-grants", next, key, write_grants };

    for (size_t n = strlen(key); n > 0 && key[n - 1] == '/'; n--)
        key[n - 1] = '\0';
    if (publish_many(control, &many, err))
        return -1;
    /* Not before: the loop's own publishing would be in the way of this. */
    return pg_transact(control->db, a, wake, key, err);
}
