/* Read-ahead of source bodies. The exchange has one job; while `is_filling` it is with a worker,
 * and the exchange may not end: the worker ends it instead (`is_over`). The lock covers the two
 * slots' states; a filled slot belongs to the event thread, an empty one to the worker. */
#include "common/http/source.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/http/work.h"

#define SEND_BLOCK ((size_t)64 << 10) /* libmicrohttpd copies pieces of this size out */

struct slot {
    char *buffer;
    size_t len; /* filled; 0: empty */
    size_t at;  /* sent so far */
};

struct http_source_state {
    const struct http_source *source;
    void *ctx;
    uint64_t len;
    pthread_mutex_t lock;
    struct slot slots[2];
    unsigned fill, send; /* the slot to fill, to send from */
    uint64_t read_at;
    uint64_t sent;
    bool is_filling; /* the job is queued or runs */
    bool is_waiting; /* the connection is suspended for a filled slot */
    bool is_failed;
    bool is_over;
};

/* Whether there is something to read and room for it. The lock is held. */
static bool wants_fill(const struct http_source_state *st)
{
    return !st->is_filling && !st->is_failed && !st->is_over && st->read_at < st->len &&
           st->slots[st->fill].len == 0;
}

/* Reads into the empty slot; called without the lock by whoever fills. */
static void fill_slot(struct http_source_state *st)
{
    struct slot *slot = &st->slots[st->fill];
    uint64_t left = st->len - st->read_at;
    size_t want = left < HTTP_BUFFER_BYTES ? (size_t)left : HTTP_BUFFER_BYTES;
    struct error err;
    ssize_t n;

    if (!slot->buffer)
        slot->buffer = http_buffer_new();
    n = st->source->read(st->ctx, st->read_at, slot->buffer, want, &err);
    if (n < 0)
        log_failure(LOG_DEBUG, "http-source-failed", &err);
    pthread_mutex_lock(&st->lock);
    if (n <= 0 || (size_t)n > want) {
        st->is_failed = true;
    } else {
        slot->len = (size_t)n;
        slot->at = 0;
        st->read_at += (uint64_t)n;
        st->fill ^= 1;
    }
    pthread_mutex_unlock(&st->lock);
}

/* The fill that was marked is_filling comes to nothing. True when the exchange is to be ended;
 * *ret_resume is the connection to resume, or NULL. */
static bool give_up(struct http_exchange *ex, struct MHD_Connection **ret_resume)
{
    struct http_source_state *st = ex->source;
    bool is_over;

    pthread_mutex_lock(&st->lock);
    st->is_failed = true;
    st->is_filling = false;
    *ret_resume = st->is_waiting ? ex->connection : NULL;
    st->is_waiting = false;
    is_over = st->is_over;
    pthread_mutex_unlock(&st->lock);
    return is_over;
}

void http_source_refuse(struct http_exchange *ex)
{
    struct MHD_Connection *resume;

    if (give_up(ex, &resume))
        http_exchange_finish(ex);
    else if (resume)
        MHD_resume_connection(resume);
}

void http_source_fill(struct http_exchange *ex)
{
    struct http_source_state *st = ex->source;
    struct MHD_Connection *resume;
    bool is_over, has_more;

    fill_slot(st);
    pthread_mutex_lock(&st->lock);
    st->is_filling = false;
    is_over = st->is_over;
    has_more = wants_fill(st);
    st->is_filling = has_more;
    resume = st->is_waiting ? ex->connection : NULL;
    st->is_waiting = false;
    pthread_mutex_unlock(&st->lock);
    if (is_over) {
        http_exchange_finish(ex);
        return;
    }
    /* One buffer per job, so that a fast reader does not keep a worker to itself. A suspended
     * connection keeps the exchange alive until it is resumed, so that comes last. */
    if (has_more && !http_work_submit(ex, HTTP_WORK_FILL))
        http_source_refuse(ex);
    if (resume)
        MHD_resume_connection(resume);
}

void http_source_prefill(struct http_exchange *ex)
{
    if (ex->source && ex->reply_len > 0)
        fill_slot(ex->source);
}

/* Copies from the slot whose turn it is. The lock is held. */
static size_t take_bytes(struct http_source_state *st, char *buf, size_t max)
{
    struct slot *slot = &st->slots[st->send];
    size_t n = slot->len - slot->at;

    if (n > max)
        n = max;
    memcpy(buf, slot->buffer + slot->at, n);
    slot->at += n;
    st->sent += n;
    if (slot->at == slot->len) {
        slot->len = 0;
        st->send ^= 1;
    }
    return n;
}

static ssize_t send_some(void *cls, uint64_t at, char *buf, size_t max)
{
    struct http_exchange *ex = cls;
    struct http_source_state *st = ex->source;
    bool is_submitting;
    size_t n = 0;

    (void)at;
    pthread_mutex_lock(&st->lock);
    if (st->slots[st->send].len > 0)
        n = take_bytes(st, buf, max);
    else if (st->is_failed) {
        pthread_mutex_unlock(&st->lock);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    is_submitting = wants_fill(st);
    if (is_submitting)
        st->is_filling = true;
    if (n == 0) { /* under the lock: the worker must not resume before this is done */
        st->is_waiting = true;
        MHD_suspend_connection(ex->connection);
    }
    pthread_mutex_unlock(&st->lock);
    if (is_submitting && !http_work_submit(ex, HTTP_WORK_FILL))
        http_source_refuse(ex);
    return (ssize_t)n;
}

void http_source_attach(struct http_exchange *ex, const struct http_source *source, void *ctx,
                        uint64_t len)
{
    struct http_source_state *st = ARENA_NEW(ex->req.arena, struct http_source_state);

    st->source = source;
    st->ctx = ctx;
    st->len = len;
    (void)pthread_mutex_init(&st->lock, NULL);
    ex->source = st;
}

struct MHD_Response *http_source_response(struct http_exchange *ex)
{
    uint64_t len = ex->source->len;

    return MHD_create_response_from_callback(len, len < SEND_BLOCK ? (size_t)len : SEND_BLOCK,
                                             send_some, ex, NULL);
}

bool http_source_over(struct http_exchange *ex)
{
    struct http_source_state *st = ex->source;
    bool is_free;

    if (!st)
        return true;
    pthread_mutex_lock(&st->lock);
    is_free = !st->is_filling;
    if (!is_free) {
        st->is_over = true;
        ex->connection = NULL;
        ex->req.sent_bytes = st->sent;
    }
    pthread_mutex_unlock(&st->lock);
    return is_free;
}

uint64_t http_source_sent(const struct http_exchange *ex)
{
    return ex->source ? ex->source->sent : 0;
}

void http_source_free(struct http_exchange *ex)
{
    struct http_source_state *st = ex->source;

    if (!st)
        return;
    ex->source = NULL;
    http_buffer_free(st->slots[0].buffer);
    http_buffer_free(st->slots[1].buffer);
    if (st->source->close)
        st->source->close(st->ctx);
    (void)pthread_mutex_destroy(&st->lock);
}
