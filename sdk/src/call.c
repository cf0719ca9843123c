/* Requests for any resource: the verbs, and lists page after page. */
#include "sdk/src/internal.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"

#define PAGES_MAX 100000

/* Path and query as one URL, with an api-version in it. */
static int make_url(struct portolan *p, struct arena *a, const char *path, const char *api_version,
                    char **ret, struct error *err)
{
    const char *version = api_version;

    if (!path || path[0] != '/' || strpbrk(path, " #\r\n\t"))
        return fail_at(err, &E_INVALID, "path", "'%s' is not the path of a resource.",
                       path ? path : "");
    *ret = arena_printf(a, "%s%s", p->management, path);
    if (strcasestr(path, "api-version="))
        return 0;
    if (!version && sdk_api_version(p, a, path, &version, err))
        return -1;
    *ret = arena_printf(a, "%s%sapi-version=%s", *ret, strchr(path, '?') ? "&" : "?",
                        text_percent_encode(a, version));
    return 0;
}

int sdk_run(struct portolan *p, struct arena *a, const struct portolan_request *request, char **ret,
            struct error *err)
{
    const char *method = request->method ? request->method : "GET";
    struct client_response reply;
    char *url = NULL;

    if (make_url(p, a, request->path, request->api_version, &url, err) ||
        sdk_exchange(p, a, method, url, request->body, &reply, err))
        return -1;
    if (!request->no_wait && !text_eq(method, "GET") && !text_eq(method, "HEAD") &&
        sdk_follow(p, a, method, url, &reply, err))
        return -1;
    *ret = reply.body;
    return 0;
}

int portolan_call(struct portolan *p, const struct portolan_request *request, char **ret,
                  struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error why;
    char *body;

    return sdk_run(p, a, request, &body, &why) ? sdk_report(&why, err) : sdk_give(body, ret);
}

int portolan_show(struct portolan *p, const char *id, char **ret, struct portolan_error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct portolan_request request = { .method = "GET", .path = id };
    struct error why;
    char *body;

    if (sdk_run(p, a, &request, &body, &why))
        return why.code->status == 404 ? 0 : sdk_report(&why, err);
    (void)sdk_give(body, ret);
    return 1;
}

static int verb(struct portolan *p, const char *method, const char *id, const char *body,
                char **ret, struct portolan_error *err)
{
    struct portolan_request request = { .method = method, .path = id, .body = body };

    return portolan_call(p, &request, ret, err);
}

int portolan_put(struct portolan *p, const char *id, const char *body, char **ret,
                 struct portolan_error *err)
{
    return verb(p, "PUT", id, body, ret, err);
}

int portolan_patch(struct portolan *p, const char *id, const char *body, char **ret,
                   struct portolan_error *err)
{
    return verb(p, "PATCH", id, body, ret, err);
}

int portolan_delete(struct portolan *p, const char *id, struct portolan_error *err)
{
    return verb(p, "DELETE", id, NULL, NULL, err);
}

int portolan_act(struct portolan *p, const char *path, const char *body, char **ret,
                 struct portolan_error *err)
{
    return verb(p, "POST", path, body, ret, err);
}

/* Lists --------------------------------------------------------------------------------------- */

/* One page: 1 go on with *url, 0 that was the last, -1. */
static int read_page(struct portolan *p, struct arena *a, char **url,
                     int (*each)(void *ctx, const char *item), void *ctx, struct error *err)
{
    struct client_response reply;
    struct json_object *body = NULL, *items;
    const char *next;

    if (sdk_exchange(p, a, "GET", *url, NULL, &reply, err))
        return -1;
    if (json_parse_object(reply.body, reply.body_len, SDK_REPLY_MAX_BYTES, &body, err))
        return wrap(err, "page");
    json_own(a, body);
    items = json_at(body, "value");
    if (!items)
        return fail(err, &E_INVALID, "The answer is not a list.");
    for (size_t i = 0; i < json_count(items); i++)
        if (each(ctx, json_print(a, json_item(items, i))))
            return 0;
    next = json_text(body, "nextLink");
    if (!next || !*next)
        return 0;
    *url = arena_strdup(a, next);
    return 1;
}

int portolan_list(struct portolan *p, const char *path, const char *api_version,
                  int (*each)(void *ctx, const char *item), void *ctx, struct portolan_error *err)
{
    /* Two arenas take turns: the address of a page is in that of the page before. */
    _cleanup_(arena_freep) struct arena *even = arena_new();
    _cleanup_(arena_freep) struct arena *odd = arena_new();
    struct error why;
    char *url = NULL;
    int more = make_url(p, odd, path, api_version, &url, &why) ? -1 : 1;

    for (int page = 0; more > 0 && page < PAGES_MAX; page++) {
        struct arena *a = page % 2 ? odd : even;

        arena_reset(a);
        more = read_page(p, a, &url, each, ctx, &why);
    }
    return more < 0 ? sdk_report(&why, err) : 0;
}
