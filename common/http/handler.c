/* The callbacks libmicrohttpd calls: one request is called for its head, for pieces of its body and
 * at its end, and again after each suspension. A reply queued at the head closes the connection
 * afterwards, so replies wait for the end of the body unless the body is not worth reading. */
#include "common/http/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/http/route.h"
#include "common/http/source.h"
#include "common/http/target.h"
#include "common/http/work.h"

#define IGNORED_MAX ((uint64_t)64 << 10) /* of a body nobody asked for */
/* A refused body is read to its end up to this size: a client that is still sending would see its
 * connection reset instead of the reply. */
#define DRAIN_MAX ((uint64_t)8 << 20)
#define BODY_FIRST ((size_t)4096)
/* Streams that are this long get large buffers, as many as these at once. */
#define LONG_BYTES       ((uint64_t)4 << 20)
#define LONG_STREAMS_MAX 16

static void fault(struct http_exchange *ex, const struct error_code *code, const char *message)
{
    struct error err = { 0 };

    (void)fail(&err, code, "%s", message);
    http_reply_fault(ex, &err);
}

/* Turns what a worker could not do into a reply. */
static void answer_refusal(struct http_exchange *ex)
{
    const struct error_code *code = ex->refused;

    ex->refused = NULL;
    if (!code || ex->is_replied)
        return;
    if (code == &E_TIMEOUT)
        fault(ex, code, "The request took too long.");
    else if (code == &E_UNAVAILABLE)
        fault(ex, code, "The service is busy; try again in a moment.");
    else
        fault(ex, code, "The request could not be answered.");
}

static bool is_encoded(const struct http_request *req)
{
    const char *encoding = http_header(req, "Content-Encoding");

    return encoding && strcasecmp(encoding, "identity") != 0;
}

static uint64_t body_limit(const struct http_route *route)
{
    if (route->body == HTTP_BODY_BUFFER)
        return route->max_body;
    return route->body == HTTP_BODY_NONE ? IGNORED_MAX : HTTP_SIZE_UNKNOWN;
}

static void check_body(struct http_exchange *ex)
{
    if (!ex->has_body)
        return;
    if (is_encoded(&ex->req))
        fault(ex, &E_UNSUPPORTED_MEDIA, "Content-Encoding is not supported for requests.");
    else if (ex->body_size != HTTP_SIZE_UNKNOWN && ex->body_size > body_limit(ex->req.route))
        fault(ex, &E_TOO_LARGE, "The body of the request is too large.");
}

static void find_route(struct http_exchange *ex, bool *ret_is_method_wrong)
{
    struct http_request *req = &ex->req;
    struct http_route_match found;

    http_route_find(req->arena, ex->server->app.routes, req->method, req->path, &found);
    req->route = found.route;
    memcpy(req->params, found.params, sizeof req->params);
    *ret_is_method_wrong = found.is_method_wrong;
    if (found.is_method_wrong)
        http_reply_header(req, "Allow", found.allow);
}

static void answer_missing(struct http_exchange *ex, bool is_method_wrong)
{
    const struct http_app *app = &ex->server->app;

    if (app->missing)
        app->missing(&ex->req, is_method_wrong);
    if (!ex->is_replied)
        http_reply_empty(&ex->req, is_method_wrong ? 405 : 404);
}

/* Everything that is decided before the body is asked for. */
static void prepare(struct http_exchange *ex, const char *method, const char *version)
{
    const struct http_app *app = &ex->server->app;
    struct http_request *req = &ex->req;
    bool is_method_wrong;
    struct error err;

    ex->is_prepared = true;
    req->method = arena_strdup(req->arena, method);
    if (http_frame_check(ex, method, version, &err) < 0) {
        ex->must_close = true;
        http_reply_fault(ex, &err);
        return;
    }
    ex->uri = NULL;
    if (http_prepare(ex, &err) < 0) {
        http_reply_fault(ex, &err);
        return;
    }
    ex->is_known = true;
    find_route(ex, &is_method_wrong);
    if (app->admit)
        app->admit(req);
    if (!ex->is_replied && !req->route)
        answer_missing(ex, is_method_wrong);
    if (!ex->is_replied)
        check_body(ex);
}

