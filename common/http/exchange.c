/* Birth and end of an exchange. A few are kept with their arenas, so that a busy server allocates
 * nothing per request and an idle one keeps little. */
#include "common/http/exchange.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/http/source.h"
#include "common/http/stock.h"

#define SPARE_MAX 16

static struct http_exchange *take_spare(struct http_server *s)
{
    struct http_exchange *ex;

    pthread_mutex_lock(&s->lock);
    ex = s->spare;
    if (ex) {
        s->spare = ex->next_spare;
        s->spare_count--;
    }
    s->active++;
    pthread_mutex_unlock(&s->lock);
    return ex;
}

static void give_back(struct http_server *s, struct http_exchange *ex)
{
    bool is_kept;

    arena_reset(ex->req.arena);
    pthread_mutex_lock(&s->lock);
    is_kept = s->spare_count < SPARE_MAX;
    if (is_kept) {
        ex->next_spare = s->spare;
        s->spare = ex;
        s->spare_count++;
    }
    s->active--;
    if (s->active == 0)
        pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->lock);
    if (!is_kept) {
        arena_free(ex->req.arena);
        free(ex);
    }
}

struct http_exchange *http_exchange_take(struct http_server *s)
{
    struct http_exchange *ex = take_spare(s);
    struct arena *arena = ex ? ex->req.arena : arena_new();

    if (!ex) {
        ex = calloc(1, sizeof *ex);
        if (!ex)
            abort();
    } else {
        memset(ex, 0, sizeof *ex);
    }
    ex->server = s;
    ex->headers_tail = &ex->headers;
    ex->req.arena = arena;
    ex->req.app = s->app.ctx;
    ex->req.exchange = ex;
    ex->req.method = ex->req.target = ex->req.path = ex->req.query = ex->req.host = "";
    ex->req.started_us = clock_mono_us();
    uuid_new(ex->req.id);
    return ex;
}

void http_exchange_finish(struct http_exchange *ex)
{
    struct http_server *s = ex->server;

    if (ex->is_known && s->app.done)
        s->app.done(&ex->req);
    http_source_free(ex);
    http_stock_settle(ex);
    if (ex->response)
        MHD_destroy_response(ex->response);
    if (ex->release)
        ex->release(ex->release_arg);
    if (ex->body) {
        explicit_bzero(ex->body, ex->req.body_len); /* form bodies carry passwords */
        free(ex->body);
    }
    http_buffer_free(&ex->chunk);
    http_buffer_free(&ex->piece);
    if (ex->is_long)
        atomic_fetch_sub(&s->streams, 1);
    give_back(s, ex);
}

void http_exchange_trim(struct http_server *s)
{
    while (s->spare) {
        struct http_exchange *ex = s->spare;

        s->spare = ex->next_spare;
        arena_free(ex->req.arena);
        free(ex);
    }
}

void http_buffer_make(struct http_buffer *b, size_t cap)
{
    http_buffer_free(b);
    b->bytes = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b->cap = cap;
    if (b->bytes != MAP_FAILED)
        return;
    log_note(LOG_ERROR, "out-of-memory", "no memory for a body buffer");
    abort();
}

void http_buffer_free(struct http_buffer *b)
{
    if (b->bytes)
        (void)munmap(b->bytes, b->cap);
    *b = (struct http_buffer){ .bytes = NULL };
}
