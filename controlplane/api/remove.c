/* DELETE: refused where others need the resource; rows nobody works on go at once, the rest becomes
 * work whose end an operation tells. */
#include "controlplane/api/pipeline.h"

#include "common/base/arena.h"
#include "common/pg/pg.h"

#include "controlplane/api/errors.h"
#include "controlplane/api/etag.h"
#include "controlplane/api/hasten.h"
#include "controlplane/api/lro.h"
#include "controlplane/api/write.h"
#include "controlplane/store/operations.h"
#include "controlplane/store/related.h"

static int check_unused(struct pg_conn *conn, struct call *c, const struct resource *r,
                        struct error *err)
{
    const char *user = NULL;
    int found = resource_link_user(conn, c->arena, r->uid, &user, err);

    if (found <= 0)
        return found;
    return fail(err, &E_IN_USE, "The resource '%s' is in use by '%.700s' and cannot be deleted.",
                r->name, user);
}

/* Nothing but rows goes, and the client does not wait. */
static bool is_only_rows(const struct resource_type *type)
{
    for (const struct step *step = type->steps; step && step->name; step++) {
        if (step->undo || (type->lro & LRO_DELETE))
            return false;
    }
    return true;
}

static int delete_at_once(struct pg_conn *conn, struct call *c, const struct resource *r,
                          struct error *err)
{
    if (((c->type->lro & LRO_DELETE) &&
         operation_open(conn, c->arena, &c->caller, r, "DELETE", state_name(STATE_DELETING),
                        c->correlation_id, &c->operation_id, err)) ||
        write_close(conn, c, r->uid, err) || write_event(conn, c, r, "delete", false, err))
        return -1;
    return resource_remove(conn, c->arena, r->uid, err);
}

/* In the order in which writes take them: first the parent, then the row. */
static int lock_row(struct pg_conn *conn, struct call *c, struct resource **ret, struct error *err)
{
    struct resource *parent = NULL;

    if (c->type->moves_parent &&
        resource_by_uid(conn, c->arena, c->was->parent_uid, true, &parent, err) < 0)
        return -1;
    return resource_by_uid(conn, c->arena, c->was->uid, true, ret, err);
}

static int delete_row(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct call *c = ctx;
    struct resource *now = NULL;
    int64_t below = 0;
    int found = lock_row(conn, c, &now, err);

    c->operation_id = NULL;
    c->is_gone = found == 0;
    if (found <= 0)
        return found;
    if (now->is_system)
        return write_fail_system(now->name, err);
    if (now->state != STATE_DELETING &&
        (write_admit(conn, c, CHANGE_DELETE, now, err) || check_unused(conn, c, now, err)))
        return -1;
    if (is_only_rows(c->type))
        return delete_at_once(conn, c, now, err);
    if (resource_start_delete(conn, a, now->uid, err) < 0 ||
        resource_start_delete_below(conn, a, now->uid, &below, err))
        return -1;
    if (operation_open(conn, a, &c->caller, now, "DELETE", state_name(STATE_DELETING),
                       c->correlation_id, &c->operation_id, err) ||
        write_event(conn, c, now, "delete", true, err))
        return -1;
    return work_notify(conn, a, err);
}

enum stage_result commit_delete(struct call *c, struct error *err)
{
    if (etag_check(c, err))
        return STAGE_FAILED;
    if (!c->was) {
        /* Of groups clients expect to hear that there is none. */
        if (c->id.is_group)
            return (enum stage_result)fail_group_missing(c, err);
        c->is_gone = true;
        return check_group(c, err) ? STAGE_FAILED : STAGE_NEXT;
    }
    if (pg_transact(c->control->db, c->arena, delete_row, c, err))
        return STAGE_FAILED;
    if (c->type->revoke && !c->is_gone)
        hasten_delete(c);
    return STAGE_NEXT;
}

enum stage_result encode_delete(struct call *c, struct error *err)
{
    (void)err;
    if (c->operation_id) {
        lro_location_header(c, c->was, c->operation_id);
        http_reply_empty(c->req, 202);
    } else {
        http_reply_empty(c->req, c->is_gone ? 204 : 200);
    }
    return STAGE_ANSWERED;
}
