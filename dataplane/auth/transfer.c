/* One list under one lock. A socket stays the server's until its transfer has left the list, so none
 * that was closed, or that is somebody else's by now, is ever shut down. */
#include "dataplane/auth/transfer.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/http/server.h"
#include "dataplane/call.h"
#include "dataplane/plane.h"

struct transfers {
    pthread_mutex_t lock;
    struct transfer *first;
};

struct transfers *transfers_new(void)
{
    struct transfers *l = calloc(1, sizeof(*l));

    if (!l)
        abort();
    (void)pthread_mutex_init(&l->lock, NULL);
    return l;
}

void transfers_free(struct transfers *l)
{
    if (!l)
        return;
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

void transfer_begin(struct transfer *t, const struct http_request *req)
{
    struct transfers *l = call_of(req)->plane->transfers;

    firewall_watch_init(&t->watch, req);
    t->list = l;
    t->prev = NULL;
    t->socket = http_socket(req);
    pthread_mutex_lock(&l->lock);
    t->next = l->first;
    if (t->next)
        t->next->prev = t;
    l->first = t;
    pthread_mutex_unlock(&l->lock);
}

void transfer_end(struct transfer *t)
{
    struct transfers *l = t->list;

    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    *(t->prev ? &t->prev->next : &l->first) = t->next;
    if (t->next)
        t->next->prev = t->prev;
    pthread_mutex_unlock(&l->lock);
    t->list = NULL;
}

void transfers_review(struct transfers *l)
{
    pthread_mutex_lock(&l->lock);
    for (struct transfer *t = l->first; t; t = t->next) {
        if (!firewall_still_admits(&t->watch))
            (void)shutdown(t->socket, SHUT_RDWR);
    }
    pthread_mutex_unlock(&l->lock);
}
