/* Running a plane's handlers on workers. Only the first job of a request can be refused for a full
 * queue or a long wait; what continues a begun stream is bounded by the number of connections and
 * ends by the request's deadline. */
#include "common/http/work.h"

#include <stddef.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/thread.h"
#include "common/http/source.h"

#define QUEUE_WAIT_MS 10000
#define DEADLINE_MS 60000

static struct http_exchange *exchange_of(struct http_job *job)
{
    return (struct http_exchange *)(void *)((char *)job - offsetof(struct http_exchange, job));
}

static bool is_read(const struct http_request *req)
{
    return strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
}

static bool is_slow_write(const struct http_exchange *ex)
{
    return ex->server->app.has_slow_writes && !is_read(&ex->req);
}

static bool is_past_deadline(const struct http_exchange *ex)
{
    return clock_mono_ms() >= ex->deadline_ms;
}

/* The stream ends without a reply of its sink. */
static void abort_sink(struct http_exchange *ex, const struct error_code *why)
{
    const struct http_sink *sink = ex->req.route->sink;

    if (ex->sink != HTTP_SINK_BEGUN)
        return;
    ex->sink = HTTP_SINK_OVER;
    ex->refused = why;
    if (sink->abort)
        sink->abort(&ex->req);
}

static void give_up_sink(struct http_exchange *ex)
{
    abort_sink(ex, &E_UNAVAILABLE);
    if (!ex->is_replied)
        ex->refused = &E_UNAVAILABLE;
}

static void begin_sink(struct http_exchange *ex)
{
    const struct http_sink *sink = ex->req.route->sink;

    if (sink->begin)
        sink->begin(&ex->req);
    ex->sink = ex->is_replied ? HTTP_SINK_OVER : HTTP_SINK_BEGUN;
}

static void feed_sink(struct http_exchange *ex, const struct http_buffer *from)
{
    if (is_past_deadline(ex))
        abort_sink(ex, &E_TIMEOUT);
    if (ex->sink != HTTP_SINK_BEGUN || from->len == 0)
        return;
    ex->req.route->sink->data(&ex->req, from->bytes, from->len);
    if (ex->is_replied)
        ex->sink = HTTP_SINK_OVER;
}

/* The piece is taken, or given up: the exchange is the connection's again, unless that is gone. */
static void end_feed(struct http_exchange *ex)
{
    struct MHD_Connection *connection = ex->connection;

    switch (atomic_exchange(&ex->feed, HTTP_FEED_NONE)) {
    case HTTP_FEED_AWAITED:
        MHD_resume_connection(connection);
        break;
    case HTTP_FEED_ORPHAN:
        ex->connection = NULL;
        abort_sink(ex, NULL);
        http_exchange_finish(ex);
        break;
    case HTTP_FEED_NONE:
    case HTTP_FEED_OUT:
    case HTTP_FEED_MAX:
        break;
    }
}

static void end_sink(struct http_exchange *ex)
{
    feed_sink(ex, &ex->chunk);
    if (ex->sink != HTTP_SINK_BEGUN)
        return;
    ex->sink = HTTP_SINK_OVER;
    ex->req.route->sink->end(&ex->req);
}

/* A handler that gave no reply is a bug, but not the client's. */
static void check_reply(struct http_exchange *ex)
{
    if (!ex->is_replied && !ex->refused)
        ex->refused = &E_INTERNAL;
    if (ex->is_replied)
        http_source_prefill(ex);
}

void http_work_run(struct http_job *job)
{
    struct http_exchange *ex = exchange_of(job);

    thread_set_patient(is_slow_write(ex));
    switch (ex->work) {
    case HTTP_WORK_RUN:
        ex->req.route->run(&ex->req);
        check_reply(ex);
        break;
    case HTTP_WORK_BEGIN:
        begin_sink(ex);
        break;
    case HTTP_WORK_FEED:
        feed_sink(ex, &ex->piece);
        end_feed(ex);
        return;
    case HTTP_WORK_END:
        end_sink(ex);
        check_reply(ex);
        break;
    case HTTP_WORK_ABORT:
        abort_sink(ex, NULL);
        http_exchange_finish(ex);
        return;
    case HTTP_WORK_FILL:
        http_source_fill(ex);
        return;
    case HTTP_WORK_MAX:
        break;
    }
    MHD_resume_connection(ex->connection);
}

