/* Loading resources and showing them. */
#include "controlplane/api/pipeline.h"

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/derived.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/shown_cache.h"
#include "controlplane/store/made.h"
#include "controlplane/types/all.h"

struct query {
    const char *key;
    struct resource *row;
    bool is_peek;
    int found;
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct query *q = ctx;

    q->found = q->is_peek ? resource_peek(conn, a, q->key, &q->row, err)
                          : resource_by_key(conn, a, q->key, false, &q->row, err);
    return q->found < 0 ? -1 : 0;
}

/* 1/0/-1 */
static int find(struct call *c, const char *key, struct resource **ret, struct error *err)
{
    struct query q = { .key = key };

    if (pg_with(c->control->db, c->arena, query, &q, err))
        return -1;
    *ret = q.row;
    return q.found;
}

int check_group(struct call *c, struct error *err)
{
    struct resource *group = NULL;
    int found = find(c, text_lower(c->arena, arm_id_group(c->arena, &c->id)), &group, err);

    if (found < 0)
        return -1;
    return found ? 0 : fail_group_missing(c, err);
}

/* What stands above is missing, or it itself is: clients tell these apart. */
static int fail_missing(struct call *c, struct error *err)
{
    if (c->id.is_group)
        return fail_group_missing(c, err);
    if (check_group(c, err))
        return -1;
    return fail(err, &E_RESOURCE_NOT_FOUND, "The resource %s could not be found.",
                c->id.names[c->id.depth - (arm_id_is_collection(&c->id) ? 2 : 1)]);
}

#define NOBODY "00000000-0000-0000-0000-000000000000"

/* The row of an implied parent: made for a write, and for a list one that nothing stands below. */
static int imply_parent(struct call *c, size_t depth, struct error *err)
{
    const struct resource_type *type = c->type->parent;
    const char *name = c->id.names[depth - 1];
    struct resource *row = ARENA_NEW(c->arena, struct resource), *above = NULL;
    struct made made = { .parent = NULL, .row = row };
    char uid[UUID_TEXT_LEN + 1];
    int found = find(c, arm_id_key(c->arena, &c->id, depth - 1), &above, err);

    if (found < 0)
        return -1;
    if (found == 0)
        return fail_parent_missing(c, err);
    if (type_name_check(type, name, err))
        return -1;
    uuid_new(uid);
    *row = (struct resource){ .uid = c->verb->decode ? arena_strdup(c->arena, uid) : NOBODY,
                              .id = arm_id_text(c->arena, &c->id, type->name, depth),
                              .type_key = text_lower(c->arena, type->name),
                              .name = name };
    c->parent = row;
    if (!c->verb->decode)
        return 0;
    made.parent = above;
    if (resource_make(c->control->db, c->arena, &made, err) == 0)
        return 0;
    if (err->code == &E_NOT_FOUND)
        return fail(err, &E_BEING_DELETED, "The resource '%s' is being deleted.", above->name);
    return err->code == &E_CONFLICT ? find(c, row->key, &c->parent, err) - 1 : -1;
}

static int load_parent(struct call *c, size_t depth, struct error *err)
{
    int found;

    if (!c->type->parent)
        return 0;
    found = find(c, arm_id_key(c->arena, &c->id, depth), &c->parent, err);
    if (found < 0)
        return -1;
    if (found == 0 && c->type->parent->is_implied)
        return imply_parent(c, depth, err);
    return found ? 0 : fail_parent_missing(c, err);
}

/* The row, and for a write its parent, whose SKU it needs; a read of what is there does not. */
static bool wants_parent(const struct call *c)
{
    return c->type->parent && c->verb->decode;
}

static int ask(struct pg_conn *conn, struct call *c, struct error *err)
{
    const char *parent =
        wants_parent(c) ? arm_id_key(c->arena, &c->id, c->id.depth - 1) : NULL;

    return resource_ask(conn, c->arena, c->key, parent, &c->ahead.rows, err);
}

int load_ahead(struct pg_conn *conn, struct call *c, struct error *err)
{
    if (!c->ahead.is_wanted || c->type->derive)
        return 0;
    c->ahead.is_there = true;
    return ask(conn, c, err);
}

static int ask_now(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)a;
    return ask(conn, ctx, err);
}

enum stage_result load_item(struct call *c, struct error *err)
{
    int found;

    if (c->type->derive)
        return load_parent(c, c->id.depth - 1, err) ? STAGE_FAILED : STAGE_NEXT;
    if (!c->ahead.is_there && pg_with(c->control->db, c->arena, ask_now, c, err))
        return STAGE_FAILED;
    c->ahead.is_there = false;
    found = resource_told(c->ahead.rows, c->arena, c->key, &c->was, err);
    if (found < 0)
        return STAGE_FAILED;
    if (found == 0)
        c->was = NULL;
    if (!wants_parent(c))
        return STAGE_NEXT;
    found = resource_told(c->ahead.rows, c->arena, arm_id_key(c->arena, &c->id, c->id.depth - 1),
                          &c->parent, err);
    if (found == 0 && load_parent(c, c->id.depth - 1, err))
        return STAGE_FAILED;
    return found < 0 ? STAGE_FAILED : STAGE_NEXT;
}

enum stage_result load_known(struct call *c, struct error *err)
{
    enum stage_result result = load_item(c, err);

    if (result != STAGE_NEXT || c->was)
        return result;
    return (enum stage_result)fail_missing(c, err);
}

enum stage_result load_shown(struct call *c, struct error *err)
{
    struct query q = { .key = c->key, .is_peek = true };

    if (c->type->derive)
        return load_item(c, err);
    if (pg_with(c->control->db, c->arena, query, &q, err))
        return STAGE_FAILED;
    if (!q.found)
        return (enum stage_result)fail_missing(c, err);
    c->was = q.row;
    return STAGE_NEXT;
}

int check_above(struct call *c, struct error *err)
{
    if (c->type->parent)
        return load_parent(c, c->id.depth - 1, err);
    return c->id.group ? check_group(c, err) : 0;
}

enum stage_result load_above(struct call *c, struct error *err)
{
    return c->type->derive && check_above(c, err) ? STAGE_FAILED : STAGE_NEXT;
}

enum stage_result encode_item(struct call *c, struct error *err)
{
    struct shown_cache *cache = c->arm->shown;
    size_t len = 0;
    const char *text;

    if (c->type->derive)
        return derived_item(c, err);
    text = shown_cache_get(cache, c->arena, c->was, c->api_version, &len);

    if (!text) {
        if (resource_parse(c->arena, c->was, err))
            return STAGE_FAILED;
        text = json_print_len(c->arena,
                              json_own(c->arena, resource_encode(c->arena, c->control, c->type,
                                                                 c->api_version, c->was)),
                              &len);
        shown_cache_put(cache, c->was, c->api_version, text, len);
    }
    reply_json_text(c, 200, text, len);
    return STAGE_ANSWERED;
}

enum stage_result encode_presence(struct call *c, struct error *err)
{
    if (c->type->derive)
        return derived_item(c, err);
    http_reply_empty(c->req, c->was ? 204 : 404);
    return STAGE_ANSWERED;
}
