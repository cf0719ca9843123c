/* Pages of registries, taken apart into batches. */
#include "controlplane/provision/publish_many.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/store/resources.h"

#define BATCH_MAX 50

struct page {
    const struct publish_many *many;
    const char *after_key;
    struct resource *items;
    size_t count;
};

static int next_page(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *p = ctx;

    return p->many->next(conn, a, p->many->ctx, p->after_key, BATCH_MAX, &p->items, &p->count,
                         err);
}

/* Takes the first registry that is left, and all that share its subscription and region, out of the
 * page. */
static void take_batch(struct control *control, struct arena *a, struct page *p,
                       struct publish_batch *ret)
{
    const struct resource first = p->items[0];
    const char **uids = arena_array(a, p->count, sizeof(*uids));
    size_t left = 0;

    *ret = (struct publish_batch){ .control = control,
                                   .region = region_find(control->regions, first.location),
                                   .subscription_id = first.subscription_id,
                                   .uids = uids };
    for (size_t i = 0; i < p->count; i++) {
        if (text_eq(p->items[i].subscription_id, first.subscription_id) &&
            text_eq(p->items[i].location, first.location))
            uids[ret->count++] = p->items[i].uid;
        else
            p->items[left++] = p->items[i];
    }
    p->count = left;
}

/* 1 when there may be more, behind *after. */
static int publish_page(struct control *control, const struct publish_many *many,
                        struct arena *kept, const char **after, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct page p = { .many = many, .after_key = *after };
    struct publish_batch b;
    struct error failure;
    bool is_full;

    if (pg_with(control->db, a, next_page, &p, err))
        return -1;
    is_full = p.count == BATCH_MAX;
    if (is_full)
        *after = arena_strdup(kept, p.items[p.count - 1].key);
    while (p.count > 0) {
        take_batch(control, a, &p, &b);
        if (b.region && pg_transact(b.region->db, a, many->write, &b, &failure))
            log_failure(LOG_WARN, many->name, &failure);
    }
    return is_full;
}

int publish_many(struct control *control, const struct publish_many *many, struct error *err)
{
    _cleanup_(arena_freep) struct arena *kept = arena_new();
    const char *after = "";
    int more;

    do
        more = publish_page(control, many, kept, &after, err);
    while (more > 0);
    return more;
}
