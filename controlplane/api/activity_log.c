/* The activity log, newest first: an entry for every change that was accepted, one for its end where it went
 * on, and one for every change that was refused. */
#include "controlplane/api/activity_log.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/api/call.h"
#include "controlplane/api/errors.h"
#include "controlplane/store/insights.h"

#define PAGE_MAX       200
#define FILTER_MAX     2048
#define TOKEN_MAX      256
#define READ_ACTION    "Microsoft.Insights/eventtypes/values/read"

const char *const activity_log_versions[] = { "2017-03-01-preview", "2015-04-01", "2014-04-01", NULL };

struct work {
    struct event_filter filter;
    struct event_row *rows;
    size_t count;
};

/* The text in quotes after `term`, in a copy of the filter. */
static const char *term(struct call *c, const char *filter, const char *name)
{
    const char *at = strcasestr(filter, name), *open, *close;

    open = at ? strchr(at + strlen(name), '\'') : NULL;
    close = open ? strchr(open + 1, '\'') : NULL;
    return close ? arena_strndup(c->arena, open + 1, (size_t)(close - open - 1)) : NULL;
}

static int check_time(const char *text, struct error *err)
{
    int64_t ignored;

    if (!text || clock_parse(text, &ignored))
        return 0;
    return fail(err, &E_INVALID_FILTER, "'%.60s' is not a time.", text);
}

/* Clients write times with and without a zone; without one it is UTC. */
static const char *zoned(struct call *c, const char *text)
{
    int64_t ignored;

    if (!text || clock_parse(text, &ignored))
        return text;
    return arena_printf(c->arena, "%sZ", text);
}

static int read_filter(struct call *c, struct event_filter *f, struct error *err)
{
    const char *text = http_query_nocase(c->req, "$filter");
    const char *group, *provider, *resource;

    *f = (struct event_filter){ .subscription_id = c->subscription.id, .limit = PAGE_MAX + 1 };
    if (!text || !text[0])
        return 0;
    if (strlen(text) > FILTER_MAX)
        return fail(err, &E_INVALID_FILTER, "The filter is too long.");
    f->from = zoned(c, term(c, text, "eventTimestamp ge"));
    f->to = zoned(c, term(c, text, "eventTimestamp le"));
    f->correlation_id = term(c, text, "correlationId eq");
    f->caller = term(c, text, "caller eq");
    f->status = term(c, text, "status eq");
    group = term(c, text, "resourceGroupName eq");
    provider = term(c, text, "resourceProvider eq");
    resource = term(c, text, "resourceUri eq");
    if (!resource)
        resource = term(c, text, "resourceId eq");
    f->group_key = group ? text_lower(c->arena, group) : NULL;
    f->provider_key = provider ? text_lower(c->arena, provider) : NULL;
    f->resource_key = resource ? text_lower(c->arena, resource) : NULL;
    if (f->correlation_id && !uuid_is_valid(f->correlation_id))
        return fail(err, &E_INVALID_FILTER, "'%.60s' is not a correlation id.", f->correlation_id);
    return check_time(f->from, err) || check_time(f->to, err) ? -1 : 0;
}

static int read_token(struct call *c, struct event_filter *f, struct error *err)
{
    const char *token = http_query_nocase(c->req, "$skipToken");
    char **parts = NULL;
    int64_t ignored;
    size_t len = 0;

    if (!token || !token[0])
        return 0;
    token = strlen(token) <= TOKEN_MAX
                ? (const char *)text_unbase64(c->arena, token, strlen(token), &len)
                : NULL;
    if (!token || text_split(c->arena, token, '|', &parts) != 2 ||
        !clock_parse(parts[0], &ignored) || !uuid_is_valid(parts[1]))
        return fail(err, &E_INVALID_SKIP_TOKEN, "The $skipToken is not one of this service's.");
    f->before_at = parts[0];
    f->before_id = parts[1];
    return 0;
}

/* Whoever may read a group's or a resource's log may ask for just that. */
static int authorise(struct call *c, const struct event_filter *f, struct error *err)
{
    const char *scope = arena_printf(c->arena, "/subscriptions/%s", c->subscription.id);

    if (f->resource_key && text_starts_nocase(f->resource_key, scope))
        scope = f->resource_key;
    else if (f->group_key)
        scope = arena_printf(c->arena, "%s/resourceGroups/%s", scope, f->group_key);
    return access_check(c->control, c->arena, &c->caller, endpoint_right(c), scope, err);
}

static void set_pair(struct json_object *out, const char *name, const char *value)
{
    struct json_object *pair = json_new_object();

    json_set_text(pair, "value", value);
    json_set_text(pair, "localizedValue", value);
    json_set(out, name, pair);
}