void http_work_refuse(struct http_job *job, enum http_refusal why)
{
    struct http_exchange *ex = exchange_of(job);

    switch (ex->work) {
    case HTTP_WORK_RUN:
    case HTTP_WORK_BEGIN:
        ex->refused = why == HTTP_REFUSED_EXPIRED && is_past_deadline(ex) ? &E_TIMEOUT
                                                                          : &E_UNAVAILABLE;
        break;
    case HTTP_WORK_FEED:
        give_up_sink(ex);
        end_feed(ex);
        return;
    case HTTP_WORK_END:
        give_up_sink(ex);
        break;
    case HTTP_WORK_ABORT:
        abort_sink(ex, NULL);
        http_exchange_finish(ex);
        return;
    case HTTP_WORK_FILL:
        http_source_refuse(ex);
        return;
    case HTTP_WORK_MAX:
        break;
    }
    MHD_resume_connection(ex->connection);
}

/* The deadline covers all work of the request and starts with the first job. */
static void set_times(struct http_exchange *ex, bool is_first)
{
    int64_t now = clock_mono_ms(), limit = ex->req.route->deadline_ms;

    if (ex->deadline_ms == 0)
        ex->deadline_ms = limit < 0 ? INT64_MAX : now + (limit ? limit : DEADLINE_MS);
    ex->job.is_counted = is_first;
    ex->job.is_brief = (ex->server->config.is_brief || ex->req.route->is_brief) && !is_slow_write(ex);
    ex->job.expires_ms = 0;
    if (is_first)
        ex->job.expires_ms =
            ex->deadline_ms < now + QUEUE_WAIT_MS ? ex->deadline_ms : now + QUEUE_WAIT_MS;
}

void http_work_suspend(struct http_exchange *ex, enum http_work work)
{
    enum http_refusal why;

    ex->work = work;
    set_times(ex, work == HTTP_WORK_RUN || work == HTTP_WORK_BEGIN);
    MHD_suspend_connection(ex->connection);
    /* A worker may have resumed the connection before this returns: nothing follows it. */
    if (!http_workers_submit(ex->server->workers, &ex->job, &why))
        http_work_refuse(&ex->job, why);
}

bool http_work_submit(struct http_exchange *ex, enum http_work work)
{
    enum http_refusal why;

    ex->work = work;
    ex->job.is_counted = false;
    ex->job.is_brief = false;
    ex->job.expires_ms = 0;
    return http_workers_submit(ex->server->workers, &ex->job, &why);
}

void http_work_feed(struct http_exchange *ex)
{
    struct http_buffer empty = ex->piece;

    empty.len = 0;
    ex->piece = ex->chunk;
    ex->chunk = empty;
    atomic_store(&ex->feed, HTTP_FEED_OUT);
    if (!http_work_submit(ex, HTTP_WORK_FEED))
        http_work_refuse(&ex->job, HTTP_REFUSED_STOPPED);
}

bool http_work_awaits(struct http_exchange *ex)
{
    enum http_feed out = HTTP_FEED_OUT;

    if (atomic_load(&ex->feed) == HTTP_FEED_NONE)
        return false;
    /* First, so that the worker does not resume what is not suspended. */
    MHD_suspend_connection(ex->connection);
    if (!atomic_compare_exchange_strong(&ex->feed, &out, HTTP_FEED_AWAITED))
        MHD_resume_connection(ex->connection);
    return true;
}

bool http_work_orphan(struct http_exchange *ex)
{
    enum http_feed out = HTTP_FEED_OUT;

    return atomic_compare_exchange_strong(&ex->feed, &out, HTTP_FEED_ORPHAN);
}
