/* HTTP/1.1 load over keep-alive connections, for what wrk cannot do: HEAD requests, which it waits
 * for ever on, and clients that each fetch a list of things once. One thread with epoll; every
 * reply must be 200 with a Content-Length. Prints one line of JSON.
 *
 *   bench_load PORT CONNECTIONS seconds N METHOD HEADER PATH…   for N seconds, round and round
 *   bench_load PORT CONNECTIONS times N METHOD HEADER PATH…     every connection N times the list
 *
 * HEADER is one whole line ("Authorization: …") or empty. Latencies are of requests with `seconds`,
 * and from the common start to a connection's last byte with `times`. */
/* links: portolan_base */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/base/clock.h"

#define HEAD_MAX     8192
#define READ_BYTES   ((size_t)256 << 10)
#define ACCEPT       "application/vnd.oci.image.manifest.v1+json, */*"
#define EVENTS_MAX   256
#define TIMES_MAX_US (600 * INT64_C(1000000))

struct connection {
    int fd; /* -1: over */
    int64_t asked_us;
    size_t asked; /* requests so far */
    size_t head_len;
    bool is_in_body;
    uint64_t body_left;
    char head[HEAD_MAX];
};

struct load {
    struct sockaddr_in address;
    size_t connection_count, open_count;
    struct connection *connections;
    char **requests;
    size_t *request_lens;
    size_t request_count;
    bool is_head, is_timed;
    size_t quota; /* requests of a connection; unless is_timed */
    int64_t begun_us, until_us;
    int epoll;
    char *buffer;
    uint32_t *latencies;
    size_t latency_count, latency_cap;
    uint64_t done, failed, bytes;
};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void note_latency(struct load *l, int64_t us)
{
    if (l->latency_count == l->latency_cap) {
        l->latency_cap = l->latency_cap ? 2 * l->latency_cap : 65536;
        l->latencies = realloc(l->latencies, l->latency_cap * sizeof(*l->latencies));
        if (!l->latencies)
            die("memory");
    }
    l->latencies[l->latency_count++] = (uint32_t)(us > UINT32_MAX ? UINT32_MAX : us);
}

static void end(struct load *l, struct connection *c, const char *failure)
{
    if (failure) {
        if (l->failed++ == 0)
            (void)fprintf(stderr, "bench_load: %s\n", failure);
    }
    (void)close(c->fd);
    c->fd = -1;
    l->open_count--;
}

static void ask(struct load *l, struct connection *c)
{
    size_t at = c->asked++ % l->request_count;

    c->asked_us = clock_mono_us();
    c->head_len = 0;
    c->is_in_body = false;
    /* A request is smaller than any socket buffer, and the one before it has been answered. */
    if (send(c->fd, l->requests[at], l->request_lens[at], MSG_NOSIGNAL) !=
        (ssize_t)l->request_lens[at])
        end(l, c, "a request could not be sent");
}

static void answered(struct load *l, struct connection *c)
{
    int64_t now_us = clock_mono_us();
    bool is_over = l->is_timed ? now_us >= l->until_us : c->asked >= l->quota;

    l->done++;
    if (l->is_timed)
        note_latency(l, now_us - c->asked_us);
    else if (is_over)
        note_latency(l, now_us - l->begun_us);
    if (is_over)
        end(l, c, NULL);
    else
        ask(l, c);
}

/* Reads status and length of a whole head. */
static bool head_read(const struct load *l, struct connection *c)
{
    int64_t length = -1;

    c->head[c->head_len] = '\0';
    if (strncmp(c->head, "HTTP/1.1 200 ", 13) != 0)
        return false;
    for (const char *line = strchr(c->head, '\n'); line; line = strchr(line + 1, '\n')) {
        if (strncasecmp(line + 1, "Content-Length:", 15) == 0)
            length = strtoll(line + 16, NULL, 10);
    }
    c->is_in_body = true;
    c->body_left = l->is_head || length < 0 ? 0 : (uint64_t)length;
    return length >= 0;
}

/* How many of the bytes belong to the head; SIZE_MAX when the head is no good. */
static size_t take_head(const struct load *l, struct connection *c, const char *bytes, size_t len)
{
    size_t had = c->head_len;
    size_t room = HEAD_MAX - 1 - had;
    size_t add = len < room ? len : room;

    memcpy(c->head + had, bytes, add);
    c->head_len += add;
    const char *stop = memmem(c->head, c->head_len, "\r\n\r\n", 4);
    if (!stop)
        return c->head_len < HEAD_MAX - 1 ? add : SIZE_MAX;
    size_t used = (size_t)(stop - c->head) + 4 - had;
    c->head_len = (size_t)(stop - c->head) + 4;
    return head_read(l, c) ? used : SIZE_MAX;
}