static bool must_answer_at_once(const struct http_exchange *ex)
{
    if (!ex->is_replied)
        return false;
    return ex->must_close || (ex->has_body && (ex->expects_continue ||
                                               (ex->body_size != HTTP_SIZE_UNKNOWN &&
                                                ex->body_size > DRAIN_MAX)));
}

static enum MHD_Result on_head(struct http_exchange *ex, const char *method, const char *version)
{
    if (!ex->is_prepared) {
        prepare(ex, method, version);
        if (!ex->is_replied && ex->req.route->body == HTTP_BODY_STREAM) {
            http_work_suspend(ex, HTTP_WORK_BEGIN);
            return MHD_YES;
        }
    }
    answer_refusal(ex);
    if (must_answer_at_once(ex))
        return http_reply_queue(ex);
    ex->phase = HTTP_PHASE_BODY;
    return MHD_YES;
}

static void append_body(struct http_exchange *ex, const char *data, size_t len)
{
    struct http_request *req = &ex->req;
    size_t max = req->route->max_body, need = req->body_len + len + 1;

    if (len > max - req->body_len) {
        fault(ex, &E_TOO_LARGE, "The body of the request is too large.");
        return;
    }
    if (need > ex->body_cap) {
        size_t cap = ex->body_cap ? ex->body_cap : BODY_FIRST;
        char *grown;

        while (cap < need)
            cap *= 2;
        grown = realloc(ex->body, cap);
        if (!grown) {
            log_note(LOG_ERROR, "out-of-memory", "no memory for a request body");
            abort();
        }
        ex->body = grown;
        ex->body_cap = cap;
    }
    memcpy(ex->body + req->body_len, data, len);
    req->body_len += len;
    ex->body[req->body_len] = '\0';
}

/* How much of it goes to a worker at once: each piece costs several threads a wake-up, which on a
 * virtual machine takes as long as the work on some 50 KiB. */
static size_t piece_bytes(struct http_exchange *ex)
{
    struct http_server *s = ex->server;

    if (!ex->is_long && ex->body_seen >= LONG_BYTES) {
        ex->is_long = atomic_fetch_add(&s->streams, 1) < LONG_STREAMS_MAX;
        if (!ex->is_long)
            atomic_fetch_sub(&s->streams, 1);
    }
    return ex->is_long ? HTTP_BUFFER_LARGE : HTTP_BUFFER_BYTES;
}

/* Suspending only with bytes left over: libmicrohttpd goes on to the next chunk of a chunked body at
 * once when all was taken, suspended or not. */
static enum MHD_Result on_stream(struct http_exchange *ex, const char *data, size_t *size)
{
    struct http_buffer *to = &ex->chunk;

    while (*size > 0) {
        size_t n = to->cap - to->len < *size ? to->cap - to->len : *size;

        if (n > 0) {
            memcpy(to->bytes + to->len, data, n);
            to->len += n;
            data += n;
            *size -= n;
            continue;
        }
        if (to->len > 0 && http_work_awaits(ex))
            break;
        if (to->len > 0)
            http_work_feed(ex);
        if (to->cap < piece_bytes(ex))
            http_buffer_make(to, piece_bytes(ex));
    }
    ex->body_seen -= *size; /* what is left over comes again */
    return MHD_YES;
}

/* libmicrohttpd takes a read that did not fill its buffer for the end of what is there and waits for
 * the next edge of epoll. When the client's end came together with its last bytes there is none, and
 * the break-off would only show at the idle timeout. Shutting the read side down makes the edge; a
 * body that is complete after all is in libmicrohttpd's buffer and not harmed. It does not tell how
 * large its buffer is, so every piece is looked behind: one system call for some 20 KiB. */
