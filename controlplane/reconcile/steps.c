/* The step runner: forward on create and update, backward on delete. */
#include "controlplane/reconcile/steps.h"

#include "common/base/arena.h"
#include "common/crypto/digest.h"
#include "common/json/fields.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/store/resources.h"

#define BACKOFF_FIRST_MS 200
#define BACKOFF_MAX_MS 30000
#define ATTEMPTS_MAX 10
#define WAIT_MS 1000
#define CHILDREN_WAIT_MS 200
#define CHILDREN_BATCH 500

int64_t steps_backoff_ms(int64_t attempts)
{
    int64_t ms = BACKOFF_FIRST_MS;
    uint32_t noise;

    for (int64_t i = 0; i < attempts && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    random_bytes(&noise, sizeof(noise));
    return ms * 3 / 4 + (int64_t)(noise % (uint64_t)(ms / 2 + 1));
}

bool steps_is_final(const struct error *error, int64_t attempts)
{
    if (error->code == &E_UNAVAILABLE || error->code == &E_TIMEOUT)
        return false;
    if (error->code->status < 500)
        return true;
    return attempts + 1 >= ATTEMPTS_MAX;
}

static void end_with(struct pass_end *ret, enum verdict verdict, const char *step,
                     const struct step_run *run)
{
    ret->step = step;
    ret->result = verdict == VERDICT_WAIT ? PASS_WAIT : PASS_FAILED;
    ret->delay_ms = run->retry_ms > 0 ? run->retry_ms : WAIT_MS;
}

static int decode(const struct resource_type *type, struct step_run *run,
                  struct resource *resource, struct error *err)
{
    void *decoded = arena_alloc(run->arena, type->size ? type->size : 1);

    fields_default(type->fields, resource->body);
    if (fields_decode(run->arena, type->fields, resource->body, decoded, err)) {
        /* A stored body was checked when it came in, so this is no fault of a client's. */
        struct error was = *err;

        return fail_cause(err, &E_INTERNAL, "decode stored body: %s (%s)", was.message,
                          was.target);
    }
    run->decoded = decoded;
    return 0;
}

static bool has_steps(const char *type_key)
{
    const struct resource_type *type = type_find(type_key);

    return type && type->steps;
}

struct emptying {
    const struct resource *parent;
    int64_t left;
};

/* Children first. Those with steps become work of their own; those without are rows only. */
static int empty(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct emptying *e = ctx;
    struct resource *children;
    int64_t moved;
    size_t count;

    if (resource_count_below(conn, a, e->parent->uid, &e->left, err))
        return -1;
    if (e->left == 0)
        return 0;
    if (resource_start_delete_below(conn, a, e->parent->uid, &moved, err) ||
        resource_children(conn, a, e->parent->uid, NULL, CHILDREN_BATCH, &children, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (has_steps(children[i].type_key))
            continue;
        if (resource_remove(conn, a, children[i].uid, err))
            return -1;
        e->left--;
    }
    return e->left > 0 ? work_notify(conn, a, err) : 0;
}

static void undo(const struct resource_type *type, struct step_run *run, struct pass_end *ret)
{
    struct emptying e = { .parent = run->resource };
    size_t count = 0;

    if (pg_transact(run->control->db, run->arena, empty, &e, &ret->error)) {
        end_with(ret, VERDICT_FAILED, "children", run);
        return;
    }
    if (e.left > 0) {
        run->retry_ms = CHILDREN_WAIT_MS;
        end_with(ret, VERDICT_WAIT, "children", run);
        return;
    }
    while (type->steps[count].name)
        count++;
    while (count-- > 0) {
        const struct step *step = &type->steps[count];
        enum verdict verdict;

        run->retry_ms = 0;
        verdict = step->undo ? step->undo(run, &ret->error) : VERDICT_DONE;
        if (verdict != VERDICT_DONE) {
            end_with(ret, verdict, step->name, run);
            return;
        }
    }
}

static void ensure(const struct resource_type *type, struct step_run *run, struct pass_end *ret)
{
    for (const struct step *step = type->steps; step->name; step++) {
        enum verdict verdict;

        run->retry_ms = 0;
        verdict = step->ensure ? step->ensure(run, &ret->error) : VERDICT_DONE;
        if (verdict != VERDICT_DONE) {
            end_with(ret, verdict, step->name, run);
            return;
        }
    }
}

void steps_run(const struct resource_type *type, struct step_run *run, struct resource *resource,
               struct pass_end *ret)
{
    *ret = (struct pass_end){ .result = PASS_DONE };
    run->resource = resource;
    if (decode(type, run, resource, &ret->error)) {
        end_with(ret, VERDICT_FAILED, "decode", run);
        return;
    }
    if (resource->state == STATE_DELETING)
        undo(type, run, ret);
    else
        ensure(type, run, ret);
}
