/* The storage host's routes: who may pass, and errors in a blob service's form. A signature is checked
 * before a body is read. */
#include "controlplane/storage/storage.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/pg/pg.h"

#include "controlplane/storage/call.h"

#define SERVICE_VERSION "2024-11-04"
#define UPLOAD_DEADLINE_MS 3600000

const struct error_code E_BLOB_NOT_FOUND = { "BlobNotFound", 404 };
const struct error_code E_BLOB_HEADER = { "InvalidHeaderValue", 400 };
const struct error_code E_BLOB_UNSUPPORTED = { "UnsupportedHeader", 400 };
const struct error_code E_BLOB_QUERY = { "InvalidQueryParameterValue", 400 };
static const struct error_code E_NO_PLACE = { "ResourceNotFound", 404 };
static const struct error_code E_VERB = { "UnsupportedHttpVerb", 405 };

static const struct http_route routes[] = {
    { .method = "PUT", .pattern = "/{container}/{blob*}", .body = HTTP_BODY_STREAM,
      .sink = &storage_upload, .deadline_ms = UPLOAD_DEADLINE_MS },
    { .method = "GET", .pattern = "/{container}/{blob*}", .run = storage_serve_log },
    { .method = "HEAD", .pattern = "/{container}/{blob*}", .run = storage_serve_log },
    { 0 },
};

/* What the layers below call it, as storage clients know it; the rest keeps its own name. */
static const struct {
    int status;
    const char *name;
} neutral_names[] = {
    { 400, "InvalidInput" },  { 413, "RequestBodyTooLarge" }, { 500, "InternalError" },
    { 503, "ServerBusy" },    { 504, "OperationTimedOut" },   { 507, "ServerBusy" },
};

struct storage_call *storage_call_of(const struct http_request *req)
{
    return req->plane;
}

void storage_headers(struct http_request *req)
{
    const char *id = http_header(req, "x-ms-client-request-id");

    http_reply_header(req, "x-ms-version", SERVICE_VERSION);
    if (id)
        http_reply_header(req, "x-ms-client-request-id", id);
}

static const char *code_name(const struct error_code *code)
{
    bool is_neutral = code == &E_INTERNAL || code == &E_INVALID || code == &E_TOO_LARGE ||
                      code == &E_UNAVAILABLE || code == &E_TIMEOUT || code == &E_NO_SPACE;

    for (size_t i = 0; is_neutral && i < ARRAY_LEN(neutral_names); i++) {
        if (neutral_names[i].status == code->status)
            return neutral_names[i].name;
    }
    return code->name;
}

static const char *escaped(struct arena *a, const char *text)
{
    _cleanup_(str_done) struct str out;

    str_init(&out, 8 * sizeof(((struct error *)NULL)->message));
    for (; *text; text++) {
        if (strchr("<>&\"'", *text))
            str_printf(&out, "&#%d;", *text);
        else if ((unsigned char)*text >= ' ')
            str_putc(&out, *text);
    }
    return str_copy(&out, a);
}

void storage_reply_error(struct http_request *req, const struct error *err)
{
    struct storage_call *call = storage_call_of(req);
    const char *name = code_name(err->code), *now = clock_rfc3339(req->arena, clock_wall_us());
    int status = err->code->status == 507 ? 503 : err->code->status;
    const char *text = arena_printf(req->arena,
                                    "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code>"
                                    "<Message>%s\nRequestId:%s\nTime:%s</Message></Error>",
                                    name, escaped(req->arena, err->message), req->id, now);

    if (err->code->status >= 500)
        log_failure(LOG_ERROR, "storage.failed", err);
    if (call)
        call->refusal = arena_printf(req->arena, "%s: %.400s", name, err->message);
    storage_headers(req);
    http_reply_header(req, "x-ms-error-code", name);
    if (status == 503)
        http_reply_header(req, "Retry-After", "1");
    http_reply_bytes(req, status, "application/xml", text, strlen(text));
}

/* One value, or NULL: what is said twice says nothing. */
static const char *once(struct http_request *req, const char *name)
{
    const char **values = NULL;

    return http_query_all(req, name, &values) == 1 ? values[0] : NULL;
}

static int check_link(struct http_request *req, const struct storage_call *call, struct error *err)
{
    const struct link_query query = { .version = once(req, "sv"), .resource = once(req, "sr"),
                                      .right = once(req, "sp"), .expiry = once(req, "se"),
                                      .signature = once(req, "sig") };

    if (!text_eq(req->host, link_host(req->arena, call->control)))
        return fail(err, &E_NO_PLACE, "There is no storage account at '%.200s'.", req->host);
    return link_check(req->arena, call->control, &call->link, &query, clock_wall_us(), err);
}

static void admit(struct http_request *req)
{
    struct storage_call *call = ARENA_NEW(req->arena, struct storage_call);
    struct error err;

    call->control = req->app;
    req->plane = call;
    if (!req->route)
        return;
    call->link = (struct link){ .container = req->params[0],
                                .blob = req->params[1],
                                .right = text_eq(req->method, "PUT") ? LINK_WRITE : LINK_READ };
    if (check_link(req, call, &err))
        storage_reply_error(req, &err);
}

static int read_registry(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct storage_call *call = ctx;

    call->registry = NULL;
    return resource_by_uid(conn, a, call->link.container, false, &call->registry, err) < 0 ? -1 : 0;
}

/* The container's name was signed by us; only then can it be a uid. */
int storage_find_registry(struct http_request *req, struct error *err)
{
    struct storage_call *call = storage_call_of(req);

    if (uuid_is_valid(call->link.container) &&
        pg_with(call->control->db, req->arena, read_registry, call, err))
        return wrap(err, "registry of a blob");
    if (!call->registry || call->registry->state == STATE_DELETING)
        return fail(err, &E_BLOB_NOT_FOUND, "The specified blob does not exist.");
    return 0;
}

static void missing(struct http_request *req, bool is_method_wrong)
{
    struct error err;

    if (is_method_wrong)
        (void)fail(&err, &E_VERB, "The resource doesn't support the HTTP verb of the request.");
    else
        (void)fail(&err, &E_NO_PLACE, "The specified resource does not exist.");
    storage_reply_error(req, &err);
}

static void done(struct http_request *req)
{
    const struct storage_call *call = storage_call_of(req);
    struct log_line l;

    http_log_start(&l, "storage.request", req);
    log_text(&l, "rule", call ? call->refusal : NULL);
    log_end(&l);
}

void storage_app(struct control *control, struct http_app *ret)
{
    *ret = (struct http_app){ .routes = routes,
                              .id_header = "x-ms-request-id",
                              .admit = admit,
                              .missing = missing,
                              .fault = storage_reply_error,
                              .done = done,
                              .has_slow_writes = true,
                              .takes_encoded_slashes = true,
                              .ctx = control };
}