static void readable(struct load *l, struct connection *c)
{
    ssize_t got = recv(c->fd, l->buffer, READ_BYTES, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end(l, c, "a connection was closed");
        return;
    }
    l->bytes += (uint64_t)got;
    size_t used = c->is_in_body ? 0 : take_head(l, c, l->buffer, (size_t)got);
    if (used == SIZE_MAX) {
        end(l, c, c->head);
        return;
    }
    if (!c->is_in_body)
        return;
    uint64_t rest = (uint64_t)got - used;
    if (rest > c->body_left) {
        end(l, c, "more bytes than the reply has");
        return;
    }
    c->body_left -= rest;
    if (c->body_left == 0)
        answered(l, c);
}

/* Until the clients' connections are there; each asks as soon as its own is. */
static void open_all(struct load *l)
{
    int yes = 1;

    for (size_t i = 0; i < l->connection_count; i++) {
        struct connection *c = &l->connections[i];
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)))
            die("socket");
        if (connect(c->fd, (const struct sockaddr *)&l->address, sizeof(l->address)) != 0 &&
            errno != EINPROGRESS)
            die("connect");
        struct epoll_event event = { .events = EPOLLOUT, .data.ptr = c };
        if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
            die("epoll_ctl");
        l->open_count++;
    }
}

static void connected(struct load *l, struct connection *c)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = c };
    int status = 0;
    socklen_t len = sizeof(status);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &status, &len) != 0 || status != 0) {
        end(l, c, "a connection was refused");
        return;
    }
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0)
        die("epoll_ctl");
    ask(l, c);
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    int64_t grace_us = l->is_timed ? 5000000 : 0;

    while (l->open_count > 0 && clock_mono_us() < l->until_us + grace_us) {
        int count = epoll_wait(l->epoll, events, EVENTS_MAX, 100);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                connected(l, c);
            else
                readable(l, c);
        }
    }
    l->failed += l->open_count; /* never ended */
}

static int by_value(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;

    return a < b ? -1 : a > b;
}

static unsigned long quantile(const struct load *l, double q)
{
    if (l->latency_count == 0)
        return 0;
    size_t at = (size_t)(q * (double)l->latency_count);
    return l->latencies[at < l->latency_count ? at : l->latency_count - 1];
}

static void report(struct load *l, int64_t took_us)
{
    if (l->latency_count > 0)
        qsort(l->latencies, l->latency_count, sizeof(*l->latencies), by_value);
    printf("{\"requests\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"seconds\":%.6f,\"bytes\":%" PRIu64
           ",\"p50_us\":%lu,\"p99_us\":%lu,\"max_us\":%lu}\n",
           l->done, l->failed, (double)took_us / 1e6, l->bytes, quantile(l, 0.5), quantile(l, 0.99),
           quantile(l, 1));
}

static void requests_make(struct load *l, const char *method, const char *header, char **paths)
{
    l->requests = calloc(l->request_count, sizeof(*l->requests));
    l->request_lens = calloc(l->request_count, sizeof(*l->request_lens));
    if (!l->requests || !l->request_lens)
        die("memory");
    for (size_t i = 0; i < l->request_count; i++) {
        int len =
            asprintf(&l->requests[i],
                     "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: " ACCEPT "\r\n%s%s\r\n",
                     method, paths[i], ntohs(l->address.sin_port), header, *header ? "\r\n" : "");
        if (len < 0)
            die("memory");
        l->request_lens[i] = (size_t)len;
    }
}

int main(int argc, char **argv)
{
    struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC), .buffer = malloc(READ_BYTES) };

    if (argc < 8 || l.epoll < 0 || !l.buffer) {
        (void)fputs("usage: bench_load PORT CONNECTIONS seconds|times N METHOD HEADER PATH...\n",
                    stderr);
        return 2;
    }
    long port = strtol(argv[1], NULL, 10), connections = strtol(argv[2], NULL, 10);
    long amount = strtol(argv[4], NULL, 10);
    l.is_timed = strcmp(argv[3], "seconds") == 0;
    l.address = (struct sockaddr_in){ .sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    if (connections < 1 || connections > 60000 || amount < 1)
        return 2;
    l.is_head = strcmp(argv[5], "HEAD") == 0;
    l.request_count = (size_t)argc - 7;
    l.quota = (size_t)amount * l.request_count;
    requests_make(&l, argv[5], argv[6], argv + 7);
    l.connection_count = (size_t)connections;
    l.connections = calloc(l.connection_count, sizeof(*l.connections));
    if (!l.connections)
        die("memory");
    l.begun_us = clock_mono_us();
    l.until_us = l.begun_us + (l.is_timed ? amount * INT64_C(1000000) : TIMES_MAX_US);
    open_all(&l);
    run(&l);
    report(&l, clock_mono_us() - l.begun_us);
    return l.failed == 0 ? 0 : 1;
}
