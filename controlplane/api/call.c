/* What every ARM request needs: its ids and headers, who calls, which version, which subscription,
 * and the two forms of an answer. */
#include "controlplane/api/call.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"

#include "controlplane/api/endpoint.h"
#include "controlplane/api/errors.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/api/refusal.h"
#include "controlplane/api/subscription_cache.h"
#include "controlplane/api/rate_limit.h"
#include "controlplane/types/all.h"

#define JSON_TYPE   "application/json; charset=utf-8"
#define DETAILS_MAX 20

/* On every answer, as ARM sends them. */
static const struct {
    const char *name, *value;
} fixed_headers[] = {
    { "cache-control", "no-cache" },
    { "pragma", "no-cache" },
    { "expires", "-1" },
    { "strict-transport-security", "max-age=31536000; includeSubDomains" },
    { "x-content-type-options", "nosniff" },
};

/* Neutral codes under the names ARM clients know. */
static const struct {
    const struct error_code *code;
    const char *name;
} arm_names[] = {
    { &E_UNAUTHENTICATED, "AuthenticationFailed" },
    { &E_FORBIDDEN, "AuthorizationFailed" },
    { &E_TOO_LARGE, "RequestContentTooLarge" },
    { &E_NO_SPACE, "InternalServerError" },
};

static const char *code_name(const struct error_code *code)
{
    for (size_t i = 0; i < ARRAY_LEN(arm_names); i++) {
        if (arm_names[i].code == code)
            return arm_names[i].name;
    }
    return code->name;
}

static void set_headers(struct call *c)
{
    struct http_request *req = c->req;
    const char *client_id = http_header(req, "x-ms-client-request-id");

    for (size_t i = 0; i < ARRAY_LEN(fixed_headers); i++)
        http_reply_header(req, fixed_headers[i].name, fixed_headers[i].value);
    http_reply_header(req, "x-ms-request-id", req->id);
    http_reply_header(req, "x-ms-correlation-request-id", c->correlation_id);
    http_reply_headerf(req, "x-ms-routing-request-id", "PORTOLAN:%s:%s",
                       clock_rfc3339(req->arena, clock_wall_us()), req->id);
    if (client_id && strlen(client_id) <= 128 &&
        text_eq_nocase(http_header(req, "x-ms-return-client-request-id"), "true"))
        http_reply_header(req, "x-ms-client-request-id", client_id);
}

struct call *call_of(struct http_request *req)
{
    struct call *c = req->plane;
    const char *correlation = http_header(req, "x-ms-correlation-request-id");

    if (c)
        return c;
    c = ARENA_NEW(req->arena, struct call);
    c->req = req;
    c->arena = req->arena;
    c->arm = req->app;
    c->control = c->arm->control;
    c->correlation_id = correlation && uuid_is_valid(correlation) ? correlation : req->id;
    req->plane = c;
    set_headers(c);
    return c;
}

int call_authenticate(struct call *c, struct error *err)
{
    if (c->is_authenticated)
        return 0;
    if (identity_authenticate(c->control, c->req, &c->caller, &c->challenge, err))
        return -1;
    c->is_authenticated = true;
    return 0;
}

/* Local requests are made of JSON that was parsed here. */
int call_media_type(struct call *c, struct error *err)
{
    static const char *const known[] = { "application/json", "text/json" };
    const char *type = http_header(c->req, "Content-Type");
    size_t len = type ? strcspn(type, "; \t") : 0;

    if (c->is_local || c->req->body_len == 0)
        return 0;
    for (size_t i = 0; type && i < ARRAY_LEN(known); i++) {
        if (len == strlen(known[i]) && text_starts_nocase(type, known[i]))
            return 0;
    }
    /* A suffix tells that it is JSON as well: merge patches are sent so. */
    if (type && len > strlen("+json") && text_starts_nocase(type + len - strlen("+json"), "+json"))
        return 0;
    return fail(err, &E_MEDIA_TYPE,
                "The content media type '%.100s' is not supported. Only 'application/json' is "
                "supported.",
                type ? arena_strndup(c->arena, type, len) : "<null>");
}

static char *join(struct arena *a, const char *const *items)
{
    struct str s;
    char *copy;

    str_init(&s, 900); /* an error message has room for no more */
    for (size_t i = 0; items[i]; i++)
        str_printf(&s, "%s%s", i ? "," : "", items[i]);
    copy = str_copy(&s, a);
    str_done(&s);
    return copy;
}

int call_api_version(struct call *c, const char *const *versions, struct error *err)
{
    const char *version = http_query_nocase(c->req, "api-version");

    if (!version || !version[0])
        return fail(err, &E_API_VERSION_MISSING,
                    "The api-version query parameter (?api-version=) is required for all "
                    "requests.");
    if (!type_has_version(versions, version))
        return fail(err, &E_API_VERSION_INVALID,
                    "The api-version '%.64s' is invalid. The supported versions are '%s'.", version,
                    join(c->arena, versions));
    c->api_version = text_lower(c->arena, version);
    return 0;
}

int call_skip_token(struct call *c, const char **ret, struct error *err)
{
    const char *token = http_query_nocase(c->req, "$skipToken");
    const char *text = NULL;
    size_t len = 0;

    if (!token || !token[0])
        return 0;
    if (strlen(token) <= 2 * ARM_ID_MAX_BYTES)
        text = (const char *)text_unbase64(c->arena, token, strlen(token), &len);
    if (!text || strlen(text) != len || !text_is_utf8(text, len))
        return fail(err, &E_INVALID_SKIP_TOKEN, "The $skipToken is not one of this service's.");
    *ret = text;
    return 0;
}

