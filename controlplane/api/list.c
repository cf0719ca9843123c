/* One page of rows by key, with what the caller may see; nextLink carries the last key as an opaque
 * $skipToken, so pages stay consistent while rows come and go. Texts come from the cache of shown
 * resources; only rows that it does not know are loaded. */
#include "controlplane/api/list.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/derived.h"
#include "controlplane/api/encode.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/filter.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/api/shown_cache.h"
#include "controlplane/types/all.h"
#include "controlplane/types/versions.h"

/* What is shown of so many for the first time takes about five milliseconds, of which PostgreSQL has two. */
#define PAGE_MAX       100
#define URL_MAX_BYTES  16384
#define LIST_ACTION    "Microsoft.Resources/subscriptions/resources/read"

struct page {
    struct resource_filter filter;
    struct resource *items;
    size_t count;
    const char *after; /* NULL: the last page */
    struct filter_conditions conditions; /* on what is shown: a page may be empty, the next not */
};

/* What is shown of each, and under which name it is remembered. */
struct shape {
    const char *view;
    struct json_object *(*show)(struct call *c, const struct resource_type *type,
                                struct resource *r);
};

static int query(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct page *page = ctx;

    return resource_page(conn, a, &page->filter, &page->items, &page->count, &page->after, err);
}

static int read_paging(struct call *c, struct page *page, struct error *err)
{
    const char *top = http_query_nocase(c->req, "$top");
    uint64_t size = PAGE_MAX;

    if (top && (!text_parse_u64(top, &size) || size == 0))
        return fail(err, &E_INVALID_TOP, "Invalid $top '%.40s' specified in the query string.",
                    top);
    page->filter.limit = (int64_t)(size > PAGE_MAX ? PAGE_MAX : size);
    return call_skip_token(c, &page->filter.after_key, err);
}

/* 1 to show, 0 to leave out. */
static int may_see(struct call *c, const struct resource_type *type, const struct resource *r,
                   struct error *err)
{
    if (!c->is_partial)
        return 1;
    if (access_check(c->control, c->arena, &c->caller,
                     arena_printf(c->arena, "%s/read", type_rbac(type)), r->key, err) == 0)
        return 1;
    return err->code == &E_AUTHORIZATION_FAILED ? 0 : -1;
}

static void add_param(struct call *c, struct str *url, const char *name)
{
    const char *value = http_query_nocase(c->req, name);

    if (value && value[0])
        str_printf(url, "&%s=%s", name, text_percent_encode(c->arena, value));
}

/* NULL on the last page. */
static int next_link(struct call *c, const struct page *page, const char **ret, struct error *err)
{
    struct str url;
    int rc;

    *ret = NULL;
    if (!page->after)
        return 0;
    str_init(&url, URL_MAX_BYTES);
    str_puts(&url, call_url(c, c->req->path));
    add_param(c, &url, "$filter");
    add_param(c, &url, "$top");
    add_param(c, &url, "$expand");
    str_printf(&url, "&$skipToken=%s", text_base64url(c->arena, page->after, strlen(page->after)));
    rc = str_check(&url, err);
    if (rc == 0)
        *ret = str_copy(&url, c->arena);
    str_done(&url);
    return rc;
}

static struct json_object *whole(struct call *c, const struct resource_type *type,
                                 struct resource *r)
{
    return resource_encode(c->arena, c->control, type, c->api_version, r);
}

static void move(struct json_object *from, const char *key, struct json_object *to)
{
    struct json_object *value = json_at(from, key);

    if (value)
        json_set(to, key, json_get(value));
}

static void add_created(const struct resource *r, struct json_object *out)
{
    json_set_text(out, "createdTime", r->created_at);
}

static void add_changed(const struct resource *r, struct json_object *out)
{
    json_set_text(out, "changedTime", r->updated_at);
}

static void add_state(const struct resource *r, struct json_object *out)
{
    json_set_text(out, "provisioningState", state_name(r->state));
}

/* What $expand of /resources adds. */
static const struct {
    const char *word;
    void (*add)(const struct resource *r, struct json_object *out);
} expansions[] = {
    { "createdTime", add_created },
    { "changedTime", add_changed },
    { "provisioningState", add_state },
};

static bool is_expanded(struct call *c, size_t i)
{
    const char *expand = http_query_nocase(c->req, "$expand");

    return expand && strcasestr(expand, expansions[i].word);
}

