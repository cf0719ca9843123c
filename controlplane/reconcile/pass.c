/* A pass: one resource claimed under an owner of its own, its steps run, the outcome written where
 * the lease still holds. Each failure is logged here, once. */
#include "controlplane/reconcile/pass.h"

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/reconcile/steps.h"
#include "controlplane/reconcile/watch.h"
#include "controlplane/store/leases.h"
#include "controlplane/store/resources.h"

#define CONFIRM_MS 2000 /* how old a confirmation may be when a step asks */

struct pass {
    struct step_run run; /* first: steps get its address */
    struct watch *watch;
    const char *const *type_keys;
    char owner[UUID_TEXT_LEN + 1];
    struct resource *resource;
    struct pass_end end;
    bool is_final;
    struct json_object *failure;
    int is_ours; /* of the finishing statement */
};

const char *const *pass_type_keys(struct arena *a)
{
    size_t count = 0, n = 0;
    const char **keys;

    while (all_types[count])
        count++;
    keys = arena_array(a, count + 1, sizeof(*keys));
    for (size_t i = 0; i < count; i++)
        if (all_types[i]->steps)
            keys[n++] = text_lower(a, all_types[i]->name);
    return keys;
}

static bool still_ours(struct step_run *run)
{
    struct pass *p = (struct pass *)run;

    return watch_extend(p->watch, run->control, CONFIRM_MS);
}

static int claim(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct pass *p = ctx;
    int found;

    uuid_new(p->owner);
    found = lease_claim(conn, a, p->owner, p->type_keys, &p->resource, err);
    if (found == 0)
        p->resource = NULL;
    return found < 0 ? -1 : 0;
}

static int finish(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct pass *p = ctx;
    const struct resource *r = p->resource;
    bool is_failure = p->end.result == PASS_FAILED;

    if (p->end.result == PASS_DONE && r->state == STATE_DELETING)
        p->is_ours = lease_remove(conn, a, p->owner, r, err);
    else if (p->end.result == PASS_DONE)
        p->is_ours = lease_settle(conn, a, p->owner, r, p->run.status,
                                  type_find(r->type_key)->drift_ms, err);
    else if (p->is_final)
        p->is_ours = lease_give_up(conn, a, p->owner, r, p->run.status, p->failure, err);
    else
        p->is_ours = lease_postpone(conn, a, p->owner, r, p->end.step, p->end.delay_ms,
                                    is_failure, p->run.status, p->failure, err);
    if (p->is_ours < 0)
        return -1;
    /* A parent or a group may be waiting for this one to go. */
    if (p->is_ours && p->end.result == PASS_DONE && r->state == STATE_DELETING)
        return work_notify(conn, a, err);
    return 0;
}

/* The error as the operation shows it; the cause stays in the log. */
static struct json_object *failure_of(struct arena *a, const struct error *error)
{
    struct json_object *ret = json_own(a, json_new_object());

    json_set_text(ret, "code", error->code->name);
    json_set_text(ret, "message", error->message);
    if (error->target[0])
        json_set_text(ret, "target", error->target);
    return ret;
}

static void judge(struct pass *p)
{
    const struct resource *r = p->resource;

    if (p->end.result != PASS_FAILED)
        return;
    p->is_final = steps_is_final(&p->end.error, r->attempts);
    p->failure = failure_of(p->run.arena, &p->end.error);
    p->end.delay_ms = steps_backoff_ms(r->attempts);
}

/* A failure that repeats the last one is only worth a debug line. */
static enum log_level level_of(const struct pass *p, bool was_settled)
{
    if (p->end.result == PASS_FAILED) {
        bool is_news = !p->resource->last_error || p->resource->attempts == 0 ||
                       !json_equal(p->resource->last_error, p->failure);

        return is_news ? LOG_WARN : LOG_DEBUG;
    }
    return p->end.result == PASS_WAIT || was_settled ? LOG_DEBUG : LOG_INFO;
}

static void log_pass(const struct pass *p, int64_t started_ms)
{
    const struct resource *r = p->resource;
    bool was_settled = r->generation == r->observed_generation;
    static const char *const outcomes[PASS_MAX] = { "done", "waiting", "failed" };
    struct log_line l;

    log_start(&l, level_of(p, was_settled), "reconcile");
    log_text(&l, "resource", r->id);
    log_text(&l, "uid", r->uid);
    log_text(&l, "state", state_name(r->state));
    log_int(&l, "generation", r->generation);
    log_text(&l, "outcome", p->is_ours ? outcomes[p->end.result] : "lease-lost");
    log_text(&l, "step", p->end.step);
    log_int(&l, "ms", clock_mono_ms() - started_ms);
    if (p->end.result == PASS_FAILED) {
        log_text(&l, "code", p->end.error.code->name);
        log_text(&l, "message", p->end.error.message);
        log_text(&l, "cause", p->end.error.cause);
        log_int(&l, "attempts", r->attempts + 1);
        log_text(&l, "final", p->is_final ? "yes" : "no");
    }
    log_end(&l);
}

int pass_once(struct control *control, struct arena *a, struct watch *watch,
              const char *const *type_keys, void (*claimed)(void *ctx), void *ctx,
              struct error *err)
{
    struct pass p = {
        .run = { .arena = a, .control = control, .still_ours = still_ours },
        .watch = watch,
        .type_keys = type_keys,
    };
    int64_t started_ms = clock_mono_ms();
    int rc;

    if (pg_with(control->db, a, claim, &p, err))
        return wrap(err, "claim work");
    if (!p.resource)
        return 0;
    watch_begin(watch, p.owner, p.resource->uid, started_ms);
    if (claimed)
        claimed(ctx);
    p.run.status = json_own(a, p.resource->status ? json_copy(p.resource->status)
                                                  : json_new_object());
    steps_run(type_find(p.resource->type_key), &p.run, p.resource, &p.end);
    judge(&p);
    rc = pg_transact(control->db, a, finish, &p, err);
    watch_end(watch);
    if (rc)
        return wrap(err, "finish %s", p.resource->uid);
    log_pass(&p, started_ms);
    return p.end.result == PASS_DONE || p.is_final ? PASS_ENDED : PASS_PUT_OFF;
}
