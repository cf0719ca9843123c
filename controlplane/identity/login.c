/* The login host: its route table, its errors in OAuth's form, its access log. */
#include "controlplane/identity/login.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/identity/openid_paths.h"
#include "controlplane/store/identity.h"

#define FORM_MAX 65536

const struct login_error LOGIN_BAD_REQUEST = { "invalid_request", 900144, 400 };
const struct login_error LOGIN_MISSING_PARAMETER = { "invalid_request", 900144, 400 };
const struct login_error LOGIN_NO_TENANT = { "invalid_tenant", 90002, 400 };
const struct login_error LOGIN_NO_PATH = { "invalid_request", 900561, 404 };

static const struct login_error no_method = { "invalid_request", 900561, 405 };
static const struct login_error away = { "temporarily_unavailable", 90033, 503 };
static const struct login_error broken = { "server_error", 90000, 500 };

void login_reply(struct http_request *req, int status, struct json_object *body)
{
    size_t len = 0;
    char *text = json_print_len(req->arena, body, &len);
    json_put(body);
    http_reply_header(req, "Cache-Control", "no-store");
    http_reply_header(req, "Pragma", "no-cache");
    http_reply_header(req, "x-ms-request-id", req->id);
    http_reply_bytes(req, status, "application/json; charset=utf-8", text, len);
}

/* "2026-11-20 22:52:13Z", as the directory's errors have it. */
static const char *timestamp(struct arena *a)
{
    char *text = clock_rfc3339(a, clock_wall_us());
    char *t = strchr(text, 'T');
    if (t)
        *t = ' ';
    return text;
}

static const char *correlation_id(const struct http_request *req)
{
    const char *given = http_header(req, "client-request-id");
    return given && uuid_is_valid(given) ? given : req->id;
}

static void reply_error(struct http_request *req, const struct login_error *e, const char *text)
{
    const char *time = timestamp(req->arena), *correlation = correlation_id(req);
    struct json_object *body = json_new_object(), *codes = json_new_array();
    json_set_text(body, "error", e->name);
    json_set_text(body, "error_description",
                  arena_printf(req->arena,
                               "AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
                               e->number, text, req->id, correlation, time));
    json_add(codes, json_new_int(e->number));
    json_set(body, "error_codes", codes);
    json_set_text(body, "timestamp", time);
    json_set_text(body, "trace_id", req->id);
    json_set_text(body, "correlation_id", correlation);
    login_reply(req, e->status, body);
}

void login_fail(struct http_request *req, const struct login_error *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const char *text = arena_vprintf(req->arena, fmt, ap);
    va_end(ap);
    /* All that is kept with a request of this host: why it was refused, for the log. */
    if (e->status == 401 || e->status == 403)
        req->plane = arena_printf(req->arena, "AADSTS%d: %.400s", e->number, text);
    reply_error(req, e, text);
}

void login_fail_error(struct http_request *req, const struct error *err)
{
    log_failure(LOG_ERROR, "login.failed", err);
    if (err->code->status == 503 || err->code->status == 504) {
        http_reply_header(req, "Retry-After", "1");
        login_fail(req, &away, "The directory cannot be reached right now.");
        return;
    }
    login_fail(req, &broken, "The directory could not answer.");
}

struct tenant_query {
    const char *name;
    struct tenant_row row;
    int found;
};

static int read_tenant(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct tenant_query *q = ctx;
    q->found = identity_tenant(conn, a, q->name, &q->row, err);
    return q->found < 0 ? -1 : 0;
}

const char *login_tenant(struct http_request *req, const struct openid_path *path)
{
    const struct control *control = req->app;
    if (path->is_any_tenant || text_eq_nocase(path->tenant, control->tenant_id))
        return control->tenant_id;
    struct tenant_query q = { .name = path->tenant };
    struct error err;
    if (pg_with(control->db, req->arena, read_tenant, &q, &err) != 0) {
        login_fail_error(req, &err);
        return NULL;
    }
    if (q.found)
        return q.row.id;
    login_fail(req, &LOGIN_NO_TENANT, "Tenant '%s' not found.", path->tenant);
    return NULL;
}

static void serve(struct http_request *req)
{
    struct openid_path path;
    bool is_post = text_eq(req->method, "POST");
    if (!openid_path_parse(req->arena, req->path, &path)) {
        login_fail(req, &LOGIN_NO_PATH, "There is nothing at this address.");
        return;
    }
    bool wants_post = path.endpoint == OPENID_TOKEN || path.endpoint == OPENID_DEVICE_CODE;
    bool is_page = path.endpoint == OPENID_AUTHORIZE || path.endpoint == OPENID_DEVICE;
    if (is_post != wants_post && !is_page) {
        http_reply_header(req, "Allow", wants_post ? "POST" : "GET, HEAD");
        login_fail(req, &no_method, "The endpoint does not accept this method.");
        return;
    }
    switch (path.endpoint) {
    case OPENID_CONFIGURATION:
        openid_configuration(req, &path);
        return;
    case OPENID_KEYS:
        openid_keys(req, &path);
        return;
    case OPENID_TOKEN:
        token_endpoint(req, &path);
        return;
    case OPENID_INSTANCE:
        openid_instance(req, &path);
        return;
    case OPENID_AUTHORIZE:
        authorize_page(req, &path);
        return;
    case OPENID_DEVICE:
        device_page(req);
        return;
    case OPENID_EXTERNAL:
        external_page(req);
        return;
    case OPENID_DEVICE_CODE:
        device_code_endpoint(req, &path);
        return;
    case OPENID_USER_REALM:
        openid_user_realm(req, &path);
        return;
    case OPENID_ENDPOINT_MAX:
        break;
    }
    abort();
}

static const struct http_route routes[] = {
    { .method = "GET",
      .pattern = "/{path*}",
      .body = HTTP_BODY_NONE,
      .run = serve,
      .deadline_ms = 15000 },
    { .method = "HEAD",
      .pattern = "/{path*}",
      .body = HTTP_BODY_NONE,
      .run = serve,
      .deadline_ms = 15000 },
    { .method = "POST",
      .pattern = "/{path*}",
      .body = HTTP_BODY_BUFFER,
      .max_body = FORM_MAX,
      .run = serve,
      .deadline_ms = 15000 },
    { 0 },
};

static void missing(struct http_request *req, bool is_method_wrong)
{
    if (is_method_wrong)
        login_fail(req, &no_method, "The endpoint does not accept this method.");
    else
        login_fail(req, &LOGIN_NO_PATH, "There is nothing at this address.");
}

/* What the server itself refuses: malformed targets, bodies too large, too much work. */
static void fault(struct http_request *req, const struct error *err)
{
    const struct login_error e = {
        .name = err->code->status >= 500 || err->code->status == 429 ? "temporarily_unavailable"
                                                                     : "invalid_request",
        .number = err->code->status >= 500 ? 90033 : 900144,
        .status = err->code->status,
    };
    login_fail(req, &e, "%s", err->message);
}

static void done(struct http_request *req)
{
    struct log_line l;

    http_log_start(&l, "login.request", req);
    log_text(&l, "rule", req->plane);
    log_end(&l);
}

void identity_app(struct control *control, struct http_app *ret)
{
    *ret = (struct http_app){
        .routes = routes, .missing = missing, .fault = fault, .done = done, .ctx = control
    };
}