/* What /resources tells of each: the envelope, and with $expand its times and state. */
static struct json_object *brief(struct call *c, const struct resource_type *type,
                                 struct resource *r)
{
    static const char *const members[] = { "id",   "name",     "type",     "sku",
                                           "kind", "location", "identity", "tags" };
    /* The newest version shows every member there is to pick from. */
    _cleanup_(json_putp) struct json_object *all =
        resource_encode(c->arena, c->control, type, type->api_versions[0], r);
    struct json_object *out = json_new_object();

    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        move(all, members[i], out);
    for (size_t i = 0; i < ARRAY_LEN(expansions); i++) {
        if (is_expanded(c, i))
            expansions[i].add(r, out);
    }
    return out;
}

/* Not an api-version: what is told here is the same in all of them. */
static const char *brief_view(struct call *c)
{
    char mask = '0';

    for (size_t i = 0; i < ARRAY_LEN(expansions); i++)
        mask = (char)(mask + (is_expanded(c, i) << i));
    return arena_printf(c->arena, "brief%c", mask);
}

/* The text of each item, as far as it is known; what has none is loaded and shown. */
struct texts {
    const struct page *page;
    const char **items; /* NULL: left out */
    size_t *lens;
    struct resource **unknown;
    size_t unknown_count;
};

static int load_unknown(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct texts *t = ctx;

    return resource_load(conn, a, t->unknown, t->unknown_count, err);
}

static int show_unknown(struct call *c, struct texts *t, const struct shape *shape,
                        struct error *err)
{
    if (t->unknown_count == 0)
        return 0;
    if (pg_with(c->control->db, c->arena, load_unknown, t, err))
        return -1;
    for (size_t i = 0; i < t->unknown_count; i++) {
        struct resource *r = t->unknown[i];
        size_t at = (size_t)(r - t->page->items);

        if (!r->uid)
            continue;
        t->items[at] = json_print_len(
            c->arena, json_own(c->arena, shape->show(c, type_find(r->type_key), r)), &t->lens[at]);
        shown_cache_put(c->arm->shown, r, shape->view, t->items[at], t->lens[at]);
    }
    return 0;
}

/* Leaves out what the type's own filter does not let through. */
static int drop_unfit(struct call *c, struct texts *t, struct error *err)
{
    const struct filter_conditions *conditions = &t->page->conditions;

    for (size_t i = 0; conditions->count > 0 && i < t->page->count; i++) {
        struct json_object *shown = NULL;

        if (!t->items[i])
            continue;
        if (json_parse_object(t->items[i], t->lens[i], ARM_BODY_MAX_BYTES, &shown, err))
            return wrap(err, "filter a list");
        if (!filter_holds(c->arena, conditions, json_own(c->arena, shown)))
            t->items[i] = NULL;
    }
    return 0;
}

static int collect(struct call *c, const struct page *page, const struct shape *shape,
                   struct texts *ret, struct error *err)
{
    struct arena *a = c->arena;
    struct texts t = { .page = page,
                       .items = arena_array(a, page->count + 1, sizeof(*t.items)),
                       .lens = arena_array(a, page->count + 1, sizeof(*t.lens)),
                       .unknown = arena_array(a, page->count + 1, sizeof(*t.unknown)) };
    const struct resource_type *type = NULL;

    for (size_t i = 0; i < page->count; i++) {
        struct resource *r = &page->items[i];
        bool is_same = i > 0 && text_eq(r->type_key, r[-1].type_key);
        int seen;

        type = is_same ? type : type_find(r->type_key);
        seen = type ? may_see(c, type, r, err) : 0;

        if (seen < 0)
            return -1;
        t.items[i] = seen ? shown_cache_get(c->arm->shown, a, r, shape->view, &t.lens[i]) : NULL;
        if (seen && !t.items[i])
            t.unknown[t.unknown_count++] = r;
    }
    *ret = t;
    return show_unknown(c, ret, shape, err) || drop_unfit(c, ret, err) ? -1 : 0;
}

static void put(char **at, const char *bytes, size_t len)
{
    memcpy(*at, bytes, len);
    *at += len;
}

static int reply_page(struct call *c, struct page *page, const struct shape *shape,
                      struct error *err)
{
    static const char head[] = "{\"value\":[", middle[] = "],\"nextLink\":", tail[] = "]}";
    const char *link = NULL;
    struct texts t;
    size_t size = sizeof(head) + sizeof(middle) + sizeof(tail);
    char *text, *at;

    if (collect(c, page, shape, &t, err) || next_link(c, page, &link, err))
        return -1;
    if (link)
        link = json_print(c->arena, json_own(c->arena, json_new_text(link)));
    for (size_t i = 0; i < page->count; i++)
        size += t.items[i] ? t.lens[i] + 1 : 0;
    text = at = arena_alloc(c->arena, size + (link ? strlen(link) : 0));
    put(&at, head, strlen(head));
    for (size_t i = 0; i < page->count; i++) {
        if (!t.items[i])
            continue;
        if (at[-1] != '[')
            *at++ = ',';
        put(&at, t.items[i], t.lens[i]);
    }
    if (link) {
        put(&at, middle, strlen(middle));
        put(&at, link, strlen(link));
        *at++ = '}';
    } else {
        put(&at, tail, strlen(tail));
    }
    reply_json_text(c, 200, text, (size_t)(at - text));
    return 0;
}