/* Takes one of what the identity, or with NULL all of them together, has in the subscription; tells what is
 * left. True when there was none. */
static bool is_too_many(struct call *c, const char *identity, const char *global)
{
    enum rate_kind kind = rate_kind_of(c->req->method);
    int64_t left;

    c->retry_after_s = rate_limiter_take(c->arm->rate_limiter, c->subscription.id, identity, kind,
                                         clock_mono_us(), &left);
    if (left >= 0)
        http_reply_headerf(c->req,
                           arena_printf(c->arena, "x-ms-ratelimit-remaining-subscription-%s%s",
                                        global, rate_kind_text(kind)),
                           "%lld", (long long)left);
    return c->retry_after_s > 0;
}

static int count_request(struct call *c, struct error *err)
{
    const char *kind = rate_kind_text(rate_kind_of(c->req->method));

    if (c->is_local || c->has_subscription)
        return 0;
    if (is_too_many(c, c->caller.object_id, ""))
        return fail(err, &E_THROTTLED,
                    "The client '%s' has made as many %s in the subscription '%s' as it may in a "
                    "minute. Try again after %d seconds.",
                    c->caller.object_id, kind, c->subscription.id, c->retry_after_s);
    if (is_too_many(c, NULL, "global-"))
        return fail(err, &E_THROTTLED,
                    "All clients together have made as many %s in the subscription '%s' as they may "
                    "in a minute. Try again after %d seconds.",
                    kind, c->subscription.id, c->retry_after_s);
    return 0;
}

int call_subscription(struct call *c, const char *id, struct error *err)
{
    int found = 0;

    if (!uuid_is_valid(id))
        return fail(err, &E_INVALID_SUBSCRIPTION,
                    "The provided subscription identifier '%.64s' is malformed or invalid.", id);
    found = subscription_cache_get(c->arm->subscriptions, c->control->db, c->arena, id, false,
                                   &c->subscription, err);
    if (found < 0)
        return -1;
    if (!found || !text_eq_nocase(c->subscription.tenant_id, c->caller.tenant_id))
        return fail(err, &E_SUBSCRIPTION_NOT_FOUND, "The subscription '%s' could not be found.",
                    id);
    if (count_request(c, err))
        return -1;
    c->has_subscription = true;
    return 0;
}

void reply_json(struct call *c, int status, const struct json_object *value)
{
    size_t len = 0;
    char *text = json_print_len(c->arena, value, &len);

    reply_json_text(c, status, text, len);
}

/* Whether the request asks if one thing is there: clients expect 204 for yes. */
static bool is_presence(const struct call *c)
{
    const struct endpoint *e = c->req->route ? c->req->route->plane : NULL;

    return text_eq(c->req->method, "HEAD") &&
           (e ? e->is_item : c->verb && c->verb->target == TARGET_ITEM);
}

void reply_json_text(struct call *c, int status, const char *text, size_t len)
{
    if (status == 200 && is_presence(c)) {
        http_reply_empty(c->req, 204);
        return;
    }
    http_reply_bytes(c->req, status, JSON_TYPE, text, len);
}

static struct json_object *error_body(const struct error *err)
{
    struct json_object *body = json_new_object();
    struct json_object *error = json_new_object();
    struct json_object *details;
    size_t count = 0;

    json_set_text(error, "code", code_name(err->code));
    json_set_text(error, "message", err->message);
    if (err->target[0])
        json_set_text(error, "target", err->target);
    if (err->details) {
        details = json_new_array();
        for (const struct error_detail *d = err->details; d && count < DETAILS_MAX; d = d->next) {
            struct json_object *detail = json_new_object();

            json_set_text(detail, "code", code_name(d->code));
            json_set_text(detail, "message", d->message);
            if (d->target)
                json_set_text(detail, "target", d->target);
            json_add(details, detail);
            count++;
        }
        json_set(error, "details", details);
    }
    json_set(body, "error", error);
    return body;
}

void reply_failure(struct http_request *req, const struct error *err)
{
    struct call *c = call_of(req);
    _cleanup_(json_putp) struct json_object *body = error_body(err);
    struct log_line line;

    if (err->code->status >= 500) {
        log_start(&line, LOG_ERROR, "request_failed");
        log_text(&line, "request", req->id);
        log_text(&line, "code", err->code->name);
        log_text(&line, "message", err->message);
        log_text(&line, "cause", err->cause);
        log_end(&line);
    }
    if (err->code->status == 401 || err->code->status == 403)
        c->rule = arena_printf(c->arena, "%s: %.400s", err->code->name, err->message);
    if (err->code->status == 401 && c->challenge)
        http_reply_header(req, "WWW-Authenticate", c->challenge);
    if (err->code->status == 503 || err->code->status == 429)
        http_reply_headerf(req, "Retry-After", "%d", c->retry_after_s > 0 ? c->retry_after_s : 1);
    refusal_note(c, err->code->status, json_at(body, "error"));
    if (c->is_at_provider)
        json_set_text(body, "status", "Failed");
    reply_json(c, err->code->status, body);
}

char *call_url(struct call *c, const char *path)
{
    return arena_printf(c->arena, "%s%s?api-version=%s", c->control->management_url, path,
                        c->api_version);
}
