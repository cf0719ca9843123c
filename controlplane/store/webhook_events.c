/* SQL on webhook_events. */
#include "controlplane/store/webhook_events.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/store/statements.h"

#define EVENT_MAX_BYTES (1u << 20)

enum { ADD, FORGET, LIST };

const struct pg_stmt webhook_events_statements[] = {
    [ADD] = { "webhook_event_add",
              "insert into webhook_events (id, webhook_uid, request, response) "
              "select $1, uid, $3, $4 from resources where uid = $2",
              "uuid uuid jsonb jsonb" },
    [FORGET] = { "webhook_event_forget",
                 "delete from webhook_events where id in (select id from webhook_events "
                 "where webhook_uid = $1 order by at desc, id offset 100)",
                 "uuid" },
    [LIST] = { "webhook_event_list",
               "select id, request, response from webhook_events where webhook_uid = $1 "
               "order by at desc, id limit 100",
               "uuid" },
    { 0 },
};

struct adding {
    const char *webhook_uid;
    const struct webhook_event *event;
};

static int add(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct adding *x = ctx;
    const struct webhook_event *e = x->event;

    if (PG_RUN(conn, a, &webhook_events_statements[ADD], NULL, err, pg_text(e->id),
               pg_text(x->webhook_uid), pg_text(json_print(a, e->request)),
               pg_text(e->response ? json_print(a, e->response) : NULL)) ||
        PG_RUN(conn, a, &webhook_events_statements[FORGET], NULL, err, pg_text(x->webhook_uid)))
        return wrap(err, "add webhook event");
    return 0;
}

int webhook_event_add(struct pg_pool *db, struct arena *a, const char *webhook_uid,
                      const struct webhook_event *event, struct error *err)
{
    struct adding x = { .webhook_uid = webhook_uid, .event = event };

    return pg_transact(db, a, add, &x, err);
}

struct listing {
    const char *webhook_uid;
    struct webhook_event *items;
    size_t count;
};

static int read_member(const struct pg_result *r, size_t row, size_t col, struct arena *a,
                       struct json_object **ret, struct error *err)
{
    const char *text = pg_get_text(r, row, col);
    struct json_object *value = NULL;

    if (!text)
        return 0;
    if (json_parse_object(text, strlen(text), EVENT_MAX_BYTES, &value, err))
        return fail_cause(err, &E_INTERNAL, "a webhook event does not parse");
    *ret = json_own(a, value);
    return 0;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct listing *l = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &webhook_events_statements[LIST], &r, err, pg_text(l->webhook_uid)))
        return wrap(err, "list webhook events");
    l->count = pg_rows(r);
    l->items = arena_array(a, l->count + 1, sizeof(*l->items));
    for (size_t i = 0; i < l->count; i++) {
        l->items[i].id = pg_get_text(r, i, 0);
        if (read_member(r, i, 1, a, &l->items[i].request, err) ||
            read_member(r, i, 2, a, &l->items[i].response, err))
            return -1;
    }
    return 0;
}

int webhook_event_list(struct pg_pool *db, struct arena *a, const char *webhook_uid,
                       struct webhook_event **ret, size_t *ret_count, struct error *err)
{
    struct listing l = { .webhook_uid = webhook_uid };

    if (pg_with(db, a, list, &l, err))
        return -1;
    *ret = l.items;
    *ret_count = l.count;
    return 0;
}
