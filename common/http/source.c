/* Source bodies. What a source can tell at once goes from it straight into libmicrohttpd's buffer;
 * the rest is read ahead by workers into two slots. The exchange has one job; while `is_filling` it
 * is with a worker, and the exchange may not end: the worker ends it instead (`is_over`). The lock
 * covers the two slots' states; a filled slot belongs to the event thread, an empty one to the
 * worker. The event thread reads only while both are empty and no worker is at it. */
#include "common/http/source.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/http/work.h"

/* Each body under way costs libmicrohttpd one block. Very many share the memory. */
#define BLOCK_LARGE ((size_t)64 << 10)
#define BLOCK_SMALL ((size_t)8 << 10)
#define LARGE_MAX   64 /* bodies with large blocks */
#define SLOTS_MAX   16 /* bodies with slots of HTTP_BUFFER_BYTES */
/* Pieces that workers read after one that had to wait: more of the same is likely to come. */
#define AHEAD_PIECES 4

struct slot {
    char *buffer;
    size_t len; /* filled; 0: empty */
    size_t at;  /* sent so far */
};

struct http_source_state {
    const struct http_source *source;
    void *ctx;
    uint64_t len;
    size_t block, slot_bytes;
    pthread_mutex_t lock;
    struct slot slots[2];
    unsigned ahead; /* pieces that workers are to read, where a source has read_now */
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
           st->slots[st->fill].len == 0 && (st->ahead > 0 || !st->source->read_now);
}

/* Reads into the empty slot; called without the lock by whoever fills. */
static void fill_slot(struct http_source_state *st)
{
    struct slot *slot = &st->slots[st->fill];
    uint64_t left = st->len - st->read_at;
    size_t want = left < st->slot_bytes ? (size_t)left : st->slot_bytes;
    struct error err;
    ssize_t n;

    if (!slot->buffer && !(slot->buffer = malloc(st->slot_bytes))) {
        log_note(LOG_ERROR, "out-of-memory", "no memory for a body buffer");
        abort();
    }
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
        st->ahead -= st->ahead > 0;
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
    if (ex->source && ex->reply_len > 0 && !ex->source->source->read_now)
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

/* The next piece without waiting; 0 when a worker has to read it. Both slots are empty; the lock is
 * held, which nobody else wants meanwhile. */
static size_t take_now(struct http_source_state *st, char *buf, size_t max)
{
    struct error err = { 0 };
    ssize_t n = st->source->read_now(st->ctx, st->read_at, buf, max, &err);

    if (n == HTTP_SOURCE_LATER) {
        st->ahead = AHEAD_PIECES;
        return 0;
    }
    if (n <= 0 || (size_t)n > max) {
        if (n < 0)
            log_failure(LOG_DEBUG, "http-source-failed", &err);
        st->is_failed = true;
        return 0;
    }
    st->read_at += (uint64_t)n;
    st->sent += (uint64_t)n;
    return (size_t)n;
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
    else if (st->source->read_now && !st->is_filling && !st->is_failed)
        n = take_now(st, buf, max);
    if (n == 0 && st->is_failed) {
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
    unsigned bodies;

    st->source = source;
    st->ctx = ctx;
    st->len = len;
    bodies = atomic_fetch_add(&ex->server->bodies, 1);
    st->block = bodies < LARGE_MAX ? BLOCK_LARGE : BLOCK_SMALL;
    if (len < st->block)
        st->block = (size_t)len;
    st->slot_bytes = !source->read_now || bodies < SLOTS_MAX ? HTTP_BUFFER_BYTES : st->block;
    (void)pthread_mutex_init(&st->lock, NULL);
    ex->source = st;
}

struct MHD_Response *http_source_response(struct http_exchange *ex)
{
    return MHD_create_response_from_callback(ex->source->len, ex->source->block, send_some, ex,
                                             NULL);
}

bool http_source_over(struct http_exchange *ex)
{
    struct http_source_state *st = ex->source;
    bool is_free;

    if (!st)
        return true;
    if (st->source->over)
        st->source->over(st->ctx);
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
    atomic_fetch_sub(&ex->server->bodies, 1);
    free(st->slots[0].buffer);
    free(st->slots[1].buffer);
    if (st->source->close)
        st->source->close(st->ctx);
    (void)pthread_mutex_destroy(&st->lock);
}
