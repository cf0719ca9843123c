/* The truth about an action that goes on is where it goes on; its type's table says how to ask. */
#include "controlplane/reconcile/settle.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/store/operations.h"
#include "controlplane/types/type.h"

#define AT_ONCE_MAX 100

struct open_actions {
    struct operation *items;
    size_t count;
};

struct ending {
    const struct operation *op;
    const struct action_end *end;
};

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct open_actions *open = ctx;

    return operation_open_actions(conn, a, AT_ONCE_MAX, &open->items, &open->count, err);
}

static int end(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct ending *e = ctx;
    int rc = operation_end(conn, a, e->op, e->end->failure ? "Failed" : "Succeeded",
                           e->end->failure, err);

    return rc < 0 ? -1 : 0;
}

static const struct action *action_of(const struct operation *op)
{
    const struct resource_type *type = type_find(op->type_key);

    for (const struct action *x = type ? type->actions : NULL; x && x->name; x++) {
        if (x->settle && text_eq(x->name, op->verb))
            return x;
    }
    return NULL;
}

static int settle(struct control *control, struct arena *a, const struct operation *op,
                  struct error *err)
{
    const struct action *action = action_of(op);
    struct action_end is = { .is_over = false };
    struct ending e = { op, &is };

    if (!action)
        return 0;
    if (action->settle(control, a, op, &is, err))
        return -1;
    return is.is_over ? pg_transact(control->db, a, end, &e, err) : 0;
}

int settle_actions(struct control *control, struct arena *a, struct error *err)
{
    struct open_actions open = { .count = 0 };

    if (pg_with(control->db, a, list, &open, err))
        return -1;
    /* One that cannot be asked about must not hold up the others. */
    for (size_t i = 0; i < open.count; i++) {
        struct error failure;

        if (settle(control, a, &open.items[i], &failure))
            log_failure(LOG_WARN, "settle", &failure);
    }
    return 0;
}