/* Why it failed, in the words that clients look for. */
static void show_reason(struct call *c, const struct event_row *row, struct json_object *out)
{
    int status = (int)json_int(row->details, "status", 0);
    struct json_object *properties = json_new_object(), *why, *body;
    const char *code = json_text(row->details, "code"), *name = "";

    json_set(out, "properties", properties);
    if (status) {
        name = error_status_name(status);
        json_set_text(properties, "statusCode", name);
    }
    set_pair(out, "subStatus", name);
    if (!code)
        return;
    body = json_own(c->arena, json_new_object());
    why = json_new_object();
    json_set_text(why, "code", code);
    json_set_text(why, "message", json_text(row->details, "message"));
    json_set(body, "error", why);
    json_set_text(properties, "statusMessage", json_print(c->arena, body));
}

static struct json_object *show(struct call *c, const struct event_row *row)
{
    struct json_object *out = json_new_object(), *authorization = json_new_object();
    const char *slash = strchr(row->operation_name, '/'), *last = strrchr(row->operation_name, '/');

    json_set_text(authorization, "action", row->operation_name);
    json_set_text(authorization, "scope", row->resource_id);
    json_set(out, "authorization", authorization);
    json_set_text(out, "caller", row->caller_name ? row->caller_name : row->caller_id);
    json_set_text(out, "channels", "Operation");
    json_set(out, "claims", json_new_object());
    json_set_text(out, "correlationId", row->correlation_id);
    json_set_text(out, "description", "");
    json_set_text(out, "eventDataId", row->id);
    set_pair(out, "eventName", text_eq(row->status, "Accepted") ? "BeginRequest" : "EndRequest");
    set_pair(out, "category", "Administrative");
    json_set_text(out, "id", arena_printf(c->arena, "%s/events/%s", row->resource_id, row->id));
    json_set_text(out, "level", text_eq(row->status, "Failed") ? "Error" : "Informational");
    json_set_text(out, "resourceGroupName", row->group_key ? row->group_key : "");
    if (slash)
        set_pair(out, "resourceProviderName",
                 arena_strndup(c->arena, row->operation_name,
                               (size_t)(slash - row->operation_name)));
    json_set_text(out, "resourceId", row->resource_id);
    if (last)
        set_pair(out, "resourceType",
                 arena_strndup(c->arena, row->operation_name,
                               (size_t)(last - row->operation_name)));
    json_set_text(out, "operationId", row->operation_id ? row->operation_id : row->correlation_id);
    set_pair(out, "operationName", row->operation_name);
    set_pair(out, "status", row->status);
    show_reason(c, row, out);
    json_set_text(out, "eventTimestamp", row->at);
    json_set_text(out, "submissionTimestamp", row->at);
    json_set_text(out, "subscriptionId", c->subscription.id);
    json_set_text(out, "tenantId", row->tenant_id);
    if (row->client_address) {
        struct json_object *http = json_new_object();

        json_set_text(http, "clientIpAddress", row->client_address);
        json_set(out, "httpRequest", http);
    }
    return out;
}

static int list(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct work *w = ctx;

    return event_list(conn, a, &w->filter, &w->rows, &w->count, err);
}

static int run(struct call *c, struct error *err)
{
    struct work w = { .count = 0 };
    struct json_object *body = json_own(c->arena, json_new_object()), *value;
    const char *filter = http_query_nocase(c->req, "$filter"), *token;

    if (read_filter(c, &w.filter, err) || read_token(c, &w.filter, err) ||
        authorise(c, &w.filter, err) || pg_with(c->control->db, c->arena, list, &w, err))
        return -1;
    value = json_new_array();
    for (size_t i = 0; i < w.count && i < PAGE_MAX; i++)
        json_add(value, show(c, &w.rows[i]));
    json_set(body, "value", value);
    if (w.count > PAGE_MAX) {
        token = arena_printf(c->arena, "%s|%s", w.rows[PAGE_MAX - 1].at, w.rows[PAGE_MAX - 1].id);
        json_set_text(body, "nextLink",
                      arena_printf(c->arena, "%s%s%s&$skipToken=%s", call_url(c, c->req->path),
                                   filter ? "&$filter=" : "",
                                   filter ? text_percent_encode(c->arena, filter) : "",
                                   text_base64url(c->arena, token, strlen(token))));
    }
    reply_json(c, 200, body);
    return 0;
}

const struct endpoint activity_log = { .versions = activity_log_versions,
                                       .subscription = 1,
                                       .right = READ_ACTION,
                                       .description = "The activity log of a subscription",
                                       .run = run };
