/* Replies that are sent again. Libmicrohttpd copies every header into a response of its own, which
 * for a small reply costs more than sending it; so a response that was sent is kept, with all its
 * headers, and the next request of the same content only has its own id put into it.
 *
 * A kept response belongs to whoever took it out of its place, until it is put back. It is put back
 * when libmicrohttpd has sent it and holds nothing but its count of references. */
#include "common/http/stock.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#define SPARES 2 /* responses kept: a few threads send at once, for a moment each */

struct http_stock {
    atomic_uint refs;
    _Atomic(struct http_stocked *) spares[SPARES];
};

struct http_stock *http_stock_new(void)
{
    struct http_stock *stock = calloc(1, sizeof *stock);

    if (!stock) {
        log_note(LOG_ERROR, "out-of-memory", "no memory for a stock of replies");
        abort();
    }
    atomic_init(&stock->refs, 1);
    return stock;
}

struct http_stock *http_stock_ref(struct http_stock *stock)
{
    atomic_fetch_add(&stock->refs, 1);
    return stock;
}

static void stocked_free(struct http_stocked *s)
{
    if (!s)
        return;
    MHD_destroy_response(s->response);
    if (s->release)
        s->release(s->owner);
    free(s);
}

void http_stock_unref(struct http_stock *stock)
{
    if (!stock || atomic_fetch_sub(&stock->refs, 1) != 1)
        return;
    for (size_t i = 0; i < SPARES; i++)
        stocked_free(atomic_exchange(&stock->spares[i], NULL));
    free(stock);
}

static struct http_stocked *take_out(struct http_stock *stock)
{
    struct http_stocked *s = NULL;

    for (size_t i = 0; i < SPARES && !s; i++)
        s = atomic_exchange(&stock->spares[i], NULL);
    return s;
}

/* What finds no place is not needed again so soon. */
static void put_back(struct http_stock *stock, struct http_stocked *s)
{
    for (size_t i = 0; i < SPARES; i++) {
        struct http_stocked *none = NULL;

        if (atomic_compare_exchange_strong(&stock->spares[i], &none, s))
            return;
    }
    stocked_free(s);
}

/* The id of this request in place of the last one's. False when memory is short. */
static bool put_id(struct http_stocked *s, const char *name, const char *id)
{
    if (!name)
        return true;
    if (MHD_del_response_header(s->response, name, s->id) != MHD_YES ||
        MHD_add_response_header(s->response, name, id) != MHD_YES)
        return false;
    memcpy(s->id, id, sizeof s->id);
    return true;
}

bool http_reply_stocked(struct http_request *req, struct http_stock *stock)
{
    struct http_exchange *ex = req->exchange;
    struct http_stocked *s = ex->is_replied || ex->local ? NULL : take_out(stock);

    if (s && !put_id(s, ex->server->app.id_header, req->id)) {
        stocked_free(s);
        s = NULL;
    }
    if (!s)
        return false;
    ex->stock = http_stock_ref(stock);
    ex->stocked = s;
    ex->response = s->response;
    ex->reply_len = strcmp(req->method, "HEAD") == 0 ? 0 : s->len;
    ex->is_replied = true;
    req->status = s->status;
    return true;
}

void http_reply_keep(struct http_request *req, struct http_stock *stock)
{
    struct http_exchange *ex = req->exchange;
    struct http_stocked *s;

    if (!ex->response || ex->stock || ex->source || req->status != 200)
        return;
    s = calloc(1, sizeof *s);
    if (!s)
        return;
    s->response = ex->response;
    s->status = req->status;
    s->len = ex->content_len;
    s->release = ex->release;
    s->owner = ex->release_arg;
    memcpy(s->id, req->id, sizeof s->id);
    ex->release = NULL;
    ex->stock = http_stock_ref(stock);
    ex->stocked = s;
}

void http_stock_settle(struct http_exchange *ex)
{
    if (!ex->stocked)
        return;
    /* While the server stops, replies are marked as the last of their connections. */
    if (atomic_load(&ex->server->is_stopping))
        stocked_free(ex->stocked);
    else
        put_back(ex->stock, ex->stocked);
    ex->response = NULL;
    ex->stocked = NULL;
    http_stock_unref(ex->stock);
    ex->stock = NULL;
}