static void notice_break_off(const struct http_exchange *ex)
{
    const union MHD_ConnectionInfo *info;
    ssize_t n;
    char c;

    if (ex->body_seen == ex->body_size)
        return;
    info = MHD_get_connection_info(ex->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    n = recv(info->connect_fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        (void)shutdown(info->connect_fd, SHUT_RD);
}

static enum MHD_Result on_body(struct http_exchange *ex, const char *data, size_t *size)
{
    ex->body_seen += *size;
    notice_break_off(ex);
    if (atomic_load(&ex->feed) != HTTP_FEED_NONE)
        return on_stream(ex, data, size);
    answer_refusal(ex);
    if (!ex->is_replied && ex->req.route->body == HTTP_BODY_STREAM)
        return on_stream(ex, data, size);
    if (!ex->is_replied && ex->req.route->body == HTTP_BODY_BUFFER)
        append_body(ex, data, *size);
    else if (!ex->is_replied && ex->body_seen > IGNORED_MAX)
        fault(ex, &E_TOO_LARGE, "The body of the request is too large.");
    if (ex->is_replied)
        ex->drained += *size;
    *size = 0;
    /* A sink that was begun has its body drained whatever the length: the client is a pusher in
     * the middle of its work and is to learn why it failed. */
    return ex->sink == HTTP_SINK_NONE && ex->drained > DRAIN_MAX ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_end(struct http_exchange *ex)
{
    const struct http_route *route = ex->req.route;

    if (http_work_awaits(ex))
        return MHD_YES;
    answer_refusal(ex);
    if (ex->is_replied)
        return http_reply_queue(ex);
    if (route->body == HTTP_BODY_STREAM) {
        http_work_suspend(ex, HTTP_WORK_END);
        return MHD_YES;
    }
    if (route->body == HTTP_BODY_BUFFER)
        ex->req.body = ex->body ? ex->body : "";
    else if (route->fast)
        (void)route->fast(&ex->req);
    if (ex->is_replied)
        return http_reply_queue(ex);
    if (!route->run) {
        fault(ex, &E_INTERNAL, "The request could not be answered.");
        return http_reply_queue(ex);
    }
    http_work_suspend(ex, HTTP_WORK_RUN);
    return MHD_YES;
}

void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct http_exchange *ex = http_exchange_take(cls);

    ex->connection = connection;
    ex->uri = uri;
    ex->uri_len = strlen(uri);
    ex->req.target = arena_strndup(ex->req.arena, uri,
                                   ex->uri_len < HTTP_TARGET_MAX ? ex->uri_len : HTTP_TARGET_MAX);
    return ex;
}

enum MHD_Result http_on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *size, void **slot)
{
    struct http_exchange *ex = *slot;

    (void)cls;
    (void)connection;
    (void)url;
    if (!ex)
        return MHD_NO;
    switch (ex->phase) {
    case HTTP_PHASE_HEAD:
        return on_head(ex, method, version);
    case HTTP_PHASE_BODY:
        return *size > 0 ? on_body(ex, data, size) : on_end(ex);
    case HTTP_PHASE_SENT:
    case HTTP_PHASE_MAX:
        break;
    }
    *size = 0;
    return MHD_YES;
}

void http_on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode code)
{
    struct http_exchange *ex = *slot;

    (void)cls;
    (void)connection;
    if (!ex)
        return;
    *slot = NULL;
    if (!http_source_over(ex) || http_work_orphan(ex))
        return;
    ex->req.sent_bytes = http_source_sent(ex);
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK && ex->phase == HTTP_PHASE_SENT)
        ex->req.sent_bytes = ex->reply_len;
    if (ex->sink != HTTP_SINK_BEGUN) {
        http_exchange_finish(ex);
        return;
    }
    ex->connection = NULL;
    if (!http_work_submit(ex, HTTP_WORK_ABORT))
        http_work_refuse(&ex->job, HTTP_REFUSED_STOPPED);
}