int list_access(struct call *c, const char *action, const char *scope, struct error *err)
{
    struct error other;
    int any;

    if (access_check(c->control, c->arena, &c->caller, action, scope, err) == 0)
        return 0;
    if (err->code != &E_AUTHORIZATION_FAILED)
        return -1;
    any = access_any(c->control, c->arena, &c->caller, scope, &other);
    if (any < 0)
        *err = other;
    c->is_partial = any > 0;
    return any > 0 ? 0 : -1;
}

enum stage_result encode_list(struct call *c, struct error *err)
{
    struct page page = {
        .filter = {
            .subscription_id = c->subscription.id,
            .group_key = c->id.group ? text_lower(c->arena, c->id.group) : NULL,
            .type_key = text_lower(c->arena, c->type->name),
            .parent_key = c->type->parent ? arm_id_key(c->arena, &c->id, c->id.depth - 1) : NULL,
        },
    };
    const struct shape shape = { c->api_version, whole };
    const char *filter = http_query_nocase(c->req, "$filter");

    if (c->type->derive)
        return derived_list(c, err);
    /* Groups are found by tag. */
    if (filter && filter[0] && c->type->scope == SCOPE_SUBSCRIPTION &&
        filter_parse(c->arena, filter, &page.filter, err))
        return STAGE_FAILED;
    if (filter && filter[0] && c->type->filters &&
        filter_parse_members(c->arena, filter, c->type->filters, &page.conditions, err))
        return STAGE_FAILED;
    if (read_paging(c, &page, err) || pg_with(c->control->db, c->arena, query, &page, err))
        return STAGE_FAILED;
    /* What stands above is looked for when nothing was found below it. */
    if (page.count == 0 && check_above(c, err))
        return STAGE_FAILED;
    return reply_page(c, &page, &shape, err) ? STAGE_FAILED : STAGE_ANSWERED;
}

static int list_all(struct call *c, struct page *page, struct error *err)
{
    const struct shape shape = { brief_view(c), brief };
    const char *filter = http_query_nocase(c->req, "$filter");
    const struct resource_type *type;

    page->filter.subscription_id = c->subscription.id;
    page->filter.is_top_level_only = true;
    if (filter && filter[0] && filter_parse(c->arena, filter, &page->filter, err))
        return -1;
    /* Children are listed only when their type is asked for. */
    type = page->filter.type_key ? type_find(page->filter.type_key) : NULL;
    if (type && type->scope == SCOPE_CHILD)
        page->filter.is_top_level_only = false;
    if (read_paging(c, page, err) || pg_with(c->control->db, c->arena, query, page, err))
        return -1;
    return reply_page(c, page, &shape, err);
}

static int run_subscription(struct call *c, struct error *err)
{
    struct page page = { 0 };

    if (list_access(c, endpoint_right(c),
                    arena_printf(c->arena, "/subscriptions/%s", c->subscription.id), err))
        return -1;
    return list_all(c, &page, err);
}

struct group_query {
    const char *key;
    int found;
};

static int find_group(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct group_query *q = ctx;
    struct resource *group = NULL;

    q->found = resource_by_key(conn, a, q->key, false, &group, err);
    return q->found < 0 ? -1 : 0;
}

static int run_group(struct call *c, struct error *err)
{
    const char *name = c->req->params[1];
    const char *scope =
        arena_printf(c->arena, "/subscriptions/%s/resourceGroups/%s", c->subscription.id, name);
    struct group_query group = { .key = text_lower(c->arena, scope) };
    struct page page = { .filter = { .group_key = text_lower(c->arena, name) } };

    if (list_access(c, endpoint_right(c), scope, err) ||
        pg_with(c->control->db, c->arena, find_group, &group, err))
        return -1;
    if (!group.found)
        return fail(err, &E_GROUP_NOT_FOUND, "Resource group '%.100s' could not be found.", name);
    return list_all(c, &page, err);
}

const struct endpoint subscription_resources = {
    .versions = resources_versions,
    .subscription = 1,
    .right = LIST_ACTION,
    .is_for_any = true,
    .description = "Resources of a subscription",
    .run = run_subscription,
};

const struct endpoint group_resources = {
    .versions = resources_versions,
    .subscription = 1,
    .right = LIST_ACTION,
    .is_for_any = true,
    .description = "Resources of a resource group",
    .run = run_group,
};
