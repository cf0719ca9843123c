/* Replies. A reply call makes libmicrohttpd's response on whatever thread the handler runs; the
 * event thread queues it. */
#include "common/http/exchange.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/http/local.h"
#include "common/http/source.h"

#define RETRY_AFTER_S "1"

static bool is_head(const struct http_request *req)
{
    return strcmp(req->method, "HEAD") == 0;
}

static bool is_bodiless(const struct http_request *req, int status)
{
    return is_head(req) || status < 200 || status == 204 || status == 304;
}

/* For replies whose body is told but not sent. */
static ssize_t never_read(void *cls, uint64_t at, char *buf, size_t max)
{
    (void)cls;
    (void)at;
    (void)buf;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *response_of_length(uint64_t len)
{
    return MHD_create_response_from_callback(len, 16, never_read, NULL, NULL);
}

static struct MHD_Response *response_of_bytes(const void *bytes, size_t len)
{
    /* libmicrohttpd only reads persistent bytes, though it takes them as not const. */
    return MHD_create_response_from_buffer(len, (void *)(uintptr_t)(len ? bytes : ""),
                                           MHD_RESPMEM_PERSISTENT);
}

/* False when the request has its reply already, which is a bug of the handler. */
static bool may_reply(const struct http_request *req)
{
    assert(!req->exchange->is_replied);
    return !req->exchange->is_replied;
}

static void settle(struct http_request *req, int status, const char *content_type, uint64_t len,
                   struct MHD_Response *response)
{
    struct http_exchange *ex = req->exchange;
    const struct http_app *app = &ex->server->app;

    if (!response) { /* out of memory, or a length no reply can have */
        status = 500;
        content_type = NULL;
        len = 0;
        response = response_of_bytes("", 0);
        if (!response)
            abort();
    }
    if (content_type)
        (void)MHD_add_response_header(response, "Content-Type", content_type);
    for (const struct http_field *f = app->headers; f && f->name; f++)
        (void)MHD_add_response_header(response, f->name, f->value);
    if (app->id_header)
        (void)MHD_add_response_header(response, app->id_header, req->id);
    for (const struct http_header_line *h = ex->headers; h; h = h->next)
        (void)MHD_add_response_header(response, h->name, h->value);
    ex->response = response;
    ex->content_len = len;
    ex->reply_len = is_bodiless(req, status) ? 0 : len;
    ex->is_replied = true;
    req->status = status;
}

/* Of a request from within the process the reply is kept in its arena. */
static void keep(struct http_request *req, int status, const void *bytes, size_t len)
{
    struct http_exchange *ex = req->exchange;

    ex->is_replied = true;
    req->status = status;
    ex->local->status = status;
    ex->local->reply = len ? arena_memdup(req->arena, bytes, len) : "";
    ex->local->reply_len = len;
}

void http_reply_header(struct http_request *req, const char *name, const char *value)
{
    struct http_exchange *ex = req->exchange;
    struct http_header_line *line;

    if (!text_is_field_value(name, strlen(name)) || !text_is_field_value(value, strlen(value)) ||
        name[0] == '\0' || strpbrk(name, " \t:")) {
        log_note(LOG_DEBUG, "http-header-dropped", "%s", name);
        return;
    }
    if (value[0] == '\0' || strcasecmp(name, "Transfer-Encoding") == 0)
        return;
    if (strcasecmp(name, "Content-Length") == 0) {
        ex->content_length = arena_strdup(req->arena, value);
        return;
    }
    line = ARENA_NEW(req->arena, struct http_header_line);
    line->name = arena_strdup(req->arena, name);
    line->value = arena_strdup(req->arena, value);
    *ex->headers_tail = line;
    ex->headers_tail = &line->next;
}

void http_reply_headerf(struct http_request *req, const char *name, const char *fmt, ...)
{
    va_list ap;
    char *value;

    va_start(ap, fmt);
    value = arena_vprintf(req->arena, fmt, ap);
    va_end(ap);
    http_reply_header(req, name, value);
}

void http_reply_empty(struct http_request *req, int status)
{
    struct http_exchange *ex = req->exchange;
    uint64_t len = 0;

    if (!may_reply(req))
        return;
    if (ex->local) {
        keep(req, status, NULL, 0);
        return;
    }
    if (ex->content_length && (is_head(req) || status == 304) &&
        text_parse_u64(ex->content_length, &len) && len > 0 && len < HTTP_SIZE_UNKNOWN) {
        settle(req, status, NULL, len, response_of_length(len));
        return;
    }
    settle(req, status, NULL, 0, response_of_bytes("", 0));
}

void http_reply_bytes(struct http_request *req, int status, const char *content_type,
                      const void *bytes, size_t len)
{
    if (!may_reply(req))
        return;
    if (req->exchange->local)
        keep(req, status, bytes, len);
    else
        settle(req, status, content_type, len, response_of_bytes(bytes, len));
}

void http_reply_shared(struct http_request *req, int status, const char *content_type,
                       const void *bytes, size_t len, void (*release)(void *), void *owner)
{
    if (!may_reply(req)) {
        release(owner);
        return;
    }
    if (req->exchange->local) {
        keep(req, status, bytes, len);
        release(owner);
        return;
    }
    req->exchange->release = release;
    req->exchange->release_arg = owner;
    settle(req, status, content_type, len, response_of_bytes(bytes, len));
}

void http_reply_fd(struct http_request *req, int status, const char *content_type, int fd,
                   uint64_t offset, uint64_t len)
{
    _cleanup_(closep) int owned = fd;
    struct MHD_Response *response;

    if (!may_reply(req))
        return;
    if (req->exchange->local) { /* content of files is for clients */
        keep(req, 500, NULL, 0);
        return;
    }
    if (len == 0 || is_bodiless(req, status)) {
        response = len ? response_of_length(len) : response_of_bytes("", 0);
    } else {
        response = MHD_create_response_from_fd_at_offset64(len, fd, offset);
        if (response)
            (void)take_fd(&owned);
    }
    settle(req, status, content_type, len, response);
}

void http_reply_fd_held(struct http_request *req, int status, const char *content_type, int fd,
                        uint64_t offset, uint64_t len, void (*release)(void *), void *owner)
{
    if (req->exchange->is_replied || req->exchange->local) {
        http_reply_fd(req, status, content_type, fd, offset, len);
        release(owner);
        return;
    }
    req->exchange->release = release;
    req->exchange->release_arg = owner;
    http_reply_fd(req, status, content_type, fd, offset, len);
}

void http_reply_source(struct http_request *req, int status, const char *content_type,
                       uint64_t len, const struct http_source *source, void *ctx)
{
    struct MHD_Response *response;

    if (!may_reply(req)) {
        if (source->close)
            source->close(ctx);
        return;
    }
    if (req->exchange->local) {
        if (source->close)
            source->close(ctx);
        keep(req, 500, NULL, 0);
        return;
    }
    http_source_attach(req->exchange, source, ctx, len);
    if (len == 0 || is_bodiless(req, status))
        response = len ? response_of_length(len) : response_of_bytes("", 0);
    else
        response = http_source_response(req->exchange);
    settle(req, status, content_type, len, response);
}

void http_reply_fault(struct http_exchange *ex, const struct error *err)
{
    struct http_request *req = &ex->req;

    ex->is_known = true;
    if (err->code->status == 503)
        http_reply_header(req, "Retry-After", RETRY_AFTER_S);
    if (ex->server->app.fault)
        ex->server->app.fault(req, err);
    if (!ex->is_replied)
        http_reply_empty(req, err->code->status);
}

enum MHD_Result http_reply_queue(struct http_exchange *ex)
{
    enum MHD_Result rc;

    if (atomic_load_explicit(&ex->server->is_stopping, memory_order_relaxed))
        (void)MHD_add_response_header(ex->response, "Connection", "close");
    rc = MHD_queue_response(ex->connection, (unsigned)ex->req.status, ex->response);
    if (!ex->stocked)
        MHD_destroy_response(ex->response);
    ex->response = NULL;
    ex->phase = HTTP_PHASE_SENT;
    return rc;
}
