/* Role assignments on their way to data planes: published here, before the answer, so that they hold if
 * this control plane dies right then. One assignment may stand above thousands of registries, so many are
 * published at a time: a transaction of the region for each batch, whose registries are locked before the
 * assignments are read, so that of two who publish the later one has seen what the earlier one saw.
 * After that all of them are due: the loop makes up for what failed, and for what follows from rights. */
#include "controlplane/provision/publish_grants.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/provision/grants.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/published.h"
#include "controlplane/store/published_grants.h"
#include "controlplane/store/related.h"
#include "controlplane/store/resources.h"

#define REGISTRY_TYPE_KEY "microsoft.containerregistry/registries"
#define BATCH_MAX         50

struct page {
    const char *scope_key, *after_key;
    struct resource *items;
    size_t count;
};

/* Registries of one subscription in one region. */
struct batch {
    struct control *control;
    const struct region *region;
    const char *subscription_id;
    const char **uids;
    size_t count;
    struct resource *found; /* by uid */
    size_t found_count;
};

static int wake(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct page *p = ctx;
    int64_t count;

    return lease_wake(conn, a, REGISTRY_TYPE_KEY, p->scope_key, &count, err);
}

static int next_page(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return resource_at_or_below(conn, a, REGISTRY_TYPE_KEY, p->scope_key, p->after_key, BATCH_MAX,
                                &p->items, &p->count, err);
}

static int find(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct batch *b = ctx;

    return resource_still_in(conn, a, b->subscription_id, b->uids, b->count, &b->found,
                             &b->found_count, err);
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
static void print_grants(struct arena *a, const struct batch *b,
                         const struct published_holder *holders, size_t holder_count,
                         const struct resource *const *sorted, struct json_object *const *entries,
                         struct texts *ret)
{
    const struct json_object *last = NULL;
    bool was_abac = false;

    for (size_t i = 0; i < b->found_count; i++) {
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

static int read_grants(struct batch *b, struct arena *a, const struct published_holder *holders,
                       size_t holder_count, struct texts *ret, struct error *err)
{
    const struct resource **sorted;
    struct json_object **entries;
    const char **keys;

    if (pg_with(b->control->db, a, find, b, err))
        return -1;
    sorted = arena_array(a, b->found_count + 1, sizeof(*sorted));
    entries = arena_array(a, b->found_count + 1, sizeof(struct json_object *));
    keys = arena_array(a, b->found_count + 1, sizeof(*keys));
    for (size_t i = 0; i < b->found_count; i++)
        sorted[i] = &b->found[i];
    qsort(sorted, b->found_count, sizeof(*sorted), by_key);
    for (size_t i = 0; i < b->found_count; i++)
        keys[i] = sorted[i]->key;
    if (access_grants(b->control, a, keys, b->found_count, entries, err))
        return wrap(err, "grants");
    *ret = (struct texts){ .uids = arena_array(a, b->found_count + 1, sizeof(char *)),
                           .grants = arena_array(a, b->found_count + 1, sizeof(char *)) };
    print_grants(a, b, holders, holder_count, sorted, entries, ret);
    return 0;
}

static int write_batch(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct batch *b = ctx;
    struct published_holder *holders = NULL;
    const char **changed = NULL;
    size_t holder_count = 0, changed_count = 0;
    struct texts texts = { .count = 0 };

    if (published_grants_lock(conn, a, b->uids, b->count, &holders, &holder_count, err) ||
        read_grants(b, a, holders, holder_count, &texts, err) ||
        published_grants_put(conn, a, texts.uids, texts.grants, texts.count, &changed,
                             &changed_count, err))
        return -1;
    return changed_count > 0 ? published_bump(conn, a, changed, changed_count, err) : 0;
}

/* Takes the first registry that is left, and all that share its subscription and region, out of the
 * page. */
static void take_batch(struct control *control, struct arena *a, struct page *p, struct batch *ret)
{
    const struct resource first = p->items[0];
    size_t left = 0;

    *ret = (struct batch){ .control = control,
                           .region = region_find(control->regions, first.location),
                           .subscription_id = first.subscription_id,
                           .uids = arena_array(a, p->count, sizeof(*ret->uids)) };
    for (size_t i = 0; i < p->count; i++) {
        if (text_eq(p->items[i].subscription_id, first.subscription_id) &&
            text_eq(p->items[i].location, first.location))
            ret->uids[ret->count++] = p->items[i].uid;
        else
            p->items[left++] = p->items[i];
    }
    p->count = left;
}

/* 1 when there may be more, behind *after. */
static int publish_page(struct control *control, struct arena *kept, const char *scope_key,
                        const char **after, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct page p = { .scope_key = scope_key, .after_key = *after };
    struct error failure;
    struct batch b;
    bool is_full;

    if (pg_with(control->db, a, next_page, &p, err))
        return -1;
    is_full = p.count == BATCH_MAX;
    if (is_full)
        *after = arena_strdup(kept, p.items[p.count - 1].key);
    while (p.count > 0) {
        take_batch(control, a, &p, &b);
        if (b.region && pg_transact(b.region->db, a, write_batch, &b, &failure))
            log_failure(LOG_WARN, "publish-grants", &failure);
    }
    return is_full;
}

int publish_grants_changed(struct control *control, struct arena *a, const char *scope,
                           struct error *err)
{
    char *key = text_lower(a, scope);
    const char *after = "";
    struct page p = { .scope_key = key };
    int more;

    for (size_t n = strlen(key); n > 0 && key[n - 1] == '/'; n--)
        key[n - 1] = '\0';
    do
        more = publish_page(control, a, key, &after, err);
    while (more > 0);
    /* Not before: the loop's own publishing would be in the way of this. */
    return more < 0 ? -1 : pg_transact(control->db, a, wake, &p, err);
}
