/* The listener behind the edge: a thread of its own accepts, reads exactly the PROXY v2 header, and
 * hands the connection with the true client address to libmicrohttpd. A connection that does not
 * bring its header within 5 s, or brings a wrong one, is closed without a word. */
#include "common/http/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/http/proxy.h"

#define HEADER_WAIT_MS 5000
#define EVENTS 64

/* A connection whose header is not complete. All wait equally long, so the list is in the order of
 * the deadlines. */
struct arrival {
    struct arrival *next, *prev;
    int fd;
    bool is_watched;
    int64_t deadline_ms;
    struct sockaddr_storage from;
    size_t have, need;
    uint8_t bytes[HTTP_PROXY_MAX];
};

struct http_edge {
    struct http_server *server;
    int epoll_fd, stop_fd;
    pthread_t thread;
    struct arrival *first, *last;
    unsigned waiting;
};

static void forget(struct http_edge *e, struct arrival *a)
{
    *(a->prev ? &a->prev->next : &e->first) = a->next;
    *(a->next ? &a->next->prev : &e->last) = a->prev;
    e->waiting--;
    if (a->fd >= 0)
        (void)close(a->fd);
    free(a);
}

/* What follows the secret in the unique id becomes the link id; visible ASCII only. */
static bool copy_link_id(struct http_edge_address *to, const uint8_t *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (id[i] <= 0x20 || id[i] >= 0x7f)
            return false;
    to->has_link_id = len > 0;
    memcpy(to->link_id, id, len);
    return true;
}

static int check_header(const struct http_edge *e, const struct arrival *a,
                        struct http_edge_address *ret, struct error *err)
{
    struct http_proxy_header h;
    const uint8_t *rest;
    size_t rest_len;

    if (http_proxy_parse(a->bytes, a->have, &h, err) < 0)
        return -1;
    if (!http_proxy_has_secret(&h, e->server->config.edge_secret, &rest, &rest_len))
        return fail(err, &E_FORBIDDEN, "PROXY header: wrong secret");
    if (!copy_link_id(ret, rest, rest_len))
        return fail(err, &E_INVALID, "PROXY header: bad link id");
    ret->family = HTTP_EDGE_FAMILY;
    ret->peer = h.is_local ? a->from : h.peer;
    return 0;
}

static void hand_over(struct http_edge *e, struct arrival *a)
{
    struct http_edge_address address = { 0 };
    struct error err;
    int fd;

    if (check_header(e, a, &address, &err) < 0) {
        log_failure(LOG_DEBUG, "http-edge-refused", &err);
        forget(e, a);
        return;
    }
    if (a->is_watched)
        (void)epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, a->fd, NULL);
    fd = take_fd(&a->fd);
    forget(e, a);
    /* The descriptor is closed for us when this fails. */
    (void)MHD_add_connection(e->server->daemon, fd, (const struct sockaddr *)&address,
                             sizeof address);
}

/* Reads what is there of the header and not a byte more. 1: complete, 0: more to come, -1: bad. */
static int read_header(struct arrival *a)
{
    struct error err;

    while (a->have < a->need) {
        ssize_t n = recv(a->fd, a->bytes + a->have, a->need - a->have, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        if (n <= 0)
            return -1;
        a->have += (size_t)n;
        if (!http_proxy_may_begin(a->bytes, a->have))
            return -1;
        if (a->have == HTTP_PROXY_FIXED && http_proxy_length(a->bytes, &a->need, &err) < 0)
            return -1;
    }
    return 1;
}

static void serve(struct http_edge *e, struct arrival *a)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP, .data.ptr = a };
    int rc = read_header(a);

    if (rc > 0) {
        hand_over(e, a);
        return;
    }
    if (rc == 0 && !a->is_watched) {
        a->is_watched = epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, a->fd, &event) == 0;
        rc = a->is_watched ? 0 : -1;
    }
    if (rc < 0)
        forget(e, a);
}

static void welcome(struct http_edge *e, int fd, const struct sockaddr_storage *from)
{
    struct arrival *a = NULL;

    if (e->waiting < e->server->config.connections_max)
        a = calloc(1, sizeof *a);
    if (!a) {
        (void)close(fd);
        return;
    }
    a->fd = fd;
    a->from = *from;
    a->need = HTTP_PROXY_FIXED;
    a->deadline_ms = clock_mono_ms() + HEADER_WAIT_MS;
    a->prev = e->last;
    *(e->last ? &e->last->next : &e->first) = a;
    e->last = a;
    e->waiting++;
    serve(e, a);
}

static void accept_some(struct http_edge *e)
{
    for (int i = 0; i < EVENTS; i++) {
        struct sockaddr_storage from = { 0 };
        socklen_t len = sizeof from;
        int fd = accept4(e->server->proxied.fd, (struct sockaddr *)&from, &len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0) {
            welcome(e, fd, &from);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        /* Out of descriptors: the backlog waits, and so does this thread. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            clock_sleep_ms(20);
        return;
    }
}

/* Closes who is late; returns the time until the next deadline, -1 when nobody waits. */
static int expire(struct http_edge *e)
{
    int64_t now = clock_mono_ms();

    while (e->first && e->first->deadline_ms <= now)
        forget(e, e->first);
    return e->first ? (int)(e->first->deadline_ms - now) : -1;
}

static void *run(void *arg)
{
    struct http_edge *e = arg;

    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(e->epoll_fd, events, EVENTS, expire(e));

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &e->stop_fd)
                return NULL;
            if (events[i].data.ptr == e)
                accept_some(e);
            else
                serve(e, events[i].data.ptr);
        }
    }
}

static int watch(struct http_edge *e, int fd, void *tag, struct error *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = tag };

    if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return fail_errno(err, "epoll_ctl");
    return 0;
}

static void edge_free(struct http_edge *e)
{
    while (e->first)
        forget(e, e->first);
    if (e->epoll_fd >= 0)
        (void)close(e->epoll_fd);
    if (e->stop_fd >= 0)
        (void)close(e->stop_fd);
    free(e);
}

static int prepare(struct http_edge *e, struct error *err)
{
    int rc;

    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (e->epoll_fd < 0 || e->stop_fd < 0)
        return fail_errno(err, "epoll");
    if (watch(e, e->stop_fd, &e->stop_fd, err) < 0)
        return -1;
    if (watch(e, e->server->proxied.fd, e, err) < 0)
        return -1;
    rc = http_thread_start(&e->thread, run, e);
    if (rc != 0) {
        errno = rc;
        return fail_errno(err, "start the edge thread");
    }
    return 0;
}

int http_edge_start(struct http_server *s, struct http_edge **ret, struct error *err)
{
    struct http_edge *e = calloc(1, sizeof *e);

    if (!e)
        return fail_errno(err, "edge");
    e->server = s;
    e->epoll_fd = e->stop_fd = -1;
    if (prepare(e, err) < 0) {
        edge_free(e);
        return -1;
    }
    *ret = e;
    return 0;
}

void http_edge_stop(struct http_edge *e)
{
    uint64_t one = 1;

    if (!e)
        return;
    while (write(e->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    (void)pthread_join(e->thread, NULL);
    edge_free(e);
}
