/* Keeping a lease: extended from the heartbeat thread and from steps that ask. A lease that could
 * not be confirmed for as long as it lasts counts as lost: another worker may have it. */
#include "controlplane/reconcile/watch.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/store/leases.h"

#define MARGIN_MS 1000

struct extension {
    char owner[37];
    char uid[37];
    int is_ours;
};

void watch_init(struct watch *w)
{
    *w = (struct watch){ .is_lost = true };
    (void)pthread_mutex_init(&w->lock, NULL);
}

void watch_done(struct watch *w)
{
    (void)pthread_mutex_destroy(&w->lock);
}

void watch_begin(struct watch *w, const char *owner, const char *uid, int64_t claimed_ms)
{
    (void)pthread_mutex_lock(&w->lock);
    (void)snprintf(w->owner, sizeof(w->owner), "%s", owner);
    (void)snprintf(w->uid, sizeof(w->uid), "%s", uid);
    w->is_held = true;
    w->is_lost = false;
    w->confirmed_ms = claimed_ms;
    (void)pthread_mutex_unlock(&w->lock);
}

void watch_end(struct watch *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->is_held = false;
    (void)pthread_mutex_unlock(&w->lock);
}

static int extend(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct extension *e = ctx;

    e->is_ours = lease_extend(conn, a, e->owner, e->uid, err);
    return e->is_ours < 0 ? -1 : 0;
}

/* Notes the outcome, unless the watch has moved on to another claim meanwhile. */
static bool note(struct watch *w, const struct extension *e, int rc, int64_t asked_ms)
{
    bool is_ours;

    (void)pthread_mutex_lock(&w->lock);
    if (w->is_held && text_eq(w->owner, e->owner)) {
        if (rc == 0 && e->is_ours)
            w->confirmed_ms = asked_ms;
        else if (rc == 0)
            w->is_lost = true;
    }
    is_ours = w->is_held && !w->is_lost &&
              clock_mono_ms() - w->confirmed_ms < LEASE_MS - MARGIN_MS;
    (void)pthread_mutex_unlock(&w->lock);
    return is_ours;
}

bool watch_extend(struct watch *w, struct control *control, int64_t min_age_ms)
{
    _cleanup_(arena_freep) struct arena *a = NULL;
    int64_t asked_ms = clock_mono_ms();
    struct extension e = { .is_ours = 0 };
    struct error err;
    bool is_settled, is_ours;

    (void)pthread_mutex_lock(&w->lock);
    is_ours = w->is_held && !w->is_lost;
    is_settled = !is_ours || asked_ms - w->confirmed_ms < min_age_ms;
    memcpy(e.owner, w->owner, sizeof(e.owner));
    memcpy(e.uid, w->uid, sizeof(e.uid));
    (void)pthread_mutex_unlock(&w->lock);
    if (is_settled)
        return is_ours;
    a = arena_new();
    return note(w, &e, pg_with(control->db, a, extend, &e, &err), asked_ms);
}
